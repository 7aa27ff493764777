//! Notices: what the app is to be told by webhook, each under one id at every try.

use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::FileStored;
use chatlift_shared::{EventId, FileId, LinkId, SceneId, Timestamp};
use serde::Serialize;
use sqlx::{Any, Row as _, Transaction};

use super::{CLAIM, Product, Store, StoreError, parse, to_json, unsigned};
use crate::random::random;
use crate::rejection::Rejection;

/// A notice that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueNotice {
    /// Its id, the `webhook-id`.
    pub id: EventId,
    /// The file that it is about.
    pub file: FileId,
    /// Its body, JSON.
    pub body: String,
    /// Failed tries so far.
    pub attempts: u32,
}

/// What a notice says of a file, and by which of its own words the app knows it again.
#[derive(Serialize)]
struct Data<'a> {
    file: FileId,
    link: LinkId,
    scene: &'a SceneId,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    metadata: &'a std::collections::BTreeMap<String, String>,
    name: &'a str,
    /// The uploads that it was made of, if it is not one itself.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    of: &'a [FileId],
    /// What its sender wrote with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<ProductData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct ProductData<'a> {
    media_type: &'a str,
    size: u64,
    sha256: Sha256,
    content: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

/// Queues a notice: `file.delivered` with a product, else `file.rejected`.
pub(super) async fn queue_notice(
    tx: &mut Transaction<'static, Any>,
    announced: &FileStored,
    outcome: Result<&Product, Rejection>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (file, link) = (&announced.file, &announced.link);
    let (product, rejection) = (outcome.ok(), outcome.err());
    let body = Body {
        r#type: if product.is_some() {
            "file.delivered"
        } else {
            "file.rejected"
        },
        timestamp: now,
        data: Data {
            file: file.id,
            link: link.id,
            scene: &link.scene,
            subject: link.subject.as_deref(),
            metadata: &link.metadata,
            name: product.map_or(&file.name, |p| &p.name),
            of: product.map_or(&[], |p| &p.of),
            note: product.map_or(&file.note, |p| &p.note).as_deref(),
            product: product.map(|product| ProductData {
                media_type: &product.media_type,
                size: product.size,
                sha256: product.sha256,
                content: format!("/app/deliveries/{}/content", file.id),
            }),
            code: rejection.map(Rejection::code),
            reason: rejection.map(|r| r.to_string()),
        },
    };
    sqlx::query("INSERT INTO notices (id, file, body, next_at) VALUES ($1, $2, $3, $4)")
        .bind(EventId::new(link.id, random()).to_string())
        .bind(file.id.to_string())
        .bind(to_json("body", &body)?)
        .bind(now.millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Store {
    /// The notices that are due, longest due first, `limit` at most.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn due_notices(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueNotice>, StoreError> {
        let mut tx = self.read_or_claim().await?;
        let now = self.time(&mut tx, now).await?;
        let rows = sqlx::query(
            "SELECT id, file, body, attempts FROM notices
             WHERE settled_at IS NULL AND next_at <= $1 ORDER BY next_at LIMIT $2",
        )
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
        let due: Vec<DueNotice> = rows
            .iter()
            .map(|row| {
                Ok(DueNotice {
                    id: parse("id", row.try_get("id")?)?,
                    file: parse("file", row.try_get("file")?)?,
                    body: row.try_get("body")?,
                    attempts: unsigned("attempts", row.try_get("attempts")?)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        for notice in due.iter().filter(|_| self.shared()) {
            sqlx::query("UPDATE notices SET next_at = $1 WHERE id = $2")
                .bind(now.plus(CLAIM).millis())
                .bind(notice.id.to_string())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(due)
    }

    /// When the next notice comes due that is not due yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn next_notice_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT min(next_at) FROM notices WHERE settled_at IS NULL AND next_at > $1",
        )
        .bind(now.millis())
        .fetch_one(&self.pool)
        .await?;
        Ok(next.map(Timestamp::from_millis))
    }

    /// The app has the notice, which acknowledges the delivery; or it is given up, and why.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn settle_notice(
        &self,
        due: &DueNotice,
        gave_up: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE notices SET settled_at = $1, last_error = $2 WHERE id = $3")
            .bind(now.millis())
            .bind(gave_up)
            .bind(due.id.to_string())
            .execute(&mut *tx)
            .await?;
        if gave_up.is_none() {
            acknowledge(&mut tx, due.file, now).await?;
        }
        self.commit(tx).await
    }

    /// The notice could not be sent and is to be tried again at `next_at`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn try_notice_again(
        &self,
        due: &DueNotice,
        error: &str,
        next_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE notices SET attempts = $1, last_error = $2, next_at = $3 WHERE id = $4",
        )
        .bind(i64::from(due.attempts.saturating_add(1)))
        .bind(error)
        .bind(next_at.millis())
        .bind(due.id.to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The app has a delivery for good; whether there is such a delivery.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn acknowledge(&self, file: FileId, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        acknowledge(&mut tx, file, now).await?;
        self.commit(tx).await?;
        Ok(self.delivery(file).await?.is_some())
    }

    /// Deliveries that the app acknowledged at or before `before`, that are not deleted, and of
    /// which the edge knows; the first `skip` of them left out, 100 at most.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn expired_deliveries(
        &self,
        before: Timestamp,
        skip: u32,
    ) -> Result<Vec<FileId>, StoreError> {
        let files: Vec<String> = sqlx::query_scalar(
            "SELECT file FROM deliveries d
             WHERE deleted_at IS NULL AND acknowledged_at <= $1 AND NOT EXISTS (
                 SELECT 1 FROM receipts r JOIN jobs j ON j.file = r.file
                 WHERE j.link = d.link AND r.settled_at IS NULL)
             AND EXISTS (SELECT 1 FROM jobs j WHERE j.file = d.file AND j.stage <> 'erase')
             ORDER BY acknowledged_at, file LIMIT 100 OFFSET $2",
        )
        .bind(before.millis())
        .bind(i64::from(skip))
        .fetch_all(&self.pool)
        .await?;
        files.iter().map(|file| parse("file", file)).collect()
    }
}

async fn acknowledge(
    tx: &mut Transaction<'static, Any>,
    file: FileId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE deliveries SET acknowledged_at = $1 WHERE file = $2 AND acknowledged_at IS NULL",
    )
    .bind(now.millis())
    .bind(file.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
