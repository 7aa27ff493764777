//! JPEG, PNG and WebP that the app takes as they are, without what tells of place, device and
//! person. The pixels are untouched: parts of the file are left out, nothing is coded anew.
//!
//! What stays: the image, its colours (profile, gamma), its animation, and which way is up.
//!
//! Each is decoded once, and so are GIF and BMP, of which nothing is left out: what an app is given
//! as an image is whole and of a size that can be shown.

use std::fs;
use std::io::Cursor;

use image::metadata::Orientation;
use image::{ImageDecoder as _, ImageFormat, ImageReader};

use super::image::{Turn, read, source_format};
use super::{Conversion, ConvertError, Converter, pdf, reject};
use crate::pipeline::Rejection;

/// The cleaner of images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cleaner;

/// Chunks of a PNG that draw it (PNG third edition, section 11). The others tell about it.
const PNG_KEPT: [&[u8; 4]; 19] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB",
    b"cICP", b"mDCV", b"cLLI", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT", b"hIST",
];

impl Converter for Cleaner {
    fn name(&self) -> &'static str {
        "cleaner"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        from == to
            && matches!(
                from,
                "image/jpeg" | "image/png" | "image/webp" | "image/gif" | "image/bmp"
            )
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let format = source_format(conversion.from)
            .ok_or_else(|| reject(Rejection::NoUsableFormat, "not an image"))?;
        read(conversion.source, format, Turn::Never)?;
        if matches!(format, ImageFormat::Gif | ImageFormat::Bmp) {
            return pdf::same(conversion);
        }
        let bytes = fs::read(conversion.source)?;
        let cleaned = clean(&bytes, conversion.from).ok_or_else(|| {
            reject(
                Rejection::Unreadable,
                format!("no whole {}", conversion.from),
            )
        })?;
        Ok(fs::write(conversion.result, cleaned)?)
    }
}

/// The image without what is not for others; `None` if it is not whole.
pub(super) fn clean(bytes: &[u8], media_type: &str) -> Option<Vec<u8>> {
    match media_type {
        "image/jpeg" => jpeg(bytes, exif(bytes, ImageFormat::Jpeg).as_deref()),
        "image/png" => png(bytes, exif(bytes, ImageFormat::Png).as_deref()),
        _ => webp(bytes, exif(bytes, ImageFormat::WebP).as_deref()),
    }
}

/// A TIFF header with the orientation and nothing else, if it is needed.
fn exif(bytes: &[u8], format: ImageFormat) -> Option<Vec<u8>> {
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .ok()?;
    let orientation = decoder.orientation().ok()?;
    if orientation == Orientation::NoTransforms {
        return None;
    }
    // Little endian, one entry: 0x0112, SHORT, one value (Exif 2.32, section 4.6.4).
    let mut tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    tiff.extend([orientation.to_exif(), 0, 0, 0, 0, 0, 0, 0]);
    Some(tiff)
}

/// Segments up to the end of the image; what follows it, such as a second picture with EXIF of its
/// own, is left behind. Where the end is not marked, the file's is the image's.
pub(super) fn jpeg(bytes: &[u8], exif: Option<&[u8]>) -> Option<Vec<u8>> {
    const SOS: u8 = 0xda;
    const EOI: u8 = 0xd9;
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    let mut out = vec![0xff, 0xd8];
    let (mut exif, mut scans) = (exif, 0);
    loop {
        // Bytes that belong to nothing may stand before a marker.
        let at = rest.iter().position(|byte| *byte == 0xff);
        let [0xff, marker, after @ ..] = rest.get(at.unwrap_or(rest.len())..)? else {
            out.extend([0xff, EOI]);
            return (scans > 0).then_some(out);
        };
        match *marker {
            // So may fill bytes.
            0xff => {
                rest = rest.get(at? + 1..)?;
                continue;
            }
            EOI => {
                out.extend([0xff, EOI]);
                return Some(out);
            }
            _ => {}
        }
        let len = usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?]));
        let segment = after.get(..len)?;
        let content = segment.get(2..)?;
        let jfif = *marker == 0xe0;
        // JFIF wants to be first; EXIF comes after it.
        if !jfif && let Some(tiff) = exif.take() {
            out.extend([0xff, 0xe1]);
            let len = u16::try_from(tiff.len() + 8).ok()?;
            out.extend(len.to_be_bytes());
            out.extend(b"Exif\0\0");
            out.extend(tiff);
        }
        let tells = match *marker {
            // The colour profile and Adobe's note on the colour space draw the image.
            0xe2 => !content.starts_with(b"ICC_PROFILE\0"),
            0xee => !content.starts_with(b"Adobe"),
            0xe1..=0xef | 0xfe => true,
            _ => false,
        };
        if !tells {
            out.extend([0xff, *marker]);
            out.extend(segment);
        }
        rest = after.get(len..)?;
        if *marker == SOS {
            let end = scan(rest);
            out.extend(&rest[..end]);
            rest = &rest[end..];
            scans += 1;
        }
    }
}

