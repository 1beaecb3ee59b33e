//! Where goods come from: suppliers, purchase orders and receipts.
//!
//! Never: decides what to buy; they feed incoming stock and margin.

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::money::Money;
use crate::party::{Address, Email, Phone, TaxId};
use crate::quantity::Quantity;
use crate::refs::Ref;
use crate::rules;
use crate::shape::{part, payload};
use crate::time::Moment;

payload! {
    /// Who goods are bought from.
    Supplier, rules::none, {
        required {}
        optional {
            /// Name.
            name: String,
            /// The number that the books know it by.
            number: String,
            /// Tax ids.
            tax_ids: Vec<TaxId>,
            /// E-mail addresses, the main one first.
            emails: Vec<Email>,
            /// Telephone numbers, the main one first.
            phones: Vec<Phone>,
            /// Addresses, the main one first.
            addresses: Vec<Address>,
            /// Currency that it bills in.
            currency: Currency,
            /// Code of the payment terms, for the reference map.
            payment_terms: String,
            /// How many days a delivery takes.
            lead_days: u32,
            /// Active, or put out of use.
            active: bool,
        }
    }
}

payload! {
    /// What was ordered from a supplier.
    PurchaseOrder, rules::purchase_order, {
        required {
            /// The supplier.
            supplier: Ref,
            /// Its currency.
            currency: Currency,
            /// Where it stands.
            status: PurchaseStatus,
            /// What is ordered.
            lines: Vec<PurchaseLine>,
        }
        optional {
            /// The number that people call it by.
            number: String,
            /// When it was ordered.
            ordered_at: Moment,
            /// When it is expected.
            expected_at: Moment,
            /// Canonical code of the location that it goes to.
            location: String,
            /// The customer's order that it is for, when the supplier ships to the customer.
            order: Ref,
            /// What it costs, without tax.
            total: Money,
        }
    }
}

/// Where a purchase order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseStatus {
    /// Being put together.
    Draft,
    /// Sent to the supplier.
    Ordered,
    /// Arrived in part.
    PartiallyReceived,
    /// Arrived.
    Received,
    /// Nothing is left to do.
    Closed,
    /// Called off.
    Cancelled,
}

part! {
    /// One line of a purchase order.
    PurchaseLine {
        required {
            /// The line's id in the system it came from.
            id: String,
            /// What is bought.
            item: Ref,
            /// How many, in `unit`.
            ordered: Quantity,
        }
        optional {
            /// Unit of measure; absent means the item's stock unit.
            unit: String,
            /// How many arrived.
            received: Quantity,
            /// How many were called off.
            cancelled: Quantity,
            /// Cost of one, without tax.
            unit_cost: Money,
            /// When they are expected.
            expected_at: Moment,
        }
    }
}

payload! {
    /// Goods received from a supplier.
    Receipt, rules::none, {
        required {
            /// What arrived.
            lines: Vec<ReceiptLine>,
        }
        optional {
            /// The number that people call it by.
            number: String,
            /// What it was ordered with.
            purchase_order: Ref,
            /// Who it came from.
            supplier: Ref,
            /// When it arrived.
            received_at: Moment,
            /// Canonical code of the location.
            location: String,
        }
    }
}

part! {
    /// One line of a receipt.
    ReceiptLine {
        required {
            /// What arrived.
            item: Ref,
            /// How many, in `unit`.
            quantity: Quantity,
        }
        optional {
            /// The purchase order line's id.
            purchase_line: String,
            /// Unit of measure; absent means the item's stock unit.
            unit: String,
            /// Cost of one, without tax.
            unit_cost: Money,
            /// Lot number.
            lot: String,
            /// Serial numbers.
            serials: Vec<String>,
        }
    }
}
