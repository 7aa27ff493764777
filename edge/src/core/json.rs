//! JSON as other languages write it, and what a log may say of JSON that cannot be read.

use serde_json::Value;
use serde_json::error::Category;

/// The largest whole number below which a float holds every one: 2^53.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Turns every `3.0` within into 3: JSON Schema holds both to be the same integer (2020-12
/// validation, section 6.1.1), and so do languages that know one kind of number.
pub fn whole_numbers(value: &mut Value) {
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
    fn a_float_without_a_fraction_is_a_whole_number() {
        let mut value = json!({ "a": [60.0, 0.5, -1.0, 1e300, 7], "b": "1.0" });
        whole_numbers(&mut value);
        assert_eq!(value, json!({ "a": [60, 0.5, -1.0, 1e300, 7], "b": "1.0" }));
    }
}
