//! The samples, one row each.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use chatlift_backend::pipeline::convert::{
    self, Choice, Conversion, ConvertError, Way, archive, pdf,
};
use chatlift_backend::sandbox::{Program, Programs, Sandbox};

use crate::check::{Check, check};
use crate::make;
use crate::rows::SAMPLES;

/// Prints the table; how many samples failed.
pub(crate) fn run() -> Result<usize, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    make::all(folder.path())?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sandbox = Sandbox::new(Programs::find(&path), true).map_err(|e| e.to_string())?;
    let missing: Vec<Program> = sandbox.programs().missing().collect();
    if let Some(program) = missing.first() {
        return Err(program.missing());
    }
    println!("walls: {:?}\n", sandbox.walls());
    println!("| sample | type | bytes | target | result | ms | bytes | checked by |");
    println!("|---|---|---:|---|---|---:|---:|---|");
    let mut failures = 0;
    for row in all(folder.path(), &sandbox) {
        failures += usize::from(!row.good);
        println!("{}", row.text);
    }
    println!("\n{} samples, {failures} failed", SAMPLES.len());
    Ok(failures)
}

/// The row of each sample, as many made at once as there are cores.
fn all(folder: &Path, sandbox: &Sandbox) -> Vec<Row> {
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let make = || {
        while let n = next.fetch_add(1, Ordering::Relaxed)
            && let Some((name, to, expected)) = SAMPLES.get(n)
        {
            let source = match name.strip_prefix("cases/") {
                Some(name) => Path::new(CASES).join(name),
                None => folder.join(name),
            };
            let work = folder.join(format!("work-{n}"));
            fs::create_dir(&work).expect("a folder");
            let row = sample(&source, &work, sandbox, to, *expected);
            rows.lock().expect("no panic").insert(n, row);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(make);
        }
    });
    rows.into_inner().expect("no panic").into_values().collect()
}

struct Row {
    text: String,
    good: bool,
}

/// Where the inputs lie that others sent and that once came out wrong.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/samples/cases");

#[expect(
    clippy::disallowed_methods,
    reason = "the table shows how long each conversion took"
)]
fn sample(source: &Path, folder: &Path, sandbox: &Sandbox, to: &str, expected: Check) -> Row {
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    let bytes = fs::metadata(source).map_or(0, |m| m.len());
    let from = convert::inspect(source, &name).map_or("?".to_owned(), |kind| kind.media_type);
    let from = from
        .rsplit(['.', '/'])
        .next()
        .unwrap_or_default()
        .to_owned();
    let begun = Instant::now();
    let (made, found) = match expected {
        Check::Members(expected) => (None, members(folder, sandbox, source, to, expected)),
        expected => {
            let made = convert(folder, sandbox, source, &name, to);
            let found = match (&made, expected) {
                (Err(ConvertError::Rejected { rejection, .. }), Check::Refused(code)) => {
                    match rejection.code() == code {
                        true => Ok(format!("refused: {rejection}")),
                        false => Err(format!("refused as {}", rejection.code())),
                    }
                }
                (Err(error), _) => Err(error.to_string()),
                (Ok(path), expected) => check(path, expected),
            };
            (made.ok(), found)
        }
    };
    let took = begun.elapsed().as_millis();
    let (target, size) = match made {
        Some(path) => (
            path.extension()
                .map_or(String::new(), |e| e.to_string_lossy().into_owned()),
            fs::metadata(path).map_or(0, |m| m.len()),
        ),
        None => (String::new(), 0),
    };
    let good = found.is_ok();
    let (result, found) = match found {
        Ok(found) => ("ok", found),
        Err(error) => ("FAILED", error.replace('\n', " ")),
    };
    Row {
        text: format!(
            "| {name} | {from} | {bytes} | {to} | {result} {target} | {took} | {size} | {found} |"
        ),
        good,
    }
}

