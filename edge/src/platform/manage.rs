//! What a backend does with its links after making them: list, extend, close, watch, show as a QR
//! code; downloads without a key; the webhook endpoint.

use chatlift_shared::api::{
    CreateDownloadUrl, DownloadUrl, EndpointState, EventLog, ExtendLink, WebhookEndpoint,
    WebhookKeys,
};
use chatlift_shared::limits::{DOWNLOAD_SECS, DOWNLOAD_SECS_MAX, LIST_DEFAULT, LIST_MAX};
use chatlift_shared::{AppId, EventId, FileId, LinkId, Problem, ProblemCode, Timestamp};
use core::time::Duration;
use worker::{Env, Headers, Request, Response};

use super::address::{api_link, base_url};
use super::directory::Directories;
use super::edge::EdgeService;
use super::request::{self, header, invalid};
use super::setup::broken;
use super::world::now;
use super::{content, log, respond};
use crate::config::{App, Config};
use crate::core::command::Command;
use crate::core::listing::{Place, Query};
use crate::core::route::{ManageRoute, QrForm};
use crate::core::{qr, signed};
use crate::ports::Failure;
use crate::service::overrides;

/// Answers one of these routes.
pub(super) async fn route(
    service: &EdgeService,
    config: &Config,
    env: &Env,
    app: &App,
    mut request: Request,
    route: ManageRoute,
) -> Result<Response, Failure> {
    match route {
        ManageRoute::List => {
            let query = query(&request)?;
            let list = service.list(app, &Directories::new(env)?, &query).await?;
            respond::json(200, &list)
        }
        ManageRoute::Extend(id) => {
            let body: ExtendLink = request::json(&mut request).await?;
            let view = service.extend(app, id, body.expires_in).await?;
            log::info("link extended", &[("link", id.to_string())]);
            respond::json(200, &api_link(config, &request, view)?)
        }
        ManageRoute::Close(id) => {
            let view = service.close(app, id).await?;
            log::info("link closed", &[("link", id.to_string())]);
            respond::json(200, &api_link(config, &request, view)?)
        }
        ManageRoute::Events(id) => events(service, app, &request, id).await,
        ManageRoute::Qr(id, form) => {
            let view = service.link_to_show(app, id).await?;
            let url = api_link(config, &request, view)?.url;
            code(&url, form)
        }
        ManageRoute::DownloadUrl(id) => {
            let body: CreateDownloadUrl = request::json_or_default(&mut request).await?;
            let url = download_url(service, config, app, &request, id, body).await?;
            respond::json(201, &url)
        }
        ManageRoute::Endpoint => {
            let since = Directories::new(env)?.disabled_since(&app.id).await?;
            respond::json(200, &endpoint(app, since))
        }
        ManageRoute::EnableEndpoint => {
            Directories::new(env)?.enable(&app.id).await?;
            log::info("webhook endpoint enabled", &[("app", app.id.to_string())]);
            respond::json(200, &endpoint(app, None))
        }
    }
}

fn endpoint(app: &App, disabled_at: Option<Timestamp>) -> WebhookEndpoint {
    WebhookEndpoint {
        url: app.webhook_url.to_string(),
        state: if disabled_at.is_some() {
            EndpointState::Disabled
        } else {
            EndpointState::Enabled
        },
        disabled_at,
    }
}

/// `GET /v1/apps/{app}/webhook-keys`
pub(super) fn webhook_keys(config: &Config, id: &AppId) -> Result<Response, Failure> {
    let app = config.app(id).ok_or(ProblemCode::NotFound)?;
    let keys = app
        .webhook_keys
        .iter()
        .map(|key| key.public().to_string())
        .collect();
    let mut response = respond::json(
        200,
        &WebhookKeys {
            app: id.clone(),
            keys,
        },
    )?;
    response
        .headers_mut()
        .set("cache-control", "public, max-age=300")
        .map_err(broken("headers"))?;
    Ok(response)
}

