//! Inbox, what was seen, cursors.

use counterpart_model::change::Channel;
use counterpart_model::delivery::ReviewSubject;
use counterpart_model::effect::Effect;
use counterpart_store::*;
use serde_json::json;

use crate::setup::*;

#[tokio::test]
async fn an_arrival_is_kept_once_and_read_as_it_came() {
    let store = fresh();
    let first = store.accept(arrival("e1", "{\"a\":1}")).await.unwrap();
    assert!(!first.repeated);
    let again = store.accept(arrival("e1", "{\"a\":2}")).await.unwrap();
    assert_eq!(again, Accepted { id: first.id, repeated: true });
    let mut other_topic = arrival("e1", "x");
    other_topic.topic = "refunds".into();
    assert!(!store.accept(other_topic).await.unwrap().repeated);

    let pending = store.inbox_pending(at(0), 10).await.unwrap();
    assert_eq!(pending.len(), 2);
    assert_eq!(pending[0].arrival, arrival("e1", "{\"a\":1}"));
    assert_eq!((pending[0].id, pending[0].tries), (first.id, 0));
}

#[tokio::test]
async fn of_many_at_once_with_one_id_exactly_one_is_new() {
    let store = fresh();
    let other = store.another();
    let calls = (0..64).map(|n| {
        let store = if n % 2 == 0 { store.store.clone() } else { other.clone() };
        tokio::spawn(async move { store.accept(arrival("same", "x")).await.unwrap().repeated })
    });
    let mut new = 0;
    for call in calls.collect::<Vec<_>>() {
        new += usize::from(!call.await.unwrap());
    }
    assert_eq!(new, 1);
    assert_eq!(store.inbox_pending(at(0), 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_entry_is_put_off_ended_and_ends_once() {
    let store = fresh();
    let row = store.accept(arrival("e1", "x")).await.unwrap().id;
    store.inbox_defer(row, at(30), "the shop is down").await.unwrap();
    assert_eq!(store.inbox_pending(at(29), 10).await.unwrap(), []);
    assert_eq!(store.next_due(at(0)).await.unwrap(), Some(at(30)));
    assert_eq!(store.inbox_pending(at(30), 10).await.unwrap()[0].tries, 1);
    let (_, state) = store.inbox_entry(row).await.unwrap().unwrap();
    assert_eq!((state.state.as_str(), state.message.as_deref()), ("pending", Some("the shop is down")));

    let end = || Effect::EndInbox { inbox: row, outcome: "filtered: test orders".into() };
    store.put(vec![end()]).await;
    let (_, state) = store.inbox_entry(row).await.unwrap().unwrap();
    assert_eq!((state.state.as_str(), state.outcome.as_deref()), ("filtered", Some("filtered: test orders")));
    assert_eq!(store.inbox_pending(at(99), 10).await.unwrap(), []);
    let expect = Conflict::InboxEnded { inbox: row, state: "filtered".into() };
    assert_eq!(conflict(store.commit(vec![end()]).await), expect);
    assert_eq!(conflict(store.inbox_defer(row, at(60), "").await), expect);
    assert!(matches!(store.inbox_defer(99, at(60), "").await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.inbox_entry(99).await.unwrap(), None);
}

#[tokio::test]
async fn an_entry_in_review_is_reopened_with_its_review_closed() {
    let store = fresh();
    let row = store.accept(arrival("e1", "x")).await.unwrap().id;
    let subject = ReviewSubject::Inbox(row);
    let end = Effect::EndInbox { inbox: row, outcome: "in_review".into() };
    store.put(vec![end, review(subject, "cannot be read")]).await;
    store.assert_accounts_add_up().await;
    assert_eq!(store.inbox_pending(at(99), 10).await.unwrap(), []);
    store.inbox_reopen(row, "ada").await.unwrap();
    assert_eq!(store.inbox_pending(at(99), 10).await.unwrap().len(), 1);
    let closed = &store.reviews_about(subject).await.unwrap()[0];
    assert_eq!((closed.closed_as.as_deref(), closed.closed_by.as_deref()), (Some("retried"), Some("ada")));
}

fn polled(read_began: i64, cursor: Option<i64>, items: &[(&str, &str)]) -> Polled {
    let item = |(key, fingerprint): &(&str, &str)| PolledItem {
        topic: "orders".into(),
        key: (*key).into(),
        fingerprint: (*fingerprint).into(),
        event_id: format!("{key}:{fingerprint}"),
        channel: Channel::Poll,
        body: format!("{{\"id\":\"{key}\",\"as\":\"{fingerprint}\"}}").into(),
    };
    Polled {
        connection: name("shop"),
        stream: "orders".into(),
        read_began: at(read_began),
        items: items.iter().map(item).collect(),
        cursor: cursor.map(|c| json!({ "since": c })),
    }
}

#[tokio::test]
async fn what_was_seen_as_it_is_makes_no_entry_and_the_cursor_moves_with_the_rest() {
    let store = fresh();
    assert_eq!(store.cursor(&name("shop"), "orders").await.unwrap(), None);
    let result = |new, unchanged| PolledResult { new, unchanged };
    let check = async |polled, expect| assert_eq!(store.accept_polled(polled).await.unwrap(), expect);
    check(polled(1, Some(1), &[("1", "a"), ("2", "a")]), result(2, 0)).await;
    store.clock.set(5);
    check(polled(2, Some(2), &[("1", "a"), ("2", "b")]), result(1, 1)).await;
    check(polled(3, None, &[]), result(0, 0)).await;
    let cursor = store.cursor(&name("shop"), "orders").await.unwrap().unwrap();
    assert_eq!(cursor, Cursor { value: json!({ "since": 2 }), updated_at: at(5) });

    // A thing that changed and changed back is three arrivals, though its event id repeats.
    check(polled(4, None, &[("2", "a")]), result(1, 0)).await;
    // The same read delivered twice is not.
    check(polled(4, None, &[("2", "a")]), result(0, 1)).await;
    let entries = store.inbox_pending(at(99), 10).await.unwrap();
    assert_eq!(entries.len(), 4);
    assert_eq!(entries[3].arrival.received_at, at(4));
    assert_eq!(entries[3].arrival.body, b"{\"id\":\"2\",\"as\":\"a\"}");

    // An older read that comes late does not make the newer one forgotten.
    check(polled(3, None, &[("2", "c")]), result(1, 0)).await;
    check(polled(5, None, &[("2", "a")]), result(0, 1)).await;
}

#[tokio::test]
async fn what_was_named_in_a_version_is_not_new_again() {
    let store = fresh();
    let named = |read_began, names: &[(&str, &str)]| PolledNames {
        connection: name("shop"),
        topic: "stream:orders".into(),
        read_began: at(read_began),
        names: names.iter().map(|(id, version)| ((*id).to_owned(), (*version).to_owned())).collect(),
    };
    let anew = async |of| {
        let names = store.named_anew(&of).await.unwrap();
        names.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(anew(named(1, &[("1", "a"), ("2", "a")])).await, ["1", "2"]);
    assert_eq!(anew(named(1, &[("1", "a")])).await, ["1"], "asking remembers nothing");

    store.accept_named(named(2, &[("1", "a"), ("2", "a")]), "orders", json!({"mark": 7})).await.unwrap();
    assert_eq!(anew(named(3, &[("1", "a"), ("2", "b"), ("3", "a")])).await, ["2", "3"]);
    assert_eq!(store.cursor(&name("shop"), "orders").await.unwrap().unwrap().value, json!({"mark": 7}));

    // An older read that comes late does not make the newer one forgotten.
    store.accept_named(named(1, &[("1", "z")]), "orders", json!({"mark": 7})).await.unwrap();
    assert_eq!(anew(named(3, &[("1", "a")])).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_commit_is_told_and_bookkeeping_is_not() {
    let store = fresh();
    let mut changed = store.changed();
    let mut told = || {
        let told = changed.has_changed().unwrap();
        changed.mark_unchanged();
        told
    };
    assert!(!told());
    store.accept(arrival("e1", "x")).await.unwrap();
    assert!(told());
    store.accept(arrival("e1", "x")).await.unwrap();
    assert!(!told(), "a repeated arrival");
    store.lease(0).await;
    store.job_put("poll", json!(1), None).await.unwrap();
    store.accept_polled(polled(1, Some(1), &[])).await.unwrap();
    assert!(!told(), "bookkeeping");
    store.put(vec![put_record(1, 1)]).await;
    assert!(told());
}
