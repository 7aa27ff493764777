//! schemathesis, unmodified, tries the edge by its document: what the document allows and what it
//! forbids. All checks are on; none may fail, and no answer may be a 5xx.

use std::fs;
use std::process::Command;

use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::scratch::Folder;
use chatlift_tests::stage::shared;
use xtask::{conformance, python};

#[test]
fn schemathesis_finds_nothing() {
    let full = std::env::var_os(conformance::FULL).is_some();
    let program = python::program("schemathesis").unwrap_or_else(|e| panic!("{e}"));
    let stage = shared();
    let app = stage.edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let folder = Folder::new("schemathesis");
    let config = folder.path().join("schemathesis.toml");
    let hooks = folder.path().join("schemathesis_hooks.py");
    // A generated token is never one that the edge has signed.
    let token = format!("[parameters]\n\"path.token\" = \"{}\"\n\n", page.token());
    fs::write(&config, token + include_str!("../src/schemathesis.toml")).expect("a file");
    fs::write(&hooks, include_str!("../src/schemathesis_hooks.py")).expect("a file");
    // The same cases every time within the test command; others at each run with all the time.
    let bounds: &[&str] = if full {
        &["--max-examples", "60"]
    } else {
        &[
            "--max-examples",
            "3",
            "--seed",
            "1",
            "--no-shrink",
            "--phases",
            "examples,coverage",
        ]
    };
    let status = Command::new(program)
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(&config)
        .args([
            "run",
            "--checks",
            "all",
            "--continue-on-failure",
            "--workers",
            "2",
        ])
        .args(["--header", &format!("Authorization: Bearer {}", app.key())])
        .args(bounds)
        .arg(format!("{}/openapi.json", stage.edge.origin()))
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", folder.path())
        .env("NO_COLOR", "1")
        .status()
        .expect("schemathesis");
    assert!(status.success(), "schemathesis found something: {status}");
}
