//! Serial uploads in memory: cut anywhere, checked wrongly, with a worker that dies at any step.

use chatlift_shared::api::LinkState as Status;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::PART_SIZE;
use chatlift_shared::{LinkId, ProblemCode, Timestamp, UploadId};
use futures::executor::block_on;
use proptest::prelude::*;

use super::bytes::{Bytes, fits};
use super::{Edge, Fault, refusal};
use crate::checksum::{Algorithm, Checksum};
use crate::link::command;
use crate::link::serial;
use crate::link::serial::{Phase, Protocol, Role, SerialView};
use crate::ports::{Failure, Links as _};
use crate::upload::serial::{Append, Grown, NewSerial};

/// A PDF of this size whose bytes tell where they are.
fn content(size: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..size)
        .map(|n| u8::try_from((n ^ (n >> 8) ^ (n >> 16)) & 0xff).expect("a byte"))
        .collect();
    let head = b"%PDF-1.7\n";
    let len = head.len().min(bytes.len());
    bytes[..len].copy_from_slice(&head[..len]);
    bytes
}

fn sha256(bytes: &[u8]) -> Checksum {
    Checksum {
        algorithm: Algorithm::Sha256,
        digest: Sha256::of(bytes).0.to_vec(),
    }
}

impl Edge {
    fn open_serial(
        &self,
        link: LinkId,
        role: Role,
        length: Option<u64>,
    ) -> Result<SerialView, Failure> {
        let new = NewSerial {
            protocol: Protocol::Tus,
            role,
            label: "a.pdf".into(),
            length,
            metadata: String::new(),
            sha256: None,
        };
        block_on(self.service.open_serial(&self.app().id, link, new))
    }

    fn look(&self, upload: UploadId) -> Result<SerialView, Failure> {
        block_on(self.service.look(&self.app().id, upload, Protocol::Tus))
    }

    fn grow(
        &self,
        upload: UploadId,
        offset: u64,
        body: Bytes,
        announced: Option<u64>,
        checksum: Option<Checksum>,
    ) -> Result<Grown, Failure> {
        let append = Append {
            protocol: Protocol::Tus,
            offset,
            length: announced,
            total: None,
            checksum,
            last: None,
        };
        block_on(self.service.append(&self.app().id, upload, append, body)).map(|(grown, _)| grown)
    }

    fn send_whole(&self, upload: UploadId, bytes: &[u8]) -> Grown {
        let length = bytes.len() as u64;
        self.grow(upload, 0, Bytes::new(bytes.to_vec()), Some(length), None)
            .expect("all of it")
    }

    fn objects(&self) -> Vec<Vec<u8>> {
        let stored = self.service.bucket.stored.borrow();
        stored.objects.values().cloned().collect()
    }

    fn multiparts(&self) -> usize {
        self.service.bucket.stored.borrow().multiparts.len()
    }
}

#[test]
fn a_file_in_one_body_is_stored_with_its_digest() {
    let edge = Edge::new();
    let bytes = content(2 * PART_SIZE + 5);
    let upload = edge
        .open_serial(edge.link(), Role::File, Some(bytes.len() as u64))
        .expect("an upload");
    let Grown::File(found) = edge.send_whole(upload.id, &bytes) else {
        panic!("no file");
    };
    assert_eq!(found.file.sha256, Some(Sha256::of(&bytes)));
    assert_eq!(edge.objects(), [bytes]);
    // An answer that was lost is asked for again.
    let end = found.file.size;
    let again = edge.grow(upload.id, end, Bytes::new(vec![]), Some(0), None);
    assert_eq!(again, Ok(Grown::File(found)));
    let more = edge.grow(upload.id, end, Bytes::new(vec![1]), Some(1), None);
    assert_eq!(refusal(more), ProblemCode::BodyTooLarge);
}

