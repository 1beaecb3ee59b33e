//! What an emulated system holds: collections of documents, with versions, and the older state that a search index shows
//! for a while after a change.
//!
//! Never: knows what a document means.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// One document.
#[derive(Debug, Clone)]
struct Doc {
    value: Value,
    /// In which order documents came into the collection.
    place: u64,
    version: u64,
    /// Earlier states, with the moment each was replaced at: what a search shows until its index has caught up. `None`: it
    /// was not there.
    before: Vec<(Timestamp, Option<Value>)>,
    removed: bool,
}

/// The documents of one kind.
#[derive(Debug, Default, Clone)]
struct Collection {
    docs: HashMap<String, Doc>,
    order: BTreeMap<u64, String>,
    next_place: u64,
}

/// All that one emulated system holds.
#[derive(Debug, Default)]
pub struct World {
    collections: HashMap<String, Collection>,
    counters: HashMap<String, i64>,
    lag: SignedDuration,
    /// What to do to get back to where the present turn began.
    undo: Option<Vec<Undo>>,
}

#[derive(Debug)]
struct Undo {
    collection: String,
    id: String,
    was: Option<Doc>,
}

/// How a document is chosen.
#[derive(Debug, Clone)]
pub struct Condition {
    pub path: Vec<String>,
    pub test: Test,
    pub value: Value,
}

/// A comparison. Texts compare as texts, numbers as numbers, anything else is unequal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    Is,
    Not,
    Over,
    From,
    Under,
    To,
    In,
    Has,
    Starts,
    Known,
}

/// Which documents of a collection, and in which order.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub conditions: Vec<Condition>,
    /// Paths to sort by; `true` is downwards.
    pub sort: Vec<(Vec<String>, bool)>,
    /// Sees what a search index would see now.
    pub indexed: bool,
}

impl World {
    /// How long a search index is behind.
    pub fn set_lag(&mut self, lag: SignedDuration) {
        self.lag = lag;
    }

    /// Begins a turn: what follows can be taken back as a whole.
    pub fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Ends a turn.
    pub fn commit(&mut self) {
        self.undo = None;
    }

    /// Takes back what was done since the turn began. Numbers that were drawn stay drawn, as in a real database.
    pub fn roll_back(&mut self) {
        for step in self.undo.take().unwrap_or_default().into_iter().rev() {
            let collection = self.collections.entry(step.collection).or_default();
            match step.was {
                Some(doc) => {
                    collection.order.insert(doc.place, step.id.clone());
                    collection.docs.insert(step.id, doc);
                }
                None => {
                    if let Some(doc) = collection.docs.remove(&step.id) {
                        collection.order.remove(&doc.place);
                    }
                }
            }
        }
    }

    /// Where the present turn stands, to go back to with [`Self::roll_back_to`].
    pub fn savepoint(&self) -> usize {
        self.undo.as_ref().map_or(0, Vec::len)
    }

    /// Takes back what was done since the savepoint.
    pub fn roll_back_to(&mut self, savepoint: usize) {
        let Some(undo) = self.undo.as_mut() else { return };
        let kept = undo.drain(..savepoint.min(undo.len())).collect();
        self.roll_back();
        self.undo = Some(kept);
    }

    /// The next number of a counter, from 1.
    pub fn next(&mut self, counter: &str) -> i64 {
        let n = self.counters.entry(counter.to_owned()).or_insert(0);
        *n += 1;
        *n
    }

    /// Lets a counter go on from a number.
    pub fn count_from(&mut self, counter: &str, from: i64) {
        self.counters.insert(counter.to_owned(), from);
    }

    /// A document, unless it was removed.
    pub fn get(&self, collection: &str, id: &str) -> Option<&Value> {
        self.doc(collection, id).filter(|d| !d.removed).map(|d| &d.value)
    }

    /// How often a document was written; 0 when it is not there.
    pub fn version(&self, collection: &str, id: &str) -> u64 {
        self.doc(collection, id).filter(|d| !d.removed).map_or(0, |d| d.version)
    }

    fn doc(&self, collection: &str, id: &str) -> Option<&Doc> {
        self.collections.get(collection)?.docs.get(id)
    }

    /// Writes a document.
    pub fn put(&mut self, collection: &str, id: &str, value: Value, now: Timestamp) {
        self.write(collection, id, Some(value), now);
    }

    /// Removes a document; a search may still show it for a while.
    pub fn remove(&mut self, collection: &str, id: &str, now: Timestamp) -> bool {
        if self.get(collection, id).is_none() {
            return false;
        }
        self.write(collection, id, None, now);
        true
    }

    fn write(&mut self, name: &str, id: &str, value: Option<Value>, now: Timestamp) {
        let lag = self.lag;
        let collection = self.collections.entry(name.to_owned()).or_default();
        let was = collection.docs.get(id).cloned();
        if let Some(undo) = &mut self.undo {
            undo.push(Undo { collection: name.to_owned(), id: id.to_owned(), was: was.clone() });
        }
        let mut doc = was.unwrap_or_else(|| {
            collection.next_place += 1;
            Doc {
                value: Value::Null,
                place: collection.next_place,
                version: 0,
                before: Vec::new(),
                removed: true,
            }
        });
        doc.before.retain(|(at, _)| *at + lag > now);
        if lag > SignedDuration::ZERO {
            let before = (!doc.removed).then(|| doc.value.clone());
            doc.before.push((now, before));
        }
        doc.removed = value.is_none();
        if let Some(value) = value {
            doc.value = value;
        }
        doc.version += 1;
        collection.order.insert(doc.place, id.to_owned());
        collection.docs.insert(id.to_owned(), doc);
    }

