use proptest::prelude::*;

use super::*;

/// Looks at it as the edge does: the first 4 KiB, and then whatever is asked for.
fn by_windows(bytes: &[u8], name: &str) -> (&'static str, usize) {
    let size = bytes.len() as u64;
    let most = usize::try_from(HEAD_MAX).expect("small").min(bytes.len());
    let mut content = Content::new(size, &bytes[..most]);
    for looks in 0..WINDOWS_MAX {
        match sniff(&content, name) {
            Ok(told) => return (told, looks),
            Err(Unsettled { window, among }) => {
                assert!(!among.is_empty());
                assert!(window.offset + window.length <= size && window.length > 0);
                let from = usize::try_from(window.offset).expect("small");
                let to = usize::try_from(window.offset + window.length).expect("small");
                content.add(window, bytes[from..to].to_vec());
            }
        }
    }
    panic!("{name} is looked at for ever");
}

/// The one answer of both ways to look.
pub(crate) fn told(bytes: &[u8], name: &str) -> &'static str {
    let (told, _) = by_windows(bytes, name);
    assert_eq!(told, sniff_whole(bytes, name), "{name}");
    told
}

#[test]
fn content_decides_and_not_the_name() {
    for (content, name, expected) in [
        (&b"%PDF-1.7\n%"[..], "a.jpg", PDF),
        (b"\xef\xbb\xbf\n%PDF-1.7\n", "a", PDF),
        (b"#!/bin/sh\necho %PDF-1.7\n", "a.pdf", PLAIN),
        (b"printf %PDF-1.7\n", "a.pdf", PLAIN),
        (
            b"<html>%PDF-1.4 is how it begins, and %%EOF how it ends</html>",
            "a",
            "text/html",
        ),
        (
            b"\xaa\xaa\n%PDF-1.4\n1 0 obj\nstartxref\n9\n%%EOF\n",
            "a",
            PDF,
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.pdf", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a", "image/jpeg"),
        (b"GIF89a\x01\0\x01\0", "a.png", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "a.png", "image/webp"),
        (b"BMW and Mercedes: two claims", "a.txt", PLAIN),
        (b"MZ is how it begins", "a.txt", PLAIN),
        (b"The wide road", "a.txt", PLAIN),
        (b"ID3 tags are explained here", "a.txt", PLAIN),
        (
            b"\x7fELF\x02\x01\x01\0",
            "a.pdf",
            "application/x-executable",
        ),
        (b"MZ\x90\0\x03\0\0\0", "a.pdf", table::PROGRAM),
        (b"just words", "a.pdf", PLAIN),
        (b"\x00\x01\x02\x03", "a.csv", UNKNOWN),
        (b"", "a.pdf", UNKNOWN),
        (b"#!AMR\n", "a.mp3", "audio/amr"),
        (b"#!AMR-WB\n", "a.amr", "audio/amr-wb"),
        (b"\x02#!SILK_V3", "a.amr", "audio/silk"),
        (b"#!SILK_V3", "a.silk", "audio/silk"),
        (b"\xff\xfb\x90\x64", "a", "audio/mpeg"),
        (b"\xff\xff\xff\xff\0", "a", UNKNOWN),
        (b"\xff\xf1\x50\x80", "a", "audio/aac"),
        (b"Rar!\x1a\x07\x01\0", "a.zip", "application/vnd.rar"),
        (
            b"7z\xbc\xaf\x27\x1c\0\x04",
            "a.zip",
            "application/x-7z-compressed",
        ),
        (
            b"\x1a\x45\xdf\xa3\x01\x42\x82\x84webm\0\x86\x86A_OPUS",
            "a",
            "audio/webm",
        ),
        (
            b"\x1a\x45\xdf\xa3\x01\x42\x82\x84webm\0V_VP9\0A_OPUS",
            "a",
            "video/webm",
        ),
        (
            b"\x1a\x45\xdf\xa3\x01\x42\x82\x88matroska",
            "a",
            "video/x-matroska",
        ),
    ] {
        assert_eq!(told(content, name), expected, "{name}: {content:?}");
    }
}

