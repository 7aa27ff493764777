//! Header fields of the upload protocols and of digests, read and written.

pub mod digest;
pub mod resumable;
pub mod tus;
