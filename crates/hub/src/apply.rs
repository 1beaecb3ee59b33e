//! One change: resolve, decide, write, in one transaction with what follows from it.
//!
//! Never: gives a change up silently; decides what the engine decides.

use std::collections::BTreeMap;

use counterpart_engine::apply::{ApplyInput, Known, apply_change};
use counterpart_mapping::changes::ReadChange;
use counterpart_model::change::{Change, ChangeOutcome, Channel};
use counterpart_model::delivery::{NewReview, ReviewReason, ReviewSubject};
use counterpart_model::effect::Effect;
use counterpart_model::ids::{RecordId, RowId};
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, SourceVersion};
use counterpart_store::{Conflict, StoreError};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::active::{Active, Link};
use crate::resolve;
use crate::shared::Shared;
use crate::stock;

/// How often a change is decided anew because something it looked at was changed meanwhile.
const CONFLICTS: usize = 12;

/// Turns after which a field that two systems keep changing is frozen.
const FLIPS: u32 = 4;

/// Where a change came from.
pub struct Source {
    /// Inbox entry that it was read from.
    pub inbox: Option<RowId>,
    /// When that entry arrived (or the read of it began).
    pub arrived_at: Timestamp,
    /// How it came.
    pub channel: Channel,
}

/// What became of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is recorded with how it ended.
    Done,
    /// It is recorded, and a person must look before it counts.
    InReview,
    /// What it belongs to is not known (yet); nothing is recorded.
    ParentUnknown(String),
}

/// Applies what a read mapping gave.
///
/// # Errors
/// When the database is away.
pub async fn read_change(
    shared: &Shared,
    active: &Active,
    link: &Link,
    read: ReadChange,
    source: &Source,
) -> Result<Outcome, StoreError> {
    let fingerprint = shared.store.fingerprint(read.payload.to_string().as_bytes());
    let change = Change {
        connection: link.name.clone(),
        kind: read.kind,
        external: read.external,
        role: read.role,
        label: read.label,
        version: SourceVersion {
            at: read.at,
            sequence: read.sequence,
            read_began: source.arrived_at,
            fingerprint,
        },
        deleted: read.deleted,
        settled: read.settled,
        links: read.links,
        payload: read.payload,
    };
    apply(shared, active, change, source).await
}

/// Applies a change: decided anew as long as others change what it depends on.
///
/// # Errors
/// When the database is away.
pub async fn apply(
    shared: &Shared,
    active: &Active,
    change: Change,
    source: &Source,
) -> Result<Outcome, StoreError> {
    let mut last = None;
    for _ in 0..CONFLICTS {
        match once(shared, active, change.clone(), source).await {
            Err(StoreError::Conflict {
                what: Conflict::PrimaryElsewhere { .. } | Conflict::SecondPrimary { .. },
            }) => {
                return two_of_one(shared, change, source).await;
            }
            Err(StoreError::Conflict { what }) => last = Some(what),
            other => return other,
        }
    }
    Err(last.map_or(StoreError::Closed, |what| StoreError::Conflict { what }))
}

/// Two things of one system would be the same record, or one thing two records: a person looks.
async fn two_of_one(shared: &Shared, change: Change, source: &Source) -> Result<Outcome, StoreError> {
    let reason = ReviewReason::Ambiguous;
    let mut effects = Vec::new();
    if let Some(inbox) = source.inbox {
        let message = format!(
            "{} of {} would be a second one of the same record: look whether it is there twice",
            change.external, change.connection
        );
        effects.push(Effect::OpenReview(Box::new(NewReview {
            subject: ReviewSubject::Inbox(inbox),
            reason,
            message,
            detail: json!({ "external": change.external }),
            connection: Some(change.connection.clone()),
            record: None,
        })));
    }
    let outcome = ChangeOutcome::InReview { reason: reason.as_str().into() };
    effects.push(Effect::EndChange { inbox: source.inbox, change: Box::new(change), outcome });
    shared.store.commit(effects).await?;
    Ok(Outcome::InReview)
}

