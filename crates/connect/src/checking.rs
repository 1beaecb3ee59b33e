//! Tries a connection: is it there, does it let us in, is its clock right, may we do what we must, is what it needs
//! filled in.
//!
//! Never: changes anything there.

use counterpart_model::delivery::FailureClass;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::budget::Purpose;
use crate::connection::Connection;
use crate::driver::Answer;
use crate::manifest::{CheckLevel, Code, RequestKind};

/// More than this between the clocks is worth a word: signatures and cursors suffer.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// A sunset this near is worth a word.
const SUNSET_NEAR: SignedDuration = SignedDuration::from_hours(24 * 90);

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Fine.
    Ok,
    /// Works, but look at it.
    Warning,
    /// Will not work.
    Failed,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckLine {
    /// What was checked.
    pub name: String,
    /// How it ended.
    pub state: CheckState,
    /// What was found.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Connection {
    /// Tries everything, one line each. When the system is not there or lets nobody in, what needs it is left out.
    pub async fn check(&self) -> Vec<CheckLine> {
        let manifest = &self.inner.connector.manifest;
        let mut lines = Vec::new();
        let health = self.ask(Some(&manifest.health.request)).await;
        let reached = match &health {
            Err(line) => {
                lines.push(line.clone());
                false
            }
            Ok(answer) => {
                lines.push(line(
                    "reachable",
                    CheckState::Ok,
                    format!("answers at {}", self.inner.name),
                    None,
                ));
                lines.extend(answer.as_ref().and_then(|a| clock_line(a, self.inner.clock.now())));
                if let Some(expect) = &manifest.health.expect {
                    lines.push(self.expect("health", expect, answer.as_ref(), CheckLevel::Failed, None));
                }
                true
            }
        };
        for check in &manifest.checks {
            if check.request.is_some() && !reached {
                continue;
            }
            lines.push(match self.ask(check.request.as_ref()).await {
                Err(failed) => CheckLine { name: check.name.clone(), help: check.help.clone(), ..failed },
                Ok(answer) => self.expect(
                    &check.name,
                    &check.expect,
                    answer.as_ref(),
                    check.level,
                    check.help.as_deref(),
                ),
            });
        }
        for (name, map) in manifest.reference_maps.iter().filter(|(_, map)| map.required) {
            let entries = self.inner.maps[name].as_object().map_or(0, serde_json::Map::len);
            let (state, message) = match entries {
                0 => (CheckState::Failed, "the reference map is empty".to_owned()),
                n => (CheckState::Ok, format!("{n} entries")),
            };
            lines.push(line(
                &format!("map {name}"),
                state,
                message,
                (entries == 0).then_some(map.help.as_str()),
            ));
        }
        lines.extend(self.sunset());
        lines
    }

    async fn ask(&self, request: Option<&Code>) -> Result<Option<Answer>, CheckLine> {
        let Some(code) = request else { return Ok(None) };
        let meta = self.inner.meta(self.inner.clock.now(), None);
        let failed =
            |name: &str, message: String, help: &str| line(name, CheckState::Failed, message, Some(help));
        let request = self
            .inner
            .run(code, &json!({}), &meta)
            .map_err(|error| failed("request", error.to_string(), "correct the connector's program"))?;
        let called =
            self.inner.call(&request, RequestKind::Read, Purpose::Delivery, self.inner.timeout).await;
        called.map(Some).map_err(|(error, _)| match error.class {
            FailureClass::Unauthorised => {
                failed("credentials", error.message, "check the secrets of the connection and the rights of its user")
            }
            FailureClass::Throttled => {
                failed("limits", error.message, "the system asks for patience: try again later, or lower what else uses its limits")
            }
            _ if error.status.is_none() => {
                failed("reachable", error.message, "check `url`, the network and whether the system runs; local ones need allow_private")
            }
            _ => failed("answer", error.message, "the system answers, but not as the connector expects: check `url`, its version and its settings"),
        })
    }

    fn expect(
        &self,
        name: &str,
        code: &Code,
        answer: Option<&Answer>,
        level: CheckLevel,
        help: Option<&str>,
    ) -> CheckLine {
        let meta = self.inner.meta(self.inner.clock.now(), None);
        let input = answer.map_or_else(|| json!({}), |a| a.input(&json!({})));
        let bad = match level {
            CheckLevel::Failed => CheckState::Failed,
            CheckLevel::Warning => CheckState::Warning,
        };
        match self.inner.run(code, &input, &meta) {
            Ok(Value::Bool(true)) => line(name, CheckState::Ok, "as it should be".into(), None),
            Ok(Value::String(text)) => line(name, bad, text, help),
            Ok(_) => line(name, bad, "not as it should be".into(), help),
            Err(error) => line(name, CheckState::Failed, error.to_string(), help),
        }
    }

    fn sunset(&self) -> Option<CheckLine> {
        let head = &self.inner.connector.manifest.connector;
        let day = head.sunset?;
        let today = self.inner.clock.now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
        let left = day.duration_since(today);
        let version = &head.api_version;
        if left.is_negative() {
            let message = format!("version {version} of its API ended on {day}");
            Some(line("API version", CheckState::Failed, message, Some("use a newer connector")))
        } else if left < SUNSET_NEAR {
            let message = format!("version {version} of its API ends on {day}");
            Some(line("API version", CheckState::Warning, message, Some("plan for a newer connector")))
        } else {
            None
        }
    }
}

fn clock_line(answer: &Answer, now: Timestamp) -> Option<CheckLine> {
    let date = answer.headers.get("date")?;
    let there = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let skew = there.duration_since(now).abs();
    Some(if skew > CLOCK_SKEW {
        let message = format!("its clock and ours are {} s apart", skew.as_secs());
        line("clock", CheckState::Warning, message, Some("set both by NTP"))
    } else {
        line("clock", CheckState::Ok, "agrees with ours".into(), None)
    })
}

fn line(name: &str, state: CheckState, message: String, help: Option<&str>) -> CheckLine {
    CheckLine { name: name.to_owned(), state, message, help: help.map(str::to_owned) }
}
