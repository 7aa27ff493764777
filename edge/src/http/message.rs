//! A request, in the terms of the `http` crate.

use core::cell::Cell;

use chatlift_shared::disposition;
use http::{HeaderMap, Method};
use url::Url;

/// A request, whose body is taken once.
pub struct Request<B> {
    /// Its method, also one that no route takes.
    pub method: Method,
    /// Its whole address.
    pub url: Url,
    /// Its headers, their values as they came.
    pub headers: HeaderMap,
    body: Cell<Option<B>>,
}

impl<B> Request<B> {
    /// A request; `body` is `None` where it has none.
    #[must_use]
    pub fn new(method: Method, url: Url, headers: HeaderMap, body: Option<B>) -> Self {
        Self {
            method,
            url,
            headers,
            body: Cell::new(body),
        }
    }

    /// The path of its address, percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// A parameter of its address.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.url.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Takes the body.
    pub(super) fn body(&self) -> Option<B> {
        self.body.take()
    }

    /// Whether there is a body that was not taken.
    pub(super) fn has_body(&self) -> bool {
        let body = self.body.take();
        let has = body.is_some();
        self.body.set(body);
        has
    }
}

/// A header's value, several of them joined by commas (RFC 9110 section 5.2). Bytes beyond ASCII are
/// those characters of Latin-1, which is what they were (section 5.5).
pub(super) fn header<B>(request: &Request<B>, name: &str) -> Option<String> {
    let values = request.headers.get_all(name).into_iter();
    values
        .map(|value| disposition::latin1(value.as_bytes()))
        .reduce(|all, value| format!("{all}, {value}"))
}
