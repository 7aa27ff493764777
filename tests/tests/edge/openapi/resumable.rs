//! Resumable Uploads for HTTP.

use chatlift_shared::digest::Sha256;
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENT_MAX, DOCUMENTS};
use chatlift_tests::fixtures::{elf, pdf};
use chatlift_tests::serial::{PARTIAL, Serial};

use super::run::{Call, HANG, Run, SILENT, nobody};
use super::uploads::hang;

const MEDIA_TYPE: (&str, &str) = ("content-type", PARTIAL);
const START: (&str, &str) = ("upload-offset", "0");
const MORE: (&str, &str) = ("upload-complete", "?0");
const LAST: (&str, &str) = ("upload-complete", "?1");

/// An upload that is begun with an empty request.
fn begin(page: &Page, more: &[(&str, &str)]) -> Serial {
    let headers = [&[MORE][..], more].concat();
    let created = page.call("POST", "/resumable", &headers, Some(&[]));
    assert_eq!(created.status, 201, "{}", created.text());
    Serial::at(page, &created)
}

/// The headers of a whole file with this digest.
fn whole(digest: &str) -> [(&str, &str); 4] {
    [MEDIA_TYPE, START, LAST, ("content-digest", digest)]
}

impl Run {
    #[track_caller]
    fn resumable(
        &mut self,
        id: &str,
        path: &[&str],
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        status: u16,
    ) {
        let answer = self.judge.call(id, path, headers, body);
        assert_eq!(answer.status, status, "{id}: {}", answer.text());
    }

    pub(super) fn resumable_by_anybody(&mut self) {
        let (_, _, token) = self.make(ANY_FILE);
        let upload = nobody("{upload_id}");
        let append = [MEDIA_TYPE, START, MORE];
        let calls: [Call<'_>; 7] = [
            ("resumable_options", false, &[], None),
            ("resumable_create", false, &[LAST], Some(b"text")),
            ("resumable_create_by_put", false, &[LAST], Some(b"text")),
            ("resumable_look", true, &[], None),
            ("resumable_look_by_get", true, &[], None),
            ("resumable_append", true, &append, Some(b"x")),
            ("resumable_end", true, &[], None),
        ];
        for (id, about_upload, headers, body) in calls {
            self.refusals_of_tokens(id, about_upload, headers, body);
            if about_upload {
                self.resumable(id, &[&token, &upload], headers, body, 404);
            }
        }
        self.resumable("resumable_options", &[&token], &[], None, 204);
        // Asks nothing of the link.
        let options = "resumable_upload_options";
        let [none, _, expired, _] = self.useless_tokens();
        let protected = self.protected();
        for (token, status) in [
            (&none, 404),
            (&expired, 410),
            (&protected, 401),
            (&token, 404),
        ] {
            self.resumable(options, &[token, &upload], &[], None, status);
        }
        let (_, page, token) = self.make(ANY_FILE);
        let begun = begin(&page, &[]);
        self.resumable(options, &[&token, begun.id()], &[], None, 204);
    }

    pub(super) fn resumable_creations(&mut self) {
        let (_, _, token) = self.make(DOCUMENTS);
        let [.., revoked] = self.useless_tokens();
        let full = self.full();
        let over = (DOCUMENT_MAX + 1).to_string();
        let over = [MORE, ("upload-length", over.as_str())];
        let other = Sha256::of(b"other").to_header();
        let other = [LAST, ("content-digest", other.as_str())];
        let too_much = vec![0; 100_000_001];
        for id in ["resumable_create", "resumable_create_by_put"] {
            let call =
                |run: &mut Self, token: &str, headers: &[(&str, &str)], body: &[u8], status| {
                    run.resumable(id, &[token], headers, Some(body), status);
                };
            call(self, &token, &[MORE], b"", 201);
            let stored = self.judge.call(id, &[&token], &[LAST], Some(&pdf()));
            assert_eq!(stored.status, 201, "{}", stored.text());
            assert_eq!(stored.header("content-type"), Some("application/json"));
            call(self, &token, &[LAST, ("upload-length", "5")], b"x", 400);
            call(self, &token, &[MORE, ("upload-length", "1")], b"xy", 400);
            call(
                self,
                &token,
                &[MORE, ("content-digest", "md5=:AAAA:")],
                b"x",
                400,
            );
            call(self, &full, &[LAST], &pdf(), 403);
            call(self, &revoked, &[LAST], &pdf(), 410);
            call(self, &token, &over, b"", 413);
            call(self, &token, &[MORE], &too_much, 413);
            call(self, &token, &[LAST], &elf(), 415);
            call(self, &token, &[LAST], b"", 422);
            call(self, &token, &other, &pdf(), 422);
            call(self, &token, &[LAST, SILENT], &pdf(), 503);
        }
    }

