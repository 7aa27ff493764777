//! The whole journey in real Chromium: the first app asks, the link is opened, files are picked,
//! and the app has them.

use std::path::Path;
use std::time::Duration;

use chatlift_shared::api::ReceiptStatus;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::MIB;
use chatlift_shared::token;
use chatlift_tests::browser::{Browser, file_receipt, mark, row};
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS};
use chatlift_tests::fixtures::{self, Random, docx, jpeg, pdf, png};
use chatlift_tests::http::send;
use chatlift_tests::journey::{asked, upload};
use chatlift_tests::network::{Network, Profile};
use chatlift_tests::scratch::{now, wait_for};
use chatlift_tests::stage::shared;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);

/// What poppler reads in a PDF.
fn text_of_pdf(path: &Path) -> String {
    let output = std::process::Command::new("pdftotext")
        .arg(path)
        .arg("-")
        .output()
        .expect("pdftotext, of Debian's poppler-utils");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_app_asks_the_person_picks_and_the_app_has_the_files() {
    let (edge, backend, first_app, link) = asked("journey", DOCUMENTS);

    let phone = Browser::english();
    phone.open(&link);
    assert!(
        phone.read("h1").contains("Documents for your claim"),
        "{}",
        phone.text("body")
    );
    let files = [
        ("invoice.pdf", pdf()),
        ("damage.jpg", jpeg()),
        ("report.docx", docx()),
        ("screen.png", png()),
    ];
    let paths: Vec<_> = files
        .iter()
        .map(|(name, bytes)| fixtures::write(phone.folder(), name, bytes))
        .collect();
    upload(
        &phone,
        &paths.iter().map(|p| p.as_path()).collect::<Vec<_>>(),
    );
    assert!(
        phone.text(&mark("success")).contains("4 files"),
        "{}",
        phone.text(&mark("success"))
    );
    let script = "return document.querySelector(arguments[0]).textContent";
    let address = phone.session().script(script, &json!([mark("address")]));
    assert!(
        address.as_str().is_some_and(|a| a.starts_with("r2://")),
        "{address}"
    );

    // The first app has them all: the PDF and the JPEG by the digest of what was picked, the others
    // in the formats that it can use.
    first_app.sees_within(
        r#"[data-testid="delivery"][data-status="delivered"]"#,
        4,
        WITHIN,
    );
    let delivered = first_app.delivered();
    for (name, bytes) in &files[..2] {
        assert!(
            delivered.contains(&Sha256::of(bytes)),
            "{name}: {delivered:?}"
        );
    }
    let claims = token::verify(&edge.keys(), Page::of(&link).token(), now()).expect("a good token");
    let stored = edge.app().get_link(claims.link).files;
    for (name, bytes) in &files {
        let file = stored.iter().find(|f| f.name == *name).expect("the file");
        assert_eq!(edge.app().sha256(file.id), Sha256::of(bytes), "{name}");
        let url = format!("{}/app/deliveries/{}/content", backend.origin(), file.id);
        let content = send(
            "GET",
            &url,
            &[("authorization", backend.authorization().as_str())],
            None,
        )
        .expect("the first app")
        .body;
        if *name == "screen.png" {
            let picture = image::load_from_memory_with_format(&content, image::ImageFormat::Jpeg)
                .expect("a JPEG");
            assert_eq!((picture.width(), picture.height()), (320, 240));
        } else if *name == "report.docx" {
            let path = fixtures::write(phone.folder(), "report.pdf", &content);
            assert!(text_of_pdf(&path).contains("理赔材料 2026"));
        } else {
            assert!(content == *bytes, "{name}");
        }
    }
    first_app.sees(&mark("delivery-pdf"), 2);
    // The person sees how far each has come.
    phone.session().reload();
    phone.sees_within(&file_receipt("delivered"), 4, WITHIN);
    let receipts: Vec<_> = edge
        .app()
        .get_link(claims.link)
        .files
        .into_iter()
        .filter_map(|f| Some(f.receipt?.status))
        .collect();
    assert_eq!(receipts, [ReceiptStatus::Delivered; 4]);
}

/// One scenario for both: it writes some 1.5 GB, and what runs beside it waits for the disk meanwhile.
#[test]
fn a_file_of_300_mb_reaches_the_app_as_it_was_picked_and_the_page_does_not_grow_with_it() {
    let (_edge, _backend, first_app, link) = asked("large", ANY_FILE);
    let phone = Browser::english();
    let file = Random {
        seed: 78,
        size: 300_000_000,
    };
    let path = file.write(phone.folder(), "holiday.mp4");
    phone.choose(&link, &path);
    let (heap_before, resident_before) = (phone.heap(), phone.resident());
    phone.click(&mark("confirm"));
    let (mut heap, mut resident, mut seen) = (0, 0, Vec::new());
    wait_for("300 MB", Duration::from_secs(300), || {
        heap = heap.max(phone.heap());
        resident = resident.max(phone.resident());
        let shown = phone
            .attribute(&mark("progress-all"), "aria-valuenow")
            .and_then(|v| v.parse::<f64>().ok());
        seen.extend(shown);
        std::thread::sleep(Duration::from_millis(200));
        (phone.count(&mark("success")) == 1).then_some(())
    });
    println!(
        "page: heap {} KiB before, {} KiB at most; in RAM {} MiB before, {} MiB at most",
        heap_before / 1024,
        heap / 1024,
        resident_before / MIB,
        resident / MIB
    );
    assert!(
        heap.saturating_sub(heap_before) < 16 * MIB,
        "heap from {heap_before} to {heap}"
    );
    assert!(
        resident.saturating_sub(resident_before) < 150 * MIB,
        "in RAM from {resident_before} to {resident}"
    );
    assert!(
        seen.windows(2).all(|pair| pair[0] <= pair[1]),
        "progress went back: {seen:?}"
    );
    first_app.sees_within(
        r#"[data-testid="delivery"][data-status="delivered"]"#,
        1,
        Duration::from_secs(180),
    );
    assert_eq!(first_app.delivered(), [file.sha256()]);
}

#[test]
fn a_file_that_arrived_before_is_not_sent_again() {
    let stage = shared();
    let link = stage.edge.app().link(ANY_FILE);
    let network = Network::before(
        &stage.edge.origin(),
        Profile {
            bits_per_second: 100_000_000,
            round_trip: Duration::from_millis(20),
        },
    );
    let phone = Browser::english();
    let file = Random {
        seed: 7,
        size: 16_000_000,
    };
    let path = file.write(phone.folder(), "film.mp4");
    for _ in 0..2 {
        phone.open(&network.url(&link.url));
        upload(&phone, &[&path]);
    }
    assert_eq!(network.sent(), file.size);
    let stored = stage.edge.app().get_link(link.id);
    assert_eq!((stored.files.len(), stored.uploads), (1, 0));
}

#[test]
fn the_page_speaks_chinese_to_those_who_do() {
    let stage = shared();
    let link = stage.edge.app().link(DOCUMENTS);
    let phone = Browser::chinese();
    phone.open(&link.url);
    assert_eq!(phone.attribute("html", "lang").as_deref(), Some("zh-CN"));
    let shown = wait_for("Chinese text", WITHIN, || {
        Some(phone.text("body")).filter(|t| t.contains("海港保险"))
    });
    assert!(shown.contains("理赔材料"), "{shown}");
    let path = fixtures::write(phone.folder(), "发票.pdf", &pdf());
    upload(&phone, &[&path]);
    let success = phone.text(&mark("success"));
    assert!(
        success
            .chars()
            .any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)),
        "{success}"
    );
    assert_eq!(stage.edge.app().get_link(link.id).files[0].name, "发票.pdf");
    // And to those who ask for it.
    let other = Browser::english();
    other.open(&format!("{}#kept", link.url));
    let chinese = format!("{}[hreflang=zh-CN]", mark("language"));
    // Under `trunk serve` the token stands behind the #, so a link to another language keeps that.
    let leads = other.attribute(&chinese, "href");
    assert_eq!(leads.as_deref(), Some("?lang=zh-CN#kept"));
    other.click(&chinese);
    other.sees("html[lang=zh-CN]", 1);
}

