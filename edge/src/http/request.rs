//! What is read from a request, as checked types.

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::JSON_BODY_MAX;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, UploadId, disposition};
use core::pin::pin;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::fields::digest as field_digest;
use super::gate::Call;
use super::message::{Request, header};
use super::runtime::Runtime;
use crate::json;
use crate::page::language;
use crate::ports::Failure;
use chatlift_shared::name;

/// The bytes of a request's body on their way.
pub(super) fn feed<R: Runtime>(call: &Call<'_, R>) -> R::Feed {
    call.runtime.feed(call.request.body())
}

/// The length of the body in bytes, which must be announced: R2 takes no stream of unknown length.
pub(super) fn content_length<B>(request: &Request<B>) -> Result<u64, Failure> {
    header(request, "content-length")
        .and_then(|v| v.parse().ok())
        .ok_or_else(|| {
            Problem::new(ProblemCode::LengthRequired)
                .field("Content-Length")
                .into()
        })
}

/// The digest in a `Content-Digest` or `Repr-Digest` header, if there is one.
pub(super) fn digest<B>(request: &Request<B>, name: &str) -> Result<Option<Sha256>, Failure> {
    match header(request, name) {
        None => Ok(None),
        Some(value) => field_digest::sha256(&value)
            .map(Some)
            .ok_or_else(|| Problem::new(ProblemCode::DigestMissing).field(name).into()),
    }
}

/// The file's name in `Content-Disposition`, made safe.
pub(super) fn file_name<B>(request: &Request<B>) -> Result<String, Failure> {
    let Some(value) = header(request, "content-disposition") else {
        return Ok(name::safe(""));
    };
    disposition::file_name(&value)
        .map(|n| name::safe(&n))
        .ok_or_else(|| invalid("Content-Disposition", "It names no file that can be read."))
}

/// The body as JSON, or the default where there is none.
pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
    call: &Call<'_, impl Runtime>,
) -> Result<T, Failure> {
    match bytes(call).await? {
        empty if empty.is_empty() => Ok(T::default()),
        bytes => parse(&bytes),
    }
}

/// The body as JSON.
pub(super) async fn json<T: DeserializeOwned>(call: &Call<'_, impl Runtime>) -> Result<T, Failure> {
    parse(&bytes(call).await?)
}

/// The body, read no further than the limit of JSON bodies.
pub(super) async fn bytes(call: &Call<'_, impl Runtime>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if let Some(body) = call.request.body() {
        let mut stream = pin!(call.runtime.stream(body));
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
    json::object(bytes)
        .map_err(|wrong| invalid(wrong.field.as_deref().unwrap_or("body"), &wrong.reason))
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
pub(super) fn flag<B>(request: &Request<B>, name: &str) -> Result<bool, Failure> {
    match request.parameter(name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid(name, "Give true or false.")),
    }
}

/// The language to answer in.
pub(super) fn language<B>(request: &Request<B>) -> &'static str {
    let lang = request.parameter("lang");
    let accepted = header(request, "accept-language");
    language::negotiate(lang.as_deref(), accepted.as_deref())
}
