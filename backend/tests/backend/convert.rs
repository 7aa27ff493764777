//! Conversion of real images, each result decoded and looked at.

use std::io::Cursor;

use chatlift_backend::pipeline::Rejection;
use chatlift_backend::pipeline::convert::image::Images;
use chatlift_backend::pipeline::convert::{Conversion, ConvertError, Converter as _};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

/// Red above, blue below, wider than high.
pub(crate) fn flag() -> RgbImage {
    RgbImage::from_fn(64, 32, |_, y| {
        Rgb(if y < 16 { [220, 20, 20] } else { [20, 20, 220] })
    })
}

pub(crate) fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).expect("an image");
    bytes.into_inner()
}

/// A JPEG whose EXIF says how to turn it, and holds a place that must not travel on.
pub(crate) fn jpeg_with_exif(image: &RgbImage, orientation: u8) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0\x02\0".to_vec();
    // Orientation, SHORT, 1 value; ImageDescription, ASCII, at offset 38.
    tiff.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    tiff.extend([0x0e, 0x01, 2, 0, 16, 0, 0, 0, 38, 0, 0, 0]);
    tiff.extend([0, 0, 0, 0]);
    tiff.extend(b"SECRET-PLACE-52\0");
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
    encoder.set_exif_metadata(tiff).expect("EXIF");
    encoder
        .write_image(
            image,
            image.width(),
            image.height(),
            image::ExtendedColorType::Rgb8,
        )
        .expect("a JPEG");
    assert!(jpeg.windows(15).any(|w| w == b"SECRET-PLACE-52"));
    jpeg
}

fn convert(source: &[u8], from: &str, to: &str) -> Result<Vec<u8>, Rejection> {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, result) = (folder.path().join("in"), folder.path().join("out"));
    std::fs::write(&input, source).expect("a file");
    assert!(Images.handles(from, to));
    let conversion = Conversion {
        source: &input,
        from,
        result: &result,
        to,
        folder: folder.path(),
    };
    match Images.convert(&conversion) {
        Ok(()) => Ok(std::fs::read(result).expect("the result")),
        Err(ConvertError::Rejected { rejection, .. }) => Err(rejection),
        Err(ConvertError::Disk(error)) => panic!("{error}"),
    }
}

fn near(pixel: Rgb<u8>, expected: [u8; 3]) -> bool {
    pixel
        .0
        .iter()
        .zip(expected)
        .all(|(a, b)| a.abs_diff(b) < 24)
}

#[test]
fn every_image_type_becomes_every_target() {
    let sources = [
        ("image/jpeg", ImageFormat::Jpeg),
        ("image/png", ImageFormat::Png),
        ("image/webp", ImageFormat::WebP),
        ("image/gif", ImageFormat::Gif),
    ];
    for (from, source) in sources {
        let source = match source {
            ImageFormat::Gif => encoded(DynamicImage::from(flag()).to_rgba8(), source),
            other => encoded(flag(), other),
        };
        for (to, target) in &sources[..3] {
            let result = convert(&source, from, to).expect("a result");
            assert_eq!(
                image::guess_format(&result).expect("an image"),
                *target,
                "{from} {to}"
            );
            let image = image::load_from_memory(&result)
                .expect("an image")
                .to_rgb8();
            assert_eq!(image.dimensions(), (64, 32), "{from} {to}");
            assert!(near(*image.get_pixel(32, 4), [220, 20, 20]), "{from} {to}");
            assert!(near(*image.get_pixel(32, 28), [20, 20, 220]), "{from} {to}");
        }
    }
}

#[test]
fn a_turned_photo_stands_upright_and_its_metadata_stays_behind() {
    // Where the red half lies after turning, by EXIF orientation.
    for (orientation, size, red, blue) in [
        (1, (64, 32), (32, 4), (32, 28)),
        (3, (64, 32), (32, 28), (32, 4)),
        (6, (32, 64), (28, 32), (4, 32)),
        (8, (32, 64), (4, 32), (28, 32)),
    ] {
        let photo = jpeg_with_exif(&flag(), orientation);
        for to in ["image/jpeg", "image/png", "image/webp"] {
            let result = convert(&photo, "image/jpeg", to).expect("a result");
            assert!(!result.windows(12).any(|w| w == b"SECRET-PLACE"), "{to}");
            let image = image::load_from_memory(&result)
                .expect("an image")
                .to_rgb8();
            assert_eq!(image.dimensions(), size, "{orientation} {to}");
            assert!(
                near(*image.get_pixel(red.0, red.1), [220, 20, 20]),
                "{orientation} {to}"
            );
            assert!(
                near(*image.get_pixel(blue.0, blue.1), [20, 20, 220]),
                "{orientation} {to}"
            );
        }
    }
}

