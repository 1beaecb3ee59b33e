//! Senders of signed webhooks over connections that stay open: one thread, plain sockets, as little of the machine as
//! can be, for the server runs on the same one.
//!
//! Never: sends the next webhook on a connection before the last is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::{PATH, SECRET};

/// Senders at work.
pub struct Load {
    acknowledged: Arc<AtomicU64>,
    thread: JoinHandle<Result<Vec<Answer>>>,
}

/// How many had been acknowledged at a moment.
#[derive(Clone, Copy)]
pub struct MarkAt {
    /// Answers 200 so far.
    pub count: u64,
    /// When.
    pub at: Instant,
}

/// An answer 200: when it came, and how long after its webhook was sent.
#[derive(Clone, Copy)]
struct Answer {
    at: Instant,
    micros: u32,
}

/// What was sent until the server went away.
pub struct Sent {
    /// Answers 200.
    pub acknowledged: u64,
    answers: Vec<Answer>,
}

impl Load {
    /// Starts so many senders; each sends bodies of `bytes` bytes until the server goes away.
    pub fn start(address: SocketAddr, producers: u32, bytes: usize) -> Result<Self> {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let count = acknowledged.clone();
        let template = Template::new(bytes)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || runtime.block_on(all(address, producers, template, count)));
        Ok(Self { acknowledged, thread })
    }

    /// How far it is.
    pub fn mark(&self) -> MarkAt {
        MarkAt { count: self.acknowledged.load(Ordering::Relaxed), at: Instant::now() }
    }

    /// Waits until every sender has noticed that the server is gone.
    pub fn finish(self) -> Result<Sent> {
        let answers = self.thread.join().ok().context("a sender broke down")??;
        Ok(Sent { acknowledged: answers.len() as u64, answers })
    }
}

impl Sent {
    /// Half and 99 of 100 of the answers between two moments came within so many milliseconds.
    pub fn percentiles(&self, from: Instant, to: Instant) -> (f64, f64) {
        let within = self.answers.iter().filter(|answer| answer.at >= from && answer.at < to);
        let mut micros: Vec<u32> = within.map(|answer| answer.micros).collect();
        micros.sort_unstable();
        (percentile(&micros, 50), percentile(&micros, 99))
    }
}

/// In milliseconds; 0 of nothing.
fn percentile(sorted: &[u32], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(at).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
}

async fn all(
    address: SocketAddr,
    producers: u32,
    template: Template,
    acknowledged: Arc<AtomicU64>,
) -> Result<Vec<Answer>> {
    let template = Arc::new(template);
    let mut tasks = tokio::task::JoinSet::new();
    for producer in 0..producers {
        tasks.spawn(send(address, producer, template.clone(), acknowledged.clone()));
    }
    let mut answers = Vec::new();
    while let Some(done) = tasks.join_next().await {
        answers.extend(done??);
    }
    Ok(answers)
}

/// Sends until the server is gone. An answer other than 200 is a failure of the bench.
async fn send(
    address: SocketAddr,
    producer: u32,
    template: Arc<Template>,
    acknowledged: Arc<AtomicU64>,
) -> Result<Vec<Answer>> {
    let mut stream = TcpStream::connect(address).await.context("cannot reach the server")?;
    stream.set_nodelay(true)?;
    let mut answers = Vec::new();
    let mut message = Vec::new();
    let mut buffer = Vec::new();
    for number in 0_u64.. {
        template.write(producer, number, &mut message);
        let begun = Instant::now();
        // A broken connection is how the end is noticed.
        if stream.write_all(&message).await.is_err() {
            break;
        }
        let Ok(status) = answer(&mut stream, &mut buffer).await else { break };
        if status != 200 {
            bail!("the server answered {status}: {}", String::from_utf8_lossy(&buffer));
        }
        let at = Instant::now();
        let micros = u32::try_from((at - begun).as_micros()).unwrap_or(u32::MAX);
        answers.push(Answer { at, micros });
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    Ok(answers)
}

/// Reads one whole answer and gives its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<u16> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((status, length)) = whole(buffer)
            && buffer.len() >= length
        {
            return Ok(status);
        }
    }
}

/// Status and length of an answer, once its headers are there.
fn whole(buffer: &[u8]) -> Option<(u16, usize)> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&buffer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    Some((status, end + length))
}

/// A webhook with a place for the event's id, and the key that it is signed with.
struct Template {
    before: Vec<u8>,
    after: Vec<u8>,
    mac: Hmac<Sha256>,
}

/// Length of an event's id.
const ID: usize = 24;

impl Template {
    /// An order of so many bytes: lines like those of a shop, then a note that fills it up.
    fn new(bytes: usize) -> Result<Self> {
        let lines: Vec<_> = (1..=8)
            .map(|line| {
                json!({
                    "id": line, "sku": format!("SKU-{line:04}"), "title": "Wireless mouse, two buttons, grey", "quantity": 2,
                    "unit_price": "19.99", "currency": "EUR", "tax_rate": "0.19", "tax": "6.38", "total": "39.98",
                    "discounts": [{ "code": "SPRING", "amount": "2.00" }],
                })
            })
            .collect();
        let order = json!({
            "number": "1001", "email": "buyer@example.com", "currency": "EUR", "total": "319.84", "lines": lines,
            "address": { "name": "A Buyer", "street": "1 High Street", "postcode": "10115", "city": "Berlin", "country": "DE" },
        });
        let before = br#"{"topic":"order.updated","event":""#.to_vec();
        let rest = format!(r#"","order":{order},"note":""#);
        let fill = bytes.checked_sub(before.len() + ID + rest.len() + 2);
        let fill = fill.with_context(|| format!("a webhook does not fit into {bytes} bytes"))?;
        let after = format!(r#"{rest}{}"}}"#, "n".repeat(fill)).into_bytes();
        Ok(Self { before, after, mac: Hmac::new_from_slice(SECRET.as_bytes())? })
    }

    /// The whole request of an event that no other has.
    fn write(&self, producer: u32, number: u64, into: &mut Vec<u8>) {
        let id = format!("{producer:08x}{number:016x}");
        let mut mac = self.mac.clone();
        for part in [self.before.as_slice(), id.as_bytes(), &self.after] {
            mac.update(part);
        }
        let signature = hex::encode(mac.finalize().into_bytes());
        let length = self.before.len() + ID + self.after.len();
        into.clear();
        into.extend_from_slice(
            format!(
                "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\nx-signature: {signature}\r\n\r\n"
            )
            .as_bytes(),
        );
        for part in [self.before.as_slice(), id.as_bytes(), &self.after] {
            into.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_webhook_has_the_size_asked_for_and_is_json() {
        let mut message = Vec::new();
        Template::new(3072).unwrap().write(7, 9, &mut message);
        let text = String::from_utf8(message).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 3072"), "{head}");
        assert_eq!(body.len(), 3072);
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["event"], "000000070000000000000009");
        assert!(Template::new(100).is_err());
    }

    #[test]
    fn an_answer_is_whole_when_its_body_is_there() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(whole(head), Some((200, head.len() + 5)));
        assert_eq!(whole(&head[..20]), None);
    }

    #[test]
    fn percentiles_of_few_and_none() {
        let sorted: Vec<u32> = (1..=100).map(|n| n * 1000).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 99)), (50.0, 99.0));
        assert_eq!(percentile(&[2000], 99), 2.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }
}
