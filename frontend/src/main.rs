//! The upload page. Its program runs in the browser only; what can be tested without one is in
//! the library of this crate.

#[cfg(target_arch = "wasm32")]
mod api;
#[cfg(target_arch = "wasm32")]
#[expect(
    unreachable_pub,
    reason = "`#[component]` writes a public builder for each component"
)]
mod components;
#[cfg(target_arch = "wasm32")]
mod dom;
#[cfg(target_arch = "wasm32")]
mod engine;
#[cfg(target_arch = "wasm32")]
mod focus;
#[cfg(target_arch = "wasm32")]
mod i18n;
#[cfg(target_arch = "wasm32")]
mod page;
#[cfg(target_arch = "wasm32")]
mod pickers;
#[cfg(target_arch = "wasm32")]
mod start;

/// Memory that the program takes at once, in bytes: more than a page with some hundred files needs.
/// V8 before 6.5 (seen in Chromium 64) leaves the views of a memory as they are when the program
/// grows it, and wasm-bindgen's glue then writes beside it; so it has to be large before there is
/// any view. What is not used is not backed by RAM.
#[cfg(target_arch = "wasm32")]
const MEMORY: usize = 4 << 20;

fn main() {
    #[cfg(target_arch = "wasm32")]
    {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(MEMORY)));
        start::start();
    }
}
