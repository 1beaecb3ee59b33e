//! The parts that pages for people are made of: headings, tables, wrapped text, states, times.
//!
//! Never: does I/O; the width, the colours and the present moment are given.

use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table};
use jiff::{SignedDuration, Timestamp};

/// Narrowest last column, in characters: below it, rows are stacked instead.
const LAST_COLUMN: u16 = 22;

/// How a page is made.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Columns of the terminal.
    pub width: u16,
    /// Whether colours are used.
    pub colour: bool,
    /// The present moment, for "3 min ago".
    pub now: Timestamp,
}

/// How a state is to be read at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    Waiting,
    Bad,
    Plain,
}

/// Every state that a view can hold and how it is to be read.
const MOODS: &[(&str, Mood)] = &[
    ("ok", Mood::Good),
    ("live", Mood::Good),
    ("done", Mood::Good),
    ("delivered", Mood::Good),
    ("ready", Mood::Waiting),
    ("blocked", Mood::Waiting),
    ("unknown", Mood::Waiting),
    ("pending", Mood::Waiting),
    ("shadow", Mood::Waiting),
    ("paused", Mood::Waiting),
    ("warning", Mood::Waiting),
    ("throttled", Mood::Waiting),
    ("transient", Mood::Waiting),
    ("in_review", Mood::Bad),
    ("failed", Mood::Bad),
    ("rejected", Mood::Bad),
    ("unauthorised", Mood::Bad),
    ("down", Mood::Bad),
];

impl Page {
    /// A heading with an empty line before it.
    pub fn heading(&self, text: &str) -> String {
        format!("\n{}\n", self.bold(text))
    }

