//! HEIC, HEIF and AVIF, by libheif's converter. It turns the image upright itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use image::ImageFormat;

use super::image::{Turn, check_size, finish, is_target, read};
use super::{Conversion, ConvertError, Converter, reject};
use crate::pipeline::Rejection;
use crate::sandbox::{Limits, Program, Run, Sandbox};

/// A photo of 48 megapixels takes some 5 s and 600 MB.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    memory: 1536 * 1024 * 1024,
    output: 512 * 1024 * 1024,
    processes: 16,
};

/// The converter of HEIF and AVIF.
#[derive(Clone, Debug)]
pub(super) struct Heif(pub(super) Sandbox);

impl Converter for Heif {
    fn name(&self) -> &'static str {
        "heif"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        matches!(from, "image/heif" | "image/heic" | "image/avif") && is_target(to)
    }

    fn needs(&self, _: &str, _: &str) -> &'static [Program] {
        &[Program::HeifConvert]
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        check(conversion.source)?;
        let between = conversion.folder.join("image.png");
        let run = Run {
            program: Program::HeifConvert,
            arguments: [conversion.source, &between].map(OsString::from).into(),
            folder: conversion.folder,
            reads: &[conversion.source],
            limits: LIMITS,
        };
        let ended = self.0.run(&run)?;
        // A file with several images has each in a numbered one; the first is the main one.
        let first = conversion.folder.join("image-1.png");
        let between = if first.is_file() { first } else { between };
        if !ended.success || !between.is_file() {
            return Err(reject(Rejection::Unreadable, ended.errors));
        }
        finish(
            &read(&between, ImageFormat::Png, Turn::Never)?,
            conversion.to,
            conversion.result,
        )
    }
}

/// Most of a file's description that is searched, in bytes: an image of 48 megapixels has some 4 KiB.
const META_MAX: u64 = 1024 * 1024;

/// Refuses an image of more pixels than are processed, by what the file says of itself.
pub(super) fn check(path: &Path) -> Result<(), ConvertError> {
    let meta = meta(&mut File::open(path)?)?;
    // Tiles have sizes of their own, smaller than the whole's: `ispe` is version and flags, width,
    // height (ISO/IEC 23008-12, section 6.5.3).
    for (at, _) in meta.windows(4).enumerate().filter(|(_, w)| w == b"ispe") {
        let side = |from: usize| Some(u32::from_be_bytes(*meta.get(at + from..)?.first_chunk()?));
        if let (Some(width), Some(height)) = (side(8), side(12)) {
            check_size(width, height)?;
        }
    }
    Ok(())
}

/// The `meta` box: each has its length and its name (ISO/IEC 14496-12, section 4.2).
fn meta(file: &mut File) -> io::Result<Vec<u8>> {
    let mut meta = Vec::new();
    let mut head = [0; 8];
    while file.read_exact(&mut head).is_ok() {
        let [a, b, c, d, name @ ..] = head;
        // One that is too long for 32 bits holds the picture itself.
        let len = u64::from(u32::from_be_bytes([a, b, c, d])).checked_sub(8);
        let Some(len) = len.and_then(|len| i64::try_from(len).ok()) else {
            break;
        };
        if name == *b"meta" {
            file.take(META_MAX.min(len.unsigned_abs()))
                .read_to_end(&mut meta)?;
            break;
        }
        file.seek(SeekFrom::Current(len))?;
    }
    Ok(meta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::convert::ConvertError;
    use proptest::prelude::*;

    fn checked(bytes: &[u8]) -> Result<(), Rejection> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("a file");
        match check(file.path()) {
            Err(ConvertError::Rejected { rejection, .. }) => Err(rejection),
            Err(error) => panic!("{error}"),
            Ok(()) => Ok(()),
        }
    }

    #[test]
    fn an_image_that_claims_too_many_pixels_is_refused_unopened() {
        for (side, expected) in [
            (4_000_u32, Ok(())),
            (12_000, Err(Rejection::ImageTooLarge)),
            (60_000, Err(Rejection::ImageTooLarge)),
        ] {
            let mut bytes = b"\0\0\0\x10ftypheic\0\0\0\0\0\0\0\x24meta\0\0\0\0".to_vec();
            bytes.extend(b"\0\0\0\x14ispe\0\0\0\0");
            bytes.extend(side.to_be_bytes());
            bytes.extend(side.to_be_bytes());
            assert_eq!(checked(&bytes), expected, "{side}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_look_at_the_size_panic(rest: Vec<u8>) {
            let _ = checked(&[b"\0\0\0\x08ftyp\0\0\0\x40meta", &rest[..]].concat());
        }
    }
}
