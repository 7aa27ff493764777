//! Uploads that end well: what is stored is what was sent, and can be had by range.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use chatlift_shared::api::{File, HeldPart, PageFile, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{ProblemCode, disposition, limits};
use chatlift_tests::assertions::refused;
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS};
use chatlift_tests::fixtures::{DOCX, Random, docx, jpeg, pdf, png};
use chatlift_tests::http::read_answer;
use chatlift_tests::stage::shared;
use serde_json::json;

const PART: u64 = limits::PART_SIZE;

#[test]
fn small_files_of_the_kinds_that_people_send_are_stored_as_they_are() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let page = app.page(&link);
    let cases = [
        ("report.pdf", pdf(), "application/pdf"),
        ("photo.jpg", jpeg(), "image/jpeg"),
        ("screen.png", png(), "image/png"),
        ("发票 2026.docx", docx(), DOCX),
    ];
    for (name, bytes, media_type) in &cases {
        let sha256 = Sha256::of(bytes);
        let sent: PageFile = page
            .send_file(name, bytes, &[("content-digest", &sha256.to_header())])
            .ok(201);
        assert_eq!(
            (sent.name.as_str(), sent.media_type.as_str()),
            (*name, *media_type)
        );
        assert_eq!((sent.size, sent.sha256), (bytes.len() as u64, Some(sha256)));
        assert!(sent.address.starts_with("r2://"), "{}", sent.address);
        let file: File = app
            .call("GET", &format!("/v1/files/{}", sent.id), &[], None)
            .ok(200);
        let found = PageFile {
            ticket: None,
            ..sent.clone()
        };
        assert_eq!(PageFile::from(file.clone()), found);
        assert_eq!(file.link, link.id);
        let content = app.content(sent.id, &[]);
        assert_eq!((content.status, content.body == *bytes), (200, true));
        assert_eq!(content.header("content-type"), Some(*media_type));
        assert_eq!(
            content.header("repr-digest"),
            Some(sha256.to_header().as_str())
        );
        let named = content
            .header("content-disposition")
            .and_then(disposition::file_name);
        assert_eq!(named.as_deref(), Some(*name));
        let told = stage
            .receiver
            .wait_stored(link.id, sha256, Duration::from_secs(20));
        assert_eq!(told.stored().expect("a stored file").file.id, sent.id);
    }
    let names: Vec<_> = app
        .get_link(link.id)
        .files
        .into_iter()
        .map(|f| f.name)
        .collect();
    assert_eq!(names, cases.map(|(name, ..)| name.to_owned()));
    assert_eq!(page.data().link.expect("a link").files_left, 6);
}

#[test]
fn files_of_every_size_around_a_part_are_stored_to_the_byte() {
    let stage = shared();
    let app = stage.edge.app();
    let page = app.page(&app.link(ANY_FILE));
    for (seed, size) in [
        (1, 1),
        (2, 4095),
        (3, PART - 1),
        (4, PART),
        (5, PART + 1),
        (6, 2 * PART - 1),
        (7, 2 * PART),
        (8, 2 * PART + 1),
        (9, 3 * PART + 123_457),
    ] {
        let file = Random { seed, size };
        let stored = page.store_random(&format!("{size}.bin"), file);
        assert_eq!(stored.size, size);
        // In one part it is the part's.
        assert_eq!(stored.sha256, (size <= PART).then(|| file.sha256()));
        let content = app.content(stored.id, &[]);
        assert_eq!(
            content.header("content-length"),
            Some(size.to_string().as_str())
        );
        assert_eq!(Sha256::of(&content.body), file.sha256(), "{size} bytes");
    }
}

#[test]
fn a_single_request_takes_up_to_its_limit_and_one_byte_more_is_told_to_come_in_parts() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let most = Random {
        seed: 1,
        size: limits::SINGLE_REQUEST_MAX,
    };
    let stored = page.store("most.bin", &most.read(0, most.size));
    assert_eq!(stored.sha256, Some(most.sha256()));
    let over = Random {
        seed: 2,
        size: most.size + 1,
    };
    let problem = refused(
        &page.send_file("over.bin", &over.read(0, over.size), &[]),
        ProblemCode::BodyTooLarge,
    );
    assert_eq!(problem.limit, Some(limits::SINGLE_REQUEST_MAX));
    assert_eq!(app.get_link(link.id).files.len(), 1);
}

