//! Requests of a worker to a Durable Object, with the version of the messages in both directions: an object
//! does nothing for a request of another version, and a worker takes an answer of another for none.

use worker::{Request, Response, Result, Stub};

use super::log;
use super::setup::{away, broken};
use crate::link::version;
use crate::link::version::OtherVersion;
use crate::ports::Failure;

/// Sends a request of a version to an object. `what` names the object in the log.
pub(super) async fn send(
    stub: Result<Stub>,
    what: &str,
    version: u32,
    mut request: Request,
) -> core::result::Result<Response, Failure> {
    let headers = request.headers_mut().map_err(broken(what))?;
    headers
        .set(version::HEADER, &version.to_string())
        .map_err(broken(what))?;
    let stub = stub.map_err(broken(what))?;
    let answer = stub.fetch_with_request(request).await;
    let mut response = answer.map_err(away(what))?;
    if let Err(other) = check_version(response.headers()) {
        return Err(Failure::Away(format!("{what}: {other}")));
    }
    if response.status_code() == 200 {
        return Ok(response);
    }
    let reason = response.text().await.unwrap_or_default();
    Err(match response.status_code() {
        503 => Failure::Away(format!("{what}: {reason}")),
        _ => Failure::Broken(format!("{what}: {reason}")),
    })
}

/// Checks the version that a message says it has.
pub(super) fn check_version(headers: &worker::Headers) -> core::result::Result<(), OtherVersion> {
    version::check_message(headers.get(version::HEADER).ok().flatten().as_deref())
}

/// The answer to a request whose version was `checked`: that of `work`, which is not begun for another version.
pub(super) async fn answer(
    checked: Result<core::result::Result<(), OtherVersion>>,
    work: impl Future<Output = Result<Response>>,
) -> Result<Response> {
    let answer = match checked {
        Ok(Ok(())) => work.await,
        // Nothing was done. Once both are replaced, it will be.
        Ok(Err(other)) => Response::error(other.to_string(), 503),
        Err(error) => Err(error),
    };
    let mut answer = answer.or_else(|e| log::failed(&e))?;
    let version = version::MESSAGES.to_string();
    answer.headers_mut().set(version::HEADER, &version)?;
    Ok(answer)
}
