//! The store: objects in a bucket that speaks S3. Nothing is relied on but what every such store does: no
//! conditional writes, no order of listings.
//!
//! Promise: what is acknowledged was acknowledged by the store. A part is in memory until then, which the
//! budget of [`crate::body`] bounds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chatlift_edge::ports::{Bucket, BucketError, CompleteError, Head, Put, PutError, Selection};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::PART_SIZE_MIN;
use futures_util::stream::{self, StreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStoreExt as _,
    PutPayload, RetryConfig,
};
use sha2::Digest as _;
use url::Url;

use crate::body::{Body, Incoming};
use crate::error::Error;

/// How long a request to the store may take: a part of 95 MiB at 16 Mbit/s.
const REQUEST_WITHIN: Duration = Duration::from_secs(60);

/// How long a request that failed is tried again before its sender is told to come back.
const RETRY_FOR: Duration = Duration::from_secs(8);

/// A bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    bucket: Arc<AmazonS3>,
    /// Whether it answers nothing, as a test asked.
    silent: bool,
}

fn failed(operation: &'static str) -> impl FnOnce(object_store::Error) -> BucketError {
    move |error| {
        let reason = error.to_string();
        BucketError {
            operation,
            gone: is_not_found(&error) || reason.contains("NoSuchUpload"),
            reason,
        }
    }
}

const fn is_not_found(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
}

fn broke_off(operation: &'static str) -> impl FnOnce(io::Error) -> BucketError {
    move |error| BucketError {
        operation,
        gone: false,
        reason: error.to_string(),
    }
}

fn etag(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

fn head_of(meta: &ObjectMeta) -> Head {
    Head {
        size: meta.size,
        etag: etag(meta.e_tag.as_deref()),
    }
}

/// All of a body, in memory, with its digest.
async fn gather(body: Body) -> io::Result<(PutPayload, Sha256)> {
    let (mut hasher, mut stream, mut pieces) = (sha2::Sha256::new(), body.0, Vec::new());
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        hasher.update(&piece);
        pieces.push(piece);
    }
    Ok((
        pieces.into_iter().collect(),
        Sha256(hasher.finalize().into()),
    ))
}

