//! How the page waits while the edge or the way to it is in trouble, in Chromium: what it asks
//! meanwhile, what it says, and by which clock.

use std::time::Duration;

use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::gate::{Gate, HTML, Passed, Rule};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);

/// The header of a service that asks for patience.
const LATER: &str = "retry-after: 2\r\n";

/// A file that goes in chunks, and in one part.
const FILE: Random = Random {
    seed: 900,
    size: 3_000_000,
};

fn count(passed: &[Passed], end: &str) -> usize {
    passed
        .iter()
        .filter(|(path, _)| path.ends_with(end))
        .count()
}

/// What the one row says of how it is.
fn note(phone: &Browser) -> String {
    phone.text(&format!("{} .meta", mark("file-row")))
}

/// The address draws a whole page, and asks the link for it.
#[test]
fn a_page_that_waits_for_the_network_asks_what_costs_the_edge_nothing() {
    let stage = shared();
    let link = stage.edge.app().link(ANY_FILE);
    let gate = Gate::before(&stage.edge.origin());
    let phone = Browser::english();
    let path = FILE.write(phone.folder(), "waits.bin");
    phone.choose(&gate.url(&link.url), &path);
    let token = link.url.rsplit('/').next().expect("a token").to_owned();
    for end in ["/parts/1", "/uploads"] {
        gate.rule(end, Rule::Drop);
    }
    let _ = gate.passed();
    phone.click(&mark("confirm"));
    let mut passed = Vec::new();
    wait_for("a probe", WITHIN, || {
        passed.extend(gate.passed());
        (count(&passed, "/healthz") > 0 || count(&passed, &token) > 0).then_some(())
    });
    std::thread::sleep(Duration::from_secs(5));
    passed.extend(gate.passed());
    assert_eq!(count(&passed, &token), 0, "{passed:?}");
    // What answers probes was not what is needed: once is enough to know.
    assert!(count(&passed, "/healthz") <= 2, "{passed:?}");
    for end in ["/parts/1", "/uploads"] {
        gate.lift(end);
    }
    phone.sees_within(&mark("success"), 1, WITHIN);
}

/// A hotel's portal answers everything with its own page.
#[test]
fn what_a_portal_answers_is_neither_the_edge_nor_a_success() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let gate = Gate::before(&stage.edge.origin());
    let phone = Browser::english();
    let path = FILE.write(phone.folder(), "portal.bin");
    phone.choose(&gate.url(&link.url), &path);
    let rules = [
        ("/uploads", Rule::Answer(200, "", HTML)),
        ("/parts/1", Rule::Answer(200, "", "{}")),
        ("/complete", Rule::Answer(404, "", HTML)),
        ("/healthz", Rule::Answer(200, "", HTML)),
    ];
    for (end, rule) in rules {
        gate.rule(end, rule);
    }
    phone.click(&mark("confirm"));
    wait_for("three announcements", WITHIN, || {
        let passed = gate.passed();
        (count(&passed, "/uploads") > 0).then_some(())
    });
    gate.lift("/uploads");
    wait_for("a part that went astray", WITHIN, || {
        (count(&gate.passed(), "/parts/1") > 0).then_some(())
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(phone.count(&row("failed")), 0, "{}", phone.text("main"));
    assert_eq!(phone.count(&row("completing")), 0, "{}", note(&phone));
    assert_eq!(app.get_link(link.id).files, []);
    for (end, _) in rules {
        gate.lift(end);
    }
    phone.sees_within(&mark("success"), 1, WITHIN);
    let stored = app.get_link(link.id).files;
    assert_eq!(app.sha256(stored[0].id), FILE.sha256());
}

#[test]
fn an_edge_that_is_busy_is_called_busy_and_not_a_lost_connection() {
    let stage = shared();
    let app = stage.edge.app();
    for (n, status, headers) in [(0, 503, LATER), (1, 503, ""), (2, 502, ""), (3, 429, LATER)] {
        let link = app.link(ANY_FILE);
        let gate = Gate::before(&stage.edge.origin());
        let phone = Browser::english();
        let path = FILE.write(phone.folder(), &format!("busy-{n}.bin"));
        phone.choose(&gate.url(&link.url), &path);
        gate.rule("/parts/1", Rule::Answer(status, headers, HTML));
        phone.click(&mark("confirm"));
        let said = wait_for("a wait", WITHIN, || {
            Some(note(&phone)).filter(|note| note.contains("trying again"))
        });
        assert!(
            said.contains("busy") && !said.contains("onnection"),
            "{said}"
        );
        gate.lift("/parts/1");
        phone.sees_within(&mark("success"), 1, WITHIN);
    }
}

#[test]
fn a_proxy_that_takes_no_large_bodies_is_sent_small_ones() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let gate = Gate::before(&stage.edge.origin());
    let phone = Browser::english();
    let path = FILE.write(phone.folder(), "large.bin");
    phone.choose(&gate.url(&link.url), &path);
    // As with nginx, whose `client_max_body_size` is compared with the length that is announced.
    gate.rule("/parts/1", Rule::AnswerOver(200_000, 413, "", HTML));
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let stored = app.get_link(link.id).files.remove(0);
    assert_eq!(app.sha256(stored.id), FILE.sha256());
}

/// Phones set their clocks when they find a network, and people do.
#[test]
fn a_wall_clock_that_is_set_back_keeps_nothing_waiting() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let gate = Gate::before(&stage.edge.origin());
    let phone = Browser::english();
    let path = FILE.write(phone.folder(), "clock.bin");
    phone.choose(&gate.url(&link.url), &path);
    for end in ["/parts/1", "/uploads", "/healthz"] {
        gate.rule(end, Rule::Drop);
    }
    phone.click(&mark("confirm"));
    wait_for("a wait", WITHIN, || {
        note(&phone).contains("trying again").then_some(())
    });
    let _ = phone.session().script(
        "const { now } = Date; Date.now = () => now() - 3_600_000;",
        &json!([]),
    );
    for end in ["/parts/1", "/uploads", "/healthz"] {
        gate.lift(end);
    }
    phone.sees_within(&mark("success"), 1, WITHIN);
    let stored = app.get_link(link.id).files.remove(0);
    assert_eq!(app.sha256(stored.id), FILE.sha256());
}
