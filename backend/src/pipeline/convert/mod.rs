//! Second stage: the file in a format that the app can use. One converter, one file.
//!
//! The scene's `formats` decide: a file that is in one of them, or when there are none, stays as
//! it is to the byte. Another becomes the first of them that a converter can make of it. If none
//! can be made, the file is rejected: an app that named its formats cannot use anything else.
//!
//! Under crash: the product gets its name when it is whole; a conversion that died is begun again,
//! each time after a longer wait, so that a hostile file that takes the process with it does not
//! hold up the others. At last it is parked.

pub mod image;

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::folders::{measure, rename};
use super::retry::delay;
use super::{Failure, Pipeline, Rejection};
use crate::error::random;
use crate::store::{Job, Product};

/// How often the process may die in a file's conversion before the file is parked. With the waits
/// in between that takes half an hour at least: a good file gets there only if the process is
/// killed for other reasons in that file's every conversion for so long.
const CRASHES_MAX: u32 = 12;

/// Makes one kind of file into another.
///
/// `convert` is called on a thread where blocking is fine. The caller guarantees that `handles`
/// said yes, that `source` is a whole file of type `from` by content, and that nobody else writes
/// to `result`, which may hold what a crash left.
pub trait Converter: Send + Sync + 'static {
    /// What the log calls it.
    fn name(&self) -> &'static str;

    /// Whether it makes files of type `from` into files of type `to`.
    fn handles(&self, from: &str, to: &str) -> bool;

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

/// All converters of this build, in order of preference.
#[must_use]
pub fn all() -> Vec<Arc<dyn Converter>> {
    vec![Arc::new(image::Images)]
}

/// What is to be done with a file.
enum Plan<'a> {
    Keep,
    Convert(&'a Arc<dyn Converter>, &'a str),
    Impossible,
}

fn plan<'a>(
    converters: &'a [Arc<dyn Converter>],
    media_type: &str,
    formats: &'a [String],
) -> Plan<'a> {
    if formats.is_empty() || formats.iter().any(|f| f.eq_ignore_ascii_case(media_type)) {
        return Plan::Keep;
    }
    formats
        .iter()
        .find_map(|to| {
            let able = converters.iter().find(|c| c.handles(media_type, to))?;
            Some(Plan::Convert(able, to))
        })
        .unwrap_or(Plan::Impossible)
}

pub(super) async fn run(pipeline: &Pipeline, job: &Job) -> Result<(), Failure> {
    let file = &job.announced.file;
    let formats = &job.announced.link.formats;
    let product = match plan(&pipeline.converters, &file.media_type, formats) {
        Plan::Keep => Product {
            name: file.name.clone(),
            media_type: file.media_type.clone(),
            size: file.size,
            sha256: file.sha256,
            converted: false,
        },
        Plan::Impossible => {
            let error = format!(
                "no converter from {} to any of {formats:?}",
                file.media_type
            );
            return Err(Failure::rejected(Rejection::NoUsableFormat, error));
        }
        Plan::Convert(converter, to) => convert(pipeline, job, converter, to).await?,
    };
    let now = pipeline.clock.now();
    pipeline.store.converted(job, &product, now).await?;
    Ok(())
}

async fn convert(
    pipeline: &Pipeline,
    job: &Job,
    converter: &Arc<dyn Converter>,
    to: &str,
) -> Result<Product, Failure> {
    let file = &job.announced.file;
    if job.crashes >= CRASHES_MAX {
        let error = format!("the process died in its conversion {CRASHES_MAX} times");
        return Err(Failure::rejected(Rejection::Unreadable, error));
    }
    // Held until the conversion ends: each may need as much memory as its limits allow.
    let _turn = pipeline.conversions.acquire().await;
    let wait = delay(job.crashes.saturating_add(1), random());
    let again_at = pipeline.clock.now().plus(wait);
    pipeline.store.conversion_begins(file.id, again_at).await?;
    tracing::info!(
        link = %file.link, file = %file.id,
        converter = converter.name(), from = %file.media_type, to, "converting"
    );

    let source = pipeline.folders.original(file.id);
    let result = pipeline.folders.converting(file.id);
    let (from, target) = (file.media_type.clone(), to.to_owned());
    let (work, to_sync) = (Arc::clone(converter), result.clone());
    let outcome = tokio::task::spawn_blocking(move || {
        let conversion = Conversion {
            source: &source,
            from: &from,
            result: &to_sync,
            to: &target,
        };
        let outcome = work.convert(&conversion);
        if outcome.is_ok() {
            std::fs::File::open(&to_sync)?.sync_all()?;
        }
        outcome
    })
    .await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(ConvertError::Rejected { rejection, error })) => {
            return Err(Failure::rejected(rejection, error));
        }
        Ok(Err(ConvertError::Disk(error))) => return Err(error.into()),
        // A decoder that panics over a file will do so again.
        Err(panic) => return Err(Failure::rejected(Rejection::Unreadable, panic.to_string())),
    }

    let (size, sha256) = measure(result.clone())
        .await?
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    rename(result, pipeline.folders.product(file.id)).await?;
    Ok(Product {
        name: renamed(&file.name, to),
        media_type: to.to_owned(),
        size,
        sha256,
        converted: true,
    })
}

/// The name with the ending that its new type usually has.
fn renamed(name: &str, media_type: &str) -> String {
    let ending = match media_type {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        _ => return name.to_owned(),
    };
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => format!("{stem}.{ending}"),
        _ => format!("{name}.{ending}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(media_type: &str, formats: &[&str]) -> Option<String> {
        let formats: Vec<String> = formats.iter().map(|f| (*f).to_owned()).collect();
        match plan(&all(), media_type, &formats) {
            Plan::Keep => Some("keep".to_owned()),
            Plan::Convert(_, to) => Some(to.to_owned()),
            Plan::Impossible => None,
        }
    }

    #[test]
    fn the_first_format_that_can_be_made_is_chosen() {
        for (media_type, formats, expected) in [
            ("image/png", &[][..], Some("keep")),
            ("image/png", &["image/jpeg", "image/png"], Some("keep")),
            ("IMAGE/PNG", &["image/png"], Some("keep")),
            (
                "image/png",
                &["image/jpeg", "image/webp"],
                Some("image/jpeg"),
            ),
            (
                "image/gif",
                &["application/pdf", "image/webp"],
                Some("image/webp"),
            ),
            ("application/pdf", &["image/jpeg"], None),
            ("image/png", &["application/pdf"], None),
            ("application/octet-stream", &["image/jpeg"], None),
        ] {
            assert_eq!(
                outcome(media_type, formats).as_deref(),
                expected,
                "{media_type} {formats:?}"
            );
        }
    }

    #[test]
    fn a_converted_file_has_the_ending_of_its_new_type() {
        for (name, expected) in [
            ("photo.webp", "photo.jpg"),
            ("照片.v2.PNG", "照片.v2.jpg"),
            ("photo", "photo.jpg"),
            (".png", ".png.jpg"),
        ] {
            assert_eq!(renamed(name, "image/jpeg"), expected);
        }
    }
}
