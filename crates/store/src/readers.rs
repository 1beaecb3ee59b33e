//! A small pool of connections that cannot write. Each read sees one snapshot, and nothing is kept between reads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::db;
use crate::error::StoreError;

/// Reads running at once at most; further ones wait.
const READERS: usize = 4;

pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()), permits: Arc::new(Semaphore::new(READERS)) }
    }

    /// Runs `work` on one snapshot, off the async threads.
    pub(crate) async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let readers = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let idle = readers.lock().pop();
            let connection = idle.map_or_else(|| db::open_reader(&readers.path), Ok)?;
            let result = {
                let snapshot = connection.unchecked_transaction()?;
                work(&snapshot)
            };
            // The snapshot was rolled back when dropped; a connection that could not do that is not kept.
            if connection.is_autocommit() {
                readers.lock().push(connection);
            }
            drop(permit);
            result
        });
        done.await.map_err(|_| StoreError::Closed)?
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
