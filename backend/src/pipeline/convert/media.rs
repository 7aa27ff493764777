//! Sound and video into MP3, M4A and MP4, by ffmpeg; voice messages in SILK by `rust-silk` before it.
//!
//! The demultiplexer is named by the type that the content told and only local files may be
//! opened, so that a playlist in disguise leads nowhere. Metadata, which tells where a video was
//! taken, stays behind.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{Conversion, ConvertError, Converter, reject};
use crate::pipeline::{Lane, Rejection};
use crate::sandbox::{Limits, Program, Run, Sandbox};

/// Ten minutes of two cores make some 20 minutes of video at [`VIDEO_FILTER`]'s size.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(600),
    memory: 1536 * 1024 * 1024,
    output: RESULT_MAX,
    processes: 8,
};
/// Largest result, in bytes: half an hour of video at the rate below, half a day of sound.
const RESULT_MAX: u64 = 512 * 1024 * 1024;
/// Sizes of at most 1280 pixels on the longer side, even as H.264 wants them.
const VIDEO_FILTER: &str = "scale='if(gt(iw,ih),min(1280,iw),-2)':'if(gt(iw,ih),-2,min(1280,ih))',scale=trunc(iw/2)*2:trunc(ih/2)*2,format=yuv420p";
/// What ffmpeg says when a file ends too soon, though it makes something of the beginning.
const CUT_SHORT: [&str; 4] = [
    "File ended prematurely",
    "partial file",
    "moov atom not found",
    "Packet corrupt",
];

/// A voice message of WeChat or QQ, which becomes a WAV first: ffmpeg has no decoder of it.
const SILK: &str = "audio/silk";
/// Header of a WAV without samples, in bytes.
const WAV_HEADER: u64 = 44;

/// The converter of sound and video.
#[derive(Clone, Debug)]
pub(super) struct Media(pub(super) Sandbox);

/// ffmpeg's name for the container that it is given, and whether that can hold video.
fn container(media_type: &str) -> Option<(&'static str, bool)> {
    Some(match media_type {
        "audio/amr" | "audio/amr-wb" => ("amr", false),
        "audio/aiff" => ("aiff", false),
        "audio/x-ms-wma" => ("asf", false),
        "audio/webm" => ("matroska", false),
        "audio/mpeg" => ("mp3", false),
        "audio/aac" => ("aac", false),
        "audio/flac" => ("flac", false),
        "audio/ogg" => ("ogg", false),
        "audio/wav" | SILK => ("wav", false),
        "audio/mp4" => ("mov", false),
        "video/mp4" | "video/quicktime" | "video/3gpp" => ("mov", true),
        "video/x-matroska" | "video/webm" => ("matroska", true),
        "video/x-msvideo" => ("avi", true),
        "video/mp2t" => ("mpegts", true),
        "video/mpeg" => ("mpeg", true),
        "video/ogg" => ("ogg", true),
        "video/x-flv" => ("flv", true),
        "video/x-ms-wmv" => ("asf", true),
        _ => return None,
    })
}

impl Converter for Media {
    fn name(&self) -> &'static str {
        "media"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        let Some((_, video)) = container(from) else {
            return false;
        };
        from != to
            && match to {
                "audio/mpeg" | "audio/mp4" => true,
                "video/mp4" => video,
                _ => false,
            }
    }

    fn needs(&self, from: &str, _: &str) -> &'static [Program] {
        match from {
            SILK => &[Program::RustSilk, Program::Ffmpeg],
            _ => &[Program::Ffmpeg],
        }
    }

    fn lane(&self, _: &str) -> Lane {
        Lane::Slow
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let (container, _) = container(conversion.from)
            .ok_or_else(|| reject(Rejection::NoUsableFormat, "neither sound nor video"))?;
        let (ending, how): (&str, &[&str]) = match conversion.to {
            "audio/mpeg" => ("mp3", &["-map", "0:a:0", "-c:a", "libmp3lame", "-q:a", "4"]),
            "audio/mp4" => (
                "m4a",
                &[
                    "-map",
                    "0:a:0",
                    "-c:a",
                    "aac",
                    "-b:a",
                    "96k",
                    "-movflags",
                    "+faststart",
                ],
            ),
            _ => (
                "mp4",
                &[
                    "-map",
                    "0:v:0",
                    "-map",
                    "0:a:0?",
                    "-vf",
                    VIDEO_FILTER,
                    "-c:v",
                    "libx264",
                    "-preset",
                    "veryfast",
                    "-crf",
                    "24",
                    "-maxrate",
                    "2M",
                    "-bufsize",
                    "4M",
                    "-c:a",
                    "aac",
                    "-b:a",
                    "96k",
                    "-movflags",
                    "+faststart",
                ],
            ),
        };
        let source = match conversion.from {
            SILK => self.silk_as_wav(conversion)?,
            _ => conversion.source.to_owned(),
        };
        let between = conversion.folder.join(format!("result.{ending}"));
        let mut arguments: Vec<OsString> = [
            "-nostdin",
            "-hide_banner",
            "-loglevel",
            "error",
            "-protocol_whitelist",
            "file",
            "-f",
            container,
            "-i",
        ]
        .map(OsString::from)
        .into();
        arguments.push(source.clone().into());
        arguments.extend(how.iter().map(OsString::from));
        arguments.extend(
            [
                "-map_metadata",
                "-1",
                "-map_chapters",
                "-1",
                "-threads",
                "2",
                "-sn",
                "-dn",
                "-y",
            ]
            .map(OsString::from),
        );
        arguments.push(between.clone().into());
        let ended = self.0.run(&Run {
            program: Program::Ffmpeg,
            arguments,
            folder: conversion.folder,
            reads: &[&source],
            limits: LIMITS,
        })?;
        let cut = CUT_SHORT.iter().any(|words| ended.errors.contains(words));
        if ended.errors.contains("matches no streams") {
            return Err(reject(Rejection::NoUsableFormat, ended.errors));
        }
        if !ended.success || cut {
            return Err(reject(Rejection::Unreadable, ended.errors));
        }
        fs::copy(between, conversion.result)?;
        Ok(())
    }
}

impl Media {
    /// Decodes a SILK file into a WAV in the conversion's folder.
    fn silk_as_wav(&self, conversion: &Conversion<'_>) -> Result<PathBuf, ConvertError> {
        let wav = conversion.folder.join("voice.wav");
        let ended = self.0.run(&Run {
            program: Program::RustSilk,
            arguments: vec![
                "decode".into(),
                "--quiet".into(),
                "--wav".into(),
                "-i".into(),
                conversion.source.into(),
                "-o".into(),
                wav.clone().into(),
            ],
            folder: conversion.folder,
            reads: &[conversion.source],
            limits: LIMITS,
        })?;
        if !ended.success {
            return Err(reject(Rejection::Unreadable, ended.errors));
        }
        if fs::metadata(&wav)?.len() <= WAV_HEADER {
            return Err(reject(Rejection::Unreadable, "no sound in it"));
        }
        Ok(wav)
    }
}
