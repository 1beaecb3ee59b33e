//! From the inbox to records and deliveries.
//!
//! A webhook is a hint: what it names is read back and enters the inbox again as what was read. What was read becomes
//! changes, each applied in one transaction with its deliveries.
//!
//! Never: acknowledges anything; writes to a system.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use counterpart_connect::ReadError;
use counterpart_connect::connection::{CallError, Hint, Purpose};
use counterpart_model::change::{Channel, InboxEntry};
use counterpart_model::delivery::{FailureClass, NewReview, ReviewReason, ReviewSubject};
use counterpart_model::effect::Effect;
use counterpart_model::ids::{ConnectionName, RowId};
use counterpart_store::{Conflict, Polled, PolledItem, StoreError};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::active::{Active, Link};
use crate::apply::{self, Source};
use crate::shared::Shared;

/// How many arrivals are looked at in one round.
const ROUND: usize = 256;

/// Topic of an arrival of our own that asks for things to be read now: `{"fetch": "stock", "ids": ["3"]}`.
pub const READ_NOW: &str = "read-now";

/// How long hints of a paused connection are put off.
const PAUSED: SignedDuration = SignedDuration::from_secs(30);

/// How often an arrival whose order is not known yet is tried again, and after how long.
const WAITS: [SignedDuration; 4] = [
    SignedDuration::from_secs(2),
    SignedDuration::from_secs(10),
    SignedDuration::from_secs(60),
    SignedDuration::from_secs(300),
];