async fn once(
    shared: &Shared,
    active: &Active,
    mut change: Change,
    source: &Source,
) -> Result<Outcome, StoreError> {
    let store = &shared.store;
    let now = shared.now();
    let dangling = if change.deleted {
        Vec::new()
    } else {
        resolve::refs(shared, &change.connection, change.kind, &mut change.payload).await?
    };
    if let Some(parent) = dangling.iter().find(|d| d.kind == Kind::Order && !d.path.contains('.')) {
        return Ok(Outcome::ParentUnknown(format!("its {} is not known here: {}", parent.path, parent.why)));
    }
    let root = root_of(&change.payload, change.kind);
    if let (Kind::Shipment, Some(order)) = (change.kind, root) {
        translate_lines(store.counterparts_of(order).await?, &mut change);
    }
    let resolution = resolve::record_for(shared, &change).await?;
    let new_id = shared.record_id();
    let id = resolution.record.as_ref().map_or(new_id, |r| r.id);
    let known = match &resolution.record {
        Some(record) => Known {
            counterparts: store.counterparts_of(record.id).await?,
            open: store.open_deliveries(record.id).await?,
            reservations: store.reservations_of(record.id).await?,
            record: resolution.record.clone(),
            frozen: frozen(shared, record.id).await?,
        },
        None => Known::default(),
    };
    let location =
        active.links.get(&change.connection).map(|l| l.config.location.clone()).unwrap_or_default();
    let applied = apply_change(&ApplyInput {
        rules: &active.rules,
        change: &change,
        inbox: source.inbox,
        arrived_at: source.arrived_at,
        now,
        new_id,
        known: &known,
        root: root.unwrap_or(id),
        keys: resolution.keys,
        location: &location,
        read_back: source.channel != Channel::Webhook,
        filter: &|flow, payload| active.passes(flow, payload),
    });
    let mut effects = applied.effects;
    if !resolution.doubt.is_empty() {
        effects.push(Effect::OpenReview(Box::new(doubt(&change, id, &resolution.doubt))));
    }
    if change.kind == Kind::Stock && applied.outcome == ChangeOutcome::Duplicate {
        effects.extend(stock::newer_figure(shared, active, &known, &change).await?);
    }
    let held = effects.iter().find_map(|e| match e {
        Effect::PutReservations { rows, .. } => Some(rows.clone()),
        _ => None,
    });
    if let Some(rows) = held {
        let before = &known.reservations;
        let mut others = stock::touched(before, &rows);
        let all = stock::let_go(before, &rows);
        others.retain(|item| !all.contains(item));
        let taker = Some(&change.connection);
        effects.extend(stock::republish(shared, active, &others, taker, source.arrived_at).await?);
        effects.extend(stock::republish(shared, active, &all, None, source.arrived_at).await?);
    }
    let first =
        known.record.is_some() && !known.counterparts.iter().any(|c| c.connection == change.connection);
    if first {
        effects.extend(closes_missing(shared, id).await?);
    }
    let reads_back = applied.read_back.then(|| change.external.clone());
    metrics::counter!("counterpart_changes_total", "connection" => change.connection.to_string(), "kind" => change.kind.as_str(), "outcome" => applied.outcome.name())
        .increment(1);
    let in_review = matches!(applied.outcome, ChangeOutcome::InReview { .. });
    store.commit(effects).await?;
    if let Some(external) = reads_back {
        crate::hints::read_again(shared, active, &change.connection, &external).await?;
    }
    Ok(if in_review { Outcome::InReview } else { Outcome::Done })
}

/// Fields that two systems set to and fro within the last hour.
async fn frozen(shared: &Shared, record: RecordId) -> Result<Vec<String>, StoreError> {
    let since = shared.now() - jiff::SignedDuration::from_hours(1);
    let flips = shared.store.recent_flips(record, since).await?;
    Ok(flips.into_iter().filter(|(_, turns)| *turns >= FLIPS).map(|(field, _)| field).collect())
}

/// The order or item that a record's deliveries are in line with, when it is not the record itself.
pub fn root_of(payload: &Value, kind: Kind) -> Option<RecordId> {
    let field = match kind {
        Kind::Price | Kind::Stock => "item",
        Kind::Shipment
        | Kind::FulfilmentOrder
        | Kind::Invoice
        | Kind::CreditMemo
        | Kind::Payment
        | Kind::Refund
        | Kind::Return => "order",
        _ => return None,
    };
    payload.get(field)?.get("record")?.as_str()?.parse().ok()
}

/// Systems name an order's lines by their own ids; ours are the source store's. The order's counterpart in the system
/// that speaks has both.
fn translate_lines(counterparts: Vec<Counterpart>, change: &mut Change) {
    let theirs: BTreeMap<String, String> = counterparts
        .into_iter()
        .filter(|c| c.connection == change.connection)
        .filter_map(|c| c.links.get("lines").and_then(Value::as_object).cloned())
        .flatten()
        .filter_map(|(ours, theirs)| Some((theirs.as_str()?.to_owned(), ours)))
        .collect();
    let Some(lines) = change.payload.get_mut("lines").and_then(Value::as_array_mut) else { return };
    for line in lines {
        if let Some(ours) = line.get("order_line").and_then(Value::as_str).and_then(|id| theirs.get(id)) {
            line["order_line"] = json!(ours);
        }
    }
}

fn doubt(change: &Change, record: RecordId, candidates: &[RecordId]) -> NewReview {
    NewReview {
        subject: ReviewSubject::Record(record),
        reason: ReviewReason::Ambiguous,
        message: format!(
            "this {} of {} may be the same as {} other record(s): a new record was made; decide whether they are one",
            change.kind,
            change.connection,
            candidates.len()
        ),
        detail: json!({ "candidates": candidates, "external": change.external }),
        connection: Some(change.connection.clone()),
        record: Some(record),
    }
}

/// A counterpart ends the review items that said there was none; others about the record stay.
///
/// # Errors
/// When the database is away.
pub async fn closes_missing(shared: &Shared, record: RecordId) -> Result<Option<Effect>, StoreError> {
    let subject = ReviewSubject::Record(record);
    let about = shared.store.reviews_about(subject).await?;
    let mut open = about.iter().filter(|r| r.closed_at.is_none()).peekable();
    let only_missing =
        open.peek().is_some() && open.all(|r| r.item.reason == ReviewReason::MissingCounterpart);
    Ok(only_missing.then(|| Effect::CloseReviews {
        subject,
        how: "resolved".into(),
        by: "counterpart".into(),
    }))
}
