//! Documents into PDF, by LibreOffice.
//!
//! Each run has a profile of its own, so that two do not meet and none leaves anything for the
//! next; macros and links to other places are off. The filter is named by the type that the
//! content told, so that damage is an error and not an import as plain text.
//!
//! Plain text, CSV and HTML come in many encodings (GB 18030, Shift-JIS, UTF-16): they are made UTF-8
//! or ASCII first. Each cell of a CSV is the text that it is: what looks like a number is as often
//! one of an account or an identity card, of which no digit may be lost.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chatlift_shared::kind::{EXCEL_2003, PAGE, WORD_2003};

use super::{Conversion, ConvertError, Converter, mail, reject, text};
use crate::pipeline::{Lane, Rejection};
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
/// Most columns of a CSV: Calc has 16,384, and the words that name the format of so many fit into an
/// argument of a program, which has 128 KiB at most (Linux, `MAX_ARG_STRLEN`).
const COLUMNS_MAX: usize = 10_000;

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
        "text/html" | PAGE => ("html", "HTML (StarWriter)", WRITER),
        EXCEL_2003 => ("xml", "MS Excel 2003 XML", CALC),
        WORD_2003 => ("xml", "MS Word 2003 XML", WRITER),
        "application/vnd.ms-excel" => ("xls", "MS Excel 97", CALC),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => {
            ("xlsx", "Calc MS Excel 2007 XML", CALC)
        }
        "application/vnd.oasis.opendocument.spreadsheet" => ("ods", "calc8", CALC),
        "text/csv" => ("csv", "Text - txt - csv (StarCalc)", CALC),
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

    fn lane(&self, _: &str) -> Lane {
        Lane::Slow
    }

    fn convert(&self, conversion: &Conversion<'_>) -> Result<(), ConvertError> {
        let filter = filter(conversion.from)
            .ok_or_else(|| reject(Rejection::NoUsableFormat, "not a document"))?;
        let folder = conversion.folder;
        let source = folder.join(format!("document.{}", filter.ending));
        let mut import = filter.import.to_owned();
        match conversion.from {
            "text/plain" => fs::write(&source, text::decode(&read(conversion.source)?))?,
            "text/html" => fs::write(&source, text::decode_html(&read(conversion.source)?))?,
            PAGE => fs::write(&source, text::in_ascii(&mail::page(conversion.source)?))?,
            "text/csv" => {
                let text = text::decode(&read(conversion.source)?);
                let table = Table::of(&text);
                import = format!("{import}:{}", table.tokens()?);
                fs::write(&source, table.rows)?;
            }
            // A copy with the ending that LibreOffice looks at; the original stays out of reach.
            _ => drop(fs::copy(conversion.source, &source)?),
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

/// The bytes of a text.
fn read(path: &Path) -> Result<Vec<u8>, ConvertError> {
    let size = fs::metadata(path)?.len();
    if size > TEXT_MAX {
        let error = format!("{size} bytes of text");
        return Err(reject(Rejection::ResultTooLarge, error));
    }
    Ok(fs::read(path)?)
}

/// A CSV.
struct Table<'a> {
    rows: &'a str,
    separator: char,
}

impl<'a> Table<'a> {
    /// What parts the columns: what Excel's own first line says (`sep=;`), or whichever of the usual
    /// ones the first line has most of outside quotes.
    fn of(text: &'a str) -> Self {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let said = first.trim_end().strip_prefix("sep=");
        if let Some(separator) = said.and_then(|s| s.chars().next()).filter(char::is_ascii) {
            return Self {
                rows: rest,
                separator,
            };
        }
        let bare: String = first.split('"').step_by(2).collect();
        // Of equals the last is taken: the comma.
        let separator = ['|', '\t', ';', ',']
            .into_iter()
            .max_by_key(|c| bare.matches(*c).count())
            .unwrap_or(',');
        Self {
            rows: text,
            separator,
        }
    }

    /// The tokens of LibreOffice's CSV filter: separator, quote, encoding UTF-8, first line, and the
    /// format of each column, which is text (2).
    fn tokens(&self) -> Result<String, ConvertError> {
        let separators = |line: &str| line.matches(self.separator).count();
        let columns = self.rows.lines().map(separators).max().unwrap_or(0) + 1;
        if columns > COLUMNS_MAX {
            let error = format!("{columns} columns");
            return Err(reject(Rejection::ResultTooLarge, error));
        }
        let formats: Vec<String> = (1..=columns).map(|n| format!("{n}/2")).collect();
        let separator = u32::from(self.separator);
        Ok(format!("{separator},34,76,1,{}", formats.join("/")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_parted_by_what_its_first_line_has_or_says() {
        for (text, expected) in [
            ("a,b,c\n1;2;3;4;5", ','),
            ("a;b;c", ';'),
            ("\"a,b,c,d\";b;c", ';'),
            ("a\tb", '\t'),
            ("a|b|c", '|'),
            ("alone", ','),
            ("sep=;\r\na,b,c", ';'),
        ] {
            assert_eq!(Table::of(text).separator, expected, "{text}");
        }
        assert_eq!(Table::of("sep=;\na;b").rows, "a;b");
    }

    #[test]
    fn each_column_of_the_longest_row_is_text() {
        let tokens = |text| Table::of(text).tokens().expect("a table");
        assert_eq!(tokens("a\n1,2,3\n"), "44,34,76,1,1/2/2/2/3/2");
        let wide = ",".repeat(COLUMNS_MAX);
        assert!(Table::of(&wide).tokens().is_err());
    }
}
