//! Randomness that is no secret.

/// Random bytes. A system without a random source leaves nothing sensible to do but zeros, which
/// are good enough for log ids and jitter; nothing secret is drawn here.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::warn!(%error, "no random bytes");
    }
    bytes
}
