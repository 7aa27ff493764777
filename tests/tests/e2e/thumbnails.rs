//! Thumbnails of picked files, of what each engine shows as an image: all else keeps its sheet, and nothing
//! is left behind.

use std::time::Duration;

use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::{ANY_FILE, PAGES};
use chatlift_tests::engine::{Engine, Setting};
use chatlift_tests::fixtures::{self, jpeg, pdf, png};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use serde_json::{Value, json};
use xtask::root::at;

const WITHIN: Duration = Duration::from_secs(30);

/// A photo of an iPhone's kind, which no engine here shows.
const HEIC: &str = "backend/examples/samples/cases/IMG_0001.HEIC";

/// A drawing without a size of its own.
const SIZELESS: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg' width='0' height='0'/>";

/// Counts addresses of files that are not given back yet, and what the policy refuses.
const COUNT: &str = "window.open_ = 0; window.refused = [];
    const make = URL.createObjectURL, revoke = URL.revokeObjectURL;
    URL.createObjectURL = (of) => (window.open_++, make.call(URL, of));
    URL.revokeObjectURL = (of) => (window.open_--, revoke.call(URL, of));
    document.addEventListener('securitypolicyviolation', (e) => window.refused.push(e.violatedDirective));";

/// Of each row: its name, its height, the text on its sheet, and whether a thumbnail hides that.
const ROWS: &str = "return [...document.querySelectorAll('.row')].map((row) => {
    const canvas = row.querySelector('.glyph canvas');
    return [row.dataset.name, row.offsetHeight, row.querySelector('.glyph').textContent,
        !!canvas && canvas.getContext('2d').getImageData(38, 46, 1, 1).data[3] === 255];
})";

fn look(phone: &Browser, script: &str) -> Value {
    phone.session().script(script, &json!([]))
}

fn images_have_thumbnails_and_all_else_its_sheet(engine: Engine) {
    let stage = shared();
    let phone = Browser::with(engine, &Setting::default());
    phone.open(&stage.edge.app().link(ANY_FILE).url);
    phone.sees("html[data-state=program]", 1);
    let _ = look(&phone, COUNT);
    let mut cut = jpeg();
    cut.truncate(100);
    let files = [
        ("photo.jpg", jpeg()),
        ("cut.jpg", cut),
        ("photo.heic", std::fs::read(at(HEIC)).expect("a photo")),
        ("nothing.svg", SIZELESS.to_vec()),
        ("film.mp4", vec![0; 100]),
        ("letter.pdf", pdf()),
        ("scan.png", png()),
    ];
    phone.pick(&files.map(|(name, bytes)| fixtures::write(phone.folder(), name, &bytes)));
    phone.sees(&row("ready"), 7);
    let before = look(&phone, ROWS);
    // It comes last.
    phone.sees_within("[data-name='scan.png'] canvas", 1, WITHIN);
    let rows = look(&phone, ROWS);
    let height = &before[0][1];
    let expected = [
        ("photo.jpg", "JPG", true),
        ("cut.jpg", "JPG", false),
        ("photo.heic", "HEIC", false),
        ("nothing.svg", "SVG", false),
        ("film.mp4", "MP4", false),
        // Safari shows its first page as an image, no engine here does.
        ("letter.pdf", "PDF", false),
        ("scan.png", "PNG", true),
    ];
    let expected = expected.map(|(name, sheet, hidden)| json!([name, height, sheet, hidden]));
    assert_eq!(rows, json!(expected));
    wait_for("the addresses to be given back", WITHIN, || {
        (look(&phone, "return window.open_") == json!(0)).then_some(())
    });
    assert_eq!(look(&phone, "return window.refused"), json!([]));
}

fn a_page_that_is_moved_and_turned_takes_its_thumbnail_along(engine: Engine) {
    let phone = Browser::with(engine, &Setting::default());
    phone.open(&shared().edge.app().link(PAGES).url);
    let files = [("front.jpg", jpeg()), ("back.png", png())];
    phone.pick(&files.map(|(name, bytes)| fixtures::write(phone.folder(), name, &bytes)));
    phone.sees_within(".row canvas", 2, WITHIN);
    let back = |hook: &str| format!("[data-name='back.png'] {}", mark(hook));
    phone.click(&back("turn"));
    phone.click(&back("up"));
    phone.sees(
        ".row:first-child[data-name='back.png'][data-turned='90'] canvas",
        1,
    );
    let turned = "return [...document.querySelectorAll('.row canvas')].map((canvas) =>
        Math.round(new DOMMatrix(getComputedStyle(canvas).transform).b * 100) / 100)";
    assert_eq!(look(&phone, turned), json!([1.22, 0]));
}

engines!(
    chromium: Chromium,
    firefox: Firefox,
    webkit: WebKit,
    chromium_64: Chromium64,
    chromium_78: Chromium78,
    chromium_86: Chromium86 => {
    images_have_thumbnails_and_all_else_its_sheet,
    a_page_that_is_moved_and_turned_takes_its_thumbnail_along,
});
