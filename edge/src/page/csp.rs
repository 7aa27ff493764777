//! The content security policy of our pages (CSP Level 3).

/// What a page of ours may load and do where it runs no WebAssembly. The inline style is its own.
const SCRIPTS: &str = "script-src 'self'";
const BEFORE_SCRIPTS: &str = "default-src 'none'; ";
const AFTER_SCRIPTS: &str = "; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:";

/// Lets the program show picked files as images: their thumbnails.
const PICKED_IMAGES: &str = " blob:";

/// Lets a page compile WebAssembly and evaluate nothing else (CSP Level 3, section 2.3.1).
const WASM: &str = " 'wasm-unsafe-eval'";
/// What engines that do not know [`WASM`] ask for instead: without it they refuse to compile.
const WASM_BY_EVAL: &str = " 'unsafe-eval'";

/// First versions that know `'wasm-unsafe-eval'`, from MDN's table of browser compatibility
/// ("Content-Security-Policy: script-src", `wasm-unsafe-eval`).
const CHROMIUM_KNOWS: u32 = 97;
const FIREFOX_KNOWS: u32 = 102;
/// Safari's version, which on iOS is the system's, for every browser and web view there.
const SAFARI_KNOWS: u32 = 16;

/// Additions to the page's policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct More<'a> {
    /// One more script.
    pub script: Option<&'a str>,
    /// A whole directive with a semicolon before it, or nothing.
    pub frames: &'static str,
}

/// The policy of a page without a program.
#[must_use]
pub fn plain() -> String {
    [BEFORE_SCRIPTS, SCRIPTS, AFTER_SCRIPTS].concat()
}

/// The policy of the upload page for a browser, told by its `User-Agent`.
#[must_use]
pub fn with_program(user_agent: &str, more: More<'_>) -> String {
    let wasm = if knows_wasm_source(user_agent) {
        WASM
    } else {
        WASM_BY_EVAL
    };
    let (space, script) = more.script.map_or(("", ""), |script| (" ", script));
    [
        BEFORE_SCRIPTS,
        SCRIPTS,
        space,
        script,
        wasm,
        AFTER_SCRIPTS,
        PICKED_IMAGES,
        more.frames,
    ]
    .concat()
}

/// Whether the engine knows `'wasm-unsafe-eval'`. One that does not say its version is taken for
/// a new one: nobody gets `'unsafe-eval'` by hiding.
fn knows_wasm_source(user_agent: &str) -> bool {
    // Browsers on iOS are all of the system's engine, whatever else they say that they are.
    if user_agent.contains("like Mac OS X")
        && let Some(version) = number_after(user_agent, " OS ")
    {
        return version >= SAFARI_KNOWS;
    }
    // Chromium before the rest: Android's web views also say `Version/4.0`, and all say `Safari/`.
    let engines = [
        ("Chrome/", CHROMIUM_KNOWS),
        ("Chromium/", CHROMIUM_KNOWS),
        ("Firefox/", FIREFOX_KNOWS),
        ("Version/", SAFARI_KNOWS),
    ];
    engines
        .into_iter()
        .find_map(|(mark, first)| Some(number_after(user_agent, mark)? >= first))
        .unwrap_or(true)
}

