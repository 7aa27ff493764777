//! All that a small case is made of: the link, what R2 has, tabs with their workers, the alarm, the backend.

mod alarm;
mod deeds;
mod tabs;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chatlift_shared::{EventId, FileId};

pub(super) use self::alarm::Webhook;
pub(super) use self::deeds::Deed;
use self::tabs::GHOST;
pub(super) use self::tabs::{At, Fault, Tab};
use super::super::*;
use super::Case;
use crate::link::state::upload_of;
use crate::planted::{Fault as Planted, plant};

const SIZE: u64 = MIB;

/// What the event of a stored file has in it.
const STORED: &str = "\"type\":\"file.stored\"";

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
    /// Those of files in one request, whose object R2 is yet to make.
    puts: u64,
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
    /// The fault that is planted in the rules.
    planted: Option<Planted>,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.rows, self.now, self.tabs, self.looked).hash(hasher);
        (self.multiparts, self.late, self.puts, self.objects).hash(hasher);
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
            in_one: case.in_one && n == 0,
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
            puts: 0,
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
            planted: case.planted,
        }
    }

    /// Runs a command as the link's object does, and stores what is decided.
    pub(super) fn run<C: Decide>(&mut self, command: C) -> Result<C::Reply, Problem> {
        // stateright has threads of its own.
        plant(self.planted);
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

    /// Those of them whose file another one has become.
    pub(super) fn twins(&self) -> u64 {
        self.uploads(|state| matches!(state, UploadState::Aborted { twin: Some(_), .. }))
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
}
