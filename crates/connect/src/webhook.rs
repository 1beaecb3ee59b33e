//! Verifies webhooks: signature over the raw bytes, replay window, topic and event id.
//!
//! Never: parses a body whose signature is wrong; compares digests in a time that tells where they differ.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use counterpart_mapping::json::read_json;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

use crate::connection::Connection;
use crate::manifest::{DigestEncoding, Location, Signature, SignatureScheme};
use crate::path::Path;

/// A webhook that is what it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Topic.
    pub topic: String,
    /// Unique within connection and topic.
    pub event_id: String,
    /// When it happened there, as far as the webhook says so.
    pub occurred_at: Option<Timestamp>,
}

/// Why a webhook is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The connector takes none.
    #[error("this connection takes no webhooks")]
    NoWebhooks,
    /// Missing or wrong.
    #[error("the signature is missing or wrong: check that both sides hold the same secret")]
    BadSignature,
    /// Outside the replay window.
    #[error("the webhook is too old or from the future: check the clocks of both sides")]
    TooOld,
    /// No topic in it.
    #[error("{0}")]
    Unreadable(String),
}

impl Connection {
    /// Verifies a webhook and says what it is about. Header names in any case.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub fn verify_webhook(
        &self,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<Verified, WebhookError> {
        let hooks = self.inner.connector.manifest.webhooks.as_ref().ok_or(WebhookError::NoWebhooks)?;
        let headers: BTreeMap<String, String> =
            headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        let secret = self.inner.secrets.get(&hooks.signature.secret).map(|s| s.reveal().as_bytes());
        // Without a secret nothing can be verified, so nothing is taken.
        let secret = secret.filter(|s| !s.is_empty()).ok_or(WebhookError::BadSignature)?;
        let url = self.inner.webhook_url.as_ref().map(Url::as_str);
        verify(&hooks.signature, &headers, body, secret, url, self.inner.clock.now())?;
        let json = read_json(body);
        let at = |place: &Location| -> Option<String> {
            match (&place.header, &place.body) {
                (Some(name), _) => headers.get(&name.to_lowercase()).cloned(),
                (_, Some(path)) => path.parse::<Path>().ok()?.find_text(json.as_ref().ok()?),
                _ => None,
            }
        };
        if let Err(error) = &json {
            return Err(WebhookError::Unreadable(format!("the body is no JSON: {error}")));
        }
        let topic = at(&hooks.topic).ok_or_else(|| {
            WebhookError::Unreadable("there is no topic where the connector looks for it".into())
        })?;
        let event_id = match &hooks.event_id {
            Some(place) => at(place).ok_or_else(|| {
                WebhookError::Unreadable("there is no event id where the connector looks for it".into())
            })?,
            None => hex::encode(Sha256::digest(body)),
        };
        let occurred_at = hooks.occurred_at.as_ref().and_then(at).and_then(|text| moment(&text));
        Ok(Verified { topic, event_id, occurred_at })
    }

    /// What to answer, as plain text, when a system tries the address for its webhooks with these query parameters.
    pub fn handshake(&self, query: &[(String, String)]) -> Option<String> {
        let handshake = self.inner.connector.manifest.webhooks.as_ref()?.handshake.as_ref()?;
        let (_, value) = query.iter().find(|(name, _)| *name == handshake.query)?;
        // It goes back as it came, to whoever sent it: nothing that could pass for something else.
        let plain = value.len() <= 1024 && value.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        plain.then(|| value.clone())
    }
}

