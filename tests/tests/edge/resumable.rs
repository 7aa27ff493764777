//! Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload-12) in workerd.

use std::time::Duration;

use chatlift_shared::api::{Link, PageFile};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{ProblemCode, disposition, limits};
use chatlift_tests::assertions::without_trace;
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENT_MAX, DOCUMENTS};
use chatlift_tests::fixtures::{Random, elf, pdf};
use chatlift_tests::http::{Answer, send_raw};
use chatlift_tests::receiver::Content;
use chatlift_tests::serial::{PARTIAL, Serial, number};
use chatlift_tests::stage::{Stage, shared};
use serde_json::Value;

const PART: u64 = limits::PART_SIZE;
const WITHIN: Duration = Duration::from_secs(60);
const TYPES: &str = "https://iana.org/assignments/http-problem-types#";

fn new_link(stage: &Stage, scene: &str) -> (Link, Page) {
    let app = stage.edge.app();
    let link = app.link(scene);
    let page = app.page(&link);
    (link, page)
}

fn post(page: &Page, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let name = disposition::attachment("a.pdf").replace("attachment", "inline");
    let mut all = vec![
        ("upload-draft-interop-version", "9"),
        ("content-disposition", name.as_str()),
    ];
    all.extend_from_slice(headers);
    page.call("POST", "/resumable", &all, Some(body))
}

/// Begins with an empty request, as a client without interim responses does.
#[track_caller]
fn begin(page: &Page, size: u64) -> Serial {
    let size = size.to_string();
    let headers = [("upload-complete", "?0"), ("upload-length", &*size)];
    let created = post(page, &headers, &[]);
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(created.header("upload-complete"), Some("?0"));
    let limit = created.header("upload-limit").expect("limits");
    assert!(
        limit.contains("max-append-size=100000000, max-age="),
        "{limit}"
    );
    Serial::at(page, &created)
}

/// The file is there, its bytes and its event; and the answer speaks of it. It has a digest of the whole
/// if that came in one piece.
#[track_caller]
fn stored(
    stage: &Stage,
    link: &Link,
    answer: &Answer,
    content: impl Content,
    whole: Option<Sha256>,
) {
    assert_eq!(answer.header("upload-complete"), Some("?1"));
    let told = whole.map(|sha256| sha256.to_header());
    assert_eq!(answer.header("repr-digest"), told.as_deref());
    let file: PageFile = answer.ok(201);
    assert_eq!(file.sha256, whole);
    let event = stage.receiver.wait_stored(link.id, content, WITHIN);
    assert_eq!(event.stored().map(|stored| stored.file.id), Some(file.id));
    let _ = stage.edge.app().sha256(file.id);
}

#[track_caller]
fn refused(answer: &Answer, status: u16, complete: &str, code: ProblemCode) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("upload-complete"), Some(complete));
    let body: Value = serde_json::from_slice(&answer.body).expect("a problem");
    assert_eq!(body["code"], code.code(), "{body}");
    assert_eq!(body["status"], status);
    body
}

#[test]
fn limits_are_told_beforehand() {
    let stage = shared();
    let (_, page) = new_link(&stage, DOCUMENTS);
    let answer = page.call("OPTIONS", "/resumable", &[], None);
    assert_eq!(answer.status, 204);
    let limit = format!("max-size={DOCUMENT_MAX}, max-append-size=100000000");
    assert_eq!(answer.header("upload-limit"), Some(&*limit));
    assert_eq!(answer.header("allow"), Some("OPTIONS, POST, PUT"));
    // Nothing is appended to this address.
    assert_eq!(answer.header("accept-patch"), None);
}

#[test]
fn an_upload_tells_its_methods_and_makes_no_others() {
    let stage = shared();
    let (_, page) = new_link(&stage, DOCUMENTS);
    let upload = begin(&page, 1000);
    for _ in 0..2 {
        let answer = upload.call("OPTIONS", &[], None);
        assert_eq!(answer.status, 204, "{}", answer.text());
        let methods = "DELETE, GET, HEAD, OPTIONS, PATCH";
        assert_eq!(answer.header("allow"), Some(methods));
        assert_eq!(answer.header("accept-patch"), Some(PARTIAL));
        assert_eq!(answer.header("upload-limit"), None);
        // To ask changes nothing, and needs no upload that is still there.
        let _ = upload.call("DELETE", &[], None);
    }
    let refusal = upload.call("POST", &[], Some(b"x"));
    assert_eq!(
        refusal.header("allow"),
        Some("DELETE, GET, HEAD, OPTIONS, PATCH")
    );
    let (_, other) = new_link(&stage, DOCUMENTS);
    let id = upload.id();
    let elsewhere = other.call("OPTIONS", &format!("/resumable/{id}"), &[], None);
    refused(&elsewhere, 404, "?0", ProblemCode::UploadNotFound);
}

