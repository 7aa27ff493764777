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
pub mod client;
mod devtools;
pub mod edge;
pub mod engine;
pub mod first;
pub mod fixtures;
pub mod gate;
pub mod http;
pub mod journey;
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
pub mod serial;
pub mod stage;
pub mod tour;
pub mod webdriver;

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
}
