//! Whether two systems state the same totals of an order, to the minor unit.
//!
//! Never: recomputes a total.

use std::fmt;

use rust_decimal::Decimal;
use serde_json::Value;

/// Totals that differ by more than the tolerance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `tax` or `total`.
    pub which: &'static str,
    /// As the order states it.
    pub ours: Decimal,
    /// As the other system states it.
    pub theirs: Decimal,
    /// ISO currency code.
    pub currency: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { which, ours, theirs, currency } = self;
        write!(
            f,
            "the {which} is {theirs} {currency} there and {ours} {currency} in the order ({} apart): compare the tax codes and the \
             rounding rule of both systems, put it right there, then retry; or allow a tolerance on the flow",
            (theirs - ours).abs()
        )
    }
}

/// Compares what a system states (`{"total": "..", "tax": ".."}`, decimal text, in the order's own currency) with the
/// order. What is not stated is not compared.
///
/// # Errors
/// The first difference beyond the tolerance.
pub fn compare(order: &Value, stated: &Value, tolerance: Decimal) -> Result<(), Difference> {
    for which in ["total", "tax"] {
        let side = &order["totals"][which]["shop"];
        let (Some(ours), Some(theirs)) = (decimal(&side["amount"]), stated_amount(&stated[which])) else {
            continue;
        };
        if (ours - theirs).abs() > tolerance {
            let currency = side["currency"].as_str().unwrap_or_default().to_owned();
            return Err(Difference { which, ours, theirs, currency });
        }
    }
    Ok(())
}

/// Decimal text, `{"amount"}` or `{"shop": {"amount"}}`.
fn stated_amount(value: &Value) -> Option<Decimal> {
    decimal(value).or_else(|| decimal(&value["amount"])).or_else(|| decimal(&value["shop"]["amount"]))
}

fn decimal(value: &Value) -> Option<Decimal> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cent_is_a_difference_unless_tolerated() {
        let order = json!({"totals": {
            "total": {"shop": {"amount": "90.00", "currency": "EUR"}},
            "tax": {"shop": {"amount": "14.37", "currency": "EUR"}},
        }});
        let cent = Decimal::new(1, 2);
        for (stated, tolerance, fine) in [
            (json!({"total": "90.00", "tax": "14.37"}), Decimal::ZERO, true),
            (json!({"total": "90", "tax": "14.370"}), Decimal::ZERO, true),
            (json!({"total": "90.01", "tax": "14.37"}), Decimal::ZERO, false),
            (json!({"total": "90.00", "tax": "14.36"}), Decimal::ZERO, false),
            (json!({"total": "90.01", "tax": "14.38"}), cent, true),
            (json!({"total": "90.02"}), cent, false),
            (json!({}), Decimal::ZERO, true),
        ] {
            assert_eq!(compare(&order, &stated, tolerance).is_ok(), fine, "{stated}");
        }
        let error = compare(&order, &json!({"total": "91.00"}), Decimal::ZERO).map_err(|e| e.to_string());
        assert!(error.is_err_and(|e| {
            e.starts_with("the total is 91.00 EUR there and 90.00 EUR in the order (1.00 apart)")
        }));
    }
}
