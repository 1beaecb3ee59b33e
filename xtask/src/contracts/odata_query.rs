//! Query options of OData: which names they use, and whether what they compare is of the name's type.
//!
//! Never: says whether a server can carry a filter out; knows more of the language than the connectors use, and says so
//! where it meets something else.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::openapi::Document;

/// The names that there are, and which of them were used.
pub struct Names<'a> {
    /// Where the types are.
    pub document: &'a Document,
    /// Type and property.
    pub used: &'a RefCell<BTreeSet<(String, String)>>,
}

impl<'a> Names<'a> {
    fn property(&self, of: &str, name: &str) -> Result<&'a Value, String> {
        let found = self.document.whole["components"]["schemas"][of]["properties"].get(name);
        self.used.borrow_mut().insert((of.to_owned(), name.to_owned()));
        found.ok_or_else(|| format!("`{of}` has no `{name}`"))
    }

    /// The type that a property leads to, when it leads to one.
    fn target(&self, property: &'a Value) -> Option<&'a str> {
        let reference = property["$ref"].as_str().or_else(|| property["items"]["$ref"].as_str());
        reference?.strip_prefix("#/components/schemas/")
    }

    /// Takes down which properties a body uses.
    pub fn uses(&self, of: &str, body: &Value) {
        match body {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let target = self.property(of, name).ok().and_then(|property| self.target(property));
                    if let Some(target) = target {
                        self.uses(target, value);
                    }
                }
            }
            Value::Array(entries) => entries.iter().for_each(|entry| self.uses(of, entry)),
            _ => {}
        }
    }
}

/// What is wrong with the options of a query on a type; `list`: on a list of it.
pub fn options(names: &Names<'_>, of: &str, list: bool, given: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, (option, text)) in given.iter().enumerate() {
        if given[..number].iter().any(|(other, _)| other == option) {
            wrong.push(format!("{option}: is there more than once"));
        }
        let told = match option.as_str() {
            "$select" => parts(text, ',').filter_map(|name| names.property(of, name).err()).collect(),
            "$expand" => parts(text, ',').flat_map(|part| expand(names, of, part)).collect(),
            "$filter" | "$orderby" | "$top" | "$skip" if !list => vec!["is for lists only".into()],
            "$filter" => filter(names, of, text).err().into_iter().collect(),
            "$orderby" => parts(text, ',').filter_map(|part| order(names, of, part).err()).collect(),
            "$top" | "$skip" => {
                let number = text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
                number.err().into_iter().collect()
            }
            _ => vec!["is no option that is known here".into()],
        };
        wrong.extend(told.into_iter().map(|message| format!("{option}: {message}")));
    }
    wrong
}

/// `lines($select=id;$top=1)`.
fn expand(names: &Names<'_>, of: &str, text: &str) -> Vec<String> {
    let (name, inner) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').unwrap_or(rest)),
        None => (text, ""),
    };
    let target =
        names.property(of, name).map(|property| (names.target(property), property["type"] == "array"));
    match target {
        Err(message) => vec![message],
        Ok((None, _)) => vec![format!("`{name}` of `{of}` leads to nothing")],
        Ok((Some(target), list)) => {
            let pairs: Vec<(String, String)> = parts(inner, ';')
                .map(|part| part.split_once('=').unwrap_or((part, "")))
                .map(|(option, text)| (option.to_owned(), text.to_owned()))
                .collect();
            options(names, target, list, &pairs)
                .into_iter()
                .map(|message| format!("{name}: {message}"))
                .collect()
        }
    }
}

fn order(names: &Names<'_>, of: &str, text: &str) -> Result<(), String> {
    let mut words = text.split_whitespace();
    names.property(of, words.next().unwrap_or_default())?;
    match (words.next(), words.next()) {
        (None | Some("asc" | "desc"), None) => Ok(()),
        _ => Err(format!("`{text}` is no name with asc or desc")),
    }
}