#[test]
fn parts_may_come_in_any_order() {
    let stage = shared();
    let app = stage.edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let file = Random {
        seed: 11,
        size: 3 * PART - 5,
    };
    let upload = page.announce_random("any order.bin", file);
    for n in [3, 1, 2] {
        let bytes = file.read((n - 1) * PART, PART);
        assert_eq!(page.send_part(&upload, n, &bytes).status, 204, "part {n}");
    }
    let known = page.announce_random("any order.bin", file);
    let parts = page.send_parts(&known, file);
    assert_eq!(known.parts.len(), 3);
    let stored: PageFile = page.complete(upload.id, file.sha256(), &parts, &[]).ok(200);
    assert_eq!(Sha256::of(&app.content(stored.id, &[]).body), file.sha256());
}

#[test]
fn the_same_file_announced_again_goes_on_with_the_parts_that_are_there() {
    let page = {
        let app = shared().edge.app();
        app.page(&app.link(ANY_FILE))
    };
    let file = Random {
        seed: 12,
        size: 2 * PART + 9,
    };
    let first = page.announce("again.bin", file.size, &file.read(0, 4096));
    assert_eq!(first.status, 201);
    let first: Upload = first.ok(201);
    assert_eq!(first.parts, []);
    assert_eq!(
        page.send_part(&first, 2, &file.read(PART, PART)).status,
        204
    );
    let again: Upload = page
        .announce("again.bin", file.size, &file.read(0, 4096))
        .ok(200);
    assert_eq!((again.id, again.part_size), (first.id, PART));
    let held: Vec<_> = again.parts.iter().map(|p| (p.n, p.sha256)).collect();
    assert_eq!(held, [(2, Sha256::of(&file.read(PART, PART)))]);
    let other: Upload = page
        .announce("again.bin", file.size + 1, &file.read(0, 4096))
        .ok(201);
    assert_ne!(other.id, first.id, "another size is another file");
}

/// A network that carries next to nothing: the link took the request for stuck after 30 s, and refused
/// the file when it was there.
#[test]
fn a_file_in_one_request_may_take_longer_than_the_link_waits_for_a_commit() {
    let stage = shared();
    let link = stage.edge.app().link(ANY_FILE);
    let page = stage.edge.app().page(&link);
    let body = Random {
        seed: 14,
        size: 2_000_000,
    }
    .read(0, 2_000_000);
    let (first, rest) = body.split_at(body.len() / 2);
    let origin = stage.edge.origin();
    let host = origin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("a connection");
    let head = format!(
        "POST /u/{}/files HTTP/1.1\r\nhost: {host}\r\ncontent-disposition: {}\r\ncontent-length: {}\r\n\r\n",
        page.token(),
        disposition::attachment("slow.bin"),
        body.len(),
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(first).expect("sent");
    std::thread::sleep(Duration::from_secs(34));
    stream.write_all(rest).expect("sent");
    let stored: PageFile = read_answer(&mut stream).expect("an answer").ok(201);
    assert_eq!(stored.sha256, Some(Sha256::of(&body)));
}

#[test]
fn complete_twice_returns_the_same_file_and_tells_of_it_once() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random {
        seed: 13,
        size: PART + 77,
    };
    let upload = page.announce_random("twice.bin", file);
    let parts = page.send_parts(&upload, file);
    let first: PageFile = page.complete(upload.id, file.sha256(), &parts, &[]).ok(200);
    let second: PageFile = page.complete(upload.id, file.sha256(), &parts, &[]).ok(200);
    assert_eq!(first, second);
    assert_eq!(app.get_link(link.id).files.len(), 1);
    let _ = stage
        .receiver
        .wait_stored(link.id, file, Duration::from_secs(20));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(stage.receiver.about(link.id).len(), 1);
}

