//! Finds the value of a secret where its reference says it is. Never prints one.

use std::path::Path;

use counterpart_model::redact::Redacted;

use crate::config::SecretRef;

/// Why a secret could not be had. Names the place, never the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Unset variable.
    #[error("the environment variable `{0}` is not set; set it, or name another place for this secret")]
    Env(String),
    /// Unreadable file.
    #[error("cannot read the secret file {path}: {source}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not in the database.
    #[error("no secret `{0}` is stored; put it there with `counterpart secret set {0}`")]
    Stored(String),
    /// Not a key.
    #[error("the master key must be 64 hexadecimal digits; `counterpart init` writes a good one")]
    NotAKey,
}

/// Looks a secret up. `stored` gives secrets kept in the database.
///
/// # Errors
/// When it is not where the reference says.
pub fn find(
    reference: &SecretRef,
    base: &Path,
    stored: impl Fn(&str) -> Option<Redacted<String>>,
) -> Result<Redacted<String>, SecretError> {
    match reference {
        SecretRef::Env { env } => {
            std::env::var(env).map(Redacted::new).map_err(|_| SecretError::Env(env.clone()))
        }
        SecretRef::File { file } => {
            let path = base.join(file);
            std::fs::read_to_string(&path)
                .map(|text| Redacted::new(text.trim_end().to_owned()))
                .map_err(|source| SecretError::File { path, source })
        }
        SecretRef::Stored { stored: name } => stored(name).ok_or_else(|| SecretError::Stored(name.clone())),
    }
}

/// Reads the master key, which cannot itself be in the database.
///
/// # Errors
/// When it is missing or not 64 hexadecimal digits.
pub fn master_key(reference: &SecretRef, base: &Path) -> Result<Redacted<[u8; 32]>, SecretError> {
    let text = find(reference, base, |_| None)?;
    let mut key = [0; 32];
    hex::decode_to_slice(text.reveal().trim(), &mut key).map_err(|_| SecretError::NotAKey)?;
    Ok(Redacted::new(key))
}
