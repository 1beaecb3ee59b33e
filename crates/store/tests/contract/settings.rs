//! Revisions, secrets, samples, jobs, reservations.

use counterpart_model::effect::{Effect, Reservation};
use counterpart_model::redact::Redacted;
use counterpart_store::*;
use serde_json::json;

use crate::setup::*;

#[tokio::test]
async fn a_revision_replaces_the_one_its_plan_started_from() {
    let store = fresh();
    let other = store.another();
    assert_eq!(store.active_revision().await.unwrap(), None);
    let first = store.put_revision(None, json!({ "config": "a" }), "start").await.unwrap();
    let taken = Conflict::Revision { expected: None, found: Some(first) };
    assert_eq!(conflict(other.put_revision(None, json!({}), "").await), taken);
    let second = other.put_revision(Some(first), json!({ "config": "b" }), "more").await.unwrap();
    let active = store.active_revision().await.unwrap().unwrap();
    assert_eq!((active.id, active.base, active.note.as_str()), (second, Some(first), "more"));
    assert_eq!(active.bundle, json!({ "config": "b" }));
    assert_eq!(store.active_revision_id().await.unwrap(), Some(second));
    let ids: Vec<_> = store.list_revisions().await.unwrap().iter().map(|r| r.id).collect();
    assert_eq!(ids, [second, first]);
}

#[tokio::test]
async fn a_secret_is_kept_by_name_and_never_shown() {
    let store = fresh();
    let get = async |name| store.secret_get(name).await.unwrap().map(|s| s.reveal().clone());
    assert_eq!(get("erp").await, None);
    store.secret_put("erp", Redacted::new("one".into())).await.unwrap();
    store.secret_put("erp", Redacted::new("two".into())).await.unwrap();
    store.secret_put("crm", Redacted::new("three".into())).await.unwrap();
    assert_eq!(get("erp").await.as_deref(), Some("two"));
    let names: Vec<_> = store.secret_list().await.unwrap().into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["crm", "erp"]);
    assert!(!format!("{:?} {:?}", store.secret_get("erp").await, store.store).contains("two"));
    assert!(store.secret_delete("erp").await.unwrap());
    assert!(!store.secret_delete("erp").await.unwrap());
    assert_eq!(get("erp").await, None);
}

#[tokio::test]
async fn the_newest_five_samples_of_a_topic_stay() {
    let store = fresh();
    let shop = name("shop");
    for n in 0..8 {
        store.sample_put(&shop, "orders", format!("body {n}").as_bytes()).await.unwrap();
    }
    let other = store.sample_put(&shop, "refunds", b"refund").await.unwrap();
    let bodies = async |topic| {
        let samples = store.samples(&shop, topic).await.unwrap();
        samples.iter().map(|s| String::from_utf8(s.body.reveal().clone()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(bodies(Some("orders")).await, ["body 7", "body 6", "body 5", "body 4", "body 3"]);
    assert_eq!(bodies(None).await.len(), 6);
    let wanted = async |topic, now| store.sample_wanted(&shop, topic, at(now)).await.unwrap();
    assert!(wanted("refunds", 0).await && wanted("products", 0).await);
    assert!(!wanted("orders", 3599).await && wanted("orders", 3600).await);
    assert_eq!(store.sample(other).await.unwrap().unwrap().topic, "refunds");
    assert!(store.sample(999).await.unwrap().is_none());
}

#[tokio::test]
async fn a_job_keeps_what_it_was_given() {
    let store = fresh();
    assert_eq!(store.job_get("reconcile").await.unwrap(), None);
    store.job_put("reconcile", json!({ "page": 3 }), Some(at(60))).await.unwrap();
    store.clock.set(4);
    store.job_put("reconcile", json!({ "page": 4 }), None).await.unwrap();
    let job = store.job_get("reconcile").await.unwrap().unwrap();
    assert_eq!(job, Job { value: json!({ "page": 4 }), next_at: None, updated_at: at(4) });
}

#[tokio::test]
async fn reservations_are_replaced_by_order_and_found_by_item() {
    let store = fresh();
    let row = |line: &str, order: u64, item: u64, quantity: &str| Reservation {
        order: id(order),
        line: line.into(),
        item: id(item),
        location: String::new(),
        store: name("shop"),
        quantity: quantity.parse().unwrap(),
        open_in_store: "0.50".parse().unwrap(),
        confirmed_at: Some(at(3)),
    };
    let put = |order: u64, rows| Effect::PutReservations { order: id(order), rows };
    store
        .put(vec![
            put(1, vec![row("a", 1, 10, "2"), row("b", 1, 11, "1")]),
            put(2, vec![row("a", 2, 10, "3")]),
        ])
        .await;
    assert_eq!(
        store.reservations_for_item(id(10)).await.unwrap(),
        [row("a", 1, 10, "2"), row("a", 2, 10, "3")]
    );
    store.put(vec![put(1, vec![row("b", 1, 11, "4.5")])]).await;
    assert_eq!(store.reservations_of(id(1)).await.unwrap(), [row("b", 1, 11, "4.5")]);
    assert_eq!(store.reservations().await.unwrap().len(), 2);
    store.put(vec![put(2, vec![])]).await;
    assert_eq!(store.reservations_for_item(id(10)).await.unwrap(), []);
}
