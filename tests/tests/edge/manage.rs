//! What a backend does with its links: narrows, lists, extends, closes them, protects them by a
//! password, shows them as a QR code.

use std::time::Duration;

use chatlift_shared::api::{Erased, Link, LinkList, LinkPass, LinkState, LinkSummary, PageFile};
use chatlift_shared::{LinkId, ProblemCode};
use chatlift_tests::assertions::{nothing_stored, refused};
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{ANY_FILE, BRIEF, DOCUMENTS};
use chatlift_tests::fixtures::{Random, pdf, png};
use chatlift_tests::scratch::{now, wait_for};
use chatlift_tests::stage::{Stage, shared};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(30);

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn patch(app: &App, id: LinkId, secs: u64) -> chatlift_tests::http::Answer {
    let body = json!({ "expires_in": secs });
    app.call("PATCH", &format!("/v1/links/{id}"), &[], Some(&body))
}

#[test]
fn a_link_may_ask_for_less_than_its_scene_and_the_page_keeps_to_it() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link_with(json!({
        "scene": DOCUMENTS, "max_files": 1, "max_file_size": 5_000_000,
        "accept": ["application/pdf"], "title": { "en": "Your invoice", "ja": "請求書" },
        "hint": "The one of May."
    }));
    assert_eq!((link.max_files, link.max_file_size), (1, 5_000_000));
    assert_eq!(link.accept, ["application/pdf"]);
    assert!(link.share_text["ja"].starts_with("請求書 · "));
    let page = app.page(&link);
    let shown = page.data().link.expect("a link");
    assert_eq!(
        (shown.title.as_str(), shown.hint.as_str(), shown.max_files),
        ("Your invoice", "The one of May.", 1)
    );
    refused(
        &page.send_file("a.png", &png(), &[]),
        ProblemCode::FileTypeNotAccepted,
    );
    refused(
        &page.announce("a.pdf", 5_000_001, &pdf()),
        ProblemCode::FileTooLarge,
    );
    let _ = page.store("a.pdf", &pdf());
    refused(&page.send_file("b.pdf", &pdf(), &[]), ProblemCode::LinkFull);
}

#[test]
fn a_link_beyond_its_scene_is_refused_by_its_field() {
    let app = shared().edge.app();
    for (more, field) in [
        (json!({ "max_files": 11 }), "max_files"),
        (json!({ "max_file_size": 1_u64 << 40 }), "max_file_size"),
        (json!({ "accept": ["video/mp4"] }), "accept[0]"),
        (
            json!({ "return_url": "https://evil.example/" }),
            "return_url",
        ),
        (json!({ "expires_in": 604_801 }), "expires_in"),
    ] {
        let mut body = json!({ "scene": DOCUMENTS });
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        let answer = app.call("POST", "/v1/links", &[], Some(&body));
        let problem = refused(&answer, ProblemCode::BeyondScene);
        assert_eq!(problem.field.as_deref(), Some(field));
    }
}

#[test]
fn an_extended_link_goes_on_also_from_its_old_address() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link_with(json!({ "scene": ANY_FILE, "expires_in": 3 }));
    let open = app.page(&link);
    let film = Random {
        seed: 5,
        size: 9_000_000,
    };
    let begun = open.announce_random("film.mp4", film);
    let longer: Link = patch(&app, link.id, 600).ok(200);
    assert!(longer.expires_at > link.expires_at && longer.url != link.url);
    let _ = app.page(&longer).store("a.pdf", &pdf());
    std::thread::sleep(now().until(link.expires_at) + Duration::from_millis(1100));
    // A page that was open goes on with what it has.
    let parts = open.send_parts(&begun, film);
    let _: PageFile = open.complete(begun.id, film.sha256(), &parts, &[]).ok(200);
    // The old address stands in a chat: it leads to the new one.
    let old = app.page(&link);
    let answer = old.call("GET", "", &[], None);
    assert_eq!(answer.status, 302);
    assert!(
        longer
            .url
            .ends_with(answer.header("location").expect("an address"))
    );
    assert_eq!(app.page(&longer).call("GET", "", &[], None).status, 200);
    assert_eq!(app.get_link(link.id).state, LinkState::Active);
    let sooner = refused(&patch(&app, link.id, 60), ProblemCode::InvalidRequest);
    assert_eq!(sooner.field.as_deref(), Some("expires_in"));
    let beyond = refused(&patch(&app, link.id, 604_801), ProblemCode::BeyondScene);
    assert_eq!(beyond.limit, Some(604_800));
    refused(
        &patch(&stage.edge.other_app(), link.id, 600),
        ProblemCode::LinkNotFound,
    );
}

