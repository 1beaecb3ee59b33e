//! What a person does with what waits: try again, change and try again, throw away.
//!
//! Never: removes anything without saying who did it.

use counterpart_engine::deliver::unsettled;
use counterpart_model::check::check;
use counterpart_model::delivery::{Delivery, DeliveryState, Review, ReviewSubject};
use counterpart_model::effect::Effect;
use counterpart_model::ids::RowId;
use counterpart_model::record::Record;
use serde_json::Value;

use crate::error::HubError;
use crate::shared::Shared;

/// An open review item.
async fn open(shared: &Shared, id: RowId) -> Result<Review, HubError> {
    let review = shared.store.review(id).await?.ok_or_else(|| {
        HubError::NotFound(format!(
            "there is no review item {id}; `counterpart review list` shows what waits"
        ))
    })?;
    if let Some(how) = &review.closed_as {
        let by = review.closed_by.clone().unwrap_or_default();
        return Err(HubError::Conflict(format!("review item {id} is closed already: {how} by {by}")));
    }
    Ok(review)
}

fn close(subject: ReviewSubject, how: &str, by: &str) -> Effect {
    Effect::CloseReviews { subject, how: how.into(), by: by.into() }
}

/// Tries what waits again, as it is now.
///
/// # Errors
/// Not found, or closed already.
pub async fn retry(shared: &Shared, id: RowId, by: &str) -> Result<(), HubError> {
    let review = open(shared, id).await?;
    retry_as(shared, &review, "retried", by, Vec::new()).await
}

async fn retry_as(
    shared: &Shared,
    review: &Review,
    how: &str,
    by: &str,
    mut effects: Vec<Effect>,
) -> Result<(), HubError> {
    effects.push(close(review.item.subject, how, by));
    match review.item.subject {
        ReviewSubject::Delivery(delivery) => {
            let delivery = delivery_of(shared, delivery).await?;
            if !delivery.state.is_final() {
                // A person has looked: what an earlier try left open no longer counts.
                let there = shared.store.counterparts_of(delivery.spec.record).await?;
                effects.extend(unsettled(&delivery, &there, shared.now()));
                effects.push(set(&delivery, DeliveryState::Ready, shared, format!("tried again by {by}")));
            }
            shared.store.commit(effects).await?;
        }
        ReviewSubject::Inbox(inbox) => {
            shared.store.commit(effects).await?;
            shared.store.inbox_reopen(inbox, by).await?;
        }
        ReviewSubject::Record(record) => {
            for waiting in shared.store.waiting_for(record).await? {
                let delivery = delivery_of(shared, waiting).await?;
                effects.push(set(&delivery, DeliveryState::Ready, shared, format!("tried again by {by}")));
            }
            shared.store.commit(effects).await?;
        }
    }
    Ok(())
}

async fn delivery_of(shared: &Shared, id: RowId) -> Result<Delivery, HubError> {
    let found = shared.store.delivery(id).await?;
    found.ok_or_else(|| HubError::NotFound(format!("delivery {id} is gone")))
}

fn set(delivery: &Delivery, state: DeliveryState, shared: &Shared, message: String) -> Effect {
    Effect::SetDelivery {
        delivery: delivery.id,
        state,
        next_at: (state == DeliveryState::Ready).then(|| shared.now()),
        failures: 0,
        progress: delivery.progress.clone(),
        message: Some(message),
        waits_for: Vec::new(),
    }
}

/// Changes the record by a merge patch (RFC 7396), then tries again.
///
/// # Errors
/// Not found, closed already, nothing to edit, or a result that breaks the canonical shape.
pub async fn edit(shared: &Shared, id: RowId, patch: &Value, by: &str) -> Result<(), HubError> {
    let review = open(shared, id).await?;
    let Some(record) = review.item.record else {
        return Err(HubError::BadInput(format!(
            "review item {id} is about an arrival that could not be read: there is no record to edit. Correct the mapping or the \
             source, then `counterpart review retry {id}`"
        )));
    };
    if !patch.is_object() {
        return Err(HubError::BadInput(
            "the patch must be a JSON object, such as {\"note\": \"...\"}".into(),
        ));
    }
    let old = shared.store.record(record).await?;
    let old = old.ok_or_else(|| HubError::NotFound(format!("record {record} is gone")))?;
    let mut payload = old.payload.clone();
    merge_patch(&mut payload, patch);
    if let Err(problems) = check(old.kind, &payload) {
        let list = problems.iter().map(|p| format!("{}: {}; expected {}", p.path, p.message, p.expected));
        return Err(HubError::BadInput(list.collect::<Vec<_>>().join("\n")));
    }
    let mut keys = counterpart_identity::keys(old.kind, &payload);
    keys.dedup();
    let record = Record { version: old.version + 1, payload, updated_at: shared.now(), ..old.clone() };
    let put =
        Effect::PutRecord { record, expected: Some(old.version), keys, cause: format!("edited by {by}") };
    let mut effects = vec![put];
    // A delivery that carries its payload as it was would not see the edit.
    if let ReviewSubject::Delivery(delivery) = review.item.subject {
        let delivery = delivery_of(shared, delivery).await?;
        if delivery.spec.payload.is_some() {
            let mut spec = delivery.spec.clone();
            spec.payload.as_mut().into_iter().for_each(|payload| merge_patch(payload, patch));
            spec.version = old.version + 1;
            spec.next_at = shared.now();
            effects.push(Effect::AddDelivery { delivery: Box::new(spec), supersedes: vec![delivery.id] });
            effects.push(close(review.item.subject, "edited", by));
            shared.store.commit(effects).await?;
            return Ok(());
        }
    }
    retry_as(shared, &review, "edited", by, effects).await
}

/// Throws away what waits; who did it stays on record.
///
/// # Errors
/// Not found, or closed already.
pub async fn discard(shared: &Shared, id: RowId, by: &str) -> Result<(), HubError> {
    let review = open(shared, id).await?;
    let mut effects = vec![close(review.item.subject, "discarded", by)];
    match review.item.subject {
        ReviewSubject::Delivery(delivery) => {
            let delivery = delivery_of(shared, delivery).await?;
            if !delivery.state.is_final() {
                effects.push(set(&delivery, DeliveryState::Discarded, shared, format!("discarded by {by}")));
            }
        }
        ReviewSubject::Inbox(inbox) => {
            effects.push(Effect::EndInbox { inbox, outcome: format!("discarded: by {by}") });
        }
        ReviewSubject::Record(_) => {}
    }
    shared.store.commit(effects).await?;
    Ok(())
}

/// RFC 7396: null removes, objects merge, everything else replaces.
fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_patch(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_merge_patch_follows_the_rfc() {
        // Cases of RFC 7396, appendix A.
        for (target, patch, expect) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut value = target.clone();
            super::merge_patch(&mut value, &patch);
            assert_eq!(value, expect, "{target} patched by {patch}");
        }
    }
}
