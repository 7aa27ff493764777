//! Bytes on their way through the worker, taken piece by piece: they stay in JavaScript, and pass
//! from the stream they come in by into one for each piece.

use core::cell::Cell;
use core::future::pending;
use core::pin::pin;
use core::time::Duration;
use std::collections::VecDeque;

use futures_util::future::{Either, join, select};
use web_sys::StreamPipeOptions;
use worker::js_sys::futures::{JsFuture, spawn_local};
use worker::js_sys::{Array, ArrayBuffer, Function, Promise, Reflect, Uint8Array, global};
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::web_sys::{
    Blob, ReadableStream, Response, TransformStream, WritableStreamDefaultWriter,
};
use worker::worker_sys::{DigestStream, FixedLengthStream};
use worker::{Context, Delay, Request};

use super::r2::{R2, tee};
use super::read::Reader;
use crate::checksum::Algorithm;
use crate::ports::Selection;
use crate::ports::{BucketError, Feed, Taken};

/// Most bytes that all requests of this worker together keep of parts on their way into R2, so that
/// a cut loses none of them. A worker has 128 MB
/// (<https://developers.cloudflare.com/workers/platform/limits/>). Where it is used up, parts are
/// staged instead.
const KEPT_MAX: u64 = 32 * 1024 * 1024;

thread_local! {
    static KEPT: Cell<u64> = const { Cell::new(0) };
}

/// A share of [`KEPT_MAX`], given back when it is dropped.
#[derive(Debug)]
struct Share(u64);

impl Share {
    fn take(bytes: u64) -> Option<Self> {
        let kept = KEPT.get().checked_add(bytes).filter(|k| *k <= KEPT_MAX)?;
        KEPT.set(kept);
        Some(Self(bytes))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        KEPT.set(KEPT.get().saturating_sub(self.0));
    }
}

/// Where bytes come from.
enum Source {
    Body(ReadableStream),
    Object(R2, String),
}

/// What came of a part on its way.
#[derive(Default)]
struct Pieces {
    chunks: Array,
    bytes: u64,
    /// What came before it, and is kept elsewhere, in bytes.
    begin: u64,
}

impl Pieces {
    fn push(&mut self, chunk: &Uint8Array) {
        self.chunks.push(chunk);
        self.bytes += u64::from(chunk.length());
    }

    /// As a body; `None` where there is nothing.
    fn body(&self) -> Option<ReadableStream> {
        if self.bytes == 0 {
            return None;
        }
        let blob = Blob::new_with_u8_array_sequence(&self.chunks).ok()?;
        Response::new_with_opt_blob(Some(&blob)).ok()?.body()
    }

    /// Hands over what there is; answers whether more is taken.
    async fn spill(
        &mut self,
        spill: &mut impl AsyncFnMut(ReadableStream, u64, u64) -> bool,
    ) -> bool {
        let Some(body) = self.body() else {
            return true;
        };
        let (begin, bytes) = (self.begin, self.bytes);
        *self = Self {
            begin: begin + bytes,
            ..Self::default()
        };
        spill(body, begin, bytes).await
    }
}

/// Pieces that are kept, and their share of the memory.
struct Kept {
    pieces: Pieces,
    _share: Share,
}

/// How long nothing may come of a part before what came is put away.
const STALL: Duration = Duration::from_secs(1);

/// Reads what another branch of the same body is given, to its end. What is left of it then, and
/// whether it is wanted. Once somebody has asked for what came, nothing is put away before the end:
/// who was told how much is held goes on from there.
async fn keep(
    mut reader: Reader,
    broken: &mut bool,
    asked: &impl AsyncFn(),
    spill: &mut impl AsyncFnMut(ReadableStream, u64, u64) -> bool,
) -> (Pieces, bool) {
    let (mut pieces, mut wanted, mut was_asked) = (Pieces::default(), true, false);
    let mut asking = Box::pin(asked());
    loop {
        let mut next = pin!(reader.next());
        let read = loop {
            let stalled = pin!(async move {
                if was_asked {
                    return pending().await;
                }
                Delay::from(STALL).await;
            });
            match select(next.as_mut(), select(asking.as_mut(), stalled)).await {
                Either::Left((read, _)) => break read,
                Either::Right((Either::Left(_), _)) => {
                    was_asked = true;
                    wanted = wanted && pieces.spill(spill).await;
                    // Tells that it is put away.
                    asking = Box::pin(asked());
                }
                Either::Right((Either::Right(_), _)) => {
                    wanted = wanted && pieces.spill(spill).await;
                }
            }
        };
        match read {
            Ok(Some(chunk)) => pieces.push(&chunk),
            end => {
                *broken = end.is_err();
                return (pieces, wanted);
            }
        }
    }
}

