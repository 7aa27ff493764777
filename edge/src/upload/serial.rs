//! Serial uploads: opened, grown by the bodies of requests, completed.
//!
//! Bytes go straight into R2 where a request announces a whole part of them, else as rows to the
//! link. Promise: what arrived before a cut counts. Rows are written as they fill; of a part that
//! was on its way into R2, what had arrived is staged afterwards.

use core::mem;

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{FILE_SIZE_MAX, HEAD_MAX, part_size};
use chatlift_shared::{AppId, LinkId, Problem, ProblemCode, Timestamp, UploadId};

use super::commit::check_beginning;
use super::open::Label;
use super::receive::{By, Held, Target};
use super::source::Source;
use crate::checksum::{Algorithm, Checksum};
use crate::link::command;
use crate::link::flow::segment;
use crate::link::key::object_key;
use crate::link::reply::{FoundFile, Sealing};
use crate::link::serial;
use crate::link::serial::{Phase, Protocol, Role, Serial, SerialView};
use crate::link::state::Multipart;
use crate::ports::{Bucket, Failure, Feed, Links, Stage, World};
use crate::service::Service;

/// A serial upload to open.
#[derive(Clone, Debug)]
pub struct NewSerial {
    /// The protocol.
    pub protocol: Protocol,
    /// What becomes of it: a file or a piece.
    pub role: Role,
    /// What its sender calls it, and says of it.
    pub label: Label,
    /// Length in bytes, if it is known.
    pub length: Option<u64>,
    /// The sender's metadata, as it was sent.
    pub metadata: String,
    /// Digest of the whole, if the sender gave one.
    pub sha256: Option<Sha256>,
}

/// A request that adds to a serial upload.
#[derive(Clone, Debug)]
pub struct Append {
    /// The protocol.
    pub protocol: Protocol,
    /// Where the body begins.
    pub offset: u64,
    /// Length of the body, if it is announced.
    pub length: Option<u64>,
    /// Length of the whole, if this request tells it.
    pub total: Option<u64>,
    /// What the body must have as digest.
    pub checksum: Option<Checksum>,
    /// Whether the file is complete with this request, whatever its length; `None` where it is as
    /// soon as it has its length.
    pub last: Option<bool>,
}

/// How far a request brought an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grown {
    /// It takes more, from here.
    To(u64),
    /// It is a whole piece.
    Piece(u64),
    /// It is a file.
    File(Box<FoundFile>),
    /// The body broke off; what arrived is kept, up to here.
    Cut(u64),
}

/// One request on its way through an upload.
struct Walk<'a> {
    app: &'a AppId,
    view: SerialView,
    multipart: Multipart,
    writer: u64,
    checked: bool,
}

impl Walk<'_> {
    /// Where its bytes go. `counts` is whether they do as they come.
    fn target(&self, counts: bool) -> Target<'_> {
        Target {
            app: self.app,
            upload: self.view.id,
            multipart: &self.multipart,
            size: self.view.size,
            by: By::Serial {
                writer: self.writer,
            },
            counts,
        }
    }
}

/// What became of the beginning of a request.
enum Begun<'a> {
    /// It may add to the upload.
    Walk(Box<Walk<'a>>),
    /// The upload is complete already.
    Before(Grown, Timestamp),
}

