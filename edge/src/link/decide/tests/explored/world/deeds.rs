//! What somebody does once.

use super::*;

/// What somebody does once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// The first tab's sender takes the file back, or cancels its upload.
    Withdraw,
    /// The app deletes the file.
    Delete,
    Revoke,
    Erase,
    /// The link's end is reached.
    Expire,
}

impl World {
    /// Whether somebody can do this now.
    pub(crate) fn can(&self, deed: Deed) -> bool {
        let there = match deed {
            Deed::Withdraw => self.tabs[0].upload != 0,
            Deed::Delete => self.backend.values().any(|file| *file != 0),
            _ => true,
        };
        !self.done && there && self.link.is_some()
    }

    pub(crate) fn does(&mut self, deed: Deed) {
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
}