/// Checks signature and age.
fn verify(
    signature: &Signature,
    headers: &BTreeMap<String, String>,
    body: &[u8],
    secret: &[u8],
    url: Option<&str>,
    now: Timestamp,
) -> Result<(), WebhookError> {
    let header = |name: &Option<String>| name.as_ref().and_then(|n| headers.get(&n.to_lowercase()));
    let timestamp = signature.timestamp.as_ref().and_then(|place| header(&place.header));
    let in_body = |place: &Location| {
        let path: Path = place.body.as_ref()?.parse().ok()?;
        path.find_text(&read_json(body).ok()?)
    };
    match signature.scheme {
        SignatureScheme::Token => {
            let token = match &signature.token {
                Some(place) if place.body.is_some() => in_body(place),
                Some(place) => header(&place.header).cloned(),
                None => header(&signature.header).cloned(),
            };
            let token = token.ok_or(WebhookError::BadSignature)?;
            same(token.as_bytes(), secret)?;
        }
        SignatureScheme::HmacSha256 => {
            let given = header(&signature.header).ok_or(WebhookError::BadSignature)?;
            let given = given.strip_prefix(&signature.prefix).ok_or(WebhookError::BadSignature)?;
            let given = match signature.encoding {
                DigestEncoding::Hex => hex::decode(given).ok(),
                DigestEncoding::Base64 => STANDARD.decode(given).ok(),
            };
            let given = given.ok_or(WebhookError::BadSignature)?;
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| WebhookError::BadSignature)?;
            let mut rest = signature.signed.as_str();
            while !rest.is_empty() {
                if let Some(after) = rest.strip_prefix("{body}") {
                    mac.update(body);
                    rest = after;
                } else if let Some(after) = rest.strip_prefix("{timestamp}") {
                    mac.update(timestamp.ok_or(WebhookError::BadSignature)?.as_bytes());
                    rest = after;
                } else if let Some(after) = rest.strip_prefix("{method}") {
                    mac.update(b"POST");
                    rest = after;
                } else if let Some(after) = rest.strip_prefix("{url}") {
                    mac.update(url.ok_or(WebhookError::BadSignature)?.as_bytes());
                    rest = after;
                } else {
                    let end = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
                    mac.update(&rest.as_bytes()[..end]);
                    rest = &rest[end..];
                }
            }
            same(&mac.finalize().into_bytes(), &given)?;
        }
    }
    if let (Some(place), Some(most)) = (&signature.timestamp, signature.max_age_s) {
        let text = timestamp.cloned().or_else(|| in_body(place)).ok_or(WebhookError::TooOld)?;
        let at = moment(&text).ok_or(WebhookError::TooOld)?;
        if at.duration_since(now).abs().as_secs() > i64::try_from(most).unwrap_or(i64::MAX) {
            return Err(WebhookError::TooOld);
        }
    }
    Ok(())
}

fn same(a: &[u8], b: &[u8]) -> Result<(), WebhookError> {
    if bool::from(a.ct_eq(b)) { Ok(()) } else { Err(WebhookError::BadSignature) }
}

