//! Answers on standard output: rendered for people, or one JSON document.
//!
//! Each module under here turns a view into text and does nothing else, so that pages can be tested on made-up views.

pub mod config;
pub mod explain;
pub mod limits;
pub mod lists;
pub mod reviews;
pub mod status;

use std::io::{IsTerminal, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::errors::Failure;
use crate::page::Page;

/// Where answers go, and in which form.
#[derive(Debug)]
pub struct Out {
    json: bool,
    plain: bool,
}

impl Out {
    /// With `--json` and `--no-color` as given.
    pub fn new(json: bool, no_color: bool) -> Self {
        let plain = no_color || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self { json, plain }
    }

    /// Whether the answer is to be JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Writes an answer: the value as JSON, or the page made of it.
    pub fn answer<T: Serialize>(&self, value: &T, page: impl FnOnce(&Page) -> String) {
        if !self.json {
            self.write(&page(&self.page()));
        } else if let Ok(text) = serde_json::to_string_pretty(value) {
            self.write(&format!("{text}\n"));
        }
    }

    /// The page that standard output is.
    fn page(&self) -> Page {
        let stdout = std::io::stdout();
        let columns = || std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
        let width = comfy_table::Table::new().width().or_else(columns).unwrap_or(80).clamp(40, 140);
        Page { width, colour: !self.plain && stdout.is_terminal(), now: Timestamp::now() }
    }

    /// The page that standard error is, for what is shown while something runs.
    pub fn screen(&self) -> Page {
        Page { colour: !self.plain && std::io::stderr().is_terminal(), ..self.page() }
    }

    fn write(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        // A reader that has gone away (`| head`) has what it wants.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    /// Writes a failure to standard error.
    pub fn failure(&self, failure: &Failure) {
        let mut stderr = std::io::stderr().lock();
        let text = if self.json {
            serde_json::to_string(failure).unwrap_or_default() + "\n"
        } else {
            failure_text(failure, !self.plain && stderr.is_terminal())
        };
        let _ = stderr.write_all(text.as_bytes());
    }
}

fn failure_text(failure: &Failure, colour: bool) -> String {
    let label = |text: &str, code: &str| {
        if colour { format!("\u{1b}[1;{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let mut text = format!("{} {}\n", label("error:", "31"), failure.what);
    for problem in &failure.problems {
        text.push_str(&format!("  - {}\n", problem.replace('\n', "\n    ")));
    }
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("{} {hint}\n", label("hint:", "36")));
    }
    text
}
