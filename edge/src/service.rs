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
    /// Has the link of `upload` carry out a command; once more where no answer came and the command
    /// [is retried](Decide::is_retried), such as from an object that a deployment ended under the call.
    pub(crate) async fn ask<C: Decide>(
        &self,
        upload: UploadId,
        command: C,
    ) -> Result<C::Reply, Failure> {
        let link = upload.link();
        if command.is_retried() {
            match self.links.execute(link, command.clone()).await {
                Err(Failure::Away(_)) => {}
                answered => return answered,
            }
        }
        self.links.execute(link, command).await
    }
}
