//! What a business backend calls.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use chatlift_shared::api::{DownloadUrl, Link};
use chatlift_shared::digest::Sha256;
use chatlift_tests::edge::{ANY_FILE, APP, DOCUMENTS, ONE_FILE};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::scratch::{now, wait_for};
use serde_json::json;

use super::run::{Run, bytes, nobody, too_long};

impl Run {
    pub(super) fn links(&mut self) {
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
        self.judge
            .ask("revoke_link", &[&id], "?erase=perhaps", &headers[..1], None);
        self.judge
            .ask("revoke_link", &[&id], "?erase=true", &headers[..1], None);
        self.erase_amid_a_file();
    }

    /// Erases a link while a file of it is being stored.
    fn erase_amid_a_file(&mut self) {
        let (link, page, _) = self.make(ANY_FILE);
        let url = page.url();
        let (host, path) = url["http://".len()..].split_once('/').expect("a path");
        let head = format!(
            "POST /{path}/files HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100\r\n\r\nthe beginning"
        );
        let mut stream = TcpStream::connect(host).expect("the edge");
        stream.write_all(head.as_bytes()).expect("sent");
        wait_for("the file to begin", Duration::from_secs(30), || {
            (self.app.get_link(link.id).uploads == 1).then_some(())
        });
        let key = self.bearer.clone();
        let key = [("authorization", key.as_str())];
        let id = link.id.to_string();
        self.judge
            .ask("revoke_link", &[&id], "?erase=true", &key, None);
    }

    pub(super) fn files(&mut self) {
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
        let other = Sha256::of(b"other");
        for (id, receipt) in [
            (&file, json!({ "status": "received", "sha256": other })),
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

    pub(super) fn kept_links(&mut self) {
        let (link, _, _) = self.make(ANY_FILE);
        let id = link.id.to_string();
        let key = self.bearer.clone();
        let key = ("authorization", key.as_str());
        self.backend("list_links", &[], None);
        self.judge.ask("list_links", &[], "?limit=0", &[key], None);
        self.judge
            .ask("read_audit_trail", &[&id], "?after=-1", &[key], None);
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
            self.backend("read_audit_trail", &[&id], None);
            self.backend("get_qr_svg", &[&id], None);
            self.backend("get_qr_png", &[&id], None);
        }
        // The address of before leads to that of after.
        let short = self
            .app
            .link_with(json!({ "scene": ANY_FILE, "expires_in": 4 }));
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

    pub(super) fn downloads(&mut self) {
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

    pub(super) fn events(&mut self) {
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
}
