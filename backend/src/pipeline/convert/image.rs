//! JPEG, PNG, WebP, GIF and BMP into JPEG, PNG, WebP or a PDF of one page.
//!
//! Upright by EXIF orientation. Nothing of the metadata is copied, so no place and no serial
//! number travels on; only the colour profile is kept, where it fits the result, because without
//! it colours change. Of a moving image the first frame is taken. Transparency becomes white in a
//! JPEG, which has none. WebP is written without loss.
//!
//! Hostile input: the size is read from the header and refused before anything is decoded; the
//! decoders run within the same limits.
//!
//! A JPEG that was cut is refused, though decoders make half a picture of it and fill the rest: it
//! is decoded once more with other bytes behind it, and both must be the same.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Cursor, Seek, Write as _};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::{WebPDecoder, WebPEncoder};
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat,
    ImageReader, Limits, Rgba,
};

use super::paper::{self, JPEG_QUALITY, on_white};
use super::{Conversion, ConvertError, Converter, clean, reject};
use crate::pipeline::Rejection;

/// Most pixels of an image: phones make up to 108 million.
pub const PIXELS_MAX: u64 = 120_000_000;
/// Longest side of an image, in pixels: a panorama has some 16,000.
pub const SIDE_MAX: u32 = 30_000;
/// Most memory that a decoded image may take, in bytes: [`PIXELS_MAX`] of 4 bytes and 32 MiB for
/// the decoder itself.
const ALLOCATION_MAX: u64 = PIXELS_MAX * 4 + 32 * 1024 * 1024;
/// Largest file, in bytes: some decoders hold it whole. The largest photos of phones have 80 MB.
pub const SOURCE_MAX: u64 = 256 * 1024 * 1024;
/// Largest colour profile that is kept, in bytes. Usual ones have under 4 KiB, printers' 1 MiB.
const PROFILE_MAX: usize = 2 * 1024 * 1024;

/// The converter of images.
#[derive(Clone, Copy, Debug)]
pub struct Images;

pub(super) fn source_format(media_type: &str) -> Option<ImageFormat> {
    match media_type {
        "image/gif" => Some(ImageFormat::Gif),
        "image/bmp" => Some(ImageFormat::Bmp),
        "image/tiff" => Some(ImageFormat::Tiff),
        other => target_format(other),
    }
}

/// Whether images are made into this type.
pub(super) fn is_target(media_type: &str) -> bool {
    target_format(media_type).is_some() || media_type == "application/pdf"
}

fn target_format(media_type: &str) -> Option<ImageFormat> {
    match media_type {
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/png" => Some(ImageFormat::Png),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

impl Converter for Images {
    fn name(&self) -> &'static str {
        "images"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        source_format(from).is_some_and(|format| format != ImageFormat::Tiff) && is_target(to)
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let Some(from) = source_format(conversion.from) else {
            return Err(reject(Rejection::NoUsableFormat, "not an image"));
        };
        let picture = read(conversion.source, from, Turn::ByExif)?;
        finish(&picture, conversion.to, conversion.result)
    }
}

/// What is done about the orientation that the file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The image is turned upright.
    ByExif,
    /// Who made the file has turned it already.
    Never,
}

/// An image, upright, and its colour profile.
pub(super) struct Picture {
    pub(super) image: DynamicImage,
    pub(super) profile: Option<Vec<u8>>,
}

/// Reads an image file within the limits of this module.
pub(super) fn read(path: &Path, format: ImageFormat, turn: Turn) -> Result<Picture, ConvertError> {
    let source = File::open(path)?;
    let size = source.metadata()?.len();
    if size > SOURCE_MAX {
        return Err(reject(Rejection::ImageTooLarge, format!("{size} bytes")));
    }
    let (mut picture, orientation) = decode(BufReader::new(source), format)?;
    if format == ImageFormat::Jpeg {
        let Some(more) = clean::with_more(&std::fs::read(path)?) else {
            return Err(reject(Rejection::Unreadable, "cut in a header"));
        };
        let (more, _) = decode(Cursor::new(more), format)?;
        if more.image != picture.image {
            return Err(reject(Rejection::Unreadable, "cut in the picture"));
        }
    }
    if let (Some(orientation), Turn::ByExif) = (orientation, turn) {
        picture.image.apply_orientation(orientation);
    }
    Ok(picture)
}

/// Refuses an image of more pixels than are processed, by what the file says of itself. One that the
/// decoder does not know is passed.
pub(super) fn check(path: &Path, format: ImageFormat) -> Result<(), ConvertError> {
    let source = BufReader::new(File::open(path)?);
    match ImageReader::with_format(source, format).into_dimensions() {
        Ok((width, height)) => check_size(width, height),
        Err(_) => Ok(()),
    }
}

