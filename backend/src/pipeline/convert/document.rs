//! Documents into PDF, by LibreOffice.
//!
//! Each run has a profile of its own, so that two do not meet and none leaves anything for the
//! next; macros and links to other places are off. The filter is named by the type that the
//! content told, so that damage is an error and not an import as plain text.
//!
//! Plain text and CSV come in many encodings (GB 18030, Big5, UTF-16, UTF-8): they are made UTF-8
//! first.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;

use super::{Conversion, ConvertError, Converter, reject};
use crate::pipeline::Rejection;
use crate::sandbox::{Limits, Program, Run, Sandbox};

/// A document of 100 pages takes some 10 s and 400 MB on two cores.
pub const LIMITS: Limits = Limits {
    time: Duration::from_secs(120),
    memory: 1536 * 1024 * 1024,
    output: 512 * 1024 * 1024,
    processes: 24,
};
/// Longest text that is made into pages, in bytes: some 5,000 pages.
const TEXT_MAX: u64 = 16 * 1024 * 1024;

/// What LibreOffice is told of a type: ending, name of its import filter, of its PDF filter.
struct Filter {
    ending: &'static str,
    import: &'static str,
    export: &'static str,
}

const WRITER: &str = "pdf:writer_pdf_Export";
const CALC: &str = "pdf:calc_pdf_Export";
const IMPRESS: &str = "pdf:impress_pdf_Export";

fn filter(media_type: &str) -> Option<Filter> {
    let (ending, import, export) = match media_type {
        "application/msword" => ("doc", "MS Word 97", WRITER),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => {
            ("docx", "MS Word 2007 XML", WRITER)
        }
        "application/vnd.oasis.opendocument.text" => ("odt", "writer8", WRITER),
        "application/rtf" | "text/rtf" => ("rtf", "Rich Text Format", WRITER),
        "text/plain" => ("txt", "Text (encoded):UTF8", WRITER),
        "text/html" => ("html", "HTML (StarWriter)", WRITER),
        "application/vnd.ms-excel" => ("xls", "MS Excel 97", CALC),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => {
            ("xlsx", "Calc MS Excel 2007 XML", CALC)
        }
        "application/vnd.oasis.opendocument.spreadsheet" => ("ods", "calc8", CALC),
        // Separator, quote, encoding UTF-8, first line: the tokens of LibreOffice's CSV filter.
        "text/csv" => ("csv", "Text - txt - csv (StarCalc):SEPARATOR,34,76,1", CALC),
        "application/vnd.ms-powerpoint" => ("ppt", "MS PowerPoint 97", IMPRESS),
        "application/vnd.openxmlformats-officedocument.presentationml.presentation" => {
            ("pptx", "Impress MS PowerPoint 2007 XML", IMPRESS)
        }
        "application/vnd.oasis.opendocument.presentation" => ("odp", "impress8", IMPRESS),
        _ => return None,
    };
    Some(Filter {
        ending,
        import,
        export,
    })
}

/// Settings of a fresh profile: no macros, nothing from elsewhere, no looking for updates.
const PROFILE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="MacroSecurityLevel" oor:op="fuse"><value>3</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting"><prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Writer/Content/Update"><prop oor:name="Link" oor:op="fuse"><value>0</value></prop></item>
<item oor:path="/org.openoffice.Office.Calc/Content/Update"><prop oor:name="Link" oor:op="fuse"><value>2</value></prop></item>
</oor:items>
"#;

/// The converter of documents.
#[derive(Clone, Debug)]
pub struct Documents {
    sandbox: Sandbox,
    limits: Limits,
}

impl Documents {
    /// By the LibreOffice of this sandbox.
    #[must_use]
    pub fn new(sandbox: Sandbox) -> Self {
        Self::with_limits(sandbox, LIMITS)
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(sandbox: Sandbox, limits: Limits) -> Self {
        Self { sandbox, limits }
    }
}

impl Converter for Documents {
    fn name(&self) -> &'static str {
        "documents"
    }

