//! The arguments as typed. The documentation on each is its help text.
//!
//! Never: checks more than can be said about one argument alone; what belongs together is checked in [`crate::input`].

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use counterpart_model::kind::Kind;

/// Keeps an online seller's stores, ERP and CRM telling the same story.
///
/// A first time: `counterpart init`, fill in counterpart.toml, `counterpart check`, `counterpart apply`, `counterpart
/// serve`. Then ask: `counterpart explain order 1001`.
#[derive(Debug, Parser)]
#[command(name = "counterpart", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 unexpected failure, 2 bad input, 3 not found, 4 problems or differences \
                          found, 5 something needed is not available.";

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Options for every command")]
pub struct Global {
    /// Configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "COUNTERPART_CONFIG",
        hide_env_values = true,
        default_value = "counterpart.toml"
    )]
    pub config: PathBuf,
    /// Writes exactly one JSON document to standard output, and errors as JSON to standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// Leaves colours out, as does the environment variable NO_COLOR.
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Logs more: -v debug, -vv everything. The environment variable COUNTERPART_LOG sets levels by module.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// How log lines on standard error look.
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    pub log: LogForm,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes a first configuration file and a new master key.
    ///
    /// Makes counterpart.toml (with every section explained), counterpart.key (readable by you alone) and an entry in
    /// .gitignore, beside the file that --config names. Never overwrites anything.
    Init(Init),
    /// Tries every connection of the configuration file: address, credentials, permissions, mappings.
    ///
    /// Changes nothing anywhere. Exits with 4 when something failed.
    Check,
    /// Shows what the configuration file would change in the active revision.
    #[command(args_conflicts_with_subcommands = true)]
    Plan(Plan),
    /// Makes the configuration file the active revision, after showing the plan.
    ///
    /// A running `counterpart serve` takes it over by itself.
    Apply(Apply),
    /// Writes the active revision: the configuration and every file that it names.
    Export(Export),
    /// Runs the hub: takes webhooks, polls, delivers, answers the API.
    ///
    /// Stops at SIGTERM or Ctrl-C: takes nothing new and lets what runs finish; at a second one it stops at once.
    Serve,
    /// Shows how everything stands: connections, flows, what waits, and whether the counts add up.
    Status,
    /// Tells everything about one record: where it is, what happened, what waits and why, what happens next.
    #[command(after_help = "Example: counterpart explain order 1001")]
    Explain(Explain),
    /// Shows what waits for a person, and settles it.
    #[command(subcommand)]
    Review(Review),
    /// Delivers again what changed since a moment, along one flow.
    #[command(after_help = "Example: counterpart replay --flow orders --since 2h --dry-run")]
    Replay(Replay),
    /// Tries mappings before they are live.
    #[command(subcommand)]
    Mapping(Mapping),
    /// Keeps secrets in the database, encrypted.
    #[command(subcommand)]
    Secret(Secret),
    /// Shows the connectors there are, or everything about one.
    Connectors {
        /// Connector to show.
        name: Option<String>,
    },
    /// Lists the kinds of record, or shows the JSON Schema of one.
    Kinds {
        /// Kind to show.
        #[arg(value_parser = kind_parser(), value_name = "KIND", hide_possible_values = true)]
        name: Option<Kind>,
    },
    /// Shows it at work: a store, an ERP and a CRM, emulated on this machine, and people who buy and ship.
    ///
    /// Needs nothing and reaches nothing outside. Without --orders it goes on until Ctrl-C. With --headless it runs until
    /// everything is at rest, counts by asking the emulated systems, and exits with 4 when anything is not as it must be.
    #[command(after_help = "Example: counterpart demo --headless --orders 200 --seed 7 --faults --json")]
    Demo(Demo),
    /// The hub of a demo, on the demo's clock.
    #[command(hide = true)]
    DemoHub {
        /// The clock, as the demo writes it.
        #[arg(long)]
        clock: String,
    },
    /// Shows the version.
    Version,
}

