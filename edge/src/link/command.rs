//! What can be asked of a link's Durable Object, and what it answers. Both cross from the worker
//! to the object as JSON.

use chatlift_shared::api::{self, EventStatus, HeldPart, LoggedEvent, Receipt, StagedPart};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{AppId, EventId, FileId, Problem, ProblemCode, Timestamp, UploadId};
use serde::{Deserialize, Serialize};

use super::listing::Entry;
use super::password::{Asker, Hash};
use super::serial::{Pieces, SerialCommand, SerialView};
use super::state::{Cleanup, LinkRow, LinkView, Multipart, Part, Policy, StoredFile};

/// Asked of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A command of an app's backend: on another app's link it finds nothing.
    For {
        /// The app.
        app: AppId,
        /// What it then does not find.
        missing: ProblemCode,
        /// The command.
        command: Box<Command>,
    },
    /// Make the link. Again with the same request: the link as it is.
    Create(Box<LinkRow>),
    /// Look at it.
    Read,
    /// Look at it, and at how far its uploads are.
    ReadProgress,
    /// The page's program runs for a person.
    Opened,
    /// The person has sent all that they want to send.
    Finish {
        /// The files in the order in which they were picked.
        order: Vec<FileId>,
    },
    /// Look at it, if this request made it within the last day; else it is no link.
    Recall {
        /// Digest of the request.
        request: Sha256,
    },
    /// Take it back; uploads under way are aborted.
    Revoke,
    /// Take it back and remove all that it has, without a word to the backend: files, uploads, events.
    Erase,
    /// Nothing of it is needed any more, as its list knows: let it go.
    Forget,
    /// Give it more time.
    Extend {
        /// When it ends then.
        expires_at: Timestamp,
    },
    /// Take no more files; those that are stored stay.
    Close,
    /// A password is about to be checked: count the try, and tell what to check it against.
    TryPassword {
        /// Who said it.
        asker: Asker,
    },
    /// The password that they tried last is right.
    PasswordRight {
        /// Who said it.
        asker: Asker,
    },
    /// The list was told, or was not.
    Listed {
        /// Version of the entry.
        version: u64,
        /// Whether it has it.
        done: bool,
        /// Drawn at random, spreads retries.
        jitter: u16,
    },
    /// What happened to it.
    ReadEvents {
        /// Only what happened after this.
        after: Option<EventId>,
    },
    /// A file of this name and size is to come in parts: is there such an upload, and is there
    /// room for one?
    Announce {
        /// The safe name.
        name: String,
        /// Size in bytes.
        size: u64,
        /// An earlier upload of the same sender's, and where its parts went.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        earlier: Option<(UploadId, Multipart)>,
    },
    /// R2 has a multipart upload for it: record the upload.
    Open {
        /// Id drawn by the worker.
        upload: UploadId,
        /// The safe name.
        name: String,
        /// Size in bytes.
        size: u64,
        /// R2's multipart upload.
        multipart: Multipart,
    },
    /// The size of an upload that was opened with the most it could have is known now.
    Resize {
        /// The upload.
        upload: UploadId,
        /// Size in bytes, no larger than it was opened with.
        size: u64,
    },
    /// R2 holds a part whose digest was checked.
    RecordPart {
        /// The upload.
        upload: UploadId,
        /// Part number, from 1.
        n: u16,
        /// The part.
        part: Part,
        /// What to seal the upload with, if this is the last of its parts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seal: Option<Seal>,
    },
    /// A chunk is about to be staged: does the upload take parts?
    Touch {
        /// The upload.
        upload: UploadId,
    },
    /// R2 has other bytes for a part than it had, and what was staged is none of it: what is known
    /// of the part no longer holds.
    ForgetPart {
        /// The upload.
        upload: UploadId,
        /// Part number, from 1.
        n: u16,
    },
    /// A file is about to be put in one request: record the intent. A stored file of this name, size and
    /// digest is answered in place of room: the same one, if the bytes have that digest.
    Reserve {
        /// Id drawn by the worker.
        upload: UploadId,
        /// Drawn by the worker.
        attempt: u64,
        /// The safe name.
        name: String,
        /// Size in bytes.
        size: u64,
        /// Digest, if the sender gave one.
        sha256: Option<Sha256>,
    },
    /// All parts are there: record the intent to complete.
    Seal {
        /// The upload.
        upload: UploadId,
        /// What with.
        seal: Seal,
    },
    /// An attempt goes on, however long it takes: it is not stuck.
    Working {
        /// The upload.
        upload: UploadId,
        /// The attempt that was reserved.
        attempt: u64,
    },
    /// R2 has the object, and its type is accepted: it is a file, and its event is in the outbox.
    Commit {
        /// The upload.
        upload: UploadId,
        /// The attempt that was reserved.
        attempt: u64,
        /// Type by content.
        media_type: String,
        /// Digest of the whole content, if it was computed.
        sha256: Option<Sha256>,
        /// R2's entity tag.
        etag: String,
    },
    /// The object was refused or never arrived: abort the upload, and remove what R2 has.
    Withdraw {
        /// The upload.
        upload: UploadId,
        /// The attempt that was reserved.
        attempt: u64,
    },
    /// R2 could not complete and has no object: the upload takes parts again.
    Reopen {
        /// The upload.
        upload: UploadId,
        /// The attempt that was reserved.
        attempt: u64,
        /// Whether the parts are still good.
        keep_parts: bool,
    },
    /// The user changed their mind.
    Abort {
        /// The upload.
        upload: UploadId,
    },
    /// Who sent it takes it back, stored or not, unless the app has it.
    WithdrawFile {
        /// The upload.
        upload: UploadId,
    },
    /// Something about a serial upload.
    Serial(UploadId, SerialCommand),
    /// What the backend says of a file.
    Receipt {
        /// The file.
        file: FileId,
        /// What it says.
        receipt: Receipt,
    },
    /// Look at a file.
    ReadFile {
        /// The file.
        file: FileId,
    },
    /// Delete a file.
    DeleteFile {
        /// The file.
        file: FileId,
    },
    /// Send an event again, from now.
    Redeliver {
        /// The event.
        event: EventId,
    },
    /// A try to send an event has ended.
    Tried {
        /// The event.
        event: EventId,
        /// Which try it was, counted from 1.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// Drawn at random, spreads retries.
        jitter: u16,
    },
    /// A cleanup was tried.
    Cleaned {
        /// Its name.
        cleanup: String,
        /// Whether it worked.
        done: bool,
    },
    /// Time has passed.
    Tick,
}

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

