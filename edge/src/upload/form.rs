//! Files of a plain form: their length is told by nothing but their end.
//!
//! A file that ends within one part goes as it would in one request. A longer one is gathered part
//! by part; one part is held in memory at a time, and none of it passes the size that the scene
//! allows.

use chatlift_shared::api::CompleteUpload;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{HEAD_MAX, PART_SIZE, PARTS_MAX, SINGLE_REQUEST_MAX};
use chatlift_shared::{AppId, LinkId, Problem, ProblemCode};
use sha2::Digest as _;

use super::open::Label;
use super::receive::{By, Target};
use crate::link::command;
use crate::link::reply::{FoundFile, OpenUpload};
use crate::ports::{Bucket, Failure, Incoming, Links, Put, World};
use crate::service::Service;

/// Largest file of a form, in bytes: as many usual parts as an upload has. Larger parts are not gathered.
const FORM_FILE_MAX: u64 = PART_SIZE * PARTS_MAX;

/// Most bytes that come at once, by which a part is gathered too far.
const PIECE_MAX: usize = 64 * 1024;

/// The parts of a file as they are gathered.
struct Gathered {
    whole: sha2::Sha256,
    parts: Vec<Sha256>,
    size: u64,
}

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    /// Takes a file of a form. `most` is the most bytes that it can have: the length of the
    /// request's body.
    ///
    /// # Errors
    /// As a file in one request.
    pub async fn put_incoming(
        &self,
        app: &AppId,
        link: LinkId,
        label: Label,
        most: u64,
        mut incoming: impl Incoming,
    ) -> Result<FoundFile, Failure> {
        let most = most.min(FORM_FILE_MAX);
        let buffer = Vec::with_capacity(capacity(most.min(SINGLE_REQUEST_MAX)));
        let first = fill(&mut incoming, buffer, SINGLE_REQUEST_MAX).await?;
        let (first, rest) = match first {
            Filled::Ended(all) => {
                return self.put_bytes(app, link, label, all).await;
            }
            Filled::Full(part, rest) => (part, rest),
        };
        let policy = self.read_link(link).await?.link.policy;
        let max = policy.max_file_size;
        let head = &first[..usize::try_from(HEAD_MAX)
            .unwrap_or(usize::MAX)
            .min(first.len())];
        let opened = self
            .announce_new(app, &policy, link, label, most.min(max), head)
            .await?;
        let gathered = self
            .gather(app, &opened, max, first, rest, &mut incoming)
            .await;
        let gathered = match gathered {
            Ok(gathered) => gathered,
            Err(failure) => {
                // Nothing would ever go on with it.
                let _ = self.abort_upload(opened.id).await;
                return Err(failure);
            }
        };
        let resize = command::Resize {
            upload: opened.id,
            size: gathered.size,
        };
        self.ask(opened.id, resize).await?;
        let request = CompleteUpload {
            sha256: None,
            parts_sha256: Some(Sha256::of_parts(gathered.parts)),
        };
        let whole = Sha256(gathered.whole.finalize().into());
        self.complete_known(app, opened.id, request, Some(whole))
            .await
    }

    async fn gather(
        &self,
        app: &AppId,
        opened: &OpenUpload,
        max: u64,
        first: Vec<u8>,
        rest: Vec<u8>,
        incoming: &mut impl Incoming,
    ) -> Result<Gathered, Failure> {
        let mut gathered = Gathered {
            whole: sha2::Sha256::new(),
            parts: Vec::new(),
            size: 0,
        };
        // The first part was gathered before the part size was known.
        let mut buffer = first;
        buffer.extend_from_slice(&rest);
        loop {
            let filled = fill(incoming, buffer, opened.multipart.part_size).await?;
            let (part, next) = match filled {
                Filled::Full(part, next) => (part, Some(next)),
                Filled::Ended(part) => (part, None),
            };
            gathered.size += part.len() as u64;
            if gathered.size > max {
                return Err(Problem::new(ProblemCode::FileTooLarge).limit(max).into());
            }
            if !part.is_empty() {
                self.put_gathered(app, opened, part, &mut gathered).await?;
            }
            match next {
                Some(next) => {
                    // One allocation for the part; growing it by pieces takes up to three times as much.
                    buffer = Vec::with_capacity(capacity(opened.multipart.part_size));
                    buffer.extend_from_slice(&next);
                }
                None => return Ok(gathered),
            }
        }
    }

    async fn put_gathered(
        &self,
        app: &AppId,
        opened: &OpenUpload,
        part: Vec<u8>,
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        gathered.whole.update(&part);
        let sha256 = Sha256::of(&part);
        gathered.parts.push(sha256);
        let out = || Problem::new(ProblemCode::PartOutOfRange);
        let n = u16::try_from(gathered.parts.len()).map_err(|_| out())?;
        let target = Target {
            app,
            upload: opened.id,
            multipart: &opened.multipart,
            size: opened.size,
            by: By::Parts {
                sha256: Some(sha256),
                complete: None,
            },
            counts: true,
        };
        let put = match self.put_in_r2(&target, n, self.bucket.body(part)?).await {
            Err(_) if planted!(FormPartNotPut) => Put {
                etag: String::new(),
                sha256,
            },
            put => put?,
        };
        self.record(&target, n, put).await.map(drop)
    }
}

/// Room for a part of `size` bytes, and for the piece that goes on after it.
fn capacity(size: u64) -> usize {
    usize::try_from(size).unwrap_or(0) + PIECE_MAX
}

/// How far a part came.
enum Filled {
    /// All of it, and the bytes that came after it.
    Full(Vec<u8>, Vec<u8>),
    /// The file ended within it.
    Ended(Vec<u8>),
}

/// Gathers `size` bytes, of which `buffer` are there.
async fn fill(
    incoming: &mut impl Incoming,
    mut buffer: Vec<u8>,
    size: u64,
) -> Result<Filled, Failure> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    // A file that ends exactly with a part has ended: only a byte more shows that it goes on.
    while buffer.len() <= size {
        match incoming.next().await? {
            Some(bytes) => buffer.extend_from_slice(&bytes),
            None => return Ok(Filled::Ended(buffer)),
        }
    }
    let rest = buffer.split_off(size);
    Ok(Filled::Full(buffer, rest))
}
