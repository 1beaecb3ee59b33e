//! What a program can call: our functions and the part of VRL's library that is let through.
//!
//! A function of ours is a row of a table and one plain Rust function from arguments to a value. All of them can fail, and
//! VRL's compiler sees that: the program handles it with `!` or `??`.
//!
//! Never: I/O, a clock, randomness; a datum in a failure, codes apart.

mod countries;
mod dates;
mod decimals;
mod money;
mod parties;
mod references;
mod stdlib;

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use vrl::compiler::function::{ArgumentList, Compiled, Example, FunctionCompileContext, Parameter};
use vrl::compiler::state::TypeState;
use vrl::compiler::{Context, Expression, ExpressionError, Function, FunctionExpression, Resolved, TypeDef};
use vrl::diagnostic::Note;
use vrl::value::Value;

pub use stdlib::ALLOWED;
pub(crate) use stdlib::refusal;

/// Grows when a function gives other results than before, so that a program's hash changes with it.
pub(crate) const VERSION: u32 = 1;

/// Most parameters a function of ours has.
const MAX_PARAMETERS: usize = 4;

/// A function of ours.
pub(crate) struct Native {
    /// What programs call it.
    pub name: &'static str,
    /// One sentence for its reference page.
    pub usage: &'static str,
    /// A call, and what it gives as JSON; every one is a test.
    pub example: (&'static str, &'static str),
    /// In order; at most [`MAX_PARAMETERS`].
    pub parameters: &'static [Parameter],
    /// Type of the result.
    pub returns: fn() -> TypeDef,
    /// What it does.
    pub call: fn(&Arguments, &Context) -> Result<Value, Failure>,
}

/// Why a function of ours gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// It cannot take what one argument holds.
    Argument {
        /// Name of the parameter.
        name: String,
        /// Its position.
        index: usize,
        /// What was expected.
        message: String,
    },
    /// The arguments do not go together.
    Together {
        /// Why.
        message: String,
    },
    /// The mapping rejects the datum.
    Rejected {
        /// What it says.
        message: String,
        /// The datum's path.
        path: Option<String>,
    },
    /// A reference map has no entry.
    Missing {
        /// The map.
        map: String,
        /// The code.
        code: String,
    },
}

/// Documentation of a function, for reference pages and the console's editor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FunctionDoc {
    /// Name.
    pub name: &'static str,
    /// What it does.
    pub usage: &'static str,
    /// Name, whether it must be given, and what it means, of each parameter.
    pub parameters: Vec<(&'static str, bool, &'static str)>,
    /// A call.
    pub example: &'static str,
    /// What the call gives, as JSON.
    pub gives: &'static str,
}

/// Every function of ours, by name.
pub fn documentation() -> Vec<FunctionDoc> {
    let doc = |native: &'static Native| FunctionDoc {
        name: native.name,
        usage: native.usage,
        parameters: native.parameters.iter().map(|p| (p.keyword, p.required, p.description)).collect(),
        example: native.example.0,
        gives: native.example.1,
    };
    let mut docs: Vec<_> = natives().map(doc).collect();
    docs.sort_by_key(|doc| doc.name);
    docs
}

/// Every function of ours.
pub(crate) fn natives() -> impl Iterator<Item = &'static Native> {
    let tables =
        [decimals::FUNCTIONS, money::FUNCTIONS, dates::FUNCTIONS, parties::FUNCTIONS, references::FUNCTIONS];
    tables.into_iter().flatten()
}

/// Every function a program can call.
pub(crate) fn all() -> Vec<Box<dyn Function>> {
    let ours = natives().map(|native| Box::new(Callable(native)) as Box<dyn Function>);
    ours.chain(stdlib::allowed()).collect()
}

impl Failure {
    /// Together, without a value.
    fn together(message: impl fmt::Display) -> Self {
        Self::Together { message: message.to_string() }
    }

    /// What a program that catches the error sees, and a person.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Argument { name, message, .. } => format!("`{name}`: {message}"),
            Self::Together { message } | Self::Rejected { message, .. } => message.clone(),
            Self::Missing { map, code } => format!("the reference map `{map}` has no entry for `{code}`"),
        }
    }

    /// Reads what [`ExpressionError::from`] put into an error of VRL's.
    pub(crate) fn of(notes: &[Note]) -> Option<Self> {
        notes.iter().find_map(|note| match note {
            Note::UserErrorMessage(text) => serde_json::from_str(text.strip_prefix(MARK)?).ok(),
            _ => None,
        })
    }
}

/// Marks the note of an error that carries a [`Failure`]: VRL's errors have no place of their own for a host's data.
const MARK: &str = "counterpart:";

impl From<Failure> for ExpressionError {
    fn from(failure: Failure) -> Self {
        let data = serde_json::to_string(&failure).unwrap_or_default();
        let notes = vec![Note::UserErrorMessage(format!("{MARK}{data}"))];
        Self::Error { message: failure.message(), labels: Vec::new(), notes }
    }
}

/// The arguments of one call.
pub(crate) struct Arguments {
    native: &'static Native,
    values: [Option<Value>; MAX_PARAMETERS],
}

