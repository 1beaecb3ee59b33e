//! An HTTP server of a few lines that answers as a test tells it, and connections to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use counterpart_connect::catalog::Connector;
use counterpart_connect::connection::{Connection, Spec};
use counterpart_model::clock::Clock;
use counterpart_model::redact::Redacted;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// A query parameter, undecoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.path.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(str::to_owned)
    }
}

/// What the server does with a request.
pub enum Reply {
    /// Status, further headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Takes the request and says nothing.
    Silence,
    /// Takes the request and closes.
    Close,
    /// Promises more of a body than it sends, then closes.
    Cut,
}

pub fn ok(body: Value) -> Reply {
    status(200, body)
}

pub fn status(status: u16, body: Value) -> Reply {
    Reply::Answer(status, Vec::new(), body.to_string().into_bytes())
}

pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (seen.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (log.clone(), answer.clone());
                tokio::spawn(async move { serve(stream, &log, &*answer).await });
            }
        });
        Self { port, seen }
    }

    /// Everything that arrived so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request) -> Reply + Send + Sync),
) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let request = loop {
            if let Some(request) = parse(&bytes) {
                break request;
            }
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            }
        };
        bytes.clear();
        log.lock().unwrap().push(request.clone());
        match answer(&request) {
            Reply::Answer(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&body).await.is_err()
                {
                    return;
                }
            }
            Reply::Silence => {
                // Until the other side has had enough.
                let _ = stream.read(&mut buffer).await;
                return;
            }
            Reply::Close => return,
            Reply::Cut => {
                let _ = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{").await;
                return;
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Request> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    (body.len() >= length).then(|| Request { method, path, headers, body: body.to_owned() })
}

/// A clock that stands still until it is moved.
pub struct TestClock(Mutex<Timestamp>);

impl TestClock {
    pub fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(text.parse().unwrap())))
    }

    pub fn pass(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now += SignedDuration::from_secs(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A folder with this manifest and these further files.
pub fn connector(manifest: &str, files: &[(&str, &str)]) -> Arc<Connector> {
    let mut all = BTreeMap::from([("connector.toml".to_owned(), manifest.to_owned())]);
    all.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    match Connector::load("acme", all) {
        Ok(connector) => Arc::new(connector),
        Err(found) => panic!("{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// The beginning of every manifest here.
pub fn head(driver: &str, rest: &str) -> String {
    format!(
        "[connector]\nname = \"acme\"\ntitle = \"Acme\"\ndriver = \"{driver}\"\nendpoint = \"/api\"\napi_version = \"1\"\n{rest}\n[health]\nrequest = '{{\"method\": \"GET\", \"path\": \"/health\"}}'\n"
    )
}

pub fn spec(connector: &Arc<Connector>, url: &str) -> Spec {
    Spec {
        name: "shop".parse().unwrap(),
        connector: connector.clone(),
        url: url.parse().unwrap(),
        allow_private: true,
        settings: Map::new(),
        secrets: connector
            .manifest
            .secrets
            .keys()
            .map(|name| (name.clone(), Redacted::new(format!("s3cret-{name}"))))
            .collect(),
        maps: BTreeMap::new(),
        timeout: Some(Duration::from_millis(400)),
        webhook_url: Some("https://hub.example.com/webhooks/shop".parse().unwrap()),
    }
}

/// A connection to the server with the usual clock.
pub fn connect(connector: &Arc<Connector>, server: &Server) -> Connection {
    connect_at(connector, server, TestClock::at("2026-11-25T10:00:00Z"))
}

pub fn connect_at(connector: &Arc<Connector>, server: &Server, clock: Arc<TestClock>) -> Connection {
    let spec = spec(connector, &format!("http://127.0.0.1:{}", server.port));
    Connection::new(spec, clock).map_err(|problems| format!("{problems:?}")).unwrap()
}
