//! Browsers inside chat apps: which one this is, by its user agent, and what to do about it.
//!
//! The table of what is known of each, with sources, is in `docs/in-app-browsers.md`.

use crate::accept;

/// A chat app with a browser inside.
#[derive(Debug, PartialEq, Eq)]
pub struct InApp {
    /// For the keys of its texts, its name among them.
    pub id: &'static str,
    /// Parts of its user agents; one is enough.
    pub marks: &'static [&'static str],
    /// Its menu with "open in browser" is at the bottom, not at the top.
    menu_below: bool,
}

const fn app(id: &'static str, marks: &'static [&'static str], menu_below: bool) -> InApp {
    InApp {
        id,
        marks,
        menu_below,
    }
}

/// All that are known, in the order in which they are looked for: WeCom also says that it is WeChat,
/// Messenger that it is Facebook, whose marks are looked for after it.
pub const APPS: &[InApp] = &[
    app("wecom", &["wxwork/"], false),
    app("wechat", &["MicroMessenger/"], false),
    app("dingtalk", &["DingTalk/"], false),
    app("lark", &["Lark/", "Feishu/"], false),
    app("qq", &[" QQ/"], false),
    app("line", &[" Line/"], true),
    app("whatsapp", &["WhatsApp/"], false),
    app(
        "messenger",
        &["FBAN/Messenger", "FB_IAB/MESSENGER", "FB_IAB/Orca"],
        false,
    ),
    app("instagram", &["Instagram "], false),
    app("facebook", &["FBAN/", "FB_IAB/"], false),
    app("kakaotalk", &["KAKAOTALK"], true),
    app("zalo", &["Zalo android/", "Zalo iOS/"], false),
    app("viber", &["Viber/"], false),
    app("telegram", &["Telegram-Android/", "Telegram/"], false),
    app("slack", &["Slack/", "Slack_SSB/"], false),
];

/// The chat app whose browser has this user agent.
#[must_use]
pub fn detect(user_agent: &str) -> Option<&'static InApp> {
    APPS.iter()
        .find(|app| app.marks.iter().any(|mark| contains(user_agent, mark)))
}

/// As `str::contains`, whose search for long texts is a kilobyte of code.
fn contains(text: &str, part: &str) -> bool {
    let mut windows = text.as_bytes().windows(part.len());
    windows.any(|window| window == part.as_bytes())
}

impl InApp {
    /// The key of the sentence that says how the page is opened in the phone's own browser.
    #[must_use]
    pub fn open_key(&self) -> &'static str {
        if self.menu_below {
            "inapp.open.below"
        } else {
            "inapp.open.above"
        }
    }
}

/// Whether the form may tell the picker to take several files. WeChat for Android is said never to tell
/// then that something was picked; the page's program tries, and the form, which has no script, does not.
#[must_use]
pub fn takes_several(user_agent: &str) -> bool {
    !(contains(user_agent, "MicroMessenger/") && contains(user_agent, "Android"))
}

