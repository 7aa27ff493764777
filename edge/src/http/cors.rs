//! Uploads from apps' own pages: the headers by which a browser lets them.

use http::Method;
use http::header::{HeaderValue, VARY};

use super::gate::Call;
use super::message::{Request, header};
use super::origins::{MAX_AGE, METHODS, REQUEST_HEADERS, RESPONSE_HEADERS, allows};
use super::respond;
use super::runtime::{Body, Response, Runtime};

/// The origin of the request, if its page may use the link. A token that has ended still says
/// whose it was, so that the page can read why it is refused.
pub(super) fn origin(call: &Call<'_, impl Runtime>) -> Option<String> {
    let origin = header(&call.request, "origin")?;
    let config = call.config().ok()?;
    let claims = call.claims()?;
    allows(&config.app(&claims.app)?.origins, &origin).then_some(origin)
}

/// The answer to a browser that asks beforehand, if this is what the request is.
pub(super) fn preflight<R: Runtime>(
    request: &Request<R::Body>,
    origin: &str,
) -> Option<Response<R>> {
    let asks = request.method == Method::OPTIONS
        && header(request, "access-control-request-method").is_some();
    asks.then(|| {
        let headers = [
            ("access-control-allow-methods", METHODS),
            ("access-control-allow-headers", REQUEST_HEADERS),
            ("access-control-max-age", MAX_AGE),
        ];
        let mut response = respond::with(204, &headers, Body::Empty);
        allow(&mut response, origin);
        response
    })
}

/// Lets the page of this origin read the answer.
pub(super) fn allow<R: Runtime>(response: &mut Response<R>, origin: &str) {
    respond::set(response, "access-control-allow-origin", origin);
    respond::set(response, "access-control-expose-headers", RESPONSE_HEADERS);
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("origin"));
}
