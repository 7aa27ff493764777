//! Filling texts, and numbers and sizes as people read them.
//!
//! The page uses these where it could use the standard library: what is here is a fraction of that
//! one's bytes, which cares for more cases and more speed than a line of text on a page has.

/// Puts values into the `{name}` places of a text. A place without a value stays as it is.
#[must_use]
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = cut(rest, b'{') {
        out.push_str(before);
        let value = cut(after, b'}').and_then(|(name, tail)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, tail))
        });
        rest = if let Some((value, tail)) = value {
            out.push_str(value);
            tail
        } else {
            out.push('{');
            after
        };
    }
    out.push_str(rest);
    out
}

/// A size as file managers write it: binary units with their usual short names, one decimal below
/// a hundred, rounded to the nearest.
///
/// A left-to-right mark stands first: without it, Arabic text around it would show the unit before
/// the number (Unicode Standard Annex #9, rule W7 needs a strong character).
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut scale: u64 = 1;
    while unit + 1 < UNITS.len() && bytes / scale >= 1000 {
        unit += 1;
        scale <<= 10;
    }
    // In tenths, in 128 bits because ten times the largest file overflows 64.
    let tenths = (u128::from(bytes) * 10 + u128::from(scale / 2)) / u128::from(scale);
    let tenths = u64::try_from(tenths).unwrap_or(u64::MAX);
    let whole = decimal((tenths + 5) / 10);
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    if tenths < 1000 && !tenths.is_multiple_of(10) {
        let (whole, tenth) = (decimal(tenths / 10), decimal(tenths % 10));
        ["\u{200e}", &whole, ".", &tenth, "\u{a0}", unit].concat()
    } else {
        ["\u{200e}", &whole, "\u{a0}", unit].concat()
    }
}

/// A number in decimal digits.
#[must_use]
pub fn decimal(mut n: u64) -> String {
    let mut digits = Vec::new();
    loop {
        // A digit is below ten.
        digits.insert(0, b'0' + (n % 10) as u8);
        n /= 10;
        if n == 0 {
            return digits.into_iter().map(char::from).collect();
        }
    }
}

/// What stands before and after the first `by`, which is ASCII.
#[must_use]
pub fn cut(text: &str, by: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == by)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The extension of a name: what stands behind its last dot; nothing without a dot.
#[must_use]
pub fn extension(name: &str) -> Option<&str> {
    let at = name.bytes().rposition(|byte| byte == b'.')?;
    name.get(at + 1..)
}

/// Parts two texts in a line. It never begins one: a line that breaks there does so behind it.
pub const DOT: &str = "\u{a0}· ";

/// Texts with something between each two.
#[must_use]
pub fn join(texts: &[String], between: &str) -> String {
    let mut out = String::new();
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push_str(between);
        }
        out.push_str(text);
    }
    out
}

/// A whole number of digits alone; nothing of anything else, or of what does not fit.
#[must_use]
pub fn number(digits: &str) -> Option<u32> {
    let digit = |sum: u32, c: u8| match c {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u32::from(c - b'0')),
        _ => None,
    };
    (!digits.is_empty()).then_some(())?;
    digits.bytes().try_fold(0, digit)
}

/// Cuts a name in two, so that the view can shorten its middle: the end keeps the extension and
/// the few characters before it, which tell one file of a series from the next. A name with
/// letters that run from right to left stays whole: they join, and a cut would part them. So does one
/// that is hardly longer than its end, of whose beginning little would be left.
#[must_use]
pub fn halves(name: &str) -> (&str, &str) {
    const TAIL: usize = 10;
    const HEAD_MIN: usize = 8;
    // Hebrew, Arabic and their neighbours.
    if name.chars().count() < HEAD_MIN + TAIL
        || name.chars().any(|c| ('\u{590}'..='\u{8ff}').contains(&c))
    {
        return (name, "");
    }
    let at = name
        .char_indices()
        .rev()
        .nth(TAIL - 1)
        .map_or(0, |(at, _)| at);
    name.split_at_checked(at).unwrap_or((name, ""))
}

/// Cuts a name before its last dot: where a line may end, so that the ending stays in one.
#[must_use]
pub fn before_ending(name: &str) -> (&str, &str) {
    let at = name.bytes().rposition(|byte| byte == b'.');
    name.split_at_checked(at.unwrap_or(name.len()))
        .unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_filled_and_unknown_ones_stay() {
        assert_eq!(fill("{n} of {m}", &[("n", "1"), ("m", "{n}")]), "1 of {n}");
        assert_eq!(fill("a {x} {", &[("n", "1")]), "a {x} {");
    }

    #[test]
    fn sizes_read_like_a_file_manager() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1 KB"),
            (1536, "1.5 KB"),
            (10 * 1024, "10 KB"),
            (8 << 20, "8 MB"),
            (100 << 20, "100 MB"),
            ((100 << 20) + 1, "100 MB"),
            (12_687_000, "12.1 MB"),
            (12_582_912 + 1, "12 MB"),
            ((100 << 20) + (1 << 19), "101 MB"),
            (999 << 10, "999 KB"),
            ((1 << 20) - 1, "1 MB"),
            (5 << 30, "5 GB"),
            (u64::MAX, "16777216 TB"),
        ] {
            assert_eq!(
                size(bytes),
                format!("\u{200e}{}", text.replace(' ', "\u{a0}"))
            );
        }
    }

    #[test]
    fn a_name_is_cut_before_its_end_and_one_from_right_to_left_is_not() {
        assert_eq!(
            halves("invoice-2026-0001.pdf"),
            ("invoice-202", "6-0001.pdf")
        );
        assert_eq!(halves("a.pdf"), ("a.pdf", ""));
        assert_eq!(halves("protected-1.docx"), ("protected-1.docx", ""));
        assert_eq!(halves("فاتورة رقم ١٢٣.pdf"), ("فاتورة رقم ١٢٣.pdf", ""));
    }

    #[test]
    fn a_line_may_end_before_a_names_ending() {
        for (name, stem, ending) in [
            ("uploaded.pdf", "uploaded", ".pdf"),
            ("backup.tar.gz", "backup.tar", ".gz"),
            ("README", "README", ""),
            ("合同.docx", "合同", ".docx"),
        ] {
            assert_eq!(before_ending(name), (stem, ending));
        }
    }

    proptest! {
        #[test]
        fn these_do_what_the_standard_library_does(
            n: u64, text in "[a.{ü]*", texts in prop::collection::vec("[a-c]*", 0..4),
        ) {
            prop_assert_eq!(decimal(n), n.to_string());
            prop_assert_eq!(cut(&text, b'{'), text.split_once('{'));
            prop_assert_eq!(extension(&text), text.rsplit_once('.').map(|(_, e)| e));
            prop_assert_eq!(join(&texts, ", "), texts.join(", "));
        }

        #[test]
        fn a_number_is_read_back(n: u32) {
            prop_assert_eq!(number(&n.to_string()), Some(n));
            prop_assert_eq!(number(&format!("{n}x")), None);
            prop_assert_eq!(number(""), None);
        }

        #[test]
        fn halves_are_the_whole(name in ".*") {
            let (head, tail) = halves(&name);
            prop_assert_eq!([head, tail].concat(), name.clone());
            let (stem, ending) = before_ending(&name);
            prop_assert_eq!([stem, ending].concat(), name);
        }

        #[test]
        fn any_text_is_filled_without_a_panic(text in ".*") {
            prop_assert_eq!(fill(&text, &[]), text);
        }
    }
}
