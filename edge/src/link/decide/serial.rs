//! Serial uploads: opened, grown, sealed; and pieces, kept and joined.

use chatlift_shared::api::LinkState as Status;
use chatlift_shared::limits::part_count;
use chatlift_shared::{Problem, ProblemCode, UploadId};

use super::{Decide, PartWrite, Step};
use crate::link::flow::{Held, offset, place, whole_staged};
use crate::link::reply::Sealing;
use crate::link::serial::{
    Abort, Begin, Checked, Ended, Look, Open, Overrun, Phase, Protocol, Record, Role, Room, Seal,
    SerialView, expires_at, may_write, with_status,
};
use crate::link::stage::offset_differs;
use crate::link::state::{LinkState, Policy, UploadRow, UploadState};
use crate::link::work::busy_since;

/// Nobody: what a writer is before the first request, and after one that only looked.
const NOBODY: u64 = 0;

impl Decide for Room {
    fn decide(self, step: &mut Step<'_>) -> Result<Policy, Problem> {
        step.room_for_serial(self.size, &self.role)?;
        step.room_for_a_row()?;
        Ok(step.policy())
    }
}

impl Decide for Open {
    fn decide(self, step: &mut Step<'_>) -> Result<SerialView, Problem> {
        let Self {
            upload,
            name,
            size,
            multipart,
            serial,
            extras,
        } = self;
        step.asks_for(&extras)?;
        step.room_for_serial(Some(size), &serial.role)?;
        step.make_room_for_one_upload();
        let state = UploadState::Receiving {
            multipart,
            touched_at: step.now,
            attempted: false,
        };
        step.add(upload, name, size, state, Some(serial))?;
        step.describe(upload, extras);
        step.view_serial(upload)
    }
}

/// Nobody may write any more, so that what is answered stays true.
impl Decide for Look {
    fn decide(self, step: &mut Step<'_>) -> Result<SerialView, Problem> {
        let Self { upload, protocol } = self;
        step.of_protocol(upload, protocol)?;
        if let UploadState::Aborted { twin: None, .. } = step.serial_row(upload)?.state {
            // The link's own end says more than that of the upload.
            step.not_ended()?;
            return Err(ProblemCode::UploadAborted.into());
        }
        step.roll_back(upload)?;
        if let Some(serial) = step.serial_row(upload)?.serial.as_mut() {
            serial.writer = NOBODY;
            serial.unchecked = None;
        }
        step.view_serial(upload)
    }

    fn collects(&self, _state: &LinkState) -> Option<UploadId> {
        Some(self.upload)
    }
}

impl Decide for Begin {
    fn decide(self, step: &mut Step<'_>) -> Result<SerialView, Problem> {
        let upload = self.upload;
        step.begin_request(&self)?;
        if let Some(serial) = step.serial_row(upload)?.serial.as_mut() {
            serial.writer = self.writer;
            serial.unchecked = self.checked.then_some(self.offset);
        }
        step.touch(upload);
        step.view_serial(upload)
    }

    fn collects(&self, _state: &LinkState) -> Option<UploadId> {
        Some(self.upload)
    }
}

impl Decide for Record {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        step.writes(self.upload, self.writer)?;
        step.parts
            .push(PartWrite::Put(self.upload, self.n, self.part));
        Ok(())
    }

    fn releases(&self) -> Option<(UploadId, u16)> {
        Some((self.upload, self.n))
    }
}

impl Decide for Checked {
    fn decide(self, step: &mut Step<'_>) -> Result<SerialView, Problem> {
        let upload = self.upload;
        step.writes(upload, self.writer)?;
        if !self.right && !planted!(WrongChecksumKept) {
            step.roll_back(upload)?;
        }
        if let Some(serial) = step.serial_row(upload)?.serial.as_mut() {
            serial.unchecked = None;
        }
        step.view_serial(upload)
    }
}

impl Decide for Overrun {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        step.writes(self.upload, self.writer)?;
        step.drop_from(self.upload, self.from)
    }
}

impl Decide for Ended {
    fn decide(self, step: &mut Step<'_>) -> Result<SerialView, Problem> {
        step.writes(self.upload, self.writer)?;
        step.set_length(self.upload, self.length)?;
        step.view_serial(self.upload)
    }
}

impl Decide for Abort {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        step.of_protocol(self.upload, self.protocol)?;
        step.abort(self.upload)
    }
}

