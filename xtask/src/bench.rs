//! Benchmarks, each beside a baseline in the same run.

use anyhow::{Result, bail};

/// Measures, with a baseline in the same run.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure.
    #[arg(value_parser = ["ack"])]
    what: String,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(_args: &Args) -> Result<()> {
    bail!("not built");
}
