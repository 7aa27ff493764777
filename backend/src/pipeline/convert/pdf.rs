//! PDF into an image or text, by poppler; and whether a PDF can be opened.
//!
//! An image of several pages has them below one another, as chat apps show a long screenshot: the
//! app gets one file for one file.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::{ImageFormat, RgbImage};

use super::image::{PIXELS_MAX, Picture, Turn, finish, read};
use super::{Conversion, ConvertError, Converter, reject};
use crate::pipeline::Rejection;
use crate::sandbox::{Ended, Limits, Program, Run, Sandbox};

/// The type of what is made here.
pub(crate) const PDF: &str = "application/pdf";

/// A page takes a tenth of a second; one that is made to hurt takes what it gets.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    memory: 1024 * 1024 * 1024,
    output: 512 * 1024 * 1024,
    processes: 8,
};
/// Longer side of a page in an image, in pixels: A4 at 150 dots per inch.
const PAGE_SIDE: u32 = 1754;
/// Most pages of one image: at [`PAGE_SIDE`] they are within what every format can hold but WebP,
/// which refuses by itself.
const PAGES_MAX: u32 = 30;

/// The converter of PDFs.
#[derive(Clone, Debug)]
pub(super) struct Pdfs(pub(super) Sandbox);

impl Converter for Pdfs {
    fn name(&self) -> &'static str {
        "pdfs"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        from == PDF
            && matches!(
                to,
                PDF | "image/jpeg" | "image/png" | "image/webp" | "text/plain"
            )
    }

    fn needs(&self, _: &str, to: &str) -> &'static [Program] {
        match to {
            PDF => &[Program::PdfInfo],
            "text/plain" => &[Program::PdfInfo, Program::PdfToText],
            _ => &[Program::PdfInfo, Program::PdfToPpm],
        }
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let pages = pages(&self.0, conversion.source, conversion.folder)?;
        match conversion.to {
            PDF => same(conversion),
            "text/plain" => self.text(conversion),
            _ => self.image(conversion, pages),
        }
    }
}

impl Pdfs {
    fn run(
        &self,
        conversion: &Conversion<'_>,
        program: Program,
        arguments: Vec<OsString>,
    ) -> Result<Ended, ConvertError> {
        run(
            &self.0,
            conversion.source,
            conversion.folder,
            program,
            arguments,
        )
    }

    fn text(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let between = conversion.folder.join("text.txt");
        let arguments = vec![
            "-enc".into(),
            "UTF-8".into(),
            "-layout".into(),
            conversion.source.into(),
            between.clone().into(),
        ];
        self.run(conversion, Program::PdfToText, arguments)?;
        let text = fs::read(between)?;
        if text.iter().all(u8::is_ascii_whitespace) {
            let error = "the pages hold no text, only pictures";
            return Err(reject(Rejection::NoUsableFormat, error));
        }
        Ok(fs::write(conversion.result, text)?)
    }

    fn image(&self, conversion: &Conversion<'_>, pages: u32) -> Result<(), ConvertError> {
        if pages > PAGES_MAX {
            let error = format!("{pages} pages in one image");
            return Err(reject(Rejection::ResultTooLarge, error));
        }
        let mut arguments: Vec<OsString> = ["-png", "-scale-to"].map(OsString::from).into();
        arguments.extend([PAGE_SIDE.to_string().into(), conversion.source.into()]);
        arguments.push(conversion.folder.join("page").into());
        self.run(conversion, Program::PdfToPpm, arguments)?;
        let mut files: Vec<PathBuf> = fs::read_dir(conversion.folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "png"))
            .collect();
        // Numbered with leading zeros.
        files.sort();
        let pages = files
            .iter()
            .map(|path| Ok(read(path, ImageFormat::Png, Turn::Never)?.image.to_rgb8()))
            .collect::<Result<Vec<_>, ConvertError>>()?;
        let picture = Picture {
            image: below_one_another(&pages)?.into(),
            profile: None,
        };
        finish(&picture, conversion.to, conversion.result)
    }
}

