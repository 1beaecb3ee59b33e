//! Price-list entries.
//!
//! Never: works out which price applies to whom; the hub prices nothing.

use crate::currency::Currency;
use crate::money::Money;
use crate::quantity::Quantity;
use crate::refs::Ref;
use crate::rules;
use crate::shape::payload;
use crate::time::Moment;

payload! {
    /// One price-list entry: one record for each item, currency, list, unit and minimum quantity.
    Price, rules::price, {
        required {
            /// What it is the price of.
            item: Ref,
            /// In which currency.
            currency: Currency,
            /// Price of one `unit`.
            amount: Money,
        }
        optional {
            /// Code of the price list; absent or empty means the default list.
            list: String,
            /// Unit that it is the price of; absent means the item's stock unit.
            unit: String,
            /// Whether it includes tax.
            tax_included: bool,
            /// From which quantity on it holds.
            min_quantity: Quantity,
            /// From when on it holds.
            valid_from: Moment,
            /// When it ceases to hold.
            valid_to: Moment,
            /// Price before a reduction, to be shown struck through.
            compare_at: Money,
            /// The companies that it is meant for; absent means everyone on the list.
            companies: Vec<Ref>,
            /// Customer groups that it is meant for, by their codes.
            groups: Vec<String>,
            /// Channels that it is meant for.
            channels: Vec<String>,
            /// Of several that fit, the highest counts.
            priority: i32,
        }
    }
}
