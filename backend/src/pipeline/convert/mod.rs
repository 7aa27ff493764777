//! Third stage: the file in a format that the app can use. One converter, one file.
//!
//! The scene's `formats` decide. Without any, a file stays as it is to the byte. A file that is in
//! one of them stays as it is, but for what tells where a photo was taken, if it can be opened.
//! Another becomes the first of them that a converter can make of it, which for some files only the
//! try shows; a video becomes sound only where nothing else can be made. If none can be made, the
//! file is rejected: an app that named its formats cannot use anything else.
//!
//! Whatever is delivered has a name whose extension says what it is.
//!
//! Under crash: the product gets its name when it is whole; a conversion that died is begun again, see
//! [`super::turn`].

pub mod archive;
mod clean;
mod directory;
pub mod document;
#[cfg(test)]
mod fuzz;
mod heif;
pub mod image;
mod kind;
mod mail;
mod media;
mod names;
pub(super) mod naming;
mod paper;
pub mod pdf;
mod plan;
mod strip;
mod svg;
mod text;
pub(crate) mod thumbnail;
mod tiff;

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Failure, Lane, Rejection};
use crate::sandbox::{Program, Programs, RunError, Sandbox};
pub use kind::{Kind, inspect};
use plan::{Plan, plan};

/// Makes one kind of file into another.
///
/// `convert` is called on a thread where blocking is fine. The caller guarantees that `handles`
/// said yes, that `source` is a whole file of type `from` by content, that nobody else writes to
/// `result`, which may hold what a crash left, and that `folder` is empty, this conversion's own,
/// and removed after it.
pub trait Converter: Send + Sync + 'static {
    /// What the log calls it.
    fn name(&self) -> &'static str;

    /// Whether it makes files of type `from` into files of type `to`. With the two the same, it
    /// checks and cleans a file that the app takes as it is.
    fn handles(&self, from: &str, to: &str) -> bool;

    /// The outside programs that it runs for this.
    fn needs(&self, from: &str, to: &str) -> &'static [Program] {
        let _ = (from, to);
        &[]
    }

    /// How long this usually takes.
    fn lane(&self, from: &str) -> Lane {
        let _ = from;
        Lane::Quick
    }

    /// Makes `result` out of `source`.
    ///
    /// # Errors
    /// See [`ConvertError`].
    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError>;
}

/// One conversion.
#[derive(Clone, Copy, Debug)]
pub struct Conversion<'a> {
    /// The file to convert.
    pub source: &'a Path,
    /// Its media type.
    pub from: &'a str,
    /// Where the result goes.
    pub result: &'a Path,
    /// The media type to make.
    pub to: &'a str,
    /// A folder for what lies in between.
    pub folder: &'a Path,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The file cannot be converted, now or later.
    #[error("{error}")]
    Rejected {
        /// What the chat-app user is told.
        rejection: Rejection,
        /// What the operator is told.
        error: String,
    },
    /// The disk failed; another try may do.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

fn reject(rejection: Rejection, error: impl Into<String>) -> ConvertError {
    ConvertError::Rejected {
        rejection,
        error: error.into(),
    }
}

impl From<ConvertError> for Failure {
    fn from(error: ConvertError) -> Self {
        match error {
            ConvertError::Rejected { rejection, error } => Self::rejected(rejection, error),
            ConvertError::Disk(error) => error.into(),
        }
    }
}

impl From<RunError> for ConvertError {
    fn from(error: RunError) -> Self {
        let rejection = match &error {
            RunError::Missing(_) => Rejection::ProgramMissing,
            RunError::Time { .. } => Rejection::TookTooLong,
            RunError::Memory { .. } | RunError::Processes { .. } => Rejection::TooComplex,
            RunError::Output { .. } => Rejection::ResultTooLarge,
            RunError::Stopped => return Self::Disk(io::Error::other(error)),
            RunError::System { source, .. } => {
                return Self::Disk(io::Error::new(source.kind(), error));
            }
        };
        reject(rejection, error.to_string())
    }
}