fn run(
    sandbox: &Sandbox,
    source: &Path,
    folder: &Path,
    program: Program,
    arguments: Vec<OsString>,
) -> Result<Ended, ConvertError> {
    let ended = sandbox.run(&Run {
        program,
        arguments,
        folder,
        reads: &[source],
        limits: LIMITS,
    })?;
    if ended.success {
        return Ok(ended);
    }
    let rejection = if ended.errors.contains("Incorrect password") {
        Rejection::PasswordProtected
    } else {
        Rejection::Unreadable
    };
    Err(reject(rejection, ended.errors))
}

/// How many pages a PDF has, which only one that can be opened tells. Blocks.
pub(crate) fn pages(sandbox: &Sandbox, source: &Path, folder: &Path) -> Result<u32, ConvertError> {
    let ended = run(
        sandbox,
        source,
        folder,
        Program::PdfInfo,
        vec![source.into()],
    )?;
    ended
        .output
        .lines()
        .find_map(|line| line.strip_prefix("Pages:")?.trim().parse().ok())
        .filter(|pages| *pages > 0)
        .ok_or_else(|| reject(Rejection::Unreadable, "no pages"))
}

/// The pages as one image, narrower ones in the middle.
pub(super) fn below_one_another(pages: &[RgbImage]) -> Result<RgbImage, ConvertError> {
    let width = pages.iter().map(RgbImage::width).max().unwrap_or(0);
    let height: u32 = pages.iter().map(RgbImage::height).sum();
    if width == 0 || u64::from(width) * u64::from(height) > PIXELS_MAX {
        let error = format!("{width} x {height} pixels");
        return Err(reject(Rejection::ResultTooLarge, error));
    }
    let mut whole = RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
    let mut top = 0_u32;
    for page in pages {
        let left = (width - page.width()) / 2;
        image::imageops::replace(&mut whole, page, i64::from(left), i64::from(top));
        top += page.height();
    }
    Ok(whole)
}

/// The source itself as the result.
pub(super) fn same(conversion: &Conversion<'_>) -> Result<(), ConvertError> {
    match fs::remove_file(conversion.result) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    if fs::hard_link(conversion.source, conversion.result).is_err() {
        fs::copy(conversion.source, conversion.result)?;
    }
    Ok(())
}

/// A PDF that is to be joined with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it is.
    pub path: PathBuf,
    /// By how many degrees clockwise its pages are turned, beside what it says itself: 0, 90, 180 or 270.
    pub rotate: u16,
}

/// Several PDFs as one. Blocks.
///
/// # Errors
/// [`ConvertError::Rejected`] when one of them cannot be read or they are too much together.
pub fn unite(
    sandbox: &Sandbox,
    parts: &[Part],
    folder: &Path,
    result: &Path,
) -> Result<(), ConvertError> {
    let mut paths = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let turned = folder.join(format!("turned-{n}.pdf"));
        paths.push(match part.rotate {
            0 => part.path.clone(),
            degrees => {
                // Decrypted, as what is joined is.
                let arguments = [
                    "--decrypt".into(),
                    part.path.clone().into(),
                    format!("--rotate=+{degrees}").into(),
                ];
                qpdf(sandbox, arguments.into(), &[&part.path], folder, &turned)?;
                turned
            }
        });
    }
    if let [only] = paths.as_slice() {
        return Ok(fs::copy(only, result).map(drop)?);
    }
    let between = folder.join("united.pdf");
    let mut arguments: Vec<OsString> = ["--empty", "--pages"].map(OsString::from).into();
    arguments.extend(paths.iter().map(OsString::from));
    arguments.push("--".into());
    let reads: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    qpdf(sandbox, arguments, &reads, folder, &between)?;
    Ok(fs::copy(between, result).map(drop)?)
}

/// Has qpdf write a file. What an owner's password forbids is no matter here: it opens for everybody.
fn qpdf(
    sandbox: &Sandbox,
    mut arguments: Vec<OsString>,
    reads: &[&Path],
    folder: &Path,
    writes: &Path,
) -> Result<(), ConvertError> {
    arguments.insert(0, "--warning-exit-0".into());
    arguments.push(writes.into());
    let ended = sandbox.run(&Run {
        program: Program::Qpdf,
        arguments,
        folder,
        reads,
        limits: LIMITS,
    })?;
    if !ended.success || !writes.is_file() {
        return Err(reject(Rejection::Unreadable, ended.errors));
    }
    Ok(())
}
