//! A link's password: kept as a slow hash, with bounded tries.
//!
//! The derivation is PBKDF2-HMAC-SHA256 (RFC 8018), the one slow hash of WebCrypto, so that it
//! runs outside of WebAssembly; it is the shell's part. What matters more against guessing is here:
//! a try is counted before it is checked, so tries that come at the same time are bounded too.

use core::time::Duration;

use chatlift_shared::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// Rounds of a new hash: the most that Workers' WebCrypto takes. Some 30 ms of CPU time, once for
/// each try.
pub const ITERATIONS: u32 = 100_000;

/// Wrong passwords in a row that cost no wait.
const FREE_TRIES: u32 = 5;

/// The wait after the first wrong password beyond those; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// The longest wait. With it, a link of a week gives a guesser some 20 tries.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash {
    /// Random bytes, in hex.
    #[serde(with = "hex::serde")]
    pub salt: [u8; 16],
    /// Rounds that it was made with.
    pub iterations: u32,
    /// The derived key, in hex.
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
}

impl core::fmt::Debug for Hash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Hash([redacted])")
    }
}

impl Hash {
    /// Whether `derived` is the hash, in constant time.
    #[must_use]
    pub fn matches(&self, derived: &[u8; 32]) -> bool {
        self.hash.ct_eq(derived).into()
    }
}

/// A link's password with the tries that it has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    /// What is kept of it.
    pub hash: Hash,
    /// Tries since the last right one.
    #[serde(default)]
    pub tries: u32,
    /// Until when no try is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Timestamp>,
}

impl Password {
    /// One that was not tried yet.
    #[must_use]
    pub const fn new(hash: Hash) -> Self {
        Self {
            hash,
            tries: 0,
            locked_until: None,
        }
    }

    /// Counts a try as wrong before it is checked.
    ///
    /// # Errors
    /// While no try is taken: for how many more seconds.
    pub fn begin(&mut self, now: Timestamp) -> Result<(), u64> {
        if let Some(until) = self.locked_until
            && until > now
        {
            return Err(now.until(until).as_secs().max(1));
        }
        self.tries = self.tries.saturating_add(1);
        self.locked_until = self
            .tries
            .checked_sub(FREE_TRIES)
            .map(|over| now.plus((FIRST_WAIT * 2_u32.pow(over.min(11))).min(LONGEST_WAIT)));
        Ok(())
    }

    /// The try was right: the next wrong one is the first again.
    pub const fn right(&mut self) {
        self.tries = 0;
        self.locked_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn password() -> Password {
        Password::new(Hash {
            salt: [1; 16],
            iterations: ITERATIONS,
            hash: [2; 32],
        })
    }

    #[test]
    fn password_json_unchanged() {
        assert_eq!(
            serde_json::to_string(&password()).expect("JSON"),
            format!(
                r#"{{"hash":{{"salt":"{}","iterations":100000,"hash":"{}"}},"tries":0}}"#,
                "01".repeat(16),
                "02".repeat(32)
            )
        );
    }

    #[test]
    fn a_guesser_gets_some_twenty_tries_a_week() {
        let (mut password, mut now, mut tries) = (password(), START, 0);
        let end = START.plus(Duration::from_secs(7 * 86_400));
        while now < end {
            match password.begin(now) {
                Ok(()) => tries += 1,
                Err(wait) => now = now.plus(Duration::from_secs(wait)),
            }
        }
        assert!((15..=22).contains(&tries), "{tries}");
    }

    #[test]
    fn five_wrong_passwords_cost_no_wait_and_a_right_one_forgets_them() {
        let mut password = password();
        for _ in 0..5 {
            assert_eq!(password.begin(START), Ok(()));
        }
        assert_eq!(password.begin(START), Err(60));
        let later = START.plus(FIRST_WAIT);
        assert_eq!(password.begin(later), Ok(()));
        assert_eq!(password.begin(later), Err(120));
        password.right();
        assert_eq!(password.begin(later), Ok(()));
    }

    #[test]
    fn only_the_same_hash_matches_and_none_is_shown() {
        let hash = password().hash;
        assert!(hash.matches(&[2; 32]));
        assert!(!hash.matches(&[3; 32]));
        assert!(!format!("{hash:?}").contains('2'));
    }
}
