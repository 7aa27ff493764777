//! Puts a chat app's picker into the page, inside that chat app only: its texts, its script, and as
//! much of the policy as its SDK needs. Everybody else's page is the same to the byte without it.

use std::collections::BTreeMap;

use chatlift_shared::api::PageData;
use chatlift_shared::chat::Platform;
use serde::{Deserialize, Serialize};

use super::account::{Account, MiniProgram};
use crate::page::csp;
use crate::page::html::{NoMark, escape_json};

/// The end of the page, where the script goes: before it, all that it looks for stands.
const END_MARK: &str = "</body>";

/// The text of the page's own button, and what it says beside a chat app's.
const PAGE_BUTTON: &str = "pick.button";
const OWN_BUTTON: &str = "chat.from-phone";

/// The texts of the pickers, by language tag.
const TEXTS: &[(&str, &str)] = &[
    ("en", include_str!("../../../frontend/chat/locales/en.json")),
    (
        "zh-CN",
        include_str!("../../../frontend/chat/locales/zh-CN.json"),
    ),
    (
        "zh-TW",
        include_str!("../../../frontend/chat/locales/zh-TW.json"),
    ),
    ("ja", include_str!("../../../frontend/chat/locales/ja.json")),
    ("es", include_str!("../../../frontend/chat/locales/es.json")),
    ("ar", include_str!("../../../frontend/chat/locales/ar.json")),
];

/// The texts in the language of this tag.
#[must_use]
pub fn texts(tag: &str) -> BTreeMap<String, String> {
    let found = TEXTS.iter().find(|(own, _)| *own == tag);
    found
        .and_then(|(_, texts)| serde_json::from_str(texts).ok())
        .unwrap_or_default()
}

/// The manifest that the build of the page leaves as `chat.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Chunks {
    main: String,
    chunks: BTreeMap<Platform, Vec<String>>,
}

/// What the script finds in the page; `Offer` in frontend/chat/picker.js.
#[derive(Serialize)]
struct Offer<'a> {
    platform: Platform,
    configured: bool,
    texts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdk: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mini_program: Option<&'a MiniProgram>,
}

/// A chat app's picker on a page.
#[derive(Clone, Copy, Debug)]
pub struct Picker<'a> {
    platform: Platform,
    account: Option<&'a Account>,
}

impl<'a> Picker<'a> {
    /// The picker for a page that is opened in a platform's chat app. In WeChat there is always a
    /// word to say; elsewhere without an account there is nothing.
    #[must_use]
    pub fn of(platform: Platform, account: Option<&'a Account>) -> Option<Self> {
        let account = match platform {
            Platform::WeChat => account.filter(|account| account.mini_program.is_some()),
            _ => account,
        };
        let shown = account.is_some() || platform == Platform::WeChat;
        shown.then_some(Self { platform, account })
    }

    /// Changes the page's data before it is filled in: its own button is the second now.
    pub fn adapt(self, data: &mut PageData) {
        let text = texts(&data.lang).remove(OWN_BUTTON);
        if let (Some(text), true) = (text, self.account.is_some()) {
            data.messages.insert(PAGE_BUTTON.to_owned(), text);
        }
    }

    /// Adds texts and script to the filled page.
    ///
    /// # Errors
    /// When the page is not ours.
    pub fn add(self, html: &str, lang: &str, chunks: &Chunks) -> Result<String, NoMark> {
        let offer = Offer {
            platform: self.platform,
            configured: self.account.is_some(),
            texts: texts(lang),
            sdk: self.account.and_then(|account| account.sdk.as_deref()),
            mini_program: self
                .account
                .and_then(|account| account.mini_program.as_ref()),
        };
        let json =
            serde_json::to_string(&offer).unwrap_or_else(|_| unreachable!("an offer encodes"));
        let (before, after) = html.rsplit_once(END_MARK).ok_or(NoMark(END_MARK))?;
        // Without an account, only the main script has something to say.
        let needed = chunks.chunks.get(&self.platform);
        let preloads: String = needed
            .filter(|_| self.account.is_some())
            .into_iter()
            .flatten()
            .filter(|url| **url != chunks.main)
            .map(|url| format!("<link rel=\"modulepreload\" href=\"{url}\">"))
            .collect();
        Ok(format!(
            "{before}<script id=\"chatlift-chat\" type=\"application/json\">{}</script>{preloads}\
             <script type=\"module\" src=\"{}\"></script>{END_MARK}{after}",
            escape_json(&json),
            chunks.main
        ))
    }

