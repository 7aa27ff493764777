//! Signatures for the chat apps' SDKs, in workerd, against stand-ins of the platforms' token and
//! ticket endpoints.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use chatlift_shared::ProblemCode;
use chatlift_shared::chat::ChatConfig;
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{ANY_FILE, APP, Edge, OTHER_APP, Setup};
use chatlift_tests::http::Answer;
use chatlift_tests::platforms::{Mood, Platforms, SECRET};
use chatlift_tests::scratch::now;
use sha1::{Digest as _, Sha1};

use super::versions::is_asked_again;

/// Most milliseconds between two clocks of this machine that are asked one after the other.
const CLOCKS_APART: i64 = 60_000;

/// One edge and all platforms, with an account on each for both apps. Scenarios that trouble an
/// account have it to themselves.
struct Stage {
    edge: Edge,
    platforms: Platforms,
}

fn stage() -> &'static Stage {
    static STAGE: LazyLock<Stage> = LazyLock::new(|| {
        let platforms = Platforms::start();
        let apps = [APP, OTHER_APP];
        let edge = Setup::new("chat")
            .with_var("CHAT", &platforms.chat(&apps))
            .with_var("CHAT_SECRETS", &Platforms::secrets(&apps))
            .start("http://127.0.0.1:9/nobody");
        Stage { edge, platforms }
    });
    &STAGE
}

fn page(app: &App) -> Page {
    app.page(&app.link(ANY_FILE))
}

/// Asks for a signature over an address.
fn ask(page: &Page, platform: &str, url: &str) -> Answer {
    let url: String = url
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect::<Vec<_>>()
        .concat();
    let path = format!("/chat-config?platform={platform}&url={url}");
    page.call("GET", &path, &[], None)
}

/// The signature as the documentation computes it, independent of the edge's code.
fn expected(config: &ChatConfig, ticket: &str, url: &str) -> String {
    let text = format!(
        "jsapi_ticket={ticket}&noncestr={}&timestamp={}&url={url}",
        config.nonce, config.timestamp
    );
    hex::encode(Sha1::digest(text))
}

#[test]
fn every_platform_gets_the_signature_that_it_checks() {
    let stage = stage();
    let page = page(&stage.edge.app());
    for platform in ["wecom", "wechat", "dingtalk", "feishu"] {
        let url = format!("{}?lang=zh-CN", page.url());
        let answer = ask(&page, platform, &format!("{url}#row"));
        let config: ChatConfig = answer.ok(200);
        let seen = stage.platforms.seen(&format!("{APP}-{platform}"));
        let company = expected(&config, seen.ticket("company"), &url);
        assert_eq!(config.signature, company, "{platform}");
        assert_eq!(config.platform.name(), platform);
        let second = if platform == "feishu" { 1 } else { 1000 };
        let apart = now().millis() - config.timestamp * second;
        assert!(apart.abs() < CLOCKS_APART, "{platform}: {apart} ms");
        if platform == "wecom" {
            let agent = expected(&config, seen.ticket("agent"), &url);
            assert_eq!(config.agent_signature, Some(agent));
            assert_eq!(config.agent_id.as_deref(), Some("1000247"));
        } else {
            assert_eq!(config.agent_signature, None, "{platform}");
        }
        let text = answer.text();
        for hidden in ["token", "ticket", SECRET] {
            assert!(!text.contains(hidden), "{platform}: {text}");
        }
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // Another page of the same app has another nonce, and the ticket is asked for no more.
        let again: ChatConfig = ask(&page, platform, page.url()).ok(200);
        assert_ne!(again.nonce, config.nonce);
        let after = stage.platforms.seen(&format!("{APP}-{platform}"));
        assert_eq!(after.tickets, seen.tickets, "{platform}");
        assert_eq!(after.tokens.len(), 1, "{platform}");
    }
    assert!(!stage.edge.tail().contains(SECRET));
}

