//! `chatlift-openapi <folder>` writes `openapi.json` and `docs.html` into the folder.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

fn write(folder: &Path) -> io::Result<()> {
    let document = chatlift_openapi::document();
    let html = chatlift_openapi::reference::html(&document);
    fs::create_dir_all(folder)?;
    fs::write(folder.join("openapi.json"), format!("{document:#}\n"))?;
    fs::write(folder.join("docs.html"), html)
}

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("chatlift-openapi: give the folder to write openapi.json and docs.html into");
        return ExitCode::FAILURE;
    };
    match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "chatlift-openapi: {}: {error}",
                Path::new(&folder).display()
            );
            ExitCode::FAILURE
        }
    }
}