/// Converts as the pipeline does, to the first of the formats that can be made of it.
fn convert(
    folder: &Path,
    sandbox: &Sandbox,
    source: &Path,
    name: &str,
    to: &str,
) -> Result<PathBuf, ConvertError> {
    let converters = convert::all(sandbox);
    let formats: Vec<String> = to.split(',').map(str::to_owned).collect();
    let kind = convert::inspect(source, name)?;
    let ways = match convert::choose(&converters, sandbox.programs(), &kind, &formats)? {
        Choice::AsItIs => return Ok(source.to_owned()),
        Choice::Unpack => return joined(folder, sandbox, source, name, to),
        Choice::Convert(ways) => ways,
    };
    let mut last = None;
    for Way { converter, to } in ways {
        let ending = to.rsplit('/').next().unwrap_or_default();
        let result = folder.join(format!("{name}.result.{ending}"));
        let made = converter.convert(&Conversion {
            source,
            from: &kind.media_type,
            result: &result,
            to: &to,
            folder: &emptied(folder, "run")?,
        });
        match made {
            Ok(()) => return Ok(result),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("no way").into()))
}

/// An empty folder.
fn emptied(folder: &Path, name: &str) -> std::io::Result<PathBuf> {
    let path = folder.join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path)?;
    Ok(path)
}

/// What is in an archive, unpacked.
fn unpacked(
    folder: &Path,
    sandbox: &Sandbox,
    source: &Path,
) -> Result<Vec<(PathBuf, String)>, ConvertError> {
    let opened = archive::as_zip(sandbox, source, &emptied(folder, "opened")?)?;
    let into = emptied(folder, "unpacked")?;
    let mut members = Vec::new();
    for found in archive::list(&opened)? {
        let path = into.join(found.place.to_string());
        archive::unpack(&opened, &found, &path, archive::UNPACKED_MAX)?;
        members.push((path, found.name));
    }
    Ok(members)
}

/// Converts each member of an archive and joins the results, as the pipeline does for a scene that
/// joins files.
fn joined(
    folder: &Path,
    sandbox: &Sandbox,
    source: &Path,
    name: &str,
    to: &str,
) -> Result<PathBuf, ConvertError> {
    let mut parts = Vec::new();
    for (n, (path, member)) in unpacked(folder, sandbox, source)?.iter().enumerate() {
        let path = convert(folder, sandbox, path, &format!("{n}.{member}"), to)?;
        parts.push(pdf::Part { path, rotate: 0 });
    }
    let result = folder.join(format!("{name}.result.pdf"));
    pdf::unite(sandbox, &parts, &emptied(folder, "run")?, &result)?;
    Ok(result)
}

/// Converts each member of an archive by itself; each must end as is expected.
fn members(
    folder: &Path,
    sandbox: &Sandbox,
    source: &Path,
    to: &str,
    expected: &[(&str, &str)],
) -> Result<String, String> {
    let converters = convert::all(sandbox);
    let formats: Vec<String> = to.split(',').map(str::to_owned).collect();
    let mut found = Vec::new();
    for (path, name) in unpacked(folder, sandbox, source).map_err(|e| e.to_string())? {
        let kind = convert::inspect(&path, &name).map_err(|e| e.to_string())?;
        let choice = convert::choose(&converters, sandbox.programs(), &kind, &formats);
        let outcome = match choice {
            Ok(Choice::Unpack) => "archive-in-archive",
            Ok(_) => match convert(folder, sandbox, &path, &name, to) {
                Ok(_) => "ok",
                Err(ConvertError::Rejected { rejection, .. }) => rejection.code(),
                Err(error) => return Err(error.to_string()),
            },
            Err(ConvertError::Rejected { rejection, .. }) => rejection.code(),
            Err(error) => return Err(error.to_string()),
        };
        found.push((name, outcome));
    }
    let said: Vec<String> = found.iter().map(|(n, o)| format!("{n}: {o}")).collect();
    let same = found.iter().map(|(name, outcome)| (&name[..], *outcome));
    match same.eq(expected.iter().copied()) {
        true => Ok(said.join(", ")),
        false => Err(said.join(", ")),
    }
}
