//! tus 1.0.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::digest::Sha256;
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENT_MAX, DOCUMENTS};
use chatlift_tests::fixtures::{elf, pdf};
use chatlift_tests::serial::{Serial, TUS, create};

use super::run::{Call, HANG, Run, SILENT, nobody};
use super::uploads::hang;

const VERSION: (&str, &str) = ("tus-resumable", "1.0.0");
const MEDIA_TYPE: (&str, &str) = ("content-type", TUS);
const START: (&str, &str) = ("upload-offset", "0");

/// What no bytes of these tests have.
fn wrong_checksum() -> String {
    format!("sha256 {}", STANDARD.encode(Sha256::of(b"other").0))
}

impl Run {
    /// A call with the version, which must have this status.
    #[track_caller]
    fn tus(
        &mut self,
        id: &str,
        path: &[&str],
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        status: u16,
    ) {
        let headers = [&[VERSION][..], headers].concat();
        let answer = self.judge.call(id, path, &headers, body);
        assert_eq!(answer.status, status, "{id}: {}", answer.text());
    }

    pub(super) fn tus_by_anybody(&mut self) {
        let (_, _, token) = self.make(ANY_FILE);
        let upload = nobody("{upload_id}");
        let append = [VERSION, MEDIA_TYPE, START];
        let length = [VERSION, ("upload-length", "5")];
        let calls: [Call<'_>; 6] = [
            ("tus_options", false, &[], None),
            ("tus_upload_options", true, &[], None),
            ("tus_create", false, &length, Some(b"")),
            ("tus_look", true, &[VERSION], None),
            ("tus_append", true, &append, Some(b"x")),
            ("tus_end", true, &[VERSION], None),
        ];
        for (id, about_upload, headers, body) in calls {
            self.refusals_of_tokens(id, about_upload, headers, body);
            let path = [token.as_str(), upload.as_str()];
            let path = if about_upload { &path[..] } else { &path[..1] };
            let options = id.ends_with("options");
            let without = self.judge.call(id, path, &[], body).status;
            assert_eq!(without, if options { 204 } else { 412 }, "{id}");
            if about_upload && !options {
                assert_eq!(self.judge.call(id, path, headers, body).status, 404, "{id}");
            }
        }
    }

    pub(super) fn tus_creations(&mut self) {
        let (_, page, token) = self.make(DOCUMENTS);
        let [.., revoked] = self.useless_tokens();
        let full = self.full();
        let over = (DOCUMENT_MAX + 1).to_string();
        let length = ("upload-length", "5");
        let size = pdf().len().to_string();
        let sized = ("upload-length", size.as_str());
        let program = elf().len().to_string();
        let program = ("upload-length", program.as_str());
        let wrong = wrong_checksum();
        let checksum = ("upload-checksum", wrong.as_str());
        let unknown = (
            "upload-concat",
            "final;/u/x/tus/upl_AAAAAAAAAAAAAAAAAAAAAAAA",
        );
        let gone = piece(&page, b"x");
        let concat = format!("final;{}", gone.path);
        self.tus("tus_end", &[&token, gone.id()], &[], None, 204);
        let call = |run: &mut Self, token: &str, headers: &[(&str, &str)], body: &[u8], status| {
            run.tus("tus_create", &[token], headers, Some(body), status);
        };
        call(self, &token, &[length], b"", 201);
        call(self, &token, &[sized, MEDIA_TYPE], &pdf(), 201);
        call(self, &token, &[], b"", 400);
        call(self, &full, &[length], b"", 403);
        call(self, &token, &[unknown], b"", 404);
        call(self, &revoked, &[length], b"", 410);
        call(self, &token, &[("upload-concat", &concat)], b"", 410);
        call(self, &token, &[("upload-length", &over)], b"", 413);
        call(self, &token, &[length, MEDIA_TYPE], b"123456", 413);
        call(self, &token, &[length], b"12345", 415);
        call(self, &token, &[program, MEDIA_TYPE], &elf(), 415);
        call(self, &token, &[("upload-length", "0")], b"", 422);
        call(self, &token, &[sized, MEDIA_TYPE, checksum], &pdf(), 460);
        call(self, &token, &[length, SILENT], b"", 503);
    }

