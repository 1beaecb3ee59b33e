//! Goods coming back. Money given back is a refund, an obligation called off is a cancellation.
//!
//! Never: amounts.

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;
use crate::refs::Ref;
use crate::rules;
use crate::shape::{part, payload};
use crate::time::{Moment, Stamp};

payload! {
    /// Goods coming back.
    Return, rules::goods_return, {
        required {
            /// The order.
            order: Ref,
            /// Where it stands.
            status: ReturnStatus,
            /// What comes back.
            lines: Vec<ReturnLine>,
        }
        optional {
            /// The number that people call it by.
            number: String,
            /// When it was asked for.
            requested_at: Stamp,
            /// When the goods arrived.
            received_at: Moment,
            /// Canonical code of the location that takes them in.
            location: String,
            /// Parcel's tracking number.
            tracking: String,
            /// Refunds given for it.
            refunds: Vec<Ref>,
            /// The order that replaces what comes back, in an exchange.
            exchange_order: Ref,
            /// A remark.
            note: String,
        }
    }
}

/// Where a return stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReturnStatus {
    /// Asked for.
    Requested,
    /// Granted; the goods may come.
    Approved,
    /// Refused.
    Declined,
    /// Some or all of the goods arrived.
    Received,
    /// Nothing is left to do.
    Closed,
    /// Called off.
    Cancelled,
}

part! {
    /// What comes back of one order line.
    ReturnLine {
        required {
            /// The order line's id.
            order_line: String,
            /// How many were asked to be taken back, in the order line's unit.
            quantity: Quantity,
        }
        optional {
            /// How many arrived.
            received: Quantity,
            /// How many of them go back into stock.
            restocked: Quantity,
            /// Code of the reason, for the reference map.
            reason: String,
            /// State that they arrived in.
            condition: String,
        }
    }
}
