//! All that a small case is made of: the link, what R2 has, tabs with their workers, the alarm, the backend.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chatlift_shared::api::EventState;
use chatlift_shared::webhook::{Event, EventKind};
use chatlift_shared::{EventId, FileId};

use super::super::*;
use super::Case;
use crate::link::command::Outcome;
use crate::link::reply::FoundFile;
use crate::link::state::upload_of;

const SIZE: u64 = MIB;

/// Who repeats a request that arrives twice: a worker of nobody's.
const GHOST: usize = 2;

/// What the event of a stored file has in it.
const STORED: &str = "\"type\":\"file.stored\"";

/// Most uploads that a tab begins.
const OPENS: u8 = 2;

/// Most alarms until nothing is left of a link.
const ALARMS: u32 = 60;

/// What somebody does once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The first tab's sender takes the file back, or cancels its upload.
    Withdraw,
    /// The app deletes the file.
    Delete,
    Revoke,
    Erase,
    /// The link's end is reached.
    Expire,
}

/// What goes wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its worker dies before it.
    DiesBefore,
    /// Its worker dies after it, or its answer is lost.
    DiesAfter,
    /// The request arrives once more, at any time later.
    Twice,
    /// R2 fails to complete.
    StoreFails,
    /// R2 fails to complete, and does it at any time later.
    StoreIsLate,
}

/// What comes of sending an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Webhook {
    Taken,
    /// The alarm dies before it notes that.
    TakenAndDies,
    Refused,
}

/// Where a tab is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// Nobody.
    Absent,
    /// Its file is to be announced.
    Begun,
    /// There is room; R2 is to begin, and the link to know of it.
    Room,
    /// The upload is open; its only part is to be recorded.
    Opened,
    /// R2 is to make the object for this attempt.
    Sealed(u64),
    /// R2 has it; the link is to commit it.
    Made(u64),
    /// It asks what became of its upload.
    Asks,
    /// It was told that its file is stored.
    Stored,
    /// It was told that it is not.
    Refused,
}

/// A tab with its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tab {
    pub(super) at: At,
    file: u8,
    /// The upload, once it knows of one.
    upload: u8,
    /// Uploads that it has begun.
    opens: u8,
    /// Its sender has cancelled: it announces nothing anew.
    cancelled: bool,
}

impl Tab {
    pub(super) fn may_go_on(&self) -> bool {
        match self.at {
            At::Absent | At::Stored | At::Refused => false,
            At::Begun | At::Room => !self.cancelled && self.opens < OPENS,
            _ => true,
        }
    }
}

/// A state of the case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct World {
    pub(super) link: Option<Arc<LinkState>>,
    held: Arc<BTreeMap<UploadId, Held>>,
    /// A digest of these two: what is stored of the link.
    rows: u64,
    pub(super) now: Timestamp,
    pub(super) tabs: [Tab; 3],
    /// Bits of the uploads of which R2 has parts, is yet to make the object, or has it.
    multiparts: u64,
    late: u64,
    pub(super) objects: u64,
    /// Those that a tab was told are files, and those that somebody has taken back.
    pub(super) told: u64,
    pub(super) taken_back: u64,
    /// What the alarm found in R2: of which upload and attempt, and whether there is an object.
    pub(super) looked: Option<(u8, u64, bool)>,
    /// Events that the backend has, with the upload of each that is of a stored file.
    pub(super) backend: BTreeMap<EventId, u8>,
    /// Events that were sent, and whether one was twice.
    pub(super) sent: u8,
    pub(super) resent: bool,
    /// How many had been when the link was erased.
    pub(super) told_when_erased: Option<u8>,
    pub(super) sealings: u64,
    done: bool,
    pub(super) faults: u8,
    pub(super) passes: u8,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.rows, self.now, self.tabs, self.looked).hash(hasher);
        (self.multiparts, self.late, self.objects).hash(hasher);
        (self.told, self.taken_back, &self.backend).hash(hasher);
        (self.sent, self.resent, self.told_when_erased, self.sealings).hash(hasher);
        (self.done, self.faults, self.passes).hash(hasher);
    }
}

/// The bit of an upload.
fn bit(upload: u8) -> u64 {
    1 << upload
}

fn number(upload: UploadId) -> u8 {
    upload.suffix()[0]
}