#[test]
fn a_file_of_another_type_is_refused_by_its_first_bytes() {
    let edge = Edge::new();
    let elf = [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 10_000]].concat();
    let upload = edge
        .open_serial(edge.link(), Role::File, Some(PART_SIZE))
        .expect("an upload");
    let sent = edge.grow(upload.id, 0, Bytes::new(elf.clone()), Some(10_008), None);
    assert_eq!(refusal(sent), ProblemCode::FileTypeNotAccepted);
    let looked = edge.look(upload.id).expect_err("ended");
    assert_eq!(looked, ProblemCode::UploadAborted.into());
    edge.recover();
    assert_eq!((edge.objects().len(), edge.multiparts()), (0, 0));
}

#[test]
fn a_later_request_takes_over_and_the_earlier_one_adds_nothing() {
    let edge = Edge::new();
    let link = edge.link();
    let upload = edge.open_serial(link, Role::File, Some(100)).expect("new");
    let begin = |writer| serial::Begin {
        upload: upload.id,
        protocol: Protocol::Tus,
        writer,
        offset: 0,
        length: None,
        total: None,
        checked: false,
    };
    let touch = |writer| {
        let upload = upload.id;
        let writer = Some(writer);
        let touch = command::Touch { upload, writer };
        block_on(edge.service.links.execute(link, touch))
    };
    block_on(edge.service.links.execute(link, begin(7))).expect("the first");
    assert!(touch(7).is_ok());
    block_on(edge.service.links.execute(link, begin(8))).expect("the second");
    assert_eq!(touch(7), Err(ProblemCode::UploadBusy.into()));
    assert!(touch(8).is_ok());
    edge.look(upload.id).expect("its state");
    assert_eq!(touch(8), Err(ProblemCode::UploadBusy.into()));
}

#[test]
fn a_length_that_is_told_later_ends_the_file() {
    let edge = Edge::new();
    let bytes = content(PART_SIZE + 9);
    let upload = edge
        .open_serial(edge.link(), Role::File, None)
        .expect("new");
    assert_eq!(upload.length(), None);
    let sent = edge.grow(upload.id, 0, Bytes::new(bytes.clone()), None, None);
    let end = bytes.len() as u64;
    assert_eq!(sent, Ok(Grown::To(end)));
    let append = Append {
        protocol: Protocol::Tus,
        offset: end,
        length: Some(0),
        total: Some(end),
        checksum: None,
        last: None,
    };
    let nothing = Bytes::new(vec![]);
    let told = edge
        .service
        .append(&edge.app().id, upload.id, append, nothing);
    let (grown, _) = block_on(told).expect("the end");
    let Grown::File(found) = grown else {
        panic!("no file: {grown:?}");
    };
    // Nobody has seen all of it in one piece.
    assert_eq!(found.file.sha256, None);
    let parts = bytes.chunks(fits(PART_SIZE)).map(Sha256::of).collect();
    assert_eq!(found.file.parts.map(|parts| parts.sha256), Some(parts));
    assert_eq!(edge.objects(), [bytes]);
}

#[test]
fn an_upload_that_nobody_goes_on_with_ends_before_r2_drops_it() {
    let edge = Edge::new();
    let link = edge.link();
    let upload = edge.open_serial(link, Role::File, Some(100)).expect("new");
    let _ = edge.grow(upload.id, 0, Bytes::cut(&content(50)), Some(100), None);
    assert_eq!(edge.look(upload.id).expect("half").offset, 50);
    let later = edge
        .service
        .links
        .now
        .get()
        .plus(crate::link::serial::LIFETIME);
    edge.service.links.now.set(later);
    edge.recover();
    assert!(edge.look(upload.id).is_err());
    assert_eq!(edge.multiparts(), 0);
}

