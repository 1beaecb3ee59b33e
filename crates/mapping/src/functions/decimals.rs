//! Exact decimals: arithmetic on decimal strings and integers, refused where it would lose a digit.
//!
//! Never: rounds unless the program says to how many places.

use std::cmp::Ordering;

use rust_decimal::{Decimal, RoundingStrategy};
use vrl::compiler::TypeDef;
use vrl::compiler::function::Parameter;
use vrl::compiler::value::kind::{ARRAY, BYTES, INTEGER};
use vrl::value::Value;

use super::{Arguments, Failure, Native, decimal};

/// A decimal string or an integer.
pub(super) const NUMBER: u16 = BYTES | INTEGER;

const VALUE: Parameter = Parameter::required("value", NUMBER, "Decimal string or integer.");
const A: Parameter = Parameter::required("a", NUMBER, "Decimal string or integer.");
const B: Parameter = Parameter::required("b", NUMBER, "Decimal string or integer.");
const SCALE: Parameter = Parameter::required("scale", INTEGER, "Decimal places of the result, 0 to 28.");
const MODE: Parameter = Parameter::optional(
    "mode",
    BYTES,
    "`half_up` (halves away from zero, the default), `half_even`, `down` (towards zero) or `up` (away from zero).",
);

pub(super) const FUNCTIONS: &[Native] = &[
    Native {
        name: "decimal",
        usage: "Checks that a value is a decimal number and gives it as a decimal string.",
        example: ("decimal!(12)", r#""12""#),
        parameters: &[VALUE],
        returns: TypeDef::bytes,
        call: |args, _| Ok(give(args.decimal(0)?)),
    },
    Native {
        name: "decimal_add",
        usage: "Adds two decimals exactly.",
        example: (r#"decimal_add!("0.10", "0.2")"#, r#""0.30""#),
        parameters: &[A, B],
        returns: TypeDef::bytes,
        call: |args, _| add(args.decimal(0)?, args.decimal(1)?).map(give).ok_or_else(too_large),
    },
    Native {
        name: "decimal_sub",
        usage: "Subtracts `b` from `a` exactly.",
        example: (r#"decimal_sub!("1", "0.25")"#, r#""0.75""#),
        parameters: &[A, B],
        returns: TypeDef::bytes,
        call: |args, _| add(args.decimal(0)?, -args.decimal(1)?).map(give).ok_or_else(too_large),
    },
    Native {
        name: "decimal_mul",
        usage: "Multiplies two decimals exactly.",
        example: (r#"decimal_mul!("1.25", 3)"#, r#""3.75""#),
        parameters: &[A, B],
        returns: TypeDef::bytes,
        call: |args, _| mul(args.decimal(0)?, args.decimal(1)?).map(give).ok_or_else(too_large),
    },
    Native {
        name: "decimal_div",
        usage: "Divides `a` by `b`, rounded once to `scale` places.",
        example: (r#"decimal_div!(10, 3, 2)"#, r#""3.33""#),
        parameters: &[A, B, SCALE, MODE],
        returns: TypeDef::bytes,
        call: |args, _| {
            let (a, b, scale, mode) = (args.decimal(0)?, args.decimal(1)?, args.scale(2)?, mode(args, 3)?);
            if b.is_zero() {
                return Err(args.wrong(1, "division by zero"));
            }
            divide(a, b, scale, mode).map(give).ok_or_else(too_large)
        },
    },
    Native {
        name: "decimal_round",
        usage: "Rounds to `scale` places; with fewer places it stays as it is.",
        example: (r#"decimal_round!("2.345", 2)"#, r#""2.35""#),
        parameters: &[VALUE, SCALE, MODE],
        returns: TypeDef::bytes,
        call: |args, _| Ok(give(args.decimal(0)?.round_dp_with_strategy(args.scale(1)?, mode(args, 2)?))),
    },
    Native {
        name: "decimal_cmp",
        usage: "Compares two decimals by value: -1 when `a` is less, 0 when equal, 1 when greater.",
        example: (r#"decimal_cmp!("1.50", "1.5")"#, "0"),
        parameters: &[A, B],
        returns: TypeDef::integer,
        call: |args, _| {
            Ok(Value::Integer(match args.decimal(0)?.cmp(&args.decimal(1)?) {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            }))
        },
    },
    Native {
        name: "decimal_abs",
        usage: "The value without its sign.",
        example: (r#"decimal_abs!("-2.50")"#, r#""2.50""#),
        parameters: &[VALUE],
        returns: TypeDef::bytes,
        call: |args, _| Ok(give(args.decimal(0)?.abs())),
    },
    Native {
        name: "decimal_neg",
        usage: "The value with the other sign.",
        example: (r#"decimal_neg!("2.50")"#, r#""-2.50""#),
        parameters: &[VALUE],
        returns: TypeDef::bytes,
        call: |args, _| Ok(give(-args.decimal(0)?)),
    },
    Native {
        name: "decimal_is_zero",
        usage: "Whether the value is zero, however it is written.",
        example: (r#"decimal_is_zero!("0.00")"#, "true"),
        parameters: &[VALUE],
        returns: TypeDef::boolean,
        call: |args, _| Ok(Value::Boolean(args.decimal(0)?.is_zero())),
    },
    Native {
        name: "decimal_min",
        usage: "The lesser of two decimals.",
        example: (r#"decimal_min!("2", "10")"#, r#""2""#),
        parameters: &[A, B],
        returns: TypeDef::bytes,
        call: |args, _| Ok(give(args.decimal(0)?.min(args.decimal(1)?))),
    },
    Native {
        name: "decimal_max",
        usage: "The greater of two decimals.",
        example: (r#"decimal_max!("2", "10")"#, r#""10""#),
        parameters: &[A, B],
        returns: TypeDef::bytes,
        call: |args, _| Ok(give(args.decimal(0)?.max(args.decimal(1)?))),
    },
    Native {
        name: "decimal_sum",
        usage: "Adds up an array of decimals exactly; an empty one is \"0\".",
        example: (r#"decimal_sum!(["1.10", 2, "0.05"])"#, r#""3.15""#),
        parameters: &[Parameter::required("values", ARRAY, "Decimal strings or integers.")],
        returns: TypeDef::bytes,
        call: |args, _| {
            let mut sum = Decimal::ZERO;
            for (index, value) in args.array(0)?.iter().enumerate() {
                let number = decimal(value).ok_or_else(|| {
                    args.wrong(0, format_args!("entry {index} is no decimal number such as \"12.50\""))
                })?;
                sum = add(sum, number).ok_or_else(too_large)?;
            }
            Ok(give(sum))
        },
    },
];

/// A decimal as programs see it; zero has no sign.
pub(super) fn give(mut number: Decimal) -> Value {
    if number.is_zero() {
        number.set_sign_positive(true);
    }
    Value::from(number.to_string())
}

pub(super) fn too_large() -> Failure {
    Failure::together("the result has more digits than can be kept exactly (28): round first")
}

/// Sum, or nothing where a digit would be lost.
pub(super) fn add(a: Decimal, b: Decimal) -> Option<Decimal> {
    exactly(a, b, |a, b| a.checked_add(b).filter(|sum| sum.scale() >= a.scale().max(b.scale())))
}

/// Product, or nothing where a digit would be lost.
pub(super) fn mul(a: Decimal, b: Decimal) -> Option<Decimal> {
    exactly(a, b, |a, b| a.checked_mul(b).filter(|out| out.scale() == a.scale() + b.scale() || out.is_zero()))
}

/// Tries with the zeros as they were written, which shows in the result, and then without.
fn exactly(a: Decimal, b: Decimal, run: fn(Decimal, Decimal) -> Option<Decimal>) -> Option<Decimal> {
    run(a, b).or_else(|| run(a.normalize(), b.normalize()))
}

/// Quotient, rounded once: the integer division keeps the remainder, so that nothing is rounded twice.
pub(super) fn divide(a: Decimal, b: Decimal, scale: u32, mode: RoundingStrategy) -> Option<Decimal> {
    let (a, b) = (a.normalize(), b.normalize());
    let exact = || {
        let shift = i64::from(scale) + i64::from(b.scale()) - i64::from(a.scale());
        let power = 10_i128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
        let (mut over, mut under) = (a.mantissa(), b.mantissa());
        if shift >= 0 {
            over = over.checked_mul(power)?;
        } else {
            under = under.checked_mul(power)?;
        }
        let (quotient, rest) = (over / under, over % under);
        let half = rest.unsigned_abs().checked_mul(2)?.cmp(&under.unsigned_abs());
        let away = match mode {
            RoundingStrategy::ToZero => false,
            RoundingStrategy::AwayFromZero => rest != 0,
            RoundingStrategy::MidpointNearestEven => {
                half == Ordering::Greater || (half == Ordering::Equal && quotient % 2 != 0)
            }
            _ => half != Ordering::Less,
        };
        let sign = if (over < 0) == (under < 0) { 1 } else { -1 };
        Decimal::try_from_i128_with_scale(quotient + if away { sign } else { 0 }, scale).ok()
    };
    // Beyond 38 digits the quotient of 28 is rounded: off by less than any system's own precision.
    exact().or_else(|| a.checked_div(b).map(|quotient| quotient.round_dp_with_strategy(scale, mode)))
}

/// The rule for rounding that a call asks for.
pub(super) fn mode(args: &Arguments, index: usize) -> Result<RoundingStrategy, Failure> {
    Ok(match args.optional_text(index)? {
        None | Some("half_up") => RoundingStrategy::MidpointAwayFromZero,
        Some("half_even") => RoundingStrategy::MidpointNearestEven,
        Some("down") => RoundingStrategy::ToZero,
        Some("up") => RoundingStrategy::AwayFromZero,
        Some(_) => return Err(args.wrong(index, "expected half_up, half_even, down or up")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn division_rounds_once() {
        let check = |a: &str, b: &str, scale, mode, expect: &str| {
            let quotient = divide(a.parse().unwrap(), b.parse().unwrap(), scale, mode).unwrap();
            assert_eq!(quotient.to_string(), expect, "{a} / {b}");
        };
        use RoundingStrategy::{AwayFromZero, MidpointAwayFromZero, MidpointNearestEven, ToZero};
        check("10", "3", 2, MidpointAwayFromZero, "3.33");
        check("1", "8", 2, MidpointAwayFromZero, "0.13");
        check("-1", "8", 2, MidpointAwayFromZero, "-0.13");
        check("1", "8", 2, MidpointNearestEven, "0.12");
        check("1", "-3", 2, AwayFromZero, "-0.34");
        check("2", "3", 2, ToZero, "0.66");
        // To 28 places first this is 0.0050000000000000000000000000, and then 0.01.
        check("0.00499999999999999999999999999", "1.0000000001", 2, MidpointAwayFromZero, "0.00");
        check(
            "7922816251426433759354395033.5",
            "3",
            4,
            MidpointAwayFromZero,
            "2640938750475477919784798344.5",
        );
    }

    proptest! {
        #[test]
        fn sums_and_products_are_exact_or_refused(a in any::<i64>(), b in any::<i64>(), x in 0_u32..19, y in 0_u32..19) {
            let (left, right) = (Decimal::new(a, x), Decimal::new(b, y));
            if let Some(sum) = add(left, right) {
                prop_assert_eq!(add(sum, -right), Some(left));
            }
            if let Some(product) = mul(left, right) {
                let digits = i128::from(a) * i128::from(b);
                prop_assert_eq!(product.mantissa() * 10_i128.pow(x + y - product.scale()), digits);
            }
        }
    }
}
