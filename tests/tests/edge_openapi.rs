//! The edge and its OpenAPI document say the same: every answer that is documented is reached here,
//! none comes that is not documented, and every body is of its schema.

use std::time::Duration;

use chatlift_shared::api::{DownloadUrl, HeldPart, Link, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{JSON_BODY_MAX, PART_SIZE, SINGLE_REQUEST_MAX};
use chatlift_shared::token::{Claims, mint};
use chatlift_shared::{LinkId, disposition};
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{ANY_FILE, APP, DOCUMENTS, ONE_FILE, SMALL, Setup};
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::http::send;
use chatlift_tests::openapi::Judge;
use chatlift_tests::scratch::now;
use chatlift_tests::stage::{Shared, shared};
use serde_json::{Value, json};

/// What needs a chat platform to be reached; `edge_chat.rs` has a stand-in for one.
const ELSEWHERE: [&str; 1] = ["chat_config"];

#[test]
fn document_and_reference_are_served_without_a_key() {
    let origin = shared().edge.origin();
    let document: Value = send("GET", &format!("{origin}/openapi.json"), &[], None)
        .expect("an answer")
        .ok(200);
    assert_eq!(document["openapi"], "3.1.0");
    let docs = send("GET", &format!("{origin}/docs"), &[], None).expect("an answer");
    assert_eq!(docs.status, 200);
    let policy = docs.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let explained =
        send("GET", &format!("{origin}/problems/link-expired"), &[], None).expect("an answer");
    assert_eq!(explained.status, 302);
    let target = explained.header("location").unwrap_or_default();
    let id = target.trim_start_matches("/docs#");
    assert!(docs.text().contains(&format!("id=\"{id}\"")), "{target}");
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let origin = shared().edge.origin();
    // QUERY is one that the platform's own library does not know.
    for method in ["PATCH", "QUERY"] {
        let answer = send(method, &format!("{origin}/v1/links"), &[], None).expect("an answer");
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD, POST")),
            "{method}"
        );
    }
}

#[test]
fn every_documented_answer_is_reached_and_no_other() {
    let stage = shared();
    let mut run = Run {
        judge: Judge::new(stage.edge.origin()),
        app: stage.edge.app(),
        bearer: format!("Bearer {}", stage.edge.app().key()),
        stage,
    };
    run.refusals_of_keys();
    run.links();
    run.files();
    run.kept_links();
    run.downloads();
    run.events();
    run.passwords();
    run.pages();
    run.forms();
    run.small_files();
    run.announcements();
    run.parts();
    run.completions();
    run.service();
    run.broken_configuration();
    let unreached: Vec<_> = run
        .judge
        .unreached()
        .into_iter()
        .filter(|(id, ..)| !ELSEWHERE.contains(&id.as_str()))
        .collect();
    assert!(
        unreached.is_empty(),
        "documented, but not reached: {unreached:#?}"
    );
}

#[test]
fn webhooks_are_of_their_schemas() {
    let stage = shared();
    let app = stage.edge.app();
    let judge = Judge::new(stage.edge.origin());
    let link = app.link(ONE_FILE);
    let file = app.page(&link).store("a.pdf", &pdf());
    let within = Duration::from_secs(20);
    let _ = stage.receiver.wait_stored(link.id, file.sha256, within);
    let told: Vec<Value> = stage
        .receiver
        .raw()
        .iter()
        .map(|(_, body)| serde_json::from_slice(body).expect("JSON"))
        .collect();
    assert!(!told.is_empty());
    for event in told {
        judge.valid(judge.schema("Event"), &event, &event.to_string());
    }
}

/// A part that must be refused: its number, its body, its headers.
type BadPart<'a> = (&'a str, Option<&'a [u8]>, Vec<(&'a str, &'a str)>);

/// A run through all operations.
struct Run {
    judge: Judge,
    app: App,
    bearer: String,
    stage: Shared,
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A body that is longer than any JSON that the edge reads.
fn too_long() -> Vec<u8> {
    vec![b' '; usize::try_from(JSON_BODY_MAX).expect("a length") + 1]
}

/// An id of the kind that the path wants, that nothing has.
fn nobody(parameter: &str) -> String {
    match parameter {
        "{link_id}" => "lnk_AAAAAAAAAAAAAAAA".to_owned(),
        "{part}" => "1".to_owned(),
        "{token}" | "{download}" => "AAAA".to_owned(),
        "{app}" => "nobody".to_owned(),
        "{event_id}" => "evt_AAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        // A file or an upload.
        other => format!("{}_AAAAAAAAAAAAAAAAAAAAAAAA", &other[1..4]),
    }
}

impl Run {
    /// A call with the API key.
    fn backend(&mut self, id: &str, path: &[&str], body: Option<&Value>) -> u16 {
        let bearer = self.bearer.clone();
        let body = body.map(bytes);
        let key = [("authorization", bearer.as_str())];
        self.judge.call(id, path, &key, body.as_deref()).status
    }

