//! Uploads: announced, taken in parts or in one request, committed.

use core::cell::Cell;
use core::future::pending;
use core::pin::pin;

use chatlift_shared::api::CompleteUpload;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{HEAD_MAX, SINGLE_REQUEST_MAX, part_count, part_len, part_size};
use chatlift_shared::media::MediaRange;
use chatlift_shared::{AppId, LinkId, Problem, ProblemCode, UploadId, kind};
use futures_util::future::{Either, select};

use super::ticket::Ticket;
use crate::link::command::{Command, FoundFile, OpenUpload, Reply, Seal, Sealed};
use crate::link::decide::PARTS_NAMED;
use crate::link::key::object_key;
use crate::link::lease::{Asked, Lease};
use crate::link::state::{Multipart, Part, Policy};
use crate::link::work::{WORKING_EVERY, workings};
use crate::ports::{
    Begun, Bucket, BucketError, Chunk, CompleteError, Failure, Feed, Kept, Links, Put, PutError,
    Stage, World,
};
use crate::service::{Service, unexpected};

/// Bytes on their way from which on a lease is held for them. Fewer are sent again sooner than the link
/// is asked.
const LEASED_MIN: u64 = 512 * 1024;

/// A part, as its sender tells of it.
#[derive(Clone, Copy, Debug)]
pub struct SentPart {
    /// Part number, from 1.
    pub n: u64,
    /// Digest of the whole part. A chunk that does not end its part may come without.
    pub sha256: Option<Sha256>,
    /// What to complete the upload with, if this is the last of its parts to be there.
    pub complete: Option<CompleteUpload>,
}

/// What became of a part, or of a chunk of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// So many bytes of the part's beginning are staged.
    Staged(u64),
    /// R2 has the part.
    Part,
    /// It was the last, and the upload is a file.
    File(Box<FoundFile>),
}

/// What came of the wish to store a file in one request.
enum Reserved {
    /// There is room.
    Room(Reservation),
    /// A file of this name, size and digest is stored.
    Stored(Box<FoundFile>),
}