impl Decide for Seal {
    fn decide(self, step: &mut Step<'_>) -> Result<Option<Sealing>, Problem> {
        let Self {
            upload,
            attempt,
            sha256,
        } = self;
        let row = step.serial_row(upload)?.clone();
        let serial = row.serial.ok_or(ProblemCode::UploadNotFound)?;
        let multipart = match row.state {
            UploadState::Stored(_) | UploadState::Aborted { twin: Some(_), .. } => {
                return step.sealed_before(upload).map(Some);
            }
            UploadState::Piece { .. } => return Ok(None),
            UploadState::Aborted { .. } => {
                step.not_ended()?;
                return Err(ProblemCode::UploadAborted.into());
            }
            UploadState::Completing {
                attempt: awaited,
                sha256,
                multipart: Some(multipart),
                ..
            } if awaited == attempt => {
                let held = (step.held)(upload).parts;
                let sealed = step.sealed(upload, attempt, multipart, held, sha256);
                return sealed.map(Some);
            }
            // No other attempt may come between: the alarm settles it should this one have died.
            UploadState::Completing { since, .. } => {
                return Err(busy_since(since.to_owned(), step.now));
            }
            UploadState::Receiving { multipart, .. } => multipart,
        };
        step.room_for_serial(Some(row.size), &serial.role)?;
        if row.size == 0 {
            // R2 completes nothing without parts, and an empty piece needs no object.
            step.abort_multipart(upload, &multipart);
            step.keep_piece(upload);
            return Ok(None);
        }
        let held = (step.held)(upload).parts;
        let count = part_count(row.size, multipart.part_size);
        let is_whole = held.len() as u64 == count || planted!(SerialSealedWithoutParts);
        if !serial.length_known || !is_whole {
            return Err(ProblemCode::PartsMissing.into());
        }
        // The digest of an only part is that of the file.
        let only = (count == 1).then(|| held.values().next().map(|p| p.sha256));
        let sha256 = sha256.or(only.flatten());
        step.sealed(upload, attempt, multipart, held, sha256)
            .map(Some)
    }

    fn is_retried(&self) -> bool {
        true
    }
}

