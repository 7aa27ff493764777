//! TIFF, as scanners and fax machines make it, into images or a PDF of as many pages.
//!
//! The image crate reads the page that the file's head points to, so a copy is pointed to each in turn.
//! What it does not know (fax Group 3, CIELab, inks beside CMYK and the like) libtiff's own tool makes plain
//! first. Pixels that are not square, as faxes have, are drawn out to the shape of the paper.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, RgbImage};
use tiff::ColorType;
use tiff::decoder::ifd::Value;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::{ByteOrder, Tag};

use super::image::{PIXELS_MAX, Picture, Turn, check_size, finish, is_target, read};
use super::paper::{self, on_white};
use super::{Conversion, ConvertError, Converter, pdf, reject};
use crate::pipeline::Rejection;
use crate::sandbox::{Limits, Program, Run, Sandbox};

/// Making all pages plain.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(120),
    memory: 1024 * 1024 * 1024,
    output: 512 * 1024 * 1024,
    processes: 8,
};
/// Largest PDF of pages, in bytes: it is put together in memory.
const PDF_MAX: usize = 256 * 1024 * 1024;
/// Most pages of one file.
const PAGES_MAX: usize = 200;

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
        let scan = Scan {
            pages: Pages::of(conversion.source, conversion.folder)?,
            source: conversion.source,
            folder: conversion.folder,
            sandbox: &self.0,
            plain: OnceCell::new(),
        };
        if scan.pages.count() == 1 {
            return finish(&scan.page(0)?, conversion.to, conversion.result);
        }
        let pages = (0..scan.pages.count()).map(|n| scan.page(n));
        if conversion.to == pdf::PDF {
            let (mut made, mut size) = (Vec::new(), 0);
            for page in pages {
                let page = paper::page(&page?.image)?;
                size += page.len();
                if size > PDF_MAX {
                    let error = format!("more than {} pages", made.len());
                    return Err(reject(Rejection::ResultTooLarge, error));
                }
                made.push(page);
            }
            return Ok(fs::write(conversion.result, paper::document(&made))?);
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

/// One file while it is converted.
struct Scan<'a> {
    pages: Pages,
    source: &'a Path,
    folder: &'a Path,
    sandbox: &'a Sandbox,
    /// The same pages made plain, once that is needed.
    plain: OnceCell<Pages>,
}

impl Scan<'_> {
    /// Page `n`, from 0, upright and in its shape on paper.
    fn page(&self, n: usize) -> Result<Picture, ConvertError> {
        let path = self.pages.at(n)?;
        let tags = Tags::of(path);
        let picture = match read(path, ImageFormat::Tiff, Turn::ByExif) {
            Err(ConvertError::Rejected { rejection, .. })
                if rejection == Rejection::Unreadable
                    && let Some(mut image) = inks(path) =>
            {
                image.apply_orientation(tags.orientation);
                Picture {
                    image,
                    profile: None,
                }
            }
            Err(ConvertError::Rejected { rejection, error })
                if rejection == Rejection::Unreadable
                    && self.sandbox.programs().get(Program::Tiff2Rgba).is_some() =>
            {
                tags.upright(read(
                    self.plain(&error)?.at(n)?,
                    ImageFormat::Tiff,
                    Turn::Never,
                )?)
            }
            other => other?,
        };
        tags.in_shape(picture)
    }

    /// The pages as libtiff reads them.
    fn plain(&self, why: &str) -> Result<&Pages, ConvertError> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain);
        }
        let folder = self.folder.join("plain");
        fs::create_dir(&folder)?;
        let made = folder.join("made.tiff");
        let ended = self.sandbox.run(&Run {
            program: Program::Tiff2Rgba,
            arguments: vec![
                "-c".into(),
                "none".into(),
                self.source.into(),
                made.clone().into(),
            ],
            folder: &folder,
            reads: &[self.source],
            limits: LIMITS,
        })?;
        // It makes something of what was cut, and says so; of what it does not know it only warns.
        let faults = ended
            .errors
            .lines()
            .filter(|line| !line.contains("Warning, "));
        let fault = faults.map(str::trim).find(|line| !line.is_empty());
        if let (false, _) | (_, Some(_)) = (ended.success, fault) {
            let error = format!("{why}; {}", fault.unwrap_or_default());
            return Err(reject(Rejection::Unreadable, error));
        }
        let plain = Pages::of(&made, &folder)?;
        if plain.count() < self.pages.count() {
            return Err(reject(Rejection::Unreadable, "pages are missing"));
        }
        Ok(self.plain.get_or_init(|| plain))
    }
}

/// A page of four inks and a mask, of 8 or 16 bits each (TIFF 6.0, section 16), which neither the image crate
/// nor libtiff's tool takes; nothing if it is none, or cut.
fn inks(path: &Path) -> Option<DynamicImage> {
    let mut decoder = Decoder::new(BufReader::new(File::open(path).ok()?)).ok()?;
    let (width, height) = decoder.dimensions().ok()?;
    check_size(width, height).ok()?;
    let ColorType::CMYKA(8 | 16) = decoder.colortype().ok()? else {
        return None;
    };
    let samples = match decoder.read_image().ok()? {
        DecodingResult::U8(samples) => samples,
        DecodingResult::U16(samples) => samples.iter().map(|s| (s >> 8) as u8).collect(),
        _ => return None,
    };
    let light = |ink: u8, black: u8| {
        let light = u16::from(u8::MAX - ink) * u16::from(u8::MAX - black);
        (light / u16::from(u8::MAX)) as u8
    };
    let pixels = samples.chunks_exact(5);
    let pixels = pixels.flat_map(|p| [light(p[0], p[3]), light(p[1], p[3]), light(p[2], p[3])]);
    RgbImage::from_raw(width, height, pixels.collect()).map(DynamicImage::from)
}

