//! HEIC, HEIF and AVIF, by libheif's converter. It turns the image upright itself.

use std::ffi::OsString;
use std::time::Duration;

use image::ImageFormat;

use super::image::{Turn, finish, is_target, read};
use super::{Conversion, ConvertError, Converter, reject};
use crate::pipeline::Rejection;
use crate::sandbox::{Limits, Program, Run, Sandbox};

/// A photo of 48 megapixels takes some 5 s and 600 MB.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    memory: 1536 * 1024 * 1024,
    output: 512 * 1024 * 1024,
    processes: 16,
};

/// The converter of HEIF and AVIF.
#[derive(Clone, Debug)]
pub(super) struct Heif(pub(super) Sandbox);

impl Converter for Heif {
    fn name(&self) -> &'static str {
        "heif"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        matches!(from, "image/heif" | "image/heic" | "image/avif") && is_target(to)
    }

    fn needs(&self, _: &str, _: &str) -> &'static [Program] {
        &[Program::HeifConvert]
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let between = conversion.folder.join("image.png");
        let run = Run {
            program: Program::HeifConvert,
            arguments: [conversion.source, &between].map(OsString::from).into(),
            folder: conversion.folder,
            reads: &[conversion.source],
            limits: LIMITS,
        };
        let ended = self.0.run(&run)?;
        // A file with several images has each in a numbered one; the first is the main one.
        let first = conversion.folder.join("image-1.png");
        let between = if first.is_file() { first } else { between };
        if !ended.success || !between.is_file() {
            return Err(reject(Rejection::Unreadable, ended.errors));
        }
        finish(
            &read(&between, ImageFormat::Png, Turn::Never)?,
            conversion.to,
            conversion.result,
        )
    }
}
