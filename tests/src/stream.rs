//! A link's events as a stream.

use std::io::{BufRead as _, BufReader};

use chatlift_shared::LinkId;
use ureq::BodyReader;

/// A stream of events that is open.
pub struct Stream(BufReader<BodyReader<'static>>);

impl Stream {
    /// Opens that of a link at the edge at `origin`, with an app's API key, after the event `last` if there is one.
    ///
    /// # Panics
    /// When there is no stream.
    #[must_use]
    pub fn open(origin: &str, key: &str, link: LinkId, last: Option<&str>) -> Self {
        let mut request = ureq::get(format!("{origin}/v1/links/{link}/events"))
            .header("authorization", format!("Bearer {key}"))
            .header("accept", "text/event-stream");
        if let Some(id) = last {
            request = request.header("last-event-id", id);
        }
        let answer = request.call().expect("a stream");
        Self(BufReader::new(answer.into_body().into_reader()))
    }

    /// Reads until a line that begins like this, and returns its rest.
    ///
    /// # Panics
    /// When the stream ends before it.
    #[must_use]
    pub fn until(&mut self, beginning: &str) -> String {
        let mut line = String::new();
        for _ in 0..200 {
            line.clear();
            let read = self.0.read_line(&mut line).expect("a line in time");
            assert_ne!(read, 0, "the stream ended before {beginning}");
            if let Some(rest) = line.trim_end().strip_prefix(beginning) {
                return rest.trim().to_owned();
            }
        }
        panic!("no line begins with {beginning}");
    }
}
