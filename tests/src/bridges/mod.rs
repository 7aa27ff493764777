//! Stand-ins of the native side of chat apps, for pages in Chromium: what the official SDKs call,
//! answering as documented. Each takes its mood from the fragment of the page's address.

use serde_json::json;

use crate::browser::Browser;

/// Feishu's SDK: not to be had here, so the stand-in is of all of it.
pub const FEISHU_SDK: &str = include_str!("feishu.js");

/// A chat app's browser.
#[derive(Clone, Copy, Debug)]
pub struct ChatApp {
    /// Its `User-Agent`.
    pub user_agent: &'static str,
    bridge: &'static str,
}

/// WeCom for Android.
pub const WECOM: ChatApp = ChatApp {
    user_agent: "Mozilla/5.0 (Linux; Android 13; V2136A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 wxwork/4.1.20 MicroMessenger/7.0.1 NetType/WIFI Language/zh",
    bridge: include_str!("wecom.js"),
};

/// WeCom of before it had a picker for pages.
pub const OLD_WECOM: ChatApp = ChatApp {
    user_agent: "Mozilla/5.0 (Linux; Android 10; JEF-AN00; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/86.0.4240.99 Mobile Safari/537.36 wxwork/4.0.19 MicroMessenger/7.0.1 NetType/WIFI Language/zh",
    bridge: include_str!("wecom.js"),
};

/// WeChat for Android.
pub const WECHAT: ChatApp = ChatApp {
    user_agent: "Mozilla/5.0 (Linux; Android 13; 22041211AC; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.42.2460(0x28002A58) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64",
    bridge: include_str!("wechat.js"),
};

/// DingTalk for Android.
pub const DINGTALK: ChatApp = ChatApp {
    user_agent: "Mozilla/5.0 (Linux; U; Android 13; zh-CN; V2136A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 AliApp(DingTalk/7.6.15) com.alibaba.android.rimet/37520126 Channel/700159 language/zh-CN",
    bridge: include_str!("dingtalk.js"),
};

/// Feishu for Android. Its bridge comes with its SDK.
pub const FEISHU: ChatApp = ChatApp {
    user_agent: "Mozilla/5.0 (Linux; Android 13; V2136A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 Lark/7.28.5 LarkLocale/zh_CN ChannelName/Feishu",
    bridge: "",
};

impl ChatApp {
    /// Makes a browser that of this chat app, for all pages that it opens from now on.
    pub fn inside(&self, browser: &Browser) {
        let session = browser.session();
        session.devtools(
            "Network.setUserAgentOverride",
            &json!({ "userAgent": self.user_agent }),
        );
        if !self.bridge.is_empty() {
            session.devtools(
                "Page.addScriptToEvaluateOnNewDocument",
                &json!({ "source": self.bridge }),
            );
        }
    }
}

/// The bytes of the file that the stand-ins give out, `size` of them: a PDF's beginning, then
/// bytes that differ.
#[must_use]
pub fn content(size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..size)
        .map(|at| (at.wrapping_mul(7).wrapping_add(at >> 8) & 255) as u8)
        .collect();
    bytes[..9].copy_from_slice(b"%PDF-1.7\n");
    bytes
}
