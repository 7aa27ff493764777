//! How each platform is asked for an access token, and with it for tickets.
//!
//! | platform | token | ticket |
//! |---|---|---|
//! | WeCom | `GET /cgi-bin/gettoken` (path/91039) | `GET /cgi-bin/get_jsapi_ticket`, `GET /cgi-bin/ticket/get?type=agent_config` (path/90506) |
//! | WeChat | `GET /cgi-bin/token` | `GET /cgi-bin/ticket/getticket?type=jsapi` (JS-SDK, appendix 1) |
//! | DingTalk | `GET /gettoken` | `GET /get_jsapi_ticket` |
//! | Feishu | `POST /open-apis/auth/v3/tenant_access_token/internal` | `POST /open-apis/jssdk/ticket/get` |

use core::fmt;

use chatlift_shared::Timestamp;
use chatlift_shared::chat::Platform;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::account::Account;
use super::vault::{Grant, TicketKind};

/// A request to a platform. Its address and body can hold a secret, so neither is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// Where to; with `body`, by POST.
    pub url: String,
    /// Access token for the `Authorization` header.
    pub bearer: Option<String>,
    /// JSON.
    pub body: Option<String>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.url.split('?').next().unwrap_or_default();
        write!(f, "Call({shown})")
    }
}

/// What a platform said instead of a token or ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum No {
    /// It refuses the account or the token.
    #[error("refused with code {code}: {message}")]
    Refused {
        /// The platform's error code.
        code: i64,
        /// Its words. For the log only.
        message: String,
    },
    /// Its answer is not of the documented form.
    #[error("answered nonsense")]
    Garbled,
}

impl Account {
    /// Which tickets its signatures need.
    #[must_use]
    pub const fn kinds(&self) -> &'static [TicketKind] {
        match self.platform {
            Platform::WeCom => &[TicketKind::Company, TicketKind::Agent],
            _ => &[TicketKind::Company],
        }
    }

    /// Asks for an access token.
    #[must_use]
    pub fn token_call(&self) -> Call {
        let secret = self.secret.expose();
        let key = self.key.as_deref().unwrap_or_default();
        match self.platform {
            Platform::WeCom => self.get(
                "/cgi-bin/gettoken",
                &[("corpid", &self.id), ("corpsecret", secret)],
            ),
            Platform::WeChat => self.get(
                "/cgi-bin/token",
                &[
                    ("grant_type", "client_credential"),
                    ("appid", &self.id),
                    ("secret", secret),
                ],
            ),
            Platform::DingTalk => self.get("/gettoken", &[("appkey", key), ("appsecret", secret)]),
            Platform::Feishu => Call {
                url: format!(
                    "{}/open-apis/auth/v3/tenant_access_token/internal",
                    self.base
                ),
                bearer: None,
                body: Some(json!({ "app_id": self.id, "app_secret": secret }).to_string()),
            },
        }
    }

    /// Asks for a ticket with an access token.
    #[must_use]
    pub fn ticket_call(&self, kind: TicketKind, token: &str) -> Call {
        let token_of = ("access_token", token);
        match (self.platform, kind) {
            (Platform::WeCom, TicketKind::Company) => {
                self.get("/cgi-bin/get_jsapi_ticket", &[token_of])
            }
            (Platform::WeCom, TicketKind::Agent) => {
                self.get("/cgi-bin/ticket/get", &[token_of, ("type", "agent_config")])
            }
            (Platform::WeChat, _) => {
                self.get("/cgi-bin/ticket/getticket", &[token_of, ("type", "jsapi")])
            }
            (Platform::DingTalk, _) => self.get("/get_jsapi_ticket", &[token_of]),
            (Platform::Feishu, _) => Call {
                url: format!("{}/open-apis/jssdk/ticket/get", self.base),
                bearer: Some(token.to_owned()),
                body: Some("{}".to_owned()),
            },
        }
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Call {
        let address = format!("{}{path}", self.base);
        // The base was parsed at the start; a path of ours cannot break it.
        let url = Url::parse_with_params(&address, query).map_or(address, String::from);
        Call {
            url,
            bearer: None,
            body: None,
        }
    }
}

/// The fields of all platforms' answers that matter here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    errcode: i64,
    errmsg: String,
    code: i64,
    msg: String,
    access_token: Option<String>,
    tenant_access_token: Option<String>,
    ticket: Option<String>,
    expires_in: Option<u64>,
    expire: Option<u64>,
    data: Option<Data>,
}

/// Feishu's inner part.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    ticket: Option<String>,
    expire_in: Option<u64>,
}

fn answer(body: &str) -> Result<Answer, No> {
    let answer: Answer = serde_json::from_str(body).map_err(|_| No::Garbled)?;
    match (answer.errcode, answer.code) {
        (0, 0) => Ok(answer),
        (0, code) => Err(No::Refused {
            code,
            message: answer.msg,
        }),
        (code, _) => Err(No::Refused {
            code,
            message: answer.errmsg,
        }),
    }
}

