//! The one place that reads the clock.

use std::time::{Duration, SystemTime};

use chatlift_shared::Timestamp;

use crate::ports::{BoxFuture, Clock};

/// Longest sleep between two looks at the clock: it may be set, and a laptop may be closed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The machine's clock, in UTC. A clock before 1970 reads as 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the backend's one reading of the clock; everything else takes it as an argument"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let left = self.now().until(at);
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LOOK_AGAIN)).await;
            }
        })
    }
}
