//! Reference maps, and saying no.
//!
//! Never: a map of its own; what a connection's maps hold is in `%maps`.

use vrl::compiler::function::Parameter;
use vrl::compiler::value::Kind;
use vrl::compiler::value::kind::{ANY, BOOLEAN, BYTES, INTEGER, NULL};
use vrl::compiler::{Context, TypeDef};
use vrl::value::Value;

use super::{Arguments, Failure, Native, text};
use crate::value::MAP_KEY;

const MAP: Parameter = Parameter::required("map", BYTES, "Name of the reference map.");
const CODE: Parameter = Parameter::required("code", BYTES | INTEGER | BOOLEAN | NULL, "The code to look up.");

/// Longest code that a message repeats.
const MAX_CODE: usize = 64;

pub(super) const FUNCTIONS: &[Native] = &[
    Native {
        name: "map_code",
        usage: "What a reference map has for a code; a code without an entry stops the mapping and asks a person for it.",
        example: (r#"map_code!("tax", "DE19")"#, r#""7""#),
        parameters: &[MAP, CODE],
        returns: TypeDef::bytes,
        call: |args, ctx| {
            let (map, code) = (args.text(0)?, code(args)?.ok_or_else(|| args.fault(1, "a code"))?);
            let missing =
                || Failure::Missing { map: map.to_owned(), code: code.chars().take(MAX_CODE).collect() };
            look_up(ctx, map, &code).ok_or_else(missing)
        },
    },
    Native {
        name: "map_code_or",
        usage: "What a reference map has for a code, or a default where it has nothing.",
        example: (r#"map_code_or!("tax", "XX", "0")"#, r#""0""#),
        parameters: &[MAP, CODE, Parameter::required("default", ANY, "Taken without an entry.")],
        returns: TypeDef::any,
        call: |args, ctx| {
            let found = code(args)?.and_then(|code| look_up(ctx, args.text(0).ok()?, &code));
            Ok(found.or_else(|| args.get(2).cloned()).unwrap_or(Value::Null))
        },
    },
    Native {
        name: "reject",
        usage: "Stops the mapping: the datum is not acceptable, and a person sees the message, the path and the code.",
        example: (r#"reject("a sale without lines", ".lines") ?? "rejected""#, r#""rejected""#),
        parameters: &[
            Parameter::required(
                "message",
                BYTES,
                "What is wrong; a plain text, so that no datum gets into it.",
            ),
            Parameter::optional("path", BYTES, "Path of the datum, such as .lines[0].sku; a plain text."),
            Parameter::optional(
                "code",
                BYTES | INTEGER | BOOLEAN | NULL,
                "The code at fault, such as an unknown status.",
            ),
        ],
        returns: || TypeDef::from(Kind::never()),
        call: |args, _| {
            let mut message = args.text(0)?.to_owned();
            if let Some(code) = args.get(2).and_then(scalar).filter(|code| is_code(code)) {
                message = format!("{message}: `{code}`");
            }
            Err(Failure::Rejected { message, path: args.optional_text(1)?.map(str::to_owned) })
        },
    },
];

fn look_up(ctx: &Context, map: &str, code: &str) -> Option<Value> {
    ctx.target().get_secret(&format!("{MAP_KEY}{map}\0{code}")).map(Value::from)
}

/// The code as text, nothing when it is null.
fn code(args: &Arguments) -> Result<Option<String>, Failure> {
    let Some(value) = args.get(1) else { return Ok(None) };
    scalar(value).map(Some).ok_or_else(|| args.fault(1, "a text, an integer or true or false"))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        other => text(other).map(str::to_owned),
    }
}

/// Whether a text looks like a code and not like a name, an address or a number that belongs to a person.
fn is_code(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.len() <= MAX_CODE
        && digits < 7
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::is_code;

    #[test]
    fn only_codes_are_repeated() {
        for code in ["PaymentSettled", "awaiting_payment", "DE19", "a.b:c/d-1"] {
            assert!(is_code(code), "{code}");
        }
        for datum in
            ["ada@example.com", "Ada Lovelace", "+49 30 1234567", "4111111111111111", &"x".repeat(65)]
        {
            assert!(!is_code(datum), "{datum}");
        }
    }
}
