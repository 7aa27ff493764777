//! Zip archives. One that the app takes as it is is looked through; of another, each member is a file
//! of its own, and is treated as one that was uploaded.
//!
//! What an archive says of its members is not believed: they are counted as they are unpacked, one
//! after the other, under names of our own. An archive in an archive is refused.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::Path;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use chatlift_shared::digest::Sha256;
use chatlift_shared::name;
use sha2::Digest as _;
use zip::ZipArchive;
use zip::result::ZipError;

use super::{Conversion, ConvertError, Converter, inspect, pdf, reject};
use crate::pipeline::Rejection;
use crate::pipeline::folders::Hash;
use crate::store::Member;

/// Most members of an archive.
const MEMBERS_MAX: usize = 200;
/// Most bytes of all members together, unpacked.
pub const UNPACKED_MAX: u64 = 1024 * 1024 * 1024;
/// Most bytes of one member for each byte of the archive: text compresses some 20 times, a bomb
/// 1,000 times.
const RATIO_MAX: u64 = 200;

/// The type of a zip archive.
pub(crate) const ZIP: &str = "application/zip";

/// The converter of archives that the app takes as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Archives;

impl Converter for Archives {
    fn name(&self) -> &'static str {
        "archives"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        from == ZIP && to == ZIP
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let mut archive = open(conversion.source)?;
        for found in list(conversion.source)? {
            write_out(&mut archive, &found, &mut io::sink(), UNPACKED_MAX)?;
        }
        pdf::same(conversion)
    }
}

/// A member that is a file, by what the archive says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place among them, from 1.
    pub place: u32,
    /// Its size in bytes; not to be believed.
    pub size: u64,
    index: usize,
}

fn open(path: &Path) -> Result<ZipArchive<File>, ConvertError> {
    ZipArchive::new(File::open(path)?).map_err(judge)
}

/// The members that are files, after a look at what the archive says of itself. Blocks.
///
/// # Errors
/// [`ConvertError::Rejected`] when there are too many, they are too large, or a password is needed.
pub fn list(path: &Path) -> Result<Vec<Found>, ConvertError> {
    let size = fs::metadata(path)?.len();
    let mut archive = open(path)?;
    let mut wanted = Vec::new();
    let mut sum = 0_u64;
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(judge)?;
        let name = member.name();
        // What systems add for themselves.
        let own = name.starts_with("__MACOSX/")
            || name.ends_with(".DS_Store")
            || name.ends_with("Thumbs.db");
        if member.is_dir() || member.is_symlink() || own {
            continue;
        }
        if member.encrypted() {
            return Err(reject(Rejection::PasswordProtected, "an archive"));
        }
        sum = sum.saturating_add(member.size());
        if wanted.len() >= MEMBERS_MAX {
            let error = format!("more than {MEMBERS_MAX} members");
            return Err(reject(Rejection::ArchiveRefused, error));
        }
        wanted.push(Found {
            place: u32::try_from(wanted.len() + 1).unwrap_or(u32::MAX),
            size: member.size(),
            index,
        });
    }
    if wanted.is_empty() {
        return Err(reject(Rejection::NoUsableFormat, "no files in the archive"));
    }
    if sum > UNPACKED_MAX || sum / size.max(1) > RATIO_MAX {
        let error = format!("{sum} bytes in an archive of {size}");
        return Err(reject(Rejection::ArchiveRefused, error));
    }
    Ok(wanted)
}

/// Unpacks a member to `target`, at most `most` bytes of it, safe on disk. Blocks.
///
/// # Errors
/// [`ConvertError::Rejected`] when it is longer than it may be, damaged, or an archive itself.
pub fn unpack(
    path: &Path,
    found: &Found,
    target: &Path,
    most: u64,
) -> Result<Member, ConvertError> {
    let mut archive = open(path)?;
    let mut both = Both(File::create(target)?, Hash(sha2::Sha256::new()));
    let name = write_out(&mut archive, found, &mut both, most)?;
    let Both(file, hash) = both;
    file.sync_all()?;
    let kind = inspect(target, "application/octet-stream", &name)?;
    if kind.media_type == ZIP {
        return Err(reject(Rejection::ArchiveRefused, "an archive in it"));
    }
    Ok(Member {
        place: found.place,
        name,
        size: file.metadata()?.len(),
        media_type: kind.media_type,
        sha256: Sha256(hash.0.finalize().into()),
    })
}

/// A file and its digest.
struct Both(File, Hash);

impl Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.write(&bytes[..written])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes a member out; its name.
fn write_out(
    archive: &mut ZipArchive<File>,
    found: &Found,
    target: &mut impl Write,
    most: u64,
) -> Result<String, ConvertError> {
    let member = archive.by_index(found.index).map_err(judge)?;
    let name = name::safe(&readable(member.name_raw()));
    let allowed = most.min(found.size);
    let written = io::copy(&mut member.take(allowed.saturating_add(1)), target)
        .map_err(|error| judge(ZipError::Io(error)))?;
    if written > allowed {
        return Err(reject(Rejection::ArchiveRefused, "a member is a bomb"));
    }
    Ok(name)
}

/// A name as it was written: archives from Chinese, Japanese or Korean Windows name their files in
/// the encoding of that system and say nothing of it.
fn readable(raw: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(raw) {
        return text.to_owned();
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(raw, true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    encoding.decode(raw).0.into_owned()
}

/// What the zip crate says is the file's fault, unless the system says it.
fn judge(error: ZipError) -> ConvertError {
    match error {
        ZipError::Io(error) if error.raw_os_error().is_some() => ConvertError::Disk(error),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            reject(Rejection::PasswordProtected, "an archive")
        }
        other => reject(Rejection::Unreadable, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_a_chinese_windows_is_read_as_it_was_written() {
        for text in ["理赔材料发票.pdf", "plain.txt"] {
            let (raw, ..) = encoding_rs::GBK.encode(text);
            assert_eq!(readable(&raw), text);
            assert_eq!(readable(text.as_bytes()), text);
        }
    }
}
