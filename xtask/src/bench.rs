//! `cargo xtask bench` and `cargo xtask screenshots`: the built page in real browsers, run by hand
//! or before a release. What must hold is in the tests; this prints and draws.

use std::ffi::OsString;

use crate::run::{Target, build_one, run};
use crate::{Error, page, tools, worker};

/// What can be measured, each by an example of the tests' crate, `bench_<name>`.
const SUBJECTS: [(&str, &str); 3] = [
    ("page", "bench_page"),
    ("network", "bench_network"),
    ("again", "bench_again"),
];

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
                    "`bench` knows page, network and again, not `{name}`"
                ))
            })?;
            (vec![known], rest)
        }
    };
    page_and_worker()?;
    subjects
        .into_iter()
        .try_for_each(|(_, example)| run(build_one(Target::Example(example))?.args(rest)))
}

/// Builds, and draws every state of the page into target/screenshots.
///
/// # Errors
/// When a build fails, or the page does not come into a state.
pub fn screenshots() -> Result<(), Error> {
    page_and_worker()?;
    run(&mut build_one(Target::Example("screenshots"))?)
}

/// Page and worker as they are shipped, and a browser.
fn page_and_worker() -> Result<(), Error> {
    tools::ensure_build()?;
    tools::ensure_browser()?;
    page::build()?;
    worker::build()?;
    Ok(())
}
