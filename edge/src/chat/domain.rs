//! Files at the root of the domain by which a chat platform makes sure whose it is: WeChat asks for
//! `/MP_verify_….txt`, WeCom for `/WW_verify_….txt`, mini programs for a name of random letters,
//! before any of their SDKs works there.

use std::collections::BTreeMap;

/// Longest content of a domain file, in bytes. The platforms' own have some 16 to 40.
const CONTENT_MAX: usize = 1024;

/// Longest name of a domain file, in bytes.
const NAME_MAX: usize = 128;

/// The domain files by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainFiles(BTreeMap<String, String>);

impl DomainFiles {
    /// Reads the variable `DOMAIN_FILES`: JSON, content by name; none where it is empty.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let files: BTreeMap<String, String> =
            serde_json::from_str(text).map_err(|e| e.to_string())?;
        for (name, content) in &files {
            if !is_file_name(name) {
                return Err(format!(
                    "{name:?} is no name such as MP_verify_a1B2c3.txt, of at most {NAME_MAX} letters"
                ));
            }
            let plain = |b: u8| b.is_ascii_graphic() || matches!(b, b' ' | b'\r' | b'\n');
            if content.is_empty() || content.len() > CONTENT_MAX || !content.bytes().all(plain) {
                return Err(format!(
                    "{name}: the content is 1 to {CONTENT_MAX} bytes of plain text"
                ));
            }
        }
        Ok(Self(files))
    }

    /// The content of the file of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Whether a domain file can have this name: letters, digits, `-`, `_` and `.`, ending in `.txt`.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name.len() <= NAME_MAX
        && !name.starts_with('.')
        && name.bytes().all(plain)
        && name
            .strip_suffix(".txt")
            .is_some_and(|stem| !stem.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_had_by_its_name_and_no_other() {
        let files = r#"{"MP_verify_a1B2.txt":"a1B2","WW_verify_x.txt":"x\n"}"#;
        let files = DomainFiles::parse(files).expect("two files");
        assert_eq!(files.get("MP_verify_a1B2.txt"), Some("a1B2"));
        assert_eq!(files.get("mp_verify_a1b2.txt"), None);
        assert_eq!(DomainFiles::parse(""), Ok(DomainFiles::default()));
    }

    #[test]
    fn what_is_no_domain_file_is_refused_by_name() {
        for (text, named) in [
            (r#"{"index.html":"a"}"#, "index.html"),
            (r#"{"../a.txt":"a"}"#, "../a.txt"),
            (r#"{".txt":"a"}"#, ".txt"),
            (r#"{"a/b.txt":"a"}"#, "a/b.txt"),
            (r#"{"a.txt":""}"#, "a.txt"),
            (r#"{"a.txt":"\u0000"}"#, "a.txt"),
        ] {
            let reason = DomainFiles::parse(text).expect_err(text);
            assert!(reason.contains(named), "{text}: {reason}");
        }
        let long = format!(r#"{{"a.txt":"{}"}}"#, "x".repeat(CONTENT_MAX + 1));
        assert!(DomainFiles::parse(&long).is_err());
        assert!(DomainFiles::parse("[").is_err());
    }
}