#[test]
fn transparency_is_kept_where_it_can_be_and_white_in_a_jpeg() {
    let glass = RgbaImage::from_fn(32, 32, |x, _| Rgba([0, 0, 0, if x < 16 { 0 } else { 128 }]));
    let source = encoded(glass, ImageFormat::Png);
    for to in ["image/png", "image/webp"] {
        let result = convert(&source, "image/png", to).expect("a result");
        let image = image::load_from_memory(&result)
            .expect("an image")
            .to_rgba8();
        assert_eq!(image.get_pixel(2, 2).0[3], 0, "{to}");
        assert_eq!(image.get_pixel(30, 2).0[3], 128, "{to}");
    }
    let result = convert(&source, "image/png", "image/jpeg").expect("a result");
    let image = image::load_from_memory(&result)
        .expect("an image")
        .to_rgb8();
    assert!(near(*image.get_pixel(4, 4), [255; 3]));
    assert!(near(*image.get_pixel(28, 4), [127; 3]));
}

#[test]
fn grey_and_deep_images_are_converted_too() {
    let grey = image::GrayImage::from_pixel(8, 8, image::Luma([77]));
    let deep = image::ImageBuffer::from_pixel(8, 8, Rgb([77 * 257_u16; 3]));
    for source in [
        encoded(grey, ImageFormat::Png),
        encoded(deep, ImageFormat::Png),
    ] {
        for to in ["image/jpeg", "image/png", "image/webp"] {
            let result = convert(&source, "image/png", to).expect("a result");
            let image = image::load_from_memory(&result)
                .expect("an image")
                .to_rgb8();
            assert!(near(*image.get_pixel(3, 3), [77; 3]), "{to}");
        }
    }
}

/// A colour profile, as far as anything here looks at it.
fn profile(space: &[u8; 4]) -> Vec<u8> {
    let mut profile = vec![0; 128];
    profile[16..20].copy_from_slice(space);
    profile
}

#[test]
fn a_colour_profile_is_kept_if_it_is_for_these_pixels() {
    for (space, kept) in [(b"RGB ", true), (b"CMYK", false)] {
        let mut source = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut source, 95);
        encoder.set_icc_profile(profile(space)).expect("a profile");
        encoder
            .write_image(&flag(), 64, 32, image::ExtendedColorType::Rgb8)
            .expect("a JPEG");
        let result = convert(&source, "image/jpeg", "image/png").expect("a result");
        assert_eq!(result.windows(4).any(|w| w == b"iCCP"), kept);
    }
}

/// A PNG whose header claims `side` x `side` pixels; what follows is that of a small one.
pub(crate) fn png_that_claims(side: u32) -> Vec<u8> {
    let mut png = encoded(flag(), ImageFormat::Png);
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

/// CRC-32 of PNG (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[test]
fn an_image_that_would_fill_the_memory_is_refused() {
    for side in [12_000, 30_000, 60_000] {
        let refused = convert(&png_that_claims(side), "image/png", "image/jpeg");
        assert_eq!(refused, Err(Rejection::ImageTooLarge), "{side}");
    }
}

#[test]
fn a_damaged_image_is_refused() {
    let png = encoded(flag(), ImageFormat::Png);
    let jpeg = encoded(flag(), ImageFormat::Jpeg);
    for (bytes, from) in [
        (&png[..png.len() / 2], "image/png"),
        (&jpeg[..20], "image/jpeg"),
        (&b"GIF89a"[..], "image/gif"),
        (&b"RIFF\0\0\0\0WEBPVP8 "[..], "image/webp"),
        (&png[..], "image/jpeg"),
    ] {
        assert_eq!(
            convert(bytes, from, "image/png"),
            Err(Rejection::Unreadable),
            "{from}"
        );
    }
}
