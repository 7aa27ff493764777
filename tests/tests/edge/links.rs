//! Links: made, read, revoked, and the page that they open.

use chatlift_shared::api::{Link, LinkState};
use chatlift_shared::{ProblemCode, Timestamp};
use chatlift_tests::assertions::{nothing_stored, refused};
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, APP, DOCUMENT_FORMATS, DOCUMENTS, ONE_FILE};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::send;
use chatlift_tests::scratch::now;
use chatlift_tests::stage::shared;
use serde_json::json;

#[test]
fn a_link_says_where_to_go_until_when_and_what_to_share() {
    let stage = shared();
    let before = now();
    let body = json!({ "scene": DOCUMENTS, "subject": "case-7", "metadata": { "k": "v" }, "expires_in": 60 });
    let answer = stage.edge.app().call("POST", "/v1/links", &[], Some(&body));
    let link: Link = answer.ok(201);
    assert_eq!(
        answer.header("location"),
        Some(format!("/v1/links/{}", link.id).as_str())
    );
    assert_eq!(
        (link.app.as_str(), link.scene.as_str(), link.state),
        (APP, DOCUMENTS, LinkState::Active)
    );
    assert_eq!(
        (link.subject.as_deref(), link.metadata["k"].as_str()),
        (Some("case-7"), "v")
    );
    assert!(
        link.url.starts_with(&format!("{}/u/", stage.edge.origin())),
        "{}",
        link.url
    );
    let life = before.until(link.expires_at).as_secs();
    assert!((59..=90).contains(&life), "{life} s");
    for lang in ["en", "zh-CN"] {
        assert!(
            link.share_text[lang].contains(&link.url),
            "{:?}",
            link.share_text
        );
    }
    assert_eq!(link.formats, DOCUMENT_FORMATS);
    assert_eq!(stage.edge.app().get_link(link.id), link);
    assert!(Page::of(&link.url).token().len() <= 80);
}

#[test]
fn the_same_idempotency_key_makes_one_link() {
    let stage = shared();
    let (app, key) = (stage.edge.app(), [("idempotency-key", "order-1")]);
    let body = json!({ "scene": DOCUMENTS });
    let first: Link = app.call("POST", "/v1/links", &key, Some(&body)).ok(201);
    let second: Link = app.call("POST", "/v1/links", &key, Some(&body)).ok(201);
    assert_eq!((first.id, &first.url), (second.id, &second.url));
    let other = app.call(
        "POST",
        "/v1/links",
        &key,
        Some(&json!({ "scene": ANY_FILE })),
    );
    refused(&other, ProblemCode::IdempotencyKeyReused);
    // Another tenant's keys are its own.
    let theirs: Link = stage
        .edge
        .other_app()
        .call(
            "POST",
            "/v1/links",
            &key,
            Some(&json!({ "scene": ANY_FILE })),
        )
        .ok(201);
    assert_ne!(theirs.id, first.id);
    let fresh: Link = app
        .call(
            "POST",
            "/v1/links",
            &[("idempotency-key", "order-2")],
            Some(&body),
        )
        .ok(201);
    assert_ne!(fresh.id, first.id);
}

#[test]
fn a_link_that_cannot_be_made_says_which_field_is_wrong() {
    let app = shared().edge.app();
    let long = "x".repeat(201);
    let invalid = ProblemCode::InvalidRequest;
    for (field, body, code) in [
        (
            "scene",
            json!({ "scene": "no-such-scene" }),
            ProblemCode::SceneUnknown,
        ),
        ("scene", json!({ "scene": "../x" }), invalid),
        ("scene", json!({ "scene": 3 }), invalid),
        ("scene", json!({}), invalid),
        (
            "subjct",
            json!({ "scene": DOCUMENTS, "subjct": "x" }),
            invalid,
        ),
        (
            "subject",
            json!({ "scene": DOCUMENTS, "subject": long }),
            invalid,
        ),
        (
            "expires_in",
            json!({ "scene": DOCUMENTS, "expires_in": 0 }),
            invalid,
        ),
        (
            "expires_in",
            json!({ "scene": DOCUMENTS, "expires_in": "3600" }),
            invalid,
        ),
        (
            "expires_in",
            json!({ "scene": DOCUMENTS, "expires_in": 604_801 }),
            ProblemCode::BeyondScene,
        ),
        ("body", json!([]), invalid),
    ] {
        let problem = refused(&app.call("POST", "/v1/links", &[], Some(&body)), code);
        assert_eq!(problem.field.as_deref(), Some(field), "{body}: {problem:?}");
    }
}

#[test]
fn an_expired_link_takes_nothing_and_says_so() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link_with(json!({ "scene": ANY_FILE, "expires_in": 1 }));
    let page = app.page(&link);
    std::thread::sleep(now().until(link.expires_at) + std::time::Duration::from_millis(50));
    let code = ProblemCode::LinkExpired;
    assert_eq!(page.call("GET", "", &[], None).status, 410);
    let data = page.data();
    assert_eq!(data.problem.map(|p| p.code), Some(code));
    refused(&page.send_file("a.pdf", &pdf(), &[]), code);
    refused(&page.announce("a.pdf", 10_000_000, &pdf()), code);
    nothing_stored(&stage, &app, &link);
    assert_eq!(app.get_link(link.id).state, LinkState::Expired);
}

