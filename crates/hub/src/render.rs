//! What a write mapping sees: the record as it is now, with its counterparts in the target filled in.
//!
//! Never: sends anything; changes a record.

use std::collections::BTreeMap;

use counterpart_model::delivery::Delivery;
use counterpart_model::effect::Effect;
use counterpart_model::ids::RecordId;
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use counterpart_model::refs::visit_refs;
use counterpart_store::StoreError;
use serde_json::{Value, json};

use crate::active::{Active, Link};
use crate::resolve;
use crate::shared::Shared;
use crate::stock;

/// A delivery, ready for its steps.
pub struct Rendered {
    /// The write context without `steps`.
    pub context: Value,
    /// The payload that is delivered, without anything of the target in it.
    pub payload: Value,
    /// Counterparts made by policy while rendering (a guest's share in the party for all guests).
    pub effects: Vec<Effect>,
    /// Required references without a counterpart in the target: path and record.
    pub blocked: Vec<(String, RecordId)>,
}

/// Why a delivery cannot be rendered.
pub enum Unrenderable {
    /// The flow's own mapping failed on it.
    Mapping(String),
    /// A reference leads nowhere.
    Reference(String),
    /// There is nothing to say yet, such as stock of an item whose figure is not known.
    Nothing(String),
}

/// Renders a delivery.
///
/// # Errors
/// The outer one when the database is away; the inner one says why there is nothing to send.
pub async fn render(
    shared: &Shared,
    active: &Active,
    link: &Link,
    delivery: &Delivery,
    record: &Record,
    needs: &[String],
) -> Result<Result<Rendered, Unrenderable>, StoreError> {
    let spec = &delivery.spec;
    let mut payload = spec.payload.clone().unwrap_or_else(|| record.payload.clone());
    // What was not known when the change was read may be known by now.
    let dangling = match source_of(shared, active, record, link).await? {
        Some(source) => resolve::refs(shared, &source, record.kind, &mut payload).await?,
        None => Vec::new(),
    };
    if let Some(d) = dangling.iter().find(|d| needs.contains(&pattern(&d.path))) {
        return Ok(Err(Unrenderable::Reference(format!("{}: {}", d.path, d.why))));
    }
    if let Some(mapping) = active.flows.get(&spec.flow).and_then(|f| f.mapping.as_ref()) {
        let metadata = json!({ "flow": spec.flow, "connection": link.name, "now": shared.now() });
        match mapping.run(&payload, &metadata) {
            Ok(mapped) => payload = mapped,
            Err(error) => return Ok(Err(Unrenderable::Mapping(error.to_string()))),
        }
    }
    let mut filled = payload.clone();
    let (effects, blocked) = fill_remotes(shared, link, record.kind, &mut filled, needs).await?;
    let counterpart = shared
        .store
        .counterparts_of(record.id)
        .await?
        .into_iter()
        .find(|c| c.connection == link.name && matches!(c.role, Role::Primary | Role::Shared));
    let mut context = json!({
        "record": filled,
        "label": record.label,
        "action": spec.action,
        "counterpart": counterpart.as_ref().map(remote_with_observed),
        "key": idempotency_key(delivery),
        "message": spec.reason,
    });
    if record.kind == Kind::Stock {
        match stock::reckon(shared, active, record, &link.name).await? {
            Some(result) => {
                for (name, value) in stock::context(&result).as_object().cloned().unwrap_or_default() {
                    context[name] = value;
                }
            }
            None => {
                let why = "the owner of stock has given no figure for it yet".to_owned();
                return Ok(Err(Unrenderable::Nothing(why)));
            }
        }
    }
    Ok(Ok(Rendered { context, payload, effects, blocked }))
}

/// The key is the same for every try at making the same thing there.
pub fn idempotency_key(delivery: &Delivery) -> String {
    delivery.spec.record.to_string()
}

