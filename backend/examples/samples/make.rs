//! Sample files, made by LibreOffice, ImageMagick, libheif, ffmpeg, rust-silk and qpdf.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Words that every document holds, to be found again.
pub(crate) const WORDS: &str = "海港保险理赔材料";

/// Runs a program, and says which package has it when it is missing.
pub(crate) fn program(name: &str, package: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .map_err(|e| format!("{name} cannot be run ({e}): apt-get install {package}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} {arguments:?}: {errors}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// Makes all samples in `folder`.
pub(crate) fn all(folder: &Path) -> Result<(), String> {
    let io = |e: std::io::Error| e.to_string();
    fs::create_dir_all(folder).map_err(io)?;
    documents(folder)?;
    images(folder)?;
    media(folder)?;
    archives(folder)
}

fn office(kind: &str, body: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" office:mimetype="application/vnd.oasis.opendocument.{kind}" office:version="1.2"><office:body>{body}</office:body></office:document>"#
    )
}

fn documents(folder: &Path) -> Result<(), String> {
    let write = |name: &str, content: &[u8]| {
        fs::write(folder.join(name), content).map_err(|e| e.to_string())
    };
    let letter = format!("{WORDS}：请在三个工作日内提交。Harbour Insurance, claim 20418.");
    let body =
        format!("<office:text><text:h>{WORDS}</text:h><text:p>{letter}</text:p></office:text>");
    write("letter.fodt", office("text", &body).as_bytes())?;
    let slide = format!(
        r#"<office:presentation><draw:page draw:name="one"><draw:frame svg:x="2cm" svg:y="2cm" svg:width="20cm" svg:height="4cm"><draw:text-box><text:p>{WORDS}</text:p></draw:text-box></draw:frame></draw:page><draw:page draw:name="two"><draw:frame svg:x="2cm" svg:y="2cm" svg:width="20cm" svg:height="4cm"><draw:text-box><text:p>第二页 second</text:p></draw:text-box></draw:frame></draw:page></office:presentation>"#
    );
    write("slides.fodp", office("presentation", &slide).as_bytes())?;
    let table = format!("编号,名称,金额\n1,{WORDS},1200.50\n2,\"发票, 照片\",88\n");
    write("table.csv", table.as_bytes())?;
    let gb = encoding_rs::GB18030.encode(&table).0.into_owned();
    write("table-gb18030.csv", &gb)?;
    let semicolons = table.replace(',', ";");
    write("table-semicolons.csv", semicolons.as_bytes())?;
    write("table-bom.csv", format!("\u{feff}{table}").as_bytes())?;
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    write(
        "table-utf16.csv",
        &wide(&format!("\u{feff}{}", table.replace(',', "\t"))),
    )?;
    write("table-tabs.tsv", table.replace(',', "\t").as_bytes())?;
    write(
        "table-says-sep.csv",
        format!("sep=;\r\n{semicolons}").as_bytes(),
    )?;
    write(
        "numbers.csv",
        b"id,policy,share,code,sum\n110101199003077758,000123456,1/2,2E10,=1+1\n",
    )?;
    let japanese = "保険金請求書：三営業日以内に領収書と写真をご提出ください。";
    for (name, encoding, words) in [
        (
            "plain-big5.txt",
            encoding_rs::BIG5,
            "海港保險理賠材料：請在三個工作日內提交發票。",
        ),
        ("plain-sjis.txt", encoding_rs::SHIFT_JIS, japanese),
        ("plain-iso2022jp.txt", encoding_rs::ISO_2022_JP, japanese),
        (
            "plain-euckr.txt",
            encoding_rs::EUC_KR,
            "보험금 청구 서류: 사흘 안에 영수증을 제출하십시오.",
        ),
    ] {
        write(name, &encoding.encode(words).0)?;
    }
    write("empty.txt", b"")?;
    let long = format!("{letter}\n").repeat(20);
    write("plain.txt", long.as_bytes())?;
    write("plain-gb18030.txt", &encoding_rs::GB18030.encode(&long).0)?;
    let utf16: Vec<u8> = [0xfeff]
        .into_iter()
        .chain(long.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    write("plain-utf16.txt", &utf16)?;
    let page = format!(
        "<!doctype html><html lang=\"zh\"><meta charset=\"utf-8\"><title>{WORDS}</title><h1>{WORDS}</h1><p>{letter}</p><img src=\"http://127.0.0.1:9/out.png\"></html>"
    );
    write("page.html", page.as_bytes())?;
    // As many systems export a table.
    write("page.xls", page.as_bytes())?;
    let claims = page.replace("utf-8", "gb2312");
    write("page-gbk.html", &encoding_rs::GBK.encode(&claims).0)?;
    let saved = format!(
        "From: <Saved by Blink>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=\"x\"\r\n\r\n\
         --x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{page}\r\n--x--\r\n"
    );
    write("page.mht", saved.as_bytes())?;
    let profile = format!(
        "-env:UserInstallation=file://{}",
        text(&folder.join("profile"))
    );
    for (source, targets) in [
        ("letter.fodt", &["odt", "doc", "docx", "rtf", "pdf"][..]),
        ("table.csv", &["ods", "xls", "xlsx"]),
        ("slides.fodp", &["odp", "ppt", "pptx", "pdf"]),
    ] {
        for target in targets {
            let source = folder.join(source);
            let mut arguments = vec![profile.as_str(), "--headless"];
            if source.extension().is_some_and(|e| e == "csv") {
                arguments.push("--infilter=Text - txt - csv (StarCalc):44,34,76,1");
            }
            arguments.extend([
                "--convert-to",
                target,
                "--outdir",
                text(folder),
                text(&source),
            ]);
            let package =
                "libreoffice-writer-nogui libreoffice-calc-nogui libreoffice-impress-nogui";
            program("soffice", package, &arguments)?;
        }
    }
    for (from, to) in [
        ("letter.docx", "letter.xls"),
        ("letter.docx", "letter.zip"),
        ("table.xls", "table.doc"),
    ] {
        fs::copy(folder.join(from), folder.join(to)).map_err(|e| e.to_string())?;
    }
    cut(folder, "letter.docx", "letter-cut.docx")?;
    cut(folder, "letter.pdf", "letter-cut.pdf")?;
    let letter = folder.join("letter.pdf");
    for (name, user) in [("letter-locked.pdf", "s3cret"), ("letter-owner.pdf", "")] {
        let target = folder.join(name);
        let mut arguments = vec!["--encrypt", user, "owner", "256"];
        arguments.extend([
            "--modify=none",
            "--extract=n",
            "--",
            text(&letter),
            text(&target),
        ]);
        program("qpdf", "qpdf", &arguments)?;
    }
    let bytes = fs::read(letter).map_err(|e| e.to_string())?;
    write(
        "letter-late.pdf",
        &[&[0xaa; 990][..], b"\n", &bytes].concat(),
    )
}

/// The first half of a file, or somewhat more of it.
fn cut(folder: &Path, from: &str, to: &str) -> Result<(), String> {
    let bytes = fs::read(folder.join(from)).map_err(|e| e.to_string())?;
    let half = &bytes[..bytes.len() * 6 / 10];
    fs::write(folder.join(to), half).map_err(|e| e.to_string())
}

/// ImageMagick by its Debian path: a machine may have another `convert`.
pub(crate) const CONVERT: &str = "/usr/bin/convert";

fn images(folder: &Path) -> Result<(), String> {
    let at = |name: &str| folder.join(name);
    let base = at("flag.png");
    // Red on the left, blue on the right, words in the middle.
    let arguments = [
        "-size",
        "200x300",
        "xc:#d01010",
        "xc:#1010d0",
        "+append",
        "-font",
        "Noto-Sans-CJK-SC",
        "-pointsize",
        "28",
        "-fill",
        "white",
        "-gravity",
        "center",
        "-annotate",
        "0",
        WORDS,
        text(&base),
    ];
    program(CONVERT, "imagemagick fonts-noto-cjk", &arguments)?;
    for ending in ["jpg", "gif", "bmp", "tiff", "webp"] {
        let target = at(&format!("flag.{ending}"));
        program(CONVERT, "imagemagick", &[text(&base), text(&target)])?;
    }
    let progressive = at("progressive.jpg");
    let arguments = [text(&base), "-interlace", "Plane", text(&progressive)];
    program(CONVERT, "imagemagick", &arguments)?;
    let cmyk = at("cmyk.jpg");
    let arguments = [text(&base), "-colorspace", "CMYK", text(&cmyk)];
    program(CONVERT, "imagemagick", &arguments)?;
    // Options of ImageMagick that make a picture of another kind of the flag.
    for (how, name) in [
        ("-colorspace Gray", "grey.png"),
        ("-depth 16 -define png:bit-depth=16", "deep.png"),
        ("-colors 16 -define png:color-type=3", "palette.png"),
        ("-bordercolor none -border 40", "glass.png"),
        ("-bordercolor none -border 40", "glass.webp"),
        ("+repage -duplicate 2", "moving.gif"),
        ("+repage -duplicate 2", "moving.webp"),
        ("-rotate 180", "turned-3.jpg"),
        ("-rotate -90", "turned-6.jpg"),
        ("-rotate 90", "turned-8.jpg"),
        ("-monochrome -compress Fax", "group3.tiff"),
        ("-monochrome -compress Group4", "group4.tiff"),
        ("-type Palette -compress None", "palette.tiff"),
        ("-compress LZW", "lzw.tiff"),
        ("-compress JPEG", "jpeg.tiff"),
        ("-duplicate 2", "pages.tiff"),
    ] {
        let target = at(name);
        let mut arguments = vec![text(&base)];
        arguments.extend(how.split(' '));
        arguments.push(text(&target));
        program(CONVERT, "imagemagick", &arguments)?;
    }
    for (name, orientation) in [
        ("turned-3.jpg", 3),
        ("turned-6.jpg", 6),
        ("turned-8.jpg", 8),
    ] {
        let tag = format!("-Orientation={orientation}");
        let target = at(name);
        let arguments = ["-q", "-n", "-overwrite_original", &tag, text(&target)];
        program("exiftool", "libimage-exiftool-perl", &arguments)?;
    }
    fs::copy(&base, at("flag.png.jpg")).map_err(|e| e.to_string())?;
    cut(folder, "flag.jpg", "flag-cut.jpg")?;
    cut(folder, "flag.png", "flag-cut.png")?;
    let heic = at("flag.heic");
    program(
        "heif-enc",
        "libheif-examples",
        &[text(&base), "-o", text(&heic)],
    )?;
    // From the JPEG: heif-enc 1.15 breaks over PNGs when it writes AVIF.
    let (avif, jpeg) = (at("flag.avif"), at("flag.jpg"));
    let arguments = ["-A", text(&jpeg), "-o", text(&avif)];
    program("heif-enc", "libheif-examples", &arguments)?;
    cut(folder, "flag.heic", "flag-cut.heic")?;
    let svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300"><rect width="200" height="300" fill="#d01010"/><rect x="200" width="200" height="300" fill="#1010d0"/><text x="60" y="160" font-family="Noto Sans CJK SC" font-size="28" fill="#fff">{WORDS}</text></svg>"##
    );
    fs::write(at("flag.svg"), svg).map_err(|e| e.to_string())
}

fn media(folder: &Path) -> Result<(), String> {
    let sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=3"];
    let picture = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x240:rate=15:duration=3",
    ];
    let make = |inputs: &[&[&str]], options: &[&str], name: &str| {
        let target = folder.join(name);
        let mut arguments = vec!["-loglevel", "error", "-y"];
        for input in inputs {
            arguments.extend(*input);
        }
        arguments.extend(options);
        arguments.push(text(&target));
        program("ffmpeg", "ffmpeg", &arguments)
    };
    for (name, options) in [
        ("voice.wav", &[][..]),
        ("voice.mp3", &["-c:a", "libmp3lame"]),
        ("voice.m4a", &["-c:a", "aac"]),
        ("voice.ogg", &["-c:a", "libvorbis"]),
        ("voice.opus", &["-c:a", "libopus"]),
        ("voice.flac", &["-c:a", "flac"]),
        ("voice.aiff", &[]),
        ("voice.wma", &[]),
        ("voice.webm", &["-c:a", "libopus"]),
        // As Android's recorder writes it: under a film's brand.
        (
            "voice-android.m4a",
            &["-c:a", "aac", "-f", "mp4", "-brand", "mp42"],
        ),
    ] {
        make(&[&sound], options, name)?;
    }
    let speech = [
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:duration=3:sample_rate=8000",
    ];
    make(
        &[&speech],
        &["-ac", "1", "-c:a", "libopencore_amrnb", "-b:a", "12.2k"],
        "voice.amr",
    )
    .or_else(|_| amr(folder))?;
    silk(folder)?;
    let h264 = [
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-shortest",
    ];
    for name in [
        "clip.mp4", "clip.mov", "clip.mkv", "clip.3gp", "clip.ts", "clip.avi",
    ] {
        make(&[&picture, &sound], &h264, name)?;
    }
    for (name, options) in [
        (
            "clip.flv",
            &["-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100"][..],
        ),
        ("clip.wmv", &["-c:v", "wmv2", "-c:a", "wmav2"]),
        (
            "clip.mpg",
            &["-c:v", "mpeg2video", "-c:a", "mp2", "-r", "25"],
        ),
        (
            "hevc.mov",
            &[
                "-c:v",
                "libx265",
                "-tag:v",
                "hvc1",
                "-x265-params",
                "log-level=none",
                "-pix_fmt",
                "yuv420p10le",
                "-c:a",
                "aac",
            ],
        ),
    ] {
        make(
            &[&picture, &sound],
            &[options, &["-shortest"]].concat(),
            name,
        )?;
    }
    cut(folder, "clip.mp4", "clip-cut.mp4")?;
    let vp8 = ["-c:v", "libvpx", "-c:a", "libopus", "-shortest"];
    make(&[&picture, &sound], &vp8, "clip.webm")?;
    Ok(())
}

/// A tone in SILK, as QQ writes it and as WeChat does, under the name that WeChat gives it.
fn silk(folder: &Path) -> Result<(), String> {
    let tone = folder.join("tone.wav");
    let sine = "sine=frequency=440:duration=3:sample_rate=24000";
    let arguments = [
        "-loglevel",
        "error",
        "-y",
        "-f",
        "lavfi",
        "-i",
        sine,
        text(&tone),
    ];
    program("ffmpeg", "ffmpeg", &arguments)?;
    for (name, options) in [
        ("voice.silk", &[][..]),
        ("voice-wechat.amr", &["--tencent"]),
    ] {
        let target = folder.join(name);
        let files = ["encode", "--quiet", "-i", text(&tone), "-o", text(&target)];
        let output = Command::new("rust-silk").args(files).args(options).output();
        match output {
            Ok(output) if output.status.success() => {}
            failed => return Err(format!("rust-silk: {failed:?}")),
        }
    }
    cut(folder, "voice.silk", "voice-cut.silk")
}

/// Three seconds of AMR-NB at 4.75 kbit/s, frames of silence (RFC 4867 section 5.3), for an ffmpeg
/// that cannot write AMR.
fn amr(folder: &Path) -> Result<String, String> {
    let mut bytes = b"#!AMR\n".to_vec();
    for _ in 0..150 {
        bytes.push(0x04);
        bytes.extend([0; 12]);
    }
    fs::write(folder.join("voice.amr"), bytes).map_err(|e| e.to_string())?;
    Ok(String::new())
}

/// A zip of these files of `folder`.
pub(crate) fn zip(folder: &Path, name: &str, members: &[&str]) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let file = fs::File::create(&path).map_err(|e| e.to_string())?;
    let mut archive = zip::ZipWriter::new(file);
    for member in members {
        let content = fs::read(folder.join(member)).map_err(|e| e.to_string())?;
        let options = zip::write::SimpleFileOptions::default();
        archive
            .start_file(*member, options)
            .map_err(|e| e.to_string())?;
        archive.write_all(&content).map_err(|e| e.to_string())?;
    }
    archive.finish().map_err(|e| e.to_string())?;
    Ok(path)
}

