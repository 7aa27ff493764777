//! Pieces of a file that were sent beside each other, and the file that they become.

use chatlift_shared::{Problem, ProblemCode, UploadId};

use super::{Decide, PartWrite, Step};
use crate::link::serial::{Join, Keep, PIECES_MAX, Pieces, ReadPieces, RecordJoined, Role};
use crate::link::state::UploadState;
use crate::link::work::busy_since;

impl Decide for Keep {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self { upload, attempt } = self;
        if step.awaited(upload, attempt)? {
            step.keep_piece(upload);
            step.parts.push(PartWrite::DropAll(upload));
        }
        Ok(())
    }

    fn is_retried(&self) -> bool {
        true
    }
}

impl Decide for ReadPieces {
    fn decide(self, step: &mut Step<'_>) -> Result<Pieces, Problem> {
        step.pieces(&self.pieces)
    }
}

impl Decide for Join {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Role::Join(ids) = &self.serial.role else {
            return Err(ProblemCode::InvalidRequest.into());
        };
        step.asks_for(&self.extras)?;
        let pieces = step.pieces(ids)?;
        if pieces.joined.is_some() {
            return Err(ProblemCode::UploadBusy.into());
        }
        let state = UploadState::Completing {
            attempt: self.attempt,
            since: step.now,
            sha256: None,
            multipart: Some(self.multipart),
        };
        let size = sum(&pieces.pieces);
        step.add(self.upload, self.name, size, state, Some(self.serial))?;
        step.describe(self.upload, self.extras);
        Ok(())
    }
}

impl Decide for RecordJoined {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        step.working(self.upload, self.attempt, true)?;
        step.parts
            .push(PartWrite::Put(self.upload, self.n, self.part));
        Ok(())
    }
}

impl Step<'_> {
    fn pieces(&self, ids: &[UploadId]) -> Result<Pieces, Problem> {
        let wrong = |detail: &str| {
            Problem::new(ProblemCode::InvalidRequest)
                .field("Upload-Concat")
                .detail(detail)
        };
        let joined = self.state.uploads.iter().find(|(_, row)| {
            let role = row.serial.as_ref().map(|s| &s.role);
            matches!(role, Some(Role::Join(known)) if known == ids)
                && !matches!(row.state, UploadState::Aborted { twin: None, .. })
        });
        if let Some((id, row)) = joined {
            if let UploadState::Completing { since, .. } = row.state {
                return Err(busy_since(since, self.now));
            }
            return Ok(Pieces {
                policy: self.state.link.policy.clone(),
                pieces: vec![],
                joined: Some(*id),
            });
        }
        if ids.is_empty() || ids.len() > PIECES_MAX {
            return Err(wrong("Name 1 to 64 partial uploads.").limit(PIECES_MAX as u64));
        }
        let mut pieces = Vec::new();
        for (n, id) in ids.iter().enumerate() {
            let row = self.upload(*id)?;
            if !matches!(&row.serial, Some(s) if s.role == Role::Piece) || ids[..n].contains(id) {
                return Err(wrong("Name each partial upload once."));
            }
            match row.state {
                UploadState::Piece { .. } => pieces.push((*id, row.size)),
                UploadState::Completing { since, .. } => return Err(busy_since(since, self.now)),
                UploadState::Aborted { .. } => {
                    self.not_ended()?;
                    return Err(ProblemCode::UploadAborted.into());
                }
                _ => return Err(wrong("A partial upload is not whole yet.")),
            }
        }
        self.room_for(sum(&pieces))?;
        Ok(Pieces {
            policy: self.state.link.policy.clone(),
            pieces,
            joined: None,
        })
    }

    /// Makes a whole piece of an upload.
    pub(super) fn keep_piece(&mut self, upload: UploadId) {
        let state = UploadState::Piece {
            touched_at: self.now,
        };
        self.set(upload, state);
    }

    /// Ends the pieces of a file that was joined.
    pub(super) fn end_pieces(&mut self, joined: UploadId) {
        let role = self
            .state
            .uploads
            .get(&joined)
            .and_then(|row| row.serial.as_ref())
            .map(|serial| serial.role.clone());
        if let Some(Role::Join(pieces)) = role {
            for piece in pieces {
                self.end_upload(piece);
            }
        }
    }
}

fn sum(pieces: &[(UploadId, u64)]) -> u64 {
    pieces.iter().map(|(_, size)| size).sum()
}
