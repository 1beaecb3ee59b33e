//! Fills a database with records, counterparts and deliveries, and times how long it takes to be ready again.
//!
//! `cargo run --release -p counterpart-store --example million [RECORDS] [FILE]`
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use counterpart_model::clock::Clock;
use counterpart_model::delivery::{Action, DeliveryState, Freshness, Lane, NewDelivery};
use counterpart_model::effect::Effect;
use counterpart_model::ids::{ConnectionName, ExternalId, FlowName, RecordId};
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use counterpart_store::{LeaseRequest, MasterKey, Store};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Records in one list of effects.
const LIST: u64 = 100;

/// One in so many deliveries stays open, as in a hub that is nearly up to date.
const OPEN: u64 = 1000;

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let records: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("counterpart-million-{}", std::process::id()));
    let path = arguments.next().map_or_else(|| folder.join("counterpart.db"), PathBuf::from);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let began = Instant::now();
        let store = open(&path)?;
        let mut running = tokio::task::JoinSet::new();
        for first in (0..records).step_by(LIST as usize) {
            while running.len() >= 16 {
                running.join_next().await;
            }
            let store = store.clone();
            running.spawn(async move { fill(&store, first, LIST.min(records - first)).await });
        }
        while let Some(done) = running.join_next().await {
            done?.map_err(|error| error.to_string())?;
        }
        let took = began.elapsed().as_secs_f64();
        println!("filled {records} records in {took:.1} s, {:.0} records/s", records as f64 / took);
        println!("size {:?}", store.size().await?);
        drop(store);

        let began = Instant::now();
        let store = open(&path)?;
        println!("opened in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
        let next = store.next_due(Timestamp::now()).await?;
        println!(
            "first question answered after {:.1} ms (next due {next:?})",
            began.elapsed().as_secs_f64() * 1e3
        );
        let now = Timestamp::now();
        let until = now.checked_add(SignedDuration::from_secs(30))?;
        let request =
            LeaseRequest { now, until, max_lanes: 64, max_per_connection: Default::default(), skip: vec![] };
        let leased = store.lease_lanes(request).await?;
        println!("leased {} lanes after {:.1} ms", leased.len(), began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        let accounts = store.accounts().await?;
        println!("accounts in {:.1} ms: {:?}", began.elapsed().as_secs_f64() * 1e3, accounts.deliveries);
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn open(path: &Path) -> Result<Store, counterpart_store::StoreError> {
    Store::open(path, MasterKey::new([1; 32]), Arc::new(SystemClock))
}

async fn fill(store: &Store, first: u64, count: u64) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let now = Timestamp::now();
    let connection = ConnectionName::new("erp")?;
    let flow = FlowName::new("orders")?;
    let mut effects = Vec::new();
    for n in first..first + count {
        let id = RecordId::from_parts(1_700_000_000_000 + n, [2; 10]);
        let payload = order(n);
        let record = Record {
            id,
            kind: Kind::Order,
            version: 1,
            label: Some(format!("#{n}")),
            payload: payload.clone(),
            created_at: now,
            updated_at: now,
        };
        let counterpart = Counterpart {
            record: id,
            kind: Kind::Order,
            connection: connection.clone(),
            external: ExternalId { scope: String::new(), remote_type: "Order".into(), id: n.to_string() },
            role: Role::Primary,
            number: Some(format!("S{n:07}")),
            links: Value::Null,
            observed: Some(payload),
            observed_version: None,
            written: None,
            written_version: Some(1),
            settled: n % 100 != 0,
            updated_at: now,
        };
        let delivery = NewDelivery {
            flow: flow.clone(),
            lane: Lane { connection: connection.clone(), root: id },
            record: id,
            kind: Kind::Order,
            version: 1,
            action: Action::Upsert,
            freshness: Freshness::Transactional,
            next_at: now,
            payload: None,
            origin_at: now,
            reason: None,
        };
        effects.extend([
            Effect::PutRecord {
                record,
                expected: None,
                keys: vec![("number".into(), n.to_string())],
                cause: "fill".into(),
            },
            Effect::PutCounterpart(Box::new(counterpart)),
            Effect::AddDelivery { delivery: Box::new(delivery), supersedes: Vec::new() },
        ]);
    }
    let rows = store.commit(effects).await?.deliveries;
    let ended =
        rows.into_iter().filter(|row| row.unsigned_abs() % OPEN != 0).map(|delivery| Effect::SetDelivery {
            delivery,
            state: DeliveryState::Delivered,
            next_at: None,
            failures: 0,
            progress: Value::Null,
            message: None,
            waits_for: Vec::new(),
        });
    store.commit(ended.collect()).await?;
    Ok(())
}

fn order(n: u64) -> Value {
    json!({
        "number": n.to_string(),
        "currency": "EUR",
        "ship_to": { "name": "Ada Lovelace", "email": format!("ada{n}@example.com"), "address": { "city": "London" } },
        "lines": [
            { "id": "1", "sku": "MOUSE-1", "ordered": "2", "unit_price": { "shop": { "amount": "12.34", "currency": "EUR" } } },
            { "id": "2", "sku": "KEYBOARD-1", "ordered": "1", "unit_price": { "shop": { "amount": "56.78", "currency": "EUR" } } }
        ],
        "totals": { "total": { "shop": { "amount": "81.46", "currency": "EUR" } } }
    })
}
