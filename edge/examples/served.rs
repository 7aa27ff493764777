//! Fills the built page as the edge does, for a usual link, in each language and for a browser of
//! its own and one of a chat app, and writes the rest of the texts that such a page asks for: what
//! `cargo xtask sizes` weighs.
//!
//!     cargo run -p chatlift-edge --example served -- dist/index.html <folder>

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use chatlift_edge::page::{first, html as page, language};
use chatlift_shared::api::{LinkState, PageData, PageLink};
use chatlift_shared::limits::SINGLE_REQUEST_MAX;

/// The kinds of browser that are told apart, each with a user agent.
const BROWSERS: [(&str, &str); 2] = [
    ("browser", "Mozilla/5.0 Chrome/120.0.0.0 Safari/537.36"),
    (
        "in-app",
        "Mozilla/5.0 (Linux; Android 13; wv) MicroMessenger/8.0.42",
    ),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(built), Some(folder)) = (arguments.next(), arguments.next()) else {
        eprintln!("served <built page> <folder>");
        return ExitCode::FAILURE;
    };
    match write_all(&built, Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("served: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(built: &str, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let built = fs::read_to_string(built)?;
    fs::create_dir_all(folder)?;
    for lang in language::tags() {
        for (browser, user_agent) in BROWSERS {
            let data = data(lang);
            let address = format!("https://files.example.com/u/{}", data.token);
            let card = page::Card {
                address: &address,
                image: None,
            };
            let html = page::fill(&built, &data, card, user_agent)?;
            fs::write(folder.join(format!("{lang}.{browser}.html")), html)?;
            let rest = serde_json::to_vec(&first::rest(&data, user_agent))?;
            fs::write(folder.join(format!("{lang}.{browser}.json")), rest)?;
        }
    }
    Ok(())
}

/// A link such as the demo's, before anything was uploaded.
fn data(lang: &str) -> PageData {
    let (app_name, title, hint) = match lang {
        "zh-CN" | "zh-TW" => (
            "海港保险",
            "理赔材料",
            "发票、受损照片、事故证明等，从聊天里选出来即可。",
        ),
        _ => (
            "Harbour Insurance",
            "Documents for your claim",
            "Invoices, photos of the damage, the police report: whatever you have in a chat.",
        ),
    };
    PageData {
        token: "AQEM6p1zGm0v3cQ5sN8ZkQRkZW1vD2NsYWltLWRvY3VtZW50c7Cn9cYGk2l9aZr0x5m1qv7w8nQ".into(),
        lang: lang.into(),
        languages: language::names(),
        messages: language::messages(lang).clone(),
        link: Some(PageLink {
            app_name: app_name.into(),
            title: title.into(),
            hint: hint.into(),
            accept: [
                "application/pdf",
                "image/*",
                "application/msword",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            ]
            .map(Into::into)
            .into(),
            max_file_size: 104_857_600,
            max_files: 10,
            files_left: 10,
            state: LinkState::Active,
            expires_at: "2026-12-02T18:00:00.000Z".into(),
            return_url: Some("https://app.example.com/claims/4711".into()),
            single_request_max: SINGLE_REQUEST_MAX,
            join: None,
            note: false,
            files: Vec::new(),
        }),
        problem: None,
    }
}
