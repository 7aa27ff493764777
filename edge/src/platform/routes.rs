//! The routes: who may call, what is read from the request, what is answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::api::{
    CompleteUpload, CreateLink, CreateUpload, Done, HEADER_OFFSET, HEADER_TICKET, PageFile,
    Receipt, Staged, Upload,
};
use chatlift_shared::limits::HEAD_MAX;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, UploadId};
use worker::{Env, Request, Response};

use super::address::api_link;
use super::directory::Directories;
use super::edge::{self, EdgeService};
use super::feed::Stream;
use super::request::{self, header, invalid, own};
use super::respond::Answered;
use super::setup::{self, broken};
use super::{access, chat, form, log, manage, page, password, rates, respond, resumable, tus};
use crate::config::{App, Config};
use crate::core::command::FoundFile;
use crate::core::route::{self, PageRoute, Route};
use crate::core::serial::LIFETIME;
use crate::core::tus::number;
use crate::core::{name, ticket};
use crate::ports::Failure;
use crate::service::uploads::{Sent, SentPart};

/// Header by which a test asks for a fault, where `FAULTS` is on.
const HEADER_FAULT: &str = "chatlift-fault";

/// Answers a request.
pub(super) async fn dispatch(request: Request, env: &Env) -> Result<Answered, Failure> {
    // The platform's own text: `worker` takes a method that it does not know for GET.
    let route = route::parse(&request.inner().method(), &request.path())?;
    if route == Route::Asset {
        return asset(request, env).await.map(Into::into);
    }
    let config = setup::config(env)?;
    if let Route::DomainFile(name) = &route {
        return match config.domain_files.get(name) {
            Some(content) => respond::text(content).map(Into::into),
            None => asset(request, env).await.map(Into::into),
        };
    }
    let fault = config
        .faults
        .then(|| header(&request, HEADER_FAULT))
        .flatten();
    let service = edge::service(env, fault)?;
    let response = match route {
        Route::Page(token, PageRoute::Tus(upload)) => {
            return tus::serve(&service, config, &request, &token, upload.as_deref()).await;
        }
        Route::Page(token, PageRoute::Resumable(upload)) => {
            return resumable::serve(&service, config, &request, &token, upload.as_deref()).await;
        }
        Route::Page(token, route) => {
            page_route(&service, config, env, request, &token, route).await
        }
        Route::WebhookKeys(app) => manage::webhook_keys(config, &app),
        Route::Download(text) => manage::download(&service, config, &request, &text).await,
        Route::Health => respond::json(200, &serde_json::json!({ "status": "ok" })),
        Route::Manage(route) => {
            let app = authorized(config, env, &request).await?;
            manage::route(&service, config, env, app, request, route).await
        }
        route => backend_route(&service, config, env, request, route).await,
    };
    response.map(Into::into)
}

async fn asset(request: Request, env: &Env) -> Result<Response, Failure> {
    let path = request.path();
    if let Some(code) = path.strip_prefix("/problems/") {
        return explain(code);
    }
    let assets = env.assets("ASSETS").map_err(broken("binding ASSETS"))?;
    let response = if path == "/docs" {
        // The host is never resolved: the request goes to the assets by their binding.
        assets.fetch("https://assets/docs.html", None).await
    } else {
        assets.fetch_request(request).await
    };
    let response = response.map_err(broken("asset"))?;
    match response.status_code() {
        404 => Err(ProblemCode::NotFound.into()),
        _ => Ok(response),
    }
}

/// The `type` of a problem leads to where the reference explains it.
fn explain(code: &str) -> Result<Response, Failure> {
    if !ProblemCode::ALL.iter().any(|known| known.code() == code) {
        return Err(ProblemCode::NotFound.into());
    }
    respond::redirect(302, &format!("/docs#problem-{code}"))
}

/// The app whose API key the request bears.
async fn authorized<'c>(
    config: &'c Config,
    env: &Env,
    request: &Request,
) -> Result<&'c App, Failure> {
    match bearer(config, request) {
        Ok(app) => Ok(app),
        Err(refusal) => Err(rates::refused_key(request, env, refusal).await),
    }
}

