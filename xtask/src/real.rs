//! A real shop and a real ERP with the hub between them: installs both, runs all three, and asks the shop and the ERP
//! whether they agree.
//!
//! Never: takes the hub's word for what happened in a system.

mod erp;
mod gate;
mod http;
mod hub;
mod install;
mod lab;
mod ports;
mod postgres;
mod process;
mod report;
mod scenarios;
mod shop;

use anyhow::{Result, bail};
use rand::{Rng, RngExt, SeedableRng};

use crate::{program, say};
use lab::Lab;
use report::Report;

/// Installs a real shop and a real ERP, runs the hub between them and asserts that they agree.
#[derive(clap::Args)]
pub struct Args {
    /// Runs only scenarios whose name holds this text; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Runs everything so many times, each time from fresh databases.
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// Leaves everything running after the scenarios, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Orders placed while the hub is being killed.
    #[arg(long, default_value_t = 200)]
    orders: u32,
    /// Times that the hub is killed meanwhile.
    #[arg(long, default_value_t = 5)]
    kills: u32,
    /// Makes the moments of the kills and the choice of goods repeatable.
    #[arg(long)]
    seed: Option<u64>,
    /// Lists the scenarios and ends.
    #[arg(long)]
    list: bool,
    /// Tries the shop and the ERP by themselves, without a hub.
    #[arg(long)]
    without_hub: bool,
}

/// What a scenario is told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// See [`Args::orders`].
    pub orders: u32,
    /// See [`Args::kills`].
    pub kills: u32,
    /// See [`Args::seed`].
    pub seed: u64,
}

/// Runs the scenarios and fails when one of them does.
pub fn run(args: &Args) -> Result<()> {
    let table = if args.without_hub { scenarios::WITHOUT_HUB } else { scenarios::ALL };
    let chosen: Vec<_> = table
        .iter()
        .filter(|scenario| args.only.is_empty() || args.only.iter().any(|text| scenario.name.contains(text)))
        .collect();
    if args.list {
        report::list(table);
        return Ok(());
    }
    if chosen.is_empty() {
        bail!("no scenario of that name; --list shows them");
    }
    process::end_all_when_interrupted()?;
    let result = run_chosen(args, &chosen);
    process::end_all();
    result
}

fn run_chosen(args: &Args, chosen: &[&scenarios::Scenario]) -> Result<()> {
    let program = if args.without_hub { None } else { Some(program::build()?) };
    let folder = install::folder()?;
    let installed = install::ready(&folder)?;
    let mut report = Report::default();
    for round in 1..=args.repeat {
        let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(1..1_000_000));
        say(format!("real: round {round} of {}, --seed {seed}", args.repeat));
        let options = Options { orders: args.orders, kills: args.kills, seed };
        let mut lab = Lab::start(&folder, &installed, program.as_deref())?;
        say(format!("real: logs in {}", lab.logs.display()));
        for scenario in chosen {
            report.run(scenario, &mut lab, options);
        }
        if args.keep && round == args.repeat {
            lab.wait_for_interrupt();
        }
    }
    report.finish()
}

/// Random bytes as hex digits.
fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    rand::rng().fill_bytes(&mut buffer);
    hex::encode(buffer)
}

/// A generator of random numbers that gives the same ones for the same seed.
fn generator(seed: u64) -> rand::rngs::StdRng {
    rand::rngs::StdRng::seed_from_u64(seed)
}
