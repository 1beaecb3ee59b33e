//! Which fields of each kind are personal data, so that they can be exported, encrypted and erased.
//!
//! Never: decides whether something must be erased; that is asked for from outside.

use serde_json::Value;

use crate::kind::Kind;
use crate::refs::visit_place;

/// Places of a kind's personal data, as `bill_to` or `branches[].address`; `[]` stands for every entry of a list.
///
/// What stands at such a place is personal as a whole. None of them is required, so a payload without them is still of
/// the right shape; a reference to a person keeps its `record` when its key, often an e-mail address, goes. `extra`
/// counts where a vendor may put personal data of its own there.
pub fn personal_paths(kind: Kind) -> &'static [&'static str] {
    PERSONAL.iter().find(|(of, _)| *of == kind).map_or(&[], |(_, paths)| paths)
}

/// Takes all personal data out of a payload, and says whether there was any.
pub fn erase(kind: Kind, payload: &mut Value) -> bool {
    let mut erased = false;
    for path in personal_paths(kind) {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let mut remove = |value: &mut Value| {
            let found = value.as_object_mut().and_then(|fields| fields.remove(name));
            erased |= found.is_some_and(|value| !value.is_null());
        };
        if parent.is_empty() {
            remove(payload);
        } else {
            visit_place(payload, parent, "", &mut |_, value| remove(value));
        }
    }
    erased
}

const PERSONAL: &[(Kind, &[&str])] = &[
    (
        Kind::Person,
        &[
            "given_name",
            "family_name",
            "name",
            "emails",
            "phones",
            "addresses",
            "consents[].proof",
            "tax_ids",
            "note",
            "extra",
        ],
    ),
    // A sole trader's company is a person; terms and branches' codes are not personal.
    (
        Kind::Company,
        &[
            "name",
            "tax_ids",
            "emails",
            "phones",
            "addresses",
            "branches[].address",
            "members[].person.key",
            "note",
            "extra",
        ],
    ),
    (
        Kind::Order,
        &[
            "customer.key",
            "note",
            "sold_to",
            "bill_to",
            "ship_to",
            "payer",
            "lines[].extra",
            "cancel_reason",
            "extra",
        ],
    ),
    (Kind::FulfilmentOrder, &["ship_to", "extra"]),
    (Kind::Shipment, &["tracking", "extra"]),
    (Kind::Invoice, &["customer.key", "bill_to", "url", "extra"]),
    (Kind::CreditMemo, &["customer.key", "bill_to", "reason", "extra"]),
    (Kind::Payment, &["extra"]),
    (Kind::Refund, &["reason", "extra"]),
    (Kind::Return, &["note", "tracking", "extra"]),
    (Kind::Supplier, &["name", "tax_ids", "emails", "phones", "addresses", "extra"]),
    (Kind::Cart, &["customer.key", "email", "url", "extra"]),
    (Kind::Ticket, &["customer.key", "subject", "text", "url", "extra"]),
    (Kind::Activity, &["customer.key", "title", "text", "url", "extra"]),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::check::check_partial;
    use crate::schema::schema;

    /// Whether a place exists in a kind's schema, and is not required there.
    fn optional_place(root: &Value, node: &Value, place: &str) -> bool {
        let node = resolve(root, node);
        let (head, rest) = place.split_once('.').map_or((place, None), |(h, r)| (h, Some(r)));
        let name = head.trim_end_matches("[]");
        let Some(found) = node["properties"].get(name) else { return false };
        let found = resolve(root, found);
        let found = if head.ends_with("[]") { resolve(root, &found["items"]) } else { found };
        match rest {
            Some(rest) => optional_place(root, found, rest),
            None => !node["required"].as_array().is_some_and(|r| r.contains(&json!(name))),
        }
    }

    fn resolve<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
        if let Some(name) = node["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
            return &root["$defs"][name];
        }
        match node["anyOf"].as_array() {
            Some(either) => resolve(root, &either[0]),
            None => node,
        }
    }

    #[test]
    fn every_place_exists_and_is_optional() {
        for (kind, paths) in PERSONAL {
            let root = schema(*kind);
            for path in *paths {
                assert!(optional_place(&root, &root, path), "{kind}: {path}");
            }
        }
    }

    #[test]
    fn erasing_leaves_what_the_books_need() {
        let mut order = json!({
            "number": "1001",
            "bill_to": {"name": "Ada", "email": "ada@example.com"},
            "note": "ring twice",
            "lines": [{
                "id": "1", "item": {"key": {"name": "sku", "value": "A"}}, "ordered": "1",
                "unit_price": {"shop": {"amount": "1.00", "currency": "EUR"}},
                "total": {"shop": {"amount": "1.00", "currency": "EUR"}},
                "extra": {"engraving": "Ada"}
            }],
        });
        assert!(erase(Kind::Order, &mut order));
        let text = order.to_string();
        assert!(!text.contains("Ada") && !text.contains("ring") && text.contains("1001"), "{text}");
        check_partial(Kind::Order, &order).unwrap();
        assert!(!erase(Kind::Order, &mut order), "nothing is left to erase");
    }
}
