//! A link's events as a stream of server-sent events, pushed by the link's own object as they are
//! put into the outbox.
//!
//! A stream ends by itself after some minutes, since its object is kept awake by it; the client
//! comes back with `Last-Event-ID` and misses nothing, for what it reads is the outbox.

use core::cell::RefCell;
use core::time::Duration;

use chatlift_shared::api::LoggedEvent;
use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::stream::{Stream, StreamExt as _, once, select, unfold};
use worker::{Delay, Result};

use crate::http::sse;
use crate::link::state::LinkState;

/// How long a stream may be quiet: proxies close those that are for a minute.
const QUIET: Duration = Duration::from_secs(20);

/// How long a stream goes on.
const STREAM_FOR: Duration = Duration::from_secs(5 * 60);

/// Those who watch a link.
#[derive(Debug, Default)]
pub(super) struct Watchers(RefCell<Vec<UnboundedSender<String>>>);

impl Watchers {
    /// Tells them what a decision has put into the outbox.
    pub(super) fn tell(&self, before: Option<&LinkState>, after: &LinkState) {
        let mut watchers = self.0.borrow_mut();
        if watchers.is_empty() {
            return;
        }
        for block in sse::new_events(before, after) {
            // Whoever has gone away is forgotten.
            watchers.retain(|w| w.unbounded_send(block.clone()).is_ok());
        }
    }

    /// A stream of what was and what will be. Nothing falls between: both are taken in one go.
    pub(super) fn watch(
        &self,
        so_far: &[LoggedEvent],
    ) -> Result<impl Stream<Item = Result<Vec<u8>>> + use<>> {
        let mut beginning = sse::BEGINNING.to_owned();
        for logged in so_far {
            let body = serde_json::to_string(&logged.event)?;
            beginning.push_str(&sse::event(logged.id, logged.event.kind.name(), &body));
        }
        let (sender, receiver) = unbounded();
        self.0.borrow_mut().push(sender);
        let quiet = unfold((), |()| async {
            Delay::from(QUIET).await;
            Some((sse::KEEP_ALIVE.to_owned(), ()))
        });
        let to_come = select(receiver, quiet).take_until(Delay::from(STREAM_FOR));
        let blocks = once(core::future::ready(beginning)).chain(to_come);
        Ok(blocks.map(|block| Ok(block.into_bytes())))
    }
}
