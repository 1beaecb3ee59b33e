//! Builds the program and runs its demonstration.
//!
//! Never: does anything that `counterpart demo` does not do by itself.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::program;

/// Builds and runs `counterpart demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed on, such as `--headless --orders 200 --faults --json`; see `counterpart demo --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Runs it; Ctrl-C goes to the demo, which stops in good order.
pub fn run(args: &Args) -> Result<()> {
    let program = program::build()?;
    let status =
        Command::new(&program).arg("demo").args(&args.rest).status().context("cannot start the demo")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => bail!("the demo ended with {code}"),
        None => bail!("the demo was killed"),
    }
}