/// A RAR 5 of these members, uncompressed: blocks of a checksum, a length and numbers of seven bits a
/// byte (RARLAB, "RAR 5.0 archive format").
pub(crate) fn rar(members: &[(&str, &[u8])]) -> Vec<u8> {
    fn number(mut n: usize, to: &mut Vec<u8>) {
        loop {
            let more = n > 0x7f;
            to.push(u8::try_from(n & 0x7f).unwrap_or_default() | if more { 0x80 } else { 0 });
            n >>= 7;
            if !more {
                return;
            }
        }
    }
    fn sum(bytes: &[u8]) -> [u8; 4] {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    }
    fn block(body: &[u8], to: &mut Vec<u8>) {
        let mut head = Vec::new();
        number(body.len(), &mut head);
        head.extend(body);
        to.extend(sum(&head));
        to.extend(head);
    }
    let mut archive = b"Rar!\x1a\x07\x01\0".to_vec();
    block(&[1, 0, 0], &mut archive);
    for (name, content) in members {
        // A file with its data behind it, and a checksum of that.
        let mut head = vec![2, 2];
        number(content.len(), &mut head);
        head.push(4);
        number(content.len(), &mut head);
        number(0o100_644, &mut head);
        head.extend(sum(content));
        head.extend([0, 1]);
        number(name.len(), &mut head);
        head.extend(name.bytes());
        block(&head, &mut archive);
        archive.extend(*content);
    }
    block(&[5, 0, 0], &mut archive);
    archive
}

