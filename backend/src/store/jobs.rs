//! Jobs: which are due, who has them in hand, what is noted of them on the way.

use chatlift_shared::{FileId, Timestamp};

use super::job::{Job, NEVER, Stage, job};
use super::{LEASE, Store, StoreError};

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

    /// Leases jobs that are due to this process, `limit` at most: for a minute no other process gets
    /// them. For a store that several processes share.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn lease_jobs(&self, now: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let now = self.time(&mut tx, now).await?;
        let rows = sqlx::query(
            "UPDATE jobs SET claimed_until = $1, lease = lease + 1 WHERE file IN (
                 SELECT file FROM jobs
                 WHERE stage NOT IN ('done', 'parked') AND next_at <= $2 AND claimed_until <= $3
                 ORDER BY next_at LIMIT $4 FOR UPDATE SKIP LOCKED)
             RETURNING *",
        )
        .bind(now.plus(LEASE).millis())
        .bind(now.millis())
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        rows.iter().map(job).collect()
    }

    /// Extends this process's lease of a job by another minute; false when another process has it now, so
    /// that this one's work is in vain.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn extend_lease(&self, job: &Job, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        let now = self.time(&mut tx, now).await?;
        let extended = sqlx::query(
            "UPDATE jobs SET claimed_until = $1 WHERE file = $2 AND lease = $3 AND claimed_until > 0",
        )
        .bind(now.plus(LEASE).millis())
        .bind(job.file().to_string())
        .bind(i64::from(job.lease))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        if extended.rows_affected() == 1 {
            return Ok(true);
        }
        let now_is = self.job(job.file()).await?;
        Ok(now_is.is_none_or(|now_is| now_is.lease == job.lease))
    }

    /// Gives a leased job out of this process's hands.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_lease(&self, job: &Job) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET claimed_until = 0 WHERE file = $1 AND lease = $2")
            .bind(job.file().to_string())
            .bind(i64::from(job.lease))
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
            "SELECT min(next_at) FROM jobs
             WHERE stage NOT IN ('done', 'parked') AND next_at > $1 AND next_at < $2",
        )
        .bind(now.millis())
        .bind(NEVER.millis())
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

    /// When a job last moved, which is when it was parked if it is; `None` if there is no such job.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn moved_at(&self, file: FileId) -> Result<Option<Timestamp>, StoreError> {
        let at: Option<i64> = sqlx::query_scalar("SELECT updated_at FROM jobs WHERE file = $1")
            .bind(file.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(at.map(Timestamp::from_millis))
    }

    /// Remembers which version the partly fetched file is of.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_etag(&self, job: &Job, etag: Option<&str>) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET etag = $1 WHERE file = $2 AND lease = $3")
            .bind(etag)
            .bind(job.file().to_string())
            .bind(i64::from(job.lease))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Notes that the file is opened, and that the job is due again at `again_at` if the process
    /// dies over it. Both are taken back when the stage ends, well or badly.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn conversion_begins(
        &self,
        job: &Job,
        again_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE jobs SET crashes = crashes + 1, next_at = $1 WHERE file = $2 AND lease = $3",
        )
        .bind(again_at.millis())
        .bind(job.file().to_string())
        .bind(i64::from(job.lease))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes back for a while that the file is opened: it waits for its turn.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn conversion_waits(&self, job: &Job) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET crashes = $1 WHERE file = $2 AND lease = $3 AND stage = $4")
            .bind(i64::from(job.crashes))
            .bind(job.file().to_string())
            .bind(i64::from(job.lease))
            .bind(job.stage().as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The process stops in the middle of a stage: the job is due at once for the next one, and the
    /// stop does not count as a crash.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hand_back(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE jobs SET next_at = $1, crashes = $2, claimed_until = 0
             WHERE file = $3 AND lease = $4 AND stage = $5",
        )
        .bind(now.millis())
        .bind(i64::from(job.crashes))
        .bind(job.file().to_string())
        .bind(i64::from(job.lease))
        .bind(job.stage().as_str())
        .execute(&self.pool)
        .await?;
        Ok(())
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
}