#[test]
fn files_can_be_dropped_and_pasted() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let desktop = Browser::english();
    desktop.open(&link.url);
    desktop.sees(&mark("drop-zone"), 1);
    desktop.sees(&mark("pick-button"), 1);
    desktop.transfer("drop", "dropped.pdf", "application/pdf", &pdf());
    desktop.sees(&row("ready"), 1);
    desktop.transfer("paste", "pasted.png", "image/png", &png());
    desktop.sees(&row("ready"), 2);
    desktop.click(&mark("confirm"));
    desktop.sees_within(&mark("success"), 1, WITHIN);
    let mut stored: Vec<_> = app
        .get_link(link.id)
        .files
        .into_iter()
        .map(|f| app.sha256(f.id))
        .collect();
    let mut wanted = vec![Sha256::of(&pdf()), Sha256::of(&png())];
    stored.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(stored, wanted);
}

#[test]
fn a_pick_can_be_changed_before_it_is_confirmed() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::english();
    phone.open(&link.url);
    let (one, two) = (
        fixtures::write(phone.folder(), "one.pdf", &pdf()),
        fixtures::write(phone.folder(), "two.jpg", &jpeg()),
    );
    phone.pick(&[&one, &two]);
    phone.sees(&row("ready"), 2);
    assert_eq!(
        app.get_link(link.id).files,
        [],
        "sent before it was confirmed"
    );
    phone.click(&format!("{} {}", row("ready"), mark("remove")));
    phone.sees(&row("ready"), 1);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let names: Vec<_> = app
        .get_link(link.id)
        .files
        .into_iter()
        .map(|f| f.name)
        .collect();
    assert_eq!(names, ["two.jpg"]);
}
