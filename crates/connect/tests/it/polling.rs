//! Rounds, pages, marks and look-back, with rows that move while they are read.

use std::sync::{Arc, Mutex};

use counterpart_connect::catalog::Connector;
use counterpart_connect::connection::Connection;
use serde_json::{Value, json};

use crate::server::{Reply, Request, Server, connect, connector, head, ok};

fn rest(stream: &str) -> Arc<Connector> {
    let rest = format!(
        r#"
[fetch.thing]
types = ["thing"]
request = '{{"path": "/by-id", "query": {{"id": .ids}}}}'
items = ".body.items"
id = ".id"
read = '{{"changes": []}}'
[streams.things]
kinds = ["item"]
request = '''{{"path": "/things", "query": {{"since": .since, "offset": .offset, "page": .page, "cursor": .cursor, "limit": .limit}}}}'''
items = ".body.items"
id = ".id"
interval_s = 60
{stream}
"#
    );
    connector(&head("rest", &rest), &[])
}

const OFFSET: &str = r#"
mark = ".at"
look_back_s = 120
page = { style = "offset", limit = 3 }
read = '{"changes": []}'
"#;

/// Rows as id and minute of change; the server sorts them by both and filters by `since`.
type Rows = Arc<Mutex<Vec<(String, u32)>>>;

fn rows(of: &[(&str, u32)]) -> Rows {
    Arc::new(Mutex::new(of.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect()))
}

fn stamp(minute: u32) -> String {
    format!("2026-11-25T09:{minute:02}:00Z")
}

fn page(rows: &Rows, request: &Request) -> Reply {
    let mut rows = rows.lock().unwrap().clone();
    rows.sort_by_key(|(id, at)| (*at, id.clone()));
    let since = request.query("since").unwrap_or_default().replace("%3A", ":");
    let number = |name: &str| request.query(name).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    let items: Vec<Value> = rows
        .iter()
        .filter(|(_, at)| stamp(*at) >= since)
        .skip(number("offset"))
        .take(number("limit"))
        .map(|(id, at)| json!({ "id": id, "at": stamp(*at) }))
        .collect();
    ok(json!({ "items": items }))
}

/// Reads a round; after each page `between` may move rows.
async fn round(
    connection: &Connection,
    cursor: Option<Value>,
    mut between: impl FnMut(usize),
) -> (Vec<String>, Value) {
    let (mut ids, mut cursor) = (Vec::new(), cursor);
    for number in 0.. {
        assert!(number < 30, "the round does not end");
        let page = connection.poll("things", cursor.as_ref()).await.unwrap();
        ids.extend(page.items.into_iter().map(|item| item.id));
        cursor = Some(page.cursor);
        if !page.more {
            break;
        }
        between(number);
    }
    (ids, cursor.unwrap())
}

