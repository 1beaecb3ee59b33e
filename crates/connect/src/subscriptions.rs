//! Registers the hub's address for webhooks at a system, and renews what runs out.
//!
//! Never: touches what leads to another address than ours, which belongs to somebody else.

use counterpart_model::delivery::FailureClass;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::budget::Purpose;
use crate::connection::{CallError, Connection};
use crate::manifest::{Code, RequestKind, Subscriptions};
use crate::path::text_of;

/// What was done to the registrations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscribed {
    /// Topics registered anew.
    pub made: Vec<String>,
    /// Topics that last longer now.
    pub renewed: Vec<String>,
    /// Topics that are no longer wanted, or were there twice.
    pub removed: Vec<String>,
}

impl Connection {
    /// Whether the hub can register its address by itself: the connector says how, the address is known and the secret
    /// is there.
    pub fn subscribes(&self) -> bool {
        let hooks = self.inner.connector.manifest.webhooks.as_ref();
        self.inner.webhook_url.is_some()
            && hooks.is_some_and(|h| {
                h.subscriptions.is_some() && self.inner.secrets.contains_key(&h.signature.secret)
            })
    }

    /// Makes the registrations at the system what they should be: each topic once, none about to run out.
    ///
    /// # Errors
    /// When a call fails; what could be done is done all the same, and the next time goes on from there.
    pub async fn subscribe(&self) -> Result<Subscribed, CallError> {
        let manifest = &self.inner.connector.manifest;
        let (Some(hooks), Some(url)) = (manifest.webhooks.as_ref(), self.inner.webhook_url.as_ref()) else {
            return Ok(Subscribed::default());
        };
        let Some(all) = &hooks.subscriptions else { return Ok(Subscribed::default()) };
        let secret = self.inner.secrets.get(&hooks.signature.secret).map(|s| s.reveal().clone());
        let now = self.inner.clock.now();
        let listed = self.asked(&all.list, &json!({}), RequestKind::Read).await?;
        let items = self.inner.run(&all.items, &listed, &self.inner.meta(now, None)).map_err(broken)?;
        let mut done = Subscribed::default();
        // One that fails must not keep the others from being registered; the first failure is told.
        let mut failed = None;
        let mut well = |topic: &str, result: Result<Value, CallError>| {
            result.map_err(|error| {
                let message = format!("{topic}: {}", error.message);
                failed.get_or_insert(CallError { message, ..error });
            })
        };
        let mut there: Vec<&str> = Vec::new();
        for item in items.as_array().into_iter().flatten().filter(|item| leads_to(item, url.as_str())) {
            let topic = item["topic"].as_str().unwrap_or_default();
            let Some(wanted) =
                all.topics.iter().find(|t| *t == topic).filter(|t| !there.contains(&t.as_str()))
            else {
                let gone = self.asked(&all.delete, &json!({ "item": item }), RequestKind::Write).await;
                if well(topic, gone).is_ok() {
                    done.removed.push(topic.to_owned());
                }
                continue;
            };
            if runs_out(item, all, now) {
                match &all.renew {
                    Some(renew) => {
                        let input = json!({ "item": item, "url": url, "secret": secret });
                        let renewed = self.asked(renew, &input, RequestKind::Write).await;
                        if well(topic, renewed).is_ok() {
                            done.renewed.push(topic.to_owned());
                        }
                    }
                    None => {
                        let gone =
                            self.asked(&all.delete, &json!({ "item": item }), RequestKind::Write).await;
                        if well(topic, gone).is_ok() {
                            continue;
                        }
                    }
                }
            }
            there.push(wanted);
        }
        for topic in all.topics.iter().filter(|topic| !there.contains(&topic.as_str())) {
            let input = json!({ "topic": topic, "url": url, "secret": secret });
            let made = self.asked(&all.create, &input, RequestKind::Write).await;
            if well(topic, made).is_ok() {
                done.made.push(topic.clone());
            }
        }
        failed.map_or(Ok(done), Err)
    }

    async fn asked(&self, program: &Code, input: &Value, kind: RequestKind) -> Result<Value, CallError> {
        let meta = self.inner.meta(self.inner.clock.now(), None);
        // What a program says of its input may hold the secret: it is not passed on.
        let request = self.inner.run(program, input, &meta).map_err(broken)?;
        let timeout = self.inner.timeout;
        let answer = self.inner.call(&request, kind, Purpose::Polling, timeout).await.map_err(|(e, _)| e)?;
        Ok(answer.input(&json!({})))
    }
}

fn broken<E>(_: E) -> CallError {
    let message = "a program of the connector's [webhooks.subscriptions] fails";
    CallError::not_sent(FailureClass::Rejected, message)
}

/// Systems write addresses with and without a slash at the end.
fn leads_to(item: &Value, url: &str) -> bool {
    text_of(&item["url"]).is_some_and(|text| text.trim_end_matches('/') == url.trim_end_matches('/'))
}

fn runs_out(item: &Value, all: &Subscriptions, now: Timestamp) -> bool {
    let Some(end) = item["expires_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
        return false;
    };
    let margin = i64::try_from(all.renew_before_s).unwrap_or(i64::MAX);
    end.duration_since(now) < SignedDuration::from_secs(margin)
}
