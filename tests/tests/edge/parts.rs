//! Parts, tickets and completions that the edge must refuse. After each, nothing is stored and the
//! backend has heard nothing.

use chatlift_shared::api::{HEADER_TICKET, HeldPart, LinkState, PageFile};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{ProblemCode, UploadId, limits};
use chatlift_tests::assertions::{nothing_stored, refused, without_trace};
use chatlift_tests::edge::{ANY_FILE, ONE_FILE};
use chatlift_tests::fixtures::Random;
use chatlift_tests::stage::shared;

const PART: u64 = limits::PART_SIZE;

/// Part `n` of a file.
fn part(file: Random, n: u64) -> Vec<u8> {
    file.read((n - 1) * PART, PART)
}

/// All parts of a file, as one that has them all would name them.
fn parts(file: Random) -> Vec<HeldPart> {
    let count = u16::try_from(limits::part_count(file.size, PART)).expect("few parts");
    (1..=count)
        .map(|n| HeldPart {
            n,
            sha256: Sha256::of(&part(file, n.into())),
        })
        .collect()
}

/// Two files that differ in all.
fn two(seed: u64) -> [Random; 2] {
    [1, 2].map(|n| Random {
        seed: seed + n,
        size: PART + n,
    })
}

#[test]
fn a_digest_that_does_not_match_is_refused_on_a_part() {
    without_trace(ANY_FILE, |_, page| {
        let file = Random {
            seed: 4,
            size: PART + 10,
        };
        let upload = page.announce_random("digest.bin", file);
        let wrong = Sha256::of(b"something else").to_header();
        let bytes = part(file, 1);
        let ticket = (HEADER_TICKET, &*upload.ticket);
        let answer = page.send_part_with(&upload, 1, &bytes, &[("content-digest", &wrong), ticket]);
        refused(&answer, ProblemCode::DigestMismatch);
        let other = ("content-digest", "sha-512=:AAAA:");
        refused(
            &page.send_part_with(&upload, 1, &bytes, &[other, ticket]),
            ProblemCode::DigestMissing,
        );
        let known = page.announce_random("digest.bin", file);
        assert_eq!(known.parts, [], "a part that was refused is held");
    });
}

#[test]
fn completing_with_parts_missing_names_them() {
    without_trace(ANY_FILE, |_, page| {
        let file = Random {
            seed: 5,
            size: 3 * PART,
        };
        let upload = page.announce_random("missing.bin", file);
        assert_eq!(page.send_part(&upload, 2, &part(file, 2)).status, 204);
        let problem = refused(
            &page.complete(upload.id, file.sha256(), &parts(file), &[]),
            ProblemCode::PartsMissing,
        );
        assert_eq!(problem.parts, [1, 3]);
    });
}

#[test]
fn completing_with_parts_of_another_file_is_refused() {
    without_trace(ANY_FILE, |_, page| {
        let file = Random {
            seed: 6,
            size: PART + 5,
        };
        let upload = page.announce_random("differ.bin", file);
        let mut parts = page.send_parts(&upload, file);
        parts[1].sha256 = Sha256::of(b"another file of the same name and size");
        refused(
            &page.complete(upload.id, file.sha256(), &parts, &[]),
            ProblemCode::PartsDiffer,
        );
    });
}

#[test]
fn the_last_part_makes_the_file_whichever_it_is() {
    let app = shared().edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let file = Random {
        seed: 31,
        size: 2 * PART + 9,
    };
    let upload = page.announce_random("last.bin", file);
    let held = parts(file);
    let whole = (
        file.sha256(),
        Sha256::of_parts(held.iter().map(|p| p.sha256)),
    );
    let send = |n| page.send_last(&upload, n, &part(file, n), whole);
    for n in [3, 1] {
        let sent = send(n);
        assert_eq!(sent.status, 204, "{}", sent.text());
    }
    let stored: PageFile = send(2).ok(200);
    assert_eq!(stored.size, file.size);
    assert_eq!(Sha256::of(&app.content(stored.id, &[]).body), file.sha256());
    // Who did not hear of it asks for the file.
    refused(&send(2), ProblemCode::UploadBusy);
    let asked: PageFile = page.complete(upload.id, file.sha256(), &held, &[]).ok(200);
    assert_eq!(asked.id, stored.id);
}

#[test]
fn a_last_part_with_digests_that_are_not_right_is_held_and_makes_no_file() {
    without_trace(ANY_FILE, |_, page| {
        let file = Random {
            seed: 32,
            size: PART + 5,
        };
        let upload = page.announce_random("wrong.bin", file);
        let (first, second) = (part(file, 1), part(file, 2));
        assert_eq!(page.send_part(&upload, 1, &first).status, 204);
        let path = format!("/uploads/{}/parts/2", upload.id);
        for (query, field) in [
            (format!("sha256={}", file.sha256()), "parts_sha256"),
            ("parts_sha256=00".to_owned(), "parts_sha256"),
            ("sha256=00".to_owned(), "sha256"),
        ] {
            let digest = Sha256::of(&second).to_header();
            let headers = [
                ("content-digest", &*digest),
                (HEADER_TICKET, &upload.ticket),
            ];
            let answer = page.call("PUT", &format!("{path}?{query}"), &headers, Some(&second));
            let problem = refused(&answer, ProblemCode::InvalidRequest);
            assert_eq!(problem.field.as_deref(), Some(field));
        }
        let wrong = (file.sha256(), Sha256::of(b"of other parts"));
        let sent = page.send_last(&upload, 2, &second, wrong);
        assert_eq!(sent.status, 204, "{}", sent.text());
        let known = page.announce_random("wrong.bin", file);
        assert_eq!(known.parts.len(), 2);
    });
}