#[derive(Debug, ClapArgs)]
pub struct Demo {
    /// Shows nothing while it runs, and ends when everything is at rest.
    #[arg(long, requires = "orders")]
    pub headless: bool,
    /// How many orders are placed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub orders: Option<u64>,
    /// Where the random choices begin: the same seed places the same orders.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Lets things go wrong: throttling, errors, lost answers, late, repeated and lost webhooks, a hub that is killed.
    #[arg(long)]
    pub faults: bool,
    /// How often the hub is killed, with --faults and --orders.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub kills: u8,
    /// How late a webhook may come, in hours of the demo's time, with --faults. Waiting for rest takes that long.
    #[arg(long, value_name = "HOURS", default_value_t = 3)]
    pub latest_hours: u8,
    /// How long each system is down once, in minutes of the demo's time, with --faults.
    #[arg(long, value_name = "MINUTES")]
    pub down_minutes: Option<u16>,
    /// How many seconds go by in each real one.
    #[arg(long, value_name = "FACTOR", value_parser = speed)]
    pub speed: Option<f64>,
    /// Seconds of the demo's time between two orders.
    #[arg(long, value_name = "SECONDS", value_parser = speed)]
    pub every: Option<f64>,
    /// Port that the hub listens on; without it any free one.
    #[arg(long)]
    pub port: Option<u16>,
    /// Folder for database, configuration and log, which is kept; without it one for the time of the run.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Keeps the folder of the run.
    #[arg(long)]
    pub keep: bool,
    /// Gives up waiting for rest after so many real seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub timeout: u64,
}

/// A number above nothing.
fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() && (0.01..=1000.0).contains(&n) => Ok(n),
        _ => Err("expected a number from 0.01 to 1000".to_owned()),
    }
}

#[derive(Debug, ClapArgs)]
pub struct Init {
    /// Goes on when some of the files are there already, and writes only those that are missing.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Plan {
    /// Exits with 4 when there is anything to change.
    #[arg(long)]
    pub detailed_exitcode: bool,
    #[command(subcommand)]
    pub what: Option<PlanWhat>,
}

#[derive(Debug, Subcommand)]
pub enum PlanWhat {
    /// Plans a load against the limits that the connections have: requests for each order, what polling takes, which
    /// limit is reached first and what to change.
    ///
    /// Reckoned from the configuration file with assumptions that are shown; nothing is called. Exits with 4 when a
    /// limit is exceeded at the peak.
    #[command(after_help = "Example: counterpart plan limits --orders-per-day 10000 --peak 10")]
    Limits(Limits),
}

#[derive(Debug, ClapArgs)]
pub struct Limits {
    /// Orders of a day.
    #[arg(long, value_name = "N", value_parser = amount)]
    pub orders_per_day: f64,
    /// Orders of the busiest second; without it ten times the day's mean.
    #[arg(long, value_name = "N", value_parser = amount)]
    pub peak: Option<f64>,
    /// Lines of an order.
    #[arg(long, value_name = "N", default_value = "3", value_parser = amount)]
    pub lines: f64,
}

/// A finite number above zero.
fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        Ok(_) => Err("must be above zero".into()),
        Err(_) => Err("is no number".into()),
    }
}

#[derive(Debug, ClapArgs)]
pub struct Apply {
    /// Does not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Why, for whoever looks at the revisions later.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub note: String,
}

#[derive(Debug, ClapArgs)]
pub struct Export {
    /// Folder to write into, made when missing; nothing in it is overwritten. Without it, the configuration goes to
    /// standard output.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// Kind of record, such as `order` (see `counterpart kinds`).
    #[arg(value_parser = kind_parser(), hide_possible_values = true)]
    pub kind: Kind,
    /// Its number, its id in one of the systems, what people call it, or its record id.
    pub what: String,
    /// Shows the canonical payload too, which may hold personal data.
    #[arg(long)]
    pub payload: bool,
}

#[derive(Debug, Subcommand)]
pub enum Review {
    /// Lists what waits, newest first.
    List(ReviewList),
    /// Shows one item with its particulars.
    Show {
        /// Number of the item.
        id: i64,
    },
    /// Tries again what waits.
    Retry(Settle),
    /// Changes the record by a merge patch (RFC 7396), then tries again.
    Edit(Edit),
    /// Throws away what waits; who did it stays on record.
    Discard(Settle),
}

