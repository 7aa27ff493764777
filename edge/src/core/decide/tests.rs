//! The state machine: what each command makes of each state, and random sequences of commands
//! against the invariants.

mod large;
mod manage;

use std::cell::RefCell;

use chatlift_shared::api::{EventState, HeldPart, Join, Receipt, ReceiptStatus};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{part_count, part_size};
use chatlift_shared::webhook::Event;
use chatlift_shared::{AppId, FileId, LinkId};
use proptest::prelude::*;

use super::uploads::SPARE_UPLOADS;
use super::*;
use crate::core::command::{Outcome, Seal};
use crate::core::link::{EventRow, Policy, Words};
use crate::core::listing::Listed;
use crate::core::serial::{Protocol, Role, Serial, SerialCommand};
use crate::core::work::{STUCK_AFTER, Work, due, next_alarm};

const MIB: u64 = 1024 * 1024;
const START: Timestamp = Timestamp::from_secs(1_795_000_000);
const LIFETIME: u64 = 3_600;

fn app() -> AppId {
    "demo".parse().expect("an app id")
}

fn row(max_files: u32) -> LinkRow {
    LinkRow {
        id: LinkId::from_bytes([1; 12]),
        app: app(),
        scene: "docs".parse().expect("a scene id"),
        bucket: "files".into(),
        policy: Policy {
            accept: vec!["*/*".parse().expect("a media range")],
            max_file_size: 20 * MIB,
            max_files,
            formats: vec![],
            join: None,
            file_retention: 7_200,
        },
        subject: Some("case-7".into()),
        metadata: BTreeMap::new(),
        created_at: START,
        expires_at: START.plus(Duration::from_secs(LIFETIME)),
        status: Status::Active,
        request: None,
        next_event: 0,
        opened_at: None,
        words: Words::default(),
        password: None,
        listed: Listed::default(),
    }
}

/// A link with its parts table, as the Durable Object keeps them.
struct Kept {
    state: Option<LinkState>,
    held: RefCell<BTreeMap<UploadId, Held>>,
    now: Timestamp,
}

impl Kept {
    fn new(max_files: u32) -> Self {
        let mut kept = Self {
            state: None,
            held: RefCell::default(),
            now: START,
        };
        kept.run(Command::Create(Box::new(row(max_files))))
            .expect("a new link");
        // What the list is told has tests of its own.
        kept.run(Command::Listed {
            version: 1,
            done: true,
            jitter: 0,
        })
        .expect("listed");
        kept
    }

    fn run(&mut self, command: Command) -> Answer {
        let look = |id| self.held.borrow().get(&id).cloned().unwrap_or_default();
        let decision = decide(self.state.as_ref(), command, &look, self.now)?;
        for write in decision.parts {
            write.apply(&mut self.held.borrow_mut());
        }
        self.state = Some(decision.next);
        Ok(decision.reply)
    }

    fn refused(&mut self, command: Command) -> ProblemCode {
        let before = self.state.clone();
        let code = self.run(command).expect_err("a refusal").code;
        assert_eq!(self.state, before, "a refusal changes nothing");
        code
    }

    fn state(&self) -> &LinkState {
        self.state.as_ref().expect("a link")
    }

    fn pass(&mut self, secs: u64) {
        self.now = self.now.plus(Duration::from_secs(secs));
    }

    fn open(&mut self, n: u8, size: u64) -> UploadId {
        let opened = self.run(open(n, size)).expect("an upload");
        match opened {
            Reply::Upload(upload) => upload.id,
            other => panic!("{other:?}"),
        }
    }

    fn send_parts(&mut self, n: u8, size: u64) {
        for part in 1..=part_count(size, part_size(size)) {
            let n_part = u16::try_from(part).expect("few parts");
            self.run(record(n, n_part)).expect("a part");
        }
    }

    fn store(&mut self, n: u8, size: u64) {
        self.open(n, size);
        self.send_parts(n, size);
        self.run(seal(n, size, 1)).expect("sealed");
        self.run(commit(n, 1)).expect("a file");
    }

