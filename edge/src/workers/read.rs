//! Reading a stream in large pieces.
//!
//! A stream's usual reader gets 4,096 bytes of a request's body at once, however many have come,
//! and each piece costs a turn of the event loop and some calls between JavaScript and WebAssembly.

use core::pin::pin;
use core::time::Duration;

use chatlift_shared::limits::MIB;
use futures_util::future::{Either, select};
use web_sys::ReadableStreamByobReader;
use worker::Delay;
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{ArrayBuffer, Function, Reflect, Uint8Array};
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::web_sys::ReadableStream;

/// Most bytes of a piece.
const PIECE: u32 = 64 * 1024;

/// Most bytes of a body that are read for nothing: the longest that the platform takes on the usual plans has
/// 100 MB (<https://developers.cloudflare.com/workers/platform/limits/>).
const DRAIN_MAX: u64 = 128 * MIB;

/// How long nothing may come of such a body, and how long it may take in all.
const DRAIN_STALL: Duration = Duration::from_secs(1);
const DRAIN_FOR: Duration = Duration::from_secs(10);

/// Reads what is left of a request's body, before it is answered: the runtime would end the connection, on
/// which the next request may be under way (RFC 9112 section 9.3). A body that is too long, too slow or
/// somebody else's to read is left.
pub(super) async fn drain(body: &ReadableStream) {
    let Ok(mut reader) = Reader::of(body) else {
        return;
    };
    let reading = pin!(async {
        let mut bytes = 0;
        while bytes < DRAIN_MAX {
            match select(pin!(reader.next()), Delay::from(DRAIN_STALL)).await {
                Either::Left((Ok(Some(piece)), _)) => bytes += u64::from(piece.length()),
                _ => break,
            }
        }
    });
    select(reading, Delay::from(DRAIN_FOR)).await;
}

/// What reads a stream, which is its own until it is dropped.
pub(super) struct Reader {
    reader: ReadableStreamByobReader,
    /// The buffer of a piece that was copied.
    spare: Option<ArrayBuffer>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Fails where something is being read: then the stream stays its own.
        let release = Reflect::get(&self.reader, &JsValue::from_str("releaseLock"));
        if let Some(release) = release.ok().and_then(|f| f.dyn_into::<Function>().ok()) {
            let _ = release.call0(&self.reader);
        }
    }
}

impl Reader {
    /// Fails for a stream that is not of bytes, or is being read.
    pub(super) fn of(stream: &ReadableStream) -> Result<Self, JsValue> {
        Ok(Self {
            reader: ReadableStreamByobReader::new(stream)?,
            spare: None,
        })
    }

    /// The next bytes, as many as have come, up to a piece; `None` at the end. Fails when the stream
    /// breaks off; whatever came before that was given out.
    pub(super) async fn next(&mut self) -> Result<Option<Uint8Array>, JsValue> {
        let buffer = self.spare.take().unwrap_or_else(|| ArrayBuffer::new(PIECE));
        let view = Uint8Array::new(&buffer);
        let read = JsFuture::from(self.reader.read_with_array_buffer_view(&view)).await?;
        let piece = Reflect::get(&read, &JsValue::from_str("value"))?;
        let Ok(piece) = piece.dyn_into::<Uint8Array>() else {
            return Ok(None);
        };
        match piece.length() {
            0 => Ok(None),
            // A slow network brings small pieces: whoever keeps many of them keeps no buffers that
            // are nearly empty.
            length if length < PIECE / 4 * 3 => {
                self.spare = Some(piece.buffer());
                Ok(Some(piece.slice(0, length)))
            }
            _ => Ok(Some(piece)),
        }
    }
}