/// A mail with a text, a picture in it, and these files attached.
pub(crate) fn mail(text: &str, picture: &[u8], attached: &[(&str, &[u8])]) -> Vec<u8> {
    let encoded = |bytes: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes);
    let mut mail = format!(
        "Received: by mx.example.com\r\nFrom: =?utf-8?B?{}?= <zhang@example.com>\r\n\
         To: claims@example.com\r\nDate: Sun, 29 Nov 2026 10:00:00 +0800\r\n\
         Subject: =?utf-8?B?{}?=\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"out\"\r\n\r\n\
         --out\r\nContent-Type: multipart/related; boundary=\"in\"\r\n\r\n\
         --in\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n\
         --in\r\nContent-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Disposition: inline\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--in--\r\n",
        encoded("张三".as_bytes()),
        encoded("理赔材料".as_bytes()),
        encoded(format!("<p>{text}</p><img src=\"cid:logo@x\">").as_bytes()),
        encoded(picture),
    );
    for (name, content) in attached {
        mail.push_str(&format!(
            "--out\r\nContent-Type: application/octet-stream\r\n\
             Content-Disposition: attachment; filename=\"=?utf-8?B?{}?=\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            encoded(name.as_bytes()),
            encoded(content),
        ));
    }
    mail.push_str("--out--\r\n");
    mail.into_bytes()
}

