//! What was delivered and acknowledged is deleted on schedule, at the edge and then here; and so is
//! what lies in quarantine.
//!
//! Each step may be repeated: the edge answers the second deletion like the first or not at all,
//! and a file that is gone is gone. A crash in between leaves the rest for the next look.

use std::time::Duration;

use chatlift_shared::{FileId, Timestamp};

use super::folders::remove;
use super::{Failure, Pipeline};
use crate::ports::EdgeError;

/// Time between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(10 * 60);
/// How long malware is kept for whoever wants to look at it, where nothing else is said.
const QUARANTINE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Deletes what was acknowledged `keep` ago or earlier, nothing if it is `None`, and what has been
/// in quarantine for so long.
pub(super) async fn run(pipeline: &Pipeline, keep: Option<Duration>) -> Result<(), Failure> {
    empty_quarantine(pipeline, keep.unwrap_or(QUARANTINE)).await?;
    let Some(keep) = keep else {
        return Ok(());
    };
    for file in pipeline
        .store
        .expired_deliveries(before(pipeline, keep))
        .await?
    {
        for upload in uploads_of(pipeline, file).await? {
            delete_at_edge(pipeline, upload).await?;
        }
        remove(&pipeline.folders.delivery(file)).await?;
        pipeline.folders.clear_pictures(file).await?;
        pipeline.store.deleted(file, pipeline.clock.now()).await?;
        tracing::info!(link = %file.link(), %file, "deleted, here and at the edge");
    }
    Ok(())
}

fn before(pipeline: &Pipeline, keep: Duration) -> Timestamp {
    let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(pipeline.clock.now().millis().saturating_sub(keep))
}

/// What the edge has of a delivery that is deleted: the upload itself, those that were joined, or
/// the archive of the last member that was kept.
async fn uploads_of(pipeline: &Pipeline, file: FileId) -> Result<Vec<FileId>, Failure> {
    let Some(delivery) = pipeline.store.delivery(file).await? else {
        return Ok(vec![]);
    };
    let member = match pipeline.store.job(file).await? {
        Some(job) => job.archive.is_some(),
        None => false,
    };
    let of = delivery.product.of;
    if of.is_empty() {
        return Ok(vec![file]);
    }
    let all = !member || pipeline.store.last_of_its_archive(file).await?;
    Ok(if all { of } else { vec![] })
}

async fn delete_at_edge(pipeline: &Pipeline, file: FileId) -> Result<(), Failure> {
    match pipeline.edge.delete_file(file).await {
        Ok(())
        | Err(EdgeError::Refused {
            status: 404 | 410, ..
        }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn empty_quarantine(pipeline: &Pipeline, keep: Duration) -> Result<(), Failure> {
    let before = before(pipeline, keep);
    for file in pipeline.folders.in_quarantine().await? {
        let since = pipeline.store.moved_at(file).await?;
        if since.is_some_and(|since| since > before) {
            continue;
        }
        delete_at_edge(pipeline, file).await?;
        remove(&pipeline.folders.quarantine(file)).await?;
        tracing::info!(link = %file.link(), %file, "deleted from quarantine and at the edge");
    }
    Ok(())
}
