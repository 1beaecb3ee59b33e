//! From what is declared to what runs: check, plan, apply, and trying a mapping before it is live.
//!
//! Never: makes a revision active that cannot run.

use std::path::Path;

use counterpart_connect::connection::CheckState;
use counterpart_store::StoreError;
use serde_json::Value;

use crate::active::Active;
use crate::error::HubError;
use crate::hub::{Sample, stored_secrets};
use crate::limits::{self, Load};
use crate::notices;
use crate::plan::{self, Bundle};
use crate::shared::Shared;
use crate::views::*;

/// Builds a bundle with the database's secrets.
///
/// # Errors
/// Every problem found.
pub async fn build(shared: &Shared, revision: Option<i64>, bundle: &Bundle) -> Result<Active, HubError> {
    let config = crate::config::Config::parse(&shared.path, &bundle.config)?;
    let stored = stored_secrets(shared, &config).await?;
    let active =
        Active::build(revision, bundle, &shared.path, &stored, &shared.clock).map_err(HubError::Refused)?;
    let problems: Vec<String> = active
        .config
        .notices
        .iter()
        .filter_map(|(name, notice)| notices::check(name, notice).err())
        .flatten()
        .collect();
    if problems.is_empty() { Ok(active) } else { Err(HubError::Refused(problems)) }
}

/// Tries every connection of the file.
///
/// # Errors
/// When the file cannot be run at all.
pub async fn check(shared: &Shared) -> Result<Vec<CheckView>, HubError> {
    let (bundle, _) = Bundle::load(&shared.path)?;
    let active = build(shared, None, &bundle).await?;
    let mut lines = vec![CheckView {
        connection: "hub".into(),
        name: "configuration".into(),
        state: "ok".into(),
        message: format!(
            "{} connection(s) and {} flow(s) declared; every mapping compiles",
            active.config.connections.len(),
            active.config.flows.len()
        ),
        help: None,
    }];
    let links: Vec<_> = active.links.values().cloned().collect();
    let tries = links.iter().map(|link| async move { (link, link.connection.check().await) });
    for (link, found) in join_all(tries).await {
        lines.extend(found.into_iter().map(|line| {
            CheckView {
                connection: link.name.to_string(),
                name: line.name,
                state: match line.state {
                    CheckState::Ok => "ok",
                    CheckState::Warning => "warning",
                    CheckState::Failed => "failed",
                }
                .into(),
                message: line.message,
                help: line.help,
            }
        }));
    }
    Ok(lines)
}

/// Awaits futures one after the other's start; a handful of connections needs no more.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut out = Vec::new();
    for future in futures {
        out.push(future.await);
    }
    out
}

/// What the file would change.
///
/// # Errors
/// When the file cannot be read or parsed.
pub async fn plan(shared: &Shared) -> Result<PlanView, HubError> {
    let (bundle, _) = Bundle::load(&shared.path)?;
    let revision = shared.store.active_revision().await?;
    let before: Option<Bundle> = match &revision {
        Some(revision) => serde_json::from_value(revision.bundle.clone()).ok(),
        None => None,
    };
    let items = plan::plan(before.as_ref(), &bundle)?;
    let problems = match build(shared, None, &bundle).await {
        Ok(_) => Vec::new(),
        Err(HubError::Refused(problems)) => problems,
        Err(error) => return Err(error),
    };
    let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
    let items = items
        .into_iter()
        .map(|item| PlanItemView {
            change: item.what.into(),
            what: item.place,
            fields: item
                .fields
                .into_iter()
                .map(|f| DiffView { path: f.path, from: text(f.before), to: text(f.after) })
                .collect(),
        })
        .collect();
    Ok(PlanView { base: revision.map(|r| r.id), items, problems })
}

/// Plans a load against the limits of the file's connections.
///
/// # Errors
/// When the file cannot be run.
pub async fn plan_limits(shared: &Shared, load: &Load) -> Result<LimitsView, HubError> {
    let (bundle, _) = Bundle::load(&shared.path)?;
    Ok(limits::plan(&build(shared, None, &bundle).await?, load))
}

