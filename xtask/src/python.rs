//! Python packages in a folder of their own: what only tests run, and the generator of the Python
//! client.

use std::path::PathBuf;
use std::process::Command;

use crate::Error;
use crate::run::output;
use crate::tools::{installed, tools_folder};

/// The packages, exactly.
const PACKAGES: [&str; 3] = [
    // Tries what the API document allows, and what it forbids, on the running edge.
    "schemathesis==4.32.5",
    // Makes the Python client of the document.
    "openapi-python-client==0.29.1",
    // The official library, that must take our webhooks.
    "standardwebhooks==1.1.0",
];

/// A program that pip installed, by its name.
///
/// # Errors
/// When Python 3 is missing, or pip cannot fetch the packages.
pub fn program(name: &str) -> Result<PathBuf, Error> {
    let folder = tools_folder().join("python-clients-1");
    let (bin, done) = (folder.join("bin"), folder.join("installed"));
    if std::fs::read_to_string(&done).is_ok_and(|text| text == PACKAGES.join("\n")) {
        return Ok(bin.join(name));
    }
    println!(
        "installing {} for the conformance tests",
        PACKAGES.join(", ")
    );
    let made = output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    installed("a folder for Python packages (Debian: python3-venv)", &made)?;
    let pip = output(
        Command::new(bin.join("python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(PACKAGES),
    )?;
    installed(&PACKAGES.join(", "), &pip)?;
    std::fs::write(&done, PACKAGES.join("\n")).map_err(Error::file(&done))?;
    Ok(bin.join(name))
}
