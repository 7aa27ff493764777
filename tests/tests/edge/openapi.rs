//! The edge and its OpenAPI document say the same: every answer that is documented is reached here,
//! none comes that is not documented, and every body is of its schema.

use std::time::Duration;

use chatlift_tests::edge::ONE_FILE;
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::send;
use chatlift_tests::openapi::Judge;
use chatlift_tests::stage::shared;
use serde_json::Value;

mod backend;
mod edge;
mod page;
mod resumable;
mod run;
mod tus;
mod uploads;

use run::Run;

#[test]
fn document_and_reference_are_served_without_a_key() {
    let origin = shared().edge.origin();
    let document: Value = send("GET", &format!("{origin}/openapi.json"), &[], None)
        .expect("an answer")
        .ok(200);
    assert_eq!(document["openapi"], "3.1.0");
    let docs = send("GET", &format!("{origin}/docs"), &[], None).expect("an answer");
    assert_eq!(docs.status, 200);
    let policy = docs.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let explained =
        send("GET", &format!("{origin}/problems/link-expired"), &[], None).expect("an answer");
    assert_eq!(explained.status, 302);
    let target = explained.header("location").unwrap_or_default();
    let id = target.trim_start_matches("/docs#");
    assert!(docs.text().contains(&format!("id=\"{id}\"")), "{target}");
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let origin = shared().edge.origin();
    // QUERY is one that the platform's own library does not know.
    for method in ["PATCH", "QUERY"] {
        let answer = send(method, &format!("{origin}/v1/links"), &[], None).expect("an answer");
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD, POST")),
            "{method}"
        );
    }
}

#[test]
fn every_documented_answer_is_reached_and_no_other() {
    let stage = shared();
    let mut run = Run {
        judge: Judge::new(stage.edge.origin()),
        app: stage.edge.app(),
        bearer: format!("Bearer {}", stage.edge.app().key()),
        stage,
    };
    run.refusals_of_keys();
    run.links();
    run.files();
    run.kept_links();
    run.downloads();
    run.events();
    run.passwords();
    run.pages();
    run.forms();
    run.small_files();
    run.announcements();
    run.parts();
    run.completions();
    run.last_parts();
    run.busy_uploads();
    run.withdrawals();
    run.silent_storage();
    run.tus_by_anybody();
    run.tus_creations();
    run.tus_joins();
    run.tus_appends();
    run.resumable_by_anybody();
    run.resumable_creations();
    run.resumable_appends();
    run.chat();
    run.service();
    run.too_many_requests();
    run.broken_configuration();
    let unreached = run.judge.unreached();
    assert!(
        unreached.is_empty(),
        "documented, but not reached: {unreached:#?}"
    );
}

#[test]
fn webhooks_are_of_their_schemas() {
    let stage = shared();
    let app = stage.edge.app();
    let judge = Judge::new(stage.edge.origin());
    let link = app.link(ONE_FILE);
    let file = app.page(&link).store("a.pdf", &pdf());
    let within = Duration::from_secs(20);
    let _ = stage.receiver.wait_stored(link.id, file.sha256, within);
    let told: Vec<Value> = stage
        .receiver
        .raw()
        .iter()
        .map(|(_, body)| serde_json::from_slice(body).expect("JSON"))
        .collect();
    assert!(!told.is_empty());
    for event in told {
        judge.valid(judge.schema("Event"), &event, &event.to_string());
    }
}
