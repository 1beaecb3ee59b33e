//! The lossless reader: one pass over the bytes.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{MAX_DEPTH, ReadError, is_safe};
use crate::diagnostic::line_and_column;

/// Digits that a number may have once its exponent is resolved: more than any 64-bit float, far less than an attack.
const MAX_DIGITS: usize = 400;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// What is wrong, and the byte where.
struct Fault(usize, Cow<'static, str>);

type Result<T> = std::result::Result<T, Fault>;

pub(super) fn read(body: &[u8]) -> std::result::Result<Value, ReadError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    parse(body).map_err(|Fault(offset, message)| {
        let (line, column) = line_and_column(body, offset);
        ReadError { line, column, message: message.into_owned() }
    })
}

fn parse(body: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(body).map_err(|e| {
        Fault(e.valid_up_to(), "not UTF-8: the body is in another encoding or damaged".into())
    })?;
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.space();
    if reader.at == text.len() {
        return Err(Fault(reader.at, "the body is empty, expected JSON".into()));
    }
    let value = reader.value()?;
    reader.space();
    if reader.at < text.len() { reader.fault("something follows the JSON value") } else { Ok(value) }
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn fault<T>(&self, message: &'static str) -> Result<T> {
        Err(Fault(
            self.at,
            if self.at >= self.text.len() { "the body ends too early".into() } else { message.into() },
        ))
    }

    fn value(&mut self) -> Result<Value> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.fault("expected a value"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value> {
        if !self.text[self.at..].starts_with(word) {
            return self.fault("expected a value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value>) -> Result<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault(self.at, format!("nested deeper than {MAX_DEPTH} levels").into()));
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value> {
        let mut entries = Vec::new();
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(entries));
        }
        loop {
            self.space();
            entries.push(self.value()?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(entries));
                }
                _ => return self.fault("expected `,` or `]`"),
            }
        }
    }

    fn object(&mut self) -> Result<Value> {
        let mut fields = Map::new();
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(fields));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return self.fault("expected a key in double quotes");
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return self.fault("expected `:`");
            }
            self.at += 1;
            self.space();
            if fields.contains_key(&key) {
                return Err(Fault(start, doubled(&key).into()));
            }
            let value = self.value()?;
            fields.insert(key, value);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(fields));
                }
                _ => return self.fault("expected `,` or `}`"),
            }
        }
    }

    fn string(&mut self) -> Result<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let Some(plain) = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1F)) else {
                self.at = self.text.len();
                return self.fault("expected `\"`");
            };
            // The three kinds of stop are ASCII, so both ends are character boundaries.
            let piece = &self.text[self.at..self.at + plain];
            self.at += plain;
            match rest[plain] {
                b'"' => {
                    self.at += 1;
                    if out.is_empty() {
                        return Ok(piece.to_owned());
                    }
                    out.push_str(piece);
                    return Ok(out);
                }
                b'\\' => {
                    out.push_str(piece);
                    let escaped = self.escape()?;
                    out.push(escaped);
                }
                _ => return self.fault("a control character in a string must be escaped"),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        self.at += 1;
        let char = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.fault("unknown escape"),
        };
        self.at += 1;
        Ok(char)
    }

    fn unicode(&mut self) -> Result<char> {
        let start = self.at;
        let first = self.hex()?;
        let code = if (0xD800..0xDC00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex()?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(Fault(start, "half of a surrogate pair".into()));
            }
            0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| Fault(start, "half of a surrogate pair".into()))
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let Some(digits) = digits.filter(|d| d.iter().all(u8::is_ascii_hexdigit)) else {
            return self.fault("expected four hexadecimal digits");
        };
        let code = digits.iter().fold(0, |code, d| code * 16 + char::from(*d).to_digit(16).unwrap_or(0));
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<Value> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if leading_zero && whole > 1 {
            return Err(Fault(start, "a number must not begin with 0".into()));
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            integer = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let token = &self.text[start..self.at];
        if integer
            && let Ok(number) = token.parse::<i64>()
            && is_safe(number)
        {
            return Ok(Value::from(number));
        }
        let too_long = || Fault(start, format!("a number of more than {MAX_DIGITS} digits").into());
        decimal_text(token).map(Value::String).ok_or_else(too_long)
    }

    fn digits(&mut self) -> Result<usize> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return self.fault("expected a digit");
        }
        self.at += count;
        Ok(count)
    }
}

/// Decimal text of a number token: digits kept, exponent resolved, no leading zeros, no negative zero.
pub(super) fn decimal_text(token: &str) -> Option<String> {
    let (negative, unsigned) = token.strip_prefix('-').map_or((false, token), |rest| (true, rest));
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let zero = digits.bytes().all(|b| b == b'0');
    // An exponent that is no i32 is beyond any limit, unless there is nothing to move.
    let exponent: i32 = match exponent.map(str::parse) {
        None => 0,
        Some(Ok(exponent)) => exponent,
        Some(Err(_)) if zero => 0,
        Some(Err(_)) => return None,
    };
    let exponent = if zero { exponent.clamp(-28, 28) } else { exponent };
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let length = i64::try_from(digits.len()).ok()?;
    if point.abs().max(length) > MAX_DIGITS as i64 {
        return None;
    }
    let (whole, fraction) = if point <= 0 {
        (String::new(), format!("{}{digits}", "0".repeat(point.unsigned_abs() as usize)))
    } else if point >= length {
        (format!("{digits}{}", "0".repeat((point - length) as usize)), String::new())
    } else {
        (digits[..point as usize].to_owned(), digits[point as usize..].to_owned())
    };
    let whole = whole.trim_start_matches('0');
    let mut out = String::with_capacity(whole.len() + fraction.len() + 3);
    if negative && !zero {
        out.push('-');
    }
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(&fraction);
    }
    Some(out)
}