    fn bodies(&self, kind: &str) -> usize {
        let events = self.state().events.values();
        events
            .filter(|e| e.body.contains(&format!("\"type\":\"{kind}\"")))
            .count()
    }
}

fn id(n: u8) -> UploadId {
    UploadId::new(LinkId::from_bytes([1; 12]), [n; 6])
}

fn part_of(n: u16) -> Part {
    Part {
        etag: format!("etag-{n}"),
        sha256: Sha256::of(&n.to_le_bytes()),
    }
}

fn parts_digest(size: u64) -> Sha256 {
    let count = u16::try_from(part_count(size, part_size(size))).expect("few parts");
    Sha256::of_parts((1..=count).map(|n| part_of(n).sha256))
}

fn open(n: u8, size: u64) -> Command {
    Command::Open {
        upload: id(n),
        name: format!("file-{n}.pdf"),
        size,
        multipart: Multipart {
            r2_upload_id: format!("r2-{n}"),
            part_size: part_size(size),
        },
    }
}

fn seal_of(size: u64, attempt: u64) -> Seal {
    Seal {
        attempt,
        sha256: Sha256::of(b"whole"),
        parts_sha256: parts_digest(size),
    }
}

fn record(upload: u8, n: u16) -> Command {
    Command::RecordPart {
        upload: id(upload),
        n,
        part: part_of(n),
        seal: None,
    }
}

fn record_last(upload: u8, n: u16, size: u64, attempt: u64) -> Command {
    Command::RecordPart {
        upload: id(upload),
        n,
        part: part_of(n),
        seal: Some(seal_of(size, attempt)),
    }
}

fn seal(n: u8, size: u64, attempt: u64) -> Command {
    Command::Seal {
        upload: id(n),
        seal: seal_of(size, attempt),
    }
}

fn commit(n: u8, attempt: u64) -> Command {
    Command::Commit {
        upload: id(n),
        attempt,
        media_type: "application/pdf".into(),
        sha256: Sha256::of(b"whole"),
        etag: "etag".into(),
    }
}

fn reserve(n: u8, size: u64) -> Command {
    Command::Reserve {
        upload: id(n),
        attempt: 1,
        name: "a.pdf".into(),
        size,
        sha256: None,
    }
}

#[test]
fn a_file_is_stored_with_its_event_in_one_decision() {
    let mut kept = Kept::new(2);
    kept.open(1, 20 * MIB);
    kept.send_parts(1, 20 * MIB);
    kept.run(seal(1, 20 * MIB, 1)).expect("sealed");
    assert_eq!(kept.bodies("file.stored"), 0);
    kept.run(commit(1, 1)).expect("a file");
    assert_eq!(kept.bodies("file.stored"), 1);
    assert_eq!(kept.state().files().len(), 1);
    assert!(kept.held.borrow().is_empty());
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
    assert_eq!(kept.run(seal(1, 20 * MIB, 2)), Ok(first.clone()));
    assert_eq!(kept.run(commit(1, 2)), Ok(first));
    assert_eq!(kept.bodies("file.stored"), 1);
}

