//! Parts of a form's body (RFC 7578, RFC 2046 section 5.1), one after the other as they arrive.
//!
//! It reads what senders really write, such as folded headers, lines without CR, and text around the
//! parts. What could be read in two ways ends the part or the form with an error: a file must neither be
//! passed over nor get bytes that are not its own.

use core::pin::Pin;

use chatlift_shared::disposition;
use chatlift_shared::{Problem, ProblemCode};
use futures_util::{Stream, StreamExt as _};
use memchr::memmem;

use super::request::invalid;
use crate::ports::Failure;

/// Longest boundary that is taken, in bytes; RFC 2046 section 5.1.1 allows 70.
const BOUNDARY_MAX: usize = 256;

/// Longest head of a part, in bytes: many times what browsers write for the longest name.
const HEAD_MAX: usize = 16 * 1024;

/// Most bytes before the first part, and of blanks after a boundary. Mail libraries write a sentence.
const PADDING_MAX: usize = 1024;

/// Most parts of a form; a link takes half as many files.
const PARTS_MAX: usize = 1000;

/// The boundary that a `Content-Type` names. `None` where it is not of a form, or names none.
pub(super) fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let media_type = content_type.split(|b| *b == b';').next()?.trim_ascii();
    if !media_type.eq_ignore_ascii_case(b"multipart/form-data") {
        return None;
    }
    let boundary = disposition::parameter(content_type, "boundary")?;
    (1..=BOUNDARY_MAX)
        .contains(&boundary.len())
        .then_some(boundary)
}

/// The headers of a part.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Names in lower case, and values without folds.
    headers: Vec<(String, Vec<u8>)>,
    /// Whether it is longer than [`HEAD_MAX`], and the rest was not read.
    pub(super) cut: bool,
}

impl Head {
    /// The values of a header, by its lower-case name.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let same = move |(n, value): &'a (String, Vec<u8>)| (n == name).then_some(&**value);
        self.headers.iter().filter_map(same)
    }

    /// Takes a line, without its end.
    fn push(&mut self, line: &[u8]) {
        let colon = line.iter().position(|b| *b == b':');
        let fold = line.first().is_some_and(|b| matches!(b, b' ' | b'\t'));
        match (colon.filter(|_| !fold), self.headers.last_mut()) {
            (Some(at), _) => {
                let name = String::from_utf8_lossy(&line[..at])
                    .trim()
                    .to_ascii_lowercase();
                self.headers.push((name, line[at + 1..].to_vec()));
            }
            // A fold is a line end before a blank, and nothing else is taken out (RFC 5322 section
            // 2.2.3). A line that is no header is the rest of a name in which lines end.
            (None, Some((_, value))) => value.extend_from_slice(line),
            (None, None) => {}
        }
    }
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// At the end of a boundary's line.
    Head,
    /// In a part, whose lines end in CR LF or not, where that is known. The first `skip` bytes of the
    /// buffer end the line before it.
    Body { crlf: Option<bool>, skip: usize },
    /// After the last boundary.
    Epilogue,
}

/// What a line is that begins with the boundary.
enum Delimiter {
    /// Another part follows it. Its length in bytes from the line end before it to that after it.
    Next(usize),
    /// The form's last.
    Last(usize),
    /// No boundary.
    Malformed,
    /// More must be read to tell.
    Incomplete,
}

/// The parts of a form.
pub(super) struct Multipart<S> {
    body: Pin<Box<S>>,
    /// LF, two hyphens and the boundary.
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    ended: bool,
    state: State,
    parts: usize,
    failed: Option<Failure>,
}

impl<S: Stream<Item = Result<Vec<u8>, std::io::Error>>> Multipart<S> {
    pub(super) fn new(body: S, boundary: &[u8]) -> Self {
        Self {
            body: Box::pin(body),
            delimiter: [b"\n--", boundary].concat(),
            // The beginning of the body is the beginning of a line.
            buffer: b"\n".to_vec(),
            ended: false,
            state: State::Preamble,
            parts: 0,
            failed: None,
        }
    }

    /// Reads to the next part; `None` after the last.
    ///
    /// # Errors
    /// `invalid-request` where the form ends early or its parts cannot be told apart, `body-too-large`
    /// where there are too many. Nothing more can be read then.
    pub(super) async fn next_part(&mut self) -> Result<Option<Head>, Failure> {
        loop {
            if let Some(failure) = &self.failed {
                return Err(failure.clone());
            }
            match self.state {
                State::Preamble => self.skip_preamble().await?,
                State::Head => {
                    self.parts += 1;
                    if self.parts > PARTS_MAX {
                        let limit = Problem::new(ProblemCode::BodyTooLarge).limit(PARTS_MAX as u64);
                        return Err(self.fail(limit.detail("A form has fewer parts.").into()));
                    }
                    return self.head().await.map(Some);
                }
                State::Body { .. } => while let Ok(Some(_)) = self.next_bytes().await {},
                State::Epilogue => {
                    self.skip_epilogue().await?;
                    return Ok(None);
                }
            }
        }
    }