/// Works the inbox off until told to stop; finishes what it has begun.
pub async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let hinting: Arc<Mutex<BTreeSet<ConnectionName>>> = Arc::default();
    let mut tasks = JoinSet::new();
    let mut changed = shared.store.changed();
    while !*stop.borrow() {
        changed.mark_unchanged();
        let worked = match round(&shared, &hinting, &mut tasks).await {
            Ok(worked) => worked,
            Err(error) => {
                tracing::error!(%error, "the inbox cannot be worked off; trying again in a second");
                shared.pause(&mut stop, std::time::Duration::from_secs(1)).await;
                continue;
            }
        };
        if worked {
            continue;
        }
        // Another process (the command line) may have written: look once a second at the least.
        tokio::select! {
            _ = changed.changed() => {}
            () = shared.wake.notified() => {}
            () = shared.sleep(std::time::Duration::from_secs(1)) => {}
            _ = stop.changed() => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn round(
    shared: &Arc<Shared>,
    hinting: &Arc<Mutex<BTreeSet<ConnectionName>>>,
    tasks: &mut JoinSet<()>,
) -> Result<bool, StoreError> {
    let Ok(active) = shared.active() else { return Ok(false) };
    let pending = shared.store.inbox_pending(shared.now(), ROUND).await?;
    let mut worked = false;
    let mut hints: BTreeMap<ConnectionName, Vec<InboxEntry>> = BTreeMap::new();
    for entry in pending {
        let connection = entry.arrival.connection.clone();
        let Some(link) = active.links.get(&connection) else {
            let outcome = format!("filtered: the connection {connection} is no longer declared");
            shared.store.commit(vec![Effect::EndInbox { inbox: entry.id, outcome }]).await?;
            worked = true;
            continue;
        };
        if was_read(&entry.arrival.topic) {
            read(shared, &active, link, &entry).await?;
            worked = true;
        } else {
            hints.entry(connection).or_default().push(entry);
        }
    }
    while tasks.try_join_next().is_some() {}
    for (connection, entries) in hints {
        let Some(link) = active.link(&connection).cloned() else {
            // Put off, so that they do not stand in the way of others' arrivals.
            for entry in entries {
                let until = shared.now() + PAUSED;
                shared.store.inbox_defer(entry.id, until, "the connection is paused").await?;
            }
            continue;
        };
        let fresh = hinting.lock().unwrap_or_else(PoisonError::into_inner).insert(connection.clone());
        if !fresh {
            continue;
        }
        worked = true;
        let (shared, hinting) = (shared.clone(), hinting.clone());
        tasks.spawn(async move {
            if let Err(error) = follow_hints(&shared, &link, entries).await {
                tracing::error!(connection = %link.name, %error, "hints of {} cannot be followed", link.name);
            }
            hinting.lock().unwrap_or_else(PoisonError::into_inner).remove(&link.name);
            shared.wake.notify_waiters();
        });
    }
    Ok(worked)
}

/// Topics of what was read by us, as opposed to what was pushed to us.
fn was_read(topic: &str) -> bool {
    topic.starts_with("fetch:") || topic.starts_with("stream:")
}

/// Makes changes of what was read, and applies them.
async fn read(shared: &Shared, active: &Active, link: &Link, entry: &InboxEntry) -> Result<(), StoreError> {
    let arrival = &entry.arrival;
    if shared.store.sample_wanted(&link.name, &arrival.topic, shared.now()).await? {
        shared.store.sample_put(&link.name, &arrival.topic, &arrival.body).await?;
    }
    let changes = match link.connection.read(&arrival.topic, &arrival.body, arrival.received_at) {
        Ok(changes) => changes,
        Err(error) => return unreadable(shared, entry, &error).await,
    };
    let mut filtered = None;
    let mut in_review = false;
    for change in changes {
        let source =
            Source { inbox: Some(entry.id), arrived_at: arrival.received_at, channel: arrival.channel };
        match apply::read_change(shared, active, link, change, &source).await? {
            apply::Outcome::Done => {}
            apply::Outcome::InReview => in_review = true,
            apply::Outcome::ParentUnknown(what) => {
                let last = &WAITS[WAITS.len() - 1];
                let mut wait = WAITS.get(usize::try_from(entry.tries).unwrap_or(usize::MAX));
                if wait.is_none() && shared.store.orders_under_way(&link.name).await? {
                    // It may be one that was made there and is not confirmed yet, however long that takes.
                    wait = Some(last);
                }
                if let Some(wait) = wait {
                    return shared.store.inbox_defer(entry.id, shared.now() + *wait, &what).await;
                }
                filtered = Some(what);
            }
        }
    }
    let outcome = match filtered {
        _ if in_review => "in_review".to_owned(),
        Some(what) => format!("filtered: {what}"),
        None => "done".to_owned(),
    };
    shared.store.commit(vec![Effect::EndInbox { inbox: entry.id, outcome }]).await.map(drop)
}

/// Puts an arrival that cannot be read before a person.
async fn unreadable(shared: &Shared, entry: &InboxEntry, error: &ReadError) -> Result<(), StoreError> {
    let reason = match error {
        ReadError::MissingReference { .. } => ReviewReason::MissingReference,
        ReadError::Unreadable { .. } => ReviewReason::Unreadable,
        ReadError::Invalid { .. } => ReviewReason::Invalid,
        _ => ReviewReason::MappingFailed,
    };
    let arrival = &entry.arrival;
    tracing::warn!(connection = %arrival.connection, topic = arrival.topic, inbox = entry.id, "arrival {} is in review", entry.id);
    let review = NewReview {
        subject: ReviewSubject::Inbox(entry.id),
        reason,
        message: format!("{} of {}: {error}", arrival.topic, arrival.connection),
        detail: json!({ "topic": arrival.topic, "event": arrival.event_id, "problems": error.problems() }),
        connection: Some(arrival.connection.clone()),
        record: None,
    };
    let effects = vec![
        Effect::OpenReview(Box::new(review)),
        Effect::EndInbox { inbox: entry.id, outcome: "in_review".into() },
    ];
    shared.store.commit(effects).await.map(drop)
}

/// Reads back what hints name, each thing once, and puts what was read into the inbox.
async fn follow_hints(shared: &Shared, link: &Link, entries: Vec<InboxEntry>) -> Result<(), StoreError> {
    let mut wanted: BTreeMap<String, BTreeMap<String, Vec<RowId>>> = BTreeMap::new();
    let mut forced: BTreeSet<(String, String)> = BTreeSet::new();
    for entry in entries {
        let arrival = &entry.arrival;
        let hints = if arrival.topic == READ_NOW {
            let hints = read_now(&arrival.body);
            forced.extend(hints.iter().filter_map(|hint| match hint {
                Hint::Fetch { name, id } => Some((name.clone(), id.clone())),
                Hint::Ignore { .. } => None,
            }));
            hints
        } else {
            match link.connection.hints(&arrival.topic, &arrival.body) {
                Ok(hints) => hints,
                Err(error) => {
                    unreadable(shared, &entry, &error).await?;
                    continue;
                }
            }
        };
        let mut rules = Vec::new();
        let mut fetches = false;
        for hint in hints {
            match hint {
                Hint::Fetch { name, id } => {
                    wanted.entry(name).or_default().entry(id).or_default().push(entry.id);
                    fetches = true;
                }
                Hint::Ignore { rule } => rules.push(rule),
            }
        }
        if !fetches {
            let rule = if rules.is_empty() { "the hint names nothing".into() } else { rules.join(", ") };
            end(shared, entry.id, format!("filtered: {rule}")).await?;
        }
    }
    let mut failed: BTreeMap<RowId, (SignedDuration, String)> = BTreeMap::new();
    let mut served: BTreeSet<RowId> = BTreeSet::new();
    for (name, ids) in wanted {
        let keys: Vec<String> = ids.keys().cloned().collect();
        let rows: Vec<RowId> = ids.values().flatten().copied().collect();
        let force: BTreeSet<String> =
            forced.iter().filter(|(n, _)| *n == name).map(|(_, id)| id.clone()).collect();
        match fetch(shared, link, &name, &keys, &force, Channel::ReadBack).await? {
            Ok(_) => served.extend(rows),
            Err(error) => {
                let wait = error.retry_after.unwrap_or(SignedDuration::from_secs(5));
                failed.extend(rows.into_iter().map(|row| (row, (wait, error.message.clone()))));
            }
        }
    }
    for row in served.into_iter().filter(|row| !failed.contains_key(row)) {
        end(shared, row, "done".into()).await?;
    }
    for (row, (wait, message)) in failed {
        // A hint is never given up: polling would find the change too, but later.
        match shared.store.inbox_defer(row, shared.now() + wait, &message).await {
            Ok(()) | Err(StoreError::Conflict { what: Conflict::InboxEnded { .. } }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends a hint. Another round may have ended it already: it was on the list twice.
async fn end(shared: &Shared, inbox: RowId, outcome: String) -> Result<(), StoreError> {
    match shared.store.commit(vec![Effect::EndInbox { inbox, outcome }]).await {
        Ok(_) | Err(StoreError::Conflict { what: Conflict::InboxEnded { .. } }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn read_now(body: &[u8]) -> Vec<Hint> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let name = body["fetch"].as_str().unwrap_or_default().to_owned();
    let ids = body["ids"].as_array().cloned().unwrap_or_default();
    ids.iter()
        .filter_map(Value::as_str)
        .map(|id| Hint::Fetch { name: name.clone(), id: id.to_owned() })
        .collect()
}

/// Reads things by id and puts what came into the inbox, unless it is what was seen last. Ids in `force` are taken
/// even then: their figures are the same but newer. Gives the ids that are not there.
///
/// # Errors
/// The outer one when the database is away, the inner one when the system is.
pub async fn fetch(
    shared: &Shared,
    link: &Link,
    name: &str,
    ids: &[String],
    force: &BTreeSet<String>,
    channel: Channel,
) -> Result<Result<Vec<String>, CallError>, StoreError> {
    if !shared.health.may_call(&link.name, shared.now()) {
        let message = format!("{} is paused after failures", link.name);
        return Ok(Err(CallError::not_sent(FailureClass::Transient, message)));
    }
    let purpose = match channel {
        Channel::Poll | Channel::Watch => Purpose::Polling,
        _ => Purpose::Delivery,
    };
    let fetched = match link.connection.fetch(name, ids, purpose).await {
        Ok(fetched) => fetched,
        Err(error) => {
            note_failure(shared, link, &error).await?;
            return Ok(Err(error));
        }
    };
    note_success(shared, link).await?;
    let topic = format!("fetch:{name}");
    let began = fetched.read_began;
    let items = fetched
        .items
        .into_iter()
        .map(|item| {
            let again = if force.contains(&item.id) { format!("@{began}") } else { String::new() };
            PolledItem {
                topic: topic.clone(),
                fingerprint: format!("{}{again}", item.fingerprint),
                event_id: format!("{}@{began}", item.id),
                key: item.id,
                channel,
                body: item.body,
            }
        })
        .collect();
    for id in &fetched.missing {
        tracing::info!(connection = %link.name, "{name} {id} of {} is not there any more", link.name);
    }
    let polled =
        Polled { connection: link.name.clone(), stream: topic, read_began: began, items, cursor: None };
    shared.store.accept_polled(polled).await?;
    Ok(Ok(fetched.missing))
}

/// Tells the connection's health of a failed call; says it once in the log, and to other processes, when that is news.
///
/// # Errors
/// When the database is away.
pub async fn note_failure(shared: &Shared, link: &Link, error: &CallError) -> Result<(), StoreError> {
    let news = shared.health.failed(&link.name, error.class, &error.message, error.retry_after, shared.now());
    metrics::counter!("counterpart_call_failures_total", "connection" => link.name.to_string(), "class" => error.class.as_str())
        .increment(1);
    if news {
        tracing::error!(connection = %link.name, class = error.class.as_str(), "{}: {}", link.name, error.message);
        keep_health(shared, &link.name).await?;
    }
    Ok(())
}

/// Tells the connection's health of a call that succeeded.
///
/// # Errors
/// When the database is away.
pub async fn note_success(shared: &Shared, link: &Link) -> Result<(), StoreError> {
    if shared.health.succeeded(&link.name) {
        tracing::info!(connection = %link.name, "{} is back", link.name);
        keep_health(shared, &link.name).await?;
    }
    Ok(())
}

/// Keeps how a connection is where the command line, another process, can read it.
///
/// # Errors
/// When the database is away.
pub async fn keep_health(shared: &Shared, connection: &ConnectionName) -> Result<(), StoreError> {
    let view = json!(shared.health.view(connection));
    shared.store.job_put(&health_job(connection), view, None).await
}

/// Name under which a connection's health is kept.
pub fn health_job(connection: &ConnectionName) -> String {
    format!("health:{connection}")
}