#[derive(Debug, ClapArgs)]
pub struct ReviewList {
    /// Shows closed ones too.
    #[arg(long)]
    pub all: bool,
    /// Only those with this reason, such as `rejected`.
    #[arg(long)]
    pub reason: Option<String>,
    /// Only those of this connection.
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
}

#[derive(Debug, ClapArgs)]
pub struct Settle {
    /// Numbers of the items.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<i64>,
    #[command(flatten)]
    pub by: By,
}

#[derive(Debug, ClapArgs)]
pub struct Edit {
    /// Number of the item.
    pub id: i64,
    /// File with the patch (a JSON object), or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub patch: PathBuf,
    #[command(flatten)]
    pub by: By,
}

#[derive(Debug, ClapArgs)]
pub struct By {
    /// Who decides; goes on record. Your user name unless given.
    #[arg(
        long,
        value_name = "NAME",
        env = "USER",
        hide_env_values = true,
        default_value = "cli",
        hide_default_value = true
    )]
    pub by: String,
}

#[derive(Debug, ClapArgs)]
pub struct Replay {
    /// Flow to deliver along.
    #[arg(long)]
    pub flow: String,
    /// Records that changed since then: a time such as 2026-11-25T08:00:00Z, or how long ago, such as 2h or 3d.
    #[arg(long, value_name = "TIME")]
    pub since: String,
    /// Only tells what would differ.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub by: By,
}

#[derive(Debug, Subcommand)]
pub enum Mapping {
    /// Runs a read mapping of the configuration file on a sample, and checks what comes out.
    ///
    /// Exits with 4 when something is wrong.
    Test(MappingTest),
    /// Lists captured samples, newest first.
    Samples {
        /// Connection whose samples to list.
        #[arg(long, value_name = "NAME")]
        connection: String,
        /// Only those of this topic.
        #[arg(long)]
        topic: Option<String>,
    },
}

#[derive(Debug, ClapArgs)]
pub struct MappingTest {
    /// Connection whose mapping to run.
    #[arg(long, value_name = "NAME")]
    pub connection: String,
    /// Topic whose mapping to run.
    #[arg(long)]
    pub topic: String,
    /// File with a sample, or `-` for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "captured", conflicts_with = "captured")]
    pub sample: Option<PathBuf>,
    /// Captured sample to use (see `counterpart mapping samples`).
    #[arg(long, value_name = "ID")]
    pub captured: Option<i64>,
}

#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Keeps a secret under a name; the value is read from standard input.
    #[command(after_help = "Example: counterpart secret set erp-password < password.txt\n\
                            Name it in the configuration as { stored = \"erp-password\" }.")]
    Set {
        /// Name of the secret.
        name: String,
    },
    /// Lists the names of the secrets kept, never their values.
    List,
}

fn kind_parser() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.as_str())).try_map(|text| text.parse::<Kind>())
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::Args;

    fn pages(command: &mut Command, path: &str, into: &mut String) {
        let page = command.clone().term_width(80).render_long_help().to_string();
        // Options for every command are the same on every page: the first tells them.
        let end = if into.is_empty() { None } else { page.find("Options for every command:") };
        let after = page.find("\nExample: ").map_or("", |at| &page[at..]);
        let page = end.map_or(page.clone(), |end| format!("{}{after}", &page[..end]));
        into.push_str(&format!("━━ {path}\n\n{}\n\n", page.trim_end()));
        for name in command.get_subcommands().map(|c| c.get_name().to_owned()).collect::<Vec<_>>() {
            if let Some(sub) = command.find_subcommand_mut(&name) {
                pages(sub, &format!("{path} {name}"), into);
            }
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    /// Every help page, so that a change of any is seen.
    #[test]
    fn help() {
        let mut text = String::new();
        let mut command = Args::command();
        command.build();
        pages(&mut command, "counterpart", &mut text);
        insta::assert_snapshot!(text);
    }
}
