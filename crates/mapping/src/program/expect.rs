//! Holds a program's result against what it must give: its static type, as far as VRL knows it, and each value.

use serde_json::Value;
use vrl::compiler::Program;
use vrl::value::Kind;
use vrl::value::kind::Collection;
use vrl::value::kind::Field;

use super::{Expect, Source};
use crate::changes::{CHANGE_KEYS, REQUIRED_KEYS};
use crate::diagnostic::Diagnostic;

/// Keys that a request, or what stands in its place, may have.
const REQUEST_KEYS: &[&str] = &[
    "method",
    "path",
    "query",
    "headers",
    "body",
    "form",
    "raw",
    "variables",
    "params",
    "numbers",
    "missing_reference",
    "reject",
];

/// Keys of which a request must have one.
const REQUEST_ROOTS: &[&str] = &["path", "query", "method", "missing_reference", "reject"];

impl Expect {
    /// In words.
    fn words(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Bool => "true or false",
            Self::Object => "an object",
            Self::Array => "an array",
            Self::Changes => "an object {\"changes\": [...]}",
            Self::Request => "a request (an object) or null",
        }
    }

    fn help(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Bool => Some("compare: `.x == true`, or give a default: `bool(.x) ?? false`"),
            _ => Some("the value of the last line is the result"),
        }
    }
}

/// Checks the type of a program's result.
pub(super) fn check_type(
    source: Source<'_>,
    program: &Program,
    expect: Expect,
) -> Result<(), Vec<Diagnostic>> {
    let result = program.final_type_info().result;
    let kind = result.kind().union(result.returns().clone()).upgrade_undefined();
    let problem = |message: String| Diagnostic::new(source.file, message).expected(expect.words());
    let wanted = match expect {
        Expect::Any => return Ok(()),
        Expect::Bool => Kind::boolean(),
        Expect::Array => Kind::array(Collection::any()),
        Expect::Object | Expect::Changes => Kind::object(Collection::any()),
        Expect::Request => Kind::object(Collection::any()).or_null(),
    };
    if is_unknown(&kind) || kind.is_never() {
        return Ok(());
    }
    if wanted.is_superset(&kind).is_err() {
        let may = if kind.intersects(&wanted) { "may give" } else { "gives" };
        let diagnostic = problem(format!("the program {may} {kind}"));
        return Err(vec![match expect.help() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }]);
    }
    let Some(fields) = kind.as_object() else { return Ok(()) };
    let mut problems = Vec::new();
    match expect {
        Expect::Changes => {
            keys(fields, &["changes"], "", &mut problems);
            if lacks(fields, "changes") {
                problems.push(("".into(), "has no `changes`".into()));
            }
            let changes = kind.at_path(&vrl::path::OwnedValuePath::single_field("changes"));
            if let Some(entries) = changes.as_array().filter(|_| !is_unknown(&changes)) {
                for (index, entry) in entries.known() {
                    change(entry, &format!("changes[{}]", index.to_usize()), &mut problems);
                }
                change(&entries.unknown_kind(), "changes[]", &mut problems);
            } else if !is_unknown(&changes) && !changes.contains_array() && !lacks(fields, "changes") {
                problems.push(("changes".into(), format!("is {changes}, and must be an array")));
            }
        }
        Expect::Request => {
            keys(fields, REQUEST_KEYS, "", &mut problems);
            if REQUEST_ROOTS.iter().all(|key| lacks(fields, key)) {
                problems.push(("".into(), format!("has none of {}", list(REQUEST_ROOTS))));
            }
        }
        _ => {}
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems
        .into_iter()
        .map(|(path, what)| Diagnostic::new(source.file, format!("the result {what}")).path(path))
        .collect())
}

fn change(kind: &Kind, path: &str, problems: &mut Vec<(String, String)>) {
    let Some(fields) = kind.as_object().filter(|_| !is_unknown(kind)) else { return };
    keys(fields, CHANGE_KEYS, path, problems);
    for key in REQUIRED_KEYS.iter().filter(|key| lacks(fields, key)) {
        problems.push((path.to_owned(), format!("has no `{key}`")));
    }
    if lacks(fields, "payload") && lacks(fields, "deleted") {
        problems.push((path.to_owned(), "has no `payload` and is not `deleted`".into()));
    }
}

/// Refuses keys that nothing reads, which are typing errors.
fn keys(fields: &Collection<Field>, known: &[&str], path: &str, problems: &mut Vec<(String, String)>) {
    for (key, kind) in fields.known() {
        if !known.contains(&key.as_str()) && !kind.is_undefined() {
            problems.push((
                path.to_owned(),
                format!("has an unknown key `{}`; there are: {}", key.as_str(), list(known)),
            ));
        }
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Whether a key is certainly not there.
fn lacks(fields: &Collection<Field>, key: &str) -> bool {
    let kind = fields.known().get(&Field::from(key)).cloned();
    kind.unwrap_or_else(|| fields.unknown_kind()).is_undefined()
}

/// Whether VRL knows nothing useful about a type.
fn is_unknown(kind: &Kind) -> bool {
    kind.contains_bytes() && kind.contains_integer() && kind.contains_array() && kind.contains_object()
}

/// Checks a result; `Err` holds what is wrong and what to do.
pub(super) fn check_value(value: &Value, expect: Expect) -> Result<(), (String, Option<&'static str>)> {
    let fits = match expect {
        Expect::Any => true,
        Expect::Bool => value.is_boolean(),
        Expect::Array => value.is_array(),
        Expect::Object | Expect::Changes => value.is_object(),
        Expect::Request => value.is_object() || value.is_null(),
    };
    if fits {
        return Ok(());
    }
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Err((format!("the program gave {got}, expected {}", expect.words()), expect.help()))
}