/// Polyglots: whichever of their types a reader takes them for, here they have one, and it is told on with `nosniff`.
#[test]
fn a_file_of_two_types_is_the_one_that_it_begins_as() {
    let zip = b"PK\x03\x04\x14\0\0\0\0\0a.txt".to_vec();
    let zip = [&zip[..], b"PK\x05\x06", &[0; 18]].concat();
    let pdf = b"%PDF-1.7\n1 0 obj\nendobj\nstartxref\n9\n%%EOF\n";
    let html = b"<html><script>alert(1)</script></html>";
    for (begins, goes_on, expected) in [
        (&b"\xff\xd8\xff\xe0\0\x10JFIF\0"[..], &zip[..], "image/jpeg"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", html, "image/jpeg"),
        (b"GIF89a=1;/*", b"*/alert(1)//", "image/gif"),
        (b"GIF89a", html, "image/gif"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &zip, "image/png"),
        (pdf, &zip, PDF),
        (pdf, html, PDF),
    ] {
        let both = [begins, goes_on].concat();
        for name in ["a.pdf", "a.html", "a.zip", "a"] {
            assert_eq!(told(&both, name), expected, "{name}: {begins:?}");
        }
    }
    // A page that an archive follows is an archive, or nothing that is known.
    let both = [html, &zip[..]].concat();
    for (name, expected) in [
        ("a.zip", "application/zip"),
        ("a.html", UNKNOWN),
        ("a", UNKNOWN),
    ] {
        assert_eq!(told(&both, name), expected, "{name}");
    }
}

#[test]
fn a_text_is_what_it_holds_or_else_what_its_name_says() {
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let (mail, page) = (
        "From: a@b\r\nTo: c@d\r\nMIME-Version: 1.0\r\n\r\nwords",
        "MIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n boundary=x\r\n\r\n--x",
    );
    for (content, name, expected) in [
        ("a,b\n1,2\n".into(), "a.csv", "text/csv"),
        ("a,b\n1,2\n".into(), "a.TSV", "text/csv"),
        ("a,b\n1,2\n".into(), "a.txt", PLAIN),
        ("发票".into(), "a.txt", PLAIN),
        (b"\xb7\xa2\xc6\xb1".to_vec(), "a.txt", PLAIN),
        ("发票".as_bytes()[..4].to_vec(), "a.txt", PLAIN),
        (b"\x1b$B\x3b\x2a\x1b(B".to_vec(), "a.txt", PLAIN),
        (wide("a,b\n1,2\n"), "a.csv", "text/csv"),
        (wide("\u{feff}a,b\n"), "a.csv", "text/csv"),
        (wide("<p>"), "a.htm", "text/html"),
        (wide("<html>"), "a", "text/html"),
        (b"\xfe\xff\0a\0,\0b".to_vec(), "a.csv", "text/csv"),
        (
            "<?xml version='1.0'?>\n<!-- a > b -->\n<svg/>".into(),
            "drawing",
            "image/svg+xml",
        ),
        (
            "<!DOCTYPE svg PUBLIC \"-//W3C\"><svg/>".into(),
            "a.xml",
            "image/svg+xml",
        ),
        ("\u{feff}<!DOCTYPE HTML><p>".into(), "a", "text/html"),
        ("<html><table><tr><td>1".into(), "report.xls", "text/html"),
        ("{}".into(), "a.json", "application/json"),
        (mail.into(), "a.eml", MAIL),
        ("From: a\nDate: b\n\nwords".into(), "a.eml", MAIL),
        ("Received: by c\nSubject: b\n\nwords".into(), "a", MAIL),
        ("Dear all: words\n\nFrom: me".into(), "a.txt", PLAIN),
        ("Name: a\nPhone: b\n".into(), "a.txt", PLAIN),
        (page.into(), "report.doc", PAGE),
        ("BEGIN:VCARD\r\nVERSION:3.0".into(), "a.txt", "text/vcard"),
        (
            "<?xml version=\"1.0\"?><?mso-application progid=\"Excel.Sheet\"?><Workbook/>".into(),
            "table.xls",
            EXCEL_2003,
        ),
    ] {
        assert_eq!(told(&content, name), expected, "{name}");
    }
}

/// A zip of empty members, after some bytes of something else.
fn zip(before: usize, names: &[&str]) -> Vec<u8> {
    let mut whole = vec![b'0'; before];
    let mut directory = Vec::new();
    for name in names {
        let length = u16::try_from(name.len()).expect("short").to_le_bytes();
        directory.extend(b"PK\x01\x02");
        directory.extend([0; 24]);
        directory.extend(length);
        directory.extend([0; 16]);
        directory.extend(name.bytes());
        whole.extend(b"PK\x03\x04");
        whole.extend([0; 22]);
        whole.extend(length);
        whole.extend([0; 2]);
        whole.extend(name.bytes());
        // A member that fills the beginning.
        whole.extend(vec![0; 5_000]);
    }
    let length = u32::try_from(directory.len()).expect("short").to_le_bytes();
    whole.extend(&directory);
    whole.extend(b"PK\x05\x06");
    whole.extend([0; 8]);
    whole.extend(length);
    whole.extend([0; 6]);
    whole
}

#[test]
fn a_zip_is_what_its_members_make_it_wherever_it_begins() {
    let (pages, numbers, keynote) = (
        "application/vnd.apple.pages",
        "application/vnd.apple.numbers",
        "application/vnd.apple.keynote",
    );
    for (names, expected) in [
        (&["a.txt", "b.jpg"][..], ZIP),
        (&["word/photo.jpg", "xl/b.jpg"], ZIP),
        (
            &["[trash]/0.dat", "word/document.xml", "[Content_Types].xml"],
            DOCX,
        ),
        (
            &["[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"],
            XLSX,
        ),
        (
            &[
                "docProps/thumbnail.jpeg",
                "ppt/slides/1.xml",
                "[Content_Types].xml",
            ],
            PPTX,
        ),
        (&["[Content_Types].xml", "3D/model.model"], UNKNOWN),
        (&["Index/Document.iwa", "preview.jpg"], pages),
        (
            &["preview.jpg", "Index/Document.iwa", "Index/Tables/1.iwa"],
            numbers,
        ),
        (
            &["preview.jpg", "Index/Document.iwa", "Index/Slide-1.iwa"],
            keynote,
        ),
        (&["Doc_0/Res/seal.png", "OFD.xml"], "application/ofd"),
        (
            &["META-INF/MANIFEST.MF", "a.class"],
            "application/java-archive",
        ),
        (
            &["META-INF/MANIFEST.MF", "AndroidManifest.xml"],
            "application/vnd.android.package-archive",
        ),
    ] {
        for before in [0, 1, 1292, 70_000] {
            let content = zip(before, names);
            let (told, looks) = by_windows(&content, "a.exe");
            assert_eq!(told, expected, "{names:?} {before}");
            assert!(looks <= 2, "{looks} looks");
            assert_eq!(sniff_whole(&content, "a.exe"), expected);
        }
    }
}

#[test]
fn what_stores_its_own_type_is_told_by_its_first_member() {
    let mut odt = zip(0, &["mimetype"]);
    let stored = "application/vnd.oasis.opendocument.text";
    odt.splice(38..38 + stored.len(), stored.bytes());
    odt.splice(38 + stored.len()..38 + stored.len() + 4, *b"PK\x03\x04");
    assert_eq!(told(&odt, "a.zip"), stored);
}

/// A compound file of one directory after another, each with one name, scattered with its table
/// behind `filler` sectors.
fn compound(filler: usize, names: &[&str]) -> Vec<u8> {
    const SECTOR: usize = 512;
    let first = filler;
    let table_at = first + names.len() * 2;
    let mut table = vec![u8::MAX; SECTOR];
    let mut sectors = vec![vec![0; SECTOR]; table_at];
    for (n, name) in names.iter().enumerate() {
        let place = first + n * 2;
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let entry = &mut sectors[place];
        entry[..units.len()].copy_from_slice(&units);
        entry[64] = u8::try_from(units.len() + 2).expect("short");
        entry[66] = 2;
        if n + 1 < names.len() {
            let next = u32::try_from(place + 2).expect("small").to_le_bytes();
            table[place * 4..place * 4 + 4].copy_from_slice(&next);
        } else {
            table[place * 4..place * 4 + 4].copy_from_slice(&[0xfe, 0xff, 0xff, 0xff]);
        }
    }
    sectors.push(table);
    let mut head = compound::SIGNATURE.to_vec();
    head.resize(SECTOR, 0);
    head[30] = 9;
    head[48..52].copy_from_slice(&u32::try_from(first).expect("small").to_le_bytes());
    head[76..80].copy_from_slice(&u32::try_from(table_at).expect("small").to_le_bytes());
    [head, sectors.concat()].concat()
}

#[test]
fn a_compound_file_is_what_its_streams_make_it_wherever_they_are_named() {
    for (names, name, expected) in [
        (&["Root Entry", "WordDocument"][..], "a.wps", DOC),
        (&["Root Entry", "1Table", "Data", "Workbook"], "a.et", XLS),
        (&["Root Entry", "PowerPoint Document"], "a", PPT),
        (
            &["Root Entry", "EncryptionInfo", "EncryptedPackage"],
            "a.docx",
            DOCX,
        ),
        (
            &["Root Entry", "EncryptionInfo", "EncryptedPackage"],
            "a.xlsm",
            XLSX,
        ),
        (&["Root Entry", "EncryptedPackage"], "a", DOCX),
        (
            &["Root Entry", "__properties_version1.0"],
            "a.doc",
            "application/vnd.ms-outlook",
        ),
        (
            &["Root Entry", "Nothing"],
            "a.doc",
            "application/x-ole-storage",
        ),
    ] {
        for filler in [0, 5, 100] {
            assert_eq!(
                told(&compound(filler, names), name),
                expected,
                "{names:?} {filler}"
            );
        }
    }
}

fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8)
        .expect("short")
        .to_be_bytes();
    [&length[..], name, content].concat()
}