    fn make(&self, scene: &str) -> (Link, Page, String) {
        let link = self.app.link(scene);
        let page = self.app.page(&link);
        let token = page.token().to_owned();
        (link, page, token)
    }

    /// Tokens with what each must meet: none of the edge's, of no link, expired, of a revoked link.
    fn useless_tokens(&self) -> [String; 4] {
        let (link, _, revoked) = self.make(ANY_FILE);
        assert_eq!(self.app.revoke(link.id).status, 204);
        let claims = Claims {
            link: LinkId::from_bytes([9; 12]),
            app: link.app.clone(),
            scene: link.scene.clone(),
            expires_at: 4_000_000_000,
            password: false,
        };
        let keys = self.stage.edge.keys();
        let expired = Claims {
            expires_at: 1,
            ..claims.clone()
        };
        [
            "AAAA".to_owned(),
            mint(&keys, &claims),
            mint(&keys, &expired),
            revoked,
        ]
    }

    fn full(&self) -> String {
        let (_, page, token) = self.make(ONE_FILE);
        // Another than what comes later: the same again would be answered with the stored one.
        let _ = page.store("first.txt", b"first");
        token
    }

    fn refusals_of_keys(&mut self) {
        let operations: Vec<(String, Vec<String>)> = self
            .judge
            .operations()
            .filter(|(_, _, _, operation)| operation["security"].is_null())
            .map(|(id, _, path, _)| {
                let parameters = path.split('/').filter(|s| s.starts_with('{'));
                (id.to_owned(), parameters.map(nobody).collect())
            })
            .collect();
        for (id, path) in operations {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            assert_eq!(self.judge.call(&id, &path, &[], None).status, 401);
            let wrong = [("authorization", "Bearer clk_AAAA")];
            assert_eq!(self.judge.call(&id, &path, &wrong, None).status, 401);
        }
    }

    fn links(&mut self) {
        let key = self.bearer.clone();
        let body =
            bytes(&json!({ "scene": ANY_FILE, "subject": "case-7", "metadata": { "k": "v" } }));
        let other = bytes(&json!({ "scene": DOCUMENTS }));
        let headers = [
            ("authorization", key.as_str()),
            ("idempotency-key", "openapi-1"),
        ];
        let made: Link = self
            .judge
            .call("create_link", &[], &headers, Some(&body))
            .ok(201);
        let id = made.id.to_string();
        self.judge.call("create_link", &[], &headers, Some(&other));
        let long = too_long();
        self.judge
            .call("create_link", &[], &headers[..1], Some(&long));
        self.backend(
            "create_link",
            &[],
            Some(&json!({ "scene": "no-such-scene" })),
        );
        self.backend(
            "create_link",
            &[],
            Some(&json!({ "scene": ANY_FILE, "subjct": "x" })),
        );
        let nobody = nobody("{link_id}");
        for id in [&id, &nobody] {
            self.backend("get_link", &[id], None);
            self.backend("revoke_link", &[id], None);
        }
    }

    fn files(&mut self) {
        let (_, page, _) = self.make(ANY_FILE);
        let file = page.store("a.pdf", &pdf()).id.to_string();
        let nobody = nobody("{file_id}");
        let key = self.bearer.clone();
        let key = ("authorization", key.as_str());
        let answer = self.judge.call("get_content", &[&file], &[key], None);
        let etag = answer.header("etag").unwrap_or_default().to_owned();
        for (name, value, status) in [
            ("range", "bytes=1-3", 206),
            ("range", "bytes=999999-", 416),
            ("if-none-match", etag.as_str(), 304),
            ("if-match", "\"other\"", 412),
        ] {
            let answer = self
                .judge
                .call("get_content", &[&file], &[key, (name, value)], None);
            assert_eq!(answer.status, status, "{name}: {value}");
        }
        let long = too_long();
        self.judge
            .call("give_receipt", &[&file], &[key], Some(&long));
        for (id, receipt) in [
            (&file, json!({ "status": "delivered" })),
            (&file, json!({ "status": "received" })),
            (&file, json!({ "status": "lost" })),
            (&nobody, json!({ "status": "received" })),
        ] {
            self.backend("give_receipt", &[id], Some(&receipt));
        }
        for id in [&file, &nobody] {
            self.backend("get_file", &[id], None);
            self.backend("delete_file", &[id], None);
            self.backend("get_content", &[id], None);
            self.backend("get_file", &[id], None);
        }
    }

