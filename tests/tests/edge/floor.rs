//! The page's program asks no more of a browser's WebAssembly than the engines of 2018 have.

use wasmparser::{Validator, WasmFeatures};
use xtask::page::Page;

/// What the first engines with WebAssembly had, and nothing later.
const FLOOR: WasmFeatures = WasmFeatures::MVP;

fn is_within_the_floor(module: &[u8]) -> Result<(), String> {
    let mut validator = Validator::new_with_features(FLOOR);
    let types = validator.validate_all(module);
    types.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn the_program_runs_in_engines_of_2018() {
    let page = Page::find().expect("the built page");
    let module = std::fs::read(page.wasm).expect("the program");
    assert_eq!(is_within_the_floor(&module), Ok(()));
}

/// The first of SHA-256's constants (FIPS 180-4, section 4.2.2), as it stands in a program.
const SHA_256: [u8; 4] = 0x428a_2f98_u32.to_le_bytes();

#[test]
fn the_program_has_no_sha_256_of_its_own() {
    let page = Page::find().expect("the built page");
    let module = std::fs::read(page.wasm).expect("the program");
    assert!(!module.windows(4).any(|bytes| bytes == SHA_256));
}

/// A module of one function with this type, locals and body.
fn module(results: &[u8], body: &[u8]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    let mut section = |id: u8, content: &[u8]| {
        module.push(id);
        module.push(u8::try_from(content.len()).expect("a short section"));
        module.extend_from_slice(content);
    };
    let results_len = u8::try_from(results.len()).expect("few results");
    section(1, &[&[1, 0x60, 0, results_len], results].concat());
    section(3, &[1, 0]);
    section(5, &[1, 0, 1]);
    let body_len = u8::try_from(body.len() + 2).expect("a short body");
    section(10, &[&[1, body_len, 0], body, &[0x0b]].concat());
    module
}

#[test]
fn a_program_that_asks_for_more_is_noticed() {
    let (i32, i64) = (0x7f, 0x7e);
    assert_eq!(is_within_the_floor(&module(&[i32], &[0x41, 0])), Ok(()));
    for (feature, module) in [
        ("multi-value", module(&[i32, i32], &[0x41, 0, 0x41, 0])),
        ("reference types", module(&[0x6f], &[0xd0, 0x6f])),
        ("sign extension", module(&[i32], &[0x41, 0, 0xc0])),
        (
            "saturating conversion",
            module(&[i32], &[0x43, 0, 0, 0, 0, 0xfc, 0]),
        ),
        (
            "bulk memory",
            module(&[], &[0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x0b, 0]),
        ),
        (
            "sign extension of 64 bits",
            module(&[i64], &[0x42, 0, 0xc2]),
        ),
    ] {
        assert!(is_within_the_floor(&module).is_err(), "{feature}");
    }
}