    pub(super) fn tus_joins(&mut self) {
        let (_, page, token) = self.make(ANY_FILE);
        let pieces = [piece(&page, b"one"), piece(&page, b"two")];
        let concat = format!("final;{} {}", pieces[0].path, pieces[1].path);
        hang({
            let (page, concat) = (page.clone(), concat.clone());
            move || {
                let headers = [VERSION, HANG, ("upload-concat", concat.as_str())];
                page.try_call("POST", "/tus", &headers, Some(&[]))
            }
        });
        let concat = ("upload-concat", concat.as_str());
        self.tus("tus_create", &[&token], &[concat], Some(b""), 423);
        let other = piece(&page, b"three");
        let concat = format!("final;{}", other.path);
        let concat = ("upload-concat", concat.as_str());
        let headers = [VERSION, concat];
        let joined = self
            .judge
            .call("tus_create", &[&token], &headers, Some(b""));
        let joined = Serial::at(&page, &joined);
        let append = [MEDIA_TYPE, ("upload-offset", "5")];
        self.tus(
            "tus_append",
            &[&token, joined.id()],
            &append,
            Some(b"x"),
            403,
        );
        self.tus("tus_look", &[&token, joined.id()], &[], None, 200);
    }

    pub(super) fn tus_appends(&mut self) {
        let (link, page, token) = self.make(DOCUMENTS);
        let pdf = pdf();
        let size = pdf.len() as u64;
        let wrong = wrong_checksum();
        let upload = create(&page, "a.pdf", size, &[]);
        let call =
            |run: &mut Self, upload: &Serial, headers: &[(&str, &str)], body: &[u8], status| {
                run.tus(
                    "tus_append",
                    &[&token, upload.id()],
                    headers,
                    Some(body),
                    status,
                );
            };
        let bytes = [MEDIA_TYPE, START];
        let checksum = [MEDIA_TYPE, START, ("upload-checksum", wrong.as_str())];
        call(self, &upload, &[MEDIA_TYPE], b"x", 400);
        call(
            self,
            &upload,
            &[MEDIA_TYPE, ("upload-offset", "9")],
            b"x",
            409,
        );
        call(self, &upload, &bytes, &[&pdf[..], b"x"].concat(), 413);
        call(self, &upload, &[START], b"x", 415);
        call(self, &upload, &checksum, &pdf, 460);
        self.tus("tus_look", &[&token, upload.id()], &[], None, 200);
        call(self, &upload, &[MEDIA_TYPE, START], &pdf[..4], 204);
        let upload = create(&page, "again.pdf", size, &[]);
        // All bytes are there and not in R2; asking has them put there.
        call(self, &upload, &[MEDIA_TYPE, START, SILENT], &pdf, 503);
        self.tus("tus_look", &[&token, upload.id()], &[SILENT], None, 503);
        self.tus("tus_look", &[&token, upload.id()], &[], None, 200);
        self.tus("tus_end", &[&token, upload.id()], &[], None, 403);
        let program = create(&page, "b.pdf", elf().len() as u64, &[]);
        call(self, &program, &bytes, &elf(), 415);
        // A length that is told with the last bytes.
        let deferred = [VERSION, ("upload-defer-length", "1")];
        let over = (DOCUMENT_MAX + 1).to_string();
        for (length, status) in [("0", 422), (over.as_str(), 413)] {
            let begun = self
                .judge
                .call("tus_create", &[&token], &deferred, Some(b""));
            let begun = Serial::at(&page, &begun);
            let headers = [MEDIA_TYPE, START, ("upload-length", length)];
            call(self, &begun, &headers, b"", status);
        }
        let busy = create(&page, "c.pdf", size, &[]);
        hang({
            let (busy, pdf) = (busy.clone(), pdf.clone());
            move || busy.patch(0, &pdf, &[HANG])
        });
        call(self, &busy, &bytes, &pdf, 423);
        self.tus("tus_look", &[&token, busy.id()], &[], None, 423);
        let ended = create(&page, "d.pdf", size, &[]);
        self.tus("tus_end", &[&token, ended.id()], &[], None, 204);
        call(self, &ended, &bytes, &pdf, 410);
        self.tus("tus_look", &[&token, ended.id()], &[], None, 410);
        let open = create(&page, "e.pdf", size, &[]);
        assert_eq!(self.app.revoke(link.id).status, 204);
        call(self, &open, &bytes, &pdf, 410);
    }
}

/// A piece that is whole.
fn piece(page: &Page, bytes: &[u8]) -> Serial {
    let partial = [("upload-concat", "partial")];
    let piece = create(page, "piece", bytes.len() as u64, &partial);
    piece.add(0, bytes);
    piece
}
