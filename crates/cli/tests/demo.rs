//! The demo as its user meets it: what it says when it cannot start, how it stops, and that a run of it comes out right.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn demo(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_counterpart"));
    command.arg("demo").arg("--folder").arg(folder).args(args);
    command.env_remove("COUNTERPART_CONFIG").env("COLUMNS", "60").stdin(Stdio::null());
    command
}

fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = demo(folder, args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Waits until the hub of a demo has written that it listens.
fn started(folder: &Path, child: &mut Child) {
    let began = Instant::now();
    while !std::fs::read_to_string(folder.join("hub.log")).unwrap_or_default().contains("listening on") {
        assert!(child.try_wait().unwrap().is_none(), "the demo ended by itself");
        assert!(began.elapsed() < Duration::from_secs(120), "the demo does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_small_run_comes_out_right() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = run(
        folder.path(),
        &["--headless", "--orders", "6", "--seed", "5", "--speed", "40", "--timeout", "400", "--json"],
    );
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}\n{err}"));
    assert_eq!(code, 0, "{told:#}\n{err}");
    assert_eq!(told["orders_placed"], 6);
    assert_eq!(told["orders_in_erp"], told["orders_expected_in_erp"]);
    assert_eq!(told["orders_in_crm"], told["orders_expected_in_crm"]);
    for wrong in ["lost", "duplicated", "totals_mismatched", "stock_mismatched", "unaccounted_changes"] {
        assert_eq!(told[wrong], 0, "{told:#}");
    }
    assert_eq!(told["echo_writes_after_convergence"], 0);
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = run(folder.path(), &["--port", &port]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains(&port) && err.contains("--port"), "{err}");
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let (code, _, err) = run(Path::new("/dev/null/demo"), &[]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("/dev/null/demo") && err.contains("--folder"), "{err}");

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.txt"), "precious").unwrap();
    let (code, _, err) = run(folder.path(), &[]);
    assert_eq!(code, 2, "{err}");
    assert!(folder.path().join("mine.txt").exists());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for args in
        [&["--orders", "0"][..], &["--seed", "x"], &["--headless"], &["--speed", "0"], &["--every", "never"]]
    {
        let (code, _, err) = run(folder.path(), args);
        assert_eq!(code, 2, "{args:?}: {err}");
    }
}

#[test]
fn it_stops_in_good_order_and_starts_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let begin = || demo(folder.path(), &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = begin();
    started(folder.path(), &mut first);

    // A second one at once is told of the first.
    let (code, _, err) = run(folder.path(), &[]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("another demo"), "{err}");

    signal(&first, "INT");
    let ended = first.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{err}");
    assert!(err.contains("stopped"), "{err}");
    assert!(!err.contains('\u{1b}'), "no colours where there is no terminal: {err}");

    // What the first one left is gone when the second one runs.
    std::fs::remove_file(folder.path().join("hub.log")).unwrap();
    let left = folder.path().join("left-over");
    std::fs::write(&left, "").unwrap();
    let mut again = begin();
    started(folder.path(), &mut again);
    assert!(!left.exists());
    signal(&again, "INT");
    assert_eq!(again.wait().unwrap().code(), Some(0));
}
