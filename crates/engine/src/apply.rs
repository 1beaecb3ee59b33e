//! One change: is it news, what does it make of the record, who must hear of it. Everything as effects of one
//! transaction.
//!
//! Never: finds out which record a change is about (that was done before); evaluates a filter by itself.

use std::cmp::Ordering;

use counterpart_model::change::{Change, ChangeOutcome};
use counterpart_model::check::{Problem, check};
use counterpart_model::delivery::{
    Action, Delivery, Lane, NewDelivery, NewReview, ReviewReason, ReviewSubject,
};
use counterpart_model::effect::{Effect, Reservation};
use counterpart_model::ids::{ConnectionName, RecordId, RowId};
use counterpart_model::kind::{DeliveryStyle, Kind};
use counterpart_model::record::{Counterpart, Record, Role, SourceVersion};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::merge::{Merge, Merged, merge, same};
use crate::orders::{OrderDecision, asks_for_more, order_action};
use crate::rules::{Flow, FlowState, Rules};
use crate::stock;

/// What is known of the record that a change is about.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The record; `None` when the change is the first word of it.
    pub record: Option<Record>,
    /// All its counterparts.
    pub counterparts: Vec<Counterpart>,
    /// Its open deliveries.
    pub open: Vec<Delivery>,
    /// What it holds of stock, when it is an order.
    pub reservations: Vec<Reservation>,
    /// Fields that two systems keep changing, see [`crate::merge::flipping`].
    pub frozen: Vec<String>,
}

/// Name of the key that is the record's own id, see `keys` of the identity crate.
pub const OWN_KEY: &str = "record";

/// Evaluates a flow's filter on a payload; the error says why it cannot.
pub type Filter<'a> = dyn Fn(&Flow, &Value) -> Result<bool, String> + 'a;

/// Everything a decision needs.
pub struct ApplyInput<'a> {
    /// Rules.
    pub rules: &'a Rules,
    /// The change, its references resolved.
    pub change: &'a Change,
    /// The inbox entry it was read from.
    pub inbox: Option<RowId>,
    /// When that arrived: the start of the latency clock.
    pub arrived_at: Timestamp,
    /// The present moment.
    pub now: Timestamp,
    /// Id for a new record.
    pub new_id: RecordId,
    /// What is known.
    pub known: &'a Known,
    /// Root of the record's lane: the order of a shipment, the item of a price, or the record itself.
    pub root: RecordId,
    /// Keys under which the record can be found.
    pub keys: Vec<(String, String)>,
    /// Location that the source's orders are taken from.
    pub location: &'a str,
    /// It was read by us just now, as opposed to told by somebody.
    pub read_back: bool,
    /// Evaluates filters.
    pub filter: &'a Filter<'a>,
}

/// The decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// What to write.
    pub effects: Vec<Effect>,
    /// How the change ended.
    pub outcome: ChangeOutcome,
    /// The record it is about, unless it was not taken.
    pub record: Option<RecordId>,
    /// The source must be asked again: its clock cannot tell which of two states is newer.
    pub read_back: bool,
}

/// Decides.
pub fn apply_change(input: &ApplyInput<'_>) -> Applied {
    let change = input.change;
    let there = input.known.counterparts.iter().find(|c| {
        c.connection == change.connection && c.external == change.external && c.role != Role::Shared
    });
    let record = input.known.record.as_ref().map(|r| r.id);
    if change.deleted {
        return deleted(input, there);
    }
    let read_back = match news(there.and_then(|c| c.observed_version.as_ref()), &change.version) {
        News::Newer => false,
        News::Likely => !input.read_back,
        News::Duplicate => return duplicate(input, there),
        News::Stale => return ended(input, ChangeOutcome::Stale, record, false),
        News::Unclear => return ended(input, ChangeOutcome::Stale, record, true),
    };
    let mut applied = take(input, there);
    applied.read_back |= read_back;
    applied
}

