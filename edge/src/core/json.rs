//! JSON as other languages write it.

use serde_json::Value;

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_float_without_a_fraction_is_a_whole_number() {
        let mut value = json!({ "a": [60.0, 0.5, -1.0, 1e300, 7], "b": "1.0" });
        whole_numbers(&mut value);
        assert_eq!(value, json!({ "a": [60, 0.5, -1.0, 1e300, 7], "b": "1.0" }));
    }
}
