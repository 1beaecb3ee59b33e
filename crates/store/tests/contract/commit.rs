//! Lists of effects: whole or not at all; how deliveries and changes end.

use counterpart_model::change::ChangeOutcome;
use counterpart_model::delivery::*;
use counterpart_model::effect::Effect;
use counterpart_model::record::Role;
use counterpart_store::*;
use serde_json::{Value, json};

use crate::setup::*;

#[tokio::test]
async fn a_record_version_is_written_once() {
    let store = fresh();
    store.put(vec![put_record(1, 1)]).await;
    let conflicting = |expected, found| Conflict::RecordVersion { record: id(1), expected, found };
    assert_eq!(conflict(store.commit(vec![put_record(1, 1)]).await), conflicting(None, Some(1)));
    assert_eq!(conflict(store.commit(vec![put_record(1, 3)]).await), conflicting(Some(2), Some(1)));
    store.put(vec![put_record(1, 2)]).await;
    assert_eq!(conflict(store.commit(vec![put_record(1, 2)]).await), conflicting(Some(1), Some(2)));
    let missing = Conflict::RecordVersion { record: id(2), expected: Some(4), found: None };
    assert_eq!(conflict(store.commit(vec![put_record(2, 5)]).await), missing);

    assert_eq!(store.record(id(1)).await.unwrap(), Some(record(1, 2, json!({ "version": 2 }))));
    let timeline = store.timeline(id(1)).await.unwrap();
    assert_eq!(timeline.iter().map(|e| e.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((timeline[1].at, timeline[1].cause.as_str()), (at(2), "shop: Order/1"));
}

#[tokio::test]
async fn a_list_that_fails_leaves_nothing_and_its_neighbours_are_written() {
    let store = fresh();
    store.put(vec![put_record(1, 1)]).await;
    let calls: Vec<_> = (2..40)
        .map(|n| {
            let store = store.store.clone();
            // Every third list ends with a version that conflicts.
            let last = if n % 3 == 0 { put_record(1, 7) } else { put_record(n + 100, 1) };
            let list = vec![put_record(n, 1), add(delivery(n, n, 0)), last];
            tokio::spawn(async move { (n, store.commit(list).await.is_ok()) })
        })
        .collect();
    for call in calls {
        let (n, done) = call.await.unwrap();
        assert_eq!(done, n % 3 != 0, "list {n}");
        assert_eq!(store.record(id(n)).await.unwrap().is_some(), done, "list {n}");
        assert_eq!(store.deliveries_of(id(n)).await.unwrap().len(), usize::from(done), "list {n}");
    }
}

#[tokio::test]
async fn of_two_lists_from_one_version_one_wins() {
    let store = fresh();
    let other = store.another();
    store.put(vec![put_record(1, 1)]).await;
    for version in 2..20 {
        let (a, b) = tokio::join!(
            store.commit(vec![put_record(1, version), add(delivery(1, 1, 0))]),
            other.commit(vec![put_record(1, version), add(delivery(1, 1, 0))])
        );
        assert!(a.is_ok() != b.is_ok(), "version {version}: {a:?} {b:?}");
    }
    assert_eq!(store.deliveries_of(id(1)).await.unwrap().len(), 18);
}

#[tokio::test]
async fn an_external_id_is_primary_for_one_record_and_a_record_has_one_primary() {
    let store = fresh();
    store.put(vec![put_counterpart(1, "shop", "55")]).await;
    let elsewhere = Conflict::PrimaryElsewhere {
        connection: name("shop"),
        external: external("Order", "55"),
        record: id(1),
    };
    assert_eq!(conflict(store.commit(vec![put_counterpart(2, "shop", "55")]).await), elsewhere);
    let second = Conflict::SecondPrimary {
        connection: name("shop"),
        external: external("Order", "55"),
        record: id(1),
    };
    assert_eq!(conflict(store.commit(vec![put_counterpart(1, "shop", "56")]).await), second);

    // Another scope, type, connection or role is another link.
    let mut scoped = counterpart(1, "shop", "56");
    scoped.external.scope = "us".into();
    let mut shared = counterpart(2, "shop", "55");
    shared.role = Role::Shared;
    let effects = vec![
        Effect::PutCounterpart(Box::new(scoped)),
        Effect::PutCounterpart(Box::new(shared.clone())),
        put_counterpart(1, "erp", "55"),
    ];
    store.put(effects).await;
    assert_eq!(store.counterparts_of(id(1)).await.unwrap().len(), 3);
    let at_55 = store.counterpart_at(&name("shop"), &external("Order", "55")).await.unwrap();
    assert_eq!(at_55, [counterpart(1, "shop", "55"), shared]);

    // The same link again replaces what it held.
    let mut newer = counterpart(1, "shop", "55");
    newer.written = Some(json!({ "total": "1.00" }));
    newer.written_version = Some(9);
    newer.observed = None;
    newer.number = Some("S00055".into());
    store.put(vec![Effect::PutCounterpart(Box::new(newer.clone()))]).await;
    assert_eq!(store.counterpart_at(&name("shop"), &external("Order", "55")).await.unwrap()[0], newer);
    assert_eq!(store.find_counterparts("S00055").await.unwrap(), [newer]);
    assert_eq!(store.find_counterparts("56").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_delivery_goes_through_its_states_and_is_read_as_written() {
    let store = fresh();
    let mut asked = delivery(1, 1, 0);
    asked.payload = Some(json!({ "amount": "12.34" }));
    asked.reason = Some("first".into());
    let row = store.put(vec![add(asked.clone())]).await[0];
    let intent = Intent { step: "create".into(), sent_at: at(1), key: "k1".into() };
    let attempt = Attempt {
        delivery: row,
        step: "create".into(),
        at: at(1),
        millis: 120,
        failure: Some(FailureClass::Transient),
        status: Some(503),
        message: "the ERP is down".into(),
        request: Some(json!({ "path": "/orders" })),
        response: None,
    };
    store.put(vec![Effect::SetIntent { delivery: row, intent: Some(intent.clone()) }]).await;
    assert_eq!(store.delivery(row).await.unwrap().unwrap().intent, Some(intent));
    store
        .put(vec![
            Effect::AddAttempt(Box::new(attempt.clone())),
            Effect::SetIntent { delivery: row, intent: None },
            Effect::SetDelivery {
                delivery: row,
                state: DeliveryState::Ready,
                next_at: Some(at(30)),
                failures: 1,
                progress: json!({ "find": { "id": 5 } }),
                message: Some("the ERP is down".into()),
                waits_for: Vec::new(),
            },
        ])
        .await;
    let stored = store.delivery(row).await.unwrap().unwrap();
    asked.next_at = at(30);
    let expect = Delivery {
        id: row,
        spec: asked,
        state: DeliveryState::Ready,
        failures: 1,
        progress: json!({ "find": { "id": 5 } }),
        intent: None,
        created_at: at(0),
        finished_at: None,
        message: Some("the ERP is down".into()),
    };
    assert_eq!(stored, expect);
    assert_eq!(store.attempts_of(row).await.unwrap(), [attempt]);
    assert_eq!(store.open_deliveries(id(1)).await.unwrap(), std::slice::from_ref(&expect));
    assert_eq!(store.open_deliveries(lane("erp", 1)).await.unwrap(), [expect]);

    store.clock.set(8);
    store.put(vec![set(row, DeliveryState::Delivered, 0)]).await;
    assert_eq!(store.delivery(row).await.unwrap().unwrap().finished_at, Some(at(8)));
    assert_eq!(store.open_deliveries(id(1)).await.unwrap(), []);
    let latency = store.latency(at(0)).await.unwrap()[&flow("orders")];
    assert_eq!((latency.count, latency.p50), (1, 8000));
    assert!(store.latency(at(9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_end_stays_unless_it_was_delivered_after_all() {
    let store = fresh();
    let rows = store.put(vec![add(delivery(1, 1, 0)), add(delivery(2, 2, 0))]).await;
    store.put(vec![set(rows[0], DeliveryState::Discarded, 0)]).await;
    let ended = Conflict::DeliveryEnded { delivery: rows[0], state: "discarded".into() };
    assert_eq!(conflict(store.commit(vec![set(rows[0], DeliveryState::Ready, 0)]).await), ended);
    let intent = Intent { step: "create".into(), sent_at: at(1), key: "k".into() };
    let send = Effect::SetIntent { delivery: rows[0], intent: Some(intent) };
    assert_eq!(conflict(store.commit(vec![send]).await), ended);
    store.put(vec![set(rows[0], DeliveryState::Delivered, 0)]).await;
    assert_eq!(store.state(rows[0]).await, DeliveryState::Delivered);
    let unknown = store.commit(vec![set(999, DeliveryState::Ready, 0)]).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no delivery 999");
}

#[tokio::test]
async fn a_superseded_delivery_ends_unless_its_request_may_be_out() {
    let store = fresh();
    let rows = store.put(vec![add(delivery(1, 1, 0)), add(delivery(1, 1, 0)), add(delivery(1, 1, 0))]).await;
    let intent = Intent { step: "create".into(), sent_at: at(1), key: "k".into() };
    store
        .put(vec![
            Effect::SetIntent { delivery: rows[1], intent: Some(intent) },
            set(rows[2], DeliveryState::InReview, 0),
            review(ReviewSubject::Delivery(rows[2]), "no"),
        ])
        .await;
    let newer = Effect::AddDelivery { delivery: Box::new(delivery(1, 1, 0)), supersedes: rows.clone() };
    let newer = store.put(vec![newer]).await[0];
    assert_eq!(store.state(rows[0]).await, DeliveryState::Superseded);
    assert_eq!(store.state(rows[1]).await, DeliveryState::Ready, "its request may have been sent");
    assert_eq!(store.state(rows[2]).await, DeliveryState::Superseded);
    assert_eq!(store.state(newer).await, DeliveryState::Ready);
    let closed = &store.reviews_of_delivery(rows[2]).await.unwrap()[0];
    assert_eq!(closed.closed_as.as_deref(), Some("resolved"));
    let message = store.delivery(rows[0]).await.unwrap().unwrap().message;
    assert_eq!(message, Some(format!("superseded by delivery {newer}")));
    store.assert_accounts_add_up().await;
}

#[tokio::test]
async fn changes_are_listed_with_their_record_and_a_review_is_replaced_when_read_again() {
    let store = fresh();
    let inbox = store.accept(arrival("e1", "x")).await.unwrap().id;
    let end = |n: u64, outcome| Effect::EndChange {
        inbox: Some(inbox),
        change: Box::new(change(n, &n.to_string())),
        outcome,
    };
    let in_review = || ChangeOutcome::InReview { reason: "invalid".into() };
    store.put(vec![end(1, in_review()), review(ReviewSubject::Inbox(inbox), "wrong")]).await;
    let applied = ChangeOutcome::Applied {
        record: id(1),
        version: 1,
        deliveries: 0,
        filtered: vec!["cut-over".into()],
    };
    store
        .put(vec![end(1, applied.clone()), put_counterpart(1, "shop", "1"), end(1, ChangeOutcome::Echo)])
        .await;

    let changes = store.changes_of(id(1)).await.unwrap();
    assert_eq!(changes.iter().map(|c| c.outcome.clone()).collect::<Vec<_>>(), [applied, ChangeOutcome::Echo]);
    assert_eq!(changes[0].change, change(1, "1"));
    assert_eq!((changes[0].inbox, changes[0].at, changes[1].record), (Some(inbox), at(0), Some(id(1))));

    let count = async |filter| store.list_changes(filter).await.unwrap().len();
    let all = ChangeFilter::default;
    assert_eq!(count(all()).await, 2);
    assert_eq!(count(ChangeFilter { connections: vec![name("shop"), name("erp")], ..all() }).await, 2);
    assert_eq!(count(ChangeFilter { connections: vec![name("erp")], ..all() }).await, 0);
    assert_eq!(count(ChangeFilter { outcome: Some("echo".into()), ..all() }).await, 1);
    assert_eq!(count(ChangeFilter { since: Some(at(1)), ..all() }).await, 0);
    assert_eq!(count(ChangeFilter { after: changes[0].id, limit: 5, ..all() }).await, 1);

    let mut deleted = change(1, "1");
    deleted.deleted = true;
    deleted.payload = Value::Null;
    let gone =
        Effect::EndChange { inbox: None, change: Box::new(deleted.clone()), outcome: ChangeOutcome::Stale };
    store.put(vec![gone]).await;
    assert_eq!(store.changes_of(id(1)).await.unwrap()[2].change, deleted);
}

#[tokio::test]
async fn a_field_that_two_connections_keep_changing_is_counted() {
    let store = fresh();
    let applied = |connection: &str, payload| {
        let mut change = change(1, "1");
        change.connection = name(connection);
        change.payload = payload;
        let outcome = ChangeOutcome::Applied { record: id(1), version: 1, deliveries: 0, filtered: vec![] };
        Effect::EndChange { inbox: None, change: Box::new(change), outcome }
    };
    store
        .put(vec![
            applied("shop", json!({ "note": "a", "channel": "web" })),
            applied("crm", json!({ "note": "b", "channel": "web" })),
            applied("shop", json!({ "note": "a" })),
            applied("shop", json!({ "note": "c" })),
            applied("crm", json!({ "note": "b" })),
        ])
        .await;
    let flips = store.recent_flips(id(1), at(0)).await.unwrap();
    assert_eq!(flips.into_iter().collect::<Vec<_>>(), [("note".to_owned(), 3)]);
    assert!(store.recent_flips(id(1), at(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_counts_add_up_and_a_fault_is_named() {
    let store = fresh();
    let inbox = store.accept(arrival("e1", "x")).await.unwrap().id;
    store.accept(arrival("e2", "x")).await.unwrap();
    let rows = store
        .put(vec![
            Effect::EndInbox { inbox, outcome: "done".into() },
            Effect::EndChange {
                inbox: Some(inbox),
                change: Box::new(change(1, "1")),
                outcome: ChangeOutcome::Stale,
            },
            add(delivery(1, 1, 0)),
            add(delivery(2, 2, 0)),
        ])
        .await;
    store.put(vec![set(rows[0], DeliveryState::Delivered, 0)]).await;
    let accounts = store.accounts().await.unwrap();
    assert_eq!(
        serde_json::to_value(&accounts).unwrap(),
        json!({
            "inbox": { "done": 1, "pending": 1 },
            "changes": { "stale": 1 },
            "deliveries": { "delivered": 1, "ready": 1 },
            "flows": { "orders": { "delivered": 1, "ready": 1 } },
            "reviews_open": 0,
        })
    );
    store.assert_accounts_add_up().await;

    store.put(vec![set(rows[1], DeliveryState::InReview, 0)]).await;
    let fault = Unaccounted {
        what: "delivery".into(),
        id: rows[1],
        why: "in review, but no review item is open".into(),
    };
    assert_eq!(store.unaccounted().await.unwrap(), [fault]);
}
