//! How many realistic orders a CPU-second maps: `cargo run --release -p counterpart-mapping --example throughput`.
//!
//! Prints runs per CPU-second of the program alone, and with reading and writing the JSON around it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::time::Duration;

use counterpart_mapping::json::{read_json, write_json};
use counterpart_mapping::program::{Expect, Source, compile};
use serde_json::{Value, json};

const MAPPING: &str = include_str!("order.read.vrl");
const SAMPLE: &str = include_str!("order.json");

/// CPU time of this process so far, from the kernel's count in ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn measure(what: &str, mut run: impl FnMut()) {
    let begin = cpu_time();
    let mut runs = 0_u32;
    while cpu_time() - begin < Duration::from_secs(3) {
        (0..500).for_each(|_| run());
        runs += 500;
    }
    println!("{what}: {:.0} a CPU-second", f64::from(runs) / (cpu_time() - begin).as_secs_f64());
}

fn main() {
    let program = compile(Source { file: "order.read.vrl", text: MAPPING }, Expect::Changes).unwrap();
    // A map of the size that merchants have, so that its cost shows.
    let taxes: serde_json::Map<String, Value> =
        (0..2000).map(|n| (format!("T{n}"), json!(n.to_string()))).collect();
    let metadata = json!({ "settings": { "channel": "web" }, "maps": { "tax_codes": taxes }, "now": "2026-03-01T12:00:00Z" });
    let input = read_json(SAMPLE.as_bytes()).unwrap();
    let output = program.run(&input, &metadata).unwrap();
    println!("order of {} bytes to {} bytes", SAMPLE.len(), output.to_string().len());
    for (what, text) in [
        ("an empty program on it", "."),
        ("telephone numbers", "phone_e164!(.billingAddress.phone, .billingAddress.country)"),
    ] {
        let program =
            compile(Source { file: what, text: &format!("_x = {text}\n.id") }, Expect::Any).unwrap();
        measure(what, || drop(program.run(&input, &metadata).unwrap()));
    }
    measure("run", || drop(program.run(&input, &metadata).unwrap()));
    measure("read, run, write", || {
        let input = read_json(SAMPLE.as_bytes()).unwrap();
        drop(write_json(&program.run(&input, &metadata).unwrap(), &[]).unwrap());
    });
}
