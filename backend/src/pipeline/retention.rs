//! What was delivered and acknowledged is deleted on schedule, at the edge, and then erased here; and
//! what lies in quarantine is deleted too.
//!
//! Each step may be repeated: the edge answers the second deletion like the first or not at all,
//! and a file that is gone is gone. A crash in between leaves the rest for the next look.

use std::time::Duration;

use chatlift_shared::{FileId, Timestamp};

use super::{Failure, Pipeline};

/// Time between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(10 * 60);
/// How long malware is kept for whoever wants to look at it, where nothing else is said.
const QUARANTINE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Deletes what was acknowledged `keep` ago or earlier, nothing if it is `None`, and what has been
/// in quarantine for so long. One that cannot be deleted is left for the next look, and stops no
/// other.
pub(super) async fn run(pipeline: &Pipeline, keep: Option<Duration>) -> Result<(), Failure> {
    if let Err(failure) = empty_quarantine(pipeline, keep.unwrap_or(QUARANTINE)).await {
        tracing::warn!(?failure, "the quarantine could not be emptied");
    }
    let Some(keep) = keep else {
        return Ok(());
    };
    let mut stuck = 0;
    loop {
        let due = before(pipeline, keep);
        let expired = pipeline.store.expired_deliveries(due, stuck).await?;
        if expired.is_empty() {
            return Ok(());
        }
        for file in expired {
            match delete(pipeline, file).await {
                Ok(()) => tracing::info!(link = %file.link(), %file, "deleted at the edge"),
                Err(failure) => {
                    tracing::warn!(link = %file.link(), %file, ?failure, "could not be deleted");
                    stuck += 1;
                }
            }
        }
        pipeline.wake();
    }
}

/// Deletes a delivery at the edge, and has it erased here.
async fn delete(pipeline: &Pipeline, file: FileId) -> Result<(), Failure> {
    let mut files = uploads_of(pipeline, file).await?;
    for upload in &files {
        delete_at_edge(pipeline, *upload).await?;
    }
    files.push(file);
    pipeline
        .store
        .begin_erasing(&files, pipeline.clock.now())
        .await?;
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
        Some(job) => job.archive().is_some(),
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
        Ok(()) => Ok(()),
        Err(error) if error.is_gone() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn empty_quarantine(pipeline: &Pipeline, keep: Duration) -> Result<(), Failure> {
    let before = before(pipeline, keep);
    for file in pipeline.quarantine.list().await.map_err(Failure::objects)? {
        let since = pipeline.store.moved_at(file).await?;
        if since.is_some_and(|since| since > before) {
            continue;
        }
        if let Err(failure) = release(pipeline, file).await {
            tracing::warn!(link = %file.link(), %file, ?failure, "stays in quarantine");
            continue;
        }
        tracing::info!(link = %file.link(), %file, "deleted from quarantine and at the edge");
    }
    Ok(())
}

async fn release(pipeline: &Pipeline, file: FileId) -> Result<(), Failure> {
    delete_at_edge(pipeline, file).await?;
    let removed = pipeline.quarantine.remove(&file.to_string()).await;
    removed.map_err(Failure::objects)
}
