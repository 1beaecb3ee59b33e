//! What kind of failure an answer is: the manifest's rules first, then what HTTP says.
//!
//! Never: matches a message.

use jiff::SignedDuration;

use crate::driver::Answer;
use crate::manifest::{AuthScheme, Driver, ErrorClass, ErrorRule, Location, Manifest, RequestKind};
use crate::path::{Path, text_of};

/// A failure read from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub class: ErrorClass,
    /// Words for a person.
    pub message: String,
    /// The field at fault.
    pub field: Option<String>,
    /// How long to wait.
    pub retry_after: Option<SignedDuration>,
}

/// Classifies an answer; `Ok` is none.
///
/// # Errors
/// The failure.
pub fn classify(manifest: &Manifest, answer: &Answer, kind: RequestKind) -> Result<(), Fault> {
    for rule in &manifest.errors {
        if applies(rule, answer, kind) {
            if rule.class == ErrorClass::Ok {
                return Ok(());
            }
            return Err(fault(rule, answer));
        }
    }
    by_status(manifest, answer)
}

fn applies(rule: &ErrorRule, answer: &Answer, kind: RequestKind) -> bool {
    if !rule.status.is_empty() && !rule.status.contains(&answer.status) {
        return false;
    }
    if rule.on.is_some_and(|on| on != kind) {
        return false;
    }
    let Some(at) = &rule.at else { return !rule.status.is_empty() || rule.on.is_some() };
    let Ok(path) = at.parse::<Path>() else { return false };
    let tests_value = rule.equals.is_some() || !rule.one_of.is_empty() || rule.prefix.is_some();
    if !tests_value {
        return path.find(&answer.raw).is_some() == rule.exists.unwrap_or(true);
    }
    // One of several errors is enough: which comes first is chance.
    path.find_all(&answer.raw).into_iter().filter_map(text_of).any(|text| {
        rule.equals.as_ref().is_none_or(|value| *value == text)
            && (rule.one_of.is_empty() || rule.one_of.contains(&text))
            && rule.prefix.as_ref().is_none_or(|prefix| text.starts_with(prefix.as_str()))
    })
}

fn fault(rule: &ErrorRule, answer: &Answer) -> Fault {
    let at = |text: &Option<String>| {
        text.as_ref().and_then(|t| t.parse::<Path>().ok()).and_then(|path| path.find_text(&answer.raw))
    };
    Fault {
        class: rule.class,
        message: at(&rule.message).map_or_else(|| said(answer), |m| shorten(&m)),
        field: at(&rule.field),
        retry_after: rule
            .retry_after
            .as_ref()
            .and_then(|place| seconds(place, answer))
            .or_else(|| told(answer)),
    }
}

fn by_status(manifest: &Manifest, answer: &Answer) -> Result<(), Fault> {
    let retry_after = told(answer);
    let class = match answer.status {
        200..=299 => {
            let error = match manifest.connector.driver {
                Driver::Graphql => answer.raw.get("errors"),
                Driver::JsonRpc => answer.raw.get("error"),
                Driver::Rest => None,
            };
            match error.filter(|e| !e.is_null() && e.as_array().is_none_or(|list| !list.is_empty())) {
                None => return Ok(()),
                Some(_) => ErrorClass::Rejected,
            }
        }
        401 if manifest.auth.scheme == AuthScheme::Session => ErrorClass::Expired,
        401 | 403 => ErrorClass::Unauthorised,
        429 => ErrorClass::Throttled,
        503 if retry_after.is_some() => ErrorClass::Throttled,
        503 => ErrorClass::Transient,
        408 | 425 | 500..=599 => ErrorClass::Unknown,
        _ => ErrorClass::Rejected,
    };
    Err(Fault { class, message: said(answer), field: None, retry_after })
}

/// `Retry-After`: seconds, or a date, which is held against the answer's own `Date` so that clocks do not matter.
fn told(answer: &Answer) -> Option<SignedDuration> {
    let text = answer.headers.get("retry-after")?.trim();
    let moment = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    let seconds = match text.parse::<i64>() {
        Ok(seconds) => seconds,
        Err(_) => moment(text)?.duration_since(moment(answer.headers.get("date")?)?).as_secs(),
    };
    Some(SignedDuration::from_secs(seconds.clamp(0, 86_400)))
}

fn seconds(place: &Location, answer: &Answer) -> Option<SignedDuration> {
    let text = read(place, answer)?;
    let seconds: f64 = text.trim().parse().ok()?;
    SignedDuration::try_from_secs_f64(seconds.clamp(0.0, 86_400.0)).ok()
}

/// What stands at a header or body location.
pub fn read(place: &Location, answer: &Answer) -> Option<String> {
    if let Some(header) = &place.header {
        return answer.headers.get(&header.to_lowercase()).cloned();
    }
    place.body.as_ref()?.parse::<Path>().ok()?.find_text(&answer.raw)
}

/// What the answer says in the usual places, for a person.
fn said(answer: &Answer) -> String {
    const USUAL: &[&str] =
        &[".errors[0].message", ".error.message", ".error[1][0]", ".message", ".error", ".detail", ".title"];
    let text = USUAL.iter().filter_map(|at| at.parse::<Path>().ok()?.find_text(&answer.raw)).next();
    match text {
        Some(text) => format!("HTTP {}: {}", answer.status, shorten(&text)),
        None => format!("HTTP {} without a reason", answer.status),
    }
}