    /// A link that has ended by its time.
    fn expired(&self) -> (Link, Page) {
        let body = json!({ "scene": ANY_FILE, "expires_in": 1 });
        let link = self.app.link_with(body);
        std::thread::sleep(now().until(link.expires_at) + Duration::from_millis(50));
        let page = self.app.page(&link);
        (link, page)
    }

    fn kept_links(&mut self) {
        let (link, _, _) = self.make(ANY_FILE);
        let id = link.id.to_string();
        let key = self.bearer.clone();
        let key = ("authorization", key.as_str());
        self.backend("list_links", &[], None);
        self.judge.ask("list_links", &[], "?limit=0", &[key], None);
        self.backend(
            "create_link",
            &[],
            Some(&json!({ "scene": ANY_FILE, "max_files": 400 })),
        );
        let (revoked, _, _) = self.make(ANY_FILE);
        assert_eq!(self.app.revoke(revoked.id).status, 204);
        let full = self.app.link(ONE_FILE);
        let _ = self.app.page(&full).store("a.pdf", &pdf());
        let (expired, _) = self.expired();
        let more = json!({ "expires_in": 600_000 });
        for id in [
            nobody("{link_id}"),
            expired.id.to_string(),
            revoked.id.to_string(),
            full.id.to_string(),
        ] {
            self.backend("extend_link", &[&id], Some(&more));
            self.backend("close_link", &[&id], None);
            self.backend("list_events", &[&id], None);
            self.backend("get_qr_svg", &[&id], None);
            self.backend("get_qr_png", &[&id], None);
        }
        // The address of before leads to that of after.
        let short = self
            .app
            .link_with(json!({ "scene": ANY_FILE, "expires_in": 1 }));
        let token = self.app.page(&short).token().to_owned();
        assert_eq!(
            self.backend("extend_link", &[&short.id.to_string()], Some(&more)),
            200
        );
        std::thread::sleep(now().until(short.expires_at) + Duration::from_millis(50));
        assert_eq!(
            self.judge.call("open_page", &[&token], &[], None).status,
            302
        );
        self.backend("extend_link", &[&id], Some(&json!({ "expires_in": 0 })));
        self.backend(
            "extend_link",
            &[&id],
            Some(&json!({ "expires_in": 7_000_000 })),
        );
        self.judge
            .call("extend_link", &[&id], &[key], Some(&too_long()));
        let other = ("last-event-id", "evt_AAAAAAAAAAAAAAAAAAAAAAAA");
        self.judge.call("list_events", &[&id], &[key, other], None);
        assert_eq!(self.backend("close_link", &[&id], None), 200);
        self.judge.call("get_webhook_keys", &[APP], &[], None);
        self.judge.call("get_webhook_keys", &["nobody"], &[], None);
        self.backend("get_webhook_endpoint", &[], None);
        self.backend("enable_webhook_endpoint", &[], None);
    }

    fn downloads(&mut self) {
        let (_, page, _) = self.make(ANY_FILE);
        let file = page.store("a.pdf", &pdf()).id.to_string();
        let nobody = nobody("{file_id}");
        let key = self.bearer.clone();
        let key = [("authorization", key.as_str())];
        let minute = bytes(&json!({ "expires_in": 60 }));
        let made: DownloadUrl = self
            .judge
            .call("create_download_url", &[&file], &key, Some(&minute))
            .ok(201);
        let download = made.url.rsplit('/').next().unwrap_or_default().to_owned();
        self.backend(
            "create_download_url",
            &[&file],
            Some(&json!({ "expires_in": 0 })),
        );
        self.backend("create_download_url", &[&nobody], Some(&json!({})));
        self.judge
            .call("create_download_url", &[&file], &key, Some(&too_long()));
        let answer = self.judge.call("download", &[&download], &[], None);
        let etag = answer.header("etag").unwrap_or_default().to_owned();
        for header in [
            ("range", "bytes=1-3"),
            ("range", "bytes=999999-"),
            ("if-none-match", etag.as_str()),
            ("if-match", "\"other\""),
        ] {
            self.judge.call("download", &[&download], &[header], None);
        }
        self.judge.call("download", &["AAAA"], &[], None);
        assert_eq!(self.backend("delete_file", &[&file], None), 204);
        self.judge.call("download", &[&download], &[], None);
        self.backend("create_download_url", &[&file], Some(&json!({})));
    }

