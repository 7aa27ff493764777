//! What a link's alarm does: settles commits that were left in the middle, removes what is to be
//! removed from R2, sends the events that are due, and tells the app's list.
//!
//! Safe to run again at any point: every piece of work is confirmed by a command of its own, and
//! one that was confirmed before is not due any more.

use chatlift_shared::LinkId;

use crate::link::command;
use crate::link::serial;
use crate::link::serial::Role;
use crate::link::state::{Cleanup, Policy};
use crate::link::work::{Settle, Work};
use crate::log;
use crate::ports::{Bucket, BucketError, Directory, Failure, Links, Webhooks, World};
use crate::service::Service;
use crate::upload::commit::Announced;

/// Most pieces of work that one alarm does; the rest is left to the next, at once.
const WORK_PER_ALARM: usize = 20;

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    /// Does what is due, and logs what failed; whether anything did. The rest of what a link owed is gone with it: of
    /// an erased link no event is sent.
    pub async fn perform_due(
        &self,
        link: LinkId,
        policy: &Policy,
        due: Vec<Work>,
        webhooks: &impl Webhooks,
        directory: &impl Directory,
    ) -> bool {
        let mut failed = false;
        for work in due.into_iter().take(WORK_PER_ALARM) {
            match self.perform(link, policy, work, webhooks, directory).await {
                Ok(()) => {}
                // What is not there any more is not due any more: the next look finds what is.
                Err(failure) if failure.is_gone() => break,
                Err(failure) => {
                    failed = true;
                    let fields = [("link", link.to_string()), ("reason", failure.reason())];
                    log::error("alarm work failed", &fields);
                }
            }
        }
        failed
    }

    /// Does one piece of work and confirms it.
    ///
    /// # Errors
    /// When R2 or the link could not be reached, and the work stays due; when what it was about is gone.
    pub(crate) async fn perform(
        &self,
        link: LinkId,
        policy: &Policy,
        work: Work,
        webhooks: &impl Webhooks,
        directory: &impl Directory,
    ) -> Result<(), Failure> {
        match work {
            Work::Settle(settle) => self.settle(policy, settle).await,
            Work::Clean { name, what } => {
                let done = self.clean(&what).await.is_ok();
                let cleaned = command::Cleaned {
                    cleanup: name,
                    done,
                };
                self.links.execute(link, cleaned).await
            }
            Work::Send(send) => {
                let tried = command::Tried {
                    event: send.event,
                    attempt: send.attempt,
                    outcome: webhooks.send(&send).await,
                    jitter: self.jitter(),
                };
                self.links.execute(link, tried).await.map(drop)
            }
            Work::Forget { app, entry } => {
                directory.remove(&app, &entry).await?;
                self.links.execute(link, command::Forget).await
            }
            Work::List { app, entry } => {
                let listed = command::Listed {
                    version: entry.version,
                    done: directory.put(&app, &entry).await.is_ok(),
                    jitter: self.jitter(),
                };
                self.links.execute(link, listed).await
            }
        }
    }

    fn jitter(&self) -> u16 {
        let [low, high, ..] = self.world.random().to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    pub(super) async fn clean(&self, what: &Cleanup) -> Result<(), BucketError> {
        match what {
            Cleanup::AbortMultipart { key, r2_upload_id } => {
                self.bucket.abort(key, r2_upload_id).await
            }
            Cleanup::DeleteObject { key } => self.bucket.delete(key).await,
        }
    }

    async fn settle(&self, policy: &Policy, settle: Settle) -> Result<(), Failure> {
        let Settle {
            upload, attempt, ..
        } = settle;
        if self.bucket.head(&settle.key).await?.is_none() {
            let reopen = command::Reopen {
                upload,
                attempt,
                keep_parts: true,
            };
            return self.links.execute(upload.link(), reopen).await;
        }
        if matches!(&settle.serial, Some(s) if s.role == Role::Piece) {
            let keep = serial::Keep { upload, attempt };
            return self.links.execute(upload.link(), keep).await;
        }
        let announced = Announced {
            upload,
            attempt,
            key: &settle.key,
            size: settle.size,
            name: &settle.name,
            sha256: settle.sha256,
            in_parts: settle.multipart.is_some(),
            expected: settle.serial.as_ref().and_then(|s| s.sha256),
        };
        match self.confirm(policy, announced).await {
            // A refusal settles it as well.
            Ok(_) | Err(Failure::Refused(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }
}
