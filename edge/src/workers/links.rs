//! The way from the Worker to the links' Durable Objects.

use chatlift_shared::{LinkId, Problem, UploadId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::wasm_bindgen::JsValue;
use worker::web_sys::ReadableStream;
use worker::{Env, Headers, Method, ObjectNamespace, Request, RequestInit, Response, ResponseBody};

use super::setup::broken;
use super::{counts, rpc};
use crate::link::command::ReadEvents;
use crate::link::decide::Decide;
use crate::link::lease::{Lease, LeaseAnswer};
use crate::link::message::For;
use crate::link::stage::Chunk;
use crate::ports::{Failure, Links, Stage, StageAnswer};

/// Stubs of the objects that are bound as `LINKS`, each named by its link's id.
#[derive(Debug)]
pub(super) struct Stubs {
    objects: ObjectNamespace,
    /// Version of the messages.
    version: u32,
}

impl Stubs {
    pub(super) fn new(env: &Env, version: u32) -> Result<Self, Failure> {
        let objects = env.durable_object("LINKS");
        Ok(Self {
            objects: objects.map_err(broken("binding LINKS"))?,
            version,
        })
    }
}

/// Path by which a command reaches its link's object.
const PATH_COMMAND: &str = "/";

/// Paths by which a chunk reaches its link's object, by which a whole part leaves it, and by which
/// what is held of a part does, for the chunk that ends it.
pub(super) const PATH_STAGE: &str = "/stage";
pub(super) const PATH_STAGED: &str = "/staged";
pub(super) const PATH_BEGIN: &str = "/begin";

/// Paths by which a lease is held and ended.
pub(super) const PATH_LEASE: &str = "/lease";
pub(super) const PATH_LEASE_END: &str = "/lease/end";

/// Header of an answer that is what is held of a part.
pub(super) const HEADER_PART: &str = "chatlift-part";

/// Path by which a link's events are watched.
pub(super) const PATH_WATCH: &str = "/watch";

/// Header that says what a request to the object is about: a [`Chunk`] or a [`Lease`].
const HEADER_ABOUT: &str = "chatlift-about";

/// Reads what a request to the object is about.
pub(super) fn argument<T: DeserializeOwned>(request: &Request) -> worker::Result<T> {
    let json = request.headers().get(HEADER_ABOUT)?.unwrap_or_default();
    Ok(serde_json::from_str(&json)?)
}

impl Stubs {
    async fn send(&self, link: LinkId, request: Request) -> Result<Response, Failure> {
        counts::link_request();
        let id = self.objects.id_from_name(&link.to_string());
        let stub = id.and_then(|id| id.get_stub());
        rpc::send(stub, "link object", self.version, request).await
    }
}

impl Stubs {
    /// Sends a command.
    async fn ask(
        &self,
        link: LinkId,
        path: &str,
        command: &impl Serialize,
    ) -> Result<Response, Failure> {
        let json =
            serde_json::to_string(command).map_err(|e| Failure::unreadable("command", &e))?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post)
            .with_body(Some(JsValue::from_str(&json)));
        // The host is never resolved: the request goes to the object by its binding.
        let request = Request::new_with_init(&format!("https://link{path}"), &init)
            .map_err(broken("command"))?;
        self.send(link, request).await
    }

    /// A link's events as they happen, after those that the command reads.
    pub(super) async fn watch(
        &self,
        link: LinkId,
        command: &For<ReadEvents>,
    ) -> Result<ReadableStream, Failure> {
        let mut response = self.ask(link, PATH_WATCH, command).await?;
        let refused = response.headers().has("chatlift-refused").unwrap_or(false);
        if refused {
            let problem: Problem = response.json().await.map_err(broken("watch"))?;
            return Err(problem.into());
        }
        stream_of(response)
    }
}

/// A request about a chunk or a lease.
fn request_about(
    path: &str,
    about: &impl Serialize,
    body: Option<ReadableStream>,
) -> Result<Request, Failure> {
    let json = serde_json::to_string(about).map_err(|e| Failure::unreadable("chunk", &e))?;
    let headers = Headers::new();
    headers
        .set(HEADER_ABOUT, &json)
        .map_err(broken("headers"))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(body.map(JsValue::from));
    // The host is never resolved: the request goes to the object by its binding.
    Request::new_with_init(&format!("https://link{path}"), &init).map_err(broken("chunk"))
}

async fn kept(response: &mut Response) -> Result<StageAnswer, Failure> {
    let answer: Result<StageAnswer, Problem> =
        response.json().await.map_err(broken("link object"))?;
    answer.map_err(Failure::Refused)
}

fn stream_of(response: Response) -> Result<ReadableStream, Failure> {
    match response.into_parts().1 {
        ResponseBody::Stream(stream) => Ok(stream),
        _ => Err(Failure::Broken("link object: no stream".to_owned())),
    }
}

impl Stage for Stubs {
    type Body = ReadableStream;

    async fn stage(
        &self,
        chunk: Chunk,
        body: Option<ReadableStream>,
    ) -> Result<StageAnswer, Failure> {
        let request = request_about(PATH_STAGE, &chunk, body)?;
        let mut response = self.send(chunk.upload.link(), request).await?;
        kept(&mut response).await
    }

    async fn begin(&self, chunk: Chunk) -> Result<ReadableStream, Failure> {
        let request = request_about(PATH_BEGIN, &chunk, None)?;
        let mut response = self.send(chunk.upload.link(), request).await?;
        if response.headers().has(HEADER_PART).unwrap_or(false) {
            return stream_of(response);
        }
        kept(&mut response).await?;
        Err(Failure::Broken("link object: no staged part".to_owned()))
    }

    async fn lease(&self, lease: Lease, comes: Option<Chunk>) -> Result<LeaseAnswer, Failure> {
        let request = request_about(PATH_LEASE, &(lease, comes), None)?;
        let mut response = self.send(lease.upload.link(), request).await?;
        response.json().await.map_err(broken("link object"))
    }

    async fn end_lease(&self, lease: Lease) -> Result<(), Failure> {
        let request = request_about(PATH_LEASE_END, &lease, None)?;
        self.send(lease.upload.link(), request).await.map(drop)
    }

    async fn staged(
        &self,
        upload: UploadId,
        n: u16,
        length: u64,
    ) -> Result<ReadableStream, Failure> {
        let chunk = Chunk {
            upload,
            n,
            offset: 0,
            length,
            part_len: length,
            sha256: None,
            writer: None,
            spilled: false,
        };
        let request = request_about(PATH_STAGED, &chunk, None)?;
        stream_of(self.send(upload.link(), request).await?)
    }
}

impl Links for Stubs {
    async fn execute<C: Decide>(&self, link: LinkId, command: C) -> Result<C::Reply, Failure> {
        let mut response = self.ask(link, PATH_COMMAND, &command.message()).await?;
        let text = response.text().await.map_err(broken("link object"))?;
        let answer: Result<C::Reply, Problem> =
            serde_json::from_str(&text).map_err(|e| Failure::unreadable("link object", &e))?;
        answer.map_err(Failure::Refused)
    }
}