/// One line of bounded length, without what looks like somebody's address or telephone number: what a system says of
/// a customer's data must not end up in logs.
fn shorten(text: &str) -> String {
    let line = text.split_whitespace().take(200).map(masked).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

fn masked(word: &str) -> &str {
    let address = word.split_once('@').is_some_and(|(_, host)| host.contains('.'));
    let telephone = word.contains('+') && word.bytes().filter(u8::is_ascii_digit).count() > 6;
    if address || telephone { "[redacted]" } else { word }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn manifest(driver: &str, rest: &str) -> Manifest {
        toml::from_str(&format!(
            "[connector]\nname = \"x\"\ntitle = \"X\"\ndriver = \"{driver}\"\nendpoint = \"/x\"\napi_version = \"1\"\n[health]\nrequest = '{{\"path\": \"/\"}}'\n{rest}"
        ))
        .unwrap()
    }

    fn answer(status: u16, raw: Value) -> Answer {
        Answer { status, headers: BTreeMap::new(), body: raw.clone(), raw }
    }

    #[test]
    fn http_decides_where_no_rule_does() {
        use ErrorClass as C;
        let m = manifest("rest", "");
        for (status, expect) in [
            (200, None),
            (204, None),
            (301, Some(C::Rejected)),
            (400, Some(C::Rejected)),
            (401, Some(C::Unauthorised)),
            (403, Some(C::Unauthorised)),
            (404, Some(C::Rejected)),
            (408, Some(C::Unknown)),
            (429, Some(C::Throttled)),
            (500, Some(C::Unknown)),
            (502, Some(C::Unknown)),
            (503, Some(C::Transient)),
        ] {
            let found = classify(&m, &answer(status, json!({})), RequestKind::Write).err().map(|f| f.class);
            assert_eq!(found, expect, "{status}");
        }
        let mut busy = answer(503, json!({}));
        busy.headers.insert("retry-after".into(), "7".into());
        let fault = classify(&m, &busy, RequestKind::Read).unwrap_err();
        assert_eq!((fault.class, fault.retry_after), (C::Throttled, Some(SignedDuration::from_secs(7))));
        busy.headers.insert("retry-after".into(), "Wed, 25 Nov 2026 10:00:30 GMT".into());
        assert_eq!(
            classify(&m, &busy, RequestKind::Read).unwrap_err().class,
            C::Transient,
            "no date to compare"
        );
        busy.headers.insert("date".into(), "Wed, 25 Nov 2026 10:00:00 GMT".into());
        let fault = classify(&m, &busy, RequestKind::Read).unwrap_err();
        assert_eq!(fault.retry_after, Some(SignedDuration::from_secs(30)));
    }

    #[test]
    fn an_error_inside_200_is_one() {
        let gql = answer(200, json!({"data": null, "errors": [{"message": "no"}]}));
        let fault = classify(&manifest("graphql", ""), &gql, RequestKind::Read).unwrap_err();
        assert_eq!((fault.class, fault.message.as_str()), (ErrorClass::Rejected, "HTTP 200: no"));
        let fine = answer(200, json!({"data": {}, "errors": []}));
        assert!(classify(&manifest("graphql", ""), &fine, RequestKind::Read).is_ok());
        let rpc = answer(200, json!({"error": ["UserError", ["Not so", "", null]]}));
        let fault = classify(&manifest("json-rpc", ""), &rpc, RequestKind::Read).unwrap_err();
        assert_eq!(fault.message, "HTTP 200: Not so");
    }

    #[test]
    fn what_is_said_names_nobody() {
        let text = "no  customer <ada@example.com>, tel\n+49-30-1234567: order 1234567890123 @home";
        assert_eq!(shorten(text), "no customer [redacted] tel [redacted] order 1234567890123 @home");
        assert_eq!(shorten(&"ä".repeat(400)).chars().count(), 301);
    }

    #[test]
    fn rules_look_at_codes_in_order() {
        let m = manifest(
            "graphql",
            r#"
[[errors]]
at = ".errors[*].extensions.code"
equals = "FORBIDDEN"
class = "unauthorised"
[[errors]]
at = ".data.*.errorCode"
exists = true
class = "rejected"
message = ".data.*.message"
field = ".data.*.field"
[[errors]]
status = [400]
on = "read"
class = "transient"
"#,
        );
        let class = |raw, status, kind| classify(&m, &answer(status, raw), kind).err().map(|f| f.class);
        let forbidden =
            json!({"errors": [{"extensions": {"code": "A"}}, {"extensions": {"code": "FORBIDDEN"}}]});
        let union = json!({"data": {"addX": {"errorCode": "X", "message": "m", "field": "f"}}});
        assert_eq!(class(union.clone(), 200, RequestKind::Write), Some(ErrorClass::Rejected));
        let fault = classify(&m, &answer(200, union), RequestKind::Write).unwrap_err();
        assert_eq!((fault.message.as_str(), fault.field.as_deref()), ("m", Some("f")));
        assert_eq!(class(json!({"data": {"a": {}}}), 200, RequestKind::Write), None);
        assert_eq!(class(json!({}), 400, RequestKind::Read), Some(ErrorClass::Transient));
        assert_eq!(class(json!({}), 400, RequestKind::Write), Some(ErrorClass::Rejected));
        let one = json!({"errors": [{"extensions": {"code": "FORBIDDEN"}}]});
        assert_eq!(class(one, 200, RequestKind::Read), Some(ErrorClass::Unauthorised));
        assert_eq!(class(forbidden, 200, RequestKind::Read), Some(ErrorClass::Unauthorised));
    }
}
