//! The backend with the real programs. A missing one fails its test and names its Debian package.

#[expect(dead_code, reason = "shared with the tests that need no programs")]
#[path = "../backend/common/mod.rs"]
mod common;
#[path = "../../examples/samples/make.rs"]
mod make;

#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the scenarios, which are another crate"
)]
#[path = "../../../tests/src/postgres.rs"]
mod database;

mod archives;
mod cases;
mod clamd;
mod families;
mod hostile;
mod hostile_files;
mod killed;
mod machines;
mod measure;
mod outward;
mod place;
mod postgres;
mod sandbox;
mod trouble;
mod walls;

use chatlift_backend::sandbox::{Program, Programs, Sandbox, Walls};

/// A sandbox with all programs and the strongest walls.
fn sandbox() -> Sandbox {
    let programs = Programs::find("/usr/bin:/bin".as_ref());
    if let Some(program) = programs.missing().next() {
        panic!("{}", program.missing());
    }
    let sandbox = Sandbox::new(programs, true).expect("walls of some kind");
    assert_eq!(
        sandbox.walls(),
        Walls::Bubblewrap,
        "{} and allow user namespaces",
        Program::Bubblewrap.missing()
    );
    sandbox
}
