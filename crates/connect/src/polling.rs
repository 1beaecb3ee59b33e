//! Reads a stream page by page: rounds with a common start, a high-water mark that moves when a round is complete.
//!
//! Never: skips what moved while it was paging; moves the mark past what was not read.

use counterpart_model::delivery::FailureClass;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::budget::Purpose;
use crate::connection::{CallError, Connection};
use crate::manifest::{Code, PageStyle, RequestKind, Stream};
use crate::places::READ_BEGAN;
use crate::reading::{Item, id_of, item};

/// How often a round begins again because rows moved while it was paging.
const RESTARTS: u32 = 3;

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// When the read began.
    pub read_began: Timestamp,
    /// What it gave, where the stream reads things itself.
    pub items: Vec<Item>,
    /// What it named, where the stream leaves the reading to a fetch.
    pub names: Vec<Name>,
    /// Where the next call goes on.
    pub cursor: Value,
    /// The round has more pages.
    pub more: bool,
}

/// A thing that a stream names for a fetch to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Remote id.
    pub id: String,
    /// Changes whenever the thing does; `None` when the stream cannot tell.
    pub version: Option<String>,
}

/// Where a stream stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Cursor {
    /// Highest mark of the last complete round.
    #[serde(default)]
    mark: Value,
    /// The round that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    round: Option<Round>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Round {
    since: Value,
    began: Timestamp,
    page: u64,
    offset: u64,
    #[serde(default)]
    next: Value,
    #[serde(default)]
    high: Value,
    #[serde(default)]
    last: Option<String>,
    #[serde(default)]
    restarts: u32,
    /// Marks have come in ascending order so far, so that all below the highest has been seen.
    #[serde(default)]
    unsorted: bool,
    /// Something may have been missed: the mark does not move at the end.
    #[serde(default)]
    slipped: bool,
}

impl Connection {
    /// Reads the next page. Called again with the cursor it gave until `more` is false; then the round is complete.
    ///
    /// # Errors
    /// When the call or one of the stream's programs fails; the cursor stays where it was.
    pub async fn poll(&self, name: &str, cursor: Option<&Value>) -> Result<Page, CallError> {
        let stream = self.inner.connector.manifest.streams.get(name).ok_or_else(|| {
            CallError::not_sent(FailureClass::Rejected, format!("the connector has no stream `{name}`"))
        })?;
        // A cursor of an older connector version begins anew rather than not at all.
        let mut state: Cursor =
            cursor.and_then(|c| serde_json::from_value(c.clone()).ok()).unwrap_or_default();
        let now = self.inner.clock.now();
        let mut round = state.round.take().unwrap_or_else(|| begin(stream, &state.mark, now));
        let overlap = u64::from(stream.page.style == PageStyle::Offset && round.offset > 0);
        let meta = self.inner.meta(now, None);
        let fault = |error: counterpart_mapping::program::RunError| {
            CallError::not_sent(FailureClass::Rejected, format!("stream `{name}`: {error}"))
        };
        let run = |code, input: &Value| self.inner.run(code, input, &meta).map_err(fault);
        let input = json!({
            "since": round.since,
            "cursor": round.next,
            "page": round.page,
            "offset": round.offset - overlap,
            "limit": stream.page.limit,
        });
        let request = run(&stream.request, &input)?;
        let answer = self
            .inner
            .call(&request, RequestKind::Read, Purpose::Polling, self.inner.timeout)
            .await
            .map_err(|(error, _)| error)?;
        let whole = answer.input(&json!({}));
        let found = run(&stream.items, &whole)?;
        let found = found.as_array().cloned().unwrap_or_default();
        let mut ids = Vec::with_capacity(found.len());
        for entry in &found {
            ids.push(id_of(&run(&stream.id, entry)?));
        }
        let mut fresh = 0;
        if overlap == 1 {
            // The page begins with the last one's last item. Where it stands later, rows came in before it and some are
            // here twice; where it is gone, rows left, and one may have slipped over the page's edge.
            match ids.iter().position(|id| *id == round.last) {
                Some(at) => fresh = at + 1,
                None if round.restarts < RESTARTS => {
                    let restarts = round.restarts + 1;
                    if !round.unsorted && marked(stream).is_some() {
                        // What has been read is complete up to its highest mark: the new round begins there.
                        state.mark = higher(state.mark, round.high);
                    }
                    state.round = Some(Round { restarts, ..begin(stream, &state.mark, now) });
                    return Ok(Page {
                        read_began: now,
                        items: Vec::new(),
                        names: Vec::new(),
                        cursor: json!(state),
                        more: true,
                    });
                }
                None => round.slipped = true,
            }
        }
        let (mut items, mut names) = (Vec::new(), Vec::new());
        for (entry, id) in found.iter().zip(&ids).skip(fresh) {
            if let Some(mark) = marked(stream) {
                let mark = plausible(run(mark, entry)?, round.began);
                let before = std::mem::take(&mut round.high);
                round.high = higher(before.clone(), mark.clone());
                round.unsorted |= !mark.is_null() && round.high == before && mark != before;
            }
            let Some(id) = id.clone() else { continue };
            if stream.fetch.is_none() {
                items.push(item(id, entry));
                continue;
            }
            let version = match &stream.version {
                Some(code) => match run(code, entry)? {
                    Value::Null => None,
                    Value::String(text) => Some(text),
                    other => Some(other.to_string()),
                },
                None => None,
            };
            names.push(Name { id, version });
        }
        let full = u64::try_from(found.len()).unwrap_or(u64::MAX) >= stream.page.limit;
        let next = match (&stream.next, stream.page.style) {
            (Some(code), PageStyle::Cursor) => run(code, &whole)?,
            _ => Value::Null,
        };
        let more = match (&stream.more, stream.page.style) {
            (_, PageStyle::None) => false,
            (Some(code), _) => run(code, &whole)? == Value::Bool(true),
            (None, PageStyle::Cursor) => !next.is_null(),
            (None, _) => full,
        };
        // Without an item there is no progress, whatever the answer says.
        let more = more && !found.is_empty() && (stream.page.style != PageStyle::Cursor || !next.is_null());
        if more {
            round.page += 1;
            round.offset = round.offset - overlap + u64::try_from(found.len()).unwrap_or(0);
            round.last = ids.last().cloned().flatten();
            round.next = next;
            state.round = Some(round);
        } else {
            if !round.slipped {
                state.mark = finished(stream, state.mark, &round);
            }
        }
        Ok(Page { read_began: now, items, names, cursor: json!(state), more })
    }
}

