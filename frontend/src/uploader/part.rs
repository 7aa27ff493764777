//! One part of a file, and the chunk of it that travels next.

use chatlift_shared::digest::Sha256;

/// A stretch of a part on its way; offsets are bytes from the start of the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The part, from 1.
    pub n: u16,
    /// Where it begins: what the edge holds already.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// A whole part that goes straight into storage: the edge keeps nothing of it if it is cut.
    pub direct: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sending {
    Todo,
    /// A chunk is under way.
    Under {
        chunk: Chunk,
        loaded: u64,
        since: f64,
    },
    Held,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) digest: Option<Sha256>,
    /// What the edge said that it holds under this number when the upload was announced.
    pub(super) held: Option<Sha256>,
    /// Bytes of its beginning that the edge holds.
    pub(super) offset: u64,
    /// The most that `offset` has been.
    pub(super) furthest: u64,
    pub(super) sending: Sending,
    /// A request was cut, so the edge may hold more: it is asked before anything is sent.
    pub(super) unsure: bool,
    /// Times that what arrived had another digest.
    pub(super) mismatches: u8,
}

impl Part {
    pub(super) const NEW: Self = Self {
        digest: None,
        held: None,
        offset: 0,
        furthest: 0,
        sending: Sending::Todo,
        unsure: false,
        mismatches: 0,
    };

    /// Whether it can be sent now.
    pub(super) fn is_ready(&self) -> bool {
        self.digest.is_some() && !self.unsure && self.sending == Sending::Todo
    }

    /// The edge holds its first `offset` bytes. Answers whether it never held as many: what shrinks
    /// and grows again is no progress.
    pub(super) fn reach(&mut self, offset: u64) -> bool {
        let further = offset > self.furthest;
        self.offset = offset;
        self.furthest = self.furthest.max(offset);
        further
    }

    /// Goes by what the edge said that it holds.
    pub(super) fn compare(&mut self) {
        if !matches!(self.sending, Sending::Under { .. }) {
            let same = self.digest.is_some() && self.digest == self.held;
            self.sending = if same { Sending::Held } else { Sending::Todo };
        }
    }
}
