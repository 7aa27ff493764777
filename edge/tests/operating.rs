//! What is deployed is what docs/operating.md and wrangler.toml say: every name that the edge reads
//! from its environment is explained, and every environment has what the others have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

/// All that the platform reads its environment with, next to the name that is read.
const READERS: [&str; 6] = [
    "var(\"",
    "durable_object(\"",
    "bucket(\"",
    "assets(\"",
    "analytics_engine(\"",
    "rate_limiter(\"",
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names that the Worker reads from its environment.
fn names_read() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/workers");
    let files = std::fs::read_dir(folder).expect("the sources of what runs on Workers");
    let mut names = BTreeSet::new();
    for file in files.flatten() {
        let source = std::fs::read_to_string(file.path()).expect("a source");
        for reader in READERS {
            let found = source.split(reader).skip(1);
            names.extend(found.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    names
}

/// Names in the first column of the tables, in backquotes and in capitals.
fn names_explained() -> BTreeSet<String> {
    let docs = read("../docs/operating.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `"));
    let first = rows.filter_map(|row| row.split_once('|')).map(|row| row.0);
    first
        .flat_map(|cell| cell.split('`'))
        .filter(|name| {
            let capital = |b: u8| b.is_ascii_uppercase() || b == b'_';
            !name.is_empty() && name.bytes().all(capital)
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_name_that_the_edge_reads_is_explained_and_no_other() {
    let read = names_read();
    // One of each kind, so that a reader that is written otherwise does not go unseen.
    for name in [
        "APPS",
        "CHAT_SECRETS",
        "FILES",
        "LINKS",
        "ASSETS",
        "METRICS",
        "RATE_LINK",
        "RATE_KEY",
    ] {
        assert!(read.contains(name), "{name} is not among {read:?}");
    }
    assert_eq!(names_explained(), read);
}

fn wrangler() -> Table {
    read("../wrangler.toml").parse().expect("wrangler.toml")
}

/// The environments by name, the one of development first, which has none.
fn environments(wrangler: &Table) -> Vec<(&str, &Table)> {
    let named = wrangler["env"].as_table().expect("environments");
    let named = named.iter().map(|(name, env)| (&**name, env.as_table()));
    let all = named.map(|(name, env)| (name, env.expect("a table")));
    [("development", wrangler)].into_iter().chain(all).collect()
}

/// Entries of a list in an environment, by the text under `key`.
fn entries<'t>(env: &'t Table, list: &[&str], key: &str) -> BTreeMap<&'t str, &'t Table> {
    let (last, path) = list.split_last().expect("a path");
    let parent = path
        .iter()
        .try_fold(env, |table, name| table.get(*name)?.as_table());
    let list = parent.and_then(|p| p.get(*last)).and_then(Value::as_array);
    let tables = list.into_iter().flatten().filter_map(Value::as_table);
    tables
        .map(|entry| (entry[key].as_str().expect("a text"), entry))
        .collect()
}

/// Kinds of bindings, each with the field that holds the name.
const BINDINGS: [(&[&str], &str); 4] = [
    (&["r2_buckets"], "binding"),
    (&["durable_objects", "bindings"], "name"),
    (&["analytics_engine_datasets"], "binding"),
    (&["ratelimits"], "name"),
];

/// Names of all bindings of an environment. wrangler hands the assets down.
fn bindings<'t>(wrangler: &'t Table, env: &'t Table) -> BTreeSet<&'t str> {
    let assets = wrangler["assets"]["binding"].as_str().expect("a name");
    let named = BINDINGS
        .iter()
        .flat_map(|(list, key)| entries(env, list, key));
    named.map(|(name, _)| name).chain([assets]).collect()
}

#[test]
fn every_environment_has_its_own_bindings_and_none_is_missing() {
    let wrangler = wrangler();
    let read = names_read();
    let needed = ["ASSETS", "FILES", "LINKS", "CHATS", "DIRECTORY"];
    let optional = ["METRICS", "RATE_LINK", "RATE_ADDRESS", "RATE_KEY"];
    for (name, env) in environments(&wrangler) {
        let bound = bindings(&wrangler, env);
        for binding in &bound {
            assert!(
                read.contains(*binding),
                "{name}: {binding} is read by nothing"
            );
        }
        for binding in needed {
            assert!(bound.contains(binding), "{name}: {binding} is missing");
        }
        // A developer's machine does without; what is deployed has all.
        let deployed = name != "development";
        for binding in optional.iter().filter(|_| deployed) {
            assert!(bound.contains(binding), "{name}: {binding} is missing");
        }
    }
}

#[test]
fn every_environment_has_the_same_objects_and_all_are_migrated() {
    fn classes(env: &Table) -> BTreeMap<&str, &str> {
        entries(env, &["durable_objects", "bindings"], "name")
            .into_iter()
            .map(|(name, object)| (name, object["class_name"].as_str().expect("a class")))
            .collect()
    }
    let wrangler = wrangler();
    let first = classes(&wrangler);
    let migrated: Vec<&str> = entries(&wrangler, &["migrations"], "tag")
        .values()
        .flat_map(|m| m["new_sqlite_classes"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        migrated.iter().copied().collect::<BTreeSet<_>>(),
        first.values().copied().collect()
    );
    assert_eq!(migrated.len(), first.len(), "each once: {migrated:?}");
    for (name, env) in environments(&wrangler) {
        assert_eq!(classes(env), first, "{name}");
        // wrangler hands migrations down, unless an environment has some of its own.
        let own = env.get("migrations").filter(|_| name != "development");
        assert_eq!(own, None, "{name}");
    }
}

#[test]
fn every_environment_has_the_variables_and_shares_nothing() {
    let wrangler = wrangler();
    let (mut buckets, mut limits, mut datasets, mut workers) = (
        BTreeSet::new(),
        BTreeSet::new(),
        BTreeSet::new(),
        BTreeSet::new(),
    );
    for (name, env) in environments(&wrangler) {
        let vars = env["vars"].as_table().expect("variables");
        assert_eq!(vars["ENVIRONMENT"].as_str(), Some(name));
        assert!(!vars.contains_key("FAULTS"), "{name}");
        for var in ["APPS", "BUCKET_NAME"] {
            assert!(vars.contains_key(var), "{name}: {var} is missing");
        }
        let files = entries(env, &["r2_buckets"], "binding")["FILES"];
        assert_eq!(files["bucket_name"], vars["BUCKET_NAME"], "{name}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        // Also that of development: `wrangler deploy` without `--env` replaces no other's.
        assert!(
            workers.insert(text(&env["name"])),
            "{name}: a worker of another"
        );
        if name == "development" {
            // Its bucket is a folder of a developer's machine.
            continue;
        }
        assert!(
            vars.contains_key("PUBLIC_URL"),
            "{name}: PUBLIC_URL is missing"
        );
        assert!(
            buckets.insert(text(&files["bucket_name"])),
            "{name}: a bucket of another"
        );
        for limit in entries(env, &["ratelimits"], "name").values() {
            let id = text(&limit["namespace_id"]);
            assert!(limits.insert(id.clone()), "{name}: {id} counts for another");
            assert_eq!(limit["simple"]["period"].as_integer(), Some(60), "{name}");
        }
        for dataset in entries(env, &["analytics_engine_datasets"], "binding").values() {
            let dataset = text(&dataset["dataset"]);
            assert!(datasets.insert(dataset), "{name}: counters of another");
        }
    }
}
