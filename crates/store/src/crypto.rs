//! Keys and sealed columns: XChaCha20-Poly1305 under a data key, which the master key wraps.
//!
//! A sealed value is one byte of format, four of data-key generation, 24 of nonce, then ciphertext and tag. Its
//! associated data names the column and the row, so that a value moved to another row does not open. Blind indexes are
//! HMAC-SHA256 under a key derived from the first data key.
//!
//! Never: keeps the master key; prints a key.

use std::collections::BTreeMap;
use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use counterpart_model::kind::Kind;
use counterpart_model::redact::Redacted;
use hmac::{Hmac, Mac};
use rand::Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::StoreError;

const FORMAT: u8 = 1;
const HEADER: usize = 5;
const NONCE: usize = 24;

/// The key that wraps the database's data keys; overwritten in memory when dropped.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Takes 32 bytes of good randomness.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<Redacted<[u8; 32]>> for MasterKey {
    fn from(bytes: Redacted<[u8; 32]>) -> Self {
        Self::new(bytes.into_inner())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

/// The database's data keys, unwrapped.
pub(crate) struct Keys {
    raw: BTreeMap<u32, Zeroizing<[u8; 32]>>,
    ciphers: BTreeMap<u32, XChaCha20Poly1305>,
    newest: u32,
    index: Hmac<Sha256>,
}

impl Keys {
    /// Makes the first data key of a new database; the second value is its wrapped form.
    pub(crate) fn generate(master: &MasterKey) -> Result<(Self, Vec<u8>), StoreError> {
        let raw = Zeroizing::new(random::<32>());
        let wrapped = wrap(master, 1, &raw)?;
        Ok((Self::from_raw(BTreeMap::from([(1, raw)]))?, wrapped))
    }

    /// Unwraps what the database holds.
    pub(crate) fn unwrap(master: &MasterKey, wrapped: &[(u32, Vec<u8>)]) -> Result<Self, StoreError> {
        let cipher = XChaCha20Poly1305::new((&*master.0).into());
        let mut raw = BTreeMap::new();
        for (generation, sealed) in wrapped {
            let place = format!("data_key/{generation}");
            let plain = open_with(&cipher, sealed, &place).map(Zeroizing::new).ok_or(StoreError::WrongKey)?;
            let key = plain
                .as_slice()
                .try_into()
                .map_err(|_| StoreError::corrupt("a data key has a wrong length"))?;
            raw.insert(*generation, Zeroizing::new(key));
        }
        Self::from_raw(raw)
    }

    fn from_raw(raw: BTreeMap<u32, Zeroizing<[u8; 32]>>) -> Result<Self, StoreError> {
        let newest = raw.keys().last().copied().ok_or_else(|| StoreError::corrupt("it has no data key"))?;
        // The oldest key never goes away, so blind indexes outlive a rotation of data keys.
        let oldest = raw.values().next().ok_or_else(|| StoreError::corrupt("it has no data key"))?;
        let derived = Zeroizing::new(mac(oldest.as_slice(), &[b"counterpart blind index"])?);
        let index = hmac(derived.as_slice())?;
        let ciphers = raw.iter().map(|(g, key)| (*g, XChaCha20Poly1305::new((&**key).into()))).collect();
        Ok(Self { raw, ciphers, newest, index })
    }

    /// Every data key wrapped with another master key.
    pub(crate) fn rewrap(&self, master: &MasterKey) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
        self.raw.iter().map(|(generation, key)| Ok((*generation, wrap(master, *generation, key)?))).collect()
    }

    pub(crate) fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let cipher =
            self.ciphers.get(&self.newest).ok_or_else(|| StoreError::corrupt("it has no data key"))?;
        seal_with(cipher, self.newest, place, plain)
    }

    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let generation =
            sealed.get(1..HEADER).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        generation
            .and_then(|generation| self.ciphers.get(&generation))
            .and_then(|cipher| open_with(cipher, sealed, place))
            .ok_or_else(|| StoreError::corrupt(format!("{} does not open", column(place))))
    }

    /// Seals a value as JSON.
    pub(crate) fn seal_json<T: Serialize>(&self, place: &str, value: &T) -> Result<Vec<u8>, StoreError> {
        self.seal(place, &to_json(value)?)
    }

    /// Opens a value sealed by [`Keys::seal_json`].
    pub(crate) fn open_json<T: DeserializeOwned>(&self, place: &str, sealed: &[u8]) -> Result<T, StoreError> {
        let plain = self.open(place, sealed)?;
        // The cause is left out: it may quote what it could not read.
        serde_json::from_slice(&plain)
            .map_err(|_| StoreError::corrupt(format!("{} is not JSON", column(place))))
    }

    /// Blind index of a key's value.
    pub(crate) fn blind(&self, kind: Kind, name: &str, value: &str) -> [u8; 16] {
        self.index_hash("key", &[kind.as_str(), name, value])
    }

    /// Keyed hash of anything that must not be guessable from the database.
    pub(crate) fn index_hash(&self, purpose: &str, parts: &[&str]) -> [u8; 16] {
        let bytes: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        self.hash_bytes(purpose, &bytes)
    }

    pub(crate) fn hash_bytes(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.index.clone();
        mac.update(purpose.as_bytes());
        for part in parts {
            // The length goes in front, so that no two lists of parts give the same bytes.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut half = [0; 16];
        half.copy_from_slice(&whole[..16]);
        half
    }
}

