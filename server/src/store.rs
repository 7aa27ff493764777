//! Where files are kept: a folder of this machine, or a bucket that many share.
//!
//! What is stored, joined or removed here is an intent of a link before, which has to be on the disk by then:
//! else a crash would leave files that no link knows of, or links whose files are gone.

use std::io;
use std::path::Path;

use chatlift_edge::ports::{Bucket, BucketError, CompleteError, Head, Put, PutError, Selection};
use chatlift_shared::digest::Sha256;
use futures_util::stream::{self, StreamExt as _};
use tokio::task::spawn_local;
use url::Url;

use crate::body::{Body, Incoming};
use crate::database::Database;
use crate::disk::Machine;
use crate::error::Error;
use crate::files::{Files, failed};
use crate::objects::Objects;

#[derive(Clone, Debug)]
enum Kind {
    Folder(Files<Machine>),
    Bucket(Objects),
}

/// The store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    kind: Kind,
    /// Where the links are.
    database: Database,
}

/// Calls a method of whichever store it is.
macro_rules! of {
    ($store:expr, $name:ident => $call:expr) => {
        match &$store.kind {
            Kind::Folder($name) => $call,
            Kind::Bucket($name) => $call,
        }
    };
}

impl Store {
    /// Opens the store of an address, and sees whether it does what is asked of it; without one, a folder.
    /// The links whose files it has are in `database`.
    ///
    /// # Errors
    /// When it cannot be opened, or in words what it cannot do.
    pub(crate) async fn open(
        address: Option<&Url>,
        folder: &Path,
        database: Database,
    ) -> Result<Self, Error> {
        let kind = match address {
            None => Kind::Folder(Files::open(Machine, folder).await?),
            Some(address) => {
                let objects = Objects::open(address)?;
                objects.probe().await?;
                Kind::Bucket(objects)
            }
        };
        Ok(Self { kind, database })
    }

    /// As if it did not answer.
    pub(crate) fn silent(&self) -> Self {
        let kind = match &self.kind {
            Kind::Folder(files) => Kind::Folder(files.silent()),
            Kind::Bucket(objects) => Kind::Bucket(objects.silent()),
        };
        Self {
            kind,
            database: self.database.clone(),
        }
    }

    /// Waits until what was begun by now is on the disk.
    ///
    /// # Errors
    /// When that cannot be synced.
    pub(crate) async fn on_disk(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Folder(files) => files.on_disk().await,
            Kind::Bucket(_) => Ok(()),
        }
    }

    /// Waits until the intent of what is asked for is on the disk.
    async fn intended(&self, operation: &'static str) -> Result<(), BucketError> {
        self.database.on_disk().await.map_err(failed(operation))
    }

    /// A body that ends once what is intended with it is on the disk.
    fn intended_with(&self, body: Body) -> Body {
        let database = self.database.clone();
        // At work while the bytes come.
        let intended = spawn_local(async move { database.on_disk().await });
        let end = stream::once(intended).filter_map(|intended| async {
            let intended = intended.map_err(io::Error::other).flatten();
            intended.err().map(Err)
        });
        Body(body.0.chain(end).boxed_local())
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
        let intended = self.intended("complete").await;
        intended.map_err(CompleteError::Bucket)?;
        of!(self, store => store.complete(key, id, etags).await)
    }

    async fn abort(&self, key: &str, id: &str) -> Result<(), BucketError> {
        self.intended("abort").await?;
        of!(self, store => store.abort(key, id).await)
    }

    async fn put(&self, key: &str, body: Body, expected: Option<Sha256>) -> Result<Put, PutError> {
        let body = self.intended_with(body);
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
        self.intended("delete").await?;
        of!(self, store => store.delete(key).await)
    }
}
