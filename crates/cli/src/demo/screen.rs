//! What a person sees while it runs: drawn again and again on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use counterpart_hub::views::Status;
use counterpart_sandbox::traffic::{Systems, Traffic};

use crate::output::{Out, status};
use crate::page::Page;

/// How often a terminal is drawn anew, and how often a line is written elsewhere.
const DRAWN: Duration = Duration::from_millis(1000);
const TOLD: Duration = Duration::from_secs(10);

/// The screen.
pub struct Screen {
    silent: bool,
    live: bool,
    lines: usize,
    last: Option<Instant>,
}

impl Screen {
    /// One that shows nothing when `silent`.
    pub fn new(silent: bool) -> Self {
        Self { silent, live: std::io::stderr().is_terminal(), lines: 0, last: None }
    }

    /// Whether it is time to show something.
    pub fn is_due(&self) -> bool {
        let every = if self.live { DRAWN } else { TOLD };
        !self.silent && self.last.is_none_or(|at| at.elapsed() >= every)
    }

    /// Shows how things stand.
    pub fn show(&mut self, out: &Out, systems: &Systems, traffic: &Traffic, hub: &Status, hub_url: &str) {
        self.last = Some(Instant::now());
        let mut err = std::io::stderr().lock();
        if !self.live {
            let flows = hub
                .flows
                .iter()
                .map(|f| format!("{} {}", f.name, f.deliveries.get("delivered").unwrap_or(&0)));
            let flows: Vec<String> = flows.collect();
            let _ = writeln!(
                err,
                "{} orders placed; delivered: {}; {} wait for a person",
                traffic.placed.len(),
                flows.join(", "),
                hub.reviews_open
            );
            return;
        }
        let page = Page { now: hub.at, ..out.screen() };
        let mut text = page.bold("Counterpart demo") + "\n";
        text.push_str(&page.text("", "The vendors' systems are emulated on this machine. Ctrl-C stops."));
        for sandbox in systems.all() {
            let requests: u64 = sandbox.requests().values().sum();
            text.push_str(&page.text(
                "  ",
                &format!("{} (emulated)  {}  {requests} requests", sandbox.title(), sandbox.url()),
            ));
        }
        text.push_str(&page.text("  ", &format!("Counterpart  {hub_url}")));
        text.push_str(&page.text("", &format!("{} orders placed.", traffic.placed.len())));
        text.push('\n');
        text.push_str(&status::page(hub, &page));
        if self.lines > 0 {
            let _ = write!(err, "\u{1b}[{}A\u{1b}[J", self.lines);
        }
        self.lines = text.lines().count();
        let _ = err.write_all(text.as_bytes());
        let _ = err.flush();
    }
}
