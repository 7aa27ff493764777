//! The plain form: what a browser without script sends, and a chat platform's own upload call.

use std::time::Duration;

use chatlift_shared::api::FormResult;
use chatlift_shared::digest::Sha256;
use chatlift_shared::{ProblemCode, limits};
use chatlift_tests::assertions::without_trace;
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENT_MAX, DOCUMENTS};
use chatlift_tests::fixtures::{Random, elf, pdf};
use chatlift_tests::http::Answer;
use chatlift_tests::stage::shared;

const WITHIN: Duration = Duration::from_secs(60);
const BOUNDARY: &str = "----chatlift-form";

/// Sends a form of these files, as a browser would.
fn form(page: &Page, files: &[(&str, &[u8])], accept: &str) -> Answer {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("content-type", content_type.as_str()), ("accept", accept)];
    page.call("POST", "", &headers, Some(&body))
}

#[test]
fn files_of_a_form_are_stored_and_told_of() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let large = Random {
        seed: 91,
        size: limits::PART_SIZE * 2 + 11,
    };
    let bytes = large.read(0, large.size);
    let answer = form(
        &page,
        &[("发票.pdf", &pdf()), ("large.bin", &bytes)],
        "application/json",
    );
    let result: FormResult = answer.ok(200);
    let files: Vec<_> = result.files.iter().filter_map(|f| f.file.clone()).collect();
    assert_eq!(files[0].name, "发票.pdf");
    assert_eq!(files[0].sha256, Sha256::of(&pdf()));
    assert_eq!(files[1].sha256, large.sha256());
    assert!(app.content(files[1].id, &[]).body == bytes);
    for sha256 in [Sha256::of(&pdf()), large.sha256()] {
        let _ = stage.receiver.wait_stored(link.id, sha256, WITHIN);
    }
}

#[test]
fn a_browser_gets_a_page_that_says_what_became_of_each() {
    let stage = shared();
    let app = stage.edge.app();
    let page = app.page(&app.link(DOCUMENTS));
    let answer = form(
        &page,
        &[("a.pdf", &pdf()), ("<b>.pdf", &elf())],
        "text/html",
    );
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let html = answer.text();
    assert!(html.contains("a.pdf") && !html.contains("<b>"), "{html}");
    assert!(!html.contains("problem."), "a sentence is missing: {html}");
}

#[test]
fn what_a_form_may_not_send_leaves_nothing() {
    let too_large = [pdf(), vec![7; usize::try_from(DOCUMENT_MAX).expect("fits")]].concat();
    for (bytes, code) in [
        (elf(), ProblemCode::FileTypeNotAccepted),
        (vec![], ProblemCode::FileEmpty),
        (too_large, ProblemCode::FileTooLarge),
    ] {
        without_trace(DOCUMENTS, |_, page| {
            let answer = form(page, &[("a.pdf", &bytes)], "application/json");
            let result: FormResult = answer.ok(code.status());
            let problem = result.files[0].problem.clone().expect("a problem");
            assert_eq!(problem.code, code);
        });
    }
}

#[test]
fn a_body_that_is_no_form_is_refused() {
    without_trace(ANY_FILE, |_, page| {
        for (content_type, body) in [
            ("text/plain", &b"x"[..]),
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=y", b"--y\r\nContent-Disp"),
        ] {
            let headers = [
                ("content-type", content_type),
                ("accept", "application/json"),
            ];
            let answer = page.call("POST", "", &headers, Some(body));
            let result: FormResult = answer.ok(400);
            assert_eq!(
                result.problem.map(|p| p.code),
                Some(ProblemCode::InvalidRequest),
                "{content_type}"
            );
        }
    });
}