/// Refuses an image of more pixels than are processed.
pub(super) fn check_size(width: u32, height: u32) -> Result<(), ConvertError> {
    let pixels = u64::from(width) * u64::from(height);
    if width.max(height) > SIDE_MAX || pixels > PIXELS_MAX {
        let error = format!("{width} x {height} pixels");
        return Err(reject(Rejection::ImageTooLarge, error));
    }
    Ok(())
}

/// Writes an image as `to`, for which [`is_target`] said yes.
pub(super) fn finish(picture: &Picture, to: &str, result: &Path) -> Result<(), ConvertError> {
    if to == "application/pdf" {
        let page = paper::page(&picture.image)?;
        return Ok(std::fs::write(result, paper::document(&[page]))?);
    }
    let to = target_format(to)
        .ok_or_else(|| reject(Rejection::NoUsableFormat, "not an image conversion"))?;
    let mut result = BufWriter::new(File::create(result)?);
    encode(&picture.image, picture.profile.clone(), to, &mut result)?;
    result.flush()?;
    Ok(())
}

/// What the image crate says of a file is the file's fault, unless the disk failed.
fn judge(error: ImageError) -> ConvertError {
    match error {
        ImageError::IoError(error) if error.raw_os_error().is_some() => ConvertError::Disk(error),
        ImageError::Limits(limits) => reject(Rejection::ImageTooLarge, limits.to_string()),
        other => reject(Rejection::Unreadable, other.to_string()),
    }
}

/// The image as it is coded, and how it is to be turned.
fn decode(
    source: impl BufRead + Seek,
    format: ImageFormat,
) -> Result<(Picture, Option<Orientation>), ConvertError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(ALLOCATION_MAX);
    if format == ImageFormat::WebP {
        let mut decoder = WebPDecoder::new(source).map_err(judge)?;
        if decoder.has_animation() && !decoder.color_type().has_alpha() {
            // What no frame of an animation covers.
            let white = Rgba([u8::MAX; 4]);
            decoder.set_background_color(white).map_err(judge)?;
        }
        decoder.set_limits(limits).map_err(judge)?;
        return pixels(decoder);
    }
    let mut reader = ImageReader::with_format(source, format);
    reader.limits(limits);
    pixels(reader.into_decoder().map_err(judge)?)
}

fn pixels(mut decoder: impl ImageDecoder) -> Result<(Picture, Option<Orientation>), ConvertError> {
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    if decoder.total_bytes() > ALLOCATION_MAX {
        let error = format!("{width} x {height} deep pixels");
        return Err(reject(Rejection::ImageTooLarge, error));
    }
    // Damaged metadata is no reason to refuse an image that can be shown.
    let orientation = decoder.orientation().ok();
    let profile = decoder
        .icc_profile()
        .ok()
        .flatten()
        .filter(|profile| profile.len() <= PROFILE_MAX);
    let image = DynamicImage::from_decoder(decoder).map_err(judge)?;
    Ok((Picture { image, profile }, orientation))
}

fn encode(
    image: &DynamicImage,
    profile: Option<Vec<u8>>,
    format: ImageFormat,
    result: &mut BufWriter<File>,
) -> Result<(), ConvertError> {
    match format {
        ImageFormat::Jpeg => {
            let encoder = JpegEncoder::new_with_quality(result, JPEG_QUALITY);
            write(encoder, &on_white(image), profile)
        }
        ImageFormat::Png => write(PngEncoder::new(result), image, profile),
        // The encoder takes 8 bits per channel in colour.
        _ => {
            let encoder = WebPEncoder::new_lossless(result);
            if image.color().has_alpha() {
                write(encoder, &image.to_rgba8().into(), profile)
            } else {
                write(encoder, &image.to_rgb8().into(), profile)
            }
        }
    }
}

fn write(
    mut encoder: impl ImageEncoder,
    image: &DynamicImage,
    profile: Option<Vec<u8>>,
) -> Result<(), ConvertError> {
    let grey = !image.color().has_color();
    if let Some(profile) = profile.filter(|p| fits(p, grey)) {
        // A format that cannot carry a profile goes without.
        let _ = encoder.set_icc_profile(profile);
    }
    let color = ExtendedColorType::from(image.color());
    encoder
        .write_image(image.as_bytes(), image.width(), image.height(), color)
        .map_err(|error| match error {
            ImageError::IoError(error) => ConvertError::Disk(error),
            // A WebP has at most 16,383 pixels on a side.
            other => reject(Rejection::ImageTooLarge, other.to_string()),
        })
}

/// Whether a colour profile is for the pixels that are written: bytes 16 to 19 of its header name
/// its colour space (ICC.1:2022 section 7.2.6). A CMYK photo has become RGB.
fn fits(profile: &[u8], grey: bool) -> bool {
    let space: &[u8] = if grey { b"GRAY" } else { b"RGB " };
    profile.get(16..20) == Some(space)
}
