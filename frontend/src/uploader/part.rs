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

/// What is known of a part's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    /// Not yet computed.
    Unknown,
    Known(Sha256),
    /// This page computes none, so nobody but it sends parts of the upload, and what the edge holds is its own.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sending {
    Todo,
    /// A request was cut, so the edge may hold more of it: it is asked before anything is sent.
    Cut {
        /// That request would have ended the part, so the edge may have all of it.
        ends: bool,
    },
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
    pub(super) digest: Digest,
    /// What the edge said that it holds under this number when the upload was announced.
    pub(super) held: Option<Sha256>,
    /// Bytes of its beginning that the edge holds.
    pub(super) offset: u64,
    pub(super) sending: Sending,
    /// Times that what arrived had another digest.
    pub(super) mismatches: u8,
}

impl Part {
    /// One of which nothing was sent.
    pub(super) const fn new(digest: Digest) -> Self {
        Self {
            digest,
            held: None,
            offset: 0,
            sending: Sending::Todo,
            mismatches: 0,
        }
    }

    /// What is known of its bytes will not become more.
    pub(super) fn is_read(&self) -> bool {
        self.digest != Digest::Unknown
    }

    /// Whether it can be sent now, to its end.
    pub(super) fn is_ready(&self) -> bool {
        self.is_read() && self.may_begin()
    }

    /// Whether its beginning can be sent now. It takes a digest to tell whether what the edge holds
    /// is the same, and to end it.
    pub(super) fn may_begin(&self) -> bool {
        self.sending == Sending::Todo && self.held.is_none_or(|_| self.is_read())
    }

    /// Whether the edge has all of it, or may have.
    pub(super) fn may_be_held(&self) -> bool {
        match self.sending {
            Sending::Held => true,
            Sending::Under { chunk, .. } => chunk.ends,
            Sending::Cut { ends } => ends,
            Sending::Todo => false,
        }
    }

    /// Goes by what the edge said that it holds.
    pub(super) fn compare(&mut self) {
        let same = match self.digest {
            Digest::Unknown => false,
            Digest::Known(digest) => self.held == Some(digest),
            Digest::None => self.held.is_some(),
        };
        match self.sending {
            Sending::Under { .. } => {}
            _ if same => self.sending = Sending::Held,
            Sending::Held => self.sending = Sending::Todo,
            Sending::Todo | Sending::Cut { .. } => {}
        }
    }

    /// Whether a request that would have ended it was cut.
    pub(super) fn is_unheard(&self) -> bool {
        self.sending == Sending::Cut { ends: true }
    }
}
