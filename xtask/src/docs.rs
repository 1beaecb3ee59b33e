//! The pages under docs/reference, made from the code: what is said about a field, a key or a command is said where it is
//! declared, and nowhere else.
//!
//! Never: holds a text about one of them; changes a page that is right.

mod commands;
mod configuration;
mod connectors;
mod markdown;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{root, say};

/// Writes the pages under docs/reference, which are made from the code.
#[derive(clap::Args)]
pub struct Args {
    /// Writes nothing, and fails when a page is not what the code says.
    #[arg(long)]
    pub check: bool,
}

/// Said at the top of each page, for whoever opens it to change it.
const NOTE: &str =
    "<!-- Made from the code by `cargo xtask docs`. A change here is lost; change the code. -->\n\n";

/// The command that writes the pages.
const WRITE: &str = "cargo xtask docs";

/// Writes the pages that differ, or fails with the first difference of each.
pub fn run(args: &Args) -> Result<()> {
    let folder = root().join("docs/reference");
    let mut wrong = Vec::new();
    for (name, text) in pages()? {
        let shown = format!("docs/reference/{name}");
        let path = folder.join(name);
        let text = format!("{NOTE}{text}");
        // A page that is not there is a page that differs.
        let there = fs::read_to_string(&path).unwrap_or_default();
        if there == text {
            continue;
        }
        if args.check {
            wrong.push(format!("{shown}: {}", difference(&there, &text)));
        } else {
            fs::create_dir_all(&folder)?;
            fs::write(&path, text).with_context(|| format!("cannot write {shown}"))?;
            say(format!("wrote {shown}"));
        }
    }
    if wrong.is_empty() {
        say("docs: every generated page is what the code says");
        return Ok(());
    }
    bail!("generated pages are not what the code says; `{WRITE}` writes them:\n{}", wrong.join("\n"))
}

fn pages() -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("model.md", counterpart_model::schema::reference_page()),
        ("configuration.md", configuration::page(&counterpart_hub::config::Config::schema())),
        ("connectors.md", connectors::page()?),
        ("cli.md", commands::page()?),
    ])
}

/// Where two texts part, in one line for each.
fn difference(there: &str, due: &str) -> String {
    if there.is_empty() {
        return "is missing".into();
    }
    let same = there.lines().zip(due.lines()).take_while(|(a, b)| a == b).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    format!("line {} is\n    {}\n  and should be\n    {}", same + 1, line(there), line(due))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_is_told_by_its_first_line() {
        assert_eq!(difference("", "a\n"), "is missing");
        assert_eq!(difference("a\nb\n", "a\nc\n"), "line 2 is\n    b\n  and should be\n    c");
        assert_eq!(difference("a\n", "a\nb\n"), "line 2 is\n    (the end)\n  and should be\n    b");
    }
}
