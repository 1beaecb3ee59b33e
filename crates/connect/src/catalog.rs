//! The connectors there are: the shipped folders, with a user's overlay on top, loaded and compiled.
//!
//! Never: talks to a system; takes a folder with a program that does not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use counterpart_mapping::diagnostic::Diagnostic;
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use crate::manifest::{AuthScheme, Code, Driver, Manifest, PageStyle, SignatureScheme};
use crate::places;
use crate::programs::Programs;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../connectors");

/// Name of the manifest's file.
pub const MANIFEST: &str = "connector.toml";

/// Where a folder keeps what its emulator is made of.
const EMULATOR: &str = "emulator/";

/// Name of the file that says which published contract the requests are held against; it has no effect here.
pub const CONTRACT: &str = "contract.toml";

/// Every connector, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    connectors: BTreeMap<String, Arc<Connector>>,
}

/// One connector: what is known of one kind of system.
#[derive(Debug)]
pub struct Connector {
    /// The folder's name.
    pub name: String,
    /// What it declares.
    pub manifest: Manifest,
    /// Its programs, compiled.
    pub programs: Programs,
    /// Hash over every file that has an effect, hex; deliveries pin it.
    pub hash: String,
    /// Every file of the folder by its path inside it.
    pub files: BTreeMap<String, String>,
}

/// Connectors that cannot be used, with every problem.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct CatalogError {
    /// Every problem, with file, line and column.
    pub diagnostics: Vec<Diagnostic>,
}

impl Catalog {
    /// Loads the shipped connectors with overlay files on top, each by its path such as `acme/order.read.vrl`.
    ///
    /// # Errors
    /// Every problem of every folder.
    pub fn load(overlay: &BTreeMap<String, String>) -> Result<Self, CatalogError> {
        Self::compile(folders(overlay))
    }

    /// As [`Catalog::load`], of some connectors only: a start compiles what it uses, and a folder that nobody uses
    /// cannot keep it from starting. Names that do not exist are left out.
    ///
    /// # Errors
    /// Every problem of every folder that is wanted.
    pub fn load_only(
        overlay: &BTreeMap<String, String>,
        wanted: &BTreeSet<String>,
    ) -> Result<Self, CatalogError> {
        let mut folders = folders(overlay);
        folders.retain(|name, _| wanted.contains(name));
        Self::compile(folders)
    }

    fn compile(folders: BTreeMap<String, BTreeMap<String, String>>) -> Result<Self, CatalogError> {
        let mut connectors = BTreeMap::new();
        let mut diagnostics = Vec::new();
        for (name, files) in folders {
            match Connector::load(&name, files) {
                Ok(connector) => drop(connectors.insert(name, Arc::new(connector))),
                Err(found) => diagnostics.extend(found),
            }
        }
        if diagnostics.is_empty() { Ok(Self { connectors }) } else { Err(CatalogError { diagnostics }) }
    }

    /// As [`Catalog::load`], with the overlay read from a folder on disk.
    ///
    /// # Errors
    /// Every problem of every folder; a file that cannot be read.
    pub fn load_folder(overlay: Option<&Path>) -> Result<Self, CatalogError> {
        let mut files = BTreeMap::new();
        if let Some(folder) = overlay {
            collect(folder, "", &mut files).map_err(|error| CatalogError {
                diagnostics: vec![Diagnostic::new(
                    folder.display().to_string(),
                    format!("cannot be read: {error}"),
                )],
            })?;
        }
        Self::load(&files)
    }

    /// Their names, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.connectors.keys().map(String::as_str).collect()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<Arc<Connector>> {
        self.connectors.get(name).cloned()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connector>> {
        self.connectors.values()
    }
}

/// Names of the connectors there are, sorted; whether they can be loaded is another question.
pub fn names(overlay: &BTreeMap<String, String>) -> Vec<String> {
    folders(overlay).into_keys().collect()
}

/// The shipped folders with the overlay's files on top.
fn folders(overlay: &BTreeMap<String, String>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut folders = shipped();
    for (path, text) in overlay {
        if let Some((folder, file)) = path.split_once('/').filter(|(_, file)| !file.starts_with(EMULATOR)) {
            folders.entry(folder.to_owned()).or_default().insert(file.to_owned(), text.clone());
        }
    }
    folders
}

