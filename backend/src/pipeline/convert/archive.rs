//! Archives. A zip that the app takes as it is is looked through; of another archive, each member is a
//! file of its own, and is treated as one that was uploaded. Those of other formats are made a zip first,
//! behind the sandbox's walls, and so are mails with what is attached to them.
//!
//! What an archive says of its members is not believed: they are counted as they are unpacked, one
//! after the other, under names of our own. An archive in an archive is not opened.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chatlift_shared::digest::Sha256;
use chatlift_shared::kind::{MAIL, ZIP};
use chatlift_shared::name;
use sha2::Digest as _;

use super::directory::{Entry, Zip, judge_read};
use super::names::names;
use super::{Conversion, ConvertError, Converter, inspect, mail, pdf, reject};
use crate::disk::Hash;
use crate::pipeline::Rejection;
use crate::sandbox::{Limits, Program, Run, RunError, Sandbox};
use crate::store::Member;

/// Most members of an archive.
const MEMBERS_MAX: usize = 200;
/// Most bytes of all members together, unpacked.
pub const UNPACKED_MAX: u64 = 1024 * 1024 * 1024;
/// Most bytes of one member for each byte of the archive: text compresses some 20 times, a bomb
/// 1,000 times.
const RATIO_MAX: u64 = 200;

/// Making a zip of another archive.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(120),
    memory: 1024 * 1024 * 1024,
    // The directory and the heads of the members are beside them.
    output: UNPACKED_MAX + 16 * 1024 * 1024,
    processes: 8,
};

/// Archives that libarchive reads.
const OTHERS: [&str; 9] = [
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/x-tar",
    "application/gzip",
    "application/x-bzip2",
    "application/x-xz",
    "application/zstd",
    "application/vnd.ms-cab-compressed",
    "application/x-lzh-compressed",
];

/// Whether a file of this type is a folder of files, and the program that opens it.
pub(super) fn opener(media_type: &str) -> Option<&'static [Program]> {
    match media_type {
        ZIP | MAIL => Some(&[]),
        other => OTHERS.contains(&other).then_some(&[Program::BsdTar]),
    }
}

/// The archive at `source` as a zip: itself, or one that is made in `folder`. Blocks.
///
/// # Errors
/// [`ConvertError::Rejected`] when it is damaged, has a password, or holds too much.
pub fn as_zip(sandbox: &Sandbox, source: &Path, folder: &Path) -> Result<PathBuf, ConvertError> {
    let kind = inspect(source, "")?.media_type;
    let made = folder.join("archive.zip");
    match &kind[..] {
        // A parser that panics over a mail will do so again.
        MAIL => catch_unwind(|| mail::as_zip(source, &made))
            .unwrap_or_else(|_| Err(reject(Rejection::Unreadable, "the parser panicked")))?,
        other if OTHERS.contains(&other) => {
            let silent = other == "application/x-7z-compressed";
            repack(sandbox, source, &made, folder, silent)?;
        }
        _ => return Ok(source.to_owned()),
    }
    Ok(made)
}

/// Makes a zip of an archive of another format; of which a lock may be met in silence.
fn repack(
    sandbox: &Sandbox,
    source: &Path,
    made: &Path,
    folder: &Path,
    silent: bool,
) -> Result<(), ConvertError> {
    let words = "--format=zip --options zip:compression=store -cf";
    let mut arguments: Vec<OsString> = words.split(' ').map(OsString::from).collect();
    let mut members = OsString::from("@");
    members.push(source);
    arguments.extend([made.into(), members]);
    let run = Run {
        program: Program::BsdTar,
        arguments,
        folder,
        reads: &[source],
        limits: LIMITS,
    };
    let ended = match sandbox.run(&run) {
        Err(RunError::Output { limit, .. }) => {
            let error = format!("more than {limit} bytes in an archive");
            return Err(reject(Rejection::ArchiveRefused, error));
        }
        other => other?,
    };
    if ended.success {
        return Ok(());
    }
    // Of a 7z whose members alone are encrypted, libarchive 3.6 says nothing.
    let said = |words: &str| ended.errors.contains(words);
    let rejection = if said("ncrypt")
        || said("Crypto codec")
        || silent && ended.errors.trim() == "bsdtar: (null)"
    {
        Rejection::PasswordProtected
    } else if said("Unrecognized archive format") {
        Rejection::NoUsableFormat
    } else {
        Rejection::Unreadable
    };
    Err(reject(rejection, ended.errors))
}

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
        let archive = Zip::open(conversion.source)?;
        let entries = archive.entries()?;
        for found in wanted(&entries, fs::metadata(conversion.source)?.len())? {
            write_out(
                &archive,
                &entries[found.index],
                &mut io::sink(),
                UNPACKED_MAX,
            )?;
        }
        pdf::same(conversion)
    }
}

