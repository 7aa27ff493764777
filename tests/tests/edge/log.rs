//! What the edge prints in workerd: for each failure a line that leads to its link, and nowhere what
//! somebody sent or a secret.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::api::{DownloadUrl, Link, LinkPass, PageFile, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{ProblemCode, disposition};
use chatlift_tests::assertions::refused;
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS, Edge, SMALL};
use chatlift_tests::fixtures::{Random, elf, pdf};
use chatlift_tests::http::send;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::serial::{Serial, create};
use chatlift_tests::stage::Stage;
use serde_json::{Value, json};

use super::form::form;

const WITHIN: Duration = Duration::from_secs(30);

/// What persons and apps send: words that no code of ours has.
const NAME: &str = "zimtschnecke Gehalt 张三.pdf";
const SUBJECT: &str = "pfefferminz-4711";
const METADATA: (&str, &str) = ("lavendel", "rosmarin-4712");
const PASSWORD: &str = "thymian 47/13";
const GUESS: &str = "salbei 47/14";
const REASON: &str = "kardamom-4715";
const NOTE: &str = "estragon 47/17";
const WRONG_KEY: &str = "clk_Kurkuma4716Kurkuma4716Kurkuma4716Kurkuma471";

/// Shortest piece of a secret that must not be seen.
const PIECE: usize = 10;

/// The lines that the edge wrote, without those of what runs it.
fn lines(edge: &Edge) -> Vec<Value> {
    let log = edge.log();
    log.lines()
        .filter_map(|line| serde_json::from_str(&line[line.find("{\"")?..]).ok())
        .collect()
}

/// The lines that say this.
fn told(edge: &Edge, event: &str) -> Vec<Value> {
    let all = lines(edge).into_iter();
    all.filter(|line| line["event"] == event).collect()
}

/// Every piece of a secret, without what it shares with an id that may be told.
fn pieces<'s>(secret: &'s str, public: &str) -> impl Iterator<Item = &'s str> {
    let last = secret.len().saturating_sub(PIECE);
    (0..=last)
        .filter_map(move |at| secret.get(at..(at + PIECE).min(secret.len())))
        .filter(move |piece| !public.contains(piece))
}

/// All ids that lines name.
fn ids(edge: &Edge) -> String {
    let lines = lines(edge);
    let of = |line: &Value| ["link", "file", "webhook_id"].map(|name| line[name].to_string());
    lines.iter().flat_map(of).collect()
}

fn link_with(app: &App, scene: &str, password: Option<&str>) -> Link {
    let (key, value) = METADATA;
    app.link_with(json!({
        "scene": scene, "subject": SUBJECT, "metadata": { key: value }, "password": password
    }))
}

/// Uploads of every kind, and refusals of every kind.
fn uploads_and_refusals(app: &App, page: &Page) -> Upload {
    let stored = page.store(NAME, &pdf());
    let receipt = json!({ "status": "rejected", "code": "unreadable", "reason": REASON });
    let path = format!("/v1/files/{}/receipt", stored.id);
    let _ = app.call("POST", &path, &[], Some(&receipt));
    refused(
        &page.send_file(NAME, &elf(), &[]),
        ProblemCode::FileTypeNotAccepted,
    );
    refused(&page.send_file(NAME, &[], &[]), ProblemCode::FileEmpty);
    let broken = page.call("POST", "/uploads", &[], Some(NAME.as_bytes()));
    refused(&broken, ProblemCode::InvalidRequest);
    let noted = json!({ "note": NOTE });
    refused(
        &page.announce_saying(NAME, 100, &pdf(), &noted),
        ProblemCode::InvalidRequest,
    );
    let file = Random {
        seed: 71,
        size: 9_000_000,
    };
    let mut head = pdf();
    head.resize(4096, b' ');
    let upload: Upload = page.announce(NAME, file.size, &head).ok(201);
    let wrong = Sha256::of(b"other").to_header();
    let headers = [
        ("content-digest", &*wrong),
        ("upload-ticket", &upload.ticket),
    ];
    let part = file.read(0, upload.part_size);
    let answer = page.send_part_with(&upload, 1, &part, &headers);
    refused(&answer, ProblemCode::DigestMismatch);

    let tus = create(page, NAME, 100, &[]);
    tus.add(0, b"%PDF-1.7 ");
    assert_eq!(tus.patch(5, b"x", &[]).status, 409);
    let inline = disposition::attachment(NAME);
    let headers = [
        ("upload-complete", "?0"),
        ("upload-length", "100"),
        ("content-disposition", &*inline),
    ];
    let created = page.call("POST", "/resumable", &headers, Some(&[]));
    assert_eq!(created.status, 201, "{}", created.text());
    let resumable = Serial::at(page, &created);
    assert_eq!(resumable.append(7, b"x", false, &[]).status, 409);
    upload
}