#[test]
fn pieces_become_the_file_and_go() {
    let edge = Edge::new();
    let link = edge.link();
    let bytes = content(PART_SIZE + 1000);
    let cuts = [0, 0, 700, fits(PART_SIZE), bytes.len()];
    let pieces: Vec<UploadId> = cuts
        .windows(2)
        .map(|cut| {
            let piece = &bytes[cut[0]..cut[1]];
            let length = piece.len() as u64;
            let upload = edge
                .open_serial(link, Role::Piece, Some(length))
                .expect("a piece");
            if length > 0 {
                assert_eq!(edge.send_whole(upload.id, piece), Grown::Piece(length));
            }
            assert_eq!(edge.look(upload.id).expect("whole").phase, Phase::Piece);
            upload.id
        })
        .collect();
    let app = edge.app().id.clone();
    let join = |pieces: Vec<UploadId>| {
        block_on(
            edge.service
                .join(&app, link, "a.pdf".into(), String::new(), pieces),
        )
    };
    // R2 fails in the middle: the pieces are still there.
    edge.service.bucket.fault.set(("put part", Fault::Fail));
    assert!(join(pieces.clone()).is_err());
    edge.service.bucket.fault.set(("", Fault::None));
    assert!(join(vec![pieces[0], pieces[0]]).is_err(), "a piece twice");
    let joined = join(pieces.clone()).expect("a file");
    assert_eq!(join(pieces.clone()), Ok(joined), "asked again");
    let view = edge.look(joined).expect("the file");
    assert_eq!(
        (view.phase, view.sha256),
        (Phase::Stored, Some(Sha256::of(&bytes)))
    );
    assert_eq!(view.serial.role, Role::Join(pieces));
    edge.recover();
    assert_eq!(edge.objects(), [bytes], "the pieces went");
    assert_eq!(edge.multiparts(), 0);
    assert_eq!(edge.backend.heard.borrow().len(), 1, "one file, one event");
}

#[test]
fn a_worker_that_dies_at_any_step_loses_no_acknowledged_byte() {
    let bytes = content(PART_SIZE + 3000);
    let end = bytes.len() as u64;
    for steps in 1..12 {
        let edge = Edge::new();
        let link = edge.link();
        let upload = edge
            .open_serial(link, Role::File, Some(end))
            .expect("an upload");
        edge.service.links.left.set(steps);
        let sent = edge.grow(upload.id, 0, Bytes::new(bytes.clone()), Some(end), None);
        edge.service.links.left.set(usize::MAX);
        let acknowledged = match sent {
            Ok(Grown::To(offset)) => offset,
            Ok(Grown::File(_)) => end,
            _ => 0,
        };
        edge.recover();
        let view = edge.look(upload.id).expect("its state");
        assert!(view.offset >= acknowledged, "after {steps} steps");
        if view.phase == Phase::Receiving {
            let rest = bytes[fits(view.offset)..].to_vec();
            let left = rest.len() as u64;
            let grown = edge.grow(upload.id, view.offset, Bytes::new(rest), Some(left), None);
            assert!(matches!(grown, Ok(Grown::File(_))), "{grown:?}");
        }
        edge.recover();
        assert_eq!(
            edge.objects(),
            std::slice::from_ref(&bytes),
            "after {steps} steps"
        );
        assert_eq!(edge.backend.heard.borrow().len(), 1);
        let links = edge.service.links.links.borrow();
        assert_eq!(links[&link].link.status, Status::Active);
    }
}

