//! A file in parts, as the page sends it: each part whole, or in chunks.

use chatlift_shared::api::CompleteUpload;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{part_count, part_len};
use chatlift_shared::{Problem, ProblemCode};

use super::receive::{By, Held, Target};
use super::source::Source;
use super::ticket::Ticket;
use crate::link::flow::{Segment, Way};
use crate::link::reply::FoundFile;
use crate::link::state::Multipart;
use crate::ports::{Bucket, Failure, Feed, Links, Stage, World};
use crate::service::Service;

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

impl<L, B, W> Service<L, B, W>
where
    L: Links + Stage<Body = B::Body>,
    B: Bucket,
    W: World,
{
    /// Takes a part, or a chunk of one that begins at `offset`, and makes the upload a file if that is asked
    /// for and it was the last. `length` is the body's; the ticket was verified by the caller.
    ///
    /// No Durable Object is asked before the bytes of a whole part flow.
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
    ) -> Result<Sent, Failure> {
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
        let held = self
            .receive(&target, segment, &mut Source::of(feed))
            .await?;
        Ok(match held {
            Held::Staged(bytes) => Sent::Staged(bytes),
            Held::Part => Sent::Part,
            Held::File(found) => Sent::File(found),
        })
    }
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
