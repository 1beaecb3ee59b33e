//! Phone numbers, countries and addresses.
//!
//! Never: corrects what a person wrote; a text that cannot be understood is a failure.

use phonenumber::Mode;
use vrl::compiler::TypeDef;
use vrl::compiler::function::Parameter;
use vrl::compiler::value::Kind;
use vrl::compiler::value::kind::{ARRAY, BYTES, Collection, NULL};
use vrl::value::Value;

use super::{Native, countries, text};

pub(super) const FUNCTIONS: &[Native] = &[
    Native {
        name: "phone_e164",
        usage: "A phone number in E.164; one without a country prefix needs the country it was written in.",
        example: (r#"phone_e164!("030 901820", "DE")"#, r#""+4930901820""#),
        parameters: &[
            Parameter::required("value", BYTES, "The number as a person wrote it."),
            Parameter::optional("country", BYTES, "ISO 3166-1 code or name of the country."),
        ],
        returns: TypeDef::bytes,
        call: |args, _| {
            let country = args.optional_text(1)?;
            let code =
                country.map(|country| countries::find(country).ok_or_else(|| args.fault(1, "a country")));
            let code = code.transpose()?.and_then(|code| code.parse().ok());
            let number =
                phonenumber::parse(code, args.text(0)?).ok().filter(phonenumber::PhoneNumber::is_valid);
            let number =
                number.ok_or_else(|| args.fault(0, "a phone number that is valid in its country"))?;
            Ok(Value::from(number.format().mode(Mode::E164).to_string()))
        },
    },
    Native {
        name: "country_code",
        usage: "The ISO 3166-1 alpha-2 code of a country's name or code.",
        example: (r#"country_code!("Germany")"#, r#""DE""#),
        parameters: &[Parameter::required(
            "value",
            BYTES,
            "English name, native name where common, alpha-2 or alpha-3 code.",
        )],
        returns: TypeDef::bytes,
        call: |args, _| {
            let code = countries::find(args.text(0)?);
            code.map(Value::from).ok_or_else(|| args.fault(0, "a country's name or ISO 3166-1 code"))
        },
    },
    Native {
        name: "address_lines",
        usage: "The lines of an address: a text is split at its line ends, an array is tidied; empty ones are left out.",
        example: (r#"address_lines!(["Unter den Linden 1", "", null])"#, r#"["Unter den Linden 1"]"#),
        parameters: &[Parameter::required(
            "value",
            BYTES | ARRAY | NULL,
            "A text of several lines, or an array of texts.",
        )],
        returns: || TypeDef::array(Collection::from_unknown(Kind::bytes())),
        call: |args, _| {
            let mut lines = Vec::new();
            match args.get(0) {
                None => {}
                Some(Value::Array(entries)) => {
                    for entry in entries.iter().filter(|entry| !entry.is_null()) {
                        lines.extend(tidy(text(entry).ok_or_else(|| args.wrong(0, "an entry is no text"))?));
                    }
                }
                Some(_) => lines.extend(tidy(args.text(0)?)),
            }
            Ok(Value::Array(lines.into_iter().map(Value::from).collect()))
        },
    },
    Native {
        name: "address_join",
        usage: "The lines of an address in one text; empty ones are left out.",
        example: (r#"address_join!(["1 Main Street", "Floor 2"])"#, r#""1 Main Street, Floor 2""#),
        parameters: &[
            Parameter::required("lines", ARRAY, "Texts; null counts as empty."),
            Parameter::optional("separator", BYTES, "Between two lines; `, ` unless stated."),
        ],
        returns: TypeDef::bytes,
        call: |args, _| {
            let mut lines = Vec::new();
            for entry in args.array(0)?.iter().filter(|entry| !entry.is_null()) {
                lines.extend(tidy(text(entry).ok_or_else(|| args.wrong(0, "an entry is no text"))?));
            }
            // Not `optional_text`: a separator may be anything, a line end too.
            let separator = args.get(1).and_then(text).unwrap_or(", ");
            Ok(Value::from(lines.join(separator)))
        },
    },
    Native {
        name: "address_split",
        usage: "Street and house number of an address line, for systems that keep them apart; without a number it is null.",
        example: (
            r#"address_split!("Unter den Linden 12 a")"#,
            r#"{"house_number":"12 a","street":"Unter den Linden"}"#,
        ),
        parameters: &[Parameter::required("line", BYTES, "One line of an address.")],
        returns: || {
            let fields = Collection::empty().with_known("street", Kind::bytes());
            TypeDef::object(fields.with_known("house_number", Kind::bytes().or_null()))
        },
        call: |args, _| {
            let (street, number) = split(args.text(0)?);
            if street.is_empty() {
                return Err(args.fault(0, "a street"));
            }
            let number = number.map_or(Value::Null, Value::from);
            Ok(Value::Object(
                [("street".into(), Value::from(street)), ("house_number".into(), number)].into(),
            ))
        },
    },
];

/// Lines without what surrounds them, empty ones left out.
fn tidy(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty())
}

/// Street and house number: a number in front (`12 Main Street`), or the last one with a short rest (`Weg 12 a`).
fn split(line: &str) -> (String, Option<String>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let numbered = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let join = |words: &[&str]| words.join(" ").trim_end_matches(',').to_owned();
    match words.as_slice() {
        [first, rest @ ..] if numbered(first) && !rest.is_empty() => {
            (join(rest), Some(first.trim_end_matches(',').to_owned()))
        }
        _ => {
            let short = |rest: &[&str]| rest.len() <= 2 && rest.iter().all(|word| word.len() <= 3);
            let at =
                words.iter().rposition(|word| numbered(word)).filter(|at| *at > 0 && short(&words[at + 1..]));
            // A number before the number (`12 - 14`) belongs to it.
            let at =
                at.map(
                    |at| if at > 2 && words[at - 1] == "-" && numbered(words[at - 2]) { at - 2 } else { at },
                );
            match at {
                Some(at) => (join(&words[..at]), Some(words[at..].join(" "))),
                None => (join(&words), None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn street_and_house_number() {
        let check = |line: &str, street: &str, number: Option<&str>| {
            assert_eq!(split(line), (street.to_owned(), number.map(str::to_owned)), "{line}");
        };
        check("Unter den Linden 12", "Unter den Linden", Some("12"));
        check("Unter den Linden 12a", "Unter den Linden", Some("12a"));
        check("Am Markt 3 - 5", "Am Markt", Some("3 - 5"));
        check("Calle Mayor, 5", "Calle Mayor", Some("5"));
        check("12, rue de la Paix", "rue de la Paix", Some("12"));
        check("221B Baker Street", "Baker Street", Some("221B"));
        check("Straße des 17. Juni", "Straße des 17. Juni", None);
        check("Postfach", "Postfach", None);
        check("17", "17", None);
        check("  ", "", None);
    }
}
