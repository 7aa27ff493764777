//! Which texts go into the page itself.
//!
//! Half of a locale is said when something went wrong, or when a backend has looked at the files.
//! Such texts are not worth their bytes before the first paint: the page asks
//! for the others while its user is choosing (`GET /u/{token}/page?texts=rest`).

use std::collections::BTreeMap;

use chatlift_shared::api::PageData;
use chatlift_shared::in_app;

/// Problems that can be met before the rest of the texts is there, or while it cannot be had.
const EARLY_PROBLEMS: [&str; 8] = [
    "edge-down",
    "file-empty",
    "file-too-large",
    "file-type-not-accepted",
    "file-unreadable",
    "internal",
    "offline",
    "too-large-here",
];

/// Problems of routes that the page's program does not ask: those for backends, the form's and the
/// password's.
const ELSEWHERE: [&str; 19] = [
    "api-key-missing",
    "api-key-unknown",
    "beyond-scene",
    "digest-missing",
    "download-url-invalid",
    "event-not-found",
    "file-deleted",
    "file-missing",
    "file-not-found",
    "idempotency-key-reused",
    "length-required",
    "method-not-allowed",
    "not-found",
    "password-locked",
    "password-wrong",
    "precondition-failed",
    "range-not-satisfiable",
    "receipt-out-of-order",
    "scene-unknown",
];

/// The texts that the page needs at its start, of all of `data`, for the browser that asks.
#[must_use]
pub fn texts(data: &PageData, user_agent: &str) -> BTreeMap<String, String> {
    let app = in_app::detect(user_agent);
    let problem = data.problem.as_ref().map(|problem| problem.code.code());
    let files = data.link.iter().flat_map(|link| &link.files);
    let rejected: Vec<&str> = files
        .filter_map(|file| file.receipt.as_ref()?.code.as_deref())
        .collect();
    let wanted = |key: &str| match key.split_once('.') {
        Some(("problem", code)) => EARLY_PROBLEMS.contains(&code) || problem == Some(code),
        Some(("headline", code)) => {
            problem.is_some_and(|problem| code == problem || code == "other")
        }
        Some(("rejected", code)) => rejected.contains(&code),
        Some(("inapp", rest)) => app.is_some_and(|app| match rest.split_once('.') {
            Some(("where", id)) => id == app.id || id == "other",
            Some(("name", id)) => id == app.id,
            Some(("open", _)) => key == app.open_key(),
            _ => true,
        }),
        // The edge writes these itself.
        Some(("order", _)) => data.link.as_ref().is_some_and(|link| link.join.is_some()),
        Some(("form" | "lang" | "note", _)) => false,
        _ => true,
    };
    let texts = data.messages.iter().filter(|(key, _)| wanted(key));
    texts
        .map(|(key, text)| (key.clone(), text.clone()))
        .collect()
}

/// Whether a page that was opened may come to say the text of `key`: help for chat apps is in the
/// page of whoever needs it, so are the words for files that are joined, and the edge writes others itself.
fn may_come(key: &str) -> bool {
    match key.split_once('.') {
        Some(("problem", code)) => !ELSEWHERE.contains(&code),
        Some(("inapp" | "form" | "lang" | "note" | "order", _)) => false,
        _ => true,
    }
}

