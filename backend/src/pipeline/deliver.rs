//! Fourth stage: the product, handed to the first app.
//!
//! The product moves from the work folder to the deliveries folder, and then one transaction
//! records the delivery, announces it on the live stream and queues the receipt. Promise: each
//! file is delivered once. A crash between the move and the transaction leaves the product at its
//! new place; the next try recognises it by its digest.

use std::io;

use super::folders::{measure, rename};
use super::{Failure, Pipeline};
use crate::store::Job;

pub(super) async fn run(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    let file = job.file();
    let Some(product) = &job.product else {
        return Err(io::Error::other("the job has no product").into());
    };
    let source = if product.converted {
        pipeline.folders.product(file)
    } else {
        pipeline.folders.original(file)
    };
    let target = pipeline.folders.delivery(file);
    match rename(source, target.clone()).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if measure(target).await? != Some((product.size, product.sha256)) {
                return Err(error.into());
            }
        }
        other => other?,
    }
    // Before the record, so that a crash leaves nothing behind: nothing here is needed any more.
    pipeline.folders.clear(file).await?;
    if job.is_joined() {
        for part in pipeline.store.ready_parts(job).await? {
            pipeline.folders.clear(part.file()).await?;
        }
    }
    pipeline
        .store
        .delivered(job, product, pipeline.clock.now())
        .await?;
    Ok(())
}
