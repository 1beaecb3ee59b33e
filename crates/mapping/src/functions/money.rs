//! Money: amounts with their currency, and decimal strings that stand for amounts.
//!
//! An operand is a money object (`{"amount", "currency"}`) or a decimal; the result has the same form. Two currencies
//! never meet. Never: exchange; recomputing what a system stated.

use counterpart_model::currency::Currency;
use counterpart_model::money::{Money, MoneyError};
use rust_decimal::{Decimal, RoundingStrategy};
use vrl::compiler::TypeDef;
use vrl::compiler::function::Parameter;
use vrl::compiler::value::Kind;
use vrl::compiler::value::kind::{ARRAY, BYTES, Collection, INTEGER, OBJECT};
use vrl::prelude::Bytes;
use vrl::value::Value;

use super::decimals::{NUMBER, add, divide, give, mul, too_large};
use super::{Arguments, Failure, Native, decimal, text};

const OPERAND: u16 = OBJECT | NUMBER;
const VALUE: Parameter = Parameter::required("value", OPERAND, "Money, or a decimal string.");
const A: Parameter = Parameter::required("a", OPERAND, "Money, or a decimal string.");
const B: Parameter = Parameter::required("b", OPERAND, "The same form as `a`.");
const AMOUNT: Parameter = Parameter::required("amount", NUMBER, "Decimal string or integer, in major units.");
const CURRENCY: Parameter = Parameter::required("currency", BYTES, "ISO 4217 code.");
const IF_PLAIN: Parameter =
    Parameter::optional("currency", BYTES, "ISO 4217 code, needed when the value has none.");

