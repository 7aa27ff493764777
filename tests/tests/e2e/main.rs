//! Scenarios in real browsers, from the page to the backend: one module per journey, in one binary.
//!
//! One alone, by its name: `cargo test --package chatlift-tests --test e2e journey::`.

/// A test of each scenario for each engine.
macro_rules! engines {
    ($($module:ident: $engine:ident),+ => $scenarios:tt) => {
        $(mod $module { engines!(@each $engine $scenarios); })+
    };
    (@each $engine:ident { $($scenario:ident),+ $(,)? }) => {
        $(
            #[test]
            fn $scenario() {
                super::$scenario(chatlift_tests::engine::Engine::$engine);
            }
        )+
    };
}

mod accessible;
mod again;
mod arrange;
mod cancel;
mod chat;
mod conformance_tus;
mod digests;
mod each;
mod engines;
mod faults;
mod first_app;
mod first_load;
mod honest;
mod in_app;
mod journey;
mod keyboard;
mod looks;
mod reads;
mod reloads;
mod tabs;
mod thumbnails;
mod truth;
mod waits;
mod ways_out;
