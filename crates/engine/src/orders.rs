//! What an order's newest state asks of a system: create it, amend it, cancel it, or nothing.
//!
//! Never: looks at what arrived first; only at how things are on both sides.

use counterpart_model::delivery::{Action, Delivery};
use counterpart_model::record::{Counterpart, Record};
use serde_json::{Value, json};

use crate::merge::same;
use crate::rules::Flow;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderDecision {
    /// Deliver it.
    Deliver(Action),
    /// Nothing now, and why.
    Nothing(String),
}

/// Fields whose change is an amendment; everything else (payment, fulfilment) travels as events of its own.
const AMENDABLE: &[&str] =
    &["lines", "charges", "totals", "sold_to", "ship_to", "bill_to", "delivery", "note"];

/// Fields that say how an order stands: written where the target shows that.
const STANDING: &[&str] = &["lifecycle", "lines", "totals", "tenders"];

/// States of an order that is not binding yet.
const UNCONFIRMED: &[&str] = &["draft", "quote", "pending_approval"];

/// Decides for one order and one flow. `counterpart` is the order's in the flow's target; `open` are the order's open
/// deliveries along that flow.
pub fn order_action(
    record: &Record,
    counterpart: Option<&Counterpart>,
    open: &[&Delivery],
    flow: &Flow,
) -> OrderDecision {
    let commercial = record.payload["lifecycle"]["commercial"].as_str().unwrap_or_default();
    let cancelled = commercial == "cancelled";
    let may_exist = open.iter().any(|d| d.intent.is_some());
    match (counterpart, cancelled) {
        (None, true) if may_exist => OrderDecision::Deliver(Action::Cancel),
        (None, true) => OrderDecision::Nothing("cancelled before it was created there".into()),
        (None, false) => {
            let waits = UNCONFIRMED.contains(&commercial) && !flow.include_unconfirmed;
            if waits {
                let state = commercial.replace('_', " ");
                OrderDecision::Nothing(format!("the order is {state}: it is delivered once it is confirmed"))
            } else {
                OrderDecision::Deliver(Action::Upsert)
            }
        }
        (Some(there), cancelled) => {
            let written = there.written.as_ref().unwrap_or(&Value::Null);
            let was = written["lifecycle"]["commercial"].as_str().unwrap_or_default();
            let was_cancelled = was == "cancelled";
            let taken_up = commercial == "confirmed" && (was_cancelled || UNCONFIRMED.contains(&was));
            if cancelled && was_cancelled {
                OrderDecision::Nothing("cancelled there already".into())
            } else if cancelled {
                OrderDecision::Deliver(Action::Cancel)
            } else if written.is_null() || taken_up || asks(written, &record.payload, flow) {
                // Linked but never written by us: adopted, so it is brought into agreement.
                OrderDecision::Deliver(if written.is_null() { Action::Upsert } else { Action::Amend })
            } else {
                OrderDecision::Nothing("what changed is no amendment".into())
            }
        }
    }
}

/// Whether two states of an order ask different things of a system.
pub fn asks_for_more(before: &Value, now: &Value) -> bool {
    before["lifecycle"]["commercial"] != now["lifecycle"]["commercial"] || amends(before, now)
}

/// Whether the difference between what was written and what is asks anything of the flow's target.
fn asks(written: &Value, now: &Value, flow: &Flow) -> bool {
    amends(written, now)
        || (flow.follows && STANDING.iter().any(|field| !same(&written[*field], &now[*field])))
}

/// Whether the difference between what was written and what is asks for an amendment.
fn amends(written: &Value, now: &Value) -> bool {
    AMENDABLE.iter().any(|field| !same(&essence(field, &written[field]), &essence(field, &now[field])))
}

/// A field without what is not the target's business: fulfilled, returned and refunded quantities of lines.
fn essence(field: &str, value: &Value) -> Value {
    let mut value = value.clone();
    if field == "lines" {
        for line in value.as_array_mut().into_iter().flatten() {
            for name in ["fulfilled", "returned", "refunded"] {
                line.as_object_mut().map(|l| l.remove(name));
            }
            // A quantity that is not stated is none.
            if line.get("cancelled").is_none_or(Value::is_null) {
                line["cancelled"] = json!("0");
            }
        }
    }
    if field == "totals" {
        for name in ["refunded", "outstanding"] {
            value.as_object_mut().map(|t| t.remove(name));
        }
    }
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fixtures;

    #[test]
    fn the_order_table() {
        let deliver = OrderDecision::Deliver;
        let none = |d: &OrderDecision| matches!(d, OrderDecision::Nothing(_));
        let flow = fixtures::flow("orders", "shop", "erp", counterpart_model::kind::Kind::Order);
        let order = |commercial: &str, quantity: &str| {
            fixtures::record(
                counterpart_model::kind::Kind::Order,
                json!({"lifecycle": {"commercial": commercial, "payment": "paid"}, "lines": [{"id": "1", "ordered": quantity, "fulfilled": "0"}]}),
            )
        };
        let there = |commercial: &str, quantity: &str| {
            let record = order(commercial, quantity);
            let mut counterpart = fixtures::counterpart(&record, "erp", "17");
            counterpart.written = Some(record.payload);
            counterpart
        };
        let decide = |record: &Record, there: Option<&Counterpart>| order_action(record, there, &[], &flow);
        assert_eq!(decide(&order("confirmed", "2"), None), deliver(Action::Upsert));
        assert!(none(&decide(&order("draft", "2"), None)));
        assert!(none(&decide(&order("pending_approval", "2"), None)));
        assert!(none(&decide(&order("cancelled", "2"), None)));
        assert!(none(&decide(&order("confirmed", "2"), Some(&there("confirmed", "2")))));
        assert!(none(&decide(&order("confirmed", "2"), Some(&there("confirmed", "2.0")))));
        assert_eq!(decide(&order("confirmed", "3"), Some(&there("confirmed", "2"))), deliver(Action::Amend));
        assert_eq!(decide(&order("cancelled", "2"), Some(&there("confirmed", "2"))), deliver(Action::Cancel));
        assert!(none(&decide(&order("cancelled", "2"), Some(&there("cancelled", "2")))));
        assert_eq!(decide(&order("confirmed", "2"), Some(&there("draft", "2"))), deliver(Action::Amend));
        let mut adopted = there("confirmed", "2");
        adopted.written = None;
        assert_eq!(decide(&order("confirmed", "2"), Some(&adopted)), deliver(Action::Upsert));

        let mut paid = order("confirmed", "2");
        paid.payload["lifecycle"]["payment"] = json!("refunded");
        paid.payload["lines"][0]["fulfilled"] = json!("2");
        assert!(
            none(&decide(&paid, Some(&there("confirmed", "2")))),
            "payment and fulfilment are no amendment"
        );
        let view = Flow { follows: true, ..flow.clone() };
        assert_eq!(
            order_action(&paid, Some(&there("confirmed", "2")), &[], &view),
            deliver(Action::Amend),
            "but where the state of an order is shown they are written"
        );
    }

    #[test]
    fn one_that_may_exist_is_cancelled_there() {
        let flow = fixtures::flow("orders", "shop", "erp", counterpart_model::kind::Kind::Order);
        let record = fixtures::record(
            counterpart_model::kind::Kind::Order,
            json!({"lifecycle": {"commercial": "cancelled"}}),
        );
        let open = fixtures::delivery(&record, &flow, Some("create"));
        assert_eq!(order_action(&record, None, &[&open], &flow), OrderDecision::Deliver(Action::Cancel));
    }
}
