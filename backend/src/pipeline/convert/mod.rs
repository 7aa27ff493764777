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
mod heif;
pub mod image;
mod kind;
mod mail;
mod media;
mod names;
mod naming;
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

use chatlift_shared::api::Join;
use chatlift_shared::digest::Sha256;

use super::folders::{measure, remove, remove_folder, rename};
use super::{CONVERSION_MAX, Failure, Lane, Pipeline, Rejection, fetch, turn, unite, unpack};
use crate::sandbox::{Program, Programs, RunError, Sandbox};
use crate::store::{Job, Product};
pub use kind::{Kind, inspect};
use naming::{named, renamed};
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
                    Err(reject(Rejection::ProgramMissing, program.missing()))
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

pub(super) async fn run(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    let mut product = if job.is_joined() {
        unite::product(pipeline, job).await?
    } else {
        match product(pipeline, job).await? {
            Some(product) => product,
            None if job.archive().is_some() => {
                let error = "an archive in an archive";
                return Err(Failure::rejected(Rejection::ArchiveInArchive, error));
            }
            None => return unpack::run(pipeline, job).await,
        }
    };
    let made = match product.converted {
        true => pipeline.folders.product(job.file()),
        false => pipeline.folders.original(job.file()),
    };
    let key = pipeline.objects.key(job);
    pipeline
        .objects
        .put(&key, &made)
        .await
        .map_err(Failure::objects)?;
    product.object = Some(key.clone());
    let now = pipeline.clock.now();
    if !pipeline.store.converted(job, &product, now).await? {
        // Whoever has the job now makes another.
        pipeline
            .objects
            .remove(&key)
            .await
            .map_err(Failure::objects)?;
    }
    // What waited for this file may go on.
    pipeline.wake();
    Ok(())
}

/// The formats that the app can use; of what is joined to a PDF only that.
fn formats(job: &Job) -> Vec<String> {
    match job.announced.link.join {
        Some(Join::Pdf) => vec![pdf::PDF.to_owned()],
        None => job.announced.link.formats.clone(),
    }
}

/// What is made of a file; nothing of an archive that is to be unpacked.
async fn product(pipeline: &Pipeline, job: &Job) -> Result<Option<Product>, Failure> {
    let file = &job.announced.file;
    fetch::bring_if_missing(pipeline, job).await?;
    let source = pipeline.folders.original(file.id);
    let name = file.name.clone();
    let kind = opened(move || Ok(inspect(&source, &name)?)).await?;
    let kind = kind.or_announced(&file.media_type);
    let sha256 = match file.sha256 {
        Some(sha256) => sha256,
        // Read by a backend of before digests were computed on the way.
        None => {
            measure(pipeline.folders.original(file.id))
                .await?
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?
                .1
        }
    };
    let unchanged = Product {
        name: named(&file.name, &kind.media_type),
        media_type: kind.same_as(&file.media_type),
        size: file.size,
        sha256,
        converted: false,
        of: job.archive().into_iter().collect(),
        object: None,
    };
    let programs = pipeline.sandbox.programs();
    let ways = match choose(&pipeline.converters, programs, &kind, &formats(job))? {
        Choice::AsItIs => return Ok(Some(unchanged)),
        Choice::Unpack => return Ok(None),
        Choice::Convert(ways) => ways,
    };
    let (to, (size, sha256)) = first(pipeline, job, &kind.media_type, ways).await?;
    let result = pipeline.folders.converting(file.id);
    if (size, sha256) == (unchanged.size, unchanged.sha256) {
        remove(&result).await?;
        return Ok(Some(unchanged));
    }
    rename(result, pipeline.folders.product(file.id)).await?;
    let name = if to == kind.media_type {
        unchanged.name
    } else {
        renamed(&file.name, &to)
    };
    Ok(Some(Product {
        name,
        media_type: to,
        size,
        sha256,
        converted: true,
        of: job.archive().into_iter().collect(),
        object: None,
    }))
}

/// Tries the ways one after the other, as long as it is only the format that the file cannot have:
/// what was made, its size and its digest.
async fn first(
    pipeline: &Pipeline,
    job: &Job,
    from: &str,
    ways: Vec<Way>,
) -> Result<(String, (u64, Sha256)), Failure> {
    let mut last = Failure::rejected(Rejection::NoUsableFormat, "no way to convert it");
    for Way { converter, to } in ways {
        match convert(pipeline, job, &converter, from, &to).await {
            Ok(made) => return Ok((to, made)),
            Err(Failure::Rejected { rejection, error }) if rejection.is_of_the_format() => {
                tracing::info!(file = %job.file(), to, error, "the next format is tried");
                last = Failure::Rejected { rejection, error };
            }
            Err(failure) => return Err(failure),
        }
    }
    Err(last)
}

/// Runs the converter; size and digest of what it made.
async fn convert(
    pipeline: &Pipeline,
    job: &Job,
    converter: &Arc<dyn Converter>,
    from: &str,
    to: &str,
) -> Result<(u64, Sha256), Failure> {
    tracing::info!(
        link = %job.announced.link.id, file = %job.file(), event = %job.event,
        converter = converter.name(), from, to, "converting"
    );
    let source = pipeline.folders.original(job.file());
    let lane = converter.lane(from);
    let (from, to, converter) = (from.to_owned(), to.to_owned(), Arc::clone(converter));
    bounded(pipeline, job, lane, move |result, folder| {
        converter.convert(&Conversion {
            source: &source,
            from: &from,
            result,
            to: &to,
            folder,
        })
    })
    .await
}

/// Runs what opens a file on a thread where blocking is fine. A decoder that panics over a file will do
/// so again.
pub(super) async fn opened<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConvertError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => Ok(outcome?),
        Err(panic) => Err(Failure::rejected(Rejection::Unreadable, panic.to_string())),
    }
}

/// Has `work` make a file in a folder of its own, in its turn; size and digest of what it made.
pub(super) async fn bounded(
    pipeline: &Pipeline,
    job: &Job,
    lane: Lane,
    work: impl FnOnce(&Path, &Path) -> Result<(), ConvertError> + Send + 'static,
) -> Result<(u64, Sha256), Failure> {
    let turn = turn::to_convert(pipeline, job, lane).await?;
    let result = pipeline.folders.converting(job.file());
    let folder = pipeline.folders.run(job.file());
    let made = result.clone();
    let work = opened(move || {
        // Until its end, also when nobody waits for that any more.
        let _turn = turn;
        remove_folder(&folder)?;
        std::fs::create_dir(&folder)?;
        let outcome = work(&made, &folder);
        remove_folder(&folder)?;
        if outcome.is_ok() {
            std::fs::File::open(&made)?.sync_all()?;
        }
        outcome
    });
    let Ok(outcome) = tokio::time::timeout(CONVERSION_MAX, work).await else {
        let error = format!("it took longer than {CONVERSION_MAX:?}");
        return Err(Failure::rejected(Rejection::TookTooLong, error));
    };
    outcome?;
    let measured = measure(result).await?;
    Ok(measured.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?)
}
