//! What is particular to the SQLite file: what is in it, who may open it, what happens when it cannot grow.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use counterpart_model::change::{Arrival, Change, ChangeOutcome, Channel};
use counterpart_model::clock::Clock;
use counterpart_model::delivery::*;
use counterpart_model::effect::Effect;
use counterpart_model::ids::*;
use counterpart_model::kind::Kind;
use counterpart_model::record::*;
use counterpart_model::redact::Redacted;
use counterpart_store::*;
use jiff::Timestamp;
use serde_json::{Value, json};

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const EMAIL: &str = "ada.lovelace@example.com";

fn key() -> MasterKey {
    MasterKey::new([9; 32])
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, key(), Arc::new(StoppedClock))
}

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn arrival(event_id: &str, body: Vec<u8>) -> Arrival {
    Arrival {
        connection: ConnectionName::new("shop").unwrap(),
        channel: Channel::Webhook,
        topic: "orders".into(),
        event_id: event_id.into(),
        received_at: NOW,
        body,
    }
}

fn id(n: u64) -> RecordId {
    RecordId::from_parts(n, [0; 10])
}

fn put_record(n: u64, payload: Value) -> Effect {
    let record = Record {
        id: id(n),
        kind: Kind::Person,
        version: 1,
        label: None,
        payload,
        created_at: NOW,
        updated_at: NOW,
    };
    Effect::PutRecord {
        record,
        expected: None,
        keys: vec![("email".into(), EMAIL.into())],
        cause: "shop".into(),
    }
}

/// Writes the e-mail address into every place that may hold a personal datum.
async fn fill(store: &Store) {
    let shop = ConnectionName::new("shop").unwrap();
    let payload = json!({ "emails": [{ "value": EMAIL }] });
    let inbox = store.accept(arrival("1", payload.to_string().into_bytes())).await.unwrap().id;
    let external = ExternalId { scope: String::new(), remote_type: "Customer".into(), id: "1".into() };
    let version = SourceVersion {
        at: None,
        sequence: None,
        read_began: NOW,
        fingerprint: store.fingerprint(EMAIL.as_bytes()),
    };
    let counterpart = Counterpart {
        record: id(1),
        kind: Kind::Person,
        connection: shop.clone(),
        external: external.clone(),
        role: Role::Primary,
        number: None,
        links: Value::Null,
        observed: Some(payload.clone()),
        observed_version: Some(version.clone()),
        written: Some(payload.clone()),
        written_version: Some(1),
        settled: false,
        updated_at: NOW,
    };
    let change = Change {
        connection: shop.clone(),
        kind: Kind::Person,
        external,
        role: Role::Primary,
        label: None,
        version,
        deleted: false,
        settled: false,
        links: Value::Null,
        payload: payload.clone(),
    };
    let delivery = NewDelivery {
        flow: FlowName::new("customers").unwrap(),
        lane: Lane { connection: shop.clone(), root: id(1) },
        record: id(1),
        kind: Kind::Person,
        version: 1,
        action: Action::Upsert,
        freshness: Freshness::Transactional,
        next_at: NOW,
        payload: Some(payload.clone()),
        origin_at: NOW,
        reason: None,
    };
    let effects = vec![
        put_record(1, payload.clone()),
        Effect::PutCounterpart(Box::new(counterpart)),
        Effect::EndChange { inbox: Some(inbox), change: Box::new(change), outcome: ChangeOutcome::Stale },
        Effect::AddDelivery { delivery: Box::new(delivery), supersedes: Vec::new() },
    ];
    let row = store.commit(effects).await.unwrap().deliveries[0];
    let attempt = Attempt {
        delivery: row,
        step: "create".into(),
        at: NOW,
        millis: 1,
        failure: None,
        status: Some(200),
        message: "done".into(),
        request: Some(payload.clone()),
        response: Some(payload.clone()),
    };
    let review = NewReview {
        subject: ReviewSubject::Delivery(row),
        reason: ReviewReason::Rejected,
        message: "refused".into(),
        detail: payload.clone(),
        connection: None,
        record: None,
    };
    let set = Effect::SetDelivery {
        delivery: row,
        state: DeliveryState::InReview,
        next_at: None,
        failures: 0,
        progress: payload.clone(),
        message: None,
        waits_for: Vec::new(),
    };
    let effects = vec![Effect::AddAttempt(Box::new(attempt)), set, Effect::OpenReview(Box::new(review))];
    store.commit(effects).await.unwrap();
    store.sample_put(&shop, "orders", payload.to_string().as_bytes()).await.unwrap();
    store.secret_put("mail", Redacted::new(EMAIL.into())).await.unwrap();
    store.put_revision(None, payload.clone(), "start").await.unwrap();
    store.job_put("notices", payload.clone(), None).await.unwrap();
    let item = PolledItem {
        topic: "customers".into(),
        key: "1".into(),
        fingerprint: EMAIL.into(),
        event_id: "1".into(),
        channel: Channel::Poll,
        body: payload.to_string().into_bytes(),
    };
    let polled = Polled {
        connection: shop,
        stream: "customers".into(),
        read_began: NOW,
        items: vec![item],
        cursor: None,
    };
    store.accept_polled(polled).await.unwrap();
}

