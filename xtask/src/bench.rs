//! Benchmarks, each beside a baseline in the same run. bench/README.md says what the numbers mean.
//!
//! Never: compares with a figure from another run or another machine.

mod load;
pub mod server;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use counterpart_store::bench::raw_group_commit;
use serde::Serialize;

use crate::say;
use load::Load;
use server::{Server, cpu_time};

/// Measures, with a baseline in the same run.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure: `ack`, webhooks acknowledged for each CPU-second of the server.
    #[arg(value_parser = ["ack"])]
    what: String,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Senders, each with a connection of its own and one webhook on its way at a time.
    #[arg(long, default_value_t = 128)]
    producers: u32,
    /// Lets the hub work the webhooks off meanwhile, instead of only taking them.
    #[arg(long)]
    work: bool,
}

/// Size of a webhook's body: an order with a handful of lines.
const BYTES: usize = 3072;

/// Rows to a commit of the baseline: as many as the store's own writer puts into one at most.
const GROUP: u64 = 256;

/// Sending that is not measured: connections are made, caches and the database's first pages filled.
const WARM_UP: Duration = Duration::from_secs(1);

/// The result of `bench ack`.
#[derive(Serialize)]
struct Ack {
    /// Webhooks answered with 200 while it was measured.
    acknowledged: u64,
    /// How long it was measured.
    seconds: f64,
    /// Time that the server's process spent on processors meanwhile, in user mode and in the kernel.
    server_cpu_s: f64,
    /// `acknowledged` over `server_cpu_s`.
    per_cpu_s: f64,
    /// The same bytes and count, inserted without a server.
    baseline: Baseline,
    /// `per_cpu_s` over the baseline's.
    ratio: f64,
    /// `acknowledged` over `seconds`; depends on what else the machine does, the senders included.
    per_s: f64,
    /// Half of the answers came sooner.
    p50_ms: f64,
    /// 99 of 100 answers came sooner.
    p99_ms: f64,
    /// Most memory that the server has had resident, in MiB.
    rss_mb: f64,
    /// What was there after `kill -9`.
    durable: Durable,
    producers: u32,
    bytes: usize,
    /// The hub worked them off meanwhile.
    worked_off: bool,
}

#[derive(Serialize)]
struct Baseline {
    inserts: u64,
    group: u64,
    cpu_s: f64,
    per_cpu_s: f64,
    wall_s: f64,
}

#[derive(Serialize)]
struct Durable {
    /// Webhooks answered with 200 until the server was killed, while they were still being sent.
    acknowledged: u64,
    /// Webhooks in the database afterwards; more only by those whose answer the kill cut off.
    in_database: u64,
}

/// Measures, prints, and fails when an acknowledged webhook was lost.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.seconds > 0 && args.producers > 0, "--seconds and --producers must be at least 1");
    match args.what.as_str() {
        "ack" => print(&ack(args)?, args.json),
        other => bail!("there is no bench `{other}`"),
    }
}

fn ack(args: &Args) -> Result<Ack> {
    let program = server::build(&["--release"])?;
    let mut server = Server::start(&program, args.work)?;
    say(format!("sending for {} s over {} connections", args.seconds, args.producers));
    let load = Load::start(server.address, args.producers, BYTES)?;
    std::thread::sleep(WARM_UP);
    let (before, cpu_before) = (load.mark(), server.cpu()?);
    std::thread::sleep(Duration::from_secs(args.seconds));
    let (after, cpu_after) = (load.mark(), server.cpu()?);
    let rss_mb = server.peak_mib()?;
    say("kill -9, with webhooks on their way");
    server.kill()?;
    let sent = load.finish()?;
    let in_database = server.in_inbox()?;
    durable(sent.acknowledged, in_database, args.producers)?;

    let acknowledged = after.count - before.count;
    ensure!(acknowledged > 0, "nothing was acknowledged; the server's log says:\n{}", server.log());
    let seconds = (after.at - before.at).as_secs_f64();
    let server_cpu_s = (cpu_after - cpu_before).as_secs_f64();
    let per_cpu_s = acknowledged as f64 / server_cpu_s;
    say(format!("inserting {acknowledged} rows of {BYTES} bytes without a server"));
    let baseline = baseline(&server, acknowledged)?;
    let (p50_ms, p99_ms) = sent.percentiles(before.at, after.at);
    Ok(Ack {
        acknowledged,
        seconds,
        server_cpu_s,
        per_cpu_s,
        ratio: per_cpu_s / baseline.per_cpu_s,
        baseline,
        per_s: acknowledged as f64 / seconds,
        p50_ms,
        p99_ms,
        rss_mb,
        durable: Durable { acknowledged: sent.acknowledged, in_database },
        producers: args.producers,
        bytes: BYTES,
        worked_off: args.work,
    })
}

/// Fails when an acknowledged webhook is not there, or more are there than were sent.
fn durable(acknowledged: u64, in_database: u64, producers: u32) -> Result<()> {
    ensure!(
        in_database >= acknowledged,
        "{acknowledged} webhooks were acknowledged, and {in_database} are in the database: {} are lost",
        acknowledged - in_database
    );
    let unanswered = in_database - acknowledged;
    ensure!(
        unanswered <= u64::from(producers),
        "{in_database} webhooks are in the database, {unanswered} more than were acknowledged; at most {producers} were on their way"
    );
    Ok(())
}

/// The same count and bytes in a bare SQLite file beside the server's; this process does nothing else meanwhile, so that
/// its time is told as the server's is.
fn baseline(server: &Server, rows: u64) -> Result<Baseline> {
    let before = cpu_time(std::process::id())?;
    let run = raw_group_commit(&server.folder().join("baseline.db"), rows, BYTES, GROUP)
        .context("the baseline failed")?;
    let cpu_s = (cpu_time(std::process::id())? - before).as_secs_f64();
    Ok(Baseline {
        inserts: run.rows,
        group: GROUP,
        cpu_s,
        per_cpu_s: run.rows as f64 / cpu_s,
        wall_s: run.wall.as_secs_f64(),
    })
}

/// Writes the result to standard output.
#[allow(clippy::print_stdout)]
fn print(ack: &Ack, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(ack)?);
        return Ok(());
    }
    let base = &ack.baseline;
    println!(
        "acknowledged    {} webhooks of {} bytes in {:.1} s, {:.0} a second, from {} senders",
        ack.acknowledged, ack.bytes, ack.seconds, ack.per_s, ack.producers
    );
    println!("server          {:.2} CPU-seconds: {:.0} a CPU-second", ack.server_cpu_s, ack.per_cpu_s);
    println!(
        "bare inserts    {} in {:.2} CPU-seconds, {} to a commit: {:.0} a CPU-second",
        base.inserts, base.cpu_s, base.group, base.per_cpu_s
    );
    println!("ratio           {:.3}", ack.ratio);
    println!("answer after    p50 {:.1} ms, p99 {:.1} ms", ack.p50_ms, ack.p99_ms);
    println!("memory          {:.0} MiB resident at most", ack.rss_mb);
    println!(
        "after kill -9   {} acknowledged, {} in the database: none lost",
        ack.durable.acknowledged, ack.durable.in_database
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::durable;

    #[test]
    fn a_lost_webhook_is_noticed_and_an_unanswered_one_is_none() {
        for (acknowledged, there, good) in [(10, 10, true), (10, 9, false), (10, 14, true), (10, 15, false)] {
            assert_eq!(durable(acknowledged, there, 4).is_ok(), good, "{acknowledged} {there}");
        }
    }
}
