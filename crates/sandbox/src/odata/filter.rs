//! The expression of a `$filter`.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world;

/// An expression that holds for a row or not.
#[derive(Debug, Clone)]
pub enum Filter {
    Both(Box<Filter>, Box<Filter>),
    Either(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compared(String, Relation, Value),
    OneOf(String, Vec<Value>),
    Text(String, String, String),
}

/// How two values stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Comma,
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is not understood, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut at = 0;
        let read = either(&tokens, &mut at)?;
        match tokens.get(at) {
            None => Ok(read),
            Some(_) => Err(format!("Syntax error in the expression '{text}'.")),
        }
    }

    /// The names it speaks of.
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Self::Both(a, b) | Self::Either(a, b) => [a.paths(), b.paths()].concat(),
            Self::Not(a) => a.paths(),
            Self::Compared(path, ..) | Self::OneOf(path, _) | Self::Text(_, path, _) => vec![path],
        }
    }

    /// Whether it holds for a row.
    pub fn holds(&self, row: &Value) -> bool {
        match self {
            Self::Both(a, b) => a.holds(row) && b.holds(row),
            Self::Either(a, b) => a.holds(row) || b.holds(row),
            Self::Not(a) => !a.holds(row),
            Self::Compared(path, relation, value) => {
                let order = compare(find(row, path), value);
                match relation {
                    Relation::Eq => order == Some(Ordering::Equal),
                    Relation::Ne => order != Some(Ordering::Equal),
                    Relation::Gt => order == Some(Ordering::Greater),
                    Relation::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                    Relation::Lt => order == Some(Ordering::Less),
                    Relation::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                }
            }
            Self::OneOf(path, all) => {
                all.iter().any(|v| compare(find(row, path), v) == Some(Ordering::Equal))
            }
            Self::Text(function, path, part) => {
                let Some(text) = find(row, path).as_str() else { return false };
                match function.as_str() {
                    "startswith" => text.starts_with(part.as_str()),
                    "endswith" => text.ends_with(part.as_str()),
                    _ => text.contains(part.as_str()),
                }
            }
        }
    }
}

fn find<'a>(row: &'a Value, path: &str) -> &'a Value {
    path.split('/').fold(row, |value, key| value.get(key).unwrap_or(&Value::Null))
}

/// Which comes first, where that can be said; moments as moments, texts without regard to case, as SQL Server does.
pub fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b))
            if a.parse::<Timestamp>().is_err() || b.parse::<Timestamp>().is_err() =>
        {
            Some(a.to_lowercase().cmp(&b.to_lowercase()))
        }
        _ => world::compare(a, b),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut all = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' => {}
            '(' => all.push(Token::Open),
            ')' => all.push(Token::Close),
            ',' => all.push(Token::Comma),
            '\'' => {
                let mut word = String::new();
                loop {
                    match chars.next() {
                        None => return Err(format!("There is an unterminated string literal in '{text}'.")),
                        // Two quotes are one.
                        Some('\'') if chars.peek() == Some(&'\'') => {
                            chars.next();
                            word.push('\'');
                        }
                        Some('\'') => break,
                        Some(c) => word.push(c),
                    }
                }
                all.push(Token::Text(word));
            }
            c => {
                let mut word = String::from(c);
                while let Some(c) = chars.peek().copied().filter(|c| !" (),'".contains(*c)) {
                    chars.next();
                    word.push(c);
                }
                all.push(Token::Word(word));
            }
        }
    }
    Ok(all)
}

type Read = Result<Filter, String>;

fn is_word(tokens: &[Token], at: usize, word: &str) -> bool {
    matches!(tokens.get(at), Some(Token::Word(w)) if w == word)
}

fn either(tokens: &[Token], at: &mut usize) -> Read {
    let mut left = both(tokens, at)?;
    while is_word(tokens, *at, "or") {
        *at += 1;
        left = Filter::Either(Box::new(left), Box::new(both(tokens, at)?));
    }
    Ok(left)
}

fn both(tokens: &[Token], at: &mut usize) -> Read {
    let mut left = one(tokens, at)?;
    while is_word(tokens, *at, "and") {
        *at += 1;
        left = Filter::Both(Box::new(left), Box::new(one(tokens, at)?));
    }
    Ok(left)
}

