//! `cargo xtask screenshots`: every state of the upload page as a Chromium draws it, in a folder of
//! target/screenshots, with an index.html that shows them side by side. See [`HELP`].

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_tests::axe;
use chatlift_tests::browser::Browser;
use chatlift_tests::edge::DOCUMENTS;
use chatlift_tests::engine::{Engine, Setting};
use chatlift_tests::stage::Stage;
use chatlift_tests::tour::{STATES, tour};
use serde_json::json;

const HELP: &str = "\
cargo xtask screenshots [--engine chromium|chromium-64|chromium-78|chromium-86] [--lang ar]...

  --engine NAME  as this Chromium draws them; the current one, with nothing said. Chromium 64 and 78 have no
                 dark theme
  --lang TAG     in this language only";

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

/// How long an old engine takes to draw another size of screen.
const REDRAWN: Duration = Duration::from_millis(300);

/// The longest animation of the page that ends.
const ANIMATED: Duration = Duration::from_secs(1);

/// A language, and what it is drawn in.
type Looks = (&'static str, Vec<Look>);

/// The engine, its name, and what is drawn in it.
fn options() -> Option<(Engine, &'static str, Vec<Looks>)> {
    let (mut name, mut langs) = ("chromium".to_owned(), Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--engine" => name = args.next()?,
            "--lang" => langs.push(args.next()?),
            _ => return None,
        }
    }
    let (name, engine) = *Engine::CHROMIUMS.iter().find(|(known, _)| *known == name)?;
    let mut looks: Vec<Looks> = Vec::new();
    for (lang, all) in LOOKS {
        if langs.is_empty() || langs.iter().any(|wanted| wanted == lang) {
            let known = all
                .iter()
                .filter(|look| has_themes(engine) || look.1 == "light");
            looks.push((lang, known.copied().collect()));
        }
    }
    (!looks.is_empty()).then_some((engine, name, looks))
}

/// Whether the engine knows a dark theme, and a wish for less motion.
fn has_themes(engine: Engine) -> bool {
    !matches!(engine, Engine::Chromium64 | Engine::Chromium78)
}

fn main() -> ExitCode {
    let Some((engine, name, looks)) = options() else {
        eprintln!("{HELP}");
        return ExitCode::FAILURE;
    };
    let folder = xtask::root::target().join("screenshots").join(name);
    let _ = fs::remove_dir_all(&folder);
    let stage = Stage::new("screenshots");
    let mut pictures = 0;
    for (lang, looks) in &looks {
        let phone = Browser::with(engine, &Setting::default());
        tour(&stage, &phone, lang, &mut |state| {
            if !has_themes(engine) {
                // It moves whatever is wished for.
                std::thread::sleep(ANIMATED);
            }
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
    let phone = Browser::with(engine, &setting);
    for (lang, looks) in &looks {
        let link = stage.edge.app().link(DOCUMENTS);
        phone.open(&format!("{}?lang={lang}", link.url));
        for look in looks {
            draw(&phone, &folder, lang, *look, NO_SCRIPT);
            pictures += 1;
        }
    }
    let index = folder.join("index.html");
    fs::write(&index, overview(&looks)).expect("an index");
    println!("{pictures} pictures: {}", index.display());
    ExitCode::SUCCESS
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
    // Older engines have one size alone.
    let sizes = ["cssContentSize", "contentSize"].map(|size| metrics[size]["height"].as_f64());
    let height = sizes.into_iter().flatten().next().unwrap_or(780.0);
    let size = json!({ "width": width, "height": height.ceil() as u32, "deviceScaleFactor": 1, "mobile": true });
    session.devtools("Emulation.setDeviceMetricsOverride", &size);
    if session.engine().old().is_some() {
        // It has the picture of the smaller screen for a while.
        std::thread::sleep(REDRAWN);
    }
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
fn overview(looks: &[Looks]) -> String {
    let looks: Vec<_> = looks
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