#[test]
fn a_file_that_is_stored_already_is_told_to_who_has_its_ticket_and_need_not_be_sent() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random {
        seed: 14,
        size: PART + 78,
    };
    let upload = page.announce_random("known.bin", file);
    let parts = page.send_parts(&upload, file);
    let stored: PageFile = page.complete(upload.id, file.sha256(), &parts, &[]).ok(200);
    let announce = |ticket: &str| {
        page.announce_with("known.bin", file.size, &file.read(0, 4096), Some(ticket))
    };
    let again: Upload = announce(&upload.ticket).ok(200);
    assert!(again.sealed);
    assert_eq!((again.id, again.parts), (upload.id, parts.clone()));
    let same: PageFile = page.complete(again.id, file.sha256(), &parts, &[]).ok(200);
    assert_eq!(same, stored);
    let after = app.get_link(link.id);
    assert_eq!((after.files.len(), after.uploads), (1, 0));
    // Of other parts it is not.
    let mut others = parts;
    others[1].sha256 = Sha256::of(b"of another file of its name and size");
    refused(
        &page.complete(again.id, file.sha256(), &others, &[]),
        ProblemCode::PartsDiffer,
    );
    // Nobody else is told of it, nor of one that is deleted.
    let another: Upload = announce("AQ").ok(201);
    assert!(!another.sealed && another.parts.is_empty());
    assert_eq!(
        app.call("DELETE", &format!("/v1/files/{}", stored.id), &[], None)
            .status,
        204
    );
    let late: Upload = announce(&upload.ticket).ok(200);
    assert_eq!((late.id, late.sealed), (another.id, false));
}

/// What its sender said of the whole was in the event, in the record and in `Repr-Digest`, and another
/// person's file of that name, size and digest was never sent.
#[test]
fn a_lie_about_the_whole_is_told_to_nobody_and_takes_nothing_from_another_person() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let [theirs, mine] = [15, 16].map(|seed| Random {
        seed,
        size: PART + 79,
    });
    let lie = mine.sha256();
    let upload = page.announce_random("twin.bin", theirs);
    let parts = page.send_parts(&upload, theirs);
    let liar: PageFile = page.complete(upload.id, lie, &parts, &[]).ok(200);
    assert_eq!(liar.sha256, None);
    let told = stage
        .receiver
        .wait_stored(link.id, theirs, Duration::from_secs(20));
    assert_eq!(told.stored().expect("a stored file").file.sha256, None);
    assert_eq!(app.content(liar.id, &[]).header("repr-digest"), None);
    let record = app.call("GET", &format!("/v1/files/{}", liar.id), &[], None);
    assert!(!record.text().contains(&lie.to_string()));
    let upload = page.announce_random("twin.bin", mine);
    let parts: Vec<_> = [(1, mine.read(0, PART)), (2, mine.read(PART, 79))]
        .iter()
        .map(|(n, bytes)| HeldPart {
            n: *n,
            sha256: Sha256::of(bytes),
        })
        .collect();
    refused(
        &page.complete(upload.id, lie, &parts, &[]),
        ProblemCode::PartsMissing,
    );
    let parts = page.send_parts(&upload, mine);
    let stored: PageFile = page.complete(upload.id, lie, &parts, &[]).ok(200);
    assert_ne!(stored.id, liar.id);
    assert_eq!(app.sha256(stored.id), mine.sha256());
}

/// Its bytes were never read.
#[test]
fn a_small_file_that_only_claims_a_stored_ones_digest_is_refused() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let (first, second) = (pdf(), vec![b'x'; pdf().len()]);
    let digest = Sha256::of(&first).to_header();
    let send = |body: &[u8]| {
        let headers = [
            ("content-disposition", "attachment; filename=\"a.pdf\""),
            ("content-digest", &*digest),
        ];
        page.call("POST", "/files", &headers, Some(body))
    };
    let stored: PageFile = send(&first).ok(201);
    refused(&send(&second), ProblemCode::DigestMismatch);
    // Again, as when the answer was lost.
    let again: PageFile = send(&first).ok(201);
    // Who sends it again is given no ticket of what another one may have sent.
    let found = PageFile {
        ticket: None,
        ..stored
    };
    assert_eq!(again, found);
    assert_eq!(app.get_link(link.id).files.len(), 1);
}

