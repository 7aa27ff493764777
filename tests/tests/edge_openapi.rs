//! The edge and its OpenAPI document say the same.

use chatlift_tests::http::send;
use chatlift_tests::stage::shared;
use serde_json::Value;

#[test]
fn document_and_reference_are_served_without_a_key() {
    let origin = shared().edge.origin();
    let answer = send("GET", &format!("{origin}/openapi.json"), &[], None).expect("an answer");
    let document: Value = answer.ok(200);
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
    let answer = send("PATCH", &format!("{origin}/v1/links"), &[], None).expect("an answer");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}
