//! Which language a page is in, and its texts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A language of the page: BCP 47 tag and its texts as JSON.
struct Language {
    tag: &'static str,
    texts: &'static str,
}

/// The languages that there are. The first is for whoever asks for none of them.
const LANGUAGES: &[Language] = &[
    language("en", include_str!("../../../frontend/locales/en.json")),
    language(
        "zh-CN",
        include_str!("../../../frontend/locales/zh-CN.json"),
    ),
    language(
        "zh-TW",
        include_str!("../../../frontend/locales/zh-TW.json"),
    ),
    language("ja", include_str!("../../../frontend/locales/ja.json")),
    language("es", include_str!("../../../frontend/locales/es.json")),
    language("ar", include_str!("../../../frontend/locales/ar.json")),
];

const fn language(tag: &'static str, texts: &'static str) -> Language {
    Language { tag, texts }
}

/// The key under which a language names itself.
const OWN_NAME: &str = "lang.name";

/// The tags of all languages.
pub fn tags() -> impl Iterator<Item = &'static str> {
    LANGUAGES.iter().map(|l| l.tag)
}

/// The language to use: that of the `lang` parameter, else the one that `Accept-Language`
/// (RFC 9110 section 12.5.4) likes best, else the first.
#[must_use]
pub fn negotiate(lang: Option<&str>, accept_language: Option<&str>) -> &'static str {
    if let Some(found) = lang.and_then(nearest) {
        return found;
    }
    let mut wanted: Vec<(u32, &str)> = accept_language
        .unwrap_or_default()
        .split(',')
        .filter_map(|member| {
            let mut parameters = member.split(';').map(str::trim);
            let tag = parameters.next().filter(|t| !t.is_empty())?;
            let quality = parameters.find_map(|p| p.strip_prefix("q="));
            Some((quality.map_or(Some(1000), thousandths)?, tag))
        })
        .filter(|(quality, _)| *quality > 0)
        .collect();
    // Stable: what is named first wins among equals.
    wanted.sort_by_key(|(quality, _)| core::cmp::Reverse(*quality));
    wanted
        .into_iter()
        .find_map(|(_, tag)| nearest(tag))
        .unwrap_or(LANGUAGES[0].tag)
}

/// A `qvalue` in thousandths.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u32 = whole.parse().ok().filter(|w| *w <= 1)?;
    let digits: u32 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some((whole * 1000 + digits).min(1000))
}

/// The language of this tag, or of the same primary language. Chinese goes by its script: the
/// regions that write the traditional one, and the tags that name it, are not the first Chinese.
fn nearest(tag: &str) -> Option<&'static str> {
    const TRADITIONAL: [&str; 4] = ["hant", "tw", "hk", "mo"];
    let lower = tag.to_ascii_lowercase();
    let mut subtags = lower.split('-');
    let primary = subtags.next().unwrap_or_default();
    if primary == "zh" && subtags.any(|s| TRADITIONAL.contains(&s)) {
        return Some("zh-TW");
    }
    let primary_of = |t: &'static str| t.split('-').next().unwrap_or_default();
    tags()
        .find(|t| t.eq_ignore_ascii_case(tag))
        .or_else(|| tags().find(|t| primary_of(t) == primary))
}

/// The plural category of a whole number (CLDR plural rules, cardinal) in a language.
#[must_use]
pub fn plural(tag: &str, n: u64) -> &'static str {
    match (tag.split('-').next().unwrap_or_default(), n) {
        ("ja" | "zh", _) => "other",
        ("ar", 0) => "zero",
        ("ar", 2) => "two",
        (_, 1) => "one",
        ("ar", _) if (3..=10).contains(&(n % 100)) => "few",
        ("ar", _) if (11..=99).contains(&(n % 100)) => "many",
        _ => "other",
    }
}

/// Texts by their keys.
pub type Texts = BTreeMap<String, String>;

/// The texts of all languages, read once: that takes longer than all else that a page is made of.
static TEXTS: LazyLock<Vec<(&str, Texts)>> = LazyLock::new(|| {
    let read = |l: &Language| (l.tag, serde_json::from_str(l.texts).unwrap_or_default());
    LANGUAGES.iter().map(read).collect()
});

/// The page's texts in the language of this tag, which is one of [`tags`].
#[must_use]
pub fn messages(tag: &str) -> &'static Texts {
    let found = TEXTS.iter().find(|(known, _)| *known == tag);
    let (_, texts) = found.unwrap_or(&TEXTS[0]);
    texts
}

/// All languages with their own names.
#[must_use]
pub fn names() -> BTreeMap<String, String> {
    let named = TEXTS.iter().map(|(tag, texts)| {
        let name = texts.get(OWN_NAME).map_or(*tag, String::as_str);
        ((*tag).to_owned(), name.to_owned())
    });
    named.collect()
}

/// `rtl` for languages that are written from right to left.
#[must_use]
pub fn direction(tag: &str) -> &'static str {
    match tag.split('-').next() {
        Some("ar" | "he" | "fa" | "ur") => "rtl",
        _ => "ltr",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_best_liked_language_is_chosen() {
        for (lang, accept, tag) in [
            (None, None, "en"),
            (None, Some("zh-CN,zh;q=0.9,en;q=0.8"), "zh-CN"),
            (None, Some("fr, zh-TW;q=0.7, en;q=0.8"), "en"),
            (None, Some("zh-TW"), "zh-TW"),
            (None, Some("zh-Hant-HK,en"), "zh-TW"),
            (None, Some("zh-SG"), "zh-CN"),
            (None, Some("es-419"), "es"),
            (None, Some("zh;q=0, en;q=0.1"), "en"),
            (None, Some("xx"), "en"),
            (Some("zh"), Some("en"), "zh-CN"),
            (Some("xx"), Some("zh"), "zh-CN"),
        ] {
            assert_eq!(negotiate(lang, accept), tag, "{lang:?} {accept:?}");
        }
    }

    #[test]
    fn every_language_has_texts_and_a_name_of_its_own() {
        for tag in tags() {
            assert!(messages(tag).contains_key(OWN_NAME), "{tag}");
        }
        assert_eq!(names().len(), LANGUAGES.len());
    }

    #[test]
    fn plurals_are_those_of_cldr() {
        let of = |tag, n: [u64; 7]| n.map(|n| plural(tag, n));
        let n = [0, 1, 2, 3, 11, 100, 103];
        assert_eq!(
            of("ar", n),
            ["zero", "one", "two", "few", "many", "other", "few"]
        );
        assert_eq!(
            of("en", n),
            ["other", "one", "other", "other", "other", "other", "other"]
        );
        assert_eq!(of("ja", n), ["other"; 7]);
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(lang in ".*", accept in ".*") {
            let tag = negotiate(Some(&lang), Some(&accept));
            prop_assert!(tags().any(|t| t == tag));
        }
    }
}
