//! Chores of the project: `cargo xtask <chore>`.
//!
//! Never: part of the shipped binary.

mod bench;
mod connector;
mod contracts;
mod demo;
mod docs;
mod program;
mod real;
mod test;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Chores of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_version_flag = true)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Runs what every change must pass: formatting, lints, tidy, tests, generated pages.
    Test(test::Args),
    /// Installs a real shop and a real ERP, runs the hub between them and asserts that they agree.
    Real(real::Args),
    /// Builds the program and shows it at work between emulated systems.
    Demo(demo::Args),
    /// Holds the connectors' requests against the vendors' published contracts, which lie outside the project.
    Contracts(contracts::Args),
    /// Measures, with a baseline in the same run.
    Bench(bench::Args),
    /// Writes the generated pages under docs/, or checks them.
    Docs(docs::Args),
    /// Checks the rules that a compiler does not: crate walls, file sizes, licences, words.
    Tidy,
    /// Makes the folder of a new connector.
    NewConnector(connector::Args),
}

fn main() -> Result<()> {
    match Args::parse().chore {
        Chore::Test(args) => test::run(&args),
        Chore::Real(args) => real::run(&args),
        Chore::Demo(args) => demo::run(&args),
        Chore::Contracts(args) => contracts::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Docs(args) => docs::run(&args),
        Chore::Tidy => tidy::run(),
        Chore::NewConnector(args) => connector::run(&args),
    }
}

/// The repository's root folder.
fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Says what is being done, on standard error, so that standard output stays for results.
fn say(text: impl std::fmt::Display) {
    eprintln!("── {text}");
}