/// The key is named when it looks like a field's name: as a look-up key it could be a personal datum.
fn doubled(key: &str) -> String {
    let named = key.len() <= 64
        && !key.is_empty()
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if named {
        format!("the key `{key}` stands twice in one object")
    } else {
        "a key stands twice in one object".into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::{make_lossless, read_json};

    #[test]
    fn numbers_keep_every_digit() {
        let check = |text: &str, expect: serde_json::Value| {
            assert_eq!(read_json(text.as_bytes()).unwrap(), expect, "{text}");
        };
        check("0", json!(0));
        check("-0", json!(0));
        check("12", json!(12));
        check("9007199254740991", json!(9_007_199_254_740_991_i64));
        check("-9007199254740991", json!(-9_007_199_254_740_991_i64));
        check("9007199254740992", json!("9007199254740992"));
        check("9007199254740993", json!("9007199254740993"));
        check("-9007199254740993", json!("-9007199254740993"));
        check("123456789012345678901234567890", json!("123456789012345678901234567890"));
        check("12.50", json!("12.50"));
        check("0.1", json!("0.1"));
        check("-0.0", json!("0.0"));
        check("1e3", json!("1000"));
        check("1.5E+3", json!("1500"));
        check("1.5e-3", json!("0.0015"));
        check("12345e-2", json!("123.45"));
        check("-12345e-5", json!("-0.12345"));
        check("0e999999999999", json!("0"));
        check("0.00e-999999999999", json!("0.00"));
        check("[1,2.0,\"3\"]", json!([1, "2.0", "3"]));
    }

    #[test]
    fn strings_objects_and_space() {
        let check = |text: &str, expect: serde_json::Value| {
            assert_eq!(read_json(text.as_bytes()).unwrap(), expect, "{text}");
        };
        check("\u{feff} {} ", json!({}));
        check("[ ]", json!([]));
        check("{\"a\" : [ true , false,null ],\"ß\":\"ü\"}", json!({ "a": [true, false, null], "ß": "ü" }));
        check(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00x""#, json!("\"\\/\u{8}\u{c}\n\r\té😀x"));
        check(r#""""#, json!(""));
    }

    #[test]
    fn faults_have_a_place_and_no_datum() {
        let deep = "[".repeat(129);
        let check = |body: &[u8], expect: &str| assert_eq!(read_json(body).unwrap_err().to_string(), expect);
        check(b"", "line 1, column 1: the body is empty, expected JSON");
        check(b"{\"a\":1,\n \"b\" 2}", "line 2, column 6: expected `:`");
        check(b"{\"a\":1,}", "line 1, column 8: expected a key in double quotes");
        check(b"{\"a\":1", "line 1, column 7: the body ends too early");
        check(b"\"a", "line 1, column 3: the body ends too early");
        check("{\"ü\": tru}".as_bytes(), "line 1, column 7: expected a value");
        check(b"{\"a\":1,\"a\":2}", "line 1, column 8: the key `a` stands twice in one object");
        check(
            b"{\"ada@example.com\":1,\"ada@example.com\":2}",
            "line 1, column 22: a key stands twice in one object",
        );
        check(b"\"\xFF\"", "line 1, column 2: not UTF-8: the body is in another encoding or damaged");
        check(deep.as_bytes(), "line 1, column 129: nested deeper than 128 levels");
        check(b"1e401", "line 1, column 1: a number of more than 400 digits");
        check(b"01", "line 1, column 1: a number must not begin with 0");
        check(b"1.", "line 1, column 3: the body ends too early");
        check(b"NaN", "line 1, column 1: expected a value");
        check(b"\"\t\"", "line 1, column 2: a control character in a string must be escaped");
        check(br#""\ud83d""#, "line 1, column 4: half of a surrogate pair");
        check(b"<html>", "line 1, column 1: expected a value");
        check(b"{} {}", "line 1, column 4: something follows the JSON value");
    }

    #[test]
    fn serde_json_does_not_keep_arbitrary_precision() {
        // With that feature a number is an object inside, and every crate that reads one by its type goes wrong.
        let text = "1.00000000000000000000000001";
        let number: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            number.to_string(),
            "1.0",
            "the feature `arbitrary_precision` of serde_json must stay off"
        );
    }

    #[test]
    fn values_from_elsewhere_are_made_lossless() {
        let mut value = json!({ "a": 1.5, "b": [1, u64::MAX], "c": "x", "d": 1e21 });
        make_lossless(&mut value);
        let expect =
            json!({ "a": "1.5", "b": [1, "18446744073709551615"], "c": "x", "d": "1000000000000000000000" });
        assert_eq!(value, expect);
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_back(text in "\\PC{0,40}", number in -9_007_199_254_740_991_i64..9_007_199_254_740_991) {
            let value = json!({ "text": text, "list": [number, null, true, { "x": text }] });
            prop_assert_eq!(read_json(value.to_string().as_bytes()).unwrap(), value);
        }

        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}\",:0-9eE.+\\\\u-]{0,40}") {
            let _ = read_json(&body);
            let _ = read_json(text.as_bytes());
        }
    }
}
