//! The kinds of record there are, and what delivery may do with each.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How deliveries of a kind relate to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStyle {
    /// Rendered from the current record when claimed; a newer one supersedes an older one.
    State,
    /// Immutable; every one is delivered.
    Event,
    /// Versioned state with its own table of decisions (create, amend, cancel), see the engine's order table.
    Order,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $style:ident;)*) => {
        /// What a record is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Kind {
            /// Every kind, in the order of the reference page.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),*];

            /// The kind's name in configuration, database, API and console.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $text),* }
            }

            /// How deliveries of this kind relate to each other.
            pub fn style(self) -> DeliveryStyle {
                match self { $(Kind::$variant => DeliveryStyle::$style),* }
            }
        }
    };
}

kinds! {
    /// A human being: shopper, buyer, contact.
    Person = "person", State;
    /// A business customer, with branches, members and terms.
    Company = "company", State;
    /// What is presented for sale: title, media, options; groups items.
    Product = "product", State;
    /// What is kept in stock and sold as one variant.
    Item = "item", State;
    /// One price-list entry.
    Price = "price", State;
    /// Quantity of one item at one location.
    Stock = "stock", State;
    /// What a customer ordered.
    Order = "order", Order;
    /// What should be shipped from where.
    FulfilmentOrder = "fulfilment_order", State;
    /// What was shipped.
    Shipment = "shipment", Event;
    /// A demand for money, posted.
    Invoice = "invoice", Event;
    /// A posted reduction of what is owed.
    CreditMemo = "credit_memo", Event;
    /// An authorisation, capture, void or chargeback.
    Payment = "payment", Event;
    /// Money given back.
    Refund = "refund", Event;
    /// Goods coming back.
    Return = "return", State;
    /// Money settled by a payment provider, with its fees.
    Payout = "payout", Event;
    /// Who goods are bought from.
    Supplier = "supplier", State;
    /// What was ordered from a supplier.
    PurchaseOrder = "purchase_order", State;
    /// Goods received from a supplier.
    Receipt = "receipt", Event;
    /// An unfinished purchase.
    Cart = "cart", State;
    /// A support case.
    Ticket = "ticket", State;
    /// One entry of a customer's timeline.
    Activity = "activity", Event;
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no kind of record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a record kind; the kinds are listed by `counterpart kinds`")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.iter().copied().find(|k| k.as_str() == text).ok_or_else(|| UnknownKind(text.to_owned()))
    }
}
