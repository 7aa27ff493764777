//! JSON as other languages write it, and what a log may say of JSON that cannot be read.

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};

/// The largest whole number below which a float holds every one: 2^53.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// What is wrong with an object.
#[derive(Debug)]
pub struct Unreadable {
    /// The field, as `files[0].name`; `None` where it is the object as a whole.
    pub field: Option<String>,
    /// serde's words, which may repeat what it met.
    pub reason: String,
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self {
            field: None,
            reason: error.to_string(),
        }
    }
}

/// Reads an object, in which `3.0` may stand for 3.
///
/// # Errors
/// When it is no JSON, no object, or of another form. To serde alone an array is an object too: of its
/// fields, one after the other.
pub fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        let _: Map<String, Value> = serde_json::from_slice(bytes)?;
    }
    let whole = || {
        let mut value = serde_json::from_slice(bytes).ok()?;
        whole_numbers(&mut value);
        fields(&serde_json::to_vec(&value).ok()?).ok()
    };
    fields(bytes).or_else(|error| whole().ok_or(error))
}

fn fields<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let reason = error.inner().to_string();
        // Of one that is missing or not known serde gives the path of what it is in, and the name in backquotes.
        let named = reason.split_once(" field `");
        let named = named.and_then(|(_, rest)| rest.split('`').next());
        let path = error.path().iter().next().map(|_| error.path().to_string());
        let field = match (path, named) {
            (Some(path), Some(named)) if path.rsplit(['.', ']']).next() != Some(named) => {
                Some(format!("{path}.{named}"))
            }
            (Some(path), _) => Some(path),
            (None, named) => named.map(str::to_owned),
        };
        Unreadable { field, reason }
    })?;
    json.end()?;
    Ok(read)
}

/// Turns every `3.0` within into 3: JSON Schema holds both to be the same integer (2020-12
/// validation, section 6.1.1), and so do languages that know one kind of number.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(float) = number.as_f64()
                && float.fract() == 0.0
                && (0.0..=WHOLE_MAX).contains(&float)
            {
                // Within the bounds above the conversion is exact.
                *value = Value::from(float as u64);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// Why JSON was not read, for the log: what is wrong, and where. serde's own words repeat what it
/// met, and that may be a name or a secret.
#[must_use]
pub fn place(error: &serde_json::Error) -> String {
    let wrong = match error.classify() {
        Category::Io => "not written",
        Category::Syntax => "no JSON",
        Category::Data => "JSON of another form",
        Category::Eof => "JSON that ends early",
    };
    format!(
        "{wrong}, at line {} column {}",
        error.line(),
        error.column()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_log_says_of_json_repeats_nothing_of_it() {
        for (text, wrong) in [
            (r#""salary.pdf""#, "JSON of another form"),
            (r#"{ "salary.pdf": 1 }"#, "JSON of another form"),
            ("salary.pdf", "no JSON"),
            (r#""salary.pdf"#, "JSON that ends early"),
        ] {
            let error = serde_json::from_str::<bool>(text).expect_err("no bool");
            let told = place(&error);
            assert!(told.starts_with(wrong) && told.contains("line 1"), "{told}");
            assert!(!told.contains("salary"), "{told}");
        }
        // The words that are not used.
        let error = serde_json::from_str::<bool>(r#""salary.pdf""#).expect_err("no bool");
        assert!(error.to_string().contains("salary"));
    }

    #[test]
    fn an_object_is_no_array_and_no_text() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct One {
            #[serde(default)]
            a: u32,
        }
        for text in [r#"{"a":3}"#, " \n{ \"a\": 3.0 }"] {
            assert_eq!(object::<One>(text.as_bytes()).expect("it"), One { a: 3 });
        }
        for text in ["[3]", "[]", " [ ]", "3", "", "null", r#"{"a":"3"}"#] {
            assert!(object::<One>(text.as_bytes()).is_err(), "{text}");
        }
        // What serde alone makes of it.
        assert!(serde_json::from_str::<One>("[3]").is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_by_its_field() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Outer {
            #[serde(rename = "name")]
            _name: Option<String>,
            #[serde(rename = "rows")]
            _rows: Vec<Row>,
            #[serde(rename = "column")]
            _column: Option<Row>,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            #[serde(rename = "n")]
            _n: u8,
        }
        for (text, field) in [
            (r#"{"rows":[],"name":3}"#, Some("name")),
            (r#"{"name":"a"}"#, Some("rows")),
            (r#"{"rows":[],"nmae":"a"}"#, Some("nmae")),
            (r#"{"rows":[{"n":1},{"n":256}]}"#, Some("rows[1].n")),
            (r#"{"rows":[{"n":1.5}]}"#, Some("rows[0].n")),
            (r#"{"rows":[{}]}"#, Some("rows[0].n")),
            (r#"{"rows":[{"n":1,"m":2}]}"#, Some("rows[0].m")),
            (r#"{"rows":[],"column":{}}"#, Some("column.n")),
            (r#"{"rows":"#, Some("rows")),
            (r#"{"rows":[]} x"#, None),
            ("[]", None),
        ] {
            let wrong = object::<Outer>(text.as_bytes()).expect_err(text);
            assert_eq!(wrong.field.as_deref(), field, "{text}: {}", wrong.reason);
        }
    }

    #[test]
    fn a_float_without_a_fraction_is_a_whole_number() {
        let mut value = json!({ "a": [60.0, 0.5, -1.0, 1e300, 7], "b": "1.0" });
        whole_numbers(&mut value);
        assert_eq!(value, json!({ "a": [60, 0.5, -1.0, 1e300, 7], "b": "1.0" }));
    }
}
