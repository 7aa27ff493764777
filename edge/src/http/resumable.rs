//! Resumable Uploads for HTTP under `/u/{token}/resumable`.
//!
//! Workers send no interim responses, so there is no `104 (Upload Resumption Supported)`: a client
//! that wants to resume begins with an empty request, which is answered with the upload's address.

use chatlift_shared::api::PageFile;
use chatlift_shared::digest::Sha256;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, Timestamp, UploadId};
use http::StatusCode;

use super::access;
use super::fields::resumable;
use super::gate::Call;
use super::message::{Request, header};
use super::request;
use super::request::{feed, invalid, own};
use super::respond;
use super::respond::{Refused, set};
use super::route::not_allowed;
use super::runtime::{Body, Edge, Response, Runtime};
use super::tus::announced;
use crate::checksum::{Algorithm, Checksum};
use crate::link::reply::FoundFile;
use crate::link::serial::{
    BODY_MAX, Phase, Protocol, Role, SerialView, body_too_large, with_status,
};
use crate::ports::Failure;
use crate::upload::serial::{Append, Grown, NewSerial};

/// A refusal, and whether it is the answer to the whole upload.
struct Refusal {
    failure: Failure,
    /// The offset that the request named.
    provided: Option<u64>,
    /// The most that the link takes, where it is known.
    max_size: Option<u64>,
}

impl<F: Into<Failure>> From<F> for Refusal {
    fn from(failure: F) -> Self {
        Self {
            failure: failure.into(),
            provided: None,
            max_size: None,
        }
    }
}

/// Methods of the address of all uploads, and of that of one.
const METHODS: &str = "OPTIONS, POST, PUT";
const UPLOAD_METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH";

type Answer<R> = Result<Response<R>, Refusal>;

/// Answers a request, whatever its method.
pub(super) async fn serve<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    upload: Option<&str>,
) -> Result<Response<R>, Failure> {
    match answer(service, call, upload).await {
        Ok(response) => Ok(response),
        Err(Refusal {
            failure: Failure::Refused(problem),
            provided,
            max_size,
        }) => {
            let mut response = refuse(&problem, provided, max_size)?;
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                let methods = upload.map_or(METHODS, |_| UPLOAD_METHODS);
                set(&mut response, "allow", methods);
            }
            Ok(response)
        }
        Err(refusal) => Err(refusal.failure),
    }
}

fn refuse<R: Runtime>(
    problem: &Problem,
    provided: Option<u64>,
    max_size: Option<u64>,
) -> Result<Response<R>, Failure> {
    let (status, body) = resumable::problem(problem, provided);
    let mut response = respond::problem(&with_status(problem.clone(), status));
    let text = serde_json::to_vec(&body).map_err(|e| Failure::unreadable("answer", &e))?;
    *response.body_mut() = Body::Bytes(text);
    response.extensions_mut().insert(Refused(problem.code));
    let complete = resumable::complete(resumable::is_final(problem));
    set(&mut response, "upload-complete", complete);
    if let Some(offset) = problem.offset {
        set(&mut response, "upload-offset", &offset.to_string());
    }
    if status == 413
        && let Some(max_size) = max_size
    {
        let limit = resumable::limit(max_size, BODY_MAX, None);
        set(&mut response, "upload-limit", &limit);
    }
    Ok(response)
}

async fn answer<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    upload: Option<&str>,
) -> Answer<R> {
    let claims = access::claims(service, call).await?;
    let method = &call.request.method;
    let Some(upload) = upload else {
        return match method.as_str() {
            "OPTIONS" => Ok(options(service, &claims).await?),
            "POST" | "PUT" => create(service, call, &claims).await,
            _ => Err(not_allowed(METHODS).into()),
        };
    };
    let upload = own(&claims, upload.parse().ok())?;
    match method.as_str() {
        "HEAD" | "GET" => {
            let protocol = Protocol::Resumable;
            let view = service.look(&claims.app, upload, protocol).await?;
            Ok(state(&view, call.runtime.now()))
        }
        "OPTIONS" => Ok(upload_options()),
        "PATCH" => append(service, call, &claims, upload).await,
        "DELETE" => {
            service.abort_serial(upload, Protocol::Resumable).await?;
            Ok(respond::no_content())
        }
        _ => Err(not_allowed(UPLOAD_METHODS).into()),
    }
}

async fn options<R: Runtime>(service: &Edge<R>, claims: &Claims) -> Result<Response<R>, Failure> {
    let policy = service.read_link(claims.link).await?.link.policy;
    let mut response = respond::no_content();
    set(&mut response, "allow", METHODS);
    let limit = resumable::limit(policy.max_file_size, BODY_MAX, None);
    set(&mut response, "upload-limit", &limit);
    Ok(response)
}

/// What one upload takes: its methods (RFC 9110 section 9.3.7) and what is appended (RFC 5789
/// section 3.1). No `Upload-Limit`, which would say that uploads can be made here (the draft,
/// section "Limits"); `HEAD` tells the upload's own.
fn upload_options<R: Runtime>() -> Response<R> {
    let mut response = respond::no_content();
    set(&mut response, "allow", UPLOAD_METHODS);
    set(&mut response, "accept-patch", resumable::MEDIA_TYPE);
    response
}

