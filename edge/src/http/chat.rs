//! Signatures for the chat apps' SDKs, and which picker a page is given.

use chatlift_shared::chat::Platform;
use chatlift_shared::{Problem, ProblemCode};

use super::access::check_password;
use super::address::link_url;
use super::gate::Call;
use super::message::header;
use super::request::invalid;
use super::respond;
use super::runtime::{Response, Runtime};
use crate::chat as rules;
use crate::chat::page::{Chunks, Picker};
use crate::chat::{AccountId, own_address};
use crate::ports::Failure;

/// The picker for a page that is opened with this `User-Agent`, if its chat app has one.
pub(super) fn picker<'c>(call: &Call<'c, impl Runtime>) -> Option<Picker<'c>> {
    let platform = Platform::of(&header(&call.request, "user-agent")?)?;
    let app = call.token().ok()?.genuine().ok()?.app.clone();
    let account = call.config().ok()?.account(&AccountId { app, platform });
    Picker::of(platform, account)
}

/// What the page's build says of the pickers' scripts.
pub(super) async fn chunks(runtime: &impl Runtime) -> Result<Chunks, Failure> {
    let json = runtime.built("chat.json").await?;
    serde_json::from_str(&json).map_err(|e| Failure::unreadable("chat.json", &e))
}

/// `GET /u/{token}/chat-config?platform=…&url=…`
pub(super) async fn config<R: Runtime>(call: &Call<'_, R>) -> Result<Response<R>, Failure> {
    let (config, token) = (call.config()?, call.token()?);
    let claims = token.genuine()?;
    check_password(call, claims)?;
    let value = |name: &str| call.request.parameter(name).unwrap_or_default();
    let platform = value("platform")
        .parse()
        .map_err(|_| invalid("platform", "Give wecom, wechat, dingtalk or feishu."))?;
    let url = value("url");
    let link = link_url(config, &call.request, &token.text);
    let address = own_address(&url, &link)?;
    let id = AccountId {
        app: claims.app.clone(),
        platform,
    };
    let account = config
        .account(&id)
        .ok_or_else(|| Problem::new(ProblemCode::ChatNotConfigured).field("platform"))?;
    let tickets = call.runtime.tickets(&id).await?;
    let nonce = format!("{:016x}", call.runtime.random());
    let now = call.runtime.now();
    respond::json(200, &rules::config(account, &tickets, address, &nonce, now))
}
