//! What waits for a person.
//!
//! Never: opens an item (see `commit.rs`); closes one that nobody asked to close.

use counterpart_model::delivery::{NewReview, Review, ReviewReason, ReviewSubject};
use counterpart_model::ids::{RecordId, RowId};
use rusqlite::{Connection, Row, ToSql, params};

use crate::crypto::{Keys, place};
use crate::error::StoreError;
use crate::rows::{Columns, blob, collect, execute, first, limit, subject, subject_text};
use crate::store::Store;
use crate::types::ReviewFilter;

const REVIEW: &str =
    "id, subject, reason, message, detail, connection, record, opened_at, closed_at, closed_as, closed_by";

impl Store {
    /// Review items that pass a filter, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn reviews(&self, filter: ReviewFilter) -> Result<Vec<Review>, StoreError> {
        self.read(move |db, keys| {
            let connection = filter.connection.as_ref().map(|name| name.as_str());
            let most = limit(filter.limit, 50);
            let (index, open) =
                if filter.all { ("", "") } else { ("INDEXED BY review_waiting", "AND closed_at IS NULL") };
            let values: [&dyn ToSql; 3] = [&filter.reason, &connection, &most];
            collect(
                db,
                &format!(
                    "SELECT {REVIEW} FROM review {index}
                     WHERE (?1 IS NULL OR reason = ?1) AND (?2 IS NULL OR connection = ?2) {open}
                     ORDER BY id DESC LIMIT ?3"
                ),
                values.as_slice(),
                |row| review(keys, row),
            )
        })
        .await
    }

    /// A review item.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn review(&self, id: RowId) -> Result<Option<Review>, StoreError> {
        self.read(move |db, keys| {
            first(db, &format!("SELECT {REVIEW} FROM review WHERE id = ?1"), [id], |row| review(keys, row))
        })
        .await
    }

    /// Review items that concern a record, its deliveries' too, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn reviews_of(&self, record: RecordId) -> Result<Vec<Review>, StoreError> {
        self.read(move |db, keys| {
            collect(
                db,
                &format!("SELECT {REVIEW} FROM review WHERE record = ?1 ORDER BY id DESC"),
                [blob(record)],
                |row| review(keys, row),
            )
        })
        .await
    }

    /// Review items of a delivery, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn reviews_of_delivery(&self, delivery: RowId) -> Result<Vec<Review>, StoreError> {
        self.reviews_about(ReviewSubject::Delivery(delivery)).await
    }

    /// Review items of anything, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn reviews_about(&self, subject: ReviewSubject) -> Result<Vec<Review>, StoreError> {
        self.read(move |db, keys| {
            collect(
                db,
                &format!("SELECT {REVIEW} FROM review WHERE subject = ?1 ORDER BY id DESC"),
                [subject_text(&subject)],
                |row| review(keys, row),
            )
        })
        .await
    }
}

/// Closes what is open for a subject.
pub(crate) fn close(
    db: &Connection,
    subject: &ReviewSubject,
    how: &str,
    by: &str,
    now: i64,
) -> Result<(), StoreError> {
    execute(
        db,
        "UPDATE review SET closed_at = ?2, closed_as = ?3, closed_by = ?4 WHERE subject = ?1 AND closed_at IS NULL",
        params![subject_text(subject), now, how, by],
    )?;
    Ok(())
}

pub(crate) fn detail_place(subject: &ReviewSubject, reason: ReviewReason) -> String {
    place("review.detail", &[&subject_text(subject), &reason.as_str()])
}

fn review(keys: &Keys, row: &Row<'_>) -> Result<Review, StoreError> {
    let subject = subject(&row.at::<String>("subject")?)?;
    let reason: ReviewReason = row.named("reason")?;
    let connection = match row.at::<Option<String>>("connection")? {
        Some(_) => Some(row.connection("connection")?),
        None => None,
    };
    let item = NewReview {
        subject,
        reason,
        message: row.at("message")?,
        detail: keys.open_json(&detail_place(&subject, reason), &row.at::<Vec<u8>>("detail")?)?,
        connection,
        record: row.record_opt("record")?,
    };
    Ok(Review {
        id: row.at("id")?,
        item,
        opened_at: row.time("opened_at")?,
        closed_at: row.time_opt("closed_at")?,
        closed_as: row.at("closed_as")?,
        closed_by: row.at("closed_by")?,
    })
}
