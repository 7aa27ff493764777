//! The first-app demo: a page that plays the app, embedded in the program.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::App;

/// The page runs its own script and style, talks to its own origin, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; \
    connect-src 'self'; object-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const HTML: &str = include_str!("../demo/index.html");
const JS: &str = include_str!("../demo/demo.js");
const CHECK: &str = include_str!("../demo/check.svg");
const ICON: &str = include_str!("../demo/icon.svg");
const TEXTS: &str = include_str!("../demo/texts.js");
const CSS: &str = include_str!("../demo/demo.css");

/// The routes of the demo page.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(async || asset("text/html; charset=utf-8", HTML)))
        .route(
            "/demo/demo.js",
            get(async || asset("text/javascript; charset=utf-8", JS)),
        )
        .route(
            "/demo/texts.js",
            get(async || asset("text/javascript; charset=utf-8", TEXTS)),
        )
        .route(
            "/demo/check.svg",
            get(async || asset("image/svg+xml", CHECK)),
        )
        .route("/demo/icon.svg", get(async || asset("image/svg+xml", ICON)))
        .route(
            "/demo/demo.css",
            get(async || asset("text/css; charset=utf-8", CSS)),
        )
}

fn asset(media_type: &'static str, body: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body)
}
