//! Reads streams by their cursors, and by id whatever is not settled yet.
//!
//! Every stream and every watch has a task of its own, so that a slow one holds up nothing else. What is read goes into
//! the inbox in the same transaction in which the cursor moves.
//!
//! Never: makes anything of what it reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use counterpart_connect::connection::{CallError, Page, StreamInfo, Subscribed, WatchInfo};
use counterpart_model::change::Channel;
use counterpart_model::delivery::FailureClass;
use counterpart_model::ids::ConnectionName;
use counterpart_store::{Polled, PolledItem, PolledNames, StoreError};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::active::{Active, Link};
use crate::process::{self, note_failure, note_success};
use crate::shared::Shared;

/// How many unsettled things a watch reads in one go.
pub(crate) const WATCHED: usize = 25;

/// How often the registrations of webhooks are looked at.
const SUBSCRIPTIONS_EVERY: Duration = Duration::from_secs(3600);

/// The same after a failure: without webhooks a change waits for the next poll.
const SUBSCRIPTIONS_AGAIN: Duration = Duration::from_secs(300);

/// Starts a task for every stream and watch of a revision.
pub fn start(
    shared: &Arc<Shared>,
    active: &Arc<Active>,
    stop: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) {
    for link in active.links.values().filter(|link| !link.config.paused) {
        for stream in link.connection.streams() {
            tasks.spawn(stream_task(shared.clone(), link.clone(), stream, stop.clone()));
        }
        if link.connection.subscribes() {
            tasks.spawn(subscription_task(shared.clone(), link.clone(), stop.clone()));
        }
        for watched in link.connection.watches() {
            tasks.spawn(watch_task(shared.clone(), link.clone(), watched, stop.clone()));
        }
    }
}

fn interval(link: &Link, name: &str, declared: Duration) -> Duration {
    link.config.every_s.get(name).map_or(declared, |s| Duration::from_secs((*s).max(1)))
}

async fn stream_task(
    shared: Arc<Shared>,
    link: Arc<Link>,
    stream: StreamInfo,
    mut stop: watch::Receiver<bool>,
) {
    let every = interval(&link, &stream.name, stream.interval);
    while !*stop.borrow() {
        if shared.health.may_call(&link.name, shared.now())
            && let Err(error) = poll(&shared, &link, &stream, &stop).await
        {
            tracing::error!(connection = %link.name, stream = stream.name, %error, "what {} gave cannot be kept", link.name);
        }
        shared.pause(&mut stop, every).await;
    }
}

/// One round: every page, each made durable before the next is asked for.
async fn poll(
    shared: &Shared,
    link: &Link,
    stream: &StreamInfo,
    stop: &watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let mut cursor = shared.store.cursor(&link.name, &stream.name).await?.map(|c| c.value);
    let full = full_due(shared, link, stream).await?;
    if full {
        cursor = None;
    }
    loop {
        let page = match link.connection.poll(&stream.name, cursor.as_ref()).await {
            Ok(page) => page,
            Err(error) => {
                note_failure(shared, link, &error).await?;
                return reading(shared, link, &stream.name, Some(&error)).await;
            }
        };
        note_success(shared, link).await?;
        cursor = Some(page.cursor.clone());
        let more = page.more;
        if let Some(fetch) = &stream.fetch {
            if let Err(error) = named(shared, link, stream, fetch, &page, full).await? {
                return reading(shared, link, &stream.name, Some(&error)).await;
            }
        } else {
            take(shared, link, stream, page).await?;
        }
        if !more {
            break;
        }
        if *stop.borrow() {
            return Ok(());
        }
    }
    reading(shared, link, &stream.name, None).await?;
    if full {
        let next = stream.full_interval.and_then(|every| SignedDuration::try_from(every).ok());
        let next = next.map(|every| shared.now() + every);
        shared.store.job_put(&full_job(link, stream), json!({}), next).await?;
    }
    Ok(())
}

/// Says once, and shows until it is over, that something was refused when it was read. Other failures are the connection's.
async fn reading(
    shared: &Shared,
    link: &Link,
    what: &str,
    error: Option<&CallError>,
) -> Result<(), StoreError> {
    let refused = error.filter(|e| e.class == FailureClass::Rejected).map(|e| e.message.as_str());
    if error.is_some() && refused.is_none() {
        return Ok(());
    }
    if shared.health.reading(&link.name, what, refused) {
        match refused {
            Some(message) => {
                tracing::error!(connection = %link.name, "{what} of {} cannot be read: {message}", link.name)
            }
            None => tracing::info!(connection = %link.name, "{what} of {} can be read again", link.name),
        }
        process::keep_health(shared, &link.name).await?;
    }
    Ok(())
}

/// Makes what a page gave durable and moves the cursor.
async fn take(shared: &Shared, link: &Link, stream: &StreamInfo, page: Page) -> Result<(), StoreError> {
    let began = page.read_began;
    let items = page.items.into_iter().map(|item| PolledItem {
        topic: format!("stream:{}", stream.name),
        event_id: format!("{}@{began}", item.id),
        key: item.id,
        fingerprint: item.fingerprint,
        channel: Channel::Poll,
        body: item.body,
    });
    let polled = Polled {
        connection: link.name.clone(),
        stream: stream.name.clone(),
        read_began: began,
        items: items.collect(),
        cursor: Some(page.cursor),
    };
    shared.store.accept_polled(polled).await.map(drop)
}

