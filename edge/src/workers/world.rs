//! Time, randomness, and what tests may ask for when the `FAULTS` variable is on.

use chatlift_shared::{Timestamp, UploadId};
use core::time::Duration;
use worker::{Date, Delay, Request, Response};

use crate::faults;
use crate::faults::{HEADER_FAULT, PANIC};
use crate::ports::{Failure, World};
use crate::upload::Recent;

/// The worker is of the next deployment, and the objects are not yet.
const NEWER_WORKER: &str = "newer-worker";

/// Whether a test asks that a request be answered by a worker of the next deployment.
pub(super) fn is_newer(request: &Request) -> bool {
    let fault = request.headers().get(HEADER_FAULT).ok().flatten();
    fault.as_deref() == Some(NEWER_WORKER)
}

thread_local! {
    static RECENT: Recent = Recent::default();
}

/// The Worker's own clock and random numbers.
#[derive(Debug)]
pub(super) struct Workers {
    fault: Option<String>,
}

impl Workers {
    pub(super) const fn new(fault: Option<String>) -> Self {
        Self { fault }
    }
}

/// Now, as the platform tells it: within a request it stands still between I/O.
pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(i64::try_from(Date::now().as_millis()).unwrap_or(i64::MAX))
}

/// Random bits.
pub(super) fn random() -> u64 {
    // The platform's getRandomValues has no way to fail.
    getrandom::u64().unwrap_or_else(|_| unreachable!("random numbers are always there"))
}

impl World for Workers {
    fn now(&self) -> Timestamp {
        now()
    }

    fn random(&self) -> u64 {
        random()
    }

    async fn pause(&self, time: Duration) {
        Delay::from(time).await;
    }

    fn comes_again(&self, upload: UploadId, n: u16) -> bool {
        RECENT.with(|recent| recent.comes_again(upload, n))
    }

    async fn derive(
        &self,
        password: &str,
        salt: &[u8; 16],
        iterations: u32,
    ) -> Result<[u8; 32], Failure> {
        super::kdf::derive(password, salt, iterations)
            .await
            .map_err(|e| Failure::Broken(format!("PBKDF2: {e:?}")))
    }

    fn may_panic(&self, sent: &str) {
        // As careless code would.
        assert!(self.fault.as_deref() != Some(PANIC), "careless: {sent}");
    }

    async fn after_r2_commit(&self) {
        let say = |words: &str| super::log::info(words, &[]);
        faults::after_r2_commit(self.fault.as_deref(), Delay::from, say).await;
    }
}

/// Adds the size of the Worker's WebAssembly memory, in bytes, to an answer: it only ever grows,
/// so a test sees whether any request held a file in it.
pub(super) fn report_memory(response: &mut Response) -> worker::Result<()> {
    const PAGE: usize = 64 * 1024;
    let bytes = core::arch::wasm32::memory_size(0) * PAGE;
    response
        .headers_mut()
        .set("chatlift-wasm-memory", &bytes.to_string())
}
