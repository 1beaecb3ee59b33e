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

/// An instant, written in RFC 3339; any offset is read, UTC is written: `2026-03-01T09:30:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub Timestamp);

/// An instant, or a calendar day where the source knows no time: `2026-03-01T09:30:00Z` or `2026-03-01`.
///
/// Which instants a day covers depends on a zone, so the two do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// An instant.
    At(Timestamp),
    /// A day.
    On(Date),
}

/// A text that is neither an instant nor a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// No RFC 3339 instant.
    #[error("not an instant, expected RFC 3339 with an offset, such as 2026-03-01T09:30:00Z")]
    NotAnInstant,
    /// Neither.
    #[error(
        "not a moment, expected an RFC 3339 instant such as 2026-03-01T09:30:00Z or a day such as 2026-03-01"
    )]
    NotAMoment,
}

impl Moment {
    /// Whether it is surely later than another: false where one is a day and the other an instant.
    pub fn is_after(self, other: Self) -> bool {
        match (self, other) {
            (Self::At(this), Self::At(other)) => this > other,
            (Self::On(this), Self::On(other)) => this > other,
            _ => false,
        }
    }
}

impl From<Timestamp> for Stamp {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl FromStr for Stamp {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.parse().map(Self).map_err(|_| TimeError::NotAnInstant)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Moment {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        // The length decides: a longer text read as a day would lose its time.
        let read = if text.len() == 10 { text.parse().map(Self::On) } else { text.parse().map(Self::At) };
        read.map_err(|_| TimeError::NotAMoment)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => at.fmt(f),
            Self::On(day) => day.fmt(f),
        }
    }
}

macro_rules! time_string {
    ($type:ident, $schema:tt) => {
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
                json_schema!($schema)
            }
        }
    };
}

time_string!(Stamp, { "type": "string", "format": "date-time" });
time_string!(Moment, { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].+)?$", "x-type": "instant or day" });

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn instants_are_written_in_utc() {
        let check = |text: &str, expect: &str| assert_eq!(text.parse::<Stamp>().unwrap().to_string(), expect);
        check("2026-03-01T09:30:00Z", "2026-03-01T09:30:00Z");
        check("2026-03-01T10:30:00+01:00", "2026-03-01T09:30:00Z");
        check("2026-03-01T09:30:00.250Z", "2026-03-01T09:30:00.25Z");
    }

    #[test]
    fn what_leaves_the_instant_open_is_refused() {
        for text in ["2026-03-01", "2026-03-01T09:30:00", "yesterday", ""] {
            assert_eq!(text.parse::<Stamp>(), Err(TimeError::NotAnInstant), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_day_or_an_instant() {
        let check =
            |text: &str, expect: &str| assert_eq!(text.parse::<Moment>().unwrap().to_string(), expect);
        check("2026-03-01T10:30:00+01:00", "2026-03-01T09:30:00Z");
        check("2026-02-28", "2026-02-28");
        for text in ["2026-02-30", "2026-3-1", "2026-03-01T09:30:00", "soon"] {
            assert_eq!(text.parse::<Moment>(), Err(TimeError::NotAMoment), "{text}");
        }
    }

    #[test]
    fn a_day_and_an_instant_do_not_compare() {
        let moment = |text: &str| text.parse::<Moment>().unwrap();
        assert!(moment("2026-03-02").is_after(moment("2026-03-01")));
        assert!(!moment("2026-03-01").is_after(moment("2026-03-01")));
        assert!(!moment("2026-03-02").is_after(moment("2026-03-01T09:30:00Z")));
    }
}
