//! Zip archives: each member is treated as a file, and all together become one PDF.
//!
//! What an archive says of its members is not believed: they are counted as they are unpacked, one
//! after the other, under names of our own. An archive in an archive is refused.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use zip::ZipArchive;
use zip::result::ZipError;

use super::plan::{Plan, plan};
use super::{Conversion, ConvertError, Converter, inspect, pdf, reject};
use crate::pipeline::Rejection;
use crate::sandbox::{Program, Sandbox};

/// Most members of an archive.
const MEMBERS_MAX: usize = 200;
/// Most bytes of all members together, unpacked.
const UNPACKED_MAX: u64 = 1024 * 1024 * 1024;
/// Most bytes of one member for each byte of the archive: text compresses some 20 times, a bomb
/// 1,000 times.
const RATIO_MAX: u64 = 200;

const PDF: &str = "application/pdf";
const ZIP: &str = "application/zip";

/// The converter of archives.
pub(super) struct Archives {
    singles: Vec<Arc<dyn Converter>>,
    sandbox: Sandbox,
}

impl Archives {
    /// Members are converted by `singles`.
    pub(super) fn new(singles: Vec<Arc<dyn Converter>>, sandbox: Sandbox) -> Self {
        Self { singles, sandbox }
    }
}

impl Converter for Archives {
    fn name(&self) -> &'static str {
        "archives"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        from == ZIP && (to == PDF || to == ZIP)
    }

    fn needs(&self, _: &str, to: &str) -> &'static [Program] {
        if to == PDF { &[Program::PdfUnite] } else { &[] }
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let mut archive = ZipArchive::new(File::open(conversion.source)?).map_err(judge)?;
        let wanted = list(&mut archive, fs::metadata(conversion.source)?.len())?;
        if conversion.to == ZIP {
            for index in wanted {
                unpack(&mut archive, index, &mut io::sink(), UNPACKED_MAX)?;
            }
            return pdf::same(conversion);
        }
        let mut left = UNPACKED_MAX;
        let mut parts: Vec<PathBuf> = Vec::new();
        for (place, index) in wanted.into_iter().enumerate() {
            let member = conversion.folder.join(format!("{place:03}.member"));
            let (name, size) = unpack(&mut archive, index, &mut File::create(&member)?, left)?;
            left -= size;
            let part = conversion.folder.join(format!("{place:03}.pdf"));
            let work = conversion.folder.join(format!("{place:03}.run"));
            fs::create_dir(&work)?;
            self.member(&name, &member, &part, &work)?;
            super::super::folders::remove_folder(&work)?;
            fs::remove_file(member)?;
            parts.push(part);
        }
        match parts.as_slice() {
            [] => Err(reject(Rejection::NoUsableFormat, "no files in it")),
            [only] => Ok(fs::copy(only, conversion.result).map(drop)?),
            _ => pdf::unite(&self.sandbox, &parts, conversion.folder, conversion.result),
        }
    }
}

impl Archives {
    /// Makes one member a PDF.
    fn member(
        &self,
        name: &str,
        source: &std::path::Path,
        result: &std::path::Path,
        folder: &std::path::Path,
    ) -> Result<(), ConvertError> {
        let kind = inspect(source, "application/octet-stream", name)?;
        if kind.protected {
            return Err(reject(Rejection::PasswordProtected, "a member"));
        }
        if kind.media_type == ZIP {
            return Err(reject(Rejection::ArchiveRefused, "an archive in it"));
        }
        let formats = [PDF.to_owned()];
        let (Plan::Check(converter) | Plan::Convert(converter, _)) =
            plan(&self.singles, &kind.media_type, &formats)
        else {
            let error = format!("a member is {}", kind.media_type);
            return Err(reject(Rejection::NoUsableFormat, error));
        };
        converter.convert(&Conversion {
            source,
            from: &kind.media_type,
            result,
            to: PDF,
            folder,
        })
    }
}

/// The places of the members that are files, after a look at what the archive says of itself.
fn list(archive: &mut ZipArchive<File>, size: u64) -> Result<Vec<usize>, ConvertError> {
    let mut wanted = Vec::new();
    let mut sum = 0_u64;
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(judge)?;
        let name = member.name();
        // What systems add for themselves.
        let own = name.starts_with("__MACOSX/")
            || name.ends_with(".DS_Store")
            || name.ends_with("Thumbs.db");
        if member.is_dir() || own {
            continue;
        }
        if member.encrypted() {
            return Err(reject(Rejection::PasswordProtected, "an archive"));
        }
        sum = sum.saturating_add(member.size());
        wanted.push(index);
    }
    if wanted.len() > MEMBERS_MAX {
        let error = format!("{} members", wanted.len());
        return Err(reject(Rejection::ArchiveRefused, error));
    }
    if sum > UNPACKED_MAX || sum / size.max(1) > RATIO_MAX {
        let error = format!("{sum} bytes in an archive of {size}");
        return Err(reject(Rejection::ArchiveRefused, error));
    }
    Ok(wanted)
}

/// Unpacks one member, `most` bytes at most; its name and size.
fn unpack(
    archive: &mut ZipArchive<File>,
    index: usize,
    target: &mut impl io::Write,
    most: u64,
) -> Result<(String, u64), ConvertError> {
    let member = archive.by_index(index).map_err(judge)?;
    let name = member.name().to_owned();
    let allowed = most.min(
        member
            .compressed_size()
            .saturating_add(4096)
            .saturating_mul(RATIO_MAX),
    );
    let size = io::copy(&mut member.take(allowed.saturating_add(1)), target)
        .map_err(|error| judge(ZipError::Io(error)))?;
    if size > allowed {
        return Err(reject(Rejection::ArchiveRefused, "a member is a bomb"));
    }
    Ok((name, size))
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
