//! What a run came to.

use counterpart_sandbox::traffic::count::Counts;
use serde::Serialize;

use crate::page::{Page, plural};

/// Percentiles from an order's placing to its being in the ERP, in milliseconds of real time.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latency {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
}

/// The result of a run, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Seed of the run.
    pub seed: u64,
    /// Whether things were made to go wrong.
    pub faults: bool,
    /// Whether everything came to rest in time.
    pub converged: bool,
    #[serde(flatten)]
    pub counts: Counts,
    /// Things that wait for a person.
    pub in_review: u64,
    /// Changes made to any system after everything was in step.
    pub echo_writes_after_convergence: i64,
    /// Arrivals, changes and deliveries that are neither finished nor waiting.
    pub unaccounted_changes: u64,
    pub latency_ms: Latency,
    /// How long it took, in seconds of real time.
    pub wall_s: f64,
    /// Most memory that the hub held, in MB.
    pub peak_rss_mb: u64,
    /// How often the hub was killed.
    pub kills: u32,
    /// How often each thing went wrong in the emulated systems.
    pub faults_done: std::collections::BTreeMap<String, u64>,
    /// Failures of the emulators themselves: a run with any proves nothing.
    pub emulator_failures: Vec<String>,
}

impl Latency {
    /// Of a list of latencies.
    pub fn of(mut all: Vec<u64>) -> Self {
        all.sort_unstable();
        let at =
            |percent: usize| all.get((all.len() * percent / 100).min(all.len().saturating_sub(1))).copied();
        Self { p50: at(50).unwrap_or(0), p95: at(95).unwrap_or(0), p99: at(99).unwrap_or(0) }
    }
}

impl Outcome {
    /// Whether everything is as it must be.
    pub fn is_right(&self) -> bool {
        let c = &self.counts;
        self.converged
            && c.lost + c.duplicated + c.totals_mismatched + c.stock_mismatched == 0
            && self.echo_writes_after_convergence == 0
            && self.unaccounted_changes == 0
            && self.emulator_failures.is_empty()
    }

    /// For people.
    pub fn page(&self, page: &Page) -> String {
        let c = &self.counts;
        let mut out = format!("{}\n", page.bold("The demo is over"));
        let rows = [
            ("Orders placed", c.orders_placed.to_string()),
            ("in the ERP", format!("{} of {}", c.orders_in_erp, c.orders_expected_in_erp)),
            ("in the CRM", format!("{} of {}", c.orders_in_crm, c.orders_expected_in_crm)),
            ("Buyers in the CRM", c.customers_in_crm.to_string()),
            ("Shipments in the store", c.shipments_in_store.to_string()),
            ("Lost", c.lost.to_string()),
            ("Twice", c.duplicated.to_string()),
            ("Totals that differ", c.totals_mismatched.to_string()),
            ("Stock that differs", c.stock_mismatched.to_string()),
            ("Echoes", self.echo_writes_after_convergence.to_string()),
            ("Not accounted for", self.unaccounted_changes.to_string()),
            ("Wait for a person", self.in_review.to_string()),
            (
                "Order to ERP",
                format!("median {} ms, 99 of 100 under {} ms", self.latency_ms.p50, self.latency_ms.p99),
            ),
            ("Took", format!("{:.0} s, at most {} MB", self.wall_s, self.peak_rss_mb)),
        ];
        for (name, value) in rows {
            out.push_str(&page.text(&format!("  {name:24}"), &value));
        }
        for problem in &c.problems {
            out.push_str(&page.text("! ", problem));
        }
        for failure in &self.emulator_failures {
            out.push_str(&page.text("! ", &format!("an emulator failed: {failure}")));
        }
        if !self.converged {
            out.push_str(&page.text("! ", "Not everything came to rest in time."));
        }
        let wrong = usize::from(!self.is_right());
        out.push_str(&match wrong {
            0 => page.text("✓ ", "Nothing lost, nothing twice, every amount as stated."),
            _ => {
                page.text("! ", &format!("{} wrong; see above.", plural(1, "thing or more is", "things are")))
            }
        });
        out
    }
}
