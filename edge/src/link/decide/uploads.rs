//! Uploads: announced, opened, filled, or ended.

use std::collections::BTreeMap;

use chatlift_shared::api::HeldPart;
use chatlift_shared::{Problem, ProblemCode, Timestamp, UploadId};

use super::{Decide, PartWrite, Step};
use crate::link::command::{Abort, Announce, ForgetPart, Open, RecordPart, Resize, Touch};
use crate::link::reply::{Announced, OpenUpload, Sealing};
use crate::link::serial::Serial;
use crate::link::state::{Extras, LinkState, Multipart, Part, Policy, UploadRow, UploadState};
use crate::link::work::busy_since;

/// Uploads that may be under way beside the places left: a person who starts over, or has two
/// tabs open. Beyond it the one that was heard of longest ago makes room.
pub(super) const SPARE_UPLOADS: usize = 8;

impl Decide for Announce {
    fn decide(self, step: &mut Step<'_>) -> Result<Announced, Problem> {
        let Self {
            name,
            size,
            earlier,
            extras,
        } = self;
        step.asks_for(&extras)?;
        if let Some(own) = earlier.and_then(|own| step.find_own(&name, size, own)) {
            step.touch(own.id);
            step.describe(own.id, extras);
            return Ok(Announced::Known(own));
        }
        step.room_for(size)?;
        let Some(known) = step.find_receiving(&name, size) else {
            step.room_for_a_row()?;
            return Ok(Announced::Room(step.policy()));
        };
        step.touch(known.id);
        step.describe(known.id, extras);
        Ok(Announced::Known(known))
    }

    fn collects(&self, state: &LinkState) -> Option<UploadId> {
        state.uploads.iter().find_map(|(id, row)| {
            let same = row.serial.is_none() && row.name == self.name && row.size == self.size;
            let own = self.earlier.as_ref().is_some_and(|(own, _)| own == id);
            let found = match &row.state {
                UploadState::Receiving { multipart, .. } => own || !multipart.alone,
                _ => false,
            };
            (same && found).then_some(*id)
        })
    }
}

impl Decide for Open {
    fn decide(self, step: &mut Step<'_>) -> Result<OpenUpload, Problem> {
        let Self {
            upload: id,
            name,
            size,
            multipart,
            extras,
        } = self;
        step.asks_for(&extras)?;
        step.room_for(size)?;
        let known = step.find_receiving(&name, size);
        if let Some(known) = known.filter(|_| !multipart.alone) {
            if known.id != id && !planted!(TwinLeft) {
                step.room_for_a_row()?;
                step.abort_multipart(id, &multipart);
            }
            step.describe(known.id, extras);
            return Ok(known);
        }
        step.make_room_for_one_upload();
        let state = UploadState::Receiving {
            multipart: multipart.clone(),
            touched_at: step.now,
            attempted: false,
        };
        step.add(id, name, size, state, None)?;
        step.describe(id, extras);
        Ok(OpenUpload {
            id,
            size,
            multipart,
            parts: vec![],
            staged: vec![],
            sealed: false,
        })
    }
}

impl Decide for Resize {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self { upload, size } = self;
        step.take_parts(upload)?;
        if size == 0 {
            return Err(ProblemCode::FileEmpty.into());
        }
        match step.state.uploads.get_mut(&upload) {
            Some(row) if size <= row.size => row.size = size,
            Some(row) => {
                return Err(Problem::new(ProblemCode::FileTooLarge).limit(row.size));
            }
            None => return Err(ProblemCode::UploadNotFound.into()),
        }
        Ok(())
    }
}

/// Records a part, and seals the upload if that was the last. What keeps it from being sealed is
/// no problem of the part: who then asks to complete the upload is told.
impl Decide for RecordPart {
    fn decide(self, step: &mut Step<'_>) -> Result<Option<Sealing>, Problem> {
        let Self {
            upload: sent,
            n,
            part,
            seal,
        } = self;
        let upload = step.answered_with(sent);
        // A part that was sent twice, and the first one led to the end.
        if let UploadState::Stored(_) = step.kept_upload(upload)?.state {
            let parts = step.file_with_parts(upload).and_then(|file| file.parts);
            let kept = parts.and_then(|p| p.sha256.get(usize::from(n).checked_sub(1)?).copied());
            return match seal {
                _ if kept.is_some_and(|kept| kept != part.sha256) => {
                    Err(ProblemCode::PartsDiffer.into())
                }
                Some(seal) => step.seal(sent, seal, BTreeMap::new()).map(Some),
                None => Ok(None),
            };
        }
        if let Some(seal) = seal
            && step.awaited(upload, seal.attempt)?
        {
            let parts = (step.held)(upload).parts;
            return step.seal(upload, seal, parts).map(Some);
        }
        step.take_parts(upload)?;
        step.parts.push(PartWrite::Put(upload, n, part.clone()));
        let Some(seal) = seal else {
            return Ok(None);
        };
        let mut parts = (step.held)(upload).parts;
        parts.insert(n, part);
        Ok(step.seal(upload, seal, parts).ok())
    }

