//! Holds every request of the connectors' conformance suite against what the vendors publish about their APIs.
//!
//! What is published lies outside the project, in a folder that is named on the command line; which files of it belong to
//! a connector, and what is known to differ from them, its own `contract.toml` says. Never: knows a vendor; takes a
//! contract into the project; lets a connector pass of which nothing was checked.

mod file;
mod graphql;
mod introspection;
mod notes;
mod odata;
mod odata_query;
mod openapi;
mod schema;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use counterpart_connect::catalog::{CONTRACT, Catalog, Connector};
use counterpart_connect::requests::{Request, Requests, requests};

use crate::{root, say};
use notes::{Kind, Notes};

/// Holds the connectors' requests against the vendors' published contracts.
#[derive(clap::Args)]
pub struct Args {
    /// The folder with the published contracts.
    #[arg(long, required_unless_present = "list")]
    folder: Option<PathBuf>,
    /// Looks at this connector only; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Checks nothing and prints every request as a line of JSON.
    #[arg(long)]
    list: bool,
}

/// What a kind of contract can say of a request.
trait Contract {
    /// Everything that is wrong with a request.
    fn check(&self, request: &Request) -> Vec<String>;

    /// What is wrong besides, once all requests were checked, each with the file that it is in.
    fn at_last(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What was found of one connector.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    checked: usize,
    left_alone: usize,
    /// Lines that begin with what they come from.
    breaches: Vec<String>,
}

/// Checks, prints counts, and fails when there is a breach or a connector of which nothing was checked.
pub fn run(args: &Args) -> Result<()> {
    let catalog = Catalog::load_folder(Some(&root().join("connectors")))?;
    let chosen: Vec<_> =
        catalog.iter().filter(|c| args.only.is_empty() || args.only.contains(&c.name)).collect();
    if chosen.is_empty() {
        bail!("there is no connector of that name");
    }
    if args.list {
        return chosen.iter().try_for_each(|connector| list(&requests(connector)));
    }
    let folder = args.folder.as_deref().context("--folder is missing")?;
    let (mut breaches, mut held) = (Vec::new(), 0);
    for connector in chosen {
        let Some(text) = connector.files.get(CONTRACT) else {
            say(format!("contracts: {} names no published contract", connector.name));
            continue;
        };
        held += 1;
        let found =
            hold(connector, text, folder).with_context(|| format!("{}/{CONTRACT}", connector.name))?;
        breaches.extend(found.breaches.iter().map(|breach| format!("{}: {breach}", connector.name)));
    }
    if held == 0 {
        bail!("no connector names a published contract");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of published contracts:\n{}", breaches.len(), breaches.join("\n"));
    }
    say("contracts: no breach");
    Ok(())
}

fn hold(connector: &Connector, notes: &str, folder: &Path) -> Result<Found> {
    let notes: Notes = toml::from_str(notes)?;
    let made = requests(connector);
    let contract: Box<dyn Contract> = match notes.kind {
        Kind::Graphql => Box::new(graphql::Graphql::read(&notes, folder, &connector.files)?),
        Kind::Openapi => Box::new(openapi::OpenApi::read(&notes, folder)?),
        Kind::Odata => Box::new(odata::OData::read(&notes, folder)?),
    };
    let found = judge(&notes, &made, contract.as_ref());
    let name = &connector.name;
    say(format!(
        "contracts: {name}: {} requests checked, {} left alone, {} breaches",
        found.checked,
        found.left_alone,
        found.breaches.len()
    ));
    if !made.unasked.is_empty() {
        say(format!("contracts: {name}: no request was made by {}", made.unasked.join(", ")));
    }
    Ok(found)
}

/// Checks what was made, in the order in which it was made.
fn judge(notes: &Notes, made: &Requests, contract: &dyn Contract) -> Found {
    let mut found = Found::default();
    let mut unused: Vec<_> = notes.outside.iter().collect();
    for broken in &made.broken {
        found.breaches.push(format!("{}: {}", broken.from, broken.message));
    }
    for request in &made.made {
        if let Some(rule) = notes.outside.iter().find(|rule| rule.applies(&request.path)) {
            unused.retain(|other| other.path != rule.path);
            found.left_alone += 1;
            continue;
        }
        found.checked += 1;
        let wrong = contract.check(request).into_iter();
        let at = format!("{}: {} {}", request.from, request.method, request.path);
        found.breaches.extend(wrong.map(|message| format!("{at}: {message}")));
    }
    found.breaches.extend(contract.at_last());
    let idle =
        |rule: &&notes::Outside| format!("{CONTRACT}: no request goes to `{}`: take it out", rule.path);
    found.breaches.extend(unused.iter().map(idle));
    if found.checked == 0 {
        found.breaches.push(format!("{CONTRACT}: no request was checked"));
    }
    found
}

#[allow(clippy::print_stdout)]
fn list(requests: &Requests) -> Result<()> {
    for request in &requests.made {
        println!("{}", serde_json::to_string(request)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use counterpart_connect::requests::Broken;
    use serde_json::Value;

    use super::*;

    /// A request as the suite makes it.
    pub fn request(method: &str, path: &str, query: &[(&str, &str)], body: Value) -> Request {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Request {
            connector: "acme".into(),
            from: "samples/a.json".into(),
            method: method.into(),
            path: path.into(),
            query: query.iter().map(pair).collect(),
            headers: Vec::new(),
            body,
        }
    }

    /// Writes a contract into a folder and says where that is.
    pub fn folder(name: &str, text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        folder
    }

    struct NoPuts;

    impl Contract for NoPuts {
        fn check(&self, request: &Request) -> Vec<String> {
            if request.method == "PUT" { vec!["no PUT".into()] } else { Vec::new() }
        }
    }

    #[test]
    fn a_breach_says_where_it_is_from_and_idle_rules_are_breaches() {
        let notes = |outside: &str| {
            toml::from_str::<Notes>(&format!("kind = \"openapi\"\nfiles = [\"a.json\"]\n{outside}")).unwrap()
        };
        let made = |list: &[(&str, &str)]| Requests {
            made: list.iter().map(|(m, p)| request(m, p, &[], Value::Null)).collect(),
            ..Requests::default()
        };
        let login = "[[outside]]\npath = \"/*/token\"\nwhy = \"x\"";
        let good = judge(&notes(login), &made(&[("GET", "/a"), ("POST", "/t/token")]), &NoPuts);
        assert_eq!(good, Found { checked: 1, left_alone: 1, breaches: Vec::new() });
        let bad = judge(&notes(""), &made(&[("PUT", "/a")]), &NoPuts);
        assert_eq!(bad.breaches, ["samples/a.json: PUT /a: no PUT"]);
        let idle = judge(&notes(login), &made(&[("GET", "/a")]), &NoPuts);
        assert_eq!(idle.breaches, ["contract.toml: no request goes to `/*/token`: take it out"]);
        // Nothing was checked: that is never fine.
        let none = judge(&notes(login), &made(&[("POST", "/t/token")]), &NoPuts);
        assert_eq!(none.breaches, ["contract.toml: no request was checked"]);
        let broken = Requests {
            broken: vec![Broken { from: "health.request".into(), message: "fails".into() }],
            ..made(&[("GET", "/a")])
        };
        assert_eq!(judge(&notes(""), &broken, &NoPuts).breaches, ["health.request: fails"]);
    }
}
