//! The link as a QR code, for a phone next to the screen.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use chatlift_shared::LinkId;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use super::{id, known};
use crate::App;
use crate::error::Error;

/// Side of the picture, in pixels of its own; it scales.
const SIDE: u32 = 240;

pub(super) async fn svg(
    State(app): State<App>,
    link: Result<Path<LinkId>, PathRejection>,
) -> Result<impl IntoResponse, Error> {
    let request = known(&app, id(link, "request")?).await?;
    let code = QrCode::with_error_correction_level(&request.link.url, EcLevel::M)
        .map_err(|e| Error::InvalidRequest(format!("the link makes no QR code: {e}")))?;
    // Dark on light in every theme: many readers take no other.
    let picture = code
        .render::<svg::Color<'_>>()
        .min_dimensions(SIDE, SIDE)
        .dark_color(svg::Color("#000"))
        .light_color(svg::Color("#fff"))
        .build();
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The picture is the link, and the link is a credential.
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, picture))
}
