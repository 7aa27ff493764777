//! The accounts that the apps' companies have on chat platforms: variables `CHAT` and
//! `CHAT_SECRETS`.

use core::fmt;
use std::collections::BTreeMap;

use chatlift_shared::AppId;
use chatlift_shared::chat::Platform;
use serde::{Deserialize, Serialize};
use url::Url;

/// The accounts of one app, by platform.
pub type Accounts = BTreeMap<Platform, Account>;

/// Where Feishu serves its SDK. It is nowhere else to be had, and its licence is not ours to ship.
const FEISHU_SDK: &str = "https://lf1-cdn-tos.bytegoofy.com/goofy/lark/op/h5-js-sdk-1.5.23.js";

/// Most characters of a platform's words that are logged.
const WORDS_MAX: usize = 200;

/// A company's account on a chat platform.
#[derive(Clone, Debug)]
pub struct Account {
    /// The platform.
    pub platform: Platform,
    /// Corp id (WeCom, DingTalk) or app id (WeChat's official account, Feishu).
    pub id: String,
    /// Id of the company's app in its corp: WeCom and DingTalk.
    pub agent_id: Option<String>,
    /// DingTalk's app key.
    pub key: Option<String>,
    /// The platform's API, without a slash at the end.
    pub base: String,
    /// Feishu's SDK.
    pub sdk: Option<String>,
    /// WeChat's mini program.
    pub mini_program: Option<MiniProgram>,
    pub(super) secret: Secret,
}

impl Account {
    /// A platform's words about the account, for the log: at most [`WORDS_MAX`] characters, without
    /// its secret and without `token`, which a platform might repeat.
    #[must_use]
    pub fn redacted(&self, words: &str, token: &str) -> String {
        let secrets = [self.secret.expose(), token];
        let hidden = secrets
            .iter()
            .filter(|secret| !secret.is_empty())
            .fold(words.to_owned(), |words, secret| {
                words.replace(secret, "[redacted]")
            });
        hidden.chars().take(WORDS_MAX).collect()
    }
}

/// The company's mini program in WeChat: `miniprogram/` under an app id of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MiniProgram {
    /// Its app id, `wx…`.
    pub app_id: String,
    /// Its original id, `gh_…`.
    pub original_id: String,
    /// The page that is opened.
    #[serde(default = "upload_page")]
    pub path: String,
}

/// The page of `miniprogram/` that takes the link.
fn upload_page() -> String {
    "pages/upload/upload".to_owned()
}

/// The account's secret at the platform.
#[derive(Clone)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccount {
    id: String,
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    base: Option<Url>,
    #[serde(default)]
    sdk: Option<Url>,
    #[serde(default)]
    mini_program: Option<MiniProgram>,
}

