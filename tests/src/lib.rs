//! The harness of the journeys: the edge in real workerd, the real business backend, real browsers,
//! a client of the edge's API, a receiver of webhooks, and real small files.
//!
//! Everything runs on this machine, on ports of its own, with keys that are drawn anew for each
//! run; and all of it ends with the test binary, however that ends (see `xtask::process`).

pub mod assertions;
pub mod axe;
pub mod backend;
pub mod bare;
pub mod bridges;
pub mod browser;
pub mod chaos;
pub mod client;
mod devtools;
pub mod disk;
pub mod edge;
pub mod engine;
pub mod first;
pub mod fixtures;
pub mod gate;
pub mod http;
pub mod journey;
pub mod load;
mod meter;
pub mod network;
pub mod nodes;
pub mod openapi;
pub mod outside;
pub mod platforms;
pub mod postgres;
pub mod receiver;
pub mod s3;
pub mod schemathesis;
pub mod scratch;
pub mod sender;
pub mod serial;
pub mod stage;
pub mod stream;
pub mod tour;
pub mod webdriver;
mod window;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn rust_files(folder: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).expect("a folder of tests").flatten();
        entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
            .collect()
    }

    /// A file that is no module of its layer would never run, and nothing would say so.
    #[test]
    fn every_file_of_scenarios_is_a_module_of_its_layer() {
        let folder = xtask::root::at("tests/tests");
        assert_eq!(rust_files(&folder), BTreeSet::new(), "in no layer");
        use xtask::test::Layer;
        for layer in [Layer::Edge, Layer::Native, Layer::E2e] {
            let folder = folder.join(layer.name());
            let main = fs::read_to_string(folder.join("main.rs")).expect("main.rs");
            let modules: BTreeSet<String> = main
                .lines()
                .filter_map(|line| Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned()))
                .collect();
            let mut files = rust_files(&folder);
            files.remove("main");
            assert_eq!(modules, files, "{}", layer.name());
        }
    }

    /// The text of every Rust file under a folder of the repository.
    fn rust_texts(folder: &Path, texts: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                rust_texts(&path, texts);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                texts.push_str(&fs::read_to_string(&path).expect("a file"));
            }
        }
    }

    /// The names of tests in a document: what stands between backticks, of words joined by `_`. One that ends
    /// in an ellipsis is the beginning of a name.
    fn tests_named_in(document: &str) -> impl Iterator<Item = &str> {
        let quoted = document.split('`').skip(1).step_by(2);
        quoted.filter(|name| {
            let name = name.strip_suffix('…').unwrap_or(name);
            let in_words = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            name.chars().all(in_words) && name.matches('_').count() >= 3
        })
    }

    #[test]
    fn every_test_that_a_document_names_is_there() {
        let mut texts = String::new();
        for folder in [
            "backend", "client", "edge", "frontend", "openapi", "server", "shared", "tests",
        ] {
            rust_texts(&xtask::root::at(folder), &mut texts);
        }
        for document in [
            "ARCHITECTURE.md",
            "docs/data-protection.md",
            "docs/threat-model.md",
        ] {
            let path = xtask::root::at(document);
            let document = fs::read_to_string(path).expect("a document");
            let mut names = tests_named_in(&document).peekable();
            assert!(names.peek().is_some());
            for name in names {
                let function = match name.strip_suffix('…') {
                    Some(beginning) => format!("fn {beginning}"),
                    None => format!("fn {name}("),
                };
                assert!(texts.contains(&function), "no test is called {name}");
            }
        }
    }
}
