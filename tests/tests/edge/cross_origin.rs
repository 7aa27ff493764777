//! tus and Resumable Uploads for HTTP from pages of other origins, and on links with a password:
//! what a browser asks beforehand, what a script may read, who gets in.

use std::time::Duration;

use chatlift_shared::ProblemCode;
use chatlift_shared::api::{Link, LinkPass};
use chatlift_shared::digest::Sha256;
use chatlift_tests::assertions::nothing_stored;
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, ORIGIN};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::Answer;
use chatlift_tests::serial::{PARTIAL, Serial, TUS, metadata};
use chatlift_tests::stage::{Stage, shared};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);
const PASSWORD: &str = "tide 47/11";
const FOREIGN: [&str; 3] = ["https://evil.example", "null", "http://app.example"];

/// A protocol as a client of it speaks.
struct Way {
    path: &'static str,
    /// Headers of a creation of 1,000 bytes.
    create: &'static [(&'static str, &'static str)],
    /// Headers of a look.
    look: &'static [(&'static str, &'static str)],
    /// Request headers that a browser asks for.
    asks: &'static [&'static str],
    /// Response headers that its clients read, at creation and at a look.
    reads: &'static [&'static str],
}

const WAYS: [Way; 2] = [
    Way {
        path: "/tus",
        create: &[("tus-resumable", "1.0.0"), ("upload-length", "1000")],
        look: &[("tus-resumable", "1.0.0")],
        asks: &[
            "tus-resumable",
            "upload-length",
            "upload-defer-length",
            "upload-metadata",
            "upload-offset",
            "upload-checksum",
            "upload-concat",
            "x-http-method-override",
            "content-type",
            "link-pass",
        ],
        reads: &[
            "location",
            "upload-offset",
            "upload-length",
            "upload-expires",
            "tus-resumable",
        ],
    },
    Way {
        path: "/resumable",
        create: &[("upload-complete", "?0"), ("upload-length", "1000")],
        look: &[],
        asks: &[
            "upload-complete",
            "upload-length",
            "upload-offset",
            "upload-draft-interop-version",
            "content-disposition",
            "content-digest",
            "repr-digest",
            "content-type",
            "link-pass",
        ],
        reads: &[
            "location",
            "upload-offset",
            "upload-length",
            "upload-complete",
            "upload-limit",
        ],
    },
];

fn with<'h>(
    headers: &[(&'h str, &'h str)],
    more: &[(&'h str, &'h str)],
) -> Vec<(&'h str, &'h str)> {
    [headers, more].concat()
}

fn list(answer: &Answer, header: &str) -> Vec<String> {
    let names = answer.header(header).unwrap_or_default();
    names
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect()
}

/// What a browser asks before a script's request to one upload or to the address of all.
fn preflight(page: &Page, way: &Way, upload: &str, method: &str, origin: &str) -> Answer {
    let asks = way.asks.join(",");
    let headers = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", &*asks),
    ];
    page.call("OPTIONS", &format!("{}{upload}", way.path), &headers, None)
}