/// The `accept` attribute of the input. In a chat app for Android, where a list with extensions
/// opens no picker or the wrong one, it only tells pictures from everything else.
#[must_use]
pub fn accept_attribute(ranges: &[String], user_agent: &str) -> String {
    if contains(user_agent, "Android") && detect(user_agent).is_some() {
        return match ranges {
            [one] if one == "image/*" || one == "video/*" => one.clone(),
            _ => String::new(),
        };
    }
    accept::attribute(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// User agents in the form of these apps' own, written from memory: no captures, and their
    /// versions may never have met. What is known of the marks in them, and from where, is in
    /// docs/in-app-browsers.md.
    const SEEN: &[(&str, Option<&str>)] = &[
        (
            "Mozilla/5.0 (Linux; Android 13; 22041211AC Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 XWEB/1160065 MMWEBSDK/20230805 MMWEBID/2585 MicroMessenger/8.0.42.2460(0x28002A58) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64",
            Some("wechat"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.42(0x18002a2e) NetType/WIFI Language/zh_CN",
            Some("wechat"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; JEF-AN00; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/86.0.4240.99 XWEB/4425 MMWEBSDK/20230202 Mobile Safari/537.36 wxwork/4.1.6 MicroMessenger/7.0.1 NetType/WIFI Language/zh Lang/zh ColorScheme/Light",
            Some("wecom"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 12; V2136A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/89.0.4389.72 MQQBrowser/6.2 TBS/046295 Mobile Safari/537.36 V1_AND_SQ_8.9.71_4332_YYB_D QQ/8.9.71.11735 NetType/WIFI WebP/0.3.0",
            Some("qq"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 15_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 AliApp(DingTalk/6.5.20) com.laiwang.DingTalk/18294098 Channel/201200 language/zh-Hans-CN UT4Aplus/0.0.6 WK",
            Some("dingtalk"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Lark/6.2.8 LarkLocale/zh_CN ChannelName/Feishu",
            Some("lark"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 11; Pixel 4a; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/94.0.4606.85 Mobile Safari/537.36 Line/11.18.1/IAB",
            Some("line"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 15_0_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/11.16.0",
            Some("line"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/MessengerForiOS;FBAV/414.0.0.27.112;FBBV/483036862;FBDV/iPhone12,1;FBMD/iPhone;FBSN/iOS;FBSV/16.5;FBSS/2;FBCR/;FBID/phone;FBLC/en_US;FBOP/0]",
            Some("messenger"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 12; SM-G991B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/103.0.5060.71 Mobile Safari/537.36 [FB_IAB/Orca-Android;FBAV/366.0.0.13.118;]",
            Some("messenger"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; SM-G973F; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/86.0.4240.198 Mobile Safari/537.36 Instagram 166.1.0.42.245 Android (29/10; 420dpi; 1080x2042; samsung; SM-G973F; beyond1; exynos9820; en_GB; 256099204)",
            Some("instagram"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/417.0.0.32.67;FBBV/480085463;FBDV/iPhone12,1;FBMD/iPhone;FBSN/iOS;FBSV/16.5;FBSS/2;FBID/phone;FBLC/en_US;FBOP/5]",
            Some("facebook"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-A536B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/430.0.0.23.113;]",
            Some("facebook"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-S908N; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36;KAKAOTALK 2410300",
            Some("kakaotalk"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 KAKAOTALK 10.3.0",
            Some("kakaotalk"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 12; SM-A325F; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/110.0.5481.65 Mobile Safari/537.36 Zalo android/12080612 ZaloTheme/light ZaloLanguage/vi",
            Some("zalo"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Zalo iOS/420 ZaloTheme/light ZaloLanguage/en",
            Some("zalo"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 11; M2101K6G; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/109.0.5414.118 Mobile Safari/537.36 Viber/19.0.0.1",
            Some("viber"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.122 Mobile Safari/537.36 Telegram-Android/11.3.3 (Xiaomi M2101K6G; Android 14; SDK 34; AVERAGE)",
            Some("telegram"),
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.29.149 Chrome/106.0.5249.199 Electron/21.3.3 Safari/537.36 Sonic Slack_SSB/4.29.149",
            Some("slack"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36",
            None,
        ),
        (
            "Mozilla/5.0 (Linux; U; Android 12; zh-cn; V2136A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/98.0.4758.102 MQQBrowser/14.1 Mobile Safari/537.36",
            None,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
            None,
        ),
    ];

    #[test]
    fn each_chat_app_is_known_by_its_user_agent() {
        for (user_agent, id) in SEEN {
            assert_eq!(detect(user_agent).map(|app| app.id), *id, "{user_agent}");
        }
    }

    #[test]
    fn wechat_for_android_is_asked_for_one_file_of_any_type() {
        let (android, ios) = (SEEN[0].0, SEEN[1].0);
        assert!(!takes_several(android) && takes_several(ios));
        let accept = ["application/pdf".to_owned(), "image/*".to_owned()];
        assert_eq!(accept_attribute(&accept, android), "");
        assert_eq!(accept_attribute(&accept[1..], android), "image/*");
        assert_eq!(
            accept_attribute(&accept, ios),
            "application/pdf,image/*,.pdf"
        );
    }
}
