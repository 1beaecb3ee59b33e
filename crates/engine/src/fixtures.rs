//! Small records, flows and deliveries for tests.
#![allow(clippy::unwrap_used)]

use counterpart_model::delivery::{Action, Delivery, DeliveryState, Freshness, Intent, Lane, NewDelivery};
use counterpart_model::ids::{ConnectionName, ExternalId, FlowName, RecordId};
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::rules::{Flow, FlowState};

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(crate) fn name(text: &str) -> ConnectionName {
    ConnectionName::new(text).unwrap()
}

pub(crate) fn flow(flow: &str, from: &str, to: &str, kind: Kind) -> Flow {
    Flow {
        name: FlowName::new(flow).unwrap(),
        kind,
        from: vec![name(from)],
        to: name(to),
        state: FlowState::Live,
        cut_over: None,
        allow: Vec::new(),
        freshness: Freshness::Transactional,
        include_unconfirmed: false,
        follows: false,
        tolerance: Decimal::ZERO,
    }
}

pub(crate) fn record(kind: Kind, payload: Value) -> Record {
    Record {
        id: RecordId::from_parts(1, [7; 10]),
        kind,
        version: 3,
        label: Some("1001".into()),
        payload,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) fn counterpart(record: &Record, connection: &str, id: &str) -> Counterpart {
    Counterpart {
        record: record.id,
        kind: record.kind,
        connection: name(connection),
        external: ExternalId { scope: String::new(), remote_type: "thing".into(), id: id.into() },
        role: Role::Primary,
        number: None,
        links: json!({}),
        observed: None,
        observed_version: None,
        written: None,
        written_version: None,
        settled: false,
        updated_at: at(0),
    }
}

pub(crate) fn delivery(record: &Record, flow: &Flow, intent: Option<&str>) -> Delivery {
    Delivery {
        id: 1,
        spec: NewDelivery {
            flow: flow.name.clone(),
            lane: Lane { connection: flow.to.clone(), root: record.id },
            record: record.id,
            kind: record.kind,
            version: record.version,
            action: Action::Upsert,
            freshness: flow.freshness,
            next_at: at(0),
            payload: None,
            origin_at: at(0),
            reason: None,
        },
        state: DeliveryState::Ready,
        failures: 0,
        progress: Value::Null,
        intent: intent.map(|step| Intent { step: step.into(), sent_at: at(0), key: "k".into() }),
        created_at: at(0),
        finished_at: None,
        message: None,
    }
}
