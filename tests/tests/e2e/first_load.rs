//! What a first visit costs, and what it gives at first paint.

use chatlift_tests::browser::Browser;
use chatlift_tests::edge::DOCUMENTS;
use chatlift_tests::first::{Loaded, SLOW_4G, prepare, visit};
use chatlift_tests::gate::Gate;
use chatlift_tests::stage::shared;
use xtask::sizes::FIRST_LOAD_MAX;

/// Most that the document may take: TCP's first flight of ten segments (RFC 6928) is 14,600 bytes.
const HTML_MAX: usize = 14_000;

/// The script that starts the program, with wasm-bindgen's glue.
const SCRIPT_MAX: usize = 4_500;

/// The program. The sum is held besides: it has room for what English has less than the heaviest
/// language.
const PROGRAM_MAX: usize = 91_000;

/// The rest of the texts, asked for when the first file is picked.
const TEXTS_MAX: usize = 2_500;

#[test]
fn a_pick_at_first_paint_is_taken_and_the_first_visit_is_small() {
    let stage = shared();
    let link = stage.edge.app().link(DOCUMENTS);
    let gate = Gate::compressing(&stage.edge.origin());
    let phone = Browser::english();
    prepare(&phone, Some(SLOW_4G));
    // The pick is made when the input appears, long before the program is there, which shows it.
    let first = visit(&phone, &gate.url(&link.url), true);
    assert!(
        first.input <= first.paint,
        "something was to be seen before the input was there: {first:?}"
    );
    assert!(
        first.paint < first.program,
        "nothing to see before the program: {first:?}"
    );
    let loaded = Loaded::through(&gate);
    println!("{first:?}\n{loaded:#?}");
    for (what, bytes, max) in [
        ("the document", loaded.html, HTML_MAX),
        ("the script", loaded.script, SCRIPT_MAX),
        ("the program", loaded.program, PROGRAM_MAX),
        ("the texts", loaded.texts, TEXTS_MAX),
    ] {
        assert!(0 < bytes && bytes <= max, "{what}: {bytes} bytes of {max}");
    }
    let all = loaded.sum();
    assert!(
        all as u64 <= FIRST_LOAD_MAX,
        "a first visit loads {all} bytes"
    );
    // Each once, and nothing else.
    assert_eq!(loaded.all.len(), 4, "{:?}", loaded.all);
}
