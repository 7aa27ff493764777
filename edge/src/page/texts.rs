//! Texts of a page by key, in one language.

use std::collections::BTreeMap;

use chatlift_shared::api::PageLink;
use chatlift_shared::{Problem, accept, format};

use super::language::plural;

/// The texts. A missing one shows its key, which a test would notice.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    /// The language's tag.
    pub lang: &'a str,
    /// Its texts by key.
    pub messages: &'a BTreeMap<String, String>,
}

impl Texts<'_> {
    /// The text of a key with values in its places.
    #[must_use]
    pub fn get(&self, key: &str, values: &[(&str, &str)]) -> String {
        format::fill(self.messages.get(key).map_or(key, String::as_str), values)
    }

    /// The text of a key for a count, in the language's plural form.
    #[must_use]
    pub fn count(&self, key: &str, n: u64) -> String {
        let exact = [key, ".", plural(self.lang, n)].concat();
        let key = if self.messages.contains_key(&exact) {
            exact
        } else {
            [key, ".other"].concat()
        };
        self.get(&key, &[("n", &n.to_string())])
    }

    /// What a problem means and what to do.
    #[must_use]
    pub fn problem(&self, problem: &Problem) -> String {
        self.get(&["problem.", problem.code.code()].concat(), &[])
    }

    /// A problem in a few words.
    #[must_use]
    pub fn headline(&self, problem: &Problem) -> String {
        let key = ["headline.", problem.code.code()].concat();
        if self.messages.contains_key(&key) {
            self.get(&key, &[])
        } else {
            self.get("headline.other", &[])
        }
    }

    /// What a link accepts, in one line.
    #[must_use]
    pub fn rules(&self, link: &PageLink) -> String {
        let types = if accept::is_any(&link.accept) {
            self.get("rules.any", &[])
        } else {
            accept::names(&link.accept)
                .into_iter()
                .map(|name| name.map_or_else(str::to_owned, |key| self.get(key, &[])))
                .collect::<Vec<_>>()
                .join(&self.get("list.comma", &[]))
        };
        let files = if link.files_left < link.max_files {
            "rules.left"
        } else {
            "rules.files"
        };
        let size = format::size(link.max_file_size);
        [
            types,
            self.get("rules.size", &[("size", &size)]),
            self.count(files, link.files_left.into()),
        ]
        .join(format::DOT)
    }
}