    fn passwords(&mut self) {
        let link = self
            .app
            .link_with(json!({ "scene": ANY_FILE, "password": "harbour-7" }));
        let token = self.app.page(&link).token().to_owned();
        let upload = nobody("{upload_id}");
        let say = |password: &str| bytes(&json!({ "password": password }));
        self.judge
            .call("enter_password", &[&token], &[], Some(&say("harbour-7")));
        self.judge
            .call("enter_password", &[&token], &[], Some(b"{}"));
        self.judge
            .call("enter_password", &[&token], &[], Some(&too_long()));
        for token in &self.useless_tokens()[..2] {
            self.judge
                .call("enter_password", &[token], &[], Some(&say("harbour-7")));
        }
        let wrong = (0..20).map(|_| {
            self.judge
                .call("enter_password", &[&token], &[], Some(&say("wrong")))
                .status
        });
        let wrong: Vec<u16> = wrong.collect();
        assert!(wrong.contains(&403) && wrong.contains(&429), "{wrong:?}");
        for id in ["page_opened", "person_done", "send_file", "create_upload"] {
            let answer = self.judge.call(id, &[&token], &[], Some(b"{}"));
            assert_eq!(answer.status, 401, "{id}");
        }
        for id in ["complete_upload", "abort_upload"] {
            self.judge.call(id, &[&token, &upload], &[], Some(b"{}"));
        }
        self.judge
            .call("send_part", &[&token, &upload, "1"], &[], Some(b"{}"));
        let headers = [
            ("content-type", "multipart/form-data; boundary=b"),
            ("accept", "application/json"),
        ];
        self.judge
            .call("send_form", &[&token], &headers, Some(b"--b--\r\n"));
    }

    fn events(&mut self) {
        let (link, page, _) = self.make(ANY_FILE);
        let file = page.store("a.pdf", &pdf());
        let within = Duration::from_secs(20);
        let told = self
            .stage
            .receiver
            .wait_stored(link.id, file.sha256, within);
        self.backend("redeliver_event", &[&told.id.to_string()], None);
        self.backend("redeliver_event", &[&nobody("{event_id}")], None);
    }

    fn pages(&mut self) {
        let (_, _, token) = self.make(ANY_FILE);
        let useless = self.useless_tokens();
        let done = bytes(&json!({ "order": [] }));
        for token in useless.iter().chain([&token]) {
            for id in ["open_page", "get_page_data", "page_opened"] {
                self.judge.call(id, &[token], &[], None);
            }
            self.judge.call("person_done", &[token], &[], Some(&done));
        }
        self.judge
            .call("person_done", &[&token], &[], Some(b"{\"x\":1}"));
        self.judge
            .call("person_done", &[&token], &[], Some(&too_long()));
    }

    fn forms(&mut self) {
        let (_, _, documents) = self.make(DOCUMENTS);
        let (_, _, small) = self.make(SMALL);
        let [none, _, expired, _] = self.useless_tokens();
        let full = self.full();
        let form = |name: &str, content: &[u8]| {
            let head = format!(
                "--b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n"
            );
            [head.as_bytes(), content, b"\r\n--b--\r\n"].concat()
        };
        let large = vec![b'x'; 2_000];
        for (token, body, status) in [
            (&documents, form("a.pdf", &pdf()), 200),
            (&documents, b"no form".to_vec(), 400),
            (&none, form("a.pdf", &pdf()), 404),
            (&full, form("a.pdf", &pdf()), 409),
            (&expired, form("a.pdf", &pdf()), 410),
            (&small, form("a.txt", &large), 413),
            (&documents, form("a.txt", b"text"), 415),
            (&documents, form("a.txt", b""), 422),
        ] {
            let headers = [
                ("content-type", "multipart/form-data; boundary=b"),
                ("accept", "application/json"),
            ];
            let answer = self
                .judge
                .call("send_form", &[token], &headers, Some(&body));
            assert_eq!(answer.status, status, "{}", answer.text());
        }
    }