/// Splits where neither brackets nor quotes are open.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut depth, mut quoted) = (0_i32, false);
    text.split(move |c: char| {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        c == separator && depth == 0 && !quoted
    })
    .filter(|part| !part.is_empty())
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
    Comma,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '(' => found.push(Token::Open),
            ')' => found.push(Token::Close),
            ',' => found.push(Token::Comma),
            '\'' => {
                let mut word = String::new();
                loop {
                    match rest.next() {
                        // Two of them are one.
                        Some('\'') if rest.next_if_eq(&'\'').is_none() => break,
                        Some(c) => word.push(c),
                        None => return Err("a quotation does not end".into()),
                    }
                }
                found.push(Token::Quoted(word));
            }
            c if c.is_whitespace() => {}
            c => {
                let mut word = String::from(c);
                while let Some(c) = rest.next_if(|c| !c.is_whitespace() && !"(),'".contains(*c)) {
                    word.push(c);
                }
                found.push(Token::Word(word));
            }
        }
    }
    Ok(found)
}

/// Comparisons and the three functions on texts, joined by `and`, `or`, `not` and brackets.
fn filter(names: &Names<'_>, of: &str, text: &str) -> Result<(), String> {
    let mut rest = tokens(text)?;
    rest.reverse();
    any(names, of, &mut rest)?;
    rest.pop().map_or(Ok(()), |token| Err(format!("{token:?} was not expected")))
}

fn any(names: &Names<'_>, of: &str, rest: &mut Vec<Token>) -> Result<(), String> {
    loop {
        one(names, of, rest)?;
        match rest.last() {
            Some(Token::Word(word)) if word == "and" || word == "or" => drop(rest.pop()),
            _ => return Ok(()),
        }
    }
}

fn one(names: &Names<'_>, of: &str, rest: &mut Vec<Token>) -> Result<(), String> {
    let close = |rest: &mut Vec<Token>| match rest.pop() {
        Some(Token::Close) => Ok(()),
        _ => Err("a bracket does not close".to_owned()),
    };
    match rest.pop() {
        Some(Token::Open) => {
            any(names, of, rest)?;
            close(rest)
        }
        Some(Token::Word(word)) if word == "not" => one(names, of, rest),
        Some(Token::Word(word)) if rest.last() == Some(&Token::Open) => {
            if !["contains", "startswith", "endswith"].contains(&word.as_str()) {
                return Err(format!("the function `{word}` is not known here"));
            }
            let inside = [rest.pop(), rest.pop(), rest.pop(), rest.pop()];
            let [_, Some(Token::Word(name)), Some(Token::Comma), Some(literal)] = inside else {
                return Err(format!("`{word}` takes a name and a text"));
            };
            fits(&name, names.property(of, &name)?, &literal)?;
            close(rest)
        }
        Some(Token::Word(name)) => {
            let property = names.property(of, &name)?;
            match rest.pop() {
                Some(Token::Word(word)) if ["eq", "ne", "gt", "ge", "lt", "le"].contains(&word.as_str()) => {}
                _ => return Err(format!("`{name}` is compared with nothing")),
            }
            let literal = rest.pop().ok_or_else(|| format!("`{name}` is compared with nothing"))?;
            fits(&name, property, &literal)
        }
        other => Err(format!("a comparison is missing, there is {other:?}")),
    }
}

/// Whether a literal is written as the property's type wants.
fn fits(name: &str, property: &Value, literal: &Token) -> Result<(), String> {
    let wrong = |wanted: &str| Err(format!("`{name}` is compared with {literal:?}, but it is {wanted}"));
    let number = |word: &str| word.parse::<f64>().is_ok();
    match (property["type"].as_str(), property["format"].as_str(), literal) {
        (_, _, Token::Word(word)) if word == "null" => Ok(()),
        (Some("string"), Some("uuid"), Token::Word(word))
            if looks_like(word, "########-####-####-####-############") =>
        {
            Ok(())
        }
        (Some("string"), Some("uuid"), _) => wrong("an id, which stands without quotes"),
        (Some("string"), Some("date"), Token::Word(word)) if looks_like(word, "####-##-##") => Ok(()),
        (Some("string"), Some("date"), _) => wrong("a day"),
        (Some("string"), Some("date-time"), Token::Word(word))
            if looks_like(word.get(..19).unwrap_or_default(), "####-##-##T##:##:##") =>
        {
            Ok(())
        }
        (Some("string"), Some("date-time"), _) => wrong("a moment"),
        (Some("string"), _, Token::Quoted(text)) => match property["maxLength"].as_u64() {
            Some(most) if text.chars().count() as u64 > most => {
                wrong(&format!("at most {most} characters long"))
            }
            _ => Ok(()),
        },
        (Some("string"), ..) => wrong("a text, which stands in quotes"),
        (Some("integer" | "number"), _, Token::Word(word)) if number(word) => Ok(()),
        (Some("integer" | "number"), ..) => wrong("a number"),
        (Some("boolean"), _, Token::Word(word)) if word == "true" || word == "false" => Ok(()),
        _ => wrong("nothing that can be compared so"),
    }
}

