//! What a platform provides for a request.

use chatlift_shared::{AppId, LinkId, Timestamp};
use futures_util::Stream;

use super::message::Request;
use crate::chat::AccountId;
use crate::chat::vault::Tickets;
use crate::config::Config;
use crate::link::command::ReadEvents;
use crate::link::message::For;
use crate::memory::Account;
use crate::ports::{Bucket, Directory, Failure, Feed, Links, Stage, World};
use crate::service::Service;

/// A response's body.
#[derive(Debug)]
pub enum Body<R: Runtime> {
    /// None.
    Empty,
    /// In memory.
    Bytes(Vec<u8>),
    /// As it comes from the bucket or from a link's object.
    Stream(R::Body),
    /// A static file, which the runtime answers itself, status and headers included.
    StaticFile(R::StaticFile),
}

/// A response.
pub type Response<R> = http::Response<Body<R>>;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Requests under `/u/` from one address.
    Address,
    /// Requests about one link.
    Link,
    /// Wrong API keys from one address.
    Key,
}

/// The service on a runtime.
pub type Edge<R> = Service<<R as Runtime>::Links, <R as Runtime>::Bucket, <R as Runtime>::World>;

/// What the edge needs of its platform while it answers a request, beside the ports of the service.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Runtime: Sized {
    /// A body that streams, in or out.
    type Body;
    /// Its bytes, taken piece by piece.
    type Feed: Feed<Body = Self::Body>;
    /// The links.
    type Links: Links + Stage<Body = Self::Body>;
    /// The bucket.
    type Bucket: Bucket<Body = Self::Body>;
    /// Time and randomness.
    type World: World;
    /// The list of an app's links.
    type Directory: Directory;
    /// A static file, as the platform answers it.
    type StaticFile;

    /// The checked configuration.
    ///
    /// # Errors
    /// [`Failure::Broken`] when it is wrong; the text names the variable.
    fn config(&self) -> Result<&Config, Failure>;

    /// The service, with the fault that a test asked for.
    ///
    /// # Errors
    /// [`Failure::Broken`] when a binding is missing.
    fn service(&self, fault: Option<String>) -> Result<Edge<Self>, Failure>;

    /// The list of links, and the state of an app's webhook endpoint.
    ///
    /// # Errors
    /// [`Failure::Broken`] when a binding is missing.
    fn directory(&self) -> Result<Self::Directory, Failure>;

    /// Since when the app's webhook endpoint is disabled, if it is.
    async fn disabled_since(&self, app: &AppId) -> Result<Option<Timestamp>, Failure>;

    /// Enables the app's webhook endpoint.
    async fn enable(&self, app: &AppId) -> Result<(), Failure>;

    /// The account of the memory that bodies take.
    fn memory(&self) -> &'static Account;

    /// Now.
    fn now(&self) -> Timestamp;

    /// Random bits.
    fn random(&self) -> u64;

    /// The address that a request comes from, as text; `None` where it is not known.
    fn sender(&self, request: &Request<Self::Body>) -> Option<String>;

    /// Counts a request towards a limit; answers whether it is within it.
    async fn allows(&self, limit: Limit, key: String) -> bool;

    /// Counts an answered request. `problem` is a problem's code, `failed`, or empty.
    fn count(&self, route: &'static str, problem: &'static str, status: u16);

    /// The bytes of a request's body.
    fn feed(&self, body: Option<Self::Body>) -> Self::Feed;

    /// A request's body as a stream; an error says that it broke off.
    fn stream(
        &self,
        body: Self::Body,
    ) -> impl Stream<Item = Result<Vec<u8>, std::io::Error>> + 'static;

    /// Bytes of GB18030 as text; `None` where they are none.
    fn gb18030(&self, bytes: &[u8]) -> Option<String>;

    /// Answers with a static file: that of the request's own path, or another.
    ///
    /// # Errors
    /// `not-found` where there is none.
    async fn static_file(
        &self,
        request: &Request<Self::Body>,
        other: Option<&str>,
    ) -> Result<Response<Self>, Failure>;

    /// The text of a static file of the build.
    async fn built(&self, name: &'static str) -> Result<String, Failure>;

    /// A link's events as they happen, after those that the command reads.
    async fn watch(&self, link: LinkId, command: &For<ReadEvents>) -> Result<Self::Body, Failure>;

    /// The tickets of an account on a chat platform.
    async fn tickets(&self, account: &AccountId) -> Result<Tickets, Failure>;
}
