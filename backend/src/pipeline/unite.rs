//! The files of a link that joins them, as one PDF.
//!
//! Each of them is a PDF by now and is kept; what they are joined to goes on like
//! any product. Promise: all that were ready when it was begun are in it, in their order, turned as their sender
//! turned them.

use std::io;

use super::bounded::bounded;
use super::convert::pdf;
use super::{Failure, Lane, Pipeline};
use crate::disk::rename;
use crate::store::{Job, Product};

pub(super) async fn product(pipeline: &Pipeline, job: &Job) -> Result<Product, Failure> {
    let parts = pipeline.store.ready_parts(job).await?;
    if parts.is_empty() {
        return Err(io::Error::other("no file is ready to be joined").into());
    }
    let mut of = Vec::new();
    for part in &parts {
        let upload = part.archive().unwrap_or(part.file());
        if !of.contains(&upload) {
            of.push(upload);
        }
    }
    let mut pages = Vec::new();
    for part in &parts {
        let file = part.file();
        let Some(product) = part.product() else {
            return Err(io::Error::other("a part has no product").into());
        };
        let scratch = pipeline.folders.product(file);
        let local = pipeline.objects.local(&product.key(file), &scratch).await;
        pages.push(pdf::Part {
            path: local.map_err(Failure::objects)?,
            rotate: part.announced.file.rotate,
        });
    }
    tracing::info!(
        link = %job.announced.link.id, file = %job.file(), event = %job.event,
        files = pages.len(), "joining"
    );
    let sandbox = pipeline.sandbox.clone();
    let (size, sha256) = bounded(pipeline, job, Lane::Quick, move |result, folder| {
        pdf::unite(&sandbox, &pages, folder, result)
    })
    .await?;
    let result = pipeline.folders.converting(job.file());
    rename(result, pipeline.folders.product(job.file())).await?;
    Ok(Product {
        name: job.announced.file.name.clone(),
        media_type: pdf::PDF.to_owned(),
        size,
        sha256,
        converted: true,
        of,
        object: None,
        note: notes(
            parts
                .iter()
                .filter_map(|part| part.announced.file.note.as_deref()),
        ),
    })
}

/// The notes of all files, each once: a sender writes one for all that are sent together.
fn notes<'a>(all: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut notes: Vec<&str> = Vec::new();
    for note in all {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    (!notes.is_empty()).then(|| notes.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::notes;

    #[test]
    fn a_note_of_several_files_is_told_once() {
        assert_eq!(notes([].into_iter()), None);
        let told = notes(["Roof", "Roof", "Cellar", "Roof"].into_iter());
        assert_eq!(told.as_deref(), Some("Roof\n\nCellar"));
    }
}