/// What is news is merged, unless it says what was said before.
fn take(input: &ApplyInput<'_>, there: Option<&Counterpart>) -> Applied {
    let change = input.change;
    let said_before = there.and_then(|c| c.observed.as_ref());
    let says_nothing_new = said_before.is_some_and(|before| adds_nothing(before, &change.payload));
    if let (true, Some(there), Some(record)) = (says_nothing_new, there, &input.known.record) {
        let outcome = if there.written.is_some() { ChangeOutcome::Echo } else { ChangeOutcome::Duplicate };
        let mut applied = ended(input, outcome, Some(record.id), false);
        applied.effects.insert(0, Effect::PutCounterpart(Box::new(observed(input, record.id, Some(there)))));
        return applied;
    }
    let merged = merge(&Merge {
        rules: input.rules,
        kind: change.kind,
        source: &change.connection,
        record: input.known.record.as_ref().map(|r| &r.payload),
        base: said_before,
        change: &change.payload,
        frozen: &input.known.frozen,
    });
    if let Err(problems) = check(change.kind, &merged.payload) {
        return invalid(input, &problems);
    }
    taken(input, there, merged)
}

/// Is it news?
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// By the source's own clock.
    Newer,
    /// It was read later, though the source's clock has not moved or contradicts that: taken, and asked for again
    /// unless it was read for its own sake.
    Likely,
    Duplicate,
    Stale,
    /// Nothing tells which of two states is newer.
    Unclear,
}

/// Source order: sequence or time first, then which read began later.
fn news(known: Option<&SourceVersion>, new: &SourceVersion) -> News {
    let Some(known) = known else { return News::Newer };
    if known.fingerprint == new.fingerprint {
        return News::Duplicate;
    }
    match moved(known, new) {
        // Read before what is known was read (or written by us), yet newer by its own clock.
        Ordering::Greater if new.read_began < known.read_began => News::Likely,
        Ordering::Greater => News::Newer,
        Ordering::Less => News::Stale,
        Ordering::Equal => match new.read_began.cmp(&known.read_began) {
            Ordering::Greater => News::Likely,
            Ordering::Equal => News::Unclear,
            // Read before our own write there was confirmed: of before that write, or of after it.
            Ordering::Less if known.fingerprint.is_empty() => News::Unclear,
            Ordering::Less => News::Stale,
        },
    }
}

/// Which way the source's own clock has moved, as far as it has one.
fn moved(known: &SourceVersion, new: &SourceVersion) -> Ordering {
    let by_sequence = known.sequence.zip(new.sequence).map_or(Ordering::Equal, |(old, new)| new.cmp(&old));
    let by_time = known.at.zip(new.at).map_or(Ordering::Equal, |(old, new)| new.cmp(&old));
    by_sequence.then(by_time)
}

/// The same payload again. What stands beside it may still be news: that it is settled, ids of its parts, or a later
/// time of the same state, without which an older state that comes late would pass for a newer one.
fn duplicate(input: &ApplyInput<'_>, there: Option<&Counterpart>) -> Applied {
    let record = input.known.record.as_ref().map(|r| r.id);
    let mut applied = ended(input, ChangeOutcome::Duplicate, record, false);
    let (Some(old), Some(record)) = (there, record) else { return applied };
    let new = &input.change.version;
    let Some(known) = &old.observed_version else { return applied };
    let later = moved(known, new).then(new.read_began.cmp(&known.read_began)) == Ordering::Greater;
    if !later {
        return applied;
    }
    let seen = observed(input, record, Some(old));
    // A read that found nothing else than a later time of reading is only worth a write for stock: it ends reservations.
    let worth = seen.settled != old.settled
        || seen.links != old.links
        || moved(known, new) == Ordering::Greater
        || input.change.kind == Kind::Stock;
    if worth {
        applied.effects.insert(0, Effect::PutCounterpart(Box::new(seen)));
    }
    applied
}

/// Every field of a change is what was seen there before.
fn adds_nothing(before: &Value, change: &Value) -> bool {
    change.as_object().is_some_and(|fields| {
        fields.iter().all(|(field, value)| same(before.get(field).unwrap_or(&Value::Null), value))
    })
}

fn ended(
    input: &ApplyInput<'_>,
    outcome: ChangeOutcome,
    record: Option<RecordId>,
    read_back: bool,
) -> Applied {
    let end = Effect::EndChange {
        inbox: input.inbox,
        change: Box::new(input.change.clone()),
        outcome: outcome.clone(),
    };
    Applied { effects: vec![end], outcome, record, read_back }
}

/// A thing deleted at its source stays here as a record: what happened to it elsewhere is still true. No further change
/// is expected there.
fn deleted(input: &ApplyInput<'_>, there: Option<&Counterpart>) -> Applied {
    let rule = format!("deleted in {}: the record stays", input.change.connection);
    let record = input.known.record.as_ref().map(|r| r.id);
    let mut applied = ended(input, ChangeOutcome::Filtered { rule }, record, false);
    if let Some(there) = there.filter(|c| !c.settled) {
        let settled = Counterpart { settled: true, updated_at: input.now, ..there.clone() };
        applied.effects.insert(0, Effect::PutCounterpart(Box::new(settled)));
    }
    applied
}

