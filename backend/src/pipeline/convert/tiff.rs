//! TIFF, as scanners and fax machines make it, into images or a PDF of as many pages.
//!
//! The decoder reads the page that the file's head points to, so a copy is pointed to each in turn.
//! What it does not know (palettes, fax Group 3) and what has pixels that are not square, as faxes
//! have, ffmpeg reads, which gives the page its shape on paper.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::ImageFormat;
use tiff::decoder::Decoder;
use tiff::decoder::ifd::Value;
use tiff::tags::Tag;

use super::image::{PIXELS_MAX, Picture, Turn, finish, is_target, on_white, read};
use super::{Conversion, ConvertError, Converter, pdf, reject};
use crate::pipeline::Rejection;
use crate::sandbox::{Limits, Program, Run, Sandbox};

/// Reading one page.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    memory: 1024 * 1024 * 1024,
    output: 512 * 1024 * 1024,
    processes: 8,
};
/// Largest PDF of pages, in bytes: it is put together in memory.
const PDF_MAX: usize = 256 * 1024 * 1024;
/// Square pixels; `sar` is the width of one by its height.
const SQUARE: &str = "scale='if(gt(sar,1),iw*sar,iw)':'if(gt(sar,1),ih,ih/sar)',setsar=1";

/// The converter of TIFFs.
#[derive(Clone, Debug)]
pub(super) struct Tiffs(pub(super) Sandbox);

impl Converter for Tiffs {
    fn name(&self) -> &'static str {
        "tiffs"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        from == "image/tiff" && is_target(to)
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let pages = Pages::of(conversion.source, conversion.folder)?;
        if pages.count() == 1 {
            let page = self.page(conversion.source, conversion.folder)?;
            return finish(&page, conversion.to, conversion.result);
        }
        let pages = (0..pages.count()).map(|n| self.page(pages.at(n)?, conversion.folder));
        if conversion.to == pdf::PDF {
            let (mut made, mut size) = (Vec::new(), 0);
            for page in pages {
                let page = pdf::page(&page?.image)?;
                size += page.len();
                if size > PDF_MAX {
                    let error = format!("more than {} pages", made.len());
                    return Err(reject(Rejection::ResultTooLarge, error));
                }
                made.push(page);
            }
            return Ok(fs::write(conversion.result, pdf::document(&made))?);
        }
        let (mut made, mut pixels) = (Vec::new(), 0);
        for page in pages {
            let page = on_white(&page?.image).to_rgb8();
            pixels += u64::from(page.width()) * u64::from(page.height());
            if pixels > PIXELS_MAX {
                let error = format!("more than {} pages in one image", made.len());
                return Err(reject(Rejection::ResultTooLarge, error));
            }
            made.push(page);
        }
        let picture = Picture {
            image: pdf::below_one_another(&made)?.into(),
            profile: None,
        };
        finish(&picture, conversion.to, conversion.result)
    }
}

impl Tiffs {
    /// The first page of a file.
    fn page(&self, path: &Path, folder: &Path) -> Result<Picture, ConvertError> {
        let known = read(path, ImageFormat::Tiff, Turn::ByExif);
        let again = match &known {
            Ok(_) => !is_square(path),
            Err(ConvertError::Rejected { rejection, .. }) => *rejection == Rejection::Unreadable,
            Err(ConvertError::Disk(_)) => false,
        };
        if !again || self.0.programs().get(Program::Ffmpeg).is_none() {
            return known;
        }
        let between = folder.join("page.png");
        let words = format!(
            "-nostdin -hide_banner -loglevel error -max_pixels {PIXELS_MAX} \
             -protocol_whitelist file -f tiff_pipe -i"
        );
        let mut arguments: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        arguments.push(path.into());
        arguments.extend(["-frames:v", "1", "-vf", SQUARE, "-y"].map(OsString::from));
        arguments.push(between.clone().into());
        let ended = self.0.run(&Run {
            program: Program::Ffmpeg,
            arguments,
            folder,
            reads: &[path],
            limits: LIMITS,
        })?;
        // It makes something of what was cut, and says so.
        if !ended.success || !ended.errors.trim().is_empty() {
            return known;
        }
        read(&between, ImageFormat::Png, Turn::Never)
    }
}

/// Whether its pixels are as wide as they are high, as far as it says (TIFF 6.0, section 8).
fn is_square(path: &Path) -> bool {
    let density = || {
        let mut decoder = Decoder::new(BufReader::new(File::open(path).ok()?)).ok()?;
        let mut per_unit = |tag| match decoder.find_tag(tag).ok()?? {
            Value::Rational(n, d) if n > 0 && d > 0 => Some(f64::from(n) / f64::from(d)),
            _ => None,
        };
        Some(per_unit(Tag::XResolution)? / per_unit(Tag::YResolution)?)
    };
    density().is_none_or(|ratio| (0.98..1.02).contains(&ratio))
}

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
