//! Which record is it? Counterparts first, then deterministic keys; doubt makes a new record and a review item.
//!
//! Never: merges two records; waits for a person.

use std::collections::BTreeSet;

use counterpart_identity::{Candidate, Decision, decide, keys};
use counterpart_model::change::Change;
use counterpart_model::effect::Effect;
use counterpart_model::ids::{ConnectionName, ExternalId, RecordId};
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use counterpart_model::refs::visit_refs;
use counterpart_store::{Store, StoreError};
use serde_json::{Value, json};

use crate::shared::Shared;

/// What a change turned out to be about.
pub struct Resolution {
    /// The record, when there is one already.
    pub record: Option<Record>,
    /// Keys under which the record can be found from now on.
    pub keys: Vec<(String, String)>,
    /// Records that it may be the same as; a person decides.
    pub doubt: Vec<RecordId>,
}

/// A reference that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dangling {
    /// Where it stands.
    pub path: String,
    /// What it points to.
    pub kind: Kind,
    /// Why it cannot be followed.
    pub why: String,
}

/// Fills in `record` in every reference of a payload. What is referred to and not known yet is made as a stub that its
/// own change will fill, so that an order never waits for the order in which things were read.
///
/// # Errors
/// When the database is away.
pub async fn refs(
    shared: &Shared,
    connection: &ConnectionName,
    kind: Kind,
    payload: &mut Value,
) -> Result<Vec<Dangling>, StoreError> {
    let mut found = Vec::new();
    visit_refs(kind, payload, &mut |path, target, value| {
        found.push((path.to_owned(), target, value.clone()))
    });
    let mut resolved = Vec::with_capacity(found.len());
    let mut dangling = Vec::new();
    for (path, target, reference) in found {
        match follow(shared, connection, target, &reference).await? {
            Ok(record) => resolved.push(Some(record)),
            Err(why) => {
                dangling.push(Dangling { path, kind: target, why });
                resolved.push(None);
            }
        }
    }
    let mut next = resolved.into_iter();
    visit_refs(kind, payload, &mut |_, _, value| {
        if let (Some(Some(record)), Some(object)) = (next.next(), value.as_object_mut()) {
            object.insert("record".into(), json!(record));
            object.remove("external");
        }
    });
    Ok(dangling)
}