impl World {
    pub(super) fn new(case: &Case) -> Self {
        let kept = Kept::new(case.max_files);
        let tab = |n: usize| Tab {
            at: case.tabs.get(n).map_or(At::Absent, |_| At::Begun),
            file: case.tabs.get(n).copied().unwrap_or_default(),
            upload: 0,
            opens: 0,
            cancelled: false,
        };
        Self {
            link: kept.state.map(Arc::new),
            held: Arc::default(),
            rows: 0,
            now: START,
            tabs: [tab(0), tab(1), tab(GHOST)],
            multiparts: 0,
            late: 0,
            objects: 0,
            told: 0,
            taken_back: 0,
            looked: None,
            backend: BTreeMap::new(),
            sent: 0,
            resent: false,
            told_when_erased: None,
            sealings: 0,
            done: false,
            faults: 0,
            passes: 0,
        }
    }

    /// Runs a command as the link's object does, and stores what is decided.
    pub(super) fn run<C: Decide>(&mut self, command: C) -> Result<C::Reply, Problem> {
        let look = |id| self.held.get(&id).cloned().unwrap_or_default();
        let decision = decide(self.link.as_deref(), command, &look, self.now)?;
        if !decision.change.parts.is_empty() {
            let held = Arc::make_mut(&mut self.held);
            decision
                .change
                .parts
                .into_iter()
                .for_each(|write| write.apply(held));
        }
        self.link = decision.change.next.map(Arc::new);
        let mut hasher = DefaultHasher::new();
        if let Some(link) = &self.link {
            let rows = (&link.link, &link.uploads, &link.cleanups, &link.events);
            postcard::to_allocvec(&rows)
                .expect("rows")
                .hash(&mut hasher);
        }
        let parts = self.held.iter().map(|(id, held)| (id, held.parts.len()));
        parts.for_each(|part| part.hash(&mut hasher));
        self.rows = hasher.finish();
        Ok(decision.reply)
    }

    pub(super) fn due(&self) -> Vec<Work> {
        let link = self.link.as_deref();
        link.map_or_else(Vec::new, |link| due(link, self.now))
    }

    fn uploads(&self, is: impl Fn(&UploadState) -> bool) -> u64 {
        let rows = self.link.iter().flat_map(|link| &link.uploads);
        let rows = rows.filter(|(_, row)| is(&row.state));
        rows.fold(0, |bits, (id, _)| bits | bit(number(*id)))
    }

    /// The uploads that are files.
    pub(super) fn stored(&self) -> u64 {
        self.uploads(
            |state| matches!(state, UploadState::Stored(file) if file.deleted_at.is_none()),
        )
    }

    /// Those that are or were.
    pub(super) fn files_ever(&self) -> u64 {
        self.uploads(|state| matches!(state, UploadState::Stored(_)))
    }

    /// Those that have ended without a file.
    pub(super) fn ended(&self) -> u64 {
        self.uploads(|state| matches!(state, UploadState::Aborted { .. }))
    }

    /// The names of such uploads; `None` where two have one name.
    pub(super) fn files_by_name(&self, is: impl Fn(&UploadState) -> bool) -> Option<Vec<&str>> {
        let rows = self.link.iter().flat_map(|link| link.uploads.values());
        let mut names = Vec::new();
        for row in rows.filter(|row| is(&row.state)) {
            if names.contains(&row.name.as_str()) {
                return None;
            }
            names.push(&row.name);
        }
        Some(names)
    }

    /// How many events the outbox has of files that were stored, sent or not.
    pub(super) fn events_of_files(&self) -> u32 {
        let events = self.link.iter().flat_map(|link| link.events.values());
        let stored = events.filter(|event| event.body.contains(STORED));
        u32::try_from(stored.count()).expect("few")
    }

    pub(super) fn is_erased(&self) -> bool {
        self.told_when_erased.is_some()
    }

    /// What can go wrong with a tab's next step.
    pub(super) fn faults_of(&self, tab: usize) -> impl Iterator<Item = Fault> {
        let at = self.tabs[tab].at;
        let has_worker = matches!(at, At::Sealed(_) | At::Made(_));
        let arrives = !matches!(at, At::Begun) && self.tabs[GHOST].at == At::Absent;
        let in_r2 = matches!(at, At::Sealed(_));
        [
            (Fault::DiesBefore, has_worker),
            (Fault::DiesAfter, true),
            (Fault::Twice, arrives),
            (Fault::StoreFails, in_r2),
            (Fault::StoreIsLate, in_r2),
        ]
        .into_iter()
        .filter_map(|(fault, strikes)| strikes.then_some(fault))
    }

