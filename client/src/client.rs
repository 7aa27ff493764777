//! The client: where the edge is, with which key, and one method per call.

use std::time::Duration;

use chatlift_shared::api::{
    CreateDownloadUrl, CreateLink, DownloadUrl, Erased, EventStatus, ExtendLink, File, Link,
    Receipt,
};
use chatlift_shared::audit::AuditTrail;
use chatlift_shared::{EventId, FileId, LinkId, Problem};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;
use url::Url;

use crate::content::ContentRequest;
use crate::error::{Error, cut};
use crate::events::Events;
use crate::request::CreateLinkRequest;

/// Largest answer that is read as JSON, in bytes: a link with
/// [`chatlift_shared::limits::LINK_FILES_MAX`] files of some KiB each.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The edge's address is none.
    #[error("give the edge's address, such as https://files.example.com: {0}")]
    Address(String),
    /// The key cannot stand in a header.
    #[error("the API key cannot be sent in a header")]
    ApiKey,
    /// TLS or the certificate store of this machine failed.
    #[error("HTTPS cannot be set up: {0}")]
    Tls(#[from] reqwest::Error),
}

/// How the client behaves towards the network.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a body may stand still before it counts as cut.
    pub stall_timeout: Duration,
    /// How long a call with a small answer may take in all.
    pub call_timeout: Duration,
    /// Whether the proxy of the environment is used.
    pub proxy: bool,
    /// What the edge sees as `User-Agent`.
    pub user_agent: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(20),
            proxy: true,
            user_agent: concat!("chatlift-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// An app's way to the edge. Cheap to clone; connections are shared. The API key goes with every
/// request and into no log: neither `Debug` nor an error shows it.
#[derive(Clone, Debug)]
pub struct Client {
    base: Url,
    http: reqwest::Client,
    call_timeout: Duration,
}

impl Client {
    /// A client for the edge at this address, with the app's API key.
    ///
    /// ```
    /// # use chatlift_client::Client;
    /// let chatlift = Client::new("https://files.example.com", "clk_...")?;
    /// # Ok::<(), chatlift_client::SetupError>(())
    /// ```
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(edge: &str, api_key: &str) -> Result<Self, SetupError> {
        Self::with_config(edge, api_key, &Config::default())
    }

    /// As [`Self::new`], with times and names of one's own.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn with_config(edge: &str, api_key: &str, config: &Config) -> Result<Self, SetupError> {
        let base: Url = edge
            .parse()
            .map_err(|e: url::ParseError| SetupError::Address(e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(SetupError::Address("it is neither http nor https".into()));
        }
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {api_key}")).map_err(|_| SetupError::ApiKey)?;
        bearer.set_sensitive(true);
        let mut builder = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            .user_agent(&config.user_agent)
            .redirect(redirect::Policy::none())
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.stall_timeout);
        if !config.proxy {
            builder = builder.no_proxy();
        }
        Ok(Self {
            base,
            http: builder.build()?,
            call_timeout: config.call_timeout,
        })
    }

    /// Asks for a link; see [`CreateLinkRequest`].
    pub fn create_link<'a>(&'a self, request: &'a CreateLink) -> CreateLinkRequest<'a> {
        CreateLinkRequest::new(self, request)
    }

    /// A link as it stands, with its files.
    ///
    /// # Errors
    /// [`Error::Refused`] with `link-not-found`.
    pub async fn link(&self, id: LinkId) -> Result<Link, Error> {
        self.json(Method::GET, &["v1", "links", &id.to_string()])
            .await
    }

    /// Takes a link back. Again is fine.
    ///
    /// # Errors
    /// [`Error::Refused`] with `link-not-found`.
    pub async fn revoke_link(&self, id: LinkId) -> Result<(), Error> {
        let path = ["v1", "links", &id.to_string()];
        send(self.call(Method::DELETE, &path)).await.map(drop)
    }

    /// Removes a link with all that it has: files, uploads, events.
    ///
    /// # Errors
    /// [`Error::Refused`] with `link-not-found`.
    pub async fn erase_link(&self, id: LinkId) -> Result<Erased, Error> {
        let path = ["v1", "links", &id.to_string()];
        let call = self.call(Method::DELETE, &path).query(&[("erase", "true")]);
        read(send(call).await?).await
    }

    /// A file's description.
    ///
    /// # Errors
    /// [`Error::Refused`] with `file-not-found`.
    pub async fn file(&self, id: FileId) -> Result<File, Error> {
        self.json(Method::GET, &["v1", "files", &id.to_string()])
            .await
    }

    /// A file's content; see [`ContentRequest`].
    pub fn content(&self, id: FileId) -> ContentRequest<'_> {
        ContentRequest::new(self, id)
    }

    /// Deletes a file's content. Again is fine.
    ///
    /// # Errors
    /// [`Error::Refused`] with `file-not-found`.
    pub async fn delete_file(&self, id: FileId) -> Result<(), Error> {
        let path = ["v1", "files", &id.to_string()];
        send(self.call(Method::DELETE, &path)).await.map(drop)
    }

    /// Says what became of a file; the upload page shows it. The same again is fine.
    ///
    /// # Errors
    /// [`Error::Refused`] with `file-not-found` or `receipt-out-of-order`.
    pub async fn give_receipt(&self, id: FileId, receipt: &Receipt) -> Result<File, Error> {
        let path = ["v1", "files", &id.to_string(), "receipt"];
        read(send(self.call(Method::POST, &path).json(receipt)).await?).await
    }

    /// A link's events as they happen, from the first or after `last`.
    ///
    /// ```no_run
    /// # async fn run(chatlift: chatlift_client::Client, link: chatlift_client::Link)
    /// # -> Result<(), chatlift_client::Error> {
    /// let mut events = chatlift.events(link.id, None);
    /// loop {
    ///     let (id, event) = events.next().await?;
    ///     println!("{id}: {event:?}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self, link: LinkId, last: Option<EventId>) -> Events {
        Events::new(self.clone(), link, last)
    }

    /// Entries of a link's audit trail after the first `after`, 1,000 at most; see [`crate::audit`].
    ///
    /// # Errors
    /// [`Error::Refused`] with `link-not-found`.
    pub async fn audit_trail(&self, id: LinkId, after: u64) -> Result<AuditTrail, Error> {
        let path = ["v1", "links", &id.to_string(), "audit"];
        let call = self.call(Method::GET, &path).query(&[("after", after)]);
        read(send(call).await?).await
    }

    /// Gives a link more time, in seconds from now. The answer has its new address.
    ///
    /// # Errors
    /// [`Error::Refused`] with `link-not-found`, `beyond-scene` or why the link has ended.
    pub async fn extend_link(&self, id: LinkId, expires_in: u64) -> Result<Link, Error> {
        let path = ["v1", "links", &id.to_string()];
        let body = ExtendLink { expires_in };
        read(send(self.call(Method::PATCH, &path).json(&body)).await?).await
    }

    /// Closes a link that has what it was for. Again is fine.
    ///
    /// # Errors
    /// [`Error::Refused`] with `link-not-found`, `link-expired` or `link-revoked`.
    pub async fn close_link(&self, id: LinkId) -> Result<Link, Error> {
        let path = ["v1", "links", &id.to_string(), "close"];
        self.json(Method::POST, &path).await
    }

    /// An address by which a file can be fetched without a key, good for these seconds.
    ///
    /// # Errors
    /// [`Error::Refused`] with `file-not-found` or `file-deleted`.
    pub async fn download_url(&self, id: FileId, expires_in: u64) -> Result<DownloadUrl, Error> {
        let path = ["v1", "files", &id.to_string(), "download-url"];
        let body = CreateDownloadUrl {
            expires_in: Some(expires_in),
        };
        read(send(self.call(Method::POST, &path).json(&body)).await?).await
    }

    /// Has an event sent again, with the same id and body.
    ///
    /// # Errors
    /// [`Error::Refused`] with `event-not-found`.
    pub async fn redeliver(&self, id: EventId) -> Result<EventStatus, Error> {
        let path = ["v1", "events", &id.to_string(), "redeliver"];
        self.json(Method::POST, &path).await
    }

    async fn json<T: DeserializeOwned>(&self, method: Method, path: &[&str]) -> Result<T, Error> {
        read(send(self.call(method, path)).await?).await
    }

    /// A request with a small answer.
    pub(crate) fn call(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request(method, path).timeout(self.call_timeout)
    }

    /// A request under the edge's address: whatever the ids are, it leads nowhere else.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        // An http address always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        self.http.request(method, url)
    }
}

