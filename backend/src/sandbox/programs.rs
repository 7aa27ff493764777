//! The outside programs that converters use: where they are, and what brings them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// An outside program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// Isolates the others from network, files and each other.
    Bubblewrap,
    /// Sets limits of the system.
    Prlimit,
    /// Ties a program's life to that of its starter.
    Setpriv,
    /// Takes the network away where bubblewrap cannot run.
    Unshare,
    /// Documents.
    LibreOffice,
    /// Sound and video.
    Ffmpeg,
    /// Whether a file holds sound or pictures, and how long it is.
    Ffprobe,
    /// What photos tell beside the picture.
    ExifTool,
    /// HEIF and AVIF.
    HeifConvert,
    /// SVG.
    RsvgConvert,
    /// What a PDF is.
    PdfInfo,
    /// Pictures of a PDF's pages.
    PdfToPpm,
    /// A PDF's text.
    PdfToText,
    /// Several PDFs into one.
    Qpdf,
    /// Archives other than zips.
    BsdTar,
    /// TIFFs of any coding.
    Tiff2Rgba,
    /// Voice messages in SILK.
    RustSilk,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Bubblewrap,
        Self::Prlimit,
        Self::Setpriv,
        Self::Unshare,
        Self::LibreOffice,
        Self::Ffmpeg,
        Self::Ffprobe,
        Self::ExifTool,
        Self::HeifConvert,
        Self::RsvgConvert,
        Self::PdfInfo,
        Self::PdfToPpm,
        Self::PdfToText,
        Self::Qpdf,
        Self::BsdTar,
        Self::Tiff2Rgba,
        Self::RustSilk,
    ];

    /// The names that it goes by, the best first.
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Bubblewrap => &["bwrap"],
            Self::Prlimit => &["prlimit"],
            Self::Setpriv => &["setpriv"],
            Self::Unshare => &["unshare"],
            Self::LibreOffice => &["soffice", "libreoffice"],
            Self::Ffmpeg => &["ffmpeg"],
            Self::Ffprobe => &["ffprobe"],
            Self::ExifTool => &["exiftool"],
            // Newer versions of libheif call it heif-dec.
            Self::HeifConvert => &["heif-dec", "heif-convert"],
            Self::RsvgConvert => &["rsvg-convert"],
            Self::PdfInfo => &["pdfinfo"],
            Self::PdfToPpm => &["pdftoppm"],
            Self::PdfToText => &["pdftotext"],
            Self::Qpdf => &["qpdf"],
            Self::BsdTar => &["bsdtar"],
            Self::Tiff2Rgba => &["tiff2rgba"],
            Self::RustSilk => &["rust-silk"],
        }
    }

    /// How to install it: Debian's packages; of what Debian has not, the crate.
    const fn installed_by(self) -> &'static str {
        match self {
            // Where walls let it be read.
            Self::RustSilk => "cargo install --locked --root /usr/local",
            _ => "apt-get install",
        }
    }

    /// What brings it: Debian packages, or a crate with its version.
    #[must_use]
    pub const fn packages(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Prlimit | Self::Setpriv | Self::Unshare => "util-linux",
            Self::LibreOffice => {
                "libreoffice-writer-nogui libreoffice-calc-nogui libreoffice-impress-nogui"
            }
            Self::Ffmpeg | Self::Ffprobe => "ffmpeg",
            Self::ExifTool => "libimage-exiftool-perl",
            Self::HeifConvert => "libheif-examples",
            Self::RsvgConvert => "librsvg2-bin",
            Self::PdfInfo | Self::PdfToPpm | Self::PdfToText => "poppler-utils",
            Self::Qpdf => "qpdf",
            Self::BsdTar => "libarchive-tools",
            Self::Tiff2Rgba => "libtiff-tools",
            Self::RustSilk => "rust-silk@0.1.4",
        }
    }

    /// Whether it ends with this code to be run again, with the same words: LibreOffice does when it
    /// has made its profile (`EXITHELPER_NORMAL_RESTART`, desktop/source/inc/exithelper.h).
    pub(super) const fn restarts(self, code: i32) -> bool {
        matches!(self, Self::LibreOffice) && code == 81
    }

    /// One sentence for the operator when it is not here.
    #[must_use]
    pub fn missing(self) -> String {
        format!(
            "{} is not installed: {} {}",
            self.names()[0],
            self.installed_by(),
            self.packages()
        )
    }
}