/// A digest in the making.
struct Hash {
    stream: DigestStream,
    writer: WritableStreamDefaultWriter,
}

/// A request's body, or objects one after the other.
pub(super) struct Stream {
    sources: VecDeque<Source>,
    /// Length of a body, where it was announced.
    length: Option<u64>,
    reader: Option<Reader>,
    /// Looked at, or left over from a piece.
    pending: VecDeque<Uint8Array>,
    broken: bool,
    hash: Option<Hash>,
    kept: Option<Kept>,
}

impl Stream {
    fn new(sources: VecDeque<Source>) -> Self {
        Self {
            sources,
            length: None,
            reader: None,
            pending: VecDeque::new(),
            broken: false,
            hash: None,
            kept: None,
        }
    }

    /// A request's body, of which `length` bytes were announced; an empty one has no stream.
    pub(super) fn of(body: Option<ReadableStream>, length: Option<u64>) -> Self {
        Self {
            length,
            ..Self::new(body.into_iter().map(Source::Body).collect())
        }
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

    /// The next bytes, as many as come at once.
    async fn next(&mut self) -> Option<Uint8Array> {
        if let Some(chunk) = self.pending.pop_front() {
            return Some(chunk);
        }
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
                Ok(Some(chunk)) => return Some(chunk),
                Ok(None) => self.reader = None,
                Err(_) => return self.break_off(),
            }
        }
    }

    fn break_off(&mut self) -> Option<Uint8Array> {
        self.broken = true;
        self.reader = None;
        self.sources.clear();
        None
    }

    /// Passes at most `length` bytes on; counts them in `given` when they are offered.
    async fn pump(
        &mut self,
        writer: &WritableStreamDefaultWriter,
        length: u64,
        given: &Cell<u64>,
    ) -> bool {
        while given.get() < length {
            let Some(mut chunk) = self.next().await else {
                return false;
            };
            let room = u32::try_from(length - given.get()).unwrap_or(u32::MAX);
            if chunk.length() > room {
                self.pending
                    .push_front(chunk.subarray(room, chunk.length()));
                chunk = chunk.subarray(0, room);
            }
            let bytes = u64::from(chunk.length());
            if let Some(kept) = &mut self.kept {
                kept.pieces.push(&chunk);
            }
            if let Some(hash) = &self.hash {
                // A digest that fails is missed when it is asked for.
                let _ = JsFuture::from(hash.writer.write_with_chunk(&chunk)).await;
            }
            given.set(given.get() + bytes);
            if JsFuture::from(writer.write_with_chunk(&chunk))
                .await
                .is_err()
            {
                return false;
            }
        }
        true
    }

    /// Has `consume` take the readable side of `pipe` while bytes are pumped into the other.
    async fn through<T>(
        &mut self,
        pipe: TransformStream,
        length: u64,
        exact: bool,
        given: &Cell<u64>,
        consume: impl AsyncFnOnce(ReadableStream) -> T,
    ) -> Option<Taken<T>> {
        let writer = pipe.writable().get_writer().ok()?;
        let consuming = Box::pin(consume(pipe.readable()));
        let said = {
            let pumping = Box::pin(self.pump(&writer, length, given));
            match select(pumping, consuming).await {
                Either::Left((whole, consuming)) => {
                    // Ends the other side; what becomes of that is told by the consumer.
                    let end = if whole || !exact {
                        writer.close()
                    } else {
                        writer.abort_with_reason(&JsValue::from_str("it broke off"))
                    };
                    spawn_local(async move {
                        let _ = JsFuture::from(end).await;
                    });
                    consuming.await
                }
                Either::Right((said, _)) => said,
            }
        };
        Some(Taken {
            said,
            bytes: given.get(),
        })
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

/// One body and then another, together of this length.
fn joined(
    first: ReadableStream,
    second: ReadableStream,
    length: u64,
) -> Result<ReadableStream, JsValue> {
    let pipe = fixed_pipe(length)?;
    let into = pipe.writable();
    let on = StreamPipeOptions::new();
    on.set_prevent_close(true);
    spawn_local(async move {
        // One that fails has the other side fail, which is told by whoever reads that.
        if JsFuture::from(first.pipe_to_with_options(&into, &on))
            .await
            .is_ok()
        {
            let _ = JsFuture::from(second.pipe_to(&into)).await;
        }
    });
    Ok(pipe.readable())
}

fn failed(operation: &'static str) -> impl FnOnce(JsValue) -> BucketError {
    move |error| BucketError {
        operation,
        reason: format!("{error:?}"),
        gone: false,
    }
}

/// Pipes are always there; `None` stands for a runtime without them.
fn always<T>(taken: Option<Taken<T>>) -> Taken<T> {
    taken.unwrap_or_else(|| unreachable!("the runtime has pipes"))
}

impl Feed for Stream {
    type Body = ReadableStream;

    async fn peek(&mut self, most: u64) -> Vec<u8> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut seen = Vec::new();
        let mut head = Vec::new();
        while head.len() < most {
            let Some(chunk) = self.next().await else {
                break;
            };
            let room = u32::try_from(most - head.len()).unwrap_or(u32::MAX);
            head.extend(chunk.subarray(0, room.min(chunk.length())).to_vec());
            seen.push(chunk);
        }
        for chunk in seen.into_iter().rev() {
            self.pending.push_front(chunk);
        }
        head
    }

    async fn ended(&mut self) -> bool {
        if self.pending.is_empty()
            && let Some(chunk) = self.next().await
        {
            self.pending.push_front(chunk);
        }
        self.pending.is_empty()
    }

    fn broken(&self) -> bool {
        self.broken
    }

    async fn take<T>(
        &mut self,
        length: u64,
        consume: impl AsyncFnOnce(ReadableStream) -> T,
    ) -> Taken<T> {
        self.kept = None;
        let pipe = open_pipe().unwrap_or_else(|_| unreachable!("the runtime has pipes"));
        always(
            self.through(pipe, length, false, &Cell::new(0), consume)
                .await,
        )
    }

    async fn take_whole<T>(
        &mut self,
        length: u64,
        consume: impl AsyncFnOnce(ReadableStream) -> T,
    ) -> Option<Taken<T>> {
        self.kept = None;
        self.kept = Some(Kept {
            pieces: Pieces::default(),
            _share: Share::take(length)?,
        });
        let pipe = fixed_pipe(length).ok()?;
        self.through(pipe, length, true, &Cell::new(0), consume)
            .await
    }

    async fn take_rest<T, E>(
        &mut self,
        before: Option<(ReadableStream, u64)>,
        length: u64,
        consume: impl AsyncFnOnce(ReadableStream) -> Result<T, E>,
        asked: impl AsyncFn(),
        mut spill: impl AsyncFnMut(ReadableStream, u64, u64) -> bool,
    ) -> Option<Result<T, E>> {
        if self.length != Some(length) {
            return None;
        }
        let _share = Share::take(length)?;
        let (rest, to_keep) = tee(&self.body()?);
        let reader = Reader::of(&to_keep).ok()?;
        let body = match before {
            Some((before, held)) => joined(before, rest, held + length).ok()?,
            None => rest,
        };
        let (said, (mut left, wanted)) = join(
            consume(body),
            keep(reader, &mut self.broken, &asked, &mut spill),
        )
        .await;
        if said.is_err() && wanted {
            left.spill(&mut spill).await;
        }
        Some(said)
    }

    async fn take_exactly<T>(
        &mut self,
        length: u64,
        moved: &Cell<u64>,
        consume: impl AsyncFnOnce(ReadableStream) -> T,
    ) -> Taken<T> {
        self.kept = None;
        let pipe = fixed_pipe(length).unwrap_or_else(|_| unreachable!("the runtime has pipes"));
        always(self.through(pipe, length, true, moved, consume).await)
    }

    fn body(&mut self) -> Option<ReadableStream> {
        let untouched = self.reader.is_none() && self.pending.is_empty();
        let is_body = |source: &mut Source| untouched && matches!(source, Source::Body(_));
        match self.sources.pop_front_if(is_body)? {
            Source::Body(body) => Some(body),
            Source::Object(..) => None,
        }
    }

    fn kept(&mut self) -> Option<(ReadableStream, u64)> {
        let pieces = self.kept.take()?.pieces;
        Some((pieces.body()?, pieces.bytes))
    }

    fn hash(&mut self, algorithm: Algorithm) -> Result<(), BucketError> {
        let stream = DigestStream::new(match algorithm {
            Algorithm::Sha1 => "SHA-1",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha384 => "SHA-384",
            Algorithm::Sha512 => "SHA-512",
        });
        let writer = stream.get_writer().map_err(failed("digest"))?;
        self.hash = Some(Hash { stream, writer });
        Ok(())
    }

    async fn digest(&mut self) -> Result<Vec<u8>, BucketError> {
        let hash = self.hash.take().ok_or_else(|| BucketError {
            operation: "digest",
            reason: "none was begun".to_owned(),
            gone: false,
        })?;
        JsFuture::from(hash.writer.close())
            .await
            .map_err(failed("digest"))?;
        let digest = JsFuture::from(hash.stream.digest())
            .await
            .map_err(failed("digest"))?;
        Ok(Uint8Array::new(digest.unchecked_ref::<ArrayBuffer>()).to_vec())
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
