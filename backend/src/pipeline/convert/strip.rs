//! HEIC, AVIF, TIFF, MP4 and their kin that the app takes as they are, without what tells where and
//! by whom they were made. Pictures, sound and video are untouched: nothing is coded anew.
//!
//! Photos by exiftool: it knows every place where a camera keeps such things. Which way is up stays,
//! and the colours. Videos by ffmpeg, into a new container of the same kind: streams that carry a
//! place for every moment, as phones write them, are left out with the rest.
//!
//! An MP4 that phones and browsers do not play is coded anew: whoever takes MP4 means one to look at.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use image::ImageFormat;
use serde::Deserialize;

use super::image::check;
use super::media::Media;
use super::{Conversion, ConvertError, Converter, heif, reject};
use crate::pipeline::{Lane, Rejection};
use crate::sandbox::{Limits, Program, Run, Sandbox};

/// Reading and writing a file once.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(120),
    memory: 1024 * 1024 * 1024,
    output: 64 * 1024 * 1024,
    processes: 8,
};

/// The stripper of photos and videos.
#[derive(Clone, Debug)]
pub(super) struct Stripper(pub(super) Sandbox);

/// ffmpeg's names for a container, to read and to write it.
fn container(media_type: &str) -> Option<(&'static str, &'static str)> {
    Some(match media_type {
        "audio/mp4" => ("mov", "ipod"),
        "video/mp4" => ("mov", "mp4"),
        "video/quicktime" => ("mov", "mov"),
        "video/3gpp" => ("mov", "3gp"),
        "video/x-matroska" => ("matroska", "matroska"),
        "video/webm" => ("matroska", "webm"),
        _ => return None,
    })
}

/// The ending by which exiftool knows what it writes.
fn photo(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "image/heif" => "heic",
        "image/avif" => "avif",
        "image/tiff" => "tiff",
        _ => return None,
    })
}

impl Converter for Stripper {
    fn name(&self) -> &'static str {
        "stripper"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        // A film's container may hold sound alone.
        let sound_as_film = from == "audio/mp4" && to == "video/mp4";
        from == to && (container(from).is_some() || photo(from).is_some()) || sound_as_film
    }

    fn needs(&self, from: &str, _: &str) -> &'static [Program] {
        if photo(from).is_some() {
            &[Program::ExifTool]
        } else {
            &[Program::Ffmpeg, Program::Ffprobe]
        }
    }

    fn lane(&self, from: &str) -> Lane {
        match photo(from) {
            Some(_) => Lane::Quick,
            None => Lane::Slow,
        }
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        match conversion.from {
            "image/tiff" => check(conversion.source, ImageFormat::Tiff)?,
            from if photo(from).is_some() => heif::check(conversion.source)?,
            _ => {}
        }
        if conversion.from == "video/mp4" && !self.plays_everywhere(conversion)? {
            return Media(self.0.clone()).convert(conversion);
        }
        let between = conversion.folder.join("stripped");
        let (program, arguments) = if let Some(ending) = photo(conversion.from) {
            // It goes by the name.
            let source = conversion.folder.join(format!("photo.{ending}"));
            fs::copy(conversion.source, &source)?;
            let mut arguments: Vec<OsString> = [
                "-q",
                "-q",
                "-all=",
                "-CommonIFD0=",
                "--icc_profile:all",
                "-o",
            ]
            .map(OsString::from)
            .into();
            arguments.extend([between.clone().into(), source.into()]);
            (Program::ExifTool, arguments)
        } else {
            let (Some((read, _)), Some((_, write))) =
                (container(conversion.from), container(conversion.to))
            else {
                return Err(reject(Rejection::NoUsableFormat, "neither photo nor video"));
            };
            let words = format!(
                "-nostdin -hide_banner -loglevel error -protocol_whitelist file -f {read} -i"
            );
            let mut arguments: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            arguments.push(conversion.source.into());
            let words = "-map 0:V? -map 0:a? -map 0:s? -dn -c copy -map_metadata -1 \
                         -map_metadata:s:v -1 -map_metadata:s:a -1 -map_chapters -1 \
                         -fflags +bitexact -y -f";
            arguments.extend(words.split_whitespace().map(OsString::from));
            arguments.extend([write.into(), between.clone().into()]);
            (Program::Ffmpeg, arguments)
        };
        let size = fs::metadata(conversion.source)?.len();
        let limits = Limits {
            output: LIMITS.output.saturating_add(size.saturating_mul(2)),
            ..LIMITS
        };
        let ended = self.0.run(&Run {
            program,
            arguments,
            folder: conversion.folder,
            reads: &[conversion.source],
            limits,
        })?;
        if !ended.success || !between.is_file() {
            return Err(reject(Rejection::Unreadable, ended.errors));
        }
        fs::copy(between, conversion.result)?;
        Ok(())
    }
}

/// What ffprobe says of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stream {
    codec_type: String,
    codec_name: String,
    pix_fmt: String,
}

/// What ffprobe says of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Streams {
    streams: Vec<Stream>,
}

impl Stripper {
    /// Whether phones and browsers play it: H.264 of 8 bits with its colours at half the density, and
    /// AAC or MP3. One that cannot be told is left to whoever reads it next.
    fn plays_everywhere(&self, conversion: &Conversion<'_>) -> Result<bool, ConvertError> {
        let words = "-v error -protocol_whitelist file -f mov -of json \
                     -show_entries stream=codec_type,codec_name,pix_fmt";
        let mut arguments: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        arguments.push(conversion.source.into());
        let ended = self.0.run(&Run {
            program: Program::Ffprobe,
            arguments,
            folder: conversion.folder,
            reads: &[conversion.source],
            limits: LIMITS,
        })?;
        let said: Streams = serde_json::from_str(&ended.output).unwrap_or_default();
        Ok(said.streams.iter().all(|stream| {
            match (&stream.codec_type[..], &stream.codec_name[..]) {
                // The second two are covers.
                ("video", name) => match name {
                    "h264" => matches!(&stream.pix_fmt[..], "yuv420p" | "yuvj420p"),
                    other => matches!(other, "mjpeg" | "png"),
                },
                ("audio", name) => matches!(name, "aac" | "mp3"),
                _ => true,
            }
        }))
    }
}
