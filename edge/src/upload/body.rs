//! The body of a request that adds to a serial upload: straight into R2 where it announces a whole
//! part, else as rows to the link.

use core::pin::pin;

use chatlift_shared::limits::{FILE_SIZE_MAX, HEAD_MAX, part_len};
use chatlift_shared::{Problem, ProblemCode};
use futures_util::future::{Either, select};

use super::serial::{Append, Walk};
use super::uploads::check_beginning;
use crate::link::flow::{Segment, Way, segment};
use crate::link::key::object_key;
use crate::link::serial::{Role, SerialCommand};
use crate::link::state::Part;
use crate::ports::{Bucket, Chunk, Failure, Feed, Links, Put, Stage, Taken, World};
use crate::service::Service;

impl<L, B, W> Service<L, B, W>
where
    L: Links + Stage<Body = B::Body>,
    B: Bucket,
    W: World,
{
    /// Refuses a file by its first bytes, before any is stored.
    pub(super) async fn check_beginning(
        &self,
        walk: &Walk<'_>,
        append: &Append,
        feed: &mut impl Feed<Body = B::Body>,
    ) -> Result<(), Failure> {
        let view = &walk.view;
        if append.offset > 0 || view.serial.role == Role::Piece {
            return Ok(());
        }
        let size = view.length().unwrap_or(FILE_SIZE_MAX);
        let most = HEAD_MAX.min(size);
        let head = feed.peek(most).await;
        // Fewer tell nothing yet; the whole is looked at again when it is complete.
        if (head.len() as u64) < most {
            return Ok(());
        }
        if let Err(problem) = check_beginning(&view.policy.accept, &head, size, &view.name) {
            self.abort_upload(view.id).await?;
            return Err(problem.into());
        }
        Ok(())
    }

    /// Takes the body as far as it comes; answers up to where bytes are held.
    pub(super) async fn take_body(
        &self,
        walk: &Walk<'_>,
        append: &Append,
        feed: &mut impl Feed<Body = B::Body>,
    ) -> Result<u64, Failure> {
        let (size, part_size) = (walk.view.size, walk.multipart.part_size);
        let (mut at, mut whole) = (append.offset, Vec::new());
        while !feed.ended().await {
            let left = append.length.map(|l| append.offset + l - at);
            let Some(segment) = segment(at, left, size, part_size, walk.checked)
                .filter(|segment| segment.length > 0)
            else {
                // More than was announced, or than the upload can have: what comes after the end of
                // a file shows that what came before is not it.
                let over = SerialCommand::Overrun {
                    writer: walk.writer,
                    from: append.offset,
                };
                self.say(walk.view.id, over).await?;
                return Err(Problem::new(ProblemCode::BodyTooLarge)
                    .field("Upload-Length")
                    .limit(size)
                    .into());
            };
            let start = at - segment.begin;
            let straight = match segment.way {
                Way::Straight => self.send_straight(walk, segment, feed).await?,
                Way::Staged => None,
            };
            let before = at;
            if let Some(held) = straight {
                at = start + held;
                if held < segment.part_len {
                    break;
                }
            } else {
                let held = self.send_staged(walk, segment, feed).await?;
                at = start + held;
                if held == segment.part_len && !walk.checked {
                    match append.length {
                        Some(_) => self.pass_on(walk, segment.n).await?,
                        // Nothing of it counts before it has ended within the upload.
                        None => whole.push(segment.n),
                    }
                }
            }
            if at == before {
                break;
            }
        }
        for n in whole {
            self.pass_on(walk, n).await?;
        }
        Ok(at)
    }

    /// Streams a whole part into R2. When that breaks off, what had arrived is staged. Answers how
    /// many bytes of the part are held, or `None` when it has to be staged.
    async fn send_straight(
        &self,
        walk: &Walk<'_>,
        segment: Segment,
        feed: &mut impl Feed<Body = B::Body>,
    ) -> Result<Option<u64>, Failure> {
        let key = object_key(walk.app, walk.view.id);
        let id = &walk.multipart.r2_upload_id;
        let put = async |body| self.bucket.put_part(&key, id, segment.n, body).await;
        let lease = self.new_lease(walk.view.id, segment.n);
        let taken = {
            let taking = pin!(feed.take_whole(segment.length, put));
            let asked = pin!(self.asked(lease, segment.length));
            match select(taking, asked).await {
                Either::Left((None, _)) => return Ok(None),
                Either::Left((Some(taken), _)) => Some(taken),
                Either::Right(_) => None,
            }
        };
        let error = match taken {
            Some(Taken {
                said: Ok(put),
                bytes,
            }) if bytes == segment.length => {
                self.record(walk, segment.n, put).await?;
                return Ok(Some(segment.length));
            }
            Some(Taken { said, .. }) => said.err(),
            None => None,
        };
        let held = self.put_away(walk, segment, feed.kept()).await;
        self.end_lease(lease, segment.length).await;
        match (error, held?) {
            // All of it had come, and R2 did not take it: it is tried again from the rows.
            (Some(error), held) if held == 0 || held == segment.length => Err(error.into()),
            (_, held) => Ok(Some(held)),
        }
    }

    /// Stages what had come of a part that did not get to R2; answers how much of it is held.
    async fn put_away(
        &self,
        walk: &Walk<'_>,
        segment: Segment,
        kept: Option<(B::Body, u64)>,
    ) -> Result<u64, Failure> {
        let Some((body, length)) = kept else {
            return Ok(0);
        };
        let chunk = chunk(walk, Segment { length, ..segment });
        let kept = self.links.stage(chunk, Some(body)).await?;
        Ok(kept.bytes(segment.part_len))
    }

    async fn send_staged(
        &self,
        walk: &Walk<'_>,
        segment: Segment,
        feed: &mut impl Feed<Body = B::Body>,
    ) -> Result<u64, Failure> {
        let stage = async |body| self.links.stage(chunk(walk, segment), Some(body)).await;
        let kept = feed.take(segment.length, stage).await.said?;
        Ok(kept.bytes(segment.part_len))
    }

    /// Passes on every part of which everything is staged and counts.
    pub(super) async fn pass_on_all(&self, walk: &mut Walk<'_>) -> Result<(), Failure> {
        for n in core::mem::take(&mut walk.view.staged) {
            self.pass_on(walk, n).await?;
        }
        Ok(())
    }

    /// Passes a part of which everything is staged on to R2.
    async fn pass_on(&self, walk: &Walk<'_>, n: u16) -> Result<(), Failure> {
        let view = &walk.view;
        let length = part_len(view.size, walk.multipart.part_size, n.into())
            .ok_or(ProblemCode::PartOutOfRange)?;
        let whole = self.links.staged(view.id, n, length).await?;
        let key = object_key(walk.app, view.id);
        let put = self
            .bucket
            .put_part(&key, &walk.multipart.r2_upload_id, n, whole)
            .await?;
        self.record(walk, n, put).await
    }

    async fn record(&self, walk: &Walk<'_>, n: u16, put: Put) -> Result<(), Failure> {
        let record = SerialCommand::Record {
            writer: walk.writer,
            n,
            part: Part {
                etag: put.etag,
                sha256: put.sha256,
            },
        };
        self.say(walk.view.id, record).await
    }
}

fn chunk(walk: &Walk<'_>, segment: Segment) -> Chunk {
    Chunk {
        upload: walk.view.id,
        n: segment.n,
        offset: segment.begin,
        length: segment.length,
        part_len: segment.part_len,
        sha256: None,
        writer: Some(walk.writer),
        put_away: false,
    }
}
