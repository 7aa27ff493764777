//! Fuzz tests of what reads files in this process: archives, mails, images, text. `chatlift_fuzz` says how they are played.

use std::fs::{self, File};
use std::io::BufReader;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use ::image::{DynamicImage, ImageFormat, ImageReader};
use chatlift_fuzz::check;
use chatlift_shared::digest::Sha256;
use chatlift_shared::media::is_media_type;
use chatlift_shared::name;
use tempfile::TempDir;

use super::archive::{UNPACKED_MAX, list, unpack};
use super::image::Turn;
use super::tiff::Pages;
use super::{ConvertError, clean, heif, image, mail, text};

/// Most bytes of a member that is unpacked.
const MEMBER_MAX: u64 = 64 * 1024;

/// Most pixels of an image that is drawn.
const DRAWN_MAX: u64 = 128 * 128;

/// A folder in memory where the system has one: each member is synced.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    folder.expect("a folder")
}

/// What was made of a file; nothing where the file is to blame that nothing was.
fn made<T>(result: Result<T, ConvertError>) -> Option<T> {
    match result {
        Ok(made) => Some(made),
        Err(ConvertError::Rejected { .. }) => None,
        Err(ours) => panic!("a file is no trouble of ours: {ours}"),
    }
}

/// Unpacks the first members of the zip at `path`; how many it has, and how many were taken whole.
fn unpack_all(path: &Path, target: &Path) -> (usize, usize) {
    let Some(found) = made(list(path)) else {
        return (0, 0);
    };
    assert!((1..=200).contains(&found.len()));
    let sizes: u64 = found.iter().map(|member| member.size).sum();
    assert!(sizes <= UNPACKED_MAX);
    let mut whole = 0;
    for (n, member) in (1..).zip(&found).take(8) {
        assert_eq!(member.place, n);
        assert_eq!(member.name, name::safe(&member.name));
        let unpacked = made(unpack(path, member, target, MEMBER_MAX));
        let bytes = fs::read(target).expect("a member");
        assert!(
            bytes.len() as u64 <= MEMBER_MAX.min(member.size) + 1,
            "{} of {}",
            bytes.len(),
            member.size
        );
        let Some(unpacked) = unpacked else { continue };
        whole += 1;
        assert_eq!((unpacked.place, &unpacked.name), (n, &member.name));
        assert_eq!(
            (unpacked.size, unpacked.size),
            (member.size, bytes.len() as u64)
        );
        assert_eq!(unpacked.sha256, Sha256::of(&bytes));
        assert!(is_media_type(&unpacked.media_type));
    }
    (found.len(), whole)
}

fn files(folder: &TempDir) -> [PathBuf; 3] {
    ["source", "made", "member"].map(|name| folder.path().join(name))
}

/// The input is a zip.
#[test]
fn fuzz_archive() {
    let folder = folder();
    let [source, _, target] = files(&folder);
    check("archive", |bytes| {
        fs::write(&source, bytes).expect("a file");
        unpack_all(&source, &target);
    });
}

/// The input is a mail.
#[test]
fn fuzz_mail() {
    let folder = folder();
    let [source, zip, target] = files(&folder);
    check("mail", |bytes| {
        fs::write(&source, bytes).expect("a file");
        // As it is called: a parser that panics refuses the mail.
        let Ok(result) = catch_unwind(|| mail::as_zip(&source, &zip)) else {
            return;
        };
        if made(result).is_some() {
            // What we write we read: the text and each attachment, those without bytes too.
            let (found, whole) = unpack_all(&zip, &target);
            let large = fs::metadata(&zip).expect("a zip").len() > MEMBER_MAX;
            assert!(
                found > 0 && (large || whole == found.min(8)),
                "{whole} of {found}"
            );
        }
        let _ = catch_unwind(|| made(mail::page(&source)));
    });
}

/// The image at `path`, if it is one that is read quickly.
fn drawn(path: &Path, format: ImageFormat) -> Option<DynamicImage> {
    let source = || BufReader::new(File::open(path).expect("a file"));
    let (width, height) = ImageReader::with_format(source(), format)
        .into_dimensions()
        .ok()?;
    if u64::from(width) * u64::from(height) > DRAWN_MAX {
        return None;
    }
    made(image::read(path, format, Turn::Never)).map(|picture| picture.image)
}

/// The input is an image, of which each reader of images is asked.
#[test]
fn fuzz_image() {
    let folder = folder();
    let [source, cleaned, _] = files(&folder);
    check("image", |bytes| {
        fs::write(&source, bytes).expect("a file");
        let _ = made(heif::check(&source));
        if let Some(pages) = made(Pages::of(&source, folder.path())) {
            for n in 0..pages.count().min(3) {
                let _ = made(pages.at(n));
            }
        }
        for media_type in ["image/jpeg", "image/png", "image/webp"] {
            let Some(clean) = clean::clean(bytes, media_type) else {
                continue;
            };
            let again = clean::clean(&clean, media_type);
            assert_eq!(
                again.as_ref(),
                Some(&clean),
                "{media_type} that was cleaned"
            );
            let format = image::source_format(media_type).expect("a format");
            if let Some(image) = drawn(&source, format) {
                fs::write(&cleaned, &clean).expect("a file");
                assert_eq!(
                    drawn(&cleaned, format),
                    Some(image),
                    "{media_type} draws the same"
                );
            }
        }
    });
}

/// The input is text or an HTML page, in any encoding.
#[test]
fn fuzz_text() {
    check("text", |bytes| {
        let text = text::decode(bytes);
        if let Ok(utf8) = str::from_utf8(bytes)
            && !utf8.is_ascii()
            && !utf8.contains('\0')
        {
            assert_eq!(text, utf8.strip_prefix('\u{feff}').unwrap_or(utf8));
        }
        let page = text::decode_html(bytes);
        assert!(page.is_ascii());
        assert_eq!(text::in_ascii(&page), page);
    });
}
