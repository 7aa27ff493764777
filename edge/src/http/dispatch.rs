//! The routes: who may call, what is read from the request, what is answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::api::{
    CompleteUpload, CreateLink, CreateUpload, Done, HEADER_OFFSET, HEADER_TICKET, PageFile,
    Receipt, Staged, Upload,
};
use chatlift_shared::limits::{HEAD_MAX, SINGLE_REQUEST_MAX};
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, UploadId};

use super::address::api_link;
use super::fields::tus::number;
use super::gate::Call;
use super::message::{Request, header};
use super::request;
use super::request::{feed, invalid, own};
use super::route::{PageRoute, Route};
use super::runtime::{Edge, Response, Runtime};
use super::{access, apps as manage, chat, content, form, page, password, respond, resumable, tus};
use crate::link::reply::FoundFile;
use crate::link::serial::LIFETIME;
use crate::link::state::{Extras, upload_of};
use crate::log;
use crate::ports::{Failure, World as _};
use crate::upload::open::{Joins, Label};
use crate::upload::receive::{Held, SentPart};
use crate::upload::ticket;
use chatlift_shared::name;

/// Answers a request.
pub(super) async fn dispatch<R: Runtime>(call: &Call<'_, R>) -> Result<Response<R>, Failure> {
    let route = call.route.clone()?;
    if route == Route::Asset {
        return asset(call).await;
    }
    let config = call.config()?;
    if let Route::DomainFile(name) = &route {
        return match config.domain_files.get(name) {
            Some(content) => Ok(respond::text(content)),
            None => asset(call).await,
        };
    }
    let service = &call.service()?;
    match route {
        Route::Page(_, PageRoute::Tus(upload)) => {
            tus::serve(service, call, upload.as_deref()).await
        }
        Route::Page(_, PageRoute::Resumable(upload)) => {
            resumable::serve(service, call, upload.as_deref()).await
        }
        Route::Page(_, route) => page_route(service, call, route).await,
        Route::WebhookKeys(app) => manage::webhook_keys(config, &app),
        Route::Download(text) => manage::download(service, call, &text).await,
        Route::Health => respond::json(200, &serde_json::json!({ "status": "ok" })),
        Route::Manage(route) => {
            let app = access::app(call).await?;
            manage::route(service, call, app, route).await
        }
        route => backend_route(service, call, route).await,
    }
}

async fn asset<R: Runtime>(call: &Call<'_, R>) -> Result<Response<R>, Failure> {
    let path = call.request.path();
    if let Some(code) = path.strip_prefix("/problems/") {
        return explain(code);
    }
    let other = (path == "/docs").then_some("docs.html");
    call.runtime.static_file(&call.request, other).await
}

/// The `type` of a problem leads to where the reference explains it.
fn explain<R: Runtime>(code: &str) -> Result<Response<R>, Failure> {
    if !ProblemCode::ALL.iter().any(|known| known.code() == code) {
        return Err(ProblemCode::NotFound.into());
    }
    Ok(respond::redirect(302, &format!("/docs#problem-{code}")))
}

async fn backend_route<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    route: Route,
) -> Result<Response<R>, Failure> {
    let app = access::app(call).await?;
    let (config, request) = (call.config()?, &call.request);
    match route {
        Route::CreateLink => {
            let idempotency_key = header(request, "idempotency-key");
            let body: CreateLink = request::json(call).await?;
            let view = service
                .create_link(config, app, body, idempotency_key.as_deref())
                .await?;
            log::info(
                "link made",
                &[
                    ("link", view.link.id.to_string()),
                    ("app", app.id.to_string()),
                ],
            );
            let link = api_link(config, request, view);
            let mut response = respond::json(201, &link)?;
            respond::set(&mut response, "location", &format!("/v1/links/{}", link.id));
            Ok(response)
        }
        Route::ReadLink(id) => {
            let view = service.link_of(app, id).await?;
            respond::json(200, &api_link(config, request, view))
        }
        Route::RevokeLink(id) => {
            if request::flag(request, "erase")? {
                let erased = service.erase(app, id, &call.runtime.directory()?).await?;
                log::info("link erased", &[("link", id.to_string())]);
                return respond::json(if erased.left == 0 { 200 } else { 202 }, &erased);
            }
            service.revoke(app, id).await?;
            log::info("link revoked", &[("link", id.to_string())]);
            Ok(respond::no_content())
        }
        Route::ReadFile(id) => respond::json(200, &service.read_file(app, id).await?.file),
        Route::DeleteFile(id) => {
            service.delete_file(app, id).await?;
            log::info("file deleted", &[("file", id.to_string())]);
            Ok(respond::no_content())
        }
        Route::FileContent(id) => {
            let found = service.read_file(app, id).await?;
            content::serve(service, request, &found).await
        }
        Route::FileReceipt(id) => {
            let receipt: Receipt = request::json(call).await?;
            respond::json(200, &service.receipt(app, id, receipt).await?.file)
        }
        Route::Redeliver(id) => respond::json(202, &service.redeliver(app, id).await?),
        Route::Manage(_)
        | Route::WebhookKeys(_)
        | Route::Download(_)
        | Route::Page(..)
        | Route::Health
        | Route::DomainFile(_)
        | Route::Asset => Err(ProblemCode::NotFound.into()),
    }
}