/// What breaks the canonical shape changes nothing and waits for a person.
fn invalid(input: &ApplyInput<'_>, problems: &[Problem]) -> Applied {
    let change = input.change;
    let first = problems.first();
    let message = format!(
        "{} {} of {} breaks the canonical shape: {}{}",
        change.kind,
        change.label.clone().unwrap_or_else(|| change.external.to_string()),
        change.connection,
        first.map(|p| format!("{}: {}, expected {}", p.path, p.message, p.expected)).unwrap_or_default(),
        if problems.len() > 1 { format!(" (and {} more)", problems.len() - 1) } else { String::new() },
    );
    let record = input.known.record.as_ref().map(|r| r.id);
    let subject = match input.inbox {
        Some(inbox) => ReviewSubject::Inbox(inbox),
        None => ReviewSubject::Record(record.unwrap_or(input.new_id)),
    };
    let review = NewReview {
        subject,
        reason: ReviewReason::Invalid,
        message,
        detail: json!({ "problems": problems, "external": change.external }),
        connection: Some(change.connection.clone()),
        record,
    };
    let outcome = ChangeOutcome::InReview { reason: ReviewReason::Invalid.as_str().into() };
    let mut applied = ended(input, outcome, record, false);
    applied.effects.insert(0, Effect::OpenReview(Box::new(review)));
    applied
}

fn taken(input: &ApplyInput<'_>, there: Option<&Counterpart>, merged: Merged) -> Applied {
    let change = input.change;
    let old = input.known.record.as_ref();
    let id = old.map_or(input.new_id, |r| r.id);
    let mut effects = Vec::new();
    let news = old.is_none() || !merged.changed.is_empty();
    let record = Record {
        id,
        kind: change.kind,
        version: old.map_or(1, |r| if news { r.version + 1 } else { r.version }),
        label: change.label.clone().or_else(|| old.and_then(|r| r.label.clone())),
        payload: merged.payload.clone(),
        created_at: old.map_or(input.now, |r| r.created_at),
        updated_at: if news { input.now } else { old.map_or(input.now, |r| r.updated_at) },
    };
    if news {
        let what = if merged.changed.is_empty() { "first seen".into() } else { merged.changed.join(", ") };
        effects.push(Effect::PutRecord {
            record: record.clone(),
            expected: old.map(|r| r.version),
            keys: keys(input, id),
            cause: format!("{} {}: {what}", change.connection, change.external),
        });
    }
    effects.push(Effect::PutCounterpart(Box::new(observed(input, id, there))));
    let mut filtered = Vec::new();
    let mut routed = false;
    let mut deliveries = Vec::new();
    if news {
        for flow in flows_from(input) {
            routed = true;
            match route(input, &record, flow) {
                Route::Deliver(action, why) => deliveries.push(delivery(input, &record, flow, action, why)),
                Route::Held(rule) => filtered.push(rule),
                Route::Broken(why) => {
                    filtered.push(format!("the filter of flow {} fails on it", flow.name));
                    effects.push(broken_filter(input, id, flow, &why));
                }
            }
        }
    }
    if !merged.reverted.is_empty() && change.kind.style() == DeliveryStyle::State {
        let fields = merged.reverted.join(", ");
        match input.rules.flows.iter().find(|f| f.kind == change.kind && f.to == change.connection) {
            Some(flow) => match flow.holds_back(&record) {
                Some(rule) => filtered.push(rule),
                None => {
                    let why = format!("{} does not own {fields}", change.connection);
                    deliveries.push(delivery(input, &record, flow, Action::Upsert, Some(why)));
                }
            },
            None => filtered.push(format!(
                "{} does not own {fields}; no flow goes there, so its edit stays there",
                change.connection
            )),
        }
    }
    if !merged.conflicts.is_empty() {
        effects.push(conflict(input, id, &merged.conflicts));
    }
    let count = u32::try_from(deliveries.len()).unwrap_or(u32::MAX);
    effects.extend(deliveries);
    effects.extend(holds(input, &record));
    let outcome = if !news && count == 0 && there.is_some() && merged.conflicts.is_empty() {
        ChangeOutcome::Duplicate
    } else if news && !routed && count == 0 {
        ChangeOutcome::Unrouted { record: id }
    } else {
        ChangeOutcome::Applied { record: id, version: record.version, deliveries: count, filtered }
    };
    let end =
        Effect::EndChange { inbox: input.inbox, change: Box::new(change.clone()), outcome: outcome.clone() };
    effects.push(end);
    Applied { effects, outcome, record: Some(id), read_back: false }
}