/// Name of a sealed value: its column and the parts that identify its row.
pub(crate) fn place(column: &str, parts: &[&dyn fmt::Display]) -> String {
    parts.iter().fold(column.to_owned(), |mut place, part| {
        let part = part.to_string();
        // The length goes in front, so that no two lists of parts give the same place.
        place.push_str(&format!("/{}:{part}", part.len()));
        place
    })
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|_| StoreError::corrupt("a value cannot be written as JSON"))
}

fn column(place: &str) -> &str {
    place.split('/').next().unwrap_or(place)
}

fn wrap(master: &MasterKey, generation: u32, key: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
    let cipher = XChaCha20Poly1305::new((&*master.0).into());
    seal_with(&cipher, generation, &format!("data_key/{generation}"), key)
}

fn seal_with(
    cipher: &XChaCha20Poly1305,
    generation: u32,
    place: &str,
    plain: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let nonce = random::<NONCE>();
    let body = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: place.as_bytes() })
        .map_err(|_| StoreError::corrupt("a value is too long to be sealed"))?;
    let mut sealed = Vec::with_capacity(HEADER + NONCE + body.len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(&generation.to_be_bytes());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&body);
    Ok(sealed)
}

fn open_with(cipher: &XChaCha20Poly1305, sealed: &[u8], place: &str) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE] = sealed.get(HEADER..HEADER + NONCE)?.try_into().ok()?;
    let body = sealed.get(HEADER + NONCE..)?;
    if sealed.first() != Some(&FORMAT) {
        return None;
    }
    cipher.decrypt(&XNonce::from(nonce), Payload { msg: body, aad: place.as_bytes() }).ok()
}

fn hmac(key: &[u8]) -> Result<Hmac<Sha256>, StoreError> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key)
        .map_err(|_| StoreError::corrupt("a key has a wrong length"))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 32], StoreError> {
    let mut mac = hmac(key)?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(mac.finalize().into_bytes().into())
}

/// Randomness from the operating system's generator and never from a caller's: a nonce used twice, as a seeded
/// simulation would, gives the plaintext away.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let (keys, _) = Keys::generate(&MasterKey::new([7; 32])).unwrap();
        let here = place("record.payload", &[&"a", &1]);
        let sealed = keys.seal(&here, b"ada@example.com").unwrap();
        assert_eq!(keys.open(&here, &sealed).unwrap(), b"ada@example.com");
        let error = keys.open(&place("record.payload", &[&"b", &1]), &sealed).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the database is damaged (record.payload does not open): restore a backup"
        );
        for at in [0, 3, 10, sealed.len() - 1] {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert!(keys.open(&here, &broken).is_err(), "byte {at} changed");
        }
        assert!(keys.open(&here, &sealed[..20]).is_err());
        assert!(keys.open(&here, b"").is_err());
    }

    #[test]
    fn another_master_key_is_told_as_wrong_and_a_rewrapped_one_opens() {
        let (old, new) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let (keys, wrapped) = Keys::generate(&old).unwrap();
        let wrapped = [(1, wrapped)];
        assert!(matches!(Keys::unwrap(&new, &wrapped), Err(StoreError::WrongKey)));
        let again = Keys::unwrap(&new, &keys.rewrap(&new).unwrap()).unwrap();
        let sealed = keys.seal("x", b"y").unwrap();
        assert_eq!(again.open("x", &sealed).unwrap(), b"y");
        assert_eq!(again.blind(Kind::Person, "email", "a"), keys.blind(Kind::Person, "email", "a"));
    }

    #[test]
    fn blind_indexes_depend_on_every_part_and_on_the_key() {
        let (keys, _) = Keys::generate(&MasterKey::new([1; 32])).unwrap();
        let (other, _) = Keys::generate(&MasterKey::new([1; 32])).unwrap();
        let hash = keys.blind(Kind::Person, "email", "a");
        assert_eq!(hash, keys.blind(Kind::Person, "email", "a"));
        for different in [
            keys.blind(Kind::Company, "email", "a"),
            keys.blind(Kind::Person, "phone", "a"),
            keys.blind(Kind::Person, "emai", "la"),
            other.blind(Kind::Person, "email", "a"),
        ] {
            assert_ne!(hash, different);
        }
    }
}
