//! Instants and days: read what systems write, give what canonical payloads hold (RFC 3339 in UTC).
//!
//! Never: asks for the present time, which a program finds in `%now`; guesses a zone.

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use vrl::compiler::TypeDef;
use vrl::compiler::function::Parameter;
use vrl::compiler::value::kind::{BYTES, INTEGER, TIMESTAMP};
use vrl::value::Value;

use super::decimals::NUMBER;
use super::{Arguments, Failure, Native};

const INSTANT: u16 = BYTES | TIMESTAMP;
const VALUE: Parameter = Parameter::required("value", INSTANT, "A date, or a date with time.");
const ZONE: Parameter = Parameter::optional(
    "zone",
    BYTES,
    "IANA name such as Europe/Berlin, needed when the text has no offset.",
);
const FORMAT: Parameter = Parameter::required("format", BYTES, "As strftime has it: %Y-%m-%d %H:%M:%S.");

pub(super) const FUNCTIONS: &[Native] = &[
    Native {
        name: "date_to_utc",
        usage: "The instant of an ISO 8601 text, in UTC; a day alone is its midnight in `zone`.",
        example: (r#"date_to_utc!("2026-03-01 10:30:00", "Europe/Berlin")"#, r#""2026-03-01T09:30:00Z""#),
        parameters: &[VALUE, ZONE],
        returns: TypeDef::bytes,
        call: |args, _| Ok(give(instant(args, 0, Some(1))?)),
    },
    Native {
        name: "date_parse",
        usage: "The instant of a text in a stated format, in UTC.",
        example: (r#"date_parse!("01.03.2026", "%d.%m.%Y", "UTC")"#, r#""2026-03-01T00:00:00Z""#),
        parameters: &[Parameter::required("value", BYTES, "A date, or a date with time."), FORMAT, ZONE],
        returns: TypeDef::bytes,
        call: |args, _| {
            let parsed = strtime::parse(args.text(1)?, args.text(0)?);
            let parsed = parsed.map_err(|_| args.fault(0, "a date in the stated format"))?;
            if let Ok(timestamp) = parsed.to_timestamp() {
                return Ok(give(timestamp));
            }
            let day = || parsed.to_date().map(|date| date.at(0, 0, 0, 0));
            let local = parsed
                .to_datetime()
                .or_else(|_| day())
                .map_err(|_| args.fault(0, "a date in the stated format"))?;
            in_zone(args, local, 2).map(give)
        },
    },
    Native {
        name: "date_format",
        usage: "An instant as text in a stated format and zone; UTC unless stated.",
        example: (r#"date_format!("2026-03-01T23:30:00Z", "%d.%m.%Y", "Europe/Berlin")"#, r#""02.03.2026""#),
        parameters: &[
            VALUE,
            FORMAT,
            Parameter::optional("zone", BYTES, "IANA name of the zone to write in."),
        ],
        returns: TypeDef::bytes,
        call: |args, _| {
            let zone = zone(args, 2)?.unwrap_or(TimeZone::UTC);
            let zoned = instant(args, 0, Some(2))?.to_zoned_datetime(zone);
            let text = strtime::format(args.text(1)?, &zoned);
            text.map(Value::from).map_err(|_| args.fault(1, "a format such as %Y-%m-%d"))
        },
    },
    Native {
        name: "date_from_unix",
        usage: "The instant of a Unix time.",
        example: ("date_from_unix!(1772357400)", r#""2026-03-01T09:30:00Z""#),
        parameters: &[
            Parameter::required("value", NUMBER, "Whole number since 1970."),
            Parameter::optional("unit", BYTES, "`seconds` (the default) or `milliseconds`."),
        ],
        returns: TypeDef::bytes,
        call: |args, _| {
            let number = args.integer(0)?;
            let timestamp = match args.optional_text(1)? {
                None | Some("seconds") => Timestamp::from_second(number),
                Some("milliseconds") => Timestamp::from_millisecond(number),
                Some(_) => return Err(args.wrong(1, "expected seconds or milliseconds")),
            };
            timestamp.map(give).map_err(|_| args.wrong(0, "outside of the years that there are"))
        },
    },
    Native {
        name: "date_to_unix",
        usage: "The Unix time of an instant in whole seconds.",
        example: (r#"date_to_unix!("2026-03-01T09:30:00Z")"#, "1772357400"),
        parameters: &[VALUE],
        returns: TypeDef::integer,
        call: |args, _| Ok(Value::Integer(instant(args, 0, None)?.as_second())),
    },
    Native {
        name: "date_add",
        usage: "The instant so many seconds later, or earlier when negative.",
        example: (r#"date_add!("2026-03-01T09:30:00Z", -86400)"#, r#""2026-02-28T09:30:00Z""#),
        parameters: &[VALUE, Parameter::required("seconds", INTEGER, "Whole number of seconds.")],
        returns: TypeDef::bytes,
        call: |args, _| {
            let moved = instant(args, 0, None)?.checked_add(SignedDuration::from_secs(args.integer(1)?));
            moved.map(give).map_err(|_| args.wrong(1, "outside of the years that there are"))
        },
    },
];

fn give(timestamp: Timestamp) -> Value {
    Value::from(timestamp.to_string())
}

/// The instant of an argument; `zone_index` is the parameter that helps a text without an offset.
fn instant(args: &Arguments, index: usize, zone_index: Option<usize>) -> Result<Timestamp, Failure> {
    let expected = || args.fault(index, "a date such as 2026-03-01T09:30:00Z");
    let text = match args.get(index) {
        Some(value @ Value::Timestamp(_)) => value.to_string_lossy().into_owned(),
        _ => args.text(index)?.trim().to_owned(),
    };
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let local = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)));
    let local = local.map_err(|_| expected())?;
    match zone_index {
        Some(zone_index) => in_zone(args, local, zone_index),
        None => {
            Err(args
                .wrong(index, "the date has no offset from UTC: pass it through date_to_utc with its zone"))
        }
    }
}

fn in_zone(args: &Arguments, local: DateTime, index: usize) -> Result<Timestamp, Failure> {
    let missing =
        || args.wrong(index, "the date has no offset from UTC: state its zone, such as Europe/Berlin");
    let zone = zone(args, index)?.ok_or_else(missing)?;
    let outside = || args.wrong(index, "outside of the years that there are");
    // A time that a clock change leaves out or repeats is read as the offset before the change has it.
    local.to_zoned_datetime(zone).map(|zoned| zoned.timestamp()).map_err(|_| outside())
}

fn zone(args: &Arguments, index: usize) -> Result<Option<TimeZone>, Failure> {
    let Some(name) = args.optional_text(index)? else { return Ok(None) };
    let found = if name == "UTC" { Ok(TimeZone::UTC) } else { TimeZone::get(name) };
    found
        .map(Some)
        .map_err(|_| args.wrong(index, "expected an IANA name of a time zone, such as Europe/Berlin"))
}
