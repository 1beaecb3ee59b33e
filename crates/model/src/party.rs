//! People and companies, and the snapshots of them that documents carry.
//!
//! Never: normalises or compares; that is identity's part.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::engagement::Consent;
use crate::money::Money;
use crate::quantity::Number;
use crate::refs::Ref;
use crate::rules;
use crate::shape::{part, payload};
use crate::time::Stamp;

payload! {
    /// A human being: shopper, buyer, contact.
    Person, rules::none, {
        required {}
        optional {
            /// Given name.
            given_name: String,
            /// Family name.
            family_name: String,
            /// The whole name, where it is known in one piece only.
            name: String,
            /// E-mail addresses, the main one first.
            emails: Vec<Email>,
            /// Telephone numbers, the main one first.
            phones: Vec<Phone>,
            /// Addresses, the main one first.
            addresses: Vec<Address>,
            /// The company that the person works for.
            company: Ref,
            /// Known only from orders without an account.
            guest: bool,
            /// BCP 47 tag of the language to write in, such as `de` or `pt-BR`.
            language: String,
            /// What the person agreed to, by channel and purpose. Opting out wins.
            consents: Vec<Consent>,
            /// Tax ids.
            tax_ids: Vec<TaxId>,
            /// Customer groups and segments, by their codes.
            groups: Vec<String>,
            /// A remark.
            note: String,
            /// Active, or put out of use.
            active: bool,
            /// When the person was first known.
            created_at: Stamp,
        }
    }
}

payload! {
    /// A business customer, with branches, members and terms.
    Company, rules::none, {
        required {}
        optional {
            /// Legal name.
            name: String,
            /// The number that the books know it by.
            number: String,
            /// Tax ids.
            tax_ids: Vec<TaxId>,
            /// The company that it belongs to.
            parent: Ref,
            /// E-mail addresses, the main one first.
            emails: Vec<Email>,
            /// Telephone numbers, the main one first.
            phones: Vec<Phone>,
            /// Addresses, the main one first.
            addresses: Vec<Address>,
            /// Places of business that order or receive on their own.
            branches: Vec<Branch>,
            /// People who act for it.
            members: Vec<Member>,
            /// Terms, one entry for each company of the ERP.
            terms: Vec<Terms>,
            /// Customer groups and price groups, by their codes.
            groups: Vec<String>,
            /// A remark.
            note: String,
            /// Active, or put out of use.
            active: bool,
        }
    }
}

part! {
    /// Someone as a document names them: a snapshot, not the golden record.
    Contact {
        required {}
        optional {
            /// Person's name.
            name: String,
            /// Company's name.
            company_name: String,
            /// E-mail address.
            email: String,
            /// Telephone number.
            phone: String,
            /// Address.
            address: Address,
            /// Tax ids.
            tax_ids: Vec<TaxId>,
        }
    }
}

part! {
    /// A postal address.
    Address {
        required {}
        optional {
            /// What it is for, in a person's or company's list.
            role: AddressRole,
            /// Name of the receiver, when it is another.
            name: String,
            /// Company at the address.
            company_name: String,
            /// Street lines, in the order they are written.
            lines: Vec<String>,
            /// City.
            city: String,
            /// Postal code.
            postal_code: String,
            /// State, province or county, by code where there is one.
            region: String,
            /// Country, ISO 3166-1 alpha-2, such as `DE`.
            country: Country,
            /// Telephone number at the address.
            phone: String,
            /// Code of the address in the systems that number them.
            code: String,
        }
    }
}

/// A country by its ISO 3166-1 alpha-2 code: two upper-case letters. Whether the code is assigned is not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// The two letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match *<Cow<'_, str>>::deserialize(deserializer)?.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([a, b])),
            _ => Err(serde::de::Error::custom("not a country code, expected ISO 3166-1 alpha-2 such as DE")),
        }
    }
}

impl JsonSchema for Country {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Country".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{2}$", "x-type": "country" })
    }
}

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressRole {
    /// Invoices go there.
    Billing,
    /// Goods go there.
    Shipping,
    /// Used when no other is chosen.
    Default,
    /// Anything else.
    Other,
}

part! {
    /// An e-mail address.
    Email {
        required {
            /// The address as written by its owner.
            value: String,
        }
        optional {
            /// `private`, `work` or another code.
            kind: String,
            /// Its owner proved to hold it.
            verified: bool,
        }
    }
}

part! {
    /// A telephone number.
    Phone {
        required {
            /// E.164, such as `+493012345678`.
            value: String,
        }
        optional {
            /// `mobile`, `work` or another code.
            kind: String,
            /// Its owner proved to hold it.
            verified: bool,
        }
    }
}

part! {
    /// A tax id with the scheme that it belongs to.
    TaxId {
        required {
            /// The scheme, such as `eu_vat`, `gb_vat`, `us_ein`.
            scheme: String,
            /// The id as issued.
            value: String,
        }
        optional {}
    }
}

part! {
    /// A company's place of business.
    Branch {
        required {}
        optional {
            /// Its code, unique within the company.
            code: String,
            /// Its name.
            name: String,
            /// Where it is.
            address: Address,
        }
    }
}

part! {
    /// A person who acts for a company.
    Member {
        required {
            /// The person.
            person: Ref,
            /// What the person may do.
            role: MemberRole,
        }
        optional {
            /// Code of the branch that it is limited to.
            branch: String,
        }
    }
}

/// What a member may do for a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Orders.
    Buyer,
    /// Approves orders.
    Approver,
    /// Gets and pays invoices.
    Biller,
}

part! {
    /// Terms that one company of the ERP grants.
    Terms {
        required {}
        optional {
            /// Code of the ERP's company; absent where it has one only.
            erp_company: String,
            /// Code of the payment terms, for the reference map.
            payment_terms: String,
            /// How much may be owed.
            credit_limit: Money,
            /// How much is owed or on order.
            exposure: Money,
            /// General discount in per cent.
            discount: Number,
        }
    }
}
