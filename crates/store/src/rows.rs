//! Between model types and columns.
//!
//! Never: a query.

use counterpart_model::change::Channel;
use counterpart_model::delivery::{
    Action, DeliveryState, FailureClass, Freshness, ReviewReason, ReviewSubject,
};
use counterpart_model::ids::{ConnectionName, FlowName, RecordId};
use counterpart_model::kind::Kind;
use counterpart_model::record::Role;
use jiff::Timestamp;
use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::StoreError;

/// Instants are kept to the microsecond: what is finer is cut off.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| StoreError::corrupt("a time out of range"))
}

pub(crate) fn blob(id: RecordId) -> [u8; 16] {
    *id.0.as_bytes()
}

/// Typed access to a row's columns by name.
pub(crate) trait Columns {
    fn at<T: FromSql>(&self, column: &str) -> Result<T, StoreError>;

    fn record(&self, column: &str) -> Result<RecordId, StoreError> {
        self.at::<[u8; 16]>(column).map(|bytes| RecordId(Uuid::from_bytes(bytes)))
    }

    fn record_opt(&self, column: &str) -> Result<Option<RecordId>, StoreError> {
        Ok(self.at::<Option<[u8; 16]>>(column)?.map(|bytes| RecordId(Uuid::from_bytes(bytes))))
    }

    fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        timestamp(self.at(column)?)
    }

    fn time_opt(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        self.at::<Option<i64>>(column)?.map(timestamp).transpose()
    }

    fn connection(&self, column: &str) -> Result<ConnectionName, StoreError> {
        ConnectionName::new(self.at::<String>(column)?).map_err(|_| broken(column))
    }

    fn flow(&self, column: &str) -> Result<FlowName, StoreError> {
        FlowName::new(self.at::<String>(column)?).map_err(|_| broken(column))
    }

    fn kind(&self, column: &str) -> Result<Kind, StoreError> {
        self.at::<String>(column)?.parse().map_err(|_| broken(column))
    }

    fn number(&self, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.at::<i64>(column)?).map_err(|_| broken(column))
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.at::<String>(column)?).map_err(|_| broken(column))
    }

    fn json_opt<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let text = self.at::<Option<String>>(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| broken(column))).transpose()
    }

    /// A value out of a list, by its name.
    fn named<T: Named>(&self, column: &str) -> Result<T, StoreError> {
        named(&self.at::<String>(column)?).ok_or_else(|| broken(column))
    }
}

impl Columns for Row<'_> {
    fn at<T: FromSql>(&self, column: &str) -> Result<T, StoreError> {
        self.get(column).map_err(|error| match error {
            rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
                broken(column)
            }
            other => other.into(),
        })
    }
}

fn broken(column: &str) -> StoreError {
    StoreError::corrupt(format!("column {column} holds what it cannot hold"))
}

/// All rows of a query, made into values.
pub(crate) fn collect<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut make: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(make(row)?);
    }
    Ok(values)
}

/// The first row of a query, made into a value.
pub(crate) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    make: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(make).transpose()
}

/// Runs a statement; the number of rows it touched.
pub(crate) fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

pub(crate) fn json_text<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::corrupt("a value cannot be written as JSON"))
}

/// SQLite's integers are signed; versions and counts never come near the limit.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A LIMIT: 0 stands for `default`.
pub(crate) fn limit(limit: usize, default: i64) -> i64 {
    if limit == 0 { default } else { i64::try_from(limit).unwrap_or(i64::MAX) }
}

/// The conditions of a list: only what was asked for becomes SQL, so that each list finds its index.
#[derive(Default)]
pub(crate) struct Conditions<'a> {
    sql: Vec<&'static str>,
    values: Vec<&'a dyn ToSql>,
}

impl<'a> Conditions<'a> {
    /// Adds a condition with one `?` and its value.
    pub(crate) fn add(&mut self, sql: &'static str, value: &'a dyn ToSql) {
        self.sql.push(sql);
        self.values.push(value);
    }

    /// As `add`, when there is a value.
    pub(crate) fn add_some<T: ToSql>(&mut self, sql: &'static str, value: &'a Option<T>) {
        if value.is_some() {
            self.add(sql, value);
        }
    }

    pub(crate) fn sql(&self) -> String {
        if self.sql.is_empty() { "TRUE".to_owned() } else { self.sql.join(" AND ") }
    }

