//! What is said inside chat apps, in all languages: apart from the page's texts, so that nobody
//! else loads them.

use std::collections::{BTreeMap, BTreeSet};

type Texts = BTreeMap<String, String>;

fn folder(name: &str) -> BTreeMap<String, Texts> {
    let folder = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_dir(folder)
        .expect("a folder of locales")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a locale");
            let name = path.file_name().expect("a name").to_string_lossy();
            let texts = serde_json::from_str(&text).expect("flat JSON of strings");
            (name.into_owned(), texts)
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
fn every_language_of_the_page_has_the_same_sentences() {
    let (chat, page) = (folder("chat/locales"), folder("locales"));
    assert!(chat.keys().eq(page.keys()));
    let english = &chat["en.json"];
    for (name, texts) in &chat {
        assert!(texts.keys().eq(english.keys()), "{name}");
        for (key, text) in texts {
            assert!(!text.trim().is_empty(), "{name}: {key}");
            assert_eq!(places(text), places(&english[key]), "{name}: {key}");
            // What everybody loads has none of it.
            assert!(!page[name].contains_key(key), "{name}: {key}");
        }
    }
}

#[test]
fn every_sentence_that_the_pickers_say_is_there_and_no_other() {
    let chat = folder("chat/locales");
    let scripts = ["main", "picker", "wecom", "dingtalk", "feishu", "wechat"].map(|name| {
        let path = format!("{}/chat/{name}.js", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("a script")
    });
    let scripts = scripts.concat();
    let said: BTreeSet<&str> = scripts
        .split('"')
        .filter(|word| word.starts_with("chat.") && !word.contains([' ', '/']))
        // What the edge puts in place of the page's own label.
        .chain(["chat.from-phone"])
        .collect();
    let there: BTreeSet<&str> = chat["en.json"]
        .keys()
        .filter(|key| key.starts_with("chat."))
        .map(String::as_str)
        .collect();
    assert_eq!(said, there);
}

#[test]
fn every_chat_problem_has_its_sentence() {
    for (name, texts) in folder("chat/locales") {
        for code in ["chat-not-configured", "chat-unavailable", "chat-refused"] {
            assert!(
                texts.contains_key(&format!("problem.{code}")),
                "{name}: {code}"
            );
        }
    }
}
