//! How the native edge is run: its settings, its folder, its end.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::send;
use chatlift_tests::nodes::Nodes;
use chatlift_tests::postgres::Postgres;
use chatlift_tests::receiver::Receiver;
use chatlift_tests::s3::S3;
use chatlift_tests::scratch::{Folder, free_port, wait_for};
use xtask::native;
use xtask::root::at;
use xtask::secrets::{AppSecrets, app_secrets, link_keys};

pub(crate) const WITHIN: Duration = Duration::from_secs(60);

fn program() -> PathBuf {
    std::env::var_os("CHATLIFT_TESTS_NATIVE").map_or_else(native::program, PathBuf::from)
}

/// Settings that are right.
fn settings() -> String {
    let secrets = AppSecrets::random().expect("random bytes");
    let secrets = app_secrets(&[("demo", &secrets)]);
    let secrets: serde_json::Value = serde_json::from_str(&secrets).expect("JSON");
    let demo = &secrets["demo"];
    format!(
        r#"
environment = "development"
link_keys = "{}"
page = "{}"

[[apps]]
id = "demo"
name = "Demo"
webhook_url = "http://127.0.0.1:1/hook"

[[apps.scenes]]
id = "any-file"
title = {{ en = "Any file", zh-CN = "任意文件" }}
accept = ["*/*"]
max_file_size = 1000
max_files = 2
link_lifetime = 3600

[app_secrets.demo]
api_key_sha256 = {}
webhook_secrets = {}
"#,
        link_keys().expect("random bytes"),
        at("dist").display(),
        demo["api_key_sha256"],
        demo["webhook_secrets"],
    )
}

fn check(folder: &Folder, settings: &str) -> Output {
    let file = folder.path().join("edge.toml");
    fs::write(&file, settings).expect("a file");
    Command::new(program())
        .args(["check", "--config"])
        .arg(file)
        .env("CHATLIFT_EDGE_DATA", folder.path().join("data"))
        .output()
        .expect("the native edge")
}

#[test]
fn settings_are_checked_and_what_is_wrong_is_named() {
    let folder = Folder::new("settings");
    let right = settings();
    let said = check(&folder, &right);
    assert!(said.status.success(), "{said:?}");
    for (from, to, named) in [
        ("environment =", "enviroment =", "enviroment"),
        ("max_files = 2", "max_fils = 2", "max_fils"),
        (
            "max_files = 2",
            "max_files = \"two\"",
            "apps[0].scenes[0].max_files",
        ),
        ("link_keys =", "link_keys = 7 #", "link_keys"),
        (
            "environment =",
            "listen = \"here\"\nenvironment =",
            "CHATLIFT_EDGE_LISTEN",
        ),
        (
            "environment =",
            "trusted_proxies = [\"all\"]\nenvironment =",
            "TRUSTED_PROXIES",
        ),
        (
            "environment =",
            "tls_key = \"k\"\nenvironment =",
            "TLS_CERTIFICATE",
        ),
        (
            "environment =",
            "store = \"s3://b\"\nenvironment =",
            "DATABASE_URL",
        ),
    ] {
        let said = check(&folder, &right.replacen(from, to, 1));
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(
            !said.status.success() && text.contains(named),
            "{to}: {text}"
        );
    }
}

/// One node with a folder of its own, and these variables besides.
pub(crate) fn one(name: &str, vars: &[(String, String)]) -> (Nodes, Receiver) {
    let secrets = AppSecrets::random().expect("random bytes");
    let receiver = Receiver::start(&[&secrets.webhook_secret]);
    let nodes = Nodes::start(name, 1, secrets, &receiver.url(), vars);
    (nodes, receiver)
}

/// What `/metrics` at this address says of one figure.
pub(crate) fn figure(address: &str, name: &str) -> f64 {
    let figures = send("GET", &format!("http://{address}/metrics"), &[], None);
    let figures = figures.expect("figures").text();
    let value = figures.lines().find_map(|line| line.strip_prefix(name));
    let value = value.unwrap_or_else(|| panic!("no {name} in {figures}"));
    value.trim().parse().expect("a number")
}

