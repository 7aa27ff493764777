//! What the plain form is answered with: a page of its own, without script, that says what became
//! of each file.

use std::collections::BTreeMap;

use chatlift_shared::Timestamp;
use chatlift_shared::api::{FormFile, FormResult};
use chatlift_shared::format::before_ending;
use chatlift_shared::id::receipt_number;

use super::html::escape;
use super::language::direction;
use super::texts::Texts;

/// The page's look: legible on any engine, light and dark.
const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;padding:24px 20px;\
    max-width:560px;color:#17181c;background:#f4f5f8;overflow-wrap:break-word;overflow-wrap:anywhere}h1{font-size:1.5em;line-height:1.25}\
    ul{padding:0;list-style:none}li{padding:12px 16px;margin:8px 0;border-radius:12px;\
    background:#fff;border:solid;border-width:0 0 0 4px}\
    [dir=rtl] li{border-width:0 4px 0 0}li.no{border-color:#c62828}li.yes{border-color:#1b873f}\
    p{margin:8px 0}time{white-space:nowrap}\
    a{display:inline-flex;align-items:center;min-height:44px;color:#2455ea}\
    @media(prefers-color-scheme:dark){body{color:#f2f3f5;background:#101216}\
    li{background:#1a1d23}a{color:#8fb0ff}}";

/// The page. `app` is the name of the app that asked, empty where it is not known; `now` is when it has the files.
#[must_use]
pub fn html(
    result: &FormResult,
    lang: &str,
    messages: &BTreeMap<String, String>,
    app: &str,
    now: Timestamp,
) -> String {
    let texts = Texts { lang, messages };
    let stored = result.files.iter().filter(|f| f.file.is_some()).count();
    let refused = result.files.len() - stored;
    let title = match (&result.problem, stored, refused) {
        (Some(problem), ..) => texts.problem(problem),
        (None, _, 0) => texts.count("success.title", stored as u64),
        // Not all arrived, whatever did.
        (None, ..) => texts.count("result.failed", refused as u64),
    };
    let title = escape(&title);
    let next = match result.files.iter().find_map(|f| f.file.as_ref()) {
        Some(file) => {
            let id = file.id.to_string();
            let number = receipt_number(&id).unwrap_or_default();
            // The reader's time zone is not known here.
            let date = now
                .to_string()
                .get(..16)
                .map(|minute| minute.replace('T', " ") + " UTC");
            let date = date.unwrap_or_default();
            let values = [("number", number), ("date", &*date)];
            let receipt = escape(&texts.get("success.receipt", &values));
            // No line ends within the day.
            let day = date.split(' ').next().unwrap_or_default();
            let receipt = receipt.replace(day, &format!("<time>{day}</time>"));
            let next = escape(&texts.get("success.next", &[("app", app)]));
            format!("<p data-testid=receipt-number>{receipt}</p><p>{next}</p>")
        }
        None => String::new(),
    };
    let items: String = result.files.iter().map(|f| item(&texts, f)).collect();
    let more = escape(&texts.get("pick.more", &[]));
    format!(
        "<!doctype html><html lang=\"{lang}\" dir=\"{dir}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>{next}\
         <ul>{items}</ul><p><a href=\"\">{more}</a></p></body></html>",
        lang = escape(lang),
        dir = direction(lang),
    )
}

fn item(texts: &Texts<'_>, file: &FormFile) -> String {
    let (stem, ending) = before_ending(&file.name);
    let name = [escape(stem), escape(ending)].join("<wbr>");
    let (class, state) = match (&file.file, &file.problem) {
        (Some(_), _) => ("yes", escape(&texts.get("state.stored", &[]))),
        (None, Some(problem)) => ("no", escape(&texts.problem(problem))),
        (None, None) => ("no", String::new()),
    };
    format!("<li class=\"{class}\"><bdi>{name}</bdi><p>{state}</p></li>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::language;
    use chatlift_shared::api::PageFile;
    use chatlift_shared::digest::Sha256;
    use chatlift_shared::{LinkId, ProblemCode, UploadId};

    const NOW: Timestamp = Timestamp::from_secs(1_795_946_400);

    fn file(name: &str, problem: Option<ProblemCode>) -> FormFile {
        FormFile {
            name: name.to_owned(),
            file: None,
            problem: problem.map(Into::into),
        }
    }

    #[test]
    fn every_file_has_its_sentence_and_nothing_breaks_out() {
        for lang in language::tags() {
            let result = FormResult {
                files: vec![
                    file("<script>alert(1)</script>", Some(ProblemCode::FileEmpty)),
                    file("b.pdf", Some(ProblemCode::FileTooLarge)),
                ],
                problem: None,
            };
            let page = html(&result, lang, language::messages(lang), "App", NOW);
            assert!(!page.contains("<script"), "{page}");
            assert!(!page.contains("problem."), "a text is missing: {page}");
            assert!(!page.contains("result.failed"), "a text is missing: {page}");
        }
    }

    #[test]
    fn the_heading_says_that_not_all_arrived() {
        let stored = FormFile {
            file: Some(PageFile {
                id: UploadId::new(LinkId::from_bytes([1; 12]), [2; 6]).into(),
                name: "a.pdf".into(),
                size: 3,
                media_type: "application/pdf".into(),
                sha256: Some(Sha256::of(b"abc")),
                address: "r2://files/a".into(),
                receipt: None,
                ticket: None,
            }),
            ..file("a.pdf", None)
        };
        let result = FormResult {
            files: vec![stored, file("b.pdf", Some(ProblemCode::FileEmpty))],
            problem: None,
        };
        let messages = language::messages("en");
        let page = html(&result, "en", messages, "App", NOW);
        assert!(page.contains("<h1>1 file was not uploaded</h1>"), "{page}");
        // The number by which all of the link is found, and when.
        assert!(
            page.contains(">Receipt AQEBAQEBAQEBAQEB, <time>2026-11-29</time> 10:00 UTC</p>"),
            "{page}"
        );
    }

    #[test]
    fn a_link_that_takes_nothing_says_why() {
        let result = FormResult {
            files: vec![],
            problem: Some(ProblemCode::LinkExpired.into()),
        };
        let messages = language::messages("en");
        let page = html(&result, "en", messages, "", NOW);
        assert!(
            page.contains(&escape(&messages["problem.link-expired"])),
            "{page}"
        );
    }
}
