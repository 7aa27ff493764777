//! What opens a stranger's file, kept within a thread, a turn, a folder of its own and a time.

use std::io;
use std::path::Path;
use std::time::Duration;

use chatlift_shared::digest::Sha256;

use super::convert::ConvertError;
use super::{Failure, Lane, Pipeline, Rejection, turn};
use crate::disk::{measure, remove_folder};
use crate::store::Job;

/// How long a conversion may take in all, whatever it consists of. Programs have shorter times of their
/// own; this one is for decoders that run within the process, the longest program included.
const CONVERSION_MAX: Duration = Duration::from_secs(15 * 60);

/// Runs what opens a file on a thread where blocking is fine. A decoder that panics over a file will do
/// so again.
pub(super) async fn opened<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConvertError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => Ok(outcome?),
        Err(panic) => Err(Failure::rejected(Rejection::Unreadable, panic.to_string())),
    }
}

/// Has `work` make a file in a folder of its own, in its turn; size and digest of what it made.
pub(super) async fn bounded(
    pipeline: &Pipeline,
    job: &Job,
    lane: Lane,
    work: impl FnOnce(&Path, &Path) -> Result<(), ConvertError> + Send + 'static,
) -> Result<(u64, Sha256), Failure> {
    let turn = turn::to_convert(pipeline, job, lane).await?;
    let result = pipeline.folders.converting(job.file());
    let folder = pipeline.folders.run(job.file());
    let made = result.clone();
    let work = opened(move || {
        // Until its end, also when nobody waits for that any more.
        let _turn = turn;
        remove_folder(&folder)?;
        std::fs::create_dir(&folder)?;
        let outcome = work(&made, &folder);
        remove_folder(&folder)?;
        if outcome.is_ok() {
            std::fs::File::open(&made)?.sync_all()?;
        }
        outcome
    });
    let Ok(outcome) = tokio::time::timeout(CONVERSION_MAX, work).await else {
        let error = format!("it took longer than {CONVERSION_MAX:?}");
        return Err(Failure::rejected(Rejection::TookTooLong, error));
    };
    outcome?;
    let measured = measure(result).await?;
    Ok(measured.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?)
}
