//! VRL's errors in our words: with a place, a path and what to do, and without any value.

use serde_json::Value;
use vrl::compiler::ExpressionError;
use vrl::diagnostic::{Diagnostic as VrlDiagnostic, Label, Note};

use super::screen::CallSite;
use super::{Program, RunError, RunErrorKind, Source};
use crate::diagnostic::{Diagnostic, line_and_column};
use crate::functions::Failure;

/// What is wrong with a program's text.
pub(super) fn compile_time(source: Source<'_>, problem: VrlDiagnostic) -> Diagnostic {
    let primary = problem.labels.iter().find(|label| label.primary).or_else(|| problem.labels.first());
    let mut message = problem.message.clone();
    if let Some(label) =
        primary.filter(|label| !label.message.is_empty() && !message.contains(&label.message))
    {
        message = format!("{message}: {}", label.message);
    }
    let mut expected = None;
    let mut help = Vec::new();
    for label in problem.labels.iter().filter(|label| Some(*label) != primary) {
        let text = label.message.as_str();
        match text.split_once(": ") {
            Some(("received", what)) => message = format!("{message}, got {what}"),
            Some(("expected", what)) => expected = Some(what.to_owned()),
            // After a syntax error the parser names every token there is; beyond a few that helps nobody.
            _ if text.starts_with("expected one of") && text.matches(", ").count() > 6 => {}
            _ => help.push(text.to_owned()),
        }
    }
    help.extend(problem.notes.iter().filter_map(|note| match note {
        Note::Hint(text) | Note::Basic(text) => {
            Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
        }
        Note::Example(text) => Some(format!("example: {text}")),
        _ => None,
    }));
    let mut diagnostic =
        Diagnostic::new(source.file, one_line(&message)).expected(expected.unwrap_or_default());
    if !help.is_empty() {
        diagnostic = diagnostic.help(one_line(&help.join("; ")).replace(":;", ":"));
    }
    match primary {
        Some(label) => diagnostic.at(source.text, label.span.start()),
        None => diagnostic,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why a run stopped.
pub(super) fn run_time(program: &Program, input: &Value, error: ExpressionError) -> RunError {
    let (kind, message, labels, notes) = match error {
        ExpressionError::Abort { span, message } => {
            // The screen lets only plain texts through, so this repeats no datum.
            let message = message.unwrap_or_else(|| "the mapping stopped".to_owned());
            (RunErrorKind::Aborted, message, vec![Label::primary("", span)], Vec::new())
        }
        ExpressionError::Error { message, labels, notes } => (RunErrorKind::Failed, message, labels, notes),
        other => (RunErrorKind::Failed, other.to_string(), Vec::new(), Vec::new()),
    };
    // The innermost call comes first: it is the one that failed.
    let span = labels.first().map(|label| label.span);
    let mut out = program.error(kind, "");
    if let Some(span) = span {
        let (line, column) = line_and_column(program.0.text.as_bytes(), span.start());
        // No program is longer than 256 KiB.
        (out.line, out.column) = (line as u32, column as u32);
    }
    let call = span.and_then(|span| {
        program.0.found.calls.iter().find(|c| c.start == span.start() && c.end == span.end())
    });
    match Failure::of(&notes) {
        Some(failure) => ours(&mut out, failure, call),
        None if out.kind == RunErrorKind::Aborted => out.message = message.into(),
        None => {
            let inner = labels.first().map_or(message.as_str(), |label| label.message.as_str());
            theirs(&mut out, inner, call, input);
        }
    }
    out
}

/// A function of ours failed.
fn ours(out: &mut RunError, failure: Failure, call: Option<&CallSite>) {
    out.message = failure.message().into();
    match failure {
        Failure::Rejected { path, .. } => {
            out.kind = RunErrorKind::Rejected;
            out.path = path.map(Into::into);
        }
        Failure::Missing { map, code } => {
            out.help = Some(format!("add `{code}` to the connection's map `{map}`").into());
            out.kind = RunErrorKind::MissingReference { map: map.into(), code: code.into() };
        }
        Failure::Argument { name, index, .. } => {
            out.path = call.and_then(|call| argument(call, &name, index));
            if let Some(call) = call {
                out.message = format!("{}: {}", call.name, out.message).into();
            }
        }
        Failure::Together { .. } => {
            if let Some(call) = call {
                out.message = format!("{}: {}", call.name, out.message).into();
            }
        }
    }
}

/// The text of an argument, by keyword or position.
fn argument(call: &CallSite, name: &str, index: usize) -> Option<Box<str>> {
    let by_name = call.arguments.iter().find(|(keyword, _)| keyword.as_deref() == Some(name));
    let by_place = || call.arguments.get(index).filter(|(keyword, _)| keyword.is_none());
    by_name.or_else(by_place)?.1.clone().map(Into::into)
}

/// Something of VRL's own failed; its message is repeated only when it speaks of types alone.
fn theirs(out: &mut RunError, message: &str, call: Option<&CallSite>, input: &Value) {
    let types_only = speaks_of_types(message);
    let first = call.and_then(|call| call.arguments.first()?.1.clone());
    out.message = match call {
        Some(call) if types_only => format!("{}: {message}", call.name),
        Some(call) => {
            let got =
                first.as_deref().and_then(|path| type_at(input, path)).map(|got| format!(", got {got}"));
            format!("`{}` cannot take what it was given{}", call.name, got.unwrap_or_default())
        }
        None if types_only => message.to_owned(),
        None => "an operator cannot take what it was given".to_owned(),
    }
    .into();
    out.path = first.map(Into::into);
    out.help = Some("handle it with `??`, or check the datum first".into());
}

/// The type of what stands at a path of the input, such as `.customer.phone`; nothing for other expressions.
fn type_at(input: &Value, path: &str) -> Option<&'static str> {
    let path = vrl::path::parse_target_path(path.strip_prefix('.').map(|_| path)?).ok()?;
    Some(match crate::value::at(input, &path.path) {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    })
}

/// Whether a message of VRL's is made of words about types only, so that no value can be in it.
fn speaks_of_types(message: &str) -> bool {
    const WORDS: &[&str] = &[
        "a",
        "add",
        "an",
        "and",
        "any",
        "apply",
        "array",
        "boolean",
        "by",
        "calculate",
        "can't",
        "coerce",
        "compare",
        "convert",
        "divide",
        "expected",
        "exact",
        "float",
        "from",
        "got",
        "integer",
        "into",
        "is",
        "merge",
        "multiply",
        "must",
        "nan",
        "not",
        "null",
        "object",
        "of",
        "one",
        "operation",
        "or",
        "out",
        "produce",
        "range",
        "regex",
        "remainder",
        "string",
        "subtract",
        "the",
        "timestamp",
        "to",
        "type",
        "types",
        "undefined",
        "would",
        "zero",
    ];
    let mut words =
        message.split(|c: char| !(c.is_alphabetic() || c == '\'')).filter(|word| !word.is_empty());
    !message.contains(|c: char| c.is_numeric())
        && words.all(|word| WORDS.contains(&word.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::speaks_of_types;

    #[test]
    fn a_message_with_a_value_in_it_is_not_repeated() {
        assert!(speaks_of_types("expected string, got null"));
        assert!(speaks_of_types("can't add type integer to string"));
        assert!(!speaks_of_types("Invalid integer \"Ada\": invalid digit found in string"));
        assert!(!speaks_of_types("expected string, got Ada"));
        assert!(!speaks_of_types("expected 5"));
    }
}
