//! What the page calls beside uploading.

use chatlift_shared::api::Link;
use chatlift_shared::token::{mint, verify};
use chatlift_tests::client::App;
use chatlift_tests::edge::{ANY_FILE, APP, DOCUMENTS, SMALL, Setup};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::platforms::{Mood, Platforms};
use chatlift_tests::scratch::now;
use serde_json::json;

use super::run::{Run, bytes, nobody, too_long};

impl Run {
    pub(super) fn passwords(&mut self) {
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

    pub(super) fn pages(&mut self) {
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

    pub(super) fn forms(&mut self) {
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
            (
                &documents,
                [
                    form("b.pdf", &pdf())
                        .strip_suffix(b"--b--\r\n")
                        .expect("its end"),
                    &form("b.txt", b"text"),
                ]
                .concat(),
                207,
            ),
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

    /// An edge whose first app has accounts on the chat platforms, two of them out of order.
    pub(super) fn chat(&mut self) {
        let platforms = Platforms::start();
        platforms.behave(&format!("{APP}-wechat"), Mood::Refusing);
        platforms.behave(&format!("{APP}-dingtalk"), Mood::Broken);
        let edge = Setup::new("openapi-chat")
            .with_var("CHAT", &platforms.chat(&[APP]))
            .with_var("CHAT_SECRETS", &Platforms::secrets(&[APP]))
            .start("http://127.0.0.1:9/");
        self.judge.at(edge.origin());
        let (app, other) = (edge.app(), edge.other_app());
        let link = app.link(ANY_FILE);
        let protected = app.link_with(json!({ "scene": ANY_FILE, "password": "harbour-7" }));
        let ended = {
            let mut claims = verify(&edge.keys(), app.page(&link).token(), now()).expect("claims");
            claims.expires_at = 1;
            mint(&edge.keys(), &claims)
        };
        for (token, platform, status) in [
            (token_of(&app, &link), "wecom", 200),
            (token_of(&app, &link), "telegram", 400),
            (token_of(&app, &protected), "wecom", 401),
            ("AAAA".to_owned(), "wecom", 404),
            (token_of(&other, &other.link(ANY_FILE)), "wecom", 404),
            (ended, "wecom", 410),
            (token_of(&app, &link), "wechat", 502),
            (token_of(&app, &link), "dingtalk", 503),
        ] {
            let query = format!("?platform={platform}&url={}/u/{token}", edge.origin());
            let answer = self.judge.ask("chat_config", &[&token], &query, &[], None);
            assert_eq!(answer.status, status, "{platform}: {}", answer.text());
        }
        self.judge.at(self.stage.edge.origin());
    }
}

fn token_of(app: &App, link: &Link) -> String {
    app.page(link).token().to_owned()
}