#[test]
fn a_revoked_link_takes_nothing_and_says_so() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    assert_eq!(app.revoke(link.id).status, 204);
    assert_eq!(app.revoke(link.id).status, 204, "again is fine");
    let code = ProblemCode::LinkRevoked;
    assert_eq!(page.call("GET", "", &[], None).status, 410);
    assert_eq!(page.data().problem.map(|p| p.code), Some(code));
    refused(&page.send_file("a.pdf", &pdf(), &[]), code);
    refused(&page.announce("a.pdf", 10_000_000, &pdf()), code);
    nothing_stored(&stage, &app, &link);
    assert_eq!(app.get_link(link.id).state, LinkState::Revoked);
}

#[test]
fn a_link_that_has_all_its_files_is_completed_and_full() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ONE_FILE);
    let page = app.page(&link);
    let file = page.store("a.pdf", &pdf());
    refused(&page.send_file("b.pdf", &pdf(), &[]), ProblemCode::LinkFull);
    refused(
        &page.announce("b.pdf", 10_000_000, &pdf()),
        ProblemCode::LinkFull,
    );
    let now = app.get_link(link.id);
    assert_eq!(
        (now.state, now.files.len(), now.files[0].id),
        (LinkState::Completed, 1, file.id)
    );
    let data = page.data();
    assert_eq!(
        data.link.map(|l| (l.state, l.files_left)),
        Some((LinkState::Completed, 0))
    );
}

#[test]
fn the_page_carries_the_links_policy_a_preview_card_and_its_language() {
    let stage = shared();
    let link = stage.edge.app().link(DOCUMENTS);
    let page = Page::of(&link.url);
    for (accept, lang, app_name, title) in [
        (
            "en-US,en;q=0.9",
            "en",
            "Harbour Insurance",
            "Documents for your claim",
        ),
        ("zh-CN,zh;q=0.9", "zh-CN", "海港保险", "理赔材料"),
        ("fr", "en", "Harbour Insurance", "Documents for your claim"),
    ] {
        let answer = page.call("GET", "", &[("accept-language", accept)], None);
        let html = answer.text();
        assert_eq!(answer.status, 200, "{html}");
        assert!(
            answer
                .header("content-type")
                .is_some_and(|t| t.starts_with("text/html"))
        );
        assert!(html.contains(&format!("lang=\"{lang}\"")), "{accept}");
        for shown in [app_name, title, "og:title", "/assets/page-"] {
            assert!(html.contains(shown), "{accept}: no {shown} in {html}");
        }
        assert!(
            !html.contains("<!--chatlift:head-->"),
            "the marker is still there"
        );
        let data: chatlift_shared::api::PageData = page
            .call("GET", "/page", &[("accept-language", accept)], None)
            .ok(200);
        assert_eq!(data.lang, lang);
        let shown = data.link.expect("a link");
        assert_eq!(
            (shown.app_name.as_str(), shown.title.as_str()),
            (app_name, title)
        );
        assert_eq!((shown.max_files, shown.files_left), (10, 10));
    }
    let asked: chatlift_shared::api::PageData =
        page.call("GET", "/page?lang=zh-CN", &[], None).ok(200);
    assert_eq!(asked.lang, "zh-CN");
}

#[test]
fn reading_a_link_many_times_uses_nothing_up() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ONE_FILE);
    let page = app.page(&link);
    for _ in 0..5 {
        assert_eq!(
            page.call("GET", "", &[("user-agent", "WhatsApp/2.23")], None)
                .status,
            200
        );
        assert_eq!(page.call("HEAD", "", &[], None).status, 200);
    }
    assert_eq!(app.get_link(link.id), link);
    let _ = page.store("a.pdf", &pdf());
}

#[test]
fn the_pages_files_are_kept_for_good_and_the_page_is_not() {
    let stage = shared();
    let link = stage.edge.app().link(DOCUMENTS);
    let answer = Page::of(&link.url).call("GET", "", &[], None);
    let cache = answer.header("cache-control").unwrap_or_default();
    assert!(
        cache.contains("no-store") || cache.contains("no-cache"),
        "the page: {cache:?}"
    );
    let html = answer.text();
    let at = html.find("/assets/page-").expect("an asset");
    let path: String = html[at..].chars().take_while(|c| *c != '"').collect();
    let asset =
        send("GET", &format!("{}{path}", stage.edge.origin()), &[], None).expect("an answer");
    assert_eq!(asset.status, 200);
    assert!(
        asset
            .header("cache-control")
            .is_some_and(|c| c.contains("immutable")),
        "{:?}",
        asset.headers
    );
}

#[test]
fn times_are_rfc_3339_in_utc() {
    let link = shared().edge.app().link(DOCUMENTS);
    let json = serde_json::to_value(&link).expect("JSON");
    for field in ["created_at", "expires_at"] {
        let text = json[field].as_str().expect("text");
        assert!(
            text.ends_with('Z') && text.parse::<Timestamp>().is_ok(),
            "{text}"
        );
    }
}
