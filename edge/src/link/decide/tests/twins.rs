//! The same file on its way twice, by requests of any dialect: it is stored and told of once, and whoever sent it is
//! answered with that file.

use super::*;
use crate::link::reply::{FoundFile, Reserved};
use crate::link::serial;
use crate::link::serial::{Phase, Protocol, Role, Serial};

const NAME: &str = "a.pdf";

/// Of the only part of a small file, and of the file.
fn digest() -> Sha256 {
    part_of(1).sha256
}

/// How a file is on its way when another request of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    OneRequest,
    Parts,
    /// R2 has taken longer than the link waited.
    PartsLate,
    Tus,
}

const WAYS: [Way; 4] = [Way::OneRequest, Way::Parts, Way::PartsLate, Way::Tus];

impl Kept {
    /// Brings file `n` so far that R2 makes its object, or has; it has a name and a size that others have too.
    fn bring(&mut self, n: u8, size: u64, way: Way) {
        let multipart = open(n, size).multipart;
        match way {
            Way::OneRequest => {
                let sha256 = Some(digest());
                let reserved = self.run(command::Reserve {
                    sha256,
                    ..reserve(n, size)
                });
                assert!(matches!(reserved, Ok(Reserved::Room(_))), "{reserved:?}");
            }
            Way::Parts | Way::PartsLate => {
                let mut open = open(n, size);
                open.name = NAME.into();
                // Otherwise one would go on with the other's upload.
                open.multipart.alone = true;
                self.run(open).expect("an upload");
                self.send_parts(n, size);
                self.run(seal(n, size, 1)).expect("sealed");
            }
            Way::Tus => {
                let serial = Serial {
                    protocol: Protocol::Tus,
                    role: Role::File,
                    length_known: true,
                    writer: 0,
                    unchecked: None,
                    metadata: String::new(),
                    sha256: None,
                };
                let (upload, name) = (id(n), NAME.into());
                let open = serial::Open {
                    upload,
                    name,
                    size,
                    multipart,
                    serial,
                    extras: Extras::default(),
                };
                self.run(open).expect("an upload");
                self.run(begin(n, 0)).expect("a writer");
                for part in 1..=part_count(size, part_size(size)) {
                    let part = u16::try_from(part).expect("few parts");
                    let record = serial::Record {
                        upload,
                        writer: 1,
                        n: part,
                        part: part_of(part),
                    };
                    self.run(record).expect("a part");
                }
                assert!(matches!(self.run(seal_serial(n)), Ok(Some(_))));
            }
        }
        if way == Way::PartsLate {
            let reopen = command::Reopen {
                upload: id(n),
                attempt: 1,
                keep_parts: true,
            };
            self.run(reopen).expect("reopened");
        }
    }

    fn commit_of(&mut self, n: u8, size: u64) -> FoundFile {
        let whole = (part_count(size, part_size(size)) == 1).then(digest);
        let commit = command::Commit {
            sha256: whole,
            ..commit(n, 1)
        };
        self.run(commit).expect("a file")
    }

    fn owes_object_of(&self, n: u8) -> bool {
        let key = self.state().key(id(n));
        let what = Cleanup::DeleteObject { key };
        let mut owed = self.state().cleanups.values();
        owed.any(|cleanup| cleanup.what == what)
    }
}

fn begin(n: u8, offset: u64) -> serial::Begin {
    serial::Begin {
        upload: id(n),
        protocol: Protocol::Tus,
        writer: 1,
        offset,
        length: None,
        total: None,
        checked: false,
    }
}

fn seal_serial(n: u8) -> serial::Seal {
    serial::Seal {
        upload: id(n),
        attempt: 1,
        sha256: None,
    }
}

