//! In place of `wasm-streams`, by `[patch]` in the workspace's Cargo.toml.
//!
//! `server_fn`, which Leptos brings, needs it for server functions that stream. The page has no server functions, but
//! what a crate exports to JavaScript is linked whether or not it is used, with all that it needs: some 5 kB of brotli.
//! Here is what `server_fn` names, and nothing of it does anything; none of it is in the program.
#![cfg(target_arch = "wasm32")]

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use wasm_bindgen::JsValue;

/// A stream of the browser's (Streams Standard, section 4.2).
#[derive(Debug)]
pub struct ReadableStream(web_sys::ReadableStream);

impl ReadableStream {
    /// Wraps one.
    #[must_use]
    pub fn from_raw(raw: web_sys::ReadableStream) -> Self {
        Self(raw)
    }

    /// The one that is wrapped.
    #[must_use]
    pub fn into_raw(self) -> web_sys::ReadableStream {
        self.0
    }

    /// Would make one of a stream of Rust's.
    ///
    /// # Panics
    /// Always.
    #[must_use]
    pub fn from_stream(_: impl Stream<Item = Result<JsValue, JsValue>> + 'static) -> Self {
        unreachable!("no server function of the page streams")
    }

    /// Its items: none.
    #[must_use]
    pub fn into_stream(self) -> IntoStream {
        IntoStream
    }
}

/// Has no items.
#[derive(Debug)]
pub struct IntoStream;

impl Stream for IntoStream {
    type Item = Result<JsValue, JsValue>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}
