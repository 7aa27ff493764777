//! A business backend's webhook endpoint that keeps all that it hears, and can be told to fail or
//! to be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chatlift_shared::api::{File, PartDigests};
use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::{self, Event, EventKind, FileStored, Secret};
use chatlift_shared::{EventId, LinkId, Timestamp};

use crate::fixtures::Random;
use crate::scratch::{now, wait_for};

/// One try of the edge to tell something.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event's id, from the verified header.
    pub id: EventId,
    /// When it came.
    pub at: Timestamp,
    /// What it says.
    pub event: Event,
    /// What was answered.
    pub status: u16,
    /// Whether the answer was sent, and not held back by [`Receiver::lose_answers`].
    pub is_answered: bool,
    /// Its timestamp and signatures, as the headers have them, and its body.
    pub timestamp: String,
    /// See `timestamp`.
    pub signatures: String,
    /// See `timestamp`.
    pub body: Vec<u8>,
}

impl Delivery {
    /// The link that it is about.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.event.kind.link().id
    }

    /// The stored file, if that is what it tells.
    #[must_use]
    pub fn stored(&self) -> Option<&FileStored> {
        match &self.event.kind {
            EventKind::FileStored(stored) => Some(stored),
            _ => None,
        }
    }
}

/// A request as it came: its headers, and its body.
pub type Raw = (Vec<(String, String)>, Vec<u8>);

#[derive(Debug, Default)]
struct Heard {
    deliveries: Vec<Delivery>,
    /// Where in `deliveries` those about a link are.
    by_link: BTreeMap<LinkId, Vec<usize>>,
    /// Ids of all events that were heard of.
    events: BTreeSet<EventId>,
    /// The requests of the deliveries, for another library to verify.
    raw: Vec<Raw>,
    /// What came and did not verify. Must stay empty.
    refused: Vec<String>,
    /// What is answered; 0 stands for 204.
    status: u16,
    /// Header lines of the answer.
    headers: String,
    /// Whether connections end without an answer.
    loses_answers: bool,
    stopping: bool,
}

/// The endpoint.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    secrets: Arc<Vec<Secret>>,
    heard: Arc<Mutex<Heard>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a file may have as its content.
pub trait Content: std::fmt::Debug {
    /// Whether a file has it, by its digests.
    fn is_of(&self, file: &File) -> bool;
}

impl Content for Sha256 {
    fn is_of(&self, file: &File) -> bool {
        file.sha256 == Some(*self)
    }
}

impl Content for Option<Sha256> {
    fn is_of(&self, file: &File) -> bool {
        self.is_some() && file.sha256 == *self
    }
}

impl Content for Random {
    fn is_of(&self, file: &File) -> bool {
        let same = |parts: &PartDigests| {
            let count = self.size.div_ceil(parts.size);
            let part = |n| Sha256::of(&self.read(n * parts.size, parts.size));
            (0..count).map(part).eq(parts.sha256.iter().copied())
        };
        file.size == self.size && file.parts.as_ref().is_some_and(same)
    }
}

impl Receiver {
    /// Listens on a free port. `secrets` are those of all apps that it stands for.
    ///
    /// # Panics
    /// When a secret is none, or there is no port.
    #[must_use]
    pub fn start(secrets: &[&str]) -> Self {
        let secrets = secrets
            .iter()
            .map(|s| s.parse().expect("a webhook secret"))
            .collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let receiver = Self {
            port: listener.local_addr().expect("an address").port(),
            secrets: Arc::new(secrets),
            heard: Arc::default(),
            thread: Mutex::new(None),
        };
        receiver.serve(listener);
        receiver
    }

