//! Links: made, read, revoked, and the page that they open.

use chatlift_shared::api::{Link, LinkState};
use chatlift_shared::token::{self, Claims};
use chatlift_shared::{LinkId, ProblemCode, Timestamp};
use chatlift_tests::assertions::{nothing_stored, refused};
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{ANY_FILE, APP, DOCUMENTS, ONE_FILE};
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
    assert_eq!(link.formats, ["image/jpeg", "application/pdf"]);
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
    for (body, code) in [
        (
            json!({ "scene": "no-such-scene" }),
            ProblemCode::SceneUnknown,
        ),
        (
            json!({ "scene": DOCUMENTS, "subjct": "x" }),
            ProblemCode::InvalidRequest,
        ),
        (
            json!({ "scene": DOCUMENTS, "expires_in": 0 }),
            ProblemCode::InvalidRequest,
        ),
        (
            json!({ "scene": DOCUMENTS, "expires_in": 604_801 }),
            ProblemCode::InvalidRequest,
        ),
        (
            json!({ "scene": DOCUMENTS, "subject": long }),
            ProblemCode::InvalidRequest,
        ),
        (json!({ "scene": "../x" }), ProblemCode::InvalidRequest),
        (json!([]), ProblemCode::InvalidRequest),
    ] {
        let problem = refused(&app.call("POST", "/v1/links", &[], Some(&body)), code);
        assert!(
            problem.detail.is_some() || problem.field.is_some(),
            "{body}: {problem:?}"
        );
    }
}

#[test]
fn no_key_and_a_wrong_key_are_refused_on_every_route_for_backends() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let file = app.page(&link).store("a.pdf", &pdf());
    let wrong = App::new(
        stage.edge.origin(),
        "clk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
    );
    for (method, path) in [
        ("POST", "/v1/links".to_owned()),
        ("GET", format!("/v1/links/{}", link.id)),
        ("DELETE", format!("/v1/links/{}", link.id)),
        ("GET", format!("/v1/files/{}", file.id)),
        ("GET", format!("/v1/files/{}/content", file.id)),
        ("DELETE", format!("/v1/files/{}", file.id)),
        ("POST", format!("/v1/files/{}/receipt", file.id)),
    ] {
        let body = json!({ "scene": ANY_FILE });
        let body = (method == "POST").then_some(&body);
        let text = body.map(ToString::to_string);
        let url = format!("{}{path}", stage.edge.origin());
        let bare = send(method, &url, &[], text.as_deref().map(str::as_bytes)).expect("an answer");
        refused(&bare, ProblemCode::ApiKeyMissing);
        refused(
            &wrong.call(method, &path, &[], body),
            ProblemCode::ApiKeyUnknown,
        );
    }
    // Nothing of that has done anything.
    let now = app.get_link(link.id);
    assert_eq!((now.state, now.files.len()), (LinkState::Active, 1));
}

#[test]
fn another_apps_link_and_file_are_not_to_be_found() {
    let stage = shared();
    let (app, other) = (stage.edge.app(), stage.edge.other_app());
    let link = app.link(ANY_FILE);
    let file = app.page(&link).store("a.pdf", &pdf());
    let link_path = format!("/v1/links/{}", link.id);
    let file_path = format!("/v1/files/{}", file.id);
    for method in ["GET", "DELETE"] {
        refused(
            &other.call(method, &link_path, &[], None),
            ProblemCode::LinkNotFound,
        );
        refused(
            &other.call(method, &file_path, &[], None),
            ProblemCode::FileNotFound,
        );
    }
    refused(&other.content(file.id, &[]), ProblemCode::FileNotFound);
    let receipt = json!({ "status": "received" });
    refused(
        &other.call("POST", &format!("{file_path}/receipt"), &[], Some(&receipt)),
        ProblemCode::FileNotFound,
    );
    let event = stage
        .receiver
        .wait_stored(link.id, file.sha256, std::time::Duration::from_secs(20))
        .id;
    let redeliver = format!("/v1/events/{event}/redeliver");
    refused(
        &other.call("POST", &redeliver, &[], None),
        ProblemCode::EventNotFound,
    );
    // It is as it was.
    assert_eq!(app.get_link(link.id).state, LinkState::Active);
    assert_eq!(app.content(file.id, &[]).body, pdf());
}

