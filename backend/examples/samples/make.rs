//! Sample files, made by LibreOffice, ImageMagick, libheif, ffmpeg and qpdf.

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
    Ok(())
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
    let h264 = [
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-shortest",
    ];
    for name in ["clip.mp4", "clip.mov", "clip.mkv", "clip.3gp"] {
        make(&[&picture, &sound], &h264, name)?;
    }
    let vp8 = ["-c:v", "libvpx", "-c:a", "libopus", "-shortest"];
    make(&[&picture, &sound], &vp8, "clip.webm")?;
    Ok(())
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

fn archives(folder: &Path) -> Result<(), String> {
    zip(folder, "photos.zip", &["flag.jpg", "flag.png", "flag.heic"])?;
    zip(
        folder,
        "papers.zip",
        &["letter.docx", "flag.png", "table.xlsx"],
    )?;
    Ok(())
}