/// A browser lets the script of this origin read the answer, or does not.
#[track_caller]
fn is_readable(answer: &Answer, by: Option<&str>) {
    assert_eq!(answer.header("access-control-allow-origin"), by);
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

/// A browser of `origin` makes an upload and looks at it.
fn from_a_page(page: &Page, way: &Way, more: &[(&str, &str)]) {
    let id = "/upl_AAAAAAAAAAAAAAAAAAAAAAAA";
    for (upload, method) in [("", "POST"), (id, "PATCH"), (id, "HEAD"), (id, "DELETE")] {
        let allowed = preflight(page, way, upload, method, ORIGIN);
        assert_eq!(allowed.status, 204, "{} {method}", way.path);
        is_readable(&allowed, Some(ORIGIN));
        let methods = list(&allowed, "access-control-allow-methods");
        assert!(methods.iter().any(|m| m == method), "{methods:?}");
        let headers = list(&allowed, "access-control-allow-headers");
        for name in way.asks {
            assert!(headers.iter().any(|h| h == name), "{name}: {headers:?}");
        }
        for origin in FOREIGN {
            is_readable(&preflight(page, way, upload, method, origin), None);
        }
    }
    let from = with(more, &[("origin", ORIGIN)]);
    let created = page.call("POST", way.path, &with(way.create, &from), Some(&[]));
    assert_eq!(created.status, 201, "{}", created.text());
    is_readable(&created, Some(ORIGIN));
    let upload = Serial::at(page, &created);
    let looked = upload.call("HEAD", &with(way.look, &from), None);
    is_readable(&looked, Some(ORIGIN));
    // Every header of these protocols that is there can be read.
    for answer in [&created, &looked] {
        let exposed = list(answer, "access-control-expose-headers");
        for (name, _) in &answer.headers {
            let of_protocol = ["upload-", "tus-", "location"]
                .iter()
                .any(|p| name.starts_with(p));
            assert!(
                !of_protocol || exposed.contains(name),
                "{name}: {exposed:?}"
            );
        }
    }
    for name in way.reads {
        let there = [&created, &looked].iter().any(|a| a.header(name).is_some());
        assert!(there, "{}: no {name}", way.path);
    }
    // A refusal says why, to whom it may.
    let wrong = with(
        way.look,
        &[("content-type", "text/plain"), ("origin", ORIGIN)],
    );
    let refusal = upload.call("PATCH", &with(&wrong, more), Some(b"x"));
    assert_eq!(refusal.status, 415, "{}", refusal.text());
    is_readable(&refusal, Some(ORIGIN));
    for origin in FOREIGN {
        let from = with(more, &[("origin", origin)]);
        let looked = upload.call("HEAD", &with(way.look, &from), None);
        is_readable(&looked, None);
    }
}

#[test]
fn an_apps_own_page_uploads_by_both_protocols_and_no_other_page_reads_an_answer() {
    let stage = shared();
    let app = stage.edge.app();
    for way in &WAYS {
        from_a_page(&app.page(&app.link(ANY_FILE)), way, &[]);
    }
}

fn protected(stage: &Stage) -> (Link, Page) {
    let app = stage.edge.app();
    let link = app.link_with(json!({ "scene": ANY_FILE, "password": PASSWORD }));
    let page = app.page(&link);
    (link, page)
}

/// What a page of the app's origin hears when it says a password.
fn say(page: &Page, password: &str) -> Answer {
    let body = json!({ "password": password }).to_string();
    let headers = [("content-type", "application/json"), ("origin", ORIGIN)];
    let answer = page.call("POST", "/password", &headers, Some(body.as_bytes()));
    is_readable(&answer, Some(ORIGIN));
    answer
}

fn pass_of(page: &Page) -> String {
    let said: LinkPass = say(page, PASSWORD).ok(200);
    said.pass
}

#[test]
fn a_page_of_another_origin_says_the_password_once_and_sends_its_pass() {
    let stage = shared();
    for way in &WAYS {
        let (_, page) = protected(&stage);
        let wrong = say(&page, "ebb");
        assert_eq!(wrong.problem().code, ProblemCode::PasswordWrong);
        from_a_page(&page, way, &[("link-pass", &pass_of(&page))]);
    }
}

#[test]
fn without_the_pass_neither_protocol_takes_or_tells_anything() {
    let stage = shared();
    for way in &WAYS {
        let (link, page) = protected(&stage);
        let pass = pass_of(&page);
        let good = [("link-pass", &*pass)];
        let created = page.call("POST", way.path, &with(way.create, &good), Some(&[]));
        assert_eq!(created.status, 201, "{}", created.text());
        let upload = Serial::at(&page, &created);
        let (_, other) = protected(&stage);
        let theirs = pass_of(&other);
        let made_up = format!("{}A", &pass[..pass.len() - 1]);
        let bad: [&[(&str, &str)]; 4] = [
            &[],
            &[("link-pass", "AAAA")],
            &[("link-pass", &theirs)],
            &[(
                "link-pass",
                if pass.ends_with('A') {
                    "AAAA"
                } else {
                    &made_up
                },
            )],
        ];
        for bad in bad {
            let bytes = [
                (
                    "content-type",
                    if way.path == "/tus" { TUS } else { PARTIAL },
                ),
                ("upload-offset", "0"),
                ("upload-complete", "?0"),
            ];
            let answers = [
                page.call("OPTIONS", way.path, bad, None),
                page.call("POST", way.path, &with(way.create, bad), Some(&[])),
                upload.call("PATCH", &with(&with(way.look, &bytes), bad), Some(b"x")),
                upload.call("DELETE", &with(way.look, bad), None),
            ];
            for answer in answers {
                assert_eq!(answer.status, 401, "{} {}", way.path, answer.text());
                assert_eq!(answer.problem().code, ProblemCode::PasswordRequired);
            }
            let looked = upload.call("HEAD", &with(way.look, bad), None);
            assert_eq!((looked.status, looked.header("upload-offset")), (401, None));
        }
        let looked = upload.call("HEAD", &with(way.look, &good), None);
        assert_eq!(looked.header("upload-offset"), Some("0"));
        nothing_stored(&stage, &stage.edge.app(), &link);
    }
}

#[test]
fn with_the_pass_a_file_is_stored_by_each_protocol() {
    let stage = shared();
    let bytes = pdf();
    let length = bytes.len().to_string();
    let name = metadata("a.pdf");
    for (path, headers) in [
        (
            "/tus",
            &[
                ("tus-resumable", "1.0.0"),
                ("upload-length", &*length),
                ("upload-metadata", &*name),
                ("content-type", TUS),
            ] as &[_],
        ),
        ("/resumable", &[("upload-complete", "?1")]),
    ] {
        let (link, page) = protected(&stage);
        let pass = pass_of(&page);
        let headers = with(headers, &[("link-pass", &pass)]);
        let sent = page.call("POST", path, &headers, Some(&bytes));
        assert_eq!(sent.status, 201, "{path}: {}", sent.text());
        let _ = stage
            .receiver
            .wait_stored(link.id, Sha256::of(&bytes), WITHIN);
    }
}