/// A place for a file in one request.
struct Reservation {
    upload: UploadId,
    attempt: u64,
    policy: Policy,
}

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
    pub(crate) fn new_upload_id(&self, link: LinkId) -> UploadId {
        let mut suffix = [0; 6];
        suffix.copy_from_slice(&self.world.random().to_le_bytes()[..6]);
        UploadId::new(link, suffix)
    }

    /// Announces a file that comes in parts. The answer says whether it is new. `earlier` is the ticket of
    /// another upload of the same file's, if the sender has one; it was verified by the caller.
    ///
    /// # Errors
    /// Whatever the link refuses; `file-type-not-accepted` by the announced beginning.
    pub async fn announce(
        &self,
        app: &AppId,
        link: LinkId,
        name: String,
        size: u64,
        head: &[u8],
        earlier: Option<&Ticket>,
    ) -> Result<(OpenUpload, bool), Failure> {
        let announce = Command::Announce {
            name: name.clone(),
            size,
            earlier: earlier.map(|ticket| {
                let multipart = Multipart {
                    r2_upload_id: ticket.r2_upload_id.clone(),
                    part_size: ticket.part_size,
                };
                (ticket.upload, multipart)
            }),
        };
        let policy = match self.links.execute(link, announce).await? {
            Reply::Upload(known) => return Ok((known, false)),
            Reply::Room(policy) => policy,
            other => return Err(unexpected(&other)),
        };
        check_beginning(&policy.accept, head, size, &name)?;
        self.open(app, link, name, size).await
    }

    /// Announces a file that is never resumed, so that no other upload is joined.
    ///
    /// # Errors
    /// As [`Self::announce`].
    pub(super) async fn announce_new(
        &self,
        app: &AppId,
        policy: &Policy,
        link: LinkId,
        name: String,
        size: u64,
        head: &[u8],
    ) -> Result<OpenUpload, Failure> {
        check_beginning(&policy.accept, head, size, &name)?;
        match self.open(app, link, name, size).await? {
            (opened, true) => Ok(opened),
            (_, false) => Err(ProblemCode::UploadBusy.into()),
        }
    }

    async fn open(
        &self,
        app: &AppId,
        link: LinkId,
        name: String,
        size: u64,
    ) -> Result<(OpenUpload, bool), Failure> {
        let upload = self.new_upload_id(link);
        let key = object_key(app, upload);
        let part_size = part_size(size);
        let r2_upload_id = self.bucket.create(&key, part_size).await?;
        let multipart = Multipart {
            r2_upload_id: r2_upload_id.clone(),
            part_size,
        };
        let open = Command::Open {
            upload,
            name,
            size,
            multipart,
        };
        match self.links.execute(link, open).await {
            // A twin was announced at the same moment: the link has seen to ours.
            Ok(Reply::Upload(opened)) => {
                let new = opened.id == upload;
                Ok((opened, new))
            }
            Ok(other) => Err(unexpected(&other)),
            Err(failure) => {
                // The link does not know of it, so nobody else would. R2 drops it after 7 days
                // if this fails.
                let _ = self.bucket.abort(&key, &r2_upload_id).await;
                Err(failure)
            }
        }
    }

    /// Takes a part, and makes the upload a file if that is asked for and it was the last. `length`
    /// is the body's; the ticket was verified by the caller.
    ///
    /// No Durable Object is asked before the bytes flow.
    ///
    /// # Errors
    /// `part-out-of-range`, `part-size-wrong`, `digest-mismatch`; what the link refuses; with the
    /// last part as [`Self::complete`]. An upload that cannot be completed with what the sender says
    /// has its part all the same, and `complete` tells why.
    pub async fn put_part(
        &self,
        ticket: &Ticket,
        part: SentPart,
        length: u64,
        feed: &mut impl Feed<Body = B::Body>,
    ) -> Result<Sent, Failure>
    where
        L: Stage<Body = B::Body>,
    {
        let n = check_part(ticket, part.n, length)?;
        let chunk = chunk_of(ticket, part, n, 0, length, length);
        match self.put_rest(ticket, part, chunk, None, feed).await? {
            Some(sent) => Ok(sent),
            None => self.put_staged(ticket, part, chunk, feed.body()).await,
        }
    }

    /// Streams the rest of a part into R2, after what is staged of it. R2 keeps nothing of a part that
    /// breaks off, so what had arrived is staged then, and also when nothing more comes for a while: a
    /// network that went away without a word must not hide it. `None` where memory for that is short.
    async fn put_rest(
        &self,
        ticket: &Ticket,
        part: SentPart,
        chunk: Chunk,
        before: Option<B::Body>,
        feed: &mut impl Feed<Body = B::Body>,
    ) -> Result<Option<Sent>, Failure>
    where
        L: Stage<Body = B::Body>,
    {
        let before = before.map(|body| (body, chunk.offset));
        let put = async |body| self.put_in_r2(ticket, chunk.n, body).await;
        let mut staged = None;
        let lease = self.new_lease(ticket.upload, chunk.n);
        let asked = async || self.asked(lease, chunk.length).await;
        let spill = async |body, begin, length| {
            let chunk = Chunk {
                offset: chunk.offset + begin,
                length,
                put_away: true,
                ..chunk
            };
            let kept = self.links.stage(chunk, Some(body)).await;
            let more = matches!(kept, Ok(Kept::Staged(_)));
            staged = Some(kept);
            more
        };
        let Some(taken) = feed
            .take_rest(before, chunk.length, put, asked, spill)
            .await
        else {
            return Ok(None);
        };
        let error = match taken {
            Ok(put) => {
                let sent = self.record_part(ticket, part, chunk.n, put).await?;
                return Ok(Some(sent));
            }
            Err(error) => error,
        };
        self.end_lease(lease, chunk.length).await;
        match staged.transpose()? {
            None if feed.broken() => Err(ended_early().into()),
            Some(Kept::Recorded) => Ok(Some(Sent::Part)),
            Some(Kept::Staged(held)) if held < chunk.part_len => Ok(Some(Sent::Staged(held))),
            _ => Err(self.not_put(ticket.upload, error).await),
        }
    }

    pub(super) fn new_lease(&self, upload: UploadId, n: u16) -> Lease {
        Lease {
            upload,
            n,
            holder: self.world.random(),
        }
    }

    /// Is done when somebody waits for what has come of a part of which `length` bytes are on their
    /// way.
    pub(super) async fn asked(&self, lease: Lease, length: u64)
    where
        L: Stage<Body = B::Body>,
    {
        if length < LEASED_MIN {
            return pending().await;
        }
        loop {
            match self.links.lease(lease).await {
                Ok(Asked::Now) => return,
                Ok(Asked::NotYet) => {}
                // What is sent again then is the price of an object that cannot be reached.
                Err(_) => return pending().await,
            }
        }
    }

    /// Has whoever waits for what came of a part go on: it is put away.
    pub(super) async fn end_lease(&self, lease: Lease, length: u64)
    where
        L: Stage<Body = B::Body>,
    {
        if length >= LEASED_MIN {
            // Nobody waits longer than a moment for it.
            let _ = self.links.end_lease(lease).await;
        }
    }

    async fn put_in_r2(&self, ticket: &Ticket, n: u16, body: B::Body) -> Result<Put, BucketError> {
        let key = object_key(&ticket.app, ticket.upload);
        self.bucket
            .put_part(&key, &ticket.r2_upload_id, n, body)
            .await
    }

    /// Has the link know of a part that R2 has.
    async fn record_part(
        &self,
        ticket: &Ticket,
        part: SentPart,
        n: u16,
        put: Put,
    ) -> Result<Sent, Failure> {
        let upload = ticket.upload;
        if part.sha256 != Some(put.sha256) {
            // R2 took the wrong bytes in place of any right ones.
            self.tell(upload, Command::ForgetPart { upload, n }).await?;
            return Err(wrong_digest().into());
        }
        let record = Command::RecordPart {
            upload,
            n,
            part: Part {
                etag: put.etag,
                sha256: put.sha256,
            },
            seal: part.complete.map(|request| self.seal(request)),
        };
        match (
            self.links.execute(upload.link(), record).await?,
            part.complete,
        ) {
            (Reply::Done, _) => Ok(Sent::Part),
            (Reply::File(found), _) => Ok(Sent::File(found)),
            (Reply::Sealed(sealed), Some(_)) => self
                .complete_sealed(&ticket.app, upload, sealed, None)
                .await
                .map(|found| Sent::File(Box::new(found))),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Takes a chunk of a part, and the part when that makes it whole.
    ///
    /// # Errors
    /// As [`Self::put_part`]; `offset-differs` with the right offset; `digest-missing` where the chunk
    /// ends its part.
    pub async fn put_chunk(
        &self,
        ticket: &Ticket,
        part: SentPart,
        offset: u64,
        length: u64,
        feed: &mut impl Feed<Body = B::Body>,
    ) -> Result<Sent, Failure>
    where
        L: Stage<Body = B::Body>,
    {
        let (n, part_len) = part_of(ticket, part.n)?;
        if part.sha256.is_none() && offset.saturating_add(length) >= part_len {
            return Err(Problem::new(ProblemCode::DigestMissing)
                .field("Repr-Digest")
                .into());
        }
        let chunk = chunk_of(ticket, part, n, offset, length, part_len);
        let ends = length > 0 && offset.saturating_add(length) == part_len;
        if ends && let Begun::From(staged) = self.links.begin(chunk).await? {
            let before = (offset > 0).then_some(staged);
            if let Some(sent) = self.put_rest(ticket, part, chunk, before, feed).await? {
                return Ok(sent);
            }
        }
        self.put_staged(ticket, part, chunk, feed.body()).await
    }

    /// Stages a chunk, and passes the part on to R2 when that makes it whole.
    async fn put_staged(
        &self,
        ticket: &Ticket,
        part: SentPart,
        chunk: Chunk,
        body: Option<B::Body>,
    ) -> Result<Sent, Failure>
    where
        L: Stage<Body = B::Body>,
    {
        let Chunk { n, part_len, .. } = chunk;
        match self.links.stage(chunk, body).await? {
            Kept::Recorded => Ok(Sent::Part),
            Kept::Staged(held) if held < part_len => Ok(Sent::Staged(held)),
            Kept::Staged(_) => {
                let whole = self.links.staged(ticket.upload, n, part_len).await?;
                match self.put_in_r2(ticket, n, whole).await {
                    Ok(put) => self.record_part(ticket, part, n, put).await,
                    Err(error) => Err(self.not_put(ticket.upload, error).await),
                }
            }
        }
    }

    /// Why a part was not put into R2: the link's own reason, if the upload takes no parts any more.
    /// One that R2 has dropped is ended, so that the file can be announced anew.
    async fn not_put(&self, upload: UploadId, error: BucketError) -> Failure {
        let ended = self.tell(upload, Command::Touch { upload }).await;
        let ended = match ended {
            Ok(()) if error.gone => self.tell(upload, Command::Abort { upload }).await,
            other => other,
        };
        match ended {
            Ok(()) if error.gone => ProblemCode::UploadAborted.into(),
            Ok(()) => error.into(),
            Err(failure) => failure,
        }
    }

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
        let seal = Command::Seal {
            upload,
            seal: self.seal(request),
        };
        let sealed = match self.links.execute(upload.link(), seal).await? {
            Reply::Sealed(sealed) => sealed,
            Reply::File(found) => return Ok(*found),
            other => return Err(unexpected(&other)),
        };
        self.complete_sealed(app, upload, sealed, whole).await
    }

    /// An attempt to complete an upload.
    fn seal(&self, request: CompleteUpload) -> Seal {
        Seal {
            attempt: self.world.random(),
            sha256: request.sha256,
            parts_sha256: request.parts_sha256,
        }
    }

    async fn complete_sealed(
        &self,
        app: &AppId,
        upload: UploadId,
        sealed: Sealed,
        whole: Option<Sha256>,
    ) -> Result<FoundFile, Failure> {
        let attempt = sealed.attempt;
        let key = object_key(app, upload);
        self.complete_in_r2(upload, attempt, &key, &sealed).await?;
        self.world.after_r2_commit().await;
        let announced = Announced {
            upload,
            attempt,
            key: &key,
            size: sealed.size,
            name: &sealed.name,
            sha256: whole,
            in_parts: true,
            expected: None,
        };
        self.confirm(&sealed.policy, announced).await
    }

    /// Waits for what R2 does with a file of `size` bytes, of which `moved` have come so far, and has the
    /// link know from time to time that the attempt goes on, so that it is not taken for stuck: as long
    /// as bytes come, and for as long as R2 may take once all have.
    async fn while_working<T>(
        &self,
        upload: UploadId,
        attempt: u64,
        size: u64,
        moved: &Cell<u64>,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        let (mut before, mut left) = (0, workings(size));
        while left > 0 {
            let pause = pin!(self.world.pause(WORKING_EVERY));
            if let Either::Left((done, _)) = select(work.as_mut(), pause).await {
                return done;
            }
            let now = moved.get();
            if now == size {
                left -= 1;
            } else if now == before {
                continue;
            }
            before = now;
            // What the link says to it, it says again at the end.
            let _ = self
                .tell(upload, Command::Working { upload, attempt })
                .await;
        }
        work.await
    }

    pub(super) async fn complete_in_r2(
        &self,
        upload: UploadId,
        attempt: u64,
        key: &str,
        sealed: &Sealed,
    ) -> Result<(), Failure> {
        let complete = self
            .bucket
            .complete(key, &sealed.multipart.r2_upload_id, &sealed.etags);
        let done = self
            .while_working(
                upload,
                attempt,
                sealed.size,
                &Cell::new(sealed.size),
                complete,
            )
            .await;
        let Err(error) = done else { return Ok(()) };
        // An earlier try may have got through without hearing of it.
        if self
            .bucket
            .head(key)
            .await?
            .is_some_and(|h| h.size == sealed.size)
        {
            return Ok(());
        }
        if matches!(&error, CompleteError::Bucket(error) if error.gone) {
            // Nothing that is sent will make a file of it any more; a new upload will.
            self.tell(upload, Command::Withdraw { upload, attempt })
                .await?;
            return Err(ProblemCode::UploadAborted.into());
        }
        // Two requests for one part that crossed leave R2 with the part of one and the link with
        // the tag of the other. Nothing tells which part it was, so all are asked for again.
        let keep_parts = error != CompleteError::Parts;
        self.tell(
            upload,
            Command::Reopen {
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

    /// Takes a file in one request. The answer says whether it is new: otherwise it was sent before.
    ///
    /// # Errors
    /// `file-too-large`, `file-type-not-accepted`, `digest-mismatch`; `invalid-request` for a body that
    /// ends early; what the link refuses.
    pub async fn put_file(
        &self,
        app: &AppId,
        link: LinkId,
        name: String,
        length: u64,
        sha256: Option<Sha256>,
        feed: &mut impl Feed<Body = B::Body>,
    ) -> Result<(FoundFile, bool), Failure> {
        let put = match self.reserve(link, &name, length, sha256).await? {
            Reserved::Stored(found) => {
                // Its bytes tell whether it is the same.
                let digest = async |body| self.bucket.digest(body).await;
                let taken = feed.take_exactly(length, &Cell::new(0), digest).await;
                match taken.said {
                    Ok(digest) if Some(digest) == sha256 && taken.bytes == length => {
                        Ok((*found, false))
                    }
                    Ok(_) if taken.bytes == length => Err(wrong_digest().into()),
                    Ok(_) => Err(ended_early().into()),
                    Err(error) => Err(error.into()),
                }
            }
            Reserved::Room(reserved) => {
                let store = async |key: &str, moved: &Cell<u64>| {
                    let put = async |body| self.bucket.put(key, body, sha256).await;
                    feed.take_exactly(length, moved, put).await.said
                };
                let stored = self.put_by(app, &name, length, sha256, reserved, store);
                stored.await.map(|found| (found, true))
            }
        };
        match put {
            // What R2 says of it is no fault of ours.
            Err(Failure::Bucket(_)) if feed.broken() => Err(ended_early().into()),
            other => other,
        }
    }

    /// Takes a file that is in memory.
    ///
    /// # Errors
    /// As [`Self::put_file`].
    pub(super) async fn put_bytes(
        &self,
        app: &AppId,
        link: LinkId,
        name: String,
        bytes: Vec<u8>,
    ) -> Result<FoundFile, Failure> {
        let (length, sha256) = (bytes.len() as u64, Some(Sha256::of(&bytes)));
        let reserved = match self.reserve(link, &name, length, sha256).await? {
            Reserved::Stored(found) => return Ok(*found),
            Reserved::Room(reserved) => reserved,
        };
        let store = async |key: &str, moved: &Cell<u64>| {
            moved.set(length);
            let body = self.bucket.body(bytes).map_err(PutError::Bucket)?;
            self.bucket.put(key, body, sha256).await
        };
        self.put_by(app, &name, length, sha256, reserved, store)
            .await
    }

    /// Has the link record the intent to store a file in one request.
    async fn reserve(
        &self,
        link: LinkId,
        name: &str,
        length: u64,
        sha256: Option<Sha256>,
    ) -> Result<Reserved, Failure> {
        if length > SINGLE_REQUEST_MAX {
            return Err(Problem::new(ProblemCode::BodyTooLarge)
                .limit(SINGLE_REQUEST_MAX)
                .detail("Announce a larger file with POST uploads, and send it in parts.")
                .into());
        }
        let upload = self.new_upload_id(link);
        let attempt = self.world.random();
        let reserve = Command::Reserve {
            upload,
            attempt,
            name: name.to_owned(),
            size: length,
            sha256,
        };
        match self.links.execute(link, reserve).await? {
            Reply::Room(policy) => Ok(Reserved::Room(Reservation {
                upload,
                attempt,
                policy,
            })),
            Reply::File(found) => Ok(Reserved::Stored(found)),
            other => Err(unexpected(&other)),
        }
    }

    async fn put_by(
        &self,
        app: &AppId,
        name: &str,
        length: u64,
        sha256: Option<Sha256>,
        reserved: Reservation,
        store: impl AsyncFnOnce(&str, &Cell<u64>) -> Result<Put, PutError>,
    ) -> Result<FoundFile, Failure> {
        let Reservation {
            upload,
            attempt,
            policy,
        } = reserved;
        let key = object_key(app, upload);
        let moved = Cell::new(0);
        let put = store(&key, &moved);
        let put = self.while_working(upload, attempt, length, &moved, put);
        let put = match put.await {
            Ok(put) if sha256.is_none_or(|s| s == put.sha256) => put,
            other => {
                self.withdraw(upload, attempt, &key).await?;
                return Err(match other {
                    Err(PutError::Bucket(error)) => error.into(),
                    _ => wrong_digest().into(),
                });
            }
        };
        self.world.after_r2_commit().await;
        let announced = Announced {
            upload,
            attempt,
            key: &key,
            size: length,
            name,
            sha256: Some(put.sha256),
            in_parts: false,
            expected: None,
        };
        self.confirm(&policy, announced).await
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
                let mut object = self.bucket.objects(vec![(key.to_owned(), size)]);
                let digest = async |body| self.bucket.digest(body).await;
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
        let commit = Command::Commit {
            upload,
            attempt,
            media_type,
            sha256,
            etag: head.etag,
        };
        match self.ask_for_file(upload.into(), commit).await {
            Err(Failure::Refused(problem)) => {
                // Busy is what a later attempt has: the object is that one's. All else is that the
                // upload was ended meanwhile. The link removes the object too, later, should this
                // fail.
                if problem.code != ProblemCode::UploadBusy {
                    let _ = self.bucket.delete(key).await;
                }
                Err(problem.into())
            }
            other => other,
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
        self.tell(upload, Command::Withdraw { upload, attempt })
            .await?;
        let _ = self.bucket.delete(key).await;
        Ok(())
    }

    /// Ends an upload for a person who changed their mind.
    ///
    /// # Errors
    /// `upload-not-found`; `upload-busy` when it is being stored, or is.
    pub async fn abort_upload(&self, upload: UploadId) -> Result<(), Failure> {
        self.tell(upload, Command::Abort { upload }).await
    }

    /// Ends an upload, or withdraws the file that it became, for who sent it. Again is fine.
    ///
    /// # Errors
    /// `upload-not-found`; `file-taken` once the app has it; `too-many-withdrawn`.
    pub async fn withdraw_file(&self, upload: UploadId) -> Result<(), Failure> {
        self.tell(upload, Command::WithdrawFile { upload }).await
    }
}

fn chunk_of(
    ticket: &Ticket,
    part: SentPart,
    n: u16,
    offset: u64,
    length: u64,
    part_len: u64,
) -> Chunk {
    Chunk {
        upload: ticket.upload,
        n,
        offset,
        length,
        part_len,
        sha256: part.sha256,
        writer: None,
        put_away: false,
    }
}

/// The problem of bytes that do not have the digest that was said.
fn wrong_digest() -> Problem {
    Problem::new(ProblemCode::DigestMismatch).field("Content-Digest")
}

/// The problem of a body that has fewer bytes than it announced.
fn ended_early() -> Problem {
    Problem::new(ProblemCode::InvalidRequest)
        .field("Content-Length")
        .detail("The body ended before its announced length.")
}

/// The number of a part, checked against the ticket, and its length in bytes.
///
/// # Errors
/// `part-out-of-range` with the number of parts.
fn part_of(ticket: &Ticket, n: u64) -> Result<(u16, u64), Problem> {
    let part = part_len(ticket.size, ticket.part_size, n).zip(u16::try_from(n).ok());
    let (length, n) = part.ok_or_else(|| {
        Problem::new(ProblemCode::PartOutOfRange)
            .field("part number")
            .limit(part_count(ticket.size, ticket.part_size))
    })?;
    Ok((n, length))
}

/// Checks a part's number and length against the ticket; answers the number.
///
/// # Errors
/// `part-out-of-range` with the number of parts, `part-size-wrong` with the right length.
pub fn check_part(ticket: &Ticket, n: u64, length: u64) -> Result<u16, Problem> {
    let (n, expected) = part_of(ticket, n)?;
    if length != expected {
        return Err(Problem::new(ProblemCode::PartSizeWrong)
            .field("Content-Length")
            .limit(expected)
            .detail(format!("Part {n} has {expected} bytes.")));
    }
    Ok(n)
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
