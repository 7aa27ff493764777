//! Text in whatever encoding it came in: what a browser can read, and UTF-16 without a mark, as
//! Windows programs write it.

use std::fmt::Write as _;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use chatlift_shared::kind::{self, Wide};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How much of an HTML page is searched for the encoding that it names, in bytes (HTML Standard,
/// "prescan a byte stream to determine its encoding").
const PRESCAN: usize = 1024;

/// The text.
pub(super) fn decode(bytes: &[u8]) -> String {
    let encoding = marked(bytes)
        .or_else(|| wide(bytes))
        .unwrap_or_else(|| guess(bytes));
    encoding.decode(bytes).0.into_owned()
}

/// An HTML page in ASCII, what is not in it as character references: whatever encoding the page
/// names, and whatever a reader takes it for, it says the same.
pub(super) fn decode_html(bytes: &[u8]) -> String {
    let encoding = marked(bytes)
        .or_else(|| wide(bytes))
        .or_else(|| named(bytes))
        .unwrap_or_else(|| guess(bytes));
    in_ascii(&encoding.decode(bytes).0)
}

/// A page with character references for what is not in ASCII.
pub(super) fn in_ascii(text: &str) -> String {
    let mut page = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            page.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(page, "&#{};", u32::from(c));
        }
    }
    page
}

/// By the mark at its beginning.
fn marked(bytes: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_bom(bytes).map(|(encoding, _)| encoding)
}

/// By what UTF-16 looks like.
fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    kind::wide(bytes).map(|wide| match wide {
        Wide::Little => UTF_16LE,
        Wide::Big => UTF_16BE,
    })
}

/// By what an HTML page says of itself, if it is true.
fn named(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..PRESCAN).unwrap_or(bytes).to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let after = |what: &str| Some(head.split_once(what)?.1);
    let label = after("charset=").or_else(|| after("encoding="))?;
    let label = label.trim_start_matches(['"', '\'', ' ']);
    let end = label.find(['"', '\'', ' ', ';', '>', '/', '?']);
    let encoding = Encoding::for_label(label.get(..end?)?.as_bytes())?;
    // Who could read the name was not reading UTF-16.
    let encoding = if encoding == UTF_16LE || encoding == UTF_16BE {
        UTF_8
    } else {
        encoding
    };
    let (_, had_errors) = encoding.decode_without_bom_handling(bytes);
    (!had_errors).then_some(encoding)
}

/// By how often what stands in it.
fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{BIG5, EUC_KR, GB18030, SHIFT_JIS};
    use proptest::prelude::*;

    /// Words of a claim, in an encoding that has been used for their language.
    fn texts() -> Vec<(&'static Encoding, &'static str)> {
        let simplified = "海港保险理赔材料：请在三个工作日内提交发票、照片和说明。";
        vec![
            (UTF_8, simplified),
            (GB18030, simplified),
            (
                BIG5,
                "海港保險理賠材料：請在三個工作日內提交發票、照片和說明。",
            ),
            (
                SHIFT_JIS,
                "保険金請求書：三営業日以内に領収書と写真をご提出ください。",
            ),
            (
                EUC_KR,
                "보험금 청구 서류: 사흘 안에 영수증과 사진을 제출하십시오.",
            ),
        ]
    }

    fn utf16(text: &str, write: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(write).collect()
    }

    #[test]
    fn text_of_any_usual_encoding_is_read() {
        for (encoding, words) in texts() {
            let bytes = encoding.encode(words).0;
            assert_eq!(decode(&bytes), words, "{}", encoding.name());
            for write in [u16::to_le_bytes, u16::to_be_bytes] {
                let lines = format!("{words}\r\n{words}");
                assert_eq!(decode(&utf16(&lines, write)), lines, "without a mark");
                let marked = format!("\u{feff}{words}");
                assert_eq!(decode(&utf16(&marked, write)), words, "with a mark");
            }
        }
    }

    #[test]
    fn a_page_is_read_whatever_it_says_of_its_encoding() {
        for (encoding, words) in texts() {
            let expected: String = words
                .chars()
                .map(|c| match c.is_ascii() {
                    true => c.to_string(),
                    false => format!("&#{};", u32::from(c)),
                })
                .collect();
            for said in [
                String::new(),
                format!("<meta charset={}>", encoding.name()),
                format!(
                    "<meta http-equiv=Content-Type content='text/html; charset={}'>",
                    encoding.name()
                ),
                "<meta charset='utf-16'>".to_owned(),
            ] {
                let page = format!("<html><head>{said}</head><p>{words}</p><p>{words}</p></html>");
                let bytes = encoding.encode(&page).0;
                assert!(
                    decode_html(&bytes).contains(&expected),
                    "{} {said}",
                    encoding.name()
                );
            }
        }
    }

    #[test]
    fn bytes_are_no_text_of_two_bytes_each() {
        for bytes in [
            &b"\0\0\0\x18ftypheic"[..],
            b"MZ\x90\0\x03\0\0\0",
            b"a\0\x01\0",
            b"\0",
        ] {
            assert_eq!(wide(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reading_panic(bytes: Vec<u8>) {
            let _ = (decode(&bytes), decode_html(&bytes));
        }
    }
}
