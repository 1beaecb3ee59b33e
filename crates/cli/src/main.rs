//! The binary `counterpart`: reads the arguments, asks the hub, shows the answer.
//!
//! Standard output is for answers (with `--json` exactly one JSON document), standard error for everything else.
//! Never: decides what the hub decides; renders and does I/O in the same function (see [`output`]).

mod args;
mod commands;
mod demo;
mod errors;
mod init;
mod input;
mod log;
mod output;
mod page;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::output::Out;

fn main() -> ExitCode {
    few_arenas();
    let args = Args::parse();
    log::start(&args.global, matches!(args.command, args::Command::Serve | args::Command::DemoHub { .. }));
    let out = Out::new(args.global.json, args.global.no_color);
    match run(args, &out) {
        Ok(code) => code.into(),
        Err(failure) => {
            out.failure(&failure);
            failure.exit.into()
        }
    }
}

/// The allocator of glibc keeps a heap for every thread, up to eight for each processor, and gives little of it back:
/// measured under load, 68 MiB resident with two heaps and more than 90 without this. Two are enough for what allocates
/// at the same time here.
fn few_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` takes two integers and only changes settings of the allocator; no thread runs yet that could
        // allocate meanwhile.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 2);
        }
    }
}

fn run(args: Args, out: &Out) -> Result<errors::Exit, errors::Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| errors::Failure::unexpected(format!("cannot start: {e}")))?;
    let code = runtime.block_on(commands::run(args, out));
    // Something that hangs must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}
