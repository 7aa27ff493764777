//! What the first app asked for and what it has: its requests, their files and the deliveries.

use chatlift_shared::api::Link;
use chatlift_shared::{FileId, LinkId, Timestamp};
use serde::Serialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Product, Store, StoreError, from_json, parse, to_json};
use crate::rejection::Rejection;

/// Most deliveries that a list holds.
const LIST: i64 = 100;

/// A link that the first app asked for, as the edge made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The link.
    pub link: Link,
    /// Whether it has ended, and how: `completed` or `expired`.
    pub ended: Option<String>,
}

/// How far a file of a request is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileState {
    /// The file.
    pub file: FileId,
    /// The last that the live stream said of it: `uploaded` to `delivered` or `rejected`.
    pub status: String,
    /// Why it was rejected, by its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejection: Option<&'static str>,
    /// The same in words for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A file that the first app has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The file.
    pub file: FileId,
    /// The link it came by.
    pub link: LinkId,
    /// What was delivered.
    pub product: Product,
    /// The media type that it came in.
    pub received_as: String,
    /// When it was delivered.
    pub delivered_at: Timestamp,
    /// When the app said that it has it for good.
    pub acknowledged_at: Option<Timestamp>,
    /// When its content was deleted.
    pub deleted_at: Option<Timestamp>,
}

fn delivery(row: &AnyRow) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        file: parse("file", row.try_get("file")?)?,
        link: parse("link", row.try_get("link")?)?,
        product: from_json("product", row.try_get("product")?)?,
        received_as: row.try_get("received_as")?,
        delivered_at: Timestamp::from_millis(row.try_get("delivered_at")?),
        acknowledged_at: row
            .try_get::<Option<i64>, _>("acknowledged_at")?
            .map(Timestamp::from_millis),
        deleted_at: row
            .try_get::<Option<i64>, _>("deleted_at")?
            .map(Timestamp::from_millis),
    })
}

impl Store {
    /// Remembers a link that the first app asked for.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remember_request(&self, link: &Link, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO requests (link, body, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(link.id.to_string())
        .bind(to_json("body", link)?)
        .bind(now.millis())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A link that the first app asked for.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn request(&self, link: LinkId) -> Result<Option<Request>, StoreError> {
        let row = sqlx::query(
            "SELECT body, (SELECT kind FROM feed WHERE of = link ORDER BY seq LIMIT 1) AS ended
             FROM requests WHERE link = $1",
        )
        .bind(link.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(Request {
                link: from_json("body", row.try_get("body")?)?,
                ended: row.try_get("ended")?,
            })
        })
        .transpose()
    }

    /// The files of a link, in the order in which they were announced.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn files_of(&self, link: LinkId) -> Result<Vec<FileState>, StoreError> {
        let rows = sqlx::query(
            "SELECT file, rejection,
                 (SELECT kind FROM feed WHERE of = file ORDER BY seq DESC LIMIT 1) AS status
             FROM jobs WHERE link = $1 AND EXISTS (SELECT 1 FROM feed WHERE of = file)
             ORDER BY created_at, file",
        )
        .bind(link.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let code: Option<&str> = row.try_get("rejection")?;
                let rejection = code.and_then(Rejection::from_code);
                Ok(FileState {
                    file: parse("file", row.try_get("file")?)?,
                    status: row.try_get("status")?,
                    rejection: rejection.map(Rejection::code),
                    reason: rejection.map(|rejection| rejection.to_string()),
                })
            })
            .collect()
    }

    /// The newest deliveries, newest first, 100 at most; of one link or of all.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn deliveries(&self, link: Option<LinkId>) -> Result<Vec<Delivery>, StoreError> {
        self.deliveries_before(link, None, LIST).await
    }

    /// The deliveries that follow `before` in the list, newest first, `limit` at most and 100 in
    /// any case; of one link or of all. What is deleted is not listed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn deliveries_before(
        &self,
        link: Option<LinkId>,
        before: Option<&Delivery>,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let at = before.map_or(i64::MAX, |b| b.delivered_at.millis());
        let rows = sqlx::query(
            "SELECT * FROM deliveries
             WHERE deleted_at IS NULL AND ($1 = '' OR link = $2)
                 AND (delivered_at < $3 OR (delivered_at = $4 AND file > $5))
             ORDER BY delivered_at DESC, file LIMIT $6",
        )
        .bind(link.map(|l| l.to_string()).unwrap_or_default())
        .bind(link.map(|l| l.to_string()).unwrap_or_default())
        .bind(at)
        .bind(at)
        .bind(before.map(|b| b.file.to_string()).unwrap_or_default())
        .bind(limit.clamp(1, LIST))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(delivery).collect()
    }

    /// The delivery of a file.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delivery(&self, file: FileId) -> Result<Option<Delivery>, StoreError> {
        let row = sqlx::query("SELECT * FROM deliveries WHERE file = $1")
            .bind(file.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(delivery).transpose()
    }
}
