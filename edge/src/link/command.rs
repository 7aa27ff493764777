//! What can be asked of a link's Durable Object. [`message`](super::message) says what each is answered with.

use chatlift_shared::api::Receipt;
use chatlift_shared::digest::Sha256;
use chatlift_shared::{EventId, FileId, Timestamp, UploadId};
use serde::{Deserialize, Serialize};

use super::password::Asker;
use super::state::{Extras, LinkRow, Multipart, Part};

/// Make the link. Again with the same request: the link as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Create(pub Box<LinkRow>);

/// Look at it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Read;

/// Look at it, and at how far its uploads are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadProgress;

/// The page's program runs for a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Opened;

/// The person has sent all that they want to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finish {
    /// The files in the order in which they were picked.
    pub order: Vec<FileId>,
}

/// Look at it, if this request made it within the last day; else it is no link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recall {
    /// Digest of the request.
    pub request: Sha256,
}

/// Take it back; uploads under way are aborted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revoke;

/// Take it back and remove all that it has, without a word to the backend: files, uploads, events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Erase;

/// Nothing of it is needed any more, as its list knows: let it go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forget;

/// Give it more time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Extend {
    /// When it ends then.
    pub expires_at: Timestamp,
}

/// Take no more files; those that are stored stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Close;

/// A password is about to be checked: count the try, and tell what to check it against.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TryPassword {
    /// Who said it.
    pub asker: Asker,
}

/// The password that they tried last is right.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasswordRight {
    /// Who said it.
    pub asker: Asker,
}

/// The list was told, or was not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Version of the entry.
    pub version: u64,
    /// Whether it has it.
    pub done: bool,
    /// Drawn at random, spreads retries.
    pub jitter: u16,
}

/// What happened to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadEvents {
    /// Only what happened after this.
    pub after: Option<EventId>,
}

/// What happened to it, for auditors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadAudit {
    /// Only entries after this many.
    pub after: u64,
    /// Most entries.
    pub limit: u32,
}

/// A file of this name and size is to come in parts: is there such an upload, and is there
/// room for one?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announce {
    /// The safe name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// An earlier upload of the same sender's, and where its parts went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<(UploadId, Multipart)>,
    /// What its sender says of it to the app.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// R2 has a multipart upload for it: record the upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {
    /// Id drawn by the worker.
    pub upload: UploadId,
    /// The safe name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// R2's multipart upload.
    pub multipart: Multipart,
    /// What its sender says of it to the app.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// The size of an upload that was opened with the most it could have is known now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resize {
    /// The upload.
    pub upload: UploadId,
    /// Size in bytes, no larger than it was opened with.
    pub size: u64,
}

/// R2 holds a part whose digest was checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordPart {
    /// The upload.
    pub upload: UploadId,
    /// Part number, from 1.
    pub n: u16,
    /// The part.
    pub part: Part,
    /// What to seal the upload with, if this is the last of its parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
}

/// Bytes are about to be staged: does the upload take them?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Touch {
    /// The upload.
    pub upload: UploadId,
    /// Who stages, where an upload takes bytes of one request at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<u64>,
}

/// R2 has other bytes for a part than it had, and what was staged is none of it: what is known
/// of the part no longer holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForgetPart {
    /// The upload.
    pub upload: UploadId,
    /// Part number, from 1.
    pub n: u16,
}

/// A file is about to be put in one request: record the intent. A stored file of this name, size and
/// digest is answered in place of room: the same one, if the bytes have that digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserve {
    /// Id drawn by the worker.
    pub upload: UploadId,
    /// Drawn by the worker.
    pub attempt: u64,
    /// The safe name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest, if the sender gave one.
    pub sha256: Option<Sha256>,
    /// What its sender says of it to the app.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// All parts are there: record the intent to complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SealUpload {
    /// The upload.
    pub upload: UploadId,
    /// What with.
    pub seal: Seal,
}

/// A worker asks whether the attempt that it serves is still the one of its upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Working {
    /// The upload.
    pub upload: UploadId,
    /// The attempt that was reserved.
    pub attempt: u64,
    /// Whether bytes came, or R2 is at work on them: however long that takes, the attempt is not stuck then.
    pub goes_on: bool,
}

/// R2 has the object, and its type is accepted: it is a file, and its event is in the outbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Commit {
    /// The upload.
    pub upload: UploadId,
    /// The attempt that was reserved.
    pub attempt: u64,
    /// Type by content.
    pub media_type: String,
    /// Digest of the whole content, if it was computed.
    pub sha256: Option<Sha256>,
    /// R2's entity tag.
    pub etag: String,
}

/// The object was refused or never arrived: abort the upload, and remove what R2 has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Withdraw {
    /// The upload.
    pub upload: UploadId,
    /// The attempt that was reserved.
    pub attempt: u64,
}

/// R2 could not complete and has no object: the upload takes parts again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reopen {
    /// The upload.
    pub upload: UploadId,
    /// The attempt that was reserved.
    pub attempt: u64,
    /// Whether the parts are still good.
    pub keep_parts: bool,
}

/// The user changed their mind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Abort {
    /// The upload.
    pub upload: UploadId,
}

/// Who sent it takes it back, stored or not, unless the app has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WithdrawFile {
    /// The upload.
    pub upload: UploadId,
}

/// What the backend says of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordReceipt {
    /// The file.
    pub file: FileId,
    /// What it says.
    pub receipt: Receipt,
}

/// Look at a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadFile {
    /// The file.
    pub file: FileId,
}

/// Delete a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteFile {
    /// The file.
    pub file: FileId,
}

/// Send an event again, from now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redeliver {
    /// The event.
    pub event: EventId,
}

/// A try to send an event has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tried {
    /// The event.
    pub event: EventId,
    /// Which try it was, counted from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Drawn at random, spreads retries.
    pub jitter: u16,
}

/// A cleanup was tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cleaned {
    /// Its name.
    pub cleanup: String,
    /// Whether it worked.
    pub done: bool,
}

/// Time has passed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tick;

/// What an upload is sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Drawn by the worker.
    pub attempt: u64,
    /// Digest of the whole file, as the sender says it.
    #[serde(default)]
    pub sha256: Option<Sha256>,
    /// Digest of the parts' digests, if the sender knows it.
    pub parts_sha256: Option<Sha256>,
}

/// How a try to send an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A 2xx.
    Acknowledged,
    /// 410: the endpoint is disabled from now.
    Gone,
    /// Not tried: the endpoint is disabled.
    Held,
    /// Anything else, or no answer in time.
    Failed {
        /// Seconds after which the backend wants to be asked again, if it said.
        retry_after: Option<u64>,
    },
}
