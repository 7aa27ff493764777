//! schemathesis, unmodified, on an edge: what it is told of what is there, and what it was answered.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::api::{DownloadUrl, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::PART_SIZE;
use serde_json::{Value, json};

use crate::client::{App, Page};
use crate::edge::{APP, MANY_FILES};
use crate::fixtures::pdf;
use crate::serial::{PARTIAL, Serial, TUS, create};

/// The invoice of the document's examples.
const INVOICE: &[u8] = b"%PDF-1.7\n%%EOF\n";

/// The media type of bytes that are nothing else.
const BYTES: &str = "application/octet-stream";

/// How often each operation answered with each status.
pub type Answers = BTreeMap<String, BTreeMap<String, u64>>;

/// A folder from which schemathesis runs.
#[derive(Debug)]
pub struct Ground<'a> {
    folder: &'a Path,
}

impl<'a> Ground<'a> {
    /// Writes into the folder all that a run needs: the checks, the hooks, and what is there on the
    /// edge of `app`.
    ///
    /// # Panics
    /// When it cannot be written, or the edge refuses to make something.
    #[must_use]
    pub fn lay(folder: &'a Path, app: &App) -> Self {
        let ground = Self { folder };
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
        write("schemathesis.toml", include_str!("schemathesis.toml"));
        write(
            "schemathesis_hooks.py",
            include_str!("schemathesis_hooks.py"),
        );
        write("world.json", &world(app).to_string());
        ground
    }

    /// The file that says which checks are made.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("schemathesis.toml")
    }

    /// What was answered in a run that has ended.
    ///
    /// # Panics
    /// When none has.
    #[must_use]
    pub fn answers(&self) -> Answers {
        let text = fs::read(self.folder.join("answers.json")).expect("the answers");
        serde_json::from_slice(&text).expect("JSON")
    }
}

/// How many of an operation's answers were a success.
#[must_use]
pub fn successes(statuses: &BTreeMap<String, u64>) -> u64 {
    let successes = statuses
        .iter()
        .filter(|(status, _)| status.starts_with('2'));
    successes.map(|(_, count)| count).sum()
}

/// Makes one thing of each kind, and others for the operations that end things. By operation: names
/// for its path, headers that go with them, and a call that succeeds where the document has no
/// example of one.
fn world(app: &App) -> Value {
    let link = app.link_with(json!({ "scene": MANY_FILES, "subject": "case-7" }));
    let page = app.page(&link);
    let token = page.token();
    let file = page.store("a.pdf", &pdf()).id;
    let event = app
        .event_log(link.id, &[])
        .events
        .first()
        .expect("an event")
        .id;
    let url: DownloadUrl = app
        .call(
            "POST",
            &format!("/v1/files/{file}/download-url"),
            &[],
            Some(&json!({ "expires_in": 3600 })),
        )
        .ok(201);
    let download = url.url.rsplit('/').next().unwrap_or_default();
    let invoice = announce(&page, "seeded.pdf", INVOICE.len() as u64);
    assert_eq!(page.send_part(&invoice, 1, INVOICE).status, 204);
    let chunked = announce(&page, "chunked.pdf", PART_SIZE);
    let spare = || app.link(MANY_FILES).id;
    let soon = app.link_with(json!({ "scene": MANY_FILES, "expires_in": 3600 }));

    let at = |path: Value| json!({ "path": path, "call": {} });
    let of_link = || at(json!({ "link_id": link.id }));
    let of_file = || at(json!({ "file_id": file }));
    let of_page = || at(json!({ "token": token }));
    // The document has an example of what is to be sent.
    let named = |path: Value| json!({ "path": path });
    let mut world = json!({
        "get_link": of_link(), "list_events": of_link(), "read_audit_trail": of_link(),
        "get_qr_svg": of_link(), "get_qr_png": of_link(),
        "extend_link": named(json!({ "link_id": soon.id })),
        "close_link": at(json!({ "link_id": spare() })),
        "revoke_link": at(json!({ "link_id": spare() })),
        "get_file": of_file(), "get_content": of_file(),
        "delete_file": at(json!({ "file_id": page.store("deleted.pdf", &pdf()).id })),
        "give_receipt": named(json!({ "file_id": file })),
        "create_download_url": named(json!({ "file_id": file })),
        "download": at(json!({ "download": download })),
        "redeliver_event": at(json!({ "event_id": event })),
        "get_webhook_keys": at(json!({ "app": APP })),
        "open_page": of_page(), "get_page_data": of_page(), "page_opened": of_page(),
        "enter_password": named(json!({ "token": token })),
        "person_done": named(json!({ "token": token })),
        "chat_config": {
            "path": { "token": token },
            "call": { "query": { "platform": "wecom", "url": page.url() } }
        },
        "send_form": { "path": { "token": token }, "call": { "files": [invoice_base64()] } },
        "send_file": { "path": { "token": token }, "call": body_of(BYTES, json!({})) },
        "create_upload": named(json!({ "token": token })),
        "send_part": {
            "path": { "token": token, "upload_id": chunked.id, "part": "1" },
            "headers": { "Upload-Ticket": chunked.ticket },
            "call": body_of(BYTES, json!({
                "Upload-Offset": "0", "Repr-Digest": Sha256::of(INVOICE).to_header()
            }))
        },
        "complete_upload": named(json!({ "token": token, "upload_id": invoice.id })),
        "abort_upload": at(json!({
            "token": token, "upload_id": announce(&page, "aborted.pdf", 100).id
        }))
    });
    for (operation, thing) in protocols(&page) {
        world[operation] = thing;
    }
    world
}

