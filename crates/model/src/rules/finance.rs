//! Documents and money events: sums agree, currencies do not mix, no more is allocated than there is.
//!
//! Never: nets, converts or reckons tax.

use rust_decimal::Decimal;

use super::{not_negative, same_currency, sum};
use crate::check::Problem;
use crate::currency::Currency;
use crate::finance::{Allocation, CreditMemo, DocumentLine, DocumentTax, Invoice, Payment, Payout, Refund};
use crate::money::Money;

pub(crate) fn invoice(invoice: &Invoice, found: &mut Vec<Problem>) {
    document(
        Document {
            currency: invoice.currency,
            total: invoice.total,
            tax: invoice.tax,
            tax_included: invoice.tax_included,
            lines: invoice.lines.as_deref(),
            taxes: invoice.taxes.as_deref(),
            others: &[("paid", invoice.paid), ("outstanding", invoice.outstanding)],
        },
        found,
    );
}

pub(crate) fn credit_memo(memo: &CreditMemo, found: &mut Vec<Problem>) {
    document(
        Document {
            currency: memo.currency,
            total: memo.total,
            tax: memo.tax,
            tax_included: memo.tax_included,
            lines: memo.lines.as_deref(),
            taxes: memo.taxes.as_deref(),
            others: &[],
        },
        found,
    );
    if let Some(total) = memo.total {
        not_negative("total", total, found);
        allocations(total, memo.allocations.as_deref(), found);
    }
}

pub(crate) fn payment(payment: &Payment, found: &mut Vec<Problem>) {
    let Some(amount) = payment.amount else { return };
    not_negative("amount", amount, found);
    allocations(amount, payment.allocations.as_deref(), found);
}

pub(crate) fn refund(refund: &Refund, found: &mut Vec<Problem>) {
    let Some(amount) = refund.amount else { return };
    not_negative("amount", amount, found);
    allocations(amount, refund.allocations.as_deref(), found);
    for (path, money) in [("tax", refund.tax), ("shipping", refund.shipping)] {
        if let Some(money) = money {
            same_currency(path, money, amount.currency, found);
        }
    }
    for (index, line) in refund.lines.iter().flatten().enumerate() {
        for (field, money) in [("amount", line.amount), ("tax", line.tax)] {
            if let Some(money) = money {
                same_currency(&format!("lines[{index}].{field}"), money, amount.currency, found);
            }
        }
    }
}

pub(crate) fn payout(payout: &Payout, found: &mut Vec<Problem>) {
    let (Some(currency), Some(amount)) = (payout.currency, payout.amount) else { return };
    let before = found.len();
    same_currency("amount", amount, currency, found);
    if let Some(fees) = payout.fees {
        same_currency("fees", fees, currency, found);
    }
    let Some(entries) = &payout.entries else { return };
    for (index, entry) in entries.iter().enumerate() {
        let path = |field: &str| format!("entries[{index}].{field}");
        for (field, money) in [("net", Some(entry.net)), ("gross", entry.gross), ("fee", entry.fee)] {
            if let Some(money) = money {
                same_currency(&path(field), money, currency, found);
            }
        }
        if let (Some(gross), Some(fee)) = (entry.gross, entry.fee)
            && gross.amount.checked_sub(fee.amount) != Some(entry.net.amount)
        {
            let expected = format!("gross {gross} less fee {fee}");
            found.push(Problem::new(path("net"), format!("is {}", entry.net), expected));
        }
    }
    if found.len() == before {
        let parts = sum(entries.iter().map(|entry| entry.net.amount));
        agree("amount", amount, parts, Decimal::ZERO, "the net amounts of its entries", found);
    }
}

/// What invoices and credit memos have in common.
struct Document<'a> {
    currency: Option<Currency>,
    total: Option<Money>,
    tax: Option<Money>,
    tax_included: Option<bool>,
    lines: Option<&'a [DocumentLine]>,
    taxes: Option<&'a [DocumentTax]>,
    others: &'a [(&'a str, Option<Money>)],
}

fn document(document: Document<'_>, found: &mut Vec<Problem>) {
    let (Some(currency), Some(total)) = (document.currency, document.total) else { return };
    let before = found.len();
    for (path, money) in [("total", Some(total)), ("tax", document.tax)].iter().chain(document.others) {
        if let Some(money) = money {
            same_currency(path, *money, currency, found);
        }
    }
    for (index, line) in document.lines.unwrap_or_default().iter().enumerate() {
        same_currency(&format!("lines[{index}].total"), line.total, currency, found);
    }
    for (index, tax) in document.taxes.unwrap_or_default().iter().enumerate() {
        same_currency(&format!("taxes[{index}].amount"), tax.amount, currency, found);
    }
    if found.len() > before {
        return;
    }
    // A document has no rounding line, so what cash rounding explains is let through.
    if let (Some(lines), Some(tax_included)) = (document.lines, document.tax_included)
        && let Some(on_top) =
            if tax_included { Some(Decimal::ZERO) } else { document.tax.map(|tax| tax.amount) }
    {
        let parts = sum(lines.iter().map(|line| line.total.amount).chain([on_top]));
        let what = if tax_included { "its lines" } else { "its lines and tax" };
        agree("total", total, parts, currency.rounding_limit(), what, found);
    }
    if let (Some(taxes), Some(tax)) = (document.taxes, document.tax) {
        let parts = sum(taxes.iter().map(|tax| tax.amount.amount));
        agree("tax", tax, parts, currency.half_minor_unit(), "its taxes", found);
    }
}

/// No more is set off than there is.
fn allocations(amount: Money, allocations: Option<&[Allocation]>, found: &mut Vec<Problem>) {
    let Some(allocations @ [_, ..]) = allocations else { return };
    let before = found.len();
    for (index, allocation) in allocations.iter().enumerate() {
        let path = format!("allocations[{index}].amount");
        same_currency(&path, allocation.amount, amount.currency, found);
        not_negative(&path, allocation.amount, found);
    }
    let parts = sum(allocations.iter().map(|allocation| allocation.amount.amount));
    if found.len() == before && parts.is_none_or(|parts| parts > amount.amount) {
        let shown = parts.map_or("too much".to_owned(), |p| Money::new(p, amount.currency).to_string());
        found.push(Problem::new("allocations", format!("add up to {shown}"), format!("at most {amount}")));
    }
}

fn agree(
    path: &str,
    stated: Money,
    parts: Option<Decimal>,
    slack: Decimal,
    what: &str,
    found: &mut Vec<Problem>,
) {
    let Some(parts) = parts else {
        return found.push(Problem::new(path, "cannot be held against its parts", "at most 28 digits"));
    };
    if (parts - stated.amount).abs() > slack {
        let expected = format!("{}: the sum of {what}", Money::new(parts, stated.currency));
        found.push(Problem::new(path, format!("is {stated}"), expected));
    }
}