#[test]
fn a_whole_file_in_one_request_is_stored_at_once() {
    let stage = shared();
    let (link, page) = new_link(&stage, DOCUMENTS);
    let bytes = pdf();
    let answer = post(&page, &[("upload-complete", "?1")], &bytes);
    let whole = Sha256::of(&bytes);
    stored(&stage, &link, &answer, whole, Some(whole));
    assert_eq!(stage.edge.app().get_link(link.id).files[0].name, "a.pdf");
}

#[test]
fn a_file_that_is_begun_empty_grows_and_is_completed() {
    let stage = shared();
    let (link, page) = new_link(&stage, ANY_FILE);
    let file = Random {
        seed: 951,
        size: PART + 1_000_000,
    };
    let upload = begin(&page, file.size);
    let first = upload.append(0, &file.read(0, 3_000_000), false, &[]);
    assert_eq!(first.status, 204, "{}", first.text());
    assert_eq!(first.header("upload-complete"), Some("?0"));
    let asked = upload.call("HEAD", &[], None);
    assert_eq!(asked.status, 204);
    assert_eq!(number(&asked, "upload-offset"), 3_000_000);
    assert_eq!(number(&asked, "upload-length"), file.size);
    assert_eq!(asked.header("upload-complete"), Some("?0"));
    assert_eq!(asked.header("cache-control"), Some("no-store"));
    assert!(asked.header("upload-limit").is_some());
    // All bytes are there, and still it is not complete before its sender says so.
    let rest = upload.append(3_000_000, &file.read(3_000_000, file.size), false, &[]);
    assert_eq!(rest.status, 204, "{}", rest.text());
    let asked = upload.call("GET", &[], None);
    assert_eq!(asked.header("upload-complete"), Some("?0"));
    let last = upload.append(file.size, &[], true, &[]);
    stored(&stage, &link, &last, file, None);
    let asked = upload.call("HEAD", &[], None);
    assert_eq!(asked.header("upload-complete"), Some("?1"));
    assert_eq!(number(&asked, "upload-offset"), file.size);
    // The answer is given again to whom it did not reach.
    let again = upload.append(file.size, &[], true, &[]);
    stored(&stage, &link, &again, file, None);
    let more = upload.append(file.size, b"x", true, &[]);
    assert_eq!(more.status, 400, "{}", more.text());
}

#[test]
fn a_cut_append_keeps_every_byte_that_arrived() {
    let stage = shared();
    let (link, page) = new_link(&stage, ANY_FILE);
    let file = Random {
        seed: 952,
        size: 2 * PART,
    };
    let bytes = file.read(0, file.size);
    let upload = begin(&page, file.size);
    let headers = format!("content-type: {PARTIAL}\r\nupload-offset: 0\r\nupload-complete: ?1\r\n");
    let sent = 5_000_000;
    upload.cut(&headers, file.size, &bytes[..sent]);
    stage.edge.app().wait_held(link.id, sent as u64);
    let asked = upload.call("HEAD", &[], None);
    assert_eq!(number(&asked, "upload-offset"), sent as u64);
    assert_eq!(asked.header("upload-complete"), Some("?0"));
    let last = upload.append(sent as u64, &bytes[sent..], true, &[]);
    stored(&stage, &link, &last, file, None);
}

