//! Third stage: what is made of a file, by conversion, by joining, or by unpacking it.

use std::io;
use std::sync::Arc;

use chatlift_shared::api::Join;
use chatlift_shared::digest::Sha256;

use super::bounded::{bounded, opened};
use super::convert::naming::{named, renamed};
use super::convert::{Choice, Conversion, Converter, Way, choose, inspect, pdf};
use super::{Failure, Pipeline, Rejection, fetch, unite, unpack};
use crate::disk::{measure, remove, rename};
use crate::store::{Job, Product};

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
        note: file.note.clone(),
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
        of: unchanged.of,
        object: None,
        note: unchanged.note,
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