#[test]
fn a_stored_file_is_told_once_however_it_came() {
    let stage = Stage::new("log-stored");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let digest = Sha256::of(&pdf()).to_header();
    for _ in 0..2 {
        let answer = page.send_file("a.pdf", &pdf(), &[("content-digest", &digest)]);
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    }
    let file = Random {
        seed: 72,
        size: 9_000_000,
    };
    let upload = page.announce_random("b.bin", file);
    let parts = page.send_parts(&upload, file);
    for _ in 0..2 {
        let _: PageFile = page.complete(upload.id, file.sha256(), &parts, &[]).ok(200);
    }
    let sent = form(&page, &[("c.pdf", b"%PDF-1.7 c")], "application/json");
    assert_eq!(sent.status, 200, "{}", sent.text());
    create(&page, "d.pdf", 10, &[]).add(0, b"%PDF-1.7 d");
    let files = app.get_link(link.id).files;
    let mut stored: Vec<_> = files.iter().map(|file| json!(file.id)).collect();
    let lines = told(&stage.edge, "file stored");
    let mut told: Vec<_> = lines.iter().map(|line| line["file"].clone()).collect();
    stored.sort_by_key(Value::to_string);
    told.sort_by_key(Value::to_string);
    assert_eq!((told.len(), told), (4, stored));
    assert!(lines.iter().all(|line| line["link"] == json!(link.id)));
}

fn password(page: &Page, password: &str) -> chatlift_tests::http::Answer {
    let body = json!({ "password": password }).to_string();
    let json = ("content-type", "application/json");
    page.call("POST", "/password", &[json], Some(body.as_bytes()))
}

