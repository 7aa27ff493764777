//! The edge's HTTP interface over the world of the model.

use std::rc::Rc;

use chatlift_shared::{AppId, LinkId, ProblemCode, Timestamp};
use futures_util::stream::{self, Stream};

use crate::chat::AccountId;
use crate::chat::vault::Tickets;
use crate::config::Config;
use crate::http::{FORM_MEMORY, Limit, Request, Response, Runtime};
use crate::link::command::ReadEvents;
use crate::link::message::For;
use crate::memory::Account;
use crate::ports::{Failure, Feed as _};
use crate::service::Service;
use crate::tests::flow::Flow;
use crate::tests::model::feed::{Body, Sending};
use crate::tests::model::ports::{Machine, Port};
use crate::tests::model::rope::Rope;

/// The memory that forms take, of which there are none here.
static MEMORY: Account = Account::new(FORM_MEMORY, 0);

/// A worker.
pub(super) struct Worker {
    pub(super) machine: Rc<Machine>,
    pub(super) config: Rc<Config>,
}

impl Worker {
    pub(super) fn port(&self) -> Port {
        Port(Rc::clone(&self.machine))
    }
}

impl Runtime for Worker {
    type Body = Body;
    type Feed = Sending;
    type Links = Port;
    type Bucket = Port;
    type World = Port;
    type Directory = Port;
    type StaticFile = core::convert::Infallible;

    fn config(&self) -> Result<&Config, Failure> {
        Ok(&self.config)
    }

    fn service(&self, _: Option<String>) -> Result<Service<Port, Port, Port>, Failure> {
        Ok(Service {
            links: self.port(),
            bucket: self.port(),
            world: self.port(),
        })
    }

    fn directory(&self) -> Result<Port, Failure> {
        Ok(self.port())
    }

    async fn disabled_since(&self, _: &AppId) -> Result<Option<Timestamp>, Failure> {
        Ok(None)
    }

    async fn enable(&self, _: &AppId) -> Result<(), Failure> {
        Ok(())
    }

    fn memory(&self) -> &'static Account {
        &MEMORY
    }

    fn now(&self) -> Timestamp {
        self.machine.clock()
    }

    fn random(&self) -> u64 {
        self.machine.draw(u64::MAX)
    }

    fn sender(&self, _: &Request<Body>) -> Option<String> {
        Some("192.0.2.1".into())
    }

    async fn allows(&self, _: Limit, _: String) -> bool {
        true
    }

    fn count(&self, _: &'static str, _: &'static str, _: u16) {}

    fn feed(&self, body: Option<Body>) -> Sending {
        let mut feed = Sending::of(body.unwrap_or_else(|| Flow::of(Vec::new())));
        feed.keeps = self.machine.draw(8) > 0;
        feed
    }

    fn stream(&self, body: Body) -> impl Stream<Item = Result<Vec<u8>, std::io::Error>> + 'static {
        stream::unfold(Some(body), |body| async {
            let mut body = body?;
            match body.next().await {
                Ok(Some(piece)) => {
                    let piece: Rope = piece;
                    Some((Ok(piece.head(piece.len())), Some(body)))
                }
                Ok(None) => None,
                Err(()) => Some((Err(std::io::ErrorKind::UnexpectedEof.into()), None)),
            }
        })
    }

    fn gb18030(&self, _: &[u8]) -> Option<String> {
        None
    }

    async fn static_file(
        &self,
        _: &Request<Body>,
        _: Option<&str>,
    ) -> Result<Response<Self>, Failure> {
        Err(ProblemCode::NotFound.into())
    }

    async fn built(&self, _: &'static str) -> Result<String, Failure> {
        Err(Failure::Broken("no build".into()))
    }

    async fn watch(&self, _: LinkId, _: &For<ReadEvents>) -> Result<Body, Failure> {
        Ok(Flow::of(Vec::new()))
    }

    async fn tickets(&self, _: &AccountId) -> Result<Tickets, Failure> {
        Err(Failure::Broken("no chat platform".into()))
    }
}
