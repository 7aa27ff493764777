//! A file in one request.

use core::cell::Cell;
use core::pin::pin;

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::SINGLE_REQUEST_MAX;
use chatlift_shared::{AppId, LinkId, Problem, ProblemCode, UploadId};

use super::commit::Announced;
use super::open::Label;
use super::receive::{ended_early, wrong_digest};
use super::source::Source;
use crate::link::command;
use crate::link::key::object_key;
use crate::link::reply;
use crate::link::reply::FoundFile;
use crate::link::state::Policy;
use crate::ports::{Bucket, Failure, Feed, Links, Put, PutError, World};
use crate::service::Service;

/// What came of the wish to store a file in one request.
enum Reserved {
    /// There is room.
    Room(Reservation),
    /// A file of this name, size and digest is stored.
    Stored(Box<FoundFile>),
}

/// A place for a file in one request.
struct Reservation {
    upload: UploadId,
    attempt: u64,
    policy: Policy,
}

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    /// Takes a file in one request. The answer says whether it is new: otherwise it was sent before.
    ///
    /// # Errors
    /// `file-too-large`, `file-type-not-accepted`, `digest-mismatch`; `invalid-request` for a body that
    /// ends early; what the link refuses.
    pub async fn put_file(
        &self,
        app: &AppId,
        link: LinkId,
        name: String,
        length: u64,
        sha256: Option<Sha256>,
        feed: impl Feed<Body = B::Body>,
    ) -> Result<(FoundFile, bool), Failure> {
        let mut source = Source::of(feed);
        let label = Label::from(name);
        let put = match self.reserve(link, &label, length, sha256).await? {
            Reserved::Stored(found) => {
                // Its bytes tell whether it is the same.
                let digest = async |body| self.bucket.digest(body).await;
                let taken = source.take_exactly(length, &Cell::new(0), digest).await;
                match taken.said {
                    Ok(digest) if Some(digest) == sha256 && taken.bytes == length => {
                        Ok((*found, false))
                    }
                    Ok(_) if taken.bytes == length => Err(wrong_digest().into()),
                    Ok(_) => Err(ended_early().into()),
                    Err(error) => Err(error.into()),
                }
            }
            Reserved::Room(reserved) => {
                let store = async |key: &str, moved: &Cell<u64>| {
                    let put = async |body| self.bucket.put(key, body, sha256).await;
                    source.take_exactly(length, moved, put).await.said
                };
                let own = reserved.upload.into();
                let stored = self.put_by(app, &label.name, length, sha256, reserved, store);
                stored.await.map(|found| {
                    let is_new = found.file.id == own;
                    (found, is_new)
                })
            }
        };
        match put {
            // What R2 says of it is no fault of ours.
            Err(Failure::Bucket(_)) if source.broken() => Err(ended_early().into()),
            other => other,
        }
    }

    /// Takes a file that is in memory.
    ///
    /// # Errors
    /// As [`Self::put_file`].
    pub(super) async fn put_bytes(
        &self,
        app: &AppId,
        link: LinkId,
        label: Label,
        bytes: Vec<u8>,
    ) -> Result<FoundFile, Failure> {
        let (length, sha256) = (bytes.len() as u64, Some(Sha256::of(&bytes)));
        let reserved = match self.reserve(link, &label, length, sha256).await? {
            Reserved::Stored(found) => return Ok(*found),
            Reserved::Room(reserved) => reserved,
        };
        let store = async |key: &str, moved: &Cell<u64>| {
            moved.set(length);
            let body = self.bucket.body(bytes).map_err(PutError::Bucket)?;
            self.bucket.put(key, body, sha256).await
        };
        self.put_by(app, &label.name, length, sha256, reserved, store)
            .await
    }

    /// Has the link record the intent to store a file in one request.
    async fn reserve(
        &self,
        link: LinkId,
        label: &Label,
        length: u64,
        sha256: Option<Sha256>,
    ) -> Result<Reserved, Failure> {
        if length > SINGLE_REQUEST_MAX {
            return Err(Problem::new(ProblemCode::BodyTooLarge)
                .limit(SINGLE_REQUEST_MAX)
                .detail("Announce a larger file with POST uploads, and send it in parts.")
                .into());
        }
        let upload = self.new_upload_id(link);
        let attempt = self.world.random();
        let reserve = command::Reserve {
            upload,
            attempt,
            name: label.name.clone(),
            size: length,
            sha256,
            extras: label.extras.clone(),
        };
        match self.ask(upload, reserve).await? {
            reply::Reserved::Room(policy) => Ok(Reserved::Room(Reservation {
                upload,
                attempt,
                policy,
            })),
            reply::Reserved::Stored(found) => Ok(Reserved::Stored(found)),
        }
    }

    async fn put_by(
        &self,
        app: &AppId,
        name: &str,
        length: u64,
        sha256: Option<Sha256>,
        reserved: Reservation,
        store: impl AsyncFnOnce(&str, &Cell<u64>) -> Result<Put, PutError>,
    ) -> Result<FoundFile, Failure> {
        let Reservation {
            upload,
            attempt,
            policy,
        } = reserved;
        let key = object_key(app, upload);
        let moved = Cell::new(0);
        let put = {
            let put = pin!(store(&key, &moved));
            self.while_working(upload, attempt, length, &moved, put)
                .await
        };
        let put = match put {
            Ok(Ok(put)) if sha256.is_none_or(|s| s == put.sha256) => put,
            other => {
                self.withdraw(upload, attempt, &key).await?;
                return Err(match other {
                    Ok(Err(PutError::Bucket(error))) => error.into(),
                    Ok(_) => wrong_digest().into(),
                    Err(ended) => ended.into(),
                });
            }
        };
        self.world.after_r2_commit().await;
        let announced = Announced {
            upload,
            attempt,
            key: &key,
            size: length,
            name,
            sha256: Some(put.sha256),
            in_parts: false,
            expected: None,
        };
        self.confirm(&policy, announced).await
    }
}