impl Arguments {
    /// The value of a parameter; null and absent are the same for an optional one.
    pub(crate) fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index)?.as_ref().filter(|value| !value.is_null())
    }

    /// A failure that names a parameter and the type of what it holds, never the value.
    pub(crate) fn fault(&self, index: usize, expected: &str) -> Failure {
        let held = self.values.get(index).and_then(Option::as_ref);
        let got = match held {
            Some(Value::Bytes(_) | Value::String(_)) if held.and_then(text) == Some("") => {
                "got an empty text".to_owned()
            }
            Some(Value::Bytes(_) | Value::String(_)) => "got another text".to_owned(),
            Some(other) => format!("got {}", type_name(other)),
            None => "got nothing".to_owned(),
        };
        self.wrong(index, format!("expected {expected}, {got}"))
    }

    /// A failure that names a parameter.
    pub(crate) fn wrong(&self, index: usize, message: impl fmt::Display) -> Failure {
        let name = self.native.parameters.get(index).map_or("value", |p| p.keyword).to_owned();
        Failure::Argument { name, index, message: message.to_string() }
    }

    /// A text.
    pub(crate) fn text(&self, index: usize) -> Result<&str, Failure> {
        self.get(index).and_then(text).ok_or_else(|| self.fault(index, "a text"))
    }

    /// A text that may be absent.
    pub(crate) fn optional_text(&self, index: usize) -> Result<Option<&str>, Failure> {
        self.get(index).map(|_| self.text(index)).transpose()
    }

    /// A decimal, from a text or an integer.
    pub(crate) fn decimal(&self, index: usize) -> Result<Decimal, Failure> {
        let expected = || self.fault(index, "a decimal number such as \"12.50\"");
        decimal(self.get(index).ok_or_else(expected)?).ok_or_else(expected)
    }

    /// An integer, from an integer or a text of digits.
    pub(crate) fn integer(&self, index: usize) -> Result<i64, Failure> {
        let found = match self.get(index) {
            Some(Value::Integer(number)) => Some(*number),
            Some(value) => text(value).and_then(|text| text.parse().ok()),
            None => None,
        };
        found.ok_or_else(|| self.fault(index, "a whole number"))
    }

    /// Decimal places, 0 to 28.
    pub(crate) fn scale(&self, index: usize) -> Result<u32, Failure> {
        let scale = u32::try_from(self.integer(index)?).ok().filter(|scale| *scale <= 28);
        scale.ok_or_else(|| self.wrong(index, "expected 0 to 28 decimal places"))
    }

    /// An array.
    pub(crate) fn array(&self, index: usize) -> Result<&[Value], Failure> {
        let found = self.get(index).and_then(Value::as_array);
        found.ok_or_else(|| self.fault(index, "an array"))
    }
}

/// The text in a value.
pub(crate) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// The decimal in a text or an integer: an optional sign, digits, at most one point; at most 28 digits.
pub(crate) fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Integer(number) => Some(Decimal::from(*number)),
        other => {
            let text = text(other)?;
            let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
            let plain = unsigned.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                && unsigned.bytes().filter(|b| *b == b'.').count() <= 1
                && unsigned.bytes().any(|b| b.is_ascii_digit());
            plain.then(|| Decimal::from_str_exact(text).ok()).flatten()
        }
    }
}

/// The type of a value in words.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Bytes(_) | Value::String(_) => "a text",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a floating-point number",
        Value::Boolean(_) => "true or false",
        Value::Object(_) => "an object",
        Value::Array(_) => "an array",
        Value::Timestamp(_) => "a timestamp",
        Value::Regex(_) => "a regular expression",
        Value::Null => "null",
    }
}

/// A native as VRL sees it.
#[derive(Clone, Copy)]
struct Callable(&'static Native);

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Function for Callable {
    fn identifier(&self) -> &'static str {
        self.0.name
    }
    fn usage(&self) -> &'static str {
        self.0.usage
    }
    fn category(&self) -> &'static str {
        "Counterpart"
    }
    fn return_kind(&self) -> u16 {
        vrl::compiler::value::kind::ANY
    }
    fn parameters(&self) -> &'static [Parameter] {
        self.0.parameters
    }
    fn examples(&self) -> &'static [Example] {
        &[]
    }
    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        let argument = |p: &Parameter| {
            if p.required { Some(arguments.required(p.keyword)) } else { arguments.optional(p.keyword) }
        };
        let arguments = self.0.parameters.iter().map(argument).collect();
        Ok(Call { native: self.0, arguments }.as_expr())
    }
}

/// A call of a native in a compiled program.
#[derive(Clone)]
struct Call {
    native: &'static Native,
    arguments: Vec<Option<Box<dyn Expression>>>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.native.name, self.arguments)
    }
}

impl FunctionExpression for Call {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let mut values = [const { None }; MAX_PARAMETERS];
        for (value, argument) in values.iter_mut().zip(&self.arguments) {
            if let Some(argument) = argument {
                *value = Some(argument.resolve(ctx)?);
            }
        }
        let arguments = Arguments { native: self.native, values };
        (self.native.call)(&arguments, ctx).map_err(ExpressionError::from)
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        (self.native.returns)().fallible()
    }
}