/// A film with tracks of these handlers, its description before or after what they hold.
fn film(brand: &[u8; 4], handlers: &[&[u8; 4]], late: bool) -> Vec<u8> {
    let tracks: Vec<u8> = handlers
        .iter()
        .flat_map(|handler| {
            let handler = boxed(b"hdlr", &[&[0; 8][..], *handler, &[0; 12]].concat());
            let media = boxed(b"mdia", &[boxed(b"mdhd", &[0; 24]), handler].concat());
            boxed(b"trak", &[boxed(b"tkhd", &[0; 5000]), media].concat())
        })
        .collect();
    let moov = boxed(b"moov", &[boxed(b"mvhd", &[0; 100]), tracks].concat());
    let data = boxed(b"mdat", &[7; 300_000]);
    let ftyp = boxed(b"ftyp", &[brand, &[0; 4][..], b"isom"].concat());
    match late {
        true => [ftyp, data, moov].concat(),
        false => [ftyp, moov, data].concat(),
    }
}

#[test]
fn a_film_without_pictures_is_sound_wherever_it_says_so() {
    for late in [false, true] {
        for (brand, handlers, expected) in [
            (b"isom", &[b"soun"][..], "audio/mp4"),
            (b"mp42", &[b"soun", b"vide"], "video/mp4"),
            (b"3gp4", &[b"soun"], "audio/mp4"),
            (b"3gp4", &[b"vide"], "video/3gpp"),
            (b"isom", &[b"hint"], "video/mp4"),
            (b"qt  ", &[b"soun"], "video/quicktime"),
            (b"M4A ", &[b"soun"], "audio/mp4"),
        ] {
            assert_eq!(
                told(&film(brand, handlers, late), "a"),
                expected,
                "{handlers:?} {late}"
            );
        }
    }
}

