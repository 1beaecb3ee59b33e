//! Tests of [`super`]: one change at a time.

#![allow(clippy::unwrap_used)]
use counterpart_model::ids::ExternalId;
use serde_json::json;

use super::*;
use crate::fixtures::{at, counterpart, delivery as open_delivery, flow, name, record as stored};
use crate::rules::{FlowState, Others, Owner};

fn price(amount: &str) -> Value {
    json!({
        "item": {"record": RecordId::from_parts(1, [9; 10])},
        "currency": "EUR",
        "amount": {"amount": amount, "currency": "EUR"},
        "tax_included": false,
    })
}

fn change(connection: &str, payload: Value, fingerprint: &str, read: i64) -> Change {
    Change {
        connection: name(connection),
        kind: Kind::Price,
        external: ExternalId {
            scope: String::new(),
            remote_type: "thing".into(),
            id: format!("{connection}-1"),
        },
        role: Role::Primary,
        label: None,
        version: SourceVersion {
            at: None,
            sequence: None,
            read_began: at(read),
            fingerprint: fingerprint.into(),
        },
        deleted: false,
        settled: true,
        links: json!({}),
        payload,
    }
}

fn rules() -> Rules {
    Rules { flows: vec![flow("prices", "erp", "shop", Kind::Price)], ..Rules::default() }
}

fn apply(rules: &Rules, change: &Change, known: &Known) -> Applied {
    apply_change(&input(rules, change, known))
}

fn input<'a>(rules: &'a Rules, change: &'a Change, known: &'a Known) -> ApplyInput<'a> {
    ApplyInput {
        rules,
        change,
        inbox: Some(1),
        arrived_at: at(1),
        now: at(2),
        new_id: RecordId::from_parts(2, [2; 10]),
        known,
        root: RecordId::from_parts(2, [2; 10]),
        keys: Vec::new(),
        location: "",
        read_back: true,
        filter: &|_, payload| Ok(payload["currency"] == "EUR"),
    }
}

fn deliveries(applied: &Applied) -> Vec<(&NewDelivery, &Vec<RowId>)> {
    let found = applied.effects.iter().filter_map(|e| match e {
        Effect::AddDelivery { delivery, supersedes } => Some((&**delivery, supersedes)),
        _ => None,
    });
    found.collect()
}

fn known(payload: Value, observed: Value, version: SourceVersion) -> Known {
    let record = stored(Kind::Price, payload);
    let mut there = counterpart(&record, "erp", "erp-1");
    there.observed = Some(observed);
    there.observed_version = Some(version);
    Known { record: Some(record), counterparts: vec![there], ..Known::default() }
}

#[test]
fn a_first_word_makes_a_record_and_a_delivery() {
    let applied = apply(&rules(), &change("erp", price("25.50"), "f1", 1), &Known::default());
    assert!(
        matches!(&applied.effects[0], Effect::PutRecord { expected: None, record, .. } if record.version == 1)
    );
    let found = deliveries(&applied);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0.lane.connection, name("shop"));
    assert!(matches!(applied.outcome, ChangeOutcome::Applied { deliveries: 1, .. }), "{:?}", applied.outcome);
    let ends = applied.effects.iter().filter(|e| matches!(e, Effect::EndChange { .. })).count();
    assert_eq!(ends, 1, "every change ends exactly once");
}

#[test]
fn the_table_of_versions() {
    let version = |at_s: Option<i64>, sequence: Option<u64>, read: i64, fingerprint: &str| SourceVersion {
        at: at_s.map(at),
        sequence,
        read_began: at(read),
        fingerprint: fingerprint.into(),
    };
    let old = version(Some(10), None, 10, "a");
    for (new, expect) in [
        (version(Some(11), None, 11, "b"), News::Newer),
        (version(Some(11), None, 9, "b"), News::Likely),
        (version(Some(9), None, 11, "b"), News::Stale),
        (version(Some(10), None, 11, "a"), News::Duplicate),
        (version(Some(9), None, 5, "a"), News::Duplicate),
        (version(Some(10), None, 11, "b"), News::Likely),
        (version(Some(10), None, 9, "b"), News::Stale),
        (version(None, None, 11, "b"), News::Likely),
        (version(None, None, 10, "b"), News::Unclear),
    ] {
        assert_eq!(news(Some(&old), &new), expect, "{new:?}");
    }
    let numbered = version(Some(10), Some(5), 10, "a");
    assert_eq!(news(Some(&numbered), &version(Some(9), Some(6), 11, "b")), News::Newer);
    assert_eq!(news(Some(&numbered), &version(Some(11), Some(4), 11, "b")), News::Stale);
    let ours = version(Some(10), None, 10, "");
    assert_eq!(
        news(Some(&ours), &version(Some(10), None, 9, "a")),
        News::Unclear,
        "before or after our write?"
    );
}

#[test]
fn a_clock_that_has_not_moved_is_asked_again_unless_it_was_asked() {
    let mut known = known(price("25.50"), price("25.50"), change("erp", price("1"), "f0", 1).version);
    known.counterparts[0].observed_version.as_mut().unwrap().at = Some(at(1));
    let mut moved = change("erp", price("26"), "f1", 5);
    moved.version.at = Some(at(1));
    for (read_back, again) in [(false, true), (true, false)] {
        let rules = rules();
        let mut input = input(&rules, &moved, &known);
        input.read_back = read_back;
        let applied = apply_change(&input);
        assert_eq!(applied.read_back, again);
        assert!(matches!(applied.outcome, ChangeOutcome::Applied { .. }), "the read that began later wins");
    }
}

