//! An archive, unpacked: each member becomes a job of its own.
//!
//! A member that cannot be unpacked is rejected by itself; an archive that is made to do harm is
//! rejected with all that is in it.
//!
//! Under crash: members get their names when they are whole, their ids follow from the archive's,
//! and the jobs of all of them are made in one transaction; what was unpacked before it is written
//! over.

use std::io;
use std::path::{Path, PathBuf};

use chatlift_shared::FileId;
use chatlift_shared::digest::Sha256;

use super::bounded;
use super::convert::{ConvertError, archive};
use super::{Failure, Lane, Pipeline, Rejection, Trouble, turn};
use crate::disk::{remove, remove_folder, rename};
use crate::store::{Job, Member, Role, State, member_id};

pub(super) async fn run(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    let archive = job.file();
    let _turn = turn::to_convert(pipeline, job, Lane::Quick).await?;
    let original = pipeline.folders.original(archive);
    let source = opened(pipeline, original, pipeline.folders.run(archive)).await?;
    let wanted = looked_at(source.clone(), archive::list).await?;
    let (size, quota) = (wanted.iter().map(|m| m.size).sum::<u64>(), pipeline.quota);
    let used = pipeline.folders.used_beside(archive).await?;
    if used > 0 && used.saturating_add(size) > quota {
        let error = format!("the disk quota of {quota} bytes is used up for the moment");
        return Err(Failure::ours(Trouble::Room, error));
    }
    let mut members = Vec::new();
    let mut left = archive::UNPACKED_MAX;
    for found in wanted {
        let id = member_id(archive, found.place);
        let (rejection, error) = match member(pipeline, &source, id, &found, left).await {
            Ok(member) => {
                left -= member.size;
                members.push(member);
                continue;
            }
            // The others are none the worse for it.
            Err(Failure::Rejected { rejection, error })
                if rejection != Rejection::ArchiveRefused =>
            {
                (rejection, error)
            }
            Err(failure) => {
                clear(pipeline, archive, &members).await?;
                pipeline.folders.clear(id).await?;
                return Err(failure);
            }
        };
        pipeline.folders.clear(id).await?;
        members.push(Member {
            place: found.place,
            name: found.name,
            size: found.size,
            media_type: "application/octet-stream".to_owned(),
            sha256: Sha256::of(b""),
            refused: Some((rejection, error)),
        });
    }
    let refused = members.iter().map(|member| member.refused.clone());
    if let Some(refused) = refused.collect::<Option<Vec<_>>>()
        && let Some((rejection, error)) = refused.into_iter().next()
    {
        return Err(Failure::rejected(rejection, error));
    }
    let next = match pipeline.scanner {
        Some(_) => State::Scan,
        None => State::Convert,
    };
    let now = pipeline.clock.now();
    pipeline.store.unpacked(job, &members, next, now).await?;
    // Not before: until then it is what the members come from.
    pipeline.folders.clear(archive).await?;
    pipeline.wake();
    Ok(())
}

/// The archive at `source` as a zip, which may be made in `folder`.
async fn opened(pipeline: &Pipeline, source: PathBuf, folder: PathBuf) -> Result<PathBuf, Failure> {
    let sandbox = pipeline.sandbox.clone();
    looked_at(source, move |source| {
        remove_folder(&folder)?;
        std::fs::create_dir(&folder)?;
        archive::as_zip(&sandbox, source, &folder)
    })
    .await
}

/// Removes what was unpacked of an archive.
async fn clear(pipeline: &Pipeline, archive: FileId, members: &[Member]) -> io::Result<()> {
    for member in members {
        let id = member_id(archive, member.place);
        pipeline.folders.clear(id).await?;
    }
    Ok(())
}

/// Unpacks a member under its own id.
async fn member(
    pipeline: &Pipeline,
    source: &Path,
    id: FileId,
    found: &archive::Found,
    most: u64,
) -> Result<Member, Failure> {
    let part = pipeline.folders.part(id);
    let (target, found) = (part.clone(), found.clone());
    let member = looked_at(source.to_owned(), move |source| {
        archive::unpack(source, &found, &target, most)
    })
    .await?;
    rename(part, pipeline.folders.original(id)).await?;
    Ok(member)
}

/// Unpacks one member from its archive at `source` again, which is removed.
pub(super) async fn again(pipeline: &Pipeline, job: &Job, source: &Path) -> Result<(), Failure> {
    let run = pipeline.folders.run(job.file());
    let zip = opened(pipeline, source.to_owned(), run.clone()).await?;
    let found = looked_at(zip.clone(), archive::list).await?;
    let wanted = match job.role {
        Role::Member { place, .. } => Some(place),
        Role::Upload | Role::Joined { .. } => None,
    };
    let Some(found) = found.into_iter().find(|m| Some(m.place) == wanted) else {
        let error = "the archive has no such member";
        return Err(Failure::rejected(Rejection::Gone, error));
    };
    let target = pipeline.folders.converting(job.file());
    let made = target.clone();
    looked_at(zip, move |zip| {
        archive::unpack(zip, &found, &made, archive::UNPACKED_MAX)?;
        Ok(remove_folder(&run)?)
    })
    .await?;
    rename(target, pipeline.folders.original(job.file())).await?;
    Ok(remove(source).await?)
}

async fn looked_at<T: Send + 'static>(
    source: PathBuf,
    work: impl FnOnce(&Path) -> Result<T, ConvertError> + Send + 'static,
) -> Result<T, Failure> {
    bounded::opened(move || work(&source)).await
}