/// `#` stands for a digit, hexadecimal ones included.
fn looks_like(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.chars().zip(shape.chars()).all(|(c, s)| if s == '#' { c.is_ascii_hexdigit() } else { c == s })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::openapi::OpenApi;
    use super::*;

    fn check(option: &str, text: &str) -> String {
        let property = |kind: &str, format: &str| json!({"type": kind, "format": format});
        let api = OpenApi::of(vec![json!({"paths": {"/orders": {"get": {}}}, "components": {"schemas": {
            "order": {"properties": {
                "id": property("string", "uuid"), "day": property("string", "date"), "at": property("string", "date-time"),
                "number": {"type": "string", "maxLength": 5}, "total": {"type": "number"}, "open": {"type": "boolean"},
                "lines": {"type": "array", "items": {"$ref": "#/components/schemas/line"}},
                "buyer": {"$ref": "#/components/schemas/line"}}},
            "line": {"properties": {"sku": {"type": "string"}}}}}})])
        .unwrap();
        let used = RefCell::default();
        let names = Names { document: api.find("GET", "/orders").unwrap().document, used: &used };
        options(&names, "order", true, &[(option.to_owned(), text.to_owned())]).join("; ")
    }

    #[test]
    fn what_is_well_said_is_fine() {
        for (option, text) in [
            ("$filter", "number eq 'a''b' or (total ge 1.5 and not (open eq true))"),
            (
                "$filter",
                "id eq 0ea6738a-44e3-ea11-bb43-000d3a2feca1 and day lt 2026-01-01 and at gt 2026-01-01T00:00:00Z",
            ),
            ("$filter", "contains(number, 'x') and number ne null"),
            ("$expand", "lines($select=sku;$top=1;$filter=sku eq 'a,b'),buyer"),
            ("$orderby", "at desc,id"),
            ("$select", "id,number"),
        ] {
            assert_eq!(check(option, text), "", "{text}");
        }
    }

    #[test]
    fn what_is_not_is_told() {
        for (option, text, expect) in [
            ("$filter", "nmuber eq '1'", "`order` has no `nmuber`"),
            ("$filter", "number eq 1", "in quotes"),
            ("$filter", "number eq '123456'", "at most 5"),
            ("$filter", "id eq '0ea6738a-44e3-ea11-bb43-000d3a2feca1'", "without quotes"),
            ("$filter", "day eq 2026-01-01T00:00:00Z", "a day"),
            ("$filter", "at eq 2026-01-01", "a moment"),
            ("$filter", "total eq 'x'", "a number"),
            ("$filter", "lines eq 1", "nothing that can be compared"),
            ("$filter", "number eq 'x", "does not end"),
            ("$filter", "(number eq 'x'", "does not close"),
            ("$filter", "number eq 'x')", "was not expected"),
            ("$filter", "number is 'x'", "compared with nothing"),
            ("$filter", "", "a comparison is missing"),
            ("$filter", "year(day) eq 2026", "function `year`"),
            ("$expand", "number", "leads to nothing"),
            ("$expand", "lines($select=id)", "lines: $select: `line` has no `id`"),
            ("$expand", "buyer($top=1)", "lists only"),
            ("$orderby", "at down", "asc or desc"),
            ("$format", "json", "no option"),
        ] {
            let found = check(option, text);
            assert!(found.contains(expect), "expected `{expect}` in {found} of {text}");
        }
    }
}
