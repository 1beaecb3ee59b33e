//! What each command does: asks the hub one thing, hands the answer to its page, says the exit code.
//!
//! Never: renders (see [`crate::output`]).

use std::path::{Component, Path};
use std::sync::Arc;

use counterpart_hub::hub::{Hub, Sample};
use counterpart_hub::limits::Load;
use counterpart_hub::plan::Bundle;
use counterpart_hub::views::{PlanView, ReviewQuery, ReviewView};
use counterpart_model::clock::Clock;
use counterpart_sandbox::clock::FastClock;
use jiff::Timestamp;
use serde_json::json;

use crate::args::{self, Args, Command};
use crate::errors::{Exit, Failure};
use crate::output::{self, Out};
use crate::{demo, init, input, serve};

/// The machine's clock.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

type Answer = Result<Exit, Failure>;

/// Carries a command out.
///
/// # Errors
/// What was wrong, what to do, and the exit code.
pub async fn run(args: Args, out: &Out) -> Answer {
    let config = &args.global.config;
    match args.command {
        Command::Init(ask) => first_files(out, config, ask.force),
        Command::Kinds { name } => kinds(out, name),
        Command::Version => version(out),
        Command::Serve => serve::serve(config, Arc::new(SystemClock)).await,
        Command::Demo(ask) => {
            serve::install_crypto();
            demo::demo(&ask, out).await
        }
        Command::DemoHub { clock } => {
            let clock: FastClock = clock.parse().map_err(Failure::bad_input)?;
            demo::end_with_the_demo();
            serve::serve(config, Arc::new(clock)).await
        }
        command => {
            serve::install_crypto();
            let hub = Hub::open(config, Arc::new(SystemClock)).await?;
            ask(command, &hub, out).await
        }
    }
}

async fn ask(command: Command, hub: &Hub, out: &Out) -> Answer {
    match command {
        Command::Check => check(hub, out).await,
        Command::Plan(ask) => plan(hub, out, &ask).await,
        Command::Apply(ask) => apply(hub, out, &ask).await,
        Command::Export(ask) => export(hub, out, &ask).await,
        Command::Status => status(hub, out).await,
        Command::Explain(ask) => explain(hub, out, &ask).await,
        Command::Review(ask) => review(hub, out, ask).await,
        Command::Replay(ask) => replay(hub, out, &ask).await,
        Command::Mapping(ask) => mapping(hub, out, ask).await,
        Command::Secret(ask) => secret(hub, out, ask).await,
        Command::Connectors { name } => connectors(hub, out, name.as_deref()),
        // Carried out above, without a hub.
        Command::Init(_)
        | Command::Kinds { .. }
        | Command::Version
        | Command::Serve
        | Command::Demo(_)
        | Command::DemoHub { .. } => Ok(Exit::Done),
    }
}

fn first_files(out: &Out, config: &Path, force: bool) -> Answer {
    let made = init::init(config, force)?;
    out.answer(&made, |page| init::page(&made, config, page));
    Ok(Exit::Done)
}

async fn check(hub: &Hub, out: &Out) -> Answer {
    let lines = hub.check().await?;
    out.answer(&lines, |page| output::config::check(&lines, page));
    let failed = lines.iter().any(|line| line.state == "failed");
    Ok(if failed { Exit::Problems } else { Exit::Done })
}

async fn plan(hub: &Hub, out: &Out, ask: &args::Plan) -> Answer {
    if let Some(args::PlanWhat::Limits(ask)) = &ask.what {
        return plan_limits(hub, out, ask).await;
    }
    let plan = hub.plan().await?;
    out.answer(&plan, |page| output::config::plan(&plan, page));
    let differs = ask.detailed_exitcode && !plan.items.is_empty();
    Ok(if differs || !plan.problems.is_empty() { Exit::Problems } else { Exit::Done })
}

async fn plan_limits(hub: &Hub, out: &Out, ask: &args::Limits) -> Answer {
    let peak_per_s = ask.peak.unwrap_or(ask.orders_per_day / 86_400.0 * 10.0);
    let load = Load { orders_per_day: ask.orders_per_day, peak_per_s, lines: ask.lines };
    let view = hub.plan_limits(&load).await?;
    out.answer(&view, |page| output::limits::page(&view, page));
    let exceeded = view.connections.iter().flat_map(|c| &c.limits).any(|l| l.peak_share > 1.0);
    Ok(if exceeded { Exit::Problems } else { Exit::Done })
}