#[test]
fn a_part_that_the_upload_does_not_have_is_refused() {
    without_trace(ANY_FILE, |_, page| {
        let file = Random {
            seed: 7,
            size: 2 * PART,
        };
        let upload = page.announce_random("range.bin", file);
        let bytes = part(file, 1);
        for n in [0, 3, 10_001, 65_536, u64::MAX] {
            let answer = page.send_part(&upload, n, &bytes);
            refused(&answer, ProblemCode::PartOutOfRange);
        }
        let path = format!("/uploads/{}/parts/one", upload.id);
        let answer = page.call(
            "PUT",
            &path,
            &[(HEADER_TICKET, &*upload.ticket)],
            Some(&bytes),
        );
        assert!(
            matches!(answer.status, 404 | 422),
            "{} {}",
            answer.status,
            answer.text()
        );
    });
}

#[test]
fn a_part_needs_the_ticket_of_its_own_upload() {
    without_trace(ANY_FILE, |_, page| {
        let [one, two] = two(7);
        let first = page.announce_random("one.bin", one);
        let second = page.announce_random("two.bin", two);
        let bytes = part(one, 1);
        let digest = Sha256::of(&bytes).to_header();
        let digest = ("content-digest", digest.as_str());
        let mut altered = first.ticket.clone().into_bytes();
        altered[5] ^= 1;
        let altered = String::from_utf8_lossy(&altered).into_owned();
        let cut = &first.ticket[..first.ticket.len() - 4];
        for ticket in [&*second.ticket, &*altered, cut, "", "nonsense"] {
            let answer = page.send_part_with(&first, 1, &bytes, &[digest, (HEADER_TICKET, ticket)]);
            refused(&answer, ProblemCode::UploadTicketInvalid);
        }
        refused(
            &page.send_part_with(&first, 1, &bytes, &[digest]),
            ProblemCode::UploadTicketInvalid,
        );
    });
}

#[test]
fn another_links_upload_is_not_to_be_found() {
    let stage = shared();
    let app = stage.edge.app();
    let (mine, theirs) = (app.link(ANY_FILE), app.link(ANY_FILE));
    let file = Random {
        seed: 10,
        size: PART + 1,
    };
    let upload = app.page(&theirs).announce_random("theirs.bin", file);
    let parts = app.page(&theirs).send_parts(&upload, file);
    let page = app.page(&mine);
    refused(
        &page.complete(upload.id, file.sha256(), &parts, &[]),
        ProblemCode::UploadNotFound,
    );
    let delete = page.call("DELETE", &format!("/uploads/{}", upload.id), &[], None);
    refused(&delete, ProblemCode::UploadNotFound);
    let answer = page.send_part(&upload, 1, &part(file, 1));
    assert!(
        matches!(
            answer.problem().code,
            ProblemCode::UploadNotFound | ProblemCode::UploadTicketInvalid
        ),
        "{}",
        answer.text()
    );
    nothing_stored(&stage, &app, &mine);
    // It can still be completed where it belongs.
    assert_eq!(
        app.page(&theirs)
            .complete(upload.id, file.sha256(), &parts, &[])
            .status,
        200
    );
}

#[test]
fn an_upload_that_was_never_announced_is_not_to_be_found() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let upload = UploadId::new(link.id, [7; 6]);
    refused(
        &page.complete(upload, Sha256::of(b""), &[], &[]),
        ProblemCode::UploadNotFound,
    );
    refused(
        &page.call("DELETE", &format!("/uploads/{upload}"), &[], None),
        ProblemCode::UploadNotFound,
    );
    nothing_stored(&stage, &app, &link);
}

#[test]
fn revoking_a_link_ends_the_uploads_under_way() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random {
        seed: 11,
        size: 2 * PART,
    };
    let upload = page.announce_random("revoked.bin", file);
    assert_eq!(page.send_part(&upload, 1, &part(file, 1)).status, 204);
    assert_eq!(app.revoke(link.id).status, 204);
    let late = page.send_part(&upload, 2, &part(file, 2));
    assert!(
        matches!(
            late.problem().code,
            ProblemCode::LinkRevoked | ProblemCode::UploadAborted
        ),
        "{}",
        late.text()
    );
    refused(
        &page.complete(upload.id, file.sha256(), &parts(file), &[]),
        ProblemCode::LinkRevoked,
    );
    nothing_stored(&stage, &app, &link);
    let now = app.get_link(link.id);
    assert_eq!((now.state, now.uploads), (LinkState::Revoked, 0));
}

#[test]
fn of_two_uploads_for_one_place_the_first_to_complete_has_it() {
    let app = shared().edge.app();
    let link = app.link(ONE_FILE);
    let page = app.page(&link);
    let [one, two] = two(11);
    let first = page.announce_random("first.bin", one);
    let second = page.announce_random("second.bin", two);
    let (first_parts, second_parts) = (page.send_parts(&first, one), page.send_parts(&second, two));
    assert_eq!(
        page.complete(second.id, two.sha256(), &second_parts, &[])
            .status,
        200
    );
    let late = page.complete(first.id, one.sha256(), &first_parts, &[]);
    assert_eq!(late.status, 409, "{}", late.text());
    let now = app.get_link(link.id);
    assert_eq!(
        now.files
            .iter()
            .map(|f| app.sha256(f.id))
            .collect::<Vec<_>>(),
        [two.sha256()]
    );
    assert_eq!((now.state, now.uploads), (LinkState::Completed, 0));
}
