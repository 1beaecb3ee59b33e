//! Which record is it? Normalises, names the deterministic keys of a thing, and decides between candidates.
//!
//! Never: merges by a telephone number alone or by a shared mailbox; I/O; a vendor's name.

pub mod normalise;

use counterpart_model::ids::RecordId;
use counterpart_model::kind::Kind;
use serde_json::Value;

/// Local parts of mailboxes that many people read (after RFC 2142 and common use): they identify nobody.
const SHARED_MAILBOXES: &[&str] = &[
    "abuse",
    "accounting",
    "accounts",
    "admin",
    "administrator",
    "billing",
    "buchhaltung",
    "contact",
    "einkauf",
    "finance",
    "guest",
    "hello",
    "help",
    "helpdesk",
    "hostmaster",
    "info",
    "invoice",
    "kontakt",
    "mail",
    "marketing",
    "news",
    "newsletter",
    "no-reply",
    "noreply",
    "office",
    "order",
    "orders",
    "post",
    "postmaster",
    "purchasing",
    "sales",
    "security",
    "service",
    "shop",
    "store",
    "support",
    "team",
    "webmaster",
];

/// A record that a change may be about.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The record.
    pub record: RecordId,
    /// Its payload.
    pub payload: Value,
    /// Names of the keys that it shares with the change.
    pub keys_matched: Vec<String>,
}

/// Which record a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// This one.
    Same(RecordId),
    /// One that is not known yet.
    New,
    /// A new one for now; a person decides whether it is one of these.
    Doubt {
        /// Records that it may be.
        candidates: Vec<RecordId>,
    },
}

/// Deterministic keys of a thing: name and normalised value. Two things with an equal key are the same thing, unless
/// [`decide`] doubts it. An order has none of its own: its number is no identity.
///
/// A thing that we made and whose maker keeps our record's id with it (`extra.counterpart_record`, put there by the read
/// mapping) has that id as its key: its first word may arrive before our own write is confirmed.
pub fn keys(kind: Kind, payload: &Value) -> Vec<(String, String)> {
    let mut keys = Vec::new();
    match kind {
        Kind::Person => {
            for entry in payload["emails"].as_array().into_iter().flatten() {
                if let Some(address) = entry["value"].as_str().and_then(normalise::email)
                    && !is_shared_mailbox(&address)
                {
                    keys.push(("email".to_owned(), address));
                }
            }
        }
        Kind::Company | Kind::Supplier => {
            for entry in payload["tax_ids"].as_array().into_iter().flatten() {
                let scheme = entry["scheme"].as_str().unwrap_or_default();
                if let Some(value) = entry["value"].as_str().and_then(|v| normalise::tax_id(scheme, v)) {
                    keys.push(("tax_id".to_owned(), value));
                }
            }
        }
        Kind::Item => {
            if let Some(sku) = payload["sku"].as_str().and_then(normalise::sku) {
                keys.push(("sku".to_owned(), sku));
            }
        }
        Kind::Shipment => {
            let order = payload["order"]["record"].as_str().unwrap_or_default();
            for parcel in payload["tracking"].as_array().into_iter().flatten() {
                if let Some(number) = parcel["number"].as_str().and_then(normalise::sku)
                    && !order.is_empty()
                {
                    keys.push(("tracking".to_owned(), format!("{order}|{number}")));
                }
            }
        }
        _ => {}
    }
    if let Some(record) = payload["extra"]["counterpart_record"].as_str()
        && record.parse::<RecordId>().is_ok()
    {
        keys.push(("record".to_owned(), record.to_lowercase()));
    }
    keys.sort();
    keys.dedup();
    keys
}

/// A key as a reference names it, in the form in which [`keys`] gives it.
pub fn normalised_key(kind: Kind, name: &str, value: &str) -> (String, String) {
    let normal = match (kind, name) {
        (_, "email") => normalise::email(value),
        (Kind::Item, "sku") => normalise::sku(value),
        _ => None,
    };
    (name.to_owned(), normal.unwrap_or_else(|| value.trim().to_owned()))
}

/// Whether an address belongs to a desk and not to a person.
pub fn is_shared_mailbox(address: &str) -> bool {
    let local = address.split('@').next().unwrap_or_default();
    let local = local.split('+').next().unwrap_or_default();
    SHARED_MAILBOXES.contains(&local)
}

