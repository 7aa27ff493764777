//! schemathesis, unmodified, tries the edge by its document: what the document allows and what it
//! forbids. All checks are on; none may fail, no answer may be a 5xx, and every operation must have
//! succeeded: behind a 404 nothing is tried.

use std::process::Command;

use chatlift_tests::edge::{APP, Setup};
use chatlift_tests::openapi::Judge;
use chatlift_tests::platforms::Platforms;
use chatlift_tests::schemathesis::{Ground, successes};
use chatlift_tests::scratch::Folder;
use chatlift_tests::stage::Stage;
use xtask::{conformance, python};

#[test]
fn schemathesis_finds_nothing() {
    let full = std::env::var_os(conformance::FULL).is_some();
    let program = python::CLIENTS
        .program("schemathesis")
        .unwrap_or_else(|e| panic!("{e}"));
    let platforms = Platforms::start();
    let stage = Stage::with(
        Setup::new("schemathesis-edge")
            .with_var("CHAT", &platforms.chat(&[APP]))
            .with_var("CHAT_SECRETS", &Platforms::secrets(&[APP])),
    );
    let app = stage.edge.app();
    let folder = Folder::new("schemathesis");
    let ground = Ground::lay(folder.path(), &app);
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
        .arg(ground.config())
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
    let answers = ground.answers();
    println!("answers by operation:");
    for (operation, statuses) in &answers {
        println!(
            "  {operation}: {} with 2xx of {statuses:?}",
            successes(statuses)
        );
    }
    assert!(status.success(), "schemathesis found something: {status}");
    let judge = Judge::new(stage.edge.origin());
    let failed: Vec<&str> = judge
        .operations()
        .map(|(id, ..)| id)
        .filter(|id| {
            answers
                .get(*id)
                .is_none_or(|statuses| successes(statuses) == 0)
        })
        .collect();
    assert!(failed.is_empty(), "never succeeded: {failed:?}");
}