fn grant(value: Option<String>, seconds: Option<u64>, now: Timestamp) -> Result<Grant, No> {
    match (value, seconds) {
        (Some(value), Some(seconds)) if !value.is_empty() => Ok(Grant::new(value, seconds, now)),
        _ => Err(No::Garbled),
    }
}

/// Reads the answer to [`Account::token_call`], which was sent at `now`.
///
/// # Errors
/// When it holds no token.
pub fn read_token(body: &str, now: Timestamp) -> Result<Grant, No> {
    let answer = answer(body)?;
    let value = answer.access_token.or(answer.tenant_access_token);
    grant(value, answer.expires_in.or(answer.expire), now)
}

/// Reads the answer to [`Account::ticket_call`], which was sent at `now`.
///
/// # Errors
/// When it holds no ticket.
pub fn read_ticket(body: &str, now: Timestamp) -> Result<Grant, No> {
    let answer = answer(body)?;
    let data = answer.data.unwrap_or_default();
    let value = answer.ticket.or(data.ticket);
    grant(value, answer.expires_in.or(data.expire_in), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::account::tests::accounts;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn each_platform_is_asked_as_its_documentation_says() {
        let accounts = accounts();
        let token = |platform| accounts[&platform].token_call();
        let ticket = |platform, kind| accounts[&platform].ticket_call(kind, "T&1");
        for (call, url) in [
            (
                token(Platform::WeCom),
                "https://qyapi.weixin.qq.com/cgi-bin/gettoken?corpid=ww1&corpsecret=s3cret-1",
            ),
            (
                token(Platform::WeChat),
                "https://api.weixin.qq.com/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s3cret-2",
            ),
            (
                token(Platform::DingTalk),
                "https://oapi.dingtalk.com/gettoken?appkey=dingkey&appsecret=s3cret-3",
            ),
            (
                ticket(Platform::WeCom, TicketKind::Company),
                "https://qyapi.weixin.qq.com/cgi-bin/get_jsapi_ticket?access_token=T%261",
            ),
            (
                ticket(Platform::WeCom, TicketKind::Agent),
                "https://qyapi.weixin.qq.com/cgi-bin/ticket/get?access_token=T%261&type=agent_config",
            ),
            (
                ticket(Platform::WeChat, TicketKind::Company),
                "https://api.weixin.qq.com/cgi-bin/ticket/getticket?access_token=T%261&type=jsapi",
            ),
            (
                ticket(Platform::DingTalk, TicketKind::Company),
                "https://oapi.dingtalk.com/get_jsapi_ticket?access_token=T%261",
            ),
        ] {
            assert_eq!((call.url.as_str(), &call.body), (url, &None));
            assert!(!format!("{call:?}").contains('='), "{call:?}");
        }
        let feishu = token(Platform::Feishu);
        assert_eq!(
            feishu.url,
            "https://open.larksuite.com/open-apis/auth/v3/tenant_access_token/internal"
        );
        assert_eq!(
            feishu.body.as_deref(),
            Some(r#"{"app_id":"cli_1","app_secret":"s3cret-4"}"#)
        );
        let feishu = ticket(Platform::Feishu, TicketKind::Company);
        assert_eq!(
            feishu.url,
            "https://open.larksuite.com/open-apis/jssdk/ticket/get"
        );
        assert_eq!(feishu.bearer.as_deref(), Some("T&1"));
    }

    #[test]
    fn answers_are_read_as_documented() {
        let value = |grant: Result<Grant, No>| grant.map(|g| g.value().to_owned());
        for body in [
            r#"{"errcode":0,"errmsg":"ok","access_token":"a","expires_in":7200}"#,
            r#"{"access_token":"a","expires_in":7200}"#,
            r#"{"code":0,"msg":"ok","tenant_access_token":"a","expire":7140}"#,
        ] {
            assert_eq!(value(read_token(body, NOW)), Ok("a".to_owned()), "{body}");
        }
        for body in [
            r#"{"errcode":0,"errmsg":"ok","ticket":"t","expires_in":7200}"#,
            r#"{"code":0,"msg":"ok","data":{"expire_in":5183,"ticket":"t"}}"#,
        ] {
            assert_eq!(value(read_ticket(body, NOW)), Ok("t".to_owned()), "{body}");
        }
        for (body, code) in [
            (r#"{"errcode":40001,"errmsg":"invalid credential"}"#, 40001),
            (r#"{"code":10014,"msg":"app secret invalid"}"#, 10014),
        ] {
            let no = read_token(body, NOW).expect_err("a refusal");
            assert!(
                matches!(no, No::Refused { code: c, .. } if c == code),
                "{no}"
            );
        }
        for body in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"errcode":0,"ticket":"","expires_in":1}"#,
        ] {
            assert_eq!(value(read_ticket(body, NOW)), Err(No::Garbled), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic(body in ".*", seconds: u64) {
            let _ = read_token(&body, NOW);
            let body = format!(r#"{{"ticket":"t","expires_in":{seconds}}}"#);
            prop_assert!(read_ticket(&body, NOW).is_ok());
        }
    }
}
