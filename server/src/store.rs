//! Where files are kept: a folder of this machine, or a bucket that many share.

use std::path::Path;

use chatlift_edge::ports::{Bucket, BucketError, CompleteError, Head, Put, PutError, Selection};
use chatlift_shared::digest::Sha256;
use url::Url;

use crate::body::{Body, Incoming};
use crate::disk::Machine;
use crate::error::Error;
use crate::files::Files;
use crate::objects::Objects;

/// The store.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Folder(Files<Machine>),
    Bucket(Objects),
}

/// Calls a method of whichever store it is.
macro_rules! of {
    ($store:expr, $name:ident => $call:expr) => {
        match $store {
            Store::Folder($name) => $call,
            Store::Bucket($name) => $call,
        }
    };
}

impl Store {
    /// Opens the store of an address, and sees whether it does what is asked of it; without one, a folder.
    ///
    /// # Errors
    /// When it cannot be opened, or in words what it cannot do.
    pub(crate) async fn open(address: Option<&Url>, folder: &Path) -> Result<Self, Error> {
        match address {
            None => Ok(Self::Folder(Files::open(Machine, folder).await?)),
            Some(address) => {
                let objects = Objects::open(address)?;
                objects.probe().await?;
                Ok(Self::Bucket(objects))
            }
        }
    }

    /// As if it did not answer.
    pub(crate) fn silent(&self) -> Self {
        match self {
            Self::Folder(files) => Self::Folder(files.silent()),
            Self::Bucket(objects) => Self::Bucket(objects.silent()),
        }
    }
}

impl Bucket for Store {
    type Body = Body;
    type Objects = Incoming;

    fn objects(&self, objects: Vec<(String, u64)>) -> Incoming {
        of!(self, store => store.objects(objects))
    }

    fn body(&self, bytes: Vec<u8>) -> Result<Body, BucketError> {
        Ok(Body::of(bytes))
    }

    async fn create(&self, key: &str, part_size: u64) -> Result<String, BucketError> {
        of!(self, store => store.create(key, part_size).await)
    }

    async fn put_part(&self, key: &str, id: &str, n: u16, body: Body) -> Result<Put, BucketError> {
        of!(self, store => store.put_part(key, id, n, body).await)
    }

    async fn complete(&self, key: &str, id: &str, etags: &[String]) -> Result<(), CompleteError> {
        of!(self, store => store.complete(key, id, etags).await)
    }

    async fn abort(&self, key: &str, id: &str) -> Result<(), BucketError> {
        of!(self, store => store.abort(key, id).await)
    }

    async fn put(&self, key: &str, body: Body, expected: Option<Sha256>) -> Result<Put, PutError> {
        of!(self, store => store.put(key, body, expected).await)
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        of!(self, store => store.head(key).await)
    }

    async fn read(
        &self,
        key: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Head, Vec<u8>)>, BucketError> {
        of!(self, store => store.read(key, offset, length).await)
    }

    async fn open(&self, key: &str, what: Selection) -> Result<Option<Body>, BucketError> {
        of!(self, store => store.open(key, what).await)
    }

    async fn digest(&self, body: Body) -> Result<Sha256, BucketError> {
        of!(self, store => store.digest(body).await)
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        of!(self, store => store.delete(key).await)
    }
}
