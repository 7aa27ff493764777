//! What an operator relies on: limits on requests, uploads from apps' own pages, downloads without a key, deletion that deletes.

use std::time::Duration;

use chatlift_shared::ProblemCode;
use chatlift_shared::api::DownloadUrl;
use chatlift_tests::assertions::refused;
use chatlift_tests::client::App;
use chatlift_tests::edge::{ANY_FILE, MANY_FILES, ORIGIN, Setup};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::{Answer, send};
use chatlift_tests::receiver::Receiver;
use chatlift_tests::scratch::{early_in_a_minute, wait_for};
use chatlift_tests::serial::{Serial, TUS};
use chatlift_tests::stage::{Stage, shared};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn too_many_requests_about_a_link_or_from_an_address_are_told_to_wait() {
    let setup = Setup::new("rates").with_wrangler(
        "\n[[ratelimits]]\nname = \"RATE_LINK\"\nnamespace_id = \"1\"\n\
         simple = { limit = 5, period = 60 }\n\
         \n[[ratelimits]]\nname = \"RATE_ADDRESS\"\nnamespace_id = \"2\"\n\
         simple = { limit = 12, period = 60 }\n",
    );
    let receiver = Receiver::start(&[&setup.app.webhook_secret, &setup.other_app.webhook_secret]);
    let edge = setup.start(&receiver.url());
    let app = edge.app();
    let (busy, quiet) = (app.link(ANY_FILE), app.link(ANY_FILE));
    let get = |page: &chatlift_tests::client::Page| page.call("GET", "/page", &[], None);
    let limited = |answers: &[chatlift_tests::http::Answer]| {
        answers.iter().filter(|a| a.status == 429).count()
    };
    early_in_a_minute();
    let answers: Vec<_> = (0..8).map(|_| get(&app.page(&busy))).collect();
    assert_eq!(limited(&answers), 3, "about one link");
    let answer = answers.iter().find(|a| a.status == 429).expect("one");
    let problem = refused(answer, ProblemCode::RateLimited);
    assert_eq!(problem.retry_after, Some(60));
    assert_eq!(answer.header("retry-after"), Some("60"));
    // Another link is not meant, until the address itself has asked too often.
    let answers: Vec<_> = (0..5).map(|_| get(&app.page(&quiet))).collect();
    assert_eq!(limited(&answers), 1, "from one address");
    // The backend is not counted.
    assert_eq!(app.get_link(busy.id).id, busy.id);
}

#[test]
fn a_chat_platform_finds_the_file_that_proves_whose_the_domain_is() {
    let setup = Setup::new("domain").with_var(
        "DOMAIN_FILES",
        r#"{"MP_verify_a1B2c3.txt":"a1B2c3","WW_verify_x9.txt":"x9"}"#,
    );
    let receiver = Receiver::start(&[&setup.app.webhook_secret, &setup.other_app.webhook_secret]);
    let edge = setup.start(&receiver.url());
    let get = |path: &str| {
        send("GET", &format!("{}{path}", edge.origin()), &[], None).expect("an answer")
    };
    for (path, content) in [
        ("/MP_verify_a1B2c3.txt", "a1B2c3"),
        ("/WW_verify_x9.txt", "x9"),
    ] {
        let answer = get(path);
        assert_eq!((answer.status, answer.text().as_str()), (200, content));
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain"), "{path}: {kind}");
    }
    for path in ["/MP_verify_other.txt", "/assets/MP_verify_a1B2c3.txt"] {
        assert_eq!(get(path).status, 404, "{path}");
    }
}

#[test]
fn the_page_without_its_link_is_not_served() {
    let edge = &shared().edge;
    for path in [
        "/index.html",
        "/index%2Ehtml",
        "//index.html",
        "/%69ndex.html",
    ] {
        let answer =
            send("GET", &format!("{}{path}", edge.origin()), &[], None).expect("an answer");
        refused(&answer, ProblemCode::NotFound);
    }
}

/// An edge that takes `limit` requests a minute by this binding, early in a minute.
fn limited(name: &str, binding: &str, limit: u32) -> Stage {
    let stage = Stage::with(Setup::new(name).with_wrangler(&format!(
        "\n[[ratelimits]]\nname = \"{binding}\"\nnamespace_id = \"1\"\n\
         simple = {{ limit = {limit}, period = 60 }}\n"
    )));
    early_in_a_minute();
    stage
}

