//! Jobs: one per file, moved on only from the stage that it is in.

use chatlift_shared::api::{Receipt, ReceiptStatus};
use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::FileStored;
use chatlift_shared::{EventId, FileId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::feed::{FeedKind, say_of_file};
use super::notices::queue_notice;
use super::receipts::queue_receipt;
use super::{Store, StoreError, from_json, parse, to_json, unsigned};
use crate::pipeline::Rejection;

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The file is to be fetched from the edge.
    Fetch,
    /// The fetched file is to be looked at for malware.
    Scan,
    /// The file is to be brought into the app's format.
    Convert,
    /// The product is to be handed to the first app.
    Deliver,
    /// The first app has it. Final.
    Done,
    /// It cannot be done; the job's reason says why. Final.
    Parked,
}

impl Stage {
    const ALL: [Self; 6] = [
        Self::Fetch,
        Self::Scan,
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
            Self::Scan => "scan",
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
    /// The event that brought it.
    pub event: EventId,
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

fn job(row: &AnyRow) -> Result<Job, StoreError> {
    let stage: &str = row.try_get("stage")?;
    Ok(Job {
        event: parse("event", row.try_get("event")?)?,
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
            "SELECT * FROM jobs WHERE stage NOT IN ('done', 'parked') AND next_at <= $1
             ORDER BY next_at LIMIT $2",
        )
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(job).collect()
    }

    /// Takes jobs that are due into this process's hands, `limit` at most: until `until` no other
    /// process gets them. For a store that several processes share.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn claim_jobs(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query(
            "UPDATE jobs SET claimed_until = $1 WHERE file IN (
                 SELECT file FROM jobs
                 WHERE stage NOT IN ('done', 'parked') AND next_at <= $2 AND claimed_until <= $3
                 ORDER BY next_at LIMIT $4 FOR UPDATE SKIP LOCKED)
             RETURNING *",
        )
        .bind(until.millis())
        .bind(now.millis())
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(job).collect()
    }

    /// Keeps a job in this process's hands for longer.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hold_job(&self, file: FileId, until: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET claimed_until = $1 WHERE file = $2 AND claimed_until > 0")
            .bind(until.millis())
            .bind(file.to_string())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// When the next job comes due that is not due yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn next_job_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT min(next_at) FROM jobs WHERE stage NOT IN ('done', 'parked') AND next_at > $1",
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
        let row = sqlx::query("SELECT * FROM jobs WHERE file = $1")
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
        sqlx::query("UPDATE jobs SET etag = $1 WHERE file = $2")
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
        sqlx::query("UPDATE jobs SET crashes = crashes + 1, next_at = $1 WHERE file = $2")
            .bind(again_at.millis())
            .bind(file.to_string())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The process stops in the middle of a stage: the job is due at once for the next one, and the
    /// stop does not count as a crash.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hand_back(&self, file: FileId, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE jobs SET next_at = $1, crashes = crashes - 1, claimed_until = 0
             WHERE file = $2 AND crashes > 0 AND stage = 'convert'",
        )
        .bind(now.millis())
        .bind(file.to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The scanner passed the file: on to conversion.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn scanned(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        moved(&mut tx, job, Stage::Convert, now).await?;
        self.commit(tx).await
    }

    /// The file is here, with the digest that was announced: on to `next`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn fetched(&self, job: &Job, next: Stage, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if moved(&mut tx, job, next, now).await? {
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
            sqlx::query("UPDATE jobs SET product = $1 WHERE file = $2")
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
                 VALUES ($1, $2, $3, $4, $5)",
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
            if let (true, Some(product)) = (self.notices, product) {
                queue_notice(&mut tx, &job.announced, Ok(product), now).await?;
            }
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
            sqlx::query("UPDATE jobs SET reason = $1, last_error = $2 WHERE file = $3")
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
                code: Some(rejection.code().to_owned()),
                attempt: 0,
            };
            queue_receipt(&mut tx, job.file(), &receipt, now).await?;
            if self.notices {
                queue_notice(&mut tx, &job.announced, Err(rejection), now).await?;
            }
        }
        self.commit(tx).await
    }

    /// Begins a parked job anew; whether it was parked.
    ///
    /// The live stream and the edge have heard of the rejection and keep it; the app gets the
    /// delivery all the same.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn retry(&self, file: FileId, now: Timestamp) -> Result<bool, StoreError> {
        let updated = sqlx::query(
            "UPDATE jobs SET stage = 'fetch', attempts = 0, mismatches = 0, crashes = 0,
                 etag = NULL, product = NULL, reason = NULL, next_at = $1, updated_at = $2
             WHERE file = $3 AND stage = 'parked'",
        )
        .bind(now.millis())
        .bind(now.millis())
        .bind(file.to_string())
        .execute(&self.pool)
        .await?;
        Ok(updated.rows_affected() == 1)
    }

    /// The jobs that are not done, newest first, 500 at most.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open_jobs(&self) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM jobs WHERE stage <> 'done' ORDER BY created_at DESC, file LIMIT 500",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(job).collect()
    }

    /// How many jobs there are in each stage, all stages named.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn jobs_by_stage(&self) -> Result<Vec<(&'static str, i64)>, StoreError> {
        let mut counts = Vec::new();
        for stage in Stage::ALL {
            let count = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE stage = $1")
                .bind(stage.as_str())
                .fetch_one(&self.pool)
                .await?;
            counts.push((stage.as_str(), count));
        }
        Ok(counts)
    }

    /// How many receipts and notices are not sent yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unsent(&self) -> Result<[(&'static str, i64); 2], StoreError> {
        let receipts = sqlx::query_scalar("SELECT count(*) FROM receipts WHERE settled_at IS NULL")
            .fetch_one(&self.pool)
            .await?;
        let notices = sqlx::query_scalar("SELECT count(*) FROM notices WHERE settled_at IS NULL")
            .fetch_one(&self.pool)
            .await?;
        Ok([("receipts", receipts), ("notices", notices)])
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
            "UPDATE jobs SET attempts = $1, mismatches = $2, crashes = 0, claimed_until = 0,
                 last_error = $3, next_at = $4
             WHERE file = $5 AND stage = $6",
        )
        .bind(i64::from(attempts))
        .bind(i64::from(mismatches))
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
    tx: &mut Transaction<'static, Any>,
    job: &Job,
    to: Stage,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let updated = sqlx::query(
        "UPDATE jobs SET stage = $1, attempts = 0, mismatches = 0, crashes = 0, claimed_until = 0,
             etag = NULL, last_error = NULL, next_at = $2, updated_at = $3
         WHERE file = $4 AND stage = $5",
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
        code: None,
        attempt: 0,
    }
}
