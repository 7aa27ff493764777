//! A small picture of a file: of an image, of a document's first page, of a video's beginning.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use image::ImageFormat;

use super::image::{Picture as Pixels, Turn, finish, read, source_format};
use super::pdf::PDF;
use super::{ConvertError, reject};
use crate::pipeline::Rejection;
use crate::sandbox::{Limits, Program, Run, Sandbox};

/// Longest side, in pixels: a card of the list on a dense screen.
const SIDE: u32 = 480;
const LIMITS: Limits = Limits {
    time: Duration::from_secs(20),
    memory: 1024 * 1024 * 1024,
    output: 64 * 1024 * 1024,
    processes: 8,
};

/// Width of a page, in pixels: a phone's, on a dense screen.
const PAGE_WIDTH: u32 = 1080;

/// A picture of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// A small one, for a list.
    Small,
    /// A page of a PDF, from 1.
    Page(u32),
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small => f.write_str("small"),
            Self::Page(n) => write!(f, "page-{n}"),
        }
    }
}

impl Picture {
    /// Whether there can be such a picture of such a file.
    #[must_use]
    pub fn possible(self, media_type: &str) -> bool {
        match self {
            Self::Small => possible(media_type),
            Self::Page(_) => media_type == PDF,
        }
    }

    /// Makes it, a JPEG. Blocks.
    pub(crate) fn make(
        self,
        sandbox: &Sandbox,
        source: &Path,
        media_type: &str,
        folder: &Path,
        result: &Path,
    ) -> Result<(), ConvertError> {
        match self {
            Self::Small => make(sandbox, source, media_type, folder, result),
            Self::Page(n) => {
                let (n, width) = (n.to_string(), PAGE_WIDTH.to_string());
                let mut arguments: Vec<OsString> = [
                    "-png",
                    "-singlefile",
                    "-f",
                    &n,
                    "-l",
                    &n,
                    "-scale-to-x",
                    &width,
                    "-scale-to-y",
                    "-1",
                ]
                .map(OsString::from)
                .into();
                arguments.extend([source.into(), folder.join("small").into()]);
                let run = Run {
                    program: Program::PdfToPpm,
                    arguments,
                    folder,
                    reads: &[source],
                    limits: LIMITS,
                };
                let ended = sandbox.run(&run)?;
                let between = folder.join("small.png");
                if !ended.success || !between.is_file() {
                    return Err(reject(Rejection::Unreadable, ended.errors));
                }
                let page = read(&between, ImageFormat::Png, Turn::Never)?;
                finish(&page, "image/jpeg", result)
            }
        }
    }
}

/// Whether there can be a small picture of such a file.
pub(crate) fn possible(media_type: &str) -> bool {
    source_format(media_type).is_some() || matches!(media_type, "application/pdf" | "video/mp4")
}

/// Makes a small JPEG. Blocks.
fn make(
    sandbox: &Sandbox,
    source: &Path,
    media_type: &str,
    folder: &Path,
    result: &Path,
) -> Result<(), ConvertError> {
    let between = folder.join("small.png");
    let run = |program, arguments: Vec<OsString>| {
        let ended = sandbox.run(&Run {
            program,
            arguments,
            folder,
            reads: &[source],
            limits: LIMITS,
        })?;
        if ended.success {
            Ok(())
        } else {
            Err(reject(Rejection::Unreadable, ended.errors))
        }
    };
    let picture = match (media_type, source_format(media_type)) {
        (_, Some(format)) => read(source, format, Turn::ByExif)?,
        ("application/pdf", _) => {
            let side = SIDE.to_string();
            let mut arguments: Vec<OsString> = ["-png", "-singlefile", "-scale-to", &side]
                .map(OsString::from)
                .into();
            arguments.extend([source.into(), folder.join("small").into()]);
            run(Program::PdfToPpm, arguments)?;
            read(&between, ImageFormat::Png, Turn::Never)?
        }
        _ => {
            let mut arguments: Vec<OsString> = [
                "-nostdin",
                "-loglevel",
                "error",
                "-protocol_whitelist",
                "file",
                "-f",
                "mov",
                "-i",
            ]
            .map(OsString::from)
            .into();
            arguments.push(source.into());
            arguments.extend(["-frames:v", "1", "-y"].map(OsString::from));
            arguments.push(between.clone().into());
            run(Program::Ffmpeg, arguments)?;
            read(&between, ImageFormat::Png, Turn::Never)?
        }
    };
    let small = Pixels {
        image: picture.image.thumbnail(SIDE, SIDE),
        profile: picture.profile,
    };
    finish(&small, "image/jpeg", result)
}