/// The texts that a page may need later, for one that was opened in the same browser: those that
/// [`texts`] leaves out whatever the link, and nothing of the link.
#[must_use]
pub fn rest(data: &PageData, user_agent: &str) -> PageData {
    let bare = PageData {
        // Random, so it would be all weight.
        token: String::new(),
        languages: BTreeMap::new(),
        link: None,
        problem: None,
        ..data.clone()
    };
    let early = texts(&bare, user_agent);
    let messages = bare.messages.iter();
    let messages = messages
        .filter(|(key, _)| !early.contains_key(*key) && may_come(key))
        .map(|(key, text)| (key.clone(), text.clone()))
        .collect();
    PageData { messages, ..bare }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::language;
    use chatlift_shared::{Problem, ProblemCode};

    fn data(problem: Option<ProblemCode>) -> PageData {
        PageData {
            token: "t".into(),
            lang: "en".into(),
            languages: BTreeMap::new(),
            messages: language::messages("en").clone(),
            link: None,
            problem: problem.map(Problem::new),
        }
    }

    #[test]
    fn the_page_has_what_its_first_minutes_may_say() {
        let texts = texts(&data(None), "");
        for key in ["pick.button", "rules.any", "state.uploading", "row.retry"] {
            assert!(texts.contains_key(key), "{key}");
        }
        for code in EARLY_PROBLEMS {
            assert!(texts.contains_key(&format!("problem.{code}")), "{code}");
        }
        for prefix in ["inapp.", "rejected.", "headline.", "form.", "note."] {
            assert!(!texts.keys().any(|key| key.starts_with(prefix)), "{prefix}");
        }
    }

    #[test]
    fn a_link_that_takes_nothing_says_why() {
        // No link has a chat app's problem; its picker brings the sentence along.
        let of_links = |code: &&ProblemCode| !code.code().starts_with("chat-");
        for &code in ProblemCode::ALL.iter().filter(of_links) {
            let texts = texts(&data(Some(code)), "");
            let code = code.code();
            assert!(texts.contains_key(&format!("problem.{code}")), "{code}");
            let headline = format!("headline.{code}");
            let known = data(None).messages.contains_key(&headline);
            assert_eq!(texts.contains_key(&headline), known, "{code}");
            assert!(texts.contains_key("headline.other"), "{code}");
        }
    }

    #[test]
    fn a_chat_apps_browser_gets_the_help_of_that_app_and_of_no_other() {
        let texts = texts(&data(None), "x MicroMessenger/8.0.42 Android");
        let help: Vec<_> = texts.keys().filter(|k| k.starts_with("inapp.")).collect();
        let expected = [
            "inapp.copied",
            "inapp.copy",
            "inapp.name.wechat",
            "inapp.open.above",
            "inapp.title",
            "inapp.where.other",
            "inapp.where.wechat",
        ];
        assert_eq!(help, expected);
    }

    #[test]
    fn every_chat_apps_browser_gets_its_own_help_in_every_language() {
        for app in in_app::APPS {
            let user_agent = format!("Mozilla/5.0 (Linux; Android 13; wv) {}9.9", app.marks[0]);
            for lang in language::tags() {
                let mut data = data(None);
                data.messages = language::messages(lang).clone();
                let texts = texts(&data, &user_agent);
                let has = |key: &str| assert!(texts.contains_key(key), "{lang}, {}: {key}", app.id);
                has(&format!("inapp.name.{}", app.id));
                has(app.open_key());
                for key in ["title", "where.other", "copy", "copied"] {
                    has(&format!("inapp.{key}"));
                }
            }
        }
    }

    #[test]
    fn the_page_and_the_rest_are_all_it_may_say_and_no_text_comes_twice() {
        for lang in language::tags() {
            let mut data = data(None);
            data.messages = language::messages(lang).clone();
            let mut both = texts(&data, "");
            let rest = rest(&data, "").messages;
            for (key, text) in rest {
                assert_eq!(both.insert(key.clone(), text), None, "{lang}: {key}");
            }
            data.messages.retain(|key, _| may_come(key));
            assert_eq!(both, data.messages, "{lang}");
        }
    }

    #[test]
    fn the_rest_has_what_an_opened_link_may_come_to_say() {
        // What the page was opened with is no reason to leave a text out: it may be another by now.
        let rest = rest(&data(Some(ProblemCode::LinkRevoked)), "").messages;
        for key in [
            "problem.link-revoked",
            "headline.link-revoked",
            "rejected.gone",
        ] {
            assert!(rest.contains_key(key), "{key}");
        }
    }

    #[test]
    fn problems_met_elsewhere_are_codes_that_there_are() {
        for code in ELSEWHERE {
            assert!(ProblemCode::ALL.iter().any(|p| p.code() == code), "{code}");
        }
    }
}
