//! Uploads that the edge must refuse, whatever the page did. After each, nothing is stored and the
//! backend has heard nothing.

use chatlift_shared::api::{HEADER_TICKET, HeldPart, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{ProblemCode, limits};
use chatlift_tests::assertions::{refused, without_trace};
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENT_MAX, DOCUMENTS, ONE_FILE};
use chatlift_tests::fixtures::{Random, elf, pdf};
use chatlift_tests::http::send_raw;
use chatlift_tests::stage::shared;
use serde_json::json;

const PART: u64 = limits::PART_SIZE;

/// A request as it goes over the wire, with a length and a body that need not agree.
fn request(
    page: &Page,
    path: &str,
    method: &str,
    headers: &[(&str, &str)],
    length: u64,
    body: &[u8],
) -> Vec<u8> {
    let url = page.url().trim_start_matches("http://");
    let (host, link) = url.split_once('/').unwrap_or((url, ""));
    let mut head = format!(
        "{method} /{link}{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

#[test]
fn a_file_over_the_scenes_size_is_refused_when_it_is_announced() {
    without_trace(DOCUMENTS, |_, page| {
        for size in [DOCUMENT_MAX + 1, 1 << 40, u64::MAX] {
            let problem = refused(
                &page.announce("big.pdf", size, &pdf()),
                ProblemCode::FileTooLarge,
            );
            assert_eq!(problem.limit, Some(DOCUMENT_MAX));
        }
        let most: Upload = page.announce("most.pdf", DOCUMENT_MAX, &pdf()).ok(201);
        assert_eq!(
            page.call("DELETE", &format!("/uploads/{}", most.id), &[], None)
                .status,
            204
        );
    });
}

#[test]
fn announced_small_and_sent_large_is_refused_by_its_length() {
    without_trace(DOCUMENTS, |_, page| {
        let upload: Upload = page.announce("small.pdf", 1000, &pdf()).ok(201);
        let large = Random {
            seed: 1,
            size: 4 * limits::MIB,
        };
        let problem = refused(
            &page.send_part(&upload, 1, &large.read(0, large.size)),
            ProblemCode::PartSizeWrong,
        );
        assert_eq!(problem.limit, Some(1000));
        refused(
            &page.send_part(&upload, 1, &large.read(0, 999)),
            ProblemCode::PartSizeWrong,
        );
        let parts = [HeldPart {
            n: 1,
            sha256: large.sha256(),
        }];
        refused(
            &page.complete(upload.id, large.sha256(), &parts, &[]),
            ProblemCode::PartsMissing,
        );
    });
}

#[test]
fn a_length_that_lies_about_the_body_stores_nothing() {
    without_trace(ANY_FILE, |stage, page| {
        let upload: Upload = page.announce("lie.bin", 1000, b"plain text").ok(201);
        let long = vec![b'x'; 100_000];
        let digest = Sha256::of(&long).to_header();
        let headers = [
            ("content-digest", digest.as_str()),
            (HEADER_TICKET, &*upload.ticket),
        ];
        let part = format!("/uploads/{}/parts/1", upload.id);
        // More than announced: HTTP ends the body at its length, and the digest is another.
        let answer = send_raw(
            &stage.edge.origin(),
            &request(page, &part, "PUT", &headers, 1000, &long),
        );
        refused(&answer.expect("an answer"), ProblemCode::DigestMismatch);
        let single = request(
            page,
            "/files",
            "POST",
            &[("content-digest", &digest)],
            1000,
            &long,
        );
        refused(
            &send_raw(&stage.edge.origin(), &single).expect("an answer"),
            ProblemCode::DigestMismatch,
        );
        // Less than announced: the connection ends before the body does.
        for cut in [
            request(page, &part, "PUT", &headers, 1000, &long[..10]),
            request(page, "/files", "POST", &[], 1000, &long[..10]),
        ] {
            if let Ok(answer) = send_raw(&stage.edge.origin(), &cut) {
                assert!(answer.status >= 400, "{}", answer.status);
            }
        }
        let known: Upload = page.announce("lie.bin", 1000, b"plain text").ok(200);
        assert_eq!(known.parts, [], "a part that is not whole is held");
    });
}

#[test]
fn a_body_of_unknown_length_is_refused() {
    without_trace(ANY_FILE, |stage, page| {
        let whole =
            String::from_utf8_lossy(&request(page, "/files", "POST", &[], 0, b"")).into_owned();
        let chunked = whole.replace("content-length: 0", "transfer-encoding: chunked")
            + "5\r\nhello\r\n0\r\n\r\n";
        let answer = send_raw(&stage.edge.origin(), chunked.as_bytes()).expect("an answer");
        refused(&answer, ProblemCode::LengthRequired);
    });
}

#[test]
fn an_empty_file_is_refused() {
    without_trace(ANY_FILE, |_, page| {
        refused(
            &page.send_file("empty.txt", b"", &[]),
            ProblemCode::FileEmpty,
        );
        refused(&page.announce("empty.txt", 0, b""), ProblemCode::FileEmpty);
    });
}

#[test]
fn a_type_is_told_by_content_and_not_by_name() {
    without_trace(DOCUMENTS, |_, page| {
        let html = b"<!doctype html><html><script>alert(1)</script></html>".to_vec();
        let text = b"just some text, whatever its name says".to_vec();
        for (what, bytes) in [("a program", elf()), ("text", text), ("html", html)] {
            for name in ["claim.pdf", "photo.jpg"] {
                let typed = [("content-type", "application/pdf")];
                let answer = page.send_file(name, &bytes, &typed);
                assert_eq!(answer.status, 415, "{what} as {name}: {}", answer.text());
                refused(&answer, ProblemCode::FileTypeNotAccepted);
                refused(
                    &page.announce(name, 10 * limits::MIB, &bytes),
                    ProblemCode::FileTypeNotAccepted,
                );
            }
        }
    });
}

#[test]
fn a_good_beginning_that_is_announced_does_not_let_other_content_through() {
    without_trace(DOCUMENTS, |_, page| {
        let size = PART + 100;
        let upload: Upload = page.announce("claim.pdf", size, &pdf()).ok(201);
        let mut content = elf();
        content.extend(Random { seed: 3, size }.read(0, size));
        content.truncate(usize::try_from(size).expect("small"));
        let (first, second) = content.split_at(usize::try_from(PART).expect("small"));
        let parts: Vec<_> = [(1, first), (2, second)]
            .into_iter()
            .map(|(n, bytes)| {
                // The edge may see it with the first part, or when all is there; not later.
                let answer = page.send_part(&upload, n, bytes);
                assert!(answer.status < 500, "{}", answer.text());
                HeldPart {
                    n: u16::try_from(n).expect("small"),
                    sha256: Sha256::of(bytes),
                }
            })
            .collect();
        let answer = page.complete(upload.id, Sha256::of(&content), &parts, &[]);
        refused(&answer, ProblemCode::FileTypeNotAccepted);
    });
}

#[test]
fn a_digest_that_does_not_match_is_refused_in_one_request() {
    without_trace(ANY_FILE, |_, page| {
        let wrong = Sha256::of(b"something else").to_header();
        refused(
            &page.send_file("a.pdf", &pdf(), &[("content-digest", &wrong)]),
            ProblemCode::DigestMismatch,
        );
    });
}

#[test]
fn more_files_than_the_scene_takes_are_refused_even_at_once() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ONE_FILE);
    let page = app.page(&link);
    let codes: Vec<_> = std::thread::scope(|scope| {
        let sends: Vec<_> = (0..4_u8)
            .map(|n| {
                let page = &page;
                scope.spawn(move || page.send_file(&format!("{n}.txt"), &[b'a' + n; 50_000], &[]))
            })
            .collect();
        sends
            .into_iter()
            .map(|send| send.join().expect("an answer").status)
            .collect()
    });
    assert_eq!(codes.iter().filter(|&&c| c == 201).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|&c| matches!(c, 201 | 409)), "{codes:?}");
    assert_eq!(app.get_link(link.id).files.len(), 1);
}

