//! Answers. The one place where an error becomes a response.

use chatlift_shared::problem::MEDIA_TYPE;
use chatlift_shared::{Problem, ProblemCode};
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use serde::Serialize;

use super::runtime::{Body, Response, Runtime};
use crate::log;
use crate::page::csp;
use crate::ports::Failure;

/// Seconds after which a client may try again when storage, a link's object or a chat platform did not
/// answer. None of them says how long it will be away, and most are back at once.
pub const RETRY_AFTER: u64 = 2;

/// In a response's extensions: the problem that it tells, in its own words or in those of a protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused(pub(super) ProblemCode);

/// In a response's extensions: what is left of the request's body is not read before the answer. Its sender is
/// to stop, which over HTTP/1.1 it learns by the end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Unread;

/// A response of these parts.
pub(super) fn with<R: Runtime>(
    status: u16,
    headers: &[(&'static str, &str)],
    body: Body<R>,
) -> Response<R> {
    let mut response = Response::new(body);
    *response.status_mut() = self::status(status);
    for (name, value) in headers {
        set(&mut response, name, value);
    }
    response
}

/// A status; one that is none is an error of ours.
pub(super) fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Sets a header in place of any of that name. A value that no header can have is left out.
pub(super) fn set<R: Runtime>(response: &mut Response<R>, name: &'static str, value: &str) {
    if let Some(value) = to_value(value) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    }
}

/// A header's value: the inverse of what a request's is read by.
fn to_value(text: &str) -> Option<HeaderValue> {
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    HeaderValue::from_bytes(&bytes.ok()?).ok()
}

/// JSON with a status.
pub(super) fn json<R: Runtime>(status: u16, body: &impl Serialize) -> Result<Response<R>, Failure> {
    respond_json(status, "application/json", body)
}

/// Plain text that never changes while the edge runs.
pub(super) fn text<R: Runtime>(content: &str) -> Response<R> {
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
    ];
    with(200, &headers, Body::Bytes(content.as_bytes().to_vec()))
}

/// A page of ours without a program.
pub(super) fn html<R: Runtime>(status: u16, lang: &str, html: String) -> Response<R> {
    html_with(status, lang, html, &csp::plain())
}

/// A page of ours under a content security policy.
pub(super) fn html_with<R: Runtime>(
    status: u16,
    lang: &str,
    html: String,
    policy: &str,
) -> Response<R> {
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("content-language", lang),
        ("content-security-policy", policy),
        ("cross-origin-resource-policy", "same-origin"),
        // The address holds the token.
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "noindex"),
        // The upload page and its policy are for one browser.
        ("vary", "accept-language, user-agent"),
    ];
    with(status, &headers, Body::Bytes(html.into_bytes()))
}

/// Leads to another path of ours.
pub(super) fn redirect<R: Runtime>(status: u16, path: &str) -> Response<R> {
    let headers = [
        ("location", path),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
    ];
    with(status, &headers, Body::Empty)
}

/// No content.
pub(super) fn no_content<R: Runtime>() -> Response<R> {
    with(204, &[], Body::Empty)
}

/// What a fault of ours is answered with. Its detail goes to the log only, under an id that the
/// answer names, made of `random`. `about` says what the request was about.
pub(super) fn fault<R: Runtime>(
    failure: &Failure,
    about: &[(&'static str, String)],
    random: u64,
) -> Response<R> {
    problem(&fault_problem(failure, about, random))
}

/// As [`fault`], the problem alone.
pub(super) fn fault_problem(
    failure: &Failure,
    about: &[(&'static str, String)],
    random: u64,
) -> Problem {
    let code = failure.code();
    let id = format!("{random:016x}");
    let mut fields = vec![
        ("instance", id.clone()),
        ("code", code.code().to_owned()),
        ("reason", failure.reason()),
    ];
    fields.extend_from_slice(about);
    log::error("request failed", &fields);
    let mut answer = Problem::new(code);
    answer.instance = Some(id);
    if code.status() == 503 {
        answer.retry_after = Some(RETRY_AFTER);
    }
    answer
}

/// A refusal.
pub(super) fn problem<R: Runtime>(problem: &Problem) -> Response<R> {
    let mut response = respond_json(problem.status, MEDIA_TYPE, problem)
        .unwrap_or_else(|_| with(500, &[], Body::Empty));
    response.extensions_mut().insert(Refused(problem.code));
    if let Some(secs) = problem.retry_after {
        set(&mut response, "retry-after", &secs.to_string());
    }
    match problem.code {
        ProblemCode::ApiKeyMissing | ProblemCode::ApiKeyUnknown => {
            set(&mut response, "www-authenticate", "Bearer");
        }
        ProblemCode::RangeNotSatisfiable => {
            if let Some(size) = problem.limit {
                set(&mut response, "content-range", &format!("bytes */{size}"));
            }
        }
        _ => {}
    }
    response
}

/// A refusal of bytes that need not come.
pub(super) fn unread<R: Runtime>(problem: &Problem) -> Response<R> {
    let mut response = self::problem(problem);
    response.extensions_mut().insert(Unread);
    response
}

fn respond_json<R: Runtime>(
    status: u16,
    media_type: &str,
    body: &impl Serialize,
) -> Result<Response<R>, Failure> {
    let headers = [
        ("content-type", media_type),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ];
    let bytes = serde_json::to_vec(body).map_err(|e| Failure::unreadable("answer", &e))?;
    Ok(with(status, &headers, Body::Bytes(bytes)))
}
