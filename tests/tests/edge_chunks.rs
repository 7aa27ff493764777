//! Parts that come in chunks: what arrived before a cut counts to the byte, and nothing of another
//! file is joined to it.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use chatlift_shared::api::{HEADER_OFFSET, HEADER_TICKET, Staged, StagedPart, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{ProblemCode, limits};
use chatlift_tests::assertions::refused;
use chatlift_tests::client::Page;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::http::{Answer, send_cut};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::{Stage, shared};

const PART: u64 = limits::PART_SIZE;
const WITHIN: Duration = Duration::from_secs(60);

/// Sends a chunk of part 1.
fn chunk(page: &Page, upload: &Upload, offset: u64, bytes: &[u8], part: Sha256) -> Answer {
    page.send_part_with(
        upload,
        1,
        bytes,
        &[
            (HEADER_OFFSET, &offset.to_string()),
            ("repr-digest", &part.to_header()),
            (HEADER_TICKET, &upload.ticket),
        ],
    )
}

/// Announces the rest of part 1, sends `sent` of its bytes and cuts the connection.
fn cut(stage: &Stage, page: &Page, upload: &Upload, part: &[u8], from: usize, sent: usize) {
    let origin = stage.edge.origin();
    let path = page.url().trim_start_matches(&origin);
    let head = format!(
        "PUT {path}/uploads/{}/parts/1 HTTP/1.1\r\n{HEADER_OFFSET}: {from}\r\nrepr-digest: {}\r\n{HEADER_TICKET}: {}\r\n",
        upload.id,
        Sha256::of(part).to_header(),
        upload.ticket,
    );
    let rest = &part[from..];
    send_cut(&origin, &head, rest.len() as u64, &rest[..sent]).expect("a cut request");
}

#[test]
fn what_arrived_before_a_cut_is_not_sent_again() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random {
        seed: 81,
        size: PART + 7,
    };
    let part = file.read(0, PART);
    let upload = page.announce_random("cut.bin", file);
    // The first is cut as a whole part is, the second as the chunk that ends one.
    let sent = 3_000_000;
    let mut offset = 0;
    for _ in 0..2 {
        cut(&stage, &page, &upload, &part, offset, sent / 2);
        offset += sent / 2;
        wait_for("every byte that arrived", WITHIN, || {
            let known = page.announce_random("cut.bin", file);
            (known.staged.first()?.offset == offset as u64).then_some(())
        });
    }
    let offset = offset as u64;

    let digest = Sha256::of(&part);
    let more = chunk(&page, &upload, offset, &part[sent..sent + 500_000], digest);
    let staged: Staged = more.ok(202);
    assert_eq!(staged.offset, offset + 500_000);
    let rest = chunk(
        &page,
        &upload,
        staged.offset,
        &part[sent + 500_000..],
        digest,
    );
    assert_eq!(rest.status, 204, "{}", rest.text());
    // A page that was told of the beginning only does not send the part again.
    for late in [offset, 0] {
        let at = usize::try_from(late).expect("fits");
        let held = chunk(&page, &upload, late, &part[at..at + 500_000], digest);
        assert_eq!(held.status, 204, "{}", held.text());
    }
    let known = page.announce_random("cut.bin", file);
    assert_eq!((known.staged.len(), known.parts.len()), (0, 1));

    let parts = page.send_parts(&known, file);
    let stored: chatlift_shared::api::PageFile =
        page.complete(upload.id, file.sha256(), &parts, &[]).ok(200);
    assert_eq!(Sha256::of(&app.content(stored.id, &[]).body), file.sha256());
    let _ = stage.receiver.wait_stored(link.id, file.sha256(), WITHIN);
}

