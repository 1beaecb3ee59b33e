//! Quantities in stock, by item, location and state.
//!
//! Never: says what may be sold; the engine reckons that from this and from open orders.

use serde::{Deserialize, Serialize};

use crate::quantity::{Level, Quantity};
use crate::refs::Ref;
use crate::rules;
use crate::shape::{part, payload};
use crate::time::{Moment, Stamp};

payload! {
    /// Quantity of one item at one location: one record for each.
    Stock, rules::stock, {
        required {
            /// What is in stock.
            item: Ref,
            /// What the source's number counts, so that nothing is subtracted twice.
            basis: Basis,
        }
        optional {
            /// Canonical code of the location; absent or empty means the default one.
            location: String,
            /// Unit of all quantities; absent means the item's stock unit.
            unit: String,
            /// Physically there; below zero when the books are behind.
            on_hand: Level,
            /// Promised to orders that the source knows.
            committed: Level,
            /// On hand less committed, as the source reckons it; below zero when oversold.
            available: Level,
            /// Announced deliveries.
            incoming: Vec<Incoming>,
            /// Held for other reasons than orders.
            reserved: Level,
            /// There, but not to be sold.
            damaged: Level,
            /// By lot or serial number, where they are kept.
            lots: Vec<Lot>,
            /// When the figures were taken; absent means when they were read.
            as_of: Stamp,
        }
    }
}

/// What a stock figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Everything that is physically there (`on_hand`).
    OnHand,
    /// On hand less what is committed in the source (`available`).
    Available,
    /// What the source itself says may be sold (`available`).
    Sellable,
}

part! {
    /// An announced delivery.
    Incoming {
        required {
            /// How many.
            quantity: Quantity,
        }
        optional {
            /// When they are expected.
            expected_at: Moment,
        }
    }
}

part! {
    /// Part of what is on hand, by lot or serial number.
    Lot {
        required {
            /// How many.
            quantity: Quantity,
        }
        optional {
            /// Lot number.
            lot: String,
            /// Serial number.
            serial: String,
            /// When it is no longer good.
            expires_at: Moment,
        }
    }
}
