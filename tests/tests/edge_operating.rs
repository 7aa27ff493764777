//! What an operator relies on: limits on requests, uploads from apps' own pages, downloads without a key, deletion that deletes.

use std::time::Duration;

use chatlift_shared::ProblemCode;
use chatlift_shared::api::DownloadUrl;
use chatlift_tests::assertions::refused;
use chatlift_tests::edge::{ANY_FILE, ORIGIN, Setup};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::send;
use chatlift_tests::receiver::Receiver;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::{Stage, shared};
use serde_json::json;

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
    let url: DownloadUrl = app
        .call("POST", &path, &[], Some(&json!({ "expires_in": 2 })))
        .ok(201);
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
    std::thread::sleep(Duration::from_secs(3));
    refused(&get(&url.url, &[]), ProblemCode::DownloadUrlInvalid);
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
