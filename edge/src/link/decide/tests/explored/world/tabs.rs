//! Tabs with their workers: how a file is sent, and what goes wrong with a step of that.

use super::*;
use crate::link::reply::{FoundFile, OpenUpload, Reserved};

/// Who repeats a request that arrives twice: a worker of nobody's.
pub(super) const GHOST: usize = 2;

/// Most uploads that a tab begins.
const OPENS: u8 = 2;

/// What goes wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
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

/// Where a tab is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum At {
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
pub(crate) struct Tab {
    pub(crate) at: At,
    pub(super) file: u8,
    /// Whether it sends the file in one request.
    pub(super) in_one: bool,
    /// The upload, once it knows of one.
    pub(super) upload: u8,
    /// Uploads that it has begun.
    pub(super) opens: u8,
    /// Its sender has cancelled: it announces nothing anew.
    pub(super) cancelled: bool,
}

impl Tab {
    pub(crate) fn may_go_on(&self) -> bool {
        match self.at {
            At::Absent | At::Stored | At::Refused => false,
            At::Begun | At::Room => !self.cancelled && self.opens < OPENS,
            _ => true,
        }
    }
}

impl World {
    /// What can go wrong with a tab's next step.
    pub(crate) fn faults_of(&self, tab: usize) -> impl Iterator<Item = Fault> {
        let at = self.tabs[tab].at;
        let has_worker = matches!(at, At::Sealed(_) | At::Made(_));
        let is_request = at != At::Begun || self.tabs[tab].in_one;
        let arrives = is_request && self.tabs[GHOST].at == At::Absent;
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
    pub(crate) fn step(&mut self, n: usize, fault: Option<Fault>) {
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
        if fault == Some(Fault::DiesAfter)
            && matches!(before.at, At::Made(_))
            && self.twins() & bit(before.upload) != 0
        {
            // Before it could remove the object, which is nobody's.
            self.objects |= bit(before.upload);
        }
        // A file in one request is sent anew; its sender knows of no upload.
        let at = match at {
            At::Asks if before.in_one => At::Begun,
            at => at,
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
            At::Begun if tab.in_one => self.reserve(n),
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

    /// The link is to have a place for a file in one request.
    fn reserve(&mut self, n: usize) -> At {
        let tab = &mut self.tabs[n];
        tab.opens += 1;
        let (begun, file) = (begun(n, tab.opens), tab.file);
        let attempt = self.sealings + 1;
        let reserved = self.run(command::Reserve {
            upload: id(begun),
            attempt,
            name: name_of(file),
            size: SIZE,
            sha256: Some(part_of(1).sha256),
            extras: Extras::default(),
        });
        match reserved {
            Ok(Reserved::Room(_)) => {
                self.tabs[n].upload = begun;
                self.sealings = attempt;
                self.puts |= bit(begun);
                At::Sealed(attempt)
            }
            Ok(Reserved::Stored(found)) => self.found(n, &found),
            Err(problem) => self.refused(n, &problem),
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

    fn joined(&mut self, n: usize, known: &OpenUpload) -> At {
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
        let (begun, file) = (begun(n, tab.opens), tab.file);
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
            ProblemCode::UploadBusy if tab.in_one => At::Begun,
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
        if (self.multiparts | self.puts) & bit(upload) != 0 {
            self.multiparts &= !bit(upload);
            self.puts &= !bit(upload);
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
        if tab.in_one {
            let _ = self.run(command::Withdraw { upload, attempt });
            return At::Begun;
        }
        let _ = self.run(command::Reopen {
            upload,
            attempt,
            keep_parts,
        });
        At::Asks
    }

    pub(crate) fn late_uploads(&self) -> impl Iterator<Item = u8> {
        let late = self.late & (self.multiparts | self.puts);
        (0..64).filter(move |upload| late & bit(*upload) != 0)
    }

    pub(crate) fn make_late(&mut self, upload: u8) {
        self.late &= !bit(upload);
        self.make(upload);
    }

    /// Commits an object; one that is no file is removed, unless it is a later attempt's.
    pub(super) fn commit(&mut self, upload: u8, attempt: u64) -> Result<FoundFile, Problem> {
        let row = self
            .link
            .as_deref()
            .and_then(|link| link.uploads.get(&id(upload)));
        // That of a file in one request is computed as it passes by.
        let sha256 = match row.map(|row| &row.state) {
            Some(UploadState::Completing { sha256, .. }) => *sha256,
            _ => None,
        };
        let committed = self.run(command::Commit {
            sha256,
            ..commit(upload, attempt)
        });
        let is_nobodys = match &committed {
            Ok(found) => found.file.id != id(upload).into(),
            Err(problem) => problem.code != ProblemCode::UploadBusy,
        };
        if is_nobodys {
            self.objects &= !bit(upload);
        }
        committed
    }
}

fn open_of(file: u8, upload: u8) -> command::Open {
    command::Open {
        name: name_of(file),
        ..open(upload, SIZE)
    }
}

fn name_of(file: u8) -> String {
    format!("file-{file}.pdf")
}

/// The upload that a tab begins as its first, second ...
fn begun(tab: usize, opens: u8) -> u8 {
    1 + u8::try_from(tab).expect("few") + 3 * (opens - 1)
}
