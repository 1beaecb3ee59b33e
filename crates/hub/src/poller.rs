//! Reads streams by their cursors, and by id whatever is not settled yet.
//!
//! Every stream and every watch has a task of its own, so that a slow one holds up nothing else. What is read goes into
//! the inbox in the same transaction in which the cursor moves.
//!
//! Never: makes anything of what it reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use counterpart_connect::connection::{StreamInfo, WatchInfo};
use counterpart_model::change::Channel;
use counterpart_model::ids::ConnectionName;
use counterpart_store::{Polled, PolledItem, StoreError};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::active::{Active, Link};
use crate::process::{self, note_failure, note_success};
use crate::shared::Shared;

/// How many unsettled things a watch reads in one go.
const WATCHED: usize = 25;

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
        crate::pause(&mut stop, every).await;
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
    let topic = match &stream.fetch {
        Some(fetch) => format!("fetch:{fetch}"),
        None => format!("stream:{}", stream.name),
    };
    loop {
        let page = match link.connection.poll(&stream.name, cursor.as_ref()).await {
            Ok(page) => page,
            Err(error) => {
                note_failure(shared, link, &error).await?;
                return Ok(());
            }
        };
        note_success(shared, link).await?;
        let began = page.read_began;
        let items = page
            .items
            .into_iter()
            .map(|item| PolledItem {
                topic: topic.clone(),
                event_id: format!("{}@{began}", item.id),
                key: item.id,
                fingerprint: item.fingerprint,
                channel: Channel::Poll,
                body: item.body,
            })
            .collect();
        let polled = Polled {
            connection: link.name.clone(),
            stream: stream.name.clone(),
            read_began: began,
            items,
            cursor: Some(page.cursor.clone()),
        };
        shared.store.accept_polled(polled).await?;
        cursor = Some(page.cursor);
        if !page.more {
            break;
        }
        if *stop.borrow() {
            return Ok(());
        }
    }
    if full {
        let next = stream.full_interval.and_then(|every| SignedDuration::try_from(every).ok());
        let next = next.map(|every| shared.now() + every);
        shared.store.job_put(&full_job(link, stream), json!({}), next).await?;
    }
    Ok(())
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
        crate::pause(&mut stop, every).await;
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