/// Keys under which the record can be found. Its own id is one: a target that keeps it beside what we make there lets
/// its first word of that thing find the record, even before our write is confirmed.
fn keys(input: &ApplyInput<'_>, id: RecordId) -> Vec<(String, String)> {
    let own = (OWN_KEY.to_owned(), id.to_string());
    let made_elsewhere = !matches!(input.change.kind, Kind::Price | Kind::Stock);
    input.keys.iter().cloned().chain(made_elsewhere.then_some(own)).collect()
}

/// The source's counterpart after this change.
fn observed(input: &ApplyInput<'_>, record: RecordId, there: Option<&Counterpart>) -> Counterpart {
    let change = input.change;
    let mut seen = there.and_then(|c| c.observed.clone()).unwrap_or_else(|| json!({}));
    overlay(&mut seen, &change.payload);
    let mut links = there.map_or_else(|| json!({}), |c| c.links.clone());
    deep_overlay(&mut links, &change.links);
    let mut version = change.version.clone();
    // The time of reading never goes back: so a store can tell that two writers met.
    let before = there.and_then(|c| c.observed_version.as_ref()).map(|v| v.read_began);
    version.read_began = before.map_or(version.read_began, |before| before.max(version.read_began));
    Counterpart {
        record,
        kind: change.kind,
        connection: change.connection.clone(),
        external: change.external.clone(),
        role: there.map_or(change.role, |c| c.role),
        number: there.and_then(|c| c.number.clone()).or_else(|| change.label.clone()),
        links,
        observed: Some(seen),
        observed_version: Some(version),
        written: there.and_then(|c| c.written.clone()),
        written_version: there.and_then(|c| c.written_version),
        settled: change.settled,
        updated_at: input.now,
    }
}

