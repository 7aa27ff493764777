//! A file that was deleted at the edge, or whose time is over: nothing of it is kept here.
//!
//! Under crash: first the content goes, then one transaction takes what the rows say of it; both may
//! be repeated.

use super::{Failure, Pipeline};
use crate::store::Job;

pub(super) async fn run(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    let (folders, file) = (&pipeline.folders, job.file());
    folders.clear(file).await?;
    folders.clear_pictures(file).await?;
    let (objects, quarantine) = (&pipeline.objects, &pipeline.quarantine);
    objects
        .remove_all(job, None)
        .await
        .map_err(Failure::objects)?;
    quarantine
        .remove(&file.to_string())
        .await
        .map_err(Failure::objects)?;
    pipeline.store.erased(job, pipeline.clock.now()).await?;
    // What waited for it may go on, or is to be erased with it.
    pipeline.wake();
    Ok(())
}
