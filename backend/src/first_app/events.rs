//! The live stream of a request, as server-sent events.
//!
//! Each event's id is its place in the stored stream, so a client that comes back with
//! `Last-Event-ID` misses nothing and hears nothing twice, across restarts of this process too.
//! A client that comes without hears the stream from its beginning.
//!
//! Event names: `uploaded`, `received`, `converted`, `delivered`, `rejected` with
//! `{file, name, size, media_type, sha256?, converted_from?, rejection?, reason?, at}`; `completed` and `expired`, which concern
//! the whole link, with `{files, at}`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use chatlift_shared::LinkId;
use futures_util::stream::unfold;
use tokio::sync::watch;

use super::{id, known};
use crate::App;
use crate::error::Error;
use crate::store::FeedEntry;

pub(super) async fn stream(
    State(app): State<App>,
    link: Result<Path<LinkId>, PathRejection>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Error> {
    let link = id(link, "request")?;
    known(&app, link).await?;
    let last = headers
        .get("last-event-id")
        .and_then(|v| v.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    let reader = Reader {
        changes: app.store.changes(),
        app,
        link,
        last,
        ready: VecDeque::new(),
    };
    let events = unfold(reader, async |mut reader| {
        let entry = reader.next().await?;
        let event = Event::default()
            .id(entry.seq.to_string())
            .event(entry.kind)
            .data(entry.data);
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Time between two looks at a stream that another process may have written to.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

struct Reader {
    app: App,
    link: LinkId,
    /// Place of the last entry that was read.
    last: i64,
    ready: VecDeque<FeedEntry>,
    changes: watch::Receiver<u64>,
}

impl Reader {
    /// The next entry; `None` when the backend stops or its store fails. The client comes back.
    async fn next(&mut self) -> Option<FeedEntry> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Some(entry);
            }
            // Marked before the read, so that what is written after it wakes the wait below.
            self.changes.mark_unchanged();
            match self.app.store.feed_after(self.link, self.last).await {
                Ok(entries) => self.ready.extend(entries),
                Err(error) => {
                    tracing::error!(link = %self.link, %error, "the live stream ends");
                    return None;
                }
            }
            if let Some(newest) = self.ready.back() {
                self.last = newest.seq;
                continue;
            }
            tokio::select! {
                () = self.app.stop.cancelled() => return None,
                changed = self.changes.changed() => changed.ok()?,
                // Another process does not tell this one.
                () = tokio::time::sleep(LOOK_AGAIN), if self.app.store.shared() => {}
            }
        }
    }
}
