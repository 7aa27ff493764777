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
pub(super) fn form(page: &Page, files: &[(&str, &[u8])], accept: &str) -> Answer {
    form_with(page, files, &[("accept", accept)])
}

/// As [`form`], with headers of one's own.
pub(super) fn form_with(page: &Page, files: &[(&str, &[u8])], headers: &[(&str, &str)]) -> Answer {
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
    let headers = [&[("content-type", content_type.as_str())], headers].concat();
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
    assert_eq!(files[0].sha256, Some(Sha256::of(&pdf())));
    assert_eq!(files[1].sha256, Some(large.sha256()));
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
    assert_eq!(answer.status, 207, "not all arrived");
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let html = answer.text();
    assert!(
        html.contains("a<wbr>.pdf") && !html.contains("<b>"),
        "{html}"
    );
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

/// Sends parts with these heads, each of which holds a PDF, and a file that is fine before them.
fn parts(page: &Page, heads: &[&[u8]]) -> FormResult {
    let fine = b"Content-Disposition: form-data; name=\"f\"; filename=\"fine.pdf\"";
    let mut body = Vec::new();
    for head in [&fine[..]].iter().chain(heads) {
        body.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
        body.extend_from_slice(head);
        body.extend_from_slice(b"\r\n\r\n");
        // No two are the same file.
        body.extend_from_slice(&[&pdf()[..], &body.len().to_le_bytes()].concat());
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [
        ("content-type", content_type.as_str()),
        ("accept", "application/json"),
    ];
    let answer = page.call("POST", "", &headers, Some(&body));
    let result: FormResult = serde_json::from_slice(&answer.body).expect("a result");
    let refused = result.files.iter().any(|f| f.file.is_none());
    assert_eq!(answer.status, if refused { 207 } else { 200 }, "{result:?}");
    result
}

#[test]
fn no_file_of_a_form_vanishes_however_it_is_named() {
    let app = shared().edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let result = parts(
        &page,
        &[
            b"Content-Disposition: form-data; name=\"f\"; filename=\"\xb7\xa2\xc6\xb1.pdf\"",
            b"Content-Disposition: form-data; name=\"f\"; filename=\"caf\xe9.pdf\"",
            b"content-disposition: form-data; filename*=UTF-8''%E5%8F%91.pdf",
            b"Content-Disposition: form-data; name=\"f\"; Filename=\"b.pdf\"",
            b"Content-Disposition: form-data; name=\"f\"; filename=\"c\\\"",
            b"Content-Disposition: form-data; filename = d.pdf",
            b"Content-Disposition: form-data; name=\"f\"; filename=\"say %22e%22.pdf\"",
            b"Content-Disposition: form-data; name=\"f\"; filename=\"8.pdf\"\r\n\
              Content-Transfer-Encoding: binary",
        ],
    );
    let names: Vec<_> = result.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(result.files.len(), 9, "{names:?}");
    assert!(result.files.iter().all(|f| f.file.is_some()), "{result:?}");
    assert!(names.contains(&"发票.pdf"), "{names:?}");
    assert!(names.contains(&"caf\u{e9}.pdf"), "{names:?}");
    assert!(names.contains(&"发.pdf"), "{names:?}");
}

#[test]
fn a_part_that_cannot_be_taken_is_named_and_not_all_has_arrived() {
    let app = shared().edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let result = parts(
        &page,
        &[
            b"Content-Disposition: form-data; name=\"f\"; filename=\"coded.pdf\"\r\n\
              Content-Transfer-Encoding: base64",
            b"Content-Disposition: form-data; name=\"files\"\r\n\
              Content-Type: multipart/mixed; boundary=inner",
        ],
    );
    let told: Vec<_> = result
        .files
        .iter()
        .map(|f| {
            (
                f.name.as_str(),
                f.problem.as_ref().and_then(|p| p.field.as_deref()),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("fine.pdf", None),
            ("coded.pdf", Some("Content-Transfer-Encoding")),
            ("files", Some("Content-Type")),
        ]
    );
}

#[test]
fn a_form_in_which_nothing_was_chosen_says_so() {
    without_trace(ANY_FILE, |_, page| {
        let answer = form(page, &[("", &[])], "application/json");
        let result: FormResult = answer.ok(422);
        assert_eq!(
            result.problem.map(|p| p.code),
            Some(ProblemCode::FileMissing)
        );
    });
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
