//! Conversion of real images, each result decoded and looked at.

use std::io::Cursor;

use crate::common::{
    Backend, JumpingClock, TestEdge, announce, event_id, file_id, job, open, step,
};
use chatlift_backend::pipeline::Rejection;
use chatlift_backend::pipeline::convert::image::Images;
use chatlift_backend::pipeline::convert::{Conversion, ConvertError, Converter as _};
use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::Stage;
use image::codecs::jpeg::JpegEncoder;
use image::{
    DynamicImage, ImageDecoder as _, ImageEncoder as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage,
};

/// Red above, blue below, wider than high.
fn flag() -> RgbImage {
    RgbImage::from_fn(64, 32, |_, y| {
        Rgb(if y < 16 { [220, 20, 20] } else { [20, 20, 220] })
    })
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).expect("an image");
    bytes.into_inner()
}

/// A JPEG whose EXIF says how to turn it, and holds a place that must not travel on.
fn jpeg_with_exif(image: &RgbImage, orientation: u8) -> Vec<u8> {
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
fn png_that_claims(side: u32) -> Vec<u8> {
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

/// The photo's pixels as they are shown, turned as its EXIF says.
fn shown(photo: &[u8]) -> RgbImage {
    let mut decoder = image::ImageReader::new(Cursor::new(photo))
        .with_guessed_format()
        .expect("a format")
        .into_decoder()
        .expect("an image");
    let turn = decoder.orientation().expect("an orientation");
    let mut image = DynamicImage::from_decoder(decoder).expect("an image");
    image.apply_orientation(turn);
    image.to_rgb8()
}

async fn delivered(content: &[u8], media_type: &str, formats: &[&str]) -> Vec<u8> {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    edge.hold(file_id(1), content, "\"v1\"");
    let backend = Backend::start(data.path(), &edge).await;
    backend
        .tell(
            event_id(1),
            &announce(1, "a.jpg", media_type, content, formats),
        )
        .await;
    let ended = backend.ended(file_id(1)).await;
    assert_eq!(ended.stage, Stage::Done, "{:?}", ended.last_error);
    let bytes = backend.content(file_id(1)).await.bytes().await;
    backend.stop().await;
    bytes.expect("bytes").to_vec()
}

#[tokio::test]
async fn a_file_of_an_app_without_formats_is_delivered_to_the_byte() {
    let photo = jpeg_with_exif(&flag(), 6);
    assert_eq!(delivered(&photo, "image/jpeg", &[]).await, photo);
}

#[tokio::test]
async fn a_photo_in_one_of_the_formats_keeps_its_pixels_and_loses_its_place() {
    let formats = ["application/pdf", "image/jpeg", "image/png", "image/webp"];
    for turn in [1, 3, 6, 8] {
        let photo = jpeg_with_exif(&flag(), turn);
        let got = delivered(&photo, "image/jpeg", &formats).await;
        assert!(!got.windows(12).any(|w| w == b"SECRET-PLACE"), "{turn}");
        assert_eq!(shown(&got), shown(&photo), "{turn}");
    }
    for (format, media_type) in [
        (ImageFormat::Png, "image/png"),
        (ImageFormat::WebP, "image/webp"),
    ] {
        let plain = encoded(flag(), format);
        assert_eq!(delivered(&plain, media_type, &formats).await, plain);
        let told = with_exif(&plain, format);
        let got = delivered(&told, media_type, &formats).await;
        assert!(
            !got.windows(12).any(|w| w == b"SECRET-PLACE"),
            "{media_type}"
        );
        assert_eq!(shown(&got), shown(&told), "{media_type}");
    }
}

/// The image with EXIF that turns it and holds a place.
fn with_exif(image: &[u8], format: ImageFormat) -> Vec<u8> {
    let photo = image::load_from_memory(image).expect("an image").to_rgb8();
    let mut tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    tiff.extend(b"SECRET-PLACE-52");
    let mut out = Vec::new();
    let (w, h) = photo.dimensions();
    let color = image::ExtendedColorType::Rgb8;
    match format {
        ImageFormat::Png => {
            let mut encoder = image::codecs::png::PngEncoder::new(&mut out);
            encoder.set_exif_metadata(tiff).expect("EXIF");
            encoder.write_image(&photo, w, h, color).expect("a PNG");
        }
        _ => {
            let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut out);
            encoder.set_exif_metadata(tiff).expect("EXIF");
            encoder.write_image(&photo, w, h, color).expect("a WebP");
        }
    }
    assert!(out.windows(12).any(|w| w == b"SECRET-PLACE"));
    out
}

#[tokio::test]
async fn a_photo_becomes_a_pdf_of_one_page() {
    let got = delivered(
        &encoded(flag(), ImageFormat::Png),
        "image/png",
        &["application/pdf"],
    )
    .await;
    assert!(got.starts_with(b"%PDF-"));
    let text = String::from_utf8_lossy(&got);
    assert!(
        text.contains("/Count 1") && text.contains("/DCTDecode"),
        "{text}"
    );
}

#[tokio::test]
async fn a_missing_program_parks_the_job_and_names_its_package() {
    let data = tempfile::tempdir().expect("a folder");
    let (edge, clock) = (TestEdge::start().await, JumpingClock::new());
    let content = b"{\\rtf1 words}";
    edge.hold(file_id(1), content, "\"v1\"");
    let app = crate::common::open_without_programs(data.path(), &edge, &clock).await;
    let event = announce(1, "a.rtf", "application/rtf", content, &["application/pdf"]);
    app.store()
        .record_event(event_id(1), &event, clock.now())
        .await
        .expect("recorded");
    step(&app, file_id(1)).await;
    step(&app, file_id(1)).await;
    let parked = job(&app, file_id(1)).await;
    assert_eq!(parked.stage, Stage::Parked);
    let error = parked.last_error.expect("a sentence");
    assert!(
        error.contains("apt-get install libreoffice-writer-nogui"),
        "{error}"
    );
}

#[tokio::test]
async fn a_hostile_file_is_rejected_in_words_and_the_next_one_is_delivered() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let files = [
        (1, png_that_claims(30_000), "image/png", "too large"),
        (
            2,
            b"\xff\xd8\xff\xe0 cut short".to_vec(),
            "image/png",
            "damaged",
        ),
        (
            3,
            b"\x02#!SILK_V3".to_vec(),
            "application/octet-stream",
            "cannot be turned into",
        ),
    ];
    for (n, content, media_type, words) in files {
        edge.hold(file_id(n), &content, "\"v1\"");
        let event = announce(n, "a", media_type, &content, &["image/jpeg"]);
        backend.tell(event_id(n), &event).await;
        let ended = backend.ended(file_id(n)).await;
        assert_eq!(ended.stage, Stage::Parked);
        assert!(ended.reason.expect("a reason").contains(words), "{words}");
    }
    let png = encoded(flag(), ImageFormat::Png);
    edge.hold(file_id(4), &png, "\"v1\"");
    backend
        .tell(
            event_id(4),
            &announce(4, "a.png", "image/png", &png, &["image/jpeg"]),
        )
        .await;
    assert_eq!(backend.ended(file_id(4)).await.stage, Stage::Done);

    edge.receipts(3 * 2 + 3).await;
    let rejected: Vec<String> = edge
        .lock()
        .receipts
        .iter()
        .filter_map(|(_, r)| r.reason.clone())
        .collect();
    assert_eq!(rejected.len(), 3);
    let codes: Vec<String> = edge
        .lock()
        .receipts
        .iter()
        .filter_map(|(_, r)| r.code.clone())
        .collect();
    for code in ["image-too-large", "unreadable", "no-usable-format"] {
        assert!(codes.iter().any(|c| c == code), "{code} in {codes:?}");
    }
    backend.stop().await;
}

