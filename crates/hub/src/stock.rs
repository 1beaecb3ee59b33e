//! What can be sold: brings figures, reservations and stores together for the engine's reckoning.
//!
//! Never: reckons by itself; publishes a number.

use std::collections::BTreeSet;

use counterpart_engine::apply::Known;
use counterpart_engine::stock::{AtsResult, StockInput, available_to_sell};
use counterpart_model::change::Change;
use counterpart_model::delivery::{Action, Lane, NewDelivery};
use counterpart_model::effect::{Effect, Reservation};
use counterpart_model::ids::{ConnectionName, RecordId};
use counterpart_model::kind::Kind;
use counterpart_model::record::Record;
use counterpart_store::StoreError;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::active::Active;
use crate::hints;
use crate::resolve::stock_key;
use crate::shared::Shared;

/// Items whose reservations differ between two states of an order.
pub fn touched(before: &[Reservation], after: &[Reservation]) -> BTreeSet<(RecordId, String)> {
    let differs = |row: &&Reservation, others: &[Reservation]| {
        !others.iter().any(|o| o.line == row.line && o.quantity == row.quantity && o.item == row.item)
    };
    let gone = before.iter().filter(|row| differs(row, after));
    let new = after.iter().filter(|row| differs(row, before));
    gone.chain(new).map(|row| (row.item, row.location.clone())).collect()
}

/// Items of which the store holds less for its own orders than before. What it was told then may have counted on what it
/// held, or on what it had let go already: either way it is told again. Of what it holds more it knows by itself.
pub fn let_go(before: &[Reservation], after: &[Reservation]) -> BTreeSet<(RecordId, String)> {
    let open = |row: &Reservation| after.iter().find(|o| o.line == row.line).map(|o| o.open_in_store);
    let less = before.iter().filter(|row| open(row).unwrap_or_default() < row.open_in_store);
    less.map(|row| (row.item, row.location.clone())).collect()
}

/// Deliveries that bring stores up to date after reservations changed. The store `except` has the change already: it
/// took the order itself.
///
/// # Errors
/// When the database is away.
pub async fn republish(
    shared: &Shared,
    active: &Active,
    items: &BTreeSet<(RecordId, String)>,
    except: Option<&ConnectionName>,
    origin_at: Timestamp,
) -> Result<Vec<Effect>, StoreError> {
    let now = shared.now();
    let mut effects = Vec::new();
    let flows = || active.rules.flows.iter().filter(|f| f.kind == Kind::Stock && f.state.acts());
    if flows().all(|f| Some(&f.to) == except) {
        return Ok(effects);
    }
    for (item, location) in items {
        for record in stock_records(shared, *item, location).await? {
            let open = shared.store.open_deliveries(record.id).await?;
            for flow in flows().filter(|f| Some(&f.to) != except) {
                let lane = Lane { connection: flow.to.clone(), root: *item };
                let supersedes = open.iter().filter(|d| d.spec.flow == flow.name).map(|d| d.id).collect();
                let delivery = NewDelivery {
                    flow: flow.name.clone(),
                    lane,
                    record: record.id,
                    kind: Kind::Stock,
                    version: record.version,
                    action: Action::Upsert,
                    freshness: flow.freshness,
                    next_at: now,
                    payload: None,
                    origin_at,
                    reason: Some("an order changed what is left".into()),
                };
                effects.push(Effect::AddDelivery { delivery: Box::new(delivery), supersedes });
            }
        }
    }
    Ok(effects)
}

async fn stock_records(shared: &Shared, item: RecordId, location: &str) -> Result<Vec<Record>, StoreError> {
    let mut ids = shared.store.find_by_key(Kind::Stock, "stock", &stock_key(item, location)).await?;
    if !location.is_empty() {
        // A figure without a location is of all of them together.
        ids.extend(shared.store.find_by_key(Kind::Stock, "stock", &stock_key(item, "")).await?);
    }
    shared.store.records(ids).await
}

