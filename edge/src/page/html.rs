//! The page's HTML, filled with what it is opened for, so that it needs no second request.

use chatlift_shared::api::PageData;
use chatlift_shared::in_app;

use super::first;
use super::language::direction;
use super::texts::Texts;

/// What the built page has in place of title and preview-card tags.
const HEAD_MARK: &str = "<!--chatlift:head-->";
/// What the built page has in place of its data.
const DATA_MARK: &str = "<script id=\"chatlift-page\" type=\"application/json\">null</script>";
/// What stands in the file input for its attributes.
const INPUT_MARK: &str = "data-chatlift-input";
/// What stands in the field for a note for its attributes.
const NOTE_MARK: &str = "data-chatlift-note";
const HTML_MARK: &str = "<html lang=\"en\" dir=\"ltr\">";

/// The built page lacks a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the built page lacks its mark `{0}`")]
pub struct NoMark(pub &'static str);

/// What a chat's preview card has besides the link's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Card<'a> {
    /// The link's own address.
    pub address: &'a str,
    /// The address of its picture, if the scene has one.
    pub image: Option<&'a str>,
}

/// Fills the built page; of the texts, with those that it needs at its start. Some chat apps, told by
/// the `User-Agent`, have file inputs with limits of their own.
///
/// # Errors
/// When the built page is not ours.
pub fn fill(
    built: &str,
    data: &PageData,
    card: Card<'_>,
    user_agent: &str,
) -> Result<String, NoMark> {
    let early = PageData {
        messages: first::texts(data, user_agent),
        ..data.clone()
    };
    let json = serde_json::to_string(&early).unwrap_or_else(|_| unreachable!("page data encodes"));
    let html = format!(
        "<html lang=\"{}\" dir=\"{}\">",
        escape(&data.lang),
        direction(&data.lang)
    );
    let script = format!(
        "<script id=\"chatlift-page\" type=\"application/json\">{}</script>",
        escape_json(&json)
    );
    let built = replace(built, HTML_MARK, &html)?;
    let built = replace(&built, HEAD_MARK, &head(data, card))?;
    let built = replace(&built, INPUT_MARK, &input(data, user_agent))?;
    let built = replace(&built, NOTE_MARK, note(data))?;
    let mut built = replace(&built, DATA_MARK, &script)?;
    for (mark, text) in shell(data) {
        built = replace(&built, mark, &escape(&text))?;
    }
    Ok(built)
}

/// What the page says before any program has arrived, and without one.
fn shell(data: &PageData) -> [(&'static str, String); 10] {
    let texts = Texts {
        lang: &data.lang,
        messages: &data.messages,
    };
    let text = |key| texts.get(key, &[]);
    let empty = String::new;
    let (asks, initial) = match &data.link {
        Some(link) => (
            texts.get("head.asks", &[("app", &link.app_name)]),
            link.app_name.chars().next().into_iter().collect(),
        ),
        None => (empty(), empty()),
    };
    let asked = data.link.as_ref().filter(|link| link.note);
    let note = asked.map_or_else(empty, |link| {
        texts.get("note.label", &[("app", &link.app_name)])
    });
    let (title, hint, choose, rules, button, wait, send) = match (&data.problem, &data.link) {
        (None, Some(link)) => (
            link.title.clone(),
            link.hint.clone(),
            text("form.choose"),
            texts.rules(link),
            text("pick.button"),
            text("form.wait"),
            text("form.send"),
        ),
        (Some(problem), _) => (
            texts.headline(problem),
            texts.problem(problem),
            empty(),
            empty(),
            empty(),
            empty(),
            empty(),
        ),
        (None, None) => Default::default(),
    };
    [
        ("<!--chatlift:initial-->", initial),
        ("<!--chatlift:asks-->", asks),
        ("<!--chatlift:title-->", title),
        ("<!--chatlift:hint-->", hint),
        ("<!--chatlift:note-->", note),
        ("<!--chatlift:choose-->", choose),
        ("<!--chatlift:rules-->", rules),
        ("<!--chatlift:button-->", button),
        ("<!--chatlift:wait-->", wait),
        ("<!--chatlift:send-->", send),
    ]
}

/// Attributes of the field for a note: a form sends nothing of one that is disabled.
fn note(data: &PageData) -> &'static str {
    let asked = data.problem.is_none() && data.link.as_ref().is_some_and(|link| link.note);
    if asked { "" } else { "disabled hidden" }
}

/// Attributes of the file input, for the browser that asks.
fn input(data: &PageData, user_agent: &str) -> String {
    let Some(link) = data.link.as_ref().filter(|_| data.problem.is_none()) else {
        return "disabled hidden".to_owned();
    };
    let accept = in_app::accept_attribute(&link.accept, user_agent);
    let several = link.files_left > 1 && in_app::takes_several(user_agent);
    let multiple = if several { "multiple" } else { "" };
    if accept.is_empty() {
        multiple.to_owned()
    } else {
        format!("accept=\"{}\" {multiple}", escape(&accept))
    }
}

fn replace(text: &str, mark: &'static str, by: &str) -> Result<String, NoMark> {
    let (before, after) = text.split_once(mark).ok_or(NoMark(mark))?;
    Ok([before, by, after].concat())
}

/// Title and Open Graph tags (<https://ogp.me/>): what a chat draws its preview card from.
fn head(data: &PageData, card: Card<'_>) -> String {
    let (title, text, site) = match &data.link {
        Some(link) => (
            link.title.as_str(),
            link.hint.as_str(),
            link.app_name.as_str(),
        ),
        None => ("Chatlift", "", "Chatlift"),
    };
    let mut head = format!("<title>{} · {}</title>", escape(title), escape(site));
    for (property, content) in [
        ("og:type", "website"),
        ("og:title", title),
        ("og:description", text),
        ("og:site_name", site),
        ("og:url", card.address),
        ("og:image", card.image.unwrap_or_default()),
        ("og:locale", &data.lang.replace('-', "_")),
    ] {
        if !content.is_empty() {
            head.push_str(&format!(
                "<meta property=\"{property}\" content=\"{}\">",
                escape(content)
            ));
        }
    }
    head
}

