//! A run through the operations, and what all of its pieces use.

use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_shared::limits::JSON_BODY_MAX;
use chatlift_shared::token::{Claims, mint};
use chatlift_shared::{LinkId, UploadId};
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{ANY_FILE, ONE_FILE};
use chatlift_tests::openapi::Judge;
use chatlift_tests::scratch::now;
use chatlift_tests::stage::Shared;
use serde_json::{Value, json};

/// A link that there is not.
pub(super) const ABSENT: LinkId = LinkId::from_bytes([9; 12]);

/// Header by which R2 does not answer.
pub(super) const SILENT: (&str, &str) = ("chatlift-fault", "r2-silent");

/// Header by which a request that completes a file hangs before the link knows of it.
pub(super) const HANG: (&str, &str) = ("chatlift-fault", "hang-after-r2-commit");

/// An operation of an upload protocol, whether it is about one upload, headers, body.
pub(super) type Call<'a> = (&'a str, bool, &'a [(&'a str, &'a str)], Option<&'a [u8]>);

/// A run through all operations.
pub(super) struct Run {
    pub(super) judge: Judge,
    pub(super) app: App,
    pub(super) bearer: String,
    pub(super) stage: Shared,
}

pub(super) fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A body that is longer than any JSON that the edge reads.
pub(super) fn too_long() -> Vec<u8> {
    vec![b' '; usize::try_from(JSON_BODY_MAX).expect("a length") + 1]
}

/// An id of the kind that the path wants, that nothing has.
pub(super) fn nobody(parameter: &str) -> String {
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
    pub(super) fn backend(&mut self, id: &str, path: &[&str], body: Option<&Value>) -> u16 {
        let bearer = self.bearer.clone();
        let body = body.map(bytes);
        let key = [("authorization", bearer.as_str())];
        self.judge.call(id, path, &key, body.as_deref()).status
    }

    pub(super) fn make(&self, scene: &str) -> (Link, Page, String) {
        let link = self.app.link(scene);
        let page = self.app.page(&link);
        let token = page.token().to_owned();
        (link, page, token)
    }

    /// Tokens with what each must meet: none of the edge's, of no link, expired, of a revoked link.
    pub(super) fn useless_tokens(&self) -> [String; 4] {
        let (link, _, revoked) = self.make(ANY_FILE);
        assert_eq!(self.app.revoke(link.id).status, 204);
        let claims = Claims {
            link: ABSENT,
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

    pub(super) fn full(&self) -> String {
        let (_, page, token) = self.make(ONE_FILE);
        // Another than what comes later: the same again would be answered with the stored one.
        let _ = page.store("first.txt", b"first");
        token
    }

    /// A link that has ended by its time.
    pub(super) fn expired(&self) -> (Link, Page) {
        let body = json!({ "scene": ANY_FILE, "expires_in": 1 });
        let link = self.app.link_with(body);
        std::thread::sleep(now().until(link.expires_at) + Duration::from_millis(50));
        let page = self.app.page(&link);
        (link, page)
    }

    /// A token of a link that asks for a password.
    pub(super) fn protected(&self) -> String {
        let link = self
            .app
            .link_with(json!({ "scene": ANY_FILE, "password": "harbour-7" }));
        self.app.page(&link).token().to_owned()
    }

    /// Calls an operation of a page with tokens that must be refused; `upload` follows them in the
    /// path, if the operation is about one. That of the link that there is not is its own.
    pub(super) fn refusals_of_tokens(
        &mut self,
        id: &str,
        about_upload: bool,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) {
        let upload = UploadId::new(ABSENT, [1; 6]).to_string();
        let [none, absent, expired, _] = self.useless_tokens();
        for (token, status) in [
            (none, 404),
            (absent, 404),
            (expired, 410),
            (self.protected(), 401),
        ] {
            let path = [token.as_str(), upload.as_str()];
            let path = if about_upload { &path[..] } else { &path[..1] };
            let answer = self.judge.call(id, path, headers, body);
            assert_eq!(answer.status, status, "{id}: {}", answer.text());
        }
    }
}