async fn follow(
    shared: &Shared,
    connection: &ConnectionName,
    kind: Kind,
    reference: &Value,
) -> Result<Result<RecordId, String>, StoreError> {
    if let Some(id) = reference.get("record").and_then(Value::as_str) {
        return Ok(id.parse().map_err(|e: counterpart_model::ids::IdError| e.to_string()));
    }
    let external: Option<ExternalId> =
        reference.get("external").and_then(|v| serde_json::from_value(v.clone()).ok());
    let key = reference
        .get("key")
        .and_then(|k| Some((k.get("name")?.as_str()?.to_owned(), k.get("value")?.as_str()?.to_owned())));
    // A crash or another process may make the same stub: look, make, and look again.
    for _ in 0..4 {
        if let Some(external) = &external {
            let there = shared.store.counterpart_at(connection, external).await?;
            if let Some(found) = there.iter().find(|c| c.kind == kind && c.role != Role::Shared) {
                return Ok(Ok(found.record));
            }
        }
        let mut by_key = match &key {
            Some((name, value)) => {
                let (name, value) = counterpart_identity::normalised_key(kind, name, value);
                shared.store.find_by_key(kind, &name, &value).await?
            }
            None => Vec::new(),
        };
        if external.is_none() && by_key.len() > 1 {
            let (name, value) = key.unwrap_or_default();
            let what = if kind == Kind::Person { String::new() } else { format!(" `{value}`") };
            return Ok(Err(format!("{} records have the {name}{what}", by_key.len())));
        }
        // Another thing of the same connection has that record already: the key is shared, so it says nothing.
        if let Some(external) = &external {
            by_key = not_taken(&shared.store, connection, external, by_key).await?;
        }
        if let [record] = by_key.as_slice() {
            return Ok(Ok(*record));
        }
        if matches!(kind, Kind::Order | Kind::Return | Kind::Invoice | Kind::Refund | Kind::PurchaseOrder) {
            return Ok(Err(format!("that {kind} is not known here")));
        }
        match stub(shared, connection, kind, external.as_ref(), key.as_ref()).await {
            Ok(record) => return Ok(Ok(record)),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Err(format!("the {kind} was being changed at the same time again and again")))
}

/// Records among `candidates` that have no counterpart of the same type in that connection under another id.
async fn not_taken(
    store: &Store,
    connection: &ConnectionName,
    external: &ExternalId,
    candidates: Vec<RecordId>,
) -> Result<Vec<RecordId>, StoreError> {
    let mut free = Vec::new();
    for record in candidates {
        let taken = store.counterparts_of(record).await?.iter().any(|c| {
            c.connection == *connection
                && c.role == Role::Primary
                && c.external.remote_type == external.remote_type
                && c.external.scope == external.scope
                && c.external.id != external.id
        });
        if !taken {
            free.push(record);
        }
    }
    Ok(free)
}

/// A record that is only a name so far.
async fn stub(
    shared: &Shared,
    connection: &ConnectionName,
    kind: Kind,
    external: Option<&ExternalId>,
    key: Option<&(String, String)>,
) -> Result<RecordId, StoreError> {
    let now = shared.now();
    let id = shared.record_id();
    let mut payload = json!({});
    let mut label = None;
    let mut keys = Vec::new();
    if let Some((name, value)) = key {
        if kind == Kind::Item {
            payload[name] = json!(value);
            payload["title"] = json!(value);
            label = Some(value.clone());
        }
        keys.push(counterpart_identity::normalised_key(kind, name, value));
    }
    let record = Record { id, kind, version: 1, label, payload, created_at: now, updated_at: now };
    let cause = format!("named by {connection} before it was read");
    let mut effects = vec![Effect::PutRecord { record, expected: None, keys, cause }];
    if let Some(external) = external {
        effects.push(Effect::PutCounterpart(Box::new(Counterpart {
            record: id,
            kind,
            connection: connection.clone(),
            external: external.clone(),
            role: Role::Primary,
            number: None,
            links: json!({}),
            observed: None,
            observed_version: None,
            written: None,
            written_version: None,
            settled: true,
            updated_at: now,
        })));
    }
    shared.store.commit(effects).await?;
    Ok(id)
}

/// Finds the record that a change is about. Its references are resolved already.
///
/// # Errors
/// When the database is away.
pub async fn record_for(shared: &Shared, change: &Change) -> Result<Resolution, StoreError> {
    let store = &shared.store;
    let mut keys = keys(change.kind, &change.payload);
    keys.extend(compound_key(change.kind, &change.payload));
    let there = store.counterpart_at(&change.connection, &change.external).await?;
    if let Some(found) = there.iter().find(|c| c.kind == change.kind && c.role != Role::Shared) {
        return Ok(Resolution { record: store.record(found.record).await?, keys, doubt: Vec::new() });
    }
    let mut matched: Vec<(RecordId, Vec<String>)> = Vec::new();
    for (name, value) in &keys {
        for record in store.find_by_key(change.kind, name, value).await? {
            match matched.iter_mut().find(|(id, _)| *id == record) {
                Some((_, names)) => names.push(name.clone()),
                None => matched.push((record, vec![name.clone()])),
            }
        }
    }
    let all: Vec<RecordId> = matched.iter().map(|(id, _)| *id).collect();
    let free: BTreeSet<RecordId> =
        not_taken(store, &change.connection, &change.external, all.clone()).await?.into_iter().collect();
    let records = store.records(free.iter().copied().collect()).await?;
    let candidates: Vec<Candidate> = records
        .iter()
        .map(|record| Candidate {
            record: record.id,
            payload: record.payload.clone(),
            keys_matched: matched
                .iter()
                .find(|(id, _)| *id == record.id)
                .map(|(_, n)| n.clone())
                .unwrap_or_default(),
        })
        .collect();
    let resolution = match decide(change.kind, &change.payload, &candidates) {
        Decision::Same(id) => {
            Resolution { record: records.into_iter().find(|r| r.id == id), keys, doubt: Vec::new() }
        }
        Decision::Doubt { candidates } => Resolution { record: None, keys, doubt: candidates },
        Decision::New => {
            // The only record with that key is another thing of the same connection: a key used twice there.
            let doubt = if free.is_empty() && change.kind != Kind::Person { all } else { Vec::new() };
            Resolution { record: None, keys, doubt }
        }
    };
    Ok(resolution)
}

/// Prices and stock are one record for each combination of what they are about.
fn compound_key(kind: Kind, payload: &Value) -> Option<(String, String)> {
    let text = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let item = payload.get("item")?.get("record")?.as_str()?;
    match kind {
        Kind::Stock => Some(("stock".into(), format!("{item}|{}", text("location")))),
        Kind::Price => {
            let unit = Some(text("unit")).filter(|unit| unit != "each").unwrap_or_default();
            let parts = [item.to_owned(), text("currency"), text("list"), unit, text("min_quantity")];
            Some(("price".into(), parts.join("|")))
        }
        _ => None,
    }
}

/// The key under which an item's stock at a location is found.
pub fn stock_key(item: RecordId, location: &str) -> String {
    format!("{item}|{location}")
}
