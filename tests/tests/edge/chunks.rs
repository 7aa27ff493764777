//! Parts that come in chunks: what arrived before a cut counts to the byte, and nothing of another
//! file is joined to it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chatlift_shared::api::{
    HEADER_OFFSET, HEADER_TICKET, HeldPart, PageFile, Staged, StagedPart, Upload,
};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{ProblemCode, limits};
use chatlift_tests::assertions::refused;
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::http::{Answer, read_answer, send_cut};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::{Stage, shared};

const PART: u64 = limits::PART_SIZE;
const WITHIN: Duration = Duration::from_secs(60);

/// Bytes that fill a row of what is staged.
const ROW: usize = 128 * 1024;

/// What the files are called.
const NAME: &str = "parts.bin";

/// A file of a link's page, announced, and its part 1.
struct Scene {
    page: Page,
    file: Random,
    upload: Upload,
    part: Vec<u8>,
    digest: Sha256,
}

impl Scene {
    fn new(page: Page, file: Random) -> Self {
        let part = file.read(0, PART);
        Self {
            upload: page.announce_random(NAME, file),
            page,
            file,
            digest: Sha256::of(&part),
            part,
        }
    }

    /// The upload as the edge knows it now.
    fn known(&self) -> Upload {
        self.page.announce_random(NAME, self.file)
    }

    /// Sends a chunk of part 1.
    fn chunk(&self, offset: u64, bytes: &[u8]) -> Answer {
        let part = HeldPart {
            n: 1,
            sha256: self.digest,
        };
        self.page.send_chunk(&self.upload, part, offset, bytes)
    }

