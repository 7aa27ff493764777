//! Which parts came lately.

use core::cell::RefCell;
use std::collections::VecDeque;

use chatlift_shared::UploadId;

/// How many parts are remembered: those of many uploads at once, and little memory.
const REMEMBERED_MAX: usize = 1024;

/// The parts that one process or isolate took lately.
#[derive(Debug, Default)]
pub struct Recent(RefCell<VecDeque<(UploadId, u16)>>);

impl Recent {
    /// Remembers that part `n` of an upload comes; answers whether it came lately.
    pub fn comes_again(&self, upload: UploadId, n: u16) -> bool {
        let mut parts = self.0.borrow_mut();
        let again = parts.contains(&(upload, n));
        if !again {
            parts.truncate(REMEMBERED_MAX - 1);
            parts.push_front((upload, n));
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatlift_shared::LinkId;

    #[test]
    fn a_part_comes_again_until_many_others_have_come() {
        let recent = Recent::default();
        let upload = |n| UploadId::new(LinkId::from_bytes([n; 12]), [2; 6]);
        assert!(!recent.comes_again(upload(1), 1));
        assert!(!recent.comes_again(upload(1), 2) && !recent.comes_again(upload(2), 1));
        assert!(recent.comes_again(upload(1), 1));
        for n in 3..=1024 {
            assert!(!recent.comes_again(upload(3), n));
        }
        assert!(recent.comes_again(upload(1), 2));
        assert!(!recent.comes_again(upload(3), 1025) && !recent.comes_again(upload(3), 1026));
        assert!(!recent.comes_again(upload(1), 1));
    }
}