    fn small_files(&mut self) {
        let (_, _, documents) = self.make(DOCUMENTS);
        let (_, _, small) = self.make(SMALL);
        let named = disposition::attachment("a.pdf");
        let name = ("content-disposition", named.as_str());
        for token in self
            .useless_tokens()
            .iter()
            .chain([&documents, &self.full()])
        {
            self.judge
                .call("send_file", &[token], &[name], Some(&pdf()));
        }
        let wrong = Sha256::of(b"other").to_header();
        for (token, header, body) in [
            (
                &documents,
                ("content-disposition", "attachment"),
                Some(pdf()),
            ),
            (&documents, ("content-digest", "md5=:AAAA:"), Some(pdf())),
            (&documents, ("content-digest", wrong.as_str()), Some(pdf())),
            (&documents, name, None),
            (&documents, name, Some(Vec::new())),
            (&documents, name, Some(b"text".to_vec())),
            (&small, name, Some(vec![b'x'; 2_000])),
            (
                &small,
                name,
                Some(vec![
                    b'x';
                    usize::try_from(SINGLE_REQUEST_MAX).expect("a length")
                        + 1
                ]),
            ),
        ] {
            self.judge
                .call("send_file", &[token], &[header], body.as_deref());
        }
    }

    fn announcements(&mut self) {
        let (_, _, documents) = self.make(DOCUMENTS);
        let announce =
            |size: u64, head: &str| bytes(&json!({ "name": "a.pdf", "size": size, "head": head }));
        // "%PDF-1.7\n%%EOF\n" and "text"
        let (pdf, text) = ("JVBERi0xLjcKJSVFT0YK", "dGV4dA==");
        let head_of_large = {
            use base64::Engine as _;
            let mut head = b"%PDF-1.7\n".to_vec();
            head.resize(4096, b' ');
            base64::engine::general_purpose::STANDARD.encode(head)
        };
        for token in self
            .useless_tokens()
            .iter()
            .chain([&documents, &self.full()])
        {
            self.judge
                .call("create_upload", &[token], &[], Some(&announce(15, pdf)));
        }
        for body in [
            announce(15, pdf),
            announce(16, pdf),
            announce(4, text),
            announce(0, ""),
            announce(1 << 30, &head_of_large),
            too_long(),
        ] {
            self.judge
                .call("create_upload", &[&documents], &[], Some(&body));
        }
    }

