//! OData v4 queries over documents: `$filter`, `$orderby`, `$top`, `$skip`, `$select`, `$expand`, `$count`.
//!
//! What is not understood is refused, as a server would. See OData Version 4.01 Part 2: URL Conventions (OASIS).

mod filter;

use rhai::EvalAltResult;
use serde_json::{Map, Value, json};

use filter::Filter;

/// A query, read.
pub struct Query {
    filter: Option<Filter>,
    order: Vec<(Vec<String>, bool)>,
    top: Option<usize>,
    skip: usize,
    select: Vec<String>,
    expand: Vec<(String, Query)>,
    count: bool,
    /// Names of what is only shown when it is expanded.
    navigation: Vec<String>,
    /// Most rows of a page.
    page: usize,
}

type Found = Result<Value, Box<EvalAltResult>>;

impl Query {
    /// Reads one. The options say `fields` (every name there is), `navigation` (what is only shown when expanded), `page` (most
    /// rows at a time).
    ///
    /// # Errors
    /// What is not understood, in words.
    pub fn read(query: &Value, options: &Value) -> Result<Self, String> {
        let names = |key: &str| -> Vec<String> {
            options[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect()
        };
        let fields = names("fields");
        let known = |name: &str| -> Result<(), String> {
            let first = name.split('/').next().unwrap_or(name);
            if fields.is_empty() || fields.iter().any(|f| f == first) {
                return Ok(());
            }
            Err(format!("Could not find a property named '{first}'."))
        };
        let mut read = Self {
            filter: None,
            order: Vec::new(),
            top: None,
            skip: 0,
            select: Vec::new(),
            expand: Vec::new(),
            count: false,
            navigation: names("navigation"),
            page: options["page"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX),
        };
        for (key, value) in query.as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default().trim();
            let number =
                || text.parse::<usize>().map_err(|_| format!("The value '{text}' of '{key}' is not valid."));
            match key.as_str() {
                "$filter" => {
                    let filter = Filter::parse(text)?;
                    filter.paths().iter().try_for_each(|p| known(p))?;
                    read.filter = Some(filter);
                }
                "$orderby" => {
                    for part in text.split(',').map(str::trim) {
                        let (name, down) =
                            part.rsplit_once(' ').map_or((part, false), |(n, way)| (n, way == "desc"));
                        known(name)?;
                        read.order.push((name.split('/').map(str::to_owned).collect(), down));
                    }
                }
                "$top" => read.top = Some(number()?),
                "$skip" => read.skip = number()?,
                "$skiptoken" => read.skip = number()?,
                "$count" => read.count = text == "true",
                "$select" => {
                    for name in text.split(',').map(str::trim).filter(|n| !n.is_empty()) {
                        known(name)?;
                        read.select.push(name.to_owned());
                    }
                }
                "$expand" => read.expand = expansions(text, &read.navigation)?,
                other if other.starts_with('$') => {
                    return Err(format!("The query option '{other}' is not supported."));
                }
                _ => {}
            }
        }
        Ok(read)
    }

    /// The rows it asks for: `#{ value, next, count }`; `next` is how many to skip for the next page, if there is one.
    pub fn run(&self, rows: Vec<Value>, expand: &mut dyn FnMut(&str, &Value) -> Found) -> Found {
        let mut rows: Vec<Value> =
            rows.into_iter().filter(|row| self.filter.as_ref().is_none_or(|f| f.holds(row))).collect();
        if !self.order.is_empty() {
            rows.sort_by(|a, b| {
                self.order.iter().fold(std::cmp::Ordering::Equal, |order, (path, down)| {
                    let next = filter::compare(crate::world::at(a, path), crate::world::at(b, path))
                        .unwrap_or(std::cmp::Ordering::Equal);
                    order.then(if *down { next.reverse() } else { next })
                })
            });
        }
        let total = rows.len();
        let wanted = self.top.unwrap_or(usize::MAX).min(self.page);
        let cut = total.saturating_sub(self.skip) > wanted && self.top.is_none_or(|top| top > self.page);
        let next = if cut { json!(self.skip + wanted) } else { Value::Null };
        let page = rows.into_iter().skip(self.skip).take(wanted);
        let value = page.map(|row| self.shape(row, expand)).collect::<Result<Vec<_>, _>>()?;
        Ok(
            json!({"value": value, "next": next, "count": if self.count { json!(total) } else { Value::Null }}),
        )
    }

