//! Picking from the chat itself: the page inside chat apps, in real Chromium. The official SDKs run
//! as they are, against stand-ins of the chat apps' native side; Feishu's SDK is a stand-in whole.

use std::sync::LazyLock;
use std::time::Duration;

use chatlift_shared::api::{Link, LinkState};
use chatlift_shared::digest::Sha256;
use chatlift_tests::bridges::{ChatApp, DINGTALK, FEISHU, OLD_WECOM, WECHAT, WECOM, content};
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::{ANY_FILE, APP, DOCUMENTS, Edge, PAGES, Setup};
use chatlift_tests::fixtures::{self, pdf};
use chatlift_tests::http::send;
use chatlift_tests::platforms::Platforms;
use chatlift_tests::receiver::Receiver;
use chatlift_tests::scratch::wait_for;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

const WITHIN: Duration = Duration::from_secs(60);

/// Long enough for a page that waits for a silent chat app.
const PATIENCE: Duration = Duration::from_secs(40);

/// One edge, whose first app has an account on every platform and whose other app has none.
struct Stage {
    edge: Edge,
    receiver: Receiver,
    platforms: Platforms,
}

fn stage() -> &'static Stage {
    static STAGE: LazyLock<Stage> = LazyLock::new(|| {
        let platforms = Platforms::start();
        let setup = Setup::new("e2e-chat")
            .with_var("CHAT", &platforms.chat(&[APP]))
            .with_var("CHAT_SECRETS", &Platforms::secrets(&[APP]));
        let receiver =
            Receiver::start(&[&setup.app.webhook_secret, &setup.other_app.webhook_secret]);
        let edge = setup.start(&receiver.url());
        Stage {
            edge,
            receiver,
            platforms,
        }
    });
    &STAGE
}

/// A chat app in someone's hand.
fn phone(app: ChatApp) -> Browser {
    let browser = Browser::english();
    app.inside(&browser);
    browser
}

/// Opens a link where the chat app is in this mood.
fn open(phone: &Browser, link: &Link, mood: &str) {
    // Else the browser would only move within the page.
    phone.open("about:blank");
    phone.open(&format!("{}#{mood}", link.url));
    phone.sees("html[data-state=program]", 1);
}

/// The parameters of what the native side was asked, once it was asked: a page that was loaded again
/// asks anew.
fn called(phone: &Browser, api: &str) -> Vec<Value> {
    let script =
        "return (window.bridgeCalls || []).filter(c => c.api === arguments[0]).map(c => c.params)";
    wait_for(&format!("a call of {api}"), WITHIN, || {
        let calls = phone.session().script(script, &json!([api]));
        calls.as_array().filter(|calls| !calls.is_empty()).cloned()
    })
}