#[tokio::test]
async fn a_file_that_kills_the_process_again_and_again_is_parked() {
    let data = tempfile::tempdir().expect("a folder");
    let (edge, clock) = (TestEdge::start().await, JumpingClock::new());
    let png = encoded(flag(), ImageFormat::Png);
    edge.hold(file_id(1), &png, "\"v1\"");
    let app = open(data.path(), &edge, &clock).await;
    let event = announce(1, "a.png", "image/png", &png, &["image/jpeg"]);
    app.store()
        .record_event(event_id(1), &event, clock.now())
        .await
        .expect("recorded");
    step(&app, file_id(1)).await;
    // Each is a process that died in the conversion; the first deaths are forgiven.
    for deaths in 1..=12 {
        app.store()
            .conversion_begins(file_id(1), clock.now())
            .await
            .expect("recorded");
        assert_eq!(job(&app, file_id(1)).await.crashes, deaths);
        assert_eq!(job(&app, file_id(1)).await.stage, Stage::Convert);
    }
    step(&app, file_id(1)).await;
    assert_eq!(job(&app, file_id(1)).await.stage, Stage::Parked);
}

#[tokio::test]
async fn a_file_in_whose_conversion_the_process_died_waits_before_it_is_begun_again() {
    let data = tempfile::tempdir().expect("a folder");
    let (edge, clock) = (TestEdge::start().await, JumpingClock::new());
    let png = encoded(flag(), ImageFormat::Png);
    edge.hold(file_id(1), &png, "\"v1\"");
    let app = open(data.path(), &edge, &clock).await;
    let event = announce(1, "a.png", "image/png", &png, &["image/jpeg"]);
    let now = clock.now();
    app.store()
        .record_event(event_id(1), &event, now)
        .await
        .expect("recorded");
    step(&app, file_id(1)).await;
    let later = now.plus(std::time::Duration::from_secs(8));
    app.store()
        .conversion_begins(file_id(1), later)
        .await
        .expect("recorded");
    let due = app.store().due_jobs(now, 10).await.expect("the store");
    assert!(due.is_empty(), "others go first");
    step(&app, file_id(1)).await;
    assert_eq!(job(&app, file_id(1)).await.stage, Stage::Deliver);
    assert_eq!(job(&app, file_id(1)).await.crashes, 0);
}
