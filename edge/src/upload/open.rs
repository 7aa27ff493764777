//! Announcing a file that comes in parts.

use chatlift_shared::limits::part_size;
use chatlift_shared::{AppId, LinkId, UploadId};

use super::commit::check_beginning;
use super::ticket::Ticket;
use crate::link::command;
use crate::link::key::object_key;
use crate::link::reply::{Announced, OpenUpload};
use crate::link::state::{Extras, Multipart, Policy};
use crate::ports::{Bucket, Failure, Links, World};
use crate::service::Service;

/// Which upload an announcement goes on with, beside one of the same name and size.
#[derive(Clone, Copy, Debug, Default)]
pub struct Joins<'a> {
    /// The ticket of an earlier upload of the same file, if the sender has one; verified by the caller.
    pub earlier: Option<&'a Ticket>,
    /// Only with that one, and nobody else with what is opened now.
    pub alone: bool,
}

/// What a sender says of a file: its name, and what it has to say beside.
#[derive(Clone, Debug, Default)]
pub struct Label {
    /// The safe name.
    pub name: String,
    /// For the app.
    pub extras: Extras,
}

impl<T: Into<String>> From<T> for Label {
    fn from(name: T) -> Self {
        Self {
            name: name.into(),
            extras: Extras::default(),
        }
    }
}

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    pub(crate) fn new_upload_id(&self, link: LinkId) -> UploadId {
        let mut suffix = [0; 6];
        suffix.copy_from_slice(&self.world.random().to_le_bytes()[..6]);
        UploadId::new(link, suffix)
    }

    /// Announces a file that comes in parts. The answer says whether it is new.
    ///
    /// # Errors
    /// Whatever the link refuses; `file-type-not-accepted` by the announced beginning.
    pub async fn announce(
        &self,
        app: &AppId,
        link: LinkId,
        label: Label,
        size: u64,
        head: &[u8],
        Joins { earlier, alone }: Joins<'_>,
    ) -> Result<(OpenUpload, bool), Failure> {
        let announce = command::Announce {
            name: label.name.clone(),
            size,
            extras: label.extras.clone(),
            earlier: earlier.map(|ticket| {
                let multipart = Multipart {
                    r2_upload_id: ticket.r2_upload_id.clone(),
                    part_size: ticket.part_size,
                    alone,
                };
                (ticket.upload, multipart)
            }),
        };
        let policy = match self.links.execute(link, announce).await? {
            Announced::Known(known) if known.multipart.alone == alone => return Ok((known, false)),
            // One that others may join as well.
            Announced::Known(_) => self.read_link(link).await?.link.policy,
            Announced::Room(policy) => policy,
        };
        check_beginning(&policy.accept, head, size, &label.name)?;
        self.open(app, link, label, size, alone).await
    }

    /// Announces a file that nobody goes on with: it joins no other upload, and none joins it, not even one
    /// whose worker was killed.
    ///
    /// # Errors
    /// As [`Self::announce`].
    pub(super) async fn announce_new(
        &self,
        app: &AppId,
        policy: &Policy,
        link: LinkId,
        label: Label,
        size: u64,
        head: &[u8],
    ) -> Result<OpenUpload, Failure> {
        check_beginning(&policy.accept, head, size, &label.name)?;
        let (opened, _) = self.open(app, link, label, size, true).await?;
        Ok(opened)
    }

    async fn open(
        &self,
        app: &AppId,
        link: LinkId,
        label: Label,
        size: u64,
        alone: bool,
    ) -> Result<(OpenUpload, bool), Failure> {
        let upload = self.new_upload_id(link);
        let key = object_key(app, upload);
        let part_size = part_size(size);
        let r2_upload_id = self.bucket.create(&key, part_size).await?;
        let multipart = Multipart {
            r2_upload_id: r2_upload_id.clone(),
            part_size,
            alone,
        };
        let open = command::Open {
            upload,
            name: label.name,
            size,
            multipart,
            extras: label.extras,
        };
        match self.links.execute(link, open).await {
            // A twin was announced at the same moment: the link has seen to ours.
            Ok(opened) => {
                let new = opened.id == upload;
                Ok((opened, new))
            }
            Err(failure) => {
                // The link does not know of it, so nobody else would. R2 drops it after 7 days
                // if this fails.
                let _ = self.bucket.abort(&key, &r2_upload_id).await;
                Err(failure)
            }
        }
    }
}