    /// A tab goes on by one step.
    pub(super) fn step(&mut self, n: usize, fault: Option<Fault>) {
        self.faults += u8::from(fault.is_some());
        let before = self.tabs[n];
        let at = match fault {
            Some(Fault::DiesBefore) => At::Asks,
            Some(Fault::StoreFails | Fault::StoreIsLate) => self.fail_to_make(before, fault),
            Some(Fault::Twice) => {
                self.tabs[GHOST] = before;
                self.go_on(n)
            }
            _ => self.go_on(n),
        };
        let at = match (fault, at) {
            (Some(Fault::DiesAfter), _) if self.tabs[n].upload == 0 || before.at == At::Room => {
                At::Begun
            }
            (Some(Fault::DiesAfter), _) => At::Asks,
            (_, at) => at,
        };
        if at == At::Stored && n != GHOST {
            self.told |= bit(self.tabs[n].upload);
        }
        // A request that arrived twice ends with its answer, which nobody hears.
        let is_over = n == GHOST && !matches!(at, At::Sealed(_) | At::Made(_));
        self.tabs[n].at = if is_over { At::Absent } else { at };
    }

    fn go_on(&mut self, n: usize) -> At {
        let tab = self.tabs[n];
        let upload = id(tab.upload);
        match tab.at {
            At::Begun => self.announce(n),
            At::Room => self.open(n),
            At::Opened => {
                let attempt = self.sealings + 1;
                match self.run(record_last(tab.upload, 1, SIZE, attempt)) {
                    Ok(Some(sealing)) => self.sealed(n, sealing),
                    Ok(None) => At::Asks,
                    Err(problem) => self.refused(n, &problem),
                }
            }
            At::Asks => {
                let attempt = self.sealings + 1;
                match self.run(seal(tab.upload, SIZE, attempt)) {
                    Ok(sealing) => self.sealed(n, sealing),
                    Err(problem) => self.refused(n, &problem),
                }
            }
            At::Sealed(attempt) => {
                if self.make(tab.upload) {
                    return At::Made(attempt);
                }
                let withdrawn = self.run(command::Withdraw { upload, attempt });
                let problem = withdrawn.err();
                problem.map_or(
                    self.refused(n, &ProblemCode::UploadAborted.into()),
                    |problem| self.refused(n, &problem),
                )
            }
            At::Made(attempt) => match self.commit(tab.upload, attempt) {
                Ok(found) => self.found(n, &found),
                Err(problem) => self.refused(n, &problem),
            },
            over => over,
        }
    }

    fn announce(&mut self, n: usize) -> At {
        let tab = self.tabs[n];
        let open = open_of(tab.file, tab.upload);
        let earlier = (tab.upload != 0).then(|| (id(tab.upload), open.multipart));
        let extras = Extras::default();
        let (name, size) = (open.name, SIZE);
        match self.run(command::Announce {
            name,
            size,
            earlier,
            extras,
        }) {
            Ok(Announced::Room(_)) => At::Room,
            Ok(Announced::Known(known)) => self.joined(n, &known),
            Err(problem) => self.refused(n, &problem),
        }
    }

    fn joined(&mut self, n: usize, known: &crate::link::reply::OpenUpload) -> At {
        self.tabs[n].upload = number(known.id);
        match known.sealed || !known.parts.is_empty() {
            true => At::Asks,
            false => At::Opened,
        }
    }

    /// R2 begins an upload, and the link is told.
    fn open(&mut self, n: usize) -> At {
        let tab = &mut self.tabs[n];
        tab.opens += 1;
        let begun = 1 + u8::try_from(n).expect("few") + 3 * (tab.opens - 1);
        let file = tab.file;
        self.multiparts |= bit(begun);
        match self.run(open_of(file, begun)) {
            Ok(known) => self.joined(n, &known),
            Err(problem) => {
                self.multiparts &= !bit(begun);
                self.refused(n, &problem)
            }
        }
    }

    fn sealed(&mut self, n: usize, sealing: Sealing) -> At {
        match sealing {
            Sealing::Sealed(sealed) => {
                self.sealings = sealed.attempt;
                At::Sealed(sealed.attempt)
            }
            Sealing::File(found) => self.found(n, &found),
        }
    }

    fn found(&mut self, n: usize, found: &FoundFile) -> At {
        self.tabs[n].upload = number(upload_of(found.file.id));
        At::Stored
    }

