//! Just enough HTTP/1.1 for the toy systems and for talking to the hub: one request a connection.
//!
//! Never: keeps a connection open, follows a redirect, decodes more of a query than the toys need.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// Longest wait for the other side.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a toy was asked.
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names may repeat.
    pub query: Vec<(String, String)>,
    pub body: Value,
}

/// What a toy does about it.
pub enum Reply {
    Json(u16, Value),
    /// Closes the connection without a word.
    Silence,
}

/// Answers on a loopback port of the system's choice for as long as the process lives.
pub fn listen(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // A peer that was killed in the middle is part of the tests.
            std::thread::spawn(move || drop(converse(&stream, &*answer)));
        }
    });
    address
}

fn converse(mut stream: &TcpStream, answer: &dyn Fn(&Request) -> Reply) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let (first, length) = head(&mut reader)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let request = Request {
        method,
        path: path.to_owned(),
        query,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    if let Reply::Json(status, value) = answer(&request) {
        let text = value.to_string();
        let length = text.len();
        let head = "content-type: application/json\r\nconnection: close";
        write!(stream, "HTTP/1.1 {status} Toy\r\n{head}\r\ncontent-length: {length}\r\n\r\n{text}")?;
    }
    Ok(())
}

/// First line and length of the body.
fn head(reader: &mut impl BufRead) -> io::Result<(String, usize)> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    Ok((first.trim_end().to_owned(), length))
}

/// What the hub answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// Sends one request. `length` is the length of the body as announced; sending less than that and being answered all
/// the same is how a body that is too large is tried without a race against the connection's end.
pub fn send(
    to: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    length: usize,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head =
        format!("{line} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\ncontent-length: {length}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut reader = BufReader::new(stream);
    let (first, length) = self::head(&mut reader)?;
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer: `{first}`")))?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() })
}
