//! Every route for backends, as the API document lists them, tried by who has no right to what it is about.

use std::time::Duration;

use chatlift_shared::api::LinkState;
use chatlift_shared::{LinkId, ProblemCode};
use chatlift_tests::assertions::refused;
use chatlift_tests::client::App;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::Answer;
use chatlift_tests::openapi::Judge;
use chatlift_tests::stage::shared;

/// How long a webhook may take.
const WITHIN: Duration = Duration::from_secs(20);

/// A key that no app has.
const WRONG: &str = "clk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A route that asks for a key.
struct Route {
    id: String,
    /// What its path names, such as `{link_id}`.
    named: Vec<String>,
    /// A body that the document gives as an example.
    body: Option<Vec<u8>>,
}

fn routes(judge: &Judge) -> Vec<Route> {
    let keyed = judge
        .operations()
        .filter(|(.., operation)| operation["security"].is_null());
    let routes = keyed.map(|(id, _, path, operation)| {
        let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
        let example = examples.as_object().and_then(|all| all.values().next());
        Route {
            id: id.to_owned(),
            named: path
                .split('/')
                .filter(|segment| segment.starts_with('{'))
                .map(str::to_owned)
                .collect(),
            body: example.map(|example| example["value"].to_string().into_bytes()),
        }
    });
    routes.collect()
}

/// Ids by which a path names a link, a file and an event.
struct Ids {
    link: String,
    file: String,
    event: String,
}

impl Ids {
    /// Calls a route about them. `query` goes with it.
    fn ask(&self, judge: &mut Judge, route: &Route, query: &str, key: Option<&str>) -> Answer {
        let named: Vec<&str> = route
            .named
            .iter()
            .map(|name| match name.as_str() {
                "{link_id}" => &*self.link,
                "{file_id}" => &self.file,
                "{event_id}" => &self.event,
                other => panic!("what is {other}?"),
            })
            .collect();
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = bearer.iter().map(|key| ("authorization", &**key)).collect();
        judge.ask(&route.id, &named, query, &headers, route.body.as_deref())
    }
}

/// What can be told from an answer: all but what differs from one to the next in any case.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let by_chance = |name: &str| name == "date" || name.starts_with("chatlift-");
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !by_chance(name));
    headers.sort();
    (answer.status, headers, answer.text())
}

/// A link of an app with a file whose webhook has come.
fn sent(app: &App) -> (LinkId, Ids) {
    let stage = shared();
    let link = app.link(ANY_FILE);
    let file = app.page(&link).store("a.pdf", &pdf());
    let event = stage
        .receiver
        .wait_stored(link.id, file.sha256, WITHIN)
        .id
        .to_string();
    let ids = Ids {
        link: link.id.to_string(),
        file: file.id.to_string(),
        event,
    };
    (link.id, ids)
}

/// Not only refused: whoever asks cannot tell whether there is such a one.
#[test]
fn on_every_route_of_the_document_what_is_another_apps_is_answered_as_what_was_never_made() {
    let stage = shared();
    let (app, other) = (stage.edge.app(), stage.edge.other_app());
    let mut judge = Judge::new(stage.edge.origin());
    let (link, theirs) = sent(&app);
    let trail = |app: &App| app.call("GET", &format!("/v1/links/{link}/audit"), &[], None);
    let before = (app.get_link(link).files, app.get_link(link).state);
    let never = Ids {
        link: LinkId::from_bytes([1; 12]).to_string(),
        file: "fil_AQIDBAUGBwgJCgsMDQ4PEBES".to_owned(),
        event: "evt_AQIDBAUGBwgJCgsMDQ4PEBES".to_owned(),
    };
    // Of the same link, so that the object that is asked is there.
    let beside = |id: &str| format!("{}________", &id[..id.len() - 8]);
    let beside = Ids {
        link: never.link.clone(),
        file: beside(&theirs.file),
        event: beside(&theirs.event),
    };
    let mut tried = 0;
    for route in routes(&judge) {
        let queries = match &*route.id {
            "revoke_link" => vec!["", "?erase=true"],
            _ => vec![""],
        };
        for query in queries.into_iter().filter(|_| !route.named.is_empty()) {
            let mut ask = |ids: &Ids| ids.ask(&mut judge, &route, query, Some(other.key()));
            let answer = ask(&theirs);
            assert_eq!(answer.status, 404, "{}: {}", route.id, answer.text());
            for unknown in [&never, &beside] {
                assert_eq!(told(&answer), told(&ask(unknown)), "{}", route.id);
            }
            tried += 1;
        }
    }
    assert!(tried >= 15, "{tried} routes name something");
    let listed = other.call("GET", "/v1/links?limit=100&subject=case-7", &[], None);
    assert!(!listed.text().contains(&theirs.link), "{}", listed.text());
    // It is as it was, and its trail tells of nothing that the other app did.
    assert_eq!((app.get_link(link).files, app.get_link(link).state), before);
    assert_eq!(before.1, LinkState::Active);
    assert!(!trail(&app).text().contains("revoked"));
}

#[test]
fn no_key_and_a_wrong_key_are_refused_on_every_route_of_the_document() {
    let stage = shared();
    let app = stage.edge.app();
    let mut judge = Judge::new(stage.edge.origin());
    let (link, ids) = sent(&app);
    let routes = routes(&judge);
    assert!(routes.len() >= 17, "{} routes ask for a key", routes.len());
    for route in &routes {
        let bare = ids.ask(&mut judge, route, "", None);
        refused(&bare, ProblemCode::ApiKeyMissing);
        let wrong = ids.ask(&mut judge, route, "", Some(WRONG));
        refused(&wrong, ProblemCode::ApiKeyUnknown);
    }
    // Nothing of that has done anything.
    let now = app.get_link(link);
    assert_eq!((now.state, now.files.len()), (LinkState::Active, 1));
}