fn bearer<'c>(config: &'c Config, request: &Request) -> Result<&'c App, Problem> {
    let missing = || Problem::new(ProblemCode::ApiKeyMissing).field("Authorization");
    let value = header(request, "authorization").ok_or_else(missing)?;
    let (scheme, key) = value.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    config
        .app_of_key(key.trim())
        .ok_or_else(|| Problem::new(ProblemCode::ApiKeyUnknown).field("Authorization"))
}

async fn backend_route(
    service: &EdgeService,
    config: &Config,
    env: &Env,
    mut request: Request,
    route: Route,
) -> Result<Response, Failure> {
    let app = authorized(config, env, &request).await?;
    match route {
        Route::CreateLink => {
            let idempotency_key = header(&request, "idempotency-key");
            let body: CreateLink = request::json(&mut request).await?;
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
            let link = api_link(config, &request, view)?;
            let mut response = respond::json(201, &link)?;
            response
                .headers_mut()
                .set("location", &format!("/v1/links/{}", link.id))
                .map_err(broken("headers"))?;
            Ok(response)
        }
        Route::ReadLink(id) => {
            let view = service.link_of(app, id).await?;
            respond::json(200, &api_link(config, &request, view)?)
        }
        Route::RevokeLink(id) => {
            if request::flag(&request, "erase")? {
                let erased = service.erase(app, id, &Directories::new(env)?).await?;
                log::info("link erased", &[("link", id.to_string())]);
                return respond::json(if erased.left == 0 { 200 } else { 202 }, &erased);
            }
            service.revoke(app, id).await?;
            log::info("link revoked", &[("link", id.to_string())]);
            respond::no_content()
        }
        Route::ReadFile(id) => respond::json(200, &service.read_file(app, id).await?.file),
        Route::DeleteFile(id) => {
            service.delete_file(app, id).await?;
            log::info("file deleted", &[("file", id.to_string())]);
            respond::no_content()
        }
        Route::FileContent(id) => {
            let found = service.read_file(app, id).await?;
            super::content::serve(service, &request, &found).await
        }
        Route::FileReceipt(id) => {
            let receipt: Receipt = request::json(&mut request).await?;
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

async fn page_route(
    service: &EdgeService,
    config: &Config,
    env: &Env,
    mut request: Request,
    token: &str,
    route: PageRoute,
) -> Result<Response, Failure> {
    match route {
        PageRoute::Html => return page::html(service, config, env, &request, token).await,
        PageRoute::Data => return page::json(service, config, &request, token).await,
        PageRoute::ChatConfig => return chat::config(env, config, &request, token).await,
        PageRoute::Form => return form::post(service, config, &mut request, token).await,
        PageRoute::Password => {
            let claims = access::genuine(config, token)?;
            return password::enter(service, config, &mut request, token, &claims).await;
        }
        _ => {}
    }
    let claims = access::claims(service, config, &request, token).await?;
    match route {
        PageRoute::Opened => {
            service.opened(claims.link).await?;
            respond::no_content()
        }
        PageRoute::Done => {
            let body: Done = request::json(&mut request).await?;
            service.finish(claims.link, body.order).await?;
            respond::no_content()
        }
        PageRoute::PutFile => put_file(service, &request, &claims).await,
        PageRoute::CreateUpload => create_upload(service, config, &mut request, &claims).await,
        PageRoute::PutPart(upload, n) => {
            put_part(service, config, &request, &claims, upload, n).await
        }
        PageRoute::Complete(upload) => {
            let upload = own(&claims, Some(upload))?;
            let body: CompleteUpload = request::json(&mut request).await?;
            let found = service.complete(&claims.app, upload, body).await?;
            stored(200, found)
        }
        PageRoute::Abort(upload) => {
            let upload = own(&claims, Some(upload))?;
            service.abort_upload(upload).await?;
            respond::no_content()
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

fn stored(status: u16, found: FoundFile) -> Result<Response, Failure> {
    let file: PageFile = found.file.into();
    log::info(
        "file stored",
        &[
            ("link", file.id.link().to_string()),
            ("file", file.id.to_string()),
        ],
    );
    respond::json(status, &file)
}

async fn put_file(
    service: &EdgeService,
    request: &Request,
    claims: &Claims,
) -> Result<Response, Failure> {
    crate::core::resumable::all_of_it(|field| header(request, field))?;
    let length = request::content_length(request)?;
    let sha256 = request::digest(request, "Content-Digest")?;
    let name = request::file_name(request)?;
    service.world.may_panic(&name);
    let mut feed = Stream::of(request);
    let found = service
        .put_file(&claims.app, claims.link, name, length, sha256, &mut feed)
        .await?;
    stored(201, found)
}

async fn create_upload(
    service: &EdgeService,
    config: &Config,
    request: &mut Request,
    claims: &Claims,
) -> Result<Response, Failure> {
    let body: CreateUpload = request::json(request).await?;
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
    let (opened, new) = service
        .announce(
            &claims.app,
            claims.link,
            name::safe(&body.name),
            body.size,
            &head,
        )
        .await?;
    let ticket = ticket::Ticket {
        upload: opened.id,
        app: claims.app.clone(),
        r2_upload_id: opened.multipart.r2_upload_id.clone(),
        size: opened.size,
        part_size: opened.multipart.part_size,
        // The link itself says whether it takes parts; a page that is open when it is extended goes on.
        expires_at: u64::try_from(super::world::now().plus(LIFETIME).secs()).unwrap_or_default(),
    };
    let upload = Upload {
        id: opened.id,
        ticket: ticket::issue(&config.keys, &ticket),
        size: opened.size,
        part_size: opened.multipart.part_size,
        parts: opened.parts,
        staged: opened.staged,
        stored: opened.stored,
    };
    respond::json(if new { 201 } else { 200 }, &upload)
}

async fn put_part(
    service: &EdgeService,
    config: &Config,
    request: &Request,
    claims: &Claims,
    upload: UploadId,
    n: u64,
) -> Result<Response, Failure> {
    let upload = own(claims, Some(upload))?;
    let ticket = header(request, HEADER_TICKET)
        .and_then(|text| ticket::read(&config.keys, &text, super::world::now()))
        .filter(|ticket| ticket.upload == upload)
        .ok_or_else(|| Problem::new(ProblemCode::UploadTicketInvalid).field("Upload-Ticket"))?;
    let length = request::content_length(request)?;
    let complete = completion(request)?;
    let mut feed = Stream::of(request);
    let part = |sha256| SentPart {
        n,
        sha256,
        complete,
    };
    let sent = match header(request, HEADER_OFFSET) {
        Some(offset) => {
            let offset = number("Upload-Offset", &offset)?;
            // That of the whole part (RFC 9530 section 3): what is checked when the part is whole.
            let sha256 = request::digest(request, "Repr-Digest")?;
            service
                .put_chunk(&ticket, part(sha256), offset, length, &mut feed)
                .await?
        }
        None => {
            let sha256 = request::digest(request, "Content-Digest")?
                .ok_or_else(|| Problem::new(ProblemCode::DigestMissing).field("Content-Digest"))?;
            let part = part(Some(sha256));
            service.put_part(&ticket, part, length, &mut feed).await?
        }
    };
    match sent {
        Sent::Staged(offset) => respond::json(202, &Staged { offset }),
        Sent::Part => respond::no_content(),
        Sent::File(found) => stored(200, *found),
    }
}

/// What a part's address says to complete the upload with.
fn completion(request: &Request) -> Result<Option<CompleteUpload>, Failure> {
    let url = request.url().map_err(broken("address"))?;
    let digest = |name: &str| {
        let Some((_, hex)) = url.query_pairs().find(|(key, _)| key == name) else {
            return Ok(None);
        };
        let digest = hex.parse().map(Some);
        digest.map_err(|_| invalid(name, "Give a SHA-256 in lower-case hex."))
    };
    match (digest("sha256")?, digest("parts_sha256")?) {
        (Some(sha256), Some(parts_sha256)) => Ok(Some(CompleteUpload {
            sha256,
            parts_sha256,
        })),
        (None, None) => Ok(None),
        (None, _) => Err(invalid("sha256", "Give both digests, or none.")),
        (_, None) => Err(invalid("parts_sha256", "Give both digests, or none.")),
    }
}
