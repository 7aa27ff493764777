//! tus 1.0 under `/u/{token}/tus`.

use chatlift_shared::limits::FILE_SIZE_MAX;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, UploadId};
use http::StatusCode;

use super::access;
use super::fields::tus;
use super::form;
use super::gate::Call;
use super::message::{Request, header};
use super::request::{feed, invalid, own};
use super::respond;
use super::respond::{Refused, set};
use super::route::not_allowed;
use super::runtime::{Body, Edge, Response, Runtime};
use crate::checksum::Checksum;
use crate::date;
use crate::link::serial::{
    BODY_MAX, Phase, Protocol, Role, SerialView, body_too_large, with_status,
};
use crate::link::state::Extras;
use crate::ports::Failure;
use crate::upload::open::Label;
use crate::upload::serial::{Append, Grown, NewSerial};
use chatlift_shared::name;

/// Methods of the address of all uploads, and of that of one.
const METHODS: &str = "OPTIONS, POST";
const UPLOAD_METHODS: &str = "DELETE, HEAD, OPTIONS, PATCH";

/// An answer without a body: its status and headers.
type Answer = (u16, Vec<(&'static str, String)>);

/// Answers a request, whatever its method.
pub(super) async fn serve<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    upload: Option<&str>,
) -> Result<Response<R>, Failure> {
    let problem = match answer(service, call, upload).await {
        Ok((status, headers)) => return Ok(bare(status, &headers)),
        Err(Failure::Refused(problem)) => problem,
        Err(other) => return Err(other),
    };
    let mut response = refuse(&problem);
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let methods = upload.map_or(METHODS, |_| UPLOAD_METHODS);
        set(&mut response, "allow", methods);
    }
    Ok(response)
}

fn bare<R: Runtime>(status: u16, headers: &[(&'static str, String)]) -> Response<R> {
    let mut response = respond::with(status, &[("cache-control", "no-store")], Body::Empty);
    for (name, value) in headers {
        set(&mut response, name, value);
    }
    response
}

fn refuse<R: Runtime>(refused: &Problem) -> Response<R> {
    let problem = match refused.status == refused.code.status() {
        true => tus::problem(refused.clone()),
        // It has been given another one already.
        false => refused.clone(),
    };
    let mut response = respond::problem(&problem);
    response.extensions_mut().insert(Refused(refused.code));
    if let Some(offset) = problem.offset {
        set(&mut response, "upload-offset", &offset.to_string());
    }
    if problem.status == 412 {
        set(&mut response, "tus-version", tus::VERSION);
    }
    response
}

async fn answer<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    upload: Option<&str>,
) -> Result<Answer, Failure> {
    let request = &call.request;
    let overridden = header(request, "x-http-method-override");
    let method = tus::method(request.method.as_str(), overridden.as_deref());
    let claims = access::claims(service, call).await?;
    let methods = upload.map_or(METHODS, |_| UPLOAD_METHODS);
    if !methods.split(", ").any(|known| known == method) {
        return Err(not_allowed(methods).into());
    }
    if method == "OPTIONS" {
        return options::<R>(service, &claims).await;
    }
    if header(request, "tus-resumable").as_deref() != Some(tus::VERSION) {
        let problem = Problem::new(ProblemCode::InvalidRequest)
            .field("Tus-Resumable")
            .detail("The version is 1.0.0.");
        return Err(with_status(problem, 412).into());
    }
    let base = format!("/u/{}/tus", call.token()?.text);
    let Some(upload) = upload else {
        return match method.as_str() {
            "POST" => create(service, call, &claims, &base).await,
            _ => Err(not_allowed(METHODS).into()),
        };
    };
    let upload = own(&claims, upload.parse().ok())?;
    match method.as_str() {
        "HEAD" => look::<R>(service, &claims, upload, &base).await,
        "PATCH" => patch(service, call, &claims, upload).await,
        "DELETE" => end::<R>(service, upload).await,
        _ => Err(not_allowed(UPLOAD_METHODS).into()),
    }
}

async fn options<R: Runtime>(service: &Edge<R>, claims: &Claims) -> Result<Answer, Failure> {
    let policy = service.read_link(claims.link).await?.link.policy;
    let headers = vec![
        ("tus-version", tus::VERSION.to_owned()),
        ("tus-extension", tus::EXTENSIONS.to_owned()),
        ("tus-max-size", policy.max_file_size.to_string()),
        ("tus-checksum-algorithm", tus::algorithms()),
    ];
    Ok((204, headers))
}

async fn create<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
    base: &str,
) -> Result<Answer, Failure> {
    let request = &call.request;
    let metadata = header(request, "upload-metadata").unwrap_or_default();
    let pairs = tus::metadata(&metadata)?;
    let name = name::safe(&tus::file_name(&pairs));
    let extras = extras::<R>(service, claims, &pairs).await?;
    let concat = header(request, "upload-concat");
    let role = match tus::concat(concat.as_deref(), claims.link)? {
        Role::Join(pieces) => {
            let (app, link) = (&claims.app, claims.link);
            let label = Label { name, extras };
            let upload = service.join(app, link, label, metadata, pieces).await?;
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
        label: Label { name, extras },
        length,
        metadata,
        sha256: None,
    };
    let view = service.open_serial(&claims.app, claims.link, new).await?;
    let mut headers = vec![
        ("location", format!("{base}/{}", view.id)),
        ("upload-expires", date::format(view.expires_at)),
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
        let offset = add(service, call, claims, view.id, append).await?.0;
        headers.push(("upload-offset", offset.to_string()));
    } else if view.is_full() {
        // An empty piece.
        service.look(&claims.app, view.id, Protocol::Tus).await?;
    }
    Ok((201, headers))
}

/// What its sender says of the file to the app, by the keys `note` and `rotate` of its metadata. What the scene does
/// not ask for is passed over: a client may have these keys for itself.
async fn extras<R: Runtime>(
    service: &Edge<R>,
    claims: &Claims,
    metadata: &[(String, Vec<u8>)],
) -> Result<Extras, Failure> {
    let value = |key: &str| {
        let pair = metadata.iter().find(|(known, _)| known == key);
        pair.map(|(_, value)| String::from_utf8_lossy(value))
    };
    let (note, rotate) = (value("note"), value("rotate"));
    if note.is_none() && rotate.is_none() {
        return Ok(Extras::default());
    }
    let policy = service.read_link(claims.link).await?.link.policy;
    let note = note.filter(|_| policy.note);
    let rotate = rotate.filter(|_| policy.join.is_some());
    Ok(Extras {
        note: note.map_or(Ok(None), |note| form::note(&note))?,
        rotate: rotate.map_or(Ok(0), |degrees| form::rotate(degrees.parse().ok()))?,
    })
}

async fn look<R: Runtime>(
    service: &Edge<R>,
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
        headers.push(("upload-expires", date::format(view.expires_at)));
    }
    headers
}

