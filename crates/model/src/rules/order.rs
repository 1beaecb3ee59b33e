//! Orders: the sums agree on both sides, currencies do not mix, quantities are possible.
//!
//! Never: says which of two numbers is wrong; a person does.

use rust_decimal::Decimal;

use super::{same_currency, sum, unique};
use crate::check::Problem;
use crate::currency::Currency;
use crate::money::{Amount, Money};
use crate::order::{Charge, ChargeKind, Discount, Order, OrderLine, TaxLine};
use crate::quantity::Quantity;

pub(crate) fn check(order: &Order, found: &mut Vec<Problem>) {
    let before = found.len();
    let lines = order.lines.as_deref().unwrap_or_default();
    let charges = order.charges.as_deref().unwrap_or_default();
    unique("lines", "id", lines.iter().map(|line| line.id.as_str()), found);
    unique("charges", "id", charges.iter().map(|charge| charge.id.as_str()), found);
    for (index, line) in lines.iter().enumerate() {
        quantities(index, line, found);
    }
    rounding(charges, found);
    currencies(order, found);
    // Sums over mixed currencies or half-given sides would only repeat what was found.
    if found.len() == before {
        for side in [Side::Shop, Side::Presentment] {
            totals(order, side, found);
            for (index, line) in lines.iter().enumerate() {
                line_total(index, line, side, found);
            }
        }
    }
}

/// One of the two currencies that an order is stated in.
#[derive(Clone, Copy)]
enum Side {
    Shop,
    Presentment,
}

impl Side {
    fn of(self, amount: &Amount) -> Option<Money> {
        match self {
            Self::Shop => Some(amount.shop),
            Self::Presentment => amount.presentment,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Presentment => "presentment",
        }
    }
}

fn quantities(index: usize, line: &OrderLine, found: &mut Vec<Problem>) {
    let value = |quantity: Option<Quantity>| quantity.unwrap_or_default().value();
    let ordered = line.ordered.value();
    let mut at_most = |field: &str, given: Option<Decimal>, what: &str| {
        if given.is_none_or(|given| given > ordered) {
            let shown = given.map_or("too large".to_owned(), |given| given.normalize().to_string());
            let expected = format!("at most the {} ordered", line.ordered);
            found.push(Problem::new(format!("lines[{index}].{field}"), format!("{what} {shown}"), expected));
        }
    };
    let (fulfilled, cancelled) = (value(line.fulfilled), value(line.cancelled));
    if cancelled > ordered {
        at_most("cancelled", Some(cancelled), "is");
    } else {
        at_most("fulfilled", fulfilled.checked_add(cancelled), "with what is cancelled makes");
    }
    at_most("returned", Some(value(line.returned)), "is");
    at_most("refunded", Some(value(line.refunded)), "is");
}

/// One rounding charge at most, and no larger than rounding explains.
fn rounding(charges: &[Charge], found: &mut Vec<Problem>) {
    let mut seen = false;
    for (index, charge) in charges.iter().enumerate().filter(|(_, c)| c.kind == ChargeKind::Rounding) {
        let path = format!("charges[{index}]");
        if std::mem::replace(&mut seen, true) {
            found.push(Problem::new(format!("{path}.kind"), "is a second rounding", "one rounding at most"));
        }
        let money = charge.amount.shop;
        let limit = money.currency.rounding_limit();
        if money.amount.abs() > limit {
            let expected = format!("at most {} either way", Money::new(limit, money.currency));
            found.push(Problem::new(
                format!("{path}.amount.shop.amount"),
                format!("rounds by {money}"),
                expected,
            ));
        }
    }
}

/// Every amount is in its side's currency, and the presentment side is given for all amounts that are summed or none.
fn currencies(order: &Order, found: &mut Vec<Problem>) {
    let Some(shop) = order.currency else { return };
    let total = order.totals.as_ref().map(|totals| totals.total);
    let presented = total.and_then(|total| total.presentment);
    let presentment: Option<Currency> = order.presentment_currency.or(presented.map(|money| money.currency));
    for_each_amount(order, &mut |path, amount, summed| {
        if amount.shop.currency != shop {
            same_currency(&format!("{}.shop", path()), amount.shop, shop, found);
        }
        match (amount.presentment, presentment) {
            (Some(money), Some(currency)) if money.currency != currency => {
                same_currency(&format!("{}.presentment", path()), money, currency, found);
            }
            (None, _) if summed && presented.is_some() => {
                let expected = "an amount, because the order's total has one";
                found.push(Problem::new(format!("{}.presentment", path()), "is missing", expected));
            }
            _ => {}
        }
    });
}

/// Takes path, amount and whether it is part of a checked sum. The path is made only when it is asked for.
type Visit<'a> = dyn FnMut(&dyn Fn() -> String, &Amount, bool) + 'a;

