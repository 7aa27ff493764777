//! The audit trail of a link: what happened to it and its files, as entries that can only be added to.
//!
//! Each entry names the hash of the one before it, and its own hash is over all that it says, so that whoever
//! reads the trail sees by [`verify`] that none was altered, removed, doubled or put elsewhere. Entries that are
//! missing at the end are seen by whoever kept an earlier [`AuditHead`], which each answer with a link has.
//!
//! The hash is the SHA-256 of the entry without `hash`, as canonical JSON (RFC 8785): keys in order, no white
//! space. All values are strings without escapes beyond those of JSON, whole numbers below 2^53, booleans or
//! lists of strings, so that most languages' own JSON, with sorted keys, writes the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::api::AuditHead;
use crate::digest::Sha256;

/// `GET /v1/links/{id}/audit`: entries of a link's audit trail, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTrail {
    /// The entries. There are more as long as the last one's `n` is below the head's `entries`.
    pub entries: Vec<AuditEntry>,
    /// Where the whole trail ends at present.
    pub head: AuditHead,
}

/// An entry of the trail. It has no names, notes, addresses or other words of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, from 1.
    pub n: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The hash of the entry before; 64 zeros in the first.
    pub previous: Sha256,
    /// SHA-256 of all the rest, in the canonical form.
    pub hash: Sha256,
    /// What else there is to say of it, by its type.
    #[serde(flatten)]
    pub facts: BTreeMap<String, Value>,
}

impl AuditEntry {
    /// The entry that follows `head`.
    #[must_use]
    pub fn following(
        head: AuditHead,
        at: Timestamp,
        kind: String,
        facts: BTreeMap<String, Value>,
    ) -> Self {
        let mut entry = Self {
            n: head.entries + 1,
            at,
            kind,
            previous: head.hash,
            hash: head.hash,
            facts,
        };
        entry.hash = Sha256::of(entry.canonical().as_bytes());
        entry
    }

    /// The JSON that the hash is over.
    #[must_use]
    pub fn canonical(&self) -> String {
        let (at, previous) = (self.at.to_string(), self.previous.to_string());
        let mut fields: BTreeMap<&str, Value> = BTreeMap::from([
            ("n", self.n.into()),
            ("at", at.into()),
            ("type", self.kind.as_str().into()),
            ("previous", previous.into()),
        ]);
        fields.extend(self.facts.iter().map(|(k, v)| (k.as_str(), v.clone())));
        // Values with string keys always have a JSON form.
        serde_json::to_string(&fields).unwrap_or_else(|_| unreachable!("entries encode"))
    }

    /// The trail's head when this was its last entry.
    #[must_use]
    pub const fn head(&self) -> AuditHead {
        AuditHead {
            entries: self.n,
            hash: self.hash,
        }
    }
}

/// What is wrong with a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Entries were removed, doubled or put elsewhere.
    #[error("entry {found} stands where entry {expected} is expected")]
    Order {
        /// The number that the entry should have.
        expected: u64,
        /// The number that it has.
        found: u64,
    },
    /// The entry is not the one that was written after the one before it.
    #[error("entry {0} does not follow the entry before it")]
    Link(u64),
    /// The entry was altered.
    #[error("entry {0} does not have the hash of what it says")]
    Altered(u64),
    /// The trail ends before a head that was kept.
    #[error("the trail ends with entry {entries}, and had {kept}")]
    Truncated {
        /// How many entries there are.
        entries: u64,
        /// How many there were.
        kept: u64,
    },
    /// The trail was written anew: a head that was kept is not of it.
    #[error("entry {0} is not the one that was the last once")]
    Rewritten(u64),
}

/// Verifies entries that follow `after`, which is [`AuditHead::default`] for the first, and that each head
/// `kept` of those or a later place is of this trail. Returns the head of what was verified.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify<'e>(
    after: AuditHead,
    entries: impl IntoIterator<Item = &'e AuditEntry>,
    kept: &[AuditHead],
) -> Result<AuditHead, AuditError> {
    let mut head = after;
    is_kept(head, kept)?;
    for entry in entries {
        let (expected, found) = (head.entries + 1, entry.n);
        if found != expected {
            return Err(AuditError::Order { expected, found });
        }
        if entry.previous != head.hash {
            return Err(AuditError::Link(found));
        }
        if entry.hash != Sha256::of(entry.canonical().as_bytes()) {
            return Err(AuditError::Altered(found));
        }
        head = entry.head();
        is_kept(head, kept)?;
    }
    let entries = head.entries;
    match kept.iter().map(|head| head.entries).max() {
        Some(kept) if kept > entries => Err(AuditError::Truncated { entries, kept }),
        _ => Ok(head),
    }
}

