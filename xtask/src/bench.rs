//! `cargo xtask bench` and `cargo xtask screenshots`: the built page in real browsers, and the native edge
//! beside other servers, run by hand or before a release. What must hold is in the tests; this prints and
//! draws.

use std::ffi::OsString;

use crate::run::{Target, build_one, optimised, run};
use crate::{Error, native, page, tools, worker};

/// What can be measured, and how.
const SUBJECTS: [(&str, Measure); 6] = [
    ("page", |rest| measure(page_and_worker, "bench_page", rest)),
    ("network", |rest| {
        measure(page_and_worker, "bench_network", rest)
    }),
    ("again", |rest| {
        measure(page_and_worker, "bench_again", rest)
    }),
    ("native", |rest| measure(native, "bench_native", rest)),
    ("peers", |rest| measure(peers, "bench_peers", rest)),
    ("tokens", tokens),
];

/// Measures, as the arguments say.
type Measure = fn(&[OsString]) -> Result<(), Error>;

/// Builds and installs what an example of the tests' crate needs, and runs it.
fn measure(
    needs: fn() -> Result<(), Error>,
    example: &'static str,
    rest: &[OsString],
) -> Result<(), Error> {
    needs()?;
    run(build_one(Target::Example(example))?.args(rest))
}

/// How many link tokens are checked in a second.
fn tokens(rest: &[OsString]) -> Result<(), Error> {
    let example = ["--package", "chatlift-shared", "--example", "tokens", "--"];
    run(optimised("run").args(example).args(rest))
}

/// Builds, and measures what the first argument names, or all; the rest goes to the measuring
/// program.
///
/// # Errors
/// When the name is unknown, or a build or a measurement fails.
pub fn bench(args: &[OsString]) -> Result<(), Error> {
    let (subjects, rest): (Vec<_>, &[OsString]) = match args.split_first() {
        None => (SUBJECTS.to_vec(), &[]),
        Some((name, rest)) => {
            let known = SUBJECTS.into_iter().find(|(subject, _)| name == subject);
            let known = known.ok_or_else(|| {
                let name = name.to_string_lossy();
                Error::Usage(format!(
                    "`bench` knows page, network, again, native, peers and tokens, not `{name}`"
                ))
            })?;
            (vec![known], rest)
        }
    };
    subjects
        .into_iter()
        .try_for_each(|(_, measure)| measure(rest))
}

/// Builds, and draws every state of the page into target/screenshots, as the arguments say.
///
/// # Errors
/// When a build fails, or the page does not come into a state.
pub fn screenshots(args: &[OsString]) -> Result<(), Error> {
    measure(page_and_worker, "screenshots", args)
}

/// Page and worker as they are shipped, and a browser.
fn page_and_worker() -> Result<(), Error> {
    tools::ensure_build()?;
    tools::ensure_browser()?;
    worker::build_with_page()?;
    Ok(())
}

/// Both edges as they are shipped, a browser, and what they are compared with.
fn peers() -> Result<(), Error> {
    page_and_worker()?;
    native()
}

/// The native edge as it is shipped, and what it is compared with.
fn native() -> Result<(), Error> {
    tools::ensure_build()?;
    page::build()?;
    tools::ensure_compared()?;
    if let Err(error) = tools::RUSTUS.ensure() {
        println!("rustus is left out: {error}");
    }
    native::build_shipped().map(drop)
}
