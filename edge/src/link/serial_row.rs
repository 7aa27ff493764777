//! What the row of a serial upload has beside that of any other.

use chatlift_shared::UploadId;
use chatlift_shared::digest::Sha256;
use serde::{Deserialize, Serialize};

/// The protocol that an upload is sent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// tus 1.0.
    Tus,
    /// Resumable Uploads for HTTP.
    Resumable,
}

/// What becomes of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A file.
    File,
    /// A piece of one, sent beside others.
    Piece,
    /// A file that is joined from pieces, in this order.
    Join(Vec<UploadId>),
}

/// What a serial upload has beside a name and a size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serial {
    /// The protocol.
    pub protocol: Protocol,
    /// What becomes of it.
    pub role: Role,
    /// Whether its row's size is its length; otherwise it is the most that it may have.
    pub length_known: bool,
    /// The request that may add to it. A later one, also one that only asks how far it is, takes
    /// over; what an earlier one still has on its way is refused.
    pub writer: u64,
    /// Where bytes begin whose checksum was not checked yet. They do not count.
    pub unchecked: Option<u64>,
    /// The sender's metadata, as it was sent.
    pub metadata: String,
    /// Digest of the whole that the sender announced. Compared where it is known in the end; told to
    /// nobody.
    pub sha256: Option<Sha256>,
}
