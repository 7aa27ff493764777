//! First stage: the file, from its storage address through the edge, into the work folder.
//!
//! Promise: `<file id>.original` appears only with exactly the bytes that the event announced.
//!
//! Under crash and cut: bytes gather in `<file id>.part`. The next try asks for the rest of the
//! same version (`Range` with `If-Range`), and gets the whole if it has changed. The version is on
//! record before the first byte of it is written. Whatever a crash leaves in the part, the digest
//! over all of it decides in the end.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use chatlift_shared::api::File;
use chatlift_shared::digest::Sha256;
use sha2::Digest as _;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;

use super::folders::{Hash, blocking, measure, remove, rename};
use super::{Failure, Pipeline, Rejection, Trouble, unpack};
use crate::ports::{Content, EdgeError, Resume};
use crate::store::{Job, Stage};

pub(super) async fn run(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    let announced = &job.announced.file;
    let original = pipeline.folders.original(announced.id);
    // A member that is taken up again comes out of its archive.
    let archive = match job.archive {
        Some(archive) => pipeline.store.job(archive).await?,
        None => None,
    };
    let wanted = archive.as_ref().map_or(announced, |a| &a.announced.file);
    let _room = room(pipeline, wanted).await?;
    // A crash after the rename and before the store heard of it leaves the file here.
    if measure(original.clone()).await? != Some((announced.size, announced.sha256)) {
        let part = pipeline.folders.part(announced.id);
        if download(pipeline, job, wanted, &part).await? != wanted.sha256 {
            remove(&part).await?;
            return Err(Failure::Mismatch);
        }
        match archive {
            Some(_) => unpack::again(pipeline, job, &part).await?,
            None => rename(part, original).await?,
        }
    }
    let next = match pipeline.scanner {
        Some(_) => Stage::Scan,
        None => Stage::Convert,
    };
    let now = pipeline.clock.now();
    pipeline.store.fetched(job, next, now).await?;
    Ok(())
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

/// Brings the part to its full size and returns its digest.
async fn download(
    pipeline: &Pipeline,
    job: &Job,
    announced: &File,
    path: &Path,
) -> Result<Sha256, Failure> {
    let mut part = Part::open(path, job, announced.size).await?;
    if part.len < announced.size {
        let resume = part.resume(job);
        let content = match pipeline.edge.content(announced.id, resume.as_ref()).await {
            Ok(content) => content,
            Err(EdgeError::Refused {
                status: 404 | 410, ..
            }) => {
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
            pipeline.store.set_etag(job.file(), etag).await?;
        }
        tracing::info!(
            link = %announced.link, file = %job.file(),
            size = announced.size, from = content.from, "fetching"
        );
        let outcome = part.take(content, announced).await;
        part.file.flush().await?;
        outcome?;
    }
    part.file.sync_all().await?;
    Ok(Sha256(part.hash.finalize().into()))
}

/// The part on disk, with the digest of what it holds.
struct Part {
    file: tokio::fs::File,
    len: u64,
    hash: sha2::Sha256,
}

impl Part {
    /// Opens what an earlier try left, as far as it can be gone on with.
    async fn open(path: &Path, job: &Job, size: u64) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(path).await?;
        let len = file.metadata().await?.len();
        let mut part = Self {
            file,
            len,
            hash: sha2::Sha256::new(),
        };
        if len > size || (len < size && job.etag.is_none()) {
            part.begin_again().await?;
        } else if len > 0 {
            part.hash = hash_of(path.to_owned()).await?;
        }
        Ok(part)
    }

    async fn begin_again(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).await?;
        self.len = 0;
        self.hash = sha2::Sha256::new();
        Ok(())
    }

    fn resume(&self, job: &Job) -> Option<Resume> {
        let etag = job.etag.clone().filter(|_| self.len > 0)?;
        Some(Resume {
            from: self.len,
            etag,
        })
    }

    /// Takes bytes until there are as many as announced; more are a mismatch.
    async fn take(&mut self, mut content: Content, announced: &File) -> Result<(), Failure> {
        let start = self.len;
        loop {
            let error = match content.body.chunk().await {
                Ok(Some(bytes)) => {
                    let len = self.len.saturating_add(bytes.len() as u64);
                    if len > announced.size {
                        self.begin_again().await?;
                        return Err(Failure::Mismatch);
                    }
                    self.hash.update(&bytes);
                    self.file.write_all(&bytes).await?;
                    self.len = len;
                    continue;
                }
                Ok(None) if self.len == announced.size => return Ok(()),
                Ok(None) => "the content ended early".to_owned(),
                Err(error) => error.to_string(),
            };
            return Err(Failure::Again {
                error,
                progress: self.len > start,
            });
        }
    }
}

async fn hash_of(path: PathBuf) -> std::io::Result<sha2::Sha256> {
    blocking(move || {
        let mut hash = Hash(sha2::Sha256::new());
        std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
        Ok(hash.0)
    })
    .await
}
