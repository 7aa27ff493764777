//! A body of a serial upload.

use core::cell::Cell;

use chatlift_shared::digest::Sha256;

use crate::checksum::Algorithm;
use crate::ports::{BucketError, Feed, Taken};

/// A body in memory, which may break off.
pub(super) struct Bytes {
    bytes: Vec<u8>,
    at: usize,
    cut: bool,
    /// Whether parts on their way may be kept.
    pub(super) keeps: bool,
    kept: Option<Vec<u8>>,
    hashed: Option<usize>,
}

impl Bytes {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            at: 0,
            cut: false,
            keeps: true,
            kept: None,
            hashed: None,
        }
    }

    pub(super) fn cut(bytes: &[u8]) -> Self {
        Self {
            cut: true,
            ..Self::new(bytes.to_vec())
        }
    }

    fn next(&mut self, length: u64) -> Vec<u8> {
        let end = self.bytes.len().min(self.at + fits(length));
        let next = self.bytes[self.at..end].to_vec();
        self.at = end;
        next
    }
}

impl Feed for Bytes {
    type Body = Vec<u8>;

    async fn peek(&mut self, most: u64) -> Vec<u8> {
        let end = self.bytes.len().min(self.at + fits(most));
        self.bytes[self.at..end].to_vec()
    }

    fn broken(&self) -> bool {
        self.cut && self.at == self.bytes.len()
    }

    async fn take<T>(&mut self, length: u64, consume: impl AsyncFnOnce(Vec<u8>) -> T) -> Taken<T> {
        let next = self.next(length);
        let bytes = next.len() as u64;
        Taken {
            said: consume(next).await,
            bytes,
        }
    }

    async fn take_whole<T>(
        &mut self,
        length: u64,
        consume: impl AsyncFnOnce(Vec<u8>) -> T,
    ) -> Option<Taken<T>> {
        if !self.keeps {
            return None;
        }
        let taken = self.take(length, consume).await;
        self.kept = Some(self.bytes[self.at - fits(taken.bytes)..self.at].to_vec());
        Some(taken)
    }

    async fn take_rest<T, E>(
        &mut self,
        before: Option<(Vec<u8>, u64)>,
        length: u64,
        consume: impl AsyncFnOnce(Vec<u8>) -> Result<T, E>,
        _asked: impl AsyncFn(),
        mut spill: impl AsyncFnMut(Vec<u8>, u64, u64) -> bool,
    ) -> Option<Result<T, E>> {
        if !self.keeps {
            return None;
        }
        let mut rest = self.body()?;
        let came = rest.len() as u64;
        // Half of it comes, and then for a while nothing.
        let first = rest.len() / 2;
        let later = rest.split_off(first);
        let wanted = spill(rest.clone(), 0, first as u64).await;
        let mut body = before.map_or_else(Vec::new, |(bytes, _)| bytes);
        body.extend(rest.into_iter().chain(later.clone()));
        // What reads a body that breaks off fails.
        let said = consume(if came == length { body } else { Vec::new() }).await;
        if said.is_err() && wanted {
            spill(later, first as u64, came - first as u64).await;
        }
        Some(said)
    }

    async fn take_exactly<T>(
        &mut self,
        length: u64,
        moved: &Cell<u64>,
        consume: impl AsyncFnOnce(Vec<u8>) -> T,
    ) -> Taken<T> {
        moved.set(length);
        self.take(length, consume).await
    }

    fn body(&mut self) -> Option<Vec<u8>> {
        (self.at == 0 && !self.bytes.is_empty()).then(|| self.next(self.bytes.len() as u64))
    }

    fn kept(&mut self) -> Option<(Vec<u8>, u64)> {
        let kept = self.kept.take()?;
        let length = kept.len() as u64;
        Some((kept, length))
    }

    fn hash(&mut self, _: Algorithm) -> Result<(), BucketError> {
        self.hashed = Some(self.at);
        Ok(())
    }

    async fn digest(&mut self) -> Result<Vec<u8>, BucketError> {
        let from = self.hashed.take().expect("a digest was begun");
        Ok(Sha256::of(&self.bytes[from..self.at]).0.to_vec())
    }
}

pub(super) fn fits(n: u64) -> usize {
    usize::try_from(n).expect("fits")
}
