//! Digests what is read of files: a part, and the whole file as its parts come in order.

use std::cell::RefCell;

use chatlift_frontend::uploader::{Failure, Job, Key};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::HEAD_MAX;
use sha2::Digest as _;

use super::read::Reader;

/// Bytes of a file in the program's memory at once. A quarter of a mebibyte is digested in a few
/// milliseconds, so the page stays smooth, and reading it costs little beside that.
const SLICE: f64 = 256.0 * 1024.0;

thread_local! {
    /// Digests of whole files, as far as they have come, by file and run.
    static WHOLES: RefCell<Vec<(Key, u32, Hash)>> = const { RefCell::new(Vec::new()) };
}

/// Forgets a file's digest.
pub(super) fn forget(key: Key) {
    WHOLES.with(|wholes| wholes.borrow_mut().retain(|whole| whole.0 != key));
}

/// Forgets all digests.
pub(super) fn clear() {
    WHOLES.take();
}

/// What a job makes of the bytes that it reads.
pub(super) struct Reading {
    head: Vec<u8>,
    part: Hash,
    whole: Hash,
}

impl Reading {
    /// For a job; nothing if the parts before its own have not been read.
    pub(super) fn begin(key: Key, run: u32, job: Job) -> Option<Self> {
        let whole = match job {
            Job::Digest(n) => take_whole(key, run, n)?,
            _ => Hash::new(),
        };
        Some(Self {
            head: Vec::new(),
            part: Hash::new(),
            whole,
        })
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.head.is_empty() {
            let end = bytes.len().min(HEAD_MAX as usize);
            self.head.extend_from_slice(&bytes[..end]);
        }
        self.part.add(bytes);
        self.whole.add(bytes);
    }

    /// Reads a stretch of a file, a slice at a time.
    pub(super) async fn read(
        &mut self,
        file: &Reader,
        start: f64,
        end: f64,
    ) -> Result<(), Failure> {
        let mut buffer = Vec::new();
        let mut at = start;
        while at < end {
            let to = end.min(at + SLICE);
            let bytes = file.bytes(at, to).await?;
            buffer.resize(bytes.length() as usize, 0);
            bytes.copy_to(&mut buffer);
            self.add(&buffer);
            at = to;
        }
        Ok(())
    }

    /// What an announcement tells of the file's beginning.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The digest of what was read.
    pub(super) fn digest(&self) -> Sha256 {
        self.part.digest()
    }

    /// The digest of the file up to here.
    pub(super) fn whole(&self) -> Sha256 {
        self.whole.digest()
    }

    /// Keeps the digest of the file up to here, for the next part.
    pub(super) fn keep(self, key: Key, run: u32) {
        WHOLES.with(|wholes| wholes.borrow_mut().push((key, run, self.whole)));
    }
}

/// A digest in the making. Its functions are kept out of line: they are called from several
/// places, a few times in a second, and each copy would be loaded by everybody.
#[derive(Clone)]
struct Hash(sha2::Sha256);

impl Hash {
    #[inline(never)]
    fn new() -> Self {
        Self(sha2::Sha256::new())
    }

    #[inline(never)]
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    #[inline(never)]
    fn digest(&self) -> Sha256 {
        Sha256(self.0.clone().finalize().into())
    }
}

/// The digest of some bytes.
pub(super) fn of(bytes: &[u8]) -> Sha256 {
    let mut hash = Hash::new();
    hash.add(bytes);
    hash.digest()
}

/// The digest of the whole file up to part `n`; a new one for the first.
fn take_whole(key: Key, run: u32, n: u16) -> Option<Hash> {
    WHOLES.with(|wholes| {
        let mut wholes = wholes.borrow_mut();
        let at = wholes
            .iter()
            .position(|whole| whole.0 == key && whole.1 == run);
        let known = at.map(|at| wholes.swap_remove(at).2);
        if n == 1 { Some(Hash::new()) } else { known }
    })
}