fn query(request: &Request) -> Result<Query, Failure> {
    let mut query = Query {
        after: None,
        state: None,
        subject: None,
        limit: LIST_DEFAULT,
    };
    let url = request.url().map_err(broken("address"))?;
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "cursor" => {
                let place = Place::from_cursor(&value);
                query.after = Some(place.ok_or_else(|| {
                    invalid("cursor", "Give the `next` of the page before, as it came.")
                })?);
            }
            "state" => {
                let state = serde_json::from_value(value.as_ref().into());
                query.state = Some(state.map_err(|_| {
                    invalid("state", "Give active, completed, expired or revoked.")
                })?);
            }
            "subject" => query.subject = Some(value.into_owned()),
            "limit" => {
                query.limit = value
                    .parse()
                    .ok()
                    .filter(|n| (1..=LIST_MAX).contains(n))
                    .ok_or_else(|| {
                        Problem::new(ProblemCode::InvalidRequest)
                            .field("limit")
                            .limit(LIST_MAX.into())
                    })?;
            }
            other => return Err(invalid(other, "There is no such parameter.")),
        }
    }
    Ok(query)
}

/// A link's events: those so far as JSON, or as a stream those so far and those to come.
async fn events(
    service: &EdgeService,
    app: &App,
    request: &Request,
    id: LinkId,
) -> Result<Response, Failure> {
    let last = header(request, "last-event-id").filter(|text| !text.is_empty());
    let after: Option<EventId> = match last {
        None => None,
        Some(text) => Some(
            text.parse()
                .ok()
                .filter(|event: &EventId| event.link() == id)
                .ok_or_else(|| invalid("Last-Event-ID", "It is no event of this link."))?,
        ),
    };
    let stream = header(request, "accept").is_some_and(|a| a.contains("text/event-stream"));
    if !stream {
        let events = service.events(app, id, after).await?;
        return respond::json(200, &EventLog { events });
    }
    let command = Command::For {
        app: app.id.clone(),
        missing: ProblemCode::LinkNotFound,
        command: Box::new(Command::ReadEvents { after }),
    };
    let body = service.links.watch(id, &command).await?;
    let headers = Headers::new();
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.set(name, value).map_err(broken("headers"))?;
    }
    Response::from_body(body)
        .map(|r| r.with_headers(headers))
        .map_err(broken("events"))
}

fn code(url: &str, form: QrForm) -> Result<Response, Failure> {
    let (media_type, bytes) = match form {
        QrForm::Svg => ("image/svg+xml", qr::svg(url).map(String::into_bytes)),
        QrForm::Png => ("image/png", qr::png(url)),
    };
    let bytes = bytes.ok_or_else(|| Failure::Broken("no QR code for a link".to_owned()))?;
    let headers = Headers::new();
    for (name, value) in [
        ("content-type", media_type),
        // It holds the token.
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.set(name, value).map_err(broken("headers"))?;
    }
    Response::from_bytes(bytes)
        .map(|r| r.with_headers(headers))
        .map_err(broken("QR code"))
}

async fn download_url(
    service: &EdgeService,
    config: &Config,
    app: &App,
    request: &Request,
    id: FileId,
    body: CreateDownloadUrl,
) -> Result<DownloadUrl, Failure> {
    let secs = match body.expires_in {
        None => DOWNLOAD_SECS,
        // No scene is asked: the bound is the edge's own.
        asked => overrides::within("expires_in", asked, DOWNLOAD_SECS_MAX).map_err(|_| {
            Problem::new(ProblemCode::InvalidRequest)
                .field("expires_in")
                .limit(DOWNLOAD_SECS_MAX)
        })?,
    };
    let found = service.read_file(app, id).await?;
    if found.file.deleted_at.is_some() {
        return Err(ProblemCode::FileDeleted.into());
    }
    let expires_at = Timestamp::from_secs(now().plus(Duration::from_secs(secs)).secs());
    let signed = signed::Download {
        app: app.id.clone(),
        file: id,
        expires_at: u64::try_from(expires_at.secs()).unwrap_or_default(),
    };
    let text = signed::issue(&config.keys, &signed);
    Ok(DownloadUrl {
        file: id,
        url: format!("{}/d/{text}", base_url(config, request)?),
        expires_at,
    })
}

/// `GET /d/{text}`
pub(super) async fn download(
    service: &EdgeService,
    config: &Config,
    request: &Request,
    text: &str,
) -> Result<Response, Failure> {
    let signed: signed::Download = signed::read(&config.keys, text, now())
        .ok_or_else(|| Problem::new(ProblemCode::DownloadUrlInvalid))?;
    let app = config
        .app(&signed.app)
        .ok_or_else(|| Problem::new(ProblemCode::DownloadUrlInvalid))?;
    let found = service.read_file(app, signed.file).await?;
    content::serve(service, request, &found).await
}