fn overlay(target: &mut Value, with: &Value) {
    if let (Some(target), Some(with)) = (target.as_object_mut(), with.as_object()) {
        target.extend(with.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
}

/// Overlays objects at every depth.
pub(crate) fn deep_overlay(target: &mut Value, with: &Value) {
    match (target, with) {
        (Value::Object(target), Value::Object(with)) => {
            for (key, value) in with {
                deep_overlay(target.entry(key.clone()).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (target, with) if !with.is_null() => *target = with.clone(),
        _ => {}
    }
}

fn flows_from<'a>(input: &'a ApplyInput<'_>) -> impl Iterator<Item = &'a Flow> {
    let change = input.change;
    input.rules.flows.iter().filter(move |f| {
        f.kind == change.kind && f.from.contains(&change.connection) && f.to != change.connection
    })
}

enum Route {
    Deliver(Action, Option<String>),
    Held(String),
    Broken(String),
}

fn route(input: &ApplyInput<'_>, record: &Record, flow: &Flow) -> Route {
    if let Some(rule) = flow.holds_back(record) {
        return Route::Held(rule);
    }
    match (input.filter)(flow, &record.payload) {
        Ok(true) => {}
        Ok(false) => return Route::Held(format!("the filter of flow {} says no", flow.name)),
        Err(why) => return Route::Broken(why),
    }
    if record.kind.style() != DeliveryStyle::Order {
        return Route::Deliver(Action::Upsert, None);
    }
    let there = input.known.counterparts.iter().find(|c| c.connection == flow.to && c.role == Role::Primary);
    let same_way = |d: &&Delivery| d.spec.flow == flow.name && d.spec.action != Action::Refuse;
    let open: Vec<&Delivery> = input.known.open.iter().filter(same_way).collect();
    // What is open may have been rendered from the order as it was, or waits before a person for what it no longer is:
    // when its turn comes, what the order has become is looked at once more.
    let before = input.known.record.as_ref().map(|r| &r.payload);
    let moved = before.is_some_and(|before| asks_for_more(before, &record.payload));
    match order_action(record, there, &open, flow) {
        OrderDecision::Nothing(_) if !open.is_empty() && moved => {
            Route::Deliver(Action::Amend, Some("it changed while an earlier state was under way".into()))
        }
        OrderDecision::Deliver(action) => Route::Deliver(action, None),
        OrderDecision::Nothing(why) => Route::Held(format!("flow {}: {why}", flow.name)),
    }
}

/// A delivery, with the open ones that it replaces. One whose request may be on its way is never replaced: what it did
/// must be found out first.
fn delivery(
    input: &ApplyInput<'_>,
    record: &Record,
    flow: &Flow,
    action: Action,
    reason: Option<String>,
) -> Effect {
    let event = record.kind.style() == DeliveryStyle::Event;
    let replaces = |d: &&Delivery| {
        d.spec.flow == flow.name
            && d.spec.action != Action::Refuse
            && d.intent.is_none()
            && !d.state.is_final()
    };
    let supersedes =
        if event { Vec::new() } else { input.known.open.iter().filter(replaces).map(|d| d.id).collect() };
    let root = if input.root == input.new_id { record.id } else { input.root };
    let spec = NewDelivery {
        flow: flow.name.clone(),
        lane: Lane { connection: flow.to.clone(), root },
        record: record.id,
        kind: record.kind,
        version: record.version,
        action,
        freshness: flow.freshness,
        next_at: input.now,
        payload: event.then(|| record.payload.clone()),
        origin_at: input.arrived_at,
        reason,
    };
    Effect::AddDelivery { delivery: Box::new(spec), supersedes }
}

fn broken_filter(input: &ApplyInput<'_>, record: RecordId, flow: &Flow, why: &str) -> Effect {
    Effect::OpenReview(Box::new(NewReview {
        subject: ReviewSubject::Record(record),
        reason: ReviewReason::MappingFailed,
        message: format!(
            "the filter of flow {} fails: {why}; correct it, apply, then replay the flow",
            flow.name
        ),
        detail: json!({ "flow": flow.name }),
        connection: Some(input.change.connection.clone()),
        record: Some(record),
    }))
}

fn conflict(input: &ApplyInput<'_>, record: RecordId, fields: &[String]) -> Effect {
    let change = input.change;
    let frozen = fields.iter().all(|field| input.known.frozen.contains(field));
    let list = fields.join(", ");
    let message = if frozen {
        format!("{list}: two systems keep changing it; it stays as it is until a person decides")
    } else {
        format!("{} edited {list}, which another system owns: decide whose word counts", change.connection)
    };
    let said: Map<String, Value> =
        fields.iter().filter_map(|f| Some((f.clone(), change.payload.get(f)?.clone()))).collect();
    Effect::OpenReview(Box::new(NewReview {
        subject: ReviewSubject::Record(record),
        reason: ReviewReason::Conflict,
        message,
        detail: json!({ "fields": fields, "said": said }),
        connection: Some(change.connection.clone()),
        record: Some(record),
    }))
}

/// What an order holds of stock, when that changed.
fn holds(input: &ApplyInput<'_>, record: &Record) -> Option<Effect> {
    if record.kind != Kind::Order {
        return None;
    }
    let before = &input.known.reservations;
    let store = before.first().map_or(&input.change.connection, |row| &row.store);
    let owners = |c: &&Counterpart| Some(&c.connection) == input.rules.stock_owner.as_ref();
    let written = input.known.counterparts.iter().filter(owners).find_map(|c| c.written.as_ref());
    let mut rows = stock::reservations(record.id, &record.payload, store, input.location, before, written);
    if !goes_to_the_owner(input, record, store) {
        // The owner's next figure includes it, or never will: waiting for our own delivery would have no end.
        rows.iter_mut()
            .filter(|row| row.confirmed_at.is_none())
            .for_each(|row| row.confirmed_at = Some(input.now));
    }
    (rows != *before).then_some(Effect::PutReservations { order: record.id, rows })
}

/// Whether the owner of stock hears of the order from us. It does not of one that was placed there, is older than the
/// cut-over, or is filtered.
fn goes_to_the_owner(input: &ApplyInput<'_>, record: &Record, store: &ConnectionName) -> bool {
    let Some(owner) = &input.rules.stock_owner else { return false };
    let placed_there = store == owner;
    let goes = |flow: &Flow| {
        flow.kind == Kind::Order
            && flow.to == *owner
            && flow.from.contains(store)
            && flow.state == FlowState::Live
            && flow.holds_back(record).is_none()
            && (input.filter)(flow, &record.payload).unwrap_or(true)
    };
    !placed_there && input.rules.flows.iter().any(goes)
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
