//! Joining: the pieces of a file that were sent beside each other become the file.
//!
//! R2 takes parts of equal size and copies none by itself, so the pieces are read one after the
//! other and stored again, as a stream, and their digest is computed as they go by. Safe to repeat:
//! the pieces stay until the file is stored.

use core::cell::Cell;

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{HEAD_MAX, part_count, part_len, part_size};
use chatlift_shared::{AppId, LinkId, Problem, ProblemCode, UploadId};

use super::commit::{Announced, check_beginning};
use super::open::Label;
use super::source::Source;
use crate::checksum::Algorithm;
use crate::link::key::object_key;
use crate::link::serial;
use crate::link::serial::{JOIN_PART_SIZE, Pieces, Protocol, Role, Serial};
use crate::link::state::{Multipart, Part};
use crate::ports::{Bucket, BucketError, Failure, Links, World};
use crate::service::Service;

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    /// Joins pieces into a file; answers the upload that it is. Joined before: the same.
    ///
    /// # Errors
    /// `invalid-request` for what are no whole pieces, `upload-busy` while they are being joined,
    /// `file-type-not-accepted`, whatever else the link refuses.
    pub async fn join(
        &self,
        app: &AppId,
        link: LinkId,
        label: Label,
        metadata: String,
        ids: Vec<UploadId>,
    ) -> Result<UploadId, Failure> {
        let Label { name, extras } = label;
        let upload = self.new_upload_id(link);
        let read = serial::ReadPieces {
            pieces: ids.clone(),
        };
        let Pieces {
            policy,
            pieces,
            joined,
        } = self.links.execute(link, read).await?;
        if let Some(joined) = joined {
            return Ok(joined);
        }
        let size = pieces.iter().map(|(_, size)| size).sum::<u64>();
        let mut feed = Source::of(
            self.bucket.objects(
                pieces
                    .iter()
                    .filter(|(_, size)| *size > 0)
                    .map(|(id, size)| (object_key(app, *id), *size))
                    .collect(),
            ),
        );
        let head = feed.peek(HEAD_MAX.min(size)).await;
        check_beginning(&policy.accept, &head, size, &name)?;

        let key = object_key(app, upload);
        let attempt = self.world.random();
        let part_size = part_size(size).max(JOIN_PART_SIZE);
        let multipart = Multipart {
            alone: false,
            r2_upload_id: self.bucket.create(&key, part_size).await?,
            part_size,
        };
        let join = serial::Join {
            upload,
            attempt,
            name: name.clone(),
            multipart: multipart.clone(),
            serial: Serial {
                protocol: Protocol::Tus,
                role: Role::Join(ids),
                length_known: true,
                writer: 0,
                unchecked: None,
                metadata,
                sha256: None,
            },
            extras,
        };
        if let Err(failure) = self.ask(upload, join).await {
            let _ = self.bucket.abort(&key, &multipart.r2_upload_id).await;
            return Err(failure);
        }
        let stored = self
            .store_joined(upload, attempt, &key, &multipart, size, &mut feed)
            .await;
        let sha256 = match stored {
            Ok(sha256) => sha256,
            Err(failure) => {
                // The pieces are still there, to be joined by another request.
                self.withdraw(upload, attempt, &key).await?;
                return Err(failure);
            }
        };
        self.world.after_r2_commit().await;
        let announced = Announced {
            upload,
            attempt,
            key: &key,
            size,
            name: &name,
            sha256: Some(sha256),
            in_parts: true,
            expected: None,
        };
        self.confirm(&policy, announced).await?;
        Ok(upload)
    }

    async fn store_joined(
        &self,
        upload: UploadId,
        attempt: u64,
        key: &str,
        multipart: &Multipart,
        size: u64,
        feed: &mut Source<B::Objects>,
    ) -> Result<Sha256, Failure> {
        let Multipart {
            r2_upload_id,
            part_size,
            ..
        } = multipart;
        feed.hash(Algorithm::Sha256)?;
        let mut etags = Vec::new();
        for n in 1..=part_count(size, *part_size) {
            let number = u16::try_from(n).map_err(|_| ProblemCode::PartOutOfRange)?;
            let length = part_len(size, *part_size, n).ok_or(ProblemCode::PartOutOfRange)?;
            let put = async |body| self.bucket.put_part(key, r2_upload_id, number, body).await;
            let taken = feed.take_exactly(length, &Cell::new(0), put).await;
            if taken.bytes != length {
                return Err(BucketError {
                    operation: "join",
                    reason: "a piece is shorter than it was".to_owned(),
                    gone: false,
                }
                .into());
            }
            let put = taken.said?;
            etags.push(put.etag.clone());
            let part = Part {
                etag: put.etag,
                sha256: put.sha256,
            };
            let record = serial::RecordJoined {
                upload,
                attempt,
                n: number,
                part,
            };
            self.ask(upload, record).await?;
        }
        let digest = feed.digest().await?;
        self.bucket
            .complete(key, r2_upload_id, &etags)
            .await
            .map_err(|error| match error {
                crate::ports::CompleteError::Bucket(error) => Failure::Bucket(error),
                crate::ports::CompleteError::Parts => Problem::from(ProblemCode::UploadBusy).into(),
            })?;
        digest
            .try_into()
            .map(Sha256)
            .map_err(|_| Failure::Broken("a digest of another length".to_owned()))
    }
}
