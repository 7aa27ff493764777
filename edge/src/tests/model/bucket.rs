//! The bucket of the model. What it is asked fails at times, having been carried out or not.

use std::collections::BTreeMap;

use chatlift_shared::digest::Sha256;

use super::faults::Fault;
use super::feed::{Body, Sending, all_of, sending};
use super::ports::{Machine, Port, pause};
use super::rope::Rope;
use crate::ports::Selection;
use crate::ports::{Bucket, BucketError, CompleteError, Head, Put, PutError};
use crate::tests::flow::Flow;

/// A multipart upload.
#[derive(Debug, Default)]
pub(in crate::tests) struct R2Upload {
    /// The request that made it.
    pub(in crate::tests) by: usize,
    pub(in crate::tests) parts: BTreeMap<u16, Rope>,
}

impl Machine {
    /// Carries something out of the bucket's, or fails before or after it.
    async fn in_r2<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce() -> T,
    ) -> Result<T, BucketError> {
        pause().await;
        if self.fails(Fault::StoreFails) {
            return Err(r2_error(operation));
        }
        let done = work();
        pause().await;
        if self.fails(Fault::StoreFailsAfter) {
            return Err(r2_error(operation));
        }
        Ok(done)
    }
}

fn r2_error(operation: &'static str) -> BucketError {
    BucketError {
        operation,
        reason: "injected".into(),
        gone: false,
    }
}

fn gone(operation: &'static str) -> BucketError {
    BucketError {
        gone: true,
        ..r2_error(operation)
    }
}

fn etag(bytes: &Rope) -> String {
    bytes.digest().to_string()
}

impl Bucket for Port {
    type Body = Body;
    type Objects = Sending;

    fn objects(&self, objects: Vec<(String, u64)>) -> Sending {
        let stored = self.0.objects.borrow();
        let mut all = Rope::default();
        for (key, _) in objects {
            all.append(stored.get(&key).cloned().unwrap_or_default());
        }
        sending(self, all, false)
    }

    fn body(&self, bytes: Vec<u8>) -> Result<Body, BucketError> {
        Ok(Flow::of(vec![Rope::real(&bytes)]))
    }

    async fn create(&self, key: &str, _part_size: u64) -> Result<String, BucketError> {
        let by = self.0.running.get();
        let make = || {
            self.0.made.set(self.0.made.get() + 1);
            let id = format!("{key}#{}", self.0.made.get());
            let parts = BTreeMap::new();
            let mut multiparts = self.0.multiparts.borrow_mut();
            multiparts.insert(id.clone(), R2Upload { by, parts });
            id
        };
        self.0.in_r2("create", make).await
    }

    async fn put_part(&self, _: &str, id: &str, n: u16, body: Body) -> Result<Put, BucketError> {
        pause().await;
        let all = all_of(body).await.ok_or_else(|| r2_error("put part"))?;
        let (etag, sha256) = (etag(&all), all.digest());
        let put = || {
            let mut multiparts = self.0.multiparts.borrow_mut();
            multiparts
                .get_mut(id)
                .map(|upload| upload.parts.insert(n, all))
                .is_some()
        };
        match self.0.in_r2("put part", put).await? {
            true => Ok(Put { etag, sha256 }),
            false => Err(gone("put part")),
        }
    }

    async fn complete(&self, key: &str, id: &str, etags: &[String]) -> Result<(), CompleteError> {
        let join = || {
            let mut multiparts = self.0.multiparts.borrow_mut();
            let upload = multiparts
                .get(id)
                .ok_or_else(|| CompleteError::Bucket(gone("complete")))?;
            let have: Vec<String> = upload.parts.values().map(etag).collect();
            if have != etags {
                return Err(CompleteError::Parts);
            }
            let mut whole = Rope::default();
            for part in multiparts
                .remove(id)
                .into_iter()
                .flat_map(|u| u.parts.into_values())
            {
                whole.append(part);
            }
            self.0.objects.borrow_mut().insert(key.to_owned(), whole);
            Ok(())
        };
        let done = self.0.in_r2("complete", join).await;
        done.map_err(CompleteError::Bucket)?
    }

    async fn abort(&self, _: &str, id: &str) -> Result<(), BucketError> {
        let abort = || drop(self.0.multiparts.borrow_mut().remove(id));
        self.0.in_r2("abort", abort).await
    }

    async fn put(&self, key: &str, body: Body, expected: Option<Sha256>) -> Result<Put, PutError> {
        pause().await;
        let all = all_of(body).await;
        let all = all.ok_or_else(|| PutError::Bucket(r2_error("put")))?;
        let (etag, sha256) = (etag(&all), all.digest());
        if expected.is_some_and(|e| e != sha256) {
            return Err(PutError::Digest);
        }
        let objects = || {
            self.0
                .objects
                .borrow_mut()
                .insert(key.to_owned(), all.clone())
        };
        let put = self.0.in_r2("put", || drop(objects())).await;
        put.map_err(PutError::Bucket)?;
        Ok(Put { etag, sha256 })
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        self.0.in_r2("head", || self.head_of(key)).await
    }

    async fn read(
        &self,
        key: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Head, Vec<u8>)>, BucketError> {
        let read = || {
            let head = self.head_of(key)?;
            let object = &self.0.objects.borrow()[key];
            let window = object.slice(offset, offset.saturating_add(length));
            Some((head, window.head(length)))
        };
        self.0.in_r2("read", read).await
    }

    async fn open(&self, key: &str, what: Selection) -> Result<Option<Body>, BucketError> {
        let open = || {
            let object = self.0.objects.borrow().get(key).cloned();
            object.map(|object| {
                let chosen = match what {
                    Selection::Whole => object,
                    Selection::Part { offset, length } => object.slice(offset, offset + length),
                };
                Flow::of(vec![chosen])
            })
        };
        self.0.in_r2("open", open).await
    }

    async fn digest(&self, body: Body) -> Result<Sha256, BucketError> {
        pause().await;
        let all = all_of(body).await.ok_or_else(|| r2_error("digest"))?;
        self.0.in_r2("digest", || all.digest()).await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        let delete = || drop(self.0.objects.borrow_mut().remove(key));
        self.0.in_r2("delete", delete).await
    }
}

impl Port {
    fn head_of(&self, key: &str) -> Option<Head> {
        let objects = self.0.objects.borrow();
        objects.get(key).map(|object| Head {
            size: object.len(),
            etag: etag(object),
        })
    }
}