async fn page_route<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    route: PageRoute,
) -> Result<Response<R>, Failure> {
    match route {
        PageRoute::Html => return page::html(service, call).await,
        PageRoute::Data => return page::json(service, call).await,
        PageRoute::ChatConfig => return chat::config(call).await,
        PageRoute::Form => return form::post(service, call).await,
        PageRoute::Password => return password::enter(service, call).await,
        _ => {}
    }
    let claims = access::claims(service, call).await?;
    match route {
        PageRoute::Opened => {
            service.opened(claims.link).await?;
            Ok(respond::no_content())
        }
        PageRoute::Done => {
            let body: Done = request::json(call).await?;
            service.finish(claims.link, body.order).await?;
            Ok(respond::no_content())
        }
        PageRoute::PutFile => put_file(service, call, &claims).await,
        PageRoute::CreateUpload => create_upload(service, call, &claims).await,
        PageRoute::PutPart(upload, n) => put_part(service, call, &claims, upload, n).await,
        PageRoute::Complete(upload) => {
            let upload = own(&claims, Some(upload))?;
            let body: CompleteUpload = request::json(call).await?;
            let found = service.complete(&claims.app, upload, body).await?;
            stored(200, found)
        }
        PageRoute::Abort(upload) => {
            let upload = own(&claims, Some(upload))?;
            match header(&call.request, HEADER_TICKET) {
                None => service.abort_upload(upload).await?,
                Some(_) => {
                    ticket_for(call, upload)?;
                    service.withdraw_file(upload).await?;
                    log::info("upload withdrawn", &[("upload", upload.to_string())]);
                }
            }
            Ok(respond::no_content())
        }
        PageRoute::Html
        | PageRoute::Data
        | PageRoute::Form
        | PageRoute::ChatConfig
        | PageRoute::Password
        | PageRoute::Tus(_)
        | PageRoute::Resumable(_) => Err(ProblemCode::NotFound.into()),
    }
}

fn stored<R: Runtime>(status: u16, found: FoundFile) -> Result<Response<R>, Failure> {
    stored_with(status, found, None)
}

/// As [`stored`], with the ticket by which whoever sent the file may withdraw it.
fn stored_with<R: Runtime>(
    status: u16,
    found: FoundFile,
    ticket: Option<String>,
) -> Result<Response<R>, Failure> {
    let mut file: PageFile = found.file.into();
    file.ticket = ticket;
    respond::json(status, &file)
}

async fn put_file<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
) -> Result<Response<R>, Failure> {
    let request = &call.request;
    super::fields::resumable::all_of_it(|field| header(request, field))?;
    let length = request::content_length(request)?;
    let sha256 = request::digest(request, "Content-Digest")?;
    let name = request::file_name(request)?;
    service.world.may_panic(&name);
    let (found, new) = service
        .put_file(&claims.app, claims.link, name, length, sha256, feed(call))
        .await?;
    // Who only knows the digest of a file is not who sent it.
    let ticket = if new {
        let ticket = ticket::Ticket {
            upload: upload_of(found.file.id),
            app: claims.app.clone(),
            r2_upload_id: String::new(),
            size: found.file.size,
            part_size: SINGLE_REQUEST_MAX,
            expires_at: ticket_end(call),
        };
        Some(ticket::issue(&call.config()?.keys, &ticket))
    } else {
        None
    };
    stored_with(201, found, ticket)
}

/// When a ticket that is issued now ends, in seconds since the epoch. The link itself says whether it
/// takes parts; a page that is open when it is extended goes on.
fn ticket_end(call: &Call<'_, impl Runtime>) -> u64 {
    u64::try_from(call.runtime.now().plus(LIFETIME).secs()).unwrap_or_default()
}