#[test]
fn names_that_could_reach_a_path_are_made_safe() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    for name in [
        "../../etc/passwd",
        "a/b\\c.txt",
        "\u{202e}fdp.exe",
        ".\u{0}.",
        "..",
        "x\r\ny: z",
    ] {
        let stored = page.store(name, b"some text");
        let kept = &stored.name;
        assert!(
            !kept.is_empty() && kept.len() <= limits::NAME_MAX,
            "{name:?} as {kept:?}"
        );
        assert!(
            !kept.contains(['/', '\\', '\0', '\r', '\n', '\u{202e}']),
            "{name:?} as {kept:?}"
        );
        assert!(kept != ".." && kept != ".", "{name:?} as {kept:?}");
        assert_eq!(app.content(stored.id, &[]).body, b"some text");
    }
}

#[test]
fn bodies_that_are_no_request_are_refused() {
    without_trace(ANY_FILE, |_, page| {
        let json = [("content-type", "application/json")];
        let bodies = [
            "",
            "{",
            "[]",
            "null",
            r#"{"name":"a","size":-1,"head":""}"#,
            r#"{"name":"a","size":1,"head":"!"}"#,
        ];
        for body in bodies {
            let answer = page.call("POST", "/uploads", &json, Some(body.as_bytes()));
            assert!(
                (400..500).contains(&answer.status),
                "{body}: {}",
                answer.status
            );
            let _ = answer.problem();
        }
        let huge = json!({ "name": "x".repeat(70_000), "size": 1, "head": "" }).to_string();
        refused(
            &page.call("POST", "/uploads", &json, Some(huge.as_bytes())),
            ProblemCode::BodyTooLarge,
        );
    });
}
