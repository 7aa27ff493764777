//! An upload, from its announcement to its file.

use chatlift_shared::api::{HeldPart, StagedPart};

use super::*;
use crate::link::decide::uploads::SPARE_UPLOADS;
use crate::link::serial::LIFETIME as UPLOAD_LIFETIME;
use crate::link::work::{WORKING_EVERY, workings};

#[test]
fn a_file_is_stored_with_its_event_in_one_decision() {
    let mut kept = Kept::new(2);
    kept.seal(1, 20 * MIB);
    assert_eq!(kept.bodies("file.stored"), 0);
    kept.run(commit(1, 1)).expect("a file");
    assert_eq!(kept.bodies("file.stored"), 1);
    assert_eq!(kept.state().files().len(), 1);
    // What the file is checked by stays as long as it.
    assert_eq!(kept.held.borrow()[&id(1)].parts.len(), 3);
    assert!(matches!(
        due(kept.state(), kept.now).as_slice(),
        [Work::Send(_)]
    ));
}

#[test]
fn complete_twice_returns_the_same_file() {
    let mut kept = Kept::new(2);
    kept.store(1, 20 * MIB);
    let first = kept.run(commit(1, 1)).expect("the file");
    let known = Sealing::File(Box::new(first.clone()));
    assert_eq!(kept.run(seal(1, 20 * MIB, 2)), Ok(known));
    assert_eq!(kept.run(commit(1, 2)), Ok(first));
    assert_eq!(kept.bodies("file.stored"), 1);
}

