//! What a backend does with its links after making them: list, extend, close, watch, show as a QR
//! code; downloads without a key; the webhook endpoint.

use chatlift_shared::api::{
    CreateDownloadUrl, DownloadUrl, EndpointState, EventLog, ExtendLink, WebhookEndpoint,
    WebhookKeys,
};
use chatlift_shared::limits::{
    AUDIT_MAX, DOWNLOAD_SECS, DOWNLOAD_SECS_MAX, LIST_DEFAULT, LIST_MAX,
};
use chatlift_shared::{AppId, EventId, FileId, LinkId, Problem, ProblemCode, Timestamp};
use core::time::Duration;

use super::address::{api_link, base_url};
use super::gate::Call;
use super::message::{Request, header};
use super::request;
use super::request::invalid;
use super::route::{ManageRoute, QrForm};
use super::runtime::{Body, Edge, Response, Runtime};
use super::signed;
use super::{content, respond};
use crate::config::{App, Config};
use crate::link::command::{ReadAudit, ReadEvents};
use crate::link::listing::{Place, Query};
use crate::link::message::For;
use crate::log;
use crate::manage::overrides;
use crate::page::qr;
use crate::ports::Failure;

/// Answers one of these routes.
pub(super) async fn route<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    app: &App,
    route: ManageRoute,
) -> Result<Response<R>, Failure> {
    let (config, request) = (call.config()?, &call.request);
    match route {
        ManageRoute::List => {
            let query = query(request)?;
            let list = service
                .list(app, &call.runtime.directory()?, &query)
                .await?;
            respond::json(200, &list)
        }
        ManageRoute::Extend(id) => {
            let body: ExtendLink = request::json(call).await?;
            let view = service.extend(app, id, body.expires_in).await?;
            log::info("link extended", &[("link", id.to_string())]);
            respond::json(200, &api_link(config, request, view))
        }
        ManageRoute::Close(id) => {
            let view = service.close(app, id).await?;
            log::info("link closed", &[("link", id.to_string())]);
            respond::json(200, &api_link(config, request, view))
        }
        ManageRoute::Events(id) => events(service, call, app, id).await,
        ManageRoute::Audit(id) => {
            let read = audit_query(request)?;
            respond::json(200, &service.audit(app, id, read).await?)
        }
        ManageRoute::Qr(id, form) => {
            let view = service.link_to_show(app, id).await?;
            let url = api_link(config, request, view).url;
            code(&url, form)
        }
        ManageRoute::DownloadUrl(id) => {
            let body: CreateDownloadUrl = request::json_or_default(call).await?;
            let url = download_url(service, call, app, id, body).await?;
            respond::json(201, &url)
        }
        ManageRoute::Endpoint => {
            let since = call.runtime.disabled_since(&app.id).await?;
            respond::json(200, &endpoint(app, since))
        }
        ManageRoute::EnableEndpoint => {
            call.runtime.enable(&app.id).await?;
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
pub(super) fn webhook_keys<R: Runtime>(
    config: &Config,
    id: &AppId,
) -> Result<Response<R>, Failure> {
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
    respond::set(&mut response, "cache-control", "public, max-age=300");
    Ok(response)
}

fn query<B>(request: &Request<B>) -> Result<Query, Failure> {
    let mut query = Query {
        after: None,
        state: None,
        subject: None,
        limit: LIST_DEFAULT,
    };
    for (name, value) in request.url.query_pairs() {
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
            "limit" => query.limit = limit(&value, LIST_MAX)?,
            other => return Err(invalid(other, "There is no such parameter.")),
        }
    }
    Ok(query)
}

/// The parameter `limit`: how many at most, up to `most`.
fn limit(value: &str, most: u32) -> Result<u32, Failure> {
    let asked = value.parse().ok().filter(|n| (1..=most).contains(n));
    Ok(asked.ok_or_else(|| {
        Problem::new(ProblemCode::InvalidRequest)
            .field("limit")
            .limit(most.into())
    })?)
}

fn audit_query<B>(request: &Request<B>) -> Result<ReadAudit, Failure> {
    let mut read = ReadAudit {
        after: 0,
        limit: AUDIT_MAX,
    };
    for (name, value) in request.url.query_pairs() {
        match name.as_ref() {
            "after" => {
                let after = value.parse().ok();
                read.after =
                    after.ok_or_else(|| invalid("after", "Give the number of an entry."))?;
            }
            "limit" => read.limit = limit(&value, AUDIT_MAX)?,
            other => return Err(invalid(other, "There is no such parameter.")),
        }
    }
    Ok(read)
}

/// A link's events: those so far as JSON, or as a stream those so far and those to come.
async fn events<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    app: &App,
    id: LinkId,
) -> Result<Response<R>, Failure> {
    let request = &call.request;
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
    let read = For {
        app: app.id.clone(),
        missing: ProblemCode::LinkNotFound,
        command: ReadEvents { after },
    };
    let body = call.runtime.watch(id, &read).await?;
    let headers = [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ];
    Ok(respond::with(200, &headers, Body::Stream(body)))
}

fn code<R: Runtime>(url: &str, form: QrForm) -> Result<Response<R>, Failure> {
    let (media_type, bytes) = match form {
        QrForm::Svg => ("image/svg+xml", qr::svg(url).map(String::into_bytes)),
        QrForm::Png => ("image/png", qr::png(url)),
    };
    let bytes = bytes.ok_or_else(|| Failure::Broken("no QR code for a link".to_owned()))?;
    let headers = [
        ("content-type", media_type),
        // It holds the token.
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
    ];
    Ok(respond::with(200, &headers, Body::Bytes(bytes)))
}

async fn download_url<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    app: &App,
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
    let config = call.config()?;
    let expires_at =
        Timestamp::from_secs(call.runtime.now().plus(Duration::from_secs(secs)).secs());
    let signed = signed::Download {
        app: app.id.clone(),
        file: id,
        expires_at: u64::try_from(expires_at.secs()).unwrap_or_default(),
    };
    let text = signed::issue(&config.keys, &signed);
    Ok(DownloadUrl {
        file: id,
        url: format!("{}/d/{text}", base_url(config, &call.request)),
        expires_at,
    })
}

/// `GET /d/{text}`
pub(super) async fn download<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    text: &str,
) -> Result<Response<R>, Failure> {
    let config = call.config()?;
    let signed: signed::Download = signed::read(&config.keys, text, call.runtime.now())
        .ok_or_else(|| Problem::new(ProblemCode::DownloadUrlInvalid))?;
    let app = config
        .app(&signed.app)
        .ok_or_else(|| Problem::new(ProblemCode::DownloadUrlInvalid))?;
    let found = service.read_file(app, signed.file).await?;
    content::serve(service, &call.request, &found).await
}