/// A page sent a file in one request, which stalled; another tab sent it in parts. The first request ended later, and
/// the file was stored and delivered twice.
#[test]
fn a_file_that_was_stored_meanwhile_is_not_stored_beside_it() {
    for size in [MIB, 20 * MIB] {
        for (first, second) in WAYS.iter().flat_map(|one| WAYS.map(|other| (*one, other))) {
            let told = format!("{first:?}, then {second:?} of {size} bytes");
            // A retry waits for the attempt that it meets; a large file comes in no single request.
            let waits = match (first, second) {
                (Way::OneRequest, Way::OneRequest) => true,
                (Way::Parts, Way::Parts | Way::PartsLate) => true,
                (first, second) => size > MIB && [first, second].contains(&Way::OneRequest),
            };
            if waits {
                continue;
            }
            let mut kept = Kept::new(3);
            kept.bring(1, size, first);
            kept.bring(2, size, second);
            let stored = kept.commit_of(2, size);
            assert_eq!(stored.file.id, id(2).into(), "{told}");
            for _ in 0..2 {
                let answered = kept.commit_of(1, size);
                assert_eq!(answered.file, stored.file, "{told}");
            }
            assert_eq!(kept.state().files_stored(), 1, "{told}");
            assert_eq!(kept.state().places_taken(), 1, "{told}");
            assert_eq!(kept.state().events.len(), 1, "{told}");
            assert!(kept.owes_object_of(1) && !kept.owes_object_of(2), "{told}");
        }
    }
}

#[test]
fn who_did_not_hear_that_its_file_is_another_ones_hears_it_when_it_asks() {
    let mut kept = Kept::new(3);
    kept.bring(1, MIB, Way::Parts);
    kept.bring(2, MIB, Way::OneRequest);
    let stored = kept.commit_of(2, MIB);
    kept.commit_of(1, MIB);
    let before = kept.state.clone();
    for asked in [kept.run(seal(1, MIB, 2)), {
        let last = kept.run(record_last(1, 1, MIB, 2));
        last.map(|sealing| sealing.expect("an answer"))
    }] {
        match asked {
            Ok(Sealing::File(found)) => assert_eq!(found.file, stored.file),
            other => panic!("{other:?}"),
        }
    }
    let earlier = Some((id(1), open(1, MIB).multipart));
    let announced = kept.run(command::Announce {
        name: NAME.into(),
        size: MIB,
        earlier,
        extras: Extras::default(),
    });
    assert!(
        matches!(&announced, Ok(Announced::Known(own)) if own.sealed && own.id == id(1)),
        "{announced:?}"
    );
    let mut other = record_last(1, 1, MIB, 2);
    other.part = part_of(2);
    assert_eq!(kept.refused(other), ProblemCode::PartsDiffer);
    assert_eq!(kept.state, before, "nothing is changed by asking");
}

#[test]
fn an_upload_by_tus_whose_file_is_another_ones_is_complete_for_who_asks() {
    let mut kept = Kept::new(3);
    kept.bring(1, 20 * MIB, Way::Tus);
    kept.bring(2, 20 * MIB, Way::Parts);
    let stored = kept.commit_of(2, 20 * MIB);
    kept.commit_of(1, 20 * MIB);
    let look = serial::Look {
        upload: id(1),
        protocol: Protocol::Tus,
    };
    let again = serial::Begin {
        length: Some(0),
        ..begin(1, 20 * MIB)
    };
    for view in [kept.run(look), kept.run(again)] {
        let view = view.expect("a view");
        assert_eq!((view.phase, view.offset), (Phase::Stored, 20 * MIB));
    }
    let sealing = kept.run(seal_serial(1));
    assert!(
        matches!(&sealing, Ok(Some(Sealing::File(found))) if found.file == stored.file),
        "{sealing:?}"
    );
}

/// What its sender says that a file is makes it no other's twin.
#[test]
fn files_of_one_name_and_size_are_two_where_their_content_differs() {
    let mut kept = Kept::new(3);
    kept.bring(1, MIB, Way::OneRequest);
    kept.bring(2, MIB, Way::Parts);
    kept.commit_of(2, MIB);
    let commit = command::Commit {
        sha256: Some(part_of(2).sha256),
        ..commit(1, 1)
    };
    let stored = kept.run(commit).expect("a file");
    assert_eq!(stored.file.id, id(1).into());
    assert_eq!(kept.state().files_stored(), 2);
}

#[test]
fn who_sends_a_file_in_one_request_without_its_digest_sends_a_file_more() {
    let mut kept = Kept::new(3);
    kept.run(reserve(1, MIB)).expect("reserved");
    kept.bring(2, MIB, Way::Parts);
    kept.commit_of(2, MIB);
    assert_eq!(kept.commit_of(1, MIB).file.id, id(1).into());
}