#[test]
fn the_last_part_seals_the_upload_and_no_other_does() {
    let (mut kept, size) = (Kept::new(2), 20 * MIB);
    kept.open(1, size);
    for n in [3, 1] {
        assert_eq!(kept.run(record_last(1, n, size, 1)), Ok(None));
    }
    match kept.run(record_last(1, 2, size, 2)).expect("sealed") {
        Some(Sealing::Sealed(sealed)) => {
            assert_eq!((sealed.attempt, sealed.size), (2, size));
            assert_eq!(sealed.etags, [1, 2, 3].map(|n| part_of(n).etag));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        kept.refused(record_last(1, 2, size, 3)),
        ProblemCode::UploadBusy
    );
    let file = kept.run(commit(1, 2)).expect("a file");
    let file = Some(Sealing::File(Box::new(file)));
    assert_eq!(kept.run(record_last(1, 2, size, 4)), Ok(file));
    assert_eq!(kept.bodies("file.stored"), 1);
}

#[test]
fn a_last_part_is_kept_when_its_upload_cannot_be_sealed() {
    let (mut kept, size) = (Kept::new(1), 20 * MIB);
    kept.open(1, size);
    kept.run(record(1, 1)).expect("a part");
    kept.run(record(1, 2)).expect("a part");
    // The digest of other parts.
    assert_eq!(kept.run(record_last(1, 3, MIB, 1)), Ok(None));
    assert_eq!(kept.refused(seal(1, MIB, 1)), ProblemCode::PartsDiffer);
    assert!(matches!(kept.run(seal(1, size, 1)), Ok(Sealing::Sealed(_))));
}

#[test]
fn the_same_file_announced_again_is_the_same_upload_with_its_parts() {
    let mut kept = Kept::new(1);
    let size = 20 * MIB;
    kept.open(1, size);
    kept.run(record(1, 2)).expect("a part");
    let announce = |name: &str| command::Announce {
        name: name.into(),
        size,
        earlier: None,
        extras: Extras::default(),
    };
    match kept.run(announce("file-1.pdf")).expect("the upload") {
        Announced::Known(upload) => {
            assert_eq!(upload.id, id(1));
            assert_eq!(
                upload.parts,
                [HeldPart {
                    n: 2,
                    sha256: part_of(2).sha256
                }]
            );
        }
        other => panic!("{other:?}"),
    }
    let other = kept.run(announce("file-2.pdf"));
    assert!(matches!(other, Ok(Announced::Room(_))));
}

#[test]
fn two_openings_of_one_file_leave_one_upload_and_abort_the_other() {
    let mut kept = Kept::new(1);
    kept.open(1, MIB);
    let mut twin = open(1, MIB);
    twin.upload = id(2);
    twin.multipart.r2_upload_id = "r2-2".into();
    assert_eq!(kept.run(twin).expect("the first").id, id(1));
    let cleanups: Vec<_> = kept.state().cleanups.values().map(|c| &c.what).collect();
    assert!(
        matches!(cleanups[..], [Cleanup::AbortMultipart { r2_upload_id, .. }] if r2_upload_id == "r2-2")
    );
}

/// Announces the file of [`open`] number 1 again, in an upload of its own.
fn open_again(n: u8, size: u64) -> command::Open {
    command::Open {
        name: "file-1.pdf".into(),
        ..open(n, size)
    }
}

/// A page was reloaded while the last bytes of its file arrived: it announced the file once more.
#[test]
fn a_file_that_was_stored_meanwhile_is_no_second_file() {
    let (mut kept, size) = (Kept::new(2), 9 * MIB);
    kept.seal(1, size);
    assert_eq!(kept.run(open_again(2, size)).expect("another").id, id(2));
    let first = kept.run(commit(1, 1)).expect("a file");
    // Without its bytes it is not the same, whatever its sender says.
    assert_eq!(kept.refused(seal(2, size, 1)), ProblemCode::PartsMissing);
    for n in [1, 2] {
        kept.run(record(2, n)).expect("a part");
    }
    let first = Sealing::File(Box::new(first));
    assert_eq!(kept.run(seal(2, size, 1)), Ok(first));
    let aborted = &kept.state().uploads[&id(2)].state;
    assert!(
        matches!(aborted, UploadState::Aborted { .. }),
        "{aborted:?}"
    );
    assert_eq!(kept.bodies("file.stored"), 1);
}

/// Who announces a file with the ticket of its upload, and the upload has been sealed meanwhile, is told
/// of its parts, also when the link takes no more files.
#[test]
fn a_sealed_upload_is_told_of_to_who_has_its_ticket() {
    let (mut kept, size) = (Kept::new(1), 9 * MIB);
    let announce = |name: &str, ticket: bool| command::Announce {
        name: name.into(),
        size,
        earlier: ticket.then(|| {
            let multipart = Multipart {
                alone: false,
                r2_upload_id: "r2-1".into(),
                part_size: part_size(size),
            };
            (id(1), multipart)
        }),
        extras: Extras::default(),
    };
    let is_told = |reply| match reply {
        Ok(Announced::Known(upload)) => {
            let digests: Vec<_> = upload.parts.iter().map(|part| part.sha256).collect();
            upload.id == id(1) && upload.sealed && digests == [1, 2].map(|n| part_of(n).sha256)
        }
        _ => false,
    };
    kept.seal(1, size);
    assert!(is_told(kept.run(announce("file-1.pdf", true))));
    let file = kept.run(commit(1, 1)).expect("a file");
    assert!(is_told(kept.run(announce("file-1.pdf", true))));
    // Its parts are the same: it is the file. Others are another file.
    let file = Sealing::File(Box::new(file));
    assert_eq!(kept.run(seal(1, size, 2)), Ok(file));
    assert_eq!(kept.refused(seal(1, 17 * MIB, 3)), ProblemCode::PartsDiffer);
    for (name, ticket) in [("file-1.pdf", false), ("file-2.pdf", true)] {
        assert_eq!(kept.refused(announce(name, ticket)), ProblemCode::LinkFull);
    }
    kept.run(command::DeleteFile { file: id(1).into() })
        .expect("deleted");
    assert_eq!(
        kept.refused(announce("file-1.pdf", true)),
        ProblemCode::LinkFull
    );
}

/// A second sender's part took the first one's file for its own.
#[test]
fn a_part_that_differs_from_a_stored_files_is_none_of_it() {
    let (mut kept, size) = (Kept::new(2), 9 * MIB);
    kept.store(1, size);
    assert_eq!(kept.run(record(1, 2)), Ok(None));
    let mut other = record(1, 2);
    other.part = part_of(1);
    assert_eq!(kept.refused(other), ProblemCode::PartsDiffer);
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let mut kept = Kept::new(1);
    assert_eq!(kept.refused(reserve(1, 0)), ProblemCode::FileEmpty);
    assert_eq!(
        kept.refused(reserve(1, 20 * MIB + 1)),
        ProblemCode::FileTooLarge
    );
    assert_eq!(
        kept.refused(open(1, 20 * MIB + 1)),
        ProblemCode::FileTooLarge
    );
    assert_eq!(kept.refused(seal(9, MIB, 1)), ProblemCode::UploadNotFound);
    kept.open(1, 20 * MIB);
    kept.run(record(1, 2)).expect("a part");
    let missing = kept
        .run(seal(1, 20 * MIB, 1))
        .expect_err("parts are missing");
    assert_eq!(
        (missing.code, missing.parts),
        (ProblemCode::PartsMissing, vec![1, 3])
    );
    kept.send_parts(1, 20 * MIB);
    assert_eq!(kept.refused(seal(1, 9 * MIB, 1)), ProblemCode::PartsDiffer);
    kept.run(seal(1, 20 * MIB, 1)).expect("sealed");
    assert_eq!(kept.refused(seal(1, 20 * MIB, 2)), ProblemCode::UploadBusy);
    assert_eq!(kept.refused(reserve(2, 1)), ProblemCode::LinkFull);
    assert_eq!(kept.refused(commit(1, 9)), ProblemCode::UploadBusy);
    kept.run(commit(1, 1)).expect("a file");
    assert_eq!(kept.state().link.status, Status::Completed);
    assert_eq!(kept.refused(reserve(2, 1)), ProblemCode::LinkFull);
}

#[test]
fn a_stuck_commit_is_due_and_can_be_taken_over() {
    let mut kept = Kept::new(1);
    kept.seal(1, MIB);
    assert_eq!(next_alarm(kept.state()), Some(kept.now.plus(STUCK_AFTER)));
    assert!(due(kept.state(), kept.now).is_empty());
    kept.pass(STUCK_AFTER.as_secs());
    assert!(matches!(due(kept.state(), kept.now).as_slice(), [Work::Settle(s)] if s.attempt == 1));
    kept.run(seal(1, MIB, 2)).expect("taken over");
    // Not as aborted: the first would remove the object of the second.
    assert_eq!(kept.refused(commit(1, 1)), ProblemCode::UploadBusy);
    let withdraw = command::Withdraw {
        upload: id(1),
        attempt: 1,
    };
    assert_eq!(kept.refused(withdraw), ProblemCode::UploadBusy);
    kept.run(commit(1, 2)).expect("a file");
}

#[test]
fn an_attempt_that_goes_on_is_not_stuck() {
    let mut kept = Kept::new(1);
    kept.run(reserve(1, MIB)).expect("reserved");
    let working = |attempt| command::Working {
        upload: id(1),
        attempt,
        goes_on: true,
    };
    for _ in 0..10 {
        kept.pass(STUCK_AFTER.as_secs() - 1);
        kept.run(working(1)).expect("on its way");
        assert!(
            due(kept.state(), kept.now.plus(WORKING_EVERY))
                .iter()
                .all(is_no_settle)
        );
    }
    assert_eq!(kept.refused(working(2)), ProblemCode::UploadAborted);
    kept.run(commit(1, 1)).expect("a file");
    assert_eq!((workings(256 * 1024), workings(8 * MIB)), (4, 54));
}

fn is_no_settle(work: &Work) -> bool {
    !matches!(work, Work::Settle(_))
}

/// R2 had put the parts together after all, when the link had given that up: nothing could be sent of
/// the upload any more, and it was no file either.
#[test]
fn a_commit_that_comes_after_its_upload_was_reopened_counts_if_there_is_room() {
    for room in [true, false] {
        let mut kept = Kept::new(1);
        kept.seal(1, MIB);
        kept.run(reopen(1)).expect("reopened");
        if !room {
            kept.run(reserve(2, MIB)).expect("the place");
        }
        let committed = kept.run(commit(1, 1)).map_err(|problem| problem.code);
        let full = Err(ProblemCode::LinkFull);
        assert_eq!(committed.map(drop), if room { Ok(()) } else { full });
        let state = &kept.state().uploads[&id(1)].state;
        assert_eq!(matches!(state, UploadState::Stored(_)), room);
    }
}

/// R2 drops what it has of an upload after seven days: its parts could not be sent, for as long as its
/// link lived.
#[test]
fn an_upload_ends_before_r2_drops_it() {
    let mut kept = Kept::new(1);
    let expires_at = kept.now.plus(2 * UPLOAD_LIFETIME);
    kept.run(command::Extend { expires_at })
        .expect("a longer life");
    kept.open(1, MIB);
    kept.pass(UPLOAD_LIFETIME.as_secs());
    kept.run(command::Tick).expect("a tick");
    assert_eq!(kept.refused(record(1, 1)), ProblemCode::UploadAborted);
}

fn reopen(n: u8) -> command::Reopen {
    command::Reopen {
        upload: id(n),
        attempt: 1,
        keep_parts: true,
    }
}

#[test]
fn reopening_keeps_the_parts_and_ends_a_single_request() {
    let mut kept = Kept::new(2);
    kept.seal(1, MIB);
    kept.run(reopen(1)).expect("reopened");
    kept.run(seal(1, MIB, 2)).expect("sealed again");
    kept.run(reserve(2, 1)).expect("reserved");
    kept.run(reopen(2)).expect("ended");
    assert!(matches!(
        kept.state().uploads[&id(2)].state,
        UploadState::Aborted { .. }
    ));
}

#[test]
fn progress_counts_the_bytes_that_are_held() {
    let mut kept = Kept::new(3);
    let size = 20 * MIB;
    kept.open(1, size);
    kept.run(record(1, 1)).expect("a part");
    let staged = StagedPart {
        n: 2,
        offset: 70_000,
    };
    kept.held
        .borrow_mut()
        .entry(id(1))
        .or_default()
        .staged
        .push(staged);
    kept.run(reserve(12, MIB)).expect("a place");
    let view = kept.run(command::ReadProgress).expect("the link");
    let held: Vec<_> = view.under_way.iter().map(|u| (u.size, u.held)).collect();
    assert_eq!(held, [(size, part_size(size) + 70_000), (MIB, 0)]);
    let view = kept.run(command::Read).expect("the link");
    assert_eq!(view.under_way, []);
}

#[test]
fn refused_uploads_do_not_grow_a_link_without_an_end() {
    let mut kept = Kept::new(1);
    kept.state.as_mut().expect("a link").link.expires_at = START.plus(Duration::from_secs(1 << 30));
    let nth = |n: u64| {
        let mut suffix = [0; 6];
        suffix.copy_from_slice(&n.to_le_bytes()[..6]);
        UploadId::new(LinkId::from_bytes([1; 12]), suffix)
    };
    let reserve = |n| command::Reserve {
        upload: nth(n),
        attempt: 1,
        name: "a.exe".into(),
        size: 3,
        sha256: None,
        extras: Extras::default(),
    };
    let mut refused = None;
    for n in 0..20_000 {
        match kept.run(reserve(n)) {
            Ok(_) => {
                let withdraw = command::Withdraw {
                    upload: nth(n),
                    attempt: 1,
                };
                kept.run(withdraw).expect("withdrawn");
            }
            Err(problem) => {
                assert_eq!(problem.code, ProblemCode::RateLimited);
                assert_eq!(problem.field.as_deref(), Some("uploads"));
                let wait = problem.retry_after.expect("when to try again");
                kept.pass(wait);
                kept.clean_due();
                refused = Some(n);
            }
        }
        assert!(kept.state().uploads.len() <= ROWS_MAX);
        assert!(kept.state().cleanups.len() <= ROWS_MAX);
    }
    assert!(refused.is_some(), "the limit was never met");
    // What the sender was told to wait for has come: the link takes a file.
    kept.pass(3_600);
    kept.clean_due();
    kept.run(command::Tick).expect("a tick");
    assert_eq!(kept.state().uploads.len(), ENDED_KEPT);
    kept.run(reserve(20_000)).expect("room");
}

#[test]
fn an_ended_upload_that_r2_may_still_have_is_not_forgotten() {
    let mut kept = Kept::new(250);
    for n in 0..=u8::MAX {
        kept.open(n, MIB);
        kept.run(command::Abort { upload: id(n) }).expect("aborted");
    }
    kept.run(command::Tick).expect("a tick");
    assert_eq!(kept.state().uploads.len(), 256, "none is cleaned away yet");
    assert_eq!(kept.state().cleanups.len(), 256);
}

#[test]
fn beyond_the_spare_uploads_the_oldest_makes_room() {
    let mut kept = Kept::new(1);
    for n in 0..=SPARE_UPLOADS {
        kept.open(u8::try_from(n).expect("few uploads"), MIB);
        kept.pass(1);
    }
    kept.open(100, MIB);
    let receiving = |n| {
        matches!(
            kept.state().uploads[&id(n)].state,
            UploadState::Receiving { .. }
        )
    };
    assert!(!receiving(0) && receiving(1) && receiving(100));
}

/// A worker died in the middle of a commit: a client that came back after the 2 s that it was told
/// met the same refusal until the attempt was taken for dead.
#[test]
fn who_waits_as_long_as_a_dead_commit_says_may_take_over() {
    let (mut kept, size) = (Kept::new(1), 20 * MIB);
    kept.seal(1, size);
    kept.pass(7);
    let left = STUCK_AFTER.as_secs() - 7;
    for command in [
        AnyCommand::from(seal(1, size, 2)),
        command::Touch {
            upload: id(1),
            writer: None,
        }
        .into(),
        command::Abort { upload: id(1) }.into(),
    ] {
        let problem = kept.run_any(command).expect_err("busy");
        assert_eq!(problem.code, ProblemCode::UploadBusy);
        assert_eq!(problem.retry_after, Some(left));
    }
    kept.pass(left);
    assert!(matches!(kept.run(seal(1, size, 2)), Ok(Sealing::Sealed(_))));
}

/// A request that had stalled kept a link's only place, and its retry was told that the link is full.
#[test]
fn a_file_in_one_request_gives_way_to_its_own_retry_when_nothing_comes_of_it() {
    let with = |n, sha256| command::Reserve {
        sha256,
        ..reserve(n, MIB)
    };
    let digest = |text: &[u8]| Some(Sha256::of(text));
    for (first, second, gives_way) in [
        (None, None, true),
        (digest(b"1"), digest(b"1"), true),
        (digest(b"1"), None, true),
        (digest(b"1"), digest(b"2"), false),
    ] {
        let mut kept = Kept::new(1);
        kept.run(with(1, first)).expect("the place");
        let code = kept.refused(with(2, second));
        let busy = ProblemCode::UploadBusy;
        assert_eq!(
            code,
            if gives_way {
                busy
            } else {
                ProblemCode::LinkFull
            }
        );
        // As long as bytes come it has its place.
        kept.pass(14);
        let working = command::Working {
            upload: id(1),
            attempt: 1,
            goes_on: true,
        };
        kept.run(working.clone()).expect("on its way");
        kept.pass(14);
        let nothing_came = command::Working {
            goes_on: false,
            ..working.clone()
        };
        kept.run(nothing_came).expect("its attempt still");
        assert_eq!(kept.refused(with(2, second)), code);
        kept.pass(1);
        assert_eq!(kept.run(with(2, second)).is_ok(), gives_way);
        if gives_way {
            assert_eq!(kept.refused(working), ProblemCode::UploadAborted);
            kept.run(commit(2, 1)).expect("a file");
        }
    }
}

/// R2 made the object of an attempt that was taken for dead, whose worker had died: nobody removed it.
#[test]
fn an_object_that_a_late_attempt_makes_goes_with_its_upload() {
    let ends: [fn(&mut Kept); 3] = [
        |kept| kept.pass(LIFETIME),
        |kept| kept.run(command::Revoke).expect("revoked"),
        |kept| kept.run(command::Abort { upload: id(1) }).expect("aborted"),
    ];
    for end in ends {
        let mut kept = Kept::new(1);
        kept.seal(1, 9 * MIB);
        kept.pass(STUCK_AFTER.as_secs());
        let reopen = command::Reopen {
            upload: id(1),
            attempt: 1,
            keep_parts: true,
        };
        kept.run(reopen).expect("reopened");
        end(&mut kept);
        kept.run(command::Tick).expect("a tick");
        assert!(is_aborted(&kept, 1));
        kept.clean_due();
        kept.pass(REMOVE_AFTER.as_secs());
        let key = kept.state().key(id(1));
        let what = Cleanup::DeleteObject { key };
        let removes =
            |work: &Work| matches!(work, Work::Clean { what: known, .. } if *known == what);
        assert!(due(kept.state(), kept.now).iter().any(removes));
    }
}

fn is_aborted(kept: &Kept, n: u8) -> bool {
    matches!(
        kept.state().uploads[&id(n)].state,
        UploadState::Aborted { .. }
    )
}