/// The answer says to wait, as a client without a browser reads it.
#[track_caller]
fn told_to_wait(answer: &Answer) {
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let body: Value = serde_json::from_slice(&answer.body).expect("a problem");
    let kind = body["type"].as_str().expect("a type");
    assert!(kind.ends_with("/problems/rate-limited"), "{kind}");
    assert_eq!(
        refused(answer, ProblemCode::RateLimited).retry_after,
        Some(60)
    );
}

#[test]
fn making_uploads_over_and_over_is_limited_and_their_bytes_are_not() {
    const LIMIT: u32 = 5;
    let stage = limited("rates-uploads", "RATE_LINK", LIMIT);
    let app = stage.edge.app();
    let begun = [("upload-complete", "?0"), ("upload-length", "100")];
    for (way, headers) in [
        ("/resumable", begun.as_slice()),
        (
            "/tus",
            &[("tus-resumable", "1.0.0"), ("upload-length", "100")],
        ),
    ] {
        let page = app.page(&app.link(MANY_FILES));
        let answers: Vec<_> = (0..LIMIT + 3)
            .map(|_| page.call("POST", way, headers, Some(&[])))
            .collect();
        let (made, over) = answers.split_at(LIMIT as usize);
        for answer in made {
            assert_eq!(answer.status, 201, "{way}: {}", answer.text());
        }
        for answer in over {
            assert_eq!(answer.status, 429, "{way}: {}", answer.text());
            told_to_wait(answer);
            let version = (way == "/tus").then_some("1.0.0");
            assert_eq!(answer.header("tus-resumable"), version);
        }
        // What was made goes on.
        let upload = Serial::at(&page, &made[0]);
        for offset in 0..u64::from(LIMIT) + 3 {
            let answer = match way {
                "/tus" => {
                    let offset = offset.to_string();
                    let headers = [
                        ("tus-resumable", "1.0.0"),
                        ("x-http-method-override", "PATCH"),
                        ("content-type", TUS),
                        ("upload-offset", &*offset),
                    ];
                    upload.call("POST", &headers, Some(b"x"))
                }
                _ => upload.append(offset, b"x", false, &[]),
            };
            assert_eq!(answer.status, 204, "{way}: {}", answer.text());
        }
        // To look at it counts.
        assert_eq!(
            upload
                .call("HEAD", &[("tus-resumable", "1.0.0")], None)
                .status,
            429
        );
    }
    let page = app.page(&app.link(MANY_FILES));
    let files: Vec<_> = (0..LIMIT + 1)
        .map(|_| page.send_file("a.pdf", &pdf(), &[]).status)
        .collect();
    assert_eq!(files, [201, 201, 201, 201, 201, 429]);
}

#[test]
fn wrong_keys_from_one_address_are_limited_and_the_right_one_is_not() {
    const LIMIT: u32 = 5;
    let stage = limited("rates-keys", "RATE_KEY", LIMIT);
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let path = format!("/v1/links/{}", link.id);
    let guess = |n: u32| {
        let stranger = App::new(stage.edge.origin(), format!("clk_{n:043}"));
        stranger.call("GET", &path, &[], None)
    };
    for n in 0..LIMIT {
        refused(&guess(n), ProblemCode::ApiKeyUnknown);
    }
    // Another path, method or key makes no difference.
    told_to_wait(&guess(LIMIT));
    let stranger = App::new(stage.edge.origin(), "x".to_owned());
    told_to_wait(&stranger.call("POST", "/v1/links", &[], None));
    told_to_wait(&stranger.call("GET", "/v1/links", &[], None));
    // Who forgets the key guesses nothing.
    let url = format!("{}{path}", stage.edge.origin());
    let bare = send("GET", &url, &[], None).expect("an answer");
    refused(&bare, ProblemCode::ApiKeyMissing);
    // The backend that has the key goes on from the same address, as often as it likes.
    for _ in 0..3 * LIMIT {
        assert_eq!(app.get_link(link.id).id, link.id);
    }
    told_to_wait(&guess(LIMIT + 1));
}

