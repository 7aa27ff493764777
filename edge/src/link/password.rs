//! A link's password: kept as a slow hash, with bounded tries.
//!
//! The derivation is PBKDF2-HMAC-SHA256 (RFC 8018), the one slow hash of WebCrypto, so that it
//! runs outside of WebAssembly; it is the shell's part. What matters more against guessing is here:
//! a try is counted before it is checked, so tries that come at the same time are bounded too.

use core::time::Duration;
use std::collections::BTreeMap;

use chatlift_shared::mac::{Domain, KeyRing};
use chatlift_shared::{LinkId, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// Rounds of a new hash: the most that Workers' WebCrypto takes. Some 30 ms of CPU time, once for
/// each try.
pub const ITERATIONS: u32 = 100_000;

/// Wrong passwords in a row that cost one asker no wait.
const FREE_TRIES: u32 = 5;

/// Wrong passwords that cost nobody a wait, whoever said them: what twenty askers have for themselves.
/// Beyond that all wait, so that many addresses do not make many guesses.
const FREE_TRIES_OF_ALL: u32 = 100;

/// Askers that are told apart. Beyond that the one that waits least is forgotten; the bound over all
/// holds.
const ASKERS_MAX: usize = 64;

/// The wait after the first wrong password beyond those; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// The longest wait. With it, a link of a week gives one guesser some 20 tries, and all of them some 110.
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

/// Who says a password: a MAC over the link and the address that they come from, so that nobody's
/// address is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Asker(String);

impl Asker {
    /// Who comes from `sender`, as the limits on requests know senders.
    #[must_use]
    pub fn new(keys: &KeyRing, link: LinkId, sender: &str) -> Self {
        let message = format!("{link} {sender}");
        let tag = keys.signing().short_tag(Domain::Asker, message.as_bytes());
        Self(hex::encode(tag))
    }
}

/// Passwords that were said since the last right one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// How many.
    #[serde(default)]
    pub tries: u32,
    /// Until when no try is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Timestamp>,
}

impl Tries {
    /// For how many more seconds no try is taken.
    fn wait(&self, now: Timestamp) -> u64 {
        let until = self.locked_until.filter(|until| *until > now);
        until.map_or(0, |until| {
            now.until(until).as_millis().div_ceil(1000) as u64
        })
    }

    fn count(&mut self, free: u32, now: Timestamp) {
        self.tries = self.tries.saturating_add(1);
        self.locked_until = self
            .tries
            .checked_sub(free)
            .map(|over| now.plus((FIRST_WAIT * 2_u32.pow(over.min(11))).min(LONGEST_WAIT)));
    }
}

/// A link's password with the tries that it has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    /// What is kept of it.
    pub hash: Hash,
    /// Those of all askers together.
    #[serde(flatten)]
    pub of_all: Tries,
    /// Those of each asker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub askers: BTreeMap<Asker, Tries>,
}

impl Password {
    /// One that was not tried yet.
    #[must_use]
    pub const fn new(hash: Hash) -> Self {
        Self {
            hash,
            of_all: Tries {
                tries: 0,
                locked_until: None,
            },
            askers: BTreeMap::new(),
        }
    }

    /// Counts a try as wrong before it is checked.
    ///
    /// # Errors
    /// While no try of this asker is taken: for how many more seconds.
    pub fn begin(&mut self, asker: Asker, now: Timestamp) -> Result<(), u64> {
        let own = self.askers.get(&asker).copied().unwrap_or_default();
        let wait = own.wait(now).max(self.of_all.wait(now));
        if wait > 0 {
            return Err(wait);
        }
        if self.askers.len() >= ASKERS_MAX && !self.askers.contains_key(&asker) {
            let least = self
                .askers
                .iter()
                .min_by_key(|(_, t)| (t.locked_until, t.tries));
            if let Some(least) = least.map(|(asker, _)| asker.clone()) {
                self.askers.remove(&least);
            }
        }
        self.askers.entry(asker).or_default().count(FREE_TRIES, now);
        self.of_all.count(FREE_TRIES_OF_ALL, now);
        Ok(())
    }

    /// Until when who tried last has to wait, or whoever has to wait longest.
    pub(super) fn locked_until(&self) -> Option<Timestamp> {
        let of_each = self.askers.values().filter_map(|tries| tries.locked_until);
        of_each.chain(self.of_all.locked_until).max()
    }

    /// The try was right: the asker's next wrong one is the first again, and theirs count for nobody.
    pub fn right(&mut self, asker: &Asker) {
        let own = self.askers.remove(asker).unwrap_or_default();
        self.of_all.tries = self.of_all.tries.saturating_sub(own.tries);
        if self.of_all.tries < FREE_TRIES_OF_ALL {
            self.of_all.locked_until = None;
        }
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
            match password.begin(asker(1), now) {
                Ok(()) => tries += 1,
                Err(wait) => now = now.plus(Duration::from_secs(wait)),
            }
        }
        assert!((15..=22).contains(&tries), "{tries}");
    }

    fn asker(n: usize) -> Asker {
        Asker(n.to_string())
    }

    #[test]
    fn five_wrong_passwords_cost_no_wait_and_a_right_one_forgets_them() {
        let mut password = password();
        for _ in 0..5 {
            assert_eq!(password.begin(asker(1), START), Ok(()));
        }
        assert_eq!(password.begin(asker(1), START), Err(60));
        let later = START.plus(FIRST_WAIT);
        assert_eq!(password.begin(asker(1), later), Ok(()));
        assert_eq!(password.begin(asker(1), later), Err(120));
        password.right(&asker(1));
        assert_eq!(password.begin(asker(1), later), Ok(()));
    }

    /// One guesser locked out everybody, for up to a day.
    #[test]
    fn a_guesser_locks_out_nobody_else() {
        let mut password = password();
        while password.begin(asker(1), START).is_ok() {}
        assert_eq!(password.begin(asker(2), START), Ok(()));
        password.right(&asker(2));
        // What another one knows gives a guesser no more tries.
        assert_eq!(password.begin(asker(1), START), Err(60));
    }

    #[test]
    fn many_guessers_together_wait_too() {
        let mut password = password();
        let tries = |password: &mut Password, now| {
            let taken = (0..1_000).filter(|n| password.begin(asker(*n), now).is_ok());
            taken.count()
        };
        assert_eq!(tries(&mut password, START), 100);
        assert!(password.askers.len() <= ASKERS_MAX);
        let mut in_a_week = 100;
        for hour in 1..=7 * 24 {
            let now = START.plus(Duration::from_secs(hour * 3600));
            in_a_week += tries(&mut password, now);
        }
        assert!(in_a_week <= 120, "{in_a_week}");
    }

    #[test]
    fn a_row_from_before_there_were_askers_is_read() {
        let row = serde_json::json!({
            "hash": password().hash, "tries": 7, "locked_until": START.plus(FIRST_WAIT)
        });
        let mut read: Password = serde_json::from_value(row).expect("a row");
        assert_eq!(read.of_all.tries, 7);
        assert_eq!(read.begin(asker(1), START), Err(60));
    }

    #[test]
    fn only_the_same_hash_matches_and_none_is_shown() {
        let hash = password().hash;
        assert!(hash.matches(&[2; 32]));
        assert!(!hash.matches(&[3; 32]));
        assert!(!format!("{hash:?}").contains('2'));
    }
}
