//! A link's events as they happen, without a webhook endpoint: for a command line, a worker behind
//! a firewall, a test.

use std::time::Duration;

use chatlift_shared::webhook::Event;
use chatlift_shared::{EventId, LinkId};
use futures_util::Stream;
use reqwest::header::ACCEPT;
use reqwest::{Method, Response};
use tokio::time::Instant;

use crate::client::{Client, send};
use crate::error::{Error, cut};

/// How long to wait before a stream that was cut is taken up again, and longer each time in vain.
const PAUSE: Duration = Duration::from_secs(1);

/// How often in a row a stream is taken up in vain before that is an error.
const TRIES_MAX: u32 = 6;

/// How long a stream without an event must have gone on not to count as one in vain. The edge ends a
/// quiet one after five minutes.
const LONG: Duration = Duration::from_secs(60);

/// Longest event that is read, in bytes: one with a file, its link and all metadata is some 20 KiB.
const EVENT_MAX: usize = 256 * 1024;

/// The events of a link, oldest first, each once. Open: after the last one it waits for the next.
///
/// A stream that is cut goes on after the last event that was read. One that only opens and ends,
/// without an event and soon, is one in vain. Events of kinds that this version does not know are
/// passed over.
#[derive(Debug)]
pub struct Events {
    client: Client,
    link: LinkId,
    last: Option<EventId>,
    open: Option<Open>,
    lines: Lines,
    tries: u32,
    /// [`PAUSE`] and [`LONG`], but in tests.
    pause: Duration,
    long: Duration,
}

/// A stream that is open.
#[derive(Debug)]
struct Open {
    response: Response,
    since: Instant,
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
            pause: PAUSE,
            long: LONG,
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
                let was_long = |open: Open| open.since.elapsed() >= self.long;
                if self.open.take().is_some_and(was_long) {
                    self.tries = 0;
                }
                self.lines = Lines::new();
                self.tries += 1;
                if !error.is_temporary() || self.tries >= TRIES_MAX {
                    self.tries = 0;
                    return Err(error);
                }
                tokio::time::sleep(self.pause * self.tries).await;
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
            self.open = Some(Open {
                response: send(request).await?,
                since: Instant::now(),
            });
        }
        if let Some(Open { response, .. }) = &mut self.open {
            match response.chunk().await.map_err(|e| cut(&e))? {
                Some(bytes) => self.lines.push(&bytes)?,
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
    use chatlift_shared::webhook::{EventKind, LinkEnded, LinkRef};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// An edge whose streams say this, stay open for so long, and end. Tells how many it has opened.
    async fn edge(says: String, open_for: Duration) -> (Events, tokio::sync::watch::Receiver<u32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (opened, count) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                opened.send_modify(|n| *n += 1);
                let _ = stream.read(&mut [0; 4096]).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    connection: close\r\n\r\n";
                let _ = stream.write_all(format!("{head}{says}").as_bytes()).await;
                tokio::time::sleep(open_for).await;
            }
        });
        let client = Client::new(&format!("http://{address}"), "clk_x").expect("a client");
        let mut events = client.events(LinkId::from_bytes([3; 12]), None);
        events.pause = Duration::from_millis(1);
        (events, count)
    }

    const BEGINNING: &str = "retry: 3000\n\n: still here\n\n";

    #[tokio::test]
    async fn streams_that_only_open_and_end_are_in_vain() {
        let (mut events, opened) = edge(BEGINNING.to_owned(), Duration::ZERO).await;
        // Each of the calls tries anew.
        for calls in 1..=2 {
            let error = events.next().await.expect_err("no event");
            assert!(matches!(error, Error::Unreachable(_)), "{error}");
            assert_eq!(*opened.borrow(), calls * TRIES_MAX);
        }
    }

    #[tokio::test]
    async fn streams_that_are_quiet_for_long_are_not() {
        let (mut events, mut opened) = edge(BEGINNING.to_owned(), Duration::from_millis(30)).await;
        events.long = Duration::from_millis(20);
        let many = async {
            let _ = opened.wait_for(|n| *n > 3 * TRIES_MAX).await;
        };
        tokio::select! {
            event = events.next() => panic!("{event:?}"),
            () = many => {}
        }
    }

    #[tokio::test]
    async fn an_event_makes_the_tries_before_it_forgotten() {
        let link = LinkRef {
            id: LinkId::from_bytes([3; 12]),
            app: "demo".parse().expect("an app"),
            scene: "any-file".parse().expect("a scene"),
            subject: None,
            metadata: std::collections::BTreeMap::new(),
            formats: vec![],
            join: None,
        };
        let event = Event {
            timestamp: chatlift_shared::Timestamp::from_secs(1_800_000_000),
            kind: EventKind::LinkExpired(LinkEnded {
                link,
                files: 0,
                order: vec![],
            }),
        };
        let id = EventId::new(LinkId::from_bytes([3; 12]), [4; 6]);
        let json = serde_json::to_string(&event).expect("JSON");
        let says = format!("{BEGINNING}id: {id}\nevent: link.expired\ndata: {json}\n\n");
        let (mut events, opened) = edge(says, Duration::ZERO).await;
        for n in 1..=3 * TRIES_MAX {
            assert_eq!(events.next().await.expect("an event"), (id, event.clone()));
            assert_eq!(*opened.borrow(), n);
        }
    }

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
