//! Money: immutable events, posted documents, and the N:M allocations between them.
//!
//! Never: card data; ledger entries; netting of one event against another.

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::money::Money;
use crate::party::Contact;
use crate::quantity::{Number, Quantity};
use crate::refs::Ref;
use crate::rules::finance;
use crate::shape::{part, payload};
use crate::time::{Moment, Stamp};

payload! {
    /// A demand for money, posted.
    Invoice, finance::invoice, {
        required {
            /// Its currency.
            currency: Currency,
            /// What is demanded, tax included.
            total: Money,
            /// Where it stands.
            status: DocumentStatus,
        }
        optional {
            /// Its legal number.
            number: String,
            /// What kind of demand it is; absent means an ordinary invoice.
            kind: InvoiceKind,
            /// The order that it bills.
            order: Ref,
            /// Whom it is addressed to.
            customer: Ref,
            /// The company that it is addressed to.
            company: Ref,
            /// Address on it, as it was then.
            bill_to: Contact,
            /// Date on it.
            issued_at: Moment,
            /// When it must be paid.
            due_at: Moment,
            /// Whether line totals include tax.
            tax_included: bool,
            /// Its lines.
            lines: Vec<DocumentLine>,
            /// Taxes by code.
            taxes: Vec<DocumentTax>,
            /// All taxes.
            tax: Money,
            /// What was paid so far.
            paid: Money,
            /// What is still to be paid.
            outstanding: Money,
            /// Code of the ERP's company that issued it.
            erp_company: String,
            /// Where it can be read.
            url: String,
        }
    }
}

payload! {
    /// A posted reduction of what is owed.
    CreditMemo, finance::credit_memo, {
        required {
            /// Its currency.
            currency: Currency,
            /// By how much, tax included; above zero.
            total: Money,
            /// Where it stands.
            status: DocumentStatus,
        }
        optional {
            /// Its legal number.
            number: String,
            /// The order.
            order: Ref,
            /// The invoice that it corrects.
            invoice: Ref,
            /// The refund that it books.
            refund: Ref,
            /// Whom it is addressed to.
            customer: Ref,
            /// The company that it is addressed to.
            company: Ref,
            /// Address on it, as it was then.
            bill_to: Contact,
            /// Date on it.
            issued_at: Moment,
            /// Why.
            reason: String,
            /// Whether line totals include tax.
            tax_included: bool,
            /// Its lines.
            lines: Vec<DocumentLine>,
            /// Taxes by code.
            taxes: Vec<DocumentTax>,
            /// All taxes.
            tax: Money,
            /// What it is set off against.
            allocations: Vec<Allocation>,
            /// Code of the ERP's company that issued it.
            erp_company: String,
        }
    }
}

/// What kind of demand an invoice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceKind {
    /// For goods or services delivered.
    Invoice,
    /// For part of the price in advance.
    Deposit,
    /// A demand that is no legal invoice yet.
    Proforma,
}

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentStatus {
    /// Not posted yet.
    Draft,
    /// In the books.
    Posted,
    /// Settled in full.
    Paid,
    /// Taken back by another document, or called off before it was posted.
    Cancelled,
}

part! {
    /// One line of an invoice or credit memo.
    DocumentLine {
        required {
            /// Sum of the line, after discounts, in the basis that `tax_included` says.
            total: Money,
        }
        optional {
            /// The order line's id.
            order_line: String,
            /// What it is for.
            item: Ref,
            /// Text on it.
            title: String,
            /// How many.
            quantity: Quantity,
            /// Unit of measure.
            unit: String,
            /// Price of one.
            unit_price: Money,
            /// Code of the tax.
            tax_code: String,
        }
    }
}

part! {
    /// One tax of a document.
    DocumentTax {
        required {
            /// The issuing system's code of the tax.
            code: String,
            /// How much.
            amount: Money,
        }
        optional {
            /// Rate in per cent: `19` for 19 %.
            rate: Number,
            /// The amount that it is reckoned on.
            base: Money,
        }
    }
}

part! {
    /// Part of an event or document that is set off against another; each may have many.
    Allocation {
        required {
            /// How much, in the event's or document's own currency.
            amount: Money,
        }
        optional {
            /// Against an invoice.
            invoice: Ref,
            /// Against a credit memo.
            credit_memo: Ref,
            /// Against an order that has no invoice yet.
            order: Ref,
        }
    }
}

