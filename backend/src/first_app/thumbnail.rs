//! A small picture of a delivery, made when it is first asked for.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use chatlift_shared::FileId;

use super::id;
use crate::App;
use crate::error::Error;

pub(super) async fn thumbnail(
    State(app): State<App>,
    file: Result<Path<FileId>, PathRejection>,
) -> Result<impl IntoResponse, Error> {
    let file = id(file, "delivery")?;
    let delivery = app
        .store
        .delivery(file)
        .await?
        .filter(|delivery| delivery.deleted_at.is_none())
        .ok_or(Error::NotFound("delivery"))?;
    let made = app
        .pipeline
        .thumbnail(file, &delivery.product.media_type)
        .await
        .map_err(|error| {
            tracing::info!(%file, %error, "no thumbnail");
            Error::NotFound("thumbnail")
        })?;
    let bytes = tokio::fs::read(made).await.map_err(|source| Error::Disk {
        doing: "reading a thumbnail",
        source,
    })?;
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::CONTENT_SECURITY_POLICY, "sandbox"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "private, max-age=86400"),
    ];
    Ok((headers, bytes))
}
