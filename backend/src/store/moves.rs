//! Jobs moved on: only from the stage and the lease that the caller saw, in one transaction with the receipt, the
//! line on the live stream and the notice that belong to it.

use chatlift_shared::api::ReceiptStatus;
use chatlift_shared::digest::Sha256;
use chatlift_shared::{FileId, Timestamp};

use super::feed::{Detail, FeedKind, say_of_file};
use super::job::{Job, Product, Stage};
use super::notices::queue_notice;
use super::transitions::{advance, park, queue_status, queue_status_with, restart};
use super::{Store, StoreError, groups, to_json};
use crate::rejection::Rejection;

impl Store {
    /// The scanner passed the file: on to conversion.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn scanned(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        advance(&mut tx, job, Stage::Convert, now).await?;
        self.commit(tx).await
    }

    /// What was made of the file is not kept any more: back to conversion.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn make_again(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        advance(&mut tx, job, Stage::Convert, now).await?;
        self.commit(tx).await
    }

    /// The scanner could not see all of the file: it is held for the operator.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn hold(&self, job: &Job, why: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if advance(&mut tx, job, Stage::Held, now).await? {
            sqlx::query("UPDATE jobs SET last_error = $1 WHERE file = $2")
                .bind(why)
                .bind(job.file().to_string())
                .execute(&mut *tx)
                .await?;
        }
        self.commit(tx).await
    }

    /// Lets a file go on that is held for the operator; whether it was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release(&self, file: FileId, now: Timestamp) -> Result<bool, StoreError> {
        let job = self
            .job(file)
            .await?
            .filter(|job| job.stage() == Stage::Held);
        let Some(job) = job else {
            return Ok(false);
        };
        let mut tx = self.write().await?;
        let released = advance(&mut tx, &job, Stage::Convert, now).await?;
        self.commit(tx).await?;
        Ok(released)
    }

    /// The file is here, with the digests that were announced: on to `next`. `sha256` is that of the
    /// whole, if it was computed; the edge is told of it where it did not know it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn fetched(
        &self,
        job: &Job,
        sha256: Option<Sha256>,
        next: Stage,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if advance(&mut tx, job, next, now).await? {
            let news = sha256.filter(|_| job.announced.file.sha256.is_none());
            let mut job = job.clone();
            if news.is_some() {
                job.announced.file.sha256 = news;
                sqlx::query("UPDATE jobs SET announced = $1 WHERE file = $2")
                    .bind(to_json("announced", &job.announced)?)
                    .bind(job.file().to_string())
                    .execute(&mut *tx)
                    .await?;
            }
            say_of_file(&mut tx, FeedKind::Received, &job, Detail::default(), now).await?;
            queue_status_with(&mut tx, &job, ReceiptStatus::Received, news, now).await?;
        }
        self.commit(tx).await
    }

    /// The product is ready: on to delivery, or to wait for those that it is joined with. False if the
    /// job is in other hands by now, or elsewhere.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn converted(
        &self,
        job: &Job,
        product: &Product,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let waits = job.is_part() && groups::takes_parts(&mut tx, job).await?;
        let next = if waits { Stage::Wait } else { Stage::Deliver };
        let converted = advance(&mut tx, job, next, now).await?;
        if converted {
            sqlx::query("UPDATE jobs SET product = $1 WHERE file = $2")
                .bind(to_json("product", product)?)
                .bind(job.file().to_string())
                .execute(&mut *tx)
                .await?;
            let detail = Detail::product(product);
            say_of_file(&mut tx, FeedKind::Converted, job, detail, now).await?;
            queue_status(&mut tx, job, ReceiptStatus::Converted, now).await?;
            groups::join_if_ready(&mut tx, job, now).await?;
        }
        self.commit(tx).await?;
        Ok(converted)
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
        if advance(&mut tx, job, Stage::Done, now).await? {
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
            let detail = Detail::product(product);
            say_of_file(&mut tx, FeedKind::Delivered, job, detail, now).await?;
            queue_status(&mut tx, job, ReceiptStatus::Delivered, now).await?;
            if self.notices {
                queue_notice(&mut tx, &job.announced, Ok(product), now).await?;
            }
            if job.is_joined() {
                groups::joined(&mut tx, job, now).await?;
            }
            groups::archive_if_over(&mut tx, job.archive(), now).await?;
        }
        self.commit(tx).await
    }

    /// The job can never be done. With what files are joined to, they are rejected too. False if it is in
    /// other hands by now, or elsewhere.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn park(
        &self,
        job: &Job,
        rejection: Rejection,
        error: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let is_parked = park(&mut tx, job, rejection, error, now).await?;
        if is_parked {
            if self.notices {
                queue_notice(&mut tx, &job.announced, Err(rejection), now).await?;
            }
            if job.is_joined() {
                groups::not_joined(&mut tx, job, rejection, error, now).await?;
            }
            groups::archive_if_over(&mut tx, job.archive(), now).await?;
            groups::join_if_ready(&mut tx, job, now).await?;
        }
        self.commit(tx).await?;
        Ok(is_parked)
    }

    /// Begins a parked job anew; whether it was parked. What files are joined to takes them up
    /// again too, and a member its archive.
    ///
    /// The app gets the delivery though it has heard of the rejection; the edge gets receipts of a
    /// new attempt.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn retry(&self, file: FileId, now: Timestamp) -> Result<bool, StoreError> {
        let Some(job) = self.job(file).await? else {
            return Ok(false);
        };
        let mut tx = self.write().await?;
        let again = restart(&mut tx, &job, now).await?;
        if again {
            groups::restart(&mut tx, &job, now).await?;
        }
        self.commit(tx).await?;
        Ok(again)
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
             WHERE file = $5 AND stage = $6 AND lease = $7",
        )
        .bind(i64::from(attempts))
        .bind(i64::from(mismatches))
        .bind(error)
        .bind(next_at.millis())
        .bind(job.file().to_string())
        .bind(job.stage().as_str())
        .bind(i64::from(job.lease))
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