payload! {
    /// An authorisation, capture, void or chargeback: one event, never changed.
    Payment, finance::payment, {
        required {
            /// What happened.
            event: PaymentEvent,
            /// How much, above zero whatever happened.
            amount: Money,
        }
        optional {
            /// The order.
            order: Ref,
            /// What the shopper saw, when in another currency.
            presentment: Money,
            /// When it happened.
            at: Stamp,
            /// Code of the payment method, for the reference map.
            method: String,
            /// Code of the provider or gateway.
            provider: String,
            /// The provider's own number of the transaction.
            reference: String,
            /// What it captures, voids or charges back.
            authorisation: Ref,
            /// Whether it went through; absent means yes.
            status: PaymentStatus,
            /// What the provider keeps.
            fee: Money,
            /// What it settles.
            allocations: Vec<Allocation>,
        }
    }
}

/// What happened to money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentEvent {
    /// Promised by the payer's bank.
    Authorisation,
    /// Taken.
    Capture,
    /// The promise given up.
    Void,
    /// Taken back by the payer's bank.
    Chargeback,
    /// Given back again by the payer's bank.
    ChargebackReversal,
}

/// Whether a payment event went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Not known yet.
    Pending,
    /// It did.
    Succeeded,
    /// It did not.
    Failed,
}

payload! {
    /// Money given back; goods coming back are a return.
    Refund, finance::refund, {
        required {
            /// The order.
            order: Ref,
            /// How much, above zero.
            amount: Money,
        }
        optional {
            /// The number that people call it by.
            number: String,
            /// What the shopper saw, when in another currency.
            presentment: Money,
            /// Tax in it.
            tax: Money,
            /// Shipping in it, tax included.
            shipping: Money,
            /// When it was given.
            at: Stamp,
            /// Why.
            reason: String,
            /// The payment that it goes back to.
            payment: Ref,
            /// The return that it is for.
            #[serde(rename = "return")]
            goods_return: Ref,
            /// Code of the payment method, for the reference map.
            method: String,
            /// The provider's own number of the transaction.
            reference: String,
            /// Whether it went through; absent means yes.
            status: PaymentStatus,
            /// What it is given back for.
            lines: Vec<RefundLine>,
            /// What it settles.
            allocations: Vec<Allocation>,
        }
    }
}

part! {
    /// Part of a refund that belongs to an order line.
    RefundLine {
        required {
            /// The order line's id.
            order_line: String,
            /// For how many.
            quantity: Quantity,
        }
        optional {
            /// How much, tax included.
            amount: Money,
            /// Tax in it.
            tax: Money,
            /// Whether the goods go back into stock.
            restock: bool,
            /// Canonical code of the location that they go back to.
            location: String,
        }
    }
}

payload! {
    /// Money settled by a payment provider, with its fees.
    Payout, finance::payout, {
        required {
            /// Its currency.
            currency: Currency,
            /// What arrives at the bank; below zero when the provider takes money.
            amount: Money,
        }
        optional {
            /// The provider's number of it.
            number: String,
            /// Code of the provider.
            provider: String,
            /// When it was paid.
            paid_at: Moment,
            /// All fees together.
            fees: Money,
            /// What it is made of; the net amounts add up to it.
            entries: Vec<PayoutEntry>,
        }
    }
}

part! {
    /// One part of a payout.
    PayoutEntry {
        required {
            /// What it is.
            kind: PayoutKind,
            /// What it adds; below zero when it takes away.
            net: Money,
        }
        optional {
            /// Before the fee.
            gross: Money,
            /// The fee: gross less net.
            fee: Money,
            /// The order.
            order: Ref,
            /// The payment.
            payment: Ref,
            /// The refund.
            refund: Ref,
            /// The provider's own number of the transaction.
            reference: String,
        }
    }
}

/// What a part of a payout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayoutKind {
    /// A payment settled.
    Payment,
    /// A refund taken out.
    Refund,
    /// A chargeback taken out, or given back.
    Chargeback,
    /// A fee that belongs to no single payment.
    Fee,
    /// Held back, or released.
    Reserve,
    /// Any other correction.
    Adjustment,
}