/// What a folder says for the emulator of its system: folder, then path inside `emulator/`. No part of the connector.
pub fn emulators() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for folder in SHIPPED.dirs() {
        let mut files = BTreeMap::new();
        embedded(folder, folder.path(), &mut files);
        let files: BTreeMap<String, String> = files
            .into_iter()
            .filter_map(|(path, text)| Some((path.strip_prefix(EMULATOR)?.to_owned(), text)))
            .collect();
        if !files.is_empty() {
            all.insert(folder.path().to_string_lossy().into_owned(), files);
        }
    }
    all
}

/// Files of the shipped folders: folder, then path inside it.
pub fn shipped() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut folders = BTreeMap::new();
    for folder in SHIPPED.dirs() {
        let mut files = BTreeMap::new();
        embedded(folder, folder.path(), &mut files);
        files.retain(|path, _| !path.starts_with(EMULATOR));
        if files.contains_key(MANIFEST) {
            folders.insert(folder.path().to_string_lossy().into_owned(), files);
        }
    }
    folders
}

fn embedded(folder: &Dir<'_>, root: &Path, into: &mut BTreeMap<String, String>) {
    for file in folder.files() {
        let path = file.path().strip_prefix(root).unwrap_or(file.path());
        if let Some(text) = file.contents_utf8() {
            into.insert(path.to_string_lossy().replace('\\', "/"), text.to_owned());
        }
    }
    for inner in folder.dirs() {
        embedded(inner, root, into);
    }
}

