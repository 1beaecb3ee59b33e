//! Doors between two processes on this machine: each passes HTTP/1.1 requests on, until it is told to shut, to refuse
//! some, or to lose some answers after the work was done.
//!
//! Never: changes what passes; knows what it means.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// What a door does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything.
    Open,
    /// Closes every connection at once: the other side is down, or the network is.
    Shut,
    /// Answers 503 to requests whose body holds one of these texts.
    Refuse(Vec<&'static str>),
    /// Passes requests whose body holds the text, and drops the answers to the next so many of them.
    LoseAnswers(&'static str, u32),
}

/// A door. It stays until the run ends.
pub struct Gate {
    /// Where to knock.
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    to: u16,
    mode: Mutex<Mode>,
    passed: AtomicU64,
    stopped: AtomicU64,
}

impl Gate {
    /// Opens a door from `listener` to a port of this machine.
    pub fn open(listener: TcpListener, to: u16) -> Result<Self> {
        let port = listener.local_addr()?.port();
        let inner = Arc::new(Inner {
            to,
            mode: Mutex::new(Mode::Open),
            passed: AtomicU64::new(0),
            stopped: AtomicU64::new(0),
        });
        let shared = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A failed connection is the client's to notice.
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self { port, inner })
    }

    /// Changes what the door does from the next request on.
    pub fn set(&self, mode: Mode) {
        *self.inner.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// Requests passed so far.
    pub fn passed(&self) -> u64 {
        self.inner.passed.load(Ordering::SeqCst)
    }

    /// Requests refused, and answers lost, so far.
    pub fn stopped(&self) -> u64 {
        self.inner.stopped.load(Ordering::SeqCst)
    }
}

/// What happens to one request.
enum Fate {
    Pass,
    Close,
    Refuse,
    LoseAnswer,
}

impl Inner {
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(Duration::from_secs(120)))?;
        let mut reader = BufReader::new(client.try_clone()?);
        let (head, body) = read_request(&mut reader)?;
        match self.fate(&body) {
            Fate::Close => Ok(()),
            Fate::Refuse => client.write_all(
                b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ),
            fate => {
                let mut upstream = TcpStream::connect(("127.0.0.1", self.to))?;
                upstream.write_all(head.as_bytes())?;
                upstream.write_all(&body)?;
                self.passed.fetch_add(1, Ordering::SeqCst);
                let mut answer = Vec::new();
                upstream.read_to_end(&mut answer)?;
                if matches!(fate, Fate::Pass) { client.write_all(&answer) } else { Ok(()) }
            }
        }
    }

    fn fate(&self, body: &[u8]) -> Fate {
        let mut mode = self.mode.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
        let fate = match &mut *mode {
            Mode::Open => Fate::Pass,
            Mode::Shut => Fate::Close,
            Mode::Refuse(texts) if texts.iter().any(|text| holds(text)) => Fate::Refuse,
            Mode::LoseAnswers(text, left) if *left > 0 && holds(text) => {
                *left -= 1;
                Fate::LoseAnswer
            }
            Mode::Refuse(_) | Mode::LoseAnswers(..) => Fate::Pass,
        };
        if !matches!(fate, Fate::Pass) {
            self.stopped.fetch_add(1, Ordering::SeqCst);
        }
        fate
    }
}

/// Reads one request, and answers it with an empty 200; for a test that stands in for a server.
pub fn take_one(listener: &TcpListener) -> std::io::Result<(String, Vec<u8>)> {
    let (mut client, _) = listener.accept()?;
    let request = read_request(&mut BufReader::new(client.try_clone()?))?;
    client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    Ok(request)
}

/// Reads one request and makes it the connection's only one, so that the answer ends with the connection.
fn read_request(reader: &mut impl BufRead) -> std::io::Result<(String, Vec<u8>)> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    head.push_str("connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}
