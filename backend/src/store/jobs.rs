//! Jobs: one per file, moved on only from the stage that it is in.

use chatlift_shared::api::{Receipt, ReceiptStatus};
use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::FileStored;
use chatlift_shared::{FileId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::feed::{FeedKind, say_of_file};
use super::receipts::queue_receipt;
use super::{Store, StoreError, from_json, to_json, unsigned};
use crate::pipeline::Rejection;

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The file is to be fetched from the edge.
    Fetch,
    /// The fetched file is to be brought into the app's format.
    Convert,
    /// The product is to be handed to the first app.
    Deliver,
    /// The first app has it. Final.
    Done,
    /// It cannot be done; the job's reason says why. Final.
    Parked,
}

impl Stage {
    const ALL: [Self; 5] = [
        Self::Fetch,
        Self::Convert,
        Self::Deliver,
        Self::Done,
        Self::Parked,
    ];

    /// The name as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Convert => "convert",
            Self::Deliver => "deliver",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }
}

/// What conversion made of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its name, to be shown; never a path.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of its content.
    pub sha256: Sha256,
    /// Whether it is another file than the one that was fetched.
    pub converted: bool,
}

/// A file on its way through the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The edge's word about the file and its link.
    pub announced: FileStored,
    /// Where it is.
    pub stage: Stage,
    /// Failed tries of this stage.
    pub attempts: u32,
    /// How often what was fetched was not what was announced.
    pub mismatches: u32,
    /// Conversions begun and not ended.
    pub crashes: u32,
    /// Version that the partly fetched file is of.
    pub etag: Option<String>,
    /// What conversion made, from [`Stage::Deliver`] on.
    pub product: Option<Product>,
    /// What went wrong last, for the operator.
    pub last_error: Option<String>,
    /// Why it is parked, in words for the chat-app user.
    pub reason: Option<String>,
}

impl Job {
    /// The file.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.announced.file.id
    }
}

fn job(row: &SqliteRow) -> Result<Job, StoreError> {
    let stage: &str = row.try_get("stage")?;
    Ok(Job {
        announced: from_json("announced", row.try_get("announced")?)?,
        stage: Stage::ALL
            .into_iter()
            .find(|s| s.as_str() == stage)
            .ok_or_else(|| StoreError::Unreadable {
                column: "stage",
                problem: format!("no stage {stage}"),
            })?,
        attempts: unsigned("attempts", row.try_get("attempts")?)?,
        mismatches: unsigned("mismatches", row.try_get("mismatches")?)?,
        crashes: unsigned("crashes", row.try_get("crashes")?)?,
        etag: row.try_get("etag")?,
        product: row
            .try_get::<Option<&str>, _>("product")?
            .map(|text| from_json("product", text))
            .transpose()?,
        last_error: row.try_get("last_error")?,
        reason: row.try_get("reason")?,
    })
}

