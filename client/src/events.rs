//! A link's events as they happen, without a webhook endpoint: for a command line, a worker behind
//! a firewall, a test.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chatlift_shared::webhook::Event;
use chatlift_shared::{EventId, LinkId};
use eventsource_stream::{Event as Message, EventStreamError, Eventsource as _};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use reqwest::header::ACCEPT;
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
    tries: u32,
    /// [`PAUSE`] and [`LONG`], but in tests.
    pause: Duration,
    long: Duration,
}

/// The messages of a stream.
type Messages = BoxStream<'static, Result<Message, Error>>;

/// A stream that is open.
struct Open {
    messages: Messages,
    since: Instant,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) const fn new(client: Client, link: LinkId, last: Option<EventId>) -> Self {
        Self {
            client,
            link,
            last,
            open: None,
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
            match self.read().await {
                Ok(message) => {
                    let Ok(id) = message.id.parse() else { continue };
                    self.last = Some(id);
                    self.tries = 0;
                    if let Ok(event) = serde_json::from_str(&message.data) {
                        return Ok((id, event));
                    }
                }
                Err(error) => {
                    let was_long = |open: Open| open.since.elapsed() >= self.long;
                    if self.open.take().is_some_and(was_long) {
                        self.tries = 0;
                    }
                    self.tries += 1;
                    if !error.is_temporary() || self.tries >= TRIES_MAX {
                        self.tries = 0;
                        return Err(error);
                    }
                    tokio::time::sleep(self.pause * self.tries).await;
                }
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

    /// The next message, from a connection that is there or made for it.
    async fn read(&mut self) -> Result<Message, Error> {
        let open = match &mut self.open {
            Some(open) => open,
            closed @ None => {
                let path = ["v1", "links", &self.link.to_string(), "events"];
                let mut request = self
                    .client
                    .request(Method::GET, &path)
                    .header(ACCEPT, "text/event-stream");
                if let Some(last) = self.last {
                    request = request.header("last-event-id", last.to_string());
                }
                let body = send(request).await?.bytes_stream();
                closed.insert(Open {
                    messages: messages(body.map(|bytes| bytes.map_err(|e| cut(&e)))),
                    since: Instant::now(),
                })
            }
        };
        let ended = || Err(Error::Unreachable("the stream ended".into()));
        open.messages.next().await.unwrap_or_else(ended)
    }
}

/// The messages of an answer's body. One that is longer than [`EVENT_MAX`] breaks it off.
fn messages(body: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Messages {
    let since_event = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&since_event);
    let bytes = body.map(move |bytes| {
        let bytes = bytes?;
        let before = counted.fetch_add(bytes.len(), Ordering::Relaxed);
        match before + bytes.len() > EVENT_MAX {
            true => Err(Error::Nonsense("longer than any event".into())),
            false => Ok(bytes),
        }
    });
    let messages = bytes.eventsource().map(move |message| {
        since_event.store(0, Ordering::Relaxed);
        message.map_err(|error| match error {
            EventStreamError::Transport(error) => error,
            other => Error::Nonsense(other.to_string()),
        })
    });
    messages.boxed()
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

    #[tokio::test]
    async fn messages_are_read_wherever_they_are_cut() {
        let stream = b": hello\n\nid: evt_1\nevent: file.stored\ndata: {\"a\":\ndata: 1}\n\nid: e";
        for cut in 0..stream.len() {
            let pieces = [&stream[..cut], &stream[cut..]].map(|piece| Ok(Bytes::from(piece)));
            let found = messages(futures_util::stream::iter(pieces)).map(|message| {
                let message = message.expect("a short stream");
                (message.id, message.data)
            });
            let whole = ("evt_1".to_owned(), "{\"a\":\n1}".to_owned());
            assert_eq!(found.collect::<Vec<_>>().await, [whole], "{cut}");
        }
    }

    #[tokio::test]
    async fn an_event_that_does_not_end_is_broken_off() {
        let says = format!("{BEGINNING}data: {}", "x".repeat(EVENT_MAX));
        let (mut events, _opened) = edge(says, Duration::ZERO).await;
        let error = events.next().await.expect_err("no event");
        assert!(matches!(error, Error::Nonsense(_)), "{error}");
    }
}
