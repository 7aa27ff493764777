//! The first-app demo in real Chromium: it follows a file from the chat to its pages.

use std::time::Duration;

use chatlift_shared::api::LinkState;
use chatlift_shared::limits::MIB;
use chatlift_shared::token;
use chatlift_tests::browser::{Browser, file_receipt, mark, row};
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS, PAGES};
use chatlift_tests::fixtures::{self, Random, docx, elf, jpeg, zip};
use chatlift_tests::http::send;
use chatlift_tests::journey::{asked, edge_and_backend, upload};
use chatlift_tests::scratch::{now, wait_for};
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);

/// The selector of a step of the way, when it is done.
fn done(step: &str) -> String {
    format!(r#"[data-step="{step}"].done"#)
}

/// How many pixels of the first page of the first PDF are dark.
fn ink(first_app: &Browser) -> u64 {
    let script = r#"
        const page = document.querySelector('[data-testid="pdf-page"]');
        if (!page?.naturalWidth) return 0;
        const canvas = document.createElement("canvas");
        canvas.width = page.naturalWidth; canvas.height = page.naturalHeight;
        const context = canvas.getContext("2d");
        context.drawImage(page, 0, 0);
        const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
        let dark = 0;
        for (let i = 0; i < data.length; i += 4) dark += data[i] < 100 ? 1 : 0;
        return dark;"#;
    first_app
        .session()
        .script(script, &json!([]))
        .as_u64()
        .unwrap_or(0)
}

#[test]
fn a_chinese_word_document_is_followed_to_its_pages_and_the_person_sees_three_marks() {
    let (edge, _backend, first_app, link) = asked("first-app", DOCUMENTS);
    let claims = token::verify(&edge.keys(), Page::of(&link).token(), now()).expect("a good token");

    // A chat app draws its card: nobody has opened anything.
    let card = send("GET", &link, &[("user-agent", "WhatsApp/2")], None);
    assert_eq!(card.expect("the page").status, 200);
    assert_eq!(edge.app().get_link(claims.link).opened_at, None);
    first_app.sees(&done("opened"), 0);

    let phone = Browser::english();
    phone.open(&link);
    first_app.sees(&done("opened"), 1);
    first_app.sees(&done("uploaded"), 0);
    let path = fixtures::write(phone.folder(), "理赔材料.docx", &docx());
    upload(&phone, &[&path]);
    for step in [
        "opened",
        "uploading",
        "uploaded",
        "received",
        "converted",
        "delivered",
    ] {
        first_app.sees_within(&done(step), 1, WITHIN);
    }
    assert!(
        first_app
            .text(&mark("waiting"))
            .contains("Your file has arrived")
    );

    // The pages are drawn, with words on them.
    first_app.sees_within(&mark("pdf-page"), 1, WITHIN);
    let dark = wait_for("a page with words", WITHIN, || {
        Some(ink(&first_app)).filter(|dark| *dark > 200)
    });
    println!("the first page has {dark} dark pixels");
    assert!(
        first_app
            .text(&mark("delivery"))
            .contains("Word converted to PDF")
    );

    // The upload page, which was not loaded again, shows all three marks.
    let marks = format!("{} .marks li.on", mark("file-receipt"));
    phone.sees_within(&marks, 3, WITHIN);
    phone.sees(&format!("{} .marks li", mark("file-receipt")), 3);
}

#[test]
fn whoever_sent_an_archive_is_told_which_of_its_files_were_left_out() {
    let (edge, _backend) = edge_and_backend("left-out");
    let phone = Browser::english();
    phone.open(&edge.app().link(PAGES).url);
    let archive = zip([("damage.jpg", &*jpeg()), ("viewer.exe", &elf())]);
    let path = fixtures::write(phone.folder(), "claim.zip", &archive);
    upload(&phone, &[&path]);
    phone.sees_within(&file_receipt("delivered"), 1, WITHIN);
    let said = phone.read(&mark("receipt-reason"));
    assert_eq!(said, "1 of the 2 files in it could not be used:");
    assert_eq!(phone.read(&mark("left-out")), "viewer.exe");
}

/// The steps of the way that are done.
const DONE: &str = r#"
    return [...document.querySelectorAll("[data-step].done")].map((step) => step.dataset.step)"#;

#[test]
fn the_steps_of_a_rejected_file_stay_as_far_as_they_came() {
    let (_edge, _backend, first_app, link) = asked("first-app-rejected", DOCUMENTS);
    let phone = Browser::english();
    phone.open(&link);
    let mut damaged = jpeg();
    damaged.truncate(200);
    let path = fixtures::write(phone.folder(), "damage.jpg", &damaged);
    upload(&phone, &[&path]);
    let rejected = r#"[data-testid="delivery"][data-status="rejected"]"#;
    first_app.sees_within(rejected, 1, WITHIN);
    let expected = json!(["opened", "uploading", "uploaded", "received"]);
    assert_eq!(first_app.session().script(DONE, &json!([])), expected);
    // And when all is told again.
    first_app.session().reload();
    first_app.sees_within(rejected, 1, WITHIN);
    assert_eq!(first_app.session().script(DONE, &json!([])), expected);
}

#[test]
fn the_first_app_sees_how_much_of_an_upload_has_arrived() {
    let (_edge, _backend, first_app, link) = asked("first-app-progress", ANY_FILE);
    let page = Page::of(&link);
    let file = Random {
        seed: 9,
        size: 20 * MIB,
    };
    let upload = page.announce_random("holiday.mp4", file);
    let first = file.read(0, upload.part_size);
    assert_eq!(page.send_part(&upload, 1, &first).status, 204);
    let percent = upload.part_size * 100 / file.size;
    let shown = wait_for("the percentage", WITHIN, || {
        let shown = first_app.text(&mark("waiting"));
        shown.contains(&format!("{percent} %")).then_some(shown)
    });
    assert!(shown.contains("Uploading"), "{shown}");
    let bar = first_app.attribute(&mark("delivery-progress"), "value");
    assert_eq!(bar, Some(percent.to_string()));

    // Given up, it goes from the list.
    let path = format!("/uploads/{}", upload.id);
    assert_eq!(page.call("DELETE", &path, &[], None).status, 204);
    first_app.sees(&mark("delivery-progress"), 0);
    let _ = page.store_random("holiday.mp4", file);
    let arrived = r#"[data-testid="delivery"][data-status="delivered"]"#;
    first_app.sees_within(arrived, 1, WITHIN);
    assert_eq!(first_app.delivered(), [file.sha256()]);
}

#[test]
fn pages_that_were_picked_together_become_one_pdf_in_their_order() {
    let (edge, _backend, first_app, link) = asked("first-app-pages", PAGES);
    let phone = Browser::english();
    phone.open(&link);
    // The first is the largest, so that it is not the first to arrive.
    let paths: Vec<_> = [(900, 1_800), (40, 20), (30, 30)]
        .iter()
        .enumerate()
        .map(|(n, (width, height))| {
            let mut bytes = std::io::Cursor::new(Vec::new());
            RgbImage::from_fn(*width, *height, |x, y| {
                Rgb([(x * y) as u8, x as u8, y as u8])
            })
            .write_to(&mut bytes, ImageFormat::Png)
            .expect("a PNG");
            fixtures::write(phone.folder(), &format!("page-{n}.png"), bytes.get_ref())
        })
        .collect();
    upload(
        &phone,
        &paths.iter().map(|p| p.as_path()).collect::<Vec<_>>(),
    );
    let arrived = r#"[data-testid="delivery"][data-status="delivered"]"#;
    first_app.sees_within(arrived, 1, WITHIN);
    first_app.sees_within(&mark("pdf-page"), 3, WITHIN);
    first_app.sees(&mark("delivery"), 1);
    assert!(
        first_app
            .text(&mark("delivery"))
            .contains("3 files in one PDF")
    );
    let script = r#"return [...document.querySelectorAll('[data-testid="pdf-page"]')]
        .map((page) => page.naturalWidth && Math.round(page.naturalWidth / page.naturalHeight * 10))"#;
    let _ = first_app.session().script(
        "document.querySelectorAll('[data-testid=\"pdf-page\"]').forEach((page) => (page.loading = 'eager'))",
        &json!([]),
    );
    wait_for("the pages in their order", WITHIN, || {
        (first_app.session().script(script, &json!([])) == json!([5, 20, 10])).then_some(())
    });
    let claims = token::verify(&edge.keys(), Page::of(&link).token(), now()).expect("a good token");
    let ended = edge.app().get_link(claims.link);
    assert_eq!(ended.state, LinkState::Completed);
    let marks = format!("{} .marks li.on", mark("file-receipt"));
    phone.sees_within(&marks, 3 * 3, WITHIN);
}

/// Looks like markup, and is none.
const NOTE: &str = "<b>Roof</b> & cellar";

/// Writes the note.
fn write_note(phone: &Browser) {
    let field = phone.session().find(&mark("note")).expect("the field");
    phone.session().send_keys(&field, NOTE);
}

#[test]
fn a_note_that_a_person_writes_is_read_by_the_app_with_each_file_or_what_they_are_joined_to() {
    let (edge, _backend, first_app, link) = asked("first-app-note", PAGES);
    let phone = Browser::english();
    phone.open(&link);
    phone.sees("html[data-state=program]", 1);
    let label = phone.text("#note-label");
    assert_eq!(label, "Note to Harbour Insurance (optional)");
    let paths = [("front.jpg", jpeg()), ("back.jpg", fixtures::png())];
    let paths = paths.map(|(name, bytes)| fixtures::write(phone.folder(), name, &bytes));
    phone.pick(&paths);
    phone.sees(&row("ready"), 2);
    write_note(&phone);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    phone.sees("#note-field[hidden]", 1);
    let arrived = r#"[data-testid="delivery"][data-status="delivered"]"#;
    first_app.sees_within(arrived, 1, WITHIN);
    assert_eq!(first_app.read(&mark("delivery-note")), NOTE);
    // And when the app lists what it has.
    first_app.session().reload();
    first_app.sees_within(arrived, 1, WITHIN);
    assert_eq!(first_app.read(&mark("delivery-note")), NOTE);
    let claims = token::verify(&edge.keys(), Page::of(&link).token(), now()).expect("a good token");
    let notes = edge.app().get_link(claims.link).files.into_iter();
    let notes: Vec<_> = notes.filter_map(|file| file.note).collect();
    assert_eq!(notes, [NOTE, NOTE]);
}

#[test]
fn a_note_goes_with_the_plain_form_too() {
    let (edge, _backend) = edge_and_backend("form-note");
    let link = edge.app().link(PAGES);
    let phone = Browser::english();
    phone.session().devtools("Network.enable", &json!({}));
    let block = json!({ "urls": ["*.wasm"] });
    let _ = phone.session().devtools("Network.setBlockedURLs", &block);
    phone.open(&link.url);
    phone.sees("html[data-state=form]", 1);
    write_note(&phone);
    let path = fixtures::write(phone.folder(), "front.jpg", &jpeg());
    phone.pick(&[&path]);
    phone.click(&mark("form-send"));
    phone.sees_within("li.yes", 1, WITHIN);
    let files = edge.app().get_link(link.id).files;
    assert_eq!(files[0].note.as_deref(), Some(NOTE));
    // Where the scene asks for none, there is no field.
    phone.open(&edge.app().link(DOCUMENTS).url);
    phone.sees("html[data-state=form]", 1);
    phone.sees("#note-field[hidden]", 1);
}
