//! Reads a picked file's bytes, as a device gives them: at once, late, in part or never.

use std::cell::Cell;
use std::rc::Rc;

use chatlift_frontend::uploader::Failure;
use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, Response};

use crate::dom;

/// Longest time that a device may give nothing of a file, in milliseconds. A file that lies in a cloud
/// is fetched first.
const PATIENCE_MS: f64 = 30_000.0;

/// Time after which a read that gives nothing holds up no other file, in milliseconds.
const STALL_MS: f64 = 2_000.0;

/// How often a read is looked at, in milliseconds.
const CHECK_MS: f64 = 500.0;

/// Bytes that are read at once, however slow the device: as many as it gives within [`STALL_MS`].
const SLICE: f64 = 1024.0 * 1024.0;

/// Time that a longer read should take, in milliseconds.
const AT_ONCE_MS: f64 = 1_000.0;

thread_local! {
    /// Bytes that are read at once: as many as the device gave last within [`AT_ONCE_MS`]. A part in one read
    /// costs half of the processor's time that it costs in slices.
    static AT_ONCE: Cell<f64> = const { Cell::new(SLICE) };
}

/// A read under way, and how long it may give nothing.
pub(super) struct Reader {
    file: File,
    /// Resolves with nothing when the device has given nothing for too long.
    expired: Promise,
    /// When it gave something last; infinitely late once the read has ended.
    moved: Rc<Cell<f64>>,
}

impl Reader {
    /// Begins to watch; `stalled` is called when the read holds up others no longer.
    pub(super) fn new(file: File, stalled: impl FnOnce() + 'static) -> Self {
        let moved = Rc::new(Cell::new(dom::now()));
        let mut expire = None;
        let expired = Promise::new(&mut |resolve: Function, _| expire = Some(resolve));
        let watched = moved.clone();
        dom::spawn(async move {
            let mut stalled = Some(stalled);
            loop {
                dom::sleep(CHECK_MS).await;
                let idle = dom::now() - watched.get();
                if idle > STALL_MS
                    && let Some(stalled) = stalled.take()
                {
                    stalled();
                }
                if idle > PATIENCE_MS
                    && let Some(expire) = &expire
                {
                    let _ = expire.call0(&JsValue::UNDEFINED);
                }
                if !(0.0..=PATIENCE_MS).contains(&idle) {
                    break;
                }
            }
        });
        Self {
            file,
            expired,
            moved,
        }
    }

    /// A stretch of the file. Where the device is slow, a slice at a time, so that it is not taken for one that
    /// gives nothing.
    pub(super) async fn read(&self, start: f64, end: f64) -> Result<Uint8Array, Failure> {
        let mut all = None;
        let mut at = start;
        loop {
            let (to, begun) = (end.min(at + AT_ONCE.get()), dom::now());
            let limit = (to - at > SLICE).then(|| dom::timer(STALL_MS));
            let is_limited = limit.is_some();
            let bytes = match self.bytes(at, to, limit).await {
                Err(_) if is_limited => {
                    AT_ONCE.set(SLICE);
                    continue;
                }
                bytes => bytes?,
            };
            let pace = (to - at) / (dom::now() - begun).max(1.0);
            AT_ONCE.set(SLICE.max(pace * AT_ONCE_MS));
            if at == start && to == end {
                return Ok(bytes);
            }
            // Parts are far below 4 GiB.
            let all = all.get_or_insert_with(|| Uint8Array::new_with_length((end - start) as u32));
            all.set(&bytes, (at - start) as u32);
            if to == end {
                return Ok(all.clone());
            }
            at = to;
        }
    }

    /// A stretch of the file, at once, if it is there before `limit` resolves with nothing.
    async fn bytes(
        &self,
        start: f64,
        end: f64,
        limit: Option<Promise>,
    ) -> Result<Uint8Array, Failure> {
        let slice = self.file.slice_with_f64_and_f64(start, end);
        let slice = slice.map_err(|_| Failure::Unreadable)?;
        let bytes = self.content(&slice, limit).await;
        // A file that shrank, or whose permission ran out, gives fewer bytes than it said.
        let whole = bytes.filter(|bytes| f64::from(bytes.length()) == end - start);
        whole.ok_or(Failure::Unreadable)
    }

    async fn content(&self, blob: &web_sys::Blob, limit: Option<Promise>) -> Option<Uint8Array> {
        // By way of a response: a blob's own `arrayBuffer` is missing in the older in-app browsers.
        let response = Response::new_with_opt_blob(Some(blob)).ok()?;
        let race = Array::of2(response.array_buffer().ok()?.as_ref(), &self.expired);
        if let Some(limit) = limit {
            race.push(&limit);
        }
        self.moved.set(dom::now());
        let given = JsFuture::from(Promise::race(&race)).await.ok()?;
        self.moved.set(dom::now());
        (!given.is_undefined()).then(|| Uint8Array::new(&given))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.moved.set(f64::INFINITY);
    }
}

/// The same file with the size that it has: some providers of Android say 0 where they do not know
/// one, so it is read to its end. The file itself if there is nothing in it.
pub(crate) async fn with_its_size(file: File) -> File {
    let reader = Reader::new(file, || {});
    let bytes = reader.content(&reader.file, None).await;
    let sized = bytes.filter(|bytes| bytes.length() > 0).and_then(|bytes| {
        let class: Function = Reflect::get(&js_sys::global(), &"File".into()).ok()?.into();
        let options = Object::new();
        for name in ["type", "lastModified"] {
            let _ = Reflect::set(&options, &name.into(), &dom::get(&reader.file, name)?);
        }
        let name = dom::text(&reader.file, "name");
        let arguments = Array::of3(&Array::of1(&bytes), &name.into(), &options);
        Some(
            Reflect::construct(&class, &arguments)
                .ok()?
                .unchecked_into(),
        )
    });
    sized.unwrap_or_else(|| reader.file.clone())
}