#[test]
fn a_stream_of_unknown_length_ends_where_its_sender_says() {
    let stage = shared();
    let (link, page) = new_link(&stage, DOCUMENTS);
    let bytes = pdf();
    let created = post(&page, &[("upload-complete", "?0")], &bytes[..100]);
    assert_eq!(created.status, 201, "{}", created.text());
    let upload = Serial::at(&page, &created);
    assert_eq!(upload.call("HEAD", &[], None).header("upload-length"), None);
    let mut request = format!(
        "PATCH {} HTTP/1.1\r\nhost: edge\r\ncontent-type: {PARTIAL}\r\nupload-offset: 100\r\n\
         upload-complete: ?1\r\ntransfer-encoding: chunked\r\n\r\n",
        upload.path
    )
    .into_bytes();
    let rest = &bytes[100..];
    request.extend(format!("{:x}\r\n", rest.len()).bytes());
    request.extend(rest);
    request.extend(b"\r\n0\r\n\r\n");
    let answer = send_raw(&stage.edge.origin(), &request).expect("an answer");
    let whole = Sha256::of(&bytes);
    stored(&stage, &link, &answer, whole, Some(whole));
}

#[test]
fn refusals_of_the_protocol_leave_the_upload_to_go_on() {
    without_trace(DOCUMENTS, |_, page| {
        let upload = begin(page, 1000);
        let elsewhere = upload.append(5, b"x", false, &[]);
        let body = refused(&elsewhere, 409, "?0", ProblemCode::OffsetDiffers);
        assert_eq!(body["type"], format!("{TYPES}mismatching-upload-offset"));
        assert_eq!(body["expected-offset"], 0);
        assert_eq!(body["provided-offset"], 5);
        assert_eq!(number(&elsewhere, "upload-offset"), 0);

        let lengths = [
            upload.append(0, b"x", true, &[]),
            upload.append(0, b"x", false, &[("upload-length", "999")]),
            upload.append(0, b"x", true, &[("upload-length", "5")]),
        ];
        for answer in lengths {
            let body = refused(&answer, 400, "?0", ProblemCode::InvalidRequest);
            assert_eq!(body["type"], format!("{TYPES}inconsistent-upload-length"));
        }
        let longer = upload.append(0, &[0; 1001], false, &[]);
        let body = refused(&longer, 400, "?0", ProblemCode::BodyTooLarge);
        assert_eq!(body["type"], format!("{TYPES}inconsistent-upload-length"));

        let wrong = Sha256::of(b"other").to_header();
        let digest = upload.append(0, b"x", false, &[("content-digest", &wrong)]);
        refused(&digest, 422, "?0", ProblemCode::DigestMismatch);

        for missing in ["upload-offset", "upload-complete"] {
            let headers: Vec<_> = [
                ("content-type", PARTIAL),
                ("upload-offset", "0"),
                ("upload-complete", "?0"),
            ]
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .collect();
            let answer = upload.call("PATCH", &headers, Some(b"x"));
            refused(&answer, 400, "?0", ProblemCode::InvalidRequest);
        }
        let typed = upload.call("PATCH", &[("upload-offset", "0")], Some(b"x"));
        refused(&typed, 415, "?0", ProblemCode::InvalidRequest);
        let method = upload.call("POST", &[], Some(b"x"));
        refused(&method, 405, "?0", ProblemCode::MethodNotAllowed);
        assert_eq!(number(&upload.call("HEAD", &[], None), "upload-offset"), 0);

        assert_eq!(upload.call("DELETE", &[], None).status, 204);
        let gone = upload.append(0, b"x", false, &[]);
        refused(&gone, 410, "?0", ProblemCode::UploadAborted);
    });
}

#[test]
fn refusals_of_the_file_end_the_upload() {
    without_trace(DOCUMENTS, |_, page| {
        let over = (DOCUMENT_MAX + 1).to_string();
        let large = post(
            page,
            &[("upload-complete", "?0"), ("upload-length", &over)],
            &[],
        );
        refused(&large, 413, "?1", ProblemCode::FileTooLarge);
        let empty = post(page, &[("upload-complete", "?1")], &[]);
        refused(&empty, 422, "?1", ProblemCode::FileEmpty);
        let program = post(page, &[("upload-complete", "?1")], &elf());
        refused(&program, 415, "?1", ProblemCode::FileTypeNotAccepted);
        let wrong = Sha256::of(b"other").to_header();
        let other = post(
            page,
            &[("upload-complete", "?1"), ("repr-digest", &wrong)],
            &pdf(),
        );
        refused(&other, 422, "?1", ProblemCode::DigestMismatch);
        let two = post(
            page,
            &[("upload-complete", "?1"), ("upload-length", "5")],
            &pdf(),
        );
        refused(&two, 400, "?0", ProblemCode::InvalidRequest);
    });
}