    /// The next bytes of the part; `None` at its end.
    ///
    /// # Errors
    /// As [`Self::next_part`], and `invalid-request` where only the part's own end is in doubt.
    pub(super) async fn next_bytes(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let State::Body { crlf, skip } = self.state else {
                return Ok(None);
            };
            if let Some(failure) = &self.failed {
                return Err(failure.clone());
            }
            let Some(at) = memmem::find(&self.buffer, &self.delimiter) else {
                // A delimiter may have begun, and the CR before it.
                let safe = self.buffer.len().saturating_sub(self.delimiter.len());
                if self.ended {
                    return Err(self.fail(ended_early()));
                }
                if safe > skip {
                    let bytes = self.buffer[skip..safe].to_vec();
                    self.buffer.drain(..safe);
                    self.state = State::Body { crlf, skip: 0 };
                    return Ok(Some(bytes));
                }
                self.read().await?;
                continue;
            };
            let (next, length) = match self.delimiter_at(at) {
                Delimiter::Next(length) => (State::Head, length),
                Delimiter::Last(length) => (State::Epilogue, length),
                Delimiter::Malformed => {
                    return Err(
                        self.fail(malformed("A line begins with the boundary and is none."))
                    );
                }
                Delimiter::Incomplete => {
                    self.read().await?;
                    continue;
                }
            };
            let after_cr = at > skip && self.buffer[at - 1] == b'\r';
            let end = at - usize::from(after_cr);
            // A part without bytes may end with the line end that its head ends with.
            let bytes = self.buffer.get(skip..end).unwrap_or_default().to_vec();
            self.buffer.drain(..at + length);
            self.state = next;
            if at >= skip && crlf.is_some_and(|crlf| crlf != after_cr) {
                return Err(malformed(
                    "Its end is in doubt: let all lines end in CR LF.",
                ));
            }
            return Ok((!bytes.is_empty()).then_some(bytes));
        }
    }

    /// Reads the headers of a part, up to the line without any.
    async fn head(&mut self) -> Result<Head, Failure> {
        let mut head = Head::default();
        let mut read = 0;
        loop {
            // The buffer begins with the end of the line before.
            let start = 1 + usize::from(self.buffer.first() == Some(&b'\r'));
            let rest = self.buffer.get(start..).unwrap_or_default();
            let found = memchr::memchr(b'\n', rest);
            if found.is_none() && !self.ended && rest.len() <= HEAD_MAX {
                self.read().await?;
                continue;
            }
            let line = &rest[..found.unwrap_or(rest.len())];
            if line.starts_with(&self.delimiter[1..]) {
                // The part has no more than a head.
                self.state = State::Body {
                    crlf: None,
                    skip: start,
                };
                return Ok(head);
            }
            let after_cr = line.last() == Some(&b'\r');
            let line = &line[..line.len() - usize::from(after_cr)];
            let end = start + line.len();
            if found.is_some() && end == start {
                self.buffer.drain(..end);
                self.state = State::Body {
                    crlf: Some(after_cr),
                    skip: 1 + usize::from(after_cr),
                };
                return Ok(head);
            }
            read += line.len();
            head.push(line);
            if read > HEAD_MAX {
                head.cut = true;
                self.state = State::Body {
                    crlf: None,
                    skip: 0,
                };
                return Ok(head);
            }
            if found.is_none() {
                return Err(self.fail(ended_early()));
            }
            self.buffer.drain(..end);
        }
    }

    /// What is before the parts is for readers of mail (RFC 2046 section 5.1.1).
    async fn skip_preamble(&mut self) -> Result<(), Failure> {
        loop {
            let at = memmem::find(&self.buffer, &self.delimiter);
            let before = at.unwrap_or(self.buffer.len());
            if before > PADDING_MAX + self.delimiter.len() {
                return Err(self.fail(malformed("It does not begin with the boundary.")));
            }
            let delimiter = at.map_or(Delimiter::Incomplete, |at| self.delimiter_at(at));
            let (next, length) = match delimiter {
                Delimiter::Next(length) => (State::Head, length),
                Delimiter::Last(length) => (State::Epilogue, length),
                Delimiter::Incomplete if !self.ended => {
                    self.read().await?;
                    continue;
                }
                Delimiter::Incomplete => return Err(self.fail(ended_early())),
                Delimiter::Malformed => {
                    return Err(
                        self.fail(malformed("A line begins with the boundary and is none."))
                    );
                }
            };
            let text = self.buffer[..before].to_ascii_lowercase();
            if memmem::find(&text, b"content-disposition").is_some() {
                return Err(self.fail(malformed("A part is before the first boundary.")));
            }
            self.buffer.drain(..before + length);
            self.state = next;
            return Ok(());
        }
    }

    /// Reads what is after the parts to its end; no part may be there.
    async fn skip_epilogue(&mut self) -> Result<(), Failure> {
        loop {
            if memmem::find(&self.buffer, &self.delimiter).is_some() {
                return Err(self.fail(malformed("It goes on after its last boundary.")));
            }
            if self.ended {
                return Ok(());
            }
            let done = self.buffer.len().saturating_sub(self.delimiter.len());
            self.buffer.drain(..done);
            self.read().await?;
        }
    }

    /// What begins at `at`, where the boundary is.
    fn delimiter_at(&self, at: usize) -> Delimiter {
        let length = self.delimiter.len();
        let rest = &self.buffer[at + length..];
        if rest.starts_with(b"--") {
            return Delimiter::Last(length + 2);
        }
        let blanks = rest
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count();
        match &rest[blanks..] {
            [b'\n', ..] | [b'\r', b'\n', ..] => Delimiter::Next(length + blanks),
            [] | [b'\r'] | [b'-'] if !self.ended && blanks <= PADDING_MAX => Delimiter::Incomplete,
            // The part is whole, and the form is not: that is told when its next part is asked for.
            [] => Delimiter::Next(length + blanks),
            _ => Delimiter::Malformed,
        }
    }

    async fn read(&mut self) -> Result<(), Failure> {
        match self.body.next().await {
            Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
            Some(Err(_)) => return Err(self.fail(ended_early())),
            None => self.ended = true,
        }
        Ok(())
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.failed = Some(failure.clone());
        failure
    }
}

fn ended_early() -> Failure {
    malformed("It ended early.")
}

fn malformed(detail: &str) -> Failure {
    invalid("body", detail)
}

#[cfg(test)]
mod tests;
