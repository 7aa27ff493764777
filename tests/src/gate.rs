//! A gate between a browser and the edge, that holds answers back, drops requests or adds headers:
//! what a network, a proxy or an engine's settings would do, the same for every engine.
//!
//! It speaks HTTP/1.1 with one exchange on a connection. Bodies pass through as they come, or
//! compressed as Cloudflare does it before a browser, which workerd leaves undone.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::http::{is_whole, parse};

/// The policy (CSP Level 3, `sandbox`) under which a document runs no script, and is drawn as
/// without any: what a browser does whose user has switched scripts off.
pub const SANDBOX: (&str, &str) = (
    "content-security-policy",
    "sandbox allow-forms allow-same-origin",
);

/// A policy that allows the page's scripts, and no compiling of WebAssembly.
pub const NO_WASM: (&str, &str) = ("content-security-policy", "script-src 'self'");

/// What happens to a request whose path ends in something.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// The connection is closed without an answer.
    Drop,
    /// As [`Rule::Drop`], and then never again.
    DropOnce,
    /// The edge answers, and the browser hears of it only after [`Gate::release`].
    Hold,
    /// As [`Rule::Hold`], if the edge answers with this status.
    HoldStatus(u16),
    /// The answer has one more header.
    Header((&'static str, &'static str)),
    /// A proxy on the way takes the whole request and answers in the edge's place: with this status,
    /// these lines of headers, and this body.
    Answer(u16, &'static str, &'static str),
    /// As [`Rule::Answer`], to requests with a body of more than so many bytes.
    AnswerOver(u64, u16, &'static str, &'static str),
}

/// The page of a proxy, in HTML.
pub const HTML: &str = "<html><body><h1>Something on the way</h1></body></html>";

/// What has passed: the path of a request, and the bytes of its answer's body.
pub type Passed = (String, usize);

/// A gate. It ends when it is dropped.
#[derive(Debug)]
pub struct Gate {
    port: u16,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    server: SocketAddr,
    rules: Mutex<Vec<(String, Rule)>>,
    /// How many answers are held back.
    held: Mutex<usize>,
    released: Condvar,
    ended: AtomicBool,
    compress: bool,
    /// Bodies that were compressed already, by themselves: what costs a second is done once.
    compressed: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    passed: Mutex<Vec<Passed>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    /// A gate before the server at `origin`.
    ///
    /// # Panics
    /// When there is no port, or `origin` is no address.
    #[must_use]
    pub fn before(origin: &str) -> Self {
        Self::start(origin, false)
    }

    /// A gate that compresses what browsers take compressed, with brotli as `cargo xtask sizes`
    /// does. The first answer with a body waits for that, later ones do not.
    #[must_use]
    pub fn compressing(origin: &str) -> Self {
        Self::start(origin, true)
    }

