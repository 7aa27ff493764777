//! What requests cost, counted where it is spent, for the test that fills docs/scale.md: shown by
//! `GET /_counts` where `FAULTS` is on. In workerd on one machine, Worker and objects share an
//! isolate, so the counts are those of both; on the platform they are not shown at all.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident = $cell:ident,)*) => {
        $(static $cell: AtomicU64 = AtomicU64::new(0);)*

        /// All counts as JSON.
        pub(super) fn all() -> serde_json::Value {
            serde_json::json!({ $(stringify!($name): $cell.load(Relaxed)),* })
        }

        $($(#[$doc])* pub(super) fn $name() {
            $cell.fetch_add(1, Relaxed);
        })*
    };
}

counts! {
    /// A request to the Worker.
    worker_request = WORKER,
    /// A request to a link's Durable Object.
    link_request = LINK,
    /// A request to one of an app's Durable Objects.
    app_request = APP,
    /// An alarm of a Durable Object, billed as a request.
    alarm = ALARM,
    /// An alarm that was set, billed as a row written.
    alarm_set = ALARM_SET,
    /// An R2 operation of class A: put, part, create, complete.
    r2_class_a = R2_A,
    /// An R2 operation of class B: get, head.
    r2_class_b = R2_B,
    /// An R2 operation that costs nothing: delete, abort.
    r2_free = R2_FREE,
    /// A webhook that was sent.
    webhook = WEBHOOK,
}

static ROWS_WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Rows written in SQLite, as the platform itself counts them.
pub(super) fn rows_written(rows: usize) {
    ROWS_WRITTEN.fetch_add(rows as u64, Relaxed);
}

/// All counts as JSON.
pub(super) fn json() -> serde_json::Value {
    let mut all = all();
    all["rows_written"] = ROWS_WRITTEN.load(Relaxed).into();
    all
}
