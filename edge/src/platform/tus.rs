//! tus 1.0 under `/u/{token}/tus`.

use chatlift_shared::limits::FILE_SIZE_MAX;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, UploadId};
use worker::{Headers, Request, Response};

use super::edge::EdgeService;
use super::feed::Stream;
use super::request::{header, invalid, own};
use super::respond::Answered;
use super::setup::broken;
use super::{access, log, respond};
use crate::config::Config;
use crate::core::route::not_allowed;
use crate::core::serial::{
    BODY_MAX, Phase, Protocol, Role, SerialView, body_too_large, http_date, with_status,
};
use crate::core::{name, tus};
use crate::ports::Failure;
use crate::service::serial::{Append, Grown, NewSerial};

/// Methods of the address of all uploads, and of that of one.
const METHODS: &str = "OPTIONS, POST";
const UPLOAD_METHODS: &str = "DELETE, HEAD, OPTIONS, PATCH";

/// An answer without a body: its status and headers.
type Answer = (u16, Vec<(&'static str, String)>);

/// Answers a request, whatever its method.
pub(super) async fn serve(
    service: &EdgeService,
    config: &Config,
    request: &Request,
    token: &str,
    upload: Option<&str>,
) -> Result<Answered, Failure> {
    let problem = match answer(service, config, request, token, upload).await {
        Ok((status, headers)) => return Ok(bare(status, &headers)?.into()),
        Err(Failure::Refused(problem)) => problem,
        Err(other) => return Err(other),
    };
    let mut response = refuse(&problem)?;
    if response.status_code() == 405 {
        let methods = upload.map_or(METHODS, |_| UPLOAD_METHODS);
        response
            .headers_mut()
            .set("allow", methods)
            .map_err(broken("headers"))?;
    }
    Ok(Answered {
        response,
        refused: Some(problem.code),
    })
}

fn bare(status: u16, headers: &[(&'static str, String)]) -> Result<Response, Failure> {
    let all = Headers::new();
    for (name, value) in headers {
        all.set(name, value).map_err(broken("headers"))?;
    }
    all.set("cache-control", "no-store")
        .map_err(broken("headers"))?;
    let empty = Response::empty().map_err(broken("answer"))?;
    Ok(empty.with_status(status).with_headers(all))
}

fn refuse(problem: &Problem) -> Result<Response, Failure> {
    let problem = match problem.status == problem.code.status() {
        true => tus::problem(problem.clone()),
        // It has been given another one already.
        false => problem.clone(),
    };
    let offset = problem.offset;
    let version = problem.status == 412;
    let mut response = respond::problem(&problem).map_err(broken("answer"))?;
    let headers = response.headers_mut();
    if let Some(offset) = offset {
        headers
            .set("upload-offset", &offset.to_string())
            .map_err(broken("headers"))?;
    }
    if version {
        headers
            .set("tus-version", tus::VERSION)
            .map_err(broken("headers"))?;
    }
    Ok(response)
}

async fn answer(
    service: &EdgeService,
    config: &Config,
    request: &Request,
    token: &str,
    upload: Option<&str>,
) -> Result<Answer, Failure> {
    let overridden = header(request, "x-http-method-override");
    // The platform's own text: `worker` takes a method that it does not know for GET.
    let method = tus::method(&request.inner().method(), overridden.as_deref());
    let claims = access::claims(service, config, request, token).await?;
    let methods = upload.map_or(METHODS, |_| UPLOAD_METHODS);
    if !methods.split(", ").any(|known| known == method) {
        return Err(not_allowed(methods).into());
    }
    if method == "OPTIONS" {
        return options(service, &claims).await;
    }
    if header(request, "tus-resumable").as_deref() != Some(tus::VERSION) {
        let problem = Problem::new(ProblemCode::InvalidRequest)
            .field("Tus-Resumable")
            .detail("The version is 1.0.0.");
        return Err(with_status(problem, 412).into());
    }
    let base = format!("/u/{token}/tus");
    let Some(upload) = upload else {
        return match method.as_str() {
            "POST" => create(service, request, &claims, &base).await,
            _ => Err(not_allowed(METHODS).into()),
        };
    };
    let upload = own(&claims, upload.parse().ok())?;
    match method.as_str() {
        "HEAD" => look(service, &claims, upload, &base).await,
        "PATCH" => patch(service, request, &claims, upload).await,
        "DELETE" => end(service, upload).await,
        _ => Err(not_allowed(UPLOAD_METHODS).into()),
    }
}

async fn options(service: &EdgeService, claims: &Claims) -> Result<Answer, Failure> {
    let policy = service.read_link(claims.link).await?.link.policy;
    let headers = vec![
        ("tus-version", tus::VERSION.to_owned()),
        ("tus-extension", tus::EXTENSIONS.to_owned()),
        ("tus-max-size", policy.max_file_size.to_string()),
        ("tus-checksum-algorithm", tus::algorithms()),
    ];
    Ok((204, headers))
}

async fn create(
    service: &EdgeService,
    request: &Request,
    claims: &Claims,
    base: &str,
) -> Result<Answer, Failure> {
    let metadata = header(request, "upload-metadata").unwrap_or_default();
    let name = name::safe(&tus::file_name(&tus::metadata(&metadata)?));
    let concat = header(request, "upload-concat");
    let role = match tus::concat(concat.as_deref(), claims.link)? {
        Role::Join(pieces) => {
            let (app, link) = (&claims.app, claims.link);
            let upload = service.join(app, link, name, metadata, pieces).await?;
            log_stored(upload);
            return Ok((201, vec![("location", format!("{base}/{upload}"))]));
        }
        role => role,
    };
    let length = tus::length(
        header(request, "upload-length").as_deref(),
        header(request, "upload-defer-length").as_deref(),
    )?;
    let body = body_length(request)?;
    let has_body = body.is_none_or(|length| length > 0);
    if has_body {
        content_type(request)?;
    }
    let checksum = checksum(request)?;
    let new = NewSerial {
        protocol: Protocol::Tus,
        role,
        name,
        length,
        metadata,
        sha256: None,
    };
    let view = service.open_serial(&claims.app, claims.link, new).await?;
    let mut headers = vec![
        ("location", format!("{base}/{}", view.id)),
        ("upload-expires", http_date(view.expires_at)),
    ];
    if has_body {
        let append = Append {
            protocol: Protocol::Tus,
            offset: 0,
            length: body,
            total: None,
            checksum,
            last: None,
        };
        let offset = add(service, request, claims, view.id, append).await?.0;
        headers.push(("upload-offset", offset.to_string()));
    } else if view.is_full() {
        // An empty piece.
        service.look(&claims.app, view.id, Protocol::Tus).await?;
    }
    Ok((201, headers))
}

async fn look(
    service: &EdgeService,
    claims: &Claims,
    upload: UploadId,
    base: &str,
) -> Result<Answer, Failure> {
    let view = service.look(&claims.app, upload, Protocol::Tus).await?;
    if view.phase == Phase::Completing {
        let mut busy = Problem::new(ProblemCode::UploadBusy);
        busy.retry_after = view.retry_after;
        return Err(busy.into());
    }
    Ok((200, state(&view, base)))
}

fn state(view: &SerialView, base: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![("upload-offset", view.offset.to_string())];
    headers.push(match view.length() {
        Some(length) => ("upload-length", length.to_string()),
        None => ("upload-defer-length", "1".to_owned()),
    });
    if !view.serial.metadata.is_empty() {
        headers.push(("upload-metadata", view.serial.metadata.clone()));
    }
    if let Some(concat) = tus::concat_header(&view.serial.role, base) {
        headers.push(("upload-concat", concat));
    }
    if view.phase != Phase::Stored {
        headers.push(("upload-expires", http_date(view.expires_at)));
    }
    headers
}

async fn patch(
    service: &EdgeService,
    request: &Request,
    claims: &Claims,
    upload: UploadId,
) -> Result<Answer, Failure> {
    content_type(request)?;
    let offset = header(request, "upload-offset").unwrap_or_default();
    let total = header(request, "upload-length");
    let append = Append {
        protocol: Protocol::Tus,
        offset: tus::number("Upload-Offset", &offset)?,
        length: body_length(request)?,
        total: total
            .map(|total| tus::number("Upload-Length", &total))
            .transpose()?,
        checksum: checksum(request)?,
        last: None,
    };
    let (offset, expires) = add(service, request, claims, upload, append).await?;
    let headers = vec![
        ("upload-offset", offset.to_string()),
        ("upload-expires", expires),
    ];
    Ok((204, headers))
}

/// Adds the request's body; answers the offset after it, and when the upload ends.
async fn add(
    service: &EdgeService,
    request: &Request,
    claims: &Claims,
    upload: UploadId,
    append: Append,
) -> Result<(u64, String), Failure> {
    let mut body = Stream::of(request);
    let (grown, expires_at) = service
        .append(&claims.app, upload, append, &mut body)
        .await?;
    let offset = match grown {
        Grown::To(offset) | Grown::Piece(offset) | Grown::Cut(offset) => offset,
        Grown::File(found) => {
            log_stored(upload);
            found.file.size
        }
    };
    Ok((offset, http_date(expires_at)))
}

async fn end(service: &EdgeService, upload: UploadId) -> Result<Answer, Failure> {
    match service.abort_serial(upload, Protocol::Tus).await {
        Ok(()) => Ok((204, vec![])),
        // A file is its app's; whoever has the link only sent it.
        Err(Failure::Refused(problem)) if problem.code == ProblemCode::UploadBusy => {
            Err(with_status(problem, 403).into())
        }
        Err(other) => Err(other),
    }
}

fn content_type(request: &Request) -> Result<(), Failure> {
    let media_type = header(request, "content-type").unwrap_or_default();
    if media_type == tus::MEDIA_TYPE {
        return Ok(());
    }
    let problem = Problem::new(ProblemCode::InvalidRequest)
        .field("Content-Type")
        .detail(format!("Use {}.", tus::MEDIA_TYPE));
    Err(with_status(problem, 415).into())
}

/// Length of the request's body, if it is announced; zero without a body.
pub(super) fn announced(request: &Request) -> Result<Option<u64>, Failure> {
    match header(request, "content-length") {
        Some(length) => match length.parse() {
            Ok(length) if length <= FILE_SIZE_MAX => Ok(Some(length)),
            _ => Err(invalid("Content-Length", "It is no length of a file.")),
        },
        None => Ok(request.inner().body().is_none().then_some(0)),
    }
}

fn body_length(request: &Request) -> Result<Option<u64>, Failure> {
    let length = announced(request)?;
    if length.is_some_and(|length| length > BODY_MAX) {
        return Err(body_too_large("set the client's chunkSize to 50 MiB").into());
    }
    Ok(length)
}

fn checksum(request: &Request) -> Result<Option<tus::Checksum>, Failure> {
    let checksum = header(request, "upload-checksum");
    Ok(checksum.map(|c| tus::checksum(&c)).transpose()?)
}

pub(super) fn log_stored(upload: UploadId) {
    log::info(
        "file stored",
        &[
            ("link", upload.link().to_string()),
            ("file", chatlift_shared::FileId::from(upload).to_string()),
        ],
    );
}