impl<L, B, W> Service<L, B, W>
where
    L: Links + Stage<Body = B::Body>,
    B: Bucket,
    W: World,
{
    /// Opens a serial upload.
    ///
    /// # Errors
    /// Whatever the link refuses.
    pub async fn open_serial(
        &self,
        app: &AppId,
        link: LinkId,
        new: NewSerial,
    ) -> Result<SerialView, Failure> {
        let upload = self.new_upload_id(link);
        let room = serial::Room {
            size: new.length,
            role: new.role.clone(),
        };
        let policy = self.links.execute(link, room).await?;
        let size = new.length.unwrap_or(policy.max_file_size);
        let key = object_key(app, upload);
        let part_size = part_size(size);
        let r2_upload_id = self.bucket.create(&key, part_size).await?;
        let open = serial::Open {
            upload,
            name: new.label.name,
            size,
            multipart: Multipart {
                alone: false,
                r2_upload_id: r2_upload_id.clone(),
                part_size,
            },
            serial: Serial {
                protocol: new.protocol,
                role: new.role,
                length_known: new.length.is_some(),
                writer: 0,
                unchecked: None,
                metadata: new.metadata,
                sha256: new.sha256,
            },
            extras: new.label.extras,
        };
        let opened = self.ask(upload, open).await;
        if opened.is_err() {
            // The link does not know of it, so nobody else would. R2 drops it after 7 days if this
            // fails.
            let _ = self.bucket.abort(&key, &r2_upload_id).await;
        }
        opened
    }

    /// How far an upload is. One that has all its bytes is completed first, as an earlier request
    /// would have done had it not died: a client that finds all bytes there asks no more.
    ///
    /// # Errors
    /// What the link refuses; `upload-busy` while it is being completed.
    pub async fn look(
        &self,
        app: &AppId,
        upload: UploadId,
        protocol: Protocol,
    ) -> Result<SerialView, Failure> {
        let view = self.ask(upload, serial::Look { upload, protocol }).await?;
        if protocol == Protocol::Resumable || !view.is_full() {
            return Ok(view);
        }
        let nothing = Append {
            protocol,
            offset: view.offset,
            length: Some(0),
            total: None,
            checksum: None,
            last: None,
        };
        if let Begun::Walk(mut walk) = self.begin(app, upload, &nothing).await? {
            self.pass_on_all(&mut walk).await?;
            self.complete_serial(app, &walk.view, None).await?;
        }
        self.ask(upload, serial::Look { upload, protocol }).await
    }

    /// Takes over the upload for a request.
    async fn begin<'a>(
        &self,
        app: &'a AppId,
        upload: UploadId,
        append: &Append,
    ) -> Result<Begun<'a>, Failure> {
        let writer = self.world.random().max(1);
        let checked = append.checksum.is_some();
        let begin = serial::Begin {
            upload,
            protocol: append.protocol,
            writer,
            offset: append.offset,
            length: append.length,
            total: append.total,
            checked,
        };
        let view = self.ask(upload, begin).await?;
        if let Some(multipart) = view.multipart.clone() {
            return Ok(Begun::Walk(Box::new(Walk {
                app,
                view,
                multipart,
                writer,
                checked,
            })));
        }
        // Complete before; an answer that was lost is asked for again.
        if view.phase == Phase::Piece {
            return Ok(Begun::Before(Grown::Piece(view.size), view.expires_at));
        }
        let file = upload.into();
        let found = self.ask(upload, command::ReadFile { file }).await?;
        Ok(Begun::Before(Grown::File(Box::new(found)), view.expires_at))
    }

    /// Adds the body of a request to an upload, and completes it when that was the last of it.
    /// Answers also when the upload ends unless it is complete by then.
    ///
    /// # Errors
    /// `offset-differs` with the right offset; `file-type-not-accepted` by the first bytes, with
    /// the upload ended; `digest-mismatch` for a checksum, with nothing added; what the link
    /// refuses.
    pub async fn append(
        &self,
        app: &AppId,
        upload: UploadId,
        append: Append,
        feed: impl Feed<Body = B::Body>,
    ) -> Result<(Grown, Timestamp), Failure> {
        let mut walk = match self.begin(app, upload, &append).await? {
            Begun::Walk(walk) => *walk,
            Begun::Before(grown, expires_at) => return Ok((grown, expires_at)),
        };
        let expires_at = walk.view.expires_at;
        let grown = self.grow(&mut walk, &append, Source::of(feed)).await?;
        Ok((grown, expires_at))
    }

    async fn grow<F: Feed<Body = B::Body>>(
        &self,
        walk: &mut Walk<'_>,
        append: &Append,
        mut source: Source<F>,
    ) -> Result<Grown, Failure> {
        let upload = walk.view.id;
        self.check_beginning(walk, append, &mut source).await?;
        let whole_here = append.offset == 0
            && match walk.view.length() {
                Some(length) => append.length == Some(length),
                None => append.last == Some(true),
            };
        let algorithm = match &append.checksum {
            Some(checksum) => Some(checksum.algorithm),
            // Of a file that comes in one request the digest of the whole is known.
            None => whole_here.then_some(Algorithm::Sha256),
        };
        if let Some(algorithm) = algorithm {
            source.hash(algorithm)?;
        }
        // Left by a request that died before it could pass them on.
        self.pass_on_all(walk).await?;
        let at = self.take_body(walk, append, &mut source).await?;
        // One that broke off behind its last byte brought all of it.
        let all = walk.view.length() == Some(at) && append.last != Some(false);
        let cut = match append.length {
            Some(length) => at - append.offset < length,
            None => source.broken() && !all,
        };
        if cut && !walk.checked {
            return Ok(Grown::Cut(at));
        }
        let digest = match algorithm {
            Some(_) => Some(source.digest().await?),
            None => None,
        };
        if let Some(checksum) = &append.checksum {
            let right = !cut && digest.as_ref() == Some(&checksum.digest);
            let checked = serial::Checked {
                upload,
                writer: walk.writer,
                right,
            };
            walk.view = self.ask(upload, checked).await?;
            if cut {
                return Ok(Grown::Cut(append.offset));
            }
            if !right {
                return Err(ProblemCode::DigestMismatch.into());
            }
        }
        let whole = digest
            .filter(|_| whole_here && algorithm == Some(Algorithm::Sha256))
            .and_then(|d| d.try_into().ok())
            .map(Sha256);
        self.after_body(walk, append, at, whole).await
    }

    /// Refuses a file by its first bytes, before any is stored.
    async fn check_beginning<F: Feed<Body = B::Body>>(
        &self,
        walk: &Walk<'_>,
        append: &Append,
        source: &mut Source<F>,
    ) -> Result<(), Failure> {
        let view = &walk.view;
        if append.offset > 0 || view.serial.role == Role::Piece {
            return Ok(());
        }
        let size = view.length().unwrap_or(FILE_SIZE_MAX);
        let most = HEAD_MAX.min(size);
        let head = source.peek(most).await;
        // Fewer tell nothing yet; the whole is looked at again when it is complete.
        if (head.len() as u64) < most {
            return Ok(());
        }
        if let Err(problem) = check_beginning(&view.policy.accept, &head, size, &view.name) {
            self.abort_upload(view.id).await?;
            return Err(problem.into());
        }
        Ok(())
    }

    /// Takes the body as far as it comes; answers up to where bytes are held.
    async fn take_body<F: Feed<Body = B::Body>>(
        &self,
        walk: &Walk<'_>,
        append: &Append,
        source: &mut Source<F>,
    ) -> Result<u64, Failure> {
        let (size, part_size) = (walk.view.size, walk.multipart.part_size);
        // Nothing of a body of unknown length counts before it has ended within the upload.
        let target = walk.target(append.length.is_some() && !walk.checked);
        let (mut at, mut whole) = (append.offset, Vec::new());
        while !source.ended().await {
            let left = append.length.map(|l| append.offset + l - at);
            let segment = segment(at, left, size, part_size, walk.checked);
            let Some(segment) = segment.filter(|segment| segment.length > 0) else {
                // More than was announced, or than the upload can have: what comes after the end of
                // a file shows that what came before is not it.
                let over = serial::Overrun {
                    upload: walk.view.id,
                    writer: walk.writer,
                    from: append.offset,
                };
                self.ask(walk.view.id, over).await?;
                return Err(Problem::new(ProblemCode::BodyTooLarge)
                    .field("Upload-Length")
                    .limit(size)
                    .into());
            };
            let held = match self.receive(&target, segment, source).await? {
                Held::Staged(held) => held,
                Held::Part | Held::File(_) => {
                    at += segment.length;
                    continue;
                }
            };
            at = at - segment.begin + held;
            if target.counts || held < segment.part_len {
                break;
            }
            if !walk.checked {
                whole.push(segment.n);
            }
        }
        for n in whole {
            self.pass_on(&walk.target(true), n).await?;
        }
        Ok(at)
    }

    /// Passes on every part of which everything is staged and counts.
    async fn pass_on_all(&self, walk: &mut Walk<'_>) -> Result<(), Failure> {
        for n in mem::take(&mut walk.view.staged) {
            self.pass_on(&walk.target(true), n).await?;
        }
        Ok(())
    }

    async fn after_body(
        &self,
        walk: &mut Walk<'_>,
        append: &Append,
        at: u64,
        whole: Option<Sha256>,
    ) -> Result<Grown, Failure> {
        let (upload, writer) = (walk.view.id, walk.writer);
        if append.last == Some(true) && walk.view.length().is_none() {
            let ended = serial::Ended {
                upload,
                writer,
                length: at,
            };
            walk.view = self.ask(upload, ended).await?;
        }
        let full = walk.view.length() == Some(at);
        let last = append.last.unwrap_or(full);
        if last && !full {
            return Err(Problem::new(ProblemCode::InvalidRequest)
                .field("Upload-Length")
                .detail("The file would end before its length.")
                .into());
        }
        // Whole parts that count only now, or are known to be whole only now.
        self.pass_on_all(walk).await?;
        if !last {
            return Ok(Grown::To(at));
        }
        self.complete_serial(walk.app, &walk.view, whole).await
    }

    /// Completes an upload that has all its bytes.
    async fn complete_serial(
        &self,
        app: &AppId,
        view: &SerialView,
        whole: Option<Sha256>,
    ) -> Result<Grown, Failure> {
        let (upload, attempt) = (view.id, self.world.random());
        let seal = serial::Seal {
            upload,
            attempt,
            sha256: whole,
        };
        let sealed = match self.ask(upload, seal).await? {
            Some(Sealing::Sealed(sealed)) => *sealed,
            Some(Sealing::File(found)) => return Ok(Grown::File(found)),
            None => return Ok(Grown::Piece(view.size)),
        };
        if view.serial.role == Role::Piece {
            self.complete_in_r2(app, upload, &sealed).await?;
            self.ask(upload, serial::Keep { upload, attempt }).await?;
            return Ok(Grown::Piece(sealed.size));
        }
        let expected = view.serial.sha256;
        let found = self
            .commit_sealed(app, upload, sealed, None, expected)
            .await?;
        Ok(Grown::File(Box::new(found)))
    }

    /// Ends an upload for a person who changed their mind.
    ///
    /// # Errors
    /// `upload-not-found`; `upload-busy` when it is being stored, or is.
    pub async fn abort_serial(&self, upload: UploadId, protocol: Protocol) -> Result<(), Failure> {
        self.ask(upload, serial::Abort { upload, protocol }).await
    }
}
