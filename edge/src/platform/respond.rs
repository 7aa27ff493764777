//! Answers. The one place where an error becomes a response.

use chatlift_shared::problem::MEDIA_TYPE;
use chatlift_shared::{Problem, ProblemCode};
use serde::Serialize;
use worker::{Headers, Response};

use super::log;
use super::setup::broken;
use crate::core::csp;
use crate::ports::Failure;

/// Seconds after which a client may try again when storage did not answer.
const RETRY_AFTER: &str = "2";

/// An answer, with why it is a refusal where it is one in the words of a protocol.
pub(super) struct Answered {
    pub(super) response: Response,
    pub(super) refused: Option<ProblemCode>,
}

impl From<Response> for Answered {
    fn from(response: Response) -> Self {
        Self {
            response,
            refused: None,
        }
    }
}

/// JSON with a status.
pub(super) fn json(status: u16, body: &impl Serialize) -> Result<Response, Failure> {
    respond_json(status, "application/json", body).map_err(broken("answer"))
}

/// Plain text that never changes while the edge runs.
pub(super) fn text(content: &str) -> Result<Response, Failure> {
    let headers = Headers::new();
    for (name, value) in [
        ("content-type", "text/plain; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.set(name, value).map_err(broken("headers"))?;
    }
    let response = Response::from_bytes(content.as_bytes().to_vec()).map_err(broken("answer"))?;
    Ok(response.with_headers(headers))
}

/// A page of ours without a program.
pub(super) fn html(status: u16, lang: &str, html: String) -> Result<Response, Failure> {
    html_with(status, lang, html, &csp::plain())
}

/// A page of ours under a content security policy.
pub(super) fn html_with(
    status: u16,
    lang: &str,
    html: String,
    policy: &str,
) -> Result<Response, Failure> {
    let headers = Headers::new();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("content-language", lang),
        ("content-security-policy", policy),
        // The address holds the token.
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "noindex"),
        // The upload page and its policy are for one browser.
        ("vary", "accept-language, user-agent"),
    ] {
        headers.set(name, value).map_err(broken("headers"))?;
    }
    let response = Response::from_bytes(html.into_bytes()).map_err(broken("page"))?;
    Ok(response.with_status(status).with_headers(headers))
}

/// Leads to another path of ours.
pub(super) fn redirect(status: u16, path: &str) -> Result<Response, Failure> {
    let headers = Headers::new();
    for (name, value) in [
        ("location", path),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
    ] {
        headers.set(name, value).map_err(broken("headers"))?;
    }
    Response::empty()
        .map(|r| r.with_status(status).with_headers(headers))
        .map_err(broken("redirect"))
}

/// No content.
pub(super) fn no_content() -> Result<Response, Failure> {
    Response::empty()
        .map(|r| r.with_status(204))
        .map_err(broken("answer"))
}

/// What a fault of ours is answered with. Its detail goes to the log only, under an id that the
/// answer names. `about` says what the request was about.
pub(super) fn fault(
    failure: &Failure,
    about: &[(&'static str, String)],
) -> worker::Result<Response> {
    let code = failure.code();
    let id = format!("{:016x}", getrandom::u64().unwrap_or_default());
    let mut fields = vec![
        ("instance", id.clone()),
        ("code", code.code().to_owned()),
        ("reason", failure.reason()),
    ];
    fields.extend_from_slice(about);
    log::error("request failed", &fields);
    let mut answer = Problem::new(code);
    answer.instance = Some(id);
    problem(&answer)
}

/// A refusal.
pub(super) fn problem(problem: &Problem) -> worker::Result<Response> {
    let mut response = respond_json(problem.status, MEDIA_TYPE, problem)?;
    let headers = response.headers_mut();
    if let Some(secs) = problem.retry_after {
        headers.set("retry-after", &secs.to_string())?;
    }
    match problem.code {
        ProblemCode::ApiKeyMissing | ProblemCode::ApiKeyUnknown => {
            headers.set("www-authenticate", "Bearer")?;
        }
        ProblemCode::RangeNotSatisfiable => {
            if let Some(size) = problem.limit {
                headers.set("content-range", &format!("bytes */{size}"))?;
            }
        }
        ProblemCode::StorageUnavailable
        | ProblemCode::UploadBusy
        | ProblemCode::ChatUnavailable
            if problem.retry_after.is_none() =>
        {
            headers.set("retry-after", RETRY_AFTER)?;
        }
        _ => {}
    }
    Ok(response)
}

fn respond_json(status: u16, media_type: &str, body: &impl Serialize) -> worker::Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", media_type)?;
    headers.set("cache-control", "no-store")?;
    headers.set("x-content-type-options", "nosniff")?;
    let bytes = serde_json::to_vec(body)?;
    Ok(Response::from_bytes(bytes)?
        .with_status(status)
        .with_headers(headers))
}
