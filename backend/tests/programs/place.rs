//! Where and by whom a photo or a video was made does not travel on, though the app takes the file
//! as it is. Looked for by another program than the one that takes it away: exiftool for videos,
//! ffprobe, the bytes themselves.

use std::fs;
use std::path::Path;

use chatlift_backend::store::Stage;

use crate::common::{Backend, TestEdge, announce, event_id, file_id};
use crate::make::{self, program};

/// A place in the sea, in the ways in which files write it, and words that tell of a person.
const TELLS: [&str; 5] = ["GPS", "48 deg", "Secretville", "Jane", "48.1"];

/// All that exiftool says of a file, by group.
fn said_of(path: &Path) -> String {
    let arguments = ["-a", "-G1", "-ee", path.to_str().expect("UTF-8")];
    program("exiftool", "libimage-exiftool-perl", &arguments).expect("what is in it")
}

/// What ffprobe says of a container and its streams.
fn tags_of(path: &Path) -> String {
    let path = path.to_str().expect("UTF-8");
    let arguments = ["-v", "error", "-show_format", "-show_streams", path];
    program("ffprobe", "ffmpeg", &arguments).expect("what is in it")
}

fn write(path: &Path, tags: &[&str]) {
    let mut arguments = vec!["-q", "-overwrite_original"];
    arguments.extend(tags);
    arguments.push(path.to_str().expect("UTF-8"));
    program("exiftool", "libimage-exiftool-perl", &arguments).expect("tags");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_place_travels_with_a_file_that_the_app_takes_as_it_is() {
    crate::sandbox();
    let samples = tempfile::tempdir().expect("a folder");
    let folder = samples.path();
    make::all(folder).expect("the samples");
    let photo = [
        "-GPSLatitude=48.1",
        "-GPSLatitudeRef=N",
        "-GPSLongitude=11.5",
        "-GPSLongitudeRef=E",
        "-XMP:City=Secretville",
        "-Artist=Jane",
    ];
    let video = [
        "-Keys:GPSCoordinates=48.1, 11.5, 500",
        "-UserData:GPSCoordinates=48.1, 11.5, 500",
        "-XMP:City=Secretville",
        "-ItemList:Artist=Jane",
    ];
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    for (n, (name, media_type, tags)) in (1..).zip([
        ("flag.heic", "image/heif", &photo[..]),
        ("flag.tiff", "image/tiff", &photo),
        ("flag.avif", "image/avif", &photo),
        ("clip.mp4", "video/mp4", &video),
        ("clip.mov", "video/quicktime", &video),
        ("voice.m4a", "audio/mp4", &video),
    ]) {
        let path = folder.join(name);
        write(&path, tags);
        let before = said_of(&path);
        assert!(before.contains("48 deg"), "{name} {before}");
        let content = fs::read(&path).expect("a sample");
        edge.hold(file_id(n), &content, "\"v1\"");
        let event = announce(n, name, media_type, &content, &[media_type]);
        backend.tell(event_id(n), &event).await;
        let ended = backend.ended(file_id(n)).await;
        assert_eq!(ended.stage(), Stage::Done, "{name} {:?}", ended.last_error);
        let made = backend.content(file_id(n)).await.bytes().await;
        let made = made.expect("bytes");
        let result = folder.join(format!("kept-{name}"));
        fs::write(&result, &made).expect("a file");
        let mut after = said_of(&result);
        if !media_type.starts_with("image/") {
            after += &tags_of(&result);
        }
        println!("{name}: {} bytes, {} after", content.len(), made.len());
        for tell in TELLS {
            assert!(!after.contains(tell), "{name}: {tell} in {after}");
        }
        for word in [&b"Secretville"[..], b"Jane", b"+48.1"] {
            assert!(!made.windows(word.len()).any(|w| w == word), "{name}");
        }
        // What is seen and heard is what it was.
        let digest = |path: &Path| {
            let arguments = ["-v", "error", "-i", path.to_str().expect("UTF-8")];
            let md5 = ["-map", "0:V?", "-map", "0:a?", "-f", "md5", "-"];
            program("ffmpeg", "ffmpeg", &[&arguments[..], &md5].concat())
        };
        if !media_type.starts_with("image/") {
            assert_eq!(digest(&result), digest(&path), "{name}");
        } else if media_type != "image/avif" {
            // ImageMagick of Debian 12 cannot count the difference of two AVIFs.
            let pixels = |path: &Path| {
                let path = path.to_str().expect("UTF-8");
                program("identify", "imagemagick", &["-format", "%# %wx%h", path])
            };
            assert_eq!(pixels(&result), pixels(&path), "{name}");
        }
    }
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_a_tiff_come_along() {
    crate::sandbox();
    let samples = tempfile::tempdir().expect("a folder");
    let scan = samples.path().join("scan.tiff");
    let path = scan.to_str().expect("UTF-8");
    // A fax page of one bit, a colour page and a grey page, each coded in another way.
    let pages = [
        (
            "-size 170x220 xc:white -fill black -draw",
            "rectangle_9,9_99,99",
            "-monochrome -compress Group4",
        ),
        (
            "-size 300x200 xc:#d01010 -draw",
            "point_1,1",
            "-alpha off -compress LZW",
        ),
        (
            "-size 200x200 xc:#808080 -draw",
            "point_1,1",
            "-alpha off -colorspace Gray -compress Zip",
        ),
    ];
    let parts: Vec<String> = (0..pages.len())
        .map(|n| format!("{path}.{n}.tiff"))
        .collect();
    for ((make, draw, how), part) in pages.iter().zip(&parts) {
        let draw = draw.replace('_', " ");
        let mut arguments: Vec<&str> = make.split(' ').collect();
        arguments.push(&draw);
        arguments.extend(how.split(' '));
        arguments.push(part);
        program(make::CONVERT, "imagemagick", &arguments).expect("a page");
    }
    let mut arguments: Vec<&str> = parts.iter().map(String::as_str).collect();
    arguments.push(path);
    program(make::CONVERT, "imagemagick", &arguments).expect("a TIFF");

    let content = fs::read(&scan).expect("a TIFF");
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    for (n, format) in [(1, "application/pdf"), (2, "image/png")] {
        edge.hold(file_id(n), &content, "\"v1\"");
        let event = announce(n, "scan.tiff", "image/tiff", &content, &[format]);
        backend.tell(event_id(n), &event).await;
        let ended = backend.ended(file_id(n)).await;
        assert_eq!(ended.stage(), Stage::Done, "{:?}", ended.last_error);
        let made = backend.content(file_id(n)).await.bytes().await;
        let made = made.expect("bytes").to_vec();
        if n == 1 {
            assert_eq!(crate::families::shapes(&made), [77, 150, 100]);
        } else {
            let image = image::load_from_memory(&made).expect("a PNG");
            assert_eq!((image.width(), image.height()), (300, 220 + 200 + 200));
        }
    }
    backend.stop().await;
}
