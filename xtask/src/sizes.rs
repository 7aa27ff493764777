//! What the build weighs, and the budgets that it must keep.
//!
//! The page's HTML is weighed as it is served: filled by the edge's own core for a usual link, in
//! its heaviest language.

use std::fs;
use std::ops::Add as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::chat;
use crate::page::Page;
use crate::root::target;
use crate::run::{Target, build_one, quiet, run};
use crate::worker::Worker;

/// Most that a first load may take, in bytes of brotli: HTML as served, JavaScript and WebAssembly
/// of the page, and the rest of the texts, which it asks for at the first pick. At 400 kbit/s, a bad
/// mobile network, that is 2.1 s; a pick needs the HTML only, which is held by [`HTML_MAX`].
pub const FIRST_LOAD_MAX: u64 = 104_000;

/// Most that the HTML as served may weigh, in bytes of brotli: what a server may send before the
/// first answer of a new connection (ten segments, RFC 6928), so that the pick is possible after
/// one round trip.
pub const HTML_MAX: u64 = 14_000;

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

/// The page as the edge serves it, and the rest of its texts, in each language and kind of browser.
fn served(page: &Page) -> Result<Vec<PathBuf>, Error> {
    let folder = target().join("page/served");
    let _ = fs::remove_dir_all(&folder);
    run(build_one(Target::Example("served"))?.args([&page.html, &folder]))?;
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(Error::file(&folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    Ok(files)
}

/// Prints the table and holds the budgets.
///
/// # Errors
/// When a budget is passed, or something is not built.
pub fn report(page: &Page, worker: &Worker) -> Result<(), Error> {
    let built: [&Path; 5] = [&page.html, &page.js, &page.wasm, &worker.wasm, &worker.js];
    let sizes = measure(&built)?;
    let [html, js, wasm, worker_wasm, worker_js] = sizes[..] else {
        return Err(Error::Project("not five sizes".to_owned()));
    };
    let served = served(page)?;
    let files: Vec<&Path> = served.iter().map(PathBuf::as_path).collect();
    let weighed = measure(&files)?;
    // By name, so a page stands before its texts.
    let visits = files.iter().zip(&weighed).collect::<Vec<_>>();
    let heaviest = visits
        .chunks_exact(2)
        .max_by_key(|both| both.iter().map(|(_, size)| size.brotli).sum::<u64>());
    let Some(&[(path, &filled), (_, &texts)]) = heaviest else {
        return Err(Error::Project("no page was filled".to_owned()));
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let pages = visits.iter().step_by(2);
    let html_max = pages.map(|(_, size)| size.brotli).max().unwrap_or_default();
    let (first, all) = (filled + js + wasm + texts, worker_wasm + worker_js);
    println!("{:<34}{:>12}{:>12}{:>12}", "bytes", "raw", "gzip", "brotli");
    for (name, size) in [
        ("page HTML with CSS, as built", html),
        (&*format!("page HTML as served ({stem})"), filled),
        ("page JavaScript", js),
        ("page WebAssembly", wasm),
        ("rest of the page's texts", texts),
        ("page, first load as served", first),
        ("worker WebAssembly", worker_wasm),
        ("worker JavaScript", worker_js),
        ("worker", all),
    ] {
        row(name, size);
    }
    println!("loaded besides, inside a chat app with a picker of its own:");
    for platform in chat::PLATFORMS {
        let files = chat::files(platform)?;
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let size = measure(&files)?
            .into_iter()
            .fold(Size::default(), Size::add);
        row(platform, size);
    }
    budget("the page's HTML as served", "brotli", html_max, HTML_MAX)?;
    budget(
        "the page's first load as served",
        "brotli",
        first.brotli,
        FIRST_LOAD_MAX,
    )?;
    budget("the worker", "gzip", all.gzip, WORKER_MAX)
}

fn row(name: &str, size: Size) {
    println!(
        "{name:<34}{:>12}{:>12}{:>12}",
        grouped(size.raw),
        grouped(size.gzip),
        grouped(size.brotli)
    );
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