#[test]
fn the_same_state_at_a_later_time_is_remembered() {
    let mut known = known(price("25.50"), price("25.50"), change("erp", price("1"), "f", 1).version);
    known.counterparts[0].observed_version.as_mut().unwrap().at = Some(at(10));
    let mut again = change("erp", price("25.50"), "f", 20);
    again.version.at = Some(at(20));
    let applied = apply(&rules(), &again, &known);
    assert_eq!(applied.outcome, ChangeOutcome::Duplicate);
    let seen = applied.effects.iter().find_map(|e| match e {
        Effect::PutCounterpart(c) => c.observed_version.clone(),
        _ => None,
    });
    assert_eq!(seen, Some(again.version), "or else a state of between would pass for a newer one");
}

#[test]
fn what_we_wrote_does_not_come_back_around() {
    let mut known = known(price("25.50"), price("25.50"), change("erp", price("1"), "old", 1).version);
    known.counterparts[0].written = Some(price("25.50"));
    let applied = apply(&rules(), &change("erp", price("25.5"), "new", 5), &known);
    assert_eq!(applied.outcome, ChangeOutcome::Echo);
    assert!(deliveries(&applied).is_empty());
    assert!(!applied.effects.iter().any(|e| matches!(e, Effect::PutRecord { .. })));
}

#[test]
fn a_newer_state_replaces_what_waits_but_not_what_may_be_on_its_way() {
    let rules = rules();
    for (intent, replaced) in [(None, vec![1]), (Some("write"), vec![])] {
        let mut known = known(price("25.50"), price("25.50"), change("erp", price("1"), "f0", 1).version);
        let record = known.record.clone().unwrap();
        known.open = vec![open_delivery(&record, &rules.flows[0], intent)];
        let applied = apply(&rules, &change("erp", price("27"), "f1", 5), &known);
        assert_eq!(*deliveries(&applied)[0].1, replaced);
    }
}

#[test]
fn rules_that_hold_back_are_named() {
    let hold = |change_rules: fn(&mut Flow)| {
        let mut rules = rules();
        change_rules(&mut rules.flows[0]);
        match apply(&rules, &change("erp", price("25.50"), "f1", 1), &Known::default()).outcome {
            ChangeOutcome::Applied { deliveries: 0, filtered, .. } => filtered.join("; "),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(hold(|f| f.state = FlowState::Off), "flow prices is off");
    assert!(hold(|f| f.cut_over = Some(at(1000))).contains("cut-over"));
    assert!(hold(|f| f.allow = vec!["other".into()]).contains("allow-list"));
    let mut dollars = price("25.50");
    dollars["currency"] = json!("USD");
    dollars["amount"]["currency"] = json!("USD");
    match apply(&rules(), &change("erp", dollars, "f1", 1), &Known::default()).outcome {
        ChangeOutcome::Applied { filtered, .. } => {
            assert_eq!(filtered, ["the filter of flow prices says no"])
        }
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn no_flow_is_unrouted() {
    let applied = apply(&Rules::default(), &change("erp", price("25.50"), "f1", 1), &Known::default());
    assert!(matches!(applied.outcome, ChangeOutcome::Unrouted { .. }));
}

#[test]
fn a_foreign_edit_is_given_back() {
    let owner = Owner { connection: name("erp"), others: Others::Revert };
    let mut rules = rules();
    rules.ownership.insert(Kind::Price, [("amount".to_owned(), owner)].into());
    let known = known(price("25.50"), price("25.50"), change("erp", price("1"), "f0", 1).version);
    let applied = apply(&rules, &change("shop", price("19.99"), "f1", 5), &known);
    let found = deliveries(&applied);
    assert_eq!(found.len(), 1, "the shop gets the owner's price back");
    assert_eq!(found[0].0.lane.connection, name("shop"));
    assert!(
        !applied.effects.iter().any(|e| matches!(e, Effect::PutRecord { .. })),
        "the record keeps its value"
    );
}

#[test]
fn what_breaks_the_shape_changes_nothing_and_waits_for_a_person() {
    let mut bad = price("25.50");
    bad["currency"] = json!("XXQ");
    let applied = apply(&rules(), &change("erp", bad, "f1", 1), &Known::default());
    assert!(matches!(applied.outcome, ChangeOutcome::InReview { .. }));
    assert!(matches!(&applied.effects[0], Effect::OpenReview(r) if r.subject == ReviewSubject::Inbox(1)));
    assert_eq!(applied.effects.len(), 2, "a review item and the end of the change, no record");
}

#[test]
fn what_is_deleted_stays_known() {
    let known = known(price("25.50"), price("25.50"), change("erp", price("1"), "f0", 1).version);
    let mut gone = change("erp", Value::Null, "f1", 5);
    gone.deleted = true;
    let applied = apply(&rules(), &gone, &known);
    assert!(matches!(applied.outcome, ChangeOutcome::Filtered { .. }));
    assert!(applied.effects.iter().any(|e| matches!(e, Effect::PutCounterpart(c) if c.settled)));
}
