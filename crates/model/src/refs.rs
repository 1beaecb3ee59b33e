//! References from one record to another, and where each kind has them.
//!
//! Never: resolves a reference; that needs the store.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::ids::{ExternalId, RecordId};
use crate::kind::Kind;

/// A reference to another record.
///
/// A read mapping gives `external` or `key` (or both); the hub fills in `record` and drops `external`; `remote` stands
/// there only while a delivery is rendered. One of the first three must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ref {
    /// The thing's id in the connection that the payload comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalId>,
    /// A deterministic key, such as a SKU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The golden record, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    /// The record's counterpart in the connection that a delivery is rendered for; null when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Value>,
}

impl<'de> Deserialize<'de> for Ref {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename = "Ref")]
        struct Raw {
            external: Option<ExternalId>,
            key: Option<Key>,
            record: Option<RecordId>,
            remote: Option<Value>,
        }
        let Raw { external, key, record, remote } = Raw::deserialize(deserializer)?;
        if external.is_none() && key.is_none() && record.is_none() {
            return Err(serde::de::Error::custom(
                "the reference is empty, expected `external`, `key` or `record`",
            ));
        }
        Ok(Self { external, key, record, remote })
    }
}

/// A deterministic key under which a record can be found.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Name of the key, such as `sku` or `email`.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be an e-mail address.
        write!(f, "Key {{ name: {:?}, value: [redacted] }}", self.name)
    }
}

/// Where each kind refers to another: kind, place, kind of what is there. `[]` stands for every entry of a list.
pub const PLACES: &[(Kind, &str, Kind)] = &[
    (Kind::Order, "customer", Kind::Person),
    (Kind::Order, "company", Kind::Company),
    (Kind::Order, "lines[].item", Kind::Item),
    (Kind::Order, "payments[]", Kind::Payment),
    (Kind::Order, "routing.parent", Kind::Order),
    (Kind::Order, "routing.children[]", Kind::Order),
    (Kind::Person, "company", Kind::Company),
    (Kind::Company, "parent", Kind::Company),
    (Kind::Company, "members[].person", Kind::Person),
    (Kind::Product, "items[]", Kind::Item),
    (Kind::Item, "product", Kind::Product),
    (Kind::Item, "kit.components[].item", Kind::Item),
    (Kind::Item, "suppliers[].supplier", Kind::Supplier),
    (Kind::Price, "item", Kind::Item),
    (Kind::Price, "companies[]", Kind::Company),
    (Kind::Stock, "item", Kind::Item),
    (Kind::FulfilmentOrder, "order", Kind::Order),
    (Kind::Shipment, "order", Kind::Order),
    (Kind::Shipment, "fulfilment_order", Kind::FulfilmentOrder),
    (Kind::Invoice, "order", Kind::Order),
    (Kind::Invoice, "customer", Kind::Person),
    (Kind::Invoice, "company", Kind::Company),
    (Kind::Invoice, "lines[].item", Kind::Item),
    (Kind::CreditMemo, "order", Kind::Order),
    (Kind::CreditMemo, "invoice", Kind::Invoice),
    (Kind::CreditMemo, "refund", Kind::Refund),
    (Kind::CreditMemo, "customer", Kind::Person),
    (Kind::CreditMemo, "company", Kind::Company),
    (Kind::CreditMemo, "lines[].item", Kind::Item),
    (Kind::CreditMemo, "allocations[].invoice", Kind::Invoice),
    (Kind::CreditMemo, "allocations[].credit_memo", Kind::CreditMemo),
    (Kind::CreditMemo, "allocations[].order", Kind::Order),
    (Kind::Payment, "order", Kind::Order),
    (Kind::Payment, "authorisation", Kind::Payment),
    (Kind::Payment, "allocations[].invoice", Kind::Invoice),
    (Kind::Payment, "allocations[].credit_memo", Kind::CreditMemo),
    (Kind::Payment, "allocations[].order", Kind::Order),
    (Kind::Refund, "order", Kind::Order),
    (Kind::Refund, "payment", Kind::Payment),
    (Kind::Refund, "return", Kind::Return),
    (Kind::Refund, "allocations[].invoice", Kind::Invoice),
    (Kind::Refund, "allocations[].credit_memo", Kind::CreditMemo),
    (Kind::Refund, "allocations[].order", Kind::Order),
    (Kind::Return, "order", Kind::Order),
    (Kind::Return, "refunds[]", Kind::Refund),
    (Kind::Return, "exchange_order", Kind::Order),
    (Kind::Payout, "entries[].order", Kind::Order),
    (Kind::Payout, "entries[].payment", Kind::Payment),
    (Kind::Payout, "entries[].refund", Kind::Refund),
    (Kind::PurchaseOrder, "supplier", Kind::Supplier),
    (Kind::PurchaseOrder, "order", Kind::Order),
    (Kind::PurchaseOrder, "lines[].item", Kind::Item),
    (Kind::Receipt, "purchase_order", Kind::PurchaseOrder),
    (Kind::Receipt, "supplier", Kind::Supplier),
    (Kind::Receipt, "lines[].item", Kind::Item),
    (Kind::Cart, "customer", Kind::Person),
    (Kind::Cart, "company", Kind::Company),
    (Kind::Cart, "order", Kind::Order),
    (Kind::Cart, "lines[].item", Kind::Item),
    (Kind::Ticket, "customer", Kind::Person),
    (Kind::Ticket, "company", Kind::Company),
    (Kind::Ticket, "order", Kind::Order),
    (Kind::Activity, "customer", Kind::Person),
    (Kind::Activity, "company", Kind::Company),
    (Kind::Activity, "order", Kind::Order),
    (Kind::Activity, "item", Kind::Item),
];

/// Calls `visit` with the path, the kind pointed to and the reference object, for every reference that a payload has.
///
/// Absent and null references are passed over; so is whatever is no object, which [`crate::check`] reports.
pub fn visit_refs(kind: Kind, payload: &mut Value, visit: &mut dyn FnMut(&str, Kind, &mut Value)) {
    for (_, place, target) in PLACES.iter().filter(|(of, _, _)| *of == kind) {
        visit_place(payload, place, "", &mut |path, value| {
            if value.is_object() {
                visit(path, *target, value);
            }
        });
    }
}

/// Calls `visit` for every value that stands at a place such as `lines[].item`, with its path, such as `lines[0].item`.
pub(crate) fn visit_place(
    value: &mut Value,
    place: &str,
    path: &str,
    visit: &mut dyn FnMut(&str, &mut Value),
) {
    let (head, rest) = place.split_once('.').map_or((place, None), |(head, rest)| (head, Some(rest)));
    let (name, each) = head.strip_suffix("[]").map_or((head, false), |name| (name, true));
    let Some(found) = value.get_mut(name) else { return };
    let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let mut down = |path: &str, value: &mut Value| match rest {
        Some(rest) => visit_place(value, rest, path, visit),
        None => visit(path, value),
    };
    if !each {
        return down(&path, found);
    }
    for (index, entry) in found.as_array_mut().into_iter().flatten().enumerate() {
        down(&format!("{path}[{index}]"), entry);
    }
}
