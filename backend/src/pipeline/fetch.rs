//! First stage: the file, from its storage address through the edge, into the work folder.
//!
//! Promise: `<file id>.original` appears only with exactly the bytes that the event announced.
//!
//! Under crash and cut: bytes gather in `<file id>.part`. The next try asks for the rest of the
//! same version (`Range` with `If-Range`), and gets the whole if it has changed. The version is on
//! record before the first byte of it is written. Whatever a crash leaves in the part, the digests
//! over all of it decide: each part's as soon as it has come, the whole's in the end.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use chatlift_client::{Check, Sha256, WrongContent};
use chatlift_shared::api::File;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;

use super::{Failure, Pipeline, Rejection, Trouble, unpack};
use crate::disk::{blocking, remove, rename};
use crate::ports::{Content, EdgeError, Resume};
use crate::store::{Job, Stage};

/// Bytes of a file that are read at once.
const READ: usize = 64 * 1024;

pub(super) async fn run(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    let sha256 = bring(pipeline, job).await?;
    let next = match pipeline.scanner {
        Some(_) => Stage::Scan,
        None => Stage::Convert,
    };
    let now = pipeline.clock.now();
    pipeline.store.fetched(job, sha256, next, now).await?;
    Ok(())
}

/// Brings the original again if it is not here: another machine had the job.
pub(super) async fn bring_if_missing(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    if tokio::fs::try_exists(pipeline.folders.original(job.file())).await? {
        return Ok(());
    }
    bring(pipeline, job).await?;
    Ok(())
}

/// Brings the original into the work folder; its digest, unless it comes out of an archive.
async fn bring(pipeline: &Pipeline, job: &Job) -> Result<Option<Sha256>, Failure> {
    let announced = &job.announced.file;
    let original = pipeline.folders.original(announced.id);
    // A member that is taken up again comes out of its archive.
    let archive = match job.archive() {
        Some(archive) => pipeline.store.job(archive).await?,
        None => None,
    };
    let wanted = archive.as_ref().map_or(announced, |a| &a.announced.file);
    let _room = room(pipeline, wanted).await?;
    // A crash after the rename and before the store heard of it leaves the file here.
    let kept = checked(announced, original.clone()).await?;
    let sha256 = match kept {
        Some(_) => kept,
        None => {
            let wanted = with_digests(pipeline, wanted).await?;
            let part = pipeline.folders.part(announced.id);
            let sha256 = download(pipeline, job, &wanted, &part).await?;
            match archive {
                Some(_) => {
                    unpack::again(pipeline, job, &part).await?;
                    None
                }
                None => {
                    rename(part, original).await?;
                    Some(sha256)
                }
            }
        }
    };
    Ok(sha256)
}

/// What the file is checked by: an event does not name the digests of very many parts.
async fn with_digests(pipeline: &Pipeline, file: &File) -> Result<File, Failure> {
    if file.parts.is_some() || file.sha256.is_some() {
        return Ok(file.clone());
    }
    match pipeline.edge.read_file(file.id).await {
        Ok(file) => Ok(file),
        Err(error) if error.is_gone() => Err(Failure::rejected(
            Rejection::Gone,
            "the edge has it no more",
        )),
        Err(error) => Err(error.into()),
    }
}

/// The digest of the file at `path`, if it is there and is `announced`.
async fn checked(announced: &File, path: PathBuf) -> std::io::Result<Option<Sha256>> {
    // Without a digest, only fetching it anew tells.
    if announced.parts.is_none() && announced.sha256.is_none() {
        return Ok(None);
    }
    let check = Check::new(announced);
    match read_into(check, path).await {
        Ok(Ok(check)) => Ok(check.finish().ok()),
        Ok(Err(_)) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Room on disk for one file, given back when dropped.
struct Room<'a>(&'a Pipeline, u64);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.reserved.fetch_sub(self.1, Ordering::SeqCst);
    }
}

