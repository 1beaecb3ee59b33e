//! Reads JSON without losing a digit, and writes it with number tokens where the target wants them.
//!
//! Never: floating point. A number that is not a safe integer is a decimal string from here on.

mod read;
mod write;

use serde_json::Value;

/// The largest integer that every JSON reader keeps exactly: 2^53 - 1.
pub const SAFE_INTEGER: i64 = (1 << 53) - 1;

/// How deep arrays and objects may be nested in each other.
pub const MAX_DEPTH: usize = 128;

/// Why a body is no JSON that can be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ReadError {
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// What is wrong; no datum of the body, names of keys apart.
    pub message: String,
}

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct WriteError {
    /// Path of the value at fault, such as `lines[0].unit_price`.
    pub path: String,
    /// What is wrong; no datum of the value.
    pub message: String,
}

/// Reads a body: UTF-8, with or without a byte order mark.
///
/// Integers up to 2^53 - 1 either way stay numbers. Every other number becomes a decimal string with the digits it was
/// written with, its exponent resolved: `12.50` is `"12.50"`, `1.5e3` is `"1500"`, `9007199254740993` is
/// `"9007199254740993"`.
///
/// # Errors
/// Where it is no JSON, is no UTF-8, has a key twice in one object, is nested deeper than [`MAX_DEPTH`], or has a number
/// that would take more than 400 digits.
pub fn read_json(body: &[u8]) -> Result<Value, ReadError> {
    read::read(body)
}

/// Writes a body without spaces; decimal strings at the given paths are written as number tokens, digit for digit.
///
/// A path is dotted, `[]` stands for every entry of an array: `lines[].unit_price`, `[].qty`. Absent and null values
/// are left as they are, and so are integers.
///
/// # Errors
/// What stands at a path is no number, or there is a floating-point number anywhere.
pub fn write_json(value: &Value, number_paths: &[&str]) -> Result<Vec<u8>, WriteError> {
    write::write(value, number_paths)
}

/// Turns every number that is not a safe integer into a decimal string, as [`read_json`] does.
///
/// For values that did not come through it, such as settings of a configuration file.
pub fn make_lossless(value: &mut Value) {
    match value {
        Value::Number(number) if !number.as_i64().is_some_and(is_safe) => {
            let token = number.to_string();
            *value = Value::String(read::decimal_text(&token).unwrap_or(token));
        }
        Value::Array(entries) => entries.iter_mut().for_each(make_lossless),
        Value::Object(fields) => fields.values_mut().for_each(make_lossless),
        _ => {}
    }
}

pub(crate) fn is_safe(number: i64) -> bool {
    number.unsigned_abs() <= SAFE_INTEGER.unsigned_abs()
}

/// Decimal text of a number token: the digits as they are, the exponent resolved; `None` beyond 400 digits.
pub(crate) fn decimal_text(token: &str) -> Option<String> {
    read::decimal_text(token)
}
