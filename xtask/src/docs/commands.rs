//! The command-line reference: the help of every command of the binary, as it prints it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::bench::server;

/// Columns that the help is wrapped at, whatever the width of the terminal that this runs in.
const WIDTH: &str = "90";

/// Heading of the options that every command has; only the first page tells them.
const COMMON: &str = "Options for every command:";

/// The page, from the debug build of the binary.
pub fn page() -> Result<String> {
    let program = server::build(&[])?;
    let mut page = String::from("# Commands\n");
    add(&program, &[], &mut page)?;
    Ok(page)
}

fn add(program: &Path, path: &[String], page: &mut String) -> Result<()> {
    let help = help(program, path)?;
    let name = ["counterpart".to_owned()].iter().chain(path).cloned().collect::<Vec<_>>().join(" ");
    page.push_str(&section(&name, &help, path.is_empty()));
    for command in commands(&help) {
        let mut path = path.to_vec();
        path.push(command);
        add(program, &path, page)?;
    }
    Ok(())
}

fn help(program: &Path, path: &[String]) -> Result<String> {
    // No terminal anywhere, so that its width is not asked for.
    let output = Command::new(program)
        .args(path)
        .arg("--help")
        .env("COLUMNS", WIDTH)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        bail!("`counterpart {} --help` failed: {}", path.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Names of the commands that a help page lists.
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  "))
        // What goes on in the next line is indented further.
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

/// A help page as a section: its words as text, the rest as it is printed.
fn section(name: &str, help: &str, with_common: bool) -> String {
    let (words, rest) = help.split_once("Usage:").unwrap_or(("", help));
    let blocks: Vec<Vec<&str>> = blocks(rest)
        .into_iter()
        .filter(|block| with_common || block.first() != Some(&COMMON))
        .map(without_help_option)
        .filter(|block| block.len() > 1 || !block.first().is_some_and(|line| line.ends_with(':')))
        .collect();
    let rest: Vec<String> = blocks.iter().map(|block| block.join("\n")).collect();
    let rest = format!("Usage:{}", rest.join("\n\n"));
    // A help text of one sentence is printed without its full stop.
    let stop = if words.trim_end().ends_with(char::is_alphanumeric) { "." } else { "" };
    format!("\n## {name}\n\n{}{stop}\n\n```text\n{}\n```\n", words.trim(), rest.trim())
}

/// Parts of a help page: a part begins with a line that is not indented.
fn blocks(text: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut after_blank = true;
    for line in text.lines().map(str::trim_end) {
        let begins = after_blank && !line.is_empty() && !line.starts_with(' ');
        if begins || blocks.is_empty() {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
        after_blank = line.is_empty();
    }
    for block in &mut blocks {
        while block.last().is_some_and(|line| line.is_empty()) {
            block.pop();
        }
    }
    blocks
}

/// A block without the option that prints this very page.
fn without_help_option(block: Vec<&str>) -> Vec<&str> {
    let mut kept: Vec<&str> = Vec::new();
    let mut leaving_out = false;
    for line in block {
        let option = line.trim_start().starts_with('-') && line.starts_with(' ');
        if option {
            leaving_out = line.trim_start().starts_with("-h, --help");
        }
        if !leaving_out {
            kept.push(line);
        }
    }
    while kept.last().is_some_and(|line| line.is_empty()) {
        kept.pop();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
Shows what waits.

Usage: counterpart review [OPTIONS] <COMMAND>

Commands:
  list     Lists what waits,
           newest first
  discard  Throws away

Options:
      --all
          Shows closed ones too

  -h, --help
          Print help

Options for every command:
      --json
          Writes JSON

Example: counterpart review list
";

    #[test]
    fn the_commands_are_found() {
        assert_eq!(commands(HELP), ["list", "discard"]);
        assert!(commands("Usage: counterpart version\n").is_empty());
    }

    #[test]
    fn a_section_says_what_is_its_own() {
        let text = section("counterpart review", HELP, false);
        assert!(
            text.starts_with("\n## counterpart review\n\nShows what waits.\n\n```text\nUsage: "),
            "{text}"
        );
        assert!(text.ends_with("Shows closed ones too\n\nExample: counterpart review list\n```\n"), "{text}");
        assert!(!text.contains("--help") && !text.contains("--json"), "{text}");
    }

    #[test]
    fn options_that_are_only_help_are_left_out() {
        let text =
            section("x", "Does it\n\nUsage: x\n\nOptions:\n  -h, --help\n          Print help\n", false);
        assert_eq!(text, "\n## x\n\nDoes it.\n\n```text\nUsage: x\n```\n");
    }
}
