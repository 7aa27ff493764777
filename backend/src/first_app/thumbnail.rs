//! Pictures of a delivery: a small one, and the pages of a PDF. Each is made when it is first asked
//! for.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use chatlift_shared::FileId;
use serde::Serialize;

use super::id;
use crate::App;
use crate::error::Error;
use crate::pipeline::Picture;
use crate::store::Delivery;

/// How many pages there are.
#[derive(Debug, Serialize)]
pub(super) struct Pages {
    pages: u32,
}

pub(super) async fn thumbnail(
    State(app): State<App>,
    file: Result<Path<FileId>, PathRejection>,
) -> Result<Response, Error> {
    picture(&app, id(file, "delivery")?, Picture::Small).await
}

pub(super) async fn page(
    State(app): State<App>,
    path: Result<Path<(FileId, u32)>, PathRejection>,
) -> Result<Response, Error> {
    let (file, n) = id(path, "page")?;
    // Counted from 1; poppler would take 0 for the first one.
    if n == 0 {
        return Err(Error::NotFound("page"));
    }
    picture(&app, file, Picture::Page(n)).await
}

pub(super) async fn pages(
    State(app): State<App>,
    file: Result<Path<FileId>, PathRejection>,
) -> Result<Json<Pages>, Error> {
    let file = id(file, "delivery")?;
    let delivery = kept(&app, file).await?;
    if !Picture::Page(1).possible(&delivery.product.media_type) {
        return Err(Error::NotFound("page"));
    }
    let pages = app.pipeline.pages(&delivery).await.map_err(|error| {
        tracing::info!(%file, %error, "no pages");
        Error::NotFound("page")
    })?;
    Ok(Json(Pages { pages }))
}

async fn kept(app: &App, file: FileId) -> Result<Delivery, Error> {
    app.store
        .delivery(file)
        .await?
        .filter(|delivery| delivery.deleted_at.is_none())
        .ok_or(Error::NotFound("delivery"))
}

async fn picture(app: &App, file: FileId, picture: Picture) -> Result<Response, Error> {
    let delivery = kept(app, file).await?;
    let bytes = app
        .pipeline
        .picture(&delivery, picture)
        .await
        .map_err(|error| {
            tracing::info!(%file, %error, %picture, "no picture");
            Error::NotFound("picture")
        })?;
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::CONTENT_SECURITY_POLICY, "sandbox"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "private, max-age=86400"),
    ];
    Ok((headers, bytes).into_response())
}
