//! The pages of a TIFF, as scanners and fax machines make it: the decoder reads the one that the
//! file's head points to, so a copy is pointed to each in turn.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::{ConvertError, reject};
use crate::pipeline::Rejection;

/// Most pages of one file.
const PAGES_MAX: usize = 200;

/// A TIFF whose pages can be looked at one after the other.
#[derive(Debug)]
pub(super) struct Pages {
    copy: PathBuf,
    little: bool,
    offsets: Vec<u32>,
}

impl Pages {
    /// Finds the pages of the TIFF at `source`; works on a copy in `folder`.
    pub(super) fn of(source: &Path, folder: &Path) -> Result<Self, ConvertError> {
        let (little, offsets) = offsets(&mut File::open(source)?)?;
        let copy = folder.join("pages.tiff");
        if offsets.len() > 1 {
            fs::copy(source, &copy)?;
        }
        Ok(Self {
            copy,
            little,
            offsets,
        })
    }

    /// How many there are; 1 too for a file whose pages cannot be told apart.
    pub(super) fn count(&self) -> usize {
        self.offsets.len().max(1)
    }

    /// The file with page `n`, from 0, as its first.
    pub(super) fn at(&self, n: usize) -> Result<&Path, ConvertError> {
        let offset = self.offsets.get(n).copied().unwrap_or_default();
        let bytes = if self.little {
            offset.to_le_bytes()
        } else {
            offset.to_be_bytes()
        };
        let mut file = OpenOptions::new().write(true).open(&self.copy)?;
        file.seek(SeekFrom::Start(4))?;
        file.write_all(&bytes)?;
        Ok(&self.copy)
    }
}

/// Whether it is little endian, and where its directories begin (TIFF 6.0, section 2): each has a
/// count, entries of 12 bytes, and the place of the next.
fn offsets(file: &mut File) -> Result<(bool, Vec<u32>), ConvertError> {
    let mut head = [0; 8];
    let mut offsets = Vec::new();
    if file.read_exact(&mut head).is_err() {
        return Ok((true, offsets));
    }
    let little = head.starts_with(b"II*\0");
    if !little && !head.starts_with(b"MM\0*") {
        return Ok((little, offsets));
    }
    let long = |bytes: [u8; 4]| match little {
        true => u32::from_le_bytes(bytes),
        false => u32::from_be_bytes(bytes),
    };
    let mut seen = BTreeSet::new();
    let mut next = long([head[4], head[5], head[6], head[7]]);
    // A chain that leads into itself or nowhere ends there; the decoder judges what is left.
    while next != 0 && seen.insert(next) {
        if offsets.len() == PAGES_MAX {
            let error = format!("more than {PAGES_MAX} pages");
            return Err(reject(Rejection::ResultTooLarge, error));
        }
        let mut count = [0; 2];
        file.seek(SeekFrom::Start(next.into()))?;
        if file.read_exact(&mut count).is_err() {
            break;
        }
        offsets.push(next);
        let count = match little {
            true => u16::from_le_bytes(count),
            false => u16::from_be_bytes(count),
        };
        let mut follows = [0; 4];
        file.seek(SeekFrom::Current(i64::from(count) * 12))?;
        if file.read_exact(&mut follows).is_err() {
            break;
        }
        next = long(follows);
    }
    Ok((little, offsets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_look_for_pages_panic_or_go_on_for_ever(
            head in prop::sample::select(vec![&b"II*\0"[..], b"MM\0*"]),
            rest: Vec<u8>,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a.tiff");
            std::fs::write(&path, [head, &rest].concat()).expect("a file");
            if let Ok(pages) = Pages::of(&path, folder.path()) {
                prop_assert!(pages.count() >= 1);
            }
        }
    }
}