#[test]
fn a_picture_in_boxes_is_told_by_all_of_its_brands() {
    for (brands, expected) in [
        (&b"heic\0\0\0\0mif1"[..], "image/heif"),
        (b"mif1\0\0\0\0mif1avif", "image/avif"),
        (b"mif1\0\0\0\0mif1heic", "image/heif"),
        (b"avif\0\0\0\0mif1", "image/avif"),
        (b"crx \0\0\0\x01isom", "image/x-raw"),
    ] {
        assert_eq!(
            told(&boxed(b"ftyp", brands), "a.jpg"),
            expected,
            "{brands:?}"
        );
    }
}

#[test]
fn a_cameras_raw_photo_is_no_tiff() {
    let tiff = |tags: &[(u16, u32)]| {
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        bytes.extend(u16::try_from(tags.len()).expect("few").to_le_bytes());
        for (tag, value) in tags {
            bytes.extend(tag.to_le_bytes());
            bytes.extend([4, 0, 1, 0, 0, 0]);
            bytes.extend(value.to_le_bytes());
        }
        bytes
    };
    for (tags, expected) in [
        (&[(0xfe, 0), (0x10f, 9)][..], "image/tiff"),
        (&[(0xfe, 1), (0x10f, 9), (0x14a, 9)], "image/x-raw"),
        (&[(0xfe, 0), (0x10f, 9), (0xc612, 1)], "image/x-adobe-dng"),
    ] {
        assert_eq!(told(&tiff(tags), "a.tif"), expected, "{tags:?}");
    }
}

