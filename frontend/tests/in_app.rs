//! What docs/in-app-browsers.md says of each app's browser is what the program does in it.

use std::collections::{BTreeMap, BTreeSet};

use chatlift_shared::in_app;

const DOCUMENT: &str = include_str!("../../docs/in-app-browsers.md");
const ENGLISH: &str = include_str!("../locales/en.json");

/// The rows of the table of apps: name and marks.
fn rows() -> Vec<(&'static str, BTreeSet<&'static str>)> {
    let (_, rest) = DOCUMENT
        .split_once("\n|---|---|---|---|\n")
        .expect("the table of apps");
    let table = rest.split_once("\n\n").expect("its end").0;
    let row = |line: &'static str| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (name, marks) = (cells.next()?, cells.next()?);
        Some((name, marks.split('`').skip(1).step_by(2).collect()))
    };
    table
        .lines()
        .map(|line| row(line).expect("cells"))
        .collect()
}

#[test]
fn each_row_of_the_table_is_an_app_that_is_known_by_each_of_its_marks() {
    let texts: BTreeMap<String, String> = serde_json::from_str(ENGLISH).expect("English");
    let rows = rows();
    assert_eq!(rows.len(), in_app::APPS.len(), "{rows:?}");
    for (name, marks) in rows {
        let named = |app: &&in_app::InApp| texts[&format!("inapp.name.{}", app.id)] == name;
        let app = in_app::APPS.iter().find(named);
        let app = app.unwrap_or_else(|| panic!("{name} is not known"));
        assert_eq!(marks, app.marks.iter().copied().collect(), "{name}");
        for mark in marks {
            let user_agent = format!("Mozilla/5.0 (Linux; Android 13; wv){mark}9.9");
            assert_eq!(in_app::detect(&user_agent), Some(app), "{user_agent}");
        }
    }
}
