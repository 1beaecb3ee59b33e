//! The demonstration: three emulated systems with the hub between them, and people who buy, ship and change things. The hub is
//! a process of its own, the same program as `serve` runs, so that it can be killed.
//!
//! Never: reaches a real system; helps the hub by anything that a real one would not have.

mod child;
mod folder;
mod outcome;
mod run;
mod screen;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use counterpart_connect::catalog;
use counterpart_sandbox::clock::FastClock;
use counterpart_sandbox::profile::Profile;
use counterpart_sandbox::traffic::{Pace, Systems, Traffic};
use counterpart_sandbox::{Sandbox, Setup, StartError};
use jiff::Timestamp;
use serde_json::Value;

use crate::args;
use crate::errors::{Exit, Failure};
use crate::input::say;
use crate::output::Out;
use crate::serve::Signals;
use folder::{Folder, Scenario};

/// How fast time runs for people who watch, and without anyone watching.
const WATCHED_SPEED: f64 = 10.0;
const HEADLESS_SPEED: f64 = 30.0;
const FAULTY_SPEED: f64 = 120.0;

/// Runs it, to the end or until it is told to stop.
///
/// # Errors
/// When a port is taken, the folder cannot be written, another demo runs, or something breaks down.
pub async fn demo(ask: &args::Demo, out: &Out) -> Result<Exit, Failure> {
    // Listened for before anything is started, so that nothing is left running.
    let mut signals = Signals::new()?;
    tokio::select! {
        ended = go(ask, out) => ended,
        () = signals.next() => {
            say("stopped");
            Ok(Exit::Done)
        }
    }
}

/// Ends this process, a demo's hub, when the demo that started it is gone, even by `kill -9`.
pub fn end_with_the_demo() {
    std::thread::spawn(|| {
        // Nothing is ever said there; the end of it is the demo's.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
}

async fn go(ask: &args::Demo, out: &Out) -> Result<Exit, Failure> {
    let scenario = Scenario::load()?;
    let folder = Folder::make(ask.folder.as_deref(), ask.keep)?;
    let usual = match (ask.headless, ask.faults) {
        (true, true) => FAULTY_SPEED,
        (true, false) => HEADLESS_SPEED,
        (false, _) => WATCHED_SPEED,
    };
    let speed = ask.speed.unwrap_or(usual);
    let clock = FastClock::new(Timestamp::now(), speed);
    let port = free_port(ask.port)?;
    let systems = Systems {
        store: start(&scenario, "store", clock, ask.seed, port).await?,
        erp: start(&scenario, "erp", clock, ask.seed, port).await?,
        crm: start(&scenario, "crm", clock, ask.seed, port).await?,
    };
    let every_s = ask.every.unwrap_or(if ask.headless { speed / 8.0 } else { speed * 2.0 });
    let pace =
        Pace { orders: ask.orders, every_s, packed_after: run::packed_after(ask.faults), edits: ask.faults };
    let traffic = Traffic::new(clock, ask.seed, pace);
    let seeded = traffic.seed(&systems).map_err(broken)?;
    folder.configure(&scenario, &systems, &seeded, port)?;
    run::Run::new(ask, out, clock, systems, traffic, folder, port).await?.finish().await
}

fn broken(refusal: counterpart_sandbox::Refusal) -> Failure {
    Failure::unexpected(format!("an emulated system broke down: {refusal}"))
}

/// The port the hub listens on: the one asked for, or any.
fn free_port(asked: Option<u16>) -> Result<u16, Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, asked.unwrap_or(0)));
    let listener = TcpListener::bind(address).map_err(|e| {
        Failure::unavailable(format!("cannot listen on {address}: {e}"))
            .hint("another program has that port; name a free one with --port")
    })?;
    listener.local_addr().map(|a| a.port()).map_err(|e| Failure::unavailable(e.to_string()))
}

async fn start(
    scenario: &Scenario,
    role: &str,
    clock: FastClock,
    seed: u64,
    port: u16,
) -> Result<Sandbox, Failure> {
    let system = scenario.system(role)?;
    let files = catalog::emulators()
        .remove(&system.connector)
        .ok_or_else(|| Failure::unexpected(format!("the connector {} has no emulator", system.connector)))?;
    let profile = Profile::read(&files).map_err(|e| Failure::unexpected(e.to_string()))?;
    let mut settings = system.emulator.clone();
    settings["webhook_url"] = Value::String(format!("http://127.0.0.1:{port}/webhooks/{role}"));
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Sandbox::start(Setup { profile, clock, seed, settings, listen }).await.map_err(|error| match error {
        StartError::Listen(..) => Failure::unavailable(error.to_string()),
        StartError::Profile(_) => Failure::unexpected(error.to_string()),
    })
}