/// Fills `remote` into every reference. References to guests stand for the party that all guests share, where the
/// target's connection says so.
async fn fill_remotes(
    shared: &Shared,
    link: &Link,
    kind: Kind,
    payload: &mut Value,
    needs: &[String],
) -> Result<(Vec<Effect>, Vec<(String, RecordId)>), StoreError> {
    let mut found: Vec<(String, Kind, RecordId)> = Vec::new();
    visit_refs(kind, payload, &mut |path, target, value| {
        if let Some(id) = value.get("record").and_then(Value::as_str).and_then(|id| id.parse().ok()) {
            found.push((path.to_owned(), target, id));
        }
    });
    let ids: Vec<RecordId> = found.iter().map(|(_, _, id)| *id).collect();
    let there = shared.store.counterparts_of_many(ids, Some(link.name.clone())).await?;
    let mut remotes: BTreeMap<RecordId, Counterpart> = BTreeMap::new();
    for counterpart in there {
        let better = |old: &Counterpart| old.role != Role::Primary && counterpart.role == Role::Primary;
        if remotes.get(&counterpart.record).is_none_or(better) {
            remotes.insert(counterpart.record, counterpart);
        }
    }
    let mut effects = Vec::new();
    let mut blocked = Vec::new();
    for (path, target, id) in &found {
        if remotes.contains_key(id) {
            continue;
        }
        if *target == Kind::Person
            && let Some(shares) = share(shared, link, *id).await?
        {
            effects.push(Effect::PutCounterpart(Box::new(shares.clone())));
            remotes.insert(*id, shares);
        } else if needs.contains(&pattern(path)) {
            blocked.push((path.clone(), *id));
        }
    }
    visit_refs(kind, payload, &mut |_, _, value| {
        let id: Option<RecordId> = value.get("record").and_then(Value::as_str).and_then(|id| id.parse().ok());
        if let (Some(id), Some(object)) = (id, value.as_object_mut()) {
            object.insert("remote".into(), remotes.get(&id).map_or(Value::Null, remote));
        }
    });
    Ok((effects, blocked))
}

/// A guest's share in the one remote party for all guests, by the connection's policy.
///
/// # Errors
/// When the database is away.
pub async fn share(
    shared: &Shared,
    link: &Link,
    person: RecordId,
) -> Result<Option<Counterpart>, StoreError> {
    let Some(party) = &link.config.guests_share else { return Ok(None) };
    let Some(record) = shared.store.record(person).await? else { return Ok(None) };
    if record.payload.get("guest") != Some(&Value::Bool(true)) {
        return Ok(None);
    }
    Ok(Some(Counterpart {
        record: person,
        kind: Kind::Person,
        connection: link.name.clone(),
        external: party.clone(),
        role: Role::Shared,
        number: None,
        links: json!({}),
        observed: None,
        observed_version: None,
        written: None,
        written_version: None,
        settled: true,
        updated_at: shared.now(),
    }))
}

/// `lines[3].item` as manifests write it: `lines[].item`.
fn pattern(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => {
                inside = true;
                out.push('[');
            }
            ']' => {
                inside = false;
                out.push(']');
            }
            _ if inside => {}
            c => out.push(c),
        }
    }
    out
}

fn remote(counterpart: &Counterpart) -> Value {
    json!({
        "type": counterpart.external.remote_type,
        "id": counterpart.external.id,
        "scope": counterpart.external.scope,
        "number": counterpart.number,
        "links": counterpart.links,
    })
}

fn remote_with_observed(counterpart: &Counterpart) -> Value {
    let mut value = remote(counterpart);
    value["observed"] = counterpart.observed.clone().unwrap_or_default();
    value["settled"] = json!(counterpart.settled);
    value
}

/// A connection other than the target that knows the record: its ids are what unresolved references speak of.
async fn source_of(
    shared: &Shared,
    active: &Active,
    record: &Record,
    target: &Link,
) -> Result<Option<counterpart_model::ids::ConnectionName>, StoreError> {
    let counterparts = shared.store.counterparts_of(record.id).await?;
    let known = |c: &&Counterpart| c.connection != target.name && active.links.contains_key(&c.connection);
    Ok(counterparts.iter().find(known).map(|c| c.connection.clone()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_become_patterns() {
        for (path, expect) in
            [("lines[12].item", "lines[].item"), ("customer", "customer"), ("a[0].b[1]", "a[].b[]")]
        {
            assert_eq!(super::pattern(path), expect);
        }
    }
}