    /// A part as it is to be sent, with a header changed or one more.
    fn part(
        &mut self,
        token: &str,
        upload: &Upload,
        n: &str,
        body: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> u16 {
        let id = upload.id.to_string();
        let mut all = vec![("upload-ticket", upload.ticket.as_str())];
        all.extend_from_slice(headers);
        self.judge
            .call("send_part", &[token, &id, n], &all, body)
            .status
    }

    fn parts(&mut self) {
        let (link, page, token) = self.make(ANY_FILE);
        let file = Random {
            seed: 1,
            size: PART_SIZE + 10,
        };
        let upload = page.announce_random("a.bin", file);
        let last = file.read(PART_SIZE, 10);
        let digest = Sha256::of(&last).to_header();
        let good = ("content-digest", digest.as_str());
        let wrong = Sha256::of(b"other").to_header();
        let whole = ("repr-digest", digest.as_str());
        assert_eq!(
            self.part(
                &token,
                &upload,
                "2",
                Some(&last[..4]),
                &[whole, ("upload-offset", "0")]
            ),
            202
        );
        assert_eq!(
            self.part(
                &token,
                &upload,
                "2",
                Some(&last[..4]),
                &[whole, ("upload-offset", "9")]
            ),
            409
        );
        assert_eq!(self.part(&token, &upload, "2", Some(&last), &[good]), 204);
        let bad: [BadPart<'_>; 6] = [
            ("2", Some(&last), vec![whole, ("upload-offset", "x")]),
            ("2", Some(&last), vec![]),
            ("2", None, vec![good]),
            ("9", Some(&last), vec![good]),
            ("2", Some(&last[..4]), vec![good]),
            ("2", Some(&last), vec![("content-digest", wrong.as_str())]),
        ];
        for (n, body, headers) in bad {
            let status = self.part(&token, &upload, n, body, &headers);
            assert!(status >= 400, "{n} {headers:?}: {status}");
        }
        let [none, _, expired, _] = self.useless_tokens();
        self.part(&none, &upload, "2", Some(&last), &[good]);
        self.part(&expired, &upload, "2", Some(&last), &[good]);
        let id = upload.id.to_string();
        self.judge
            .call("send_part", &[&token, &id, "2"], &[good], Some(&last));
        let elsewhere = nobody("{upload_id}");
        self.judge.call(
            "send_part",
            &[&token, &elsewhere, "2"],
            &[good],
            Some(&last),
        );
        // An aborted upload, then one of a revoked link.
        let aborted = page.announce_random("b.bin", file);
        let aborted_id = aborted.id.to_string();
        for id in [&aborted_id, &elsewhere] {
            self.judge.call("abort_upload", &[&token, id], &[], None);
        }
        for token in [&none, &expired] {
            self.judge
                .call("abort_upload", &[token, &aborted_id], &[], None);
        }
        self.part(
            &token,
            &aborted,
            "2",
            Some(&last),
            &[whole, ("upload-offset", "0")],
        );
        self.part(&token, &aborted, "2", Some(&last), &[good]);
        assert_eq!(self.app.revoke(link.id).status, 204);
        self.part(&token, &upload, "2", Some(&last), &[good]);
    }

    fn complete(&mut self, token: &str, upload: &str, sha256: Sha256, parts: &[HeldPart]) -> u16 {
        let parts = Sha256::of_parts(parts.iter().map(|part| part.sha256));
        let body = bytes(&json!({ "sha256": sha256, "parts_sha256": parts }));
        self.judge
            .call("complete_upload", &[token, upload], &[], Some(&body))
            .status
    }

    fn completions(&mut self) {
        let (link, page, token) = self.make(ANY_FILE);
        let file = Random { seed: 2, size: 100 };
        let upload = page.announce_random("a.bin", file);
        let id = upload.id.to_string();
        let sha256 = file.sha256();
        self.complete(&token, &id, sha256, &[]);
        let parts = page.send_parts(&upload, file);
        self.complete(&token, &id, sha256, &[]);
        assert_eq!(self.complete(&token, &id, sha256, &parts), 200);
        let elsewhere = nobody("{upload_id}");
        self.complete(&token, &elsewhere, sha256, &parts);
        self.judge
            .call("complete_upload", &[&token, &id], &[], Some(b"{}"));
        self.judge
            .call("complete_upload", &[&token, &id], &[], Some(&too_long()));
        let [none, _, expired, _] = self.useless_tokens();
        self.complete(&none, &id, sha256, &parts);
        self.complete(&expired, &id, sha256, &parts);
        // Aborted; of a type that shows only when all is there; of a link that is full meanwhile.
        let aborted = page.announce_random("b.bin", file);
        self.judge.call(
            "abort_upload",
            &[&token, &aborted.id.to_string()],
            &[],
            None,
        );
        self.complete(&token, &aborted.id.to_string(), sha256, &parts);
        let (_, documents, its_token) = self.make(DOCUMENTS);
        let feigned: Upload = documents.announce("a.pdf", 100, &pdf()).ok(201);
        let parts_of_it = documents.send_parts(&feigned, file);
        self.complete(&its_token, &feigned.id.to_string(), sha256, &parts_of_it);
        let (_, one, one_token) = self.make(ONE_FILE);
        let late = one.announce_random("a.bin", file);
        let late_parts = one.send_parts(&late, file);
        let _ = one.store("a.pdf", &pdf());
        self.complete(&one_token, &late.id.to_string(), sha256, &late_parts);
        let revoked = page.announce_random("c.bin", file);
        let revoked_parts = page.send_parts(&revoked, file);
        assert_eq!(self.app.revoke(link.id).status, 204);
        self.complete(&token, &revoked.id.to_string(), sha256, &revoked_parts);
    }

    fn service(&mut self) {
        assert_eq!(self.judge.call("health", &[], &[], None).status, 200);
    }

    /// An edge whose configuration is wrong answers everything but its health with a fault.
    fn broken_configuration(&mut self) {
        let edge = Setup::new("broken")
            .with_keys("none")
            .start("http://127.0.0.1:9/");
        self.judge.at(edge.origin());
        let operations: Vec<(String, Vec<String>)> = self
            .judge
            .operations()
            .filter(|(_, _, _, operation)| operation["responses"]["500"].is_object())
            .map(|(id, _, path, _)| {
                let parameters = path.split('/').filter(|s| s.starts_with('{'));
                (id.to_owned(), parameters.map(nobody).collect())
            })
            .collect();
        for (id, path) in operations {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let answer = self.judge.call(&id, &path, &[], None);
            assert_eq!(answer.status, 500, "{id}");
            assert!(!answer.text().contains("LINK_KEYS"), "{}", answer.text());
        }
    }
}
