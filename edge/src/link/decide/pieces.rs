//! Pieces of a file that were sent beside each other, and the file that they become.

use chatlift_shared::{Problem, ProblemCode, UploadId};

use super::Step;
use crate::link::command::{Answer, Reply};
use crate::link::serial::{PIECES_MAX, Pieces, Role, Serial};
use crate::link::state::{Multipart, UploadState};
use crate::link::work::busy_since;

impl Step<'_> {
    pub(super) fn pieces(&self, ids: &[UploadId]) -> Answer {
        let wrong = |detail: &str| {
            Problem::new(ProblemCode::InvalidRequest)
                .field("Upload-Concat")
                .detail(detail)
        };
        let joined = self.state.uploads.iter().find(|(_, row)| {
            let role = row.serial.as_ref().map(|s| &s.role);
            matches!(role, Some(Role::Join(known)) if known == ids)
                && !matches!(row.state, UploadState::Aborted { .. })
        });
        if let Some((id, row)) = joined {
            if let UploadState::Completing { since, .. } = row.state {
                return Err(busy_since(since, self.now));
            }
            return Ok(Reply::Pieces(Pieces {
                policy: self.state.link.policy.clone(),
                pieces: vec![],
                joined: Some(*id),
            }));
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
        Ok(Reply::Pieces(Pieces {
            policy: self.state.link.policy.clone(),
            pieces,
            joined: None,
        }))
    }

    pub(super) fn join(
        &mut self,
        upload: UploadId,
        attempt: u64,
        name: String,
        multipart: Multipart,
        serial: Serial,
    ) -> Answer {
        let Role::Join(ids) = &serial.role else {
            return Err(ProblemCode::InvalidRequest.into());
        };
        let size = match self.pieces(ids)? {
            Reply::Pieces(Pieces {
                pieces,
                joined: None,
                ..
            }) => sum(&pieces),
            _ => return Err(ProblemCode::UploadBusy.into()),
        };
        let state = UploadState::Completing {
            attempt,
            since: self.now,
            sha256: None,
            multipart: Some(multipart),
        };
        self.add(upload, name, size, state, Some(serial))?;
        Ok(self.room())
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