#[tokio::test]
async fn a_round_reads_every_page_and_the_next_begins_before_its_end() {
    let data = rows(&[("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("f", 6), ("g", 7)]);
    let server = Server::start({
        let data = data.clone();
        move |request| page(&data, request)
    })
    .await;
    let connection = connect(&rest(OFFSET), &server);
    let (ids, cursor) = round(&connection, None, |_| {}).await;
    assert_eq!(ids, ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(server.seen()[0].query("since"), None);

    // Committed late, with a time from before the highest mark: the look-back finds it.
    data.lock().unwrap().push(("late".into(), 6));
    let before = server.seen().len();
    let (ids, _) = round(&connection, Some(cursor), |_| {}).await;
    assert_eq!(server.seen()[before].query("since").unwrap().replace("%3A", ":"), stamp(5));
    assert_eq!(ids, ["e", "f", "late", "g"]);
}

#[tokio::test]
async fn a_row_that_moves_to_the_end_while_paging_hides_no_other() {
    let data = rows(&[("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("f", 6), ("g", 7)]);
    let server = Server::start({
        let data = data.clone();
        move |request| page(&data, request)
    })
    .await;
    let connection = connect(&rest(OFFSET), &server);
    // After the first page `a`, `b` and `c` change: all else moves three places forward, over the page's edge.
    let (mut ids, cursor) = round(&connection, None, |number| {
        if number == 0 {
            for (row, at) in data.lock().unwrap().iter_mut().take(3).zip(8..) {
                row.1 = at;
            }
        }
    })
    .await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids, ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(cursor["mark"], stamp(10));
}

#[tokio::test]
async fn a_stream_that_never_holds_still_is_read_but_its_mark_is_held() {
    // Each page is another set of rows, in no order.
    let server = Server::start(|request| {
        let offset: u32 = request.query("offset").unwrap().parse().unwrap();
        let limit = if offset > 12 { 1 } else { 3 };
        let items: Vec<Value> =
            (0..limit).map(|n| json!({ "id": offset * 10 + n, "at": stamp(50 - n) })).collect();
        ok(json!({ "items": items }))
    })
    .await;
    let connection = connect(&rest(OFFSET), &server);
    let (ids, cursor) = round(&connection, None, |_| {}).await;
    assert!(ids.len() > 9);
    assert_eq!(cursor["mark"], Value::Null, "what slipped may be older than what was read");
}

#[tokio::test]
async fn a_date_in_the_future_does_not_stop_the_stream() {
    let server = Server::start(|_| ok(json!({ "items": [{ "id": 1, "at": "2099-01-01T00:00:00Z" }] }))).await;
    let connection = connect(&rest(OFFSET), &server);
    let (_, cursor) = round(&connection, None, |_| {}).await;
    assert_eq!(cursor["mark"], "2026-11-25T10:00:00Z");
}

#[tokio::test]
async fn a_failed_page_leaves_the_cursor_where_it_was() {
    let fail = Arc::new(Mutex::new(false));
    let data = rows(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
    let server = Server::start({
        let (data, fail) = (data.clone(), fail.clone());
        move |request| if *fail.lock().unwrap() { Reply::Close } else { page(&data, request) }
    })
    .await;
    let connection = connect(&rest(OFFSET), &server);
    let first = connection.poll("things", None).await.unwrap();
    assert!(first.more);
    *fail.lock().unwrap() = true;
    assert!(connection.poll("things", Some(&first.cursor)).await.is_err());
    *fail.lock().unwrap() = false;
    let second = connection.poll("things", Some(&first.cursor)).await.unwrap();
    let ids: Vec<_> = second.items.iter().map(|i| i.id.as_str()).collect();
    assert_eq!((ids.as_slice(), second.more), (&["d"][..], false));
}

#[tokio::test]
async fn cursors_and_page_numbers_are_followed() {
    let server = Server::start(|request| {
        let items = json!([{ "id": request.query("cursor").unwrap_or_else(|| "first".into()) }]);
        match request.query("cursor").as_deref() {
            None => ok(json!({ "items": items, "next": "second" })),
            Some("second") => ok(json!({ "items": items, "next": "third" })),
            Some(_) => ok(json!({ "items": items, "next": null })),
        }
    })
    .await;
    let stream = "page = { style = \"cursor\" }\nnext = \".body.next\"\nread = '{\"changes\": []}'";
    let (ids, _) = round(&connect(&rest(stream), &server), None, |_| {}).await;
    assert_eq!(ids, ["first", "second", "third"]);

    let server = Server::start(|request| {
        let number: u32 = request.query("page").unwrap().parse().unwrap();
        ok(json!({ "items": [{ "id": number }], "last": number == 3 }))
    })
    .await;
    let stream = "page = { style = \"page\" }\nmore = \".body.last == false\"\nmark = \"@read_began\"\nlook_back_s = 60\nread = '{\"changes\": []}'";
    let connection = connect(&rest(stream), &server);
    let (ids, cursor) = round(&connection, None, |_| {}).await;
    assert_eq!(ids, ["1", "2", "3"]);
    round(&connection, Some(cursor), |_| {}).await;
    let since = server.seen()[3].query("since").unwrap().replace("%3A", ":");
    assert_eq!(since, "2026-11-25T09:59:00Z", "the time the round began, less the look-back");
}

#[tokio::test]
async fn a_stream_may_only_name_what_a_fetch_then_reads() {
    let server = Server::start(|_| ok(json!({ "items": [{ "id": "a", "rev": 7 }, { "id": "b" }] }))).await;
    let named = async |version: &str| {
        let stream = format!("page = {{ style = \"none\" }}\nfetch = \"thing\"{version}");
        let page = connect(&rest(&stream), &server).poll("things", None).await.unwrap();
        assert_eq!(page.items, []);
        page.names.into_iter().map(|name| (name.id, name.version)).collect::<Vec<_>>()
    };
    let (a, b) = ("a".to_owned(), "b".to_owned());
    assert_eq!(named("\nversion = \".rev\"").await, [(a.clone(), Some("7".into())), (b.clone(), None)]);
    assert_eq!(named("").await, [(a, None), (b, None)]);
    assert_eq!(server.seen().len(), 2, "nothing is read besides the list");
}
