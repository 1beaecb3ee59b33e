//! Runs scenarios one after the other and says how each ended.

use std::time::Instant;

use anyhow::{Result, bail};

use super::Options;
use super::lab::Lab;
use super::scenarios::Scenario;
use crate::say;

/// How the scenarios ended.
#[derive(Default)]
pub struct Report {
    passed: Vec<&'static str>,
    failed: Vec<(&'static str, String)>,
}

impl Report {
    /// Runs one scenario; a failure is kept, and the lab put in order for the next.
    pub fn run(&mut self, scenario: &Scenario, lab: &mut Lab, options: Options) {
        say(format!("{}: {}", scenario.name, scenario.about));
        let began = Instant::now();
        let result = lab.orderly().and_then(|()| (scenario.run)(lab, options)).and_then(|()| lab.alive());
        let seconds = began.elapsed().as_secs_f32();
        match result {
            Ok(()) => {
                self.passed.push(scenario.name);
                line(format!("PASS {:<24} {seconds:6.1} s", scenario.name));
            }
            Err(error) => {
                let error = format!("{error:#}");
                line(format!("FAIL {:<24} {seconds:6.1} s  {error}", scenario.name));
                lab.show_last_words();
                self.failed.push((scenario.name, error));
            }
        }
    }

    /// Sums up, and fails when a scenario failed.
    pub fn finish(self) -> Result<()> {
        line(format!("{} passed, {} failed", self.passed.len(), self.failed.len()));
        if self.failed.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self.failed.iter().map(|(name, _)| *name).collect();
        bail!("real systems: {} failed: {}", names.len(), names.join(", "))
    }
}

/// Lists scenarios.
pub fn list(table: &[Scenario]) {
    for scenario in table {
        line(format!("{:<24} {}", scenario.name, scenario.about));
    }
}

#[allow(clippy::print_stdout)]
fn line(text: impl std::fmt::Display) {
    println!("{text}");
}
