//! Text that a person reads, in one or several languages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::NOTE_MAX;

/// Text in one language for everybody, or in several by BCP 47 language tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum LocalizedText {
    /// One text for everybody.
    One(String),
    /// Text by language tag, such as `{"en": "...", "zh-CN": "..."}`.
    Many(BTreeMap<String, String>),
}

impl LocalizedText {
    /// The text in `lang`, or in the same language of another region, or in English, or any.
    #[must_use]
    pub fn get(&self, lang: &str) -> &str {
        let many = match self {
            Self::One(text) => return text,
            Self::Many(many) => many,
        };
        let primary = |tag: &str| tag.split('-').next().map(str::to_ascii_lowercase);
        many.get(lang)
            .or_else(|| {
                many.iter()
                    .find(|(tag, _)| primary(tag) == primary(lang))
                    .map(|(_, text)| text)
            })
            .or_else(|| many.get("en"))
            .or_else(|| many.values().next())
            .map_or("", String::as_str)
    }
}

/// A note has more than [`NOTE_MAX`] characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a note has at most {NOTE_MAX} characters")]
pub struct NoteTooLong;

/// What a sender wrote to the app, as it is kept: lines end in LF, as in a browser's text field and other than in
/// a form's body; other control characters are left out. Nothing, if nothing is left between the spaces around it.
///
/// # Errors
/// [`NoteTooLong`].
pub fn note(written: &str) -> Result<Option<String>, NoteTooLong> {
    let lines = written.replace("\r\n", "\n").replace('\r', "\n");
    let kept: String = lines
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    let note = kept.trim();
    if note.chars().count() > NOTE_MAX {
        return Err(NoteTooLong);
    }
    Ok((!note.is_empty()).then(|| note.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_kept_as_it_was_written_but_for_control_characters() {
        for (written, kept) in [
            ("", None),
            (" \r\n\t", None),
            (
                " <b>Roof</b> & 雨 \r\nsee photo 2\r",
                Some("<b>Roof</b> & 雨 \nsee photo 2"),
            ),
            ("a\0b\u{1b}[31mc\u{85}d\te", Some("ab[31mcd\te")),
        ] {
            assert_eq!(note(written), Ok(kept.map(str::to_owned)), "{written:?}");
        }
    }

    #[test]
    fn a_note_is_measured_in_characters_and_by_what_is_kept_of_it() {
        let longest = "雨".repeat(NOTE_MAX);
        assert_eq!(note(&format!(" {longest}\r\n")), Ok(Some(longest.clone())));
        assert_eq!(note(&format!("{longest}.")), Err(NoteTooLong));
        // A browser counts a line's end as one character and sends two.
        let lines = "a\r\n".repeat(NOTE_MAX / 2);
        assert!(matches!(note(&lines), Ok(Some(_))));
    }

    #[test]
    fn the_nearest_language_is_chosen() {
        let text: LocalizedText =
            serde_json::from_str(r#"{"en":"Files","zh-CN":"文件"}"#).expect("localized text");
        assert_eq!(text.get("zh-CN"), "文件");
        assert_eq!(text.get("zh-TW"), "文件");
        assert_eq!(text.get("fr"), "Files");
        assert_eq!(LocalizedText::One("x".into()).get("zh"), "x");
    }
}