/// Makes the file the active revision.
///
/// # Errors
/// Refused with every problem; conflict when `base` is no longer the active revision.
pub async fn apply(shared: &Shared, base: Option<i64>, note: &str) -> Result<i64, HubError> {
    let (bundle, _) = Bundle::load(&shared.path)?;
    build(shared, None, &bundle).await?;
    let value = serde_json::to_value(&bundle).map_err(|e| HubError::BadInput(e.to_string()))?;
    shared.store.put_revision(base, value, note).await.map_err(|error| match error {
        StoreError::Conflict { .. } => HubError::Conflict(
            "another revision was applied after this plan was made: run `counterpart plan` again and look at what changed".into(),
        ),
        other => other.into(),
    })
}

/// Runs a read mapping of the file's connectors on a sample.
///
/// # Errors
/// For an unknown connection or sample.
pub async fn try_mapping(
    shared: &Shared,
    connection: &str,
    topic: &str,
    sample: Sample,
) -> Result<MappingReport, HubError> {
    let (bundle, _) = Bundle::load(&shared.path)?;
    let active = match build(shared, None, &bundle).await {
        Ok(active) => active,
        // A mapping that does not compile is what this command is there to show.
        Err(HubError::Refused(problems)) => {
            let problems = problems.iter().map(|text| located(text)).collect();
            return Ok(MappingReport { ok: false, output: None, problems });
        }
        Err(error) => return Err(error),
    };
    let link = active.links.iter().find(|(name, _)| name.as_str() == connection).map(|(_, link)| link);
    let link =
        link.ok_or_else(|| HubError::NotFound(format!("there is no connection `{connection}` in the file")))?;
    let body = match sample {
        Sample::Given(body) => body,
        Sample::Captured(id) => {
            let found = shared.store.sample(id).await?;
            let found = found.ok_or_else(|| {
                HubError::NotFound(format!(
                    "there is no captured sample {id}; `counterpart mapping samples --connection {connection}` lists them"
                ))
            })?;
            found.body.into_inner()
        }
    };
    let report =
        link.connection.try_read(topic, &body).map_err(|error| HubError::BadInput(error.to_string()))?;
    let problems = report
        .problems
        .into_iter()
        .map(|d| ProblemView {
            file: d.file,
            line: d.line,
            column: d.column,
            path: d.path,
            message: d.message,
            expected: d.expected,
            help: d.help,
        })
        .collect();
    Ok(MappingReport { ok: report.ok, output: report.output, problems })
}

/// `file:line:column: message` taken apart again.
fn located(text: &str) -> ProblemView {
    let mut parts = text.splitn(4, ':');
    let (file, line, column, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let number = |part: Option<&str>| part.and_then(|p| p.trim().parse().ok());
    let (place, message) = match (number(line), number(column), rest) {
        (Some(line), Some(column), Some(rest)) => ((file.unwrap_or_default(), line, column), rest.trim()),
        _ => (("", 0, 0), text),
    };
    ProblemView {
        file: place.0.into(),
        line: place.1,
        column: place.2,
        path: None,
        message: message.into(),
        expected: None,
        help: None,
    }
}

/// Connectors there are, overlays of the file included.
///
/// # Errors
/// When an overlay does not compile.
pub fn connectors(shared: &Shared) -> Result<Vec<ConnectorView>, HubError> {
    let overlays = match Bundle::load(Path::new(&shared.path)) {
        Ok((bundle, _)) => bundle.overlays(),
        Err(error) => return Err(error.into()),
    };
    let catalog = counterpart_connect::catalog::Catalog::load(&overlays)
        .map_err(|e| HubError::Refused(e.diagnostics.iter().map(ToString::to_string).collect()))?;
    Ok(catalog
        .iter()
        .map(|c| {
            let m = &c.manifest;
            ConnectorView {
                name: c.name.clone(),
                title: m.connector.title.clone(),
                version: m.connector.version.clone(),
                hash: c.hash.clone(),
                settings: m.settings.iter().map(|(name, s)| (name.clone(), s.help.clone())).collect(),
                secrets: m.secrets.iter().map(|(name, s)| (name.clone(), s.help.clone())).collect(),
                maps: m.reference_maps.iter().map(|(name, r)| (name.clone(), r.help.clone())).collect(),
                operations: m.operations.keys().map(ToString::to_string).collect(),
                streams: m.streams.keys().cloned().collect(),
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_problem_with_a_place_is_taken_apart() {
        let view = super::located("erp/order.vrl:3:7: expected a string: got an integer");
        assert_eq!((view.file.as_str(), view.line, view.column), ("erp/order.vrl", 3, 7));
        assert_eq!(view.message, "expected a string: got an integer");
        assert_eq!(super::located("connections.erp: no").message, "connections.erp: no");
    }
}