#[test]
fn what_was_never_made_is_not_to_be_found() {
    let app = shared().edge.app();
    let id = LinkId::from_bytes([1; 12]);
    refused(
        &app.call("GET", &format!("/v1/links/{id}"), &[], None),
        ProblemCode::LinkNotFound,
    );
    refused(
        &app.call("GET", "/v1/links/nonsense", &[], None),
        ProblemCode::LinkNotFound,
    );
    refused(
        &app.call("GET", "/v1/files/nonsense", &[], None),
        ProblemCode::FileNotFound,
    );
    refused(
        &app.call("GET", "/v1/nothing", &[], None),
        ProblemCode::NotFound,
    );
    refused(
        &app.call("PATCH", "/v1/links", &[], None),
        ProblemCode::MethodNotAllowed,
    );
}

/// Tokens that no edge has made, each close to one that it has.
fn false_tokens(token: &str) -> Vec<(&'static str, String)> {
    let flip = |at: usize| {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8_lossy(&bytes).into_owned()
    };
    vec![
        ("altered tag", flip(token.len() - 5)),
        ("altered claims", flip(10)),
        ("altered key id", flip(2)),
        ("cut short", token[..token.len() - 6].to_owned()),
        ("cut to nothing much", token[..4].to_owned()),
        ("longer", format!("{token}AAAA")),
        ("much too long", "A".repeat(1000)),
        ("other letters", "not-a-token-%E5%8F%91".to_owned()),
    ]
}

#[test]
fn forged_and_cut_tokens_are_refused_on_every_route_of_the_page() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let good = app.page(&link);
    let foreign = token::mint(
        &chatlift_shared::mac::KeyRing::parse("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
            .expect("a ring"),
        &Claims {
            link: link.id,
            app: link.app.clone(),
            scene: link.scene.clone(),
            expires_at: 4_000_000_000,
        },
    );
    let mut all = false_tokens(good.token());
    all.push(("another edge's key", foreign));
    for (what, token) in all {
        let page = Page::of(&format!("{}/u/{token}", stage.edge.origin()));
        let code = ProblemCode::LinkTokenInvalid;
        let html = page.call("GET", "", &[], None);
        assert_eq!(html.status, 404, "{what}");
        assert!(
            html.text().contains(code.code()),
            "{what}: the page does not say why"
        );
        let data = page.data();
        assert_eq!(data.problem.map(|p| p.code), Some(code), "{what}");
        assert_eq!(data.link, None, "{what}");
        refused(&page.send_file("a.pdf", &pdf(), &[]), code);
        refused(&page.announce("a.pdf", 10_000_000, &pdf()), code);
        let upload = "upl_AAAAAAAAAAAAAAAAAAAAAAAA";
        refused(
            &page.call(
                "POST",
                &format!("/uploads/{upload}/complete"),
                &[],
                Some(b"{}"),
            ),
            code,
        );
        refused(
            &page.call(
                "PUT",
                &format!("/uploads/{upload}/parts/1"),
                &[],
                Some(b"x"),
            ),
            code,
        );
        refused(
            &page.call("DELETE", &format!("/uploads/{upload}"), &[], None),
            code,
        );
    }
    nothing_stored(&stage, &app, &link);
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
fn a_token_whose_time_is_over_is_refused_whatever_the_links_object_says() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    // Signed with the edge's own key, for a link that is alive: only the token's time is over.
    let past = u64::try_from(now().secs() - 1).expect("after 1970");
    let claims = Claims {
        link: link.id,
        app: link.app.clone(),
        scene: link.scene.clone(),
        expires_at: past,
    };
    let page = Page::of(&format!(
        "{}/u/{}",
        stage.edge.origin(),
        token::mint(&stage.edge.keys(), &claims)
    ));
    refused(
        &page.send_file("a.pdf", &pdf(), &[]),
        ProblemCode::LinkExpired,
    );
    refused(
        &page.announce("a.pdf", 10_000_000, &pdf()),
        ProblemCode::LinkExpired,
    );
    assert_eq!(page.call("GET", "", &[], None).status, 410);
    nothing_stored(&stage, &app, &link);
}

#[test]
fn a_genuine_token_of_a_link_that_does_not_exist_stores_nothing() {
    let stage = shared();
    let claims = Claims {
        link: LinkId::from_bytes([9; 12]),
        app: APP.parse().expect("an app"),
        scene: ANY_FILE.parse().expect("a scene"),
        expires_at: u64::try_from(now().secs() + 600).expect("after 1970"),
    };
    let page = Page::of(&format!(
        "{}/u/{}",
        stage.edge.origin(),
        token::mint(&stage.edge.keys(), &claims)
    ));
    refused(
        &page.send_file("a.pdf", &pdf(), &[]),
        ProblemCode::LinkNotFound,
    );
    refused(
        &page.announce("a.pdf", 10_000_000, &pdf()),
        ProblemCode::LinkNotFound,
    );
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