/// The backend has read all of it, and the edge tells what it says.
#[test]
fn a_receipt_tells_the_digest_of_the_whole() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let file = Random {
        seed: 17,
        size: PART + 80,
    };
    let stored = app.page(&link).store_random("large.bin", file);
    let receipt = |status: &str, sha256: Sha256| {
        let body = json!({ "status": status, "sha256": sha256 });
        let path = format!("/v1/files/{}/receipt", stored.id);
        app.call("POST", &path, &[], Some(&body))
    };
    let told: File = receipt("received", file.sha256()).ok(200);
    assert_eq!(told.sha256, Some(file.sha256()));
    let header = file.sha256().to_header();
    let content = app.content(stored.id, &[]);
    assert_eq!(content.header("repr-digest"), Some(&*header));
    let small = app.page(&link).store("a.pdf", &pdf());
    let path = format!("/v1/files/{}/receipt", small.id);
    let wrong = json!({ "status": "received", "sha256": file.sha256() });
    let answer = app.call("POST", &path, &[], Some(&wrong));
    let problem = answer.problem();
    assert_eq!(
        (answer.status, problem.code),
        (409, ProblemCode::DigestMismatch)
    );
}

#[test]
fn an_aborted_upload_is_gone_and_its_place_is_free() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random {
        seed: 14,
        size: PART + 1,
    };
    let upload = page.announce_random("aborted.bin", file);
    let parts = page.send_parts(&upload, file);
    assert_eq!(app.get_link(link.id).uploads, 1);
    let path = format!("/uploads/{}", upload.id);
    assert_eq!(page.call("DELETE", &path, &[], None).status, 204);
    assert_eq!(
        page.call("DELETE", &path, &[], None).status,
        204,
        "again is fine"
    );
    refused(
        &page.complete(upload.id, file.sha256(), &parts, &[]),
        ProblemCode::UploadAborted,
    );
    let now = app.get_link(link.id);
    assert_eq!((now.uploads, now.files.len()), (0, 0));
    let stored = page.store_random("aborted.bin", file);
    assert_eq!(app.sha256(stored.id), file.sha256());
}

#[test]
fn content_is_had_by_range() {
    let stage = shared();
    let app = stage.edge.app();
    let file = Random {
        seed: 15,
        size: PART + 1000,
    };
    let stored = app
        .page(&app.link(ANY_FILE))
        .store_random("range.bin", file);
    let whole = app.content(stored.id, &[]);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let etag = whole.header("etag").expect("an ETag").to_owned();
    let size = file.size;
    let last = size - 1;
    for (range, from, to) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=0-99".to_owned(), 0, 99),
        // Over the border of two parts.
        (
            format!("bytes={}-{}", PART - 5, PART + 5),
            PART - 5,
            PART + 5,
        ),
        (format!("bytes={}-", size - 10), size - 10, last),
        ("bytes=-7".to_owned(), size - 7, last),
        (format!("bytes=100-{}", size * 2), 100, last),
        (format!("bytes=-{}", size * 2), 0, last),
    ] {
        let answer = app.content(stored.id, &[("range", &range)]);
        assert_eq!(answer.status, 206, "{range}: {}", answer.status);
        assert_eq!(
            answer.header("content-range"),
            Some(format!("bytes {from}-{to}/{size}").as_str()),
            "{range}"
        );
        assert_eq!(
            answer.header("content-length"),
            Some((to - from + 1).to_string().as_str()),
            "{range}"
        );
        assert!(answer.body == file.read(from, to - from + 1), "{range}");
        assert_eq!(answer.header("etag"), Some(etag.as_str()), "{range}");
    }
    for range in [format!("bytes={size}-"), "bytes=-0".to_owned()] {
        let answer = app.content(stored.id, &[("range", &range)]);
        refused(&answer, ProblemCode::RangeNotSatisfiable);
        assert_eq!(
            answer.header("content-range"),
            Some(format!("bytes */{size}").as_str()),
            "{range}"
        );
    }
    // What is no single range of bytes is passed over, as RFC 9110 section 14.2 says.
    for range in ["bytes=5-2", "lines=1-2", "bytes=a-b"] {
        let answer = app.content(stored.id, &[("range", range)]);
        assert_eq!(
            (answer.status, answer.body.len() as u64),
            (200, size),
            "{range}"
        );
    }
}

