//! What waits for a person opens once and is closed by whoever closes it.

use counterpart_model::delivery::*;
use counterpart_model::effect::Effect;
use counterpart_store::*;
use serde_json::json;

use crate::setup::*;

#[tokio::test]
async fn an_open_item_is_refreshed_and_not_doubled() {
    let store = fresh();
    let row = store.put(vec![add(delivery(1, 1, 0))]).await[0];
    let subject = ReviewSubject::Delivery(row);
    store.put(vec![set(row, DeliveryState::InReview, 0), review(subject, "first")]).await;
    store.clock.set(5);
    store.put(vec![review(subject, "second")]).await;
    let items = store.reviews_of_delivery(row).await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].item.message.as_str(), items[0].opened_at), ("second", at(0)));
    assert_eq!(items[0].item.detail, json!({ "field": "email" }));
    assert_eq!(items[0].item.record, Some(id(1)), "the delivery's record");
    assert_eq!(store.reviews_of(id(1)).await.unwrap(), items);
    assert_eq!(store.review(items[0].id).await.unwrap().as_ref(), Some(&items[0]));

    // A closed one stays as it was; the next is a new one.
    store.put(vec![Effect::CloseReviews { subject, how: "retried".into(), by: "ada".into() }]).await;
    store.put(vec![review(subject, "third")]).await;
    let items = store.reviews_of_delivery(row).await.unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!((items[1].closed_as.as_deref(), items[1].closed_at), (Some("retried"), Some(at(5))));
    assert_eq!(items[0].closed_at, None);
}

#[tokio::test]
async fn a_delivery_that_ends_closes_its_items_unless_the_list_says_how() {
    let store = fresh();
    let rows = store.put(vec![add(delivery(1, 1, 0)), add(delivery(2, 2, 0))]).await;
    for row in &rows {
        let subject = ReviewSubject::Delivery(*row);
        store.put(vec![set(*row, DeliveryState::InReview, 0), review(subject, "no")]).await;
    }
    store.put(vec![set(rows[0], DeliveryState::Delivered, 0)]).await;
    let how = Effect::CloseReviews {
        subject: ReviewSubject::Delivery(rows[1]),
        how: "discarded".into(),
        by: "ada".into(),
    };
    store.put(vec![set(rows[1], DeliveryState::Discarded, 0), how]).await;
    let closed = async |row| store.reviews_of_delivery(row).await.unwrap()[0].clone();
    assert_eq!(closed(rows[0]).await.closed_as.as_deref(), Some("resolved"));
    assert_eq!(closed(rows[1]).await.closed_as.as_deref(), Some("discarded"));
    assert_eq!(closed(rows[1]).await.closed_by.as_deref(), Some("ada"));
    assert_eq!(store.accounts().await.unwrap().reviews_open, 0);
}

#[tokio::test]
async fn items_are_listed_by_filter() {
    let store = fresh();
    let conflict = |n: u64, connection: &str| {
        Effect::OpenReview(Box::new(NewReview {
            subject: ReviewSubject::Record(id(n)),
            reason: ReviewReason::Conflict,
            message: "two say different things".into(),
            detail: json!(null),
            connection: Some(name(connection)),
            record: None,
        }))
    };
    store
        .put(vec![conflict(1, "shop"), conflict(2, "erp"), review(ReviewSubject::Record(id(1)), "no")])
        .await;
    let close = Effect::CloseReviews {
        subject: ReviewSubject::Record(id(2)),
        how: "resolved".into(),
        by: "ada".into(),
    };
    store.put(vec![close]).await;
    let count = async |filter| store.reviews(filter).await.unwrap().len();
    let open = ReviewFilter::default;
    assert_eq!(count(open()).await, 2);
    assert_eq!(count(ReviewFilter { all: true, ..open() }).await, 3);
    assert_eq!(count(ReviewFilter { reason: Some("conflict".into()), ..open() }).await, 1);
    assert_eq!(count(ReviewFilter { connection: Some(name("erp")), all: true, ..open() }).await, 2);
    assert_eq!(count(ReviewFilter { limit: 1, ..open() }).await, 1);
    assert_eq!(store.reviews_of(id(1)).await.unwrap().len(), 2);
}