/// Decides between candidates that share a key with a change.
///
/// One candidate is the same thing; several are doubt, which makes a new record and never a wrong merge. For a person,
/// one candidate whose family name is stated and another is doubt as well: two people may share a mailbox.
pub fn decide(kind: Kind, payload: &Value, candidates: &[Candidate]) -> Decision {
    let candidates: Vec<&Candidate> = candidates.iter().filter(|c| !c.keys_matched.is_empty()).collect();
    // We made it and it bears our mark: nothing is left to doubt.
    if let Some(ours) = candidates.iter().find(|c| c.keys_matched.iter().any(|key| key == "record")) {
        return Decision::Same(ours.record);
    }
    match candidates.as_slice() {
        [] => Decision::New,
        [only] if kind == Kind::Person && names_clash(payload, &only.payload) => {
            Decision::Doubt { candidates: vec![only.record] }
        }
        [only] => Decision::Same(only.record),
        several => Decision::Doubt { candidates: several.iter().map(|c| c.record).collect() },
    }
}

/// Both have a given and a family name, and neither part agrees.
fn names_clash(a: &Value, b: &Value) -> bool {
    let part = |v: &Value, name: &str| v[name].as_str().map(normalise::name).filter(|n| !n.is_empty());
    let differs = |name| matches!((part(a, name), part(b, name)), (Some(a), Some(b)) if a != b);
    differs("family_name") && differs("given_name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn person(given: &str, family: &str, email: &str) -> Value {
        json!({"given_name": given, "family_name": family, "emails": [{"value": email}]})
    }

    fn id(n: u8) -> RecordId {
        RecordId::from_parts(1, [n; 10])
    }

    fn candidate(n: u8, payload: Value, key: &str) -> Candidate {
        Candidate { record: id(n), payload, keys_matched: vec![key.into()] }
    }

    #[test]
    fn a_shared_mailbox_is_no_key() {
        for address in
            ["info@example.com", "Sales@example.com", "orders+shop@example.com", "noreply@example.com"]
        {
            assert!(keys(Kind::Person, &person("A", "B", address)).is_empty(), "{address}");
        }
        assert_eq!(
            keys(Kind::Person, &person("A", "B", " Ada@Example.com")),
            [("email".to_owned(), "ada@example.com".to_owned())]
        );
    }

    #[test]
    fn a_telephone_number_is_no_key() {
        assert!(keys(Kind::Person, &json!({"phones": [{"value": "+4930901820"}]})).is_empty());
    }

    #[test]
    fn keys_and_references_agree() {
        let keys = keys(Kind::Item, &json!({"sku": " mouse-1"}));
        assert_eq!(keys, [normalised_key(Kind::Item, "sku", "MOUSE-1 ")]);
    }

    #[test]
    fn what_bears_our_mark_is_found_and_not_doubted() {
        let mark = json!({"number": "SO17", "extra": {"counterpart_record": id(1)}});
        assert_eq!(keys(Kind::Order, &mark), [("record".to_owned(), id(1).to_string())]);
        assert!(
            keys(Kind::Order, &json!({"number": "1", "extra": {"counterpart_record": "mine"}})).is_empty()
        );
        let ours = candidate(1, person("A", "B", "x@example.com"), "record");
        let other = candidate(2, person("C", "D", "x@example.com"), "email");
        let found = decide(Kind::Person, &person("C", "D", "x@example.com"), &[other, ours]);
        assert_eq!(found, Decision::Same(id(1)));
    }

    #[test]
    fn a_parcel_is_known_by_its_order_and_tracking_number() {
        let parcel = |order: u8| json!({"order": {"record": id(order)}, "tracking": [{"number": " 1z9 "}]});
        assert_eq!(keys(Kind::Shipment, &parcel(1)), [("tracking".to_owned(), format!("{}|1Z9", id(1)))]);
        assert_ne!(
            keys(Kind::Shipment, &parcel(1)),
            keys(Kind::Shipment, &parcel(2)),
            "carriers use numbers again"
        );
    }

    #[test]
    fn the_table_of_decisions() {
        let ada = person("Ada", "Lovelace", "ada@example.com");
        let again = candidate(1, person("Ada", "Lovelace", "ada@example.com"), "email");
        let married = candidate(1, person("Ada", "King", "ada@example.com"), "email");
        let son = candidate(1, person("Byron", "King", "ada@example.com"), "email");
        let other = candidate(2, person("Ada", "Lovelace", "ada@example.com"), "email");
        for (candidates, expect) in [
            (vec![], Decision::New),
            (vec![again.clone()], Decision::Same(id(1))),
            (vec![married], Decision::Same(id(1))),
            (vec![son], Decision::Doubt { candidates: vec![id(1)] }),
            (vec![again, other], Decision::Doubt { candidates: vec![id(1), id(2)] }),
            (vec![Candidate { record: id(3), payload: json!({}), keys_matched: vec![] }], Decision::New),
        ] {
            assert_eq!(decide(Kind::Person, &ada, &candidates), expect);
        }
    }
}