    /// What a tab does that was refused.
    fn refused(&mut self, n: usize, problem: &Problem) -> At {
        let tab = &self.tabs[n];
        match problem.code {
            ProblemCode::UploadBusy => At::Asks,
            ProblemCode::PartsMissing => At::Opened,
            ProblemCode::UploadAborted | ProblemCode::UploadNotFound
                if !tab.cancelled && tab.opens < OPENS =>
            {
                At::Begun
            }
            _ => At::Refused,
        }
    }

    /// R2 makes the object, unless it has made it already; answers whether it has it.
    fn make(&mut self, upload: u8) -> bool {
        if self.multiparts & bit(upload) != 0 {
            self.multiparts &= !bit(upload);
            self.objects |= bit(upload);
        }
        self.objects & bit(upload) != 0
    }

    fn fail_to_make(&mut self, tab: Tab, fault: Option<Fault>) -> At {
        let At::Sealed(attempt) = tab.at else {
            return tab.at;
        };
        if self.objects & bit(tab.upload) != 0 {
            return At::Made(attempt);
        }
        if fault == Some(Fault::StoreIsLate) {
            self.late |= bit(tab.upload);
        }
        let (upload, keep_parts) = (id(tab.upload), true);
        // Whatever the link says to it, the sender asks again.
        let _ = self.run(command::Reopen {
            upload,
            attempt,
            keep_parts,
        });
        At::Asks
    }

    pub(super) fn late_uploads(&self) -> impl Iterator<Item = u8> {
        let late = self.late & self.multiparts;
        (0..64).filter(move |upload| late & bit(*upload) != 0)
    }

    pub(super) fn make_late(&mut self, upload: u8) {
        self.late &= !bit(upload);
        self.make(upload);
    }

    /// Commits an object; one that is refused is removed, unless it is a later attempt's.
    fn commit(&mut self, upload: u8, attempt: u64) -> Result<FoundFile, Problem> {
        let committed = self.run(commit(upload, attempt));
        if let Err(problem) = &committed
            && problem.code != ProblemCode::UploadBusy
        {
            self.objects &= !bit(upload);
        }
        committed
    }

    /// Whether somebody can do this now.
    pub(super) fn can(&self, deed: Deed) -> bool {
        let there = match deed {
            Deed::Withdraw => self.tabs[0].upload != 0,
            Deed::Delete => self.backend.values().any(|file| *file != 0),
            _ => true,
        };
        !self.done && there && self.link.is_some()
    }

    pub(super) fn does(&mut self, deed: Deed) {
        self.done = true;
        match deed {
            Deed::Withdraw => {
                let upload = id(self.tabs[0].upload);
                self.tabs[0].cancelled = true;
                if self.run(command::WithdrawFile { upload }).is_ok() {
                    self.taken_back |= bit(self.tabs[0].upload);
                }
            }
            Deed::Delete => {
                let told = self.backend.values().copied().find(|file| *file != 0);
                if let Some(upload) = told {
                    let file = FileId::from(id(upload));
                    self.run(command::DeleteFile { file })
                        .expect("a file that was told of");
                    self.taken_back |= bit(upload);
                }
            }
            Deed::Revoke => self.run(command::Revoke).expect("revoked"),
            Deed::Erase => {
                self.told_when_erased = Some(self.sent);
                self.taken_back = u64::MAX;
                self.run(command::Erase).expect("erased");
            }
            Deed::Expire => {
                let end = START.plus(Duration::from_secs(LIFETIME));
                self.now = self.now.max(end);
            }
        }
    }

    pub(super) fn looks(&mut self) {
        let settle = self.due().into_iter().find_map(|work| match work {
            Work::Settle(settle) => Some(settle),
            _ => None,
        });
        self.looked = settle.map(|settle| {
            let upload = number(settle.upload);
            (upload, settle.attempt, self.objects & bit(upload) != 0)
        });
    }

    pub(super) fn settles(&mut self, dies: bool) {
        self.faults += u8::from(dies);
        match self.looked.take().filter(|_| !dies) {
            Some((upload, attempt, true)) => drop(self.commit(upload, attempt)),
            Some((upload, attempt, false)) => {
                let (upload, keep_parts) = (id(upload), true);
                // What is refused was settled meanwhile.
                let _ = self.run(command::Reopen {
                    upload,
                    attempt,
                    keep_parts,
                });
            }
            None => {}
        }
    }

