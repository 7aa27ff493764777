//! What is in a compound file (`[MS-CFB]`): the names of its streams tell. They stand in a directory
//! whose sectors are chained by a table, and both may lie anywhere.

use super::{Content, DOC, DOCX, PPT, PPTX, Window, XLS, XLSX, u16_at, u32_at};

/// What it begins with (`[MS-CFB]` 2.2).
pub(super) const SIGNATURE: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];

/// A compound file of a kind that is not known.
const OTHER: &str = "application/x-ole-storage";

/// What a compound file may be.
pub(super) const AMONG: &[&str] = &[
    OTHER,
    DOC,
    XLS,
    PPT,
    DOCX,
    XLSX,
    PPTX,
    "application/vnd.ms-outlook",
    "application/vnd.visio",
    "application/vnd.ms-works",
    "application/x-hwp",
    "application/x-msi",
];

/// What has a stream or storage of this name.
const STREAMS: [(&str, &str); 11] = [
    ("WordDocument", DOC),
    ("Workbook", XLS),
    ("Book", XLS),
    ("PowerPoint Document", PPT),
    ("__properties_version1.0", "application/vnd.ms-outlook"),
    ("VisioDocument", "application/vnd.visio"),
    ("MatOST", "application/vnd.ms-works"),
    ("WksSSWorkBook", "application/vnd.ms-works"),
    ("HwpSummaryInformation", "application/x-hwp"),
    ("BodyText", "application/x-hwp"),
    ("!_Tables", "application/x-msi"),
];

/// Most sectors of the directory that are looked at: of 512 bytes each has four names.
const SECTORS_MAX: usize = 10;

/// What it is. An encrypted document of Office says nothing but that, and one that was cut may say nothing; their
/// names may say which.
pub(super) fn kind(content: &Content<'_>, extension: &str) -> Result<&'static str, Window> {
    let head = content.head();
    let size = match u16_at(head, 30) {
        Some(shift @ 9..=12) => 1_u64 << shift,
        _ => return Ok(OTHER),
    };
    // Sectors are counted from behind the head, which has the place of one.
    let place = |sector: u32| (u64::from(sector) + 1) * size;
    let (mut sector, mut told) = (u32_at(head, 48).unwrap_or(u32::MAX), None);
    for _ in 0..SECTORS_MAX {
        let names = content.read(place(sector), size)?;
        if names.is_empty() {
            // It was cut before its directory: nothing says that its name is wrong.
            return Ok(told.or_else(|| named(extension, AMONG)).unwrap_or(OTHER));
        }
        for entry in names.chunks_exact(128) {
            let Some(name) = name(entry) else { continue };
            // Whatever else there is, it is the wrapping.
            if name == "EncryptedPackage" {
                return Ok(encrypted(extension));
            }
            let known = STREAMS.iter().find(|(stream, _)| *stream == name);
            told = told.or(known.map(|(_, media_type)| *media_type));
        }
        // The table of the chains is in sectors that the head lists: 109 of them, enough for
        // 7 MB of a file and more; a directory beyond that is not followed.
        let per_table = u32::try_from(size / 4).unwrap_or(128);
        let listed = usize::try_from(sector / per_table).unwrap_or(usize::MAX);
        let table = match listed {
            0..109 => u32_at(head, 76 + 4 * listed),
            _ => None,
        };
        let Some(table) = table.filter(|table| *table < 0xffff_fffa) else {
            break;
        };
        let entry = u64::from(sector % per_table) * 4;
        match u32_at(content.read(place(table) + entry, 4)?, 0) {
            Some(next) if next < 0xffff_fffa => sector = next,
            _ => break,
        }
    }
    Ok(told.unwrap_or(OTHER))
}

/// The name of an entry that is in use: UTF-16, its length in bytes with the zero at its end at 64, its
/// kind at 66 (`[MS-CFB]` 2.6.1). A first character below the printable ones is left out.
fn name(entry: &[u8]) -> Option<String> {
    let length = usize::from(u16_at(entry, 64)?).checked_sub(2)?;
    if *entry.get(66)? == 0 {
        return None;
    }
    let (units, _) = entry.get(..length.min(64))?.as_chunks();
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    let letters = units.filter(|unit| *unit >= 0x20).map(u32::from);
    letters.map(char::from_u32).collect()
}

/// Which of these kinds a file of this extension is, by its name alone.
fn named(extension: &str, among: &[&str]) -> Option<&'static str> {
    let mut kinds = super::with_extension(extension).map(|kind| kind.media_type);
    kinds.find(|kind| among.contains(kind))
}

fn encrypted(extension: &str) -> &'static str {
    named(extension, &[XLSX, PPTX]).unwrap_or(match extension {
        "xls" | "et" => XLSX,
        "ppt" | "pps" | "dps" => PPTX,
        _ => DOCX,
    })
}
