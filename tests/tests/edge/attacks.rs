//! Attacks that need no key: what is written by hostile people and read by others. Forged, guessed and spliced
//! tokens are in [`super::access`], lies about size, type and digest in [`super::refusals`].

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::api::{DownloadUrl, FormResult, Link, PageFile};
use chatlift_tests::edge::{ANY_FILE, BACK, ONE_FILE};
use chatlift_tests::http::{Answer, send};
use chatlift_tests::outside::script;
use chatlift_tests::serial::TUS;
use chatlift_tests::stage::shared;
use serde_json::{Value, json};
use xtask::run::quiet;

use super::form::form;

/// Ends what HTML it may stand in, and acts if it is read as HTML.
const ACTS: &str =
    "</title></textarea></script><script>alert(1)</script>\"'><img src=x onerror=alert(2)><!--";

/// Nothing of [`ACTS`] is read as HTML here.
#[track_caller]
fn is_text(html: &str) {
    for acts in ["<script>alert", "<img src=x", "</title></textarea>"] {
        assert!(!html.contains(acts), "{html}");
    }
}

/// Nothing on a page may run that is not the edge's own.
#[track_caller]
fn runs_nothing_foreign(answer: &Answer) {
    let policy = answer.header("content-security-policy").expect("a policy");
    let directive = |name: &str| {
        let mut directives = policy.split(';').map(str::trim_start);
        directives.find_map(|directive| directive.strip_prefix(name))
    };
    let default = directive("default-src");
    let scripts = directive("script-src").or(default).expect("what may run");
    for lax in ["'unsafe-inline'", "'unsafe-eval'", "data:", "*", "http:"] {
        assert!(!scripts.contains(lax), "{policy}");
    }
    for (name, closed) in [
        ("object-src", directive("object-src").or(default)),
        ("base-uri", directive("base-uri")),
        ("frame-ancestors", directive("frame-ancestors")),
    ] {
        assert_eq!(closed, Some(" 'none'"), "{name}: {policy}");
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

/// Policies as csp_evaluator finds them: severities, of which 10 is the worst and 50 may be nothing, and what it says.
fn graded(policies: &[&str]) -> Vec<Vec<(u32, String)>> {
    let mut node = Command::new("node");
    let said = quiet(node.arg(script("csp.mjs")).args(policies)).expect("csp_evaluator");
    serde_json::from_str(&said).expect("findings")
}

#[test]
fn the_policies_of_pages_have_no_way_round_that_csp_evaluator_knows() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let stored = app.page(&link).store("a.html", ACTS.as_bytes());
    let mut asks = json!({ "scene": ANY_FILE, "subject": "asks" });
    asks["password"] = "long enough".into();
    let get = |url: &str| send("GET", url, &[], None).expect("an answer");
    let docs = get(&format!("{}/docs", stage.edge.origin()));
    let answers = [
        get(&link.url),
        get(&app.link_with(asks).url),
        get(&format!("{}/u/forged", stage.edge.origin())),
        docs,
        app.content(stored.id, &[]),
    ];
    let policies: Vec<_> = answers
        .iter()
        .map(|answer| answer.header("content-security-policy").expect("a policy"))
        .collect();
    // That the evaluator finds what there is to find.
    let lax = graded(&["script-src * 'unsafe-inline'"]);
    assert!(
        lax[0].iter().any(|(severity, _)| *severity == 10),
        "{lax:?}"
    );
    for (policy, findings) in policies.iter().zip(graded(&policies)) {
        for (severity, said) in findings {
            // Files of senders are of this origin: they go out as attachments in a sandbox, never as scripts.
            let known = severity == 50 && said.starts_with("script-src 'self'");
            assert!(known, "{severity} {said}: {policy}");
        }
    }
}

#[test]
fn what_an_app_and_a_sender_write_acts_on_nobodys_page() {
    let stage = shared();
    let app = stage.edge.app();
    let words = json!({ "scene": ANY_FILE, "title": ACTS, "hint": ACTS, "subject": ACTS,
        "metadata": { "note": ACTS } });
    let link = app.link_with(words.clone());
    let page = app.page(&link);
    let name = format!("{}.txt", ACTS.replace('"', "%22"));
    let sent = form(&page, &[(&name, b"words")], "text/html");
    assert_eq!(sent.status, 200, "{}", sent.text());
    let opened = send("GET", &link.url, &[], None).expect("an answer");
    let mut asks = words;
    asks["password"] = "long enough".into();
    let asks = send("GET", &app.link_with(asks).url, &[], None).expect("an answer");
    for page in [&sent, &opened, &asks] {
        is_text(&page.text());
        runs_nothing_foreign(page);
    }
    assert!(opened.text().contains("&lt;script&gt;alert(1)"));
    let stored = &app.get_link(link.id).files[0];
    let content = app.content(stored.id, &[]);
    let disposition = content.header("content-disposition").expect("a name");
    assert!(disposition.starts_with("attachment"), "{disposition}");
    assert_eq!(content.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn a_file_that_would_act_in_a_browser_is_handed_out_as_one_to_keep() {
    let app = shared().edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let html = format!("<!DOCTYPE html><html><body>{ACTS}</body></html>");
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    for (name, bytes) in [("a.html", html.as_str()), ("a.svg", svg), ("a.xhtml", svg)] {
        let stored = page.store(name, bytes.as_bytes());
        let content = app.content(stored.id, &[]);
        let disposition = content.header("content-disposition").expect("a name");
        assert!(disposition.starts_with("attachment"), "{disposition}");
        assert_eq!(content.header("x-content-type-options"), Some("nosniff"));
        let policy = content
            .header("content-security-policy")
            .unwrap_or_default();
        assert!(policy.contains("sandbox"), "{name}: {:?}", content.headers);
    }
}

#[test]
fn no_header_comes_of_what_a_sender_writes() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let split = "a\r\nset-cookie: stolen=1\r\n\r\n<script>.txt";
    let percent: String = split.bytes().map(|b| format!("%{b:02x}")).collect();
    let disposition = format!("attachment; filename*=UTF-8''{percent}");
    let headers = [("content-disposition", disposition.as_str())];
    let whole: PageFile = page
        .call("POST", "/files", &headers, Some(b"words"))
        .ok(201);
    let metadata = format!("filename {}", STANDARD.encode(split));
    let tus = [
        ("tus-resumable", "1.0.0"),
        ("upload-length", "5"),
        ("upload-metadata", metadata.as_str()),
        ("content-type", TUS),
    ];
    let made = page.call("POST", "/tus", &tus, Some(b"wordz"));
    assert_eq!(made.status, 201, "{}", made.text());
    let boundary = "----split";
    let form = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"files\"; filename*=UTF-8''{percent}\r\n\r\n\
         wordy\r\n--{boundary}--\r\n"
    );
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let headers = [
        ("content-type", content_type.as_str()),
        ("accept", "application/json"),
    ];
    let _: FormResult = page
        .call("POST", "", &headers, Some(form.as_bytes()))
        .ok(200);
    let files = app.get_link(link.id).files;
    assert_eq!(files.len(), 3, "{whole:?}");
    for file in files {
        assert!(!file.name.chars().any(char::is_control), "{:?}", file.name);
        let content = app.content(file.id, &[]);
        assert!(content.body.starts_with(b"word"));
        let path = format!("/v1/files/{}/download-url", file.id);
        let address: DownloadUrl = app.call("POST", &path, &[], Some(&json!({}))).ok(201);
        let download = send("GET", &address.url, &[], None).expect("an answer");
        is_not_split(&[content, download]);
    }
    // What the edge says again of an upload under way, in the words of its sender.
    let unfinished = [
        ("tus-resumable", "1.0.0"),
        ("upload-length", "50"),
        ("upload-metadata", metadata.as_str()),
        ("content-type", TUS),
    ];
    let begun = page.call("POST", "/tus", &unfinished, Some(b"begun"));
    assert_eq!(begun.status, 201, "{}", begun.text());
    let upload = begun.header("location").expect("an address");
    let upload = upload.rsplit('/').next().expect("its id");
    let version = [("tus-resumable", "1.0.0")];
    let looked = page.call("HEAD", &format!("/tus/{upload}"), &version, None);
    assert!(
        looked.header("upload-metadata").is_some(),
        "{:?}",
        looked.headers
    );
    is_not_split(&[made, begun, looked]);
}

/// No header of it is one that the bytes between two lines of a name or a text would have made.
#[track_caller]
fn is_not_split(answers: &[Answer]) {
    for answer in answers {
        assert_eq!(answer.header("set-cookie"), None, "{:?}", answer.headers);
        for (name, value) in &answer.headers {
            assert!(!value.chars().any(char::is_control), "{name}: {value:?}");
        }
    }
}

/// What an app writes with a link is in none of the headers of all that is answered about it.
#[test]
fn no_header_comes_of_what_an_app_writes() {
    let app = shared().edge.app();
    let split = "a\r\nset-cookie: stolen=1\r\n\r\n<script>";
    let mut words = json!({ "scene": ONE_FILE, "title": split, "hint": split, "subject": split,
        "metadata": { "note": split }, "password": "long enough",
        "return_url": format!("{BACK}\r\nset-cookie: stolen=1") });
    let key = ("idempotency-key", "split%0d%0aset-cookie: stolen=1");
    let made = app.call("POST", "/v1/links", &[key], Some(&words));
    let asks: Link = made.ok(201);
    words["password"] = Value::Null;
    let link = app.link_with(words);
    let page = app.page(&link);
    let path = format!("/v1/links/{}", link.id);
    let get = |path: &str| app.call("GET", path, &[], None);
    let receipt = json!({ "status": "rejected", "reason": split });
    let sent = page.send_file("a.txt", b"words", &[]);
    let file: PageFile = sent.ok(201);
    let receipt = app.call(
        "POST",
        &format!("/v1/files/{}/receipt", file.id),
        &[],
        Some(&receipt),
    );
    assert!([200, 400].contains(&receipt.status), "{}", receipt.text());
    let open = |url: &str| send("GET", url, &[], None).expect("an answer");
    let right = send(
        "POST",
        &format!("{}/password", asks.url),
        &[("content-type", "application/x-www-form-urlencoded")],
        Some(b"password=long+enough"),
    );
    is_not_split(&[
        made,
        sent,
        receipt,
        get(&path),
        get(&format!("{path}/events")),
        get(&format!("{path}/audit")),
        get(&format!("{path}/qr.svg")),
        get("/v1/links?limit=100"),
        open(&link.url),
        open(&format!("{}/page", link.url)),
    ]);
    // It has a cookie of its own, and no other.
    let right = right.expect("an answer");
    assert!(right.status < 400, "{}", right.text());
    for (name, value) in &right.headers {
        assert!(
            !value.contains("stolen") && !value.chars().any(char::is_control),
            "{name}: {value:?}"
        );
    }
}
