//! The samples, one row each.

use std::fs;
use std::path::Path;
use std::time::Instant;

use chatlift_backend::pipeline::convert::{
    self, Choice, Conversion, ConvertError, Way, archive, pdf,
};
use chatlift_backend::sandbox::{Program, Programs, Sandbox};

use crate::check::{Check, check};
use crate::make;

const PDF: &str = "application/pdf";
const JPEG: &str = "image/jpeg";
const PNG: &str = "image/png";
const WEBP: &str = "image/webp";
const MP3: &str = "audio/mpeg";
const M4A: &str = "audio/mp4";
const MP4: &str = "video/mp4";
const TEXT: &str = "text/plain";

const LETTER: Check = Check::Pdf(1, &["海港保险理赔材料", "claim20418"]);
const PLAIN: Check = Check::Pdf(1, &["海港保险理赔材料", "claim20418"]);
const SHEET: Check = Check::Pdf(1, &["海港保险理赔材料", "1200.5", "发票"]);
const SLIDES: Check = Check::Pdf(2, &["海港保险理赔材料", "second"]);

/// File, the type that it is made into, and what must be in the result.
const SAMPLES: &[(&str, &str, Check)] = &[
    ("letter.odt", PDF, LETTER),
    ("letter.doc", PDF, LETTER),
    ("letter.docx", PDF, LETTER),
    ("letter.rtf", PDF, LETTER),
    ("page.html", PDF, LETTER),
    ("plain.txt", PDF, PLAIN),
    ("plain-gb18030.txt", PDF, PLAIN),
    ("plain-utf16.txt", PDF, PLAIN),
    ("table.ods", PDF, SHEET),
    ("table.xls", PDF, SHEET),
    ("table.xlsx", PDF, SHEET),
    ("table.csv", PDF, SHEET),
    ("table-gb18030.csv", PDF, SHEET),
    ("table-semicolons.csv", PDF, SHEET),
    ("slides.odp", PDF, SLIDES),
    ("slides.ppt", PDF, SLIDES),
    ("slides.pptx", PDF, SLIDES),
    ("flag.jpg", JPEG, Check::Flag("JPEG")),
    ("progressive.jpg", JPEG, Check::Flag("JPEG")),
    ("flag.png", JPEG, Check::Flag("JPEG")),
    ("flag.gif", JPEG, Check::Flag("JPEG")),
    ("flag.webp", JPEG, Check::Flag("JPEG")),
    ("flag.bmp", JPEG, Check::Flag("JPEG")),
    ("flag.tiff", JPEG, Check::Flag("JPEG")),
    ("flag.heic", JPEG, Check::Flag("JPEG")),
    ("flag.avif", JPEG, Check::Flag("JPEG")),
    ("flag.svg", JPEG, Check::Flag("JPEG")),
    ("flag.png", PNG, Check::Flag("PNG")),
    ("flag.jpg", PNG, Check::Flag("PNG")),
    ("cmyk.jpg", PNG, Check::Flag("PNG")),
    ("flag.heic", PNG, Check::Flag("PNG")),
    ("flag.svg", PNG, Check::Flag("PNG")),
    ("flag.webp", WEBP, Check::Flag("WEBP")),
    ("flag.jpg", WEBP, Check::Flag("WEBP")),
    ("flag.avif", WEBP, Check::Flag("WEBP")),
    ("flag.jpg", PDF, Check::Pictures(1)),
    ("flag.heic", PDF, Check::Pictures(1)),
    ("flag.svg", PDF, Check::Pdf(1, &["海港保险理赔材料"])),
    ("photos.zip", PDF, Check::Pictures(3)),
    ("papers.zip", PDF, Check::Pdf(3, &["claim20418", "1200.5"])),
    ("slides.pdf", PDF, SLIDES),
    ("slides.pdf", JPEG, Check::Pages("JPEG", 1900)),
    ("slides.pdf", PNG, Check::Pages("PNG", 1900)),
    (
        "letter.pdf",
        TEXT,
        Check::Text(&["海港保险理赔材料", "claim20418"]),
    ),
    ("voice.amr", MP3, Check::Sound("mp3")),
    ("voice.m4a", MP3, Check::Sound("mp3")),
    ("voice.wav", MP3, Check::Sound("mp3")),
    ("voice.ogg", MP3, Check::Sound("mp3")),
    ("voice.opus", MP3, Check::Sound("mp3")),
    ("voice.flac", MP3, Check::Sound("mp3")),
    ("voice.mp3", M4A, Check::Sound("aac")),
    ("voice.amr", M4A, Check::Sound("aac")),
    ("clip.mov", MP4, Check::Video),
    ("clip.mkv", MP4, Check::Video),
    ("clip.webm", MP4, Check::Video),
    ("clip.3gp", MP4, Check::Video),
    ("clip.mp4", MP3, Check::Sound("mp3")),
];

