//! Reading a stream in large pieces.
//!
//! A stream's usual reader gets 4,096 bytes of a request's body at once, however many have come,
//! and each piece costs a turn of the event loop and some calls between JavaScript and WebAssembly.

use web_sys::ReadableStreamByobReader;
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{ArrayBuffer, Reflect, Uint8Array};
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::web_sys::ReadableStream;

/// Most bytes of a piece.
const PIECE: u32 = 64 * 1024;

/// What reads a stream. The stream is its own from then on.
pub(super) struct Reader {
    reader: ReadableStreamByobReader,
    /// The buffer of a piece that was copied.
    spare: Option<ArrayBuffer>,
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
