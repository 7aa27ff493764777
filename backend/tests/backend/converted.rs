//! Conversion in the pipeline: what is delivered of an image, what is rejected, and what becomes of
//! a file that kills the process.

use std::io::Cursor;

use crate::common::{
    Backend, JumpingClock, TestEdge, announce, event_id, file_id, job, open, step,
};
use crate::convert::{encoded, flag, jpeg_with_exif, png_that_claims};
use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::Stage;
use image::{DynamicImage, ImageDecoder as _, ImageEncoder as _, ImageFormat, RgbImage};

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
    assert_eq!(ended.stage(), Stage::Done, "{:?}", ended.last_error);
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
    assert_eq!(parked.stage(), Stage::Parked);
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
            b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0".to_vec(),
            "audio/wav",
            "cannot be turned into",
        ),
    ];
    for (n, content, media_type, words) in files {
        edge.hold(file_id(n), &content, "\"v1\"");
        let event = announce(n, "a", media_type, &content, &["image/jpeg"]);
        backend.tell(event_id(n), &event).await;
        let ended = backend.ended(file_id(n)).await;
        assert_eq!(ended.stage(), Stage::Parked);
        assert!(ended.told().expect("a reason").contains(words), "{words}");
    }
    let png = encoded(flag(), ImageFormat::Png);
    edge.hold(file_id(4), &png, "\"v1\"");
    backend
        .tell(
            event_id(4),
            &announce(4, "a.png", "image/png", &png, &["image/jpeg"]),
        )
        .await;
    assert_eq!(backend.ended(file_id(4)).await.stage(), Stage::Done);

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
    // Each is a process that died over the file; the first deaths are forgiven.
    for deaths in 1..=3 {
        app.store()
            .conversion_begins(&job(&app, file_id(1)).await, clock.now())
            .await
            .expect("recorded");
        assert_eq!(job(&app, file_id(1)).await.crashes, deaths);
        assert_eq!(job(&app, file_id(1)).await.stage(), Stage::Convert);
    }
    step(&app, file_id(1)).await;
    assert_eq!(job(&app, file_id(1)).await.stage(), Stage::Parked);
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
        .conversion_begins(&job(&app, file_id(1)).await, later)
        .await
        .expect("recorded");
    let due = app.store().due_jobs(now, 10).await.expect("the store");
    assert!(due.is_empty(), "others go first");
    step(&app, file_id(1)).await;
    assert_eq!(job(&app, file_id(1)).await.stage(), Stage::Deliver);
    assert_eq!(job(&app, file_id(1)).await.crashes, 0);
}