/// Shows the plan, asks, applies. What is applied is what was shown: its base is given along.
async fn apply(hub: &Hub, out: &Out, ask: &args::Apply) -> Answer {
    let plan = hub.plan().await?;
    if !out.json() {
        out.answer(&plan, |page| output::config::plan(&plan, page));
    }
    if !plan.problems.is_empty() {
        return Err(Failure::problems(
            "what is declared cannot run, and nothing was applied",
            problems(&plan, out),
        ));
    }
    if plan.items.is_empty() && plan.base.is_some() {
        if out.json() {
            out.answer(&json!({ "revision": plan.base, "applied": false }), |_| String::new());
        }
        return Ok(Exit::Done);
    }
    if !ask.yes && !input::confirm("Apply this?")? {
        return Err(Failure::bad_input("nothing was applied"));
    }
    let revision = hub.apply(plan.base, &ask.note).await?;
    out.answer(&json!({ "revision": revision, "applied": true }), |page| {
        page.text(
            "✓ ",
            &format!("Revision {revision} is active. A running hub takes it over within seconds."),
        )
    });
    Ok(Exit::Done)
}

/// The page has told them already; JSON has not.
fn problems(plan: &PlanView, out: &Out) -> Vec<String> {
    if out.json() { plan.problems.clone() } else { Vec::new() }
}

async fn export(hub: &Hub, out: &Out, ask: &args::Export) -> Answer {
    let bundle = hub.export().await?;
    let Some(folder) = &ask.out else {
        out.answer(&bundle, |_| bundle.config.clone());
        if !out.json() && !bundle.files.is_empty() {
            input::say(&format!(
                "{} file(s) more belong to it: `--out DIR` writes them all",
                bundle.files.len()
            ));
        }
        return Ok(Exit::Done);
    };
    let written = write_bundle(&bundle, folder)?;
    out.answer(&json!({ "written": written }), |page| {
        written.iter().map(|path| page.text("✓ ", &format!("wrote {path}"))).collect()
    });
    Ok(Exit::Done)
}

fn write_bundle(bundle: &Bundle, folder: &Path) -> Result<Vec<String>, Failure> {
    let mut files = vec![("counterpart.toml", bundle.config.as_str())];
    files.extend(bundle.files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let mut written = Vec::new();
    // Looked at before the first is written, so that nothing is half done.
    for (path, _) in &files {
        if !Path::new(path).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
            return Err(Failure::bad_input(format!(
                "the revision names the file `{path}`, which would lie outside {}",
                folder.display()
            )));
        }
        if folder.join(path).exists() {
            return Err(Failure::bad_input(format!(
                "{} is there already, and nothing was written",
                folder.join(path).display()
            ))
            .hint("name an empty folder"));
        }
    }
    for (path, text) in files {
        let full = folder.join(path);
        let parent = full.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&full, text))
            .map_err(|e| Failure::unavailable(format!("cannot write {}: {e}", full.display())))?;
        written.push(full.display().to_string());
    }
    Ok(written)
}

async fn status(hub: &Hub, out: &Out) -> Answer {
    let status = hub.status().await?;
    out.answer(&status, |page| output::status::page(&status, page));
    Ok(Exit::Done)
}

async fn explain(hub: &Hub, out: &Out, ask: &args::Explain) -> Answer {
    let all = hub.explain(ask.kind, &ask.what, ask.payload).await?;
    out.answer(&all, |page| output::explain::page(&all, page));
    Ok(Exit::Done)
}

async fn review(hub: &Hub, out: &Out, ask: args::Review) -> Answer {
    match ask {
        args::Review::List(ask) => {
            let all = ask.all;
            let query =
                ReviewQuery { all, reason: ask.reason, connection: ask.connection, limit: Some(ask.limit) };
            let reviews = hub.reviews(query).await?;
            out.answer(&reviews, |page| output::reviews::list(&reviews, all, page));
        }
        args::Review::Show { id } => {
            let review = hub.review(id).await?;
            out.answer(&review, |page| output::reviews::show(&review, page));
        }
        args::Review::Retry(ask) => settle(hub, out, &ask, "tried again").await?,
        args::Review::Discard(ask) => settle(hub, out, &ask, "discarded").await?,
        args::Review::Edit(ask) => {
            hub.edit(ask.id, input::patch(&ask.patch)?, &ask.by.by).await?;
            let after = vec![hub.review(ask.id).await?];
            out.answer(&after, |page| output::reviews::settled(&after, "edited and tried again", page));
        }
    }
    Ok(Exit::Done)
}