/// A figure that is the same but was taken later ends reservations that it includes: the counterpart's version moves,
/// and stores hear of it.
///
/// # Errors
/// When the database is away.
pub async fn newer_figure(
    shared: &Shared,
    active: &Active,
    known: &Known,
    change: &Change,
) -> Result<Vec<Effect>, StoreError> {
    if active.rules.stock_owner.as_ref() != Some(&change.connection) {
        return Ok(Vec::new());
    }
    let Some(record) = &known.record else { return Ok(Vec::new()) };
    let old = known
        .counterparts
        .iter()
        .find(|c| c.connection == change.connection && c.external == change.external);
    let Some(old) = old else { return Ok(Vec::new()) };
    let before = old.observed_version.as_ref().map_or(Timestamp::MIN, |v| v.read_began);
    if change.version.read_began <= before {
        return Ok(Vec::new());
    }
    let mut counterpart = old.clone();
    counterpart.observed_version = Some(change.version.clone());
    counterpart.updated_at = shared.now();
    let mut effects = vec![Effect::PutCounterpart(Box::new(counterpart))];
    let Some(item) = item_of(&record.payload) else { return Ok(effects) };
    let ends = shared
        .store
        .reservations_for_item(item)
        .await?
        .iter()
        .any(|row| row.confirmed_at.is_some_and(|at| at >= before && at < change.version.read_began));
    if ends {
        let location = location_of(&record.payload);
        let items = BTreeSet::from([(item, location)]);
        effects.extend(republish(shared, active, &items, None, shared.now()).await?);
    }
    Ok(effects)
}

/// Asks for the figures of an order's items to be read again, after the order was confirmed where stock is kept.
///
/// # Errors
/// When the database is away.
pub async fn refresh(shared: &Shared, active: &Active, rows: &[Reservation]) -> Result<(), StoreError> {
    let Some(owner) = &active.rules.stock_owner else { return Ok(()) };
    let Some(link) = active.links.get(owner) else { return Ok(()) };
    let mut by_fetch: std::collections::BTreeMap<String, BTreeSet<String>> =
        std::collections::BTreeMap::new();
    for (item, location) in rows.iter().map(|r| (r.item, &r.location)).collect::<BTreeSet<_>>() {
        for record in stock_records(shared, item, location).await? {
            for counterpart in shared.store.counterparts_of(record.id).await? {
                if counterpart.connection == *owner
                    && let Some(fetch) = link.connection.fetch_for(&counterpart.external.remote_type)
                {
                    by_fetch.entry(fetch).or_default().insert(counterpart.external.id);
                }
            }
        }
    }
    for (fetch, ids) in by_fetch {
        hints::put(shared, owner, &fetch, &ids.into_iter().collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// After a start: orders confirmed shortly before a crash may hold stock that newer figures would release.
///
/// # Errors
/// When the database is away.
pub async fn refresh_all(shared: &Shared, active: &Active) -> Result<(), StoreError> {
    let rows: Vec<Reservation> =
        shared.store.reservations().await?.into_iter().filter(|row| row.confirmed_at.is_some()).collect();
    if rows.is_empty() { Ok(()) } else { refresh(shared, active, &rows).await }
}

/// The reckoning for one stock record and one store.
///
/// # Errors
/// When the database is away.
pub async fn reckon(
    shared: &Shared,
    active: &Active,
    record: &Record,
    store: &ConnectionName,
) -> Result<Option<AtsResult>, StoreError> {
    let Some(item) = item_of(&record.payload) else { return Ok(None) };
    let location = location_of(&record.payload);
    let counterparts = shared.store.counterparts_of(record.id).await?;
    let owner = active.rules.stock_owner.as_ref();
    let taken_at = counterparts
        .iter()
        .find(|c| Some(&c.connection) == owner)
        .and_then(|c| c.observed_version.as_ref())
        .map(|v| v.read_began);
    // Before the owner has said a number there is none to publish.
    let Some(taken_at) = taken_at else { return Ok(None) };
    let rows: Vec<Reservation> = shared
        .store
        .reservations_for_item(item)
        .await?
        .into_iter()
        .filter(|row| location.is_empty() || row.location == location)
        .collect();
    let buffer = active.links.get(store).map(|l| l.config.stock_buffer).unwrap_or_default();
    let input = StockInput {
        figure: &record.payload,
        taken_at,
        reservations: &rows,
        safety: active.rules.safety,
        buffer,
        store,
    };
    Ok(available_to_sell(&input))
}

/// The item that a price or a stock figure is about.
pub fn item_of(payload: &Value) -> Option<RecordId> {
    payload.get("item")?.get("record")?.as_str()?.parse().ok()
}

fn location_of(payload: &Value) -> String {
    payload.get("location").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The figures in the shape that write mappings see.
pub fn context(result: &AtsResult) -> Value {
    json!({ "available": result.sellable.to_string(), "own_open": result.own_open.to_string() })
}