/// What a page had under way when it was closed kept arriving, and each try of the next page was
/// refused, since the part had grown meanwhile.
#[test]
fn the_chunk_that_came_last_takes_over_from_one_that_is_still_arriving() {
    let stage = shared();
    let app = stage.edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let file = Random {
        seed: 86,
        size: 2_000_000,
    };
    let part = file.read(0, file.size);
    let digest = Sha256::of(&part);
    let upload = page.announce_random("over.bin", file);
    let origin = stage.edge.origin();
    let mut old = TcpStream::connect(origin.trim_start_matches("http://")).expect("the edge");
    let head = format!(
        "PUT {}/uploads/{}/parts/1 HTTP/1.1\r\nhost: edge\r\ncontent-length: {}\r\n{HEADER_OFFSET}: 0\r\nrepr-digest: {}\r\n{HEADER_TICKET}: {}\r\n\r\n",
        page.url().trim_start_matches(&origin),
        upload.id,
        part.len(),
        digest.to_header(),
        upload.ticket,
    );
    old.write_all(head.as_bytes()).expect("a head");
    old.write_all(&part[..600_000]).expect("a beginning");
    wait_for("the beginning", WITHIN, || {
        let known = page.announce_random("over.bin", file);
        (!known.staged.is_empty()).then_some(())
    });
    let problem = refused(
        &chunk(&page, &upload, 1_999_999, &part[1_999_999..], digest),
        ProblemCode::OffsetDiffers,
    );
    let offset = problem.offset.expect("the place to go on");
    let at = usize::try_from(offset).expect("fits");
    assert!(at <= 600_000, "{at}");
    // The old one goes on, if it still can, and nothing of it counts.
    let _ = old.write_all(&part[600_000..1_200_000]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        chunk(&page, &upload, offset, &part[at..], digest).status,
        204
    );
}

#[test]
fn what_is_staged_outlives_a_killed_edge() {
    let mut stage = Stage::new("staged");
    let app = stage.edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let file = Random {
        seed: 82,
        size: PART,
    };
    let part = file.read(0, PART);
    let digest = Sha256::of(&part);
    let upload = page.announce_random("killed.bin", file);
    let _: Staged = chunk(&page, &upload, 0, &part[..1_000_000], digest).ok(202);
    stage.edge.kill();
    stage.edge.start();
    let known = page.announce_random("killed.bin", file);
    assert_eq!(
        known.staged,
        [StagedPart {
            n: 1,
            offset: 1_000_000
        }]
    );
    let rest = chunk(&page, &known, 1_000_000, &part[1_000_000..], digest);
    assert_eq!(rest.status, 204, "{}", rest.text());
}

#[test]
fn a_chunk_that_does_not_fit_is_refused_with_the_place_to_go_on() {
    let stage = shared();
    let app = stage.edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let file = Random {
        seed: 83,
        size: 1000,
    };
    let part = file.read(0, 1000);
    let digest = Sha256::of(&part);
    let upload = page.announce_random("fit.bin", file);
    let _: Staged = chunk(&page, &upload, 0, &part[..400], digest).ok(202);
    let problem = refused(
        &chunk(&page, &upload, 300, &part[300..], digest),
        ProblemCode::OffsetDiffers,
    );
    assert_eq!(problem.offset, Some(400));
    let longer = [&part[400..], b"x"].concat();
    refused(
        &chunk(&page, &upload, 400, &longer, digest),
        ProblemCode::PartSizeWrong,
    );
    let undigested = page.send_part_with(
        &upload,
        1,
        &part[400..],
        &[(HEADER_OFFSET, "400"), (HEADER_TICKET, &upload.ticket)],
    );
    refused(&undigested, ProblemCode::DigestMissing);
    assert_eq!(chunk(&page, &upload, 400, &part[400..], digest).status, 204);
}

#[test]
fn the_beginning_of_another_file_is_not_joined() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let (first, second) = (
        Random {
            seed: 84,
            size: 2000,
        },
        Random {
            seed: 85,
            size: 2000,
        },
    );
    let upload = page.announce_random("same.bin", first);
    let part = first.read(0, 2000);
    let _: Staged = chunk(&page, &upload, 0, &part[..900], Sha256::of(&part)).ok(202);

    let known = page.announce_random("same.bin", second);
    assert_eq!(known.id, upload.id);
    let part = second.read(0, 2000);
    let joined = chunk(&page, &known, 900, &part[900..], Sha256::of(&part));
    refused(&joined, ProblemCode::DigestMismatch);
    assert_eq!(
        chunk(&page, &known, 0, &part, Sha256::of(&part)).status,
        204
    );
    let known = page.announce_random("same.bin", second);
    let parts = page.send_parts(&known, second);
    let stored: chatlift_shared::api::PageFile = page
        .complete(known.id, second.sha256(), &parts, &[])
        .ok(200);
    assert_eq!(
        Sha256::of(&app.content(stored.id, &[]).body),
        second.sha256()
    );
}