impl Step<'_> {
    fn serial_row(&mut self, upload: UploadId) -> Result<&mut UploadRow, Problem> {
        self.state
            .uploads
            .get_mut(&upload)
            .filter(|row| row.serial.is_some())
            .ok_or_else(|| ProblemCode::UploadNotFound.into())
    }

    fn room_for_serial(&self, size: Option<u64>, role: &Role) -> Result<(), Problem> {
        match (size, role) {
            // A piece may be empty where a short file is cut into many.
            (Some(0), Role::Piece) => self.room_for(1),
            (size, _) => self.room_for(size.unwrap_or(1)),
        }
    }

    pub(super) fn not_ended(&self) -> Result<(), Problem> {
        match self.state.link.status {
            Status::Expired => Err(ProblemCode::LinkExpired.into()),
            Status::Revoked => Err(ProblemCode::LinkRevoked.into()),
            Status::Active | Status::Completed => Ok(()),
        }
    }

    fn of_protocol(&mut self, upload: UploadId, protocol: Protocol) -> Result<(), Problem> {
        match &self.serial_row(upload)?.serial {
            Some(serial) if serial.protocol == protocol => Ok(()),
            _ => Err(ProblemCode::UploadNotFound.into()),
        }
    }

    /// Refuses a request that cannot add to its upload from where it begins.
    fn begin_request(&mut self, begin: &Begin) -> Result<(), Problem> {
        let Begin {
            upload,
            protocol,
            offset: at,
            length,
            total,
            ..
        } = *begin;
        self.of_protocol(upload, protocol)?;
        let row = self.serial_row(upload)?;
        let size = row.size;
        if matches!(&row.serial, Some(s) if matches!(s.role, Role::Join(_))) {
            let problem = Problem::new(ProblemCode::InvalidRequest)
                .field("Upload-Concat")
                .detail("Nothing can be added to a file that was joined from partial uploads.");
            return Err(with_status(problem, 403));
        }
        match &row.state {
            UploadState::Stored(_)
            | UploadState::Piece { .. }
            | UploadState::Aborted { twin: Some(_), .. } => {
                // An answer that was lost is asked for again.
                return match (at == size, length) {
                    (false, _) => Err(offset_differs(size)),
                    (true, Some(0)) => Ok(()),
                    (true, _) => Err(past_the_end(size)),
                };
            }
            UploadState::Completing { since, .. } => {
                return Err(busy_since(since.to_owned(), self.now));
            }
            UploadState::Aborted { .. } => {
                self.not_ended()?;
                return Err(ProblemCode::UploadAborted.into());
            }
            UploadState::Receiving { .. } => {}
        }
        self.open_for_files()?;
        if !planted!(UncheckedKept) {
            self.roll_back(upload)?;
        }
        let has = self.offset_of(upload)?;
        if at != has {
            return Err(offset_differs(has));
        }
        if let Some(total) = total {
            self.set_length(upload, total)?;
        }
        let size = self.serial_row(upload)?.size;
        if length.is_some_and(|length| length > size - at) {
            return Err(past_the_end(size));
        }
        Ok(())
    }

    pub(super) fn writes(&mut self, upload: UploadId, writer: u64) -> Result<(), Problem> {
        self.open_for_files()?;
        may_write(&self.state, upload, Some(writer))?;
        self.touch(upload);
        Ok(())
    }

    /// How many bytes count, without what this step drops.
    fn offset_of(&self, upload: UploadId) -> Result<u64, Problem> {
        let row = self.upload(upload)?;
        let UploadState::Receiving { multipart, .. } = &row.state else {
            return Ok(row.size);
        };
        Ok(offset(&self.counted(upload), row.size, multipart.part_size))
    }

    /// What is held of an upload, without what this step drops.
    fn counted(&self, upload: UploadId) -> Held {
        let mut held = (self.held)(upload);
        for write in &self.parts {
            if let PartWrite::Truncate(id, n, begin) = write
                && *id == upload
            {
                held.truncate(*n, *begin);
            }
        }
        held
    }

    /// Drops bytes whose checksum was never checked.
    fn roll_back(&mut self, upload: UploadId) -> Result<(), Problem> {
        let row = self.upload(upload)?;
        match row.serial.as_ref().and_then(|s| s.unchecked) {
            Some(from) => self.drop_from(upload, from),
            None => Ok(()),
        }
    }

    /// Drops what is held from this byte on.
    fn drop_from(&mut self, upload: UploadId, from: u64) -> Result<(), Problem> {
        if let UploadState::Receiving { multipart, .. } = &self.upload(upload)?.state {
            let (n, begin) = place(from, multipart.part_size);
            self.parts.push(PartWrite::Truncate(upload, n, begin));
        }
        Ok(())
    }

    fn set_length(&mut self, upload: UploadId, length: u64) -> Result<(), Problem> {
        let has = self.offset_of(upload)?;
        let row = self.serial_row(upload)?;
        let known = row.serial.as_ref().is_some_and(|s| s.length_known);
        if (known && length != row.size) || length < has {
            return Err(Problem::new(ProblemCode::InvalidRequest)
                .field("Upload-Length")
                .detail(
                    "It differs from the length that was told before, or from what was sent.",
                ));
        }
        if length == 0 {
            return Err(ProblemCode::FileEmpty.into());
        }
        if length > row.size {
            return Err(Problem::new(ProblemCode::FileTooLarge).limit(row.size));
        }
        row.size = length;
        if let Some(serial) = row.serial.as_mut() {
            serial.length_known = true;
        }
        Ok(())
    }

    fn view_serial(&self, upload: UploadId) -> Result<SerialView, Problem> {
        let row = self.upload(upload)?;
        let serial = row.serial.clone().ok_or(ProblemCode::UploadNotFound)?;
        let mut view = SerialView {
            id: upload,
            phase: Phase::Receiving,
            name: row.name.clone(),
            size: row.size,
            offset: row.size,
            staged: vec![],
            multipart: None,
            serial,
            policy: self.state.link.policy.clone(),
            expires_at: expires_at(row.created_at, self.state.link.expires_at),
            retry_after: None,
            sha256: None,
        };
        match &row.state {
            UploadState::Receiving { multipart, .. } => {
                view.offset = self.offset_of(upload)?;
                view.staged = whole_staged(&self.counted(upload), row.size, multipart.part_size);
                view.multipart = Some(multipart.clone());
            }
            UploadState::Completing { since, .. } => {
                view.phase = Phase::Completing;
                view.retry_after = busy_since(*since, self.now).retry_after;
            }
            UploadState::Piece { .. } => view.phase = Phase::Piece,
            UploadState::Stored(_) | UploadState::Aborted { twin: Some(_), .. } => {
                view.phase = Phase::Stored;
                let file = self.state.file(self.answered_with(upload));
                view.sha256 = file.and_then(|file| file.sha256);
            }
            UploadState::Aborted { .. } => return Err(ProblemCode::UploadAborted.into()),
        }
        Ok(view)
    }

    /// Whether an upload must not go back to taking parts: the offset of a serial one never goes
    /// back, and a joined one takes none.
    pub(super) fn cannot_reopen(&self, upload: UploadId, keep_parts: bool) -> bool {
        let serial = self
            .state
            .uploads
            .get(&upload)
            .and_then(|row| row.serial.as_ref());
        serial.is_some_and(|s| !keep_parts || matches!(s.role, Role::Join(_)))
    }

    /// Ends uploads whose time is over: R2 drops what it has of them.
    pub(super) fn end_late(&mut self) {
        let link_end = self.state.link.expires_at;
        let late: Vec<_> = self
            .state
            .uploads
            .iter()
            .filter(|(_, row)| {
                row.state.is_under_way() && expires_at(row.created_at, link_end) <= self.now
            })
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.end_upload(id);
        }
    }
}

fn past_the_end(size: u64) -> Problem {
    Problem::new(ProblemCode::BodyTooLarge)
        .field("Upload-Length")
        .limit(size)
        .detail("The upload would become longer than it may be.")
}
