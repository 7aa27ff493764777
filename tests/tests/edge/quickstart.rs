//! What the README and the reference tell a backend developer to type, typed: by bash and curl,
//! against a running edge. Only the edge's port is another.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use chatlift_shared::api::{Link, ReceiptStatus};
use chatlift_tests::edge::APP;
use chatlift_tests::fixtures::pdf;
use chatlift_tests::openapi::Judge;
use chatlift_tests::scratch::Folder;
use chatlift_tests::stage::{Shared, shared};
use serde_json::Value;
use xtask::secrets::write_env;

/// A developer's folder, with the file of secrets that `cargo xtask dev` writes.
fn folder(stage: &Shared) -> Folder {
    let folder = Folder::new("quickstart");
    let secrets = [
        ("CHATLIFT_API_KEY", stage.edge.app().key().to_owned()),
        (
            "CHATLIFT_WEBHOOK_SECRET",
            stage.edge.webhook_secret().to_owned(),
        ),
    ];
    let secrets: Vec<_> = secrets.iter().map(|(k, v)| (*k, v.as_str())).collect();
    write_env(&folder.path().join(".dev/backend.env"), &secrets).expect("a file");
    folder
}

/// Runs lines of shell, which must succeed.
fn shell(folder: &Path, lines: &str, vars: &[(String, String)]) -> Output {
    let output = Command::new("bash")
        .current_dir(folder)
        .args(["-euo", "pipefail", "-c", lines])
        .envs(vars.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("bash");
    assert!(
        output.status.success(),
        "{lines}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The blocks of code under a heading of the README.
fn blocks(heading: &str) -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once(heading).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut blocks = vec![String::new()];
    for line in section.lines() {
        match (line.strip_prefix("    "), blocks.last_mut()) {
            (Some(code), Some(block)) => {
                block.push_str(code);
                block.push('\n');
            }
            (None, Some(block)) if !block.is_empty() => blocks.push(String::new()),
            _ => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

#[test]
fn the_readmes_quick_start_works_line_by_line() {
    let stage = shared();
    let folder = folder(&stage);
    let blocks: Vec<String> = blocks("\n## For backend developers\n")
        .iter()
        .map(|block| block.replace("http://127.0.0.1:8787", &stage.edge.origin()))
        .collect();
    // One shell from the first line to the last, as a person has it.
    let mut before = String::new();
    let (mut link, mut file) = (None::<Link>, None::<String>);
    let mut vars = Vec::new();
    for block in &blocks {
        let output = shell(folder.path(), &format!("{before}{block}"), &vars);
        // Settings stay; calls are not made again.
        before.extend(
            block
                .lines()
                .filter(|l| l.starts_with(". "))
                .map(|l| format!("{l}\n")),
        );
        if link.is_none() {
            let made: Link = serde_json::from_slice(&output.stdout).expect("a link");
            // The user's part, and the webhook with the file's id.
            let sent = stage.edge.app().page(&made).store("invoice.pdf", &pdf());
            let within = Duration::from_secs(20);
            let told = stage.receiver.wait_stored(made.id, sent.sha256, within);
            let id = told.stored().map(|s| s.file.id.to_string());
            vars.push(("FILE".to_owned(), id.clone().expect("a stored file")));
            (link, file) = (Some(made), id);
        }
    }
    let fetched = fs::read(folder.path().join("file")).expect("the fetched file");
    assert_eq!(fetched, pdf());
    let link = stage.edge.app().get_link(link.expect("a link").id);
    assert_eq!(Some(link.files[0].id.to_string()), file);
    let receipt = link.files[0].receipt.as_ref().map(|r| r.status);
    assert_eq!(receipt, Some(ReceiptStatus::Delivered));
}

/// A run of the reference's lines, with the variables that they want.
struct Reference {
    stage: Shared,
    folder: Folder,
    judge: Judge,
    vars: Vec<(String, String)>,
    ran: Vec<String>,
}

impl Reference {
    fn set(&mut self, name: &str, value: &Value) {
        let value = value.as_str().expect("text").to_owned();
        self.vars.retain(|(known, _)| known != name);
        self.vars.push((name.to_owned(), value));
    }

    /// Runs an operation's line; its answer must have this status.
    fn run(&mut self, id: &str, status: &str) -> Value {
        serde_json::from_str(&self.text(id, status)).unwrap_or(Value::Null)
    }

    /// Runs a line that prints where an upload was made, and keeps the upload.
    fn run_upload(&mut self, id: &str) {
        let printed = self.text(id, "201");
        let path = printed
            .lines()
            .find_map(|line| {
                line.split_once(": ")
                    .filter(|(name, _)| name.eq_ignore_ascii_case("location"))
            })
            .map(|(_, path)| path.trim())
            .expect("a location");
        let upload = path.rsplit('/').next().unwrap_or_default();
        self.set("UPLOAD_ID", &upload.into());
    }

    /// What an operation's line prints.
    fn text(&mut self, id: &str, status: &str) -> String {
        let line = self
            .judge
            .operations()
            .find(|(found, ..)| *found == id)
            .and_then(|(_, _, _, o)| o["x-codeSamples"][0]["source"].as_str().map(str::to_owned))
            .unwrap_or_else(|| panic!("no line of {id}"));
        let output = shell(
            self.folder.path(),
            &format!("{line} -w '\\n%{{http_code}}'"),
            &self.vars,
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, found) = text.rsplit_once('\n').expect("a status");
        assert_eq!(found, status, "{line}\n{body}");
        self.ran.push(id.to_owned());
        body.to_owned()
    }
}

#[test]
fn every_line_of_the_reference_works() {
    let stage = shared();
    let mut reference = Reference {
        folder: folder(&stage),
        judge: Judge::new(stage.edge.origin()),
        vars: vec![
            ("EDGE".to_owned(), stage.edge.origin()),
            (
                "CHATLIFT_API_KEY".to_owned(),
                stage.edge.app().key().to_owned(),
            ),
            ("APP".to_owned(), APP.to_owned()),
        ],
        ran: Vec::new(),
        stage,
    };
    let printf = "printf '%%PDF-1.7\\n%%%%EOF\\n' > invoice.pdf";
    shell(reference.folder.path(), printf, &[]);
    let link = reference.run("create_link", "201");
    let token = link["url"].as_str().and_then(|url| url.rsplit('/').next());
    reference.set("LINK_ID", &link["id"]);
    reference.set("TOKEN", &token.into());
    for id in [
        "get_link",
        "list_links",
        "extend_link",
        "get_qr_svg",
        "get_qr_png",
        "open_page",
        "get_page_data",
        "page_opened",
        "enter_password",
        "send_form",
    ] {
        reference.run(id, if id == "page_opened" { "204" } else { "200" });
    }
    reference.run("send_file", "201");
    reference.run("chat_config", "404");
    let upload = reference.run("create_upload", "201");
    reference.set("UPLOAD_ID", &upload["id"]);
    reference.set("UPLOAD_TICKET", &upload["ticket"]);
    reference.run("send_part", "204");
    let file = reference.run("complete_upload", "200");
    reference.set("FILE_ID", &file["id"]);
    let again = reference.run("create_upload", "201");
    reference.set("UPLOAD_ID", &again["id"]);
    reference.run("abort_upload", "204");
    reference.run("tus_options", "204");
    reference.run_upload("tus_create");
    reference.run("tus_upload_options", "204");
    reference.run("tus_look", "200");
    reference.run("tus_append", "204");
    reference.run_upload("tus_create");
    reference.run("tus_end", "204");
    reference.run("resumable_options", "204");
    reference.run_upload("resumable_create");
    reference.run("resumable_upload_options", "204");
    reference.run("resumable_look", "204");
    reference.run("resumable_look_by_get", "204");
    reference.run("resumable_append", "201");
    reference.run_upload("resumable_create_by_put");
    reference.run("resumable_end", "204");
    reference.run("get_file", "200");
    reference.run("get_content", "200");
    let url = reference.run("create_download_url", "201");
    let download = url["url"].as_str().and_then(|url| url.rsplit('/').next());
    reference.set("DOWNLOAD", &download.into());
    reference.run("download", "200");
    reference.run("give_receipt", "200");
    reference.run("person_done", "204");
    let log = reference.run("list_events", "200");
    reference.set("EVENT_ID", &log["events"][0]["id"]);
    reference.run("redeliver_event", "202");
    let trail = reference.run("read_audit_trail", "200");
    assert_eq!(trail["entries"][0]["type"], "link.made");
    for id in [
        "get_webhook_endpoint",
        "enable_webhook_endpoint",
        "get_webhook_keys",
        "health",
    ] {
        reference.run(id, "200");
    }
    reference.run("delete_file", "204");
    reference.run("close_link", "200");
    reference.run("revoke_link", "204");
    let missing: Vec<&str> = reference
        .judge
        .operations()
        .map(|(id, ..)| id)
        .filter(|id| !reference.ran.iter().any(|ran| ran == id))
        .collect();
    assert!(missing.is_empty(), "no line was run of {missing:?}");
    drop(reference.stage);
}