impl Store {
    /// The jobs that are due, longest due first, `limit` at most.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn due_jobs(&self, now: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM jobs WHERE stage NOT IN ('done', 'parked') AND next_at <= ?
             ORDER BY next_at LIMIT ?",
        )
        .bind(now.millis())
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(job).collect()
    }

    /// When the next job comes due that is not due yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn next_job_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT min(next_at) FROM jobs WHERE stage NOT IN ('done', 'parked') AND next_at > ?",
        )
        .bind(now.millis())
        .fetch_one(&self.pool)
        .await?;
        Ok(next.map(Timestamp::from_millis))
    }

    /// The job of a file.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn job(&self, file: FileId) -> Result<Option<Job>, StoreError> {
        let row = sqlx::query("SELECT * FROM jobs WHERE file = ?")
            .bind(file.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(job).transpose()
    }

    /// Remembers which version the partly fetched file is of.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_etag(&self, file: FileId, etag: Option<&str>) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET etag = ? WHERE file = ?")
            .bind(etag)
            .bind(file.to_string())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes that a conversion begins, and that the job is due again at `again_at` if the process
    /// dies in it. Both are taken back when the stage ends, well or badly.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn conversion_begins(
        &self,
        file: FileId,
        again_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET crashes = crashes + 1, next_at = ? WHERE file = ?")
            .bind(again_at.millis())
            .bind(file.to_string())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The file is here, with the digest that was announced: on to conversion.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn fetched(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if moved(&mut tx, job, Stage::Convert, now).await? {
            say_of_file(&mut tx, FeedKind::Received, &job.announced, None, None, now).await?;
            queue_receipt(&mut tx, job.file(), &receipt(ReceiptStatus::Received), now).await?;
        }
        self.commit(tx).await
    }

    /// The product is ready: on to delivery.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn converted(
        &self,
        job: &Job,
        product: &Product,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if moved(&mut tx, job, Stage::Deliver, now).await? {
            sqlx::query("UPDATE jobs SET product = ? WHERE file = ?")
                .bind(to_json("product", product)?)
                .bind(job.file().to_string())
                .execute(&mut *tx)
                .await?;
            let product = Some(product);
            say_of_file(
                &mut tx,
                FeedKind::Converted,
                &job.announced,
                product,
                None,
                now,
            )
            .await?;
            queue_receipt(&mut tx, job.file(), &receipt(ReceiptStatus::Converted), now).await?;
        }
        self.commit(tx).await
    }

    /// The first app has the product. From here on its API shows it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delivered(
        &self,
        job: &Job,
        product: &Product,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if moved(&mut tx, job, Stage::Done, now).await? {
            sqlx::query(
                "INSERT INTO deliveries (file, link, product, received_as, delivered_at)
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(job.file().to_string())
            .bind(job.announced.link.id.to_string())
            .bind(to_json("product", product)?)
            .bind(&job.announced.file.media_type)
            .bind(now.millis())
            .execute(&mut *tx)
            .await?;
            let product = Some(product);
            say_of_file(
                &mut tx,
                FeedKind::Delivered,
                &job.announced,
                product,
                None,
                now,
            )
            .await?;
            queue_receipt(&mut tx, job.file(), &receipt(ReceiptStatus::Delivered), now).await?;
        }
        self.commit(tx).await
    }

    /// The job can never be done.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn park(
        &self,
        job: &Job,
        rejection: Rejection,
        error: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reason = rejection.to_string();
        let mut tx = self.write().await?;
        if moved(&mut tx, job, Stage::Parked, now).await? {
            sqlx::query("UPDATE jobs SET reason = ?, last_error = ? WHERE file = ?")
                .bind(&reason)
                .bind(error)
                .bind(job.file().to_string())
                .execute(&mut *tx)
                .await?;
            say_of_file(
                &mut tx,
                FeedKind::Rejected,
                &job.announced,
                None,
                Some(rejection),
                now,
            )
            .await?;
            let receipt = Receipt {
                status: ReceiptStatus::Rejected,
                reason: Some(reason),
            };
            queue_receipt(&mut tx, job.file(), &receipt, now).await?;
        }
        self.commit(tx).await
    }

    /// The stage failed and is to be tried again at `next_at`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn try_again(
        &self,
        job: &Job,
        attempts: u32,
        mismatches: u32,
        error: &str,
        next_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE jobs SET attempts = ?, mismatches = ?, crashes = 0, last_error = ?, next_at = ?
             WHERE file = ? AND stage = ?",
        )
        .bind(attempts)
        .bind(mismatches)
        .bind(error)
        .bind(next_at.millis())
        .bind(job.file().to_string())
        .bind(job.stage.as_str())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// Moves a job on, if it is still in the stage that the caller saw.
async fn moved(
    tx: &mut Transaction<'static, Sqlite>,
    job: &Job,
    to: Stage,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let updated = sqlx::query(
        "UPDATE jobs SET stage = ?, attempts = 0, mismatches = 0, crashes = 0, etag = NULL,
             last_error = NULL, next_at = ?, updated_at = ?
         WHERE file = ? AND stage = ?",
    )
    .bind(to.as_str())
    .bind(now.millis())
    .bind(now.millis())
    .bind(job.file().to_string())
    .bind(job.stage.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(updated.rows_affected() == 1)
}

fn receipt(status: ReceiptStatus) -> Receipt {
    Receipt {
        status,
        reason: None,
    }
}
