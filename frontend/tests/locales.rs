//! All languages say the same things, and have a sentence for every way in which the edge says no.

use std::collections::{BTreeMap, BTreeSet};

use chatlift_shared::{ProblemCode, in_app};

type Texts = BTreeMap<String, String>;

fn locales() -> Vec<(String, Texts)> {
    folder("locales")
}

fn folder(name: &str) -> Vec<(String, Texts)> {
    let folder = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_dir(folder)
        .expect("the locales folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a locale");
            let texts = serde_json::from_str(&text).expect("flat JSON of strings");
            (path.display().to_string(), texts)
        })
        .collect()
}

fn places(text: &str) -> BTreeSet<&str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0))
        .collect()
}

/// The plural forms that a language has (CLDR 46, cardinal numbers).
fn forms(path: &str) -> &'static [&'static str] {
    match path.rsplit('/').next() {
        Some("en.json") => &["one", "other"],
        // Spanish has "many" for millions, which no count here reaches.
        Some("es.json") => &["one", "other"],
        Some("ar.json") => &["zero", "one", "two", "few", "many", "other"],
        _ => &["other"],
    }
}

/// Keys without their plural form, and those of plurals.
fn bases(texts: &Texts) -> (BTreeSet<String>, BTreeSet<String>) {
    const FORMS: [&str; 6] = ["zero", "one", "two", "few", "many", "other"];
    // These end like a plural and are none.
    const PLAIN: [&str; 2] = ["headline.other", "inapp.where.other"];
    let (mut all, mut plurals) = (BTreeSet::new(), BTreeSet::new());
    for key in texts.keys() {
        match key.rsplit_once('.') {
            Some((base, form)) if FORMS.contains(&form) && !PLAIN.contains(&key.as_str()) => {
                all.insert(base.to_owned());
                plurals.insert(base.to_owned());
            }
            _ => {
                all.insert(key.clone());
            }
        }
    }
    (all, plurals)
}

#[test]
fn all_languages_have_the_same_keys_and_places() {
    let locales = locales();
    assert_eq!(locales.len(), 6);
    let (_, english) = locales
        .iter()
        .find(|(path, _)| path.ends_with("en.json"))
        .expect("English");
    for (path, texts) in &locales {
        assert_eq!(bases(texts), bases(english), "{path}");
        for (key, text) in texts {
            assert!(!text.is_empty(), "{path}: {key}");
            if let Some(own) = english.get(key) {
                let (own, text) = (places(own), places(text));
                // A form for one, two or none may say the number in words.
                let same = own == text || bases(english).1.iter().any(|base| key.starts_with(base));
                assert!(same, "{path}: {key}");
            }
        }
    }
}

#[test]
fn plurals_have_the_forms_of_their_language() {
    for (path, texts) in locales() {
        for base in bases(&texts).1 {
            let has: BTreeSet<_> = texts
                .keys()
                .filter_map(|key| key.strip_prefix(&base)?.strip_prefix('.'))
                .collect();
            let expected: BTreeSet<_> = forms(&path).iter().copied().collect();
            assert_eq!(has, expected, "{path}: {base}");
        }
    }
}

#[test]
fn a_percentage_is_written_in_one_way() {
    for (path, texts) in locales() {
        for (key, text) in &texts {
            let mut signs = text.split("{percent}").skip(1);
            let own = &texts["progress.percent"]["{percent}".len()..];
            assert!(signs.all(|rest| rest.starts_with(own)), "{path}: {key}");
        }
    }
}

#[test]
fn every_problem_has_its_sentence_without_places() {
    for (path, texts) in locales() {
        // Those of the chat apps' pickers stand with the pickers, see chat_locales.rs.
        let ours = |code: &&ProblemCode| !code.code().starts_with("chat-");
        for code in ProblemCode::ALL.iter().filter(ours) {
            let key = format!("problem.{}", code.code());
            let text = texts.get(&key).unwrap_or_else(|| panic!("{path}: {key}"));
            assert!(places(text).is_empty(), "{path}: {key}");
        }
    }
}

#[test]
fn every_chat_app_has_its_name() {
    for (path, texts) in locales() {
        for app in in_app::APPS {
            let key = format!("inapp.name.{}", app.id);
            assert!(texts.contains_key(&key), "{path}: {key}");
        }
    }
}

/// Words that are wrong in a language of these texts wherever they stand: of another way to address people than the
/// rest has (the polite one), or no words of that language's people at all.
const WRONG: [(&str, &[&str]); 5] = [
    (
        "es.json",
        &[
            "tu",
            "tus",
            "te",
            "ti",
            "tuyo",
            "elige",
            "elígelo",
            "recarga",
            "revisa",
            "revísala",
            "inténtalo",
            "guarda",
            "guárdalo",
            "actualízala",
            "escríbela",
            "vuelve",
            "puedes",
            "quieres",
        ],
    ),
    ("zh-CN.json", &["你", "选择器"]),
    ("zh-TW.json", &["你", "選擇器", "暫沒有"]),
    // Without the sign that makes it an adverb or an object.
    ("ar.json", &["قليلا", "مجددا", "عنوانا", "جديدا"]),
    ("en.json", &["anew"]),
];

#[test]
fn a_language_addresses_people_in_one_way() {
    for (path, texts) in folder("locales").into_iter().chain(folder("chat/locales")) {
        let wrong = WRONG.iter().find(|(name, _)| path.ends_with(name));
        let wrong = wrong.map_or(&[][..], |(_, words)| words);
        for (key, text) in &texts {
            let lower = text.to_lowercase();
            for word in wrong {
                // Chinese writes no spaces.
                let found = if path.contains("zh-") {
                    lower.contains(word)
                } else {
                    lower
                        .split(|c: char| {
                            !c.is_alphabetic() && !('\u{64b}'..='\u{65f}').contains(&c)
                        })
                        .any(|own| own == *word)
                };
                assert!(!found, "{path}: {key}: {word}");
            }
        }
    }
}

#[test]
fn two_files_are_an_object_in_arabic_where_something_is_done_with_them() {
    let arabic = locales()
        .into_iter()
        .find(|(path, _)| path.ends_with("ar.json"));
    let (_, texts) = arabic.expect("Arabic");
    for (key, text) in texts {
        // The subject stands behind a colon only.
        let subjects = text.matches("ملفان").count();
        assert_eq!(subjects, text.matches(": ملفان").count(), "{key}");
    }
}
