//! What the upload page asks of the edge for the picker of a chat app: `GET /u/{token}/chat-config`.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// A chat app whose pages may call it, once they show its platform's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// WeCom, also known as WeChat Work.
    WeCom,
    /// WeChat, by an official account of the company.
    WeChat,
    /// DingTalk.
    DingTalk,
    /// Feishu, or Lark, which is the same with another address.
    Feishu,
}

/// The text names no platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such chat platform")]
pub struct NotAPlatform;

impl Platform {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::WeCom, Self::WeChat, Self::DingTalk, Self::Feishu];

    /// Its name in JSON and addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WeCom => "wecom",
            Self::WeChat => "wechat",
            Self::DingTalk => "dingtalk",
            Self::Feishu => "feishu",
        }
    }

    /// The platform of the chat app in whose browser the page is, if that has one.
    #[must_use]
    pub fn of(user_agent: &str) -> Option<Self> {
        match crate::in_app::detect(user_agent)?.id {
            "wecom" => Some(Self::WeCom),
            "wechat" => Some(Self::WeChat),
            "dingtalk" => Some(Self::DingTalk),
            "lark" => Some(Self::Feishu),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Platform {
    type Err = NotAPlatform;

    fn from_str(text: &str) -> Result<Self, NotAPlatform> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.name() == text)
            .ok_or(NotAPlatform)
    }
}

/// What a chat app's SDK needs before it serves the page. No token or ticket is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChatConfig {
    /// The platform.
    pub platform: Platform,
    /// The company's id there: corp id, or app id.
    pub id: String,
    /// The id of the company's app within its corp, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// When it was signed, since 1970: in milliseconds for Feishu, in seconds for the others.
    pub timestamp: i64,
    /// Random text that was signed too.
    pub nonce: String,
    /// Hex of the signature with the company's ticket.
    pub signature: String,
    /// Hex of the signature with the app's own ticket: WeCom only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_signature: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_config_json_unchanged() {
        let config = ChatConfig {
            platform: Platform::WeCom,
            id: "ww1".to_owned(),
            agent_id: Some("1000002".to_owned()),
            timestamp: 1_414_587_457,
            nonce: "n".to_owned(),
            signature: "0f".to_owned(),
            agent_signature: Some("1f".to_owned()),
        };
        assert_eq!(
            serde_json::to_string(&config).expect("JSON"),
            r#"{"platform":"wecom","id":"ww1","agent_id":"1000002","timestamp":1414587457,"nonce":"n","signature":"0f","agent_signature":"1f"}"#
        );
    }

    #[test]
    fn a_platform_is_known_by_name_and_by_user_agent() {
        for platform in Platform::ALL {
            assert_eq!(platform.name().parse(), Ok(platform));
            let json = serde_json::to_string(&platform).expect("JSON");
            assert_eq!(json, format!("\"{platform}\""));
        }
        assert_eq!("line".parse::<Platform>(), Err(NotAPlatform));
        for (user_agent, platform) in [
            ("wxwork/4.1.6 MicroMessenger/7.0.1", Some(Platform::WeCom)),
            ("MicroMessenger/8.0.42", Some(Platform::WeChat)),
            ("AliApp(DingTalk/6.5.20)", Some(Platform::DingTalk)),
            ("Lark/6.2.8 ChannelName/Feishu", Some(Platform::Feishu)),
            ("Line/11.18.1/IAB", None),
            ("Chrome/116.0.0.0", None),
        ] {
            let browser = format!("Mozilla/5.0 (Linux) {user_agent}");
            assert_eq!(Platform::of(&browser), platform, "{user_agent}");
        }
    }
}
