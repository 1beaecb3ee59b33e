//! What should be shipped from where, and what was shipped: two different things.
//!
//! Never: decides where to ship from.

use serde::{Deserialize, Serialize};

use crate::party::Contact;
use crate::quantity::Quantity;
use crate::refs::Ref;
use crate::rules;
use crate::shape::{part, payload};
use crate::time::Moment;

payload! {
    /// What should be shipped from where.
    FulfilmentOrder, rules::none, {
        required {
            /// The order.
            order: Ref,
            /// Where it stands.
            status: FulfilmentOrderStatus,
            /// What should be shipped.
            lines: Vec<FulfilmentLine>,
        }
        optional {
            /// The number that people call it by.
            number: String,
            /// Canonical code of the location to ship from.
            location: String,
            /// Code of the shipping method, for the reference map.
            method: String,
            /// Where it goes, as it was then.
            ship_to: Contact,
            /// Not before.
            ship_after: Moment,
            /// Not later than.
            ship_by: Moment,
        }
    }
}

/// Where a fulfilment order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FulfilmentOrderStatus {
    /// Its time has not come.
    Scheduled,
    /// Can be worked on.
    Open,
    /// Must not be worked on for now.
    OnHold,
    /// Being picked or packed.
    InProgress,
    /// Shipped.
    Closed,
    /// Called off.
    Cancelled,
}

payload! {
    /// What was shipped.
    Shipment, rules::none, {
        required {
            /// The order.
            order: Ref,
            /// Where it stands.
            status: ShipmentStatus,
            /// What was shipped.
            lines: Vec<FulfilmentLine>,
        }
        optional {
            /// What it carries out.
            fulfilment_order: Ref,
            /// The number that people call it by.
            number: String,
            /// Who carries it.
            carrier: String,
            /// Code of the shipping method, for the reference map.
            method: String,
            /// Tracking numbers, one for each parcel.
            tracking: Vec<Tracking>,
            /// When it left.
            shipped_at: Moment,
            /// When it arrived.
            delivered_at: Moment,
            /// When it should arrive.
            expected_at: Moment,
            /// Canonical code of the location that it left from.
            location: String,
        }
    }
}

/// Where a shipment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShipmentStatus {
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Called off, or booked by mistake.
    Cancelled,
}

part! {
    /// Quantity of one order line.
    FulfilmentLine {
        required {
            /// The order line's id.
            order_line: String,
            /// How many, in the order line's unit.
            quantity: Quantity,
        }
        optional {
            /// Lot number.
            lot: String,
            /// Serial numbers.
            serials: Vec<String>,
        }
    }
}

part! {
    /// A parcel's tracking number.
    Tracking {
        required {
            /// The number.
            number: String,
        }
        optional {
            /// Where it can be followed.
            url: String,
            /// The carrier, when it is not the shipment's.
            carrier: String,
        }
    }
}
