//! Files as people send them, which a converter is tempted to take for something else: what comes
//! out is what the person sees in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_backend::pipeline::Rejection;
use chatlift_backend::store::{Product, Stage, State};

use crate::common::{Backend, TestEdge, announce, event_id, file_id};
use crate::families::archive;
use crate::make::{CONVERT, program};

const OCTETS: &str = "application/octet-stream";
const PDF: &str = "application/pdf";

/// What is delivered of a file, or why it is rejected.
async fn delivered(
    name: &str,
    media_type: &str,
    content: &[u8],
    formats: &[&str],
) -> Result<(Product, Vec<u8>), Rejection> {
    crate::sandbox();
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    edge.hold(file_id(1), content, "\"v1\"");
    let backend = Backend::start(data.path(), &edge).await;
    let event = announce(1, name, media_type, content, formats);
    assert_eq!(backend.tell(event_id(1), &event).await, 204);
    let ended = backend.ended(file_id(1)).await;
    let outcome = if ended.stage() == Stage::Done {
        let bytes = backend.content(file_id(1)).await.bytes().await;
        let product = ended.product().cloned().expect("a product");
        Ok((product, bytes.expect("bytes").to_vec()))
    } else {
        println!("{name}: {:?}", ended.last_error);
        match ended.state {
            State::Parked(rejection) => Err(rejection),
            other => panic!("{other:?}"),
        }
    };
    backend.stop().await;
    outcome
}

