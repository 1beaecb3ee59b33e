//! Leases: one worker a lane, in order, and no wake-up lost.

use std::collections::BTreeMap;

use counterpart_model::delivery::*;
use counterpart_model::effect::Effect;
use counterpart_store::*;

use crate::setup::*;

fn roots(leased: &[Leased]) -> Vec<Lane> {
    leased.iter().map(|l| l.lane.clone()).collect()
}

#[tokio::test]
async fn a_lane_is_leased_when_its_first_delivery_is_due_and_comes_whole() {
    let store = fresh();
    let rows = store.put(vec![add(delivery(1, 1, 10)), add(delivery(1, 2, 0))]).await;
    assert_eq!(store.lease(9).await, [], "the first is not due, so the second waits");
    assert_eq!(store.next_due(at(0)).await.unwrap(), Some(at(10)));
    let leased = store.lease(10).await;
    assert_eq!(roots(&leased), [lane("erp", 1)]);
    assert_eq!(leased[0].heads.iter().map(|d| d.id).collect::<Vec<_>>(), rows);
    assert_eq!(leased[0].workable(at(10)).len(), 2);
    assert_eq!(store.lease(10).await, [], "it is leased");
    assert_eq!(store.next_due(at(10)).await.unwrap(), Some(at(70)), "when the lease runs out");

    let token = leased[0].token;
    let release = Effect::ReleaseLane { lane: lane("erp", 1), token };
    store.put(vec![set(rows[0], DeliveryState::Delivered, 0), release]).await;
    assert_eq!(store.lease(10).await[0].heads[0].id, rows[1]);
}

