//! How the bytes of a request become parts of an upload, whichever protocol they come by.
//!
//! R2 takes parts of 5 MiB or more and keeps nothing of one that breaks off. So bytes that end their part
//! stream into R2, after what is staged of that part; others are staged with the link as they come. Promise:
//! what arrived before a cut counts. What is on its way into R2 is kept in memory meanwhile, and staged when it
//! does not get there, when somebody asks how far the upload is, and when nothing more comes for a while.

use core::cell::Cell;
use core::future::pending;
use core::pin::pin;
use core::time::Duration;

use chatlift_shared::api::CompleteUpload;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{part_count, part_len};
use chatlift_shared::{AppId, Problem, ProblemCode, UploadId};
use futures_channel::oneshot::channel;
use futures_util::future::{Either, select};

use super::source::Source;
use super::ticket::Ticket;
use crate::link::command;
use crate::link::flow::{Segment, Way};
use crate::link::key::object_key;
use crate::link::lease::{Holder, Lease, LeaseAnswer};
use crate::link::reply::{FoundFile, Sealing};
use crate::link::serial;
use crate::link::stage::{Chunk, offset_differs};
use crate::link::state::{Multipart, Part};
use crate::ports::{Bucket, BucketError, Failure, Feed, Links, Put, Stage, StageAnswer, World};
use crate::service::Service;

/// Bytes on their way from which on a lease is held for them. Fewer are sent again sooner than the link
/// is asked.
const LEASED_MIN: u64 = 512 * 1024;

/// How long nothing may come of a part before what came is staged: a network that goes away without a word
/// must not hide it.
const STALL: Duration = Duration::from_secs(1);

/// A part, as its sender tells of it.
#[derive(Clone, Copy, Debug)]
pub struct SentPart {
    /// Part number, from 1.
    pub n: u64,
    /// Digest of the whole part, if the sender knows it.
    pub sha256: Option<Sha256>,
    /// What to complete the upload with, if this is the last of its parts to be there.
    pub complete: Option<CompleteUpload>,
}

/// The upload that the bytes of a request are for.
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    pub(super) app: &'a AppId,
    pub(super) upload: UploadId,
    pub(super) multipart: &'a Multipart,
    pub(super) size: u64,
    pub(super) by: By,
    /// Whether bytes count as they come. Otherwise what is whole stays staged.
    pub(super) counts: bool,
}

/// How an upload takes bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    /// Parts beside each other, each with its digest. A piece that does not end its part may come without.
    Parts {
        sha256: Option<Sha256>,
        /// What to complete the upload with, if this is the last of its parts to be there.
        complete: Option<CompleteUpload>,
    },
    /// One request at a time, from the beginning to the end.
    Serial { writer: u64 },
}

/// What is held of a part once bytes of it have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// So many bytes of its beginning are staged.
    Staged(u64),
    /// R2 has the part.
    Part,
    /// It was the last, and the upload is a file.
    File(Box<FoundFile>),
}

impl By {
    /// Who adds, where one request at a time does.
    fn writer(self) -> Option<u64> {
        match self {
            Self::Parts { .. } => None,
            Self::Serial { writer } => Some(writer),
        }
    }
}

impl Target<'_> {
    fn chunk(&self, segment: Segment) -> Chunk {
        let sha256 = match self.by {
            By::Parts { sha256, .. } => sha256,
            By::Serial { .. } => None,
        };
        Chunk {
            upload: self.upload,
            n: segment.n,
            offset: segment.begin,
            length: segment.length,
            part_len: segment.part_len,
            sha256,
            writer: self.by.writer(),
            spilled: false,
        }
    }
}

