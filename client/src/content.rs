//! A file's content: whole, by range, to a file.

use std::path::Path;

use bytes::Bytes;
use chatlift_shared::FileId;
use chatlift_shared::api::File;
use chatlift_shared::digest::Sha256;
use futures_util::Stream;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::io::AsyncWriteExt as _;

use crate::check::{Check, WrongContent};
use crate::client::{Client, send};
use crate::error::{Error, cut};

/// How often a transfer that is cut goes on by itself in [`ContentRequest::save`].
const CUTS_MAX: u32 = 8;

/// A file's content to be fetched. Nothing happens before [`Self::send`] or [`Self::save`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ContentRequest<'a> {
    client: &'a Client,
    file: FileId,
    range: Option<(u64, Option<u64>)>,
    etag: Option<&'a str>,
}

impl<'a> ContentRequest<'a> {
    pub(crate) const fn new(client: &'a Client, file: FileId) -> Self {
        Self {
            client,
            file,
            range: None,
            etag: None,
        }
    }

    /// From this byte on.
    pub const fn from(mut self, first: u64) -> Self {
        self.range = Some((first, None));
        self
    }

    /// From the first to the last of these bytes, both included.
    pub const fn range(mut self, first: u64, last: u64) -> Self {
        self.range = Some((first, Some(last)));
        self
    }

    /// The range is of this version; of any other the whole comes. To go on with a file of which
    /// the beginning is already here.
    pub const fn if_etag(mut self, etag: &'a str) -> Self {
        self.etag = Some(etag);
        self
    }

    /// Begins to fetch.
    ///
    /// # Errors
    /// [`Error::Refused`] with `file-not-found`, `file-deleted` or `range-not-satisfiable`;
    /// [`Error::Nonsense`] when another range comes than was asked for.
    pub async fn send(self) -> Result<Content, Error> {
        let path = ["v1", "files", &self.file.to_string(), "content"];
        let mut request = self.client.request(Method::GET, &path);
        if let Some((first, last)) = self.range {
            let last = last.map_or_else(String::new, |last| last.to_string());
            request = request.header(RANGE, format!("bytes={first}-{last}"));
            if let Some(etag) = self.etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = send(request).await?;
        let from = match (response.status(), self.range) {
            (StatusCode::OK, _) => 0,
            (StatusCode::PARTIAL_CONTENT, Some((first, _)))
                if first_byte(response.headers()) == Some(first) =>
            {
                first
            }
            (status, _) => {
                return Err(Error::Nonsense(format!(
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
            response,
        })
    }

    /// Fetches all of `file` into a file at `path`, which must not exist. A transfer that is cut
    /// goes on where it was, eight times at most. Each part is checked by its digest as soon as it is here;
    /// where `file` names no digest, its record is asked for. On any error the file at `path` is removed.
    /// Answers the digest of the whole, which a receipt can tell the edge.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub async fn save(self, file: &File, path: impl AsRef<Path>) -> Result<Sha256, SaveError> {
        let path = path.as_ref();
        let mut out = tokio::fs::File::create_new(path).await?;
        let saved = self.fetch_into(file, &mut out).await;
        if saved.is_err() {
            drop(out);
            let _ = tokio::fs::remove_file(path).await;
        }
        saved
    }

    async fn fetch_into(self, file: &File, out: &mut tokio::fs::File) -> Result<Sha256, SaveError> {
        let (mut etag, mut cuts) = (None::<String>, 0);
        let mut check = match (&file.parts, file.sha256) {
            (None, None) => Check::new(&self.client.file(self.file).await?),
            _ => Check::new(file),
        };
        loop {
            let held = check.held();
            let mut request = Self::new(self.client, self.file);
            let version = etag.clone().filter(|_| held > 0);
            if let Some(version) = &version {
                request = request.from(held).if_etag(version);
            }
            let result = async {
                let mut content = request.send().await?;
                if content.from != held {
                    return Err(Error::Nonsense("the file has changed".into()).into());
                }
                etag.clone_from(&content.etag);
                while let Some(bytes) = content.chunk().await? {
                    out.write_all(&bytes).await?;
                    check.update(&bytes)?;
                }
                Ok::<(), SaveError>(())
            };
            match result.await {
                Ok(()) => break,
                Err(SaveError::Edge(Error::Unreachable(_)))
                    if cuts < CUTS_MAX && check.held() > 0 && etag.is_some() =>
                {
                    cuts += 1;
                }
                Err(error) => return Err(error),
            }
        }
        out.sync_all().await?;
        Ok(check.finish()?)
    }
}

/// Why a file was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The edge did not send it.
    #[error(transparent)]
    Edge(#[from] Error),
    /// It cannot be written.
    #[error("the file cannot be written: {0}")]
    File(#[from] std::io::Error),
    /// Other bytes came than the edge has stored.
    #[error(transparent)]
    Content(#[from] WrongContent),
}

/// A file's content, beginning to arrive.
#[derive(Debug)]
pub struct Content {
    /// Where in the file it begins, in bytes: 0, or the first byte that was asked for.
    pub from: u64,
    /// The version that it is of, if the edge named one that can carry a range.
    pub etag: Option<String>,
    response: Response,
}

impl Content {
    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when the connection is cut or stands still.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.response.chunk().await.map_err(|e| cut(&e))
    }

    /// The bytes as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> {
        futures_util::stream::try_unfold(self, |mut content| async {
            Ok(content.chunk().await?.map(|bytes| (bytes, content)))
        })
    }

    /// All bytes in memory: for small files.
    ///
    /// # Errors
    /// As [`Self::chunk`].
    pub async fn bytes(self) -> Result<Bytes, Error> {
        self.response.bytes().await.map_err(|e| cut(&e))
    }
}

/// First byte of a `Content-Range: bytes <first>-<last>/<size>`.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (first, _) = value.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

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
