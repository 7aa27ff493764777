//! Uploads from apps' own pages: the headers by which a browser lets them.

use worker::{Env, Headers, Method, Request, Response};

use super::request::header;
use super::{about, setup};
use crate::core::cors::{MAX_AGE, METHODS, REQUEST_HEADERS, RESPONSE_HEADERS, allows};

/// The origin of the request, if its page may use the link. A token that has ended still says
/// whose it was, so that the page can read why it is refused.
pub(super) fn origin(request: &Request, env: &Env) -> Option<String> {
    let origin = header(request, "origin")?;
    let path = request.path();
    let token = path.strip_prefix("/u/")?.split('/').next()?;
    let config = setup::config(env).ok()?;
    let claims = about::claims(config, token)?;
    allows(&config.app(&claims.app)?.origins, &origin).then_some(origin)
}

/// The answer to a browser that asks beforehand, if this is what the request is.
pub(super) fn preflight(request: &Request, origin: &str) -> Option<worker::Result<Response>> {
    let asks = request.method() == Method::Options
        && header(request, "access-control-request-method").is_some();
    asks.then(|| {
        let headers = Headers::new();
        headers.set("access-control-allow-methods", METHODS)?;
        headers.set("access-control-allow-headers", REQUEST_HEADERS)?;
        headers.set("access-control-max-age", MAX_AGE)?;
        let mut response = Response::empty()?.with_status(204).with_headers(headers);
        allow(&mut response, origin)?;
        Ok(response)
    })
}

/// Lets the page of this origin read the answer.
pub(super) fn allow(response: &mut Response, origin: &str) -> worker::Result<()> {
    let headers = response.headers_mut();
    headers.set("access-control-allow-origin", origin)?;
    headers.set("access-control-expose-headers", RESPONSE_HEADERS)?;
    headers.append("vary", "origin")
}
