//! The single transitions of a job within a transaction, each with the receipt and the line on the live
//! stream that belong to it. Whatever moves jobs is made of these.

use chatlift_shared::Timestamp;
use chatlift_shared::api::{Receipt, ReceiptStatus};
use chatlift_shared::digest::Sha256;
use sqlx::{Any, Transaction};

use super::StoreError;
use super::feed::{Detail, FeedKind, say_of_file};
use super::job::{Job, NEVER, Stage};
use super::receipts::queue_receipt;
use crate::rejection::Rejection;

/// Advances a job, if it is still in the stage that the caller saw, and in the same hands.
pub(super) async fn advance(
    tx: &mut Transaction<'static, Any>,
    job: &Job,
    to: Stage,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let next_at = match to {
        Stage::Wait | Stage::Held => NEVER,
        _ => now,
    };
    let updated = sqlx::query(
        "UPDATE jobs SET stage = $1, attempts = 0, mismatches = 0, crashes = 0,
             etag = NULL, last_error = NULL, next_at = $2, updated_at = $3
         WHERE file = $4 AND stage = $5 AND lease = $6",
    )
    .bind(to.as_str())
    .bind(next_at.millis())
    .bind(now.millis())
    .bind(job.file().to_string())
    .bind(job.stage().as_str())
    .bind(i64::from(job.lease))
    .execute(&mut **tx)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Parks a job, if it is still in the stage that the caller saw, and says so.
pub(super) async fn park(
    tx: &mut Transaction<'static, Any>,
    job: &Job,
    rejection: Rejection,
    error: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !advance(tx, job, Stage::Parked, now).await? {
        return Ok(false);
    }
    sqlx::query("UPDATE jobs SET rejection = $1, last_error = $2 WHERE file = $3")
        .bind(rejection.code())
        .bind(error)
        .bind(job.file().to_string())
        .execute(&mut **tx)
        .await?;
    let detail = Detail::rejection(rejection);
    say_of_file(tx, FeedKind::Rejected, job, detail, now).await?;
    if job.is_upload() {
        let receipt = Receipt {
            reason: Some(rejection.to_string()),
            code: Some(rejection.code().to_owned()),
            attempt: job.attempt,
            ..Receipt::new(ReceiptStatus::Rejected)
        };
        queue_receipt(tx, job.file(), &receipt, now).await?;
    }
    Ok(true)
}

/// Begins a parked job anew; whether it was parked.
pub(super) async fn restart(
    tx: &mut Transaction<'static, Any>,
    job: &Job,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (stage, next_at) = if job.is_joined() {
        (Stage::Wait, NEVER)
    } else {
        (Stage::Fetch, now)
    };
    let updated = sqlx::query(
        "UPDATE jobs SET stage = $1, attempts = 0, mismatches = 0, crashes = 0, claimed_until = 0,
             attempt = attempt + 1, etag = NULL, product = NULL, rejection = NULL, next_at = $2,
             updated_at = $3
         WHERE file = $4 AND stage = 'parked'",
    )
    .bind(stage.as_str())
    .bind(next_at.millis())
    .bind(now.millis())
    .bind(job.file().to_string())
    .execute(&mut **tx)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Queues a receipt for a file that the edge knows.
pub(super) async fn queue_status(
    tx: &mut Transaction<'static, Any>,
    job: &Job,
    status: ReceiptStatus,
    now: Timestamp,
) -> Result<(), StoreError> {
    queue_status_with(tx, job, status, None, now).await
}

/// As [`queue_status`], with the digest of the whole where that is news.
pub(super) async fn queue_status_with(
    tx: &mut Transaction<'static, Any>,
    job: &Job,
    status: ReceiptStatus,
    sha256: Option<Sha256>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !job.is_upload() {
        return Ok(());
    }
    let receipt = Receipt {
        sha256,
        attempt: job.attempt,
        ..Receipt::new(status)
    };
    queue_receipt(tx, job.file(), &receipt, now).await
}