#[tokio::test]
async fn the_most_urgent_and_longest_due_come_first_within_the_limits() {
    let store = fresh();
    let on = |connection: &str, n: u64, due: i64, freshness| {
        let mut delivery = delivery(n, n, due);
        delivery.lane.connection = name(connection);
        delivery.freshness = freshness;
        add(delivery)
    };
    store
        .put(vec![
            on("erp", 1, 1, Freshness::Batch),
            on("erp", 2, 3, Freshness::Transactional),
            on("erp", 3, 2, Freshness::Transactional),
            on("crm", 4, 4, Freshness::Transactional),
            on("erp", 5, 99, Freshness::Transactional),
        ])
        .await;
    let ask = |max_lanes, skip: &[&str], limits: &[(&str, usize)]| LeaseRequest {
        until: at(11),
        max_lanes,
        skip: skip.iter().map(|n| name(n)).collect(),
        max_per_connection: limits.iter().map(|(n, most)| (name(n), *most)).collect::<BTreeMap<_, _>>(),
        ..request(10)
    };
    let check = async |ask: LeaseRequest, expect: &[Lane]| {
        let leased = store.lease_lanes(ask).await.unwrap();
        assert_eq!(roots(&leased), expect);
        let back = leased.into_iter().map(|l| Effect::ReleaseLane { lane: l.lane, token: l.token });
        store.put(back.collect()).await;
    };
    let [batch, second, first, crm] = [lane("erp", 1), lane("erp", 2), lane("erp", 3), lane("crm", 4)];
    check(ask(9, &[], &[]), &[first.clone(), second.clone(), crm.clone(), batch.clone()]).await;
    check(ask(2, &[], &[]), &[first.clone(), second.clone()]).await;
    check(ask(0, &[], &[]), &[]).await;
    check(ask(9, &["erp"], &[]), std::slice::from_ref(&crm)).await;
    check(ask(9, &[], &[("erp", 1)]), &[first.clone(), crm.clone()]).await;
    check(ask(9, &[], &[("erp", 0)]), std::slice::from_ref(&crm)).await;
    assert_eq!(store.next_due(at(0)).await.unwrap(), Some(at(1)));
    assert_eq!(store.next_due_except(at(0), &[name("erp")]).await.unwrap(), Some(at(4)));
    assert_eq!(store.next_due_except(at(0), &[name("erp"), name("crm")]).await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_and_its_token_no_longer_counts() {
    let store = fresh();
    let row = store.put(vec![add(delivery(1, 1, 0))]).await[0];
    let old = store.lease(0).await.remove(0);
    let require = |token| Effect::RequireLease { lane: lane("erp", 1), token };
    store.put(vec![require(old.token)]).await;
    store.renew_lease(&old.lane, old.token, at(100)).await.unwrap();
    assert_eq!(store.lease(99).await, [], "renewed");

    let new = store.lease(100).await.remove(0);
    assert!(new.token > old.token);
    let lost = Conflict::Lease { lane: lane("erp", 1) };
    let stale = vec![require(old.token), set(row, DeliveryState::Delivered, 0)];
    assert_eq!(conflict(store.commit(stale).await), lost);
    assert_eq!(conflict(store.renew_lease(&old.lane, old.token, at(999)).await), lost);
    assert_eq!(store.state(row).await, DeliveryState::Ready);

    // Giving back what is no longer held does not take it from its holder.
    store.put(vec![Effect::ReleaseLane { lane: lane("erp", 1), token: old.token }]).await;
    store.put(vec![require(new.token), set(row, DeliveryState::Delivered, 0)]).await;
    store.put(vec![Effect::ReleaseLane { lane: lane("erp", 1), token: new.token }]).await;
    assert_eq!(conflict(store.commit(vec![require(new.token)]).await), lost);

    // A lane that comes into being again never meets an old token.
    store.put(vec![add(delivery(1, 1, 0))]).await;
    assert!(store.lease(0).await[0].token > new.token);
}

#[tokio::test]
async fn leases_of_a_dead_process_are_broken_at_a_start() {
    let store = fresh();
    store.put(vec![add(delivery(1, 1, 0)), add(delivery(2, 2, 0))]).await;
    let old = store.lease(0).await;
    assert_eq!(store.break_leases().await.unwrap(), 2);
    assert_eq!(store.break_leases().await.unwrap(), 0);
    let stale = Effect::RequireLease { lane: old[0].lane.clone(), token: old[0].token };
    assert_eq!(conflict(store.commit(vec![stale]).await), Conflict::Lease { lane: old[0].lane.clone() });
    assert_eq!(store.lease(0).await.len(), 2);
}

#[tokio::test]
async fn what_is_in_review_or_blocked_holds_back_its_own_record_only() {
    for state in [DeliveryState::InReview, DeliveryState::Blocked] {
        let store = fresh();
        let rows =
            store.put(vec![add(delivery(1, 1, 0)), add(delivery(1, 1, 0)), add(delivery(1, 2, 0))]).await;
        let hold =
            if state == DeliveryState::Blocked { block(rows[0], &[7]) } else { set(rows[0], state, 0) };
        store.put(vec![hold, review(ReviewSubject::Delivery(rows[0]), "no")]).await;
        let leased = store.lease(0).await.remove(0);
        assert_eq!(leased.heads.len(), 3);
        let workable: Vec<_> = leased.workable(at(0)).iter().map(|d| d.id).collect();
        assert_eq!(workable, [rows[2]], "{state:?}");
        let release = Effect::ReleaseLane { lane: leased.lane, token: leased.token };
        store.put(vec![set(rows[2], DeliveryState::Delivered, 0), release]).await;
        assert_eq!(store.lease(0).await, [], "{state:?}: nothing free is left");
        assert_eq!(store.next_due(at(0)).await.unwrap(), None);
        store.assert_accounts_add_up().await;

        store.put(vec![set(rows[0], DeliveryState::Discarded, 0)]).await;
        assert_eq!(store.lease(0).await[0].workable(at(0))[0].id, rows[1], "{state:?}");
    }
}

#[tokio::test]
async fn a_counterpart_wakes_what_waits_for_it_in_its_connection() {
    let store = fresh();
    let row = store.put(vec![add(delivery(1, 1, 0))]).await[0];
    store.put(vec![block(row, &[8, 9])]).await;
    assert_eq!(store.waits_for(row).await.unwrap(), [id(8), id(9)]);
    assert_eq!(store.waiting_for(id(9)).await.unwrap(), [row]);
    assert_eq!(store.lease(50).await, []);
    store.put(vec![put_counterpart(9, "shop", "9"), put_counterpart(7, "erp", "7")]).await;
    assert_eq!(store.state(row).await, DeliveryState::Blocked);
    store.clock.set(40);
    store.put(vec![put_counterpart(9, "erp", "9")]).await;
    assert_eq!(store.waits_for(row).await.unwrap(), []);
    assert_eq!(store.next_due(at(0)).await.unwrap(), Some(at(40)));
    let leased = store.lease(40).await;
    assert_eq!(leased[0].heads[0].state, DeliveryState::Ready);
}

#[tokio::test]
async fn a_counterpart_put_between_lease_and_block_is_not_missed() {
    let store = fresh();
    let row = store.put(vec![add(delivery(1, 1, 0))]).await[0];
    let leased = store.lease(0).await.remove(0);
    store.put(vec![put_counterpart(9, "erp", "9")]).await;
    let release = |l: &Leased| Effect::ReleaseLane { lane: l.lane.clone(), token: l.token };
    store.put(vec![block(row, &[9]), release(&leased)]).await;
    assert_eq!(store.state(row).await, DeliveryState::Ready);

    // One that was there when the lane was leased is not what it waits for: no endless waking.
    let leased = store.lease(0).await.remove(0);
    store.put(vec![block(row, &[9]), release(&leased)]).await;
    assert_eq!(store.state(row).await, DeliveryState::Blocked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_stores_never_lease_the_same_lane() {
    let store = fresh();
    let count = 200;
    store.put((0..count).map(|n| add(delivery(n, n, 0))).collect()).await;
    let workers: Vec<_> = (0..6)
        .map(|n| {
            let store = if n % 2 == 0 { store.store.clone() } else { store.another() };
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let leased =
                        store.lease_lanes(LeaseRequest { max_lanes: 7, ..request(0) }).await.unwrap();
                    if leased.is_empty() {
                        return mine;
                    }
                    mine.extend(leased.into_iter().map(|l| (l.lane, l.token)));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    assert_eq!(all.len(), count as usize);
    let tokens: std::collections::BTreeSet<_> = all.iter().map(|(_, token)| *token).collect();
    let lanes: std::collections::BTreeSet<_> = all.into_iter().map(|(lane, _)| lane).collect();
    assert_eq!((lanes.len(), tokens.len()), (count as usize, count as usize));
}
