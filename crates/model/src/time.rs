//! Points in time and days as payloads carry them.
//!
//! Never: asks for the present time; guesses a zone.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in UTC, with the time zone of the system it came from where that is known.
///
/// Written `2026-03-01T09:30:00Z` or `2026-03-01T09:30:00Z[Europe/Berlin]`; any RFC 3339 offset is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The instant.
    pub at: Timestamp,
    /// IANA name of the source's zone.
    pub zone: Option<String>,
}

/// A calendar day without a time, written `2026-03-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub Date);

/// A text that is neither an instant nor a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// No RFC 3339 instant.
    #[error("not an instant, expected RFC 3339 with an offset, such as 2026-03-01T09:30:00Z")]
    NotAnInstant,
    /// No such zone name.
    #[error("not a time zone, expected an IANA name in brackets, such as [Europe/Berlin]")]
    NotAZone,
    /// No calendar day.
    #[error("not a day, expected year-month-day, such as 2026-03-01")]
    NotADay,
}

impl From<Timestamp> for Stamp {
    fn from(at: Timestamp) -> Self {
        Self { at, zone: None }
    }
}

impl FromStr for Stamp {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (instant, zone) = match text.strip_suffix(']') {
            Some(rest) => rest.split_once('[').map(|(i, z)| (i, Some(z))).ok_or(TimeError::NotAZone)?,
            None => (text, None),
        };
        // A zone name is kept as text: the table of zones here may be older than the source's.
        if zone.is_some_and(|z| z.is_empty() || !z.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b))) {
            return Err(TimeError::NotAZone);
        }
        let at = instant.parse().map_err(|_| TimeError::NotAnInstant)?;
        Ok(Self { at, zone: zone.map(str::to_owned) })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.fmt(f)?;
        self.zone.as_ref().map_or(Ok(()), |zone| write!(f, "[{zone}]"))
    }
}

impl FromStr for Day {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        // Longer texts are instants: which day they fall on depends on a zone, so none is chosen here.
        if text.len() != 10 {
            return Err(TimeError::NotADay);
        }
        text.parse().map(Self).map_err(|_| TimeError::NotADay)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! time_string {
    ($type:ident, $format:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <Cow<'_, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
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
                json_schema!({ "type": "string", "format": $format })
            }
        }
    };
}

time_string!(Stamp, "date-time");
time_string!(Day, "date");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stamps_are_normalised_to_utc_and_keep_their_zone() {
        let check = |text: &str, expect: &str| assert_eq!(text.parse::<Stamp>().unwrap().to_string(), expect);
        check("2026-03-01T09:30:00Z", "2026-03-01T09:30:00Z");
        check("2026-03-01T10:30:00+01:00", "2026-03-01T09:30:00Z");
        check("2026-03-01T10:30:00+01:00[Europe/Berlin]", "2026-03-01T09:30:00Z[Europe/Berlin]");
        check("2026-03-01T09:30:00.250Z", "2026-03-01T09:30:00.25Z");
    }

    #[test]
    fn what_leaves_the_instant_open_is_refused() {
        let check = |text: &str, expect: TimeError| assert_eq!(text.parse::<Stamp>(), Err(expect), "{text}");
        check("2026-03-01", TimeError::NotAnInstant);
        check("2026-03-01T09:30:00", TimeError::NotAnInstant);
        check("yesterday", TimeError::NotAnInstant);
        check("2026-03-01T09:30:00Z[]", TimeError::NotAZone);
        check("2026-03-01T09:30:00Z[Europe Berlin]", TimeError::NotAZone);
        assert_eq!("2026-03-01T09:30:00Z".parse::<Day>(), Err(TimeError::NotADay));
        assert_eq!("2026-02-30".parse::<Day>(), Err(TimeError::NotADay));
        assert_eq!("2026-02-28".parse::<Day>().unwrap().to_string(), "2026-02-28");
    }
}