/// Answered by a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done; nothing to say.
    Done,
    /// The link.
    Link(Box<LinkView>),
    /// There is room under these rules; nothing of that name and size is under way.
    Room(Policy),
    /// The upload, new or known.
    Upload(OpenUpload),
    /// A serial upload.
    Serial(Box<SerialView>),
    /// Pieces that may be joined, or were.
    Pieces(Pieces),
    /// To be completed in R2.
    Sealed(Sealed),
    /// A file.
    File(Box<FoundFile>),
    /// It is being erased: what it had, its entry in the list, and what R2 still has.
    Erased(Box<Erasure>),
    /// It may go: whoever keeps it drops all of it.
    Forgotten,
    /// An event.
    Event(EventStatus),
    /// What happened to the link.
    Events(Vec<LoggedEvent>),
    /// What to check a password against; `None` when the link has none.
    Password(Option<Hash>),
}

impl Reply {
    /// Its kind. What is in it may tell of what a person sent.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Link(_) => "link",
            Self::Room(_) => "room",
            Self::Upload(_) => "upload",
            Self::Serial(_) => "serial upload",
            Self::Pieces(_) => "pieces",
            Self::Sealed(_) => "sealed upload",
            Self::File(_) => "file",
            Self::Erased(_) => "erased",
            Self::Forgotten => "forgotten",
            Self::Event(_) => "event",
            Self::Events(_) => "events",
            Self::Password(_) => "password",
        }
    }
}

/// A link that is being erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// What goes, as the API says it.
    pub erased: api::Erased,
    /// Its entry in the list.
    pub entry: Entry,
    /// What is to be removed from R2 now, by name.
    pub cleanups: Vec<(String, Cleanup)>,
}

/// An upload that takes parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenUpload {
    /// Its id.
    pub id: UploadId,
    /// Size in bytes.
    pub size: u64,
    /// Where its parts go.
    pub multipart: Multipart,
    /// Parts that are held.
    pub parts: Vec<HeldPart>,
    /// Beginnings of parts that are held.
    pub staged: Vec<StagedPart>,
    /// Whether it takes no more parts: it is being stored, or is a file.
    #[serde(default)]
    pub sealed: bool,
}

/// An upload whose parts are all there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The link's rules.
    pub policy: Policy,
    /// The file's name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// The multipart upload to complete.
    pub multipart: Multipart,
    /// R2's entity tags of the parts, in order from part 1.
    pub etags: Vec<String>,
    /// Digest of the whole, where it is known before the object is there.
    pub sha256: Option<Sha256>,
    /// The attempt that it is sealed for.
    pub attempt: u64,
}

/// A file and what the worker needs to serve it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFile {
    /// The app that it is for.
    pub app: AppId,
    /// As the API shows it.
    pub file: api::File,
    /// As it is stored.
    pub stored: StoredFile,
}

/// What the worker gets from the object.
pub type Answer = Result<Reply, Problem>;