#[test]
fn content_is_had_only_when_it_is_what_the_backend_means() {
    let app = shared().edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let stored = page.store("a.pdf", &pdf());
    let etag = app
        .content(stored.id, &[])
        .header("etag")
        .expect("an ETag")
        .to_owned();
    let (other, weak) = ("\"other\"", format!("W/{etag}"));
    for (headers, status, len) in [
        (vec![("if-none-match", etag.as_str())], 304, 0),
        (vec![("if-none-match", "*")], 304, 0),
        (vec![("if-none-match", other)], 200, pdf().len()),
        (vec![("if-match", etag.as_str())], 200, pdf().len()),
        (
            vec![("if-range", etag.as_str()), ("range", "bytes=0-3")],
            206,
            4,
        ),
        (
            vec![("if-range", other), ("range", "bytes=0-3")],
            200,
            pdf().len(),
        ),
        (vec![("if-none-match", weak.as_str())], 304, 0),
        (
            vec![("if-range", weak.as_str()), ("range", "bytes=0-3")],
            200,
            pdf().len(),
        ),
    ] {
        let answer = app.content(stored.id, &headers);
        assert_eq!(
            (answer.status, answer.body.len()),
            (status, len),
            "{headers:?}"
        );
    }
    for tag in [other, &weak] {
        let answer = app.content(stored.id, &[("if-match", tag)]);
        refused(&answer, ProblemCode::PreconditionFailed);
    }
    let path = format!("/v1/files/{}/content", stored.id);
    let head = app.call("HEAD", &path, &[("range", "bytes=0-3")], None);
    assert_eq!(head.status, 200, "HEAD has no ranges");
}

#[test]
fn a_deleted_file_is_gone_and_said_to_be() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let stored = app.page(&link).store("a.pdf", &pdf());
    let path = format!("/v1/files/{}", stored.id);
    assert_eq!(app.call("DELETE", &path, &[], None).status, 204);
    assert_eq!(
        app.call("DELETE", &path, &[], None).status,
        204,
        "again is fine"
    );
    refused(&app.content(stored.id, &[]), ProblemCode::FileDeleted);
    let file: File = app.call("GET", &path, &[], None).ok(200);
    assert!(file.deleted_at.is_some());
}

#[test]
fn receipts_go_forward_and_show_on_the_page() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let stored = page.store("a.pdf", &pdf());
    let path = format!("/v1/files/{}/receipt", stored.id);
    let give = |status: &str| app.call("POST", &path, &[], Some(&json!({ "status": status })));
    for status in [
        "received",
        "received",
        "converted",
        "delivered",
        "delivered",
    ] {
        let file: File = give(status).ok(200);
        let shown = serde_json::to_value(file.receipt.expect("a receipt").status).expect("JSON");
        assert_eq!(shown, status);
    }
    refused(&give("received"), ProblemCode::ReceiptOutOfOrder);
    let shown = page.data().link.expect("a link").files.remove(0);
    assert_eq!(
        serde_json::to_value(shown.receipt.expect("a receipt").status).expect("JSON"),
        "delivered"
    );
}

/// One that came slowly was aborted after half a minute, however steadily.
#[test]
fn a_small_file_that_comes_slowly_is_stored() {
    let stage = shared();
    let link = stage.edge.app().link(ANY_FILE);
    let page = stage.edge.app().page(&link);
    let (host, path) = page.url()["http://".len()..]
        .split_once('/')
        .expect("a path");
    let mut stream = TcpStream::connect(host).expect("the edge");
    let head =
        format!("POST /{path}/files HTTP/1.1\r\nhost: {host}\r\ncontent-length: 45000\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    for _ in 0..45 {
        stream.write_all(&[b'x'; 1000]).expect("sent");
        std::thread::sleep(Duration::from_secs(1));
    }
    let stored: PageFile = read_answer(&mut stream).expect("an answer").ok(201);
    assert_eq!(stored.size, 45_000);
}
