//! The clients for other languages, generated from the API document by generators that their own
//! ecosystems know: openapi-typescript with openapi-fetch, and openapi-python-client.
//!
//! What is generated is not committed: the document is the one definition, and what is made of it
//! anew each time cannot be older than it.

use std::path::PathBuf;
use std::process::Command;

use crate::root::at;
use crate::run::quiet;
use crate::tools::npm_ci;
use crate::{Error, document, python};

/// Makes both, from the document as the types have it now.
///
/// # Errors
/// When a generator cannot be installed, or refuses the document.
pub fn generate() -> Result<(), Error> {
    document::build()?;
    typescript()?;
    let folder = python()?;
    println!("made clients/typescript (npm install it by path, or npm pack)");
    println!("made {} (pip install it by path)", folder.display());
    Ok(())
}

/// Makes the TypeScript package: the types, and the program of the rest.
///
/// # Errors
/// When npm cannot install what it needs, or the program does not compile.
pub fn typescript() -> Result<PathBuf, Error> {
    const FOLDER: &str = "clients/typescript";
    let folder = at(FOLDER);
    npm_ci(
        FOLDER,
        "openapi-typescript and openapi-fetch for the TypeScript client",
    )?;
    for script in ["generate", "build"] {
        quiet(
            Command::new("npm")
                .current_dir(&folder)
                .args(["run", "--silent", script]),
        )?;
    }
    Ok(folder)
}

/// Makes the Python package.
///
/// # Errors
/// When pip cannot install the generator, or it refuses the document.
pub fn python() -> Result<PathBuf, Error> {
    let generator = python::CLIENTS.program("openapi-python-client")?;
    let folder = at("clients/python");
    // It calls the formatter by its name.
    let mut path = generator
        .parent()
        .map(|bin| bin.as_os_str().to_owned())
        .unwrap_or_default();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    quiet(
        Command::new(&generator)
            .current_dir(&folder)
            .args(["generate", "--overwrite", "--fail-on-warning"])
            .arg("--path")
            .arg(at("dist/openapi.json"))
            .args(["--config", "config.yaml", "--output-path", "package"])
            .env("PATH", path),
    )?;
    Ok(folder.join("package"))
}
