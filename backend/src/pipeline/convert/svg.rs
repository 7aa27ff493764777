//! SVG, by librsvg. Scripts are not run and nothing outside the file is loaded: librsvg does
//! neither, and the sandbox has no network.

use std::ffi::OsString;
use std::fs::File;
use std::time::Duration;

use image::ImageFormat;

use super::image::{Turn, finish, is_target, read};
use super::{Conversion, ConvertError, Converter, reject};
use crate::pipeline::Rejection;
use crate::sandbox::{Limits, Program, Run, Sandbox};

/// A drawing takes a second; one that refers to itself a billion times takes what it gets.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(30),
    memory: 1024 * 1024 * 1024,
    output: 256 * 1024 * 1024,
    processes: 8,
};
/// Longest side of the picture, in pixels. A drawing has no size of its own that matters.
const SIDE: &str = "2048";

/// The converter of SVG.
#[derive(Clone, Debug)]
pub(super) struct Svg(pub(super) Sandbox);

impl Converter for Svg {
    fn name(&self) -> &'static str {
        "svg"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        from == "image/svg+xml" && is_target(to)
    }

    fn needs(&self, _: &str, _: &str) -> &'static [Program] {
        &[Program::RsvgConvert]
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let vector = conversion.to == "application/pdf";
        let between = if vector {
            conversion.folder.join("drawing.pdf")
        } else {
            conversion.folder.join("drawing.png")
        };
        let mut arguments: Vec<OsString> = Vec::new();
        if vector {
            arguments.extend(["--format", "pdf"].map(OsString::from));
        } else {
            arguments.extend(
                [
                    "--format",
                    "png",
                    "--keep-aspect-ratio",
                    "--width",
                    SIDE,
                    "--height",
                    SIDE,
                ]
                .map(OsString::from),
            );
        }
        arguments.push("--output".into());
        arguments.extend([between.as_path(), conversion.source].map(OsString::from));
        let run = Run {
            program: Program::RsvgConvert,
            arguments,
            folder: conversion.folder,
            reads: &[conversion.source],
            limits: LIMITS,
        };
        let ended = self.0.run(&run)?;
        if !ended.success || !between.is_file() {
            return Err(reject(Rejection::Unreadable, ended.errors));
        }
        if vector {
            std::io::copy(
                &mut File::open(between)?,
                &mut File::create(conversion.result)?,
            )?;
            return Ok(());
        }
        finish(
            &read(&between, ImageFormat::Png, Turn::Never)?,
            conversion.to,
            conversion.result,
        )
    }
}
