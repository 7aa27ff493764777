//! The edge on the ports of a platform: carries decisions out.

use chatlift_shared::{FileId, UploadId};

use crate::link::command::{Command, FoundFile, Reply};
use crate::ports::{Bucket, Failure, Links, World};

/// The ports together.
#[derive(Debug)]
pub struct Service<L, B, W> {
    /// The links.
    pub links: L,
    /// The bucket.
    pub bucket: B,
    /// Time and randomness.
    pub world: W,
}

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    /// Has the link of `upload` carry out a command whose answer does not matter.
    pub(crate) async fn tell(&self, upload: UploadId, command: Command) -> Result<(), Failure> {
        self.links.execute(upload.link(), command).await.map(drop)
    }

    /// Has the link of `file` carry out a command that answers with a file.
    pub(crate) async fn ask_for_file(
        &self,
        file: FileId,
        command: Command,
    ) -> Result<FoundFile, Failure> {
        match self.links.execute(file.link(), command).await? {
            Reply::File(found) => Ok(*found),
            other => Err(unexpected(&other)),
        }
    }
}

/// An answer that does not belong to its command.
pub(crate) fn unexpected(reply: &Reply) -> Failure {
    Failure::Broken(format!("unexpected reply {}", reply.name()))
}
