//! What every change must pass, on a machine with nothing but Rust.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{root, say};

/// Runs what every change must pass.
#[derive(clap::Args)]
pub struct Args {
    /// Leaves lints and formatting out, for a quick round.
    #[arg(long)]
    quick: bool,
}

/// Runs formatting, lints, private docs, tidy, tests and the check of generated pages, in that order.
pub fn run(args: &Args) -> Result<()> {
    if !args.quick {
        cargo(&["fmt", "--all", "--check"], &[])?;
        cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])?;
        cargo(
            &["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        )?;
    }
    crate::tidy::run()?;
    cargo(&["build", "--workspace", "--locked"], &[])?;
    let nextest =
        Command::new("cargo").args(["nextest", "--version"]).output().is_ok_and(|o| o.status.success());
    if nextest {
        cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"], &[])?;
    } else {
        cargo(&["test", "--workspace", "--locked", "--no-fail-fast"], &[])?;
    }
    crate::docs::run(&crate::docs::Args { check: true })
}

/// Runs cargo in the repository and fails with its command line.
pub fn cargo(args: &[&str], env: &[(&str, &str)]) -> Result<()> {
    say(format!("cargo {}", args.join(" ")));
    let status = Command::new("cargo")
        .args(args)
        .envs(env.iter().copied())
        .current_dir(root())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("`cargo {}` failed", args.join(" "));
    }
    Ok(())
}
