//! Who may open a stranger's file, and when; and how often the process died over one.
//!
//! A file that takes the process with it does so again. So before a file is opened that is written down,
//! and taken back when the stage ends, well or badly. What was open when the process died is suspect: it
//! is begun again after a wait, and alone, so that the next death is laid to the charge of one file only.

use tokio::sync::OwnedSemaphorePermit;

use super::retry::delay;
use super::{Failure, Lane, Pipeline, Rejection};
use crate::random::random;
use crate::store::{Job, Stage};

/// How often the process may die over a file before the file is parked: once may be chance, and twice
/// bad luck, since the second time it was alone.
pub(super) const CRASHES_MAX: u32 = 3;

/// Held while a suspect is open: all turns of all lanes; nothing for others.
pub(super) type Alone = Vec<OwnedSemaphorePermit>;

/// Whether the stage of `job` opens what is in the file, and does not only pass it on.
fn opens(job: &Job) -> bool {
    match job.stage() {
        Stage::Convert => true,
        // A member comes out of its archive; before a scan where another machine had it.
        Stage::Fetch | Stage::Scan => job.archive().is_some(),
        _ => false,
    }
}

/// Before a stage: writes down that its file is opened, if it is.
pub(super) async fn begin(pipeline: &Pipeline, job: &Job) -> Result<Alone, Failure> {
    if !opens(job) {
        return Ok(Alone::new());
    }
    if job.crashes >= CRASHES_MAX {
        let error = format!("the process died over it {CRASHES_MAX} times");
        return Err(Failure::rejected(Rejection::Unreadable, error));
    }
    let alone = match job.crashes {
        0 => Alone::new(),
        _ => pipeline.lanes.all().await,
    };
    note(pipeline, job).await?;
    Ok(alone)
}

/// Waits for a turn to convert: each conversion may take as much memory as its limits allow. While it
/// waits, the file is not blamed for what others do.
pub(super) async fn to_convert(
    pipeline: &Pipeline,
    job: &Job,
    lane: Lane,
) -> Result<Option<OwnedSemaphorePermit>, Failure> {
    if job.crashes > 0 {
        // It is alone already.
        return Ok(None);
    }
    if let Some(turn) = pipeline.lanes.free(lane) {
        return Ok(Some(turn));
    }
    pipeline.store.conversion_waits(job).await?;
    let turn = pipeline.turn(lane).await;
    note(pipeline, job).await?;
    Ok(turn)
}

async fn note(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    let wait = delay(job.crashes.saturating_add(1), random());
    let again_at = pipeline.clock.now().plus(wait);
    Ok(pipeline.store.conversion_begins(job, again_at).await?)
}
