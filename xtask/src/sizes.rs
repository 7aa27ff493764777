//! What the build weighs, and the budgets that it must keep.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Error;
use crate::page::Page;
use crate::run::quiet;
use crate::worker::Worker;

/// Most that a first load may take, in bytes of brotli: HTML with its style, JavaScript and
/// WebAssembly of the page. At 400 kbit/s, a bad mobile network, that is 1.5 s.
pub const FIRST_LOAD_MAX: u64 = 75_000;

/// Most that the worker may weigh, in bytes of gzip. Workers takes 3 MB on its free plan; a third
/// keeps the start of an isolate short.
pub const WORKER_MAX: u64 = 1_000_000;

/// Node.js has zlib and brotli built in, and is there for wrangler anyway. Compression is that of
/// files made once: gzip 9, brotli 11.
const COMPRESS: &str = "
const z = require('node:zlib'), fs = require('node:fs');
for (const path of process.argv.slice(1)) {
  const raw = fs.readFileSync(path);
  console.log(raw.length, z.gzipSync(raw, { level: 9 }).length, z.brotliCompressSync(raw).length);
}";

/// One built file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// As it is.
    pub raw: u64,
    /// Compressed with gzip.
    pub gzip: u64,
    /// Compressed with brotli.
    pub brotli: u64,
}

impl std::ops::Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            raw: self.raw + other.raw,
            gzip: self.gzip + other.gzip,
            brotli: self.brotli + other.brotli,
        }
    }
}

fn measure(files: &[&Path]) -> Result<Vec<Size>, Error> {
    if let Some(missing) = files.iter().find(|f| !fs::exists(f).unwrap_or(false)) {
        return Err(Error::Project(format!(
            "{} is not built",
            missing.display()
        )));
    }
    let printed = quiet(Command::new("node").args(["-e", COMPRESS]).args(files))?;
    printed
        .lines()
        .map(|line| {
            let mut numbers = line.split(' ').map_while(|n| n.parse().ok());
            Some(Size {
                raw: numbers.next()?,
                gzip: numbers.next()?,
                brotli: numbers.next()?,
            })
        })
        .collect::<Option<Vec<_>>>()
        .filter(|sizes| sizes.len() == files.len())
        .ok_or_else(|| Error::Project(format!("node printed no sizes: {printed}")))
}

/// Prints the table and holds the budgets.
///
/// # Errors
/// When a budget is passed, or something is not built.
pub fn report(page: &Page, worker: &Worker) -> Result<(), Error> {
    let sizes = measure(&[&page.html, &page.js, &page.wasm, &worker.wasm, &worker.js])?;
    let [html, js, wasm, worker_wasm, worker_js] = sizes[..] else {
        return Err(Error::Project("not five sizes".to_owned()));
    };
    let (first, all) = (html + js + wasm, worker_wasm + worker_js);
    println!("{:<26}{:>12}{:>12}{:>12}", "bytes", "raw", "gzip", "brotli");
    for (name, size) in [
        ("page HTML with CSS", html),
        ("page JavaScript", js),
        ("page WebAssembly", wasm),
        ("page, first load", first),
        ("worker WebAssembly", worker_wasm),
        ("worker JavaScript", worker_js),
        ("worker", all),
    ] {
        println!(
            "{name:<26}{:>12}{:>12}{:>12}",
            grouped(size.raw),
            grouped(size.gzip),
            grouped(size.brotli)
        );
    }
    budget(
        "the page's first load",
        "brotli",
        first.brotli,
        FIRST_LOAD_MAX,
    )?;
    budget("the worker", "gzip", all.gzip, WORKER_MAX)
}

fn budget(what: &str, unit: &str, size: u64, max: u64) -> Result<(), Error> {
    let (size_text, max_text) = (grouped(size), grouped(max));
    if size > max {
        return Err(Error::Rule(format!(
            "{what} weighs {size_text} bytes of {unit}, over its budget of {max_text}"
        )));
    }
    println!("{what}: {size_text} of {max_text} bytes of {unit}");
    Ok(())
}

/// 1234567 as 1,234,567.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_holds_to_the_byte() {
        assert!(budget("it", "gzip", 75_000, 75_000).is_ok());
        let error = budget("it", "gzip", 75_001, 75_000).expect_err("too much");
        assert!(error.to_string().contains("75,001"), "{error}");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(n), text);
        }
    }
}
