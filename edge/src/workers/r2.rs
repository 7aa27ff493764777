//! The R2 bucket as the worker is given it: its objects as streams, its errors as ours.

use chatlift_shared::digest::Sha256;
use worker::crypto::{DigestStream, DigestStreamAlgorithm};
use worker::js_sys::futures::JsFuture;
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::web_sys::ReadableStream;
use worker::{Env, Object, Range, ResponseBody};

use super::counts;
use super::setup::broken;
use crate::ports::Selection;
use crate::ports::{BucketError, Failure};

/// R2's error codes (<https://developers.cloudflare.com/r2/api/error-codes/>), which it puts in
/// brackets at the end of its messages.
pub(super) const NO_SUCH_UPLOAD: &str = "(10024)";
pub(super) const INVALID_PART: &str = "(10025)";

/// The bucket that is bound as `FILES`.
#[derive(Clone, Debug)]
pub(super) struct R2 {
    bucket: worker::Bucket,
    /// Whether it answers nothing, as a test asked.
    silent: bool,
}

impl R2 {
    pub(super) fn new(env: &Env) -> Result<Self, Failure> {
        let bucket = env.bucket("FILES").map_err(broken("binding FILES"))?;
        Ok(Self {
            bucket,
            silent: false,
        })
    }

    /// As if R2 did not answer.
    pub(super) fn silent(self) -> Self {
        Self {
            silent: true,
            ..self
        }
    }

    pub(super) fn asked(&self, operation: &'static str) -> Result<&worker::Bucket, BucketError> {
        match self.silent {
            false => Ok(&self.bucket),
            true => Err(failed(operation)("a test asked for it")),
        }
    }

    /// An object; `None` if there is none.
    pub(super) async fn get(
        &self,
        key: &str,
        range: Option<Range>,
    ) -> Result<Option<Object>, BucketError> {
        counts::r2_class_b();
        let mut get = self.asked("get")?.get(key);
        if let Some(range) = range {
            get = get.range(range);
        }
        get.execute().await.map_err(failed("get"))
    }

    /// An object's content, or some of it, as a stream; `None` if there is none.
    pub(super) async fn stream(
        &self,
        key: &str,
        what: Selection,
    ) -> Result<Option<ReadableStream>, BucketError> {
        let range = match what {
            Selection::Whole => None,
            Selection::Part { offset, length } => Some(Range::OffsetWithLength { offset, length }),
        };
        let Some(object) = self.get(key, range).await? else {
            return Ok(None);
        };
        let Some(body) = object.body() else {
            return Ok(None);
        };
        match body.response_body().map_err(failed("get"))? {
            ResponseBody::Stream(stream) => Ok(Some(stream)),
            ResponseBody::Empty | ResponseBody::Body(_) => Ok(None),
        }
    }
}

pub(super) fn failed<E: core::fmt::Display>(
    operation: &'static str,
) -> impl FnOnce(E) -> BucketError {
    move |error| {
        let reason = error.to_string();
        BucketError {
            operation,
            gone: reason.contains(NO_SUCH_UPLOAD),
            reason,
        }
    }
}

pub(super) fn js_failed(operation: &'static str) -> impl FnOnce(JsValue) -> BucketError {
    move |error| BucketError {
        operation,
        reason: format!("{error:?}"),
        gone: false,
    }
}

/// Splits a body into one stream to store and one to hash. Both keep the known length.
pub(super) fn tee(body: &ReadableStream) -> (ReadableStream, ReadableStream) {
    let branches = body.tee();
    (
        branches.get(0).unchecked_into(),
        branches.get(1).unchecked_into(),
    )
}

/// The digest of a stream, computed by the runtime as the bytes go by.
pub(super) async fn digest_of(stream: ReadableStream) -> Result<Sha256, BucketError> {
    let sink = DigestStream::new(DigestStreamAlgorithm::Sha256);
    JsFuture::from(stream.pipe_to(sink.raw()))
        .await
        .map_err(js_failed("digest"))?;
    let bytes = sink.digest().await.map_err(failed("digest"))?.to_vec();
    bytes.try_into().map(Sha256).map_err(|_| BucketError {
        operation: "digest",
        reason: "not 32 bytes".to_owned(),
        gone: false,
    })
}
