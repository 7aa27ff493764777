//! The edge on the ports of a platform: carries decisions out.

use chatlift_shared::UploadId;

use crate::link::decide::Decide;
use crate::ports::{Failure, Links};

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

impl<L: Links, B, W> Service<L, B, W> {
    /// Has the link of `upload` carry out a command.
    pub(crate) async fn ask<C: Decide>(
        &self,
        upload: UploadId,
        command: C,
    ) -> Result<C::Reply, Failure> {
        self.links.execute(upload.link(), command).await
    }
}
