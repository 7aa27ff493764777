//! A zip by its directory, which stands at the file's end and lists the members: entry by entry, so
//! that one of millions is refused before it fills the memory, and two of one name are two.
//!
//! Bytes before the archive, as those that unpack themselves have, do no harm.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::DeflateDecoder;
use rawzip::extra_fields::ExtraFieldId;
use rawzip::{
    CompressionMethod, ErrorKind, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive,
    ZipArchiveEntryWayfinder, ZipFileHeaderRecord,
};

use super::{ConvertError, reject};
use crate::pipeline::Rejection;

/// Most entries of a directory: with folders and what systems add for themselves, far more than an
/// archive may have members or an office document has parts.
const ENTRIES_MAX: u64 = 10_000;

/// Most bytes of all names in a directory together: each of that many may be 400 bytes long.
const NAMES_MAX: usize = 4 * 1024 * 1024;

/// A zip whose directory was found.
pub(super) struct Zip(ZipArchive<FileReader>);

/// What the directory says of a member; not to be believed.
pub(super) struct Entry {
    /// Its name as it is written, and whether that is said to be UTF-8.
    pub(super) raw: Vec<u8>,
    pub(super) utf8: bool,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Whether it is neither a folder nor a link.
    pub(super) is_file: bool,
    pub(super) encrypted: bool,
    method: CompressionMethod,
    at: ZipArchiveEntryWayfinder,
}

impl Entry {
    fn of(record: &ZipFileHeaderRecord<'_>) -> Self {
        let written = record.file_path();
        let written = written.as_bytes();
        let path = record
            .extra_fields()
            .find_map(|(id, field)| unicode_path(id, field, written));
        Self {
            utf8: record.flags().is_utf8() || path.is_some(),
            raw: path.unwrap_or(written).to_vec(),
            size: record.uncompressed_size_hint(),
            is_file: !record.is_dir() && !record.mode().is_symlink(),
            encrypted: record.flags().is_encrypted(),
            method: record.compression_method(),
            at: record.wayfinder(),
        }
    }
}

/// The name in UTF-8 that some programs add, if it is still that of the written one, by whose CRC it
/// is known (Info-ZIP Unicode Path, version 1: APPNOTE.TXT section 4.6.9).
fn unicode_path<'a>(id: ExtraFieldId, field: &'a [u8], written: &[u8]) -> Option<&'a [u8]> {
    let (head, path) = field.split_first_chunk::<5>()?;
    let mut crc = flate2::Crc::new();
    crc.update(written);
    let [1, sum @ ..] = head else {
        return None;
    };
    let known = id == ExtraFieldId::INFO_ZIP_UNICODE_PATH && *sum == crc.sum().to_le_bytes();
    (known && std::str::from_utf8(path).is_ok()).then_some(path)
}

impl Zip {
    /// Finds the directory of the zip at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, ConvertError> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let archive = ZipArchive::from_file(File::open(path)?, &mut buffer).map_err(judge)?;
        if archive.entries_hint() > ENTRIES_MAX {
            return Err(too_many());
        }
        Ok(Self(archive))
    }

    /// What the directory lists, in its order.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, ConvertError> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let mut records = self.0.entries(&mut buffer);
        let (mut entries, mut names) = (Vec::new(), 0);
        while let Some(record) = records.next_entry().map_err(judge)? {
            if entries.len() as u64 >= ENTRIES_MAX {
                return Err(too_many());
            }
            let entry = Entry::of(&record);
            names += entry.raw.len();
            if names > NAMES_MAX {
                return Err(too_many());
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The content of a member. Read to its end, it is as long as the directory says and its CRC is
    /// right, or that is an error.
    pub(super) fn content(&self, entry: &Entry) -> Result<Box<dyn Read + '_>, ConvertError> {
        let found = self.0.get_entry(entry.at).map_err(judge)?;
        Ok(match entry.method {
            _ if entry.encrypted => {
                return Err(reject(Rejection::PasswordProtected, "a member"));
            }
            CompressionMethod::STORE => Box::new(found.verifying_reader(found.reader())),
            CompressionMethod::DEFLATE => {
                Box::new(found.verifying_reader(DeflateDecoder::new(found.reader())))
            }
            other => {
                let error = format!("compressed by {other}");
                return Err(reject(Rejection::NoUsableFormat, error));
            }
        })
    }
}

fn too_many() -> ConvertError {
    let error = format!("more than {ENTRIES_MAX} entries, or {NAMES_MAX} bytes of names");
    reject(Rejection::ArchiveRefused, error)
}

/// What cannot be read is the file's fault, unless the system says it.
fn judge(error: rawzip::Error) -> ConvertError {
    match error.into_kind() {
        ErrorKind::IO(error) => judge_read(error),
        other => reject(Rejection::Unreadable, other.to_string()),
    }
}

/// The same of what was read of a member.
pub(super) fn judge_read(error: io::Error) -> ConvertError {
    match error.raw_os_error() {
        Some(_) => ConvertError::Disk(error),
        None => reject(Rejection::Unreadable, error.to_string()),
    }
}