fn archives(folder: &Path) -> Result<(), String> {
    zip(folder, "photos.zip", &["flag.jpg", "flag.png", "flag.heic"])?;
    zip(
        folder,
        "papers.zip",
        &["letter.docx", "flag.png", "table.xlsx"],
    )?;
    zip(folder, "owners.zip", &["letter-owner.pdf", "letter.pdf"])?;
    let read = |name: &str| fs::read(folder.join(name)).map_err(|e| e.to_string());
    let (photo, picture) = (read("flag.jpg")?, read("flag.png")?);
    for (name, how) in [("photos.7z", "--format=7zip"), ("photos.tgz", "-z")] {
        let target = folder.join(name);
        let members = [
            "-C",
            text(folder),
            "-cf",
            text(&target),
            "flag.jpg",
            "flag.png",
        ];
        let arguments = [&[how][..], &members].concat();
        program("bsdtar", "libarchive-tools", &arguments)?;
    }
    let packed = rar(&[("flag.jpg", &photo), ("发票.png", &picture)]);
    fs::write(folder.join("photos.rar"), &packed).map_err(|e| e.to_string())?;
    cut(folder, "photos.rar", "photos-cut.rar")?;
    let sent = mail(WORDS, &picture, &[("发票.png", &picture)]);
    fs::write(folder.join("mail.eml"), sent).map_err(|e| e.to_string())
}
