//! A file's content against its digests.

use chatlift_shared::api::{File, PartDigests};
use chatlift_shared::digest::Sha256;
use sha2::Digest as _;

/// Checks a file's content part by part as it comes, and computes the digest of the whole.
///
/// The bytes go in from the first to the last. What the edge computed decides: the digest of each part,
/// else that of the whole; of a file that has neither only the size is checked.
#[derive(Clone, Debug)]
pub struct Check {
    size: u64,
    parts: PartDigests,
    expected: Option<Sha256>,
    held: u64,
    part: sha2::Sha256,
    whole: sha2::Sha256,
}

/// The content is not that of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongContent {
    /// A part, counted from 1, has another digest.
    #[error("part {n} has the digest {found}, not {expected}")]
    Part {
        /// The part.
        n: usize,
        /// What was stored.
        expected: Sha256,
        /// What came.
        found: Sha256,
    },
    /// The whole has another digest.
    #[error("the content has the digest {found}, not {expected}")]
    Whole {
        /// What was stored.
        expected: Sha256,
        /// What came.
        found: Sha256,
    },
    /// It has another size, or the file's parts do not add up to its size.
    #[error("the content has {found} bytes, not {expected}")]
    Size {
        /// Size of the file in bytes.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
}

impl Check {
    /// A check of the content of `file`, of which nothing has come yet.
    #[must_use]
    pub fn new(file: &File) -> Self {
        // The digest of an only part is that of the whole, which is computed anyway.
        let several = |parts: &PartDigests| parts.sha256.len() > 1 && parts.size > 0;
        let (parts, expected) = match file.parts.clone() {
            Some(parts) if several(&parts) => (parts, file.sha256),
            Some(parts) => (NO_PARTS, parts.sha256.first().copied().or(file.sha256)),
            None => (NO_PARTS, file.sha256),
        };
        Self {
            size: file.size,
            parts,
            expected,
            held: 0,
            part: sha2::Sha256::new(),
            whole: sha2::Sha256::new(),
        }
    }

    /// How many bytes have come.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.held
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// A part that has come to its end has another digest, or there are more bytes than the file has. The
    /// check is of no use after that.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), WrongContent> {
        self.whole.update(bytes);
        let end = self.held + bytes.len() as u64;
        if end > self.size {
            return Err(self.wrong_size(end));
        }
        if self.parts.sha256.is_empty() {
            self.held = end;
            return Ok(());
        }
        while !bytes.is_empty() {
            let left = self.parts.size - self.held % self.parts.size;
            let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(length);
            self.part.update(now);
            self.held += length as u64;
            if self.held.is_multiple_of(self.parts.size) || self.held == self.size {
                self.end_part()?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), WrongContent> {
        let found = Sha256(self.part.finalize_reset().into());
        let n = usize::try_from(self.held.div_ceil(self.parts.size)).unwrap_or(usize::MAX);
        match self.parts.sha256.get(n - 1) {
            Some(expected) if *expected == found => Ok(()),
            Some(&expected) => Err(WrongContent::Part { n, expected, found }),
            None => Err(self.wrong_size(self.held)),
        }
    }

    /// The digest of the whole, when all bytes have come and are right.
    ///
    /// # Errors
    /// Fewer came than the file has, or the whole has another digest.
    pub fn finish(self) -> Result<Sha256, WrongContent> {
        let parts = self.parts.sha256.len() as u64;
        let is_whole = parts == 0 || self.size.div_ceil(self.parts.size) == parts;
        if self.held != self.size || !is_whole {
            return Err(self.wrong_size(self.held));
        }
        let found = Sha256(self.whole.finalize().into());
        match self.expected {
            Some(expected) if expected != found => Err(WrongContent::Whole { expected, found }),
            _ => Ok(found),
        }
    }

    const fn wrong_size(&self, found: u64) -> WrongContent {
        WrongContent::Size {
            expected: self.size,
            found,
        }
    }
}

const NO_PARTS: PartDigests = PartDigests {
    size: 0,
    sha256: Vec::new(),
};

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8], parts: Option<u64>, whole: bool) -> File {
        let digests = |size: u64| PartDigests {
            size,
            sha256: content
                .chunks(usize::try_from(size).expect("fits"))
                .map(Sha256::of)
                .collect(),
        };
        serde_json::from_value(serde_json::json!({
            "id": "fil_AAAAAAAAAAAAAAAAAAAAAAAA",
            "link": "lnk_AAAAAAAAAAAAAAAA",
            "name": "a.bin",
            "size": content.len(),
            "media_type": "application/octet-stream",
            "sha256": whole.then(|| Sha256::of(content)),
            "parts": parts.map(digests),
            "address": "r2://files/a",
            "stored_at": "2026-11-29T00:00:00.000Z",
        }))
        .expect("a file")
    }

    fn check(file: &File, content: &[u8], step: usize) -> Result<Sha256, WrongContent> {
        let mut check = Check::new(file);
        for bytes in content.chunks(step) {
            check.update(bytes)?;
        }
        check.finish()
    }

    #[test]
    fn right_content_passes_in_whatever_pieces_it_comes_and_has_its_digest() {
        for length in [1, 7, 8, 9, 16, 20] {
            let content: Vec<u8> = (0..length).collect();
            for (parts, whole) in [
                (Some(8), false),
                (Some(8), true),
                (None, true),
                (None, false),
            ] {
                let file = file(&content, parts, whole);
                for step in [1, 3, 8, 100] {
                    assert_eq!(check(&file, &content, step), Ok(Sha256::of(&content)));
                }
            }
        }
    }

    #[test]
    fn a_wrong_part_is_told_as_soon_as_it_has_ended() {
        let content: Vec<u8> = (0..20).collect();
        let file = file(&content, Some(8), false);
        let mut wrong = content.clone();
        wrong[9] ^= 1;
        let mut check = Check::new(&file);
        assert_eq!(check.update(&wrong[..15]), Ok(()));
        assert_eq!(
            check.update(&wrong[15..16]),
            Err(WrongContent::Part {
                n: 2,
                expected: Sha256::of(&content[8..16]),
                found: Sha256::of(&wrong[8..16]),
            })
        );
    }

    #[test]
    fn content_of_another_length_or_digest_does_not_pass() {
        let content: Vec<u8> = (0..20).collect();
        for (parts, whole) in [(Some(8), false), (None, true), (Some(20), false)] {
            let file = file(&content, parts, whole);
            let mut wrong = content.clone();
            wrong[19] ^= 1;
            assert!(check(&file, &wrong, 5).is_err());
            assert!(check(&file, &content[..19], 5).is_err());
            wrong = [&content[..], b"x"].concat();
            assert!(check(&file, &wrong, 5).is_err());
        }
    }

    #[test]
    fn digests_of_fewer_or_more_parts_than_the_file_has_do_not_pass() {
        let content: Vec<u8> = (0..20).collect();
        for change in [
            |parts: &mut PartDigests| parts.sha256.truncate(2),
            |parts: &mut PartDigests| parts.sha256.push(Sha256::of(b"")),
        ] {
            let mut file = file(&content, Some(8), false);
            change(file.parts.as_mut().expect("parts"));
            assert!(check(&file, &content, 5).is_err());
        }
    }
}