    /// What the page's policy must allow besides: Feishu's SDK by its full address, and what
    /// WeChat draws its open tags with (`frame-src https://*.qq.com webcompt:`, its documentation
    /// of open tags).
    #[must_use]
    pub fn policy(self) -> csp::More<'a> {
        let frames = match (self.platform, self.account) {
            (Platform::WeChat, Some(_)) => "; frame-src https://*.qq.com webcompt:",
            _ => "",
        };
        csp::More {
            script: self.account.and_then(|account| account.sdk.as_deref()),
            frames,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::account::tests::accounts;
    use crate::page::language;

    const PAGE: &str = "<html><body><form></form></body></html>";

    fn chunks() -> Chunks {
        let json = r#"{"main":"/assets/chat/main-1.js","chunks":{
            "wecom":["/assets/chat/main-1.js","/assets/chat/sdk-2.js"],"wechat":["/assets/chat/tag-3.js"],
            "dingtalk":[],"feishu":["/assets/chat/feishu-4.js"]}}"#;
        serde_json::from_str(json).expect("a manifest")
    }

    #[test]
    fn each_chat_app_has_its_own_chunks_texts_and_policy() {
        let accounts = accounts();
        for (platform, chunk, script, frames) in [
            (Platform::WeCom, "sdk-2", false, false),
            (Platform::WeChat, "tag-3", false, true),
            (Platform::Feishu, "feishu-4", true, false),
        ] {
            let picker = Picker::of(platform, accounts.get(&platform)).expect("a picker");
            let html = picker.add(PAGE, "ja", &chunks()).expect("a page");
            assert!(html.contains(&format!(
                "<link rel=\"modulepreload\" href=\"/assets/chat/{chunk}.js\">"
            )));
            assert!(html.contains("src=\"/assets/chat/main-1.js\""), "{html}");
            assert!(html.contains("チャットから選ぶ"), "{html}");
            assert!(html.ends_with("</script></body></html>"), "{html}");
            assert!(!html.contains("s3cret"), "{html}");
            let policy = picker.policy();
            assert_eq!(
                (policy.script.is_some(), !policy.frames.is_empty()),
                (script, frames)
            );
        }
    }

    #[test]
    fn without_an_account_only_wechat_has_a_word_to_say() {
        for platform in Platform::ALL {
            let picker = Picker::of(platform, None);
            assert_eq!(picker.is_some(), platform == Platform::WeChat, "{platform}");
        }
        let plain = Picker::of(Platform::WeChat, None).expect("a word");
        let html = plain.add(PAGE, "en", &chunks()).expect("a page");
        assert!(html.contains("\"configured\":false"), "{html}");
        assert!(!html.contains("modulepreload"), "{html}");
        assert_eq!(plain.policy(), csp::More::default());
    }

    #[test]
    fn every_language_has_its_texts() {
        for tag in language::tags() {
            assert!(texts(tag).contains_key(OWN_BUTTON), "{tag}");
            assert!(language::messages(tag).contains_key(PAGE_BUTTON), "{tag}");
        }
    }

    #[test]
    fn a_page_without_an_end_is_noticed() {
        let picker = Picker::of(Platform::WeChat, None).expect("a word");
        assert_eq!(picker.add("<html>", "en", &chunks()), Err(NoMark(END_MARK)));
    }
}
