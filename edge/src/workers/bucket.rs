//! The bucket as the service asks for it, by R2. Bodies stay JavaScript streams: none passes through WebAssembly memory.

use chatlift_shared::digest::Sha256;
use futures_util::future::try_join;
use worker::web_sys::{ReadableStream, Response};
use worker::{Object, Range, UploadedPart};

use super::counts;
use super::feed::Stream;
use super::r2::{INVALID_PART, NO_SUCH_UPLOAD, R2, digest_of, failed, js_failed, tee};
use crate::ports::Selection;
use crate::ports::{Bucket, BucketError, CompleteError, Head, Put, PutError};

fn head_of(object: &Object) -> Head {
    Head {
        size: object.size(),
        etag: object.etag(),
    }
}

fn has_code(error: &worker::Error, code: &str) -> bool {
    error.to_string().contains(code)
}

impl Bucket for R2 {
    type Body = ReadableStream;
    type Objects = Stream;

    fn objects(&self, objects: Vec<(String, u64)>) -> Stream {
        Stream::objects(self, objects)
    }

    fn body(&self, bytes: Vec<u8>) -> Result<ReadableStream, BucketError> {
        let mut bytes = bytes;
        // A response over bytes has a stream whose length the runtime knows.
        Response::new_with_opt_u8_array(Some(&mut bytes))
            .map_err(js_failed("body"))?
            .body()
            .ok_or_else(|| BucketError {
                operation: "body",
                reason: "no stream".to_owned(),
                gone: false,
            })
    }

    async fn create(&self, key: &str, _part_size: u64) -> Result<String, BucketError> {
        counts::r2_class_a();
        let bucket = self.asked("create")?;
        let upload = bucket.create_multipart_upload(key).execute().await;
        Ok(upload.map_err(failed("create"))?.upload_id().await)
    }

    async fn put_part(
        &self,
        key: &str,
        r2_upload_id: &str,
        n: u16,
        body: ReadableStream,
    ) -> Result<Put, BucketError> {
        counts::r2_class_a();
        let (to_store, to_hash) = tee(&body);
        let upload = self
            .asked("put part")?
            .resume_multipart_upload(key, r2_upload_id)
            .map_err(failed("put part"))?;
        let store = async {
            upload
                .upload_part(n, to_store)
                .await
                .map_err(failed("put part"))
        };
        // When one fails the other is dropped: a branch that nobody reads would fill memory.
        let (part, sha256) = try_join(store, digest_of(to_hash)).await?;
        Ok(Put {
            etag: part.etag(),
            sha256,
        })
    }

    async fn complete(
        &self,
        key: &str,
        r2_upload_id: &str,
        etags: &[String],
    ) -> Result<(), CompleteError> {
        counts::r2_class_a();
        let parts = (1_u16..)
            .zip(etags)
            .map(|(n, etag)| UploadedPart::new(n, etag.clone()));
        let bucket = self.asked("complete").map_err(CompleteError::Bucket)?;
        let completed = async {
            bucket
                .resume_multipart_upload(key, r2_upload_id)?
                .complete(parts)
                .await
        };
        match completed.await {
            Ok(_) => Ok(()),
            Err(error) if has_code(&error, INVALID_PART) => Err(CompleteError::Parts),
            Err(error) => Err(CompleteError::Bucket(failed("complete")(error))),
        }
    }

    async fn abort(&self, key: &str, r2_upload_id: &str) -> Result<(), BucketError> {
        counts::r2_free();
        let aborted = self
            .asked("abort")?
            .resume_multipart_upload(key, r2_upload_id)
            .map_err(failed("abort"))?
            .abort()
            .await;
        match aborted {
            Err(error) if has_code(&error, NO_SUCH_UPLOAD) => Ok(()),
            other => other.map_err(failed("abort")),
        }
    }

    async fn put(
        &self,
        key: &str,
        body: ReadableStream,
        expected: Option<Sha256>,
    ) -> Result<Put, PutError> {
        counts::r2_class_a();
        let bucket = self.asked("put").map_err(PutError::Bucket)?;
        let (to_store, to_hash) = tee(&body);
        let store = async {
            let mut put = bucket.put(key, to_store);
            if let Some(sha256) = expected {
                put = put.sha256(sha256.0);
            }
            put.execute().await.map_err(failed("put"))
        };
        let (stored, sha256) = futures_util::future::join(store, digest_of(to_hash)).await;
        let sha256 = sha256.map_err(PutError::Bucket)?;
        if expected.is_some_and(|e| e != sha256) {
            return Err(PutError::Digest);
        }
        match stored.map_err(PutError::Bucket)? {
            Some(object) => Ok(Put {
                etag: object.etag(),
                sha256,
            }),
            None => Err(PutError::Bucket(BucketError {
                operation: "put",
                reason: "precondition failed".to_owned(),
                gone: false,
            })),
        }
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        counts::r2_class_b();
        let bucket = self.asked("head")?;
        let object = bucket.head(key).await.map_err(failed("head"))?;
        Ok(object.as_ref().map(head_of))
    }

    async fn read(
        &self,
        key: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Head, Vec<u8>)>, BucketError> {
        let range = Range::OffsetWithLength { offset, length };
        let Some(object) = self.get(key, Some(range)).await? else {
            return Ok(None);
        };
        let bytes = match object.body() {
            Some(body) => body.bytes().await.map_err(failed("get"))?,
            None => Vec::new(),
        };
        Ok(Some((head_of(&object), bytes)))
    }

    async fn open(
        &self,
        key: &str,
        what: Selection,
    ) -> Result<Option<ReadableStream>, BucketError> {
        self.stream(key, what).await
    }

    async fn digest(&self, body: ReadableStream) -> Result<Sha256, BucketError> {
        digest_of(body).await
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        counts::r2_free();
        self.asked("delete")?
            .delete(key)
            .await
            .map_err(failed("delete"))
    }
}
