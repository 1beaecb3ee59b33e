//! Small pieces of Markdown that more than one page is made of.

use std::fmt::Write;

/// A table; nothing when it has no rows. Cells may hold line breaks and bars.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut out = format!("\n| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| one_line(cell).replace('|', "\\|")).collect();
        // A text is written to, and that cannot fail.
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

/// A text without line breaks.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text as code.
pub fn code(text: &str) -> String {
    format!("`{text}`")
}

/// `a`, `b` and `c`.
pub fn codes<T: AsRef<str>>(all: &[T]) -> String {
    all.iter().map(|one| code(one.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Seconds as people say them.
pub fn seconds(seconds: u64) -> String {
    match seconds {
        s if s > 0 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s > 0 && s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_in_its_row() {
        let text = table(&["a", "b"], &[vec!["x | y".into(), "one\ntwo".into()]]);
        assert_eq!(text, "\n| a | b |\n|---|---|\n| x \\| y | one two |\n");
        assert_eq!(table(&["a"], &[]), "");
    }

    #[test]
    fn seconds_in_the_largest_whole_unit() {
        for (given, expect) in [(0, "0 s"), (45, "45 s"), (60, "1 min"), (90, "90 s"), (21600, "6 h")] {
            assert_eq!(seconds(given), expect);
        }
    }
}