    fn handles(&self, from: &str, to: &str) -> bool {
        filter(from).is_some() && to == "application/pdf"
    }

    fn needs(&self, _: &str, _: &str) -> &'static [Program] {
        &[Program::LibreOffice]
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let filter = filter(conversion.from)
            .ok_or_else(|| reject(Rejection::NoUsableFormat, "not a document"))?;
        let folder = conversion.folder;
        let source = folder.join(format!("document.{}", filter.ending));
        let mut import = filter.import.to_owned();
        if matches!(conversion.from, "text/plain" | "text/csv") {
            let text = read_text(conversion.source)?;
            let separator = u32::from(separator(&text));
            import = import.replace("SEPARATOR", &separator.to_string());
            fs::write(&source, text)?;
        } else {
            // A copy with the ending that LibreOffice looks at; the original stays out of reach.
            fs::copy(conversion.source, &source)?;
        }
        let profile = folder.join("profile");
        fs::create_dir_all(profile.join("user"))?;
        fs::write(profile.join("user/registrymodifications.xcu"), PROFILE)?;

        let mut installation = OsString::from("-env:UserInstallation=file://");
        installation.push(&profile);
        let mut infilter = OsString::from("--infilter=");
        infilter.push(import);
        let mut arguments = vec![installation];
        arguments.extend(
            [
                "--headless",
                "--norestore",
                "--nolockcheck",
                "--nodefault",
                "--nofirststartwizard",
            ]
            .map(OsString::from),
        );
        arguments.extend([infilter, "--convert-to".into(), filter.export.into()]);
        arguments.extend(["--outdir".into(), folder.into(), source.into()]);
        let ended = self.sandbox.run(&Run {
            program: Program::LibreOffice,
            arguments,
            folder,
            reads: &[],
            limits: self.limits,
        })?;
        let made: PathBuf = folder.join("document.pdf");
        if !made.is_file() {
            let error = format!("{} {}", ended.output.trim(), ended.errors.trim());
            return Err(reject(Rejection::Unreadable, error));
        }
        fs::copy(made, conversion.result)?;
        Ok(())
    }
}

/// The text as UTF-8, whatever it came in.
fn read_text(path: &Path) -> Result<String, ConvertError> {
    let size = fs::metadata(path)?.len();
    if size > TEXT_MAX {
        let error = format!("{size} bytes of text");
        return Err(reject(Rejection::ResultTooLarge, error));
    }
    let bytes = fs::read(path)?;
    let encoding = Encoding::for_bom(&bytes).map_or_else(
        || {
            let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
            detector.feed(&bytes, true);
            detector.guess(None, Utf8Detection::Allow)
        },
        |(encoding, _)| encoding,
    );
    Ok(encoding.decode(&bytes).0.into_owned())
}

/// What parts the columns of a CSV: whichever of the usual ones its first line has most of.
fn separator(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |c: u8| first.bytes().filter(|b| *b == c).count();
    // Of equals the last is taken: the comma.
    [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|c| count(*c))
        .unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_usual_encoding_is_read() {
        let words = "海港保险理赔材料：请在三个工作日内提交发票、照片和说明。";
        for encoding in [encoding_rs::UTF_8, encoding_rs::GB18030, encoding_rs::BIG5] {
            let words = if encoding == encoding_rs::BIG5 {
                "海港保險理賠材料：請在三個工作日內提交發票、照片和說明。"
            } else {
                words
            };
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), encoding.encode(words).0).expect("a file");
            assert_eq!(
                read_text(file.path()).expect("text"),
                words,
                "{}",
                encoding.name()
            );
        }
    }

    #[test]
    fn the_separator_is_the_one_that_the_first_line_has() {
        for (text, expected) in [
            ("a,b,c\n1;2;3;4;5", b','),
            ("a;b;c", b';'),
            ("a\tb", b'\t'),
            ("alone", b','),
        ] {
            assert_eq!(separator(text), expected, "{text}");
        }
    }
}
