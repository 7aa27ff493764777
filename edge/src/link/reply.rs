//! What a link's Durable Object answers with, where that is no type of the API or of the stored state.

use chatlift_shared::api::{self, HeldPart, StagedPart};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{AppId, UploadId};
use serde::{Deserialize, Serialize};

use super::listing::Entry;
use super::state::{Cleanup, Multipart, Policy, StoredFile};

/// What comes of the announcement of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Announced {
    /// There is room under these rules; nothing of that name and size is under way.
    Room(Policy),
    /// It has an upload.
    Known(OpenUpload),
}

/// What comes of the wish to put a file in one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reserved {
    /// There is room under these rules, and the intent is recorded.
    Room(Policy),
    /// A file of this name, size and digest is stored.
    Stored(Box<FoundFile>),
}

/// What comes of the wish to complete an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sealing {
    /// It is to be completed in R2.
    Sealed(Box<Sealed>),
    /// It is a file.
    File(Box<FoundFile>),
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
