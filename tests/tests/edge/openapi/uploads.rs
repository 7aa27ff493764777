//! Uploads: in one request, and in parts.

use std::time::Duration;

use chatlift_shared::api::{DownloadUrl, File, HeldPart, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{PART_SIZE, SINGLE_REQUEST_MAX, WITHDRAWN_MAX};
use chatlift_shared::{ProblemCode, UploadId, disposition};
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS, ONE_FILE, SMALL};
use chatlift_tests::fixtures::{Random, pdf};
use serde_json::json;

use super::run::{HANG, Run, SILENT, bytes, nobody, too_long};

/// A part that must be refused: its number, its body, its headers.
type BadPart<'a> = (&'a str, Option<&'a [u8]>, Vec<(&'a str, &'a str)>);

impl Run {
    pub(super) fn small_files(&mut self) {
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

    pub(super) fn announcements(&mut self) {
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
    pub(super) fn part(
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

    pub(super) fn parts(&mut self) {
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
        for (offset, status) in [("0", 202), ("9", 409)] {
            let chunk = [whole, ("upload-offset", offset)];
            let said = self.part(&token, &upload, "2", Some(&last[..4]), &chunk);
            assert_eq!(said, status, "{offset}");
        }
        assert_eq!(self.part(&token, &upload, "2", Some(&last), &[good]), 204);
        let bad: [BadPart<'_>; 6] = [
            ("2", Some(&last), vec![whole, ("upload-offset", "x")]),
            ("2", Some(&last), vec![("content-digest", "sha-512=:AAAA:")]),
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

    pub(super) fn complete(
        &mut self,
        token: &str,
        upload: &str,
        sha256: Sha256,
        parts: &[HeldPart],
    ) -> u16 {
        let parts = Sha256::of_parts(parts.iter().map(|part| part.sha256));
        let body = bytes(&json!({ "sha256": sha256, "parts_sha256": parts }));
        self.judge
            .call("complete_upload", &[token, upload], &[], Some(&body))
            .status
    }

    pub(super) fn completions(&mut self) {
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
            .call("complete_upload", &[&token, &id], &[], Some(b"{"));
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

    /// Files that their last part completes, or would.
    pub(super) fn last_parts(&mut self) {
        let (_, page, token) = self.make(ANY_FILE);
        let file = Random { seed: 5, size: 100 };
        let content = file.read(0, 100);
        let digest = Sha256::of(&content).to_header();
        let (sha256, parts) = (file.sha256(), Sha256::of_parts([file.sha256()]));
        let both = format!("?sha256={sha256}&parts_sha256={parts}");
        // Of a type that shows only when all is there.
        let (_, documents, its_token) = self.make(DOCUMENTS);
        let feigned: Upload = documents.announce("a.pdf", 100, &pdf()).ok(201);
        let upload = page.announce_random("a.bin", file);
        for (token, upload, query, status) in [
            (&token, &upload, format!("?sha256={sha256}"), 400),
            (&token, &upload, both.clone(), 200),
            (&its_token, &feigned, both, 415),
        ] {
            let id = upload.id.to_string();
            let headers = [
                ("upload-ticket", upload.ticket.as_str()),
                ("content-digest", digest.as_str()),
            ];
            let path = [token.as_str(), id.as_str(), "1"];
            let answer = self
                .judge
                .ask("send_part", &path, &query, &headers, Some(&content));
            assert_eq!(answer.status, status, "{query}: {}", answer.text());
        }
    }

    /// An upload that is being completed, or is, and what no link has.
    pub(super) fn busy_uploads(&mut self) {
        let (_, page, token) = self.make(ANY_FILE);
        let file = Random { seed: 3, size: 100 };
        let upload = page.announce_random("busy.bin", file);
        let id = upload.id.to_string();
        let parts = page.send_parts(&upload, file);
        hang({
            let (page, sha256, parts) = (page.clone(), file.sha256(), parts.clone());
            move || page.try_complete(upload.id, sha256, &parts, &[HANG])
        });
        assert_eq!(self.complete(&token, &id, file.sha256(), &parts), 409);
        assert_eq!(
            self.judge
                .call("abort_upload", &[&token, &id], &[], None)
                .status,
            409
        );
        // Its ticket ends it all the same; that of another upload is none of its own.
        let other = page.announce_random("other.bin", file);
        for (ticket, status) in [(&other.ticket, 403), (&upload.ticket, 204)] {
            let ticket = [("upload-ticket", ticket.as_str())];
            let answer = self
                .judge
                .call("abort_upload", &[&token, &id], &ticket, None);
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        let body = bytes(&json!({ "sha256": file.sha256(), "parts_sha256": file.sha256() }));
        self.refusals_of_tokens("complete_upload", true, &[], Some(&body));
        self.refusals_of_tokens("abort_upload", true, &[], None);
    }

    /// Files that who sent them takes back: all that they may, and one that the app has.
    pub(super) fn withdrawals(&mut self) {
        let (_, page, token) = self.make(ANY_FILE);
        for n in 0..=WITHDRAWN_MAX {
            let file = page.store("a.pdf", &pdf());
            let ticket = file.ticket.expect("a ticket");
            let upload = UploadId::new(file.id.link(), file.id.suffix()).to_string();
            let ticket = [("upload-ticket", ticket.as_str())];
            if n == 0 {
                let path = format!("/v1/files/{}/receipt", file.id);
                let body = json!({ "status": "delivered" });
                let _: File = self.app.call("POST", &path, &[], Some(&body)).ok(200);
                let taken = self
                    .judge
                    .call("abort_upload", &[&token, &upload], &ticket, None);
                assert_eq!(taken.problem().code, ProblemCode::FileTaken);
                continue;
            }
            let answer = self
                .judge
                .call("abort_upload", &[&token, &upload], &ticket, None);
            assert_eq!(answer.status, 204, "{n}: {}", answer.text());
        }
        let file = page.store("a.pdf", &pdf());
        let ticket = file.ticket.expect("a ticket");
        let upload = UploadId::new(file.id.link(), file.id.suffix()).to_string();
        let ticket = [("upload-ticket", ticket.as_str())];
        let answer = self
            .judge
            .call("abort_upload", &[&token, &upload], &ticket, None);
        assert_eq!(answer.problem().code, ProblemCode::TooManyWithdrawn);
    }

    /// R2 does not answer.
    pub(super) fn silent_storage(&mut self) {
        let (_, page, token) = self.make(ANY_FILE);
        let file = Random { seed: 4, size: 100 };
        let upload = page.announce_random("a.bin", file);
        let parts = page.send_parts(&upload, file);
        let id = upload.id.to_string();
        let stored = page.store("a.pdf", &pdf()).id.to_string();
        let bearer = self.bearer.clone();
        let key = ("authorization", bearer.as_str());
        let url: DownloadUrl = self
            .judge
            .call("create_download_url", &[&stored], &[key], Some(b"{}"))
            .ok(201);
        let download = url.url.rsplit('/').next().unwrap_or_default();
        let content = file.read(0, 100);
        let digest = Sha256::of(&content).to_header();
        // One that is not held: what is held need not be stored again.
        let fresh = page.announce_random("c.bin", file);
        let fresh_id = fresh.id.to_string();
        let part = [
            SILENT,
            ("upload-ticket", fresh.ticket.as_str()),
            ("content-digest", digest.as_str()),
        ];
        let form = [SILENT, ("content-type", "multipart/form-data; boundary=b")];
        let announced = bytes(&json!({ "name": "b", "size": 4, "head": "dGV4dA==" }));
        let sha256s = Sha256::of_parts(parts.iter().map(|part| part.sha256));
        let complete = bytes(&json!({ "sha256": file.sha256(), "parts_sha256": sha256s }));
        let field = b"--b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"c\"\r\n\r\nc\r\n--b--\r\n";
        let calls: [SilentCall<'_>; 7] = [
            ("get_content", &[&stored], &[SILENT, key], None),
            ("download", &[download], &[SILENT], None),
            ("send_file", &[&token], &[SILENT], Some(b"text")),
            ("send_form", &[&token], &form, Some(field)),
            ("create_upload", &[&token], &[SILENT], Some(&announced)),
            (
                "send_part",
                &[&token, &fresh_id, "1"],
                &part,
                Some(&content),
            ),
            (
                "complete_upload",
                &[&token, &id],
                &[SILENT],
                Some(&complete),
            ),
        ];
        for (id, path, headers, body) in calls {
            let answer = self.judge.call(id, path, headers, body);
            assert_eq!(answer.status, 503, "{id}: {}", answer.text());
        }
    }
}

/// A call while R2 does not answer: operation, path, headers, body.
type SilentCall<'a> = (
    &'a str,
    &'a [&'a str],
    &'a [(&'a str, &'a str)],
    Option<&'a [u8]>,
);

/// Sends a request that is not answered, and waits until it must have come as far as it comes.
pub(super) fn hang<T: Send + 'static>(send: impl FnOnce() -> T + Send + 'static) {
    std::thread::spawn(send);
    std::thread::sleep(Duration::from_secs(2));
}
