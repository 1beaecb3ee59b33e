//! Tests of [`super`]: tables of what a try means.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::fixtures::{at, counterpart, delivery, flow, name, record};

fn failed(class: FailureClass) -> Failed {
    Failed { class, message: "no".into(), retry_after: None, field: None, reached: true }
}

fn outcome(effects: &[Effect]) -> (DeliveryState, Option<i64>, u32, Option<ReviewReason>) {
    let review = effects.iter().find_map(|e| match e {
        Effect::OpenReview(review) => Some(review.reason),
        _ => None,
    });
    match &effects[0] {
        Effect::SetDelivery { state, next_at, failures, .. } => {
            (*state, next_at.map(|t| t.as_second() - at(0).as_second()), *failures, review)
        }
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn the_table_of_failures() {
    use DeliveryState::{InReview, Ready, Unknown};
    use FailureClass as C;
    let flow = flow("orders", "shop", "erp", Kind::Order);
    let order = record(Kind::Order, json!({}));
    for (class, before, expect) in [
        (C::Transient, 0, (Ready, Some(30), 1, None)),
        (C::Transient, 1, (Ready, Some(120), 2, None)),
        (C::Transient, 2, (Ready, Some(480), 3, None)),
        (C::Transient, 3, (Ready, Some(1800), 4, None)),
        (C::Transient, 4, (InReview, None, 5, Some(ReviewReason::RetriesExhausted))),
        (C::Throttled, 3, (Ready, Some(5), 3, None)),
        (C::Unauthorised, 3, (Ready, Some(60), 3, None)),
        (C::Rejected, 0, (InReview, None, 1, Some(ReviewReason::Rejected))),
        (C::Unknown, 0, (Unknown, Some(1), 1, None)),
        (C::Unknown, 1, (Unknown, Some(120), 2, None)),
        (C::Unknown, 4, (InReview, None, 5, Some(ReviewReason::UnknownOutcome))),
    ] {
        let mut tried = delivery(&order, &flow, None);
        tried.failures = before;
        // Jitter in the middle of its range leaves the wait as it is.
        assert_eq!(outcome(&settle(&tried, &failed(class), 0.5, at(0))), expect, "{class:?} after {before}");
    }
}

#[test]
fn the_target_says_for_how_long_and_an_unreachable_one_uses_up_nothing() {
    let flow = flow("orders", "shop", "erp", Kind::Order);
    let tried = delivery(&record(Kind::Order, json!({})), &flow, None);
    for class in [FailureClass::Transient, FailureClass::Throttled] {
        let told = Failed { retry_after: Some(SignedDuration::from_secs(77)), ..failed(class) };
        assert_eq!(outcome(&settle(&tried, &told, 0.0, at(0))).1, Some(77));
    }
    let away = Failed { reached: false, ..failed(FailureClass::Transient) };
    assert_eq!(outcome(&settle(&tried, &away, 0.5, at(0))), (DeliveryState::Ready, Some(30), 0, None));
}

#[test]
fn jitter_stays_within_a_fifth() {
    let flow = flow("orders", "shop", "erp", Kind::Order);
    let tried = delivery(&record(Kind::Order, json!({})), &flow, None);
    for (jitter, expect) in [(0.0, 24), (1.0, 36)] {
        assert_eq!(outcome(&settle(&tried, &failed(FailureClass::Transient), jitter, at(0))).1, Some(expect));
    }
}

#[test]
fn an_intent_is_settled_before_anything_is_sent_again() {
    let flow = flow("orders", "shop", "erp", Kind::Order);
    let order = record(Kind::Order, json!({}));
    let step = |idempotency| [StepSpec { name: "create".into(), writes: true, idempotency, timeout_s: 10 }];
    let pending = delivery(&order, &flow, Some("create"));
    for (idempotency, now, expect) in [
        (Idempotency::Key, 1, StepPlan::Go),
        (Idempotency::Upsert, 1, StepPlan::Go),
        (Idempotency::StrongLookup, 1, StepPlan::VerifyAt(at(10))),
        (Idempotency::StrongLookup, 10, StepPlan::Go),
        (Idempotency::LaggedLookup(30), 10, StepPlan::VerifyAt(at(40))),
        (Idempotency::LaggedLookup(30), 40, StepPlan::Go),
        (Idempotency::None, 1000, StepPlan::Review(ReviewReason::UnknownOutcome)),
    ] {
        assert_eq!(next_step(&step(idempotency), &pending, at(now)), expect, "{idempotency:?} at {now}");
    }
    let two = [
        StepSpec {
            name: "make".into(),
            writes: true,
            idempotency: Idempotency::LaggedLookup(30),
            timeout_s: 10,
        },
        StepSpec { name: "create".into(), writes: true, idempotency: Idempotency::Upsert, timeout_s: 10 },
    ];
    assert_eq!(
        next_step(&two, &pending, at(1)),
        StepPlan::VerifyAt(at(40)),
        "the step before it may be seen late"
    );
    let fresh = delivery(&order, &flow, None);
    assert_eq!(next_step(&step(Idempotency::None), &fresh, at(0)), StepPlan::Go);
    // A clock set back by a day: it waits no longer than it would have from now.
    assert_eq!(
        next_step(&step(Idempotency::StrongLookup), &pending, at(-86_400)),
        StepPlan::VerifyAt(at(-86_390))
    );
    // A step that the connector no longer has cannot be verified.
    let gone = delivery(&order, &flow, Some("old-step"));
    assert_eq!(
        next_step(&step(Idempotency::Key), &gone, at(0)),
        StepPlan::Review(ReviewReason::UnknownOutcome)
    );
}

#[test]
fn claimed_deliveries_are_decided_anew() {
    let flow_live = flow("orders", "shop", "erp", Kind::Order);
    let order = |state: &str| record(Kind::Order, json!({"lifecycle": {"commercial": state}}));
    let confirmed = order("confirmed");
    let waiting = delivery(&confirmed, &flow_live, None);
    assert_eq!(prepare(&waiting, &confirmed, None, &flow_live), Prepared::Run { action: Action::Upsert });
    assert!(matches!(prepare(&waiting, &order("cancelled"), None, &flow_live), Prepared::Supersede(_)));
    let begun = delivery(&confirmed, &flow_live, Some("create"));
    assert_eq!(
        prepare(&begun, &order("cancelled"), None, &flow_live),
        Prepared::Run { action: Action::Upsert },
        "what may be there is found out first"
    );
    let shadow = Flow { state: FlowState::Shadow, ..flow_live.clone() };
    assert_eq!(prepare(&waiting, &confirmed, None, &shadow), Prepared::Shadow { action: Action::Upsert });
    let off = Flow { state: FlowState::Off, ..flow_live };
    assert!(matches!(prepare(&waiting, &confirmed, None, &off), Prepared::Filter(_)));
}

#[test]
fn an_event_that_is_there_is_not_sent_again() {
    let flow = flow("shipments", "erp", "shop", Kind::Shipment);
    let shipment = record(Kind::Shipment, json!({"number": "S1"}));
    let mut sent = delivery(&shipment, &flow, None);
    sent.spec.payload = Some(shipment.payload.clone());
    assert_eq!(prepare(&sent, &shipment, None, &flow), Prepared::Run { action: Action::Upsert });
    let mut there = counterpart(&shipment, "shop", "5");
    there.written = Some(shipment.payload.clone());
    assert!(matches!(prepare(&sent, &shipment, Some(&there), &flow), Prepared::Supersede(_)));
}

#[test]
fn a_refusal_goes_to_a_person_and_back_to_who_asked() {
    let flow = flow("orders", "shop", "erp", Kind::Order);
    let order = record(Kind::Order, json!({}));
    let mut asked = delivery(&order, &flow, None);
    asked.spec.action = Action::Cancel;
    let counterparts = [counterpart(&order, "shop", "1"), counterpart(&order, "erp", "17")];
    let effects = refuse(&asked, &order, &counterparts, &flow, "it is shipped", at(0));
    assert_eq!(outcome(&effects).3, Some(ReviewReason::Refused));
    let back: Vec<_> = effects
        .iter()
        .filter_map(|e| match e {
            Effect::AddDelivery { delivery, .. } => Some((delivery.lane.connection.clone(), delivery.action)),
            _ => None,
        })
        .collect();
    assert_eq!(back, [(name("shop"), Action::Refuse)]);
}

#[test]
fn confirmation_keeps_links_and_number() {
    let flow = flow("orders", "shop", "erp", Kind::Order);
    let order = record(Kind::Order, json!({"note": "x"}));
    let mut old = counterpart(&order, "erp", "17");
    old.number = Some("SO17".into());
    old.links = json!({"lines": {"1": "a"}});
    let new = Confirmed {
        external: old.external.clone(),
        role: Role::Primary,
        number: None,
        links: json!({"lines": {"2": "b"}}),
        observed: None,
        settled: false,
    };
    let effects = confirm(&delivery(&order, &flow, None), &order, &order.payload, Some(&old), new, at(9));
    match &effects[0] {
        Effect::PutCounterpart(c) => {
            assert_eq!(c.number.as_deref(), Some("SO17"));
            assert_eq!(c.links, json!({"lines": {"1": "a", "2": "b"}}));
            assert_eq!(c.written.as_ref(), Some(&order.payload));
            assert_eq!(c.written_version, Some(3));
        }
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn what_an_older_try_made_is_not_taken_for_the_newest_state() {
    let flow = flow("orders", "shop", "erp", Kind::Order);
    let mut order = record(Kind::Order, json!({"lifecycle": {"commercial": "cancelled"}}));
    let pending = delivery(&order, &flow, Some("create"));
    order.version += 1;
    let new = Confirmed {
        external: ExternalId { scope: String::new(), remote_type: "sale".into(), id: "17".into() },
        role: Role::Primary,
        number: None,
        links: json!({}),
        observed: None,
        settled: false,
    };
    let effects = confirm(&pending, &order, &order.payload, None, new, at(9));
    let Effect::PutCounterpart(there) = &effects[0] else { unreachable!("{effects:?}") };
    let next = delivery(&order, &flow, None);
    assert_eq!(prepare(&next, &order, Some(there), &flow), Prepared::Run { action: Action::Cancel });
}

#[test]
fn what_was_sent_may_be_done_whatever_came_back() {
    use FailureClass as C;
    let step = |writes, idempotency| StepSpec { name: "s".into(), writes, idempotency, timeout_s: 10 };
    let flow = flow("orders", "shop", "erp", Kind::Order);
    let earlier = delivery(&record(Kind::Order, json!({})), &flow, Some("s"));
    let upsert = step(true, Idempotency::Upsert);
    for (class, sent, stays) in [
        (C::Transient, true, true),
        (C::Transient, false, false),
        (C::Unknown, true, true),
        (C::Throttled, true, false),
        (C::Rejected, true, false),
    ] {
        let before = earlier.intent.as_ref();
        let back = Effect::SetIntent { delivery: earlier.id, intent: earlier.intent.clone() };
        let expect = (!stays).then_some(back);
        assert_eq!(intent_after(&earlier, before, &upsert, class, sent), expect, "{class:?}");
    }
    for (writes, idempotency, class, sent, expect) in [
        (true, Idempotency::LaggedLookup(30), C::Transient, true, C::Unknown),
        (true, Idempotency::None, C::Transient, true, C::Unknown),
        (true, Idempotency::None, C::Transient, false, C::Transient),
        (true, Idempotency::Key, C::Transient, true, C::Transient),
        (true, Idempotency::None, C::Throttled, true, C::Throttled),
        (false, Idempotency::None, C::Unknown, true, C::Transient),
    ] {
        assert_eq!(class_of(&step(writes, idempotency), class, sent), expect, "{idempotency:?} {class:?}");
    }
}
