//! What is read from a request, as checked types.

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::JSON_BODY_MAX;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, UploadId, disposition};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use worker::Request;

use super::setup::broken;
use crate::core::{json, language, name};
use crate::ports::Failure;

/// A header's value.
pub(super) fn header(request: &Request, name: &str) -> Option<String> {
    request.headers().get(name).ok().flatten()
}

/// The length of the body in bytes, which must be announced: R2 takes no stream of unknown length.
pub(super) fn content_length(request: &Request) -> Result<u64, Failure> {
    header(request, "content-length")
        .and_then(|v| v.parse().ok())
        .ok_or_else(|| {
            Problem::new(ProblemCode::LengthRequired)
                .field("Content-Length")
                .into()
        })
}

/// The digest in a `Content-Digest` or `Repr-Digest` header, if there is one.
pub(super) fn digest(request: &Request, name: &str) -> Result<Option<Sha256>, Failure> {
    match header(request, name) {
        None => Ok(None),
        Some(value) => Sha256::from_header(&value)
            .map(Some)
            .ok_or_else(|| Problem::new(ProblemCode::DigestMissing).field(name).into()),
    }
}

/// The file's name in `Content-Disposition`, made safe.
pub(super) fn file_name(request: &Request) -> Result<String, Failure> {
    let Some(value) = header(request, "content-disposition") else {
        return Ok(name::safe(""));
    };
    disposition::file_name(&value)
        .map(|n| name::safe(&n))
        .ok_or_else(|| invalid("Content-Disposition", "It names no file that can be read."))
}

/// The body as JSON, or the default where there is none.
pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
    request: &mut Request,
) -> Result<T, Failure> {
    match bytes(request).await? {
        empty if empty.is_empty() => Ok(T::default()),
        bytes => parse(&bytes),
    }
}

/// The body as JSON.
pub(super) async fn json<T: DeserializeOwned>(request: &mut Request) -> Result<T, Failure> {
    parse(&bytes(request).await?)
}

/// The body, read no further than the limit of JSON bodies.
pub(super) async fn bytes(request: &mut Request) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if request.inner().body().is_some() {
        let mut stream = request.stream().map_err(broken("body"))?;
        while let Some(chunk) = stream.next().await {
            bytes.extend(chunk.map_err(|_| invalid("body", "It ended early."))?);
            if bytes.len() as u64 > JSON_BODY_MAX {
                return Err(Problem::new(ProblemCode::BodyTooLarge)
                    .limit(JSON_BODY_MAX)
                    .into());
            }
        }
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    json::object(bytes).map_err(|error| {
        let text = error.to_string();
        // serde names the field in backquotes: "missing field `scene`".
        let field = text
            .split_once(" field `")
            .and_then(|(_, rest)| rest.split('`').next())
            .unwrap_or("body");
        invalid(field, &text)
    })
}

/// The upload that a path names, if there is one and it is of the token's link.
pub(super) fn own(claims: &Claims, upload: Option<UploadId>) -> Result<UploadId, Problem> {
    upload
        .filter(|id| id.link() == claims.link)
        .ok_or_else(|| ProblemCode::UploadNotFound.into())
}

/// An `invalid-request` problem.
pub(super) fn invalid(field: &str, detail: &str) -> Failure {
    Problem::new(ProblemCode::InvalidRequest)
        .field(field)
        .detail(detail)
        .into()
}

/// Whether the address has `name=true`; `name=false` is as if it had none.
pub(super) fn flag(request: &Request, name: &str) -> Result<bool, Failure> {
    let url = request.url().map_err(broken("address"))?;
    let value = url.query_pairs().find(|(key, _)| key == name);
    match value.as_ref().map(|(_, value)| &**value) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid(name, "Give true or false.")),
    }
}

/// The language to answer in.
pub(super) fn language(request: &Request) -> Result<&'static str, Failure> {
    let url = request.url().map_err(broken("address"))?;
    let lang = url
        .query_pairs()
        .find(|(k, _)| k == "lang")
        .map(|(_, v)| v.into_owned());
    let accepted = header(request, "accept-language");
    Ok(language::negotiate(lang.as_deref(), accepted.as_deref()))
}
