//! The program as a user has it: built for release.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::root;
use crate::test::cargo;

/// Builds the program and says where it is.
pub fn build() -> Result<PathBuf> {
    cargo(&["build", "--release", "--locked", "-p", "counterpart"], &[])?;
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("no target directory")?;
    let program = Path::new(target).join("release/counterpart");
    ensure!(program.exists(), "{} was not built", program.display());
    Ok(program)
}
