//! Faults that a test may ask of the edge by a header, where `FAULTS` is on.

use core::time::Duration;

/// The header.
pub const HEADER_FAULT: &str = "chatlift-fault";

/// Never answer after the store has committed and before the link knows.
const HANG_AFTER_R2_COMMIT: &str = "hang-after-r2-commit";

/// Rest for a while after the store has committed and before the link knows.
const REST_AFTER_R2_COMMIT: &str = "rest-after-r2-commit";

/// Long enough for another request to come.
const REST: Duration = Duration::from_secs(2);

/// Panic, with what was sent in the message.
pub const PANIC: &str = "panic";

/// The store answers nothing.
pub const R2_SILENT: &str = "r2-silent";

/// Does what was asked for after the store has committed, and says so in the log by `say`.
pub async fn after_r2_commit(
    fault: Option<&str>,
    pause: impl AsyncFn(Duration),
    say: impl FnOnce(&str),
) {
    match fault {
        Some(HANG_AFTER_R2_COMMIT) => {
            say("hangs, as asked");
            loop {
                pause(REST).await;
            }
        }
        Some(REST_AFTER_R2_COMMIT) => {
            say("rests, as asked");
            pause(REST).await;
        }
        _ => {}
    }
}
