//! Puts credentials on requests: none, header, bearer, basic, or a session that is logged in to.
//!
//! Never: logs in twice at a time; shows a secret.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use counterpart_model::delivery::FailureClass;
use counterpart_model::redact::Redacted;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::connection::CallError;
use crate::manifest::{Auth, AuthScheme};
use crate::path::text_of;

/// After a refused log-in none is tried for this long: a queue of waiting requests would lock the account.
const REFUSED_PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// The session of one connection.
#[derive(Default)]
pub struct Session {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is used, and when it was got.
    current: Option<(LoggedIn, Timestamp)>,
    /// The last refusal and when it came.
    refusal: Option<(CallError, Timestamp)>,
}

/// What a log-in gave.
#[derive(Clone)]
pub struct LoggedIn {
    /// The header's value.
    pub value: Redacted<String>,
    /// How long it is to be used; `None` until it is refused.
    pub holds: Option<SignedDuration>,
}

impl Session {
    /// The session's header value: the current one, or a new one by `login`. One log-in at a time; those who wait
    /// take what the first got.
    ///
    /// # Errors
    /// As `login`; for a while after a refusal, that refusal again.
    pub async fn value<F>(
        &self,
        now: Timestamp,
        refused: Option<&Redacted<String>>,
        login: impl FnOnce() -> F,
    ) -> Result<Redacted<String>, CallError>
    where
        F: Future<Output = Result<LoggedIn, CallError>>,
    {
        let mut state = self.state.lock().await;
        if let Some((current, since)) = &state.current {
            let old = current.holds.is_some_and(|holds| now.duration_since(*since) >= holds);
            // Somebody else may have logged in anew while we were told that ours had expired.
            let is_refused = refused.is_some_and(|refused| *refused == current.value);
            if !old && !is_refused {
                return Ok(current.value.clone());
            }
        }
        state.current = None;
        if let Some((refusal, at)) = &state.refusal
            && now.duration_since(*at).abs() < REFUSED_PAUSE
        {
            return Err(refusal.clone());
        }
        match login().await {
            Ok(got) => {
                let value = got.value.clone();
                *state = State { current: Some((got, now)), refusal: None };
                Ok(value)
            }
            Err(error) => {
                if error.class == FailureClass::Unauthorised {
                    state.refusal = Some((error.clone(), now));
                }
                Err(error)
            }
        }
    }
}

/// Headers of the schemes that need no log-in.
///
/// # Errors
/// Which secret or setting is missing, which a checked connection makes impossible.
pub fn headers(
    auth: &Auth,
    settings: &Value,
    secrets: &BTreeMap<String, Redacted<String>>,
) -> Result<Vec<(String, String)>, String> {
    let secret = || {
        let name = auth.secret.as_deref().unwrap_or_default();
        let found = secrets.get(name).ok_or_else(|| format!("the secret `{name}` is missing"))?;
        Ok::<_, String>(found.reveal().clone())
    };
    Ok(match auth.scheme {
        AuthScheme::None | AuthScheme::Session => Vec::new(),
        AuthScheme::Header => {
            let name = auth.header.clone().unwrap_or_else(|| "authorization".into());
            vec![(name, format!("{}{}", auth.prefix, secret()?))]
        }
        AuthScheme::Bearer => vec![("authorization".into(), format!("Bearer {}", secret()?))],
        AuthScheme::Basic => {
            let name = auth.user.as_deref().unwrap_or_default();
            let of_settings = settings.get(name).and_then(text_of);
            let of_secrets = || secrets.get(name).map(|s| s.reveal().clone());
            let user = of_settings.or_else(of_secrets).ok_or_else(|| format!("`{name}` is missing"))?;
            let pair = STANDARD.encode(format!("{user}:{}", secret()?));
            vec![("authorization".into(), format!("Basic {pair}"))]
        }
    })
}

/// The header that carries a session.
pub fn session_header(auth: &Auth, value: &Redacted<String>) -> (String, String) {
    let name = auth.header.clone().unwrap_or_else(|| "authorization".into());
    (name, format!("{}{}", auth.prefix, value.reveal()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;

    fn auth(scheme: AuthScheme) -> Auth {
        Auth { scheme, secret: Some("key".into()), user: Some("login".into()), ..Auth::default() }
    }

    #[test]
    fn each_scheme_has_its_header() {
        let secrets = BTreeMap::from([("key".to_owned(), Redacted::new("s3cret".to_owned()))]);
        let settings = json!({"login": "hub"});
        let make = |auth: &Auth| headers(auth, &settings, &secrets).unwrap();
        let pair = |a: &str, b: &str| vec![(a.to_owned(), b.to_owned())];
        assert_eq!(make(&auth(AuthScheme::Bearer)), pair("authorization", "Bearer s3cret"));
        assert_eq!(make(&auth(AuthScheme::Basic)), pair("authorization", "Basic aHViOnMzY3JldA=="));
        let header = Auth { header: Some("x-key".into()), prefix: "k ".into(), ..auth(AuthScheme::Header) };
        assert_eq!(make(&header), pair("x-key", "k s3cret"));
        assert!(make(&auth(AuthScheme::None)).is_empty());
    }

    #[tokio::test]
    async fn one_login_serves_all_until_it_is_refused() {
        let (session, logins) = (Session::default(), AtomicU32::new(0));
        let get = async |second: i64, refused: Option<&Redacted<String>>| {
            let login = || async {
                let n = logins.fetch_add(1, Ordering::SeqCst);
                Ok(LoggedIn {
                    value: Redacted::new(format!("token{n}")),
                    holds: Some(SignedDuration::from_secs(60)),
                })
            };
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
            session.value(now, refused, login).await.unwrap()
        };
        let first = get(0, None).await;
        assert_eq!(get(59, None).await, first);
        let second = get(59, Some(&first)).await;
        assert_ne!(second, first);
        // A late one who was refused with the first token takes the second.
        assert_eq!(get(59, Some(&first)).await, second);
        assert_eq!(logins.load(Ordering::SeqCst), 2);
        // It is used as long as it holds.
        assert_eq!(get(118, None).await, second);
        assert_ne!(get(119, None).await, second);
    }

    #[tokio::test]
    async fn a_refused_login_is_not_repeated_at_once() {
        let (session, logins) = (Session::default(), AtomicU32::new(0));
        let get = async |now: Timestamp| {
            let login = || async {
                logins.fetch_add(1, Ordering::SeqCst);
                Err(CallError::not_sent(FailureClass::Unauthorised, "no"))
            };
            session.value(now, None, login).await.unwrap_err()
        };
        let now = Timestamp::UNIX_EPOCH;
        get(now).await;
        get(now + SignedDuration::from_secs(29)).await;
        assert_eq!(logins.load(Ordering::SeqCst), 1);
        get(now + SignedDuration::from_secs(30)).await;
        assert_eq!(logins.load(Ordering::SeqCst), 2);
    }
}
