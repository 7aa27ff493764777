//! Fourth stage: the product, handed to the first app.
//!
//! The product is kept by now, under the key that the job names. One transaction records the delivery,
//! announces it on the live stream and queues the receipt. Promise: each file is delivered once.

use super::{Failure, Pipeline};
use crate::store::{Job, Product};

pub(super) async fn run(pipeline: &Pipeline, job: &Job, product: &Product) -> Result<(), Failure> {
    let file = job.file();
    let key = product.key(file);
    let kept = pipeline
        .objects
        .size(&key)
        .await
        .map_err(Failure::objects)?;
    if kept != Some(product.size) {
        // Made by a backend that kept it in its work folder, or lost since.
        tracing::warn!(link = %job.announced.link.id, %file, key, "is made again");
        return Ok(pipeline.store.make_again(job, pipeline.clock.now()).await?);
    }
    // Before the record, so that a crash leaves nothing behind: nothing here is needed any more.
    pipeline.folders.clear(file).await?;
    if job.is_joined() {
        for part in pipeline.store.ready_parts(job).await? {
            pipeline.folders.clear(part.file()).await?;
            let gone = pipeline.objects.remove_all(&part, None).await;
            gone.map_err(Failure::objects)?;
        }
    }
    // The first to have it has made nothing else.
    if job.lease > 1 || job.attempt > 0 {
        let gone = pipeline.objects.remove_all(job, Some(product)).await;
        gone.map_err(Failure::objects)?;
    }
    let now = pipeline.clock.now();
    pipeline.store.delivered(job, product, now).await?;
    Ok(())
}