    fn is_retried(&self) -> bool {
        true
    }

    fn releases(&self) -> Option<(UploadId, u16)> {
        Some((self.upload, self.n))
    }
}

impl Decide for Touch {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        match self.writer {
            Some(writer) => step.writes(self.upload, writer),
            None => step.take_parts(self.upload),
        }
    }
}

impl Decide for ForgetPart {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self { upload, n } = self;
        if let UploadState::Receiving { .. } = step.upload(upload)?.state {
            step.parts.push(PartWrite::Drop(upload, n));
        }
        Ok(())
    }

    fn releases(&self) -> Option<(UploadId, u16)> {
        Some((self.upload, self.n))
    }
}

impl Decide for Abort {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        step.abort(self.upload)
    }
}

impl Step<'_> {
    pub(super) fn room_for(&self, size: u64) -> Result<(), Problem> {
        self.open_for_files()?;
        let policy = &self.state.link.policy;
        if size == 0 {
            return Err(ProblemCode::FileEmpty.into());
        }
        if size > policy.max_file_size {
            return Err(Problem::new(ProblemCode::FileTooLarge).limit(policy.max_file_size));
        }
        if self.state.places_taken() >= policy.max_files && !planted!(PlacesUncounted) {
            return Err(Problem::new(ProblemCode::LinkFull).limit(policy.max_files.into()));
        }
        Ok(())
    }

    /// Adds an upload. Ids are drawn at random, but one that ended must never come back to life.
    pub(super) fn add(
        &mut self,
        id: UploadId,
        name: String,
        size: u64,
        state: UploadState,
        serial: Option<Serial>,
    ) -> Result<(), Problem> {
        if self.state.uploads.contains_key(&id) {
            return Err(ProblemCode::UploadBusy.into());
        }
        self.room_for_a_row()?;
        let row = UploadRow {
            name,
            size,
            created_at: self.now,
            state,
            serial,
            extras: Extras::default(),
        };
        self.state.uploads.insert(id, row);
        Ok(())
    }

    /// Refuses what the scene does not ask for.
    pub(super) fn asks_for(&self, extras: &Extras) -> Result<(), Problem> {
        let policy = &self.state.link.policy;
        let refused = |field: &str, detail: &str| {
            let problem = Problem::new(ProblemCode::InvalidRequest);
            Err(problem.field(field).detail(detail))
        };
        if extras.note.is_some() && !policy.note {
            return refused("note", "This scene asks for none.");
        }
        if extras.rotate != 0 && policy.join.is_none() {
            return refused("rotate", "The files of this scene are not joined.");
        }
        Ok(())
    }

    /// Keeps what the sender of an upload says of it, until it is a file: then the app has been told.
    pub(super) fn describe(&mut self, upload: UploadId, extras: Extras) {
        if let Some(row) = self.state.uploads.get_mut(&upload)
            && matches!(
                row.state,
                UploadState::Receiving { .. } | UploadState::Completing { .. }
            )
        {
            row.extras = extras;
        }
    }

    pub(super) fn policy(&self) -> Policy {
        self.state.link.policy.clone()
    }

    fn find_receiving(&self, name: &str, size: u64) -> Option<OpenUpload> {
        self.state
            .uploads
            .iter()
            .find_map(|(id, row)| match &row.state {
                UploadState::Receiving { multipart, .. }
                    if row.name == name
                        && row.size == size
                        && row.serial.is_none()
                        && !multipart.alone =>
                {
                    let held = (self.held)(*id);
                    Some(OpenUpload {
                        id: *id,
                        size,
                        multipart: multipart.clone(),
                        parts: held_parts(held.parts),
                        staged: held.staged,
                        sealed: false,
                    })
                }
                _ => None,
            })
    }

    /// The upload of this name and size that a sender has the ticket of, if an announcement alone would
    /// not find it: nobody joins it, or it is sealed, and its parts' digests tell whether it is of the
    /// same file.
    fn find_own(
        &self,
        name: &str,
        size: u64,
        (id, mut multipart): (UploadId, Multipart),
    ) -> Option<OpenUpload> {
        if self.upload(id).ok()?.serial.is_some() {
            return None;
        }
        let kept = self.answered_with(id);
        let row = self.state.uploads.get(&kept)?;
        if row.name != name || row.size != size {
            return None;
        }
        let (mut staged, mut sealed) = (vec![], true);
        let parts = match &row.state {
            UploadState::Receiving {
                multipart: own @ Multipart { alone: true, .. },
                ..
            } => {
                let held = (self.held)(id);
                (multipart, staged, sealed) = (own.clone(), held.staged, false);
                held_parts(held.parts)
            }
            UploadState::Completing {
                multipart: Some(own),
                ..
            } => {
                multipart.alone = own.alone;
                held_parts((self.held)(id).parts)
            }
            UploadState::Stored(file) if file.deleted_at.is_none() => {
                let parts = self.file_with_parts(kept)?.parts?;
                let parts = (1..).zip(parts.sha256);
                parts.map(|(n, sha256)| HeldPart { n, sha256 }).collect()
            }
            _ => return None,
        };
        Some(OpenUpload {
            id,
            size,
            multipart,
            parts,
            staged,
            sealed,
        })
    }

    pub(super) fn touch(&mut self, upload: UploadId) {
        let now = self.now;
        if let Some(UploadRow {
            state: UploadState::Receiving { touched_at, .. },
            ..
        }) = self.state.uploads.get_mut(&upload)
        {
            *touched_at = now;
        }
    }

    pub(super) fn make_room_for_one_upload(&mut self) {
        let left = self
            .state
            .link
            .policy
            .max_files
            .saturating_sub(self.state.places_taken());
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .saturating_add(SPARE_UPLOADS);
        let mut receiving: Vec<(Timestamp, UploadId)> =
            self.state
                .uploads
                .iter()
                .filter_map(|(id, u)| match u.state {
                    UploadState::Receiving { touched_at, .. }
                    | UploadState::Piece { touched_at } => Some((touched_at, *id)),
                    _ => None,
                })
                .collect();
        receiving.sort_unstable();
        let too_many = (receiving.len() + 1).saturating_sub(most);
        for (_, id) in receiving.into_iter().take(too_many) {
            self.end_upload(id);
        }
    }

    /// Refuses unless the upload takes parts.
    pub(super) fn take_parts(&mut self, upload: UploadId) -> Result<(), Problem> {
        // Whatever became of its link by that: who sends it too, in another tab, asks and finds it.
        if let UploadState::Stored(_) = self.kept_upload(upload)?.state {
            return Err(ProblemCode::UploadBusy.into());
        }
        self.open_for_files()?;
        match &self.kept_upload(upload)?.state {
            UploadState::Receiving { .. } => {
                self.touch(upload);
                Ok(())
            }
            UploadState::Completing { since, .. } => Err(busy_since(*since, self.now)),
            UploadState::Piece { .. } | UploadState::Stored(_) => {
                Err(ProblemCode::UploadBusy.into())
            }
            UploadState::Aborted { .. } => Err(ProblemCode::UploadAborted.into()),
        }
    }

    pub(super) fn abort(&mut self, upload: UploadId) -> Result<(), Problem> {
        match &self.upload(upload)?.state {
            UploadState::Receiving { .. } | UploadState::Piece { .. } => {
                self.end_upload(upload);
                Ok(())
            }
            UploadState::Stored(file) if file.is_withdrawn() => Ok(()),
            UploadState::Aborted { .. } => Ok(()),
            // Too late to change one's mind: the answer to `complete` tells how it went.
            UploadState::Completing { since, .. } => Err(busy_since(*since, self.now)),
            UploadState::Stored(_) => Err(ProblemCode::UploadBusy.into()),
        }
    }
}

fn held_parts(parts: BTreeMap<u16, Part>) -> Vec<HeldPart> {
    let held = parts.into_iter().map(|(n, part)| HeldPart {
        n,
        sha256: part.sha256,
    });
    held.collect()
}
