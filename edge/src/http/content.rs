//! A file's content: ranges and conditions (RFC 9110), streamed from R2.

use chatlift_shared::{Problem, ProblemCode, Timestamp, disposition};
use http::Method;

use super::message::{Request, header};
use super::range::{matches_strongly, matches_weakly, range_is_current, select};
use super::respond;
use super::runtime::{Body, Edge, Response, Runtime};
use crate::date;
use crate::link::key::object_key;
use crate::link::reply::FoundFile;
use crate::link::state::upload_of;
use crate::ports::{Bucket as _, Failure, Selection};

/// `GET /v1/files/{id}/content`
pub(super) async fn serve<R: Runtime>(
    service: &Edge<R>,
    request: &Request<R::Body>,
    found: &FoundFile,
) -> Result<Response<R>, Failure> {
    let file = &found.file;
    let etag = &found.stored.etag;
    if file.deleted_at.is_some() {
        return Err(ProblemCode::FileDeleted.into());
    }
    if header(request, "if-match").is_some_and(|list| !matches_strongly(&list, etag)) {
        return Err(Problem::new(ProblemCode::PreconditionFailed)
            .field("If-Match")
            .into());
    }
    let stored_at = file.stored_at.secs();
    let said =
        |name: &str| header(request, name).and_then(|text| date::parse(&text).map(Timestamp::secs));
    // A date counts only where there is no entity tag (RFC 9110 section 13.2.2).
    if header(request, "if-match").is_none()
        && said("if-unmodified-since").is_some_and(|at| stored_at > at)
    {
        return Err(Problem::new(ProblemCode::PreconditionFailed)
            .field("If-Unmodified-Since")
            .into());
    }
    let mut response = respond::no_content();
    let mut set = |name, value: &str| respond::set(&mut response, name, value);
    set("etag", &format!("\"{etag}\""));
    set("last-modified", &date::format(file.stored_at));
    set("accept-ranges", "bytes");
    set("cache-control", "private, no-cache");
    if let Some(sha256) = file.sha256 {
        set("repr-digest", &sha256.to_header());
    }
    let unchanged = match header(request, "if-none-match") {
        Some(list) => matches_weakly(&list, etag),
        None => said("if-modified-since").is_some_and(|at| stored_at <= at),
    };
    if unchanged {
        return Ok(answer(response, 304, Body::Empty));
    }
    set("content-type", &file.media_type);
    set("content-disposition", &disposition::attachment(&file.name));
    set("x-content-type-options", "nosniff");
    // Should a browser show it all the same, nothing in it runs, with no origin of its own.
    set("content-security-policy", "default-src 'none'; sandbox");
    // A range of another version of the file would be spliced into this one.
    let current = header(request, "if-range").is_none_or(|v| range_is_current(&v, etag));
    // `Range` has a meaning for GET only (RFC 9110 section 14.2).
    let head = request.method == Method::HEAD;
    let range = header(request, "range").filter(|_| current && !head);
    let selection = select(range.as_deref(), file.size)
        .map_err(|code| Problem::new(code).field("Range").limit(file.size))?;
    let (status, length) = match selection {
        Selection::Whole => (200, file.size),
        Selection::Part { offset, length } => {
            let end = offset + length - 1;
            set(
                "content-range",
                &format!("bytes {offset}-{end}/{}", file.size),
            );
            (206, length)
        }
    };
    set("content-length", &length.to_string());
    if head {
        return Ok(answer(response, status, Body::Empty));
    }
    let key = object_key(&found.app, upload_of(file.id));
    match service.bucket.open(&key, selection).await? {
        Some(body) => Ok(answer(response, status, Body::Stream(body))),
        None => Err(Failure::Broken(format!("no object for file {}", file.id))),
    }
}

fn answer<R: Runtime>(mut response: Response<R>, status: u16, body: Body<R>) -> Response<R> {
    *response.body_mut() = body;
    *response.status_mut() = respond::status(status);
    response
}
