//! Which link an `Idempotency-Key` leads to, without a table that links would share.
//!
//! A link's id is a MAC of app, key and day. A request looks for the link of the day before as
//! well, which counts while it is not a day old: so a key stands for its link for a day, and makes
//! a new one after it. While signing keys rotate, the ids under the older ones are looked at too.
//!
//! Two requests with one key that cross at the very turn of a UTC day, neither having been
//! answered, can make two links; retries, which come after their first request, cannot.

use chatlift_shared::api::CreateLink;
use chatlift_shared::digest::Sha256;
use chatlift_shared::mac::{Domain, KeyRing, SigningKey};
use chatlift_shared::{LinkId, Problem, ProblemCode, Timestamp};

use crate::config::App;

const DAY_SECS: i64 = 24 * 60 * 60;

/// A link that a key may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its id.
    pub(super) id: LinkId,
    /// Digest of the request under the same signing key. Keyed, so that nothing can be guessed
    /// from it: a request may hold a password.
    pub(super) request: Sha256,
}

/// The links that a key may stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidates {
    /// Those that may be there already.
    pub(super) earlier: Vec<Candidate>,
    /// The one that is made otherwise; made twice, it is the same.
    pub(super) new: Candidate,
}

/// Finds them.
///
/// # Errors
/// Never for a request that was read from JSON.
pub(super) fn candidates(
    keys: &KeyRing,
    app: &App,
    key: &str,
    request: &CreateLink,
    now: Timestamp,
) -> Result<Candidates, Problem> {
    let json = serde_json::to_vec(request).map_err(|_| Problem::new(ProblemCode::Internal))?;
    let today = now.secs().div_euclid(DAY_SECS);
    let candidate = |signing: &SigningKey, day: i64| {
        let message = [app.id.as_str(), "\0", key, "\0", &day.to_string()].concat();
        let tag = signing.tag(Domain::Idempotency, message.as_bytes());
        let mut id = [0; 12];
        id.copy_from_slice(&tag[..12]);
        Candidate {
            id: LinkId::from_bytes(id),
            request: Sha256(signing.tag(Domain::Idempotency, &json)),
        }
    };
    let mut earlier = vec![candidate(keys.signing(), today - 1)];
    for older in keys.older() {
        earlier.extend([candidate(older, today), candidate(older, today - 1)]);
    }
    Ok(Candidates {
        earlier,
        new: candidate(keys.signing(), today),
    })
}
