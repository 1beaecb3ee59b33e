//! Money: an exact decimal amount in one currency, and what may be done with it without losing a minor unit.
//!
//! Never: floating point, exchange between currencies, recomputing what a system stated.

use std::borrow::Cow;
use std::fmt;
use std::ops::Neg;

use rust_decimal::{Decimal, RoundingStrategy};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::currency::{Currency, UnknownCurrency};

/// An amount in one currency, written `{"amount": "66.20", "currency": "EUR"}`.
///
/// The amount may be finer than the currency's minor unit (unit prices are); it is written with at least the
/// currency's decimal places and no further trailing zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// How much, exactly.
    #[serde(deserialize_with = "decimal_text")]
    pub amount: Decimal,
    /// Of what.
    pub currency: Currency,
}

/// Why a calculation with money cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two currencies met.
    #[error("cannot combine {0} with {1}: convert one of them at a stated rate first")]
    CurrenciesDiffer(Currency, Currency),
    /// Beyond 28 digits.
    #[error("the amount has more digits than can be kept exactly (28)")]
    TooLarge,
    /// Finer than the currency's minor unit.
    #[error("{0} is finer than the minor unit of its currency: round it first")]
    NotWholeMinorUnits(Money),
    /// Shares cannot be made from these weights.
    #[error(
        "cannot allocate by these weights: they must not be negative and one at least must be above zero"
    )]
    Weights,
}

impl Money {
    /// An amount of a currency.
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing, in a currency.
    pub fn zero(currency: Currency) -> Self {
        Self::new(Decimal::ZERO, currency)
    }

    /// From a whole number of minor units: 6620 EUR cents are 66.20 EUR, 500 JPY are 500 JPY.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] beyond 28 digits.
    pub fn from_minor(minor: i128, currency: Currency) -> Result<Self, MoneyError> {
        let amount = Decimal::try_from_i128_with_scale(minor, currency.exponent());
        amount.map(|amount| Self::new(amount, currency)).map_err(|_| MoneyError::TooLarge)
    }

    /// As a whole number of minor units.
    ///
    /// # Errors
    /// [`MoneyError::NotWholeMinorUnits`] when it is finer than that; nothing is rounded silently.
    pub fn to_minor(self) -> Result<i128, MoneyError> {
        let places = self.currency.exponent();
        if self.amount.normalize().scale() > places {
            return Err(MoneyError::NotWholeMinorUnits(self));
        }
        mantissa_at(self.amount, places)
    }

    /// Sum of two amounts of the same currency.
    ///
    /// # Errors
    /// When the currencies differ or the sum has too many digits.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::TooLarge)?;
        Ok(Self::new(amount, self.currency))
    }

    /// Difference of two amounts of the same currency.
    ///
    /// # Errors
    /// When the currencies differ or the difference has too many digits.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.checked_add(-other)
    }

    /// The amount times a number, unrounded.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] when the product cannot be kept exactly.
    pub fn checked_mul(self, factor: Decimal) -> Result<Self, MoneyError> {
        let places = self.amount.normalize().scale() + factor.normalize().scale();
        let amount = self.amount.normalize().checked_mul(factor.normalize()).ok_or(MoneyError::TooLarge)?;
        // `Decimal` rounds what it cannot hold; a lost place shows in the scale.
        if places > 28 || (amount.scale() < places && !amount.is_zero()) {
            return Err(MoneyError::TooLarge);
        }
        Ok(Self::new(amount, self.currency))
    }

    /// Rounded to whole minor units, halves away from zero as invoices do.
    #[must_use]
    pub fn rounded(self) -> Self {
        self.rounded_with(RoundingStrategy::MidpointAwayFromZero)
    }

    /// Rounded to whole minor units by a given rule.
    #[must_use]
    pub fn rounded_with(self, strategy: RoundingStrategy) -> Self {
        Self::new(self.amount.round_dp_with_strategy(self.currency.exponent(), strategy), self.currency)
    }

    /// Splits the amount by weights so that the parts add up to it exactly (largest remainder; of equal remainders the
    /// later one gets the odd unit, so 10.00 by three is 3.33, 3.33, 3.34). A negative amount gives the mirror image.
    ///
    /// # Errors
    /// [`MoneyError::Weights`] when a weight is negative or all are zero; [`MoneyError::TooLarge`] when amount times
    /// weights exceeds 38 digits.
    pub fn allocate(self, weights: &[Decimal]) -> Result<Vec<Self>, MoneyError> {
        let places = self.amount.normalize().scale().max(self.currency.exponent());
        let units = mantissa_at(self.amount, places)?;
        let weight_places = weights.iter().map(|w| w.normalize().scale()).max().unwrap_or(0);
        let weights: Vec<i128> =
            weights.iter().map(|w| mantissa_at(*w, weight_places)).collect::<Result<_, _>>()?;
        let sum =
            weights.iter().try_fold(0_i128, |sum, w| sum.checked_add(*w)).ok_or(MoneyError::TooLarge)?;
        if sum <= 0 || weights.iter().any(|w| *w < 0) {
            return Err(MoneyError::Weights);
        }
        let mut shares = Vec::with_capacity(weights.len());
        for (index, weight) in weights.iter().enumerate() {
            let product = units.abs().checked_mul(*weight).ok_or(MoneyError::TooLarge)?;
            shares.push((index, product / sum, product % sum));
        }
        let left = units.abs() - shares.iter().map(|(_, share, _)| share).sum::<i128>();
        shares.sort_by_key(|(index, _, remainder)| std::cmp::Reverse((*remainder, *index)));
        for (_, share, _) in shares.iter_mut().take(usize::try_from(left).unwrap_or(0)) {
            *share += 1;
        }
        shares.sort_by_key(|(index, _, _)| *index);
        let amounts = shares.into_iter().map(|(_, share, _)| {
            let amount = Decimal::try_from_i128_with_scale(share * units.signum(), places);
            amount.map(|amount| Self::new(amount, self.currency)).map_err(|_| MoneyError::TooLarge)
        });
        amounts.collect()
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrenciesDiffer(self.currency, other.currency))
        }
    }
}

impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self::new(-self.amount, self.currency)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", amount_text(*self), self.currency)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Money", 2)?;
        object.serialize_field("amount", &amount_text(*self))?;
        object.serialize_field("currency", &self.currency)?;
        object.end()
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut currency = generator.subschema_for::<Currency>();
        currency.insert("description".into(), "Of what: an ISO 4217 code such as EUR.".into());
        json_schema!({
            "description": "An amount in one currency.",
            "type": "object",
            "properties": {
                "amount": {
                    "description": "How much, exactly, such as \"66.20\".",
                    "type": "string", "pattern": DECIMAL_PATTERN, "x-type": "decimal"
                },
                "currency": currency,
            },
            "required": ["amount", "currency"],
            "additionalProperties": false,
        })
    }
}

/// An amount of an order: as the shop books it and as the shopper saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// In the shop's currency: what is booked.
    pub shop: Money,
    /// In the currency shown to the shopper; absent when it is the shop's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presentment: Option<Money>,
}

impl Amount {
    /// An amount of which the shopper saw no other.
    pub fn single(shop: Money) -> Self {
        Self { shop, presentment: None }
    }

    /// What the shopper saw.
    pub fn presented(&self) -> Money {
        self.presentment.unwrap_or(self.shop)
    }
}

/// How decimals are written: an optional minus, digits, and a point with digits. No exponent, no separator of groups.
pub const DECIMAL_PATTERN: &str = r"^-?[0-9]+(\.[0-9]+)?$";

/// A text that is no decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not written as a decimal.
    #[error("not a decimal, expected digits with at most one point, such as \"12.50\"")]
    Malformed,
    /// More digits than are kept exactly.
    #[error("too many digits, expected a decimal of at most 28 digits")]
    TooLong,
}

/// Reads a decimal without rounding anything away.
///
/// # Errors
/// [`DecimalError`] when the text breaks [`DECIMAL_PATTERN`] or cannot be held exactly.
pub fn parse_decimal(text: &str) -> Result<Decimal, DecimalError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !numeric(whole) || !fraction.is_none_or(numeric) {
        return Err(DecimalError::Malformed);
    }
    Decimal::from_str_exact(text).map_err(|_| DecimalError::TooLong)
}

/// Reads a decimal string for serde.
///
/// # Errors
/// What [`parse_decimal`] says, and a type error for anything but a string: a JSON number has lost digits already.
pub fn decimal_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    struct Text;
    impl serde::de::Visitor<'_> for Text {
        type Value = Decimal;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a decimal written as a string, such as \"12.50\"")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
            parse_decimal(text).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text)
}

/// The amount with at least its currency's places and no further trailing zero.
fn amount_text(money: Money) -> String {
    let mut amount = money.amount.normalize();
    if amount.scale() < money.currency.exponent() {
        amount.rescale(money.currency.exponent());
    }
    amount.to_string()
}

/// The integer that stands for a decimal at a given number of places, which must not be fewer than it has.
fn mantissa_at(value: Decimal, places: u32) -> Result<i128, MoneyError> {
    let value = value.normalize();
    let raise = places.checked_sub(value.scale()).ok_or(MoneyError::TooLarge)?;
    let factor = 10_i128.checked_pow(raise).ok_or(MoneyError::TooLarge)?;
    value.mantissa().checked_mul(factor).ok_or(MoneyError::TooLarge)
}
