//! Receipts that the edge is still to get. Per file they are sent in order; a file's later
//! receipts wait for its earlier ones.

use chatlift_shared::api::{Receipt, ReceiptStatus};
use chatlift_shared::{FileId, Timestamp};
use sqlx::{Any, Row as _, Transaction};

use super::{CLAIM, Store, StoreError, from_json, parse, to_json, unsigned};

/// A query over each file's first receipt that is not settled.
macro_rules! over_heads {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM receipts r WHERE settled_at IS NULL AND NOT EXISTS (
                SELECT 1 FROM receipts e
                WHERE e.file = r.file AND e.rank < r.rank AND e.settled_at IS NULL) ",
            $rest
        )
    };
}

/// A receipt that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueReceipt {
    /// The file.
    pub file: FileId,
    /// What to say of it.
    pub receipt: Receipt,
    /// Failed tries so far.
    pub attempts: u32,
}

/// Its place among the receipts of its file: those of a later attempt follow all of an earlier one.
fn rank(receipt: &Receipt) -> i64 {
    let status = match receipt.status {
        ReceiptStatus::Received => 1,
        ReceiptStatus::Converted => 2,
        ReceiptStatus::Delivered => 3,
        ReceiptStatus::Rejected => 4,
    };
    i64::from(receipt.attempt) * 10 + status
}

pub(super) async fn queue_receipt(
    tx: &mut Transaction<'static, Any>,
    file: FileId,
    receipt: &Receipt,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO receipts (file, rank, body, next_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(file.to_string())
    .bind(rank(receipt))
    .bind(to_json("body", receipt)?)
    .bind(now.millis())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl Store {
    /// The receipts that are due, longest due first, `limit` at most, one per file.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn due_receipts(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueReceipt>, StoreError> {
        let mut tx = self.read_or_claim().await?;
        let now = self.time(&mut tx, now).await?;
        let rows = sqlx::query(over_heads!(
            "SELECT file, body, attempts",
            "AND next_at <= $1 ORDER BY next_at LIMIT $2"
        ))
        .bind(now.millis())
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
        let due: Vec<DueReceipt> = rows
            .iter()
            .map(|row| {
                Ok(DueReceipt {
                    file: parse("file", row.try_get("file")?)?,
                    receipt: from_json("body", row.try_get("body")?)?,
                    attempts: unsigned("attempts", row.try_get("attempts")?)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        // The other processes leave them alone meanwhile; the lock of `write` is on until then.
        for receipt in due.iter().filter(|_| self.shared()) {
            sqlx::query("UPDATE receipts SET next_at = $1 WHERE file = $2 AND rank = $3")
                .bind(now.plus(CLAIM).millis())
                .bind(receipt.file.to_string())
                .bind(rank(&receipt.receipt))
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(due)
    }

    /// When the next receipt comes due that is not due yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn next_receipt_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<i64> =
            sqlx::query_scalar(over_heads!("SELECT min(next_at)", "AND next_at > $1"))
                .bind(now.millis())
                .fetch_one(&self.pool)
                .await?;
        Ok(next.map(Timestamp::from_millis))
    }

    /// The edge has the receipt, or will never take it: then `gave_up` says why.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn settle_receipt(
        &self,
        due: &DueReceipt,
        gave_up: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE receipts SET settled_at = $1, last_error = $2 WHERE file = $3 AND rank = $4",
        )
        .bind(now.millis())
        .bind(gave_up)
        .bind(due.file.to_string())
        .bind(rank(&due.receipt))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The receipt could not be sent and is to be tried again at `next_at`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn try_receipt_again(
        &self,
        due: &DueReceipt,
        error: &str,
        next_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE receipts SET attempts = $1, last_error = $2, next_at = $3
             WHERE file = $4 AND rank = $5",
        )
        .bind(i64::from(due.attempts.saturating_add(1)))
        .bind(error)
        .bind(next_at.millis())
        .bind(due.file.to_string())
        .bind(rank(&due.receipt))
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