fn contains(path: &Path, what: &[u8]) -> bool {
    std::fs::read(path).unwrap().windows(what.len()).any(|window| window == what)
}

#[tokio::test]
async fn no_personal_datum_is_in_the_file_or_its_log() {
    let folder = Folder::new();
    let path = folder.file("counterpart.db");
    let store = open(&path).unwrap();
    fill(&store).await;
    let log = folder.file("counterpart.db-wal");
    // The search works: what is not personal is found.
    assert!(contains(&log, b"customers"));
    for word in [EMAIL, "lovelace", "emails"] {
        assert!(!contains(&log, word.as_bytes()), "{word} is in the log");
    }
    let copy = folder.file("copy.db");
    store.backup(&copy).await.unwrap();
    drop(store);
    for file in [&path, &copy] {
        assert!(contains(file, b"customers"));
        for word in [EMAIL, "lovelace", "emails"] {
            assert!(!contains(file, word.as_bytes()), "{word} is in {}", file.display());
        }
    }
    // And all of it is there for who has the key.
    let store = open(&copy).unwrap();
    assert_eq!(store.record(id(1)).await.unwrap().unwrap().payload["emails"][0]["value"], EMAIL);
    assert_eq!(store.find_by_key(Kind::Person, "email", EMAIL).await.unwrap(), [id(1)]);
    let attempt = &store.attempts_of(1).await.unwrap()[0];
    assert_eq!(attempt.response.as_ref().unwrap()["emails"][0]["value"], EMAIL);
    assert_eq!(store.job_get("notices").await.unwrap().unwrap().value["emails"][0]["value"], EMAIL);
}

#[tokio::test]
async fn a_sealed_value_moved_to_another_row_does_not_open() {
    let folder = Folder::new();
    let path = folder.file("counterpart.db");
    let store = open(&path).unwrap();
    let effects = vec![put_record(1, json!({ "name": "a" })), put_record(2, json!({ "name": "b" }))];
    store.commit(effects).await.unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute("UPDATE record SET payload = (SELECT max(payload) FROM record)", []).unwrap();
    let broken: Vec<_> = [store.record(id(1)).await, store.record(id(2)).await]
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(broken, ["the database is damaged (record.payload does not open): restore a backup"]);
}

