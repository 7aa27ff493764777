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
    /// A whole part, which goes straight into storage; of one that is cut the edge keeps what came.
    pub direct: bool,
    /// It ends its part: if no other is missing then, the edge completes the upload with it.
    pub ends: bool,
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
    pub(super) sending: Sending,
    /// A request was cut, so the edge may hold more: it is asked before anything is sent.
    pub(super) unsure: bool,
    /// That request would have ended the part, so the edge may have it.
    pub(super) unheard: bool,
    /// Times that what arrived had another digest.
    pub(super) mismatches: u8,
}

impl Part {
    pub(super) const NEW: Self = Self {
        digest: None,
        held: None,
        offset: 0,
        sending: Sending::Todo,
        unsure: false,
        unheard: false,
        mismatches: 0,
    };

    /// Whether it can be sent now, to its end.
    pub(super) fn is_ready(&self) -> bool {
        self.digest.is_some() && self.may_begin()
    }

    /// Whether its beginning can be sent now. It takes a digest to tell whether what the edge holds
    /// is the same, and to end it.
    pub(super) fn may_begin(&self) -> bool {
        !self.unsure
            && self.sending == Sending::Todo
            && self.held.is_none_or(|_| self.digest.is_some())
    }

    /// Whether the edge has all of it, or may have.
    pub(super) fn may_be_held(&self) -> bool {
        match self.sending {
            Sending::Held => true,
            Sending::Under { chunk, .. } => chunk.ends,
            Sending::Todo => self.unheard,
        }
    }

    /// Goes by what the edge said that it holds.
    pub(super) fn compare(&mut self) {
        if !matches!(self.sending, Sending::Under { .. }) {
            let same = self.digest.is_some() && self.digest == self.held;
            self.sending = if same { Sending::Held } else { Sending::Todo };
        }
    }
}