/// Text for HTML content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// JSON for a script element: without `<`, nothing in it can end the element or open a comment.
pub(crate) fn escape_json(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatlift_shared::ProblemCode;
    use chatlift_shared::api::{LinkState, PageLink};
    use chatlift_shared::limits::NOTE_MAX;
    use std::collections::BTreeMap;

    fn data(title: &str) -> PageData {
        PageData {
            token: "t".into(),
            lang: "zh-CN".into(),
            languages: BTreeMap::new(),
            messages: BTreeMap::new(),
            link: Some(PageLink {
                app_name: "App".into(),
                title: title.into(),
                hint: String::new(),
                accept: vec![],
                max_file_size: 1,
                max_files: 1,
                files_left: 1,
                state: LinkState::Active,
                expires_at: String::new(),
                return_url: None,
                single_request_max: 1,
                join: None,
                note: false,
                files: vec![],
            }),
            problem: None,
        }
    }

    fn card(address: &str) -> Card<'_> {
        Card {
            address,
            image: None,
        }
    }

    #[test]
    fn a_card_has_the_scenes_picture_and_else_none() {
        let card = Card {
            address: "https://edge.test/u/t",
            image: Some("https://app.test/card.png?a=1&b=2"),
        };
        let html = fill(&built(), &data("x"), card, "").expect("a page");
        let tag = "<meta property=\"og:image\" content=\"https://app.test/card.png?a=1&amp;b=2\">";
        assert_eq!(html.matches(tag).count(), 1, "{html}");
        let without = fill(&built(), &data("x"), Card::default(), "").expect("a page");
        assert!(!without.contains("og:image"), "{without}");
    }

    fn built() -> String {
        let shell = shell(&data("")).map(|(mark, _)| mark).concat();
        format!(
            "<!doctype html>{HTML_MARK}<head>{HEAD_MARK}</head><body>{shell}<fieldset {NOTE_MARK}></fieldset><input {INPUT_MARK}>{DATA_MARK}"
        )
    }

    #[test]
    fn the_page_says_what_it_is_for_in_its_language() {
        let html = fill(&built(), &data("理赔材料"), card("https://edge/u/t"), "").expect("a page");
        assert!(html.contains("<html lang=\"zh-CN\" dir=\"ltr\">"), "{html}");
        assert!(html.contains("<title>理赔材料 · App</title>"), "{html}");
        assert!(
            html.contains("og:url\" content=\"https://edge/u/t\""),
            "{html}"
        );
        assert!(html.contains("\"token\":\"t\""), "{html}");
    }

    #[test]
    fn a_chat_draws_its_card_from_the_scene_in_each_language() {
        for lang in crate::page::language::tags() {
            let mut data = data("Documents: \"yours\"");
            data.lang = lang.into();
            data.link.as_mut().expect("a link").hint = "Photos & invoices".into();
            let html = fill(&built(), &data, card("https://edge.test/u/t"), "").expect("a page");
            for (property, content) in [
                ("og:type", "website"),
                ("og:title", "Documents: &quot;yours&quot;"),
                ("og:description", "Photos &amp; invoices"),
                ("og:site_name", "App"),
                ("og:url", "https://edge.test/u/t"),
                ("og:locale", &lang.replace('-', "_")),
            ] {
                let tag = format!("<meta property=\"{property}\" content=\"{content}\">");
                assert_eq!(html.matches(&tag).count(), 1, "{lang}: {tag} in {html}");
            }
        }
    }

    #[test]
    fn the_way_back_to_the_app_is_in_the_page_as_the_scene_says_it() {
        for address in [
            "harbour://claims/4711?from=upload",
            "https://app.test/claims/4711",
        ] {
            let mut data = data("x");
            data.link.as_mut().expect("a link").return_url = Some(address.into());
            let html = fill(&built(), &data, Card::default(), "").expect("a page");
            assert!(
                html.contains(&format!("\"return_url\":\"{address}\"")),
                "{html}"
            );
        }
    }

    #[test]
    fn no_text_breaks_out_of_the_page() {
        let html = fill(
            &built(),
            &data("\"><script>x</script><!--"),
            Card::default(),
            "",
        )
        .expect("a page");
        assert!(!html.contains("<script>x"), "{html}");
        assert_eq!(html.matches("</script>").count(), 1, "{html}");
    }

    #[test]
    fn a_note_is_asked_for_where_the_scene_asks_and_the_link_takes_files() {
        let mut data = data("x");
        data.messages = crate::page::language::messages("en").clone();
        let shown = |data: &PageData| {
            let html = fill(&built(), data, Card::default(), "").expect("a page");
            (html.contains("<fieldset >"), html.contains("Note to App"))
        };
        assert_eq!(shown(&data), (false, false));
        data.link.as_mut().expect("a link").note = true;
        assert_eq!(shown(&data), (true, true));
        data.problem = Some(ProblemCode::LinkFull.into());
        assert!(!shown(&data).0);
    }

    #[test]
    fn the_built_page_lets_no_longer_note_be_written_than_is_taken() {
        let index = include_str!("../../../index.html");
        assert!(index.contains(&format!("maxlength=\"{NOTE_MAX}\"")));
    }

    #[test]
    fn a_page_that_is_not_ours_is_noticed() {
        assert_eq!(
            fill("<html>", &data(""), Card::default(), ""),
            Err(NoMark(HTML_MARK))
        );
    }
}
