//! The page in the browser of each chat app that is known, as far as its user agent makes it another.

use chatlift_shared::in_app;
use chatlift_tests::browser::{Browser, mark};
use chatlift_tests::edge::DOCUMENTS;
use chatlift_tests::stage::shared;
use serde_json::json;

#[test]
fn each_chat_apps_browser_is_told_where_its_files_are_and_how_to_leave_it() {
    let link = shared().edge.app().link(DOCUMENTS);
    let phone = Browser::english();
    for app in in_app::APPS {
        let user_agent = format!(
            "Mozilla/5.0 (Linux; Android 13; wv) AppleWebKit/537.36 Chrome/116.0.0.0 Mobile Safari/537.36 {}9.9",
            app.marks[0]
        );
        let _ = phone.session().devtools(
            "Network.setUserAgentOverride",
            &json!({ "userAgent": user_agent }),
        );
        phone.open(&link.url);
        let help = mark("in-app-help");
        phone.sees(&format!(r#"{help}[data-app="{}"]"#, app.id), 1);
        phone.click(&format!("{help} summary"));
        let said = phone.read(&help);
        // A title, where the files are, how the page is opened elsewhere, and a button.
        let lines: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 4, "{}: {said}", app.id);
        assert!(!said.contains("inapp."), "a text is missing: {said}");
    }
}