/// What is wrong: the variable and the reason.
pub type Wrong = (&'static str, String);

/// Reads both variables; empty ones are no accounts.
///
/// # Errors
/// Names the variable and what is wrong with it, without any part of a secret.
pub fn check(chat: &str, secrets: &str) -> Result<BTreeMap<AppId, Accounts>, Wrong> {
    if chat.is_empty() {
        return Ok(BTreeMap::new());
    }
    let raw: BTreeMap<AppId, BTreeMap<Platform, RawAccount>> =
        serde_json::from_str(chat).map_err(|e| ("CHAT", e.to_string()))?;
    // The message of a JSON error can hold what it met, so only its place is told.
    let mut secrets: BTreeMap<AppId, BTreeMap<Platform, String>> = serde_json::from_str(secrets)
        .map_err(|e| {
            let place = format!("line {} column {}", e.line(), e.column());
            ("CHAT_SECRETS", format!("not the expected JSON, at {place}"))
        })?;
    raw.into_iter()
        .map(|(app, accounts)| {
            let mut own = secrets.remove(&app).unwrap_or_default();
            let accounts = accounts
                .into_iter()
                .map(|(platform, raw)| {
                    let secret = own
                        .remove(&platform)
                        .filter(|secret| !secret.is_empty())
                        .ok_or_else(|| {
                            (
                                "CHAT_SECRETS",
                                format!("nothing for {platform} of app {app}"),
                            )
                        })?;
                    let account = account(platform, raw, Secret(secret))
                        .map_err(|why| ("CHAT", format!("app {app}: {platform}: {why}")))?;
                    Ok((platform, account))
                })
                .collect::<Result<_, Wrong>>()?;
            Ok((app, accounts))
        })
        .collect()
}

fn account(platform: Platform, raw: RawAccount, secret: Secret) -> Result<Account, String> {
    let needs = |what: &str, there: bool, wanted: bool| match (there, wanted) {
        (false, true) => Err(format!("{what} is missing")),
        (true, false) => Err(format!("{what} is not for this platform")),
        _ => Ok(()),
    };
    let in_corp = matches!(platform, Platform::WeCom | Platform::DingTalk);
    needs("id", !raw.id.is_empty(), true)?;
    needs("agent_id", raw.agent_id.is_some(), in_corp)?;
    needs("key", raw.key.is_some(), platform == Platform::DingTalk)?;
    if let Some(program) = &raw.mini_program {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-');
        needs("mini_program.app_id", !program.app_id.is_empty(), true)?;
        needs(
            "mini_program.original_id",
            !program.original_id.is_empty(),
            true,
        )?;
        if program.path.is_empty() || !program.path.chars().all(plain) {
            return Err("mini_program.path is no page of a mini program".to_owned());
        }
    }
    if platform != Platform::WeChat {
        needs("mini_program", raw.mini_program.is_some(), false)?;
    }
    if platform != Platform::Feishu {
        needs("sdk", raw.sdk.is_some(), false)?;
    }
    let base = match raw.base {
        Some(base) if !matches!(base.scheme(), "https" | "http") => {
            return Err("base must be http or https".to_owned());
        }
        Some(base) => base.as_str().trim_end_matches('/').to_owned(),
        None => default_base(platform).to_owned(),
    };
    let sdk = match raw.sdk {
        // What stands in a content security policy ends at these.
        Some(sdk) if sdk.as_str().contains([' ', ';', ',', '\'']) => {
            return Err("sdk holds a character that an address must escape".to_owned());
        }
        Some(sdk) => Some(sdk.to_string()),
        None => (platform == Platform::Feishu).then(|| FEISHU_SDK.to_owned()),
    };
    Ok(Account {
        platform,
        id: raw.id,
        agent_id: raw.agent_id,
        key: raw.key,
        base,
        sdk,
        mini_program: raw.mini_program,
        secret,
    })
}

/// The platforms' APIs, as their documentation names them.
const fn default_base(platform: Platform) -> &'static str {
    match platform {
        Platform::WeCom => "https://qyapi.weixin.qq.com",
        Platform::WeChat => "https://api.weixin.qq.com",
        Platform::DingTalk => "https://oapi.dingtalk.com",
        Platform::Feishu => "https://open.feishu.cn",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const CHAT: &str = r#"{"demo":{
        "wecom":{"id":"ww1","agent_id":"1000002"},
        "wechat":{"id":"wx1","mini_program":{"app_id":"wx2","original_id":"gh_3"}},
        "dingtalk":{"id":"ding1","agent_id":"7","key":"dingkey"},
        "feishu":{"id":"cli_1","base":"https://open.larksuite.com/"}}}"#;
    const SECRETS: &str = r#"{"demo":{"wecom":"s3cret-1","wechat":"s3cret-2","dingtalk":"s3cret-3","feishu":"s3cret-4"}}"#;

    pub(crate) fn accounts() -> Accounts {
        let mut all = check(CHAT, SECRETS).expect("good accounts");
        all.remove(&"demo".parse().expect("an app id"))
            .expect("an app")
    }

    #[test]
    fn accounts_have_the_platforms_own_addresses_unless_told_otherwise() {
        let accounts = accounts();
        assert_eq!(
            accounts[&Platform::WeCom].base,
            "https://qyapi.weixin.qq.com"
        );
        assert_eq!(
            accounts[&Platform::Feishu].base,
            "https://open.larksuite.com"
        );
        assert_eq!(accounts[&Platform::Feishu].sdk.as_deref(), Some(FEISHU_SDK));
        let mini_program = accounts[&Platform::WeChat].mini_program.as_ref();
        assert_eq!(
            mini_program.map(|m| m.path.as_str()),
            Some("pages/upload/upload")
        );
        assert!(check("", "").expect("no accounts").is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_variable_and_without_a_secret() {
        let told = |chat: &str, secrets: &str| {
            let (variable, reason) = check(chat, secrets).expect_err("wrong accounts");
            format!("{variable}: {reason}")
        };
        for (from, to, expected) in [
            (r#","agent_id":"1000002""#, "", "agent_id is missing"),
            (r#","key":"dingkey""#, "", "key is missing"),
            (r#""id":"ww1""#, r#""id":"""#, "id is missing"),
            (
                r#""id":"cli_1""#,
                r#""id":"c","key":"k""#,
                "key is not for this platform",
            ),
            (
                "https://open.larksuite.com/",
                "ftp://x",
                "base must be http or https",
            ),
            (
                r#""id":"cli_1""#,
                r#""id":"c","sdk":"https://x/y;z""#,
                "sdk holds",
            ),
            (r#""gh_3""#, r#""gh_3","path":"a?b=c""#, "mini_program.path"),
            ("wecom", "wecon", "wecon"),
        ] {
            let chat = CHAT.replace(from, to);
            assert!(told(&chat, SECRETS).contains(expected), "{expected}");
        }
        assert!(told(CHAT, "{}").contains("CHAT_SECRETS: nothing for"));
        let broken = SECRETS.replace("\"s3cret-1\"", "[\"s3cret-1\"]");
        assert!(!told(CHAT, &broken).contains("s3cret"));
        assert!(!format!("{:?}", accounts()).contains("s3cret"));
    }
}
