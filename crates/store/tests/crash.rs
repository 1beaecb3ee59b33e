//! Acknowledged means durable: a process that is killed at any moment loses nothing that it acknowledged.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use counterpart_model::change::{Arrival, Channel};
use counterpart_model::clock::Clock;
use counterpart_model::delivery::{Action, Freshness, Lane, NewDelivery};
use counterpart_model::effect::Effect;
use counterpart_model::ids::{ConnectionName, FlowName, RecordId};
use counterpart_model::kind::Kind;
use counterpart_model::record::Record;
use counterpart_store::{MasterKey, Store};
use jiff::Timestamp;
use serde_json::json;

/// Names the database of a child process; without it the child's test has nothing to do.
const CHILD: &str = "COUNTERPART_STORE_CRASH_CHILD";
const PRODUCERS: u64 = 8;

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn open(path: &Path) -> Store {
    Store::open(path, MasterKey::new([3; 32]), Arc::new(StoppedClock)).unwrap()
}

fn arrival(number: u64) -> Arrival {
    Arrival {
        connection: ConnectionName::new("shop").unwrap(),
        channel: Channel::Webhook,
        topic: "orders".into(),
        event_id: number.to_string(),
        received_at: Timestamp::UNIX_EPOCH,
        body: format!("{{\"id\":{number},\"pad\":\"{}\"}}", "x".repeat(2000)).into_bytes(),
    }
}

fn id(number: u64) -> RecordId {
    RecordId::from_parts(number, [0; 10])
}

/// A record and its delivery, as one list.
fn effects(number: u64) -> Vec<Effect> {
    let now = Timestamp::UNIX_EPOCH;
    let record = Record {
        id: id(number),
        kind: Kind::Order,
        version: 1,
        label: None,
        payload: json!({ "number": number }),
        created_at: now,
        updated_at: now,
    };
    let delivery = NewDelivery {
        flow: FlowName::new("orders").unwrap(),
        lane: Lane { connection: ConnectionName::new("erp").unwrap(), root: id(number) },
        record: id(number),
        kind: Kind::Order,
        version: 1,
        action: Action::Upsert,
        freshness: Freshness::Transactional,
        next_at: now,
        payload: None,
        origin_at: now,
        reason: None,
    };
    vec![
        Effect::PutRecord { record, expected: None, keys: Vec::new(), cause: "shop".into() },
        Effect::AddDelivery { delivery: Box::new(delivery), supersedes: Vec::new() },
    ]
}

/// What a child does until it is killed: accepts and commits, and says so after each.
#[tokio::test]
async fn child_acknowledges_until_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let path = std::path::PathBuf::from(path);
    let store = open(&path);
    let first: u64 = std::fs::read_to_string(path.with_extension("next")).unwrap().parse().unwrap();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in (first + producer..).step_by(PRODUCERS as usize) {
                    store.accept(arrival(number)).await.unwrap();
                    writeln!(std::io::stdout(), "\naccepted {number}").unwrap();
                    store.commit(effects(number)).await.unwrap();
                    writeln!(std::io::stdout(), "\ncommitted {number}").unwrap();
                }
            })
        })
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counterpart.db");
    let (mut accepted, mut committed) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..5_u64 {
        let first = round * 1_000_000;
        std::fs::write(path.with_extension("next"), first.to_string()).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_acknowledges_until_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // How many acknowledgements before the kill is random, so each run dies at other moments.
        let kill_after = 1 + rand::random::<u64>() % 600;
        let mut acknowledged = 0;
        while let Some(Ok(line)) = lines.next() {
            let number = line.split_once(' ').and_then(|(_, number)| number.parse::<u64>().ok());
            match (line.starts_with("accepted "), line.starts_with("committed "), number) {
                (true, _, Some(number)) => accepted.insert(number),
                (_, true, Some(number)) => committed.insert(number),
                _ => continue,
            };
            acknowledged += 1;
            if acknowledged == kill_after {
                child.kill().unwrap(); // SIGKILL; what is in the pipe was acknowledged and is still read
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= kill_after, "round {round}: the child ended by itself after {acknowledged}");

        let store = open(&path);
        for number in &accepted {
            assert!(
                store.accept(arrival(*number)).await.unwrap().repeated,
                "round {round}: lost arrival {number}"
            );
        }
        for number in &committed {
            let record = store.record(id(*number)).await.unwrap();
            assert_eq!(record.unwrap().payload, json!({ "number": number }), "round {round}");
            assert_eq!(store.open_deliveries(id(*number)).await.unwrap().len(), 1, "round {round}");
        }
        let deliveries = store.accounts().await.unwrap().deliveries;
        let records = store.list_records(Kind::Order, None, 1_000_000).await.unwrap().len();
        assert_eq!(
            deliveries.get("ready").copied().unwrap_or(0),
            records as u64,
            "round {round}: half a list"
        );
        assert_eq!(store.unaccounted().await.unwrap(), []);
    }
}
