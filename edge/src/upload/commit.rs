//! Making a file of an upload: sealed, completed in R2, looked at, committed, or withdrawn.

use core::cell::Cell;
use core::pin::pin;

use chatlift_shared::api::CompleteUpload;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::HEAD_MAX;
use chatlift_shared::media::MediaRange;
use chatlift_shared::{AppId, Problem, ProblemCode, UploadId, kind};
use futures_util::future::{Either, select};

use super::source::Source;
use crate::link::command;
use crate::link::command::Seal;
use crate::link::decide::PARTS_NAMED;
use crate::link::key::object_key;
use crate::link::reply::{FoundFile, Sealed, Sealing};
use crate::link::state::Policy;
use crate::link::work::{WORKING_EVERY, workings};
use crate::log;
use crate::ports::{Bucket, CompleteError, Failure, Links, World};
use crate::service::Service;

/// What a committed object was announced as.
#[derive(Clone, Debug)]
pub(crate) struct Announced<'a> {
    pub(crate) upload: UploadId,
    pub(crate) attempt: u64,
    pub(crate) key: &'a str,
    pub(crate) size: u64,
    pub(crate) name: &'a str,
    /// Digest of the whole, where it is known.
    pub(crate) sha256: Option<Sha256>,
    /// Whether it came in parts, whose digests the link has.
    pub(crate) in_parts: bool,
    /// What the sender said that the digest is, where it was not compared yet.
    pub(crate) expected: Option<Sha256>,
}

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    /// Completes an upload whose parts are all there. Again for a stored one: the same file.
    ///
    /// # Errors
    /// `parts-missing`, `parts-differ`, `upload-busy`, `file-type-not-accepted`, what the link
    /// refuses.
    pub async fn complete(
        &self,
        app: &AppId,
        upload: UploadId,
        request: CompleteUpload,
    ) -> Result<FoundFile, Failure> {
        self.complete_known(app, upload, request, None).await
    }

    /// As [`Self::complete`]. `whole` is the file's digest, if all of it passed us.
    pub(super) async fn complete_known(
        &self,
        app: &AppId,
        upload: UploadId,
        request: CompleteUpload,
        whole: Option<Sha256>,
    ) -> Result<FoundFile, Failure> {
        let seal = command::SealUpload {
            upload,
            seal: self.seal(request),
        };
        let sealed = match self.ask(upload, seal).await? {
            Sealing::Sealed(sealed) => *sealed,
            Sealing::File(found) => return Ok(*found),
        };
        self.commit_sealed(app, upload, sealed, whole, None).await
    }

    /// An attempt to complete an upload.
    pub(super) fn seal(&self, request: CompleteUpload) -> Seal {
        Seal {
            attempt: self.world.random(),
            sha256: request.sha256,
            parts_sha256: request.parts_sha256,
        }
    }

    /// Completes a sealed upload in R2 and makes it a file. `whole` is the file's digest, where all of it
    /// passed us, and `expected` what its sender said that it is.
    ///
    /// # Errors
    /// As [`Self::complete`]; `digest-mismatch`.
    pub(super) async fn commit_sealed(
        &self,
        app: &AppId,
        upload: UploadId,
        sealed: Sealed,
        whole: Option<Sha256>,
        expected: Option<Sha256>,
    ) -> Result<FoundFile, Failure> {
        self.complete_in_r2(app, upload, &sealed).await?;
        let announced = Announced {
            upload,
            attempt: sealed.attempt,
            key: &object_key(app, upload),
            size: sealed.size,
            name: &sealed.name,
            sha256: whole.or(sealed.sha256),
            in_parts: true,
            expected,
        };
        self.confirm(&sealed.policy, announced).await
    }

    /// Waits for what R2 does with a file of `size` bytes, of which `moved` have come so far, and asks the link
    /// from time to time whether the attempt is still its own. As long as bytes come, and for as long as R2 may
    /// take once all have, that tells it too that the attempt is not stuck.
    ///
    /// # Errors
    /// What the link refuses it with: the attempt has ended, and nothing may come of the work any more.
    pub(super) async fn while_working<T>(
        &self,
        upload: UploadId,
        attempt: u64,
        size: u64,
        moved: &Cell<u64>,
        mut work: impl Future<Output = T> + Unpin,
    ) -> Result<T, Problem> {
        let (mut before, mut left) = (0, workings(size));
        loop {
            let pause = pin!(self.world.pause(WORKING_EVERY));
            if let Either::Left((done, _)) = select(&mut work, pause).await {
                return Ok(done);
            }
            let now = moved.get();
            let goes_on = if now == size {
                let has_time = left > 0;
                left = left.saturating_sub(1);
                has_time
            } else {
                now > before
            };
            before = now;
            let working = command::Working {
                upload,
                attempt,
                goes_on,
            };
            if let Err(Failure::Refused(problem)) = self.ask(upload, working).await {
                return Err(problem);
            }
        }
    }

    /// Has R2 make the object of a sealed upload.
    ///
    /// # Errors
    /// `parts-missing` where R2 has other parts, `upload-aborted` where it has none any more.
    pub(super) async fn complete_in_r2(
        &self,
        app: &AppId,
        upload: UploadId,
        sealed: &Sealed,
    ) -> Result<(), Failure> {
        let (attempt, key) = (sealed.attempt, &object_key(app, upload));
        let complete = self
            .bucket
            .complete(key, &sealed.multipart.r2_upload_id, &sealed.etags);
        let (mut complete, all) = (pin!(complete), Cell::new(sealed.size));
        let done = self.while_working(upload, attempt, sealed.size, &all, complete.as_mut());
        let done = match done.await {
            Ok(done) => done,
            // R2 goes on with it whoever waits, and an object that comes late is the upload's all the same.
            Err(_) => complete.await,
        };
        let Err(error) = done else {
            self.world.after_r2_commit().await;
            return Ok(());
        };
        // An earlier try may have got through without hearing of it.
        if self
            .bucket
            .head(key)
            .await?
            .is_some_and(|h| h.size == sealed.size)
        {
            self.world.after_r2_commit().await;
            return Ok(());
        }
        if matches!(&error, CompleteError::Bucket(error) if error.gone) {
            // Nothing that is sent will make a file of it any more; a new upload will.
            self.ask(upload, command::Withdraw { upload, attempt })
                .await?;
            return Err(ProblemCode::UploadAborted.into());
        }
        // Two requests for one part that crossed leave R2 with the part of one and the link with
        // the tag of the other. Nothing tells which part it was, so all are asked for again.
        let keep_parts = error != CompleteError::Parts;
        self.ask(
            upload,
            command::Reopen {
                upload,
                attempt,
                keep_parts,
            },
        )
        .await?;
        match error {
            CompleteError::Bucket(error) => Err(error.into()),
            CompleteError::Parts => {
                let mut problem = Problem::new(ProblemCode::PartsMissing);
                problem.parts = (1_u16..)
                    .take(sealed.etags.len().min(PARTS_NAMED))
                    .collect();
                Err(problem.into())
            }
        }
    }

    /// Confirms an object that R2 has: checks size and type by what is stored, and makes it a
    /// file, or removes it.
    pub(crate) async fn confirm(
        &self,
        policy: &Policy,
        announced: Announced<'_>,
    ) -> Result<FoundFile, Failure> {
        let Announced {
            upload,
            attempt,
            key,
            size,
            name,
            sha256,
            in_parts,
            expected,
        } = announced;
        let (head, beginning) = match self.bucket.read(key, 0, HEAD_MAX.min(size)).await? {
            Some((head, beginning)) if head.size == size => (head, beginning),
            _ => {
                self.withdraw(upload, attempt, key).await?;
                return Err(ProblemCode::UploadAborted.into());
            }
        };
        let media_type = self.media_type(key, size, &beginning, name).await?;
        let media_type = match check_type(&policy.accept, media_type) {
            Ok(()) => media_type.to_owned(),
            Err(problem) => {
                self.withdraw(upload, attempt, key).await?;
                return Err(problem.into());
            }
        };
        let sha256 = match sha256 {
            // Its worker died with the digest that it had computed.
            None if !in_parts => {
                let object = self.bucket.objects(vec![(key.to_owned(), size)]);
                let digest = async |body| self.bucket.digest(body).await;
                let mut object = Source::of(object);
                let digest = object.take_exactly(size, &Cell::new(0), digest).await;
                Some(digest.said?)
            }
            known => known,
        };
        if let (Some(expected), Some(sha256)) = (expected, sha256)
            && expected != sha256
        {
            self.withdraw(upload, attempt, key).await?;
            return Err(Problem::new(ProblemCode::DigestMismatch)
                .field("Repr-Digest")
                .into());
        }
        let commit = command::Commit {
            upload,
            attempt,
            media_type,
            sha256,
            etag: head.etag,
        };
        match self.ask(upload, commit).await {
            // The same file was stored meanwhile, and this object is nobody's. The link removes it too, later.
            Ok(found) if found.file.id != upload.into() => {
                let _ = self.bucket.delete(key).await;
                Ok(found)
            }
            Err(Failure::Refused(problem)) => {
                // Busy is what a later attempt has: the object is that one's. All else is that the
                // upload was ended meanwhile. The link removes the object too, later, should this
                // fail.
                if problem.code != ProblemCode::UploadBusy {
                    let _ = self.bucket.delete(key).await;
                }
                Err(problem.into())
            }
            Err(other) => Err(other),
            Ok(found) => {
                log::info(
                    "file stored",
                    &[
                        ("link", upload.link().to_string()),
                        ("file", found.file.id.to_string()),
                    ],
                );
                Ok(found)
            }
        }
    }

    /// The type of an object that begins so, by whatever more of it tells.
    async fn media_type(
        &self,
        key: &str,
        size: u64,
        beginning: &[u8],
        name: &str,
    ) -> Result<&'static str, Failure> {
        let mut content = kind::Content::new(size, beginning);
        let mut likeliest = kind::UNKNOWN;
        for _ in 0..kind::WINDOWS_MAX {
            let window = match kind::sniff(&content, name) {
                Ok(media_type) => return Ok(media_type),
                Err(unsettled) => {
                    likeliest = unsettled.among.first().copied().unwrap_or(likeliest);
                    unsettled.window
                }
            };
            let read = self.bucket.read(key, window.offset, window.length).await?;
            let bytes = read.map(|(_, bytes)| bytes).unwrap_or_default();
            content.add(window, bytes);
        }
        Ok(likeliest)
    }

    /// Ends a commit that must not be, and removes its object now rather than by the link's alarm.
    ///
    /// # Errors
    /// `upload-busy` where a later attempt has the upload: the object stays.
    pub(super) async fn withdraw(
        &self,
        upload: UploadId,
        attempt: u64,
        key: &str,
    ) -> Result<(), Failure> {
        self.ask(upload, command::Withdraw { upload, attempt })
            .await?;
        let _ = self.bucket.delete(key).await;
        Ok(())
    }

    /// Ends an upload for a person who changed their mind.
    ///
    /// # Errors
    /// `upload-not-found`; `upload-busy` when it is being stored, or is.
    pub async fn abort_upload(&self, upload: UploadId) -> Result<(), Failure> {
        self.ask(upload, command::Abort { upload }).await
    }

    /// Ends an upload, or withdraws the file that it became, for who sent it. Again is fine.
    ///
    /// # Errors
    /// `upload-not-found`; `file-taken` once the app has it; `too-many-withdrawn`.
    pub async fn withdraw_file(&self, upload: UploadId) -> Result<(), Failure> {
        self.ask(upload, command::WithdrawFile { upload }).await
    }
}

/// Refuses a file of which no more than the first bytes are here, if nothing that begins so is taken.
pub(super) fn check_beginning(
    accept: &[MediaRange],
    head: &[u8],
    size: u64,
    name: &str,
) -> Result<(), Problem> {
    match kind::sniff(&kind::Content::new(size, head), name) {
        Ok(media_type) => check_type(accept, media_type),
        Err(unsettled) => {
            let mut checked = unsettled.among.iter().map(|told| check_type(accept, told));
            let first = checked.next().unwrap_or(Ok(()));
            first.or_else(|problem| checked.find_map(Result::ok).ok_or(problem))
        }
    }
}

fn check_type(accept: &[MediaRange], media_type: &str) -> Result<(), Problem> {
    if kind::is_accepted(accept, media_type) {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::FileTypeNotAccepted)
        .field("content")
        .detail(format!("By its content this is {media_type}.")))
}
