//! Free ports, outside the range that outgoing connections use.

use std::net::TcpListener;

use anyhow::{Result, bail};

/// Ports that are held until they are taken.
pub struct Ports(Vec<TcpListener>);

impl Ports {
    /// Lets the next port go, so that a program can listen on it.
    ///
    /// # Panics
    /// When more are taken than were picked.
    pub fn take(&mut self) -> u16 {
        self.listener().local_addr().map_or(0, |address| address.port())
    }

    /// The next port with its listener.
    ///
    /// # Panics
    /// As [`Ports::take`].
    #[allow(clippy::expect_used)]
    pub fn listener(&mut self) -> TcpListener {
        self.0.pop().expect("as many ports are picked as are taken")
    }
}

/// Picks and holds so many free ports.
pub fn pick(count: usize) -> Result<Ports> {
    let mut held = Vec::new();
    for _ in 0..1000 {
        if held.len() == count {
            return Ok(Ports(held));
        }
        let port = rand::random_range(20_000..32_000u16);
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    bail!("no free ports between 20000 and 32000")
}