async fn create<R: Runtime>(service: &Edge<R>, call: &Call<'_, R>, claims: &Claims) -> Answer<R> {
    let request = &call.request;
    resumable::no_incomplete(header(request, "upload-incomplete").as_deref())?;
    let flag = resumable::boolean(header(request, "upload-complete").as_deref())?;
    // Without the field it is a request as any other, with all of the file in it.
    let complete = flag.unwrap_or(true);
    let told = length(request)?;
    let body = body_length(request)?;
    let length = resumable::length(told, complete, 0, body)?;
    let new = NewSerial {
        protocol: Protocol::Resumable,
        role: Role::File,
        label: request::file_name(request)?.into(),
        length,
        metadata: String::new(),
        sha256: request::digest(request, "Repr-Digest")?,
    };
    let checksum = checksum(request)?;
    let view = service.open_serial(&claims.app, claims.link, new).await?;
    let location = format!("/u/{}/resumable/{}", call.token()?.text, view.id);
    let now = call.runtime.now();
    if body == Some(0) && !complete {
        return Ok(created(&view, &location, 0, now));
    }
    let append = Append {
        protocol: Protocol::Resumable,
        offset: 0,
        length: body,
        total: None,
        checksum,
        last: Some(complete),
    };
    let grown = add(service, call, claims, view.id, append).await;
    match grown.map_err(|failure| Refusal {
        failure,
        provided: None,
        max_size: Some(view.policy.max_file_size),
    })? {
        Grown::To(offset) | Grown::Piece(offset) | Grown::Cut(offset) => {
            Ok(created(&view, &location, offset, now))
        }
        Grown::File(found) => Ok(stored(*found)?),
    }
}

fn created<R: Runtime>(
    view: &SerialView,
    location: &str,
    offset: u64,
    now: Timestamp,
) -> Response<R> {
    let mut response = respond::with(201, &[], Body::Empty);
    set(&mut response, "location", location);
    set(&mut response, "upload-complete", resumable::complete(false));
    set(&mut response, "upload-offset", &offset.to_string());
    set(&mut response, "upload-limit", &limit_of(view, now));
    response
}

fn limit_of(view: &SerialView, now: Timestamp) -> String {
    let left = now.until(view.expires_at).as_secs();
    resumable::limit(view.policy.max_file_size, BODY_MAX, Some(left))
}

fn state<R: Runtime>(view: &SerialView, now: Timestamp) -> Response<R> {
    let mut response = respond::no_content();
    set(&mut response, "cache-control", "no-store");
    set(&mut response, "upload-offset", &view.offset.to_string());
    let complete = resumable::complete(view.phase == Phase::Stored);
    set(&mut response, "upload-complete", complete);
    set(&mut response, "upload-limit", &limit_of(view, now));
    if let Some(length) = view.length() {
        set(&mut response, "upload-length", &length.to_string());
    }
    if let Some(sha256) = view.sha256 {
        set(&mut response, "repr-digest", &sha256.to_header());
    }
    response
}

/// What the whole file is answered with.
fn stored<R: Runtime>(found: FoundFile) -> Result<Response<R>, Failure> {
    let file: PageFile = found.file.into();
    let sha256 = file.sha256;
    let mut response = respond::json(201, &file)?;
    set(&mut response, "upload-complete", resumable::complete(true));
    if let Some(sha256) = sha256 {
        set(&mut response, "repr-digest", &sha256.to_header());
    }
    Ok(response)
}

async fn append<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
    upload: UploadId,
) -> Answer<R> {
    let request = &call.request;
    let media_type = header(request, "content-type").unwrap_or_default();
    if media_type != resumable::MEDIA_TYPE {
        let problem = Problem::new(ProblemCode::InvalidRequest)
            .field("Content-Type")
            .detail(format!("Use {}.", resumable::MEDIA_TYPE));
        return Err(with_status(problem, 415).into());
    }
    resumable::no_incomplete(header(request, "upload-incomplete").as_deref())?;
    let offset = header(request, "upload-offset");
    let offset = resumable::integer("Upload-Offset", offset.as_deref())?
        .ok_or_else(|| invalid("Upload-Offset", "Give a number of bytes."))?;
    let complete = resumable::boolean(header(request, "upload-complete").as_deref())?
        .ok_or_else(|| invalid("Upload-Complete", "Give ?0 or ?1."))?;
    let told = length(request)?;
    let body = body_length(request)?;
    let append = Append {
        protocol: Protocol::Resumable,
        offset,
        length: body,
        total: resumable::length(told, complete, offset, body)?,
        checksum: checksum(request)?,
        last: Some(complete),
    };
    let grown = add(service, call, claims, upload, append).await;
    match grown.map_err(|failure| Refusal {
        failure,
        provided: Some(offset),
        max_size: None,
    })? {
        Grown::To(offset) | Grown::Piece(offset) | Grown::Cut(offset) => {
            let mut response = respond::no_content();
            set(&mut response, "upload-complete", resumable::complete(false));
            set(&mut response, "upload-offset", &offset.to_string());
            Ok(response)
        }
        Grown::File(found) => Ok(stored(*found)?),
    }
}

async fn add<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
    upload: UploadId,
    append: Append,
) -> Result<Grown, Failure> {
    let (app, mut append) = (&claims.app, append);
    if append.length == Some(0) {
        // Nothing has no digest that could be wrong.
        append.checksum = None;
    }
    Ok(service.append(app, upload, append, feed(call)).await?.0)
}

fn length<B>(request: &Request<B>) -> Result<Option<u64>, Problem> {
    resumable::integer("Upload-Length", header(request, "upload-length").as_deref())
}

fn body_length<B>(request: &Request<B>) -> Result<Option<u64>, Failure> {
    let length = announced(request)?;
    if length.is_some_and(|length| length > BODY_MAX) {
        return Err(body_too_large("append parts of at most max-append-size").into());
    }
    Ok(length)
}

/// The `Content-Digest` of the body, if there is one.
fn checksum<B>(request: &Request<B>) -> Result<Option<Checksum>, Failure> {
    let digest: Option<Sha256> = request::digest(request, "Content-Digest")?;
    Ok(digest.map(|sha256| Checksum {
        algorithm: Algorithm::Sha256,
        digest: sha256.0.to_vec(),
    }))
}