/// A member that is a file, by what the archive says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place among them, from 1.
    pub place: u32,
    /// Its name, made safe.
    pub name: String,
    /// Its size in bytes; not to be believed.
    pub size: u64,
    index: usize,
}

/// The members that are files, after a look at what the archive says of itself. Blocks.
///
/// # Errors
/// [`ConvertError::Rejected`] when there are none, too many, or they are too large.
pub fn list(path: &Path) -> Result<Vec<Found>, ConvertError> {
    let size = fs::metadata(path)?.len();
    wanted(&Zip::open(path)?.entries()?, size)
}

fn wanted(entries: &[Entry], size: u64) -> Result<Vec<Found>, ConvertError> {
    let mut wanted = Vec::new();
    let mut sum = 0_u64;
    for (index, (entry, name)) in entries.iter().zip(names(entries)).enumerate() {
        // What systems add for themselves.
        let own = name.starts_with("__MACOSX/")
            || name.ends_with(".DS_Store")
            || name.ends_with("Thumbs.db");
        if !entry.is_file || own {
            continue;
        }
        sum = sum.saturating_add(entry.size);
        if wanted.len() >= MEMBERS_MAX {
            let error = format!("more than {MEMBERS_MAX} members");
            return Err(reject(Rejection::ArchiveRefused, error));
        }
        wanted.push(Found {
            place: u32::try_from(wanted.len() + 1).unwrap_or(u32::MAX),
            name: name::safe(&name),
            size: entry.size,
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
/// [`ConvertError::Rejected`] when it is longer than it may be, damaged, or has a password.
pub fn unpack(
    path: &Path,
    found: &Found,
    target: &Path,
    most: u64,
) -> Result<Member, ConvertError> {
    let archive = Zip::open(path)?;
    let entries = archive.entries()?;
    let entry = entries
        .get(found.index)
        .ok_or_else(|| reject(Rejection::Unreadable, "the member is gone"))?;
    let mut both = Both(File::create(target)?, Hash(sha2::Sha256::new()));
    write_out(&archive, entry, &mut both, most)?;
    let Both(file, hash) = both;
    file.sync_all()?;
    let kind = inspect(target, &found.name)?;
    Ok(Member {
        place: found.place,
        name: found.name.clone(),
        size: file.metadata()?.len(),
        media_type: kind.media_type,
        sha256: Sha256(hash.0.finalize().into()),
        refused: None,
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

/// Writes a member out.
fn write_out(
    archive: &Zip,
    entry: &Entry,
    target: &mut impl Write,
    most: u64,
) -> Result<(), ConvertError> {
    let allowed = most.min(entry.size);
    let mut content = archive.content(entry)?.take(allowed.saturating_add(1));
    if io::copy(&mut content, target).map_err(judge_read)? > allowed {
        return Err(reject(Rejection::ArchiveRefused, "a member is a bomb"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn refused(bytes: &[u8]) -> Option<Rejection> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), bytes).expect("a file");
        match list(file.path()) {
            Err(ConvertError::Rejected { rejection, .. }) => Some(rejection),
            Err(error) => panic!("{error}"),
            Ok(_) => None,
        }
    }

    #[test]
    fn an_archive_with_a_huge_directory_is_refused_before_it_is_read() {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for n in 0..10_001 {
            let options = zip::write::SimpleFileOptions::default();
            archive
                .add_directory(format!("{n}"), options)
                .expect("a folder");
        }
        let whole = archive.finish().expect("a zip").into_inner();
        assert_eq!(refused(&whole), Some(Rejection::ArchiveRefused));
        // The end alone says enough; and where it lies, the entries are counted.
        let end = &whole[whole.len() - 22..];
        let claims = [&[0; 1000], &end[..12], &[0; 10]].concat();
        assert_eq!(refused(&claims), Some(Rejection::ArchiveRefused));
        let mut lies = whole.clone();
        let end = lies.len() - 22;
        lies[end + 8..end + 12].copy_from_slice(&[1, 0, 1, 0]);
        assert_eq!(refused(&lies), Some(Rejection::ArchiveRefused));
    }

    #[test]
    fn an_archive_of_endless_names_is_refused_before_they_fill_the_memory() {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for n in 0..100 {
            let options = zip::write::SimpleFileOptions::default();
            let name = format!("{n:05}{}", "a".repeat(60_000));
            archive.start_file(name, options).expect("a member");
        }
        let whole = archive.finish().expect("a zip").into_inner();
        assert_eq!(refused(&whole), Some(Rejection::ArchiveRefused));
    }
}