impl Objects {
    /// The bucket of an address, `s3://bucket?endpoint=https://…&region=…`. Keys come from
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or from the machine's role.
    ///
    /// # Errors
    /// When the address says something that there is not.
    pub(crate) fn open(address: &Url) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Config(format!("STORE: {reason}"));
        let bucket = address
            .host_str()
            .ok_or_else(|| wrong("name the bucket, as in s3://bucket".to_owned()))?;
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 10,
            retry_timeout: RETRY_FOR,
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(retry)
            .with_client_options(ClientOptions::new().with_timeout(REQUEST_WITHIN));
        for (name, value) in address.query_pairs() {
            builder = match &*name {
                "endpoint" => builder
                    .with_allow_http(value.starts_with("http://"))
                    .with_endpoint(value),
                "region" => builder.with_region(value),
                // Alibaba OSS and Tencent COS take nothing else.
                "virtual_hosted" => builder.with_virtual_hosted_style_request(value == "true"),
                other => {
                    return Err(wrong(format!(
                        "{other} is none of endpoint, region, virtual_hosted"
                    )));
                }
            };
        }
        let bucket = builder.build().map_err(|e| wrong(e.to_string()))?;
        Ok(Self {
            bucket: Arc::new(bucket),
            silent: false,
        })
    }

    /// As if it did not answer.
    pub(crate) fn silent(&self) -> Self {
        Self {
            silent: true,
            ..self.clone()
        }
    }

    /// Tries all that is asked of the store.
    ///
    /// # Errors
    /// In words, what it cannot do.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let key = format!("probe/{:016x}", getrandom::u64().unwrap_or_default());
        let cannot = |what: &str, reason: String| {
            Error::Config(format!("STORE: the store cannot {what}: {reason}"))
        };
        let is_what_was_put = |what: &str, right: bool| match right {
            true => Ok(()),
            false => Err(cannot(what, "it answers with something else".to_owned())),
        };
        let (put, bytes) = ("keep an object", b"probe".to_vec());
        self.put(&key, Body::of(bytes.clone()), None)
            .await
            .map_err(|e| cannot(put, format!("{e:?}")))?;
        let head = self.head(&key).await;
        let head = head.map_err(|e| cannot("tell of an object", e.reason))?;
        is_what_was_put("tell of an object", head.is_some_and(|h| h.size == 5))?;
        let read = self.read(&key, 1, 3).await;
        let read = read.map_err(|e| cannot("read a range", e.reason))?;
        is_what_was_put("read a range", read.is_some_and(|(_, b)| b == bytes[1..4]))?;

        let first = vec![7; usize::try_from(PART_SIZE_MIN).unwrap_or_default()];
        let multipart = async {
            let id = self.create(&key, PART_SIZE_MIN).await?;
            let mut etags = Vec::new();
            for (n, part) in [(1, first), (2, bytes)] {
                etags.push(self.put_part(&key, &id, n, Body::of(part)).await?.etag);
            }
            let joined = self.complete(&key, &id, &etags).await;
            let failed = |e| match e {
                CompleteError::Bucket(e) => e,
                CompleteError::Parts => broke_off("complete")(io::Error::other("no such parts")),
            };
            joined.map_err(failed)?;
            self.head(&key).await
        };
        let what = "join the parts of an object";
        let head = multipart.await.map_err(|e| cannot(what, e.reason))?;
        is_what_was_put(what, head.is_some_and(|h| h.size == PART_SIZE_MIN + 5))?;
        let what = "drop a multipart upload";
        let dropped = async {
            let id = self.create(&key, PART_SIZE_MIN).await?;
            self.abort(&key, &id).await
        };
        dropped.await.map_err(|e| cannot(what, e.reason))?;
        let what = "delete an object";
        let deleted = self.delete(&key).await;
        deleted.map_err(|e| cannot(what, e.reason))?;
        let head = self.head(&key).await.map_err(|e| cannot(what, e.reason))?;
        is_what_was_put(what, head.is_none())
    }

    fn asked(&self, operation: &'static str) -> Result<(), BucketError> {
        match self.silent {
            false => Ok(()),
            true => Err(broke_off(operation)(io::Error::other(
                "a test asked for it",
            ))),
        }
    }

    async fn get(
        &self,
        key: &str,
        range: Option<GetRange>,
    ) -> Result<Option<object_store::GetResult>, object_store::Error> {
        use object_store::ObjectStore as _;
        let options = GetOptions {
            range,
            ..GetOptions::default()
        };
        match self.bucket.get_opts(&Path::from(key), options).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Bucket for Objects {
    type Body = Body;
    type Objects = Incoming;

    fn objects(&self, objects: Vec<(String, u64)>) -> Incoming {
        let this = self.clone();
        let all = stream::iter(objects)
            .then(move |(key, _)| {
                let this = this.clone();
                async move {
                    match this.open(&key, Selection::Whole).await {
                        Ok(Some(body)) => body.0,
                        Ok(None) => {
                            stream::iter([Err(io::ErrorKind::NotFound.into())]).boxed_local()
                        }
                        Err(error) => stream::iter([Err(io::Error::other(error))]).boxed_local(),
                    }
                }
            })
            .flatten();
        Incoming::body(Some(Body(all.boxed_local())))
    }

    fn body(&self, bytes: Vec<u8>) -> Result<Body, BucketError> {
        Ok(Body::of(bytes))
    }

    async fn create(&self, key: &str, _part_size: u64) -> Result<String, BucketError> {
        self.asked("create")?;
        let id = self.bucket.create_multipart(&Path::from(key)).await;
        id.map_err(failed("create"))
    }

    async fn put_part(&self, key: &str, id: &str, n: u16, body: Body) -> Result<Put, BucketError> {
        self.asked("put part")?;
        let (bytes, sha256) = gather(body).await.map_err(broke_off("put part"))?;
        let part = self
            .bucket
            .put_part(&Path::from(key), &id.to_owned(), usize::from(n) - 1, bytes)
            .await
            .map_err(failed("put part"))?;
        Ok(Put {
            etag: part.content_id,
            sha256,
        })
    }

    async fn complete(&self, key: &str, id: &str, etags: &[String]) -> Result<(), CompleteError> {
        self.asked("complete").map_err(CompleteError::Bucket)?;
        let parts = etags.iter().map(|etag| PartId {
            content_id: etag.clone(),
        });
        let joined = self
            .bucket
            .complete_multipart(&Path::from(key), &id.to_owned(), parts.collect())
            .await;
        let Err(error) = joined else {
            return Ok(());
        };
        // A key is of one upload: if its object is there, an earlier try joined it whose answer was lost. Stores
        // differ in how they refuse the next one.
        if matches!(self.head(key).await, Ok(Some(_))) {
            return Ok(());
        }
        let error = failed("complete")(error);
        Err(match error.reason.contains("InvalidPart") {
            true => CompleteError::Parts,
            false => CompleteError::Bucket(error),
        })
    }

    async fn abort(&self, key: &str, id: &str) -> Result<(), BucketError> {
        self.asked("abort")?;
        let aborted = self
            .bucket
            .abort_multipart(&Path::from(key), &id.to_owned())
            .await;
        match aborted.map_err(failed("abort")) {
            Err(error) if !error.gone => Err(error),
            _ => Ok(()),
        }
    }

    async fn put(&self, key: &str, body: Body, expected: Option<Sha256>) -> Result<Put, PutError> {
        self.asked("put").map_err(PutError::Bucket)?;
        let gathered = gather(body).await.map_err(broke_off("put"));
        let (bytes, sha256) = gathered.map_err(PutError::Bucket)?;
        if expected.is_some_and(|e| e != sha256) {
            return Err(PutError::Digest);
        }
        let put = self.bucket.put(&Path::from(key), bytes).await;
        let put = put.map_err(|error| PutError::Bucket(failed("put")(error)))?;
        Ok(Put {
            etag: etag(put.e_tag.as_deref()),
            sha256,
        })
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        self.asked("head")?;
        match self.bucket.head(&Path::from(key)).await {
            Ok(meta) => Ok(Some(head_of(&meta))),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(failed("head")(error)),
        }
    }

    async fn read(
        &self,
        key: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Head, Vec<u8>)>, BucketError> {
        self.asked("get")?;
        let range = GetRange::Bounded(offset..offset + length);
        let found = match self.get(key, Some(range)).await {
            Ok(found) => found,
            // Of an object that ends before it, a range is an error.
            Err(error) => {
                let head = self.head(key).await?;
                return match head {
                    Some(head) if head.size <= offset => Ok(Some((head, Vec::new()))),
                    _ => Err(failed("get")(error)),
                };
            }
        };
        let Some(found) = found else {
            return Ok(None);
        };
        let head = head_of(&found.meta);
        let bytes = found.bytes().await.map_err(failed("get"))?;
        Ok(Some((head, bytes.to_vec())))
    }

    async fn open(&self, key: &str, what: Selection) -> Result<Option<Body>, BucketError> {
        self.asked("get")?;
        let range = match what {
            Selection::Whole => None,
            Selection::Part { offset, length } => Some(GetRange::Bounded(offset..offset + length)),
        };
        let found = self.get(key, range).await.map_err(failed("get"))?;
        Ok(found.map(|found| {
            let stream = found.into_stream();
            let bytes = stream.map(|piece| piece.map_err(io::Error::other));
            Body(bytes.boxed_local())
        }))
    }

    async fn digest(&self, body: Body) -> Result<Sha256, BucketError> {
        self.asked("digest")?;
        body.digest().await.map_err(broke_off("digest"))
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.asked("delete")?;
        match self.bucket.delete(&Path::from(key)).await {
            Err(error) if !is_not_found(&error) => Err(failed("delete")(error)),
            _ => Ok(()),
        }
    }
}
