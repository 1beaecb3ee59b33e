//! `counterpart check`: what is said of a connection that works, and of one that does not.

use counterpart_connect::Connection;
use counterpart_connect::connection::{CheckLine, CheckState};
use serde_json::json;

use crate::server::{Reply, Server, TestClock, connect, connector, head, ok, spec, status};

const REST: &str = r#"
[settings.company]
type = "integer"
required = true
help = "Id of the company."
[secrets.key]
help = "Where to make it."
[auth]
scheme = "bearer"
secret = "key"
[reference_maps.taxes]
required = true
help = "Code -> tax."
[[checks]]
name = "permissions"
request = '{"path": "/me"}'
expect = 'if .body.may == true { true } else { "the key may not write" }'
level = "warning"
help = "Give it the right."
"#;

fn line<'a>(lines: &'a [CheckLine], name: &str) -> &'a CheckLine {
    lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("no `{name}` in {lines:?}"))
}

async fn check(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Vec<CheckLine> {
    let server = Server::start(move |request| answer(&request.path)).await;
    let connector = connector(&head("rest", REST), &[]);
    let mut spec = spec(&connector, &format!("http://127.0.0.1:{}", server.port));
    spec.settings.insert("company".into(), json!(1));
    let connection = Connection::new(spec, TestClock::at("2026-11-25T10:00:00Z")).ok().unwrap();
    connection.check().await
}

#[tokio::test]
async fn everything_is_said_of_a_system_that_works() {
    let lines = check(|path| {
        let body = json!({ "may": path != "/me" }).to_string().into_bytes();
        Reply::Answer(200, vec![("date", "Wed, 25 Nov 2026 09:50:00 GMT".into())], body)
    })
    .await;
    assert_eq!(line(&lines, "reachable").state, CheckState::Ok);
    let clock = line(&lines, "clock");
    assert_eq!(
        (clock.state, clock.message.as_str()),
        (CheckState::Warning, "its clock and ours are 600 s apart")
    );
    let own = line(&lines, "permissions");
    assert_eq!((own.state, own.message.as_str()), (CheckState::Warning, "the key may not write"));
    assert_eq!(own.help.as_deref(), Some("Give it the right."));
    assert_eq!(line(&lines, "map taxes").state, CheckState::Failed);
}

#[tokio::test]
async fn what_is_wrong_is_told_apart() {
    let lines = check(|_| status(401, json!({ "message": "who are you" }))).await;
    assert_eq!(line(&lines, "credentials").state, CheckState::Failed);
    assert!(!lines.iter().any(|l| l.name == "permissions"), "nothing more is asked");
    let lines = check(|_| Reply::Answer(200, Vec::new(), b"<html>".to_vec())).await;
    assert_eq!(line(&lines, "answer").state, CheckState::Failed);
    let lines = check(|_| Reply::Close).await;
    assert_eq!(line(&lines, "reachable").state, CheckState::Failed);
}

#[tokio::test]
async fn a_connection_is_held_against_its_connector() {
    let connector = connector(&head("rest", REST), &[]);
    let mut spec = spec(&connector, "https://shop.example.com");
    spec.secrets.clear();
    spec.settings.insert("comapny".into(), json!(1));
    spec.maps.insert("tax".into(), Default::default());
    let problems = Connection::new(spec, TestClock::at("2026-11-25T10:00:00Z")).err().unwrap();
    let paths: Vec<_> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["settings.company", "secrets.key", "settings.comapny", "maps.tax"]);
    assert_eq!(problems[0].help.as_deref(), Some("Id of the company."));
}

#[tokio::test]
async fn what_answers_say_of_the_budget_is_kept() {
    let rest = "[limits.read]\nremaining = { header = \"x-left\" }\nlimit = { body = \".of\" }\n";
    let server =
        Server::start(|_| Reply::Answer(200, vec![("x-left", "7".into())], br#"{"of":40}"#.to_vec())).await;
    let connection = connect(&connector(&head("rest", rest), &[]), &server);
    assert!(connection.reading().is_none());
    connection.check().await;
    let reading = connection.reading().unwrap();
    assert!((reading.remaining - 7.0).abs() < 0.1 && (reading.limit - 40.0).abs() < 0.1);
    let _ = ok(json!({}));
}
