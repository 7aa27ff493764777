//! Last stage: the edge hears what became of each file, so that the upload page can show it.
//!
//! Receipts are queued in the transaction that ends a stage and sent from here, in order per file,
//! until the edge has them. They hold nothing up: a file is delivered though the edge is down. A
//! receipt sent twice after a crash is accepted by the edge.

use super::Pipeline;
use super::retry::{ATTEMPTS_MAX, delay};
use crate::ports::EdgeError;
use crate::random::random;
use crate::store::{DueReceipt, StoreError};
use chatlift_shared::ProblemCode;

/// Sends one receipt, and records what came of it.
pub(super) async fn send(pipeline: &Pipeline, due: &DueReceipt) -> Result<(), StoreError> {
    let outcome = pipeline.edge.receipt(due.file, &due.receipt).await;
    let now = pipeline.clock.now();
    let status = due.receipt.status;
    let link = due.file.link();
    let error = match outcome {
        Ok(()) => {
            tracing::info!(%link, file = %due.file, ?status, "receipt sent");
            return pipeline.store.settle_receipt(due, None, now).await;
        }
        Err(error) => error,
    };
    if error.is_gone() {
        tracing::info!(%link, file = %due.file, ?status, "receipt of a file that the edge has no more");
        let why = error.to_string();
        return pipeline.store.settle_receipt(due, Some(&why), now).await;
    }
    let final_word = match &error {
        EdgeError::Refused {
            problem: Some(problem),
            ..
        } => problem.code == ProblemCode::ReceiptOutOfOrder,
        _ => false,
    };
    if final_word || due.attempts + 1 >= ATTEMPTS_MAX {
        tracing::warn!(%link, file = %due.file, ?status, %error, "receipt given up");
        let why = error.to_string();
        return pipeline.store.settle_receipt(due, Some(&why), now).await;
    }
    tracing::warn!(%link, file = %due.file, ?status, %error, "receipt will be sent again");
    let next_at = now.plus(delay(due.attempts + 1, random()));
    pipeline
        .store
        .try_receipt_again(due, &error.to_string(), next_at)
        .await
}
