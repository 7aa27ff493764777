//! Who may use the listener of app and operator: whoever has the token (`CHATLIFT_APP_TOKEN`).
//!
//! The demo page, where it is served, changes the token for a cookie that no script can read, since
//! pictures, videos and the live stream of a page carry no header. The cookie counts for requests
//! of the page itself only: another origin on this machine is the same site to a browser.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::config::AppToken;
use crate::error::Error;

/// Name of the demo page's cookie.
const COOKIE: &str = "chatlift-demo";

/// Lets a request through that has the token, or the demo page's cookie where that is served.
///
/// # Errors
/// [`Error::Unauthorized`].
pub(crate) async fn require(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let (headers, tokens) = (request.headers(), &app.config.app_tokens);
    let by_token = bearer(headers).is_some_and(|text| tokens.iter().any(|t| t.is_token(text)));
    let by_session = || {
        app.config.demo
            && is_same_origin(headers)
            && cookie(headers).is_some_and(|text| tokens.iter().any(|t| t.is_session(text)))
    };
    if by_token || by_session() {
        Ok(next.run(request).await)
    } else {
        Err(Error::Unauthorized)
    }
}

/// `POST /demo/session`, reached with the token: sets the cookie that stands for it.
pub(crate) async fn open_session(headers: HeaderMap) -> Result<impl IntoResponse, Error> {
    let session = AppToken::session_of(bearer(&headers).ok_or(Error::Unauthorized)?);
    let cookie = format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

/// The token of `Authorization: Bearer`; the scheme's case does not count (RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Whether the browser says that the request is of the page's own origin or typed in; one that says
/// nothing (Safari before 16.4) is held back from other sites by the cookie's `SameSite`.
fn is_same_origin(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_none_or(|site| site == "same-origin" || site == "none")
}