/// A body of a request: how long, and what goes wrong.
#[derive(Clone, Copy, Debug)]
enum Step {
    Fine,
    Unannounced,
    Cut,
    /// No memory to keep parts on their way.
    Short,
    Checked,
    CheckedWrong,
    CheckedCut,
    Died(usize),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        3 => Just(Step::Fine),
        2 => Just(Step::Unannounced),
        2 => Just(Step::Cut),
        1 => Just(Step::Short),
        1 => Just(Step::Checked),
        1 => Just(Step::CheckedWrong),
        1 => Just(Step::CheckedCut),
        1 => (1_usize..6).prop_map(Step::Died),
    ];
    let length = prop_oneof![1 => 1_u64..5000, 2 => 1_u64..(3 * PART_SIZE)];
    prop::collection::vec((length, step), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However a file is sent, what is stored is the file, and no acknowledged byte is asked for
    /// again.
    #[test]
    fn any_sequence_of_bodies_makes_the_file(steps in steps(), size in PART_SIZE..(2 * PART_SIZE + 9)) {
        let edge = Edge::new();
        let bytes = content(size);
        let upload = edge.open_serial(edge.link(), Role::File, Some(size)).expect("an upload");
        let mut acknowledged = 0;
        let mut steps = steps.into_iter();
        for _ in 0..100 {
            let view = edge.look(upload.id).expect("its state");
            prop_assert!(view.offset >= acknowledged, "{} < {acknowledged}", view.offset);
            if view.phase == Phase::Stored {
                break;
            }
            let at = view.offset;
            let (length, step) = steps.next().unwrap_or((size, Step::Fine));
            let length = length.min(size - at);
            let whole = &bytes[fits(at)..fits(at + length)];
            let half = &whole[..whole.len() / 2];
            let mut body = match step {
                Step::Cut | Step::CheckedCut => Bytes::cut(half),
                _ => Bytes::new(whole.to_vec()),
            };
            body.keeps = !matches!(step, Step::Short);
            let announced = (!matches!(step, Step::Unannounced)).then_some(length);
            let checksum = match step {
                Step::Checked | Step::CheckedCut => Some(sha256(whole)),
                Step::CheckedWrong => Some(sha256(b"other")),
                _ => None,
            };
            if let Step::Died(commands) = step {
                edge.service.links.left.set(commands);
            }
            let grown = edge.grow(upload.id, at, body, announced, checksum);
            edge.service.links.left.set(usize::MAX);
            match (step, grown) {
                (Step::Died(_), Err(_)) => edge.recover(),
                (Step::CheckedWrong, grown) => {
                    prop_assert_eq!(refusal(grown), ProblemCode::DigestMismatch);
                    acknowledged = at;
                }
                (Step::CheckedCut, grown) => prop_assert_eq!(grown, Ok(Grown::Cut(at))),
                (Step::Cut, Ok(Grown::Cut(to))) => {
                    prop_assert_eq!(to, at + half.len() as u64, "every byte that arrived");
                    acknowledged = to;
                }
                (_, Ok(Grown::To(to))) => {
                    prop_assert_eq!(to, at + length);
                    acknowledged = to;
                }
                (_, Ok(Grown::File(_))) => acknowledged = size,
                (step, grown) => prop_assert!(false, "{step:?}: {grown:?}"),
            }
        }
        edge.recover();
        prop_assert_eq!(edge.objects(), [bytes]);
        prop_assert_eq!(edge.multiparts(), 0);
        prop_assert_eq!(edge.backend.heard.borrow().len(), 1);
    }
}

#[test]
fn http_dates_end_an_upload_with_its_link() {
    let edge = Edge::new();
    let upload = edge
        .open_serial(edge.link(), Role::File, Some(5))
        .expect("an upload");
    let now: Timestamp = edge.service.links.now.get();
    assert!(upload.expires_at > now);
}

/// A body without an announced length went on behind the end of the file: what came before it counted,
/// and the file was complete without anybody having been told.
#[test]
fn a_body_that_runs_over_the_length_adds_nothing() {
    for size in [PART_SIZE - 5, 2 * PART_SIZE, 2 * PART_SIZE + 5] {
        let edge = Edge::new();
        let bytes = content(size);
        let upload = edge
            .open_serial(edge.link(), Role::File, Some(bytes.len() as u64))
            .expect("an upload");
        let (head, rest) = bytes.split_at(1000);
        edge.grow(upload.id, 0, Bytes::new(head.to_vec()), None, None)
            .expect("the beginning");
        let over = [rest, b"more"].concat();
        let sent = edge.grow(upload.id, 1000, Bytes::new(over), None, None);
        assert_eq!(refusal(sent), ProblemCode::BodyTooLarge);
        assert_eq!(edge.look(upload.id).expect("the upload").offset, 1000);
        assert!(edge.objects().is_empty());
        let all = edge.grow(upload.id, 1000, Bytes::new(rest.to_vec()), None, None);
        assert!(matches!(all, Ok(Grown::File(_))), "without a look");
        assert_eq!(edge.objects(), [bytes]);
    }
}