/// Has the fetch read what a page named, less what was read before in the same version, and moves the cursor when
/// that is durable. A full round takes no version's word.
async fn named(
    shared: &Shared,
    link: &Link,
    stream: &StreamInfo,
    fetch: &str,
    page: &Page,
    full: bool,
) -> Result<Result<(), CallError>, StoreError> {
    let (versioned, bare): (Vec<_>, Vec<_>) = page.names.iter().partition(|name| name.version.is_some());
    let mut named = PolledNames {
        connection: link.name.clone(),
        topic: format!("stream:{}", stream.name),
        read_began: page.read_began,
        names: versioned.into_iter().map(|n| (n.id.clone(), n.version.clone().unwrap_or_default())).collect(),
    };
    if !full {
        named.names = shared.store.named_anew(&named).await?;
    }
    let ids: BTreeSet<String> =
        named.names.iter().map(|(id, _)| id.clone()).chain(bare.into_iter().map(|n| n.id.clone())).collect();
    if !ids.is_empty() {
        let ids: Vec<String> = ids.into_iter().collect();
        match process::fetch(shared, link, fetch, &ids, &BTreeSet::new(), Channel::Poll).await? {
            // What is named and cannot be read yet is asked for again while the look-back names it.
            Ok(missing) => named.names.retain(|(id, _)| !missing.contains(id)),
            Err(error) => return Ok(Err(error)),
        }
    }
    shared.store.accept_named(named, &stream.name, page.cursor.clone()).await?;
    Ok(Ok(()))
}

fn full_job(link: &Link, stream: &StreamInfo) -> String {
    format!("full:{}:{}", link.name, stream.name)
}

/// A full round reads everything again, so that what neither webhook nor cursor told is found all the same. The first
/// round of all is one.
async fn full_due(shared: &Shared, link: &Link, stream: &StreamInfo) -> Result<bool, StoreError> {
    if stream.full_interval.is_none() {
        return Ok(false);
    }
    let job = shared.store.job_get(&full_job(link, stream)).await?;
    Ok(job.is_none_or(|job| job.next_at.is_none_or(|at| at <= shared.now())))
}

/// Keeps the hub's address registered at the system.
async fn subscription_task(shared: Arc<Shared>, link: Arc<Link>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let mut pause = SUBSCRIPTIONS_EVERY;
        if shared.health.may_call(&link.name, shared.now()) {
            // A topic that is refused must not stop the connection: what nobody tells is found by polling.
            match link.connection.subscribe().await {
                Ok(done) => {
                    if done != Subscribed::default() {
                        tracing::info!(connection = %link.name, made = ?done.made, renewed = ?done.renewed, removed = ?done.removed, "webhooks of {} registered", link.name);
                    }
                }
                Err(error) => {
                    pause = SUBSCRIPTIONS_AGAIN;
                    tracing::warn!(connection = %link.name, class = error.class.as_str(), "webhooks of {} cannot be registered: {}", link.name, error.message);
                }
            }
        } else {
            pause = SUBSCRIPTIONS_AGAIN;
        }
        shared.pause(&mut stop, pause).await;
    }
}

async fn watch_task(
    shared: Arc<Shared>,
    link: Arc<Link>,
    watched: WatchInfo,
    mut stop: watch::Receiver<bool>,
) {
    let every = interval(&link, &watched.name, watched.interval);
    while !*stop.borrow() {
        if let Err(error) = look(&shared, &link, &watched, every, &stop).await {
            tracing::error!(connection = %link.name, watch = watched.name, %error, "what {} gave cannot be kept", link.name);
        }
        shared.pause(&mut stop, every).await;
    }
}

/// Reads what is not settled and was not looked at within the interval, longest not seen first.
async fn look(
    shared: &Shared,
    link: &Link,
    watched: &WatchInfo,
    every: Duration,
    stop: &watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::from_mins(1));
    let due_before: Timestamp = shared.now() - every;
    while !*stop.borrow() {
        let due = shared.store.watch_due(&link.name, &watched.types, due_before, WATCHED).await?;
        let ids: Vec<String> =
            due.iter().map(|c| c.external.id.clone()).collect::<BTreeSet<_>>().into_iter().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let none = BTreeSet::new();
        if process::fetch(shared, link, &watched.fetch, &ids, &none, Channel::Watch).await?.is_err() {
            return Ok(());
        }
        let seen: Vec<_> = due.iter().map(|c| c.external.clone()).collect();
        shared.store.mark_watched(&link.name, seen, shared.now()).await?;
    }
    Ok(())
}

/// When each stream of a connection was last read, for the status page.
///
/// # Errors
/// When the database is away.
pub async fn polled(
    shared: &Shared,
    connection: &ConnectionName,
) -> Result<std::collections::BTreeMap<String, Timestamp>, StoreError> {
    let cursors = shared.store.cursors(connection).await?;
    Ok(cursors.into_iter().map(|(stream, cursor)| (stream, cursor.updated_at)).collect())
}
