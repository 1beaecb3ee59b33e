//! Pages generated from the code.
use anyhow::Result;

/// Writes the generated pages.
#[derive(clap::Args)]
pub struct Args {
    /// Checks instead of writing.
    #[arg(long)]
    pub check: bool,
}

pub fn run(_args: &Args) -> Result<()> {
    Ok(())
}
