//! One edge and one receiver for all scenarios of a test binary, that run in parallel with links
//! of their own. What kills or stops them makes its own.

use std::ops::Deref;
use std::sync::LazyLock;

use crate::edge::{Edge, Setup};
use crate::receiver::Receiver;

/// An edge with the receiver of its webhooks.
#[derive(Debug)]
pub struct Stage {
    /// The edge.
    pub edge: Edge,
    /// What its apps hear.
    pub receiver: Receiver,
}

impl Stage {
    /// One of one's own.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::with(Setup::new(name))
    }

    /// One of one's own, with more than every edge has.
    #[must_use]
    pub fn with(setup: Setup) -> Self {
        let receiver =
            Receiver::start(&[&setup.app.webhook_secret, &setup.other_app.webhook_secret]);
        let edge = setup.start(&receiver.url());
        Self { edge, receiver }
    }
}

/// The binary's [`Stage`]; prints the edge's last lines when the scenario that holds it fails.
#[derive(Debug)]
pub struct Shared(&'static Stage);

/// The stage that the scenarios of this binary share.
#[must_use]
pub fn shared() -> Shared {
    static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::new("shared"));
    Shared(&STAGE)
}

impl Deref for Shared {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the edge's last lines:\n{}", self.0.edge.tail());
        }
    }
}
