//! What a file is, told by its content: one answer for edge and backend.
//!
//! Pure, without I/O: [`sniff`] looks at the windows of a file that it is given, and names the next one
//! that it needs. Most kinds are told by the beginning; what is in a container stands at its end (zip),
//! in a directory that may lie anywhere (`[MS-CFB]`), or behind gigabytes of pictures (ISO-BMFF). What
//! the name says is heard only where the content leaves it open: which kind of text a text is, and which
//! Office document an encrypted one.

mod compound;
mod movie;
mod table;
mod text;
mod zip;

use std::borrow::Cow;

use crate::limits::HEAD_MAX;
use crate::media::MediaRange;
pub use table::{Kind, of, with_extension};
pub use text::{Wide, wide};

/// What is known of content that nothing tells.
pub const UNKNOWN: &str = "application/octet-stream";
/// Text of no kind of its own.
pub const PLAIN: &str = "text/plain";

/// PDF (ISO 32000).
pub const PDF: &str = "application/pdf";
/// A zip of files.
pub const ZIP: &str = "application/zip";
/// Word's document since 2007.
pub const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
/// Excel's workbook since 2007.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// PowerPoint's slides since 2007.
pub const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
/// Word's document before 2007, and WPS's.
pub const DOC: &str = "application/msword";
/// Excel's workbook before 2007, and WPS's.
pub const XLS: &str = "application/vnd.ms-excel";
/// PowerPoint's slides before 2007, and WPS's.
pub const PPT: &str = "application/vnd.ms-powerpoint";
/// A workbook as Excel 2003 wrote it in XML, which has no registered type.
pub const EXCEL_2003: &str = "application/x-excel-2003-xml";
/// The same of Word.
pub const WORD_2003: &str = "application/x-word-2003-xml";
/// A mail (RFC 5322).
pub const MAIL: &str = "message/rfc822";
/// A page with its pictures, saved as a mail is written (RFC 2557).
pub const PAGE: &str = "multipart/related";

/// Most windows that a file is looked at through. A directory scattered over a compound file needs
/// most: two for each of its sectors.
pub const WINDOWS_MAX: usize = 24;
/// Least size of a window, in bytes: a small read costs as much as this one.
const WINDOW_MIN: u64 = HEAD_MAX;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes; never beyond the end of the file.
    pub length: u64,
}

/// What is known of a file: its size and some windows.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    size: u64,
    windows: Vec<(Window, Cow<'a, [u8]>)>,
}

impl<'a> Content<'a> {
    /// A file of `size` bytes that begins with `head`.
    #[must_use]
    pub fn new(size: u64, head: &'a [u8]) -> Self {
        let window = Window {
            offset: 0,
            length: head.len() as u64,
        };
        Self {
            size,
            windows: vec![(window, Cow::Borrowed(head))],
        }
    }

    /// Adds what was read of the window that [`sniff`] asked for; less than that if the file has no more.
    pub fn add(&mut self, window: Window, bytes: Vec<u8>) {
        self.windows.push((window, Cow::Owned(bytes)));
    }

    fn head(&self) -> &[u8] {
        let head = self.windows.first().map_or(&[][..], |(_, bytes)| bytes);
        let most = usize::try_from(HEAD_MAX).unwrap_or(usize::MAX);
        head.get(..most).unwrap_or(head)
    }

    /// These bytes, or as many as the file has of them.
    fn read(&self, offset: u64, length: u64) -> Result<&[u8], Window> {
        let length = length.min(self.size.saturating_sub(offset));
        // What a file says of itself may lie beyond its end, where it was cut.
        if length == 0 {
            return Ok(&[]);
        }
        let end = offset + length;
        for (window, bytes) in &self.windows {
            if window.offset <= offset && end <= window.offset.saturating_add(window.length) {
                let from = usize::try_from(offset - window.offset).unwrap_or(usize::MAX);
                let to = usize::try_from(end - window.offset).unwrap_or(usize::MAX);
                let to = to.min(bytes.len());
                return Ok(bytes.get(from.min(to)..to).unwrap_or_default());
            }
        }
        Err(Window {
            offset,
            length: length.max(WINDOW_MIN).min(self.size - offset),
        })
    }

    /// The last bytes, `length` at most.
    fn tail(&self, length: u64) -> Result<&[u8], Window> {
        let offset = self.size.saturating_sub(length);
        self.read(offset, length)
    }
}

/// The windows so far do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// What would tell.
    pub window: Window,
    /// What it may be, the likeliest first; never empty. All of them are told by a look at the whole.
    pub among: &'static [&'static str],
}

/// The media type of a file that is called `name`.
///
/// # Errors
/// [`Unsettled`] when it needs another window.
pub fn sniff(content: &Content<'_>, name: &str) -> Result<&'static str, Unsettled> {
    let among = |among| move |window| Unsettled { window, among };
    let head = content.head();
    let extension = extension(name);
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        let told = match zip::by_head(head) {
            Some(told) => Some(told),
            None => zip::by_directory(content).map_err(among(zip::among(&extension)))?,
        };
        return Ok(told.unwrap_or(ZIP));
    }
    if head.starts_with(&compound::SIGNATURE) {
        return compound::kind(content, &extension).map_err(among(compound::AMONG));
    }
    let wide = wide(head);
    // A mark of UTF-16 looks like the beginning of an MP3; without one, what looks like text in it is
    // as likely bytes of something that is known.
    if !text::is_marked(head) {
        if let Some(brand) = movie::brand(head) {
            return match brand {
                "video/mp4" | "video/3gpp" => {
                    movie::kind(content, brand).map_err(among(movie::AMONG))
                }
                other => Ok(other),
            };
        }
        if let Some(told) = table::by_signature(head) {
            let raw = (told == "image/tiff").then(|| table::raw_photo(head));
            return Ok(raw.flatten().unwrap_or(told));
        }
    }
    let by_text = text::kind(head, wide, &extension);
    if text::names_late_pdf(head) {
        let both = match by_text {
            Some(_) => &[PDF, PLAIN, "text/html"][..],
            None => &[PDF, UNKNOWN],
        };
        if text::ends_as_pdf(content.tail(text::PDF_END).map_err(among(both))?) {
            return Ok(PDF);
        }
    }
    // What unpacks itself begins with a program, or whatever else.
    let program = by_text.is_none() && head.starts_with(b"MZ");
    if zip::may_begin_late(&extension) {
        let both = &[ZIP, table::PROGRAM, PLAIN, UNKNOWN];
        if let Some(told) = zip::by_directory(content).map_err(among(both))? {
            return Ok(told);
        }
    }
    Ok(match by_text {
        _ if program => table::PROGRAM,
        Some(told) => told,
        None => UNKNOWN,
    })
}

/// The media type of a file whose bytes are all here.
#[must_use]
pub fn sniff_whole(bytes: &[u8], name: &str) -> &'static str {
    let size = bytes.len() as u64;
    sniff(&Content::new(size, bytes), name).unwrap_or_else(|unsettled| unsettled.among[0])
}

/// Whether a scene that accepts `accept` takes a file of this type, by whichever of its names.
#[must_use]
pub fn is_accepted(accept: &[MediaRange], media_type: &str) -> bool {
    let also = of(media_type).map_or(&[][..], |kind| kind.also);
    accept
        .iter()
        .any(|range| range.contains(media_type) || also.iter().any(|name| range.contains(name)))
}

/// The extension in small letters; nothing without a dot.
fn extension(name: &str) -> String {
    crate::format::extension(name)
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn has(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(crate) mod tests;
