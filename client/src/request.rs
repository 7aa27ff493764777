//! The making of a link.

use chatlift_shared::api::{CreateLink, Link};
use reqwest::Method;

use crate::client::{Client, read, send};
use crate::error::Error;

/// A link to be made. Nothing happens before [`Self::send`].
#[derive(Debug)]
#[must_use]
pub struct CreateLinkRequest<'a> {
    client: &'a Client,
    request: &'a CreateLink,
    idempotency_key: Option<&'a str>,
}

impl<'a> CreateLinkRequest<'a> {
    pub(crate) const fn new(client: &'a Client, request: &'a CreateLink) -> Self {
        Self {
            client,
            request,
            idempotency_key: None,
        }
    }

    /// Names the request: sent again with the same name, it answers with the same link.
    pub const fn idempotency_key(mut self, key: &'a str) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Makes the link.
    ///
    /// # Errors
    /// [`Error::Refused`] with `invalid-request`, `scene-unknown` or `idempotency-key-reused`.
    pub async fn send(self) -> Result<Link, Error> {
        let mut request = self.client.call(Method::POST, &["v1", "links"]);
        if let Some(key) = self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        read(send(request.json(self.request)).await?).await
    }
}