/// Prints the table; how many samples failed.
pub(crate) fn run() -> Result<usize, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    make::all(folder.path())?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sandbox = Sandbox::new(Programs::find(&path), true).map_err(|e| e.to_string())?;
    let missing: Vec<Program> = sandbox.programs().missing().collect();
    if let Some(program) = missing.first() {
        return Err(program.missing());
    }
    println!("walls: {:?}\n", sandbox.walls());
    println!("| sample | type | bytes | target | result | ms | bytes | checked by |");
    println!("|---|---|---:|---|---|---:|---:|---|");
    let mut failures = 0;
    for (name, to, expected) in SAMPLES {
        let row = sample(folder.path(), &sandbox, name, to, *expected);
        failures += usize::from(!row.good);
        println!("{}", row.text);
    }
    println!("\n{} samples, {failures} failed", SAMPLES.len());
    Ok(failures)
}

struct Row {
    text: String,
    good: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the table shows how long each conversion took"
)]
fn sample(folder: &Path, sandbox: &Sandbox, name: &str, to: &str, expected: Check) -> Row {
    let source = folder.join(name);
    let bytes = fs::metadata(&source).map_or(0, |m| m.len());
    let begun = Instant::now();
    let outcome = convert(folder, sandbox, name, to);
    let took = begun.elapsed().as_millis();
    let (from, made, found) = match outcome {
        Ok((from, path)) => {
            let made = fs::metadata(&path).map_or(0, |m| m.len());
            (from, made, check(&path, expected))
        }
        Err(error) => ("?".to_owned(), 0, Err(error.to_string())),
    };
    let from = from.rsplit('.').next().unwrap_or_default().to_owned();
    let good = found.is_ok();
    let (result, found) = match found {
        Ok(found) => ("ok", found),
        Err(error) => ("FAILED", error.replace('\n', " ")),
    };
    Row {
        text: format!(
            "| {name} | {from} | {bytes} | {to} | {result} | {took} | {made} | {found} |"
        ),
        good,
    }
}

/// Converts as the pipeline does: the type that was told, and the result.
fn convert(
    folder: &Path,
    sandbox: &Sandbox,
    name: &str,
    to: &str,
) -> Result<(String, std::path::PathBuf), ConvertError> {
    let source = folder.join(name);
    let converters = convert::all(sandbox);
    let formats = [to.to_owned()];
    let kind = convert::inspect(&source, name)?;
    let from = kind.media_type.clone();
    let ways = match convert::choose(&converters, sandbox.programs(), &kind, &formats)? {
        Choice::AsItIs => return Ok((to.to_owned(), source)),
        Choice::Unpack => return joined(folder, sandbox, name, to),
        Choice::Convert(ways) => ways,
    };
    let Way { converter, to } = &ways[0];
    let ending = to.rsplit('/').next().unwrap_or_default();
    let result = folder.join(format!("{name}.result.{ending}"));
    let work = folder.join("run");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir(&work)?;
    converter.convert(&Conversion {
        source: &source,
        from: &from,
        result: &result,
        to,
        folder: &work,
    })?;
    Ok((from, result))
}

/// Converts each member of an archive and joins the results, as the pipeline does for a scene that
/// joins files.
fn joined(
    folder: &Path,
    sandbox: &Sandbox,
    name: &str,
    to: &str,
) -> Result<(String, std::path::PathBuf), ConvertError> {
    let source = folder.join(name);
    let mut parts = Vec::new();
    for found in archive::list(&source)? {
        let member = format!("{name}.{}", found.place);
        archive::unpack(
            &source,
            &found,
            &folder.join(&member),
            archive::UNPACKED_MAX,
        )?;
        parts.push(convert(folder, sandbox, &member, to)?.1);
    }
    let (result, work) = (
        folder.join(format!("{name}.result.pdf")),
        folder.join("run"),
    );
    let _ = fs::remove_dir_all(&work);
    fs::create_dir(&work)?;
    pdf::unite(sandbox, &parts, &work, &result)?;
    Ok(("zip".to_owned(), result))
}
