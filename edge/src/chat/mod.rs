//! What a chat app wants signed before it lets a page pick from its chats.
//!
//! All four platforms sign the same way: a ticket of the company, a nonce, the time and the page's
//! address, in this order, by SHA-1. The platform checks the signature against the ticket that it
//! gave out, so ticket and access token stay at the edge.

pub mod account;
pub mod domain;
pub mod page;
pub mod protocol;
pub mod vault;

use std::borrow::Cow;

use chatlift_shared::chat::{ChatConfig, Platform};
use chatlift_shared::{AppId, Problem, ProblemCode, Timestamp};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use account::Account;
use vault::{TicketKind, Tickets};

/// Whose account on which chat platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountId {
    /// The app.
    pub app: AppId,
    /// The platform.
    pub platform: Platform,
}

/// Longest address that is signed, in bytes; ours are about 150.
const ADDRESS_MAX: usize = 2_048;

/// Hex of the signature over a page's address.
///
/// `jsapi_ticket=…&noncestr=…&timestamp=…&url=…`, unescaped, by SHA-1: WeCom
/// <https://developer.work.weixin.qq.com/document/path/90506>, WeChat
/// <https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/JS-SDK.html> (appendix 1), Feishu
/// <https://open.feishu.cn/document/integrating-web-apps-in-5-minutes/debug-and-release>, DingTalk
/// <https://open.dingtalk.com/document/orgapp/jsapi-authentication>.
#[must_use]
pub fn sign(ticket: &str, nonce: &str, timestamp: i64, url: &str) -> String {
    let text = format!("jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url}");
    hex::encode(Sha1::digest(text))
}

/// The part of a page's address that is signed: all before `#`. Only a page of this link is: its
/// own address, with a query or without.
///
/// # Errors
/// `invalid-request` for any other address.
pub fn own_address<'a>(url: &'a str, link: &str) -> Result<&'a str, Problem> {
    let signed = url.split('#').next().unwrap_or_default();
    let rest = signed.strip_prefix(link);
    let ours = rest.is_some_and(|rest| matches!(rest, "" | "/") || rest.starts_with(['?']))
        || rest.is_some_and(|rest| rest.starts_with("/?"));
    let plain = signed.len() <= ADDRESS_MAX && signed.bytes().all(|b| b.is_ascii_graphic());
    if ours && plain {
        return Ok(signed);
    }
    Err(Problem::new(ProblemCode::InvalidRequest)
        .field("url")
        .detail("Give the address of this link's own page."))
}

/// The address as the platform writes it into what is signed. DingTalk takes the query decoded
/// once.
fn as_signed(platform: Platform, address: &str) -> Cow<'_, str> {
    match (platform, address.split_once('?')) {
        (Platform::DingTalk, Some((path, query))) => {
            let query = percent_decode_str(query).decode_utf8_lossy();
            Cow::Owned(format!("{path}?{query}"))
        }
        _ => Cow::Borrowed(address),
    }
}

/// What the page gives to the chat app's SDK. `address` comes from [`own_address`].
#[must_use]
pub fn config(
    account: &Account,
    tickets: &Tickets,
    address: &str,
    nonce: &str,
    now: Timestamp,
) -> ChatConfig {
    let timestamp = match account.platform {
        Platform::Feishu => now.millis(),
        _ => now.secs(),
    };
    let url = as_signed(account.platform, address);
    let signature = |kind| {
        let ticket = tickets.value(kind)?;
        Some(sign(ticket, nonce, timestamp, &url))
    };
    ChatConfig {
        platform: account.platform,
        id: account.id.clone(),
        agent_id: account.agent_id.clone(),
        timestamp,
        nonce: nonce.to_owned(),
        signature: signature(TicketKind::Company).unwrap_or_default(),
        agent_signature: signature(TicketKind::Agent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WeCom's worked example: <https://developer.work.weixin.qq.com/document/path/90506>, section
    /// 签名算法 (the same numbers stand in path/96909 and in WeChat's appendix 1).
    #[test]
    fn the_signature_is_that_of_wecoms_worked_example() {
        assert_eq!(
            sign(
                "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg",
                "Wm3WZYTPz0wzccnW",
                1_414_587_457,
                "http://mp.weixin.qq.com?params=value"
            ),
            "0f9de62fce790f9a083d5c99e95740ceb90c27ed"
        );
    }

    /// Feishu's worked example: the tutorial for web apps with the JSSDK,
    /// <https://open.feishu.cn/document/integrating-web-apps-in-5-minutes/debug-and-release>,
    /// section 签名生成规则. Its time is in milliseconds.
    #[test]
    fn the_signature_is_that_of_feishus_worked_example() {
        assert_eq!(
            sign(
                "617bf955832a4d4d80d9d8d85917a427",
                "Y7a8KkqX041bsSwT",
                1_510_045_655_000,
                "https://example.cn/test/1234/content.html"
            ),
            "40a68999ecf7e05907edba43b31a50fd1830c777"
        );
    }

    /// DingTalk's documentation (JS-API权限签名算法) gives the inputs of an example and the rule, and
    /// no result: the expected value is `sha1sum` of what its rule makes of its inputs.
    #[test]
    fn the_signature_follows_dingtalks_rule_on_its_documented_inputs() {
        assert_eq!(
            sign(
                "mS5k98fdkdgDKxkXGEs8LORVREiweeWETE40P37wkidkfksDSKDJFD5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcKIDU8l",
                "Zn4zmLFKD0wzilzM",
                1_414_588_745,
                "http://open.dingtalk.com"
            ),
            "10de2b0a6763ec3685a50272b5b0eb2848098dc2"
        );
    }

    #[test]
    fn dingtalk_takes_the_query_decoded_once() {
        let address = "https://abc.com/u/t?url=http%3A%2F%2Fabc.com%2F%2520";
        assert_eq!(
            as_signed(Platform::DingTalk, address),
            "https://abc.com/u/t?url=http://abc.com/%20"
        );
        assert_eq!(as_signed(Platform::WeCom, address), address);
    }

    #[test]
    fn only_pages_of_the_link_are_signed() {
        let link = "https://files.example.com/u/abc";
        for (url, signed) in [
            ("https://files.example.com/u/abc", Some("")),
            ("https://files.example.com/u/abc/", Some("/")),
            ("https://files.example.com/u/abc#top", Some("")),
            (
                "https://files.example.com/u/abc?lang=zh#top",
                Some("?lang=zh"),
            ),
            ("https://files.example.com/u/abc/?a=%E4", Some("/?a=%E4")),
            ("https://files.example.com/u/abcd", None),
            ("https://files.example.com/u/abc/files", None),
            ("https://files.example.com/u/abc\n", None),
            ("https://files.example.com/u/abc?名", None),
            ("http://files.example.com/u/abc", None),
            ("https://files.example.com.evil.example/u/abc", None),
            (
                "https://evil.example/?https://files.example.com/u/abc",
                None,
            ),
            ("", None),
        ] {
            let expected = signed.map(|rest| format!("{link}{rest}"));
            let found = own_address(url, link).ok().map(str::to_owned);
            assert_eq!(found, expected, "{url:?}");
        }
        let long = format!("{link}?{}", "a".repeat(ADDRESS_MAX));
        assert_eq!(
            own_address(&long, link)
                .expect_err("too long")
                .field
                .as_deref(),
            Some("url")
        );
    }
}
