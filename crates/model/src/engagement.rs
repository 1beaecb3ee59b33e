//! What happens around orders: carts, tickets, timeline entries, consent.
//!
//! Never: message texts of marketing; scores.

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::money::{Amount, Money};
use crate::quantity::Quantity;
use crate::refs::Ref;
use crate::rules;
use crate::shape::{part, payload};
use crate::time::Stamp;

payload! {
    /// An unfinished purchase.
    Cart, rules::cart, {
        required {
            /// Its currency.
            currency: Currency,
            /// What is in it.
            lines: Vec<CartLine>,
        }
        optional {
            /// Where it stands; absent means open.
            status: CartStatus,
            /// Whose it is.
            customer: Ref,
            /// For which company.
            company: Ref,
            /// E-mail address entered so far.
            email: String,
            /// What it would cost.
            total: Amount,
            /// When it was begun.
            created_at: Stamp,
            /// When it was last touched.
            touched_at: Stamp,
            /// Where it can be taken up again.
            url: String,
            /// The order that it became.
            order: Ref,
        }
    }
}

/// Where a cart stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CartStatus {
    /// Being filled.
    Open,
    /// Left alone for longer than the shop's limit.
    Abandoned,
    /// Became an order.
    Ordered,
}

part! {
    /// One line of a cart.
    CartLine {
        required {
            /// What is wanted.
            item: Ref,
            /// How many, in `unit`.
            quantity: Quantity,
        }
        optional {
            /// The line's id in the store.
            id: String,
            /// Name shown to the buyer.
            title: String,
            /// Unit of measure; absent means `each`.
            unit: String,
            /// Price of one.
            unit_price: Amount,
        }
    }
}

payload! {
    /// A support case.
    Ticket, rules::none, {
        required {
            /// Where it stands.
            status: TicketStatus,
        }
        optional {
            /// The number that people call it by.
            number: String,
            /// What it is about.
            subject: String,
            /// What the customer wrote.
            text: String,
            /// How urgent it is.
            priority: TicketPriority,
            /// Who asks.
            customer: Ref,
            /// For which company.
            company: Ref,
            /// The order that it is about.
            order: Ref,
            /// How it came: `email`, `phone`, `chat`, `form` or another code.
            channel: String,
            /// Code of the team or person that has it.
            assignee: String,
            /// When it was opened.
            opened_at: Stamp,
            /// When it was solved.
            solved_at: Stamp,
            /// Where it can be read.
            url: String,
        }
    }
}

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketStatus {
    /// Nobody answered yet.
    New,
    /// Being worked on.
    Open,
    /// Waits for the customer or someone else.
    Pending,
    /// Answered.
    Solved,
    /// Cannot be opened again.
    Closed,
}

/// How urgent a ticket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketPriority {
    /// Some time.
    Low,
    /// In its turn.
    Normal,
    /// Before others.
    High,
    /// At once.
    Urgent,
}

payload! {
    /// One entry of a customer's timeline.
    Activity, rules::none, {
        required {
            /// What happened: `email_sent`, `call`, `meeting`, `page_viewed`, `order_placed` or another code.
            kind: String,
            /// When.
            at: Stamp,
        }
        optional {
            /// Whose timeline it belongs to.
            customer: Ref,
            /// The company's, when it is about the company.
            company: Ref,
            /// The order that it is about.
            order: Ref,
            /// The item that it is about.
            item: Ref,
            /// One line for a person.
            title: String,
            /// All of it.
            text: String,
            /// What it was worth.
            value: Money,
            /// Where it came from, such as a campaign's code.
            source: String,
            /// Where it can be read.
            url: String,
        }
    }
}

part! {
    /// What a person agreed to, or does not want, in one channel for one purpose.
    Consent {
        required {
            /// How: `email`, `sms`, `phone`, `post` or another code.
            channel: String,
            /// What for: `marketing`, `profiling` or another code.
            purpose: String,
            /// What was said.
            state: ConsentState,
        }
        optional {
            /// When it was said. Of two, the later counts; at the same time, opting out wins.
            at: Stamp,
            /// How it can be shown: the form, its version, the address it came from.
            proof: String,
        }
    }
}

/// What was said about a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// Agreed.
    OptedIn,
    /// Agreed, but not yet confirmed by a second step.
    Pending,
    /// Does not want it.
    OptedOut,
    /// Never asked.
    Unknown,
}
