//! The page's texts: those that the edge sent, by key.
//!
//! The edge negotiates the language and puts the texts that the page needs at its start into it; the
//! rest of that locale of `frontend/locales` is asked for while files are chosen. The program holds
//! no text but the one sentence for when the edge could not be asked.

use std::cell::{Cell, RefCell};

use chatlift_frontend::format;
use js_sys::{Array, Function, Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::{api, dom};

thread_local! {
    static TEXTS: RefCell<(String, JsValue)> =
        const { RefCell::new((String::new(), JsValue::UNDEFINED)) };
}

/// Said when not even the texts could be had.
pub(crate) const NO_ANSWER: [&str; 4] = [
    "No answer at the moment",
    "The upload service does not answer. Check your connection, then try again.",
    "上传服务暂无响应，请检查网络后重试。",
    "Try again\u{a0}· 重试",
];

/// Takes the texts over: an object of strings in `lang`.
pub(crate) fn set(lang: String, texts: JsValue) {
    TEXTS.with(|all| all.replace((lang, texts)));
}

/// Asks for the rest of the texts, once.
pub(crate) fn complete() {
    thread_local! {
        static ASKED: Cell<bool> = const { Cell::new(false) };
    }
    if ASKED.replace(true) {
        return;
    }
    dom::spawn(async {
        match api::page(&["?texts=rest&lang=", &lang()].concat()).await {
            Ok(data) => {
                if let Some(rest) = dom::get(&data.0, "messages") {
                    TEXTS.with(|all| {
                        let own = all.borrow().1.unchecked_ref::<Object>().clone();
                        Object::assign(&own, rest.unchecked_ref());
                    });
                }
            }
            Err(_) => ASKED.set(false),
        }
    });
}

/// The language of the texts.
pub(crate) fn lang() -> String {
    TEXTS.with(|all| all.borrow().0.clone())
}

/// The text of `key`, if there is one.
pub(crate) fn find(key: &str) -> Option<String> {
    TEXTS.with(|all| Reflect::get(&all.borrow().1, &key.into()).ok()?.as_string())
}

/// The text of `key`; the key itself when the edge has an older locale.
pub(crate) fn t(key: &str) -> String {
    find(key).unwrap_or_else(|| key.to_owned())
}

/// The text of `key` with its places filled.
pub(crate) fn tf(key: &str, values: &[(&str, &str)]) -> String {
    format::fill(&t(key), values)
}

/// The text for `n` of something: `key.` and the plural form that the language has for `n`
/// (CLDR, by the browser; engines without it are given `one` and `other`). `{n}` is filled beside
/// `values`.
pub(crate) fn tn(key: &str, n: usize, values: &[(&str, &str)]) -> String {
    let key = [key, "."].concat();
    let form = plural(n).unwrap_or_else(|| if n == 1 { "one" } else { "other" }.to_owned());
    let text = find(&[&key, form.as_str()].concat());
    let text = text.unwrap_or_else(|| t(&[&key, "other"].concat()));
    format::fill(
        &format::fill(&text, values),
        &[("n", &format::decimal(n as u64))],
    )
}

fn plural(n: usize) -> Option<String> {
    let class: Function = dom::get(&dom::get(&js_sys::global(), "Intl")?, "PluralRules")?
        .dyn_into()
        .ok()?;
    let rules = Reflect::construct(&class, &Array::of1(&lang().into())).ok()?;
    dom::call(&rules, "select", &format::decimal(n as u64))?.as_string()
}

/// The sentence for a problem: what happened, and what to do now.
pub(crate) fn problem(code: &str) -> String {
    find(&["problem.", code].concat()).unwrap_or_else(|| t("problem.internal"))
}

/// A moment (RFC 3339) in the reader's language and time zone, in the digits of all other numbers: the browser's may be
/// those that Arabic has of its own.
pub(crate) fn moment(rfc3339: &str) -> String {
    let options = Object::new();
    for (name, value) in [
        ("day", "numeric"),
        ("month", "short"),
        ("year", "numeric"),
        ("hour", "numeric"),
        ("minute", "2-digit"),
    ] {
        let _ = Reflect::set(&options, &name.into(), &value.into());
    }
    js_sys::Date::new(&rfc3339.into())
        .to_locale_string(&[&*lang(), "-u-nu-latn"].concat(), &options)
        .into()
}