/// All converters of this build, in order of preference.
#[must_use]
pub fn all(sandbox: &Sandbox) -> Vec<Arc<dyn Converter>> {
    let sandbox = || sandbox.clone();
    vec![
        Arc::new(clean::Cleaner),
        Arc::new(strip::Stripper(sandbox())),
        Arc::new(image::Images),
        Arc::new(tiff::Tiffs(sandbox())),
        Arc::new(heif::Heif(sandbox())),
        Arc::new(svg::Svg(sandbox())),
        Arc::new(document::Documents::new(sandbox())),
        Arc::new(pdf::Pdfs(sandbox())),
        Arc::new(media::Media(sandbox())),
        Arc::new(archive::Archives),
    ]
}

/// What is to be done with a file.
pub enum Choice {
    /// It stays as it is.
    AsItIs,
    /// It is an archive of which each member is a file of its own.
    Unpack,
    /// It becomes the first of these that can be made of it. Never empty.
    Convert(Vec<Way>),
}

/// What can be tried with a file.
pub struct Way {
    /// Who does it.
    pub converter: Arc<dyn Converter>,
    /// The type that is made; the file's own, if it is only checked and cleaned.
    pub to: String,
}

/// Chooses what is to be done with a file of this kind, so that an app can use it that takes
/// `formats`, best first.
///
/// # Errors
/// [`ConvertError::Rejected`] when it has a password, when nothing here makes any of the formats,
/// and when a program for each is not installed.
pub fn choose(
    converters: &[Arc<dyn Converter>],
    programs: &Programs,
    kind: &Kind,
    formats: &[String],
) -> Result<Choice, ConvertError> {
    if formats.is_empty() {
        return Ok(Choice::AsItIs);
    }
    let from = &kind.media_type;
    if kind.protected {
        let error = format!("{from} with a password");
        return Err(reject(Rejection::PasswordProtected, error));
    }
    let missing = |converter: &Arc<dyn Converter>, to: &str| {
        let mut needs = converter.needs(from, to).iter().copied();
        needs.find(|program| programs.get(*program).is_none())
    };
    let way = |converter: &Arc<dyn Converter>, to: &str| Way {
        converter: Arc::clone(converter),
        to: to.to_owned(),
    };
    match plan(converters, from, formats) {
        Plan::Keep => Ok(Choice::AsItIs),
        Plan::Check(converter) => match missing(converter, from) {
            None => Ok(Choice::Convert(vec![way(converter, from)])),
            // The app takes the file unchecked too: better that than not at all.
            Some(program) => {
                tracing::warn!("a file is not checked: {}", program.missing());
                Ok(Choice::AsItIs)
            }
        },
        Plan::Convert(ways) => {
            let (mut able, mut lacking) = (Vec::new(), None);
            for (converter, to) in ways {
                match missing(converter, to) {
                    None => able.push(way(converter, to)),
                    Some(program) => lacking = lacking.or(Some(program)),
                }
            }
            match lacking {
                Some(program) if able.is_empty() => {
                    // What people have a name for is refused by it.
                    let rejection = match Rejection::of_kind(from) {
                        Rejection::NoUsableFormat => Rejection::ProgramMissing,
                        named => named,
                    };
                    Err(reject(rejection, program.missing()))
                }
                _ => Ok(Choice::Convert(able)),
            }
        }
        Plan::Impossible => {
            if let Some(needs) = archive::opener(from) {
                let missing = needs
                    .iter()
                    .find(|program| programs.get(**program).is_none());
                return match missing {
                    None => Ok(Choice::Unpack),
                    Some(program) => Err(reject(Rejection::ProgramMissing, program.missing())),
                };
            }
            let error = format!("no converter from {from} to any of {formats:?}");
            Err(reject(Rejection::of_kind(from), error))
        }
    }
}