/// Sends, and turns every answer but a success into an error.
pub(crate) async fn send(request: RequestBuilder) -> Result<Response, Error> {
    let response = request.send().await.map_err(|e| cut(&e))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let patience = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    if status.is_server_error() || patience.contains(&status) {
        let retry_after = response.headers().get(RETRY_AFTER);
        return Err(Error::Unavailable {
            status: status.as_u16(),
            retry_after: retry_after.and_then(|v| v.to_str().ok()?.parse().ok()),
        });
    }
    let problem: Option<Problem> = read(response).await.ok();
    Err(Error::Refused {
        status: status.as_u16(),
        problem: problem.map(Box::new),
    })
}

/// Reads a small answer.
pub(crate) async fn read<T: DeserializeOwned>(mut response: Response) -> Result<T, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| cut(&e))? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(Error::Nonsense("longer than any answer".into()));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|e| Error::Nonsense(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_that_is_no_address_and_a_key_that_is_no_header_are_refused() {
        assert!(matches!(
            Client::new("files.example.com", "clk_a"),
            Err(SetupError::Address(_))
        ));
        assert!(matches!(
            Client::new("file:///etc", "clk_a"),
            Err(SetupError::Address(_))
        ));
        assert!(matches!(
            Client::new("https://files.example.com", "a\nb"),
            Err(SetupError::ApiKey)
        ));
    }

    #[test]
    fn the_key_is_not_shown() {
        let client = Client::new("https://files.example.com", "clk_secret").expect("a client");
        assert!(!format!("{client:?}").contains("secret"));
    }
}
