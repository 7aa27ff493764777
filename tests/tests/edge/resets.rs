//! At a deployment the platform ends objects in the middle of calls. What was asked is then done all the same, or
//! fails so that it can be tried again, whichever call to an object it was; and the same again is done once.

use std::time::Duration;

use chatlift_shared::api::{HEADER_TICKET, Link, LinkState};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits;
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{ANY_FILE, Setup};
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::http::Answer;
use chatlift_tests::receiver::Content;
use chatlift_tests::serial::{create, number};
use chatlift_tests::stage::Stage;
use serde_json::json;

use super::form::form_with;

const WITHIN: Duration = Duration::from_secs(60);

type Headers<'a> = &'a [(&'a str, &'a str)];

/// What is asked, of a link of its own.
struct Asked<'a> {
    app: &'a App,
    link: &'a Link,
    page: &'a Page,
}

/// Does `ask` with an object that ends at each of its calls in turn, before and after the object has done its
/// work, and again where that failed; `check` sees the link then. Answers with how many failed.
fn at_each_call<S>(
    stage: &Stage,
    what: &str,
    prepare: impl Fn(&Asked<'_>) -> S,
    ask: impl Fn(&Asked<'_>, &S, Headers<'_>) -> Answer,
    check: impl Fn(&Asked<'_>),
) -> u64 {
    let app = stage.edge.app();
    let (mut ended, mut failed) = (0, 0);
    for moment in ["before", "after"] {
        for nth in 1.. {
            let link = app.link(ANY_FILE);
            let page = app.page(&link);
            let asked = Asked {
                app: &app,
                link: &link,
                page: &page,
            };
            let prepared = prepare(&asked);
            let reset = format!("{moment} {nth}");
            let answer = ask(&asked, &prepared, &[("test-reset", &reset)]);
            let case = format!("{what}, {reset}: {} {}", answer.status, answer.text());
            if answer.status >= 300 {
                assert_eq!(answer.status, 503, "{case}");
                assert!(answer.text().contains("storage-unavailable"), "{case}");
                assert!(answer.header("retry-after").is_some(), "{case}: when?");
                failed += 1;
                let again = ask(&asked, &prepared, &[]);
                let text = again.text();
                assert!(again.status < 300, "{case}; again: {} {text}", again.status);
            }
            check(&asked);
            if number(&answer, "test-calls") < nth {
                break;
            }
            ended += 1;
        }
    }
    println!("{what}: {ended} calls ended, {failed} requests failed");
    assert!(ended > 1, "{what}: an object was asked for nothing");
    failed
}

/// The link has one file, of which the app hears once.
fn has_one(stage: &Stage, content: impl Content + Copy) -> impl Fn(&Asked<'_>) {
    move |asked| {
        let told = stage.receiver.wait_stored(asked.link.id, content, WITHIN);
        let files = asked.app.get_link(asked.link.id).files;
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(told.stored().expect("a stored file").file.id, files[0].id);
    }
}

#[test]
fn a_file_comes_once_whichever_call_to_its_link_s_object_ends() {
    let stage = Stage::with(Setup::new("resets").with_object_resets());
    let small = Sha256::of(&pdf());
    let large = Random {
        seed: 61,
        size: limits::PART_SIZE + 9,
    };
    // The edge itself asks again.
    let failed = at_each_call(
        &stage,
        "a file in one request",
        |_| (),
        |asked, (), reset| asked.page.send_file("a.pdf", &pdf(), reset),
        has_one(&stage, small),
    );
    assert_eq!(failed, 0);
    let failed = at_each_call(
        &stage,
        "a form",
        |_| (),
        |asked, (), reset| {
            let headers = [&[("accept", "application/json")], reset].concat();
            form_with(asked.page, &[("a.pdf", &pdf())], &headers)
        },
        has_one(&stage, small),
    );
    assert_eq!(failed, 0);
    let failed = at_each_call(
        &stage,
        "completion",
        |asked| {
            let upload = asked.page.announce_random("a.bin", large);
            let parts = asked.page.send_parts(&upload, large);
            (upload.id, parts)
        },
        |asked, (upload, parts), reset| {
            let page = asked.page;
            page.complete(*upload, large.sha256(), parts, reset)
        },
        has_one(&stage, large),
    );
    assert_eq!(failed, 0);
    // The sender does.
    let _ = at_each_call(
        &stage,
        "tus",
        |asked| create(asked.page, "a.pdf", pdf().len() as u64, &[]),
        |_, upload, reset| {
            let held = upload.head();
            assert_eq!(held.status, 200, "{}", held.text());
            let offset = number(&held, "upload-offset");
            let rest = usize::try_from(offset).expect("fits");
            upload.patch(offset, &pdf()[rest..], reset)
        },
        has_one(&stage, small),
    );
    let _ = at_each_call(
        &stage,
        "a part",
        |asked| asked.page.announce_random("a.bin", large),
        |asked, upload, reset| {
            let bytes = large.read(0, limits::PART_SIZE);
            let digest = Sha256::of(&bytes).to_header();
            let ticket = (HEADER_TICKET, upload.ticket.as_str());
            let headers = [&[("content-digest", digest.as_str()), ticket], reset].concat();
            asked.page.send_part_with(upload, 1, &bytes, &headers)
        },
        |asked| {
            let _ = asked.page.store_random("a.bin", large);
            has_one(&stage, large)(asked);
        },
    );
}

#[test]
fn what_an_app_or_a_page_asks_can_be_asked_again_whichever_call_to_an_object_ends() {
    let stage = Stage::with(Setup::new("resets-of-the-app").with_object_resets());
    let is =
        |state| move |asked: &Asked<'_>| assert_eq!(asked.app.get_link(asked.link.id).state, state);
    let later = json!({ "expires_in": 604_800 });
    for (what, method, path, body, state) in [
        ("a link is read", "GET", "/{id}", None, LinkState::Active),
        ("links are listed", "GET", "", None, LinkState::Active),
        (
            "a link is extended",
            "PATCH",
            "/{id}",
            Some(later),
            LinkState::Active,
        ),
        (
            "a link is closed",
            "POST",
            "/{id}/close",
            None,
            LinkState::Completed,
        ),
        (
            "a link is taken back",
            "DELETE",
            "/{id}",
            None,
            LinkState::Revoked,
        ),
    ] {
        let _ = at_each_call(
            &stage,
            what,
            |asked| format!("/v1/links{path}").replace("{id}", &asked.link.id.to_string()),
            |asked, path, reset| asked.app.call(method, path, reset, body.as_ref()),
            is(state),
        );
    }
    let _ = at_each_call(
        &stage,
        "the page",
        |_| (),
        |asked, (), reset| asked.page.call("GET", "", reset, None),
        is(LinkState::Active),
    );
    let _ = at_each_call(
        &stage,
        "a link is made",
        |asked| asked.link.id.to_string(),
        |asked, key, reset| {
            let headers = [&[("idempotency-key", key.as_str())], reset].concat();
            let body = json!({ "scene": ANY_FILE });
            asked.app.call("POST", "/v1/links", &headers, Some(&body))
        },
        is(LinkState::Active),
    );
}
