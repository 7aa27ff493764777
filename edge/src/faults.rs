//! Faults that a test may ask of the edge by a header, where `FAULTS` is on.

/// The header.
pub const HEADER_FAULT: &str = "chatlift-fault";

/// Never answer after the store has committed and before the link knows.
pub const HANG_AFTER_R2_COMMIT: &str = "hang-after-r2-commit";

/// Panic, with what was sent in the message.
pub const PANIC: &str = "panic";

/// The store answers nothing.
pub const R2_SILENT: &str = "r2-silent";