    /// Where webhooks are to be sent.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/webhooks/chatlift", self.port)
    }

    /// From now on answers with this status.
    pub fn answer_with(&self, status: u16) {
        self.answer_with_headers(status, "");
    }

    /// From now on answers with this status and these header lines, each with its line end.
    pub fn answer_with_headers(&self, status: u16, headers: &str) {
        let mut heard = lock(&self.heard);
        heard.status = status;
        headers.clone_into(&mut heard.headers);
    }

    /// From now on takes what comes and ends the connection without an answer, or no longer.
    pub fn lose_answers(&self, loses: bool) {
        lock(&self.heard).loses_answers = loses;
    }

    /// Every try so far that is verified, about whatever link.
    #[must_use]
    pub fn tries(&self) -> usize {
        lock(&self.heard).deliveries.len()
    }

    /// Is gone: connections are refused.
    ///
    /// # Panics
    /// When its thread has panicked.
    pub fn stop(&self) {
        lock(&self.heard).stopping = true;
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            thread.join().expect("the receiver's thread");
        }
    }

    /// Is back, on the same port and with what it has heard.
    ///
    /// # Panics
    /// When the port is taken by now.
    pub fn start_again(&self) {
        lock(&self.heard).stopping = false;
        self.serve(
            TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).expect("the port as before"),
        );
    }

    /// Every try so far that is about the link.
    ///
    /// # Panics
    /// When something came that does not verify.
    #[must_use]
    pub fn about(&self, link: LinkId) -> Vec<Delivery> {
        let heard = lock(&self.heard);
        assert_eq!(
            heard.refused,
            Vec::<String>::new(),
            "webhooks that do not verify"
        );
        let about = heard.by_link.get(&link).into_iter().flatten();
        about.map(|&n| heard.deliveries[n].clone()).collect()
    }

    /// How many different events it has heard of.
    #[must_use]
    pub fn events(&self) -> usize {
        lock(&self.heard).events.len()
    }

    /// Every verified request so far, as it came.
    #[must_use]
    pub fn raw(&self) -> Vec<Raw> {
        lock(&self.heard).raw.clone()
    }

    /// Waits for the notice of a stored file with this content, and returns the first acknowledged try.
    ///
    /// # Panics
    /// When it does not come.
    #[must_use]
    pub fn wait_stored(&self, link: LinkId, content: impl Content, within: Duration) -> Delivery {
        wait_for(
            &format!("the notice of {content:?} on {link}"),
            within,
            || {
                self.about(link).into_iter().find(|delivery| {
                    delivery.status < 300
                        && delivery.stored().is_some_and(|s| content.is_of(&s.file))
                })
            },
        )
    }

    fn serve(&self, listener: TcpListener) {
        let (secrets, heard) = (Arc::clone(&self.secrets), Arc::clone(&self.heard));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if lock(&heard).stopping {
                    break;
                }
                let (secrets, heard) = (Arc::clone(&secrets), Arc::clone(&heard));
                std::thread::spawn(move || {
                    // A connection that is cut says nothing, and is none of the receiver's faults.
                    let _ = answer(&stream, &secrets, &heard);
                });
            }
        });
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }
}

/// The next line of a head. A connection that ends within one has said nothing: its sender was killed.
fn head_line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match line.ends_with('\n') {
        true => Ok(line),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// One request on one connection: closed after it, so that `stop` leaves none open.
fn answer(mut stream: &TcpStream, secrets: &[Secret], heard: &Mutex<Heard>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut headers: Vec<(String, String)> = Vec::new();
    // The request line.
    head_line(&mut reader)?;
    loop {
        let line = head_line(&mut reader)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()))
            }
            None => break,
        }
    }
    let get = |name: &str| {
        headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    let length = get("content-length")
        .and_then(|l| l.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;

    let at = now();
    let (more, loses_answers) = {
        let heard = lock(heard);
        (heard.headers.clone(), heard.loses_answers)
    };
    let status = {
        let mut heard = lock(heard);
        let status = if heard.status == 0 { 204 } else { heard.status };
        let event = serde_json::from_slice::<Event>(&body).map_err(|e| e.to_string());
        match (webhook::verify(secrets, get, &body, at), event) {
            (Ok(id), Ok(event)) => {
                let n = heard.deliveries.len();
                let link = event.kind.link().id;
                heard.by_link.entry(link).or_default().push(n);
                heard.events.insert(id);
                heard.deliveries.push(Delivery {
                    id,
                    at,
                    event,
                    status,
                    is_answered: !loses_answers,
                    timestamp: get(webhook::HEADER_TIMESTAMP)
                        .unwrap_or_default()
                        .to_owned(),
                    signatures: get(webhook::HEADER_SIGNATURE)
                        .unwrap_or_default()
                        .to_owned(),
                    body: body.clone(),
                });
                heard.raw.push((headers.clone(), body.clone()));
                status
            }
            (verified, event) => {
                let body = String::from_utf8_lossy(&body);
                heard
                    .refused
                    .push(format!("{verified:?} {:?} {headers:?} {body}", event.err()));
                400
            }
        }
    };
    if loses_answers {
        return Ok(());
    }
    write!(
        stream,
        "HTTP/1.1 {status} Heard\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n"
    )
}