/// Who runs it could not see that an endpoint was down but by its log.
fn the_outbox_is_seen(name: &str, mut vars: Vec<(String, String)>) {
    let metrics = format!("127.0.0.1:{}", free_port());
    vars.push(("CHATLIFT_EDGE_METRICS_LISTEN".to_owned(), metrics.clone()));
    let (nodes, receiver) = one(name, &vars);
    let events = || figure(&metrics, "chatlift_edge_outbox_events ");
    let age = || figure(&metrics, "chatlift_edge_outbox_oldest_age_seconds ");
    assert_eq!((events(), age()), (0.0, 0.0));
    receiver.answer_with(500);
    let app = nodes.app();
    let _ = app.page(&app.link(ANY_FILE)).store("a.pdf", &pdf());
    wait_for("a try", WITHIN, || (receiver.tries() > 0).then_some(()));
    assert_eq!(events(), 1.0);
    let before = age();
    wait_for("a second", WITHIN, || (age() >= before + 1.0).then_some(()));
    receiver.answer_with(204);
    wait_for("its end", WITHIN, || (events() == 0.0).then_some(()));
    assert_eq!(age(), 0.0);
}

#[test]
fn what_is_to_be_told_of_a_folder_is_counted_until_it_is_acknowledged() {
    the_outbox_is_seen("outbox", Vec::new());
}

#[test]
fn what_is_to_be_told_of_a_shared_database_is_counted_until_it_is_acknowledged() {
    let folder = Folder::new("outbox-postgres");
    let postgres = Postgres::start(folder.path(), &[]);
    let s3 = S3::start("outbox-s3");
    let mut vars = s3.vars();
    vars.push(("DATABASE_URL".to_owned(), postgres.url()));
    the_outbox_is_seen("outbox-shared", vars);
}

#[test]
fn a_second_process_on_one_folder_is_told_and_ends() {
    let (nodes, _receiver) = one("locked", &[]);
    let mut second = nodes.command(0);
    second.env("CHATLIFT_EDGE_LISTEN", format!("127.0.0.1:{}", free_port()));
    let said = second.output().expect("the native edge");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(!said.status.success(), "{text}");
    assert!(text.contains("another process has it"), "{text}");
    let app = nodes.app();
    let _ = app.page(&app.link(ANY_FILE)).store("a.pdf", &pdf());
}

#[test]
fn a_request_that_was_begun_is_answered_before_it_ends() {
    let (nodes, _receiver) = one("drained", &[]);
    let origin = nodes.node(0);
    let ready = format!("{origin}/readyz");
    assert_eq!(
        send("GET", &ready, &[], None).expect("an answer").status,
        200
    );
    let app = nodes.app();
    let page = app.page(&app.link(ANY_FILE));
    let path = page.url().replace(nodes.origin(), "");
    let mut slow = TcpStream::connect(origin.trim_start_matches("http://")).expect("a connection");
    let (head, bytes) = (
        format!(
            "POST {path}/files HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n\
             content-disposition: attachment; filename=\"a.pdf\"\r\n\r\n",
            pdf().len()
        ),
        pdf(),
    );
    slow.write_all(head.as_bytes()).expect("a head");
    slow.write_all(&bytes[..100]).expect("a beginning");
    // It is being read before the end begins.
    std::thread::sleep(Duration::from_millis(300));
    nodes.terminate(0);
    wait_for("the end of listening", WITHIN, || {
        TcpStream::connect(origin.trim_start_matches("http://"))
            .is_err()
            .then_some(())
    });
    slow.write_all(&bytes[100..]).expect("the rest");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    wait_for("the end", WITHIN, || nodes.has_ended(0).then_some(()));
}
