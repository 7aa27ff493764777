//! Fuzz tests: what plays any bytes to a property, and the corpora that it begins with.
//!
//! A fuzz test is an ordinary test called `fuzz_<target>`, in the crate whose code it is of, that hands a property
//! to [`check`]. `cargo test` replays the corpus of the target and a fixed number of mutations of it, the same
//! ones always. `cargo xtask fuzz` builds the same tests with coverage and lets libFuzzer look for more.

#[cfg(not(fuzzing))]
pub mod mutate;

/// Longest input, in bytes: beyond most limits that are counted in bytes, and quick.
pub const INPUT_MAX: usize = 70_000;

/// How many mutations `cargo test` plays to each property.
#[cfg(not(fuzzing))]
pub const MUTATIONS: u64 = 3_000;

/// Plays inputs to `property`, which panics over one that shows it wrong: those of `fuzz/corpus/<target>` and
/// mutations of them.
///
/// # Panics
/// Where the property does, with the input printed; and where the target has no corpus.
#[cfg(not(fuzzing))]
pub fn check(target: &str, property: impl Fn(&[u8])) {
    let corpus = mutate::corpus(target);
    assert!(!corpus.is_empty(), "fuzz/corpus/{target} has no inputs");
    let mutated =
        mutate::Mutations::new(&corpus).take(usize::try_from(MUTATIONS).unwrap_or(usize::MAX));
    let inputs = corpus.iter().cloned().chain(mutated);
    let played = inputs.map(|input| play(&input, &property)).count();
    println!("{target}: {played} executions");
}

/// As above, until libFuzzer's time is over.
///
/// # Panics
/// Where the property does; the input is kept.
#[cfg(fuzzing)]
pub fn check(_target: &str, property: impl Fn(&[u8])) {
    let property = std::panic::AssertUnwindSafe(property);
    bolero::check!().for_each(|input: &[u8]| (*property)(&input[..input.len().min(INPUT_MAX)]));
}

#[cfg(not(fuzzing))]
fn play(input: &[u8], property: impl Fn(&[u8])) {
    let shown = Shown(input);
    property(input);
    drop(shown);
}

/// Prints an input over which a property panics.
#[cfg(not(fuzzing))]
struct Shown<'a>(&'a [u8]);

#[cfg(not(fuzzing))]
impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was b\"{}\"", self.0.escape_ascii());
        }
    }
}
