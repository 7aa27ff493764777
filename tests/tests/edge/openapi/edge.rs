//! What every operation can meet: no key, too many requests, storage that does not answer, a wrong
//! configuration.

use chatlift_tests::edge::{ANY_FILE, Setup};
use chatlift_tests::http::Answer;
use chatlift_tests::scratch::early_in_a_minute;
use serde_json::Value;

use super::run::{Run, nobody};

/// A key that no app has.
const WRONG: (&str, &str) = ("authorization", "Bearer clk_AAAA");

impl Run {
    /// Calls all operations that `is` picks, and holds that each answers with this status. What
    /// stands for a parameter of a path, `fill` says.
    #[track_caller]
    fn each(
        &mut self,
        is: impl Fn(&Value) -> bool,
        fill: impl Fn(&str) -> String,
        headers: &[(&str, &str)],
        status: u16,
    ) -> Vec<Answer> {
        let operations: Vec<(String, Vec<String>)> = self
            .judge
            .operations()
            .filter(|(_, _, _, operation)| is(operation))
            .map(|(id, _, path, _)| {
                let parameters = path.split('/').filter(|s| s.starts_with('{'));
                (id.to_owned(), parameters.map(&fill).collect())
            })
            .collect();
        assert!(!operations.is_empty());
        let mut answers = Vec::new();
        for (id, path) in operations {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let answer = self.judge.call(&id, &path, headers, None);
            assert_eq!(answer.status, status, "{id}: {}", answer.text());
            answers.push(answer);
        }
        answers
    }

    pub(super) fn refusals_of_keys(&mut self) {
        for headers in [&[][..], &[WRONG]] {
            self.each(|o| o["security"].is_null(), nobody, headers, 401);
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
        let can_fail = |o: &Value| o["responses"]["500"].is_object();
        for answer in self.each(can_fail, nobody, &[], 500) {
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
        early_in_a_minute();
        assert_eq!(page.call("GET", "/page", &[], None).status, 200);
        self.judge.at(edge.origin());
        assert_eq!(
            self.judge.call("list_links", &[], &[WRONG], None).status,
            401
        );
        let fill = |parameter: &str| match parameter {
            "{token}" => page.token().to_owned(),
            other => nobody(other),
        };
        let is_counted = |o: &Value| o["responses"]["429"].is_object();
        self.each(is_counted, fill, &[WRONG], 429);
        self.judge.at(self.stage.edge.origin());
    }
}
