//! Requests and answers, with nothing hidden: every status is an answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use chatlift_shared::Problem;
use serde::de::DeserializeOwned;

/// How long one exchange may take: 8 MiB through a busy machine, with much room.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// How long a connection may stay silent before what came over it is taken for all.
const SILENCE: Duration = Duration::from_secs(5);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of an answer that must be a success.
    ///
    /// # Panics
    /// When it is none, or not of this form.
    #[must_use]
    pub fn ok<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The problem that a refusal carries.
    ///
    /// # Panics
    /// When it carries none.
    #[must_use]
    pub fn problem(&self) -> Problem {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{} is no problem ({e}): {}", self.status, self.text()))
    }
}

/// Sends a request. A body of `None` is sent without `Content-Length`.
///
/// # Errors
/// When there is no whole answer: nothing listens, or the connection is cut.
pub fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Answer, ureq::Error> {
    send_within(TIMEOUT, method, url, headers, body)
}

/// As [`send`], for a client that gives the exchange up after some time of its own.
///
/// # Errors
/// When there is no whole answer by then.
pub fn send_within(
    timeout: Duration,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Answer, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = match body {
        Some(body) => agent.run(request.body(body)?)?,
        None => agent.run(request.body(())?)?,
    };
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let status = answer.status().as_u16();
    let body = answer
        .body_mut()
        .with_config()
        .limit(u64::MAX)
        .read_to_vec()?;
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// As [`send`], for a body that may be refused before it has come: the answer counts where the connection
/// ends under the body, which ureq reports as broken.
///
/// # Errors
/// When nothing that is an answer comes back.
pub fn send_refusable(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let address = url.trim_start_matches("http://");
    let (host, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    exchange(host, &[head.as_bytes(), body].concat(), TIMEOUT)
}

fn exchange(host: &str, bytes: &[u8], silence: Duration) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(host)?;
    // The edge may answer and close before it has read all: that is no failure here.
    let _ = stream.write_all(bytes);
    read_answer_within(&mut stream, silence)
}

/// Sends bytes as they are, such as a body that is longer than its announced length, and reads
/// what comes back until the connection ends or stays silent for 5 s. The status line and the
/// headers are those of the first answer; what follows them is the body.
///
/// # Errors
/// When nothing that is an answer comes back.
pub fn send_raw(origin: &str, bytes: &[u8]) -> std::io::Result<Answer> {
    exchange(origin.trim_start_matches("http://"), bytes, SILENCE)
}

/// Reads what comes back until the answer or the connection ends, or it stays silent for 5 s.
///
/// # Errors
/// When nothing that is an answer comes back.
pub fn read_answer(stream: &mut TcpStream) -> std::io::Result<Answer> {
    read_answer_within(stream, SILENCE)
}

fn read_answer_within(stream: &mut TcpStream, silence: Duration) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(silence))?;
    let mut read = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => read.extend_from_slice(&buffer[..n]),
        }
        if is_whole(&read) {
            break;
        }
    }
    parse(&read).ok_or_else(|| {
        std::io::Error::other(format!("no answer: {}", String::from_utf8_lossy(&read)))
    })
}

/// Whether an answer has ended: with its announced length, its last chunk, or its head where a
/// status has no body.
pub fn is_whole(read: &[u8]) -> bool {
    parse(read).is_some_and(|answer| {
        let length = answer
            .header("content-length")
            .and_then(|l| l.parse::<usize>().ok());
        match length {
            Some(length) => answer.body.len() >= length,
            None if answer.header("transfer-encoding") == Some("chunked") => {
                read.ends_with(b"\r\n0\r\n\r\n")
            }
            None => matches!(answer.status, 204 | 304),
        }
    })
}

/// An answer as it came over a connection, or as far as it has come.
pub fn parse(read: &[u8]) -> Option<Answer> {
    let end = read.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer {
        status,
        headers,
        body: read[end + 4..].to_vec(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunk(&answer.body);
    }
    Some(answer)
}

/// The bytes of a chunked body, as far as they are there.
fn unchunk(mut chunked: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunked.windows(2).position(|w| w == b"\r\n") {
        let size = String::from_utf8_lossy(&chunked[..end]).into_owned();
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            break;
        };
        let rest = &chunked[end + 2..];
        if size == 0 || rest.len() < size + 2 {
            break;
        }
        body.extend_from_slice(&rest[..size]);
        chunked = &rest[size + 2..];
    }
    body
}

/// Begins a request with a body of `announced` bytes, sends only `sent` of it, and cuts the
/// connection once all of that has been acknowledged by the other side's TCP.
///
/// # Errors
/// When it cannot be sent.
pub fn send_cut(origin: &str, head: &str, announced: u64, sent: &[u8]) -> std::io::Result<()> {
    let host = origin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    let head = format!("{head}host: {host}\r\ncontent-length: {announced}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(sent)?;
    stream.flush()?;
    // What is still in this side's buffers would be thrown away by a reset.
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let _ = stream.read(&mut [0; 1024]);
    Ok(())
}
