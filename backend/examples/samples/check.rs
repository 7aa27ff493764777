//! Opens a result with another program than the one that made it, and looks for what must be in it.

use std::path::Path;

use crate::make::{CONVERT, program};

/// What must be found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// A PDF of so many pages with these words.
    Pdf(u32, &'static [&'static str]),
    /// A PDF of so many pages that show pictures.
    Pictures(u32),
    /// A text with these words.
    Text(&'static [&'static str]),
    /// An image of this shape (width by height in hundredths), red on the left and blue on the
    /// right.
    Flag(&'static str),
    /// An image of pages: at least this high, in pixels.
    Pages(&'static str, u32),
    /// Sound of three seconds with this codec.
    Sound(&'static str),
    /// Sound of one tone: with this codec, as long in seconds, and of this frequency in hertz.
    Tone(&'static str, f64, u32),
    /// Video of three seconds with H.264 and AAC.
    Video,
    /// Video of this size as phones play it, with or without sound.
    Film(u32, u32),
    /// An image of this size.
    Shape(&'static str, u32, u32),
    /// An image whose first pixel is white: what was transparent.
    White(&'static str),
    /// The flag, stored on its side, with the word on which side is up.
    Turned(&'static str),
    /// The members of an archive and how each ends: `ok`, or the code of its rejection.
    Members(&'static [(&'static str, &'static str)]),
    /// No result, for this reason.
    Refused(&'static str),
}

/// Checks a result; says what was found.
pub(crate) fn check(path: &Path, check: Check) -> Result<String, String> {
    let file = path.to_str().unwrap_or_default();
    match check {
        Check::Pdf(pages, words) => {
            has_pages(file, pages)?;
            let text = program("pdftotext", "poppler-utils", &["-enc", "UTF-8", file, "-"])?;
            has_words(&text, words)?;
            Ok(format!("pdftotext: {pages} p., words found"))
        }
        Check::Pictures(pages) => {
            has_pages(file, pages)?;
            let list = program("pdftoppm", "poppler-utils", &["-r", "20", "-png", file])?;
            if list.is_empty() {
                return Err("pdftoppm shows nothing".to_owned());
            }
            Ok(format!("pdftoppm: {pages} p. drawn"))
        }
        Check::Text(words) => {
            let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
            has_words(&text, words)?;
            Ok("UTF-8, words found".to_owned())
        }
        Check::Flag(format) => {
            let said = identify(file)?;
            let (kind, width, height) = said;
            if kind != format || width * 3 != height * 4 {
                return Err(format!("identify: {kind} {width}x{height}"));
            }
            let (left, right) = (
                pixel(file, width / 8, height / 8)?,
                pixel(file, width * 7 / 8, height / 8)?,
            );
            if !(left[0] > 150 && left[2] < 90 && right[2] > 150 && right[0] < 90) {
                return Err(format!("colours are {left:?} and {right:?}"));
            }
            Ok(format!("identify: {kind} {width}x{height}, red | blue"))
        }
        Check::Pages(format, least) => {
            let (kind, width, height) = identify(file)?;
            if kind != format || height < least {
                return Err(format!("identify: {kind} {width}x{height}"));
            }
            Ok(format!("identify: {kind} {width}x{height}"))
        }
        Check::Sound(codec) => {
            let streams = probe(file)?;
            if streams != [codec] {
                return Err(format!("ffprobe: {streams:?}"));
            }
            Ok(format!("ffprobe: {codec}, {:.1} s", seconds(file)?))
        }
        Check::Tone(codec, length, frequency) => {
            let (streams, seconds, hertz) = (probe(file)?, duration(file)?, hertz(file)?);
            let said = format!("ffprobe: {streams:?}, {seconds:.1} s, {hertz:.0} Hz");
            let near = |found: f64, wanted: f64, by: f64| (found - wanted).abs() < by;
            // An encoder adds some 50 ms of silence.
            match streams == [codec]
                && near(seconds, length, 0.2)
                && near(hertz, frequency.into(), 15.0)
            {
                true => Ok(said),
                false => Err(said),
            }
        }
        Check::Film(width, height) => {
            let said = streams(file)?;
            let picture = format!("h264,{width},{height},yuv420p");
            match said.iter().any(|stream| stream.starts_with(&picture)) {
                true => Ok(format!("ffprobe: {}", said.join(" "))),
                false => Err(format!("ffprobe: {said:?}")),
            }
        }
        Check::Shape(format, width, height) => {
            let said = identify(file)?;
            if said != (format.to_owned(), width, height) {
                return Err(format!("identify: {said:?}"));
            }
            Ok(format!("identify: {format} {width}x{height}"))
        }
        Check::White(format) => {
            let (kind, width, height) = identify(file)?;
            let corner = pixel(file, 0, 0)?;
            if kind != format || corner.iter().any(|c| *c < 245) {
                return Err(format!("identify: {kind}, corner {corner:?}"));
            }
            Ok(format!("identify: {kind} {width}x{height}, white"))
        }
        Check::Turned(format) => {
            let (kind, width, height) = identify(file)?;
            let said = program(
                "exiftool",
                "libimage-exiftool-perl",
                &["-n", "-s3", "-Orientation", file],
            )?;
            let turn = said.trim().to_owned();
            if kind != format || height * 3 != width * 4 || turn != "8" && turn != "6" {
                return Err(format!(
                    "identify: {kind} {width}x{height}, orientation {turn:?}"
                ));
            }
            Ok(format!(
                "identify: {kind} {width}x{height}, orientation {turn}"
            ))
        }
        Check::Members(_) | Check::Refused(_) => Err("there is a result".to_owned()),
        Check::Video => {
            let streams = probe(file)?;
            if streams != ["h264", "aac"] {
                return Err(format!("ffprobe: {streams:?}"));
            }
            Ok(format!("ffprobe: h264+aac, {:.1} s", seconds(file)?))
        }
    }
}

fn has_words(text: &str, words: &[&str]) -> Result<(), String> {
    // Line breaks fall anywhere in Chinese.
    let text: String = text.split_whitespace().collect();
    match words.iter().find(|w| !text.contains(**w)) {
        Some(word) => Err(format!("{word} is not in it")),
        None => Ok(()),
    }
}

fn has_pages(file: &str, pages: u32) -> Result<(), String> {
    let said = program("pdfinfo", "poppler-utils", &[file])?;
    let found = said.lines().find_map(|l| l.strip_prefix("Pages:"));
    let found: u32 = found
        .and_then(|n| n.trim().parse().ok())
        .ok_or("pdfinfo finds no pages")?;
    if found == pages {
        Ok(())
    } else {
        Err(format!("pdfinfo: {found} pages"))
    }
}

fn identify(file: &str) -> Result<(String, u32, u32), String> {
    let said = program("identify", "imagemagick", &["-format", "%m %w %h", file])?;
    let mut words = said.split_whitespace();
    let mut next = || words.next().unwrap_or_default();
    let (kind, width, height) = (next().to_owned(), next(), next());
    let number = |text: &str| text.parse().map_err(|_| format!("identify: {said}"));
    Ok((kind, number(width)?, number(height)?))
}

fn pixel(file: &str, x: u32, y: u32) -> Result<[u8; 3], String> {
    let crop = format!("1x1+{x}+{y}");
    let out = format!("{file}.pixel.ppm");
    let arguments = [
        file,
        "-colorspace",
        "sRGB",
        "-depth",
        "8",
        "-crop",
        &crop,
        "+repage",
        &out,
    ];
    program(CONVERT, "imagemagick", &arguments)?;
    let bytes = std::fs::read(&out).map_err(|e| e.to_string())?;
    std::fs::remove_file(out).map_err(|e| e.to_string())?;
    bytes.last_chunk().copied().ok_or("no pixel".to_owned())
}

fn probe(file: &str) -> Result<Vec<String>, String> {
    let arguments = [
        "-v",
        "error",
        "-show_entries",
        "stream=codec_name",
        "-of",
        "csv=p=0",
        file,
    ];
    let said = program("ffprobe", "ffmpeg", &arguments)?;
    Ok(said
        .lines()
        .map(|l| l.trim_matches(',').to_owned())
        .collect())
}

/// What ffprobe says of each stream: its coding, and of a picture its size and pixels.
fn streams(file: &str) -> Result<Vec<String>, String> {
    let entries = "stream=codec_name,width,height,pix_fmt";
    let arguments = [
        "-v",
        "error",
        "-show_entries",
        entries,
        "-of",
        "csv=p=0",
        file,
    ];
    let said = program("ffprobe", "ffmpeg", &arguments)?;
    Ok(said
        .lines()
        .map(|line| line.trim_matches(',').to_owned())
        .collect())
}

/// The frequency of a tone, in hertz: half as many as the waves cross zero.
fn hertz(file: &str) -> Result<f64, String> {
    const RATE: f64 = 24_000.0;
    let key = "lavfi.astats.1.Zero_crossings_rate";
    let filter =
        format!("aresample={RATE},astats=metadata=1:reset=0,ametadata=print:key={key}:file=-");
    let arguments = [
        "-v", "error", "-i", file, "-ac", "1", "-af", &filter, "-f", "null", "-",
    ];
    let said = program("ffmpeg", "ffmpeg", &arguments)?;
    let rate = said
        .lines()
        .rev()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    let rate: f64 = rate
        .and_then(|n| n.parse().ok())
        .ok_or("ffmpeg finds no sound")?;
    Ok(rate * RATE / 2.0)
}

fn seconds(file: &str) -> Result<f64, String> {
    let seconds = duration(file)?;
    if (2.8..3.3).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!("ffprobe: {seconds} s"))
    }
}

fn duration(file: &str) -> Result<f64, String> {
    let arguments = [
        "-v",
        "error",
        "-show_entries",
        "format=duration",
        "-of",
        "csv=p=0",
        file,
    ];
    let said = program("ffprobe", "ffmpeg", &arguments)?;
    said.trim().parse().map_err(|_| format!("ffprobe: {said}"))
}