/// The whole number that follows the first `mark` with one behind it.
fn number_after(text: &str, mark: &str) -> Option<u32> {
    text.match_indices(mark).find_map(|(at, _)| {
        let after = &text[at + mark.len()..];
        let end = after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len());
        after[..end].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: &[&str] = &[
        // Chromium 64, 78, 86 and 96.
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.186 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/78.0.3882.0 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/86.0.4240.198 Safari/537.36 Edg/86.0.622.69",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0.4664.110 Safari/537.36",
        // EdgeHTML.
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.102 Safari/537.36 Edge/18.19042",
        // Android's own web view, in WeChat (XWEB and TBS), WeCom, QQ and LINE.
        "Mozilla/5.0 (Linux; Android 10; JEF-AN00; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/86.0.4240.99 XWEB/4425 MMWEBSDK/20230202 Mobile Safari/537.36 MMWEBID/9453 MicroMessenger/8.0.33.2320(0x28002151) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64",
        "Mozilla/5.0 (Linux; Android 8.1.0; PBEM00) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/66.0.3359.126 MQQBrowser/6.2 TBS/045140 Mobile Safari/537.36 MMWEBID/3350 MicroMessenger/7.0.12.1620(0x27000C50) Process/tools NetType/WIFI Language/zh_CN ABI/arm64",
        "Mozilla/5.0 (Linux; Android 10; JEF-AN00; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/86.0.4240.99 XWEB/4425 MMWEBSDK/20230202 Mobile Safari/537.36 wxwork/4.1.6 MicroMessenger/7.0.1 NetType/WIFI Language/zh",
        "Mozilla/5.0 (Linux; Android 12; V2136A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/89.0.4389.72 MQQBrowser/6.2 TBS/046295 Mobile Safari/537.36 V1_AND_SQ_8.9.71_4332_YYB_D QQ/8.9.71.11735",
        "Mozilla/5.0 (Linux; Android 11; Pixel 4a; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/94.0.4606.85 Mobile Safari/537.36 Line/11.18.1/IAB",
        // UC, Quark, Samsung Internet, MIUI.
        "Mozilla/5.0 (Linux; U; Android 11; zh-CN; M2007J3SC) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/78.0.3904.108 UCBrowser/13.8.0.1180 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; U; Android 10; zh-CN; MI 9) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/78.0.3904.108 Quark/5.3.8.193 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 11; SAMSUNG SM-G973F) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/16.0 Chrome/92.0.4515.166 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; U; Android 11; zh-cn; M2012K11AC) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/89.0.4389.116 Mobile Safari/537.36 XiaoMi/MiuiBrowser/16.1.18",
        // Firefox, and Safari on macOS.
        "Mozilla/5.0 (X11; Linux x86_64; rv:91.0) Gecko/20100101 Firefox/91.0",
        "Mozilla/5.0 (Android 11; Mobile; rv:101.0) Gecko/101.0 Firefox/101.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6.1 Safari/605.1.15",
        // iOS: Safari, web views without a version of their own, Chrome and Firefox in name.
        "Mozilla/5.0 (iPhone; CPU iPhone OS 15_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6.1 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 15_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.42(0x18002a2e) NetType/WIFI Language/zh_CN",
        "Mozilla/5.0 (iPad; CPU OS 12_5_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 14_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/114.0.5735.99 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 15_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/120.0 Mobile/15E148 Safari/605.1.15",
    ];

    const NEW: &[&str] = &[
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/97.0.4692.71 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Ubuntu Chromium/120.0.0.0 Chrome/120.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 13; 22041211AC Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 XWEB/1160065 MMWEBSDK/20230805 MicroMessenger/8.0.42.2460(0x28002A58) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64",
        "Mozilla/5.0 (Linux; U; Android 12; zh-cn; V2136A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/98.0.4758.102 MQQBrowser/14.1 Mobile Safari/537.36",
        "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.29.149 Chrome/106.0.5249.199 Electron/21.3.3 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Firefox/102.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:131.0) Gecko/20100101 Firefox/131.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Safari/605.1.15",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.42(0x18002a2e) NetType/WIFI Language/zh_CN",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/96.0.4664.53 Mobile/15E148 Safari/604.1",
        // These do not say.
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) MicroMessenger/6.8.0(0x16080000) MacWechat/3.8.2(0x13080213) NetType/WIFI WindowsWechat",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "curl/8.5.0",
        "Chrome/",
        "",
    ];

    #[test]
    fn engines_that_do_not_know_the_wasm_source_may_compile_all_the_same() {
        for user_agent in OLD {
            let policy = with_program(user_agent, More::default());
            let scripts = "; script-src 'self' 'unsafe-eval'; ";
            assert!(policy.contains(scripts), "{user_agent}: {policy}");
        }
    }

    #[test]
    fn nobody_else_may_evaluate() {
        for user_agent in NEW {
            let policy = with_program(user_agent, More::default());
            let scripts = "; script-src 'self' 'wasm-unsafe-eval'; ";
            assert!(policy.contains(scripts), "{user_agent}: {policy}");
            assert!(!policy.contains("'unsafe-eval'"), "{user_agent}: {policy}");
        }
        assert!(!plain().contains("eval"), "{}", plain());
        // Nor show a file, but the program what was picked.
        assert!(!plain().contains("blob:"), "{}", plain());
    }

    #[test]
    fn a_chat_apps_picker_adds_its_script_and_frames_and_nothing_else() {
        let more = More {
            script: Some("https://sdk.test/a.js"),
            frames: "; frame-src x:",
        };
        let policy = with_program("", more);
        let expected = with_program("", More::default()).replace(
            "'self' 'wasm-unsafe-eval'",
            "'self' https://sdk.test/a.js 'wasm-unsafe-eval'",
        );
        assert_eq!(policy, format!("{expected}; frame-src x:"));
    }

    proptest! {
        #[test]
        fn no_user_agent_writes_into_the_policy(user_agent in ".*") {
            let policy = with_program(&user_agent, More::default());
            let known = [OLD[0], NEW[0]].map(|known| with_program(known, More::default()));
            prop_assert!(known.contains(&policy));
        }
    }
}
