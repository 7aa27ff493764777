//! A small picture of a file: of an image, of a document's first page, of a video's beginning.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use image::ImageFormat;

use super::image::{Picture, Turn, finish, read, source_format};
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

/// Whether there can be a small picture of such a file.
pub(crate) fn possible(media_type: &str) -> bool {
    source_format(media_type).is_some() || matches!(media_type, "application/pdf" | "video/mp4")
}

/// Makes a small JPEG. Blocks.
pub(crate) fn make(
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
    let small = Picture {
        image: picture.image.thumbnail(SIDE, SIDE),
        profile: picture.profile,
    };
    finish(&small, "image/jpeg", result)
}