#[test]
fn a_closed_link_keeps_its_files_and_takes_no_more() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = page.store("a.pdf", &pdf());
    let close = |app: &App| app.call("POST", &format!("/v1/links/{}/close", link.id), &[], None);
    refused(&close(&stage.edge.other_app()), ProblemCode::LinkNotFound);
    let closed: Link = close(&app).ok(200);
    assert_eq!(closed.state, LinkState::Completed);
    assert_eq!(close(&app).ok::<Link>(200).files.len(), 1, "again");
    refused(&page.send_file("b.pdf", &pdf(), &[]), ProblemCode::LinkFull);
    assert_eq!(app.content(file.id, &[]).body, pdf());
    wait_for("file.stored and link.completed", WITHIN, || {
        (stage.receiver.about(link.id).len() >= 2).then_some(())
    });
}

fn list(app: &App, query: &str) -> LinkList {
    app.call("GET", &format!("/v1/links{query}"), &[], None)
        .ok(200)
}

fn ids(links: &[LinkSummary]) -> Vec<LinkId> {
    links.iter().map(|l| l.id).collect()
}

#[test]
fn links_are_listed_by_subject_state_and_page_and_each_app_sees_its_own() {
    // Its own edge: one page must hold all links of the app.
    let stage = Stage::new("list");
    let app = stage.edge.app();
    let subject = "list-of-case-7";
    let mut made: Vec<Link> = (0..5)
        .map(|_| {
            // Some milliseconds apart, so that their order is known.
            std::thread::sleep(Duration::from_millis(5));
            app.link_with(json!({ "scene": ANY_FILE, "subject": subject }))
        })
        .collect();
    made.reverse();
    let expected: Vec<_> = made.iter().map(|l| l.id).collect();
    let query = format!("?subject={subject}");
    wait_for("all five in the list", WITHIN, || {
        (list(&app, &query).links.len() == 5).then_some(())
    });
    assert_eq!(ids(&list(&app, &query).links), expected);
    // In pages of two.
    let (mut got, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&app, &format!("{query}&limit=2{cursor}"));
        got.extend(ids(&page.links));
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(got, expected);
    // Among all of the app's, over all objects of the list.
    let all = ids(&list(&app, "?limit=100").links);
    assert!(expected.iter().all(|id| all.contains(id)), "{all:?}");
    assert_eq!(app.revoke(made[1].id).status, 204);
    let revoked = format!("{query}&state=revoked");
    wait_for("the revoked one", WITHIN, || {
        (ids(&list(&app, &revoked).links) == [made[1].id]).then_some(())
    });
    assert_eq!(list(&app, &format!("{query}&state=active")).links.len(), 4);
    assert_eq!(list(&stage.edge.other_app(), &query).links, []);
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?cursor=x", "cursor"),
        ("?state=open", "state"),
        ("?subjct=x", "subjct"),
    ] {
        let answer = app.call("GET", &format!("/v1/links{query}"), &[], None);
        let problem = refused(&answer, ProblemCode::InvalidRequest);
        assert_eq!(problem.field.as_deref(), Some(field));
    }
}

fn protected(app: &App) -> Link {
    let link = app.link_with(json!({ "scene": ANY_FILE, "password": "tide 47/11" }));
    assert!(link.password);
    let raw: Value = app
        .call("GET", &format!("/v1/links/{}", link.id), &[], None)
        .ok(200);
    assert!(!raw.to_string().contains("tide"), "the password is told");
    link
}

