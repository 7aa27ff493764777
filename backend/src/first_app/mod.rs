//! The API that a first app calls, here by the demo page on the same origin.
//!
//! | route | answer |
//! |---|---|
//! | `POST /app/requests` `{scene, subject?}` | 201: asks for files; makes a link. Takes `Idempotency-Key` |
//! | `GET /app/requests/{link}` | state, files under way, deliveries |
//! | `GET /app/requests/{link}/qr.svg` | the link as a QR code |
//! | `GET /app/requests/{link}/events` | server-sent events, resumable with `Last-Event-ID` |
//! | `GET /app/deliveries` | the newest 100 deliveries of all requests |
//! | `GET /app/deliveries/{file}/content` | the file, ranges and conditions honoured |
//!
//! It has no login of its own: it listens on this machine only unless told otherwise, and an app
//! that puts it on a network puts its own session in front. A page of another origin can call
//! nothing that changes anything: the one `POST` takes `application/json` only, which a browser
//! sends across origins only with a permission that is never given.

mod content;
mod events;
mod qr;

use std::collections::BTreeMap;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use chatlift_shared::api::{CreateLink, LinkState};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::IDEMPOTENCY_KEY_MAX;
use chatlift_shared::{FileId, LinkId, SceneId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::App;
use crate::error::Error;
use crate::store::{Delivery, FileState, Request};

/// The routes of the first app's API.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/app/requests", post(create))
        .route("/app/requests/{link}", get(read))
        .route("/app/requests/{link}/qr.svg", get(qr::svg))
        .route("/app/requests/{link}/events", get(events::stream))
        .route("/app/deliveries", get(list))
        .route("/app/deliveries/{file}/content", get(content::content))
}

/// `POST /app/requests`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    scene: SceneId,
    #[serde(default)]
    subject: Option<String>,
}

/// A request as the first app sees it.
#[derive(Debug, Serialize)]
struct RequestView {
    id: LinkId,
    scene: SceneId,
    state: LinkState,
    url: String,
    share_text: BTreeMap<String, String>,
    expires_at: Timestamp,
    qr: String,
    files: Vec<FileState>,
    deliveries: Vec<DeliveryView>,
}

/// A delivery as the first app sees it.
#[derive(Debug, Serialize)]
struct DeliveryView {
    file: FileId,
    request: LinkId,
    name: String,
    media_type: String,
    size: u64,
    sha256: Sha256,
    /// The type that it was uploaded in, if it was converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    converted_from: Option<String>,
    delivered_at: Timestamp,
    content: String,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let product = delivery.product;
        Self {
            content: format!("/app/deliveries/{}/content", delivery.file),
            file: delivery.file,
            request: delivery.link,
            name: product.name,
            media_type: product.media_type,
            size: product.size,
            sha256: product.sha256,
            converted_from: product.converted.then_some(delivery.received_as),
            delivered_at: delivery.delivered_at,
        }
    }
}

impl RequestView {
    fn new(
        request: Request,
        files: Vec<FileState>,
        deliveries: Vec<Delivery>,
        now: Timestamp,
    ) -> Self {
        let link = request.link;
        let state = match request.ended.as_deref() {
            Some("completed") => LinkState::Completed,
            Some("expired") => LinkState::Expired,
            _ if link.expires_at <= now => LinkState::Expired,
            _ => link.state,
        };
        Self {
            qr: format!("/app/requests/{}/qr.svg", link.id),
            id: link.id,
            scene: link.scene,
            state,
            url: link.url,
            share_text: link.share_text,
            expires_at: link.expires_at,
            files,
            deliveries: deliveries.into_iter().map(DeliveryView::from).collect(),
        }
    }
}

/// An id in the path; one that is none leads nowhere.
fn id<T>(path: Result<Path<T>, PathRejection>, what: &'static str) -> Result<T, Error> {
    path.map(|Path(id)| id).map_err(|_| Error::NotFound(what))
}

async fn known(app: &App, link: LinkId) -> Result<Request, Error> {
    app.store
        .request(link)
        .await?
        .ok_or(Error::NotFound("request"))
}

async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Json<CreateRequest>, JsonRejection>,
) -> Result<impl IntoResponse, Error> {
    let Json(body) = body.map_err(|e| Error::InvalidRequest(e.body_text()))?;
    let key = idempotency_key(&headers)?;
    let request = CreateLink {
        scene: body.scene,
        subject: body.subject,
        metadata: BTreeMap::new(),
        expires_in: None,
    };
    let link = app.edge.create_link(&request, &key).await?;
    let now = app.clock.now();
    app.store.remember_request(&link, now).await?;
    tracing::info!(link = %link.id, scene = %link.scene, "link made");
    let location = HeaderValue::try_from(format!("/app/requests/{}", link.id))
        .map_err(|e| Error::InvalidRequest(e.to_string()))?;
    let request = Request { link, ended: None };
    let view = RequestView::new(request, Vec::new(), Vec::new(), now);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(view),
    ))
}

/// The caller's key, or one of our own.
fn idempotency_key(headers: &HeaderMap) -> Result<String, Error> {
    let Some(key) = headers.get("idempotency-key") else {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(|e| Error::Disk {
            doing: "drawing an idempotency key",
            source: std::io::Error::other(e),
        })?;
        return Ok(hex::encode(bytes));
    };
    key.to_str()
        .ok()
        .filter(|key| (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()))
        .map(str::to_owned)
        .ok_or_else(|| {
            Error::InvalidRequest(format!(
                "Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters"
            ))
        })
}

async fn read(
    State(app): State<App>,
    link: Result<Path<LinkId>, PathRejection>,
) -> Result<Json<RequestView>, Error> {
    let link = id(link, "request")?;
    let request = known(&app, link).await?;
    let files = app.store.files_of(link).await?;
    let deliveries = app.store.deliveries(Some(link)).await?;
    Ok(Json(RequestView::new(
        request,
        files,
        deliveries,
        app.clock.now(),
    )))
}

async fn list(State(app): State<App>) -> Result<Json<Vec<DeliveryView>>, Error> {
    let deliveries = app.store.deliveries(None).await?;
    Ok(Json(
        deliveries.into_iter().map(DeliveryView::from).collect(),
    ))
}
