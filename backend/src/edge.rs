//! The edge API over HTTP, by `chatlift-client`.
//!
//! The client builds every address from the configured base and an id of our own kind, so nothing
//! that an event says can send a request elsewhere; it follows no redirect for the same reason. The
//! API key goes with every request and into no log.

use bytes::Bytes;
use chatlift_client::{Client, Config, Error, SetupError};
use chatlift_shared::api::{CreateLink, File, Link, Receipt};
use chatlift_shared::{FileId, LinkId};
use url::Url;

use crate::config::ApiKey;
use crate::ports::{Body, BoxFuture, Content, Edge, EdgeError, Resume};

/// The edge, reached over HTTP. Cheap to clone; connections are shared.
#[derive(Clone, Debug)]
pub struct HttpEdge(Client);

impl HttpEdge {
    /// A client for the edge at `base` that authenticates with `key`.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(base: &Url, key: &ApiKey) -> Result<Self, SetupError> {
        let config = Config {
            proxy: false,
            user_agent: concat!("chatlift-backend/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..Config::default()
        };
        Client::with_config(base.as_str(), key.expose(), &config).map(Self)
    }
}

impl From<Error> for EdgeError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreachable(why) => Self::Unreachable(why),
            Error::Unavailable { status, .. } => Self::Unavailable { status },
            Error::Refused { status, problem } => Self::Refused { status, problem },
            Error::Nonsense(why) => Self::Nonsense(why),
        }
    }
}

impl Edge for HttpEdge {
    fn content<'a>(
        &'a self,
        file: FileId,
        resume: Option<&'a Resume>,
    ) -> BoxFuture<'a, Result<Content, EdgeError>> {
        Box::pin(async move {
            let mut request = self.0.content(file);
            if let Some(resume) = resume {
                request = request.from(resume.from).if_etag(&resume.etag);
            }
            let content = request.send().await?;
            Ok(Content {
                from: content.from,
                etag: content.etag.clone(),
                body: Box::new(HttpBody(content)),
            })
        })
    }

    fn read_file(&self, file: FileId) -> BoxFuture<'_, Result<File, EdgeError>> {
        Box::pin(async move { Ok(self.0.file(file).await?) })
    }

    fn receipt<'a>(
        &'a self,
        file: FileId,
        receipt: &'a Receipt,
    ) -> BoxFuture<'a, Result<(), EdgeError>> {
        Box::pin(async move {
            self.0.give_receipt(file, receipt).await?;
            Ok(())
        })
    }

    fn delete_file(&self, file: FileId) -> BoxFuture<'_, Result<(), EdgeError>> {
        Box::pin(async move { Ok(self.0.delete_file(file).await?) })
    }

    fn read_link(&self, link: LinkId) -> BoxFuture<'_, Result<Link, EdgeError>> {
        Box::pin(async move { Ok(self.0.link(link).await?) })
    }

    fn create_link<'a>(
        &'a self,
        request: &'a CreateLink,
        idempotency_key: &'a str,
    ) -> BoxFuture<'a, Result<Link, EdgeError>> {
        Box::pin(async move {
            let request = self.0.create_link(request);
            Ok(request.idempotency_key(idempotency_key).send().await?)
        })
    }
}

struct HttpBody(chatlift_client::Content);

impl Body for HttpBody {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, EdgeError>> {
        Box::pin(async move { Ok(self.0.chunk().await?) })
    }
}
