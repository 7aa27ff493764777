//! An account of the memory that requests share.

use core::sync::atomic::{AtomicU64, Ordering};

/// How much memory bodies take, of all requests together.
///
/// What a request cannot do without ([`Self::take`]) may take all of it. What only spares work, and can be
/// done without ([`Self::take_spare`]), leaves some to the former.
#[derive(Debug)]
pub struct Account {
    used: AtomicU64,
    max: u64,
    reserved: u64,
}

impl Account {
    /// An account of `max` bytes, of which `reserved` are for what cannot be done without.
    #[must_use]
    pub const fn new(max: u64, reserved: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            max,
            reserved,
        }
    }

    /// A share of these bytes; `None` while there are not so many.
    #[must_use]
    pub fn take(&'static self, bytes: u64) -> Option<Share> {
        self.take_below(bytes, self.max)
    }

    /// As [`Self::take`], without what is reserved.
    #[must_use]
    pub fn take_spare(&'static self, bytes: u64) -> Option<Share> {
        self.take_below(bytes, self.max.saturating_sub(self.reserved))
    }

    fn take_below(&'static self, bytes: u64, max: u64) -> Option<Share> {
        let add = |used: u64| used.checked_add(bytes).filter(|used| *used <= max);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .ok()?;
        Some(Share {
            account: self,
            bytes,
        })
    }
}

/// A share of an [`Account`], given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    account: &'static Account,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_what_is_dropped_is_given_back() {
        static ACCOUNT: Account = Account::new(10, 4);
        let spare = ACCOUNT.take_spare(6).expect("room");
        assert!(ACCOUNT.take_spare(1).is_none());
        assert!(ACCOUNT.take(5).is_none());
        let needed = ACCOUNT.take(4).expect("what is reserved");
        assert!(ACCOUNT.take(1).is_none());
        assert!(ACCOUNT.take(u64::MAX).is_none());
        drop(spare);
        assert!(ACCOUNT.take_spare(3).is_none());
        assert!(ACCOUNT.take_spare(2).is_some());
        assert!(ACCOUNT.take(6).is_some());
        drop(needed);
        assert!(ACCOUNT.take(10).is_some());
    }
}