#[tokio::test]
async fn another_key_is_refused_and_a_rotated_one_replaces_the_old() {
    let folder = Folder::new();
    let path = folder.file("counterpart.db");
    let store = open(&path).unwrap();
    store.secret_put("erp", Redacted::new("s3cret".into())).await.unwrap();
    let with = |byte: u8| Store::open(&path, MasterKey::new([byte; 32]), Arc::new(StoppedClock));
    assert!(matches!(with(8).unwrap_err(), StoreError::WrongKey));
    store.rotate_key(MasterKey::new([8; 32])).await.unwrap();
    assert!(matches!(open(&path).unwrap_err(), StoreError::WrongKey));
    let again = with(8).unwrap();
    assert_eq!(again.secret_get("erp").await.unwrap().unwrap().reveal(), "s3cret");
    assert_eq!(store.secret_get("erp").await.unwrap().unwrap().reveal(), "s3cret", "an open store goes on");
}

#[test]
fn files_of_others_and_of_the_future_are_refused_untouched() {
    let folder = Folder::new();
    let text = folder.file("notes.txt");
    std::fs::write(
        &text,
        "these are notes, and long enough to be taken for a header of something".repeat(20),
    )
    .unwrap();
    let before = std::fs::read(&text).unwrap();
    let error = open(&text).unwrap_err().to_string();
    assert!(error.contains("is not a Counterpart database: it is not a SQLite file"), "{error}");
    assert_eq!(std::fs::read(&text).unwrap(), before);

    let other = folder.file("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let before = std::fs::read(&other).unwrap();
    let error = open(&other).unwrap_err().to_string();
    assert!(error.contains("a SQLite file of another program"), "{error}");
    assert_eq!(std::fs::read(&other).unwrap(), before);

    let newer = folder.file("newer.db");
    drop(open(&newer).unwrap());
    let raw = rusqlite::Connection::open(&newer).unwrap();
    raw.execute("INSERT INTO migration VALUES (99, 'x', 0)", []).unwrap();
    let error = open(&newer).unwrap_err();
    assert!(matches!(error, StoreError::NewerVersion { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("run the newer program"), "{error}");

    let error = open(&folder.file("no/such/folder.db")).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
}

#[cfg(unix)]
#[test]
fn a_new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.file("counterpart.db");
    let _store = open(&path).unwrap();
    for file in ["counterpart.db", "counterpart.db-wal"] {
        let mode = std::fs::metadata(folder.file(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
}

#[tokio::test]
async fn without_room_a_call_fails_whole_and_later_ones_work() {
    let folder = Folder::new();
    let store = open(&folder.file("counterpart.db")).unwrap();
    let size = store.size().await.unwrap();
    store.limit_size(size.file + 64 * 1024).await.unwrap();
    let big = || vec![7; 1024 * 1024];

    // Small ones beside a big one, all queued together: the big one alone fails.
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let (store, body) = (store.clone(), if n == 10 { big() } else { vec![1; 10] });
            tokio::spawn(async move { store.accept(arrival(&n.to_string(), body)).await })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        match call.await.unwrap() {
            Ok(_) => assert_ne!(n, 10),
            Err(StoreError::Full) => assert_eq!(n, 10),
            Err(error) => panic!("{n}: {error:?}"),
        }
    }
    let list = vec![put_record(1, json!({})), put_record(2, json!({ "pad": "x".repeat(1024 * 1024) }))];
    let error = store.commit(list).await.unwrap_err();
    assert!(matches!(error, StoreError::Full), "{error:?}");
    assert!(error.to_string().contains("free space"));
    assert_eq!(store.record(id(1)).await.unwrap(), None, "half a list");
    assert_eq!(store.inbox_pending(NOW, 100).await.unwrap().len(), 19);

    store.limit_size(0).await.unwrap();
    assert!(!store.accept(arrival("10", big())).await.unwrap().repeated);
    store.commit(vec![put_record(1, json!({}))]).await.unwrap();
}

#[tokio::test]
async fn the_file_shrinks_and_copies_do_not_overwrite() {
    let folder = Folder::new();
    let store = open(&folder.file("counterpart.db")).unwrap();
    let shop = ConnectionName::new("shop").unwrap();
    for _ in 0..12 {
        store.sample_put(&shop, "orders", &[1; 256 * 1024]).await.unwrap();
    }
    let before = store.size().await.unwrap();
    store.vacuum().await.unwrap();
    let after = store.size().await.unwrap();
    assert!(after.free < before.free && after.file < before.file, "{before:?} {after:?}");
    assert_eq!(store.samples(&shop, None).await.unwrap().len(), 5);
    let error = store.backup(&folder.file("counterpart.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
}

#[test]
fn the_baseline_counts_its_rows() {
    let folder = Folder::new();
    let done = bench::raw_group_commit(&folder.file("bare.db"), 250, 3000, 64).unwrap();
    assert_eq!(done.rows, 250);
    let rows: i64 = rusqlite::Connection::open(folder.file("bare.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 250);
}

/// Each way in which a row can end nowhere, made by hand behind the store's back, is named.
#[tokio::test]
async fn every_fault_in_the_accounts_is_named() {
    let folder = Folder::new();
    let path = folder.file("counterpart.db");
    let store = open(&path).unwrap();
    let inbox = store.accept(arrival("1", b"{}".to_vec())).await.unwrap().id;
    let change = Change {
        connection: ConnectionName::new("shop").unwrap(),
        kind: Kind::Order,
        external: ExternalId { scope: String::new(), remote_type: "order".into(), id: "1".into() },
        role: Role::Primary,
        label: None,
        version: SourceVersion { at: None, sequence: None, read_began: NOW, fingerprint: "f".into() },
        deleted: false,
        settled: true,
        links: json!({}),
        payload: json!({}),
    };
    let delivery = NewDelivery {
        flow: FlowName::new("orders").unwrap(),
        lane: Lane { connection: ConnectionName::new("erp").unwrap(), root: id(1) },
        record: id(1),
        kind: Kind::Order,
        version: 1,
        action: Action::Upsert,
        freshness: Freshness::Transactional,
        next_at: NOW,
        payload: None,
        origin_at: NOW,
        reason: None,
    };
    store
        .commit(vec![
            put_record(1, json!({})),
            Effect::EndChange { inbox: None, change: Box::new(change), outcome: ChangeOutcome::Stale },
            Effect::AddDelivery { delivery: Box::new(delivery), supersedes: Vec::new() },
        ])
        .await
        .unwrap();
    assert_eq!(store.unaccounted().await.unwrap(), []);

    let raw = rusqlite::Connection::open(&path).unwrap();
    for (fault, repair, why) in [
        ("UPDATE inbox SET next_at = NULL", "UPDATE inbox SET next_at = 0", "pending, but never due"),
        (
            "UPDATE inbox SET state = 'in_review'",
            "UPDATE inbox SET state = 'pending'",
            "in review, but no review item is open",
        ),
        (
            "UPDATE change SET outcome = 'in_review'",
            "UPDATE change SET outcome = 'stale'",
            "in review, but no review item is open for its inbox entry or record",
        ),
        (
            "UPDATE delivery SET state = 'in_review'",
            "UPDATE delivery SET state = 'ready'",
            "in review, but no review item is open",
        ),
        (
            "UPDATE delivery SET state = 'blocked'",
            "UPDATE delivery SET state = 'ready'",
            "blocked, but waits for nothing",
        ),
        ("UPDATE lane SET due = NULL", "UPDATE lane SET due = 0", "due, but its lane is not queued"),
    ] {
        assert!(raw.execute(fault, []).unwrap() > 0, "{fault} changes nothing");
        let found = store.unaccounted().await.unwrap();
        assert_eq!(found.iter().map(|f| f.why.as_str()).collect::<Vec<_>>(), [why], "after {fault}");
        raw.execute(repair, []).unwrap();
    }
    assert_eq!(store.unaccounted().await.unwrap(), []);
    assert_eq!(store.inbox_entry(inbox).await.unwrap().map(|(e, _)| e.id), Some(inbox));
}
