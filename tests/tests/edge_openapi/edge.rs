//! What every operation can meet: no key, too many requests, storage that does not answer, a wrong
//! configuration.

use chatlift_tests::edge::{ANY_FILE, Setup};

use super::run::{Run, nobody};

impl Run {
    pub(super) fn refusals_of_keys(&mut self) {
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

    pub(super) fn service(&mut self) {
        assert_eq!(self.judge.call("health", &[], &[], None).status, 200);
    }

    /// An edge whose configuration is wrong answers everything but its health with a fault.
    pub(super) fn broken_configuration(&mut self) {
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
        self.judge.at(self.stage.edge.origin());
    }

    /// An edge that takes one request about a link, and one wrong key.
    pub(super) fn too_many_requests(&mut self) {
        let edge = Setup::new("openapi-rates")
            .with_wrangler(
                "\n[[ratelimits]]\nname = \"RATE_LINK\"\nnamespace_id = \"1\"\n\
                 simple = { limit = 1, period = 60 }\n\
                 \n[[ratelimits]]\nname = \"RATE_KEY\"\nnamespace_id = \"2\"\n\
                 simple = { limit = 1, period = 60 }\n",
            )
            .start("http://127.0.0.1:9/");
        let app = edge.app();
        let page = app.page(&app.link(ANY_FILE));
        assert_eq!(page.call("GET", "/page", &[], None).status, 200);
        let wrong = [("authorization", "Bearer clk_AAAA")];
        self.judge.at(edge.origin());
        assert_eq!(self.judge.call("list_links", &[], &wrong, None).status, 401);
        let operations: Vec<(String, Vec<String>)> = self
            .judge
            .operations()
            .filter(|(_, _, _, operation)| operation["responses"]["429"].is_object())
            .map(|(id, _, path, _)| {
                let parameters = path.split('/').filter(|s| s.starts_with('{'));
                let of = |parameter: &str| match parameter {
                    "{token}" => page.token().to_owned(),
                    other => nobody(other),
                };
                (id.to_owned(), parameters.map(of).collect())
            })
            .collect();
        assert!(!operations.is_empty());
        for (id, path) in operations {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let answer = self.judge.call(&id, &path, &wrong, None);
            assert_eq!(answer.status, 429, "{id}");
        }
        self.judge.at(self.stage.edge.origin());
    }
}