    pub(super) fn resumable_appends(&mut self) {
        let (link, page, token) = self.make(DOCUMENTS);
        let pdf = pdf();
        let size = pdf.len().to_string();
        let sized = [("upload-length", size.as_str())];
        let other = Sha256::of(b"other").to_header();
        let upload = begin(&page, &sized);
        let call =
            |run: &mut Self, upload: &Serial, headers: &[(&str, &str)], body: &[u8], status| {
                let path = [token.as_str(), upload.id()];
                run.resumable("resumable_append", &path, headers, Some(body), status);
            };
        let look = |run: &mut Self, upload: &Serial, status| {
            for id in ["resumable_look", "resumable_look_by_get"] {
                run.resumable(id, &[&token, upload.id()], &[], None, status);
            }
        };
        let bytes = [MEDIA_TYPE, START, LAST];
        let too_much = vec![0; 100_000_001];
        call(self, &upload, &[MEDIA_TYPE, LAST], b"x", 400);
        call(self, &upload, &whole("md5=:AAAA:"), &pdf, 400);
        call(
            self,
            &upload,
            &[MEDIA_TYPE, START, MORE],
            &[&pdf[..], b"x"].concat(),
            400,
        );
        call(
            self,
            &upload,
            &[MEDIA_TYPE, ("upload-offset", "9"), MORE],
            b"x",
            409,
        );
        call(self, &upload, &[MEDIA_TYPE, START, MORE], &too_much, 413);
        call(self, &upload, &[START, LAST], &pdf, 415);
        call(self, &upload, &whole(&other), &pdf, 422);
        look(self, &upload, 204);
        call(self, &upload, &[MEDIA_TYPE, START, LAST, SILENT], &pdf, 503);
        call(
            self,
            &upload,
            &[MEDIA_TYPE, ("upload-offset", size.as_str()), LAST],
            b"",
            201,
        );
        look(self, &upload, 204);
        self.resumable("resumable_end", &[&token, upload.id()], &[], None, 423);
        let program = begin(&page, &[]);
        call(self, &program, &[MEDIA_TYPE, START, MORE], &elf(), 415);
        let empty = begin(&page, &[]);
        call(self, &empty, &[MEDIA_TYPE, START, LAST], b"", 422);
        let over = (DOCUMENT_MAX + 1).to_string();
        let long = begin(&page, &[]);
        let told = [MEDIA_TYPE, START, MORE, ("upload-length", over.as_str())];
        call(self, &long, &told, b"%", 413);
        call(self, &long, &[MEDIA_TYPE, START, MORE], b"%", 204);
        let busy = begin(&page, &sized);
        hang({
            let (busy, pdf) = (busy.clone(), pdf.clone());
            move || busy.append(0, &pdf, true, &[HANG])
        });
        call(self, &busy, &bytes, &pdf, 423);
        let ended = begin(&page, &sized);
        self.resumable("resumable_end", &[&token, ended.id()], &[], None, 204);
        call(self, &ended, &bytes, &pdf, 410);
        look(self, &ended, 410);
        let open = begin(&page, &sized);
        assert_eq!(self.app.revoke(link.id).status, 204);
        call(self, &open, &bytes, &pdf, 410);
        look(self, &open, 410);
    }
}