/// The words of a PDF, by poppler, without what parts them.
fn words(pdf: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.pdf");
    std::fs::write(&path, pdf).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let said = program("pdftotext", "poppler-utils", &["-enc", "UTF-8", path, "-"]);
    said.expect("a PDF").split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_a_csv_is_the_text_that_it_is() {
    let cells = [
        "110101199003077758",
        "000123456",
        "2026-03-04",
        "3-4",
        "6222021234567890123",
        "013812345678",
        "1/2",
        "1E5",
        "2E10",
        "=1+1",
        "(86)139",
        "100%",
        "12:30",
        "TRUE",
        "1,200.50",
        "-0",
    ];
    let head: Vec<String> = (1..=cells.len()).map(|n| format!("H{n}")).collect();
    for (separator, ending) in [(",", "csv"), (";", "csv"), ("\t", "tsv")] {
        let quoted = cells.map(|cell| match cell.contains(separator) {
            true => format!("\"{cell}\""),
            false => cell.to_owned(),
        });
        let text = [head.join(separator), quoted.join(separator)].join("\r\n");
        let name = format!("ids.{ending}");
        let (_, pdf) = delivered(&name, "text/plain", text.as_bytes(), &[PDF])
            .await
            .expect("a PDF");
        let words = words(&pdf);
        for cell in cells {
            assert!(words.contains(cell), "{cell} is not in {words}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_read_in_the_encoding_that_it_has() {
    let line = "保单号,金额\r\n一百万元整,20418\r\n";
    let wide =
        |write: fn(u16) -> [u8; 2]| -> Vec<u8> { line.encode_utf16().flat_map(write).collect() };
    let page = "<html><head><title>保单</title></head><body><h1>电子保单</h1><p>被保险人：张三，\
                保险金额一百万元整。</p></body></html>";
    let japanese =
        "<html><body><p>保険金請求書：三営業日以内に領収書をご提出ください。</p></body></html>";
    let taiwan = "<html><body><p>海港保險理賠材料：請在三個工作日內提交發票。</p></body></html>";
    for (name, announced, content, word) in [
        ("a.csv", OCTETS, wide(u16::to_le_bytes), "一百万元整"),
        ("b.csv", OCTETS, wide(u16::to_be_bytes), "一百万元整"),
        ("c.txt", OCTETS, wide(u16::to_le_bytes), "一百万元整"),
        (
            "d.html",
            "text/html",
            encoding_rs::GBK.encode(page).0.into(),
            "保险金额一百万元整",
        ),
        ("e.html", "text/html", page.into(), "保险金额一百万元整"),
        (
            "f.html",
            "text/html",
            encoding_rs::SHIFT_JIS.encode(japanese).0.into(),
            "保険金請求書",
        ),
        (
            "g.htm",
            OCTETS,
            encoding_rs::BIG5.encode(taiwan).0.into(),
            "海港保險理賠材料",
        ),
    ] {
        let (_, pdf) = delivered(name, announced, &content, &[PDF])
            .await
            .unwrap_or_else(|rejection| panic!("{name}: {rejection}"));
        let words = words(&pdf);
        assert!(words.contains(word), "{name}: {word} is not in {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_of_any_coding_is_delivered_whole_and_refused_when_it_was_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, how) in [
        ("plain.jpg", "-quality 90"),
        ("progressive.jpg", "-interlace Plane"),
        ("dense.jpg", "-sampling-factor 4:4:4"),
        ("half.jpg", "-sampling-factor 4:2:2"),
        ("grey.jpg", "-colorspace Gray"),
        ("cmyk.jpg", "-colorspace CMYK"),
        ("restarts.jpg", "-define jpeg:restart-interval=4"),
    ] {
        let path = folder.path().join(name);
        let path = path.to_str().expect("UTF-8");
        let mut arguments = vec!["-size", "640x480", "-seed", "1", "plasma:red-blue"];
        arguments.extend(how.split(' '));
        arguments.push(path);
        program(CONVERT, "imagemagick", &arguments).expect("a photo");
        let photo = std::fs::read(path).expect("a photo");
        let unmarked = photo[..photo.len() - 2].to_vec();
        let cut = photo[..photo.len() * 60 / 100].to_vec();
        let jpeg = "image/jpeg";
        for format in [jpeg, PDF] {
            for whole in [&photo, &unmarked] {
                let made = delivered(name, jpeg, whole, &[format]).await;
                assert!(made.is_ok(), "{name} {format} {made:?}");
            }
            let made = delivered(name, jpeg, &cut, &[format]).await;
            assert_eq!(
                made.map(drop),
                Err(Rejection::Unreadable),
                "{name} {format}"
            );
        }
    }
}

/// A video or sound by ffmpeg's words.
fn media(name: &str, how: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    let mut arguments = vec!["-loglevel", "error", "-y"];
    arguments.extend(how.split_whitespace());
    arguments.push(path.to_str().expect("UTF-8"));
    program("ffmpeg", "ffmpeg", &arguments).expect("a video");
    std::fs::read(path).expect("a video")
}

/// What ffprobe says of each stream.
fn streams(media: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    std::fs::write(&path, media).expect("a file");
    let entries = "stream=codec_name,pix_fmt,width,height";
    let path = path.to_str().expect("UTF-8");
    let arguments = [
        "-v",
        "error",
        "-show_entries",
        entries,
        "-of",
        "csv=p=0",
        path,
    ];
    let said = program("ffprobe", "ffmpeg", &arguments).expect("streams");
    said.lines()
        .map(|line| line.trim_matches(',').to_owned())
        .collect()
}

const PICTURE: &str = "-f lavfi -i testsrc=size=321x241:rate=5:duration=1";
const SOUND: &str = "-f lavfi -i sine=duration=1";

#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_is_one_that_phones_play() {
    let mp4 = "video/mp4";
    for (name, how, kept) in [
        (
            "usual.mp4",
            "-pix_fmt yuv420p -c:v libx264 -c:a aac -vf crop=320:240",
            true,
        ),
        ("dense.mp4", "-pix_fmt yuv444p -c:v libx264 -c:a aac", false),
        (
            "deep.mp4",
            "-pix_fmt yuv420p10le -c:v libx264 -c:a aac -vf crop=320:240",
            false,
        ),
        ("old.mp4", "-c:v mpeg4 -c:a aac -vf crop=320:240", false),
        (
            "lossless.mp4",
            "-pix_fmt yuv420p -c:v libx264 -c:a alac -vf crop=320:240",
            false,
        ),
    ] {
        let video = media(name, &format!("{PICTURE} {SOUND} {how} -shortest"));
        let (product, made) = delivered(name, mp4, &video, &[PDF, mp4]).await.expect(name);
        assert_eq!((&product.media_type[..], &product.name[..]), (mp4, name));
        let found = streams(&made);
        assert_eq!(found[1..], ["aac"], "{name}");
        assert!(
            found[0].starts_with("h264,32") && found[0].ends_with(",yuv420p"),
            "{found:?}"
        );
        if kept {
            assert!(
                made.len().abs_diff(video.len()) < 2_000,
                "{name} is only copied"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_format_is_tried_where_a_file_cannot_have_the_first() {
    let silent = media(
        "silent.mov",
        &format!("{PICTURE} -pix_fmt yuv420p -vf crop=320:240"),
    );
    let sound = media("sound.mp4", &format!("{SOUND} -c:a aac"));
    let wide = media(
        "wide.png",
        "-f lavfi -i color=red:size=17000x20 -frames:v 1",
    );
    let (mp4, mp3, png) = ("video/mp4", "audio/mpeg", "image/png");
    let scan = {
        let (_, pdf) = delivered("a.png", png, &wide, &[PDF]).await.expect("a PDF");
        pdf
    };
    for (name, media_type, content, formats, expected) in [
        (
            "silent.mov",
            "video/quicktime",
            &silent,
            &[mp3, mp4][..],
            Ok("silent.mp4"),
        ),
        (
            "silent.mov",
            "video/quicktime",
            &silent,
            &[mp3],
            Err(Rejection::NoUsableFormat),
        ),
        (
            "sound.mov",
            "video/quicktime",
            &sound,
            &[mp4, mp3],
            Ok("sound.mp4"),
        ),
        ("scan.pdf", PDF, &scan, &["text/plain", png], Ok("scan.png")),
        (
            "wide.png",
            png,
            &wide,
            &["image/webp", "image/jpeg"],
            Ok("wide.jpg"),
        ),
    ] {
        let made = delivered(name, media_type, content, formats).await;
        let made = made.map(|(product, _)| product.name);
        assert_eq!(made, expected.map(str::to_owned), "{name} {formats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extension_says_what_a_file_is() {
    let png = media("a.png", "-f lavfi -i color=red:size=64x48 -frames:v 1");
    let jpeg = media("a.jpg", "-f lavfi -i color=red:size=64x48 -frames:v 1");
    for (name, content, formats, expected) in [
        ("photo.jpg", &png, &[][..], ("photo.png", "image/png")),
        (
            "photo.jpg",
            &png,
            &["image/png"],
            ("photo.png", "image/png"),
        ),
        (
            "photo.png",
            &jpeg,
            &["image/jpeg"],
            ("photo.jpg", "image/jpeg"),
        ),
        (
            "photo.png",
            &jpeg,
            &["image/webp"],
            ("photo.webp", "image/webp"),
        ),
        ("image:1641", &jpeg, &[], ("image-1641.jpg", "image/jpeg")),
    ] {
        let (product, _) = delivered(name, OCTETS, content, formats).await.expect(name);
        assert_eq!((&product.name[..], &product.media_type[..]), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_more_than_that_is_read_as_what_it_is_or_refused() {
    let workbook = r#"<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet ss:Name="S1"><Table><Row><Cell><Data ss:Type="String">保单一</Data></Cell></Row></Table></Worksheet></Workbook>"#;
    let plain = "text/plain";
    let (_, pdf) = delivered("table.xls", plain, workbook.as_bytes(), &[PDF])
        .await
        .expect("a PDF");
    let words = words(&pdf);
    assert!(
        words.contains("保单一") && !words.contains("Workbook"),
        "{words}"
    );
    let letters = "IyFBTVIKPCQCB1AQS+XIzAHq5xVlV8AA";
    let made = delivered("voice.amr", plain, letters.as_bytes(), &[PDF, "audio/mpeg"]).await;
    assert_eq!(made.map(drop), Err(Rejection::NoUsableFormat));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_page_is_read_with_its_pictures() {
    let picture = media("a.png", "-f lavfi -i color=red:size=64x48 -frames:v 1");
    let page = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\n\
         Content-Type: text/html; charset=gb2312\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Location: file:///C:/page.htm\r\n\r\n{}\r\n--x\r\nContent-Type: image/png\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Location: file:///C:/a.png\r\n\r\n{}\r\n--x--\r\n",
        STANDARD.encode(
            encoding_rs::GBK
                .encode("<html><p>保险理赔</p><img src=\"file:///C:/a.png\"></html>")
                .0
        ),
        STANDARD.encode(&picture),
    );
    let (_, pdf) = delivered("report.doc", OCTETS, page.as_bytes(), &[PDF])
        .await
        .expect("a PDF");
    let words = words(&pdf);
    assert!(
        words.contains("保险理赔") && !words.contains("MIME"),
        "{words}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.pdf");
    std::fs::write(&path, pdf).expect("a file");
    let list = ["-list", path.to_str().expect("UTF-8")];
    let pictures = program("pdfimages", "poppler-utils", &list).expect("a list");
    assert!(
        pictures.contains(" 64 ") && pictures.contains(" 48 "),
        "{pictures}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_refused_by_its_name() {
    let package = |names: &[&[u8]]| {
        let members: Vec<(&[u8], &[u8])> = names.iter().map(|name| (*name, &b"x"[..])).collect();
        archive(&members)
    };
    for (name, content, expected) in [
        (
            "letter.pages",
            package(&[b"preview.jpg", b"Index/Document.iwa"]),
            Rejection::ApplePages,
        ),
        (
            "invoice.ofd",
            package(&[b"Doc_0/Res/seal.png", b"OFD.xml"]),
            Rejection::Ofd,
        ),
        (
            "msg.amr",
            b"\x02#!SILK_V3\x0c\0".to_vec(),
            Rejection::SilkVoice,
        ),
        (
            "setup.exe",
            b"MZ\x90\0\x03\0\0\0".to_vec(),
            Rejection::Program,
        ),
        (
            "plan.dwg",
            b"AC1032\0\0\0\0".to_vec(),
            Rejection::CadDrawing,
        ),
    ] {
        let refused = delivered(name, OCTETS, &content, &[PDF, "image/jpeg"]).await;
        assert_eq!(refused.map(drop), Err(expected), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdf_behind_other_bytes_is_one() {
    let page = "<p>words</p>".as_bytes();
    let (_, pdf) = delivered("a.html", "text/html", page, &[PDF])
        .await
        .expect("a PDF");
    let late = [vec![0xaa; 990], b"\n".to_vec(), pdf].concat();
    for format in [PDF, "text/plain", "image/jpeg"] {
        let (product, _) = delivered("a.pdf", OCTETS, &late, &[format])
            .await
            .expect(format);
        assert_eq!(product.media_type, format);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_and_faxes_of_any_coding_keep_their_picture_and_their_shape() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, how, size) in [
        ("group3.tif", "-monochrome -compress Fax", (600, 400)),
        ("group4.tif", "-monochrome -compress Group4", (600, 400)),
        ("palette.tif", "-type Palette -compress None", (600, 400)),
        ("lzw.tif", "-compress LZW", (600, 400)),
        ("deep.tif", "-depth 16 -compress Zip", (600, 400)),
        (
            "fax.tif",
            "-monochrome -compress Group4 -density 204x102 -units PixelsPerInch",
            (600, 800),
        ),
        (
            "wide.tif",
            "-compress LZW -density 100x200 -units PixelsPerInch",
            (1200, 400),
        ),
    ] {
        let path = folder.path().join(name);
        let path = path.to_str().expect("UTF-8");
        let draw = "rectangle 0,0 299,399";
        let mut arguments = vec![
            "-size", "600x400", "xc:white", "-fill", "black", "-draw", draw,
        ];
        arguments.extend(how.split(' '));
        arguments.push(path);
        program(CONVERT, "imagemagick", &arguments).expect("a scan");
        let scan = std::fs::read(path).expect("a scan");
        let (_, made) = delivered(name, "image/tiff", &scan, &["image/png"])
            .await
            .expect(name);
        let made = image::load_from_memory(&made).expect("an image").to_rgb8();
        assert_eq!(made.dimensions(), size, "{name}");
        let (left, right) = (
            made.get_pixel(20, 200).0,
            made.get_pixel(size.0 - 20, 200).0,
        );
        assert!(left[0] < 20 && right[0] > 235, "{name} {left:?} {right:?}");
        let cut = &scan[..scan.len() / 2];
        let refused = delivered(name, "image/tiff", cut, &["image/png"]).await;
        assert_eq!(refused.map(drop), Err(Rejection::Unreadable), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiff_of_any_colours_and_layout_keeps_its_picture_upright() {
    let folder = tempfile::tempdir().expect("a folder");
    let flag = "-fill red -draw rectangle_0,0_299,399 -fill white -draw rectangle_300,0_599,399";
    for (name, how) in [
        ("cmyk.tif", "-depth 8 -colorspace CMYK -compress LZW"),
        ("deep-cmyk.tif", "-depth 16 -colorspace CMYK -compress Zip"),
        ("inks.tif", "-depth 8 -alpha set -colorspace CMYK"),
        (
            "planar-cmyk.tif",
            "-depth 8 -colorspace CMYK -interlace plane",
        ),
        (
            "lab.tif",
            "-depth 8 -colorspace Lab -alpha off -compress LZW",
        ),
        ("planar.tif", "-depth 8 -interlace plane"),
        ("tiles.tif", "-depth 8 -define tiff:tile-geometry=128x128"),
        ("turned.tif", "-type Palette -compress LZW"),
        ("zstd.tif", "-depth 8 -compress zstd"),
        ("lzma.tif", "-depth 8 -compress LZMA"),
        ("runs.tif", "-depth 8 -compress RLE"),
        ("big.tif", "-depth 8 -compress LZW"),
    ] {
        let path = folder.path().join(name);
        let target = match name {
            "big.tif" => format!("tiff64:{}", path.display()),
            _ => path.display().to_string(),
        };
        let words = format!("-size 600x400 xc:white {flag} {how}");
        let words: Vec<String> = words
            .split(' ')
            .map(|word| word.replace('_', " "))
            .collect();
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        if name == "turned.tif" {
            arguments.extend(["-orient", "RightTop"]);
        }
        arguments.push(&target);
        program(CONVERT, "imagemagick", &arguments).expect(name);
        let scan = std::fs::read(path).expect("a scan");
        let (_, made) = delivered(name, "image/tiff", &scan, &["image/png"])
            .await
            .expect(name);
        let made = image::load_from_memory(&made).expect("an image").to_rgb8();
        // What was left is on top where the page lay on its side.
        let (size, red, white) = match name {
            "turned.tif" => ((400, 600), (200, 20), (200, 580)),
            _ => ((600, 400), (20, 200), (580, 200)),
        };
        assert_eq!(made.dimensions(), size, "{name}");
        let (red, white) = (
            made.get_pixel(red.0, red.1).0,
            made.get_pixel(white.0, white.1).0,
        );
        assert!(
            red[0] > 200 && red[1] < 80 && red[2] < 80,
            "{name}: {red:?}"
        );
        assert!(white.iter().all(|part| *part > 235), "{name}: {white:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_tiff_may_each_have_a_coding_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    for (n, how) in [
        "-monochrome -compress Fax",
        "-depth 8 -colorspace CMYK -compress LZW",
        "-depth 8",
    ]
    .iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{n}.tif")).display().to_string();
        let size = format!("{}x400", 600 + 10 * n);
        let mut arguments = vec!["-size", &size, "xc:white"];
        arguments.extend(how.split(' '));
        arguments.push(&path);
        program(CONVERT, "imagemagick", &arguments).expect("a page");
        paths.push(path);
    }
    let whole = folder.path().join("whole.tif").display().to_string();
    let mut arguments: Vec<&str> = paths.iter().map(String::as_str).collect();
    arguments.push(&whole);
    program("tiffcp", "libtiff-tools", &arguments).expect("a TIFF");
    let scan = std::fs::read(&whole).expect("a scan");
    let (product, made) = delivered("whole.tif", "image/tiff", &scan, &[PDF])
        .await
        .expect("a PDF");
    assert_eq!(product.media_type, PDF);
    let pdf = folder.path().join("whole.pdf");
    std::fs::write(&pdf, made).expect("a file");
    let said = program("pdfinfo", "poppler-utils", &[&pdf.display().to_string()]);
    assert!(said.expect("pdfinfo").contains("Pages:           3"));
}