/// Refuses a head that is not the one kept of its place.
fn is_kept(head: AuditHead, kept: &[AuditHead]) -> Result<(), AuditError> {
    let differs = |kept: &&AuditHead| kept.entries == head.entries && kept.hash != head.hash;
    match kept.iter().find(differs) {
        Some(_) => Err(AuditError::Rewritten(head.entries)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(facts: &[&str]) -> Vec<AuditEntry> {
        let mut head = AuditHead::default();
        let entry = |fact: &&str| {
            let facts = BTreeMap::from([("fact".to_owned(), Value::from(*fact))]);
            let at = Timestamp::from_secs(1_795_000_000);
            let entry = AuditEntry::following(head, at, "link.told".to_owned(), facts);
            head = entry.head();
            entry
        };
        facts.iter().map(entry).collect()
    }

    fn of_five() -> Vec<AuditEntry> {
        trail(&["a", "b", "c", "d", "e"])
    }

    fn check(entries: &[AuditEntry], kept: &[AuditHead]) -> Result<AuditHead, AuditError> {
        verify(AuditHead::default(), entries, kept)
    }

    /// What `sha256sum` prints of these bytes.
    #[test]
    fn audit_entry_json_and_hash_unchanged() {
        let entry = &of_five()[0];
        let zeros = "0".repeat(64);
        let canonical = format!(
            r#"{{"at":"2026-11-18T11:06:40.000Z","fact":"a","n":1,"previous":"{zeros}","type":"link.told"}}"#
        );
        assert_eq!(entry.canonical(), canonical);
        let hash = "e2681c44d2fef7e2a56f711d5552ffa3c350a30497bbea959ddb0d6b3b42bea8";
        assert_eq!(entry.hash.to_string(), hash);
        let json = format!(
            r#"{{"n":1,"at":"2026-11-18T11:06:40.000Z","type":"link.told","previous":"{zeros}","hash":"{hash}","fact":"a"}}"#
        );
        assert_eq!(serde_json::to_string(entry).expect("JSON"), json);
    }

    /// The worked example of RFC 8785, section 3.2.3, of the strings that an entry can have.
    #[test]
    fn strings_are_written_as_rfc_8785_writes_them() {
        let text = "\u{20ac}$\u{f}\nA'B\"\\\\\"/";
        let facts = BTreeMap::from([("string".to_owned(), Value::from(text))]);
        let at = Timestamp::from_secs(0);
        let entry = AuditEntry::following(AuditHead::default(), at, String::new(), facts);
        let written = r#""string":"€$\u000f\nA'B\"\\\\\"/""#;
        assert!(entry.canonical().contains(written), "{}", entry.canonical());
    }

    #[test]
    fn a_trail_and_any_beginning_of_it_verify() {
        let entries = of_five();
        for n in 0..=entries.len() {
            let head = check(&entries[..n], &[]).expect("a trail");
            assert_eq!(head.entries, n as u64);
            let rest = verify(head, &entries[n..], &[head]).expect("the rest of it");
            assert_eq!(rest, entries[4].head());
        }
    }

    #[test]
    fn an_entry_of_which_anything_was_altered_is_found() {
        let entries = of_five();
        let as_json = serde_json::to_value(&entries[2]).expect("JSON");
        for key in as_json.as_object().expect("an object").keys() {
            let mut altered = as_json.clone();
            altered[key] = match key.as_str() {
                "n" => 9.into(),
                "at" => "2026-11-18T11:06:40.001Z".into(),
                "previous" | "hash" => "1".repeat(64).into(),
                _ => "other".into(),
            };
            let mut trail = entries.clone();
            trail[2] = serde_json::from_value(altered).expect("an entry");
            assert!(check(&trail, &[]).is_err(), "{key}");
        }
        let mut more = as_json;
        more["more"] = "words".into();
        let mut trail = entries;
        trail[2] = serde_json::from_value(more).expect("an entry");
        assert_eq!(check(&trail, &[]), Err(AuditError::Altered(3)));
    }

    #[test]
    fn entries_that_are_removed_doubled_or_elsewhere_are_found() {
        let entries = of_five();
        for n in 0..4 {
            let mut trail = entries.clone();
            trail.remove(n);
            assert!(check(&trail, &[]).is_err(), "without entry {}", n + 1);
            let mut trail = entries.clone();
            trail.swap(n, n + 1);
            assert!(check(&trail, &[]).is_err(), "{} after its next", n + 1);
            let mut trail = entries.clone();
            trail.insert(n, entries[n].clone());
            assert!(check(&trail, &[]).is_err(), "{} twice", n + 1);
        }
    }

    #[test]
    fn an_end_that_is_missing_or_written_anew_is_found_by_who_kept_a_head() {
        let entries = of_five();
        let kept: Vec<AuditHead> = entries.iter().map(AuditEntry::head).collect();
        assert_eq!(check(&entries, &kept), Ok(kept[4]));
        let truncated = AuditError::Truncated {
            entries: 3,
            kept: 5,
        };
        assert_eq!(check(&entries[..3], &kept), Err(truncated));
        let anew = trail(&["a", "b", "other", "d", "e"]);
        assert_eq!(check(&anew, &[]), Ok(anew[4].head()));
        for head in &kept[2..] {
            let found = check(&anew, &[*head]);
            assert_eq!(found, Err(AuditError::Rewritten(head.entries)));
        }
        // The same by whoever goes on from there.
        assert_eq!(verify(kept[2], &anew[3..], &[]), Err(AuditError::Link(4)));
    }
}