    /// One row with what was asked for of it.
    fn shape(&self, row: Value, expand: &mut dyn FnMut(&str, &Value) -> Found) -> Found {
        let mut shown = Map::new();
        for (name, part) in &self.expand {
            let found = match row.get(name) {
                Some(found) => found.clone(),
                None => expand(&format!("expand_{name}"), &row)?,
            };
            let found = match found {
                Value::Array(rows) => part.run(rows, expand)?["value"].take(),
                Value::Null => Value::Null,
                one => part.shape(one, expand)?,
            };
            shown.insert(name.clone(), found);
        }
        let Value::Object(all) = row else { return Ok(row) };
        for (name, value) in all {
            let chosen = self.select.is_empty() || self.select.contains(&name) || name.starts_with('@');
            if chosen && !self.navigation.contains(&name) {
                shown.insert(name, value);
            }
        }
        Ok(Value::Object(shown))
    }
}

/// `a($select=x;$top=1),b`.
fn expansions(text: &str, navigation: &[String]) -> Result<Vec<(String, Query)>, String> {
    let mut all = Vec::new();
    for part in split(text, ',') {
        let (name, inner) = match part.split_once('(') {
            None => (part, ""),
            Some((name, inner)) => (
                name,
                inner
                    .strip_suffix(')')
                    .ok_or_else(|| format!("The expansion '{part}' has no closing parenthesis."))?,
            ),
        };
        if !navigation.iter().any(|n| n == name) {
            return Err(format!("Could not find a navigation property named '{name}'."));
        }
        let mut options = Map::new();
        for option in split(inner, ';').into_iter().filter(|o| !o.is_empty()) {
            let (key, value) =
                option.split_once('=').ok_or_else(|| format!("'{option}' is no query option."))?;
            options.insert(key.to_owned(), Value::String(value.to_owned()));
        }
        all.push((
            name.to_owned(),
            Query::read(&Value::Object(options), &json!({"navigation": navigation}))?,
        ));
    }
    Ok(all)
}

/// Splits at a character outside parentheses and quotes.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (place, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            c if c == at && depth == 0 && !quoted => {
                parts.push(text[start..place].trim());
                start = place + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ask(query: Value) -> Value {
        let rows = vec![
            json!({"no": "A", "n": 3, "lines": [{"x": 1, "y": 2}], "at": "2026-01-02T00:00:00Z"}),
            json!({"no": "B", "n": 1, "lines": [], "at": "2026-01-01T00:00:00Z"}),
            json!({"no": "C", "n": 2, "lines": [], "at": "2026-01-03T00:00:00Z"}),
        ];
        let options = json!({"fields": ["no", "n", "lines", "at"], "navigation": ["lines"], "page": 2});
        Query::read(&query, &options).unwrap().run(rows, &mut |_, _| Ok(Value::Null)).unwrap()
    }

    #[test]
    fn pages_say_where_the_next_one_begins() {
        let first = ask(json!({"$orderby": "n", "$select": "no", "$count": "true"}));
        assert_eq!(first, json!({"value": [{"no": "B"}, {"no": "C"}], "next": 2, "count": 3}));
        assert_eq!(ask(json!({"$orderby": "n", "$skip": "2"}))["next"], Value::Null);
        assert_eq!(ask(json!({"$top": "1"}))["next"], Value::Null);
    }

    #[test]
    fn what_is_expanded_is_shown_as_asked() {
        let rows = ask(json!({"$filter": "no eq 'A'", "$select": "no", "$expand": "lines($select=x)"}));
        assert_eq!(rows["value"], json!([{"no": "A", "lines": [{"x": 1}]}]));
        assert_eq!(ask(json!({"$filter": "at gt 2026-01-02T12:00:00Z"}))["value"][0]["no"], "C");
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let options = json!({"fields": ["no"], "navigation": []});
        for query in [
            json!({"$filter": "x eq 1"}),
            json!({"$expand": "lines"}),
            json!({"$apply": "x"}),
            json!({"$top": "x"}),
        ] {
            assert!(Query::read(&query, &options).is_err(), "{query}");
        }
    }
}
