//! The one writer: takes whatever is queued, runs each item inside a savepoint, commits them together, answers.
//!
//! An answer is sent only after the commit that makes it durable. An item that fails is rolled back alone. When a group
//! cannot be committed as a whole, its items are tried one by one, so that each gets its own answer.
//!
//! Never: runs an item outside a transaction; tells what an item holds.

use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::StoreError;

/// Items committed together at most: bounds how long the first of them waits.
const GROUP: usize = 256;

/// Items waiting at most; further callers wait to be queued.
const QUEUE: usize = 4096;

/// The writer's end of the store.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Task>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `changed` grows by one with every commit that others may want to know of.
    pub(crate) fn start(connection: Connection, changed: watch::Sender<u64>) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(&connection, waiting, &changed))
            .map_err(|_| StoreError::Closed)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues `work` and waits until it is durable. `work` may run more than once; what an earlier run wrote is then
    /// undone. `announce` says of its answer whether others may want to know.
    pub(crate) async fn write<T, F>(&self, announce: fn(&T) -> bool, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Item { work, announce, outcome: None, reply: Some(reply) });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(task).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when it has answered everything queued; waiting for it means that the file is closed.
        self.queue.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread had panicked");
        }
    }
}

/// One queued write.
trait Task: Send {
    /// Does the work; false when it failed.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Replaces a success that could not be committed.
    fn fail(&mut self, error: StoreError);
    /// Whether others may want to know.
    fn announces(&self) -> bool;
    /// Sends the answer.
    fn answer(&mut self);
}

struct Item<T, F> {
    work: F,
    announce: fn(&T) -> bool,
    outcome: Option<Result<T, StoreError>>,
    reply: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<T: Send, F: FnMut(&Connection) -> Result<T, StoreError> + Send> Task for Item<T, F> {
    fn run(&mut self, connection: &Connection) -> bool {
        let outcome = (self.work)(connection);
        let done = outcome.is_ok();
        self.outcome = Some(outcome);
        done
    }

    fn fail(&mut self, error: StoreError) {
        if !matches!(self.outcome, Some(Err(_))) {
            self.outcome = Some(Err(error));
        }
    }

    fn announces(&self) -> bool {
        matches!(&self.outcome, Some(Ok(value)) if (self.announce)(value))
    }

    fn answer(&mut self) {
        if let (Some(reply), Some(outcome)) = (self.reply.take(), self.outcome.take()) {
            // A caller that no longer listens does not mind; what it asked for is done.
            let _ = reply.send(outcome);
        }
    }
}

fn run(connection: &Connection, mut waiting: mpsc::Receiver<Box<dyn Task>>, changed: &watch::Sender<u64>) {
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = waiting.blocking_recv() {
        group.push(first);
        while group.len() < GROUP
            && let Ok(next) = waiting.try_recv()
        {
            group.push(next);
        }
        match commit(connection, &mut group) {
            Ok(()) => {}
            Err(Failed::Begin(StoreError::Locked)) => {
                // Trying one by one would wait for the lock once for each.
                group.iter_mut().for_each(|task| task.fail(StoreError::Locked));
            }
            Err(_) => {
                for task in &mut group {
                    let one = std::slice::from_mut(task);
                    if let Err(Failed::Begin(error) | Failed::Later(error)) = commit(connection, one) {
                        task.fail(error);
                    }
                }
            }
        }
        if group.iter().any(|task| task.announces()) {
            changed.send_modify(|count| *count += 1);
        }
        group.drain(..).for_each(|mut task| task.answer());
    }
}

enum Failed {
    Begin(StoreError),
    Later(StoreError),
}

fn commit(connection: &Connection, tasks: &mut [Box<dyn Task>]) -> Result<(), Failed> {
    execute(connection, "BEGIN IMMEDIATE").map_err(Failed::Begin)?;
    let done = items(connection, tasks).and_then(|()| execute(connection, "COMMIT"));
    done.map_err(|error| {
        if !connection.is_autocommit()
            && let Err(error) = execute(connection, "ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be rolled back");
        }
        Failed::Later(error)
    })
}

fn items(connection: &Connection, tasks: &mut [Box<dyn Task>]) -> Result<(), StoreError> {
    for task in tasks {
        execute(connection, "SAVEPOINT item")?;
        if !task.run(connection) {
            if connection.is_autocommit() {
                // SQLite itself rolled the whole transaction back: no room left, or a failed disk.
                return Err(StoreError::Full);
            }
            execute(connection, "ROLLBACK TO item")?;
        }
        execute(connection, "RELEASE item")?;
    }
    Ok(())
}

fn execute(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What a commit refuses must not have been acknowledged before it, and takes nothing else with it.
    #[tokio::test]
    async fn an_answer_waits_for_the_commit() {
        let connection = Connection::open_in_memory().unwrap();
        // A deferred constraint lets the write pass and fails the commit.
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON;
                 CREATE TABLE parent (id INTEGER PRIMARY KEY);
                 CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
            )
            .unwrap();
        let writer = Writer::start(connection, watch::Sender::new(0)).unwrap();
        let insert = |sql: &'static str| writer.write(|&()| false, move |db| execute(db, sql));
        let (good, bad, other) = tokio::join!(
            insert("INSERT INTO parent VALUES (1)"),
            insert("INSERT INTO child VALUES (9)"),
            insert("INSERT INTO child VALUES (1)"),
        );
        good.unwrap();
        bad.unwrap_err();
        other.unwrap();
        let count = writer.write(
            |_| false,
            |db| Ok(db.query_row("SELECT count(*) FROM child", [], |row| row.get::<_, i64>(0))?),
        );
        assert_eq!(count.await.unwrap(), 1);
    }
}
