//! Why files are rejected: a stable code and a sentence each.

/// Why a file is rejected, in words for the person who sent it. The operator's words are in the
/// job's `last_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The edge does not have the file any more.
    #[error("The file was removed before it could be fetched.")]
    Gone,
    /// What was fetched was not what was uploaded, several times over.
    #[error("The file did not arrive intact. Please send it again.")]
    Altered,
    /// No converter makes any of the app's formats of it.
    #[error("This kind of file cannot be turned into a format that the app can use.")]
    NoUsableFormat,
    /// A document of Apple Pages.
    #[error("An Apple Pages document cannot be opened here. Please send it as a PDF.")]
    ApplePages,
    /// A table of Apple Numbers.
    #[error("An Apple Numbers spreadsheet cannot be opened here. Please send it as a PDF.")]
    AppleNumbers,
    /// Slides of Apple Keynote.
    #[error("An Apple Keynote presentation cannot be opened here. Please send it as a PDF.")]
    AppleKeynote,
    /// An OFD document (GB/T 33190), as Chinese invoices come in.
    #[error("An OFD document cannot be opened here. Please send it as a PDF.")]
    Ofd,
    /// A voice message of WeChat or QQ, in SILK.
    #[error(
        "A voice message in the SILK format cannot be played here. Please send it in another format."
    )]
    SilkVoice,
    /// A message that Outlook saved.
    #[error("A message saved by Outlook (.msg) cannot be opened here. Please send it as a PDF.")]
    OutlookMessage,
    /// A camera's raw photo.
    #[error("A camera's raw photo cannot be opened here. Please send it as a JPEG.")]
    RawPhoto,
    /// A drawing of AutoCAD.
    #[error("An AutoCAD drawing (.dwg) cannot be opened here. Please send it as a PDF.")]
    CadDrawing,
    /// An electronic book.
    #[error("An e-book cannot be opened here. Please send it as a PDF.")]
    Ebook,
    /// Something that is run.
    #[error("A program is not taken. Please send a document or a picture.")]
    Program,
    /// The file is damaged, or not what its first bytes say.
    #[error("The file is damaged and cannot be opened.")]
    Unreadable,
    /// The image has more pixels or bytes than are processed.
    #[error("The image is too large to be processed.")]
    ImageTooLarge,
    /// It opens only with a password.
    #[error("The file is protected with a password. Please send it without one.")]
    PasswordProtected,
    /// What would come of it is larger than what is made here.
    #[error("The file is too large to be converted.")]
    ResultTooLarge,
    /// Its conversion ran out of time.
    #[error("The file took too long to be converted.")]
    TookTooLong,
    /// Its conversion needs more memory or processes than it may have.
    #[error("The file is too complex to be converted.")]
    TooComplex,
    /// An archive with too much in it.
    #[error("The archive holds too much. Please send the files by themselves.")]
    ArchiveRefused,
    /// An archive that came in another.
    #[error("An archive within an archive is not opened. Please send its files by themselves.")]
    ArchiveInArchive,
    /// The scanner found malware; the file is in quarantine.
    #[error("The file was refused because it contains malware.")]
    Infected,
    /// The scanner cannot take it.
    #[error("The file could not be checked for malware.")]
    NotScanned,
    /// A program that the conversion needs is not installed.
    #[error("This kind of file cannot be converted at the moment.")]
    ProgramMissing,
    /// It failed for days.
    #[error("The file could not be processed. Please send it again later.")]
    GaveUp,
}

impl Rejection {
    /// All of them.
    const ALL: [Self; 25] = [
        Self::Gone,
        Self::Altered,
        Self::NoUsableFormat,
        Self::ApplePages,
        Self::AppleNumbers,
        Self::AppleKeynote,
        Self::Ofd,
        Self::SilkVoice,
        Self::OutlookMessage,
        Self::RawPhoto,
        Self::CadDrawing,
        Self::Ebook,
        Self::Program,
        Self::Unreadable,
        Self::ImageTooLarge,
        Self::PasswordProtected,
        Self::ResultTooLarge,
        Self::TookTooLong,
        Self::TooComplex,
        Self::ArchiveRefused,
        Self::ArchiveInArchive,
        Self::Infected,
        Self::NotScanned,
        Self::ProgramMissing,
        Self::GaveUp,
    ];

    /// The one with this code, as it is stored.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.code() == code)
    }

    /// Why a file of this type is rejected, of which nothing that the app can use can be made: by the
    /// name that people have for it, where they have one.
    #[must_use]
    pub fn of_kind(media_type: &str) -> Self {
        match media_type {
            "application/vnd.apple.pages" => Self::ApplePages,
            "application/vnd.apple.numbers" => Self::AppleNumbers,
            "application/vnd.apple.keynote" => Self::AppleKeynote,
            "application/ofd" => Self::Ofd,
            "audio/silk" => Self::SilkVoice,
            "application/vnd.ms-outlook" => Self::OutlookMessage,
            "image/x-raw" | "image/x-adobe-dng" => Self::RawPhoto,
            "image/vnd.dwg" => Self::CadDrawing,
            "application/epub+zip" | "application/x-mobipocket-ebook" => Self::Ebook,
            "application/vnd.microsoft.portable-executable"
            | "application/x-executable"
            | "application/x-mach-binary"
            | "application/vnd.android.package-archive"
            | "application/java-archive"
            | "application/x-msi" => Self::Program,
            _ => Self::NoUsableFormat,
        }
    }

    /// Whether the same file may do in another format.
    pub(crate) const fn is_of_the_format(self) -> bool {
        matches!(
            self,
            Self::NoUsableFormat | Self::ImageTooLarge | Self::ResultTooLarge
        )
    }

    /// The stable code, by which a reader in another language finds its own words.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Altered => "altered",
            Self::NoUsableFormat => "no-usable-format",
            Self::ApplePages => "apple-pages",
            Self::AppleNumbers => "apple-numbers",
            Self::AppleKeynote => "apple-keynote",
            Self::Ofd => "ofd",
            Self::SilkVoice => "silk-voice",
            Self::OutlookMessage => "outlook-message",
            Self::RawPhoto => "raw-photo",
            Self::CadDrawing => "cad-drawing",
            Self::Ebook => "e-book",
            Self::Program => "program",
            Self::Unreadable => "unreadable",
            Self::ImageTooLarge => "image-too-large",
            Self::PasswordProtected => "password-protected",
            Self::ResultTooLarge => "result-too-large",
            Self::TookTooLong => "took-too-long",
            Self::TooComplex => "too-complex",
            Self::ArchiveRefused => "archive-refused",
            Self::ArchiveInArchive => "archive-in-archive",
            Self::Infected => "infected",
            Self::NotScanned => "not-scanned",
            Self::ProgramMissing => "program-missing",
            Self::GaveUp => "gave-up",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_words_on_the_page_in_every_language() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../frontend/locales");
        let mut languages = 0;
        for entry in std::fs::read_dir(folder).expect("the page's locales") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a locale");
            let texts: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            for reason in Rejection::ALL {
                let key = format!("rejected.{}", reason.code());
                assert!(texts[&key].is_string(), "{}: {key}", path.display());
            }
            languages += 1;
        }
        assert_eq!(languages, 6);
    }
}