/// Settles each; when one fails, those before it are told before the failure is.
async fn settle(hub: &Hub, out: &Out, ask: &args::Settle, how: &str) -> Result<(), Failure> {
    let mut after = Vec::new();
    let mut result = Ok(());
    for id in &ask.ids {
        result = settle_one(hub, *id, &ask.by.by, how, &mut after).await;
        if result.is_err() {
            break;
        }
    }
    if result.is_ok() || !after.is_empty() {
        out.answer(&after, |page| output::reviews::settled(&after, how, page));
    }
    result
}

async fn settle_one(
    hub: &Hub,
    id: i64,
    by: &str,
    how: &str,
    after: &mut Vec<ReviewView>,
) -> Result<(), Failure> {
    match how {
        "discarded" => hub.discard(id, by).await?,
        _ => hub.retry(id, by).await?,
    }
    after.push(hub.review(id).await?);
    Ok(())
}

async fn replay(hub: &Hub, out: &Out, ask: &args::Replay) -> Answer {
    let since = input::since(&ask.since, Timestamp::now())?;
    let report = hub.replay(&ask.flow, since, ask.dry_run, &ask.by.by).await?;
    out.answer(&report, |page| output::reviews::replay(&report, page));
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Problems })
}

async fn mapping(hub: &Hub, out: &Out, ask: args::Mapping) -> Answer {
    match ask {
        args::Mapping::Samples { connection, topic } => {
            let samples = hub.samples(&connection, topic.as_deref()).await?;
            out.answer(&samples, |page| output::lists::samples(&samples, page));
            Ok(Exit::Done)
        }
        args::Mapping::Test(ask) => {
            let sample = match (ask.captured, &ask.sample) {
                (Some(id), _) => Sample::Captured(id),
                (None, Some(path)) => Sample::Given(input::bytes(path)?),
                (None, None) => {
                    return Err(Failure::bad_input("no sample is given; give --sample or --captured"));
                }
            };
            let report = hub.try_mapping(&ask.connection, &ask.topic, sample).await?;
            out.answer(&report, |page| output::config::mapping(&report, page));
            Ok(if report.ok { Exit::Done } else { Exit::Problems })
        }
    }
}

async fn secret(hub: &Hub, out: &Out, ask: args::Secret) -> Answer {
    match ask {
        args::Secret::Set { name } => {
            let value = input::secret(&name)?;
            hub.secret_set(&name, value).await?;
            out.answer(&json!({ "name": name }), |page| page.text("✓ ", &format!("Secret {name} is kept.")));
        }
        args::Secret::List => {
            let names = hub.secret_list().await?;
            out.answer(&names, |page| output::lists::secrets(&names, page));
        }
    }
    Ok(Exit::Done)
}

fn connectors(hub: &Hub, out: &Out, name: Option<&str>) -> Answer {
    let all = hub.connectors()?;
    let Some(name) = name else {
        out.answer(&all, |page| output::config::connectors(&all, page));
        return Ok(Exit::Done);
    };
    let one = all.iter().find(|c| c.name == name).ok_or_else(|| {
        Failure::not_found(format!("there is no connector `{name}`"))
            .hint("`counterpart connectors` lists them")
    })?;
    out.answer(one, |page| output::config::connector(one, page));
    Ok(Exit::Done)
}

fn kinds(out: &Out, name: Option<counterpart_model::kind::Kind>) -> Answer {
    match name {
        Some(kind) => {
            let schema = counterpart_model::schema::schema(kind);
            out.answer(&schema, |_| format!("{schema:#}\n"));
        }
        None => {
            let all = output::lists::kinds();
            out.answer(&all, |page| output::lists::kinds_page(&all, page));
        }
    }
    Ok(Exit::Done)
}

fn version(out: &Out) -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    out.answer(&json!({ "version": version }), |_| format!("counterpart {version}\n"));
    Ok(Exit::Done)
}
