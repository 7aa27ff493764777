//! What was delivered and acknowledged is deleted on schedule, at the edge and then here.
//!
//! Each step may be repeated: the edge answers the second deletion like the first or not at all,
//! and a file that is gone is gone. A crash in between leaves the rest for the next look.

use std::time::Duration;

use super::folders::remove;
use super::{Failure, Pipeline};
use crate::ports::EdgeError;

/// Time between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(10 * 60);

/// Deletes what was acknowledged `keep` ago or earlier.
pub(super) async fn run(pipeline: &Pipeline, keep: Duration) -> Result<(), Failure> {
    let now = pipeline.clock.now();
    let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let before = chatlift_shared::Timestamp::from_millis(now.millis().saturating_sub(keep));
    for file in pipeline.store.expired_deliveries(before).await? {
        match pipeline.edge.delete_file(file).await {
            Ok(())
            | Err(EdgeError::Refused {
                status: 404 | 410, ..
            }) => {}
            Err(error) => return Err(error.into()),
        }
        remove(&pipeline.folders.delivery(file)).await?;
        remove(&pipeline.folders.thumbnail(file)).await?;
        pipeline.store.deleted(file, now).await?;
        tracing::info!(link = %file.link(), %file, "deleted, here and at the edge");
    }
    Ok(())
}
