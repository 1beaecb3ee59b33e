//! Where an order stands, on four independent axes and by its holds, and which steps are legal.
//!
//! Never: reads a vendor's status; a connector's mapping does that by a total table.

use std::fmt::Debug;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An order's state on every axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// What has been agreed.
    pub commercial: Commercial,
    /// What has been paid.
    #[serde(default)]
    pub payment: Payment,
    /// What has been shipped.
    #[serde(default)]
    pub fulfilment: Fulfilment,
    /// What has come back.
    #[serde(default, rename = "return")]
    pub returned: Returned,
    /// Why nothing may be shipped for now.
    #[serde(default)]
    pub holds: Vec<Hold>,
}

impl Lifecycle {
    /// An order in a commercial state: unpaid, unfulfilled, nothing returned, no hold.
    pub fn new(commercial: Commercial) -> Self {
        Self {
            commercial,
            payment: Payment::default(),
            fulfilment: Fulfilment::default(),
            returned: Returned::default(),
            holds: Vec::new(),
        }
    }

    /// Reads it from an order's payload; `None` when it is absent or not of the right shape.
    pub fn of(order: &Value) -> Option<Self> {
        Self::deserialize(order.get("lifecycle")?).ok()
    }
}

/// One axis: a set of states and the steps between them.
pub trait Axis: Copy + Eq + Debug + 'static {
    /// The axis's field in `lifecycle`.
    const NAME: &'static str;
    /// For each state, the states that may follow it directly.
    const TRANSITIONS: &'static [(Self, &'static [Self])];
}

macro_rules! axis {
    ($(#[$doc:meta])* $type:ident = $name:literal { $($(#[$state_doc:meta])* $state:ident -> [$($next:ident),*],)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $type { $($(#[$state_doc])* $state,)* }

        impl Axis for $type {
            const NAME: &'static str = $name;
            const TRANSITIONS: &'static [(Self, &'static [Self])] = &[$((Self::$state, &[$(Self::$next),*])),*];
        }
    };
}

axis! {
    /// What buyer and seller have agreed.
    Commercial = "commercial" {
        /// Being put together; reserves nothing.
        Draft -> [Quote, PendingApproval, Confirmed, Cancelled],
        /// Offered to the buyer.
        Quote -> [Draft, PendingApproval, Confirmed, Cancelled],
        /// Waits for the buyer's own approver or for ours.
        PendingApproval -> [Draft, Quote, Confirmed, Cancelled],
        /// Binding; reserves stock.
        Confirmed -> [PendingApproval, Closed, Cancelled],
        /// Nothing is left to do; a return or an edit may open it again.
        Closed -> [Confirmed, Cancelled],
        /// Called off; some systems let a cancelled order be taken up again as a draft.
        Cancelled -> [Draft],
    }
}

axis! {
    /// What has been paid.
    #[derive(Default)]
    Payment = "payment" {
        /// Nothing yet.
        #[default]
        Unpaid -> [Authorised, PartiallyPaid, Paid, Voided],
        /// Promised by the payer's bank, not taken yet.
        Authorised -> [Unpaid, PartiallyPaid, Paid, Voided],
        /// In part.
        PartiallyPaid -> [Paid, PartiallyRefunded, Refunded, Voided],
        /// In full.
        Paid -> [PartiallyPaid, PartiallyRefunded, Refunded],
        /// Some of it given back.
        PartiallyRefunded -> [PartiallyPaid, Paid, Refunded],
        /// All of it given back.
        Refunded -> [PartiallyPaid, Paid, PartiallyRefunded],
        /// An authorisation given up; another try may follow.
        Voided -> [Unpaid, Authorised, PartiallyPaid, Paid],
    }
}

axis! {
    /// What has been shipped.
    #[derive(Default)]
    Fulfilment = "fulfilment" {
        /// Nothing yet.
        #[default]
        Unfulfilled -> [PartiallyFulfilled, Fulfilled],
        /// In part.
        PartiallyFulfilled -> [Unfulfilled, Fulfilled],
        /// All that was not cancelled.
        Fulfilled -> [Unfulfilled, PartiallyFulfilled],
    }
}

axis! {
    /// What has come back.
    #[derive(Default)]
    Returned = "return" {
        /// Nothing, and nothing is announced.
        #[default]
        None -> [Requested, PartiallyReturned, Returned],
        /// The buyer asks to send something back.
        Requested -> [None, PartiallyReturned, Returned],
        /// In part.
        PartiallyReturned -> [Requested, Returned],
        /// All of it.
        Returned -> [Requested, PartiallyReturned],
    }
}

/// Why an order may not be shipped for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Suspected fraud.
    Fraud,
    /// The buyer's credit is used up.
    Credit,
    /// The address cannot be delivered to as it stands.
    Address,
    /// Any other cause.
    Other,
}

/// Whether one state may directly follow another. Staying is always allowed.
pub fn transition_allowed<A: Axis>(from: A, to: A) -> bool {
    from == to || next(from).contains(&to)
}

/// Whether a state can follow another at all, with others between that nobody saw: a poll sees only some of them.
pub fn reachable<A: Axis>(from: A, to: A) -> bool {
    let mut seen = vec![from];
    let mut index = 0;
    while let Some(state) = seen.get(index).copied() {
        if state == to {
            return true;
        }
        let more: Vec<A> = next(state).iter().copied().filter(|state| !seen.contains(state)).collect();
        seen.extend(more);
        index += 1;
    }
    false
}

/// The axes on which one lifecycle may not directly follow another.
pub fn illegal_steps(from: &Lifecycle, to: &Lifecycle) -> Vec<&'static str> {
    fn axis<A: Axis>(from: A, to: A) -> Option<&'static str> {
        (!transition_allowed(from, to)).then_some(A::NAME)
    }
    let axes = [
        axis(from.commercial, to.commercial),
        axis(from.payment, to.payment),
        axis(from.fulfilment, to.fulfilment),
        axis(from.returned, to.returned),
    ];
    axes.into_iter().flatten().collect()
}

/// Whether an order's open quantity is kept from being sold to others: confirmed, and neither closed nor cancelled.
///
/// Holds change nothing: what waits for a fraud check is still promised.
pub fn reserves_stock(lifecycle: &Lifecycle) -> bool {
    lifecycle.commercial == Commercial::Confirmed
}

fn next<A: Axis>(from: A) -> &'static [A] {
    A::TRANSITIONS.iter().find(|(state, _)| *state == from).map_or(&[], |(_, next)| next)
}
