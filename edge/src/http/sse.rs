//! Server-sent events (WHATWG HTML, section 9.2): the form in which a link's events are streamed.

use chatlift_shared::EventId;

use crate::link::state::LinkState;

/// The beginning of a stream: how long a client waits before it comes back, in milliseconds.
pub const BEGINNING: &str = "retry: 3000\n\n";

/// A comment that keeps proxies from closing a quiet stream.
pub const KEEP_ALIVE: &str = ": still here\n\n";

/// One event. `body` is JSON in one line, as the outbox has it.
#[must_use]
pub fn event(id: EventId, kind: &str, body: &str) -> String {
    format!("id: {id}\nevent: {kind}\ndata: {body}\n\n")
}

/// The events that a decision has put into the outbox, as blocks.
pub fn new_events(before: Option<&LinkState>, after: &LinkState) -> impl Iterator<Item = String> {
    let new = move |id: &EventId| before.is_none_or(|b| !b.events.contains_key(id));
    let events = after.events.iter().filter(move |(id, _)| new(id));
    events.map(|(id, row)| {
        let kind = serde_json::from_str::<serde_json::Value>(&row.body)
            .ok()
            .and_then(|body| Some(body.get("type")?.as_str()?.to_owned()))
            .unwrap_or_default();
        event(*id, &kind, &row.body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatlift_shared::LinkId;

    #[test]
    fn an_event_is_one_block_that_names_itself() {
        let id = EventId::new(LinkId::from_bytes([0; 12]), [0; 6]);
        assert_eq!(
            event(id, "file.stored", "{}"),
            "id: evt_AAAAAAAAAAAAAAAAAAAAAAAA\nevent: file.stored\ndata: {}\n\n"
        );
    }
}
