//! The handle: opens, reads, writes, tells of changes; keys, size and copies.
//!
//! The use-cases are in the modules beside it, each as `impl Store`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use counterpart_model::clock::Clock;
use rusqlite::{Connection, params};
use tokio::sync::watch;

use crate::crypto::{Keys, MasterKey};
use crate::db;
use crate::error::StoreError;
use crate::readers::Readers;
use crate::rows::execute;
use crate::types::Size;
use crate::writer::Writer;

/// The database. Cheap to clone; the file is closed when the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Writer,
    readers: Arc<Readers>,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    changed: watch::Receiver<u64>,
}

impl Store {
    /// Opens the file, makes it when it is not there, and brings its schema up to date. Blocks for milliseconds; never
    /// scans a table.
    ///
    /// # Errors
    /// Refuses files of other programs or of a newer version, a wrong key, and files that cannot be written.
    pub fn open(path: &Path, key: MasterKey, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (connection, keys) = db::open(path, &key, clock.as_ref())?;
        let (announce, changed) = watch::channel(0);
        let inner = Inner {
            path: path.to_owned(),
            writer: Writer::start(connection, announce)?,
            readers: Arc::new(Readers::new(path.to_owned())),
            keys: Arc::new(keys),
            clock,
            changed,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Changes whenever this process commits an arrival, a list of effects or a revision; other processes' commits are
    /// not told. Leases and bookkeeping are not counted, so that a worker does not wake itself.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.clone()
    }

    /// Keyed hash of bytes, as hex: a fingerprint that says nothing to those who read the database.
    pub fn fingerprint(&self, bytes: &[u8]) -> String {
        hex::encode(self.inner.keys.hash_bytes("fingerprint", &[bytes]))
    }

    /// Wraps the data keys with another master key. From then on the database opens with the new one only; stores that
    /// are open go on. Payloads are not written anew.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn rotate_key(&self, new: MasterKey) -> Result<(), StoreError> {
        let wrapped = self.inner.keys.rewrap(&new)?;
        self.write(
            |()| false,
            move |connection| {
                for (generation, wrapped) in &wrapped {
                    execute(
                        connection,
                        "UPDATE data_key SET wrapped = ?2 WHERE generation = ?1",
                        params![generation, wrapped],
                    )?;
                }
                Ok(())
            },
        )
        .await
    }

    /// Writes a consistent copy to a file that must not exist yet. It opens with the same master key.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let (from, to) = (self.inner.path.clone(), to.to_owned());
        blocking(move || {
            if to.exists() {
                let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
                return Err(StoreError::Io { path: to, source });
            }
            db::open_reader(&from)?.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
            Ok(())
        })
        .await
    }

    /// Gives free room back to the file system. Writers wait while it runs; it needs as much room again.
    ///
    /// # Errors
    /// When there is no room for it or a reader is in the way for too long.
    pub async fn vacuum(&self) -> Result<(), StoreError> {
        let path = self.inner.path.clone();
        blocking(move || {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(std::time::Duration::from_secs(60))?;
            connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
            Ok(())
        })
        .await
    }

    /// How much room the database takes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn size(&self) -> Result<Size, StoreError> {
        let mut log = self.inner.path.clone().into_os_string();
        log.push("-wal");
        self.read(move |connection, _| {
            let pragma =
                |name| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u32>(0));
            let page = u64::from(pragma("page_size")?);
            let log = std::fs::metadata(&log).map_or(0, |file| file.len());
            Ok(Size {
                file: page * u64::from(pragma("page_count")?),
                free: page * u64::from(pragma("freelist_count")?),
                log,
            })
        })
        .await
    }

    /// Caps the file's size (without its log) for as long as this store is open; 0 lifts the cap. At the cap, writes
    /// fail with [`StoreError::Full`].
    ///
    /// # Errors
    /// When the store is closed.
    pub async fn limit_size(&self, bytes: u64) -> Result<(), StoreError> {
        self.write(
            |()| false,
            move |connection| {
                let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
                let most = i64::from(u32::MAX - 1);
                let pages =
                    if bytes == 0 { most } else { i64::try_from(bytes / u64::from(page)).unwrap_or(most) };
                connection.query_row(
                    &format!("PRAGMA max_page_count = {}", pages.clamp(1, most)),
                    [],
                    |_| Ok(()),
                )?;
                Ok(())
            },
        )
        .await
    }

    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.inner.keys
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.inner.clock.now()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.inner.clock.clone()
    }

    pub(crate) async fn write<T, F>(&self, announce: fn(&T) -> bool, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.writer.write(announce, work).await
    }

    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Keys) -> Result<T, StoreError> + Send + 'static,
    {
        let keys = self.inner.keys.clone();
        self.inner.readers.read(move |connection| work(connection, &keys)).await
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?
}
