//! Conversion of real images, each result decoded and looked at.

use std::io::Cursor;

use chatlift_backend::pipeline::Rejection;
use chatlift_backend::pipeline::convert::image::Images;
use chatlift_backend::pipeline::convert::{Conversion, ConvertError, Converter, all};
use chatlift_backend::sandbox::{Programs, Sandbox, Walls};
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
    assert!(Images.handles(from, to));
    run(&Images, source, from, to)
}

/// What an app gets that takes the type as it is.
fn kept(source: &[u8], media_type: &str) -> Result<Vec<u8>, Rejection> {
    let sandbox = Sandbox::with_walls(Programs::default(), Walls::None);
    let converters = all(&sandbox);
    let keeper = converters
        .iter()
        .find(|c| c.handles(media_type, media_type));
    run(
        &**keeper.expect("a converter"),
        source,
        media_type,
        media_type,
    )
}

fn run(
    converter: &dyn Converter,
    source: &[u8],
    from: &str,
    to: &str,
) -> Result<Vec<u8>, Rejection> {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, result) = (folder.path().join("in"), folder.path().join("out"));
    std::fs::write(&input, source).expect("a file");
    let conversion = Conversion {
        source: &input,
        from,
        result: &result,
        to,
        folder: folder.path(),
    };
    match converter.convert(&conversion) {
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

/// A picture without a blank part, of which every byte counts.
fn noise(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let n = x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503_911);
        Rgb([(n >> 9) as u8, (n >> 17) as u8, (x * 255 / width) as u8])
    })
}

/// JPEGs of several sizes, one of them blank.
fn jpegs() -> Vec<Vec<u8>> {
    let mut jpegs = Vec::new();
    for (image, quality) in [(noise(640, 480), 90), (noise(37, 21), 60), (flag(), 95)] {
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, quality)
            .encode_image(&image)
            .expect("a JPEG");
        jpegs.push(jpeg);
    }
    let blank = image::GrayImage::from_pixel(64, 64, image::Luma([255]));
    jpegs.push(encoded(blank, ImageFormat::Jpeg));
    jpegs
}

#[test]
fn a_jpeg_that_was_cut_is_refused_wherever_it_was_cut_and_whatever_it_becomes() {
    let jpeg = &jpegs()[0];
    for percent in [5, 30, 60, 80, 95, 99] {
        let cut = &jpeg[..jpeg.len() * percent / 100];
        let closed = [cut, &[0xff, 0xd9]].concat();
        for half in [cut, &closed] {
            let refused = Err(Rejection::Unreadable);
            assert_eq!(kept(half, "image/jpeg").map(drop), refused, "{percent}");
            for to in ["image/jpeg", "image/png", "application/pdf"] {
                let made = convert(half, "image/jpeg", to).map(drop);
                assert_eq!(made, refused, "{percent} {to}");
            }
        }
    }
}

#[test]
fn a_jpeg_whose_end_is_not_marked_or_is_followed_by_other_bytes_is_whole() {
    for jpeg in jpegs() {
        let shown = image::load_from_memory(&jpeg).expect("an image").to_rgb8();
        let unmarked = jpeg[..jpeg.len() - 2].to_vec();
        let zeros = [&jpeg[..], &[0; 1000]].concat();
        // A motion photo: its video follows the picture.
        let video = [
            &jpeg[..],
            b"\0\0\0\x18ftypmp42 and a video",
            &[0xff, 0xd8, 0xff],
        ]
        .concat();
        for (n, source) in [unmarked, zeros, video].iter().enumerate() {
            let same = kept(source, "image/jpeg").expect("a JPEG");
            assert!(
                same.ends_with(&[0xff, 0xd9]) && same.len() <= jpeg.len(),
                "{n}"
            );
            let made = convert(source, "image/jpeg", "image/png").expect("a PNG");
            for image in [same, made] {
                let image = image::load_from_memory(&image).expect("an image");
                assert!(image.to_rgb8() == shown, "{n}");
            }
        }
    }
}

#[test]
fn an_image_that_is_wanted_as_it_is_is_refused_by_its_size_too() {
    let mut gif = encoded(DynamicImage::from(flag()).to_rgba8(), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0x60, 0xea, 0x60, 0xea]);
    let mut bmp = encoded(flag(), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    for (media_type, content) in [
        ("image/png", png_that_claims(60_000)),
        ("image/png", png_that_claims(12_000)),
        ("image/gif", gif),
        ("image/bmp", bmp),
    ] {
        let refused = kept(&content, media_type);
        assert_eq!(refused, Err(Rejection::ImageTooLarge), "{media_type}");
    }
    for (media_type, format) in [
        ("image/gif", ImageFormat::Gif),
        ("image/bmp", ImageFormat::Bmp),
    ] {
        let content = encoded(DynamicImage::from(flag()).to_rgba8(), format);
        assert_eq!(kept(&content, media_type), Ok(content));
    }
}

#[test]
fn an_image_that_is_wanted_as_it_is_is_refused_when_it_was_cut() {
    for (media_type, format) in [
        ("image/png", ImageFormat::Png),
        ("image/webp", ImageFormat::WebP),
        ("image/gif", ImageFormat::Gif),
        ("image/bmp", ImageFormat::Bmp),
    ] {
        let content = encoded(DynamicImage::from(noise(200, 100)).to_rgba8(), format);
        let cut = &content[..content.len() / 2];
        let refused = kept(cut, media_type);
        assert_eq!(refused, Err(Rejection::Unreadable), "{media_type}");
    }
}

/// An animation whose only frame covers a corner of a canvas that says nothing of transparency.
fn small_frame() -> Vec<u8> {
    let frame = encoded(flag(), ImageFormat::WebP);
    let mut anmf = vec![0; 6];
    anmf.extend([63, 0, 0, 31, 0, 0, 100, 0, 0, 2]);
    anmf.extend(&frame[12..]);
    let chunk = |kind: &[u8], content: &[u8]| {
        let len = u32::try_from(content.len()).expect("a length");
        [kind, &len.to_le_bytes(), content].concat()
    };
    let body = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", &[2, 0, 0, 0, 159, 0, 0, 95, 0, 0]),
        chunk(b"ANIM", &[0; 6]),
        chunk(b"ANMF", &anmf),
    ]
    .concat();
    chunk(b"RIFF", &body)
}

#[test]
fn what_no_frame_covers_is_white() {
    for to in ["image/jpeg", "image/png"] {
        let made = convert(&small_frame(), "image/webp", to).expect("a result");
        let made = image::load_from_memory(&made).expect("an image").to_rgb8();
        assert_eq!(made.dimensions(), (160, 96));
        assert!(near(*made.get_pixel(150, 90), [255; 3]), "{to}");
        assert!(near(*made.get_pixel(32, 4), [220, 20, 20]), "{to}");
    }
}