/// Reserves room for the file within the quota of the work folder. Bytes of files that are being
/// fetched count twice, so that all of them fit whatever the order.
async fn room<'a>(pipeline: &'a Pipeline, announced: &File) -> Result<Room<'a>, Failure> {
    let (size, quota) = (announced.size, pipeline.quota);
    if size > quota {
        let error = format!("{size} bytes, and the quota is {quota} (CHATLIFT_DISK_QUOTA_GIB)");
        return Err(Failure::rejected(Rejection::ResultTooLarge, error));
    }
    let reserved = pipeline.reserved.fetch_add(size, Ordering::SeqCst);
    let room = Room(pipeline, size);
    let used = pipeline.folders.used_beside(announced.id).await?;
    // The only one always fits, or it would never be done.
    if reserved + used > 0 && reserved.saturating_add(used).saturating_add(size) > quota {
        let error = format!("the disk quota of {quota} bytes is used up for the moment");
        return Err(Failure::ours(Trouble::Room, error));
    }
    Ok(room)
}

/// Brings the part to its full size and returns the digest of the whole. One that is not what was
/// announced goes.
async fn download(
    pipeline: &Pipeline,
    job: &Job,
    announced: &File,
    path: &Path,
) -> Result<Sha256, Failure> {
    let mut part = Part::open(path, job, announced).await?;
    if part.check.held() < announced.size {
        let resume = part.resume(job);
        let content = match pipeline.edge.content(announced.id, resume.as_ref()).await {
            Ok(content) => content,
            Err(error) if error.is_gone() => {
                return Err(Failure::rejected(
                    Rejection::Gone,
                    "the edge has it no more",
                ));
            }
            Err(error @ EdgeError::Refused { status: 416, .. }) => {
                remove(path).await?;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        if content.from == 0 {
            part.begin_again().await?;
            let etag = content.etag.as_deref();
            pipeline.store.set_etag(job, etag).await?;
        }
        tracing::info!(
            link = %announced.link, file = %job.file(),
            size = announced.size, from = content.from, "fetching"
        );
        let outcome = part.take(content).await;
        part.file.flush().await?;
        if let Err(Failure::Mismatch) = outcome {
            remove(path).await?;
        }
        outcome?;
    }
    part.file.sync_all().await?;
    match part.check.finish() {
        Ok(sha256) => Ok(sha256),
        Err(_) => {
            remove(path).await?;
            Err(Failure::Mismatch)
        }
    }
}

/// The part on disk, with the check of what it holds.
struct Part<'a> {
    announced: &'a File,
    file: tokio::fs::File,
    check: Check,
}

impl<'a> Part<'a> {
    /// Opens what an earlier try left, as far as it can be gone on with.
    async fn open(path: &Path, job: &Job, announced: &'a File) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(path).await?;
        let (len, size) = (file.metadata().await?.len(), announced.size);
        let mut part = Self {
            announced,
            file,
            check: Check::new(announced),
        };
        let goes_on = len == size || (len < size && job.etag.is_some());
        let read = match goes_on {
            true => read_into(part.check.clone(), path.to_owned()).await?.ok(),
            false => None,
        };
        match read {
            Some(check) => part.check = check,
            None => part.begin_again().await?,
        }
        Ok(part)
    }

    async fn begin_again(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).await?;
        self.check = Check::new(self.announced);
        Ok(())
    }

    fn resume(&self, job: &Job) -> Option<Resume> {
        let etag = job.etag.clone().filter(|_| self.check.held() > 0)?;
        Some(Resume {
            from: self.check.held(),
            etag,
        })
    }

    /// Takes bytes until there are as many as announced; more, or others, are a mismatch.
    async fn take(&mut self, mut content: Content) -> Result<(), Failure> {
        let start = self.check.held();
        loop {
            let error = match content.body.chunk().await {
                Ok(Some(bytes)) => {
                    self.check.update(&bytes).map_err(|_| Failure::Mismatch)?;
                    self.file.write_all(&bytes).await?;
                    continue;
                }
                Ok(None) if self.check.held() == self.announced.size => return Ok(()),
                Ok(None) => "the content ended early".to_owned(),
                Err(error) => error.to_string(),
            };
            return Err(Failure::Again {
                error,
                progress: self.check.held() > start,
            });
        }
    }
}

/// Has the check take in the file at `path`.
async fn read_into(
    mut check: Check,
    path: PathBuf,
) -> std::io::Result<Result<Check, WrongContent>> {
    blocking(move || {
        let mut file = std::fs::File::open(path)?;
        let mut buffer = vec![0; READ];
        loop {
            let length = file.read(&mut buffer)?;
            if length == 0 {
                return Ok(Ok(check));
            }
            if let Err(wrong) = check.update(&buffer[..length]) {
                return Ok(Err(wrong));
            }
        }
    })
    .await
}