/// The ticket of this upload that a request bears.
fn ticket_for(call: &Call<'_, impl Runtime>, upload: UploadId) -> Result<ticket::Ticket, Failure> {
    let keys = &call.config()?.keys;
    header(&call.request, HEADER_TICKET)
        .and_then(|text| ticket::read(keys, &text, call.runtime.now()))
        .filter(|ticket| ticket.upload == upload)
        .ok_or_else(|| ticket_invalid().into())
}

fn ticket_invalid() -> Problem {
    Problem::new(ProblemCode::UploadTicketInvalid).field("Upload-Ticket")
}

async fn create_upload<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
) -> Result<Response<R>, Failure> {
    let body: CreateUpload = request::json(call).await?;
    let head = STANDARD
        .decode(&body.head)
        .ok()
        .filter(|h| h.len() as u64 == HEAD_MAX.min(body.size))
        .ok_or_else(|| {
            invalid(
                "head",
                "Give the first 4,096 bytes of the file, or all of it, in base64.",
            )
        })?;
    let keys = &call.config()?.keys;
    let earlier = body.ticket.as_deref();
    let earlier = earlier.and_then(|text| ticket::read(keys, text, call.runtime.now()));
    let (opened, new) = service
        .announce(
            &claims.app,
            claims.link,
            Label {
                name: name::safe(&body.name),
                extras: Extras {
                    note: body.note.as_deref().map_or(Ok(None), form::note)?,
                    rotate: form::rotate(Some(body.rotate))?,
                },
            },
            body.size,
            &head,
            Joins {
                earlier: earlier.as_ref(),
                alone: body.alone,
            },
        )
        .await?;
    let ticket = ticket::Ticket {
        upload: opened.id,
        app: claims.app.clone(),
        r2_upload_id: opened.multipart.r2_upload_id.clone(),
        size: opened.size,
        part_size: opened.multipart.part_size,
        expires_at: ticket_end(call),
    };
    let upload = Upload {
        id: opened.id,
        ticket: ticket::issue(keys, &ticket),
        size: opened.size,
        part_size: opened.multipart.part_size,
        parts: opened.parts,
        staged: opened.staged,
        sealed: opened.sealed,
    };
    respond::json(if new { 201 } else { 200 }, &upload)
}

async fn put_part<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
    upload: UploadId,
    n: u64,
) -> Result<Response<R>, Failure> {
    let request = &call.request;
    let upload = own(claims, Some(upload))?;
    let ticket = ticket_for(call, upload)?;
    if !ticket.takes_parts() {
        return Err(ticket_invalid().into());
    }
    let length = request::content_length(request)?;
    let complete = completion(request)?;
    let offset = header(request, HEADER_OFFSET)
        .map(|offset| number("Upload-Offset", &offset))
        .transpose()?;
    let sha256 = match offset {
        // That of the whole part (RFC 9530 section 3): what is checked when the part is whole.
        Some(_) => request::digest(request, "Repr-Digest")?,
        None => request::digest(request, "Content-Digest")?,
    };
    let part = SentPart {
        n,
        sha256,
        complete,
    };
    let sent = service
        .put_part(&ticket, part, offset, length, feed(call))
        .await;
    let sent = match sent {
        // A browser may be sending again, unasked, what it sent before its connection broke.
        Err(Failure::Refused(problem)) if problem.code == ProblemCode::OffsetDiffers => {
            return Ok(respond::unread(&problem));
        }
        sent => sent?,
    };
    match sent {
        Held::Staged(offset) => respond::json(202, &Staged { offset }),
        Held::Part => Ok(respond::no_content()),
        Held::File(found) => stored(200, *found),
    }
}

/// What a part's address says to complete the upload with.
fn completion<B>(request: &Request<B>) -> Result<Option<CompleteUpload>, Failure> {
    let digest = |name: &str| {
        let Some(hex) = request.parameter(name) else {
            return Ok(None);
        };
        let digest = hex.parse().map(Some);
        digest.map_err(|_| invalid(name, "Give a SHA-256 in lower-case hex."))
    };
    match (digest("sha256")?, digest("parts_sha256")?) {
        (sha256, parts_sha256 @ Some(_)) => Ok(Some(CompleteUpload {
            sha256,
            parts_sha256,
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(invalid("parts_sha256", "Give it too, or neither.")),
    }
}
