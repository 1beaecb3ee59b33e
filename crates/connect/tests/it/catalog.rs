//! Folders, overlays, and errors that say where they are.

use std::collections::BTreeMap;

use counterpart_connect::catalog::{Catalog, Connector, MANIFEST};

use crate::server::head;

fn load(manifest: &str, files: &[(&str, &str)]) -> Result<Connector, Vec<String>> {
    let mut all = BTreeMap::from([(MANIFEST.to_owned(), manifest.to_owned())]);
    all.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    Connector::load("acme", all).map_err(|found| found.iter().map(ToString::to_string).collect())
}

fn refuse(manifest: &str, files: &[(&str, &str)], expect: &str) {
    let problems = load(manifest, files).unwrap_err();
    assert!(problems.iter().any(|p| p.contains(expect)), "expected `{expect}` in {problems:?}");
}

#[test]
fn every_error_says_where_it_is() {
    let good = head("rest", "");
    assert!(load(&good, &[]).is_ok());
    refuse(&good.replace("title =", "titel ="), &[], "acme/connector.toml:3:1: unknown field `titel`");
    refuse(&good.replace("\"rest\"", "\"soap\""), &[], "acme/connector.toml:4:10");
    // An inline program: line and column of the manifest.
    let inline = good.replace("\"path\": \"/health\"", "\"path\": nonsense");
    refuse(&inline, &[], "acme/connector.toml:9:38");
    // A file: its own line and column.
    let file = head("rest", "[[checks]]\nname = \"a\"\nexpect = \"a.vrl\"");
    refuse(&file, &[], "there is no file `a.vrl`");
    refuse(&file, &[("a.vrl", "# one\n1 +\n")], "acme/a.vrl:");
}

#[test]
fn contradictions_are_found_before_anything_runs() {
    for (rest, expect) in [
        ("[auth]\nscheme = \"bearer\"\nsecret = \"key\"", "auth.secret: must name one of [secrets.*]"),
        ("[auth]\nscheme = \"session\"", "a session needs `login` and `token`"),
        ("[[errors]]\nstatus = [400]\nequals = \"X\"\nclass = \"rejected\"", "not where it is"),
        ("[[errors]]\nat = \".error.message\"\nprefix = \"No\"\nclass = \"rejected\"", "compare a code"),
        ("[[errors]]\nat = \".a b\"\nclass = \"rejected\"", "is no path"),
        ("[watch.a]\ntypes = [\"x\"]\nfetch = \"none\"\ninterval_s = 1", "there is no such [fetch.*]"),
        ("[operations.\"order.upsert\"]\nresult = '{}'", "give either `steps` or `batch`"),
        (
            "[operations.\"order.upsert\"]\nresult = '{}'\n[[operations.\"order.upsert\".steps]]\nname = \"a\"\nwrites = true\nrequest = 'null'",
            "how it is `idempotent`",
        ),
        ("[operations.\"order.ship\"]\nresult = '{}'", "expected a record kind, a dot and an action"),
        ("[settings.a]\nhelp = \"x\"\ndefault = \"1\"\ntype = \"integer\"", "must be a whole number"),
        ("headers = { x = \"{tenant}\" }", "`{tenant}` stands for a setting that is not declared"),
    ] {
        refuse(&head("rest", rest), &[], expect);
    }
    refuse(&head("rest", "").replace("name = \"acme\"", "name = \"other\""), &[], "but the folder is `acme`");
}

#[test]
fn an_overlay_lies_on_top() {
    let shipped = Catalog::load(&BTreeMap::new()).unwrap();
    assert!(!shipped.names().is_empty());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("acme")).unwrap();
    std::fs::write(folder.path().join("acme").join(MANIFEST), head("rest", "")).unwrap();
    let with = Catalog::load_folder(Some(folder.path())).unwrap();
    assert_eq!(with.names().len(), shipped.names().len() + 1);
    assert!(with.get("acme").is_some() && shipped.get("acme").is_none());

    // A file that replaces one of a shipped folder changes its hash, whatever it does.
    let name = shipped.names()[0].to_owned();
    let before = shipped.get(&name).unwrap();
    let (file, text) = before.files.iter().find(|(path, _)| path.ends_with(".vrl")).unwrap();
    let overlay = BTreeMap::from([(format!("{name}/{file}"), format!("{text}\n# ours\n"))]);
    assert_ne!(Catalog::load(&overlay).unwrap().get(&name).unwrap().hash, before.hash);

    let stray = BTreeMap::from([("nobody/x.vrl".to_owned(), String::new())]);
    assert!(Catalog::load(&stray).unwrap_err().to_string().contains("has no manifest"));
}