    /// Ids and documents of a selection.
    pub fn select(&self, collection: &str, wanted: &Selection, now: Timestamp) -> Vec<(&str, &Value)> {
        let Some(collection) = self.collections.get(collection) else { return Vec::new() };
        let mut found: Vec<(&str, &Value)> = collection
            .order
            .values()
            .filter_map(|id| Some((id.as_str(), collection.docs.get(id)?)))
            .filter_map(|(id, doc)| Some((id, self.seen(doc, wanted.indexed, now)?)))
            .filter(|(_, value)| wanted.conditions.iter().all(|c| c.holds(value)))
            .collect();
        if !wanted.sort.is_empty() {
            found.sort_by(|(_, a), (_, b)| {
                let each = wanted.sort.iter().map(|(path, down)| {
                    let order = compare(at(a, path), at(b, path)).unwrap_or(std::cmp::Ordering::Equal);
                    if *down { order.reverse() } else { order }
                });
                each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
            });
        }
        found
    }

    fn seen<'a>(&self, doc: &'a Doc, indexed: bool, now: Timestamp) -> Option<&'a Value> {
        if indexed
            // The oldest state whose replacement the index has not seen yet.
            && let Some((_, before)) = doc.before.iter().find(|(at, _)| *at + self.lag > now)
        {
            return before.as_ref();
        }
        (!doc.removed).then_some(&doc.value)
    }
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let found = at(value, &self.path);
        let order = || compare(found, &self.value);
        match self.test {
            Test::Is => order() == Some(Equal),
            Test::Not => order() != Some(Equal),
            Test::Over => order() == Some(Greater),
            Test::From => matches!(order(), Some(Greater | Equal)),
            Test::Under => order() == Some(Less),
            Test::To => matches!(order(), Some(Less | Equal)),
            Test::In => {
                self.value.as_array().is_some_and(|all| all.iter().any(|v| compare(found, v) == Some(Equal)))
            }
            Test::Has => match (found, &self.value) {
                (Value::Array(all), wanted) => all.iter().any(|v| compare(v, wanted) == Some(Equal)),
                (Value::String(text), Value::String(part)) => {
                    text.to_lowercase().contains(&part.to_lowercase())
                }
                _ => false,
            },
            Test::Starts => match (found, &self.value) {
                (Value::String(text), Value::String(part)) => {
                    text.to_lowercase().starts_with(&part.to_lowercase())
                }
                _ => false,
            },
            Test::Known => found.is_null() != self.value.as_bool().unwrap_or(true),
        }
    }
}

/// The value at a path; null where there is none.
pub fn at<'a>(value: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(value, |v, key| v.get(key).unwrap_or(&Value::Null))
}

/// Which comes first, where that can be said.
pub fn compare(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => match (a.parse::<Timestamp>(), b.parse::<Timestamp>()) {
            (Ok(a), Ok(b)) => Some(a.cmp(&b)),
            _ => Some(a.cmp(b)),
        },
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Null, Value::Null) => Some(std::cmp::Ordering::Equal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn at_second(s: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + s).unwrap()
    }

    fn ids(world: &World, indexed: bool, now: Timestamp) -> Vec<String> {
        let wanted = Selection {
            conditions: vec![Condition { path: vec!["name".into()], test: Test::Is, value: json!("b") }],
            sort: Vec::new(),
            indexed,
        };
        world.select("things", &wanted, now).into_iter().map(|(id, _)| id.to_owned()).collect()
    }

    #[test]
    fn a_search_sees_changes_late() {
        let mut world = World::default();
        world.set_lag(SignedDuration::from_secs(10));
        world.put("things", "1", json!({"name": "a"}), at_second(0));
        world.put("things", "1", json!({"name": "b"}), at_second(20));
        assert_eq!(ids(&world, false, at_second(21)), ["1"]);
        assert!(ids(&world, true, at_second(21)).is_empty());
        assert_eq!(ids(&world, true, at_second(31)), ["1"]);
        world.remove("things", "1", at_second(40));
        assert!(ids(&world, false, at_second(41)).is_empty());
        assert_eq!(ids(&world, true, at_second(41)), ["1"]);
        assert!(ids(&world, true, at_second(51)).is_empty());
    }

    #[test]
    fn a_turn_can_be_taken_back() {
        let mut world = World::default();
        world.put("things", "1", json!({"name": "b"}), at_second(0));
        world.begin();
        world.put("things", "2", json!({"name": "b"}), at_second(1));
        world.remove("things", "1", at_second(1));
        let here = world.savepoint();
        world.put("things", "3", json!({"name": "b"}), at_second(1));
        world.roll_back_to(here);
        assert_eq!(ids(&world, false, at_second(2)), ["2"]);
        world.roll_back();
        assert_eq!(ids(&world, false, at_second(2)), ["1"]);
        assert_eq!(world.version("things", "1"), 1);
    }
}
