//! All languages say the same things, and have a sentence for every way in which the edge says no.

use std::collections::{BTreeMap, BTreeSet};

use chatlift_shared::ProblemCode;

type Texts = BTreeMap<String, String>;

fn locales() -> Vec<(String, Texts)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/locales");
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

#[test]
fn all_languages_have_the_same_keys_and_places() {
    let locales = locales();
    assert!(locales.len() >= 2);
    let (_, english) = locales
        .iter()
        .find(|(path, _)| path.ends_with("en.json"))
        .expect("English");
    for (path, texts) in &locales {
        assert_eq!(
            texts.keys().collect::<BTreeSet<_>>(),
            english.keys().collect::<BTreeSet<_>>(),
            "{path}"
        );
        for (key, text) in texts {
            assert!(!text.is_empty(), "{path}: {key}");
            assert_eq!(places(text), places(&english[key]), "{path}: {key}");
        }
    }
}

#[test]
fn every_problem_has_its_sentence_without_places() {
    for (path, texts) in locales() {
        for code in ProblemCode::ALL {
            let key = format!("problem.{}", code.code());
            let text = texts.get(&key).unwrap_or_else(|| panic!("{path}: {key}"));
            assert!(places(text).is_empty(), "{path}: {key}");
        }
    }
}

#[test]
fn plurals_come_with_one_and_other() {
    for (path, texts) in locales() {
        for key in texts.keys() {
            if let Some(base) = key.strip_suffix(".one") {
                assert!(
                    texts.contains_key(&format!("{base}.other")),
                    "{path}: {key}"
                );
            }
        }
    }
}
