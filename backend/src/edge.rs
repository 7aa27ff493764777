//! The edge API over HTTP.
//!
//! Every address is built from the configured base and an id of our own kind, so nothing that an
//! event says can send a request elsewhere; redirects are not followed for the same reason. The
//! API key goes with every request and into no log.

use std::time::Duration;

use bytes::Bytes;
use chatlift_shared::api::{CreateLink, Link, Receipt};
use chatlift_shared::{FileId, Problem};
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use url::Url;

use crate::config::ApiKey;
use crate::ports::{Body, BoxFuture, Content, Edge, EdgeError, Resume};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a body may stand still before it counts as cut.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a call with a small answer may take in all.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer that is read as JSON, in bytes: a link with [`chatlift_shared::limits::LINK_FILES_MAX`]
/// files of 1 KiB each, and room.
const ANSWER_MAX: usize = 1024 * 1024;

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// TLS or the certificate store of this machine failed.
    #[error("HTTPS cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
    /// The key cannot stand in a header.
    #[error("the API key cannot be sent in a header")]
    ApiKey,
}

/// The edge, reached over HTTP. Cheap to clone; connections are shared.
#[derive(Clone, Debug)]
pub struct HttpEdge {
    base: Url,
    client: Client,
}

impl HttpEdge {
    /// A client for the edge at `base` that authenticates with `key`.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(base: Url, key: &ApiKey) -> Result<Self, SetupError> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()))
            .map_err(|_| SetupError::ApiKey)?;
        bearer.set_sensitive(true);
        headers.insert(reqwest::header::AUTHORIZATION, bearer);
        let client = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("chatlift-backend/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(STALL_TIMEOUT)
            .build()?;
        Ok(Self { base, client })
    }

    fn request(&self, method: Method, segments: &[&str]) -> Result<RequestBuilder, EdgeError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| EdgeError::Nonsense("the edge's address has no path".into()))?
            .clear()
            .extend(segments);
        Ok(self.client.request(method, url))
    }
}

/// Sends, and turns every answer but a success into an error.
async fn send(request: RequestBuilder) -> Result<Response, EdgeError> {
    let response = request.send().await.map_err(|e| cut(&e))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
    {
        return Err(EdgeError::Unavailable {
            status: status.as_u16(),
        });
    }
    let problem: Option<Problem> = small_json(response).await.ok();
    Err(EdgeError::Refused {
        status: status.as_u16(),
        problem: problem.map(Box::new),
    })
}

/// The error without its address: the edge's is in the configuration, and a path has ids only in
/// the log's own fields.
fn cut(error: &reqwest::Error) -> EdgeError {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = source {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if text.is_empty() {
        text.push_str("the connection failed");
    }
    EdgeError::Unreachable(text)
}

async fn small_json<T: serde::de::DeserializeOwned>(
    mut response: Response,
) -> Result<T, EdgeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| cut(&e))? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(EdgeError::Nonsense("longer than any answer".into()));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|e| EdgeError::Nonsense(e.to_string()))
}

/// First byte of a `Content-Range: bytes <first>-<last>/<size>`.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (first, _) = value.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}

impl Edge for HttpEdge {
    fn content<'a>(
        &'a self,
        file: FileId,
        resume: Option<&'a Resume>,
    ) -> BoxFuture<'a, Result<Content, EdgeError>> {
        Box::pin(async move {
            let file = file.to_string();
            let mut request = self.request(Method::GET, &["v1", "files", &file, "content"])?;
            if let Some(resume) = resume {
                request = request
                    .header(RANGE, format!("bytes={}-", resume.from))
                    .header(IF_RANGE, &resume.etag);
            }
            let response = send(request).await?;
            let from = match (response.status(), resume) {
                (StatusCode::OK, _) => 0,
                (StatusCode::PARTIAL_CONTENT, Some(resume))
                    if first_byte(response.headers()) == Some(resume.from) =>
                {
                    resume.from
                }
                (status, _) => {
                    return Err(EdgeError::Nonsense(format!(
                        "{status} with a range that was not asked for"
                    )));
                }
            };
            let etag = response
                .headers()
                .get(ETAG)
                .and_then(|v| v.to_str().ok())
                // A weak tag cannot carry a range (RFC 9110 section 13.1.5).
                .filter(|tag| !tag.starts_with("W/"))
                .map(str::to_owned);
            Ok(Content {
                from,
                etag,
                body: Box::new(HttpBody(response)),
            })
        })
    }

    fn receipt<'a>(
        &'a self,
        file: FileId,
        receipt: &'a Receipt,
    ) -> BoxFuture<'a, Result<(), EdgeError>> {
        Box::pin(async move {
            let file = file.to_string();
            let request = self
                .request(Method::POST, &["v1", "files", &file, "receipt"])?
                .timeout(CALL_TIMEOUT)
                .json(receipt);
            send(request).await.map(drop)
        })
    }

    fn delete_file(&self, file: FileId) -> BoxFuture<'_, Result<(), EdgeError>> {
        Box::pin(async move {
            let file = file.to_string();
            let request = self
                .request(Method::DELETE, &["v1", "files", &file])?
                .timeout(CALL_TIMEOUT);
            send(request).await.map(drop)
        })
    }

    fn create_link<'a>(
        &'a self,
        request: &'a CreateLink,
        idempotency_key: &'a str,
    ) -> BoxFuture<'a, Result<Link, EdgeError>> {
        Box::pin(async move {
            let request = self
                .request(Method::POST, &["v1", "links"])?
                .timeout(CALL_TIMEOUT)
                .header("idempotency-key", idempotency_key)
                .json(request);
            small_json(send(request).await?).await
        })
    }
}

struct HttpBody(Response);

impl Body for HttpBody {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, EdgeError>> {
        Box::pin(async move { self.0.chunk().await.map_err(|e| cut(&e)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_names_its_first_byte() {
        for (value, first) in [
            ("bytes 5-9/10", Some(5)),
            ("bytes 0-0/1", Some(0)),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("bytes 5", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_static(value));
            assert_eq!(first_byte(&headers), first, "{value}");
        }
    }
}
