//! The writer: decimal strings become number tokens at the declared paths.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{WriteError, is_safe};

/// Where numbers are wanted, as a tree of path segments.
#[derive(Default)]
struct Places {
    number: bool,
    each: Option<Box<Places>>,
    fields: BTreeMap<String, Places>,
}

pub(super) fn write(value: &Value, number_paths: &[&str]) -> Result<Vec<u8>, WriteError> {
    let mut places = Places::default();
    for path in number_paths {
        places.add(path)?;
    }
    let mut out = Vec::with_capacity(256);
    put(value, Some(&places), &mut Path::default(), &mut out)?;
    Ok(out)
}

impl Places {
    fn add(&mut self, path: &str) -> Result<(), WriteError> {
        let fault =
            || WriteError { path: path.to_owned(), message: "not a path such as `lines[].price`".into() };
        let mut place = self;
        for segment in path.split('.') {
            let name = segment.trim_end_matches("[]");
            // Only the first segment may be without a name: `[].price` in a list.
            let lists = (segment.len() - name.len()) / 2;
            if (name.is_empty() && (lists == 0 || !path.starts_with(segment))) || name.contains(['[', ']']) {
                return Err(fault());
            }
            if !name.is_empty() {
                place = place.fields.entry(name.to_owned()).or_default();
            }
            for _ in 0..lists {
                place = place.each.get_or_insert_default();
            }
        }
        place.number = true;
        Ok(())
    }
}

/// Where the writer is, for messages.
#[derive(Default)]
struct Path(String);

impl Path {
    fn within<T>(&mut self, segment: &str, run: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        if !segment.starts_with('[') && length > 0 {
            self.0.push('.');
        }
        self.0.push_str(segment);
        let result = run(self);
        self.0.truncate(length);
        result
    }

    fn fault(&self, message: &str) -> WriteError {
        WriteError {
            path: if self.0.is_empty() { "body".into() } else { self.0.clone() },
            message: message.into(),
        }
    }
}

fn put(value: &Value, places: Option<&Places>, path: &mut Path, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let number = places.is_some_and(|p| p.number);
    match value {
        Value::Array(_) | Value::Object(_) | Value::Bool(_) if number => {
            return Err(path.fault("expected a decimal string to write as a number"));
        }
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) if n.as_i64().is_some_and(is_safe) => {
            out.extend_from_slice(n.to_string().as_bytes())
        }
        Value::Number(_) => {
            return Err(
                path.fault("a number that is not a safe integer may have lost digits: use a decimal string")
            );
        }
        Value::String(text) if number => {
            let token = number_token(text).ok_or_else(|| path.fault("the text is no decimal number"))?;
            out.extend_from_slice(token.as_bytes());
        }
        Value::String(text) => put_string(text, out),
        Value::Array(entries) => {
            let places = places.and_then(|p| p.each.as_deref());
            out.push(b'[');
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                match places {
                    Some(_) => path.within(&format!("[{index}]"), |path| put(entry, places, path, out))?,
                    None => path.within("[]", |path| put(entry, None, path, out))?,
                }
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            out.push(b'{');
            for (index, (key, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_string(key, out);
                out.push(b':');
                let places = places.and_then(|p| p.fields.get(key));
                path.within(key, |path| put(field, places, path, out))?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1F)) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

/// The text itself, when it is a JSON number token; `.5`, `+1` and `007` are not, and are mended where nothing is lost.
fn number_token(text: &str) -> Option<String> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let empty = whole.is_empty() && fraction.is_none_or(str::is_empty);
    if empty || !digits(whole) || !fraction.is_none_or(digits) {
        return None;
    }
    let trimmed = whole.trim_start_matches('0');
    let whole = if trimmed.is_empty() { "0" } else { trimmed };
    Some(match fraction.filter(|fraction| !fraction.is_empty()) {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::super::{read_json, write_json};

    #[test]
    fn decimal_strings_become_number_tokens_where_declared() {
        let check = |value: Value, paths: &[&str], expect: &str| {
            assert_eq!(String::from_utf8(write_json(&value, paths).unwrap()).unwrap(), expect);
        };
        check(json!({ "a": "1.50", "b": "1.50" }), &["a"], r#"{"a":1.50,"b":"1.50"}"#);
        let lines = json!({ "lines": [{ "price": "0.10", "sku": "1" }, { "price": null }, {}] });
        check(lines, &["lines[].price"], r#"{"lines":[{"price":0.10,"sku":"1"},{"price":null},{}]}"#);
        check(json!([{ "qty": "3" }]), &["[].qty"], r#"[{"qty":3}]"#);
        check(json!({ "m": [["1", "2.0"]] }), &["m[][]"], r#"{"m":[[1,2.0]]}"#);
        check(
            json!({ "a": { "b": "123456789012345678901234567890.10" } }),
            &["a.b"],
            r#"{"a":{"b":123456789012345678901234567890.10}}"#,
        );
        check(
            json!({ "a": ".5", "b": "+07", "c": "-0.0", "d": 5 }),
            &["a", "b", "c", "d"],
            r#"{"a":0.5,"b":7,"c":-0.0,"d":5}"#,
        );
        check(json!("x\"\\\n\u{1}ü"), &[], r#""x\"\\\n\u0001ü""#);
        check(json!({ "a": 1 }), &["absent[].too"], r#"{"a":1}"#);
    }

    #[test]
    fn what_is_no_number_is_told_with_its_path_and_without_its_value() {
        let check = |value: Value, paths: &[&str], expect: &str| {
            assert_eq!(write_json(&value, paths).unwrap_err().to_string(), expect);
        };
        check(
            json!({ "lines": [{ "p": "1" }, { "p": "Ada" }] }),
            &["lines[].p"],
            "lines[1].p: the text is no decimal number",
        );
        check(json!({ "p": "1e5" }), &["p"], "p: the text is no decimal number");
        check(json!({ "p": "" }), &["p"], "p: the text is no decimal number");
        check(json!({ "p": {} }), &["p"], "p: expected a decimal string to write as a number");
        check(
            json!({ "p": 1.5 }),
            &["p"],
            "p: a number that is not a safe integer may have lost digits: use a decimal string",
        );
        check(json!({}), &["a..b"], "a..b: not a path such as `lines[].price`");
    }

    #[test]
    fn what_is_written_is_read_back_digit_for_digit() {
        let value =
            json!({ "lines": [{ "price": "12.3400" }, { "price": "9007199254740993" }], "n": "0.001" });
        let body = write_json(&value, &["lines[].price", "n"]).unwrap();
        assert_eq!(read_json(&body).unwrap(), value);
    }
}