fn collect(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), into)?;
        } else if ["toml", "vrl", "graphql", "json", "md"].iter().any(|e| path.ends_with(&format!(".{e}"))) {
            into.insert(path, std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

impl Connector {
    /// Loads a folder from its files.
    ///
    /// # Errors
    /// Every problem, with file, line and column.
    pub fn load(name: &str, files: BTreeMap<String, String>) -> Result<Self, Vec<Diagnostic>> {
        let shown = format!("{name}/{MANIFEST}");
        let Some(text) = files.get(MANIFEST) else {
            return Err(vec![
                Diagnostic::new(shown, "the folder has no manifest")
                    .help("a folder of a shipped connector's name replaces files of it; any other needs its own connector.toml"),
            ]);
        };
        let manifest: Manifest = toml::from_str(text).map_err(|error| {
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            vec![Diagnostic::new(&shown, message).at(text, error.span().map_or(0, |span| span.start))]
        })?;
        let mut problems: Vec<_> = contradictions(&manifest, name)
            .into_iter()
            .map(|(path, message)| Diagnostic::new(&shown, message).path(path))
            .collect();
        let mut programs = Programs::default();
        for place in places::programs(&manifest) {
            let (file, source) = match place.code.file() {
                Some(file) => match files.get(file) {
                    Some(source) => (format!("{name}/{file}"), source.as_str()),
                    None => {
                        let message = format!("there is no file `{file}` in the folder");
                        problems.push(
                            Diagnostic::new(&shown, message).at(text, place.code.offset).path(&place.at),
                        );
                        continue;
                    }
                },
                None => (shown.clone(), place.code.text.as_str()),
            };
            if let Err(found) = programs.add(place.code, &file, source, place.expect) {
                problems.extend(found.into_iter().map(|d| shifted(d, text, place.code)));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { name: name.to_owned(), manifest, programs, hash: hash(&files), files })
    }
}

/// A diagnostic about a text inside the manifest, moved to where that text begins.
fn shifted(mut diagnostic: Diagnostic, manifest: &str, code: &Code) -> Diagnostic {
    if code.file().is_some() {
        return diagnostic;
    }
    let (line, column) = (diagnostic.line.max(1), diagnostic.column.max(1));
    let start = Diagnostic::new("", "").at(manifest, code.offset);
    // `"""` and a line break come before the text of a long string, one quote before that of a short one.
    let rest = &manifest[code.offset.min(manifest.len())..];
    let long = rest.starts_with("\"\"\"") || rest.starts_with("'''");
    let breaks = long && rest[3..].starts_with(['\n', '\r']);
    diagnostic.line = start.line + usize::from(breaks) + line - 1;
    let quotes = if long { 3 } else { 1 };
    diagnostic.column = if line > 1 || breaks { column } else { start.column + quotes + column - 1 };
    diagnostic
}

fn hash(files: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    let idle = |path: &str| path.starts_with("samples/") || path.ends_with(".md") || path == CONTRACT;
    for (path, text) in files.iter().filter(|(path, _)| !idle(path)) {
        for part in [path, text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    hex::encode(hash.finalize())
}

/// What types cannot say: keys that belong together, names that must exist.
fn contradictions(manifest: &Manifest, folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut say = |path: &str, message: String| found.push((path.to_owned(), message));
    let head = &manifest.connector;
    if head.name != folder {
        say("connector.name", format!("is `{}`, but the folder is `{folder}`", head.name));
    }
    if head.driver != Driver::Rest && head.endpoint.is_none() {
        say("connector.endpoint", "this driver needs the path that requests are posted to".into());
    }
    let templates = head.endpoint.iter().chain(head.headers.values()).chain(&manifest.auth.url);
    for name in templates.flat_map(|t| crate::template::names(t)) {
        if !manifest.settings.contains_key(&name) {
            say("connector", format!("`{{{name}}}` stands for a setting that is not declared"));
        }
    }
    for (name, setting) in &manifest.settings {
        let at = format!("settings.{name}");
        if let Some(pattern) = &setting.pattern
            && let Err(error) = regex::Regex::new(pattern)
        {
            say(&format!("{at}.pattern"), format!("is no regular expression: {error}"));
        }
        if let Some(default) = &setting.default
            && let Err(message) = crate::settings::check(setting, default)
        {
            say(&format!("{at}.default"), message);
        }
    }
    let auth = &manifest.auth;
    let secret = |name: &Option<String>| name.as_ref().is_some_and(|n| manifest.secrets.contains_key(n));
    let needs_secret = matches!(auth.scheme, AuthScheme::Header | AuthScheme::Bearer | AuthScheme::Basic);
    if needs_secret && !secret(&auth.secret) {
        say("auth.secret", "must name one of [secrets.*]".into());
    }
    if auth.scheme == AuthScheme::Header && auth.header.is_none() {
        say("auth.header", "must name the header".into());
    }
    let known_user = |n: &String| manifest.settings.contains_key(n) || manifest.secrets.contains_key(n);
    if auth.scheme == AuthScheme::Basic && !auth.user.as_ref().is_some_and(known_user) {
        say("auth.user", "must name one of [settings.*] or [secrets.*]".into());
    }
    if auth.scheme != AuthScheme::Session && (auth.url.is_some() || auth.lifetime.is_some()) {
        say("auth", "`url` and `lifetime` go with a session".into());
    }
    if auth.scheme == AuthScheme::Session && (auth.login.is_none() || auth.token.is_none()) {
        say("auth", "a session needs `login` and `token`".into());
    }
    let limits = &manifest.limits;
    if limits.concurrency == 0 || !(0.0..1.0).contains(&limits.reserve) {
        say("limits", "concurrency must be at least 1, reserve at least 0 and less than 1".into());
    }
    if limits.rates.iter().any(|r| r.requests == 0 || r.per_s == 0) {
        say("limits.rates", "requests and per_s must be at least 1".into());
    }
    for (number, rule) in manifest.errors.iter().enumerate() {
        let compares = rule.equals.is_some() || !rule.one_of.is_empty() || rule.prefix.is_some();
        let at = format!("errors[{number}]");
        if rule.at.is_none() && (compares || rule.exists.is_some()) {
            say(&at, "says what a value must be, but not where it is (`at`)".into());
        }
        if rule.at.is_none() && rule.status.is_empty() {
            say(&at, "applies to everything; give `status` or `at`".into());
        }
        let key = rule.at.as_deref().and_then(|p| p.parse::<crate::path::Path>().ok());
        let last = key.as_ref().and_then(|p| p.last_key()).unwrap_or_default().to_lowercase();
        if compares && ["message", "msg", "detail", "description", "title"].contains(&last.as_str()) {
            say(&at, format!("compares `{last}`: messages are reworded and translated, compare a code"));
        }
    }
    for (at, path) in places::paths(manifest) {
        if let Err(error) = path.parse::<crate::path::Path>() {
            say(&at, error.to_string());
        }
    }
    for (at, location) in places::locations(manifest) {
        if location.header.is_some() == location.body.is_some() {
            say(&at, "give either `header` or `body`".into());
        }
    }
    if let Some(hooks) = &manifest.webhooks {
        let signature = &hooks.signature;
        if !manifest.secrets.contains_key(&signature.secret) {
            say("webhooks.signature.secret", "must name one of [secrets.*]".into());
        }
        let place = signature.header.is_some();
        if !place && (signature.scheme == SignatureScheme::HmacSha256 || signature.token.is_none()) {
            say("webhooks.signature.header", "must name the header".into());
        }
        if signature.max_age_s.is_some() && signature.timestamp.is_none() {
            say(
                "webhooks.signature.timestamp",
                "max_age_s needs to know where the time of sending is".into(),
            );
        }
        let in_body = signature.timestamp.as_ref().is_some_and(|t| t.body.is_some());
        let signs_time = signature.signed.contains("{timestamp}") || in_body;
        if signature.scheme == SignatureScheme::HmacSha256 && signature.max_age_s.is_some() && !signs_time {
            say(
                "webhooks.signature.signed",
                "the time of sending must be signed too, or anyone can change it".into(),
            );
        }
        if !signature.signed.contains("{body}") {
            say("webhooks.signature.signed", "must contain {body}".into());
        }
    }
    for (name, fetch) in &manifest.fetch {
        if fetch.max_ids == 0 || fetch.types.is_empty() {
            say(&format!("fetch.{name}"), "max_ids must be at least 1 and types not empty".into());
        }
    }
    for (name, stream) in &manifest.streams {
        let at = format!("streams.{name}");
        let fetch = stream.fetch.as_ref();
        if stream.read.is_some() == fetch.is_some() {
            say(&at, "give either `read` or `fetch`".into());
        }
        if fetch.is_some_and(|f| !manifest.fetch.contains_key(f)) {
            say(&format!("{at}.fetch"), "there is no such [fetch.*]".into());
        }
        if stream.version.is_some() && fetch.is_none() {
            say(&format!("{at}.version"), "goes with `fetch`".into());
        }
        if stream.page.style == PageStyle::Cursor && stream.next.is_none() {
            say(&format!("{at}.next"), "paging by cursor needs to know where the next one is".into());
        }
        if stream.page.limit < 2 || stream.interval_s == 0 || stream.kinds.is_empty() {
            say(&at, "page.limit must be at least 2, interval_s at least 1, kinds not empty".into());
        }
    }
    for (name, watch) in &manifest.watch {
        match manifest.fetch.get(&watch.fetch) {
            None => say(&format!("watch.{name}.fetch"), "there is no such [fetch.*]".into()),
            Some(fetch) if watch.types.iter().any(|t| !fetch.types.contains(t)) => {
                say(&format!("watch.{name}.types"), "the fetch does not take all of these types".into());
            }
            Some(_) => {}
        }
    }
    for (name, operation) in &manifest.operations {
        let at = format!("operations.{name}");
        if operation.steps.is_empty() == operation.batch.is_none() {
            say(&at, "give either `steps` or `batch`".into());
        }
        if operation.batch.as_ref().is_some_and(|b| b.max == 0) {
            say(&format!("{at}.batch.max"), "must be at least 1".into());
        }
        for (number, step) in operation.steps.iter().enumerate() {
            let at = format!("{at}.{}", step.name);
            if operation.steps[..number].iter().any(|s| s.name == step.name) {
                say(&at, "there are two steps of this name".into());
            }
            if step.writes != step.idempotent.is_some() {
                say(&at, "a writing step, and only such a one, says how it is `idempotent`".into());
            }
        }
    }
    found
}
