//! Runs one profile by itself: `cargo run -p counterpart-sandbox --example emulator -- FOLDER PORT [SETTINGS.json]`. Then a
//! line `ACTION {json}` on standard input lets somebody act in it, such as `report {}`; its answer is printed as JSON.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr};

use counterpart_sandbox::clock::FastClock;
use counterpart_sandbox::profile::Profile;
use counterpart_sandbox::{Sandbox, Setup};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, port, rest @ ..] = arguments.as_slice() else {
        return Err("expected: FOLDER PORT [SETTINGS.json]".into());
    };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files
            .insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path())?);
    }
    let settings: Value = match rest.first() {
        Some(file) => serde_json::from_str(&std::fs::read_to_string(file)?)?,
        None => json!({}),
    };
    let setup = Setup {
        profile: Profile::read(&files)?,
        clock: FastClock::new(jiff::Timestamp::now(), 1.0),
        seed: 1,
        settings,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let sandbox = runtime.block_on(Sandbox::start(setup))?;
    let mut out = std::io::stdout();
    writeln!(out, "{} listens on {}", sandbox.title(), sandbox.url())?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (action, with) = line.trim().split_once(' ').unwrap_or((line.trim(), "{}"));
        match action {
            "" => {}
            "requests" => writeln!(out, "{}", json!(sandbox.requests()))?,
            "broken" => writeln!(out, "{}", json!(sandbox.broken()))?,
            action => match act(&sandbox, action, with) {
                Ok(done) => writeln!(out, "{done}")?,
                Err(error) => writeln!(out, "error: {error}")?,
            },
        }
    }
    runtime.block_on(std::future::pending::<()>());
    Ok(())
}

fn act(sandbox: &Sandbox, action: &str, with: &str) -> Outcome<Value> {
    Ok(sandbox.act(action, &serde_json::from_str(with)?)?)
}