    /// Sends part 1 from `offset` to its end, which must be taken.
    #[track_caller]
    fn rest(&self, offset: u64) {
        let at = usize::try_from(offset).expect("fits");
        let answer = self.chunk(offset, &self.part[at..]);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// The head of a chunk of part 1, for a connection of one's own, but for how long it is.
    fn head(&self, origin: &str, offset: usize) -> String {
        format!(
            "PUT {}/uploads/{}/parts/1 HTTP/1.1\r\n{HEADER_OFFSET}: {offset}\r\nrepr-digest: {}\r\n{HEADER_TICKET}: {}\r\n",
            self.page.url().trim_start_matches(origin),
            self.upload.id,
            self.digest.to_header(),
            self.upload.ticket,
        )
    }

    /// Announces the rest of part 1, sends `sent` of its bytes and cuts the connection.
    fn cut(&self, origin: &str, offset: usize, sent: usize) {
        let rest = &self.part[offset..];
        let head = self.head(origin, offset);
        send_cut(origin, &head, rest.len() as u64, &rest[..sent]).expect("a cut request");
    }

    /// Begins to send a chunk of part 1, as far as `sent` bytes.
    fn begin(&self, origin: &str, chunk: Range<usize>, sent: usize) -> TcpStream {
        let head = self.head(origin, chunk.start);
        begin(origin, &head, &self.part[chunk], sent)
    }

    /// The head of part 1 as a whole, without an offset.
    fn head_whole(&self, origin: &str) -> String {
        format!(
            "PUT {}/uploads/{}/parts/1 HTTP/1.1\r\ncontent-digest: {}\r\n{HEADER_TICKET}: {}\r\n",
            self.page.url().trim_start_matches(origin),
            self.upload.id,
            self.digest.to_header(),
            self.upload.ticket,
        )
    }

    /// Begins to send part 1 whole, without an offset, and cuts the connection after `sent` bytes.
    fn cut_whole(&self, origin: &str, sent: usize) {
        let head = self.head_whole(origin);
        send_cut(origin, &head, self.part.len() as u64, &self.part[..sent]).expect("a cut request");
    }

    /// Waits until the edge holds so many bytes of part 1, and no more.
    fn holds(&self, bytes: usize) {
        wait_for("every byte that arrived", WITHIN, || {
            (self.known().staged.first()?.offset == bytes as u64).then_some(())
        });
    }

    /// Completes the upload with what is held and the parts that are not.
    fn complete(&self, app: &App) {
        let upload = self.known();
        let parts = self.page.send_parts(&upload, self.file);
        let sha256 = self.file.sha256();
        let stored: PageFile = self.page.complete(upload.id, sha256, &parts, &[]).ok(200);
        assert_eq!(Sha256::of(&app.content(stored.id, &[]).body), sha256);
    }
}

/// Begins a request with these bytes as its body, as far as `sent` of them.
fn begin(origin: &str, head: &str, bytes: &[u8], sent: usize) -> TcpStream {
    let head = format!(
        "{head}host: edge\r\ncontent-length: {}\r\n\r\n",
        bytes.len()
    );
    let mut stream = TcpStream::connect(origin.trim_start_matches("http://")).expect("it");
    stream.write_all(head.as_bytes()).expect("a head");
    stream.write_all(&bytes[..sent]).expect("a beginning");
    stream
}

/// A page was reloaded, and its next request came before the edge knew that the last had ended: 6 of
/// 16 MB went twice.
#[test]
fn who_asks_while_a_part_is_on_its_way_is_told_of_all_that_has_come() {
    tells_of_all_that_has_come(82, PART);
}

/// Of each chunk that was on its way at a reload, the row that was being filled went twice.
#[test]
fn who_asks_while_a_chunk_is_on_its_way_is_told_of_all_that_has_come() {
    tells_of_all_that_has_come(83, PART - 1);
}

/// Asks while the first `length` bytes of a part are on their way.
fn tells_of_all_that_has_come(seed: u64, length: u64) {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let file = Random {
        seed,
        size: PART + 7,
    };
    let scene = Scene::new(app.page(&link), file);
    let origin = stage.edge.origin();
    let sent = 4_000_000;
    let length = usize::try_from(length).expect("fits");
    let mut on_its_way = scene.begin(&origin, 0..length, sent);
    let more = scene.part[sent..].to_vec();
    let told = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // It never stalls, for as long as is waited, and fills no row.
        scope.spawn(|| {
            for byte in more.chunks(1).take(3_000) {
                if told.load(Ordering::Relaxed) || on_its_way.write_all(byte).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        wait_for("all that has come to be told of", WITHIN, || {
            let held = scene.known().staged.first()?.offset;
            (held >= sent as u64).then(|| told.store(true, Ordering::Relaxed))
        });
    });
    drop(on_its_way);
    scene.complete(&app);
}

#[test]
fn what_arrived_before_a_cut_is_not_sent_again() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let file = Random {
        seed: 81,
        size: PART + 7,
    };
    let scene = Scene::new(app.page(&link), file);
    // The first begins a part, the second goes on with it; both would end it.
    let sent = 3_000_000;
    let mut offset = 0;
    for _ in 0..2 {
        scene.cut(&stage.edge.origin(), offset, sent / 2);
        offset += sent / 2;
        scene.holds(offset);
    }
    let offset = offset as u64;

    let more = scene.chunk(offset, &scene.part[sent..sent + 500_000]);
    let staged: Staged = more.ok(202);
    assert_eq!(staged.offset, offset + 500_000);
    scene.rest(staged.offset);
    // A page that was told of the beginning only is told of the end, and then that the part is held.
    for late in [offset, 0] {
        let at = usize::try_from(late).expect("fits");
        let late = scene.chunk(late, &scene.part[at..at + 500_000]);
        assert_eq!(
            refused(&late, ProblemCode::OffsetDiffers).offset,
            Some(PART)
        );
    }
    scene.rest(PART);
    let known = scene.known();
    assert_eq!((known.staged.len(), known.parts.len()), (0, 1));

    scene.complete(&app);
    let _ = stage.receiver.wait_stored(link.id, file, WITHIN);
}

/// R2 keeps nothing of a part that was on its way into it.
#[test]
fn what_arrived_of_a_whole_part_before_a_cut_is_not_sent_again() {
    let stage = shared();
    let app = stage.edge.app();
    let file = Random {
        seed: 82,
        size: PART + 7,
    };
    let scene = Scene::new(app.page(&app.link(ANY_FILE)), file);
    scene.cut_whole(&stage.edge.origin(), 1_500_001);
    scene.holds(1_500_001);
    scene.rest(1_500_001);
    scene.complete(&app);
}

/// What a page had under way when it was closed kept arriving, and each try of the next page was
/// refused, since the part had grown meanwhile.
#[test]
fn the_chunk_that_came_last_takes_over_from_one_that_is_still_arriving() {
    let stage = shared();
    let app = stage.edge.app();
    let file = Random {
        seed: 86,
        size: 2_000_000,
    };
    let scene = Scene::new(app.page(&app.link(ANY_FILE)), file);
    let part = &scene.part;
    let origin = stage.edge.origin();
    let mut old = scene.begin(&origin, 0..part.len(), 600_000);
    wait_for("the beginning", WITHIN, || {
        (!scene.known().staged.is_empty()).then_some(())
    });
    let problem = refused(
        &scene.chunk(1_999_999, &part[1_999_999..]),
        ProblemCode::OffsetDiffers,
    );
    let offset = problem.offset.expect("the place to go on");
    assert!(offset <= 600_000, "{offset}");
    let at = usize::try_from(offset).expect("fits");
    let mut new = scene.begin(&origin, at..part.len(), 300_000);
    wait_for("the next beginning", WITHIN, || {
        (scene.known().staged.first()?.offset > offset).then_some(())
    });
    // The old one goes on, if it still can; nothing of it counts, and its end takes nothing over.
    let _ = old.write_all(&part[600_000..1_200_000]);
    drop(old);
    new.write_all(&part[at + 300_000..]).expect("the rest");
    let answer = read_answer(&mut new).expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// A browser whose connection breaks sends each request again from its first byte, and does not tell the page
/// (RFC 9110 section 9.2.2): of 10 MB, 1.3 to 2.2 went twice.
#[test]
fn a_request_that_a_browser_sends_again_is_refused_before_its_bytes_have_come() {
    let stage = shared();
    let app = stage.edge.app();
    let origin = stage.edge.origin();
    let whole = usize::try_from(PART).expect("fits");
    for (seed, chunk) in [(87, 0..whole), (88, 0..whole - 1), (89, 500_000..whole)] {
        let file = Random {
            seed,
            size: PART + 7,
        };
        let scene = Scene::new(app.page(&app.link(ANY_FILE)), file);
        if chunk.start > 0 {
            let _: Staged = scene.chunk(0, &scene.part[..chunk.start]).ok(202);
        }
        let head = match chunk == (0..whole) {
            true => scene.head_whole(&origin),
            false => scene.head(&origin, chunk.start),
        };
        let (bytes, sent) = (&scene.part[chunk.clone()], 2_000_000);
        send_cut(&origin, &head, bytes.len() as u64, &bytes[..sent]).expect("a cut request");
        let mut again = begin(&origin, &head, bytes, ROW);
        let answer = read_answer(&mut again).expect("an answer while bytes are to come");
        let held = refused(&answer, ProblemCode::OffsetDiffers).offset;
        assert_eq!(held, Some((chunk.start + sent) as u64), "{chunk:?}");
        // That is all of the connection.
        let ended = again.read(&mut [0]);
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        scene.rest(held.expect("known"));
        // So is one whose answer was lost, once the part is whole.
        let mut again = begin(&origin, &head, bytes, ROW);
        let answer = read_answer(&mut again).expect("an answer while bytes are to come");
        let held = refused(&answer, ProblemCode::OffsetDiffers).offset;
        assert_eq!(held, Some(PART), "{chunk:?}");
        scene.complete(&app);
    }
}

#[test]
fn what_is_staged_outlives_a_killed_edge() {
    let mut stage = Stage::new("staged");
    let app = stage.edge.app();
    let file = Random {
        seed: 82,
        size: PART,
    };
    let scene = Scene::new(app.page(&app.link(ANY_FILE)), file);
    let _: Staged = scene.chunk(0, &scene.part[..1_000_000]).ok(202);
    stage.edge.kill();
    stage.edge.start();
    assert_eq!(
        scene.known().staged,
        [StagedPart {
            n: 1,
            offset: 1_000_000
        }]
    );
    scene.rest(1_000_000);
}

#[test]
fn a_chunk_that_does_not_fit_is_refused_with_the_place_to_go_on() {
    let app = shared().edge.app();
    let file = Random {
        seed: 83,
        size: 1000,
    };
    let scene = Scene::new(app.page(&app.link(ANY_FILE)), file);
    let part = &scene.part;
    let _: Staged = scene.chunk(0, &part[..400]).ok(202);
    let problem = refused(&scene.chunk(300, &part[300..]), ProblemCode::OffsetDiffers);
    assert_eq!(problem.offset, Some(400));
    let longer = [&part[400..], b"x"].concat();
    refused(&scene.chunk(400, &longer), ProblemCode::PartSizeWrong);
    let undigested = scene.page.send_part_with(
        &scene.upload,
        1,
        &part[400..],
        &[
            (HEADER_OFFSET, "400"),
            (HEADER_TICKET, &scene.upload.ticket),
            ("repr-digest", "sha-512=:AAAA:"),
        ],
    );
    refused(&undigested, ProblemCode::DigestMissing);
    scene.rest(400);
}

#[test]
fn the_beginning_of_another_file_is_not_joined() {
    let app = shared().edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let announce = |seed| {
        let file = Random { seed, size: 2000 };
        Scene::new(page.clone(), file)
    };
    let first = announce(84);
    let _: Staged = first.chunk(0, &first.part[..900]).ok(202);

    let second = announce(85);
    assert_eq!(second.upload.id, first.upload.id, "of one name and size");
    let joined = second.chunk(900, &second.part[900..]);
    refused(&joined, ProblemCode::DigestMismatch);
    second.rest(0);
    second.complete(&app);
}