/// Calls `visit` for every amount of an order.
fn for_each_amount(order: &Order, visit: &mut Visit<'_>) {
    let parts = |path: &dyn Fn() -> String,
                 discounts: &Option<Vec<Discount>>,
                 tax_lines: &Option<Vec<TaxLine>>,
                 visit: &mut Visit<'_>| {
        for (index, discount) in discounts.iter().flatten().enumerate() {
            visit(&|| format!("{}.discounts[{index}].amount", path()), &discount.amount, false);
        }
        for (index, tax) in tax_lines.iter().flatten().enumerate() {
            visit(&|| format!("{}.tax_lines[{index}].amount", path()), &tax.amount, true);
            if let Some(base) = &tax.base {
                visit(&|| format!("{}.tax_lines[{index}].base", path()), base, false);
            }
        }
    };
    for (index, line) in order.lines.iter().flatten().enumerate() {
        let path = || format!("lines[{index}]");
        visit(&|| format!("{}.unit_price", path()), &line.unit_price, false);
        visit(&|| format!("{}.total", path()), &line.total, true);
        parts(&path, &line.discounts, &line.tax_lines, visit);
    }
    for (index, charge) in order.charges.iter().flatten().enumerate() {
        let path = || format!("charges[{index}]");
        visit(&|| format!("{}.amount", path()), &charge.amount, true);
        parts(&path, &charge.discounts, &charge.tax_lines, visit);
    }
    for (index, tender) in order.tenders.iter().flatten().enumerate() {
        visit(&|| format!("tenders[{index}].amount"), &tender.amount, false);
    }
    let Some(totals) = &order.totals else { return };
    visit(&|| "totals.tax".to_owned(), &totals.tax, true);
    visit(&|| "totals.total".to_owned(), &totals.total, true);
    for (name, amount) in [
        ("subtotal", &totals.subtotal),
        ("discount", &totals.discount),
        ("refunded", &totals.refunded),
        ("outstanding", &totals.outstanding),
    ] {
        if let Some(amount) = amount {
            visit(&|| format!("totals.{name}"), amount, false);
        }
    }
}

/// The identity of sums on one side: lines, charges and, where prices are without it, tax make the total; the tax lines
/// make the tax.
fn totals(order: &Order, side: Side, found: &mut Vec<Problem>) {
    let (Some(totals), Some(tax_included)) = (&order.totals, order.tax_included) else { return };
    let (Some(total), Some(tax)) = (side.of(&totals.total), side.of(&totals.tax)) else { return };
    let lines = order.lines.as_deref().unwrap_or_default();
    let charges = order.charges.as_deref().unwrap_or_default();
    let add = |amounts: &mut dyn Iterator<Item = &Amount>| {
        sum(amounts.filter_map(|amount| side.of(amount)).map(|money| money.amount))
    };
    let of_lines = add(&mut lines.iter().map(|line| &line.total));
    let of_charges = add(&mut charges.iter().map(|charge| &charge.amount));
    let on_top = if tax_included { Decimal::ZERO } else { tax.amount };
    let parts = of_lines.zip(of_charges).and_then(|(lines, charges)| sum([lines, charges, on_top]));
    agree(&format!("totals.total.{}", side.name()), total, parts, found, || {
        let money = |amount: Option<Decimal>| {
            amount.map_or("?".into(), |a| Money::new(a, total.currency).to_string())
        };
        let tax = if tax_included { String::new() } else { format!(" and tax {tax}") };
        format!("lines {}, charges {}{tax}", money(of_lines), money(of_charges))
    });
    let tax_lines: Vec<&TaxLine> = lines
        .iter()
        .flat_map(|line| line.tax_lines.iter().flatten())
        .chain(charges.iter().flat_map(|charge| charge.tax_lines.iter().flatten()))
        .collect();
    if !tax_lines.is_empty() {
        let parts = add(&mut tax_lines.iter().map(|tax| &tax.amount));
        agree(&format!("totals.tax.{}", side.name()), tax, parts, found, || {
            format!("{} tax lines", tax_lines.len())
        });
    }
}

/// A stated sum agrees with its parts to the minor unit; parts may be finer than that.
fn agree(
    path: &str,
    stated: Money,
    parts: Option<Decimal>,
    found: &mut Vec<Problem>,
    of_what: impl Fn() -> String,
) {
    let Some(parts) = parts else {
        return found.push(Problem::new(path, "cannot be held against its parts", "at most 28 digits"));
    };
    if (parts - stated.amount).abs() > stated.currency.half_minor_unit() {
        let expected = format!("{}: the sum of {}", Money::new(parts, stated.currency), of_what());
        found.push(Problem::new(path, format!("is {stated}"), expected));
    }
}

/// A line's total is its quantity times its unit price less its discounts, as far as the price's places allow.
///
/// A price stated in cents may stand for one up to half a cent away, for each unit. Once part of a line is cancelled,
/// systems differ in which quantity the total speaks of, and nothing is held against it.
fn line_total(index: usize, line: &OrderLine, side: Side, found: &mut Vec<Problem>) {
    let (Some(price), Some(total)) = (side.of(&line.unit_price), side.of(&line.total)) else { return };
    let discounts = line.discounts.as_deref().unwrap_or_default();
    let stated: Vec<Decimal> =
        discounts.iter().filter_map(|d| side.of(&d.amount)).map(|money| money.amount).collect();
    let cancelled = line.cancelled.unwrap_or_default() > Quantity::ZERO;
    if cancelled || stated.len() < discounts.len() {
        return;
    }
    let ordered = line.ordered.value();
    let expected = || {
        let gross = price.amount.checked_mul(ordered)?;
        let places = price.amount.normalize().scale().max(price.currency.exponent()).min(27);
        let slack = Decimal::new(5, places + 1).checked_mul(ordered)?;
        let each = price.currency.minor_unit() * Decimal::from(stated.len() + 1);
        Some((gross.checked_sub(sum(stated.iter().copied())?)?, slack.checked_add(each)?))
    };
    let path = || format!("lines[{index}].total.{}", side.name());
    let Some((expected, slack)) = expected() else {
        return found.push(Problem::new(path(), "cannot be held against its parts", "at most 28 digits"));
    };
    if (expected - total.amount).abs() > slack {
        let expected = Money::new(expected.normalize(), total.currency);
        let shown = format!("{expected}: {} times {price} less discounts", line.ordered);
        found.push(Problem::new(path(), format!("is {total}"), shown));
    }
}
