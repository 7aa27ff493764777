//! The note to the app that a scene asks for, and by how much pages are turned: what is kept of either, and what
//! is refused.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::api::{File, FormResult, LinkState, PageFile, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::NOTE_MAX;
use chatlift_shared::{FileId, ProblemCode};
use chatlift_tests::assertions::{refused, without_trace};
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{DOCUMENTS, PAGES};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::Answer;
use chatlift_tests::serial::{self, Serial};
use chatlift_tests::stage::shared;
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(60);

/// Looks like markup, a header and an address, and is none of them.
const NOTE: &str = "<script>alert(1)</script>\nX-Roof: \u{202e}雨 & ../../etc";

fn announce(page: &Page, said: &Value) -> Answer {
    page.announce_saying("letter.pdf", pdf().len() as u64, &pdf(), said)
}

/// Sends what was announced.
fn send(page: &Page, upload: &Upload) -> PageFile {
    let parts = Sha256::of_parts([Sha256::of(&pdf())]);
    page.send_last(upload, 1, &pdf(), (Sha256::of(&pdf()), parts))
        .ok(200)
}

fn kept(app: &App, file: FileId) -> File {
    app.call("GET", &format!("/v1/files/{file}"), &[], None)
        .ok(200)
}

/// Sends a form with a field before the files and one behind them.
fn form(page: &Page, before: &str, behind: &str) -> Answer {
    let field = |name: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let head =
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"letter.pdf\"\r\n\r\n";
    let body = [
        field("openid", "o6_bmjrPTlm6_2sgVt7hMZOPfL2M").as_bytes(),
        field("note", before).as_bytes(),
        head.as_bytes(),
        &pdf(),
        b"\r\n",
        field("note", behind).as_bytes(),
        b"--x--\r\n",
    ]
    .concat();
    let headers = [
        ("content-type", "multipart/form-data; boundary=x"),
        ("accept", "application/json"),
    ];
    page.call("POST", "", &headers, Some(&body))
}

#[test]
fn what_is_said_with_a_file_is_in_its_record_and_its_event_as_it_was_written() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(PAGES);
    let page = app.page(&link);
    assert!(page.data().link.is_some_and(|link| link.note));
    let first: Upload = announce(&page, &json!({ "note": "not this", "rotate": 180 })).ok(201);
    // The same file announced again: what is said last holds.
    let said = json!({ "note": format!(" {NOTE}\r\n"), "rotate": 270.0 });
    let upload: Upload = announce(&page, &said).ok(200);
    assert_eq!(upload.id, first.id);
    let file = send(&page, &upload);
    let record = kept(&app, file.id);
    assert_eq!((record.note.as_deref(), record.rotate), (Some(NOTE), 270));
    assert_eq!(app.get_link(link.id).files, std::slice::from_ref(&record));
    let told = stage
        .receiver
        .wait_stored(link.id, Sha256::of(&pdf()), WITHIN);
    let stored = told.stored().expect("file.stored");
    assert_eq!((&stored.file.note, stored.file.rotate), (&record.note, 270));
    // Whoever else has the link reads nothing of it.
    let html = page.call("GET", "", &[], None).text();
    assert!(
        !html.contains("X-Roof") && !html.contains("alert(1)"),
        "{html}"
    );

    // It goes with the file.
    let path = format!("/v1/files/{}", file.id);
    assert!(app.call("DELETE", &path, &[], None).status < 300);
    let deleted = kept(&app, file.id);
    assert_eq!((deleted.note, deleted.rotate), (None, 0));
}

#[test]
fn a_form_says_it_before_its_files() {
    let stage = shared();
    let app = stage.edge.app();
    let page = app.page(&app.link(PAGES));
    let result: FormResult = form(&page, "Roof\r\nCellar", "").ok(200);
    let file = result.files[0].file.as_ref().expect("a file").id;
    assert_eq!(kept(&app, file).note.as_deref(), Some("Roof\nCellar"));

    // Behind them it comes too late, and is not passed over.
    let page = app.page(&app.link(PAGES));
    let answer = form(&page, "", "Roof");
    assert_eq!(answer.status, 207);
    let result: FormResult = answer.ok(207);
    let problem = result.problem.expect("a problem");
    assert_eq!(problem.field.as_deref(), Some("note"));
    let file = result.files[0].file.as_ref().expect("a file").id;
    assert_eq!(kept(&app, file).note, None);

    // Where none is asked for, a field of that name is one of a chat platform's.
    let page = app.page(&app.link(DOCUMENTS));
    let result: FormResult = form(&page, "Roof", "Roof").ok(200);
    let file = result.files[0].file.as_ref().expect("a file").id;
    assert_eq!(kept(&app, file).note, None);
}

