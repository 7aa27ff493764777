//! Serial uploads: files that come as one growing sequence of bytes, by tus or by Resumable Uploads
//! for HTTP. What is asked of them; [`super::serial_row`] says what is kept, and [`super::flow`] says where their bytes go.
//!
//! What is held of such an upload is a beginning of it: whole parts that R2 has, and after them rows
//! that are staged with the link. The offset is where they end; it never goes back, but for bytes
//! whose checksum turned out to be wrong.

use core::time::Duration;

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::MIB;
use chatlift_shared::{Problem, ProblemCode, Timestamp, UploadId};
use serde::{Deserialize, Serialize};

pub use super::serial_row::{Protocol, Role, Serial};
use super::state::{Extras, LinkState, Multipart, Part, Policy, UploadState};

/// How long an upload may be under way. R2 drops an unfinished one after 7 days
/// (<https://developers.cloudflare.com/r2/objects/multipart-objects/>); it is ended before that.
pub const LIFETIME: Duration = Duration::from_secs((7 * 24 - 1) * 60 * 60);

/// Longest body of one request, in bytes: what Cloudflare takes on the usual plans
/// (<https://developers.cloudflare.com/workers/platform/limits/>).
pub const BODY_MAX: u64 = 100_000_000;

/// Longest metadata that is kept and given back, in bytes.
pub const METADATA_MAX: usize = 4096;

/// Size of the parts of a joined file, in bytes. Larger than a usual part, since they are never
/// sent again one by one, and a request may call R2 and objects some thousand times only
/// (<https://developers.cloudflare.com/workers/platform/limits/>, subrequests).
pub const JOIN_PART_SIZE: u64 = 32 * MIB;

/// Most partial uploads that one file is joined from.
pub const PIECES_MAX: usize = 64;

/// Is there room for a file of this size, or of unknown size?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Room {
    /// Size in bytes.
    pub size: Option<u64>,
    /// What becomes of it.
    pub role: Role,
}

/// R2 has a multipart upload for it: record the upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {
    /// The upload.
    pub upload: UploadId,
    /// The safe name.
    pub name: String,
    /// Size in bytes, or the most that it may have.
    pub size: u64,
    /// R2's multipart upload.
    pub multipart: Multipart,
    /// The rest.
    pub serial: Serial,
    /// What its sender says of it to the app.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// How far is it? No earlier request may add to it from here on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Look {
    /// The upload.
    pub upload: UploadId,
    /// The protocol that asks.
    pub protocol: Protocol,
}

/// A request begins to add to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begin {
    /// The upload.
    pub upload: UploadId,
    /// The protocol that asks.
    pub protocol: Protocol,
    /// Drawn by the worker.
    pub writer: u64,
    /// Where the body begins.
    pub offset: u64,
    /// Length of the body, if it is announced.
    pub length: Option<u64>,
    /// Length of the whole, if this request tells it.
    pub total: Option<u64>,
    /// Whether the body has a checksum, without which it does not count.
    pub checked: bool,
}

/// R2 has a part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The upload.
    pub upload: UploadId,
    /// Who stored it.
    pub writer: u64,
    /// Its number, from 1.
    pub n: u16,
    /// The part.
    pub part: Part,
}

/// More came than the upload can have: nothing of what was added counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overrun {
    /// The upload.
    pub upload: UploadId,
    /// Who added.
    pub writer: u64,
    /// Where it began to.
    pub from: u64,
}

/// The checksum of what was added is right or wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    /// The upload.
    pub upload: UploadId,
    /// Who added.
    pub writer: u64,
    /// Whether it is right.
    pub right: bool,
}

/// The file has ended, and only that tells its length.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// The upload.
    pub upload: UploadId,
    /// Who added the last of it.
    pub writer: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// The sender changed their mind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Abort {
    /// The upload.
    pub upload: UploadId,
    /// The protocol that asks.
    pub protocol: Protocol,
}

/// All of it is there: record the intent to complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seal {
    /// The upload.
    pub upload: UploadId,
    /// Drawn by the worker.
    pub attempt: u64,
    /// Digest of the whole, if it is known.
    pub sha256: Option<Sha256>,
}