/// The same JPEG with more coded data at its end than it has: where all of the image is there it
/// makes no difference, where the file was cut it draws something.
pub(super) fn with_more(bytes: &[u8]) -> Option<Vec<u8>> {
    /// Enough for a block of each component, and no marker.
    const MORE: [u8; 4096] = [0x5a; 4096];
    let mut more = jpeg(bytes, None)?;
    let end = more.split_off(more.len().checked_sub(2)?);
    more.extend(MORE);
    more.extend(end);
    Some(more)
}

/// Where the coded data ends: at a marker that is neither a stuffed zero nor a restart, or with the
/// file.
fn scan(bytes: &[u8]) -> usize {
    bytes
        .windows(2)
        .position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xd0..=0xd7))
        .unwrap_or(bytes.len())
}

fn png(bytes: &[u8], exif: Option<&[u8]>) -> Option<Vec<u8>> {
    const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
    let mut rest = bytes.strip_prefix(SIGNATURE)?;
    let mut out = SIGNATURE.to_vec();
    loop {
        let len = u32::from_be_bytes(*rest.first_chunk()?);
        let whole = usize::try_from(len).ok()?.checked_add(12)?;
        let chunk = rest.get(..whole)?;
        let kind = chunk.get(4..8)?;
        if PNG_KEPT.iter().any(|kept| *kept == kind) {
            out.extend(chunk);
        }
        if kind == b"IEND" {
            return Some(out);
        }
        if kind == b"IHDR"
            && let Some(tiff) = exif
        {
            out.extend(u32::try_from(tiff.len()).ok()?.to_be_bytes());
            let mut chunk = b"eXIf".to_vec();
            chunk.extend(tiff);
            let crc = crc32(&chunk);
            out.extend(chunk);
            out.extend(crc.to_be_bytes());
        }
        rest = &rest[whole..];
    }
}

/// CRC-32 of PNG (ISO 3309), of a few bytes.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

fn webp(bytes: &[u8], exif: Option<&[u8]>) -> Option<Vec<u8>> {
    /// Flags of `VP8X` that say that there is EXIF and XMP (WebP container, "Extended file format").
    const EXIF_FLAG: u8 = 0x08;
    const XMP_FLAG: u8 = 0x04;
    let size = usize::try_from(u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?)).ok()?;
    let (head, mut rest) = bytes.get(..size.checked_add(8)?)?.split_at_checked(12)?;
    if !head.starts_with(b"RIFF") || !head.ends_with(b"WEBP") {
        return None;
    }
    let mut out = b"RIFF\0\0\0\0WEBP".to_vec();
    let (mut extended, mut image) = (false, false);
    while !rest.is_empty() {
        let kind: &[u8; 4] = rest.first_chunk()?;
        let len = usize::try_from(u32::from_le_bytes(*rest.get(4..)?.first_chunk()?)).ok()?;
        // Chunks begin at even places.
        let whole = len.checked_add(8)?;
        let padded = whole.checked_add(len % 2)?;
        let chunk = rest.get(..whole)?;
        match kind {
            b"VP8X" => {
                extended = true;
                let mut chunk = chunk.to_vec();
                let flags = chunk.get_mut(8)?;
                *flags &= !(EXIF_FLAG | XMP_FLAG);
                if exif.is_some() {
                    *flags |= EXIF_FLAG;
                }
                out.extend(chunk);
            }
            b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF" | b"ICCP" => {
                image |= kind != b"ICCP";
                out.extend(chunk);
                out.resize(out.len() + len % 2, 0);
            }
            _ => {}
        }
        rest = rest.get(padded..).unwrap_or_default();
    }
    if let Some(tiff) = exif.filter(|_| extended) {
        out.extend(b"EXIF");
        out.extend(u32::try_from(tiff.len()).ok()?.to_le_bytes());
        out.extend(tiff);
    }
    let size = u32::try_from(out.len() - 8).ok()?;
    out[4..8].copy_from_slice(&size.to_le_bytes());
    image.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a polyglot is beside the image does not reach the app.
    #[test]
    fn nothing_that_follows_an_image_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let more = b"PK\x03\x04<script>alert(1)</script>%PDF-1.7";
        for (format, media_type) in [
            (ImageFormat::Jpeg, "image/jpeg"),
            (ImageFormat::Png, "image/png"),
            (ImageFormat::WebP, "image/webp"),
        ] {
            let path = folder.path().join("image");
            let image = image::DynamicImage::new_rgb8(9, 9);
            image.save_with_format(&path, format).expect("an image");
            let bytes = fs::read(&path).expect("an image");
            let whole = clean(&bytes, media_type);
            assert!(whole.is_some(), "{media_type}");
            let both = [&bytes[..], more].concat();
            assert_eq!(clean(&both, media_type), whole, "{media_type}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_cleaner_panic(
            head in prop::sample::select(vec![
                &b"\xff\xd8"[..], b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBP",
            ]),
            rest: Vec<u8>,
        ) {
            let bytes = [head, &rest].concat();
            for media_type in ["image/jpeg", "image/png", "image/webp"] {
                let _ = clean(&bytes, media_type);
            }
            if let Some(more) = with_more(&bytes) {
                prop_assert!(more.len() > 4096 && more.ends_with(&[0xff, 0xd9]));
            }
        }
    }
}