/// Unix seconds, Unix milliseconds or RFC 3339.
fn moment(text: &str) -> Option<Timestamp> {
    match text.trim().parse::<i64>() {
        Ok(number) if number.abs() > 100_000_000_000 => Timestamp::from_millisecond(number).ok(),
        Ok(number) => Timestamp::from_second(number).ok(),
        Err(_) => text.trim().parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ADDRESS: &str = "https://hub.example.com/webhooks/crm";
    const SECRET: &[u8] = b"it is a secret";
    const BODY: &[u8] = br#"{"topic":"order","id":7}"#;

    fn signature(toml: &str) -> Signature {
        toml::from_str(&format!(
            "scheme = \"hmac-sha256\"\nsecret = \"webhook\"\nheader = \"X-Signature\"\n{toml}"
        ))
        .unwrap()
    }

    fn digest(text: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn check(signature: &Signature, headers: &[(&str, &str)], body: &[u8]) -> Result<(), WebhookError> {
        let headers = headers.iter().map(|(k, v)| ((*k).to_lowercase(), (*v).to_owned())).collect();
        verify(signature, &headers, body, SECRET, Some(ADDRESS), now())
    }

    #[test]
    fn the_table_of_signatures() {
        let hex = hex::encode(digest(BODY));
        let base64 = STANDARD.encode(digest(BODY));
        let bad = Err(WebhookError::BadSignature);
        let plain = signature("");
        let prefixed = signature("prefix = \"sha256=\"");
        let in_base64 = signature("encoding = \"base64\"");
        for (what, signature, header, body, expect) in [
            ("good", &plain, Some(hex.clone()), BODY, Ok(())),
            ("upper case", &plain, Some(hex.to_uppercase()), BODY, Ok(())),
            ("another body", &plain, Some(hex.clone()), &b"{}"[..], bad.clone()),
            ("missing", &plain, None, BODY, bad.clone()),
            ("empty", &plain, Some(String::new()), BODY, bad.clone()),
            ("shortened", &plain, Some(hex[..62].to_owned()), BODY, bad.clone()),
            ("wrong encoding", &plain, Some(base64.clone()), BODY, bad.clone()),
            ("base64", &in_base64, Some(base64), BODY, Ok(())),
            ("hex where base64 is due", &in_base64, Some(hex.clone()), BODY, bad.clone()),
            ("prefix", &prefixed, Some(format!("sha256={hex}")), BODY, Ok(())),
            ("prefix missing", &prefixed, Some(hex.clone()), BODY, bad.clone()),
        ] {
            let headers: Vec<(&str, &str)> = header.iter().map(|h| ("X-Signature", h.as_str())).collect();
            assert_eq!(check(signature, &headers, body), expect, "{what}");
        }
    }

    #[test]
    fn a_signed_timestamp_closes_the_window() {
        let timed = signature(
            "signed = \"{timestamp}.{body}\"\ntimestamp = { header = \"x-time\" }\nmax_age_s = 300",
        );
        let sign = |time: &str| hex::encode(digest(&[time.as_bytes(), b".", BODY].concat()));
        for (time, expect) in [
            ("1800000000", Ok(())),
            ("1799999701", Ok(())),
            ("1799999000", Err(WebhookError::TooOld)),
            ("1800001000", Err(WebhookError::TooOld)),
            ("yesterday", Err(WebhookError::TooOld)),
        ] {
            assert_eq!(
                check(&timed, &[("x-signature", &sign(time)), ("x-time", time)], BODY),
                expect,
                "{time}"
            );
        }
        // A fresh time with an old signature.
        let old = check(&timed, &[("x-signature", &sign("1799999000")), ("x-time", "1800000000")], BODY);
        assert_eq!(old, Err(WebhookError::BadSignature));
    }

    #[test]
    fn the_address_may_be_signed() {
        let signed = signature(
            "encoding = \"base64\"\nsigned = \"{method}{url}{body}{timestamp}\"\ntimestamp = { header = \"x-time\" }\nmax_age_s = 300",
        );
        // Milliseconds.
        let time = "1800000000123";
        let sign =
            |url: &str| STANDARD.encode(digest(&[b"POST", url.as_bytes(), BODY, time.as_bytes()].concat()));
        let try_with =
            |signature: &str| check(&signed, &[("x-signature", signature), ("x-time", time)], BODY);
        assert_eq!(try_with(&sign(ADDRESS)), Ok(()));
        assert_eq!(
            try_with(&sign("https://hub.example.com/webhooks/other")),
            Err(WebhookError::BadSignature)
        );
    }

    #[test]
    fn the_time_may_stand_in_the_signed_body() {
        let timed = signature("timestamp = { body = \".at\" }\nmax_age_s = 300");
        let try_at = |at: &str| {
            let body = format!(r#"{{"at":"{at}"}}"#);
            let header = hex::encode(digest(body.as_bytes()));
            check(&timed, &[("x-signature", &header)], body.as_bytes())
        };
        assert_eq!(try_at("2027-01-15T08:00:00Z"), Ok(()));
        assert_eq!(try_at("2027-01-15T07:00:00Z"), Err(WebhookError::TooOld));
        assert_eq!(try_at("never"), Err(WebhookError::TooOld));
    }

    #[test]
    fn a_token_is_compared() {
        let token: Signature =
            toml::from_str("scheme = \"token\"\nsecret = \"webhook\"\ntoken = { body = \".token\" }")
                .unwrap();
        assert_eq!(check(&token, &[], br#"{"token":"it is a secret"}"#), Ok(()));
        assert_eq!(check(&token, &[], br#"{"token":"another"}"#), Err(WebhookError::BadSignature));
        assert_eq!(check(&token, &[], b"{"), Err(WebhookError::BadSignature));
    }
}
