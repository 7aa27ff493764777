//! What may go wrong, and how often it did.

use std::cell::{Cell, RefCell};

macro_rules! faults {
    ($($(#[doc = $what:literal])+ $fault:ident,)*) => {
        /// Something that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::tests) enum Fault {
            $($(#[doc = $what])+ $fault,)*
        }

        impl Fault {
            /// All of them, with what they are.
            pub(in crate::tests) const ALL: &[(Self, &str)] =
                &[$((Self::$fault, concat!($($what),+)),)*];
        }
    };
}

faults! {
    /// The store fails
    StoreFails,
    /// The store does it, and reports failure
    StoreFailsAfter,
    /// The link's object fails
    LinkFails,
    /// The link's object does it, and its answer is lost
    LinkFailsAfter,
    /// The backend does not take a webhook
    WebhookFails,
    /// The backend takes a webhook, and its answer is lost
    WebhookFailsAfter,
    /// The backend is down for hours
    BackendDown,
    /// The backend dies in the middle of a file
    BackendDies,
    /// A worker dies at an await
    WorkerDies,
    /// The alarm dies at an await
    AlarmDies,
    /// A worker goes on for a client that has gone, or is stopped
    ClientGone,
    /// A request never arrives
    RequestLost,
    /// An answer never arrives
    AnswerLost,
    /// A connection is cut in the middle of a body
    Cut,
    /// A body stalls on its way
    Stall,
    /// A connection dies without a word
    Silence,
    /// A request arrives long after its time
    Late,
    /// A request is overtaken by one that was sent later
    Overtaken,
    /// A request arrives twice
    Duplicate,
    /// A proxy answers for the edge
    Foreign,
    /// A proxy answers for the edge, which does it all the same
    ForeignAfter,
    /// A proxy takes no body as large as this
    ProxyLimit,
    /// The network is away for a while
    Outage,
    /// The edge's clocks jump
    ClockJump,
    /// Time passes in which nothing runs
    Sleep,
    /// The link's object is started anew
    ObjectRestart,
    /// A deploy, with old and new workers beside each other
    Deploy,
    /// A deploy that is taken back, and made again
    Rollback,
    /// The page is reloaded
    Reload,
}

/// Which faults strike, and how often each did.
#[derive(Debug)]
pub(in crate::tests) struct Faults {
    on: Cell<bool>,
    /// How many times rarer all are than usual.
    pub(in crate::tests) rarity: Cell<u64>,
    /// Those that do not strike, by their numbers.
    pub(in crate::tests) barred: Cell<u64>,
    /// How many more strike.
    pub(in crate::tests) left: Cell<u64>,
    struck: RefCell<Vec<u64>>,
    /// Those that have struck since it was asked.
    news: RefCell<Vec<Fault>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            on: Cell::new(false),
            rarity: Cell::new(1),
            barred: Cell::new(0),
            left: Cell::new(u64::MAX),
            struck: RefCell::new(vec![0; Fault::ALL.len()]),
            news: RefCell::default(),
        }
    }
}

impl Faults {
    /// Has them strike from now on, or no more.
    pub(in crate::tests) fn set(&self, on: bool) {
        self.on.set(on);
    }

    pub(in crate::tests) fn is_on(&self) -> bool {
        self.on.get()
    }

    /// Whether a fault strikes whose turn was `drawn`.
    pub(in crate::tests) fn strikes(&self, fault: Fault, drawn: bool) -> bool {
        let bit = 1 << (fault as u64);
        if !drawn || !self.on.get() || self.barred.get() & bit != 0 || self.left.get() == 0 {
            return false;
        }
        self.left.set(self.left.get() - 1);
        self.count(fault);
        true
    }

    /// Counts what has come of others.
    pub(in crate::tests) fn count(&self, fault: Fault) {
        if self.on.get() {
            self.struck.borrow_mut()[fault as usize] += 1;
            self.news.borrow_mut().push(fault);
        }
    }

    /// Those that have struck since this was asked.
    pub(in crate::tests) fn news(&self) -> Vec<Fault> {
        self.news.take()
    }

    /// How often each has struck, by their numbers.
    pub(in crate::tests) fn struck(&self) -> Vec<u64> {
        self.struck.borrow().clone()
    }
}