#[test]
fn a_thousand_pages_at_once_cause_one_fetch_of_each_ticket() {
    const PAGES: usize = 1000;
    let stage = stage();
    let account = format!("{OTHER_APP}-wecom");
    // Long enough for all to have asked before the first can be answered.
    let slow = Mood::Slow(Duration::from_millis(1_500));
    stage.platforms.behave(&account, slow);
    let page = page(&stage.edge.other_app());
    let url = page.url();
    let host = stage.edge.origin().replace("http://", "");
    let path = url.strip_prefix(&stage.edge.origin()).expect("its path");
    let request = format!(
        "GET {path}/chat-config?platform=wecom&url={url} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    );
    let streams: Vec<TcpStream> = (0..PAGES)
        .map(|_| {
            let mut stream = TcpStream::connect(&host).expect("a connection");
            stream.write_all(request.as_bytes()).expect("a request");
            stream
        })
        .collect();
    let answers = streams.into_iter().map(|mut stream| {
        let within = Some(Duration::from_secs(60));
        stream.set_read_timeout(within).expect("a timeout");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    let signed = answers
        .filter(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains("agent_signature"))
        .count();
    assert_eq!(signed, PAGES);
    let seen = stage.platforms.seen(&account);
    assert_eq!(seen.tokens.len(), 1);
    assert_eq!(seen.tickets.len(), 2, "{:?}", seen.tickets);
    assert_eq!(seen.requests, 3);
}

#[test]
fn an_ended_ticket_is_renewed() {
    let stage = stage();
    let account = format!("{OTHER_APP}-dingtalk");
    stage.platforms.live(&account, 2);
    let page = page(&stage.edge.other_app());
    let first: ChatConfig = ask(&page, "dingtalk", page.url()).ok(200);
    let old = stage.platforms.seen(&account).ticket("company").to_owned();
    assert_eq!(first.signature, expected(&first, &old, page.url()));
    std::thread::sleep(Duration::from_secs(2));
    let second: ChatConfig = ask(&page, "dingtalk", page.url()).ok(200);
    let new = stage.platforms.seen(&account).ticket("company").to_owned();
    assert_ne!(old, new);
    assert_eq!(second.signature, expected(&second, &new, page.url()));
}

#[test]
fn a_deaf_platform_is_told_of_and_not_asked_again_at_once() {
    let stage = stage();
    let account = format!("{OTHER_APP}-feishu");
    stage.platforms.behave(&account, Mood::Deaf);
    let page = page(&stage.edge.other_app());
    for _ in 0..20 {
        let answer = ask(&page, "feishu", page.url());
        let problem = answer.problem();
        assert_eq!(
            (answer.status, problem.code),
            (503, ProblemCode::ChatUnavailable)
        );
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(stage.platforms.seen(&account).requests, 1);
    // It is back, and after its pause it is asked again.
    stage.platforms.behave(&account, Mood::Well);
    std::thread::sleep(Duration::from_secs(5));
    let config: ChatConfig = ask(&page, "feishu", page.url()).ok(200);
    let ticket = stage.platforms.seen(&account).ticket("company").to_owned();
    assert_eq!(config.signature, expected(&config, &ticket, page.url()));
}

#[test]
fn a_refused_account_and_a_broken_platform_have_their_problems() {
    let stage = stage();
    let account = format!("{OTHER_APP}-wechat");
    let page = page(&stage.edge.other_app());
    for (mood, status, code) in [
        (Mood::Refusing, 502, ProblemCode::ChatRefused),
        (Mood::Broken, 503, ProblemCode::ChatUnavailable),
    ] {
        stage.platforms.behave(&account, mood);
        let before = stage.platforms.seen(&account).requests;
        for _ in 0..10 {
            let answer = ask(&page, "wechat", page.url());
            assert_eq!((answer.status, answer.problem().code), (status, code));
        }
        assert_eq!(stage.platforms.seen(&account).requests, before + 1);
        std::thread::sleep(Duration::from_secs(5));
    }
    assert!(!stage.edge.tail().contains(SECRET));
}

#[test]
fn only_the_links_own_address_is_signed_and_nobody_is_asked_for_another() {
    let stage = stage();
    let page = page(&stage.edge.app());
    let requests = || stage.platforms.seen(&format!("{APP}-wecom")).requests;
    let before = requests();
    for url in [
        "https://evil.example/",
        "",
        &format!("{}x", page.url()),
        &format!("{}/files", page.url()),
        &format!("https://evil.example/?{}", page.url()),
    ] {
        let answer = ask(&page, "wecom", url);
        let problem = answer.problem();
        assert_eq!(
            (answer.status, problem.code),
            (400, ProblemCode::InvalidRequest)
        );
        assert_eq!(problem.field.as_deref(), Some("url"), "{url}");
    }
    let unknown = ask(&page, "line", page.url()).problem();
    assert_eq!(unknown.field.as_deref(), Some("platform"));
    let forged = Page::of(&format!("{}x", page.url()));
    let refused = ask(&forged, "wecom", forged.url()).problem();
    assert_eq!(refused.code, ProblemCode::LinkTokenInvalid);
    // The scenario of the signatures may have run meanwhile: one token, two tickets.
    assert!(requests() - before <= 3);
}

#[test]
fn an_app_without_an_account_has_no_signature() {
    let edge = Setup::new("no-chat").start("http://127.0.0.1:9/nobody");
    let page = page(&edge.app());
    let answer = ask(&page, "wecom", page.url());
    let problem = answer.problem();
    assert_eq!(
        (answer.status, problem.code),
        (404, ProblemCode::ChatNotConfigured)
    );
}

#[test]
fn an_account_gives_no_ticket_to_a_worker_of_another_version() {
    // Its own edge: a worker that was given a ticket asks for none.
    let platforms = Platforms::start();
    let edge = Setup::new("chat-version")
        .with_var("CHAT", &platforms.chat(&[APP]))
        .with_var("CHAT_SECRETS", &Platforms::secrets(&[APP]))
        .start("http://127.0.0.1:9/nobody");
    let page = page(&edge.app());
    let path = format!("/chat-config?platform=wechat&url={}", page.url());
    let newer = ("chatlift-fault", "newer-worker");
    is_asked_again(&page.call("GET", &path, &[newer], None));
    let _: ChatConfig = page.call("GET", &path, &[], None).ok(200);
}
