//! Time, randomness, and what tests may ask for where `FAULTS` is on.

use std::rc::Rc;
use std::time::Duration;

use chatlift_edge::faults;
use chatlift_edge::faults::PANIC;
use chatlift_edge::log;
use chatlift_edge::ports::{Failure, World};
use chatlift_edge::upload::Recent;
use chatlift_shared::{Timestamp, UploadId};

use crate::clock::now;

/// The system's clock and random numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// The fault that a test asked for.
    pub(crate) fault: Option<String>,
    pub(crate) recent: Rc<Recent>,
}

/// Random bits.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| unreachable!("random numbers are always there"))
}

impl World for Clock {
    fn now(&self) -> Timestamp {
        now()
    }

    fn random(&self) -> u64 {
        random()
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn comes_again(&self, upload: UploadId, n: u16) -> bool {
        self.recent.comes_again(upload, n)
    }

    async fn derive(
        &self,
        password: &str,
        salt: &[u8; 16],
        iterations: u32,
    ) -> Result<[u8; 32], Failure> {
        let (password, salt) = (password.to_owned(), *salt);
        // Some 30 ms of processor time, which must hold up nobody else.
        let derived = tokio::task::spawn_blocking(move || {
            pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, 32>(password.as_bytes(), &salt, iterations)
        });
        derived
            .await
            .map_err(|e| Failure::Broken(format!("PBKDF2: {e}")))
    }

    async fn after_r2_commit(&self) {
        let say = |words: &str| log::info(words, &[]);
        faults::after_r2_commit(self.fault.as_deref(), tokio::time::sleep, say).await;
    }

    fn may_panic(&self, sent: &str) {
        // As careless code would.
        assert!(self.fault.as_deref() != Some(PANIC), "careless: {sent}");
    }
}
