//! Bytes on their way through the worker: they stay in JavaScript, and pass from the stream that they
//! come in by into one for each part.

use std::collections::VecDeque;

use chatlift_shared::limits::MIB;
use worker::js_sys::futures::{JsFuture, spawn_local};
use worker::js_sys::{Array, ArrayBuffer, Function, Promise, Reflect, Uint8Array, global};
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::web_sys::{
    Blob, ReadableStream, Response, TransformStream, WritableStreamDefaultWriter,
};
use worker::worker_sys::{DigestStream, FixedLengthStream};
use worker::{Context, Request};

use super::r2::R2;
use super::read::Reader;
use crate::checksum::Algorithm;
use crate::http::FORM_MEMORY;
use crate::memory::{Account, Share};
use crate::ports::{BucketError, Feed, Hash, Piece, Selection, Sink};

/// The bodies that this worker has in memory: parts on their way into R2, so that a cut loses none of
/// them, of which more are staged instead, and what forms gather, of which one goes on in any case. A
/// worker has 128 MB (<https://developers.cloudflare.com/workers/platform/limits/>), and some of what is
/// counted here once lies in two places for moments.
pub(super) static MEMORY: Account = Account::new(48 * MIB, FORM_MEMORY);

/// Where bytes come from.
enum Source {
    Body(ReadableStream),
    Object(R2, String),
}

/// Bytes in JavaScript's memory.
#[derive(Clone, Debug)]
pub(super) struct Bytes(Uint8Array);

impl Piece for Bytes {
    fn length(&self) -> u64 {
        u64::from(self.0.length())
    }

    fn split_off(&mut self, at: u64) -> Self {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let rest = self.0.subarray(at, self.0.length());
        self.0 = self.0.subarray(0, at);
        Self(rest)
    }

    fn copy(&self, most: u64) -> Vec<u8> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        self.0.subarray(0, most.min(self.0.length())).to_vec()
    }
}

/// A digest that the runtime computes.
pub(super) struct Digest {
    stream: DigestStream,
    writer: WritableStreamDefaultWriter,
}

impl Hash for Digest {
    type Piece = Bytes;

    async fn update(&mut self, piece: &Bytes) {
        // A digest that fails is missed when it is asked for.
        let _ = JsFuture::from(self.writer.write_with_chunk(&piece.0)).await;
    }

    async fn finish(self) -> Result<Vec<u8>, BucketError> {
        JsFuture::from(self.writer.close())
            .await
            .map_err(failed("digest"))?;
        let digest = JsFuture::from(self.stream.digest())
            .await
            .map_err(failed("digest"))?;
        Ok(Uint8Array::new(digest.unchecked_ref::<ArrayBuffer>()).to_vec())
    }
}

/// The writable side of a pipe.
pub(super) struct Writer(Option<WritableStreamDefaultWriter>);

impl Sink for Writer {
    type Piece = Bytes;

    async fn write(&mut self, piece: Bytes) -> bool {
        match &self.0 {
            Some(writer) => JsFuture::from(writer.write_with_chunk(&piece.0))
                .await
                .is_ok(),
            None => false,
        }
    }

    fn close(mut self) {
        if let Some(writer) = self.0.take() {
            end(writer.close());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take() {
            end(writer.abort_with_reason(&JsValue::from_str("it broke off")));
        }
    }
}

/// Has the other side of a pipe end; what becomes of that is told by whoever reads it.
fn end(ended: Promise) {
    spawn_local(async move {
        let _ = JsFuture::from(ended).await;
    });
}

/// A request's body, or objects one after the other.
pub(super) struct Stream {
    sources: VecDeque<Source>,
    reader: Option<Reader>,
    broken: bool,
}

impl Stream {
    fn new(sources: VecDeque<Source>) -> Self {
        Self {
            sources,
            reader: None,
            broken: false,
        }
    }

    /// A request's body; an empty one has no stream.
    pub(super) fn body(body: Option<ReadableStream>) -> Self {
        Self::new(body.into_iter().map(Source::Body).collect())
    }

    pub(super) fn objects(bucket: &R2, objects: Vec<(String, u64)>) -> Self {
        let source = |(key, _)| Source::Object(bucket.clone(), key);
        Self::new(objects.into_iter().map(source).collect())
    }

