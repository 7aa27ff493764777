//! The API that a first app calls, here by the demo page on the same origin.
//!
//! | route | answer |
//! |---|---|
//! | `POST /app/requests` `{scene, subject?}` | 201: asks for files; makes a link. Takes `Idempotency-Key` |
//! | `GET /app/requests/{link}` | state, files under way, deliveries |
//! | `GET /app/requests/{link}/progress` | whether the link was opened, and how far its uploads are, as the edge says at this moment |
//! | `GET /app/requests/{link}/qr.svg` | the link as a QR code |
//! | `GET /app/requests/{link}/events` | server-sent events, resumable with `Last-Event-ID` |
//! | `GET /app/deliveries?request=&before=&limit=` | deliveries, newest first, 100 at most; `before` is the last one of the page before |
//! | `GET /app/deliveries/{file}/content` | the file, ranges and conditions honoured |
//! | `GET /app/deliveries/{file}/thumbnail` | a small JPEG of an image, a document's first page, a video |
//! | `GET /app/deliveries/{file}/pages` | how many pages a PDF has |
//! | `GET /app/deliveries/{file}/pages/{n}` | a page as a JPEG, from 1 |
//! | `PUT /app/deliveries/{file}/acknowledged` | 204: the app has it for good; it may be deleted here after the retention time |
//!
//! Each of them needs the token, see [`crate::auth`]. It is the app's own and reaches no browser: an
//! app asks from its server, behind the sessions of its users.

mod content;
mod events;
mod qr;
mod thumbnail;

use std::collections::BTreeMap;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use chatlift_shared::api::{CreateLink, Join, LinkState};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::IDEMPOTENCY_KEY_MAX;
use chatlift_shared::{FileId, LinkId, SceneId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::App;
use crate::error::Error;
use crate::pipeline::Picture;
use crate::store::{Delivery, FileState, Request};

/// The routes of the first app's API.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/app/requests", post(create))
        .route("/app/requests/{link}", get(read))
        .route("/app/requests/{link}/progress", get(progress))
        .route("/app/requests/{link}/qr.svg", get(qr::svg))
        .route("/app/requests/{link}/events", get(events::stream))
        .route("/app/deliveries", get(list))
        .route("/app/deliveries/{file}/content", get(content::content))
        .route(
            "/app/deliveries/{file}/thumbnail",
            get(thumbnail::thumbnail),
        )
        .route("/app/deliveries/{file}/pages", get(thumbnail::pages))
        .route("/app/deliveries/{file}/pages/{n}", get(thumbnail::page))
        .route("/app/deliveries/{file}/acknowledged", put(acknowledge))
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
    /// What is made of all its files together, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    join: Option<Join>,
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
    /// The uploads that it was made of, if it is not one itself: files that were joined, or the
    /// archive that it was in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    of: Vec<FileId>,
    /// What its sender wrote with it: text, never to be shown as HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    delivered_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_at: Option<Timestamp>,
    content: String,
    /// A small picture, if there can be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let product = delivery.product;
        Self {
            content: format!("/app/deliveries/{}/content", delivery.file),
            thumbnail: Picture::Small
                .possible(&product.media_type)
                .then(|| format!("/app/deliveries/{}/thumbnail", delivery.file)),
            file: delivery.file,
            request: delivery.link,
            name: product.name,
            size: product.size,
            sha256: product.sha256,
            converted_from: Some(delivery.received_as)
                .filter(|from| product.converted && *from != product.media_type),
            media_type: product.media_type,
            of: product.of,
            note: product.note,
            delivered_at: delivery.delivered_at,
            acknowledged_at: delivery.acknowledged_at,
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
            join: link.join,
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
        subject: body.subject,
        ..CreateLink::new(body.scene)
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

/// How a request goes before its files are here.
#[derive(Debug, Serialize)]
struct Progress {
    /// When the person opened the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    opened_at: Option<Timestamp>,
    /// Uploads under way.
    uploads: Vec<UploadView>,
}

#[derive(Debug, Serialize)]
struct UploadView {
    /// The file that it becomes.
    file: FileId,
    name: String,
    size: u64,
    /// How many bytes have arrived.
    held: u64,
}

async fn progress(
    State(app): State<App>,
    link: Result<Path<LinkId>, PathRejection>,
) -> Result<Json<Progress>, Error> {
    let link = id(link, "request")?;
    known(&app, link).await?;
    let link = app.edge.read_link(link).await?;
    let uploads = link.under_way.into_iter().map(|upload| UploadView {
        file: upload.id.into(),
        name: upload.name,
        size: upload.size,
        held: upload.held,
    });
    Ok(Json(Progress {
        opened_at: link.opened_at,
        uploads: uploads.collect(),
    }))
}

/// Which deliveries to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    request: Option<LinkId>,
    before: Option<FileId>,
    limit: Option<u32>,
}

async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Vec<DeliveryView>>, Error> {
    let Query(query) = query.map_err(|e| Error::InvalidRequest(e.body_text()))?;
    let before = match query.before {
        Some(file) => Some(
            app.store
                .delivery(file)
                .await?
                .ok_or(Error::NotFound("delivery"))?,
        ),
        None => None,
    };
    let limit = i64::from(query.limit.unwrap_or(u32::MAX));
    let deliveries = app
        .store
        .deliveries_before(query.request, before.as_ref(), limit)
        .await?;
    Ok(Json(
        deliveries.into_iter().map(DeliveryView::from).collect(),
    ))
}

/// The method is `PUT` because a browser sends none across origins without being allowed to.
async fn acknowledge(
    State(app): State<App>,
    file: Result<Path<FileId>, PathRejection>,
) -> Result<StatusCode, Error> {
    let file = id(file, "delivery")?;
    if app.store.acknowledge(file, app.clock.now()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::NotFound("delivery"))
    }
}
