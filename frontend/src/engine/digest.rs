//! Digests, by the browser: it computes them beside the program, several times faster than the program
//! could.

use chatlift_shared::digest::Sha256;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::dom;

#[wasm_bindgen]
extern "C" {
    /// Web Cryptography API, section 14.3.5.
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = digest)]
    fn subtle_digest(algorithm: &str, data: &Uint8Array) -> Result<Promise, JsValue>;
}

/// Whether the browser computes digests for this page: not for one that came by plain HTTP from elsewhere
/// than this device (Secure Contexts, section 3.1).
pub(super) fn are_there() -> bool {
    dom::get(&js_sys::global(), "crypto")
        .and_then(|crypto| dom::get(&crypto, "subtle"))
        .is_some()
}

/// The digest of some bytes, if the browser computes it.
pub(super) async fn of(bytes: &Uint8Array) -> Option<Sha256> {
    let digest = JsFuture::from(subtle_digest("SHA-256", bytes).ok()?);
    let mut sha256 = Sha256([0; 32]);
    let digest = Uint8Array::new(&digest.await.ok()?);
    (digest.length() == 32).then(|| digest.copy_to(&mut sha256.0))?;
    Some(sha256)
}
