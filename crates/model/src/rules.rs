//! What must hold in a whole payload beyond its shape, kind by kind.
//!
//! Never: a rule that good systems break; what is doubtful but possible is let through.

pub(crate) mod finance;
pub(crate) mod order;

use std::collections::HashSet;

use rust_decimal::Decimal;

use crate::check::Problem;
use crate::currency::Currency;
use crate::engagement::Cart;
use crate::item::Item;
use crate::money::Money;
use crate::price::Price;
use crate::procurement::PurchaseOrder;
use crate::returns::Return;
use crate::stock::{Basis, Stock};

/// For kinds whose shape says it all.
pub(crate) fn none<T>(_: &T, _: &mut Vec<Problem>) {}

pub(crate) fn item(item: &Item, found: &mut Vec<Problem>) {
    let units = item.units.as_deref().unwrap_or_default();
    unique("units", "code", units.iter().map(|unit| unit.code.as_str()), found);
    let Some(kit) = &item.kit else { return };
    if kit.components.is_empty() {
        found.push(Problem::new("kit.components", "is empty", "at least one component"));
    }
    for (index, component) in kit.components.iter().enumerate() {
        if component.quantity.value().is_zero() {
            found.push(Problem::new(
                format!("kit.components[{index}].quantity"),
                "is zero",
                "more than zero",
            ));
        }
    }
}

pub(crate) fn price(price: &Price, found: &mut Vec<Problem>) {
    if let Some(currency) = price.currency {
        for (path, money) in [("amount", price.amount), ("compare_at", price.compare_at)] {
            if let Some(money) = money {
                same_currency(path, money, currency, found);
                not_negative(path, money, found);
            }
        }
    }
    if let (Some(from), Some(to)) = (price.valid_from, price.valid_to)
        && from.is_after(to)
    {
        found.push(Problem::new("valid_to", "lies before valid_from", "a later moment"));
    }
}

pub(crate) fn stock(stock: &Stock, found: &mut Vec<Problem>) {
    let (path, figure) = match stock.basis {
        Some(Basis::OnHand) => ("on_hand", stock.on_hand),
        Some(Basis::Available | Basis::Sellable) => ("available", stock.available),
        None => return,
    };
    if figure.is_none() {
        found.push(Problem::new(path, "is missing", "the figure that `basis` names"));
    }
}

pub(crate) fn goods_return(goods: &Return, found: &mut Vec<Problem>) {
    for (index, line) in goods.lines.iter().flatten().enumerate() {
        if let (Some(restocked), Some(received)) = (line.restocked, line.received)
            && restocked > received
        {
            let expected = format!("at most the {received} received");
            found.push(Problem::new(
                format!("lines[{index}].restocked"),
                format!("is {restocked}"),
                expected,
            ));
        }
    }
}

pub(crate) fn purchase_order(order: &PurchaseOrder, found: &mut Vec<Problem>) {
    let lines = order.lines.as_deref().unwrap_or_default();
    unique("lines", "id", lines.iter().map(|line| line.id.as_str()), found);
    let Some(currency) = order.currency else { return };
    if let Some(total) = order.total {
        same_currency("total", total, currency, found);
    }
    for (index, line) in lines.iter().enumerate() {
        if let Some(cost) = line.unit_cost {
            same_currency(&format!("lines[{index}].unit_cost"), cost, currency, found);
        }
    }
}

pub(crate) fn cart(cart: &Cart, found: &mut Vec<Problem>) {
    let Some(currency) = cart.currency else { return };
    if let Some(total) = cart.total {
        same_currency("total.shop", total.shop, currency, found);
    }
    for (index, line) in cart.lines.iter().flatten().enumerate() {
        if let Some(price) = line.unit_price {
            same_currency(&format!("lines[{index}].unit_price.shop"), price.shop, currency, found);
        }
    }
}

/// Ids within a list are unique.
fn unique<'a>(list: &str, field: &str, ids: impl Iterator<Item = &'a str>, found: &mut Vec<Problem>) {
    let mut seen = HashSet::new();
    for (index, id) in ids.enumerate() {
        if !seen.insert(id) {
            let path = format!("{list}[{index}].{field}");
            found.push(Problem::new(
                path,
                "is there a second time",
                format!("a {field} of its own for each entry"),
            ));
        }
    }
}

fn same_currency(path: &str, money: Money, currency: Currency, found: &mut Vec<Problem>) {
    if money.currency != currency {
        let path = format!("{path}.currency");
        found.push(Problem::new(path, format!("is {}", money.currency), currency.code()));
    }
}

fn not_negative(path: &str, money: Money, found: &mut Vec<Problem>) {
    if money.amount < Decimal::ZERO {
        found.push(Problem::new(format!("{path}.amount"), format!("is negative: {money}"), "zero or more"));
    }
}

/// The exact sum; `None` when it has too many digits.
fn sum(amounts: impl IntoIterator<Item = Decimal>) -> Option<Decimal> {
    amounts.into_iter().try_fold(Decimal::ZERO, Decimal::checked_add)
}
