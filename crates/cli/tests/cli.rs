//! The binary as a user meets it: exit codes, what is said on which stream, what a bad file gets.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder of its own for each test, with `counterpart` run in it.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// After `init`, with this configuration when there is one.
    fn with(config: Option<&str>) -> Self {
        let desk = Self::new();
        desk.run(&["init"]).code(0);
        if let Some(config) = config {
            desk.write("counterpart.toml", config);
        }
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], stdin: &str) -> Ran {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        Ran(child.wait_with_output().unwrap())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterpart"));
        command.args(args).current_dir(self.folder.path()).env_clear().env("USER", "mona");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

struct Ran(Output);

impl Ran {
    fn code(self, expect: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(expect), "stdout:\n{}\nstderr:\n{}", self.out(), self.err());
        self
    }

    fn out(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    fn err(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// Standard error holds this, and standard output nothing.
    fn says(self, expect: &str) -> Self {
        assert!(self.err().contains(expect), "expected `{expect}` in:\n{}", self.err());
        assert_eq!(self.out(), "");
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out()).unwrap_or_else(|e| panic!("{e}: {}", self.out()))
    }
}

#[test]
fn init_writes_three_files_and_overwrites_none() {
    let desk = Desk::with(None);
    let key = desk.read("counterpart.key");
    assert!(key.trim().len() == 64 && key.trim().bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(desk.read(".gitignore"), "counterpart.key\ncounterpart.db*\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(desk.path("counterpart.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = desk.run(&["init"]).code(2).says("nothing was written");
    assert!(again.err().contains("hint: `--force`"), "{}", again.err());
    std::fs::remove_file(desk.path("counterpart.toml")).unwrap();
    let forced = desk.run(&["init", "--force", "--json"]).code(0).json();
    assert_eq!(forced["written"][0], "counterpart.toml");
    assert_eq!(desk.read("counterpart.key"), key);
    assert_eq!(desk.read(".gitignore"), "counterpart.key\ncounterpart.db*\n");
}

#[test]
fn init_keeps_what_gitignore_says_already() {
    let desk = Desk::new();
    desk.write(".gitignore", "target");
    desk.run(&["init"]).code(0);
    assert_eq!(desk.read(".gitignore"), "target\ncounterpart.key\ncounterpart.db*\n");
}

#[test]
fn the_key_is_never_printed() {
    let desk = Desk::new();
    let ran = desk.run(&["init", "-vv"]).code(0);
    let key = desk.read("counterpart.key");
    assert!(!ran.out().contains(key.trim()) && !ran.err().contains(key.trim()));
}

#[test]
fn a_missing_file_is_named() {
    let ran = Desk::new().run(&["status"]).code(2).says("error: cannot read counterpart.toml: ");
    assert!(ran.err().contains("hint: `counterpart init`"), "{}", ran.err());
}

#[test]
fn a_bad_file_is_told_with_its_place() {
    for (text, expect) in [
        ("[hub]\nlisten = \n", "counterpart.toml:2:10: "),
        ("[hub]\nlistn = \"x\"\n", "counterpart.toml:2:1: unknown field `listn`"),
        ("[flows.orders]\nkind = \"orders\"\n", "unknown variant `orders`"),
    ] {
        Desk::with(Some(text)).run(&["plan"]).code(2).says(expect);
    }
    let contradiction =
        "[flows.orders]\nkind = \"order\"\nfrom = [\"shop\"]\nto = \"erp\"\nstate = \"live\"\n";
    let ran = Desk::with(Some(contradiction)).run(&["plan"]).code(2).says("contradicts itself");
    assert!(ran.err().contains("  - flows.orders.to: there is no connection `erp`"), "{}", ran.err());
}

#[test]
fn with_json_an_error_is_json_too() {
    let ran = Desk::new().run(&["status", "--json"]).code(2).says("");
    let error: Value = serde_json::from_str(&ran.err()).unwrap();
    assert_eq!(error["exit_code"], 2);
    assert!(error["hint"].as_str().unwrap().contains("counterpart init"));
}

#[test]
fn a_missing_or_bad_key_is_told() {
    let desk = Desk::with(None);
    desk.write("counterpart.key", "abc\n");
    desk.run(&["status"]).code(2).says("64 hexadecimal digits");
    std::fs::remove_file(desk.path("counterpart.key")).unwrap();
    desk.run(&["status"]).code(2).says("counterpart.key");
}

#[test]
fn arguments_are_checked_before_anything_else() {
    let desk = Desk::new();
    desk.run(&["explain", "orders", "1001"]).code(2).says("a similar value exists: 'order'");
    desk.run(&["mapping", "test", "--connection", "shop", "--topic", "orders"])
        .code(2)
        .says("--sample <FILE>");
    desk.run(&["review", "retry"]).code(2).says("<ID>...");
    desk.run(&["nothing"]).code(2).says("unrecognized subcommand 'nothing'");
}

#[test]
fn version_and_kinds_need_no_hub() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["version", "--json"]).code(0).json()["version"], env!("CARGO_PKG_VERSION"));
    let kinds = desk.run(&["kinds", "--json"]).code(0).json();
    assert!(kinds.as_array().unwrap().iter().any(|k| k["name"] == "order" && k["what"] != ""), "{kinds}");
    assert!(desk.run(&["kinds"]).code(0).out().contains("purchase_order"));
    assert_eq!(desk.run(&["kinds", "order"]).code(0).json()["title"], "order");
}

