//! Programs of the system that backend and tests run: Debian's, and what Debian has not.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Error;
use crate::old_chromium::{OLD_CHROMIUMS, OldChromium};
use crate::run::{output, quiet};
use crate::tools::{GECKODRIVER, RUST_SILK, installed};

/// The Debian packages of the browser tests, by a program or file that tells that they are there.
const BROWSER_PACKAGES: [(&str, &str); 7] = [
    ("chromium", "/usr/bin/chromium"),
    ("chromium-driver", "/usr/bin/chromedriver"),
    ("firefox-esr", "/usr/bin/firefox-esr"),
    ("webkit2gtk-driver", "/usr/bin/WebKitWebDriver"),
    // WebKitGTK's MiniBrowser needs a display.
    ("xvfb", "/usr/bin/Xvfb"),
    // The Arabic page.
    (
        "fonts-dejavu-core",
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    ),
    // The Chinese page in a screenshot is blank boxes without it.
    (
        "fonts-noto-cjk",
        "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    ),
];

/// The Debian packages that the backend converts, scans and keeps its jobs with, and those that its
/// tests open the results with.
const PROGRAM_PACKAGES: [(&str, &str); 19] = [
    ("bubblewrap", "/usr/bin/bwrap"),
    ("util-linux", "/usr/bin/prlimit"),
    (
        "libreoffice-writer-nogui",
        "/usr/lib/libreoffice/program/libswlo.so",
    ),
    (
        "libreoffice-calc-nogui",
        "/usr/lib/libreoffice/program/libsclo.so",
    ),
    (
        "libreoffice-impress-nogui",
        "/usr/lib/libreoffice/program/libslideshowlo.so",
    ),
    ("ffmpeg", "/usr/bin/ffmpeg"),
    ("poppler-utils", "/usr/bin/pdftoppm"),
    ("poppler-data", "/usr/share/poppler"),
    ("libheif-examples", "/usr/bin/heif-convert"),
    ("libimage-exiftool-perl", "/usr/bin/exiftool"),
    ("librsvg2-bin", "/usr/bin/rsvg-convert"),
    ("qpdf", "/usr/bin/qpdf"),
    ("libarchive-tools", "/usr/bin/bsdtar"),
    ("libtiff-tools", "/usr/bin/tiff2rgba"),
    (
        "fonts-noto-cjk",
        "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    ),
    // The samples are made and looked at with these.
    ("imagemagick", "/usr/bin/identify"),
    ("python3-uno", "/usr/lib/python3/dist-packages/uno.py"),
    ("clamav-daemon", "/usr/sbin/clamd"),
    ("postgresql", "/usr/lib/postgresql"),
];

/// What counts instructions.
///
/// # Errors
/// When it is missing and cannot be installed.
pub(crate) fn ensure_valgrind() -> Result<(), Error> {
    ensure_packages(
        &[("valgrind", "/usr/bin/valgrind")],
        "counting instructions",
    )
}

/// What compiles libFuzzer.
///
/// # Errors
/// When it is missing and cannot be installed.
pub(crate) fn ensure_compiler() -> Result<(), Error> {
    ensure_packages(&[("g++", "/usr/bin/g++")], "fuzzing")
}

/// Chromium, Firefox and WebKitGTK with their drivers, old Chromiums, and fonts for the Chinese and
/// the Arabic page.
///
/// # Errors
/// When something is missing and cannot be installed.
pub fn ensure_browser() -> Result<(), Error> {
    ensure_packages(&BROWSER_PACKAGES, "the browser tests")?;
    GECKODRIVER.ensure()?;
    OLD_CHROMIUMS.iter().try_for_each(OldChromium::ensure)
}

/// The browsers that the tests run in, with their versions as they say them.
///
/// # Errors
/// When one of them does not start.
pub fn browsers() -> Result<String, Error> {
    let mut all = Vec::new();
    for program in ["/usr/bin/chromium", "/usr/bin/firefox-esr"] {
        let said = quiet(Command::new(program).arg("--version"))?;
        all.push(said.trim().to_owned());
    }
    // Its driver says none.
    let version = ["-W", "-f", "${Version}", "webkit2gtk-driver"];
    let webkit = quiet(Command::new("dpkg-query").args(version))?;
    all.push(format!("WebKitGTK {webkit}"));
    let old = OLD_CHROMIUMS.map(|old| format!("Chromium {}", old.version));
    all.extend(old);
    Ok(all.join(", "))
}

/// LibreOffice, ffmpeg and the other programs of the backend.
///
/// # Errors
/// When a package is missing and cannot be installed.
pub fn ensure_programs() -> Result<(), Error> {
    ensure_packages(&PROGRAM_PACKAGES, "the backend's conversions")?;
    // Not where other tools are: converters see the system's folders only.
    let place = Path::new("/usr/local/bin").join(RUST_SILK.program);
    if place.exists() {
        return Ok(());
    }
    let built = RUST_SILK.ensure()?;
    let Some(mut install) = as_root("install") else {
        let (package, version) = (RUST_SILK.package, RUST_SILK.version);
        return Err(Error::PackagesMissing(format!("{package} {version}")));
    };
    let said = output(install.arg(built).arg(&place))?;
    installed(&place.display().to_string(), &said)
}

/// A program as root, if this user may be that.
fn as_root(program: &str) -> Option<Command> {
    let root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.stdout == b"0\n");
    if root {
        return Some(Command::new(program));
    }
    let may = output(Command::new("sudo").args(["-n", "true"]));
    may.is_ok_and(|may| may.status.success()).then(|| {
        let mut command = Command::new("sudo");
        command.args(["-n", program]);
        command
    })
}

fn ensure_packages(packages: &[(&'static str, &str)], purpose: &str) -> Result<(), Error> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|(_, sign)| !fs::exists(sign).unwrap_or(false))
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    println!("installing {list} for {purpose}");
    let apt = |args: &[&str]| {
        let mut command = as_root("apt-get").ok_or_else(|| Error::PackagesMissing(list.clone()))?;
        output(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    installed("Debian's package lists", &apt(&["update", "-qq"])?)?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&missing);
    installed(&list, &apt(&install)?)
}