    /// Text in bold, where there are colours.
    pub fn bold(&self, text: &str) -> String {
        if self.colour { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A state as shape and word: `✓ delivered`, `… blocked`, `! in review`.
    pub fn state(&self, state: &str) -> String {
        let mark = match mood(state) {
            Mood::Good => "✓ ",
            Mood::Waiting => "… ",
            Mood::Bad => "! ",
            Mood::Plain => "",
        };
        format!("{mark}{}", words(state))
    }

    /// Text wrapped to the width, every line indented; the first may begin with a mark that hangs in the margin.
    pub fn text(&self, mark: &str, text: &str) -> String {
        let indent = mark.chars().count();
        let room = usize::from(self.width).saturating_sub(indent).max(20);
        let mut out = String::new();
        for (number, line) in wrap(text, room).iter().enumerate() {
            let lead = if number == 0 { mark.to_owned() } else { " ".repeat(indent) };
            let _ = writeln!(out, "{}", format!("{lead}{line}").trim_end());
        }
        out
    }

    /// A table. Only the last column wraps; where that leaves too little room, rows are stacked.
    ///
    /// Columns whose heading begins with `#` hold numbers: the `#` is left out and they are aligned to the right.
    pub fn table(&self, header: &[&str], rows: &[Vec<String>]) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(self.width);
        if self.colour {
            table.enforce_styling()
        } else {
            table.force_no_tty()
        };
        let names: Vec<&str> = header.iter().map(|h| h.trim_start_matches('#')).collect();
        table.set_header(names.iter().map(|n| self.dim(n)));
        for row in rows {
            table.add_row(row.iter().map(|text| self.cell(text)));
        }
        for (index, name) in header.iter().enumerate() {
            let Some(column) = table.column_mut(index) else { continue };
            column.set_padding((if index == 0 { 2 } else { 0 }, 2));
            if name.starts_with('#') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let widths = table.column_max_content_widths();
        let (last, fixed) = widths
            .split_last()
            .map_or((0, 0), |(last, rest)| (*last, rest.iter().map(|w| w + 2).sum::<u16>() + 4));
        if fixed + last.min(LAST_COLUMN) > self.width {
            return self.stacked(&names, rows);
        }
        for index in 0..widths.len().saturating_sub(1) {
            if let Some(column) = table.column_mut(index) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        let mut out = String::new();
        for line in table.lines() {
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }

    /// One block a row: the first column as its title, the others as lines below.
    fn stacked(&self, names: &[&str], rows: &[Vec<String>]) -> String {
        let longest = names.iter().skip(1).map(|n| n.chars().count()).max().unwrap_or(0);
        let mut out = String::new();
        for row in rows {
            let mut cells = names.iter().zip(row);
            if let Some((_, title)) = cells.next() {
                out.push_str(&self.text("  ", title));
            }
            for (name, text) in cells.filter(|(_, text)| !text.is_empty()) {
                out.push_str(&self.text(&format!("    {name:longest$}  "), text));
            }
        }
        out
    }

    fn cell(&self, text: &str) -> Cell {
        let cell = Cell::new(text);
        let first = text.chars().next();
        match first {
            Some('✓') if self.colour => cell.fg(Color::Green),
            Some('!') if self.colour => cell.fg(Color::Red),
            Some('…') if self.colour => cell.fg(Color::Yellow),
            _ => cell,
        }
    }

    fn dim(&self, text: &str) -> Cell {
        let cell = Cell::new(text);
        if self.colour { cell.add_attribute(Attribute::Dim) } else { cell }
    }

    /// How long ago: `12 s ago`, `3 min ago`, `2 h ago`, `5 d ago`.
    pub fn ago(&self, at: Timestamp) -> String {
        let past = self.now.duration_since(at);
        if past < SignedDuration::from_secs(1) { "just now".into() } else { format!("{} ago", length(past)) }
    }
}

fn mood(state: &str) -> Mood {
    MOODS.iter().find(|m| m.0 == state).map_or(Mood::Plain, |m| m.1)
}

/// Names in the database that say little to somebody new, and what they mean.
const MEANINGS: &[(&str, &str)] = &[
    ("upsert", "create or update"),
    ("transient", "failed, tried again later"),
    ("throttled", "was asked to slow down"),
    ("unauthorised", "credentials refused"),
    ("rejected", "refused"),
    ("unknown", "outcome unknown"),
];

/// A name in the database as words: `in_review` is `in review`.
pub fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// An action or the result of an attempt, for somebody new.
pub fn meaning(name: &str) -> String {
    MEANINGS.iter().find(|m| m.0 == name).map_or_else(|| words(name), |m| m.1.to_owned())
}

/// With a capital letter first.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A length of time in its largest fitting unit.
pub fn length(duration: SignedDuration) -> String {
    let millis = duration.as_millis();
    match millis {
        i128::MIN..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        10_000..120_000 => format!("{} s", millis / 1_000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", millis / 86_400_000),
    }
}

/// A date and time in UTC, to the second.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%F %H:%M:%S").to_string()
}

/// Counts by name in one line, largest first: `12 delivered, 1 in review`.
pub fn counts(counts: &std::collections::BTreeMap<String, u64>) -> String {
    let mut list: Vec<_> = counts.iter().filter(|(_, n)| **n > 0).collect();
    list.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let list: Vec<_> = list.into_iter().map(|(name, n)| format!("{n} {}", words(name))).collect();
    if list.is_empty() { "none".into() } else { list.join(", ") }
}

/// `1 thing`, `2 things`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Breaks at white space; a word longer than the room is broken itself.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let mut rest: Vec<char> = word.chars().collect();
            let used = line.chars().count();
            if used > 0 && used + 1 + rest.len() > room {
                lines.push(std::mem::take(&mut line));
            }
            while rest.len() > room {
                let tail = rest.split_off(room);
                lines.push(rest.into_iter().collect());
                rest = tail;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(rest);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn page(width: u16) -> Page {
        Page { width, colour: false, now: "2026-11-25T08:00:00Z".parse().unwrap() }
    }

    #[test]
    fn lengths_of_time() {
        for (millis, expect) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_940, "1.9 s"),
            (59_999, "59 s"),
            (180_000, "3 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(length(SignedDuration::from_millis(millis)), expect);
        }
    }

    #[test]
    fn text_is_wrapped_under_its_mark() {
        assert_eq!(page(24).text("- ", "one two three four five six"), "- one two three four\n  five six\n");
        assert_eq!(
            page(24).text("", "0198b2c4-5d6e-7f80-9a1b-2c3d4e5f6071"),
            "0198b2c4-5d6e-7f80-9a1b-\n2c3d4e5f6071\n"
        );
    }

    #[test]
    fn a_table_wraps_its_last_column_and_is_stacked_where_that_is_too_narrow() {
        let rows = [vec![
            "shop".to_owned(),
            "1001".to_owned(),
            "it was refused because the postal code is missing".to_owned(),
        ]];
        let header = ["System", "#Number", "Message"];
        insta::assert_snapshot!(page(60).table(&header, &rows), @r"
          System  Number  Message
          shop      1001  it was refused because the postal code
                          is missing
        ");
        insta::assert_snapshot!(page(30).table(&header, &rows), @r"
          shop
            Number   1001
            Message  it was refused
                     because the postal
                     code is missing
        ");
    }

    #[test]
    fn states_are_shape_and_word() {
        assert_eq!(page(80).state("in_review"), "! in review");
        assert_eq!(page(80).state("superseded"), "superseded");
    }
}
