//! Digests what is read of files.

use chatlift_frontend::uploader::Failure;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::HEAD_MAX;
use sha2::Digest as _;

use super::read::Reader;

/// Bytes of a file in the program's memory at once. A quarter of a mebibyte is digested in a few
/// milliseconds, so the page stays smooth, and reading it costs little beside that.
const SLICE: f64 = 256.0 * 1024.0;

/// What a job makes of the bytes that it reads.
#[derive(Default)]
pub(super) struct Reading {
    head: Vec<u8>,
    part: Hash,
}

impl Reading {
    fn add(&mut self, bytes: &[u8]) {
        if self.head.is_empty() {
            let end = bytes.len().min(HEAD_MAX as usize);
            self.head.extend_from_slice(&bytes[..end]);
        }
        self.part.add(bytes);
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
}

/// A digest in the making. Its functions are kept out of line: they are called from several
/// places, a few times in a second, and each copy would be loaded by everybody.
#[derive(Clone, Default)]
struct Hash(sha2::Sha256);

impl Hash {
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
    let mut hash = Hash::default();
    hash.add(bytes);
    hash.digest()
}