/// Programs and libraries, fonts, and the settings that they cannot do without.
pub(super) const SYSTEM: [&str; 12] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/libreoffice",
    "/var/cache/fontconfig",
    // Where links of Debian's LibreOffice lead.
    "/var/lib/libreoffice",
    "/var/spool/libreoffice",
];

/// Folders to look in beyond the search path: a service may be started without one.
const USUAL: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Which programs are here.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    found: BTreeMap<Program, PathBuf>,
    own: Option<PathBuf>,
}

impl Programs {
    /// Looks along `path`, in the syntax of `PATH`, and then where programs usually are.
    #[must_use]
    pub fn find(path: &OsStr) -> Self {
        let folders: Vec<PathBuf> = std::env::split_paths(path)
            .chain(USUAL.map(PathBuf::from))
            .filter(|folder| folder.is_absolute())
            .collect();
        Self::find_in(&folders)
    }

    /// Looks in these folders only.
    #[must_use]
    pub fn find_in(folders: &[PathBuf]) -> Self {
        let found = Program::ALL.into_iter().filter_map(|program| {
            let place = program
                .names()
                .iter()
                .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
                .find(|place| place.is_file())?;
            Some((program, place))
        });
        Self {
            found: found.collect(),
            own: None,
        }
    }

    /// The same, with the backend's own program, which confines the others by Landlock when it is
    /// called for that.
    #[must_use]
    pub fn with_own(mut self, own: impl Into<PathBuf>) -> Self {
        self.own = Some(own.into());
        self
    }

    /// The backend's own program.
    pub(super) fn own(&self) -> Option<&Path> {
        self.own.as_deref()
    }

    /// Where it is, if it is here.
    #[must_use]
    pub fn get(&self, program: Program) -> Option<&Path> {
        self.found.get(&program).map(PathBuf::as_path)
    }

    /// Where it is when it is to be run as itself and not by another that starts and watches it: the one
    /// of LibreOffice insists on a socket in `/tmp`.
    pub(super) fn itself(&self, program: Program) -> Option<PathBuf> {
        let found = self.get(program)?;
        let itself = match program {
            Program::LibreOffice => found.canonicalize().ok()?.with_file_name("soffice.bin"),
            _ => found.to_owned(),
        };
        Some(itself).filter(|itself| itself.is_file())
    }

    /// Whether any is here that is run on files of strangers.
    pub(super) fn any_converts(&self) -> bool {
        let own = [
            Program::Bubblewrap,
            Program::Prlimit,
            Program::Setpriv,
            Program::Unshare,
        ];
        self.found.keys().any(|program| !own.contains(program))
    }

    /// Those that are not here.
    pub fn missing(&self) -> impl Iterator<Item = Program> {
        Program::ALL
            .into_iter()
            .filter(|program| !self.found.contains_key(program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_has_every_program() {
        let container = include_str!("../../Containerfile");
        let installed: Vec<&str> = container.split_whitespace().collect();
        for program in Program::ALL {
            for package in program.packages().split(' ') {
                assert!(installed.contains(&package), "{package}");
            }
        }
    }

    #[test]
    fn a_program_is_found_by_its_best_name_and_a_missing_one_names_its_package() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["heif-convert", "heif-dec", "pdfinfo"] {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        let programs = Programs::find_in(&[folder.path().to_owned()]);
        let heif = programs.get(Program::HeifConvert).expect("it is there");
        assert!(heif.ends_with("heif-dec"));
        let missing: Vec<_> = programs.missing().collect();
        assert!(missing.contains(&Program::Ffmpeg) && !missing.contains(&Program::PdfInfo));
        let sentence = Program::LibreOffice.missing();
        assert!(
            sentence.contains("apt-get install libreoffice-writer-nogui"),
            "{sentence}"
        );
    }
}