    fn start(origin: &str, compress: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let inner = Arc::new(Inner {
            server: origin
                .trim_start_matches("http://")
                .parse()
                .expect("an address and a port"),
            rules: Mutex::default(),
            held: Mutex::default(),
            released: Condvar::new(),
            ended: AtomicBool::new(false),
            compress,
            compressed: Mutex::default(),
            passed: Mutex::default(),
        });
        let own = inner.clone();
        std::thread::spawn(move || {
            for browser in listener.incoming().flatten() {
                if own.ended.load(Ordering::Relaxed) {
                    break;
                }
                let own = own.clone();
                std::thread::spawn(move || {
                    let line = browser.try_clone();
                    // A browser or a server that goes away in the middle is no fault; the other one hears of it.
                    if own.exchange(browser).is_err()
                        && let Ok(line) = line
                    {
                        let _ = line.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Self { port, inner }
    }

    /// A link's address by way of this gate.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// From now on, this happens to requests whose path ends in `end`. The first rule that fits
    /// counts.
    pub fn rule(&self, end: &str, rule: Rule) {
        lock(&self.inner.rules).push((end.to_owned(), rule));
    }

    /// Nothing more happens to requests whose path ends in `end`.
    pub fn lift(&self, end: &str) {
        lock(&self.inner.rules).retain(|(known, _)| known != end);
    }

    /// What has passed since this was last asked, answers of [`Rule::Answer`] among it.
    #[must_use]
    pub fn passed(&self) -> Vec<Passed> {
        std::mem::take(&mut *lock(&self.inner.passed))
    }

    /// How many answers are held back.
    #[must_use]
    pub fn held(&self) -> usize {
        *lock(&self.inner.held)
    }

    /// Lets all that is held back go, and holds nothing more.
    pub fn release(&self) {
        lock(&self.inner.rules)
            .retain(|(_, rule)| !matches!(rule, Rule::Hold | Rule::HoldStatus(_)));
        *lock(&self.inner.held) = 0;
        self.inner.released.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::Relaxed);
        self.release();
        // The listener looks up for this.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Inner {
    fn exchange(&self, browser: TcpStream) -> std::io::Result<()> {
        let mut from_browser = BufReader::new(browser.try_clone()?);
        let mut request = head(&mut from_browser)?;
        if self.compress {
            // What the server compresses by itself would be compressed twice.
            request = without(&request, "accept-encoding:");
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let rule = lock(&self.rules)
            .iter()
            .find(|(end, _)| path.ends_with(end.as_str()))
            .map(|(_, rule)| *rule);
        if matches!(rule, Some(Rule::DropOnce)) {
            lock(&self.rules).retain(|(_, rule)| !matches!(rule, Rule::DropOnce));
        }
        if matches!(rule, Some(Rule::Drop | Rule::DropOnce)) {
            return browser.shutdown(Shutdown::Both);
        }
        let sent = content_length(&request);
        let answer = match rule {
            Some(Rule::Answer(status, headers, body)) => Some((status, headers, body)),
            Some(Rule::AnswerOver(most, status, headers, body)) if sent > most => {
                Some((status, headers, body))
            }
            _ => None,
        };
        if let Some((status, headers, body)) = answer {
            // All of it first: a browser that is answered while it sends may see a reset instead.
            std::io::copy(&mut from_browser.take(sent), &mut std::io::sink())?;
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} \r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\
                 {headers}connection: close\r\n\r\n{body}"
            );
            lock(&self.passed).push((path.to_owned(), length));
            (&browser).write_all(answer.as_bytes())?;
            return browser.shutdown(Shutdown::Both);
        }
        let server = TcpStream::connect(self.server)?;
        let mut to_server = server.try_clone()?;
        to_server.write_all(once(&request, None).as_bytes())?;
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_browser, &mut to_server);
            let _ = to_server.shutdown(Shutdown::Write);
        });
        let mut from_server = BufReader::new(server.try_clone()?);
        let answer = head(&mut from_server)?;
        if self.compress {
            return self.compressed(answer, &mut from_server, &browser, path);
        }
        let header = match rule {
            Some(Rule::Header(header)) => Some(header),
            _ => None,
        };
        let holds = match rule {
            Some(Rule::Hold) => true,
            Some(Rule::HoldStatus(status)) => {
                answer.split(' ').nth(1) == Some(status.to_string().as_str())
            }
            _ => false,
        };
        if holds {
            let mut held = lock(&self.held);
            *held += 1;
            while *held > 0 {
                held = self
                    .released
                    .wait(held)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        let mut to_browser = &browser;
        to_browser.write_all(once(&answer, header).as_bytes())?;
        let copied = std::io::copy(&mut from_server, &mut to_browser);
        let _ = (
            browser.shutdown(Shutdown::Both),
            server.shutdown(Shutdown::Both),
        );
        lock(&self.passed).push((
            path.to_owned(),
            usize::try_from(*copied.as_ref().unwrap_or(&0)).unwrap_or(0),
        ));
        copied.map(|_| ())
    }

    /// Passes an answer on compressed.
    fn compressed(
        &self,
        head: String,
        rest: &mut impl Read,
        mut browser: &TcpStream,
        path: &str,
    ) -> std::io::Result<()> {
        let mut whole = head.into_bytes();
        // The server may keep the connection open after its answer.
        let mut piece = vec![0; 64 * 1024];
        while !is_whole(&whole) {
            match rest.read(&mut piece)? {
                0 => break,
                n => whole.extend_from_slice(&piece[..n]),
            }
        }
        let answer = parse(&whole).ok_or(std::io::ErrorKind::InvalidData)?;
        if answer.body.is_empty() {
            let head = String::from_utf8_lossy(&whole);
            browser.write_all(once(&head, None).as_bytes())?;
            return browser.shutdown(Shutdown::Both);
        }
        let known = lock(&self.compressed).get(&answer.body).cloned();
        let body = match known {
            Some(body) => body,
            None => {
                let mut body = Vec::new();
                let best = brotli::enc::BrotliEncoderParams::default();
                brotli::BrotliCompress(&mut answer.body.as_slice(), &mut body, &best)?;
                lock(&self.compressed).insert(answer.body.clone(), body.clone());
                body
            }
        };
        let mut out = format!("HTTP/1.1 {} \r\n", answer.status);
        let own = ["content-length", "transfer-encoding", "connection"];
        for (name, value) in &answer.headers {
            if !own.contains(&name.as_str()) {
                out.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let length = body.len();
        out.push_str(&format!(
            "content-encoding: br\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        ));
        lock(&self.passed).push((path.to_owned(), length));
        browser.write_all(out.as_bytes())?;
        browser.write_all(&body)?;
        browser.shutdown(Shutdown::Both)
    }
}

/// Reads the head of a request or an answer, the empty line included.
fn head(from: &mut BufReader<impl Read>) -> std::io::Result<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if from.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if &head[before..] == "\r\n" {
            return Ok(head);
        }
    }
}

/// How long the body is that follows a head, in bytes.
fn content_length(head: &str) -> u64 {
    let of = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let ours = name.eq_ignore_ascii_case("content-length");
        ours.then(|| value.trim().parse().ok())?
    };
    head.lines().find_map(of).unwrap_or(0)
}

/// A head without the lines of this header.
fn without(head: &str, header: &str) -> String {
    head.split_inclusive("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with(header))
        .collect()
}

/// The same head for a connection of one exchange, with one more header.
fn once(head: &str, more: Option<(&str, &str)>) -> String {
    let mut out = String::new();
    for line in head.split_inclusive("\r\n") {
        if line == "\r\n" {
            break;
        }
        out.push_str(line);
    }
    out = without(&out, "connection:");
    if let Some((name, value)) = more {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("connection: close\r\n\r\n");
    out
}
