//! `POST /webhooks/chatlift`: where the edge tells what happened.
//!
//! Verify, record, answer. The answer 204 says that the event is on disk, nothing more; the work
//! is the pipeline's. An event that comes again is answered the same and changes nothing.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use chatlift_shared::webhook::{Event, EventKind, verify};
use chatlift_shared::{EventId, LinkId};

use crate::App;
use crate::error::Error;
use crate::store::Recorded;

/// Where the edge sends events.
pub(crate) const PATH: &str = "/webhooks/chatlift";

/// Largest webhook body, in bytes: a file's and a link's fields at their limits (some 15 KiB of
/// metadata), escaped at worst sixfold in JSON.
pub(crate) const BODY_MAX: usize = 256 * 1024;

/// Takes one event.
///
/// # Errors
/// [`Error::WebhookRefused`], [`Error::AnotherApp`], [`Error::InvalidRequest`] for a body that is
/// no event, [`Error::Store`] when it could not be recorded: then the edge sends it again.
pub(crate) async fn receive(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Error> {
    let body = body?;
    let now = app.clock.now();
    let header = |name: &'static str| headers.get(name).and_then(|v| v.to_str().ok());
    let id = verify(&app.config.webhook_secrets, header, &body, now)?;
    let event: Event = serde_json::from_slice(&body)
        .map_err(|e| Error::InvalidRequest(format!("not an event: {e}")))?;
    let link = check(&app, id, &event)?;
    match app.store.record_event(id, &event, now).await? {
        Recorded::New => {
            tracing::info!(%link, event = %id, file = file(&event), "event recorded");
            app.pipeline.wake();
        }
        Recorded::Known => tracing::info!(%link, event = %id, "event known"),
    }
    Ok(StatusCode::NO_CONTENT)
}

fn file(event: &Event) -> Option<String> {
    match &event.kind {
        EventKind::FileStored(stored) => Some(stored.file.id.to_string()),
        EventKind::FileDeleted(deleted) => Some(deleted.file.id.to_string()),
        _ => None,
    }
}

/// A signed event is believed, but only about this app, and only about what its id belongs to.
fn check(app: &App, id: EventId, event: &Event) -> Result<LinkId, Error> {
    let link = event.kind.link();
    if link.app != app.config.app {
        tracing::warn!(event = %id, app = %link.app, "event for another app");
        return Err(Error::AnotherApp);
    }
    let fits = id.link() == link.id
        && match &event.kind {
            EventKind::FileStored(stored) => {
                stored.file.link == link.id && stored.file.id.link() == link.id
            }
            EventKind::FileDeleted(deleted) => deleted.file.id.link() == link.id,
            _ => true,
        };
    if !fits {
        return Err(Error::InvalidRequest(
            "the ids of event, link and file do not belong together".to_owned(),
        ));
    }
    Ok(link.id)
}
