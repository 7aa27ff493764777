//! Names in an archive: programs of Chinese, Japanese, Korean or Western systems write them in the
//! encoding of that system and say nothing of it. One program wrote them all, so all are judged
//! together.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};

use super::directory::Entry;

/// Upper half of code page 437, in which a zip's names are where nothing else is said (APPNOTE.TXT,
/// appendix D; Unicode Consortium, CP437.TXT).
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// What names are in that do not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Code page 437.
    Oem,
    /// What browsers know too.
    Of(&'static Encoding),
}

impl Page {
    /// What fits all of these names.
    fn of(names: &[&[u8]]) -> Self {
        if names.iter().all(|name| std::str::from_utf8(name).is_ok()) {
            return Self::Of(UTF_8);
        }
        if names.iter().all(|name| is_western(name)) {
            return Self::Oem;
        }
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        for name in names {
            detector.feed(name, false);
            detector.feed(b"\n", false);
        }
        detector.feed(b"", true);
        Self::Of(detector.guess(None, Utf8Detection::Deny))
    }

    fn read(self, name: &[u8]) -> String {
        match self {
            Self::Oem => name.iter().map(|byte| cp437(*byte)).collect(),
            Self::Of(encoding) => encoding.decode(name).0.into_owned(),
        }
    }
}

/// The names of these entries as they were written, one for each.
pub(super) fn names(entries: &[Entry]) -> Vec<String> {
    let unsaid: Vec<&[u8]> = entries
        .iter()
        .filter(|entry| !entry.utf8 && !entry.raw.is_ascii())
        .map(|entry| &entry.raw[..])
        .collect();
    let page = Page::of(&unsaid);
    let read = |entry: &Entry| match entry.utf8 {
        true => String::from_utf8_lossy(&entry.raw).into_owned(),
        false => page.read(&entry.raw),
    };
    entries.iter().map(read).collect()
}

fn cp437(byte: u8) -> char {
    let upper = byte.checked_sub(0x80).map(usize::from);
    upper
        .and_then(|at| CP437.chars().nth(at))
        .unwrap_or(char::from(byte))
}

/// Whether it is a name of letters of code page 437 that have an accent, alone or in twos among
/// letters of ASCII. In the encodings of East Asia most characters are longer runs of other bytes.
fn is_western(name: &[u8]) -> bool {
    let accented = |byte: u8| matches!(byte, 0x80..=0x9a | 0xa0..=0xa5 | 0xe1);
    let mut runs = name
        .chunk_by(|a, b| a.is_ascii() == b.is_ascii())
        .peekable();
    let mut before = &b""[..];
    while let Some(run) = runs.next() {
        if !run.is_ascii() {
            let after = runs.peek().and_then(|run| run.first());
            let among = before.last().is_some_and(u8::is_ascii_alphabetic)
                || after.is_some_and(u8::is_ascii_alphabetic);
            if run.len() > 2 || !among || !run.iter().all(|byte| accented(*byte)) {
                return false;
            }
        }
        before = run;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{BIG5, EUC_KR, GBK, SHIFT_JIS};

    fn read(names: &[&[u8]]) -> Vec<String> {
        let page = Page::of(names);
        names.iter().map(|name| page.read(name)).collect()
    }

    #[test]
    fn names_are_read_in_the_one_encoding_that_fits_all_of_them() {
        let all: [(&'static Encoding, &[&str]); 7] = [
            (GBK, &["理赔材料发票.pdf", "照片/现场1.jpg", "说明.txt"]),
            (GBK, &["理赔材料发票.pdf"]),
            (SHIFT_JIS, &["契約/表示ソ能.txt", "説明.txt"]),
            (
                SHIFT_JIS,
                &["領収書.pdf", "写真/事故現場１.jpg", "説明.txt"],
            ),
            (BIG5, &["理賠/現場照片.jpg", "保險單.pdf", "說明書.docx"]),
            (EUC_KR, &["보험금 청구서.pdf", "사진/사고 현장.jpg"]),
            (UTF_8, &["理赔材料发票.pdf", "写真.jpg", "Größe.txt"]),
        ];
        for (encoding, names) in all {
            let raw: Vec<_> = names.iter().map(|name| encoding.encode(name).0).collect();
            let raw: Vec<&[u8]> = raw.iter().map(|name| &name[..]).collect();
            assert_eq!(read(&raw), names, "{}", encoding.name());
        }
    }

    #[test]
    fn names_of_an_old_western_zip_have_their_accents() {
        let names: [(&[u8], &str); 4] = [
            (
                b"Gr\x94\xe1e der \x9abersicht.pdf",
                "Größe der Übersicht.pdf",
            ),
            (b"Sch\x84den/M\x81ller.jpg", "Schäden/Müller.jpg"),
            (b"re\x87u d\x82finitif.pdf", "reçu définitif.pdf"),
            (b"a\xa4o.txt", "año.txt"),
        ];
        let (raw, expected): (Vec<_>, Vec<_>) = names.into_iter().unzip();
        assert_eq!(read(&raw), expected);
        assert_eq!(CP437.chars().count(), 128);
    }
}
