//! What a first visit costs, and what it gives at first paint.

use chatlift_tests::browser::Browser;
use chatlift_tests::edge::DOCUMENTS;
use chatlift_tests::first::{Loaded, SLOW_4G, prepare, visit};
use chatlift_tests::gate::Gate;
use chatlift_tests::stage::shared;
use xtask::sizes::FIRST_LOAD_MAX;

/// Most that the document may take: TCP's first flight of ten segments (RFC 6928) is 14,600 bytes.
const HTML_MAX: usize = 14_000;

/// The document, the program and its script.
const REQUESTS_MAX: usize = 3;

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
    assert!(
        loaded.html <= HTML_MAX,
        "the document has {} bytes",
        loaded.html
    );
    let all = loaded.html + loaded.program;
    assert!(
        all as u64 <= FIRST_LOAD_MAX,
        "a first visit loads {all} bytes"
    );
    let asked = loaded.all.iter().filter(|(path, _)| path != "/favicon.ico");
    assert!(asked.count() <= REQUESTS_MAX, "{:?}", loaded.all);
}
