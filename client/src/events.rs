//! A link's events as they happen, without a webhook endpoint: for a command line, a worker behind
//! a firewall, a test.

use std::time::Duration;

use chatlift_shared::webhook::Event;
use chatlift_shared::{EventId, LinkId};
use futures_util::Stream;
use reqwest::header::ACCEPT;
use reqwest::{Method, Response};

use crate::client::{Client, send};
use crate::error::{Error, cut};

/// How long to wait before a stream that was cut is taken up again, and longer each time in vain.
const PAUSE: Duration = Duration::from_secs(1);

/// How often in a row a stream is taken up in vain before that is an error.
const TRIES_MAX: u32 = 6;

/// Longest event that is read, in bytes: one with a file, its link and all metadata is some 20 KiB.
const EVENT_MAX: usize = 256 * 1024;

/// The events of a link, oldest first, each once. Open: after the last one it waits for the next.
///
/// A stream that is cut goes on after the last event that was read. Events of kinds that this
/// version does not know are passed over.
#[derive(Debug)]
pub struct Events {
    client: Client,
    link: LinkId,
    last: Option<EventId>,
    open: Option<Response>,
    lines: Lines,
    tries: u32,
}

impl Events {
    pub(crate) const fn new(client: Client, link: LinkId, last: Option<EventId>) -> Self {
        Self {
            client,
            link,
            last,
            open: None,
            lines: Lines::new(),
            tries: 0,
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// [`Error::Refused`] with `link-not-found`; [`Error::Unreachable`] after several tries in
    /// vain. It may be called again after an error.
    pub async fn next(&mut self) -> Result<(EventId, Event), Error> {
        loop {
            while let Some(message) = self.lines.message() {
                let Ok(id) = message.id.parse() else { continue };
                self.last = Some(id);
                self.tries = 0;
                if let Ok(event) = serde_json::from_str(&message.data) {
                    return Ok((id, event));
                }
            }
            if let Err(error) = self.read().await {
                self.open = None;
                self.lines = Lines::new();
                self.tries += 1;
                if !error.is_temporary() || self.tries >= TRIES_MAX {
                    self.tries = 0;
                    return Err(error);
                }
                tokio::time::sleep(PAUSE * self.tries).await;
            }
        }
    }

    /// The events as a stream, that ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<(EventId, Event), Error>> {
        futures_util::stream::try_unfold(self, |mut events| async {
            let next = events.next().await?;
            Ok(Some((next, events)))
        })
    }

    /// Reads some more, from a connection that is there or made for it.
    async fn read(&mut self) -> Result<(), Error> {
        if self.open.is_none() {
            let path = ["v1", "links", &self.link.to_string(), "events"];
            let mut request = self
                .client
                .request(Method::GET, &path)
                .header(ACCEPT, "text/event-stream");
            if let Some(last) = self.last {
                request = request.header("last-event-id", last.to_string());
            }
            self.open = Some(send(request).await?);
        }
        if let Some(response) = &mut self.open {
            match response.chunk().await.map_err(|e| cut(&e))? {
                Some(bytes) => {
                    self.tries = 0;
                    self.lines.push(&bytes)?;
                }
                None => return Err(Error::Unreachable("the stream ended".into())),
            }
        }
        Ok(())
    }
}

/// An event of a stream, as the HTML standard has it (section 9.2.6).
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    id: String,
    data: String,
}

/// What has arrived of a stream.
#[derive(Debug)]
struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.bytes.len() + bytes.len() > EVENT_MAX {
            return Err(Error::Nonsense("longer than any event".into()));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole message, comments and fields that are not needed left out.
    fn message(&mut self) -> Option<Message> {
        let end = self.bytes.windows(2).position(|two| two == b"\n\n")?;
        let rest = self.bytes.split_off(end + 2);
        let block = std::mem::replace(&mut self.bytes, rest);
        let mut message = Message::default();
        for line in String::from_utf8_lossy(&block).lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => value.clone_into(&mut message.id),
                "data" => {
                    if !message.data.is_empty() {
                        message.data.push('\n');
                    }
                    message.data.push_str(value);
                }
                _ => {}
            }
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_wherever_they_are_cut() {
        let stream = b": hello\n\nid: evt_1\nevent: file.stored\ndata: {\"a\":\ndata: 1}\n\nid: e";
        for cut in 0..stream.len() {
            let mut lines = Lines::new();
            let mut found = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                lines.push(piece).expect("a short stream");
                while let Some(message) = lines.message() {
                    found.push(message);
                }
            }
            found.retain(|message| !message.data.is_empty());
            let whole = Message {
                id: "evt_1".into(),
                data: "{\"a\":\n1}".into(),
            };
            assert_eq!(found, [whole], "{cut}");
        }
    }
}
