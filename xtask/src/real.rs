//! Real systems.
use anyhow::{Result, bail};

/// Real systems.
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: &Args) -> Result<()> {
    bail!("not built");
}
