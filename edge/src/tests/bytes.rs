//! Bytes in memory as the body of a request.

use std::future::poll_fn;
use std::task::Poll;

use chatlift_shared::digest::Sha256;

use super::flow::{Coming, Flow};
use crate::ports::{BucketError, Feed as _, Hash, Piece};

/// The body of a request: half of it comes, then for a while nothing, and then the rest.
pub(super) type Bytes = Coming<Vec<u8>>;

impl Bytes {
    pub(super) fn new(mut bytes: Vec<u8>) -> Self {
        let rest = bytes.split_off(bytes.len().div_ceil(2));
        let part = |bytes: Vec<u8>| {
            Flow::of(if bytes.is_empty() {
                vec![]
            } else {
                vec![bytes]
            })
        };
        Self::of(part(bytes).then(part(rest).after(a_while())))
    }

    /// As [`Self::new`], and then it breaks off.
    pub(super) fn cut(bytes: &[u8]) -> Self {
        let mut all = Self::new(bytes.to_vec());
        let all = all.whole().expect("untouched");
        Self::of(all.then(Flow::broken(vec![])))
    }
}

/// Is done when it was waited for once.
async fn a_while() {
    let mut waited = false;
    poll_fn(move |cx| {
        cx.waker().wake_by_ref();
        match std::mem::replace(&mut waited, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

impl Piece for Vec<u8> {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn split_off(&mut self, at: u64) -> Self {
        Self::split_off(self, fits(at))
    }

    fn copy(&self, most: u64) -> Self {
        self[..self.len().min(fits(most))].to_vec()
    }
}

impl Hash for Vec<u8> {
    type Piece = Self;

    async fn update(&mut self, piece: &Self) {
        self.extend(piece);
    }

    async fn finish(self) -> Result<Self, BucketError> {
        Ok(Sha256::of(&self).0.to_vec())
    }
}

pub(super) fn fits(n: u64) -> usize {
    usize::try_from(n).expect("fits")
}
