//! Text that a person reads, in one or several languages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::*;

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