fn begin(stream: &Stream, mark: &Value, now: Timestamp) -> Round {
    Round {
        since: since(stream, mark),
        began: now,
        page: 1,
        offset: 0,
        next: Value::Null,
        high: Value::Null,
        last: None,
        restarts: 0,
        unsorted: false,
        slipped: false,
    }
}

/// The program that gives an item's mark.
fn marked(stream: &Stream) -> Option<&Code> {
    stream.mark.as_ref().filter(|m| m.text != READ_BEGAN)
}

/// A time that lies in the future by more than any clock is wrong would stop the stream until then.
fn plausible(mark: Value, began: Timestamp) -> Value {
    let latest = began.checked_add(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MAX);
    match mark.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(at) if at > latest => json!(began),
        _ => mark,
    }
}

/// The mark less the look-back.
fn since(stream: &Stream, mark: &Value) -> Value {
    let back = i64::try_from(stream.look_back_s).unwrap_or(i64::MAX);
    match mark {
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(at) => json!(at.checked_sub(SignedDuration::from_secs(back)).unwrap_or(Timestamp::MIN)),
            Err(_) => mark.clone(),
        },
        Value::Number(number) => match number.as_i64() {
            Some(number) => json!(number.saturating_sub(back)),
            None => mark.clone(),
        },
        _ => Value::Null,
    }
}

/// The higher of two marks; what is no mark counts for nothing.
fn higher(a: Value, b: Value) -> Value {
    match (&a, &b) {
        (Value::Null, _) => b,
        (Value::Number(x), Value::Number(y)) if y.as_i64() > x.as_i64() => b,
        (Value::String(x), Value::String(y)) => {
            let later = match (x.parse::<Timestamp>(), y.parse::<Timestamp>()) {
                (Ok(x), Ok(y)) => y > x,
                _ => y > x,
            };
            if later { b } else { a }
        }
        _ => a,
    }
}

fn finished(stream: &Stream, before: Value, round: &Round) -> Value {
    match &stream.mark {
        Some(mark) if mark.text == READ_BEGAN => json!(round.began),
        // A full round that saw only old rows does not move the mark back.
        Some(_) => higher(before, round.high.clone()),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_compared_as_what_they_are() {
        for (a, b, expect) in [
            (Value::Null, json!(3), json!(3)),
            (json!(9), json!(10), json!(10)),
            (json!(9), Value::Null, json!(9)),
            (
                json!("2026-01-01T00:00:00Z"),
                json!("2026-01-01T01:00:00+02:00"),
                json!("2026-01-01T00:00:00Z"),
            ),
            (
                json!("2026-01-01T00:00:00Z"),
                json!("2026-01-01T03:00:00+02:00"),
                json!("2026-01-01T03:00:00+02:00"),
            ),
        ] {
            assert_eq!(higher(a, b), expect);
        }
    }
}
