//! Keeps requests off addresses that are not meant for them: loopback, private networks, link-local, metadata.
//!
//! The address that was checked is the one connected to, because the check sits in the resolver that the HTTP client
//! uses. Never: sends anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// An address that must not be spoken to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A name that leads only to forbidden addresses.
    #[error("the host name leads to a private or local address; if that is meant, set allow_private = true")]
    Name,
    /// A forbidden address, written down.
    #[error("{0} is a private or local address; if that is meant, set allow_private = true")]
    Address(IpAddr),
    /// No encryption.
    #[error(
        "plain http would show the secrets to everyone on the way; use https, or set allow_private = true"
    )]
    PlainHttp,
    /// Neither http nor https.
    #[error("the address must begin with https://")]
    Scheme,
    /// User name or password in the address.
    #[error("the address must not hold a user name or password; use the connector's secrets")]
    Credentials,
}

/// Checks an address as it is written.
///
/// # Errors
/// When it must not be spoken to.
pub fn check_url(url: &Url, allow_private: bool) -> Result<(), Refused> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Credentials);
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        "http" => return Err(Refused::PlainHttp),
        _ => return Err(Refused::Scheme),
    }
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err(Refused::Scheme),
    };
    match literal {
        Some(address) if !allow_private && is_forbidden(address) => Err(Refused::Address(address)),
        _ => Ok(()),
    }
}

/// Resolves names and leaves out forbidden addresses.
#[derive(Debug, Clone, Copy)]
pub struct GuardedResolver {
    /// Nothing is left out.
    pub allow_private: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|a| allow_private || !is_forbidden(a.ip())).collect();
            if allowed.is_empty() {
                return Err(Refused::Name.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Not meant for requests to systems on the internet (IANA special-purpose registries).
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> bool {
    /// Network and length of its prefix.
    const NETWORKS: &[([u8; 4], u32)] = &[
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        ([224, 0, 0, 0], 3),
    ];
    let bits = address.to_bits();
    NETWORKS.iter().any(|(net, len)| (bits ^ u32::from_be_bytes(*net)) >> (32 - len) == 0)
}

fn forbidden_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        forbidden_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Unspecified, loopback and the old IPv4-compatible form.
        [0, 0, 0, 0, 0, 0, _, _] => true,
        // IPv4 inside IPv6: mapped, NAT64, 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] | [0x100, 0, 0, 0, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] => true,
        // Teredo and the other special assignments.
        [0x2001, second, ..] if second < 0x200 => true,
        // Unique local, link-local, site-local, multicast.
        [first, ..] => {
            first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
                || first & 0xffc0 == 0xfec0
                || first & 0xff00 == 0xff00
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_in_special_networks_are_refused() {
        for bad in [
            "127.0.0.1",
            "127.255.1.1",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(is_forbidden(bad.parse().unwrap()), "{bad}");
        }
        for good in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1",
            "64:ff9b::101:101",
            "2002:101:101::",
            "2a00::1",
        ] {
            assert!(!is_forbidden(good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn addresses_are_checked_as_written() {
        let check = |url: &str, private: bool| check_url(&Url::parse(url).unwrap(), private);
        assert_eq!(check("https://shop.example.com/x", false), Ok(()));
        assert_eq!(check("http://shop.example.com/", false), Err(Refused::PlainHttp));
        assert_eq!(check("http://127.0.0.1:3000/", true), Ok(()));
        for tricky in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://017700000001",
        ] {
            assert!(matches!(check(tricky, false), Err(Refused::Address(_))), "{tricky}");
        }
        assert_eq!(check("ftp://shop.example.com/", true), Err(Refused::Scheme));
        assert_eq!(check("https://user:pass@shop.example.com/", false), Err(Refused::Credentials));
    }

    #[tokio::test]
    async fn names_are_checked_where_they_are_resolved() {
        let resolve =
            |private| GuardedResolver { allow_private: private }.resolve("localhost".parse().unwrap());
        let error = resolve(false).await.err().unwrap();
        assert!(error.downcast_ref::<Refused>().is_some());
        assert!(resolve(true).await.is_ok());
    }
}
