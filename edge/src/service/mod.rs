//! Carries decisions out: what the worker does between a request and the link's Durable Object,
//! and what the object's alarm does.
//!
//! Promise: a file is acknowledged only when R2 has its object and the link has its event. Calls
//! to R2 are three steps: reserve (the intent is stored), call, confirm. A crash between any two
//! is settled by the alarm, from what R2 has.

pub mod alarm;
mod body;
pub mod chat;
pub mod form;
mod idempotency;
pub mod join;
pub mod links;
pub mod manage;
pub mod overrides;
pub mod serial;
pub mod uploads;

use chatlift_shared::{FileId, UploadId};

use crate::core::command::{Command, FoundFile, Reply};
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
    async fn tell(&self, upload: UploadId, command: Command) -> Result<(), Failure> {
        self.links.execute(upload.link(), command).await.map(drop)
    }

    /// Has the link of `file` carry out a command that answers with a file.
    async fn ask_for_file(&self, file: FileId, command: Command) -> Result<FoundFile, Failure> {
        match self.links.execute(file.link(), command).await? {
            Reply::File(found) => Ok(*found),
            other => Err(unexpected(&other)),
        }
    }
}

/// An answer that does not belong to its command.
fn unexpected(reply: &Reply) -> Failure {
    Failure::Broken(format!("unexpected reply {}", reply.name()))
}

#[cfg(test)]
mod tests;
