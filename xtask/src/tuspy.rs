//! tuspy, a tus client in Python, in a folder of its own: the conformance tests send by it.

use std::path::PathBuf;
use std::process::Command;

use crate::Error;
use crate::run::output;
use crate::tools::{installed, tools_folder};

/// The package, exactly.
const PACKAGE: &str = "tuspy==1.1.0";

/// A Python that has tuspy.
///
/// # Errors
/// When Python 3 is missing, or pip cannot fetch the package.
pub fn python() -> Result<PathBuf, Error> {
    let folder = tools_folder().join(PACKAGE.replace("==", "-"));
    let (python, done) = (folder.join("bin/python"), folder.join("installed"));
    if done.exists() {
        return Ok(python);
    }
    println!("installing {PACKAGE} for the conformance tests");
    let made = output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    installed("a folder for Python packages (Debian: python3-venv)", &made)?;
    let pip = output(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        PACKAGE,
    ]))?;
    installed(PACKAGE, &pip)?;
    std::fs::write(&done, PACKAGE).map_err(Error::file(&done))?;
    Ok(python)
}