fn expect(tokens: &[Token], at: &mut usize, wanted: &Token) -> Result<(), String> {
    if tokens.get(*at) == Some(wanted) {
        *at += 1;
        return Ok(());
    }
    Err(format!("Syntax error: {wanted:?} expected at token {at}."))
}

fn one(tokens: &[Token], at: &mut usize) -> Read {
    let next = tokens.get(*at).cloned();
    *at += 1;
    match next {
        Some(Token::Open) => {
            let inner = either(tokens, at)?;
            expect(tokens, at, &Token::Close)?;
            Ok(inner)
        }
        Some(Token::Word(word)) if word == "not" => Ok(Filter::Not(Box::new(one(tokens, at)?))),
        Some(Token::Word(function))
            if ["startswith", "endswith", "contains"].contains(&function.as_str()) =>
        {
            expect(tokens, at, &Token::Open)?;
            let path = match tokens.get(*at) {
                Some(Token::Word(path)) => path.clone(),
                _ => return Err(format!("'{function}' needs a property.")),
            };
            *at += 1;
            expect(tokens, at, &Token::Comma)?;
            let Some(Token::Text(part)) = tokens.get(*at).cloned() else {
                return Err(format!("'{function}' needs a string."));
            };
            *at += 1;
            expect(tokens, at, &Token::Close)?;
            Ok(Filter::Text(function, path, part))
        }
        Some(Token::Word(path)) => comparison(tokens, at, path),
        _ => Err("Syntax error: an expression ends too early.".to_owned()),
    }
}

fn comparison(tokens: &[Token], at: &mut usize, path: String) -> Read {
    let Some(Token::Word(word)) = tokens.get(*at).cloned() else {
        return Err(format!("A comparison is missing after '{path}'."));
    };
    *at += 1;
    if word == "in" {
        expect(tokens, at, &Token::Open)?;
        let mut all = vec![literal(tokens, at)?];
        while tokens.get(*at) == Some(&Token::Comma) {
            *at += 1;
            all.push(literal(tokens, at)?);
        }
        expect(tokens, at, &Token::Close)?;
        return Ok(Filter::OneOf(path, all));
    }
    let relation = match word.as_str() {
        "eq" => Relation::Eq,
        "ne" => Relation::Ne,
        "gt" => Relation::Gt,
        "ge" => Relation::Ge,
        "lt" => Relation::Lt,
        "le" => Relation::Le,
        _ => return Err(format!("The operator '{word}' is not known.")),
    };
    Ok(Filter::Compared(path, relation, literal(tokens, at)?))
}

fn literal(tokens: &[Token], at: &mut usize) -> Result<Value, String> {
    let next = tokens.get(*at).cloned();
    *at += 1;
    match next {
        Some(Token::Text(text)) => Ok(Value::String(text)),
        Some(Token::Word(word)) => match word.as_str() {
            "true" => Ok(json!(true)),
            "false" => Ok(json!(false)),
            "null" => Ok(Value::Null),
            word => match serde_json::from_str::<serde_json::Number>(word) {
                Ok(number) => Ok(Value::Number(number)),
                // Moments, dates and GUIDs stand without quotes.
                Err(_) if word.starts_with(|c: char| c.is_ascii_hexdigit()) => {
                    Ok(Value::String(word.to_owned()))
                }
                Err(_) => Err(format!("'{word}' is no literal.")),
            },
        },
        _ => Err("Syntax error: a literal is missing.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn holds(filter: &str) -> bool {
        let row = json!({"no": "SO-1", "name": "O'Hara", "n": 2.5, "id": "0a-1", "at": "2026-01-02T03:04:05.123Z", "a": {"b": 1}});
        Filter::parse(filter).unwrap().holds(&row)
    }

    #[test]
    fn expressions_hold_or_not() {
        assert!(holds("no eq 'SO-1' and (n gt 2 or n lt 1)"));
        assert!(holds("name eq 'O''Hara'"));
        assert!(holds("at ge 2026-01-02T03:04:05Z and not (n eq 1)"));
        assert!(holds("id in ('x','0a-1') and a/b eq 1"));
        assert!(holds("startswith(no,'SO') and contains(name, 'Har')"));
        assert!(!holds("missing eq 'x'"));
        assert!(holds("missing eq null"));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "no eq", "no like 'x'", "(no eq 'x'", "no eq 'x", "no eq x y"] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }
}