#[test]
fn a_new_hub_speaks() {
    let desk = Desk::with(None);
    assert!(desk.run(&["status"]).code(0).out().contains("Nothing is applied yet"));
    assert_eq!(desk.run(&["review", "list"]).code(0).out(), "Nothing waits for a person.\n");
    assert!(desk.run(&["secret", "list"]).code(0).out().starts_with("No secret is kept"));
    desk.run(&["explain", "order", "1001"]).code(3).says("error: no order is known by `1001`");
    desk.run(&["review", "show", "7"]).code(3).says("error: there is no review item 7");
    desk.run(&["export"]).code(5).says("error: nothing is applied yet");
    let status = desk.run(&["status", "--json"]).code(0).json();
    assert_eq!((&status["reviews_open"], &status["unaccounted"]), (&0.into(), &0.into()));
    assert_eq!(desk.run(&["review", "list", "--json"]).code(0).json(), Value::Array(Vec::new()));
}

#[test]
fn secrets_come_from_standard_input_and_are_never_shown() {
    let desk = Desk::with(None);
    desk.run_with(&["secret", "set", "erp-password"], "").code(2).says("the value is empty");
    desk.run_with(&["secret", "set", "erp-password"], "hunter2\n").code(0);
    let list = desk.run(&["secret", "list", "--json"]).code(0);
    assert_eq!(list.json(), Value::from(vec!["erp-password"]));
    for entry in std::fs::read_dir(desk.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|w| w == b"hunter2"));
    }
}

#[test]
fn plan_apply_export_and_back() {
    let desk = Desk::with(Some("[hub]\n[stock]\nowner = \"erp\"\n"));
    desk.run(&["plan"]).code(2).says("stock.owner");
    desk.write("counterpart.toml", "[hub]\n");
    let ran = desk.run(&["apply"]).code(2);
    assert!(ran.err().contains("hint: give --yes"), "{}", ran.err());
    assert_eq!(desk.run(&["apply", "--yes", "--json", "--note", "first"]).code(0).json()["applied"], true);
    assert_eq!(desk.run(&["apply", "--yes", "--json"]).code(0).json()["applied"], false);
    assert_eq!(desk.run(&["export"]).code(0).out(), "[hub]\n");
    desk.run(&["export", "--out", "copy"]).code(0);
    assert_eq!(desk.read("copy/counterpart.toml"), "[hub]\n");
    desk.run(&["export", "--out", "copy"]).code(2).says("nothing was written");
}

#[test]
fn a_database_that_cannot_be_used_is_told() {
    let desk = Desk::with(None);
    desk.write(
        "counterpart.db",
        "this is a shopping list, long enough to be no header of a database at all\n",
    );
    let ran = desk.run(&["status"]);
    assert!(ran.err().contains("is not a Counterpart database"), "{}", ran.err());
    ran.code(5);
}

#[test]
fn another_key_does_not_open_the_database() {
    let desk = Desk::with(None);
    desk.run(&["status"]).code(0);
    desk.write("counterpart.key", &"ab".repeat(32));
    let ran = desk.run(&["status"]);
    assert!(ran.err().contains("the master key is not the one"), "{}", ran.err());
    ran.code(5);
}

#[test]
fn a_database_of_a_newer_program_is_told() {
    let desk = Desk::with(None);
    desk.run(&["status"]).code(0);
    let database = rusqlite::Connection::open(desk.path("counterpart.db")).unwrap();
    database.execute("REPLACE INTO migration VALUES (9999, '', 0)", []).unwrap();
    drop(database);
    let ran = desk.run(&["status"]);
    assert!(ran.err().contains("run the newer program"), "{}", ran.err());
    ran.code(5);
}

/// Root may write anything, so that nothing can be read-only for it; a folder in place of the file serves as well.
#[test]
fn a_database_that_cannot_be_written_is_told() {
    let desk = Desk::with(Some("[hub]\ndatabase = \"missing/counterpart.db\"\n"));
    let ran = desk.run(&["status"]);
    assert!(ran.err().contains("missing"), "{}", ran.err());
    ran.code(5);
    std::fs::create_dir_all(desk.path("missing/counterpart.db")).unwrap();
    desk.run(&["status"]).code(5);
}

#[test]
fn serve_names_a_port_in_use() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let desk = Desk::with(Some(&format!("[hub]\nlisten = \"127.0.0.1:{port}\"\n")));
    desk.run(&["apply", "--yes"]).code(0);
    let ran = desk.run(&["serve"]).code(5);
    assert!(ran.err().contains(&format!("error: port {port} of 127.0.0.1 is in use")), "{}", ran.err());
    assert!(ran.err().contains("hint: stop what listens there"), "{}", ran.err());
}

#[test]
fn serve_needs_an_applied_revision() {
    let desk = Desk::with(Some("[hub]\nlisten = \"127.0.0.1:0\"\n"));
    let ran = desk.run(&["serve"]).code(5);
    assert!(ran.err().contains("error: nothing is applied yet"), "{}", ran.err());
}

#[cfg(unix)]
#[test]
fn serve_answers_and_stops_at_a_signal() {
    use std::io::{BufRead, BufReader, Read};
    let desk = Desk::with(Some("[hub]\nlisten = \"127.0.0.1:0\"\napi_tokens = [{ file = \"token\" }]\n"));
    desk.write("token", "a-token-for-tests\n");
    desk.run(&["apply", "--yes"]).code(0);
    let mut child = desk.command(&["serve"]).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it listened");
        if let Some(address) = line.trim().strip_prefix("listening on http://") {
            break address.to_owned();
        }
    };
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token-for-tests\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(get("/api/v1/status").contains("\"revision\":1"));
    assert!(get("/metrics").contains("counterpart_http_requests_total"));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("stopping"), "{rest}");
    assert!(!rest.contains("a-token-for-tests"));
    assert!(Path::new(&desk.path("counterpart.db")).exists());
}