    pub(super) fn cleans(&mut self, fails: bool) {
        self.faults += u8::from(fails);
        let first = self.due().into_iter().find_map(|work| match work {
            Work::Clean { name, what } => Some((name, what)),
            _ => None,
        });
        let Some((cleanup, what)) = first else { return };
        if !fails {
            let key = match &what {
                Cleanup::AbortMultipart { key, .. } | Cleanup::DeleteObject { key } => key.clone(),
            };
            let link = self.link.as_deref().expect("a link");
            let upload = (1..64)
                .find(|n| link.key(id(*n)) == key)
                .expect("an upload");
            match what {
                Cleanup::AbortMultipart { .. } => self.multiparts &= !bit(upload),
                Cleanup::DeleteObject { .. } => self.objects &= !bit(upload),
            }
        }
        let done = !fails;
        self.run(command::Cleaned { cleanup, done }).expect("noted");
    }

    pub(super) fn sends(&mut self, webhook: Webhook) {
        self.faults += u8::from(webhook != Webhook::Taken);
        let first = self.due().into_iter().find_map(|work| match work {
            Work::Send(send) => Some(send),
            _ => None,
        });
        let Some(send) = first else { return };
        if webhook != Webhook::Refused {
            let file = file_of(&send.body).unwrap_or_default();
            self.resent |= self.backend.insert(send.event, file).is_some();
            self.sent += 1;
        }
        let outcome = match webhook {
            Webhook::Taken => Outcome::Acknowledged,
            Webhook::Refused => Outcome::Failed { retry_after: None },
            Webhook::TakenAndDies => return,
        };
        let (event, attempt, jitter) = (send.event, send.attempt, 0);
        self.run(command::Tried {
            event,
            attempt,
            outcome,
            jitter,
        })
        .expect("noted");
    }

    /// Whether all comes to its end when every worker has died: the alarm does what is due, time passes, and the link
    /// is forgotten. On the way each file is told of, and R2 has the files and nothing else once nothing is owed.
    pub(super) fn rests(mut self) -> bool {
        self.looked = None;
        for _ in 0..ALARMS {
            let next = self.link.as_deref().and_then(next_alarm);
            let Some(next) = next else { break };
            if self.is_settled() && !self.books_balance() {
                return false;
            }
            self.now = self.now.max(next);
            if self.run(command::Tick).is_err() {
                return false;
            }
            for work in self.due() {
                match work {
                    Work::Settle(_) => {
                        self.looks();
                        self.settles(false);
                    }
                    Work::Clean { .. } => self.cleans(false),
                    Work::Send(_) => self.sends(Webhook::Taken),
                    Work::List { entry, .. } => {
                        let (version, done, jitter) = (entry.version, true, 0);
                        let _ = self.run(command::Listed {
                            version,
                            done,
                            jitter,
                        });
                    }
                    Work::Forget { .. } => drop(self.run(command::Forget)),
                }
            }
        }
        self.link.is_none() && self.held.is_empty() && self.objects == 0 && self.multiparts == 0
    }

    fn events(&self) -> impl Iterator<Item = EventState> {
        let rows = self.link.iter().flat_map(|link| link.events.values());
        rows.map(|row| row.state)
    }

    /// Whether nothing is being committed, owed, or still to be told.
    fn is_settled(&self) -> bool {
        let completing = self.uploads(|state| matches!(state, UploadState::Completing { .. }));
        let owes = self
            .link
            .as_ref()
            .is_some_and(|link| !link.cleanups.is_empty());
        let tells = self.events().any(|state| state == EventState::Pending);
        completing == 0 && !owes && !tells
    }

    /// Whether R2 has the files and nothing else, and the backend was told of each.
    fn books_balance(&self) -> bool {
        let receiving = self.uploads(UploadState::is_under_way);
        let told = self.backend.values().filter(|upload| **upload != 0);
        let told = told.fold(0, |bits, upload| bits | bit(*upload));
        // An upload that is open again may have its object, which R2 made late.
        self.objects & !receiving == self.stored()
            && self.multiparts & !receiving == 0
            && self.events().all(|state| state == EventState::Acknowledged)
            && (self.is_erased() || told == self.files_ever())
    }
}

/// The upload of which an event says that it is stored.
fn file_of(body: &str) -> Option<u8> {
    let event: Event = serde_json::from_str(body).expect("an event");
    match event.kind {
        EventKind::FileStored(stored) => Some(number(upload_of(stored.file.id))),
        _ => None,
    }
}

fn open_of(file: u8, upload: u8) -> command::Open {
    command::Open {
        name: format!("file-{file}.pdf"),
        ..open(upload, SIZE)
    }
}
