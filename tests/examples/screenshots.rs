//! `cargo xtask screenshots`: every state of the upload page as Chromium draws it, in
//! target/screenshots, with an index.html that shows them side by side.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_tests::axe;
use chatlift_tests::browser::Browser;
use chatlift_tests::edge::DOCUMENTS;
use chatlift_tests::engine::{Engine, Setting};
use chatlift_tests::stage::Stage;
use chatlift_tests::tour::{STATES, tour};
use serde_json::json;

/// How it is drawn: width (CSS pixels), theme, and size of text (per cent).
type Look = (u32, &'static str, u32);

/// The narrowest, at twice the size of text.
const LARGE: Look = (axe::NARROWEST, "light", 200);

/// A language, and what it is drawn in.
const LOOKS: [(&str, &[Look]); 6] = [
    (
        "en",
        &[
            (360, "light", 100),
            (360, "dark", 100),
            (768, "light", 100),
            LARGE,
        ],
    ),
    (
        "ar",
        &[
            (360, "light", 100),
            (360, "dark", 100),
            (768, "light", 100),
            LARGE,
        ],
    ),
    ("zh-CN", &[(360, "light", 100), (360, "dark", 100), LARGE]),
    ("zh-TW", &[(360, "light", 100), LARGE]),
    ("ja", &[(360, "light", 100), LARGE]),
    ("es", &[(360, "light", 100), LARGE]),
];

/// The page of a browser with its scripts off, which no tour can come to.
const NO_SCRIPT: &str = "no-script";

fn main() {
    let folder = xtask::root::target().join("screenshots");
    let _ = fs::remove_dir_all(&folder);
    let stage = Stage::new("screenshots");
    let mut pictures = 0;
    for (lang, looks) in LOOKS {
        let phone = Browser::english();
        tour(&stage, &phone, lang, &mut |state| {
            for look in looks {
                draw(&phone, &folder, lang, *look, state);
                pictures += 1;
            }
        });
    }
    let setting = Setting {
        script: false,
        ..Setting::default()
    };
    let phone = Browser::with(Engine::Chromium, &setting);
    for (lang, looks) in LOOKS {
        let link = stage.edge.app().link(DOCUMENTS);
        phone.open(&format!("{}?lang={lang}", link.url));
        for look in looks {
            draw(&phone, &folder, lang, *look, NO_SCRIPT);
            pictures += 1;
        }
    }
    let index = folder.join("index.html");
    fs::write(&index, overview()).expect("an index");
    println!("{pictures} pictures: {}", index.display());
}

/// Where a picture is, under the folder.
fn name(lang: &str, (width, theme, text): Look, state: &str) -> String {
    format!("{lang}-{width}-{theme}-{text}/{state}.png")
}

/// Draws the whole page, however long.
fn draw(phone: &Browser, folder: &Path, lang: &str, look: Look, state: &str) {
    let (width, theme, text) = look;
    let session = phone.session();
    axe::theme(phone, theme);
    phone.narrow(width);
    text_size(phone, &format!("{text}%"));
    let metrics = session.devtools("Page.getLayoutMetrics", &json!({}));
    let height = metrics["cssContentSize"]["height"]
        .as_f64()
        .unwrap_or(780.0);
    let size =
        json!({ "width": width, "height": height.ceil(), "deviceScaleFactor": 1, "mobile": true });
    session.devtools("Emulation.setDeviceMetricsOverride", &size);
    let shot = session.devtools("Page.captureScreenshot", &json!({ "format": "png" }));
    let picture = STANDARD
        .decode(shot["data"].as_str().unwrap_or_default())
        .expect("a picture");
    let path = folder.join(name(lang, look, state));
    fs::create_dir_all(path.parent().unwrap_or(folder)).expect("a folder");
    fs::write(path, picture).expect("room on disk");
    text_size(phone, "");
    phone.narrow(width);
}

/// As a person sets it in their browser; nothing for the usual one.
fn text_size(phone: &Browser, size: &str) {
    // A page without scripts can still be told by the driver.
    let expression = format!("document.documentElement.style.fontSize = '{size}'");
    let evaluate = json!({ "expression": expression });
    phone.session().devtools("Runtime.evaluate", &evaluate);
}

/// A table: a row for each state, a column for each look.
fn overview() -> String {
    let looks: Vec<_> = LOOKS
        .iter()
        .flat_map(|(lang, looks)| looks.iter().map(move |look| (*lang, *look)))
        .collect();
    let head: String = looks
        .iter()
        .map(|(lang, (width, theme, text))| format!("<th>{lang}, {width} px, {theme}, {text} %"))
        .collect();
    let rows: String = STATES
        .iter()
        .copied()
        .chain([NO_SCRIPT])
        .map(|state| {
            let cells: String = looks
                .iter()
                .map(|(lang, look)| {
                    let (name, width) = (name(lang, *look, state), look.0);
                    format!("<td><img loading=lazy width={width} src=\"{name}\" alt=\"{state}\">")
                })
                .collect();
            format!("<tr><th>{state}{cells}\n")
        })
        .collect();
    format!(
        "<!DOCTYPE html><meta charset=utf-8><title>Chatlift: the upload page</title>\
         <style>body{{font:14px system-ui}}td,th{{vertical-align:top;padding:8px}}\
         img{{border:1px solid #8888}}</style>\n<table><tr><th>{head}\n{rows}</table>\n"
    )
}