#[test]
fn a_scene_takes_a_kind_by_any_of_its_names() {
    for (range, media_type, expected) in [
        ("image/heic", "image/heif", true),
        ("audio/x-wav", "audio/wav", true),
        ("audio/*", "audio/silk", true),
        ("application/vnd.ms-excel", EXCEL_2003, true),
        ("application/vnd.ms-excel", XLSX, false),
        ("application/x-rar-compressed", "application/vnd.rar", true),
        ("*/*", UNKNOWN, true),
    ] {
        let accept = [range.parse().expect("a range")];
        assert_eq!(
            is_accepted(&accept, media_type),
            expected,
            "{range} {media_type}"
        );
    }
}

#[test]
fn each_kind_is_listed_once_by_its_usual_name() {
    let mut seen = std::collections::BTreeSet::new();
    for kind in table::KINDS {
        assert!(
            seen.insert(kind.media_type),
            "{} is listed twice",
            kind.media_type
        );
        assert!(crate::media::is_media_type(kind.media_type) && !kind.extensions.is_empty());
        assert_eq!(
            of(kind.media_type).map(|k| k.media_type),
            Some(kind.media_type)
        );
    }
}

proptest! {
    #[test]
    fn any_content_has_a_type_after_a_few_looks(
        head in prop::sample::select(vec![
            &b""[..], b"PK\x03\x04", &compound::SIGNATURE, b"\xff", b"\0\0\0\x18ftypmp42",
            b"II*\0\x08\0\0\0", b"\x1a\x45\xdf\xa3", b"<?xml",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..6000),
        tail in prop::sample::select(vec![&b""[..], b"PK\x05\x06\0\0\0\0\0\0\0\0\x50\0\0\0\0\0\0\0\0\0"]),
        name in ".*",
    ) {
        let told = told(&[head, &rest, tail].concat(), &name);
        prop_assert!(crate::media::is_media_type(told));
    }
}

/// The window that was asked for lay beyond the end, where no store has anything: an upload of such a file was
/// answered 503 for ever.
#[test]
fn what_says_that_it_goes_on_beyond_its_end_is_told_by_what_there_is() {
    let mut document = vec![0; 2048];
    document[..8].copy_from_slice(&compound::SIGNATURE);
    document[30] = 9;
    for sector in [4_u32, 1000, 0xffff_fff9, u32::MAX] {
        document[48..52].copy_from_slice(&sector.to_le_bytes());
        // The table of the chains lies within it, or beyond it too.
        for table in [0, sector] {
            document[76..80].copy_from_slice(&table.to_le_bytes());
            for (name, expected) in [
                ("cut.doc", DOC),
                ("cut.xls", XLS),
                ("cut.pdf", "application/x-ole-storage"),
                ("cut", "application/x-ole-storage"),
            ] {
                assert_eq!(told(&document, name), expected);
            }
        }
    }
    let film =
        b"\0\0\0\x14ftypisom\0\0\0\0isom\0\0\0\x20moov\0\0\0\x18trak\0\0\0\x10mdia\0\0\0\x08hdlr";
    assert_eq!(told(film, "cut.mp4"), "video/mp4");
}
