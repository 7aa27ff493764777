//! The TypeScript and Python clients, generated from the document that the edge serves, on the
//! running edge; the official Standard Webhooks libraries of both languages verify what it sends.

use std::path::Path;
use std::process::Command;

use chatlift_tests::edge::Setup;
use chatlift_tests::scratch::free_port;
use xtask::{clients, python, run};

/// Runs a client's own test against an edge of its own, which sends its webhooks to the test.
fn against_an_edge(name: &str, folder: &Path, mut test: Command) {
    let port = free_port();
    let setup = Setup::new(name);
    let secrets = setup.app.clone();
    let edge = setup.start(&format!("http://127.0.0.1:{port}/webhooks/chatlift"));
    test.current_dir(folder)
        .env("CHATLIFT_EDGE", edge.origin())
        .env("CHATLIFT_API_KEY", &secrets.api_key)
        .env("CHATLIFT_WEBHOOK_SECRET", &secrets.webhook_secret)
        .env("CHATLIFT_PORT", port.to_string());
    run::run(&mut test).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn the_typescript_client_makes_the_whole_journey() {
    let folder = clients::typescript().unwrap_or_else(|e| panic!("{e}"));
    let mut test = Command::new("node");
    test.args(["--test", "test/"]);
    against_an_edge("typescript", &folder, test);
}

#[test]
fn the_python_client_makes_the_whole_journey() {
    let package = clients::python().unwrap_or_else(|e| panic!("{e}"));
    let python = python::CLIENTS
        .program("python")
        .unwrap_or_else(|e| panic!("{e}"));
    let mut test = Command::new(python);
    test.args(["-W", "error::ResourceWarning", "../test_journey.py"])
        .env("PYTHONPATH", &package)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    against_an_edge("python", &package, test);
}
