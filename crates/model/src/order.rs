//! Orders: what a customer ordered, with every amount as the store stated it.
//!
//! Never: prices or taxes anything; what is held against what is in `rules/order.rs`.

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::lifecycle::Lifecycle;
use crate::money::Amount;
use crate::party::Contact;
use crate::quantity::{Number, Quantity};
use crate::refs::Ref;
use crate::shape::{part, payload};
use crate::time::{Moment, Stamp};

payload! {
    /// What a customer ordered.
    Order, crate::rules::order::check, {
        required {
            /// The shop's currency, in which the order is booked.
            currency: Currency,
            /// Where it stands, on four independent axes, and what holds it.
            lifecycle: Lifecycle,
            /// Whether unit prices, line totals and charges include tax.
            tax_included: bool,
            /// Its lines. A line never vanishes: what is called off is counted in `cancelled`.
            lines: Vec<OrderLine>,
            /// The sums, as the store states them.
            totals: Totals,
        }
        optional {
            /// The number that people call it by; never its identity.
            number: String,
            /// When the buyer placed it.
            placed_at: Stamp,
            /// IANA name of the zone in which the store's days begin and end, such as `Europe/Berlin`.
            time_zone: String,
            /// The currency shown to the shopper, when it is another.
            presentment_currency: Currency,
            /// The rate at which the books take it up.
            ledger_rate: LedgerRate,
            /// Sales channel, such as `online`, `pos` or a marketplace's name.
            channel: String,
            /// The store it was placed in.
            store: String,
            /// The legal entity that sells.
            selling_entity: String,
            /// The sales organisation that it counts for.
            sales_organisation: String,
            /// The contract or subscription that it renews.
            contract: String,
            /// The buyer's remark.
            note: String,
            /// Who bought it: a person; absent for anonymous sales.
            customer: Ref,
            /// For whom: a company, in business with companies.
            company: Ref,
            /// Bought without an account.
            guest: bool,
            /// Who ordered, as it was then.
            sold_to: Contact,
            /// Who gets the invoice, as it was then.
            bill_to: Contact,
            /// Who gets the goods, as it was then.
            ship_to: Contact,
            /// Who pays, as it was then.
            payer: Contact,
            /// Shipping, duty, tip, fee, gift wrap and rounding.
            charges: Vec<Charge>,
            /// What it is paid with.
            tenders: Vec<Tender>,
            /// Payment events.
            payments: Vec<Ref>,
            /// How it was split or assigned, and by which rule.
            routing: Routing,
            /// The delivery method chosen.
            delivery: Delivery,
            /// Why it was cancelled.
            cancel_reason: String,
        }
    }
}

part! {
    /// One line of an order.
    OrderLine {
        required {
            /// The line's id in the store it came from; it never changes.
            id: String,
            /// What is sold.
            item: Ref,
            /// How many were ordered, in `unit`, cancelled ones included.
            ordered: Quantity,
            /// Price of one unit before discounts, in the basis that `tax_included` says. May be finer than a minor unit.
            unit_price: Amount,
            /// Ordered times unit price less discounts, as stated, in the same basis.
            total: Amount,
        }
        optional {
            /// SKU as the store writes it.
            sku: String,
            /// Name shown to the buyer.
            title: String,
            /// Unit of measure; absent means `each`.
            unit: String,
            /// How many were called off.
            cancelled: Quantity,
            /// How many were shipped or handed over.
            fulfilled: Quantity,
            /// How many came back.
            returned: Quantity,
            /// For how many money was given back.
            refunded: Quantity,
            /// What each discount takes off this line.
            discounts: Vec<Discount>,
            /// Taxes of this line.
            tax_lines: Vec<TaxLine>,
            /// A gift card is sold: a liability, no revenue.
            gift_card: bool,
            /// When the buyer was told that it comes.
            promised_at: Moment,
            /// The line's fields that have no canonical place, such as an engraving.
            extra: serde_json::Map<String, serde_json::Value>,
        }
    }
}

part! {
    /// What one discount takes off.
    Discount {
        required {
            /// How much, above zero.
            amount: Amount,
        }
        optional {
            /// The discount's id in the store.
            id: String,
            /// What the buyer was told.
            title: String,
            /// The coupon code that was entered.
            code: String,
        }
    }
}

part! {
    /// One tax on a line or charge.
    TaxLine {
        required {
            /// The store's code of the tax, for the reference map.
            code: String,
            /// How much.
            amount: Amount,
        }
        optional {
            /// What the buyer was told.
            title: String,
            /// Rate in per cent: `19` for 19 %.
            rate: Number,
            /// The amount that it is reckoned on, without the tax.
            base: Amount,
            /// Who pays it to the authority; absent means the merchant.
            collected_by: TaxCollector,
        }
    }
}

/// Who pays a tax to the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaxCollector {
    /// The seller.
    Merchant,
    /// The marketplace, on the seller's behalf.
    Marketplace,
}

part! {
    /// What is charged beside the goods.
    Charge {
        required {
            /// The charge's id in the store.
            id: String,
            /// What it is for.
            kind: ChargeKind,
            /// How much, after its own discounts, in the basis that `tax_included` says.
            amount: Amount,
        }
        optional {
            /// The store's code, such as a shipping method's, for the reference map.
            code: String,
            /// What the buyer was told.
            title: String,
            /// What each discount took off.
            discounts: Vec<Discount>,
            /// Taxes of this charge.
            tax_lines: Vec<TaxLine>,
        }
    }
}

/// What a charge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargeKind {
    /// Carriage.
    Shipping,
    /// Customs.
    Duty,
    /// Given freely.
    Tip,
    /// For a service, a payment method or a surcharge.
    Fee,
    /// Wrapping.
    GiftWrap,
    /// The difference between the exact sum and what is paid; at most one, and small.
    Rounding,
}

part! {
    /// Part of the order paid in one way.
    Tender {
        required {
            /// How: `card`, `gift_card`, `cash`, `bank_transfer`, `invoice`, `store_credit`, `wallet` or another code.
            kind: String,
            /// How much.
            amount: Amount,
        }
        optional {
            /// What the buyer was told.
            title: String,
        }
    }
}

part! {
    /// The rate at which the books take an order up.
    LedgerRate {
        required {
            /// Units of ledger currency for one of the shop's.
            rate: Number,
        }
        optional {
            /// When it held.
            at: Stamp,
            /// Who stated it.
            source: String,
        }
    }
}

part! {
    /// How an order was split or assigned.
    Routing {
        required {}
        optional {
            /// Name of the rule that decided.
            rule: String,
            /// The rule's version.
            version: String,
            /// The order that this one is a part of.
            parent: Ref,
            /// The orders that it was split into; their amounts add up to its own.
            children: Vec<Ref>,
        }
    }
}

part! {
    /// A delivery method.
    Delivery {
        required {}
        optional {
            /// The store's code of the method, for the reference map.
            method: String,
            /// What the buyer was told.
            title: String,
        }
    }
}

part! {
    /// The sums of an order.
    Totals {
        required {
            /// All taxes.
            tax: Amount,
            /// What the buyer pays, tax included.
            total: Amount,
        }
        optional {
            /// The lines together, as the store reckons it.
            subtotal: Amount,
            /// All discounts together.
            discount: Amount,
            /// What was given back so far.
            refunded: Amount,
            /// What is still to be paid.
            outstanding: Amount,
        }
    }
}