#[test]
fn an_apps_own_page_may_upload_and_no_other() {
    let stage = shared();
    let app = stage.edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let ask = |origin: &str| {
        page.call(
            "OPTIONS",
            "/uploads",
            &[
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "content-type"),
            ],
            None,
        )
    };
    let allowed = ask(ORIGIN);
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(ORIGIN));
    let headers = allowed
        .header("access-control-allow-headers")
        .expect("a list");
    for name in [
        "content-digest",
        "upload-ticket",
        "tus-resumable",
        "upload-offset",
    ] {
        assert!(headers.contains(name), "{headers}");
    }
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let sent = page.send_file("a.pdf", &pdf(), &[("origin", ORIGIN)]);
    assert_eq!(sent.status, 201);
    assert_eq!(sent.header("access-control-allow-origin"), Some(ORIGIN));
    let exposed = sent
        .header("access-control-expose-headers")
        .expect("a list");
    assert!(exposed.contains("upload-offset") && exposed.contains("location"));
    // A refusal can be read as well.
    let refusal = page.send_file("", b"", &[("origin", ORIGIN)]);
    assert!(refusal.status >= 400);
    assert_eq!(refusal.header("access-control-allow-origin"), Some(ORIGIN));
    for other in ["https://evil.example", "null", "http://app.example"] {
        assert_eq!(ask(other).header("access-control-allow-origin"), None);
        let sent = page.call("GET", "/page", &[("origin", other)], None);
        assert_eq!(sent.header("access-control-allow-origin"), None);
    }
    // The backend's routes are for backends.
    let headers = [("origin", ORIGIN)];
    let answer = app.call("GET", "/v1/links", &headers, None);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn a_download_address_needs_no_key_and_ends() {
    let stage = shared();
    let app = stage.edge.app();
    let file = app
        .page(&app.link(ANY_FILE))
        .store("Rechnung März.pdf", &pdf());
    let path = format!("/v1/files/{}/download-url", file.id);
    let url_for = |secs: u64| -> DownloadUrl {
        let body = json!({ "expires_in": secs });
        app.call("POST", &path, &[], Some(&body)).ok(201)
    };
    let url = url_for(600);
    let get = |url: &str, headers: &[(&str, &str)]| send("GET", url, headers, None).expect("it");
    let whole = get(&url.url, &[]);
    assert_eq!((whole.status, whole.body.clone()), (200, pdf()));
    let named = whole.header("content-disposition").expect("a name");
    assert!(named.starts_with("attachment;") && named.contains("filename*=UTF-8''Rechnung"));
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(get(&url.url, &[("range", "bytes=0-3")]).body, b"%PDF");
    let etag = whole.header("etag").expect("an etag");
    assert_eq!(get(&url.url, &[("if-none-match", etag)]).status, 304);
    // Unchanged since it was stored; not since long before.
    let modified = whole.header("last-modified").expect("a date");
    assert_eq!(
        get(&url.url, &[("if-modified-since", modified)]).status,
        304
    );
    let long_ago = "Sat, 01 Jan 2000 00:00:00 GMT";
    assert_eq!(
        get(&url.url, &[("if-modified-since", long_ago)]).status,
        200
    );
    let refusal = get(&url.url, &[("if-unmodified-since", long_ago)]);
    refused(&refusal, ProblemCode::PreconditionFailed);
    for secs in [0, 3601] {
        let body = json!({ "expires_in": secs });
        let answer = app.call("POST", &path, &[], Some(&body));
        let problem = refused(&answer, ProblemCode::InvalidRequest);
        assert_eq!(
            (problem.field.as_deref(), problem.limit),
            (Some("expires_in"), Some(3600))
        );
    }
    let theirs = stage.edge.other_app().call("POST", &path, &[], None);
    refused(&theirs, ProblemCode::FileNotFound);
    let mut forged = url.url.clone();
    let last = forged.pop().expect("a letter");
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    refused(&get(&forged, &[]), ProblemCode::DownloadUrlInvalid);
    let short = url_for(1);
    std::thread::sleep(Duration::from_secs(2));
    refused(&get(&short.url, &[]), ProblemCode::DownloadUrlInvalid);
}

#[test]
fn a_deleted_file_is_gone_from_the_bucket_and_its_app_is_told() {
    let stage = Stage::new("deleted");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let file = app.page(&link).store("a.pdf", &pdf());
    let path = format!("/v1/files/{}/download-url", file.id);
    let url: DownloadUrl = app.call("POST", &path, &[], None).ok(201);
    let holds = || stage.edge.bucket_holds(&pdf());
    assert!(holds(), "it is there first");
    let path = format!("/v1/files/{}", file.id);
    assert_eq!(app.call("DELETE", &path, &[], None).status, 204);
    refused(&app.content(file.id, &[]), ProblemCode::FileDeleted);
    refused(
        &send("GET", &url.url, &[], None).expect("it"),
        ProblemCode::FileDeleted,
    );
    wait_for("an empty bucket", WITHIN, || (!holds()).then_some(()));
    wait_for("file.deleted", WITHIN, || {
        stage
            .receiver
            .about(link.id)
            .into_iter()
            .find(|d| d.event.kind.name() == "file.deleted")
    });
}