/// The signature in what the native side was given, as the platform would compute it.
fn check_signature(params: &Value, names: [&str; 3], ticket: &str, link: &Link) {
    let [timestamp, nonce, signature] = names.map(|name| match &params[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let text = format!(
        "jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={}",
        link.url
    );
    assert_eq!(signature, hex::encode(Sha1::digest(text)), "{params}");
}

/// Waits for the picker's sentence of this code, and returns it.
fn told(phone: &Browser, code: &str) -> String {
    let note = format!(r#"{}[data-code="{code}"]"#, mark("chat-note"));
    phone.sees_within(&note, 1, PATIENCE);
    phone.read(&note)
}

/// The page's own input takes a file as if nothing had happened.
fn check_input_is_usable(phone: &Browser) {
    let path = fixtures::write(phone.folder(), "from-phone.pdf", &pdf());
    phone.pick(&[&path]);
    phone.sees(&row("ready"), 1);
}

/// Each mood has its sentence, after which the input is usable.
fn check_failures(phone: &Browser, link: &Link, button: &str, moods: &[(&str, &str, &str)]) {
    for (mood, code, part) in moods {
        open(phone, link, mood);
        phone.click(button);
        let sentence = told(phone, code);
        assert!(sentence.contains(part), "{mood}: {sentence}");
        assert!(!sentence.contains(['{', '}']), "{mood}: {sentence}");
        check_input_is_usable(phone);
    }
}

/// Confirms what was picked, and waits for the backend to hear of it.
fn send_and_arrive(phone: &Browser, link: &Link, bytes: &[u8]) {
    phone.sees(&row("ready"), 1);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let digest = Sha256::of(bytes);
    let _ = stage().receiver.wait_stored(link.id, digest, WITHIN);
}

const FILES: &str = r#"[data-testid="chat-button"][data-kind="file"]"#;
const PICTURES: &str = r#"[data-testid="chat-button"][data-kind="video_and_image"]"#;
const ANYTHING: &str = r#"[data-testid="chat-button"][data-kind=""]"#;

#[test]
fn a_file_from_a_wecom_chat_arrives() {
    let stage = stage();
    let link = stage.edge.app().link(DOCUMENTS);
    let phone = phone(WECOM);
    open(&phone, &link, "ok");
    assert_eq!(phone.read(FILES), "From your chats");
    assert_eq!(phone.read(PICTURES), "Pictures from your chats");
    assert_eq!(phone.text(&mark("pick-button")), "From this phone");
    let first = phone.session().script(
        "return document.querySelector('[data-testid=drop-zone]').querySelector('button,label').dataset.testid",
        &json!([]),
    );
    assert_eq!(first, "chat-button");
    phone.click(FILES);
    phone.sees(&row("ready"), 1);
    let name = phone.attribute(&row("ready"), "data-name");
    assert_eq!(name.as_deref(), Some("合同 final.pdf"));
    let picked = called(&phone, "chooseMessageFile");
    assert_eq!(
        (&picked[0]["count"], &picked[0]["type"]),
        (&json!(10), &json!("file"))
    );
    let accepted = called(&phone, "agentConfig");
    assert_eq!(accepted[0]["corpid"], "ww7ca4776b2a70000");
    assert_eq!(accepted[0]["agentid"], "1000247");
    let seen = stage.platforms.seen(&format!("{APP}-wecom"));
    let names = ["timestamp", "nonceStr", "signature"];
    check_signature(&accepted[0], names, seen.ticket("agent"), &link);
    // The page was drawn anew, and the chat's button stands there still.
    phone.sees(FILES, 1);
    send_and_arrive(&phone, &link, &content(3_000_001));
}

#[test]
fn each_failure_in_wecom_has_its_sentence_and_the_input_stays() {
    let link = stage().edge.app().link(DOCUMENTS);
    let wecom = phone(WECOM);
    check_failures(
        &wecom,
        &link,
        FILES,
        &[
            ("cancel", "chat.cancelled", "Nothing was chosen"),
            ("permission", "chat.permission", "does not let this page"),
            ("refused", "chat.permission", "does not let this page"),
            ("large", "chat.large", "合同 final.pdf is larger"),
            ("exceed", "chat.large", "合同 final.pdf is larger"),
            ("gone", "chat.gone", "合同 final.pdf is no longer"),
            ("short", "chat.unreadable", "could not be read in full"),
            ("silent", "chat.silent", "does not answer"),
            ("nobridge", "chat.silent", "does not answer"),
        ],
    );
    drop(wecom);
    let old = phone(OLD_WECOM);
    check_failures(&old, &link, FILES, &[("ok", "chat.old", "Update it")]);
}

#[test]
fn a_file_from_a_dingtalk_chat_goes_by_dingtalks_own_upload_with_the_same_checks() {
    let stage = stage();
    let link = stage.edge.app().link(DOCUMENTS);
    let phone = phone(DINGTALK);
    open(&phone, &link, "program");
    phone.click(ANYTHING);
    // The edge looks at the content, whoever sends it.
    let refused = told(&phone, "problem.file-type-not-accepted");
    assert!(refused.contains("not accepted"), "{refused}");
    check_input_is_usable(&phone);

    open(&phone, &link, "ok");
    phone.click(ANYTHING);
    let bytes = content(300_001);
    let heard = stage
        .receiver
        .wait_stored(link.id, Sha256::of(&bytes), WITHIN);
    assert_eq!(
        heard.stored().map(|s| s.file.name.as_str()),
        Some("报价单 v2.pdf")
    );
    // The page shows it with its marks.
    phone.sees_within(&mark("file-receipt"), 1, WITHIN);
    let accepted = called(&phone, "runtime.permission.requestJsApis");
    let seen = stage.platforms.seen(&format!("{APP}-dingtalk"));
    let names = ["timeStamp", "nonceStr", "signature"];
    check_signature(&accepted[0], names, seen.ticket("company"), &link);
    assert_eq!(accepted[0]["corpId"], "ding123");
    check_failures(
        &phone,
        &link,
        ANYTHING,
        &[
            ("cancel", "chat.cancelled", "Nothing was chosen"),
            ("permission", "chat.permission", "does not let this page"),
            ("refused", "chat.permission", "does not let this page"),
            ("old", "chat.old", "Update it"),
            ("cut", "chat.failed", "could not hand over"),
            ("silent", "chat.silent", "does not answer"),
            ("nobridge", "chat.silent", "does not answer"),
        ],
    );
}

/// Each is a form of its own, and a form is all that its sender sends unless it says otherwise.
#[test]
fn files_from_a_dingtalk_chat_that_are_joined_are_joined_when_all_are_there() {
    let stage = stage();
    let app = stage.edge.app();
    let link = app.link(PAGES);
    let phone = phone(DINGTALK);
    open(&phone, &link, "two");
    phone.click(ANYTHING);
    phone.sees_within(&mark("file-receipt"), 2, WITHIN);
    let stored = app.get_link(link.id);
    assert_eq!(stored.state, LinkState::Completed);
    let names: Vec<_> = stored.files.iter().map(|file| &*file.name).collect();
    assert_eq!(names, ["报价单 v2.pdf", "附页.pdf"]);
}

#[test]
fn a_file_from_a_feishu_chat_arrives_slice_by_slice() {
    let stage = stage();
    let link = stage.edge.app().link(DOCUMENTS);
    let phone = phone(FEISHU);
    open(&phone, &link, "ok");
    phone.click(ANYTHING);
    phone.sees(&row("ready"), 1);
    let name = phone.attribute(&row("ready"), "data-name");
    assert_eq!(name.as_deref(), Some("方案 B.pdf"));
    let accepted = called(&phone, "config");
    let seen = stage.platforms.seen(&format!("{APP}-feishu"));
    let names = ["timestamp", "nonceStr", "signature"];
    check_signature(&accepted[0], names, seen.ticket("company"), &link);
    assert_eq!(accepted[0]["appId"], "cli_9f1");
    let reads = called(&phone, "readFile");
    let slice = 768 * 1024;
    let expected = [
        json!({ "position": 0, "length": slice }),
        json!({ "position": slice, "length": slice }),
        json!({ "position": 2 * slice, "length": 2_000_003 - 2 * slice }),
    ];
    assert_eq!(reads, expected);
    send_and_arrive(&phone, &link, &content(2_000_003));
}

#[test]
fn each_failure_in_feishu_has_its_sentence_and_the_input_stays() {
    let link = stage().edge.app().link(DOCUMENTS);
    let phone = phone(FEISHU);
    check_failures(
        &phone,
        &link,
        ANYTHING,
        &[
            ("cancel", "chat.cancelled", "Nothing was chosen"),
            ("permission", "chat.permission", "does not let this page"),
            ("refused", "chat.permission", "does not let this page"),
            ("gone", "chat.gone", "方案 B.pdf is no longer"),
            ("silent", "chat.silent", "does not answer"),
            ("silent-config", "chat.silent", "does not answer"),
        ],
    );
    // Its SDK does not arrive.
    let session = phone.session();
    session.devtools("Network.enable", &json!({}));
    let blocked = json!({ "urls": ["*h5-js-sdk.js"] });
    session.devtools("Network.setBlockedURLs", &blocked);
    let moods = [("ok", "chat.silent", "does not answer")];
    check_failures(&phone, &link, ANYTHING, &moods);
}

#[test]
fn wechat_opens_the_companys_mini_program_with_the_link() {
    let stage = stage();
    let link = stage.edge.app().link(DOCUMENTS);
    let token = link.url.rsplit('/').next().expect("a token").to_owned();
    let phone = phone(WECHAT);
    open(&phone, &link, "ok");
    phone.sees_within(&mark("chat-tag"), 1, PATIENCE);
    let label = phone.session().script(
        "return document.querySelector('[data-testid=chat-tag]').shadowRoot.querySelector('button').textContent",
        &json!([]),
    );
    assert_eq!(label, "From your chats");
    phone.click(&mark("chat-tag"));
    let launched = phone.session().script("return window.launched", &json!([]));
    let path = format!("pages/upload/upload?token={token}");
    assert_eq!(
        launched,
        json!(["wx2bb22b22bbb2b2b2", "gh_0123456789ab", path])
    );
    let verified = called(&phone, "preVerifyJSAPI");
    let seen = stage.platforms.seen(&format!("{APP}-wechat"));
    let names = ["verifyTimestamp", "verifyNonceStr", "verifySignature"];
    check_signature(&verified[0], names, seen.ticket("company"), &link);
    check_input_is_usable(&phone);
    // Who passes the page on passes on the card that the edge wrote.
    let card = called(&phone, "updateAppMessageShareData");
    let card = card.first().unwrap_or(&Value::Null);
    assert_eq!(card["title"], "Documents for your claim", "{card}");
    assert_eq!(card["link"], json!(link.url), "{card}");

    // Where the tag does not work, the plain scheme is offered, with a sentence.
    for (mood, code) in [
        ("refused", "chat.permission"),
        ("notags", "chat.old"),
        ("nobridge", "chat.silent"),
        ("fail", "chat.failed"),
    ] {
        open(&phone, &link, mood);
        if mood == "fail" {
            phone.click(&mark("chat-tag"));
        }
        let _ = told(&phone, code);
        let scheme = phone.attribute(&mark("chat-scheme"), "href");
        let expected = format!(
            "weixin://dl/business/?appid=wx2bb22b22bbb2b2b2&path=pages/upload/upload&query=token%3D{token}"
        );
        assert_eq!(scheme, Some(expected), "{mood}");
        check_input_is_usable(&phone);
    }

    // A company without a mini program: a plain sentence, and nothing else.
    let other = stage.edge.other_app().link(ANY_FILE);
    open(&phone, &other, "ok");
    let sentence = told(&phone, "chat.no-mini-program");
    assert!(
        sentence.contains("Save the file to your phone"),
        "{sentence}"
    );
    assert_eq!(phone.text(&mark("pick-button")), "Choose files");
    check_input_is_usable(&phone);
}

/// What a page loads, and what it may do, asked as this browser.
fn fetched(link: &Link, user_agent: &str) -> (String, String) {
    let answer = send("GET", &link.url, &[("user-agent", user_agent)], None).expect("a page");
    let policy = answer.header("content-security-policy");
    (answer.text(), policy.unwrap_or_default().to_owned())
}

#[test]
fn nobody_else_loads_or_may_do_anything_more() {
    let stage = stage();
    let link = stage.edge.app().link(DOCUMENTS);
    let chrome = "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36";
    let line = format!("{chrome} Line/11.18.1/IAB");
    let (_, policy) = fetched(&link, chrome);
    for user_agent in [chrome, &line] {
        let (page, policy) = fetched(&link, user_agent);
        for own in ["chatlift-chat", "\"chat.", "/assets/chat/"] {
            assert!(!page.contains(own), "{own}");
        }
        assert!(
            !policy.contains("frame-src") && !policy.contains("http"),
            "{policy}"
        );
    }
    // An app without an account has the same page inside WeCom as everywhere, but for its input.
    let other = stage.edge.other_app().link(ANY_FILE);
    let (own, own_policy) = fetched(&other, WECOM.user_agent);
    assert!(!own.contains("/assets/chat/"), "{own}");
    assert_eq!(own_policy, policy);

    // Feishu's SDK by its full address, inside Feishu only.
    let (_, feishu) = fetched(&link, FEISHU.user_agent);
    let sdk = format!(
        "script-src 'self' {}/h5-js-sdk.js 'wasm-unsafe-eval'",
        stage.platforms.origin()
    );
    assert_eq!(
        feishu.replace(&sdk, "script-src 'self' 'wasm-unsafe-eval'"),
        policy
    );
    let (_, wechat) = fetched(&link, WECHAT.user_agent);
    assert_eq!(
        wechat,
        format!("{policy}; frame-src https://*.qq.com webcompt:")
    );
    let (_, wecom) = fetched(&link, WECOM.user_agent);
    assert_eq!(wecom, policy);
}

#[test]
fn inside_a_chat_app_only_its_own_sdk_is_loaded() {
    let stage = stage();
    let link = stage.edge.app().link(DOCUMENTS);
    let phone = phone(FEISHU);
    open(&phone, &link, "ok");
    phone.sees(ANYTHING, 1);
    let script = "return performance.getEntriesByType('resource').map(e => e.name).filter(n => n.includes('/assets/chat/'))";
    let loaded = wait_for("the chunks", WITHIN, || {
        let loaded = phone.session().script(script, &json!([]));
        loaded.as_array().filter(|all| all.len() >= 3).cloned()
    });
    let names: Vec<&str> = loaded.iter().filter_map(Value::as_str).collect();
    assert!(names.iter().any(|n| n.contains("/feishu-")), "{names:?}");
    for other in ["/wecom-", "/dingtalk-", "/wechat-"] {
        assert!(!names.iter().any(|n| n.contains(other)), "{names:?}");
    }
}

#[test]
fn the_picker_speaks_the_pages_language() {
    let link = stage().edge.app().link(DOCUMENTS);
    let phone = Browser::chinese();
    WECOM.inside(&phone);
    open(&phone, &link, "cancel");
    assert_eq!(phone.read(FILES), "从聊天中选择");
    assert_eq!(phone.text(&mark("pick-button")), "从手机中选择");
    phone.click(FILES);
    assert_eq!(
        told(&phone, "chat.cancelled"),
        "没有选择文件。请重试，或从手机中选择。"
    );
}
