//! A link's audit trail over a whole journey, verified by the client and by the example of the documentation.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use chatlift_client::audit::{AuditEntry, AuditError, AuditTrail, verify};
use chatlift_client::{AuditHead, LinkId, ProblemCode};
use chatlift_shared::api::{Erased, Link};
use chatlift_shared::digest::Sha256;
use chatlift_tests::assertions::refused;
use chatlift_tests::client::App;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::serial::create;
use chatlift_tests::stage::shared;
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(30);

fn trail(app: &App, link: LinkId, query: &str) -> AuditTrail {
    let path = format!("/v1/links/{link}/audit{query}");
    app.call("GET", &path, &[], None).ok(200)
}

fn kinds(entries: &[AuditEntry]) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for entry in entries {
        *kinds.entry(entry.kind.as_str()).or_default() += 1;
    }
    kinds
}

/// The example of the documentation, given a trail; what it prints, or nothing where it fails.
fn by_example(trail: &Value) -> Option<String> {
    let text = include_str!("../../../docs/data-protection.md");
    let (_, example) = text.split_once("```python\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let mut python = Command::new("python3")
        .args(["-c", example])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3");
    let mut stdin = python.stdin.take().expect("a pipe");
    stdin.write_all(trail.to_string().as_bytes()).expect("read");
    drop(stdin);
    let done = python.wait_with_output().expect("an end");
    let text = String::from_utf8(done.stdout).expect("text");
    done.status.success().then(|| text.trim().to_owned())
}

#[test]
fn the_trail_of_a_whole_journey_verifies_and_tells_every_step() {
    let stage = shared();
    let app = stage.edge.app();
    let made = app.link_with(
        json!({ "scene": ANY_FILE, "subject": "Jane Roe", "max_files": 5, "expires_in": 3_600 }),
    );
    assert_eq!(made.audit.entries, 1, "it was made");
    let page = app.page(&made);
    assert_eq!(page.call("POST", "/opened", &[], None).status, 204);
    let small = page.store("Jane Roe's passport.pdf", &pdf());
    let large = Random {
        seed: 5,
        size: 20_000_000,
    };
    let large = (page.store_random("b.bin", large), large);
    let tus = create(&page, "c.pdf", pdf().len() as u64, &[]);
    tus.add(0, &pdf());
    let given_up = page.announce_random(
        "d.bin",
        Random {
            seed: 6,
            size: 9_000_000,
        },
    );
    let path = format!("/uploads/{}", given_up.id);
    assert_eq!(page.call("DELETE", &path, &[], None).status, 204);
    let link = format!("/v1/links/{}", made.id);
    let more = json!({ "expires_in": 600_000 });
    let extended: Link = app.call("PATCH", &link, &[], Some(&more)).ok(200);
    let receipt = json!({ "status": "delivered", "sha256": Sha256::of(&pdf()), "reason": "Roe" });
    let file = format!("/v1/files/{}", small.id);
    let told = app.call("POST", &format!("{file}/receipt"), &[], Some(&receipt));
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(app.call("DELETE", &file, &[], None).status, 204);
    let _: Link = app
        .call("POST", &format!("{link}/close"), &[], None)
        .ok(200);
    // Three files, one of them deleted, and the link's end.
    let all = wait_for("all webhooks to be acknowledged", WITHIN, || {
        let all = trail(&app, made.id, "");
        (kinds(&all.entries).get("event.acknowledged") == Some(&5)).then_some(all)
    });
    let expected = [
        ("link.made", 1),
        ("link.opened", 1),
        ("file.stored", 3),
        ("upload.ended", 1),
        ("link.extended", 1),
        ("file.receipt", 1),
        ("file.deleted", 1),
        ("link.completed", 1),
        ("event.acknowledged", 5),
    ];
    assert_eq!(kinds(&all.entries), BTreeMap::from(expected));
    let kept = [made.audit, extended.audit, all.head];
    assert_eq!(
        verify(AuditHead::default(), &all.entries, &kept),
        Ok(all.head)
    );
    let last = kept[1..].iter().map(|head| head.entries).max();
    let short = verify(AuditHead::default(), &all.entries[..3], &kept);
    let truncated = AuditError::Truncated {
        entries: 3,
        kept: last.expect("heads"),
    };
    assert_eq!(short, Err(truncated));

    let stored = |by: &str| {
        let mut stored = all.entries.iter().filter(|e| e.kind == "file.stored");
        stored
            .find(|e| e.facts["by"] == by)
            .expect("a file")
            .facts
            .clone()
    };
    let request = stored("request");
    assert_eq!(request["sha256"], json!(Sha256::of(&pdf())));
    assert_eq!(request["file"], json!(small.id));
    let parts = stored("parts");
    let size = parts["part_size"].as_u64().expect("a size");
    let digests = (0..large.1.size.div_ceil(size)).map(|n| {
        let begin = n * size;
        Sha256::of(&large.1.read(begin, size.min(large.1.size - begin)))
    });
    assert_eq!(parts["parts_sha256"], json!(Sha256::of_parts(digests)));
    assert_eq!(stored("tus")["sha256"], json!(Sha256::of(&pdf())));
    let text = json!(all).to_string();
    for word in ["Roe", "passport", "b.bin", "127.0.0.1"] {
        assert!(!text.contains(word), "{word}");
    }

    // By pages the same, and another app finds none.
    let begin = trail(&app, made.id, "?limit=4");
    let rest = trail(&app, made.id, "?after=4");
    assert_eq!([begin.entries, rest.entries].concat(), all.entries);
    let path = format!("{link}/audit");
    refused(
        &stage.edge.other_app().call("GET", &path, &[], None),
        ProblemCode::LinkNotFound,
    );

    // The example verifies it, and finds what was changed.
    let mut json = json!(all);
    let head = format!("{} {}", all.head.entries, all.head.hash);
    assert_eq!(by_example(&json), Some(head));
    json["entries"][2]["size"] = 1.into();
    assert_eq!(by_example(&json), None);
}

#[test]
fn the_trail_goes_with_its_link() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let _ = app.page(&link).store("a.pdf", &pdf());
    let head = wait_for("the webhook", WITHIN, || {
        let trail = trail(&app, link.id, "");
        let told = trail.entries.iter().any(|e| e.kind == "event.acknowledged");
        told.then_some(trail.head)
    });
    let path = format!("/v1/links/{}", link.id);
    let erase = format!("{path}?erase=true");
    let erased: Erased = app.call("DELETE", &erase, &[], None).ok(200);
    assert_eq!(
        erased.audit, head,
        "who has read it knows that it was all of it"
    );
    let answer = app.call("GET", &format!("{path}/audit"), &[], None);
    refused(&answer, ProblemCode::LinkNotFound);
}