/// What a page says of how it is to be shown (TIFF 6.0, section 8).
struct Tags {
    orientation: Orientation,
    /// Width of a pixel by its height.
    aspect: f64,
}

impl Tags {
    /// Of the first page of a file; the usual ones where it says nothing that can be used.
    fn of(path: &Path) -> Self {
        let file = File::open(path).ok();
        let mut decoder = file.and_then(|file| Decoder::new(BufReader::new(file)).ok());
        let mut value = |tag| decoder.as_mut()?.find_tag(tag).ok()?;
        let orientation = value(Tag::Orientation)
            .and_then(|value| Orientation::from_exif(value.into_u16().ok()?.try_into().ok()?));
        let mut per_unit = |tag| match value(tag)? {
            Value::Rational(n, d) if n > 0 && d > 0 => Some(f64::from(n) / f64::from(d)),
            _ => None,
        };
        let (x, y) = (per_unit(Tag::XResolution), per_unit(Tag::YResolution));
        Self {
            orientation: orientation.unwrap_or(Orientation::NoTransforms),
            aspect: x.zip(y).map_or(1.0, |(x, y)| y / x),
        }
    }

    /// libtiff mirrors a page as its rows are to be read, and turns none: the one is taken back for the
    /// other.
    fn upright(&self, mut picture: Picture) -> Picture {
        let mirrored = match self.orientation {
            Orientation::FlipHorizontal | Orientation::Rotate90 => Orientation::FlipHorizontal,
            Orientation::Rotate180 | Orientation::Rotate270FlipH => Orientation::Rotate180,
            Orientation::FlipVertical | Orientation::Rotate270 => Orientation::FlipVertical,
            Orientation::NoTransforms | Orientation::Rotate90FlipH => Orientation::NoTransforms,
        };
        picture.image.apply_orientation(mirrored);
        picture.image.apply_orientation(self.orientation);
        picture
    }

    /// Draws a page out whose pixels are not square.
    fn in_shape(&self, mut picture: Picture) -> Result<Picture, ConvertError> {
        let turned = matches!(
            self.orientation,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        );
        let aspect = if turned {
            self.aspect.recip()
        } else {
            self.aspect
        };
        if (0.98..1.02).contains(&aspect) || !(0.1..10.0).contains(&aspect) {
            return Ok(picture);
        }
        let drawn = |side: u32, by: f64| (f64::from(side) * by).floor() as u32;
        let (width, height) = (picture.image.width(), picture.image.height());
        let (width, height) = match aspect > 1.0 {
            true => (drawn(width, aspect), height),
            false => (width, drawn(height, aspect.recip())),
        };
        check_size(width, height)?;
        picture.image = picture
            .image
            .resize_exact(width, height, FilterType::Triangle);
        Ok(picture)
    }
}

/// A TIFF whose pages can be looked at one after the other.
#[derive(Debug)]
pub(super) struct Pages {
    path: PathBuf,
    order: ByteOrder,
    /// Whether its offsets have 8 bytes.
    big: bool,
    offsets: Vec<u64>,
}

impl Pages {
    /// Finds the pages of the TIFF at `source`; works on a copy in `folder` if there are several.
    pub(super) fn of(source: &Path, folder: &Path) -> Result<Self, ConvertError> {
        let mut pages = Self {
            path: source.to_owned(),
            order: ByteOrder::LittleEndian,
            big: false,
            offsets: Vec::new(),
        };
        // What it cannot make out, whoever reads the page judges.
        let Ok(mut decoder) = Decoder::new(BufReader::new(File::open(source)?)) else {
            return Ok(pages);
        };
        pages.order = decoder.byte_order();
        let mut seen = BTreeSet::new();
        let mut next = decoder.ifd_pointer();
        // A chain that leads into itself or nowhere ends there.
        while let Some(page) = next.filter(|page| seen.insert(page.0)) {
            let Ok(directory) = decoder.read_directory(page) else {
                break;
            };
            if pages.offsets.len() == PAGES_MAX {
                let error = format!("more than {PAGES_MAX} pages");
                return Err(reject(Rejection::ResultTooLarge, error));
            }
            pages.offsets.push(page.0);
            next = directory.next();
        }
        if pages.offsets.len() > 1 {
            pages.path = folder.join("pages.tiff");
            fs::copy(source, &pages.path)?;
            let mut magic = [0; 4];
            File::open(source)?.read_exact(&mut magic)?;
            pages.big = magic.contains(&43);
        }
        Ok(pages)
    }

    /// How many there are; 1 too for a file whose pages cannot be told apart.
    pub(super) fn count(&self) -> usize {
        self.offsets.len().max(1)
    }

    /// The file with page `n`, from 0, as its first (TIFF 6.0, section 2; in a BigTIFF 8 bytes later).
    pub(super) fn at(&self, n: usize) -> Result<&Path, ConvertError> {
        let Some(offset) = self.offsets.get(n).filter(|_| self.offsets.len() > 1) else {
            return Ok(&self.path);
        };
        let bytes = match self.order {
            ByteOrder::LittleEndian => offset.to_le_bytes(),
            ByteOrder::BigEndian => offset.to_be_bytes(),
        };
        let (place, bytes) = match (self.big, self.order) {
            (true, _) => (8, &bytes[..]),
            (false, ByteOrder::LittleEndian) => (4, &bytes[..4]),
            (false, ByteOrder::BigEndian) => (4, &bytes[4..]),
        };
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        file.seek(SeekFrom::Start(place))?;
        file.write_all(bytes)?;
        Ok(&self.path)
    }
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
