//! Finding records and counterparts.

use counterpart_model::effect::Effect;
use counterpart_model::kind::Kind;
use counterpart_model::record::Counterpart;
use counterpart_store::*;
use serde_json::json;

use crate::setup::*;

fn person(n: u64, version: u64, keys: &[(&str, &str)]) -> Effect {
    let mut record = record(n, version, json!({}));
    record.kind = Kind::Person;
    Effect::PutRecord {
        record,
        expected: (version > 1).then(|| version - 1),
        keys: keys.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        cause: "shop".into(),
    }
}

#[tokio::test]
async fn a_record_is_found_by_the_keys_of_its_newest_version() {
    let store = fresh();
    store.put(vec![person(1, 1, &[("email", "ada@example.com"), ("email", "a@b.c")])]).await;
    store.put(vec![person(2, 1, &[("email", "ada@example.com")])]).await;
    let find = async |kind, key: &str, value: &str| store.find_by_key(kind, key, value).await.unwrap();
    assert_eq!(find(Kind::Person, "email", "ada@example.com").await, [id(1), id(2)]);
    assert_eq!(find(Kind::Person, "phone", "ada@example.com").await, []);
    assert_eq!(find(Kind::Company, "email", "ada@example.com").await, []);
    store.put(vec![person(1, 2, &[("email", "new@example.com")])]).await;
    assert_eq!(find(Kind::Person, "email", "ada@example.com").await, [id(2)]);
    assert_eq!(find(Kind::Person, "email", "a@b.c").await, []);
    assert_eq!(find(Kind::Person, "email", "new@example.com").await, [id(1)]);
}

#[tokio::test]
async fn records_are_listed_by_kind_and_label() {
    let store = fresh();
    store.put(vec![put_record(1, 1), put_record(2, 1), person(3, 1, &[])]).await;
    store.put(vec![put_record(1, 2)]).await;
    let ids =
        |records: Vec<counterpart_model::record::Record>| records.iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(ids(store.list_records(Kind::Order, None, 10).await.unwrap()), [id(1), id(2)]);
    assert_eq!(ids(store.list_records(Kind::Order, None, 1).await.unwrap()), [id(1)]);
    assert_eq!(ids(store.find_by_label(Kind::Order, "#2").await.unwrap()), [id(2)]);
    assert_eq!(ids(store.find_by_label(Kind::Order, "#3").await.unwrap()), []);
    assert_eq!(ids(store.records(vec![id(3), id(9), id(1)]).await.unwrap()), [id(3), id(1)]);
    assert_eq!(store.record(id(9)).await.unwrap(), None);
}

#[tokio::test]
async fn counterparts_of_many_records_come_from_one_connection_or_all() {
    let store = fresh();
    let effects =
        vec![put_counterpart(1, "shop", "1"), put_counterpart(1, "erp", "1"), put_counterpart(2, "erp", "2")];
    store.put(effects).await;
    let count = async |ids, connection| store.counterparts_of_many(ids, connection).await.unwrap().len();
    assert_eq!(count(vec![id(1), id(2)], None).await, 3);
    assert_eq!(count(vec![id(1), id(2)], Some(name("erp"))).await, 2);
    assert_eq!(count(vec![], None).await, 0);
}

#[tokio::test]
async fn the_watch_set_is_what_is_not_settled_longest_not_looked_at_first() {
    let store = fresh();
    let put = |n: u64, remote_type: &str, settled| {
        let mut one = counterpart(n, "erp", &n.to_string());
        one.external.remote_type = remote_type.into();
        one.settled = settled;
        Effect::PutCounterpart(Box::new(one))
    };
    for (second, effect) in [
        (3, put(1, "Order", false)),
        (1, put(2, "Order", false)),
        (2, put(3, "Invoice", false)),
        (0, put(4, "Order", true)),
    ] {
        store.clock.set(second);
        store.put(vec![effect]).await;
    }
    let ids = |due: Vec<Counterpart>| due.iter().map(|c| c.external.id.clone()).collect::<Vec<_>>();
    let due = async |types: &[&str], before, most| {
        let types: Vec<_> = types.iter().map(|t| (*t).to_owned()).collect();
        ids(store.watch_due(&name("erp"), &types, at(before), most).await.unwrap())
    };
    assert_eq!(due(&[], 10, 10).await, ["2", "3", "1"]);
    assert_eq!(due(&["Order"], 10, 10).await, ["2", "1"]);
    assert_eq!(due(&[], 3, 10).await, ["2", "3"]);
    assert_eq!(due(&[], 10, 1).await, ["2"]);
    store.mark_watched(&name("erp"), vec![external("Order", "2")], at(5)).await.unwrap();
    assert_eq!(due(&[], 10, 10).await, ["3", "1", "2"]);
    store.clock.set(6);
    store.put(vec![put(3, "Invoice", true)]).await;
    assert_eq!(due(&[], 10, 10).await, ["1", "2"]);
}

#[tokio::test]
async fn deliveries_are_listed_by_filter() {
    let store = fresh();
    let mut stock = delivery(2, 2, 0);
    stock.flow = flow("stock");
    stock.lane.connection = name("shop");
    let rows = store.put(vec![add(delivery(1, 1, 0)), add(stock), add(delivery(3, 3, 0))]).await;
    store.clock.set(9);
    store.put(vec![set(rows[0], counterpart_model::delivery::DeliveryState::Delivered, 0)]).await;
    let check = async |filter, expect: &[i64]| {
        let found: Vec<_> = store.list_deliveries(filter).await.unwrap().iter().map(|d| d.id).collect();
        assert_eq!(found, expect);
    };
    let all = DeliveryFilter::default;
    check(all(), &[rows[2], rows[1], rows[0]]).await;
    check(DeliveryFilter { limit: 1, ..all() }, &[rows[2]]).await;
    check(DeliveryFilter { flow: Some(flow("stock")), ..all() }, &[rows[1]]).await;
    check(DeliveryFilter { connection: Some(name("erp")), ..all() }, &[rows[2], rows[0]]).await;
    let state = Some(counterpart_model::delivery::DeliveryState::Ready);
    check(DeliveryFilter { state, ..all() }, &[rows[2], rows[1]]).await;
    check(DeliveryFilter { state, flow: Some(flow("orders")), ..all() }, &[rows[2]]).await;
    check(DeliveryFilter { since: Some(at(1)), ..all() }, &[]).await;
    check(DeliveryFilter { flow: Some(flow("orders")), ..all() }, &[rows[2], rows[0]]).await;
    check(DeliveryFilter { flow: Some(flow("orders")), limit: 1, ..all() }, &[rows[2]]).await;
    check(DeliveryFilter { finished_since: Some(at(9)), ..all() }, &[rows[0]]).await;
    store.clock.set(10);
    store.put(vec![set(rows[2], counterpart_model::delivery::DeliveryState::Delivered, 0)]).await;
    store.clock.set(11);
    store.put(vec![set(rows[1], counterpart_model::delivery::DeliveryState::Discarded, 0)]).await;
    check(DeliveryFilter { finished_since: Some(at(9)), ..all() }, &[rows[0], rows[2], rows[1]]).await;
    check(DeliveryFilter { finished_since: Some(at(10)), limit: 1, ..all() }, &[rows[2]]).await;
    let delivered = Some(counterpart_model::delivery::DeliveryState::Delivered);
    check(DeliveryFilter { finished_since: Some(at(10)), state: delivered, ..all() }, &[rows[2]]).await;
}