#[test]
fn the_last_part_seals_the_upload_and_no_other_does() {
    let (mut kept, size) = (Kept::new(2), 20 * MIB);
    kept.open(1, size);
    for n in [3, 1] {
        assert_eq!(kept.run(record_last(1, n, size, 1)), Ok(Reply::Done));
    }
    match kept.run(record_last(1, 2, size, 2)).expect("sealed") {
        Reply::Sealed(sealed) => {
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
    assert_eq!(kept.run(record_last(1, 3, MIB, 1)), Ok(Reply::Done));
    assert_eq!(kept.refused(seal(1, MIB, 1)), ProblemCode::PartsDiffer);
    assert!(matches!(kept.run(seal(1, size, 1)), Ok(Reply::Sealed(_))));
}

#[test]
fn the_same_file_announced_again_is_the_same_upload_with_its_parts() {
    let mut kept = Kept::new(1);
    let size = 20 * MIB;
    kept.open(1, size);
    kept.run(record(1, 2)).expect("a part");
    let again = Command::Announce {
        name: "file-1.pdf".into(),
        size,
    };
    match kept.run(again).expect("the upload") {
        Reply::Upload(upload) => {
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
    let other = Command::Announce {
        name: "file-2.pdf".into(),
        size,
    };
    assert!(matches!(kept.run(other), Ok(Reply::Room(_))));
}

#[test]
fn two_openings_of_one_file_leave_one_upload_and_abort_the_other() {
    let mut kept = Kept::new(1);
    kept.open(1, MIB);
    let mut twin = open(1, MIB);
    if let Command::Open {
        upload, multipart, ..
    } = &mut twin
    {
        *upload = id(2);
        multipart.r2_upload_id = "r2-2".into();
    }
    assert!(matches!(kept.run(twin), Ok(Reply::Upload(u)) if u.id == id(1)));
    let cleanups: Vec<_> = kept.state().cleanups.values().map(|c| &c.what).collect();
    assert!(
        matches!(cleanups[..], [Cleanup::AbortMultipart { r2_upload_id, .. }] if r2_upload_id == "r2-2")
    );
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
    assert_eq!(kept.refused(commit(1, 9)), ProblemCode::UploadAborted);
    kept.run(commit(1, 1)).expect("a file");
    assert_eq!(kept.state().link.status, Status::Completed);
    assert_eq!(kept.refused(reserve(2, 1)), ProblemCode::LinkFull);
}

#[test]
fn an_ended_link_takes_nothing_and_aborts_what_is_under_way() {
    for (end, code, event) in [
        (Command::Revoke, ProblemCode::LinkRevoked, "none"),
        (Command::Tick, ProblemCode::LinkExpired, "link.expired"),
    ] {
        let mut kept = Kept::new(3);
        kept.open(1, MIB);
        kept.send_parts(1, MIB);
        if end == Command::Tick {
            kept.pass(LIFETIME);
        }
        kept.run(end).expect("the end");
        assert_eq!(kept.refused(reserve(2, 1)), code);
        assert_eq!(kept.refused(seal(1, MIB, 1)), code);
        assert_eq!(kept.refused(record(1, 1)), code);
        assert_eq!(kept.bodies(event), usize::from(event != "none"));
        assert!(kept.held.borrow().is_empty());
        assert!(matches!(
            due(kept.state(), kept.now).first(),
            Some(Work::Clean { .. })
        ));
    }
}

#[test]
fn expiry_needs_no_alarm_to_be_kept() {
    let mut kept = Kept::new(1);
    kept.pass(LIFETIME);
    assert_eq!(kept.refused(reserve(1, 1)), ProblemCode::LinkExpired);
}

#[test]
fn a_commit_that_was_sealed_in_time_outlives_the_link() {
    let mut kept = Kept::new(1);
    kept.run(reserve(1, 1)).expect("reserved");
    kept.pass(LIFETIME);
    kept.run(commit(1, 1)).expect("a file");
    assert_eq!(kept.bodies("file.stored"), 1);
    assert_eq!(kept.state().link.status, Status::Expired);
}

#[test]
fn a_commit_under_way_when_the_link_is_revoked_leaves_no_object() {
    let mut kept = Kept::new(1);
    kept.run(reserve(1, 1)).expect("reserved");
    kept.run(Command::Revoke).expect("revoked");
    assert_eq!(kept.refused(commit(1, 1)), ProblemCode::LinkRevoked);
    let due_at = kept
        .state()
        .cleanups
        .values()
        .next()
        .expect("a cleanup")
        .due;
    assert!(
        due_at > kept.now.plus(STUCK_AFTER),
        "after the worker has given up"
    );
    assert_eq!(kept.bodies("file.stored"), 0);
}

#[test]
fn a_stuck_commit_is_due_and_can_be_taken_over() {
    let mut kept = Kept::new(1);
    kept.open(1, MIB);
    kept.send_parts(1, MIB);
    kept.run(seal(1, MIB, 1)).expect("sealed");
    assert_eq!(next_alarm(kept.state()), Some(kept.now.plus(STUCK_AFTER)));
    assert!(due(kept.state(), kept.now).is_empty());
    kept.pass(STUCK_AFTER.as_secs());
    assert!(matches!(due(kept.state(), kept.now).as_slice(), [Work::Settle(s)] if s.attempt == 1));
    kept.run(seal(1, MIB, 2)).expect("taken over");
    assert_eq!(kept.refused(commit(1, 1)), ProblemCode::UploadAborted);
    kept.run(commit(1, 2)).expect("a file");
}

#[test]
fn reopening_keeps_the_parts_and_ends_a_single_request() {
    let mut kept = Kept::new(2);
    kept.open(1, MIB);
    kept.send_parts(1, MIB);
    kept.run(seal(1, MIB, 1)).expect("sealed");
    kept.run(Command::Reopen {
        upload: id(1),
        attempt: 1,
        keep_parts: true,
    })
    .expect("reopened");
    kept.run(seal(1, MIB, 2)).expect("sealed again");
    kept.run(reserve(2, 1)).expect("reserved");
    kept.run(Command::Reopen {
        upload: id(2),
        attempt: 1,
        keep_parts: true,
    })
    .expect("ended");
    assert!(matches!(
        kept.state().uploads[&id(2)].state,
        UploadState::Aborted { .. }
    ));
}

#[test]
fn an_event_is_tried_until_acknowledged_or_parked_with_one_id() {
    let mut kept = Kept::new(2);
    kept.store(1, MIB);
    let event = *kept.state().events.keys().next().expect("an event");
    let tried = |attempt, outcome| Command::Tried {
        event,
        attempt,
        outcome,
        jitter: 0,
    };
    kept.run(tried(1, Outcome::Failed { retry_after: None }))
        .expect("a failure");
    assert!(due(kept.state(), kept.now).is_empty());
    kept.pass(5);
    assert!(
        matches!(due(kept.state(), kept.now).as_slice(), [Work::Send(s)] if s.event == event && s.attempt == 2)
    );
    // Reported twice, as after a crash: counted once.
    kept.run(tried(1, Outcome::Failed { retry_after: None }))
        .expect("known already");
    assert_eq!(kept.state().events[&event].attempts, 1);
    kept.run(tried(2, Outcome::Acknowledged))
        .expect("acknowledged");
    assert!(due(kept.state(), kept.now).is_empty());
    kept.run(Command::Redeliver { event }).expect("again");
    assert_eq!(due(kept.state(), kept.now).len(), 1);
    // A disabled endpoint is not the event's fault: it waits.
    kept.run(tried(3, Outcome::Gone)).expect("gone");
    let row = kept.state().events[&event].clone();
    assert_eq!((row.state, row.attempts), (EventState::Pending, 3));
    assert_eq!(row.next_at, kept.now.plus(Duration::from_secs(30 * 60)));
    kept.pass(30 * 60);
    kept.run(tried(4, Outcome::Held)).expect("held");
    assert_eq!(kept.state().events[&event].attempts, 3, "not tried");
    kept.pass(3 * 86_400);
    kept.run(tried(4, Outcome::Held)).expect("held to the end");
    assert_eq!(kept.state().events[&event].state, EventState::Parked);
}

#[test]
fn receipts_go_forward_only() {
    let mut kept = Kept::new(1);
    kept.store(1, MIB);
    let receipt = |status| Command::Receipt {
        file: id(1).into(),
        receipt: Receipt {
            status,
            reason: None,
            code: None,
            attempt: 0,
        },
    };
    kept.run(receipt(ReceiptStatus::Received))
        .expect("received");
    kept.run(receipt(ReceiptStatus::Converted))
        .expect("converted");
    kept.run(receipt(ReceiptStatus::Converted))
        .expect("repeated");
    assert_eq!(
        kept.refused(receipt(ReceiptStatus::Received)),
        ProblemCode::ReceiptOutOfOrder
    );
    kept.run(receipt(ReceiptStatus::Delivered))
        .expect("delivered");
    assert_eq!(
        kept.refused(receipt(ReceiptStatus::Rejected)),
        ProblemCode::ReceiptOutOfOrder
    );
}

#[test]
fn a_rejected_file_that_is_taken_up_again_has_receipts_anew() {
    let mut kept = Kept::new(1);
    kept.store(1, MIB);
    let receipt = |status, attempt| Command::Receipt {
        file: id(1).into(),
        receipt: Receipt {
            status,
            reason: None,
            code: None,
            attempt,
        },
    };
    use ReceiptStatus::{Converted, Delivered, Received, Rejected};
    let late = ProblemCode::ReceiptOutOfOrder;
    kept.run(receipt(Rejected, 0)).expect("rejected");
    assert_eq!(kept.refused(receipt(Delivered, 0)), late);
    kept.run(receipt(Received, 1)).expect("a new attempt");
    assert_eq!(kept.refused(receipt(Rejected, 0)), late);
    assert_eq!(kept.refused(receipt(Converted, 0)), late);
    kept.run(receipt(Converted, 1)).expect("converted");
    kept.run(receipt(Delivered, 1)).expect("delivered");
    assert_eq!(kept.refused(receipt(Received, 2)), late);
}

#[test]
fn a_preview_is_no_opening_and_the_first_opening_stays() {
    let mut kept = Kept::new(1);
    kept.run(Command::Read).expect("a preview");
    assert_eq!(kept.state().link.opened_at, None);
    kept.run(Command::Opened).expect("a person");
    kept.pass(60);
    kept.run(Command::Opened).expect("again");
    assert_eq!(kept.state().link.opened_at, Some(START));
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
    let view = |kept: &mut Kept, command| match kept.run(command).expect("the link") {
        Reply::Link(view) => view.under_way,
        other => panic!("{other:?}"),
    };
    let held: Vec<_> = view(&mut kept, Command::ReadProgress)
        .iter()
        .map(|u| (u.size, u.held))
        .collect();
    assert_eq!(held, [(size, part_size(size) + 70_000), (MIB, 0)]);
    assert_eq!(view(&mut kept, Command::Read), []);
}

#[test]
fn a_link_that_joins_is_completed_when_the_person_is_done_in_the_order_of_the_pick() {
    let mut plain = Kept::new(3);
    plain.store(1, MIB);
    let done = |order: &[u8]| Command::Finish {
        order: order.iter().map(|n| id(*n).into()).collect(),
    };
    plain.run(done(&[1])).expect("nothing");
    assert_eq!(plain.state().link.status, Status::Active);

    let mut kept = Kept::new(9);
    kept.state.as_mut().expect("a link").link.policy.join = Some(Join::Pdf);
    kept.run(done(&[])).expect("nothing yet");
    assert_eq!(kept.state().link.status, Status::Active);
    for n in [4, 3, 2, 1] {
        kept.store(n, MIB);
        kept.pass(1);
    }
    // One that is not of this link, one twice, and two left out: these follow as they began.
    kept.run(done(&[2, 77, 2, 1])).expect("done");
    kept.run(done(&[1, 2])).expect("done already");
    assert_eq!(kept.state().link.status, Status::Completed);
    let told: Vec<_> = kept
        .state()
        .events
        .values()
        .filter_map(|row| serde_json::from_str::<Event>(&row.body).ok())
        .filter_map(|event| match event.kind {
            EventKind::LinkCompleted(ended) => Some(ended.order),
            _ => None,
        })
        .collect();
    let expected: Vec<FileId> = [2, 1, 4, 3].map(|n| id(n).into()).to_vec();
    assert_eq!(told, [expected]);
}

#[test]
fn a_file_is_deleted_once_and_when_its_time_is_over() {
    let mut kept = Kept::new(2);
    kept.store(1, MIB);
    kept.store(2, MIB);
    kept.run(Command::DeleteFile { file: id(1).into() })
        .expect("deleted");
    assert_eq!(kept.state().cleanups.len(), 1);
    kept.run(Command::Cleaned {
        cleanup: format!("object:{}", id(1)),
        done: true,
    })
    .expect("gone");
    kept.run(Command::DeleteFile { file: id(1).into() })
        .expect("deleted already");
    assert!(kept.state().cleanups.is_empty());
    kept.pass(7_200);
    kept.run(Command::Tick).expect("time passes");
    assert!(kept.state().files().iter().all(|f| f.deleted_at.is_some()));
    assert_eq!(kept.state().cleanups.len(), 1);
}

#[test]
fn another_apps_link_is_not_there() {
    let mut kept = Kept::new(1);
    let command = |app: &str| Command::For {
        app: app.parse().expect("an app id"),
        missing: ProblemCode::FileNotFound,
        command: Box::new(Command::Read),
    };
    assert_eq!(kept.refused(command("other")), ProblemCode::FileNotFound);
    kept.run(command("demo")).expect("the link");
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

fn is_aborted(upload: &UploadRow) -> bool {
    matches!(upload.state, UploadState::Aborted { .. })
}

/// About serial uploads 20 to 23, of which the odd ones are pieces, and about joining those to 24.
fn serial_command() -> impl Strategy<Value = Command> {
    let role = |n: u8| if n % 2 == 1 { Role::Piece } else { Role::File };
    let serial = |role| Serial {
        protocol: Protocol::Tus,
        role,
        length_known: true,
        writer: 0,
        unchecked: None,
        metadata: String::new(),
        sha256: None,
    };
    let multipart = |n: u8, size| Multipart {
        r2_upload_id: format!("r2-{n}"),
        part_size: part_size(size),
    };
    let pieces = || vec![id(21), id(23)];
    let command = prop_oneof![
        prop_oneof![Just(0), Just(1), Just(9 * MIB)].prop_map(move |size| {
            (
                None,
                SerialCommand::Open {
                    name: "a".into(),
                    size,
                    multipart: multipart(20, size),
                    serial: serial(Role::File),
                },
            )
        }),
        (0_u64..3, any::<bool>()).prop_map(|(writer, checked)| {
            (
                None,
                SerialCommand::Begin {
                    protocol: Protocol::Tus,
                    writer,
                    offset: 0,
                    length: None,
                    total: None,
                    checked,
                },
            )
        }),
        (0_u64..3, 1_u16..3).prop_map(|(writer, n)| {
            (
                None,
                SerialCommand::Record {
                    writer,
                    n,
                    part: part_of(n),
                },
            )
        }),
        (0_u64..3).prop_map(|attempt| (
            None,
            SerialCommand::Seal {
                attempt,
                sha256: None
            }
        )),
        (0_u64..3).prop_map(|attempt| (None, SerialCommand::Keep { attempt })),
        Just((
            None,
            SerialCommand::Look {
                protocol: Protocol::Tus
            }
        )),
        (0_u64..3).prop_map(move |attempt| {
            (
                Some(24),
                SerialCommand::Join {
                    attempt,
                    name: "b".into(),
                    multipart: multipart(24, 9 * MIB),
                    serial: serial(Role::Join(pieces())),
                },
            )
        }),
        (0_u64..3).prop_map(|attempt| (Some(24), SerialCommand::Joining { attempt })),
    ];
    (20_u8..24, command).prop_map(move |(n, (joined, mut command))| {
        if let SerialCommand::Open { serial, .. } = &mut command {
            serial.role = role(n);
        }
        Command::Serial(id(joined.unwrap_or(n)), command)
    })
}

fn any_command() -> impl Strategy<Value = Command> {
    let n = 0_u8..5;
    let size = prop_oneof![Just(0), Just(1), Just(MIB), Just(20 * MIB), Just(21 * MIB)];
    prop_oneof![
        (n.clone(), size.clone()).prop_map(|(n, size)| open(n, size)),
        (n.clone(), 1_u16..4).prop_map(|(n, part)| record(n, part)),
        (n.clone(), 1_u16..4, size.clone(), 0_u64..3)
            .prop_map(|(n, part, size, attempt)| record_last(n, part, size, attempt)),
        (n.clone(), size.clone()).prop_map(|(n, size)| reserve(n + 10, size)),
        (n.clone(), size, 0_u64..3).prop_map(|(n, size, attempt)| seal(n, size, attempt)),
        (0_u8..25, 0_u64..3).prop_map(|(n, attempt)| commit(n, attempt)),
        (0_u8..25, 0_u64..3).prop_map(|(n, attempt)| Command::Withdraw {
            upload: id(n),
            attempt
        }),
        (0_u8..25, 0_u64..3, any::<bool>()).prop_map(|(n, attempt, keep_parts)| Command::Reopen {
            upload: id(n),
            attempt,
            keep_parts
        }),
        (0_u8..25).prop_map(|n| Command::Abort { upload: id(n) }),
        (0_u8..15).prop_map(|n| Command::DeleteFile { file: id(n).into() }),
        serial_command(),
        serial_command(),
        Just(Command::Revoke),
        Just(Command::Finish { order: vec![] }),
        Just(Command::Opened),
        Just(Command::Tick),
        Just(Command::Read),
    ]
}

proptest! {
    #[test]
    fn no_sequence_of_commands_breaks_the_promises(
        max_files in 1_u32..4,
        steps in prop::collection::vec((any_command(), 0_u64..400), 0..80),
    ) {
        let mut kept = Kept::new(max_files);
        let mut stored = std::collections::BTreeSet::new();
        for (command, wait) in steps {
            kept.pass(wait);
            let before = kept.state.clone().expect("a link");
            let _ = kept.run(command);
            let state = kept.state();
            // Never more files than the link takes.
            prop_assert!(state.places_taken() <= max_files);
            // What was stored stays stored, each with one event.
            for (id, upload) in &state.uploads {
                if matches!(upload.state, UploadState::Stored(_)) {
                    stored.insert(*id);
                }
            }
            for id in &stored {
                prop_assert!(state.file(*id).is_some(), "{id} was lost");
                let naming = format!("\"id\":\"{}\"", FileId::from(*id));
                let stored = |e: &&EventRow| e.body.contains("\"type\":\"file.stored\"");
                let events = state.events.values().filter(stored).filter(|e| e.body.contains(&naming)).count();
                prop_assert_eq!(events, 1, "events of {}", id);
            }
            // No event is lost, no end is undone.
            prop_assert!(before.events.keys().all(|e| state.events.contains_key(e)));
            prop_assert!(before.link.status == Status::Active || before.link.status == state.link.status);
            for (id, old) in &before.uploads {
                if is_aborted(old) {
                    prop_assert!(is_aborted(&state.uploads[id]));
                }
            }
            // R2's multipart uploads and objects are referenced, or on their way out.
            for (id, upload) in &state.uploads {
                if is_aborted(upload) {
                    prop_assert!(!kept.held.borrow().contains_key(id));
                    prop_assert!(state.cleanups.keys().any(|name| name.ends_with(&id.to_string())));
                }
            }
            // Whatever is due, something will wake for it.
            if !due(state, kept.now).is_empty() {
                prop_assert!(next_alarm(state).is_some_and(|at| at <= kept.now));
            }
            // An ended link has nothing under way.
            if state.link.status != Status::Active {
                let receiving = state.uploads.values().any(|u| u.state.is_under_way());
                prop_assert!(!receiving);
            }
        }
    }
}
