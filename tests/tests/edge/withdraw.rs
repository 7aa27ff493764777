//! Who sent a file takes it back: until the app has it, and nobody else.

use std::time::Duration;

use chatlift_shared::api::{DeletedReason, File, HEADER_TICKET, LinkState, PageFile};
use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::EventKind;
use chatlift_shared::{FileId, ProblemCode, UploadId};
use chatlift_tests::assertions::refused;
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{ANY_FILE, ONE_FILE};
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::http::Answer;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::{Stage, shared};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);

/// Never answers once the object is in R2 and before the link's object knows of it.
const HANG: (&str, &str) = ("chatlift-fault", "hang-after-r2-commit");

fn upload_of(file: FileId) -> UploadId {
    UploadId::new(file.link(), file.suffix())
}

fn withdraw(page: &Page, upload: UploadId, ticket: &str) -> Answer {
    let path = format!("/uploads/{upload}");
    page.call("DELETE", &path, &[(HEADER_TICKET, ticket)], None)
}

fn record(app: &App, file: FileId) -> File {
    app.call("GET", &format!("/v1/files/{file}"), &[], None)
        .ok(200)
}

fn give_receipt(app: &App, file: FileId, status: &str) {
    let path = format!("/v1/files/{file}/receipt");
    let body = json!({ "status": status });
    let _: File = app.call("POST", &path, &[], Some(&body)).ok(200);
}

#[test]
fn a_sent_file_is_withdrawn_and_another_one_takes_its_place() {
    let stage = Stage::new("withdrawn");
    let app = stage.edge.app();
    let link = app.link(ONE_FILE);
    let page = app.page(&link);
    let sent = page.store("a.pdf", &pdf());
    assert_eq!(app.get_link(link.id).state, LinkState::Completed);
    let ticket = sent.ticket.expect("a ticket");
    for _ in 0..2 {
        assert_eq!(withdraw(&page, upload_of(sent.id), &ticket).status, 204);
    }
    refused(&app.content(sent.id, &[]), ProblemCode::FileDeleted);
    let kept = record(&app, sent.id);
    assert!(kept.deleted_at.is_some());
    assert_eq!(kept.deleted_reason, Some(DeletedReason::Withdrawn));
    let data = page.data().link.expect("a link");
    assert_eq!((data.files_left, data.files.len()), (1, 0));
    wait_for("an empty bucket", WITHIN, || {
        (!stage.edge.bucket_holds(&pdf())).then_some(())
    });
    let told = wait_for("file.deleted", WITHIN, || {
        let told = stage.receiver.about(link.id).into_iter();
        told.filter_map(|delivery| match delivery.event.kind {
            EventKind::FileDeleted(deleted) => Some(deleted.file),
            _ => None,
        })
        .next()
    });
    assert_eq!(told.id, sent.id);
    assert_eq!(told.deleted_reason, Some(DeletedReason::Withdrawn));
    // The same bytes again are a new file.
    let again = page.store("a.pdf", &pdf());
    assert_ne!(again.id, sent.id);
    assert_eq!(
        Sha256::of(&app.content(again.id, &[]).body),
        again.sha256.expect("a digest")
    );
    assert_eq!(app.get_link(link.id).state, LinkState::Completed);
}

#[test]
fn a_file_in_parts_is_withdrawn_with_the_ticket_of_its_upload() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random { seed: 1, size: 100 };
    let upload = page.announce_random("a.bin", file);
    let parts = page.send_parts(&upload, file);
    let stored: PageFile = page.complete(upload.id, file.sha256(), &parts, &[]).ok(200);
    assert_eq!(withdraw(&page, upload.id, &upload.ticket).status, 204);
    refused(&app.content(stored.id, &[]), ProblemCode::FileDeleted);
    // What still asks for it does not hear that it has arrived.
    let late = page.complete(upload.id, file.sha256(), &parts, &[]);
    refused(&late, ProblemCode::UploadAborted);
    let late = page.send_part(&upload, 1, &file.read(0, 100));
    refused(&late, ProblemCode::UploadAborted);
}

#[test]
fn a_file_that_the_app_has_is_not_withdrawn() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let sent = page.store("a.pdf", &pdf());
    let ticket = sent.ticket.expect("a ticket");
    for status in ["received", "converted", "delivered"] {
        give_receipt(&app, sent.id, status);
    }
    let answer = withdraw(&page, upload_of(sent.id), &ticket);
    refused(&answer, ProblemCode::FileTaken);
    assert_eq!(app.content(sent.id, &[]).status, 200);
    assert_eq!(record(&app, sent.id).deleted_at, None);
}

#[test]
fn nobody_withdraws_what_another_one_has_sent() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let sent = page.store("a.pdf", &pdf());
    let other = page.store("b.pdf", &pdf());
    // Who knows what a file is can find it stored, and gets no ticket for it.
    let digest = Sha256::of(&pdf()).to_header();
    let found: PageFile = page
        .send_file("a.pdf", &pdf(), &[("content-digest", &digest)])
        .ok(201);
    assert_eq!((found.id, found.ticket), (sent.id, None));
    let shown = page.data().link.expect("a link").files;
    assert!(shown.iter().all(|file| file.ticket.is_none()), "{shown:?}");
    let foreign = other.ticket.expect("a ticket");
    for ticket in [&foreign[..], "", "x"] {
        let answer = withdraw(&page, upload_of(sent.id), ticket);
        refused(&answer, ProblemCode::UploadTicketInvalid);
    }
    let path = format!("/uploads/{}", upload_of(sent.id));
    let answer = page.call("DELETE", &path, &[], None);
    refused(&answer, ProblemCode::UploadBusy);
    // Nor does it let anybody send parts.
    let upload = upload_of(other.id);
    let part = format!("/uploads/{upload}/parts/1");
    let headers = [
        ("content-digest", digest.as_str()),
        (HEADER_TICKET, foreign.as_str()),
    ];
    let answer = page.call("PUT", &part, &headers, Some(&pdf()));
    refused(&answer, ProblemCode::UploadTicketInvalid);
    assert_eq!(app.content(sent.id, &[]).status, 200);
    assert_eq!(app.content(other.id, &[]).status, 200);
}

#[test]
fn a_file_that_is_withdrawn_while_it_is_being_stored_never_becomes_one() {
    let stage = Stage::new("withdrawn-busy");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random { seed: 2, size: 100 };
    let upload = page.announce_random("a.bin", file);
    let parts = page.send_parts(&upload, file);
    std::thread::spawn({
        let (page, sha256, parts) = (page.clone(), file.sha256(), parts.clone());
        move || page.try_complete(upload.id, sha256, &parts, &[HANG])
    });
    wait_for("a commit under way", WITHIN, || {
        stage.edge.log().contains("hangs, as asked").then_some(())
    });
    assert_eq!(withdraw(&page, upload.id, &upload.ticket).status, 204);
    let late = page.complete(upload.id, file.sha256(), &parts, &[]);
    refused(&late, ProblemCode::UploadAborted);
    let now = app.get_link(link.id);
    assert_eq!((now.files.len(), now.uploads), (0, 0));
    // Another one of that name is announced anew.
    let again = page.store_random("a.bin", file);
    assert_ne!(upload_of(again.id), upload.id);
    let events = app.event_log(link.id, &[]).events;
    let stored = events
        .iter()
        .filter(|event| matches!(event.event.kind, EventKind::FileStored(_)));
    assert_eq!(stored.count(), 1);
}
