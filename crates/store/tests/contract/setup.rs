//! A fresh store, a clock that stands still until told, and short ways to say what is written.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use counterpart_model::change::{Arrival, Change, Channel};
use counterpart_model::clock::Clock;
use counterpart_model::delivery::*;
use counterpart_model::effect::Effect;
use counterpart_model::ids::*;
use counterpart_model::kind::Kind;
use counterpart_model::record::*;
use counterpart_store::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub struct TestClock(Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

impl TestClock {
    pub fn set(&self, seconds: i64) {
        *self.0.lock().unwrap() = at(seconds);
    }
}

pub struct Fresh {
    pub store: Store,
    pub clock: Arc<TestClock>,
    folder: tempfile::TempDir,
}

impl Deref for Fresh {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Fresh {
    /// A second handle on the same database, as another process would have.
    pub fn another(&self) -> Store {
        open(self.folder.path(), self.clock.clone())
    }
}

pub fn fresh() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock(Mutex::new(at(0))));
    Fresh { store: open(folder.path(), clock.clone()), clock, folder }
}

fn open(folder: &std::path::Path, clock: Arc<TestClock>) -> Store {
    Store::open(&folder.join("counterpart.db"), MasterKey::new([7; 32]), clock).unwrap()
}

/// Seconds after a fixed moment.
pub fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
    start.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

pub fn name(text: &str) -> ConnectionName {
    ConnectionName::new(text).unwrap()
}

pub fn flow(text: &str) -> FlowName {
    FlowName::new(text).unwrap()
}

/// The n-th record.
pub fn id(n: u64) -> RecordId {
    RecordId::from_parts(1_770_000_000_000 + n, [1; 10])
}

pub fn external(remote_type: &str, remote_id: &str) -> ExternalId {
    ExternalId { scope: String::new(), remote_type: remote_type.into(), id: remote_id.into() }
}

pub fn arrival(event_id: &str, body: &str) -> Arrival {
    Arrival {
        connection: name("shop"),
        channel: Channel::Webhook,
        topic: "orders".into(),
        event_id: event_id.into(),
        received_at: at(0),
        body: body.into(),
    }
}

pub fn record(n: u64, version: u64, payload: Value) -> Record {
    Record {
        id: id(n),
        kind: Kind::Order,
        version,
        label: Some(format!("#{n}")),
        payload,
        created_at: at(0),
        updated_at: at(version as i64),
    }
}

pub fn put_record(n: u64, version: u64) -> Effect {
    Effect::PutRecord {
        record: record(n, version, json!({ "version": version })),
        expected: (version > 1).then(|| version - 1),
        keys: Vec::new(),
        cause: format!("shop: Order/{n}"),
    }
}

pub fn counterpart(n: u64, connection: &str, remote_id: &str) -> Counterpart {
    Counterpart {
        record: id(n),
        kind: Kind::Order,
        connection: name(connection),
        external: external("Order", remote_id),
        role: Role::Primary,
        number: None,
        links: json!({ "lines": { "1": "a" } }),
        observed: Some(json!({ "number": remote_id })),
        observed_version: Some(version("f")),
        written: None,
        written_version: None,
        settled: false,
        updated_at: at(0),
    }
}

pub fn put_counterpart(n: u64, connection: &str, remote_id: &str) -> Effect {
    Effect::PutCounterpart(Box::new(counterpart(n, connection, remote_id)))
}

pub fn version(fingerprint: &str) -> SourceVersion {
    SourceVersion { at: Some(at(0)), sequence: Some(3), read_began: at(1), fingerprint: fingerprint.into() }
}

pub fn change(n: u64, remote_id: &str) -> Change {
    Change {
        connection: name("shop"),
        kind: Kind::Order,
        external: external("Order", remote_id),
        role: Role::Primary,
        label: Some(format!("#{n}")),
        version: version("f"),
        deleted: false,
        settled: false,
        links: Value::Null,
        payload: json!({ "number": remote_id }),
    }
}

pub fn lane(connection: &str, root: u64) -> Lane {
    Lane { connection: name(connection), root: id(root) }
}

/// A delivery of a record on a root's lane to the ERP.
pub fn delivery(root: u64, n: u64, due: i64) -> NewDelivery {
    NewDelivery {
        flow: flow("orders"),
        lane: lane("erp", root),
        record: id(n),
        kind: Kind::Order,
        version: 1,
        action: Action::Upsert,
        freshness: Freshness::Transactional,
        next_at: at(due),
        payload: None,
        origin_at: at(0),
        reason: None,
    }
}

pub fn add(delivery: NewDelivery) -> Effect {
    Effect::AddDelivery { delivery: Box::new(delivery), supersedes: Vec::new() }
}

pub fn set(delivery: RowId, state: DeliveryState, due: i64) -> Effect {
    Effect::SetDelivery {
        delivery,
        state,
        next_at: Some(at(due)),
        failures: 0,
        progress: Value::Null,
        message: None,
        waits_for: Vec::new(),
    }
}

pub fn block(delivery: RowId, on: &[u64]) -> Effect {
    Effect::SetDelivery {
        delivery,
        state: DeliveryState::Blocked,
        next_at: None,
        failures: 0,
        progress: json!({ "find": null }),
        message: Some("waits for its customer".into()),
        waits_for: on.iter().map(|n| id(*n)).collect(),
    }
}

pub fn review(subject: ReviewSubject, message: &str) -> Effect {
    Effect::OpenReview(Box::new(NewReview {
        subject,
        reason: ReviewReason::Rejected,
        message: message.into(),
        detail: json!({ "field": "email" }),
        connection: Some(name("erp")),
        record: None,
    }))
}

impl Fresh {
    pub async fn put(&self, effects: Vec<Effect>) -> Vec<RowId> {
        self.commit(effects).await.unwrap().deliveries
    }

    pub async fn state(&self, delivery: RowId) -> DeliveryState {
        self.delivery(delivery).await.unwrap().unwrap().state
    }

    /// Leases whatever is due at a second, for a minute.
    pub async fn lease(&self, seconds: i64) -> Vec<Leased> {
        self.lease_lanes(request(seconds)).await.unwrap()
    }

    /// Fails with everything that is unaccounted for.
    pub async fn assert_accounts_add_up(&self) {
        assert_eq!(self.unaccounted().await.unwrap(), []);
    }
}

pub fn request(seconds: i64) -> LeaseRequest {
    LeaseRequest {
        now: at(seconds),
        until: at(seconds + 60),
        max_lanes: 100,
        max_per_connection: Default::default(),
        skip: Vec::new(),
    }
}

/// The conflict that a call ended with.
pub fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Conflict {
    match result {
        Err(StoreError::Conflict { what }) => what,
        other => panic!("expected a conflict, got {other:?}"),
    }
}