impl<L, B, W> Service<L, B, W>
where
    L: Links + Stage<Body = B::Body>,
    B: Bucket,
    W: World,
{
    /// Takes a part, or a chunk of one that begins at `offset`, and makes the upload a file if that is asked
    /// for and it was the last. `length` is the body's; the ticket was verified by the caller.
    ///
    /// No Durable Object is asked before the bytes of a whole part flow, unless it comes a second time.
    ///
    /// # Errors
    /// `part-out-of-range`, `part-size-wrong`, `digest-mismatch`, `digest-missing` where a chunk ends its
    /// part, `offset-differs` with the right offset; what the link refuses; with the last part as
    /// [`Self::complete`]. An upload that cannot be completed with what the sender says has its part all the
    /// same, and `complete` tells why.
    pub async fn put_part(
        &self,
        ticket: &Ticket,
        part: SentPart,
        offset: Option<u64>,
        length: u64,
        feed: impl Feed<Body = B::Body>,
    ) -> Result<Held, Failure> {
        let (n, part_len) = part_of(ticket, part.n)?;
        let begin = offset.unwrap_or_default();
        let end = begin.saturating_add(length);
        match offset {
            None if length != part_len => return Err(part_size_wrong(part.n, part_len).into()),
            _ => {}
        }
        let segment = Segment {
            n,
            begin,
            length,
            part_len,
            way: match length > 0 && end == part_len {
                true => Way::Straight,
                false => Way::Staged,
            },
        };
        let multipart = Multipart {
            r2_upload_id: ticket.r2_upload_id.clone(),
            part_size: ticket.part_size,
            alone: false,
        };
        let target = Target {
            app: &ticket.app,
            upload: ticket.upload,
            multipart: &multipart,
            size: ticket.size,
            by: By::Parts {
                sha256: part.sha256,
                complete: part.complete,
            },
            counts: true,
        };
        let mut source = Source::of(feed);
        self.receive(&target, segment, &mut source).await
    }

    /// Takes the next bytes of a request, of one part.
    ///
    /// # Errors
    /// `offset-differs`, `part-size-wrong`; `digest-mismatch` for a part; `invalid-request` for a body of a
    /// part that brought nothing; what the link refuses.
    pub(super) async fn receive<F: Feed<Body = B::Body>>(
        &self,
        target: &Target<'_>,
        segment: Segment,
        source: &mut Source<F>,
    ) -> Result<Held, Failure> {
        let chunk = target.chunk(segment);
        let before = match (segment.way, segment.begin) {
            (Way::Staged, _) => None,
            (Way::Straight, 0) if !self.world.comes_again(target.upload, segment.n) => Some(None),
            (Way::Straight, begin) => Some(Some((self.links.begin(chunk).await?, begin))),
        };
        if let Some(before) = before
            && let Some(held) = self.stream(target, chunk, before, source).await?
        {
            return Ok(held);
        }
        self.stage(target, chunk, source).await
    }

    /// Streams bytes that end their part into R2; `None` where memory to keep them is short. Bytes that are held
    /// already are refused as soon as that is known: a browser may send a request again from its first byte
    /// whose connection broke (RFC 9110 section 9.2.2), and does so without telling the page.
    async fn stream<F: Feed<Body = B::Body>>(
        &self,
        target: &Target<'_>,
        chunk: Chunk,
        before: Option<(B::Body, u64)>,
        source: &mut Source<F>,
    ) -> Result<Option<Held>, Failure> {
        let put = async |body| self.put_in_r2(target, chunk.n, body).await;
        let lease = Lease {
            upload: target.upload,
            n: chunk.n,
            holder: self.world.random(),
        };
        let (refuse, refused) = channel();
        let (comes, refuse) = (Cell::new(Some(chunk)), Cell::new(Some(refuse)));
        let holder = Holder {
            asked: async || {
                let held = self.asked(lease, chunk.length, comes.take()).await;
                if let (Some(held), Some(refuse)) = (held, refuse.take()) {
                    // Whoever streams listens as long as it streams.
                    let _ = refuse.send(held);
                    pending().await
                }
            },
            pause: async |time| self.world.pause(time).await,
            stall: Some(STALL),
        };
        // One request at a time: who asks is the next.
        let yields = target.by.writer().is_some();
        let mut staged = None;
        let spill = async |body, begin, length| {
            let spilled = Chunk {
                offset: chunk.offset + begin,
                length,
                spilled: true,
                ..chunk
            };
            let kept = self.links.stage(spilled, Some(body)).await;
            let more = matches!(kept, Ok(StageAnswer::Staged(_)));
            staged = Some(kept);
            more
        };
        let taken = {
            let taken = source.take_kept(before, chunk.length, put, holder, yields, spill);
            match select(pin!(taken), refused).await {
                Either::Left((taken, _)) => taken,
                Either::Right((Ok(held), _)) => return Err(offset_differs(held).into()),
                Either::Right((Err(_), taken)) => taken.await,
            }
        };
        let error = match taken {
            None => return Ok(None),
            Some(Ok(put)) => return self.record(target, chunk.n, put).await.map(Some),
            Some(Err(error)) => error,
        };
        self.end_lease(lease, chunk.length).await;
        let held = match staged.transpose()? {
            Some(StageAnswer::Recorded) => return Ok(Some(Held::Part)),
            Some(StageAnswer::Staged(held)) => held,
            None => chunk.offset,
        };
        match (error, target.by) {
            (Some(error), _) if held == chunk.part_len => Err(self.not_put(target, error).await),
            (Some(error), _) if held == chunk.offset && !source.broken() => {
                Err(self.not_put(target, error).await)
            }
            (Some(_), By::Parts { .. }) if held == chunk.offset => Err(ended_early().into()),
            _ => Ok(Some(Held::Staged(held))),
        }
    }

    /// Stages bytes, and passes the part on to R2 when that makes it whole.
    async fn stage<F: Feed<Body = B::Body>>(
        &self,
        target: &Target<'_>,
        chunk: Chunk,
        source: &mut Source<F>,
    ) -> Result<Held, Failure> {
        let stage = async |body| self.links.stage(chunk, body).await;
        let kept = match source.whole() {
            Some(body) => stage(Some(body)).await?,
            None if source.ended().await => stage(None).await?,
            None => {
                let stage = async |body| stage(Some(body)).await;
                source.take(chunk.length, stage).await.said?
            }
        };
        match kept {
            StageAnswer::Recorded => Ok(Held::Part),
            StageAnswer::Staged(held) if held == chunk.part_len && target.counts => {
                self.pass_on(target, chunk.n).await
            }
            StageAnswer::Staged(held) => Ok(Held::Staged(held)),
        }
    }

    /// Passes a part of which everything is staged on to R2.
    pub(super) async fn pass_on(&self, target: &Target<'_>, n: u16) -> Result<Held, Failure> {
        let length = part_len(target.size, target.multipart.part_size, n.into())
            .ok_or(ProblemCode::PartOutOfRange)?;
        let whole = self.links.staged(target.upload, n, length).await?;
        match self.put_in_r2(target, n, whole).await {
            Ok(put) => self.record(target, n, put).await,
            Err(error) => Err(self.not_put(target, error).await),
        }
    }

    /// Is done when somebody waits for what has come of a part of which `length` bytes are on their
    /// way, or with how many bytes of it were held when it came.
    async fn asked(&self, lease: Lease, length: u64, mut comes: Option<Chunk>) -> Option<u64> {
        if length < LEASED_MIN {
            return pending().await;
        }
        loop {
            match self.links.lease(lease, comes.take()).await {
                Ok(LeaseAnswer::Collect) => return None,
                Ok(LeaseAnswer::Held(held)) => return Some(held),
                Ok(LeaseAnswer::Renew) => {}
                // What is sent again then is the price of an object that cannot be reached.
                Err(_) => return pending().await,
            }
        }
    }

    /// Has whoever waits for what came of a part go on: it is staged.
    async fn end_lease(&self, lease: Lease, length: u64) {
        if length >= LEASED_MIN {
            // Nobody waits longer than a moment for it.
            let _ = self.links.end_lease(lease).await;
        }
    }
}

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    pub(super) async fn put_in_r2(
        &self,
        target: &Target<'_>,
        n: u16,
        body: B::Body,
    ) -> Result<Put, BucketError> {
        let key = object_key(target.app, target.upload);
        let id = &target.multipart.r2_upload_id;
        self.bucket.put_part(&key, id, n, body).await
    }

    /// Has the link know of a part that R2 has.
    pub(super) async fn record(
        &self,
        target: &Target<'_>,
        n: u16,
        put: Put,
    ) -> Result<Held, Failure> {
        let upload = target.upload;
        let part = Part {
            etag: put.etag,
            sha256: put.sha256,
        };
        let (sha256, complete) = match target.by {
            By::Parts { sha256, complete } => (sha256, complete),
            By::Serial { writer } => {
                let record = serial::Record {
                    upload,
                    writer,
                    n,
                    part,
                };
                self.ask(upload, record).await?;
                return Ok(Held::Part);
            }
        };
        if sha256.is_some_and(|said| said != put.sha256) && !planted!(PartDigestUnchecked) {
            // R2 took the wrong bytes in place of any right ones.
            self.ask(upload, command::ForgetPart { upload, n }).await?;
            return Err(wrong_digest().into());
        }
        let record = command::RecordPart {
            upload,
            n,
            part,
            seal: complete.map(|request| self.seal(request)),
        };
        match self.ask(upload, record).await? {
            None => Ok(Held::Part),
            Some(Sealing::File(found)) => Ok(Held::File(found)),
            Some(Sealing::Sealed(sealed)) => {
                let found = self
                    .commit_sealed(target.app, upload, *sealed, None, None)
                    .await?;
                Ok(Held::File(Box::new(found)))
            }
        }
    }

    /// Why a part was not put into R2: the link's own reason, if the upload takes no parts any more.
    /// One that R2 has dropped is ended, so that the file can be announced anew.
    async fn not_put(&self, target: &Target<'_>, error: BucketError) -> Failure {
        let upload = target.upload;
        let writer = target.by.writer();
        let ended = self.ask(upload, command::Touch { upload, writer }).await;
        let ended = match ended {
            Ok(()) if error.gone => self.ask(upload, command::Abort { upload }).await,
            other => other,
        };
        match ended {
            Ok(()) if error.gone => ProblemCode::UploadAborted.into(),
            Ok(()) => error.into(),
            Err(failure) => failure,
        }
    }
}

/// The problem of bytes that do not have the digest that was said.
pub(super) fn wrong_digest() -> Problem {
    Problem::new(ProblemCode::DigestMismatch).field("Content-Digest")
}

/// The problem of a body that has fewer bytes than it announced.
pub(super) fn ended_early() -> Problem {
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

/// The problem of a whole part of another length than it has.
fn part_size_wrong(n: u64, length: u64) -> Problem {
    Problem::new(ProblemCode::PartSizeWrong)
        .field("Content-Length")
        .limit(length)
        .detail(format!("Part {n} has {length} bytes."))
}
