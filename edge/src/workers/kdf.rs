//! PBKDF2 by the runtime's WebCrypto, outside of WebAssembly. `worker` has no wrapper for it.

use worker::js_sys::{
    Array, Function, Object, Promise, Reflect, Uint8Array, futures::JsFuture, global,
};
use worker::wasm_bindgen::{JsCast as _, JsValue};

fn object(fields: &[(&str, JsValue)]) -> Result<JsValue, JsValue> {
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &JsValue::from_str(name), value)?;
    }
    Ok(object.into())
}

async fn call(on: &JsValue, name: &str, arguments: &Array) -> Result<JsValue, JsValue> {
    let function: Function = Reflect::get(on, &JsValue::from_str(name))?.dyn_into()?;
    let promise: Promise = function.apply(on, arguments)?.dyn_into()?;
    JsFuture::from(promise).await
}

/// 32 bytes of PBKDF2-HMAC-SHA256.
pub(super) async fn derive(
    password: &str,
    salt: &[u8; 16],
    iterations: u32,
) -> Result<[u8; 32], JsValue> {
    let crypto = Reflect::get(&global(), &JsValue::from_str("crypto"))?;
    let subtle = Reflect::get(&crypto, &JsValue::from_str("subtle"))?;
    let usages = Array::of1(&JsValue::from_str("deriveBits"));
    let key = call(
        &subtle,
        "importKey",
        &Array::of5(
            &JsValue::from_str("raw"),
            &Uint8Array::from(password.as_bytes()),
            &JsValue::from_str("PBKDF2"),
            &JsValue::FALSE,
            &usages,
        ),
    )
    .await?;
    let algorithm = object(&[
        ("name", JsValue::from_str("PBKDF2")),
        ("hash", JsValue::from_str("SHA-256")),
        ("salt", Uint8Array::from(salt.as_slice()).into()),
        ("iterations", JsValue::from(iterations)),
    ])?;
    let bits = call(
        &subtle,
        "deriveBits",
        &Array::of3(&algorithm, &key, &JsValue::from(256)),
    )
    .await?;
    let bytes = Uint8Array::new(&bits).to_vec();
    bytes
        .try_into()
        .map_err(|_| JsValue::from_str("not 32 bytes"))
}