    async fn open(source: Source) -> Option<Reader> {
        let stream = match source {
            Source::Body(stream) => stream,
            Source::Object(bucket, key) => bucket.stream(&key, Selection::Whole).await.ok()??,
        };
        Reader::of(&stream).ok()
    }

    fn break_off(&mut self) -> Option<Bytes> {
        self.broken = true;
        self.reader = None;
        self.sources.clear();
        None
    }
}

/// A pipe without an announced length.
fn open_pipe() -> Result<TransformStream, JsValue> {
    let class: Function =
        Reflect::get(&global(), &JsValue::from_str("IdentityTransformStream"))?.dyn_into()?;
    Ok(Reflect::construct(&class, &Array::new())?.unchecked_into())
}

/// A pipe of exactly this length.
fn fixed_pipe(length: u64) -> Result<TransformStream, JsValue> {
    // A part has 95 MiB at most.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    Ok(FixedLengthStream::new(length)?.unchecked_into())
}

fn failed(operation: &'static str) -> impl FnOnce(JsValue) -> BucketError {
    move |error| BucketError {
        operation,
        reason: format!("{error:?}"),
        gone: false,
    }
}

impl Feed for Stream {
    type Body = ReadableStream;
    type Piece = Bytes;
    type Sink = Writer;
    type Hash = Digest;
    type Share = Share;

    fn of(body: ReadableStream) -> Self {
        Self::new(VecDeque::from([Source::Body(body)]))
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let Some(reader) = &mut self.reader else {
                let source = self.sources.pop_front()?;
                self.reader = Self::open(source).await;
                if self.reader.is_none() {
                    return self.break_off();
                }
                continue;
            };
            match reader.next().await {
                Ok(Some(bytes)) => return Some(Bytes(bytes)),
                Ok(None) => self.reader = None,
                Err(_) => return self.break_off(),
            }
        }
    }

    fn broken(&self) -> bool {
        self.broken
    }

    fn whole(&mut self) -> Option<ReadableStream> {
        let untouched = self.reader.is_none();
        let is_body = |source: &mut Source| untouched && matches!(source, Source::Body(_));
        match self.sources.pop_front_if(is_body)? {
            Source::Body(body) => Some(body),
            Source::Object(..) => None,
        }
    }

    fn pipe(length: Option<u64>) -> (Writer, ReadableStream) {
        let pipe = match length {
            Some(length) => fixed_pipe(length),
            None => open_pipe(),
        };
        let pipe = pipe.unwrap_or_else(|_| unreachable!("the runtime has pipes"));
        // A new pipe has no other writer.
        (Writer(pipe.writable().get_writer().ok()), pipe.readable())
    }

    fn gathered(pieces: Vec<Bytes>) -> ReadableStream {
        let parts: Array = pieces.into_iter().map(|piece| piece.0).collect();
        let blob = Blob::new_with_u8_array_sequence(&parts);
        blob.and_then(|blob| Response::new_with_opt_blob(Some(&blob)))
            .ok()
            .and_then(|response| response.body())
            .unwrap_or_else(|| unreachable!("a blob has a body"))
    }

    fn share(&self, bytes: u64) -> Option<Share> {
        MEMORY.take_spare(bytes)
    }

    fn hash(algorithm: Algorithm) -> Result<Digest, BucketError> {
        let stream = DigestStream::new(match algorithm {
            Algorithm::Sha1 => "SHA-1",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha384 => "SHA-384",
            Algorithm::Sha512 => "SHA-512",
        });
        let writer = stream.get_writer().map_err(failed("digest"))?;
        Ok(Digest { stream, writer })
    }
}

/// Lets go of a request when it has been answered.
pub(super) struct Held(Function);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.call0(&JsValue::UNDEFINED);
    }
}

/// Has the runtime go on with a request of an upload when its client has gone, for as long as the
/// platform lets it (30 s), so that what had arrived is put away. Until the answer is dropped.
pub(super) fn outlive(request: &Request, context: &Context) -> Option<Held> {
    let path = request.path();
    let upload = matches!(
        path.split('/').nth(3),
        Some("uploads" | "tus" | "resumable")
    );
    if !upload || request.inner().body().is_none() {
        return None;
    }
    let mut release = None;
    let answered = Promise::new(&mut |resolve, _| release = Some(resolve));
    context.wait_until(async move {
        let _ = JsFuture::from(answered).await;
    });
    release.map(|resolve| Held(resolve.unchecked_into()))
}
