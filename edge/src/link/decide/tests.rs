//! The state machine: what each command makes of each state, and random sequences of commands
//! against the invariants. Here is a link as they all use it, and its commands.

mod audit;
pub(crate) mod explored;
mod files;
mod large;
mod links;
mod manage;
mod refused;
mod sequences;
mod settling;
mod twins;
mod uploads;
mod withdrawn;

use std::cell::RefCell;
use std::collections::BTreeMap;

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{part_count, part_size};
use chatlift_shared::{AppId, EventId, LinkId};

use super::*;
use crate::link::command;
use crate::link::command::Seal;
use crate::link::decide::audit::tests::goes_on;
use crate::link::listing::Listed;
use crate::link::message::AnyCommand;
use crate::link::reply::{Announced, Sealing};
use crate::link::state::{Extras, LinkRow, Policy, Words};
use crate::link::work::{STUCK_AFTER, Work, due, next_alarm};

const MIB: u64 = 1024 * 1024;
const START: Timestamp = Timestamp::from_secs(1_795_000_000);
const LIFETIME: u64 = 3_600;

fn app() -> AppId {
    "demo".parse().expect("an app id")
}

fn row(max_files: u32) -> LinkRow {
    LinkRow {
        version: crate::link::version::ROWS,
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
            note: false,
            file_retention: 7_200,
            record_retention: None,
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
        said: None,
        password: None,
        listed: Listed::default(),
        erased: false,
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
        kept.run(command::Create(Box::new(row(max_files))))
            .expect("a new link");
        // What the list is told has tests of its own.
        kept.run(command::Listed {
            version: 1,
            done: true,
            jitter: 0,
        })
        .expect("listed");
        kept
    }

    fn run<C: Decide>(&mut self, command: C) -> Result<C::Reply, Problem> {
        let look = |id| self.held.borrow().get(&id).cloned().unwrap_or_default();
        let decision = decide(self.state.as_ref(), command, &look, self.now)?;
        for write in decision.change.parts {
            write.apply(&mut self.held.borrow_mut());
        }
        if let Some(next) = &decision.change.next {
            goes_on(self.state.as_ref(), next);
        }
        self.state = decision.change.next;
        Ok(decision.reply)
    }

    /// Runs a command, whichever it is.
    fn run_any(&mut self, command: AnyCommand) -> Result<(), Problem> {
        command.visit(Run(self))
    }

    fn refused<C: Decide<Reply: std::fmt::Debug>>(&mut self, command: C) -> ProblemCode {
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
        self.run(open(n, size)).expect("an upload").id
    }

    fn send_parts(&mut self, n: u8, size: u64) {
        for part in 1..=part_count(size, part_size(size)) {
            let n_part = u16::try_from(part).expect("few parts");
            self.run(record(n, n_part)).expect("a part");
        }
    }

    /// Opens an upload that has all of its parts.
    fn fill(&mut self, n: u8, size: u64) {
        self.open(n, size);
        self.send_parts(n, size);
    }

    fn seal(&mut self, n: u8, size: u64) {
        self.fill(n, size);
        self.run(seal(n, size, 1)).expect("sealed");
    }

    fn store(&mut self, n: u8, size: u64) {
        self.seal(n, size);
        self.run(commit(n, 1)).expect("a file");
    }

    /// Does the cleanups that are due.
    fn clean_due(&mut self) {
        for work in due(self.state(), self.now) {
            if let Work::Clean { name, .. } = work {
                let cleanup = command::Cleaned {
                    cleanup: name,
                    done: true,
                };
                self.run(cleanup).expect("done");
            }
        }
    }

    fn bodies(&self, kind: &str) -> usize {
        let events = self.state().events.values();
        events
            .filter(|e| e.body.contains(&format!("\"type\":\"{kind}\"")))
            .count()
    }
}

struct Run<'a>(&'a mut Kept);

impl Visitor for Run<'_> {
    type Output = Result<(), Problem>;

    fn visit<C: Decide>(self, command: C) -> Result<(), Problem> {
        self.0.run(command).map(drop)
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

fn open(n: u8, size: u64) -> command::Open {
    command::Open {
        upload: id(n),
        name: format!("file-{n}.pdf"),
        size,
        multipart: Multipart {
            alone: false,
            r2_upload_id: format!("r2-{n}"),
            part_size: part_size(size),
        },
        extras: Extras::default(),
    }
}

fn seal_of(size: u64, attempt: u64) -> Seal {
    Seal {
        attempt,
        sha256: None,
        parts_sha256: Some(parts_digest(size)),
    }
}

fn record(upload: u8, n: u16) -> command::RecordPart {
    command::RecordPart {
        upload: id(upload),
        n,
        part: part_of(n),
        seal: None,
    }
}

fn record_last(upload: u8, n: u16, size: u64, attempt: u64) -> command::RecordPart {
    command::RecordPart {
        upload: id(upload),
        n,
        part: part_of(n),
        seal: Some(seal_of(size, attempt)),
    }
}

fn seal(n: u8, size: u64, attempt: u64) -> command::SealUpload {
    command::SealUpload {
        upload: id(n),
        seal: seal_of(size, attempt),
    }
}

fn tried(event: EventId, attempt: u32, outcome: command::Outcome) -> command::Tried {
    command::Tried {
        event,
        attempt,
        outcome,
        jitter: 0,
    }
}

fn commit(n: u8, attempt: u64) -> command::Commit {
    command::Commit {
        upload: id(n),
        attempt,
        media_type: "application/pdf".into(),
        sha256: None,
        etag: "etag".into(),
    }
}

fn reserve(n: u8, size: u64) -> command::Reserve {
    command::Reserve {
        upload: id(n),
        attempt: 1,
        name: "a.pdf".into(),
        size,
        sha256: None,
        extras: Extras::default(),
    }
}
