//! Leases lanes and works them off, each lane by one worker at a time.
//!
//! Never: claims a single delivery; decides what an attempt's outcome means (the engine does).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use counterpart_model::effect::Effect;
use counterpart_model::ids::ConnectionName;
use counterpart_store::{LeaseRequest, Leased, StoreError};
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::active::{Active, Link};
use crate::deliver::{self, Job, Next};
use crate::shared::Shared;

/// How long a lane is held without a sign of life before another worker takes it over.
const LEASE: SignedDuration = SignedDuration::from_secs(90);

/// Lanes worked at the same time over all connections.
const LANES: usize = 32;

/// Works lanes off until told to stop, then finishes the deliveries that are running.
pub async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let running: Arc<Mutex<BTreeMap<ConnectionName, usize>>> = Arc::default();
    let mut tasks = JoinSet::new();
    let mut changed = shared.store.changed();
    while !*stop.borrow() {
        changed.mark_unchanged();
        while tasks.try_join_next().is_some() {}
        let leased = match lease(&shared, &running).await {
            Ok(leased) => leased,
            Err(error) => {
                tracing::error!(%error, "no lanes can be leased; trying again in a second");
                shared.pause(&mut stop, Duration::from_secs(1)).await;
                continue;
            }
        };
        let none = leased.is_empty();
        for (active, link, lane) in leased {
            let (shared, running, stop) = (shared.clone(), running.clone(), stop.clone());
            count(&running, &link.name, 1);
            tasks.spawn(async move {
                if let Err(error) = work(&shared, &active, &link, lane, &stop).await {
                    // The lease runs out and another round takes the lane over where it stands.
                    tracing::error!(connection = %link.name, %error, "a lane to {} was left", link.name);
                }
                count(&running, &link.name, -1);
                shared.wake.notify_waiters();
            });
        }
        if none {
            wait(&shared, &mut changed, &mut stop, &mut tasks).await;
        }
    }
    while tasks.join_next().await.is_some() {}
}

fn count(running: &Mutex<BTreeMap<ConnectionName, usize>>, connection: &ConnectionName, by: isize) {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = running.entry(connection.clone()).or_default();
    *entry = entry.saturating_add_signed(by);
}

type Lane = (Arc<Active>, Arc<Link>, Leased);

async fn lease(
    shared: &Shared,
    running: &Mutex<BTreeMap<ConnectionName, usize>>,
) -> Result<Vec<Lane>, StoreError> {
    let Ok(active) = shared.active() else { return Ok(Vec::new()) };
    let now = shared.now();
    let busy = running.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut room = BTreeMap::new();
    let mut skip = Vec::new();
    for (name, link) in &active.links {
        let free = link.connection.concurrency().saturating_sub(busy.get(name).copied().unwrap_or(0));
        if link.config.paused || free == 0 || !shared.health.may_call(name, now) {
            skip.push(name.clone());
        } else {
            room.insert(name.clone(), free);
        }
    }
    let most = LANES.saturating_sub(busy.values().sum());
    if room.is_empty() || most == 0 {
        return Ok(Vec::new());
    }
    let request = LeaseRequest { now, until: now + LEASE, max_lanes: most, max_per_connection: room, skip };
    let leased = shared.store.lease_lanes(request).await?;
    let mut lanes = Vec::new();
    for lane in leased {
        match active.links.get(&lane.lane.connection) {
            Some(link) => lanes.push((active.clone(), link.clone(), lane)),
            // Deliveries to a connection that is gone wait; `status` shows them.
            None => release(shared, &lane).await?,
        }
    }
    Ok(lanes)
}

async fn release(shared: &Shared, lane: &Leased) -> Result<(), StoreError> {
    let effect = Effect::ReleaseLane { lane: lane.lane.clone(), token: lane.token };
    match shared.store.commit(vec![effect]).await {
        // Somebody took it over: theirs now.
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Works one lane off as far as it goes, then gives it back.
async fn work(
    shared: &Arc<Shared>,
    active: &Arc<Active>,
    link: &Arc<Link>,
    mut lane: Leased,
    stop: &watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let mut done = BTreeSet::new();
    loop {
        let now = shared.now();
        let next = lane.workable(now).into_iter().find(|d| !done.contains(&d.id)).cloned();
        let Some(delivery) = next else { break };
        if *stop.borrow() || !shared.health.may_go_on(&link.name, now) {
            break;
        }
        done.insert(delivery.id);
        shared.store.renew_lease(&lane.lane, lane.token, now + LEASE).await?;
        let job = Job { shared, active, link, token: lane.token, delivery };
        match deliver::run(&job).await {
            Ok(Next::GoOn) => {}
            Ok(Next::Stop) => break,
            Err(StoreError::Conflict { what }) => {
                tracing::debug!(conflict = %what, "what a delivery depends on changed while it ran; it is taken up again");
                done.remove(&job.delivery.id);
                break;
            }
            Err(error) => return Err(error),
        }
        // A change meanwhile may have superseded or added deliveries.
        lane.heads = shared.store.open_deliveries(lane.lane.clone()).await?;
    }
    release(shared, &lane).await
}

/// Sleeps until something was written, a delivery is due, or a worker is free again.
async fn wait(
    shared: &Shared,
    changed: &mut watch::Receiver<u64>,
    stop: &mut watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) {
    let now = shared.now();
    let skip: Vec<ConnectionName> = match shared.active() {
        Ok(active) => {
            active.links.keys().filter(|name| !shared.health.looks_callable(name, now)).cloned().collect()
        }
        Err(_) => Vec::new(),
    };
    let due = shared.store.next_due_except(now, &skip).await.ok().flatten();
    let until = due.map_or(Duration::from_secs(1), |at| {
        let wait = at.duration_since(now).max(SignedDuration::from_millis(20));
        Duration::try_from(wait).unwrap_or(Duration::from_secs(1))
    });
    // Another process may have written, and clocks may jump: look once a second at the least.
    let until = until.min(Duration::from_secs(1));
    tokio::select! {
        _ = changed.changed() => {}
        () = shared.wake.notified() => {}
        () = shared.sleep(until) => {}
        Some(_) = tasks.join_next() => {}
        _ = stop.changed() => {}
    }
}
