//! A delivered file's content.
//!
//! It came from a stranger: it is served with the type that its content told, never sniffed, in a
//! sandbox without scripts or origin, and shown in place only if it is of a kind that cannot act.

use std::io;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chatlift_shared::{FileId, disposition};
use object_store::GetRange;
use tower_http::services::ServeFile;

use super::id;
use crate::App;
use crate::error::Error;
use crate::objects::Objects;

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

/// An object of `size` bytes, or the one range of it that is asked for (RFC 9110 section 14.2), as it
/// arrives.
async fn from_bucket(
    objects: &Objects,
    key: &str,
    size: u64,
    method: &Method,
    asked: Option<&HeaderValue>,
) -> io::Result<Response> {
    let ranges = asked
        .filter(|_| *method == Method::GET)
        .and_then(|range| http_range_header::parse_range_header(range.to_str().ok()?).ok())
        .map(|ranges| ranges.validate(size));
    let range = match ranges.as_ref().map(|ranges| ranges.as_deref()) {
        Some(Err(_)) => {
            let unsatisfied = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, unsatisfied).into_response());
        }
        Some(Ok([range])) if size > 0 => Some(*range.start()..*range.end() + 1),
        // Of several the whole may be sent.
        _ => None,
    };
    let accepted = (header::ACCEPT_RANGES, "bytes".to_owned());
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    let length = (header::CONTENT_LENGTH, length.to_string());
    if *method == Method::HEAD {
        return Ok(([accepted, length], ()).into_response());
    }
    let bounded = range.clone().map(GetRange::Bounded);
    let content = match objects.read(key, bounded).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(StatusCode::NOT_FOUND.into_response());
        }
        other => Body::from_stream(other?.into_stream()),
    };
    Ok(match range {
        Some(range) => {
            let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            let headers = [accepted, length, (header::CONTENT_RANGE, part)];
            (StatusCode::PARTIAL_CONTENT, headers, content).into_response()
        }
        None => ([accepted, length], content).into_response(),
    })
}

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
    let key = product.key(file);
    let served = match app.objects.path(&key) {
        Some(path) => ServeFile::new(path)
            .try_call(request)
            .await
            .map(IntoResponse::into_response),
        None => {
            let (method, headers) = (request.method().clone(), request.headers());
            let asked = headers.get(header::RANGE).cloned();
            drop(request);
            from_bucket(&app.objects, &key, product.size, &method, asked.as_ref()).await
        }
    };
    let mut response = served.map_err(|source| Error::Disk {
        doing: "reading a delivery",
        source,
    })?;
    // The service's answer when the disk has lost what the store knows of.
    if response.status() == StatusCode::NOT_FOUND {
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