#[test]
fn a_link_with_a_password_asks_before_it_shows_or_takes_anything() {
    let stage = shared();
    let app = stage.edge.app();
    let link = protected(&app);
    let page = app.page(&link);
    let asked = page.call("GET", "", &[("accept-language", "ja")], None);
    assert_eq!(asked.status, 200);
    assert!(asked.text().contains("パスワード") && asked.text().contains("Harbour Insurance"));
    assert!(asked.text().len() < 4_000, "{} bytes", asked.text().len());
    refused(
        &page.send_file("a.pdf", &pdf(), &[]),
        ProblemCode::PasswordRequired,
    );
    refused(
        &page.announce("a.pdf", 10_000_000, &pdf()),
        ProblemCode::PasswordRequired,
    );
    let data: Value = page.call("GET", "/page", &[], None).ok(200);
    assert_eq!(data["problem"]["code"], "password-required");
    assert!(data.get("link").is_none(), "{data}");
    // Of another link, or made up.
    let other = protected(&app);
    let theirs = app.page(&other).call(
        "POST",
        "/password",
        &[("content-type", "application/json")],
        Some(br#"{"password":"tide 47/11"}"#),
    );
    let theirs: LinkPass = theirs.ok(200);
    for pass in [theirs.pass.as_str(), "AAAA", link.url.as_str()] {
        refused(
            &page.send_file("a.pdf", &pdf(), &[("link-pass", pass)]),
            ProblemCode::PasswordRequired,
        );
    }
    nothing_stored(&stage, &app, &link);
}

#[test]
fn the_right_password_opens_the_link_for_a_browser_and_for_a_client() {
    let stage = shared();
    let app = stage.edge.app();
    let link = protected(&app);
    let page = app.page(&link);
    let wrong = page.call("POST", "/password", &[FORM], Some(b"password=tide"));
    assert_eq!(wrong.status, 403);
    assert!(wrong.text().contains("The password is wrong"));
    let right = page.call("POST", "/password", &[FORM], Some(b"password=tide+47%2F11"));
    assert_eq!(right.status, 303);
    assert!(
        link.url
            .ends_with(right.header("location").expect("an address"))
    );
    let cookie = right.header("set-cookie").expect("a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().expect("a value");
    let shown = page.call("GET", "", &[("cookie", cookie)], None);
    assert!(shown.status == 200 && !shown.text().contains("name=\"password\""));
    let stored = page.send_file("a.pdf", &pdf(), &[("cookie", cookie)]);
    assert_eq!(stored.status, 201, "{}", stored.text());
    let json = ("content-type", "application/json");
    let body = br#"{"password":"tide 47/11"}"#;
    let pass: LinkPass = page.call("POST", "/password", &[json], Some(body)).ok(200);
    assert_eq!(pass.expires_at, link.expires_at);
    let stored = page.send_file("b.pdf", &png(), &[("link-pass", &pass.pass)]);
    assert_eq!(stored.status, 201, "{}", stored.text());
}

#[test]
fn a_browser_that_keeps_no_cookie_is_told_so_when_the_password_was_right() {
    let stage = shared();
    let app = stage.edge.app();
    let link = protected(&app);
    let page = app.page(&link);
    let form = page.call("GET", "", &[], None);
    assert!(form.text().contains(r#"name="form" value="1""#));
    let cookie = form.header("set-cookie").expect("a cookie").to_owned();
    let cookie = cookie.split(';').next().expect("a value");
    let body: &[u8] = b"form=1&password=tide+47%2F11";
    let refused = page.call("POST", "/password", &[FORM], Some(body));
    assert_eq!(refused.status, 401);
    assert!(
        refused.text().contains("refused the cookie"),
        "{}",
        refused.text()
    );
    let kept = page.call("POST", "/password", &[FORM, ("cookie", cookie)], Some(body));
    assert_eq!(kept.status, 303);
}

#[test]
fn a_password_is_guessed_a_few_times_only_also_at_once() {
    let stage = shared();
    let app = stage.edge.app();
    let link = protected(&app);
    let guesses: Vec<_> = (0..12)
        .map(|_| {
            let page = Page::of(&link.url);
            std::thread::spawn(move || {
                let json = ("content-type", "application/json");
                page.call(
                    "POST",
                    "/password",
                    &[json],
                    Some(br#"{"password":"guess"}"#),
                )
            })
        })
        .collect();
    let answers: Vec<_> = guesses
        .into_iter()
        .map(|g| g.join().expect("an answer"))
        .collect();
    let wrong = answers.iter().filter(|a| a.status == 403).count();
    assert_eq!(wrong, 5);
    let locked = answers.iter().find(|a| a.status == 429).expect("a lock");
    let problem = refused(locked, ProblemCode::PasswordLocked);
    let secs = problem.retry_after.expect("seconds");
    assert!((1..=60).contains(&secs), "{secs}");
    assert_eq!(
        locked.header("retry-after"),
        Some(secs.to_string().as_str())
    );
    // The right one too has to wait.
    let json = ("content-type", "application/json");
    let right = app.page(&link).call(
        "POST",
        "/password",
        &[json],
        Some(br#"{"password":"tide 47/11"}"#),
    );
    refused(&right, ProblemCode::PasswordLocked);
}

#[test]
fn a_link_is_shown_as_a_qr_code() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let code = |app: &App, link: &Link, form: &str| {
        let path = format!("/v1/links/{}/qr.{form}", link.id);
        app.call("GET", &path, &[], None)
    };
    let svg = code(&app, &link, "svg");
    assert_eq!(svg.header("content-type"), Some("image/svg+xml"));
    assert!(svg.text().starts_with("<svg "), "{}", svg.text());
    let png = code(&app, &link, "png");
    assert_eq!(png.header("content-type"), Some("image/png"));
    assert!(png.body.starts_with(b"\x89PNG\r\n\x1a\n"));
    refused(
        &code(&stage.edge.other_app(), &link, "png"),
        ProblemCode::LinkNotFound,
    );
    refused(&code(&app, &link, "gif"), ProblemCode::NotFound);
    // The page of a link that has its files still opens, that of a revoked one does not.
    let (full, revoked) = (app.link(ANY_FILE), app.link(ANY_FILE));
    let close = format!("/v1/links/{}/close", full.id);
    assert_eq!(app.call("POST", &close, &[], Some(&json!({}))).status, 200);
    assert_eq!(app.revoke(revoked.id).status, 204);
    for form in ["svg", "png"] {
        assert_eq!(code(&app, &full, form).status, 200);
        refused(&code(&app, &revoked, form), ProblemCode::LinkRevoked);
    }
}

#[test]
fn an_expired_link_has_no_qr_code() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link_with(json!({ "scene": ANY_FILE, "expires_in": 1 }));
    std::thread::sleep(now().until(link.expires_at) + Duration::from_millis(50));
    let path = format!("/v1/links/{}/qr.svg", link.id);
    refused(&app.call("GET", &path, &[], None), ProblemCode::LinkExpired);
}

/// When a link that was used has ended, nothing of it is left.
#[test]
fn a_link_that_was_used_and_has_ended_is_forgotten() {
    let stage = shared();
    let app = stage.edge.app();
    let body = json!({ "scene": BRIEF, "expires_in": 4, "file_retention": 2, "subject": "brief" });
    let link = app.link_with(body);
    let page = app.page(&link);
    let file = page.store("a.pdf", &pdf());
    let _ = page.announce_random(
        "b.bin",
        Random {
            seed: 3,
            size: 20_000_000,
        },
    );
    wait_for("it to be forgotten", WITHIN, || {
        (app.call("GET", &format!("/v1/links/{}", link.id), &[], None)
            .status
            == 404)
            .then_some(())
    });
    assert_eq!(list(&app, "?subject=brief").links, []);
    refused(&app.content(file.id, &[]), ProblemCode::FileNotFound);
    let told: Vec<_> = stage.receiver.about(link.id);
    assert_eq!(told.len(), 3, "stored, expired, deleted: {told:?}");
}

#[test]
fn a_link_that_is_erased_is_gone_with_all_that_it_has() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link_with(json!({ "scene": ANY_FILE, "subject": "erased" }));
    let page = app.page(&link);
    let file = page.store("a.pdf", &pdf());
    let begun = Random {
        seed: 4,
        size: 20_000_000,
    };
    let upload = page.announce_random("b.bin", begun);
    let _ = page.send_parts(&upload, begun);
    let path = format!("/v1/links/{}?erase=true", link.id);
    refused(
        &stage.edge.other_app().call("DELETE", &path, &[], None),
        ProblemCode::LinkNotFound,
    );
    let erased: Erased = app.call("DELETE", &path, &[], None).ok(200);
    assert_eq!(
        (erased.files, erased.uploads, erased.left),
        (vec![file.id], 1, 0)
    );
    refused(
        &app.call("GET", &format!("/v1/links/{}", link.id), &[], None),
        ProblemCode::LinkNotFound,
    );
    assert_eq!(list(&app, "?subject=erased").links, []);
    refused(
        &page.send_file("c.pdf", &pdf(), &[]),
        ProblemCode::LinkNotFound,
    );
}
