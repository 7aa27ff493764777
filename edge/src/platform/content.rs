//! A file's content: ranges and conditions (RFC 9110), streamed from R2.

use chatlift_shared::{Problem, ProblemCode, disposition};
use worker::{Headers, Range, Request, Response, ResponseBody};

use super::edge::EdgeService;
use super::request::header;
use super::setup::broken;
use crate::core::command::FoundFile;
use crate::core::key::object_key;
use crate::core::link::upload_of;
use crate::core::range::{
    self, Selection, matches_strongly, matches_weakly, range_is_current, select,
};
use crate::ports::Failure;

/// `GET /v1/files/{id}/content`
pub(super) async fn serve(
    service: &EdgeService,
    request: &Request,
    found: &FoundFile,
) -> Result<Response, Failure> {
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
    let date = |name: &str| header(request, name).and_then(|text| range::http_date(&text));
    // A date counts only where there is no entity tag (RFC 9110 section 13.2.2).
    if header(request, "if-match").is_none()
        && date("if-unmodified-since").is_some_and(|at| stored_at > at)
    {
        return Err(Problem::new(ProblemCode::PreconditionFailed)
            .field("If-Unmodified-Since")
            .into());
    }
    let headers = Headers::new();
    let set = |name: &str, value: &str| headers.set(name, value).map_err(broken("headers"));
    set("etag", &format!("\"{etag}\""))?;
    set("last-modified", &range::to_http_date(stored_at))?;
    set("accept-ranges", "bytes")?;
    set("cache-control", "private, no-cache")?;
    set("repr-digest", &file.sha256.to_header())?;
    let unchanged = match header(request, "if-none-match") {
        Some(list) => matches_weakly(&list, etag),
        None => date("if-modified-since").is_some_and(|at| stored_at <= at),
    };
    if unchanged {
        return respond(304, headers, ResponseBody::Empty);
    }
    set("content-type", &file.media_type)?;
    set("content-disposition", &disposition::attachment(&file.name))?;
    set("x-content-type-options", "nosniff")?;
    // A range of another version of the file would be spliced into this one.
    let current = header(request, "if-range").is_none_or(|v| range_is_current(&v, etag));
    // `Range` has a meaning for GET only (RFC 9110 section 14.2).
    let head = request.method() == worker::Method::Head;
    let range = header(request, "range").filter(|_| current && !head);
    let selection = select(range.as_deref(), file.size)
        .map_err(|code| Problem::new(code).field("Range").limit(file.size))?;
    let (status, length, range) = match selection {
        Selection::Whole => (200, file.size, None),
        Selection::Part { offset, length } => {
            let end = offset + length - 1;
            set(
                "content-range",
                &format!("bytes {offset}-{end}/{}", file.size),
            )?;
            (
                206,
                length,
                Some(Range::OffsetWithLength { offset, length }),
            )
        }
    };
    set("content-length", &length.to_string())?;
    if head {
        return respond(status, headers, ResponseBody::Empty);
    }
    let key = object_key(&found.app, upload_of(file.id));
    match service.bucket.open(&key, range).await? {
        Some((_, body)) => respond(status, headers, body),
        None => Err(Failure::Broken(format!("no object for file {}", file.id))),
    }
}

fn respond(status: u16, headers: Headers, body: ResponseBody) -> Result<Response, Failure> {
    Response::from_body(body)
        .map(|r| r.with_status(status).with_headers(headers))
        .map_err(broken("content"))
}
