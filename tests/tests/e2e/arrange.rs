//! Pages that are joined: put into their order and turned before they are sent, by the keyboard.

use std::time::Duration;

use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::{DOCUMENTS, PAGES};
use chatlift_tests::engine::{Engine, Setting};
use chatlift_tests::fixtures::{self, jpeg};
use chatlift_tests::journey::asked;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use chatlift_tests::webdriver::keys::ENTER;
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(60);

/// Width to height of each page: one upright, one that lies, one square.
const PAGES_PICKED: [(&str, u32, u32); 3] = [
    ("upright.png", 30, 60),
    ("wide.png", 60, 20),
    ("square.png", 30, 30),
];

fn pick(phone: &Browser) {
    let paths = PAGES_PICKED.map(|(name, width, height)| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        RgbImage::from_pixel(width, height, Rgb([40, 90, 160]))
            .write_to(&mut bytes, ImageFormat::Png)
            .expect("a PNG");
        fixtures::write(phone.folder(), name, bytes.get_ref())
    });
    phone.pick(&paths);
    phone.sees(&row("ready"), 3);
}

/// The names of the rows, from above.
fn order(phone: &Browser) -> Value {
    let script = "return [...document.querySelectorAll('[data-testid=file-row]')].map((row) => row.dataset.name)";
    phone.session().script(script, &json!([]))
}

/// Presses Enter on a file's button, which keeps the focus.
#[track_caller]
fn press(phone: &Browser, name: &str, button: &str) {
    let script = "document.querySelector(arguments[0]).focus()";
    let css = format!("[data-name='{name}'] {}", mark(button));
    let session = phone.session();
    if !has_focus(phone, &css) {
        let _ = session.script(script, &json!([css]));
    }
    session.press(ENTER);
    wait_for("the focus to stay", WITHIN, || {
        has_focus(phone, &css).then_some(())
    });
}

fn has_focus(phone: &Browser, css: &str) -> bool {
    let script = "return document.activeElement === document.querySelector(arguments[0])";
    phone.session().script(script, &json!([css])) == json!(true)
}

fn said(phone: &Browser) -> String {
    phone.text("[aria-live]")
}

/// Moves the last to the front, past which it goes no further, and turns the second once and the third in full.
fn arrange(phone: &Browser) {
    press(phone, "square.png", "up");
    assert_eq!(said(phone), "square.png is now number 2 of 3.");
    press(phone, "square.png", "up");
    assert_eq!(said(phone), "square.png is now number 1 of 3.");
    press(phone, "square.png", "up");
    assert_eq!(said(phone), "square.png is now number 1 of 3.");
    press(phone, "wide.png", "down");
    press(phone, "wide.png", "up");
    press(phone, "upright.png", "down");
    assert_eq!(
        order(phone),
        json!(["square.png", "wide.png", "upright.png"])
    );
    press(phone, "wide.png", "turn");
    let note = "[data-name='wide.png'] .meta";
    assert!(phone.text(note).contains("90°"), "{}", phone.text(note));
    for _ in 0..4 {
        press(phone, "upright.png", "turn");
    }
    let note = phone.text("[data-name='upright.png'] .meta");
    assert!(note.contains(" 0°"), "{note}");
}

#[test]
fn pages_are_joined_in_the_order_and_as_they_were_turned_before_they_were_sent() {
    let (_edge, _backend, first_app, link) = asked("arrange", PAGES);
    let phone = Browser::english();
    phone.open(&link);
    pick(&phone);
    arrange(&phone);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    first_app.sees_within(&mark("pdf-page"), 3, WITHIN);
    let _ = first_app.session().script(
        "document.querySelectorAll('[data-testid=\"pdf-page\"]').forEach((page) => (page.loading = 'eager'))",
        &json!([]),
    );
    // Tenths of width to height: square, wide and turned, upright.
    let script = r#"return [...document.querySelectorAll('[data-testid="pdf-page"]')]
        .map((page) => page.naturalWidth && Math.round(page.naturalWidth / page.naturalHeight * 10))"#;
    wait_for("the pages", WITHIN, || {
        (first_app.session().script(script, &json!([])) == json!([10, 3, 5])).then_some(())
    });
}

fn the_focus_stays(engine: Engine) {
    let stage = shared();
    let phone = Browser::with(engine, &Setting::default());
    phone.open(&stage.edge.app().link(PAGES).url);
    phone.sees("html[data-state=program]", 1);
    pick(&phone);
    arrange(&phone);
}

#[test]
fn the_focus_stays_with_the_files_button_in_firefox() {
    the_focus_stays(Engine::Firefox);
}

#[test]
fn the_focus_stays_with_the_files_button_in_webkit() {
    the_focus_stays(Engine::WebKit);
}

#[test]
fn there_is_nothing_to_arrange_where_nothing_is_joined_nor_for_one_file() {
    let stage = shared();
    let phone = Browser::english();
    phone.open(&stage.edge.app().link(DOCUMENTS).url);
    pick(&phone);
    for button in ["up", "down", "turn"] {
        phone.sees(&mark(button), 0);
    }
    phone.open(&stage.edge.app().link(PAGES).url);
    phone.pick(&[fixtures::write(phone.folder(), "only.jpg", &jpeg())]);
    phone.sees(&mark("turn"), 1);
    let script = "return [...document.querySelectorAll('.acts button')].map((button) => button.offsetWidth > 0)";
    let shown = phone.session().script(script, &json!([]));
    assert_eq!(
        shown,
        json!([false, false, true, true]),
        "of up, down, turn, remove"
    );
}
