//! A delivered file's content.
//!
//! It came from a stranger: it is served with the type that its content told, never sniffed, in a
//! sandbox without scripts or origin, and shown in place only if it is of a kind that cannot act.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chatlift_shared::{FileId, disposition};
use tower_http::services::ServeFile;

use super::id;
use crate::App;
use crate::error::Error;

/// What a browser may show in place. Everything else is downloaded.
const INLINE: &[&str] = &[
    "application/pdf",
    "audio/mp4",
    "audio/mpeg",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "video/mp4",
];

pub(super) async fn content(
    State(app): State<App>,
    file: Result<Path<FileId>, PathRejection>,
    request: Request,
) -> Result<Response, Error> {
    let file = id(file, "delivery")?;
    let delivery = app
        .store
        .delivery(file)
        .await?
        .filter(|delivery| delivery.deleted_at.is_none())
        .ok_or(Error::NotFound("delivery"))?;
    let product = delivery.product;
    let mut response = ServeFile::new(app.folders.delivery(file))
        .try_call(request)
        .await
        .map_err(|source| Error::Disk {
            doing: "reading a delivery",
            source,
        })?
        .into_response();
    // The service's answer when the disk has lost what the store knows of.
    if response.status() == axum::http::StatusCode::NOT_FOUND {
        return Err(Error::NotFound("delivery"));
    }
    let named = disposition::attachment(&product.name);
    let inline = INLINE.contains(&product.media_type.as_str());
    let named = if inline {
        named.replacen("attachment", "inline", 1)
    } else {
        named
    };
    let octets = HeaderValue::from_static("application/octet-stream");
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, product.media_type),
        (header::CONTENT_DISPOSITION, named),
        (header::CONTENT_SECURITY_POLICY, "sandbox".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ] {
        headers.insert(name, HeaderValue::try_from(value).unwrap_or(octets.clone()));
    }
    Ok(response)
}