/// What there is for the upload protocols.
fn protocols(page: &Page) -> Vec<(&'static str, Value)> {
    let token = page.token();
    let tus = json!({ "Tus-Resumable": "1.0.0" });
    let sized = |name: &str| create(page, name, PART_SIZE, &[]);
    let begun = || {
        let size = PART_SIZE.to_string();
        let headers = [("upload-complete", "?0"), ("upload-length", size.as_str())];
        let created = page.call("POST", "/resumable", &headers, Some(&[]));
        Serial::at(page, &created)
    };
    let (grown, looked) = (sized("grown.pdf"), sized("looked.pdf"));
    let (begun_grown, begun_looked) = (begun(), begun());
    let all = |call: Value| json!({ "path": { "token": token }, "call": call });
    let one = |upload: &Serial, call: Value| json!({ "path": { "token": token, "upload_id": upload.id() }, "call": call });
    let started = json!({ "Tus-Resumable": "1.0.0", "Upload-Offset": "0" });
    let begins = json!({ "headers": { "Upload-Complete": "?0", "Upload-Length": "15" } });
    let more = json!({ "Upload-Offset": "0", "Upload-Complete": "?0" });
    vec![
        ("tus_options", all(json!({}))),
        ("tus_upload_options", one(&looked, json!({}))),
        (
            "tus_create",
            all(json!({ "headers": { "Tus-Resumable": "1.0.0", "Upload-Length": "15" } })),
        ),
        ("tus_look", one(&looked, json!({ "headers": tus }))),
        ("tus_append", one(&grown, body_of(TUS, started))),
        (
            "tus_end",
            one(&sized("ended.pdf"), json!({ "headers": tus })),
        ),
        ("resumable_options", all(json!({}))),
        ("resumable_create", all(begins.clone())),
        ("resumable_create_by_put", all(begins)),
        ("resumable_upload_options", one(&begun_looked, json!({}))),
        ("resumable_look", one(&begun_looked, json!({}))),
        ("resumable_look_by_get", one(&begun_looked, json!({}))),
        (
            "resumable_append",
            one(&begun_grown, body_of(PARTIAL, more)),
        ),
        ("resumable_end", one(&begun(), json!({}))),
    ]
}

fn invoice_base64() -> String {
    STANDARD.encode(INVOICE)
}

/// A call with the invoice as its body.
fn body_of(media_type: &str, headers: Value) -> Value {
    json!({ "base64": invoice_base64(), "media_type": media_type, "headers": headers })
}

fn announce(page: &Page, name: &str, size: u64) -> Upload {
    page.announce(name, size, INVOICE).ok(201)
}
