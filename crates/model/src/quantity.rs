//! Quantities and units: exact decimals, and conversions that are exact or refused.
//!
//! Never: rounds a quantity; knows physical units of its own (an item states its units).

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::money::{DECIMAL_PATTERN, decimal_text, parse_decimal};

/// A quantity that cannot be negative, as a decimal string such as `"3"` or `"0.25"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity(Decimal);

/// A quantity that may be negative: a stock level that is oversold, a movement out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Level(pub Decimal);

/// A plain decimal: a rate, a factor, a weight, written as a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Number(pub Decimal);

/// Why a quantity cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Below zero where that means nothing.
    #[error("negative quantity {0}, expected zero or more")]
    Negative(Decimal),
    /// The conversion leaves a remainder that no decimal can hold.
    #[error("{quantity} times {ratio} is not an exact decimal: deliver it in the smaller unit")]
    Inexact {
        /// What was to be converted.
        quantity: Decimal,
        /// By what.
        ratio: Ratio,
    },
    /// Beyond 28 digits.
    #[error("the quantity has more digits than can be kept exactly (28)")]
    TooLarge,
    /// Numerator or denominator is zero.
    #[error("a conversion of units needs a numerator and a denominator above zero")]
    ZeroRatio,
}

impl Quantity {
    /// None.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Checks that it is not negative.
    ///
    /// # Errors
    /// [`QuantityError::Negative`].
    pub fn new(value: Decimal) -> Result<Self, QuantityError> {
        if value.is_sign_negative() && !value.is_zero() {
            return Err(QuantityError::Negative(value));
        }
        Ok(Self(value))
    }

    /// The number.
    pub fn value(self) -> Decimal {
        self.0
    }

    /// The same goods counted in another unit.
    ///
    /// # Errors
    /// [`QuantityError::Inexact`] when the result is no finite decimal (10 pieces in cartons of 12).
    pub fn convert(self, ratio: Ratio) -> Result<Self, QuantityError> {
        ratio.apply(self.0).map(Self)
    }
}

/// How many of one unit another is, as a reduced fraction: a carton of 12 is 12/1 pieces.
///
/// Read from a decimal string (`"12"`, `"0.5"`) or from `{"num": 1, "den": 3}`; written as the string where that is
/// exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ratio {
    numerator: u64,
    denominator: u64,
}

impl Ratio {
    /// A fraction, reduced.
    ///
    /// # Errors
    /// [`QuantityError::ZeroRatio`] when either is zero.
    pub fn new(numerator: u64, denominator: u64) -> Result<Self, QuantityError> {
        if numerator == 0 || denominator == 0 {
            return Err(QuantityError::ZeroRatio);
        }
        let common = gcd(numerator, denominator);
        Ok(Self { numerator: numerator / common, denominator: denominator / common })
    }

    /// The fraction that a decimal stands for.
    ///
    /// # Errors
    /// [`QuantityError::ZeroRatio`] when it is not above zero, [`QuantityError::TooLarge`] beyond 19 digits.
    pub fn from_decimal(value: Decimal) -> Result<Self, QuantityError> {
        let value = value.normalize();
        if value <= Decimal::ZERO {
            return Err(QuantityError::ZeroRatio);
        }
        let numerator = u64::try_from(value.mantissa()).map_err(|_| QuantityError::TooLarge)?;
        let denominator = 10_u64.checked_pow(value.scale()).ok_or(QuantityError::TooLarge)?;
        Self::new(numerator, denominator)
    }

    /// The way back.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self { numerator: self.denominator, denominator: self.numerator }
    }

    /// Number above the line, reduced.
    pub fn numerator(self) -> u64 {
        self.numerator
    }

    /// Number below the line, reduced.
    pub fn denominator(self) -> u64 {
        self.denominator
    }

    /// `value` times the fraction, exactly.
    ///
    /// # Errors
    /// [`QuantityError::Inexact`] when the result is no finite decimal, [`QuantityError::TooLarge`] beyond 28 digits.
    pub fn apply(self, value: Decimal) -> Result<Decimal, QuantityError> {
        let value = value.normalize();
        let inexact = || QuantityError::Inexact { quantity: value, ratio: self };
        let top = value.mantissa().checked_mul(i128::from(self.numerator)).ok_or(QuantityError::TooLarge)?;
        if top == 0 {
            return Ok(Decimal::ZERO);
        }
        let shared = gcd(
            self.denominator,
            u64::try_from(top.unsigned_abs() % u128::from(self.denominator)).unwrap_or(0),
        );
        let (mut top, mut bottom) = (top / i128::from(shared), self.denominator / shared);
        let mut places = value.scale();
        // A denominator of twos and fives alone is a finite decimal: each step adds one place.
        while bottom > 1 {
            let divisor = if bottom % 10 == 0 {
                10
            } else if bottom % 2 == 0 {
                2
            } else if bottom % 5 == 0 {
                5
            } else {
                return Err(inexact());
            };
            bottom /= divisor;
            places += 1;
            top = top.checked_mul(i128::from(10 / divisor)).ok_or(QuantityError::TooLarge)?;
        }
        let exact = Decimal::try_from_i128_with_scale(top, places).map_err(|_| QuantityError::TooLarge)?;
        Ok(exact.normalize())
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(exact) = self.apply(Decimal::ONE) {
            return serializer.collect_str(&exact);
        }
        let mut object = serializer.serialize_struct("Ratio", 2)?;
        object.serialize_field("num", &self.numerator)?;
        object.serialize_field("den", &self.denominator)?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Ratio;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal string such as \"12\", or {\"num\": 1, \"den\": 3}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ratio, E> {
                Ratio::from_decimal(parse_decimal(text).map_err(E::custom)?).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ratio, A::Error> {
                let (mut num, mut den) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "num" => num = Some(map.next_value()?),
                        "den" => den = Some(map.next_value()?),
                        _ => return Err(de::Error::unknown_field(&key, &["num", "den"])),
                    }
                }
                let num = num.ok_or_else(|| de::Error::missing_field("num"))?;
                let den = den.ok_or_else(|| de::Error::missing_field("den"))?;
                Ratio::new(num, den).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Ratio {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Ratio".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$" },
                {
                    "type": "object",
                    "properties": {
                        "num": { "type": "integer", "minimum": 1 },
                        "den": { "type": "integer", "minimum": 1 },
                    },
                    "required": ["num", "den"],
                    "additionalProperties": false,
                },
            ],
            "x-type": "exact ratio",
        })
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

macro_rules! decimal_string {
    ($type:ident, $make:expr, $pattern:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.normalize().fmt(f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let make: fn(Decimal) -> Result<Self, QuantityError> = $make;
                make(decimal_text(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "x-type": "decimal" })
            }
        }
    };
}

decimal_string!(Quantity, Quantity::new, r"^[0-9]+(\.[0-9]+)?$");
decimal_string!(Level, |value| Ok(Level(value)), DECIMAL_PATTERN);
decimal_string!(Number, |value| Ok(Number(value)), DECIMAL_PATTERN);