    /// The values in order, and one more.
    pub(crate) fn and(mut self, last: &'a dyn ToSql) -> Vec<&'a dyn ToSql> {
        self.values.push(last);
        self.values
    }
}

/// An enumeration stored under its name.
pub(crate) trait Named: Copy + 'static {
    const ALL: &'static [Self];
    fn name(self) -> &'static str;
}

pub(crate) fn named<T: Named>(text: &str) -> Option<T> {
    T::ALL.iter().copied().find(|value| value.name() == text)
}

macro_rules! named {
    ($type:ident, |$value:ident| $name:expr, $($variant:ident),*) => {
        impl Named for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),*];
            fn name(self) -> &'static str {
                let $value = self;
                $name
            }
        }
    };
}

named!(Action, |action| action.as_str(), Upsert, Amend, Cancel, Refuse, Delete);
named!(
    DeliveryState,
    |state| state.as_str(),
    Ready,
    Blocked,
    Unknown,
    InReview,
    Delivered,
    Superseded,
    Shadowed,
    Filtered,
    Discarded
);
named!(FailureClass, |class| class.as_str(), Transient, Throttled, Unauthorised, Rejected, Unknown);
named!(
    ReviewReason,
    |reason| reason.as_str(),
    Rejected,
    RetriesExhausted,
    UnknownOutcome,
    MappingFailed,
    Invalid,
    TotalsDiffer,
    MissingCounterpart,
    MissingReference,
    Ambiguous,
    Conflict,
    Refused,
    Cycle,
    Unreadable
);
named!(
    Role,
    |role| match role {
        Role::Primary => "primary",
        Role::Part => "part",
        Role::Shared => "shared",
        Role::Alias => "alias",
    },
    Primary,
    Part,
    Shared,
    Alias
);
named!(
    Channel,
    |channel| match channel {
        Channel::Webhook => "webhook",
        Channel::Poll => "poll",
        Channel::Watch => "watch",
        Channel::ReadBack => "read_back",
        Channel::Api => "api",
    },
    Webhook,
    Poll,
    Watch,
    ReadBack,
    Api
);

/// Freshness classes by urgency: the place in the list is what is stored.
pub(crate) const FRESHNESS: [Freshness; 4] =
    [Freshness::Transactional, Freshness::Aggregate, Freshness::Batch, Freshness::OnSchedule];

pub(crate) fn urgency(freshness: Freshness) -> i64 {
    match freshness {
        Freshness::Transactional => 0,
        Freshness::Aggregate => 1,
        Freshness::Batch => 2,
        Freshness::OnSchedule => 3,
    }
}

pub(crate) fn freshness(urgency: i64) -> Result<Freshness, StoreError> {
    usize::try_from(urgency)
        .ok()
        .and_then(|place| FRESHNESS.get(place).copied())
        .ok_or_else(|| broken("freshness"))
}

/// A review's subject as text: `delivery 12`.
pub(crate) fn subject_text(subject: &ReviewSubject) -> String {
    match subject {
        ReviewSubject::Delivery(row) => format!("delivery {row}"),
        ReviewSubject::Inbox(row) => format!("inbox {row}"),
        ReviewSubject::Record(record) => format!("record {record}"),
    }
}

pub(crate) fn subject(text: &str) -> Result<ReviewSubject, StoreError> {
    let parsed = text.split_once(' ').and_then(|(what, id)| match what {
        "delivery" => id.parse().ok().map(ReviewSubject::Delivery),
        "inbox" => id.parse().ok().map(ReviewSubject::Inbox),
        "record" => id.parse().ok().map(ReviewSubject::Record),
        _ => None,
    });
    parsed.ok_or_else(|| broken("subject"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check<T: Named + PartialEq + std::fmt::Debug>() {
        for value in T::ALL {
            assert_eq!(named::<T>(value.name()), Some(*value));
        }
    }

    #[test]
    fn what_is_stored_under_a_name_is_found_again() {
        check::<Action>();
        check::<DeliveryState>();
        check::<FailureClass>();
        check::<ReviewReason>();
        check::<Role>();
        check::<Channel>();
        for class in FRESHNESS {
            assert_eq!(freshness(urgency(class)).unwrap(), class);
        }
        assert!(freshness(4).is_err());
        assert!(subject("delivery x").is_err());
    }
}
