//! Second stage: malware, by clamd, where one is configured.
//!
//! The file goes to clamd over its socket (`INSTREAM`), so clamd needs no access to our folders.
//! Promise: with a scanner configured no file is converted or delivered that it has not passed. A
//! scanner that does not answer is waited for like an edge that does not.
//!
//! What is infected is kept in quarantine under its id. A crash between that and the record finds it
//! there.
//!
//! What clamd only supposes of a file (`Heuristics.*`: encrypted, over a limit, a macro in it) is no
//! malware: the file was not scanned to its end, and is rejected for that, delivered or held for the
//! operator, as it is configured ([`Unscanned`]). So is one over clamd's own limits, of which clamd says
//! that it is clean where it is not told otherwise. Any other error of clamd passes.

use super::{Failure, Pipeline, Rejection, Trouble, fetch};
pub use crate::clamd::{Clamd, Unscanned, Verdict};
use crate::store::Job;

pub(super) async fn run(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    let file = job.file();
    let original = pipeline.folders.original(file);
    let quarantine = file.to_string();
    if let Some(clamd) = &pipeline.scanner {
        let kept = pipeline.quarantine.size(&quarantine).await;
        if kept.map_err(Failure::objects)?.is_some() {
            return Err(Failure::rejected(Rejection::Infected, "in quarantine"));
        }
        fetch::bring_if_missing(pipeline, job).await?;
        let verdict = clamd.scan(&original).await;
        let verdict = verdict.map_err(|error| Failure::ours(Trouble::Scanner, error))?;
        let unscanned = match verdict {
            Verdict::Infected(name) => {
                let kept = pipeline.quarantine.put(&quarantine, &original).await;
                kept.map_err(Failure::objects)?;
                return Err(Failure::rejected(Rejection::Infected, name));
            }
            Verdict::NotScanned(why) => Some(why),
            Verdict::Clean => {
                let (size, most) = (job.announced.file.size, pipeline.scanned_max);
                (size > most).then(|| format!("{size} bytes, of which clamd scans {most}"))
            }
        };
        if let Some(why) = unscanned {
            tracing::warn!(link = %job.announced.link.id, %file, why, "not scanned to its end");
            match pipeline.unscanned {
                Unscanned::Deliver => {}
                Unscanned::Refuse => return Err(Failure::rejected(Rejection::NotScanned, why)),
                Unscanned::Hold => {
                    let now = pipeline.clock.now();
                    return Ok(pipeline.store.hold(job, &why, now).await?);
                }
            }
        }
    }
    pipeline.store.scanned(job, pipeline.clock.now()).await?;
    Ok(())
}