#[test]
fn a_form_turns_the_pages_of_its_files_and_leaves_the_link_open_where_it_says_that_more_follow() {
    let app = shared().edge.app();
    let send = |page: &Page, fields: &[(&str, &str)]| {
        let field = |(name, value): &(&str, &str)| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let fields: String = fields.iter().map(field).collect();
        let file =
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"page.pdf\"\r\n\r\n";
        let body = [fields.as_bytes(), file.as_bytes(), &pdf(), b"\r\n--x--\r\n"].concat();
        let headers = [
            ("content-type", "multipart/form-data; boundary=x"),
            ("accept", "application/json"),
        ];
        page.call("POST", "", &headers, Some(&body))
    };
    let id = |answer: Answer| {
        let result: FormResult = answer.ok(200);
        result.files[0].file.as_ref().expect("a file").id
    };
    let link = app.link(PAGES);
    let page = app.page(&link);
    let turned = id(send(&page, &[("rotate", "270"), ("more", "1")]));
    assert_eq!(kept(&app, turned).rotate, 270);
    assert_eq!(app.get_link(link.id).state, LinkState::Active);
    let last = id(send(&page, &[]));
    assert_eq!(kept(&app, last).rotate, 0);
    assert_eq!(app.get_link(link.id).state, LinkState::Completed);

    let page = app.page(&app.link(PAGES));
    let result: FormResult =
        send(&page, &[("rotate", "45")]).ok(ProblemCode::InvalidRequest.status());
    let problem = result.problem.expect("a problem");
    assert_eq!(problem.field.as_deref(), Some("rotate"));
    // Where nothing is joined, a field of that name is one of a chat platform's.
    let page = app.page(&app.link(DOCUMENTS));
    let file = id(send(&page, &[("rotate", "45")]));
    assert_eq!(kept(&app, file).rotate, 0);
}

/// Metadata of a tus upload that says these of its file.
fn saying(note: &str, rotate: &str) -> String {
    let (note, rotate) = (STANDARD.encode(note), STANDARD.encode(rotate));
    format!(
        "{},note {note},rotate {rotate}",
        serial::metadata("letter.pdf")
    )
}

/// Makes a tus upload of [`pdf`] with this metadata.
fn create(page: &Page, metadata: &str) -> Answer {
    let length = pdf().len().to_string();
    let headers = [("upload-length", &*length), ("upload-metadata", metadata)];
    serial::tus(page, "POST", "", &headers, Some(&[]))
}

#[test]
fn tus_says_it_by_its_metadata() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(PAGES);
    let page = app.page(&link);
    let upload = Serial::at(&page, &create(&page, &saying(NOTE, "270")));
    upload.add(0, &pdf());
    let record = kept(&app, upload.file());
    assert_eq!((record.note.as_deref(), record.rotate), (Some(NOTE), 270));
    let told = stage
        .receiver
        .wait_stored(link.id, Sha256::of(&pdf()), WITHIN);
    let stored = told.stored().expect("file.stored");
    assert_eq!((&stored.file.note, stored.file.rotate), (&record.note, 270));

    // Of pieces, by what joins them.
    let piece = serial::create(
        &page,
        "",
        pdf().len() as u64,
        &[("upload-concat", "partial")],
    );
    piece.add(0, &pdf());
    let concat = format!("final;{}", piece.path);
    let metadata = saying("Roof", "90");
    let headers = [("upload-concat", &*concat), ("upload-metadata", &metadata)];
    let joined = serial::tus(&page, "POST", "", &headers, Some(&[]));
    let record = kept(&app, Serial::at(&page, &joined).file());
    assert_eq!((record.note.as_deref(), record.rotate), (Some("Roof"), 90));

    // Where neither is asked for, the keys are the client's own.
    let page = app.page(&app.link(DOCUMENTS));
    let upload = Serial::at(&page, &create(&page, &saying("Roof", "left")));
    upload.add(0, &pdf());
    let record = kept(&app, upload.file());
    assert_eq!((record.note, record.rotate), (None, 0));
}

#[test]
fn what_tus_says_wrongly_is_refused_by_its_field() {
    let long = ".".repeat(NOTE_MAX + 1);
    without_trace(PAGES, |_, page| {
        for (metadata, field) in [
            (saying(&long, "0"), "note"),
            (saying("Roof", "45"), "rotate"),
            (saying("Roof", "left"), "rotate"),
        ] {
            let problem = refused(&create(page, &metadata), ProblemCode::InvalidRequest);
            assert_eq!(problem.field.as_deref(), Some(field), "{metadata}");
        }
    });
}

#[test]
fn a_note_that_is_too_long_is_refused_by_its_field() {
    let longest = "雨".repeat(NOTE_MAX);
    let long = format!("{longest}.");
    without_trace(PAGES, |_, page| {
        let problem = refused(
            &announce(page, &json!({ "note": long })),
            ProblemCode::InvalidRequest,
        );
        assert_eq!(problem.field.as_deref(), Some("note"));
        assert_eq!(problem.limit, Some(NOTE_MAX as u64));
        let answer = form(page, &long, "");
        let result: FormResult = answer.ok(400);
        assert!(result.files.is_empty());
        assert_eq!(result.problem, Some(problem));
        let _: Upload = announce(page, &json!({ "note": longest })).ok(201);
    });
}

#[test]
fn what_the_scene_does_not_ask_for_is_refused_by_its_field() {
    without_trace(DOCUMENTS, |_, page| {
        assert!(!page.data().link.is_some_and(|link| link.note));
        for (said, field) in [
            (json!({ "note": "Roof" }), "note"),
            (json!({ "rotate": 90 }), "rotate"),
        ] {
            let problem = refused(&announce(page, &said), ProblemCode::InvalidRequest);
            assert_eq!(problem.field.as_deref(), Some(field));
        }
        // Nothing said is nothing refused.
        let _: Upload = announce(page, &json!({ "note": " \n", "rotate": 0 })).ok(201);
    });
    without_trace(PAGES, |_, page| {
        for rotate in [45, 89, 360, 65_535] {
            let said = json!({ "rotate": rotate });
            let problem = refused(&announce(page, &said), ProblemCode::InvalidRequest);
            assert_eq!(problem.field.as_deref(), Some("rotate"), "{said}");
        }
    });
}