/// R2 has the object of a piece.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keep {
    /// The upload.
    pub upload: UploadId,
    /// The attempt that was sealed.
    pub attempt: u64,
}

/// May these pieces be joined?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadPieces {
    /// In order.
    pub pieces: Vec<UploadId>,
}

/// R2 has a part of the file that they are joined to, and the attempt goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordJoined {
    /// The upload.
    pub upload: UploadId,
    /// The attempt that was reserved.
    pub attempt: u64,
    /// Its number, from 1.
    pub n: u16,
    /// The part.
    pub part: Part,
}

/// They are being joined: record the intent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Join {
    /// The upload.
    pub upload: UploadId,
    /// Drawn by the worker.
    pub attempt: u64,
    /// The safe name.
    pub name: String,
    /// Where the joined parts go.
    pub multipart: Multipart,
    /// The rest, with the pieces.
    pub serial: Serial,
    /// What its sender says of it to the app.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// Where a serial upload is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It takes bytes.
    Receiving,
    /// It is being completed.
    Completing,
    /// It is a whole piece.
    Piece,
    /// It is a file.
    Stored,
}

/// A serial upload, as it leaves the link's object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialView {
    /// Its id.
    pub id: UploadId,
    /// Where it is in its life.
    pub phase: Phase,
    /// The safe name.
    pub name: String,
    /// Size in bytes, or the most that it may have.
    pub size: u64,
    /// Bytes that are held.
    pub offset: u64,
    /// Whole parts that are staged and that R2 does not have yet.
    pub staged: Vec<u16>,
    /// Where its parts go, while it takes bytes.
    pub multipart: Option<Multipart>,
    /// The rest.
    pub serial: Serial,
    /// The link's rules.
    pub policy: Policy,
    /// When it ends, unless it is complete by then.
    pub expires_at: Timestamp,
    /// While it is being completed: seconds until another attempt may take over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Digest of the file that it has become, where it is known.
    pub sha256: Option<Sha256>,
}

impl SerialView {
    /// The length in bytes, if it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.serial.length_known.then_some(self.size)
    }

    /// Whether all bytes are held, and the upload still has to be completed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.phase == Phase::Receiving && self.length() == Some(self.offset)
    }
}

/// Pieces that may be joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    /// The link's rules.
    pub policy: Policy,
    /// Each with its size in bytes.
    pub pieces: Vec<(UploadId, u64)>,
    /// The upload that they were joined to before.
    pub joined: Option<UploadId>,
}

/// Refuses a request that an other one has taken over from, or whose upload takes no more bytes. `writer`
/// is the request, where the upload takes bytes of one at a time.
///
/// # Errors
/// `upload-busy`, `upload-not-found`, `upload-aborted`.
pub fn may_write(state: &LinkState, upload: UploadId, writer: Option<u64>) -> Result<(), Problem> {
    let row = state
        .uploads
        .get(&upload)
        .ok_or(ProblemCode::UploadNotFound)?;
    match (&row.state, &row.serial) {
        (UploadState::Aborted { .. }, _) => Err(ProblemCode::UploadAborted.into()),
        (UploadState::Receiving { .. }, serial)
            if serial.as_ref().map(|serial| serial.writer) == writer
                || planted!(WriterUnchecked) =>
        {
            Ok(())
        }
        _ => Err(ProblemCode::UploadBusy.into()),
    }
}

/// When an upload that began at `created_at` ends.
#[must_use]
pub fn expires_at(created_at: Timestamp, link_expires_at: Timestamp) -> Timestamp {
    created_at.plus(LIFETIME).min(link_expires_at)
}

/// A problem with the status that another protocol wants for it.
#[must_use]
pub fn with_status(mut problem: Problem, status: u16) -> Problem {
    problem.status = status;
    problem
}

/// A body that is longer than one request may be.
#[must_use]
pub fn body_too_large(what_to_set: &str) -> Problem {
    Problem::new(ProblemCode::BodyTooLarge)
        .field("Content-Length")
        .limit(BODY_MAX)
        .detail(format!(
            "One request takes {BODY_MAX} bytes at most. Send the file in several requests: {what_to_set}."
        ))
}