/// The link's row says nonsense, as after a bad migration: where it has the link's subject, it is of
/// another form.
fn spoil(edge: &Edge) {
    let script = r#"
import glob, json, sqlite3, sys
for path in glob.glob(sys.argv[1] + "/**/*.sqlite", recursive=True):
    base = sqlite3.connect(path)
    if not base.execute("SELECT 1 FROM sqlite_master WHERE name = 'link'").fetchone():
        continue
    columns = [c[1] for c in base.execute("PRAGMA table_info(link)")]
    if columns != ["id", "row"]:
        continue
    for id, row in base.execute("SELECT id, row FROM link").fetchall():
        link = json.loads(row)
        if "subject" in link:
            link["max_files"] = link["expires_at"] = link["subject"]
            link["status"] = link["subject"]
            base.execute("UPDATE link SET row = ? WHERE id = ?", (json.dumps(link), id))
    base.commit()
"#;
    let done = Command::new("python3")
        .args(["-c", script])
        .arg(edge.state())
        .output()
        .expect("python3");
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn the_log_leads_to_each_failure_and_tells_nothing_that_was_sent() {
    let mut stage = Stage::new("log");
    let app = stage.edge.app();
    let link = link_with(&app, DOCUMENTS, None);
    let page = app.page(&link);
    let upload = uploads_and_refusals(&app, &page);

    // A password, wrong and right.
    let locked = link_with(&app, ANY_FILE, Some(PASSWORD));
    let door = app.page(&locked);
    refused(&password(&door, GUESS), ProblemCode::PasswordWrong);
    let pass: LinkPass = password(&door, PASSWORD).ok(200);
    let with_pass = [("link-pass", &*pass.pass)];
    assert_eq!(door.send_file(NAME, &pdf(), &with_pass).status, 201);

    // A wrong key, and a download address.
    let stranger = App::new(stage.edge.origin(), WRONG_KEY.to_owned());
    let path = format!("/v1/links/{}", link.id);
    refused(
        &stranger.call("GET", &path, &[], None),
        ProblemCode::ApiKeyUnknown,
    );
    let file = app.get_link(link.id).files[0].id;
    let path = format!("/v1/files/{file}/download-url");
    let download: DownloadUrl = app.call("POST", &path, &[], None).ok(201);
    assert_eq!(
        send("GET", &download.url, &[], None).expect("it").status,
        200
    );

    // A backend that fails.
    stage.receiver.answer_with(500);
    let small = link_with(&app, SMALL, None);
    let _ = app.page(&small).store(NAME, b"small");
    wait_for("a failed webhook", WITHIN, || {
        let failed = told(&stage.edge, "webhook failed");
        failed
            .into_iter()
            .find(|l| l["link"] == small.id.to_string())
    });

    // A panic with the name in its message, and an edge that goes on.
    let panicked = page.send_file(NAME, &pdf(), &[("chatlift-fault", "panic")]);
    assert_eq!(panicked.status, 500);
    wait_for("the panic's line", WITHIN, || {
        let panics = told(&stage.edge, "panic");
        panics
            .into_iter()
            .find(|l| l["link"] == link.id.to_string())
    });

    // A row that cannot be read.
    stage.edge.kill();
    spoil(&stage.edge);
    stage.edge.start();
    let answer = page.call("GET", "/page", &[], None);
    assert_eq!(answer.status, 500, "{}", answer.text());
    let problem = answer.problem();
    let instance = problem.instance.expect("an id");
    let line = wait_for("the line of the answer's id", WITHIN, || {
        let failed = told(&stage.edge, "request failed");
        failed.into_iter().find(|l| l["instance"] == instance)
    });
    assert_eq!(line["link"], link.id.to_string(), "{line}");
    assert_eq!(line["code"], "internal", "{line}");
    assert!(
        line["reason"]
            .as_str()
            .is_some_and(|r| r.contains("column")),
        "{line}"
    );

    // Each refusal of the link leads to it, with its code.
    let refusals = told(&stage.edge, "refused");
    for code in [
        ProblemCode::FileTypeNotAccepted,
        ProblemCode::FileEmpty,
        ProblemCode::InvalidRequest,
        ProblemCode::DigestMismatch,
        ProblemCode::OffsetDiffers,
    ] {
        let of = |l: &&Value| l["link"] == link.id.to_string() && l["code"] == code.code();
        assert!(refusals.iter().any(|l| of(&l)), "{code:?}: {refusals:#?}");
    }
    let wrong = |l: &&Value| l["code"] == "password-wrong" && l["link"] == locked.id.to_string();
    assert!(refusals.iter().any(|l| wrong(&l)), "{refusals:#?}");

    let printed = stage.edge.log();
    for sent in [
        "zimtschnecke",
        "张三",
        "pfefferminz",
        "lavendel",
        "rosmarin",
        "thymian",
        "salbei",
        "kardamom",
        "estragon",
        "Kurkuma",
    ] {
        assert!(!printed.contains(sent), "{sent} is in the log");
    }
    let encoded = STANDARD.encode(NAME);
    let [live, old] = stage.edge.webhook_secrets();
    let key = stage.edge.api_key();
    let (token, door) = (page.token().to_owned(), door.token().to_owned());
    // Ids stand in tokens and may be told.
    let public = ids(&stage.edge);
    let signature = stage.receiver.about(link.id)[0].signatures.clone();
    for (what, secret) in [
        ("the name in base64", &encoded),
        ("the token", &token),
        ("the token of the link with a password", &door),
        ("the API key", &key),
        ("a webhook secret", &live),
        ("an old webhook secret", &old),
        ("the link keys", &stage.edge.link_keys().to_owned()),
        ("a ticket", &upload.ticket),
        ("a pass", &pass.pass),
        (
            "a download address",
            &download
                .url
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
        ),
        ("a signature", &signature),
    ] {
        if let Some(piece) = pieces(secret, &public).find(|piece| printed.contains(piece)) {
            panic!("{what} is in the log: {piece}");
        }
    }
}