pub(super) const FUNCTIONS: &[Native] = &[
    Native {
        name: "money",
        usage: "Money as canonical payloads hold it, with at least the currency's decimal places.",
        example: (r#"money!("12.5", "EUR")"#, r#"{"amount":"12.50","currency":"EUR"}"#),
        parameters: &[AMOUNT, CURRENCY],
        returns: money_type,
        call: |args, _| Ok(object(Money::new(args.decimal(0)?, currency(args, 1)?))),
    },
    Native {
        name: "amount",
        usage: "An order's amount: in the shop's currency and, when given, in the one shown to the buyer.",
        example: (r#"amount!("12.5", "EUR")"#, r#"{"shop":{"amount":"12.50","currency":"EUR"}}"#),
        parameters: &[
            AMOUNT,
            CURRENCY,
            Parameter::optional("presentment_amount", NUMBER, "What the buyer saw."),
            Parameter::optional("presentment_currency", BYTES, "ISO 4217 code of what the buyer saw."),
        ],
        returns: || {
            let fields = Collection::empty().with_known("shop", money_kind());
            TypeDef::object(fields.with_known("presentment", money_kind().or_undefined()))
        },
        call: |args, _| {
            let shop = Money::new(args.decimal(0)?, currency(args, 1)?);
            let mut fields = vrl::value::ObjectMap::from([("shop".into(), object(shop))]);
            if args.get(2).is_some() || args.get(3).is_some() {
                let presentment = Money::new(args.decimal(2)?, currency(args, 3)?);
                fields.insert("presentment".into(), object(presentment));
            }
            Ok(Value::Object(fields))
        },
    },
    Native {
        name: "money_from_minor",
        usage: "The decimal string of a whole number of minor units: cents, or yen.",
        example: (r#"money_from_minor!(6620, "EUR")"#, r#""66.20""#),
        parameters: &[Parameter::required("minor", NUMBER, "Whole number of minor units."), CURRENCY],
        returns: TypeDef::bytes,
        call: |args, _| {
            let minor = Money::from_minor(args.integer(0)?.into(), currency(args, 1)?).map_err(failure)?;
            Ok(amount_text(minor))
        },
    },
    Native {
        name: "money_to_minor",
        usage: "The whole number of minor units of an amount; refused when it is finer than that.",
        example: (r#"money_to_minor!("66.20", "EUR")"#, "6620"),
        parameters: &[VALUE, IF_PLAIN],
        returns: TypeDef::integer,
        call: |args, _| {
            let money = operand(args, 0)?.money(args, 1)?;
            let minor = i64::try_from(money.to_minor().map_err(failure)?).map_err(|_| too_large())?;
            Ok(Value::Integer(minor))
        },
    },
    Native {
        name: "money_add",
        usage: "Adds two amounts of the same currency exactly.",
        example: (
            r#"money_add!(money!("1.10", "EUR"), money!("2", "EUR"))"#,
            r#"{"amount":"3.10","currency":"EUR"}"#,
        ),
        parameters: &[A, B],
        returns: operand_type,
        call: |args, _| combine(args, add),
    },
    Native {
        name: "money_sub",
        usage: "Subtracts `b` from `a`, of the same currency, exactly.",
        example: (r#"money_sub!("3.00", "1.25")"#, r#""1.75""#),
        parameters: &[A, B],
        returns: operand_type,
        call: |args, _| combine(args, |a, b| add(a, -b)),
    },
    Native {
        name: "money_mul",
        usage: "The amount times a number, unrounded.",
        example: (r#"money_mul!(money!("1.25", "EUR"), 3)"#, r#"{"amount":"3.75","currency":"EUR"}"#),
        parameters: &[VALUE, Parameter::required("factor", NUMBER, "Decimal string or integer.")],
        returns: operand_type,
        call: |args, _| {
            let value = operand(args, 0)?;
            Ok(value.with(mul(value.amount, args.decimal(1)?).ok_or_else(too_large)?))
        },
    },
    Native {
        name: "money_div",
        usage: "The amount divided by a number, rounded once to `scale` places, without it to the currency's.",
        example: (r#"money_div!(money!("10", "EUR"), 3)"#, r#"{"amount":"3.33","currency":"EUR"}"#),
        parameters: &[
            VALUE,
            Parameter::required("divisor", NUMBER, "Decimal string or integer, not zero."),
            Parameter::optional("scale", INTEGER, "Decimal places, needed when the value has no currency."),
        ],
        returns: operand_type,
        call: |args, _| {
            let (value, divisor) = (operand(args, 0)?, args.decimal(1)?);
            if divisor.is_zero() {
                return Err(args.wrong(1, "division by zero"));
            }
            let scale = match (args.get(2), value.currency) {
                (None, Some(currency)) => currency.exponent(),
                _ => args.scale(2)?,
            };
            let quotient = divide(value.amount, divisor, scale, RoundingStrategy::MidpointAwayFromZero);
            Ok(value.with(quotient.ok_or_else(too_large)?))
        },
    },
    Native {
        name: "money_round",
        usage: "Rounds to whole minor units, halves away from zero.",
        example: (r#"money_round!("2.345", "EUR")"#, r#""2.35""#),
        parameters: &[VALUE, IF_PLAIN],
        returns: operand_type,
        call: |args, _| {
            let value = operand(args, 0)?;
            let rounded = value.money(args, 1)?.rounded();
            Ok(if value.currency.is_some() { object(rounded) } else { amount_text(rounded) })
        },
    },
    Native {
        name: "money_sum",
        usage: "Adds up an array of amounts exactly; an empty one needs `currency`, and is zero in it.",
        example: (
            r#"money_sum!([money!("1.10", "EUR"), money!("2", "EUR")])"#,
            r#"{"amount":"3.10","currency":"EUR"}"#,
        ),
        parameters: &[
            Parameter::required("values", ARRAY, "Money, or decimal strings."),
            Parameter::optional("currency", BYTES, "ISO 4217 code of the sum."),
        ],
        returns: operand_type,
        call: sum,
    },
    Native {
        name: "money_allocate",
        usage: "Splits an amount by weights so that the parts add up to it exactly.",
        example: (r#"money_allocate!("10.00", [1, 1, 1], "EUR")"#, r#"["3.33","3.33","3.34"]"#),
        parameters: &[
            VALUE,
            Parameter::required("weights", ARRAY, "Decimal strings or integers, none negative."),
            IF_PLAIN,
        ],
        returns: || TypeDef::array(Collection::from_unknown(operand_type().kind().clone())),
        call: |args, _| {
            let value = operand(args, 0)?;
            let weights: Result<Vec<_>, _> = args
                .array(1)?
                .iter()
                .enumerate()
                .map(|(at, w)| {
                    decimal(w).ok_or_else(|| args.wrong(1, format_args!("entry {at} is no decimal number")))
                })
                .collect();
            let parts = value.money(args, 2)?.allocate(&weights?).map_err(failure)?;
            let plain = value.currency.is_none();
            Ok(Value::Array(
                parts.into_iter().map(|p| if plain { amount_text(p) } else { object(p) }).collect(),
            ))
        },
    },
];

fn money_kind() -> Kind {
    Kind::object(
        Collection::empty().with_known("amount", Kind::bytes()).with_known("currency", Kind::bytes()),
    )
}

fn money_type() -> TypeDef {
    TypeDef::from(money_kind())
}

fn operand_type() -> TypeDef {
    TypeDef::from(money_kind().or_bytes())
}

/// An amount, with its currency when it came with one.
#[derive(Clone, Copy)]
struct Operand {
    amount: Decimal,
    currency: Option<Currency>,
}

impl Operand {
    fn of(value: &Value) -> Option<Self> {
        let Value::Object(fields) = value else {
            return Some(Self { amount: decimal(value)?, currency: None });
        };
        let currency = text(fields.get("currency")?)?.parse().ok()?;
        Some(Self { amount: decimal(fields.get("amount")?)?, currency: Some(currency) })
    }

    /// The same form with another amount.
    fn with(self, amount: Decimal) -> Value {
        self.currency.map_or_else(|| give(amount), |currency| object(Money::new(amount, currency)))
    }

    /// As money; what has no currency takes it from a parameter, and what has one must agree with it.
    fn money(self, args: &Arguments, index: usize) -> Result<Money, Failure> {
        let currency = match self.currency {
            Some(own) if args.get(index).is_some() && currency(args, index)? != own => {
                return Err(failure(MoneyError::CurrenciesDiffer(own, currency(args, index)?)));
            }
            Some(own) => own,
            None => currency(args, index)?,
        };
        Ok(Money::new(self.amount, currency))
    }
}

fn operand(args: &Arguments, index: usize) -> Result<Operand, Failure> {
    let expected = || {
        args.fault(index, "money such as {\"amount\": \"12.50\", \"currency\": \"EUR\"}, or a decimal number")
    };
    args.get(index).and_then(Operand::of).ok_or_else(expected)
}

fn currency(args: &Arguments, index: usize) -> Result<Currency, Failure> {
    let found = args.get(index).and_then(text).and_then(|code| code.parse().ok());
    found.ok_or_else(|| args.fault(index, "an ISO 4217 code such as EUR"))
}

fn combine(args: &Arguments, run: fn(Decimal, Decimal) -> Option<Decimal>) -> Result<Value, Failure> {
    let (a, b) = (operand(args, 0)?, operand(args, 1)?);
    agree(a, b)?;
    Ok(a.with(run(a.amount, b.amount).ok_or_else(too_large)?))
}

fn agree(a: Operand, b: Operand) -> Result<(), Failure> {
    match (a.currency, b.currency) {
        (Some(x), Some(y)) if x != y => Err(failure(MoneyError::CurrenciesDiffer(x, y))),
        (Some(_), None) | (None, Some(_)) => {
            Err(Failure::together("one operand has a currency and the other has none: use money() on it"))
        }
        _ => Ok(()),
    }
}

fn sum(args: &Arguments, _: &vrl::compiler::Context) -> Result<Value, Failure> {
    let stated = args.get(1).map(|_| currency(args, 1)).transpose()?;
    let mut total: Option<Operand> =
        stated.map(|currency| Operand { amount: Decimal::ZERO, currency: Some(currency) });
    for (index, value) in args.array(0)?.iter().enumerate() {
        let mut entry = Operand::of(value).ok_or_else(|| {
            args.wrong(0, format_args!("entry {index} is neither money nor a decimal number"))
        })?;
        entry.currency = entry.currency.or(stated);
        total = Some(match total {
            None => entry,
            Some(sum) => {
                agree(sum, entry)?;
                Operand { amount: add(sum.amount, entry.amount).ok_or_else(too_large)?, ..sum }
            }
        });
    }
    let total = total.ok_or_else(|| args.wrong(1, "an empty list has no currency: state it"))?;
    Ok(total.with(total.amount))
}

/// Money as an object.
fn object(money: Money) -> Value {
    // A static text costs no allocation, and orders hold hundreds of amounts.
    let currency = Value::Bytes(Bytes::from_static(money.currency.code().as_bytes()));
    Value::Object([("amount".into(), amount_text(money)), ("currency".into(), currency)].into())
}

/// The amount as the model writes it: with at least the currency's places.
fn amount_text(mut money: Money) -> Value {
    if money.amount.is_zero() {
        money.amount.set_sign_positive(true);
    }
    let mut text = money.to_string();
    text.truncate(text.find(' ').unwrap_or(text.len()));
    Value::from(text)
}

fn failure(error: MoneyError) -> Failure {
    match error {
        // The model's message holds the amount, which is a datum here.
        MoneyError::NotWholeMinorUnits(money) => Failure::together(format_args!(
            "the amount is finer than the minor unit of {}: round it first",
            money.currency
        )),
        other => Failure::together(other),
    }
}
