//! The way from the Worker to the links' Durable Objects.

use chatlift_shared::LinkId;
use worker::wasm_bindgen::JsValue;
use worker::{Env, Method, ObjectNamespace, Request, RequestInit};

use super::setup::broken;
use crate::core::command::{Answer, Command, Reply};
use crate::ports::{Failure, Links};

/// Stubs of the objects that are bound as `LINKS`, each named by its link's id.
#[derive(Debug)]
pub(super) struct Stubs(ObjectNamespace);

impl Stubs {
    pub(super) fn new(env: &Env) -> Result<Self, Failure> {
        env.durable_object("LINKS")
            .map(Self)
            .map_err(broken("binding LINKS"))
    }
}

impl Links for Stubs {
    async fn execute(&self, link: LinkId, command: Command) -> Result<Reply, Failure> {
        let json = serde_json::to_string(&command).map_err(|e| Failure::Broken(e.to_string()))?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post)
            .with_body(Some(JsValue::from_str(&json)));
        // The host is never resolved: the request goes to the object by its binding.
        let request = Request::new_with_init("https://link/", &init).map_err(broken("command"))?;
        let stub = self
            .0
            .id_from_name(&link.to_string())
            .and_then(|id| id.get_stub())
            .map_err(broken("stub"))?;
        let mut response = stub
            .fetch_with_request(request)
            .await
            .map_err(broken("link object"))?;
        let text = response.text().await.map_err(broken("link object"))?;
        if response.status_code() != 200 {
            return Err(Failure::Broken(format!("link object: {text}")));
        }
        let answer: Answer =
            serde_json::from_str(&text).map_err(|e| Failure::Broken(e.to_string()))?;
        answer.map_err(Failure::Refused)
    }
}