async fn patch<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
    upload: UploadId,
) -> Result<Answer, Failure> {
    let request = &call.request;
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
    let (offset, expires) = add(service, call, claims, upload, append).await?;
    let headers = vec![
        ("upload-offset", offset.to_string()),
        ("upload-expires", expires),
    ];
    Ok((204, headers))
}

/// Adds the request's body; answers the offset after it, and when the upload ends.
async fn add<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
    upload: UploadId,
    append: Append,
) -> Result<(u64, String), Failure> {
    let (grown, expires_at) = service
        .append(&claims.app, upload, append, feed(call))
        .await?;
    let offset = match grown {
        Grown::To(offset) | Grown::Piece(offset) | Grown::Cut(offset) => offset,
        Grown::File(found) => found.file.size,
    };
    Ok((offset, date::format(expires_at)))
}

async fn end<R: Runtime>(service: &Edge<R>, upload: UploadId) -> Result<Answer, Failure> {
    match service.abort_serial(upload, Protocol::Tus).await {
        Ok(()) => Ok((204, vec![])),
        // A file is its app's; whoever has the link only sent it.
        Err(Failure::Refused(problem)) if problem.code == ProblemCode::UploadBusy => {
            Err(with_status(problem, 403).into())
        }
        Err(other) => Err(other),
    }
}

fn content_type<B>(request: &Request<B>) -> Result<(), Failure> {
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
pub(super) fn announced<B>(request: &Request<B>) -> Result<Option<u64>, Failure> {
    match header(request, "content-length") {
        Some(length) => match length.parse() {
            Ok(length) if length <= FILE_SIZE_MAX => Ok(Some(length)),
            _ => Err(invalid("Content-Length", "It is no length of a file.")),
        },
        None => Ok((!request.has_body()).then_some(0)),
    }
}

fn body_length<B>(request: &Request<B>) -> Result<Option<u64>, Failure> {
    let length = announced(request)?;
    if length.is_some_and(|length| length > BODY_MAX) {
        return Err(body_too_large("set the client's chunkSize to 50 MiB").into());
    }
    Ok(length)
}

fn checksum<B>(request: &Request<B>) -> Result<Option<Checksum>, Failure> {
    let checksum = header(request, "upload-checksum");
    Ok(checksum.map(|c| tus::checksum(&c)).transpose()?)
}
