//! What the user gives beside the arguments: times, files, standard input, a yes.
//!
//! Never: keeps a secret in anything but [`Redacted`].

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use counterpart_model::redact::Redacted;
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde_json::Value;

use crate::errors::Failure;

/// Largest sample or patch that is read, in bytes.
const LIMIT: u64 = 32 * 1024 * 1024;

/// A time (RFC 3339), or how long before `now`: `2h`, `3d`, `1h 30m`.
///
/// # Errors
/// When it is neither, or lies in the future.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = || {
        Failure::bad_input(format!("`{text}` is not a time"))
            .hint("write a time as 2026-11-25T08:00:00Z, or how long ago as 30m, 2h or 3d")
    };
    let at = match text.parse::<Timestamp>() {
        Ok(at) => at,
        Err(_) => {
            let span: Span = text.parse().map_err(|_| wrong())?;
            let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
            now.checked_sub(length.abs()).map_err(|_| wrong())?
        }
    };
    if at > now {
        return Err(
            Failure::bad_input(format!("`{text}` lies in the future")).hint("name a moment that has passed")
        );
    }
    Ok(at)
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// When it cannot be read, or is too large.
pub fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(LIMIT + 1).read_to_end(&mut content)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut content))
    };
    match read {
        Err(error) => Err(Failure::bad_input(format!("cannot read {}: {error}", path.display()))),
        Ok(_) if content.len() as u64 > LIMIT => {
            Err(Failure::bad_input(format!("{} is larger than {} MiB", path.display(), LIMIT >> 20)))
        }
        Ok(_) => Ok(content),
    }
}

/// A merge patch: a JSON object.
///
/// # Errors
/// With line and column when it is no JSON.
pub fn patch(path: &Path) -> Result<Value, Failure> {
    let content = bytes(path)?;
    let name = path.display();
    let value: Value = serde_json::from_slice(&content)
        .map_err(|e| Failure::bad_input(format!("{name}:{}:{}: not JSON", e.line(), e.column())))?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Failure::bad_input(format!("{name}: a patch is a JSON object"))
        .hint("name only what changes, such as {\"note\": \"call first\"}; null clears a field"))
}

/// A secret from standard input, its last line end cut off.
///
/// # Errors
/// When it is empty or not text.
pub fn secret(name: &str) -> Result<Redacted<String>, Failure> {
    if std::io::stdin().is_terminal() {
        say(&format!("Type the value of `{name}`, then Enter and Ctrl-D. It shows as you type."));
    }
    let text = String::from_utf8(bytes(Path::new("-"))?)
        .map_err(|_| Failure::bad_input("the value is not text (UTF-8)"))?;
    let value = text.strip_suffix('\n').map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t));
    if value.is_empty() {
        return Err(Failure::bad_input("the value is empty")
            .hint(format!("give it on standard input: counterpart secret set {name} < FILE")));
    }
    Ok(Redacted::new(value.to_owned()))
}

/// Asks for a yes; only a terminal can say it.
///
/// # Errors
/// When there is nobody to ask.
pub fn confirm(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::bad_input("nobody can be asked here").hint("give --yes when the plan is as you want it")
        );
    }
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{question} [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Failure::bad_input(format!("cannot read the answer: {e}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// One line for a person, on standard error.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str, expect: Option<&str>) {
        let now = "2026-11-25T08:00:00Z".parse().unwrap();
        let got = since(text, now).ok();
        assert_eq!(got, expect.map(|e| e.parse().unwrap()), "{text}");
    }

    #[test]
    fn a_time_or_how_long_ago() {
        check("2026-11-24T10:00:00+02:00", Some("2026-11-24T08:00:00Z"));
        check("2h", Some("2026-11-25T06:00:00Z"));
        check("3d", Some("2026-11-22T08:00:00Z"));
        check("1h 30m", Some("2026-11-25T06:30:00Z"));
        check("2026-11-26T00:00:00Z", None);
        check("yesterday", None);
        check("3", None);
        check("", None);
    }
}
