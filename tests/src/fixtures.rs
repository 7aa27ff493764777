//! Real files, made on the spot: small ones of the kinds that people send, and large ones of any
//! size that are never whole in memory.

use std::fs::File;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use chatlift_shared::digest::Sha256;
use sha2::Digest as _;

/// The media type of a Word document.
pub const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/// A PDF of one page that reads "Claim".
#[must_use]
pub fn pdf() -> Vec<u8> {
    let page = "BT /F1 24 Tf 72 720 Td (Claim) Tj ET";
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{page}\nendstream", page.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut out = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        out.push_str(&format!("{} 0 obj\n{object}\nendobj\n", n + 1));
    }
    let xref = out.len();
    out.push_str(&format!(
        "xref\n0 {}\n0000000000 65535 f \n",
        objects.len() + 1
    ));
    for offset in offsets {
        out.push_str(&format!("{offset:010} 00000 n \n"));
    }
    out.push_str(&format!(
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{xref}\n%%EOF\n",
        objects.len() + 1
    ));
    out.into_bytes()
}

/// A picture with a gradient, so that no codec can make it trivial.
fn picture(format: image::ImageFormat) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(320, 240, |x, y| {
        let low = |n: u32| u8::try_from(n % 256).unwrap_or(0);
        image::Rgb([low(x), low(y), low(x * y)])
    });
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).expect("a picture");
    out.into_inner()
}

/// A photo of 320 by 240 pixels.
#[must_use]
pub fn jpeg() -> Vec<u8> {
    picture(image::ImageFormat::Jpeg)
}

/// A screenshot of 320 by 240 pixels.
#[must_use]
pub fn png() -> Vec<u8> {
    picture(image::ImageFormat::Png)
}

/// A Word document of one paragraph, `理赔材料 2026`, in the order of entries that Word writes.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn docx() -> Vec<u8> {
    const PARTS: [(&str, &str); 3] = [
        (
            "[Content_Types].xml",
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#,
        ),
        (
            "_rels/.rels",
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#,
        ),
        (
            "word/document.xml",
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>理赔材料 2026</w:t></w:r></w:p></w:body></w:document>"#,
        ),
    ];
    zip(PARTS.map(|(name, text)| (name, text.as_bytes())))
}

/// An archive of these files, as they are.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn zip<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let plain =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in files {
        zip.start_file(name, plain).expect("an entry");
        zip.write_all(bytes).expect("an entry's bytes");
    }
    zip.finish().expect("an archive").into_inner()
}

/// The beginning of a Linux program, which no scene for documents takes.
#[must_use]
pub fn elf() -> Vec<u8> {
    let mut elf = vec![0; 4096];
    elf[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0");
    elf
}

/// A file of any size whose bytes follow from a seed, read where it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    /// Tells it from others.
    pub seed: u64,
    /// Size in bytes.
    pub size: u64,
}

impl Random {
    /// The bytes from `offset`, `len` of them or as many as there are.
    #[must_use]
    pub fn read(&self, offset: u64, len: u64) -> Vec<u8> {
        let end = (offset + len).min(self.size);
        let first = offset / 8;
        let count = end.div_ceil(8).saturating_sub(first);
        let mut bytes = vec![0; usize::try_from(count * 8).unwrap_or(0)];
        for (n, eight) in (first..).zip(bytes.chunks_exact_mut(8)) {
            eight.copy_from_slice(&word(self.seed, n).to_le_bytes());
        }
        let skip = usize::try_from(offset - first * 8).unwrap_or(0);
        let len = usize::try_from(end.saturating_sub(offset)).unwrap_or(0);
        bytes.drain(..skip);
        bytes.truncate(len);
        bytes
    }

    /// Digest of the whole.
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        let mut hash = sha2::Sha256::new();
        self.each_mib(|bytes| hash.update(bytes));
        Sha256(hash.finalize().into())
    }

    /// Writes it to disk, for a browser to pick.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let mut file = File::create(&path).expect("a file");
        self.each_mib(|bytes| file.write_all(bytes).expect("room on disk"));
        path
    }

    fn each_mib(&self, mut each: impl FnMut(&[u8])) {
        const MIB: u64 = chatlift_shared::limits::MIB;
        for n in 0..self.size.div_ceil(MIB) {
            each(&self.read(n * MIB, MIB));
        }
    }
}

/// The `n`th word of SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
fn word(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Writes a small file for a browser to pick.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_file_reads_the_same_in_any_pieces() {
        let file = Random {
            seed: 7,
            size: 1000,
        };
        let whole = file.read(0, 2000);
        assert_eq!(whole.len(), 1000);
        for (offset, len) in [(0, 1), (3, 17), (8, 8), (995, 100), (1000, 5)] {
            let end = usize::try_from((offset + len).min(1000)).expect("small");
            let start = usize::try_from(offset).expect("small");
            assert_eq!(file.read(offset, len), whole[start..end]);
        }
        assert_eq!(file.sha256(), Sha256::of(&whole));
        assert_ne!(
            Random {
                seed: 8,
                size: 1000
            }
            .sha256(),
            file.sha256()
        );
    }
}
