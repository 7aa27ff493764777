//! Hostile and broken files, made by the real programs where they make such.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use chatlift_backend::pipeline::Rejection;

use crate::families::archive;
use crate::make::{self, program};

const PDF: &str = "application/pdf";
const OCTETS: &str = "application/octet-stream";

/// A file, the type that the edge announces, the format that the app takes, and the rejection.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) content: Vec<u8>,
    pub(crate) announced: &'static str,
    pub(crate) format: &'static str,
    pub(crate) rejection: Rejection,
}

fn hostile(
    name: &'static str,
    content: Vec<u8>,
    announced: &'static str,
    format: &'static str,
    rejection: Rejection,
) -> Hostile {
    Hostile {
        name,
        content,
        announced,
        format,
        rejection,
    }
}

fn half(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).expect("a sample");
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// A zip of one member of 300 MB of zeros, in 300 kB.
fn bomb() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("a.txt", options).expect("a member");
    for _ in 0..300 {
        archive.write_all(&vec![0; 1_000_000]).expect("zeros");
    }
    archive.finish().expect("a zip").into_inner()
}

fn nested(folder: &Path) -> Vec<u8> {
    let path = make::zip(folder, "outer.zip", &["photos.zip"]).expect("a zip");
    fs::read(path).expect("a zip")
}

/// A drawing that draws itself ten to the tenth times.
fn laughs() -> Vec<u8> {
    let mut svg = r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><g id="a0"><rect width="9" height="9"/></g>"#.to_owned();
    for n in 1..=10 {
        let uses = format!(r##"<use xlink:href="#a{}"/>"##, n - 1).repeat(10);
        svg += &format!(r#"<g id="a{n}">{uses}</g>"#);
    }
    (svg + "</svg>").into_bytes()
}

/// A PDF of these objects, the first of which is its catalog.
pub(crate) fn pdf_of(objects: &[String]) -> Vec<u8> {
    let (mut pdf, mut places) = ("%PDF-1.7\n".to_owned(), String::new());
    for (n, object) in (1..).zip(objects) {
        places += &format!("{:010} 00000 n \n", pdf.len());
        pdf += &format!("{n} 0 obj{object}\nendobj\n");
    }
    let (size, at) = (objects.len() + 1, pdf.len());
    let end = format!("trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{at}\n%%EOF\n");
    format!("{pdf}xref\n0 {size}\n0000000000 65535 f \n{places}{end}").into_bytes()
}

/// A page that draws a form that draws another ten times, ten to the tenth times in all.
fn drawn_for_ever() -> Vec<u8> {
    const FORM: &str = "/Type/XObject/Subtype/Form/BBox[0 0 99 99]";
    let stream = |more: &str, text: &str| {
        format!("<<{more}/Length {}>>stream\n{text}\nendstream", text.len())
    };
    let draws = |n: usize| format!("/Resources<</XObject<</F {n} 0 R>>>>");
    let mut objects = vec![
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R{}>>",
            draws(15)
        ),
        stream("", "/F Do"),
        stream(FORM, "0 0 9 9 re f"),
    ];
    for n in 5..15 {
        objects.push(stream(&format!("{FORM}{}", draws(n)), &"/F Do ".repeat(10)));
    }
    pdf_of(&objects)
}

/// A document whose text is an entity of ten entities of ten, ten to the tenth words in all.
fn laughing_docx() -> Vec<u8> {
    const TYPES: &str = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#;
    const RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#;
    let entity = |n: usize| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(10));
    let entities: String = (1..=10).map(entity).collect();
    let document = format!(
        "<!DOCTYPE d [<!ENTITY e0 \"laugh\">{entities}]><w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body><w:p><w:r><w:t>&e10;</w:t></w:r></w:p></w:body></w:document>"
    );
    archive(&[
        (b"[Content_Types].xml", TYPES.as_bytes()),
        (b"_rels/.rels", RELATIONS.as_bytes()),
        (b"word/document.xml", document.as_bytes()),
    ])
}

/// A whole PNG of 30,000 x 30,000 pixels, in a hundred kilobytes.
fn giant(folder: &Path) -> Vec<u8> {
    let png = folder.join("giant.png");
    let script = r#"
import struct, sys, zlib
def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
side = 30000
rows = zlib.compress(bytes(1 + side // 8) * side, 9)
open(sys.argv[1], "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
"#;
    let arguments = ["-c", script, png.to_str().expect("UTF-8")];
    program("/usr/bin/python3", "python3", &arguments).expect("a PNG");
    fs::read(png).expect("a PNG")
}

/// A docx that LibreOffice itself has locked, by its scripting interface.
fn locked_docx(folder: &Path) -> Vec<u8> {
    let script = folder.join("lock.py");
    let program_text = r#"
import subprocess, sys, time, uno
from com.sun.star.beans import PropertyValue, NamedValue
folder = sys.argv[1]
office = subprocess.Popen(["soffice", "-env:UserInstallation=file://%s/lock-profile" % folder,
    "--headless", "--norestore", "--accept=pipe,name=chatlift-lock;urp;"])
def value(name, value):
    made = PropertyValue(); made.Name = name; made.Value = value; return made
def named(name, value):
    made = NamedValue(); made.Name = name; made.Value = value; return made
keys = uno.Any("[]com.sun.star.beans.NamedValue", (named("OOXPassword", "hush"), named("CryptoType", "Standard")))
local = uno.getComponentContext()
resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
for _ in range(300):
    try:
        context = resolver.resolve("uno:pipe,name=chatlift-lock;urp;StarOffice.ComponentContext"); break
    except Exception: time.sleep(0.1)
desktop = context.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", context)
for source, target, name in (("letter.docx", "locked.docx", "MS Word 2007 XML"), ("letter.odt", "locked.odt", "writer8"), ("letter.doc", "locked.doc", "MS Word 97")):
    document = desktop.loadComponentFromURL("file://%s/%s" % (folder, source), "_blank", 0, (value("Hidden", True),))
    document.storeToURL("file://%s/%s" % (folder, target), (value("FilterName", name),
        value("EncryptionData", keys) if target == "locked.docx" else value("Password", "hush")))
    document.close(True)
try: desktop.terminate()
except Exception: pass
office.wait()
"#;
    fs::write(&script, program_text).expect("a script");
    let arguments = [
        script.to_str().expect("UTF-8"),
        folder.to_str().expect("UTF-8"),
    ];
    program("/usr/bin/python3", "python3-uno", &arguments).expect("locked documents");
    fs::read(folder.join("locked.docx")).expect("a docx")
}

fn locked_pdf(folder: &Path) -> Vec<u8> {
    let (source, target) = (folder.join("letter.pdf"), folder.join("locked.pdf"));
    let (source, target) = (
        source.to_str().expect("UTF-8"),
        target.to_str().expect("UTF-8"),
    );
    let arguments = ["--encrypt", "hush", "owner", "256", "--", source, target];
    program("qpdf", "qpdf", &arguments).expect("a PDF");
    fs::read(target).expect("a PDF")
}

/// All of them, from samples that are made in `folder`. The playlists lead to `address`.
pub(crate) fn all(folder: &Path, address: SocketAddr) -> Vec<Hostile> {
    make::all(folder).expect("the samples");
    let docx = locked_docx(folder);
    let read = |name: &str| fs::read(folder.join(name)).expect("a sample");
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://{address}/a.ts\n");
    let concat = format!("ffconcat version 1.0\nfile 'http://{address}/b.mp4'\n");
    use Rejection::{
        ArchiveInArchive, ArchiveRefused, ImageTooLarge, PasswordProtected, TookTooLong, Unreadable,
    };
    vec![
        hostile("bomb.zip", bomb(), "application/zip", PDF, ArchiveRefused),
        hostile("outer.zip", nested(folder), OCTETS, PDF, ArchiveInArchive),
        hostile(
            "giant.png",
            giant(folder),
            "image/png",
            "image/jpeg",
            ImageTooLarge,
        ),
        hostile(
            "laughs.svg",
            laughs(),
            "image/svg+xml",
            "image/png",
            Unreadable,
        ),
        hostile(
            "forever.pdf",
            drawn_for_ever(),
            PDF,
            "image/png",
            TookTooLong,
        ),
        hostile("laughs.docx", laughing_docx(), OCTETS, PDF, Unreadable),
        hostile(
            "list.mp4",
            playlist.clone().into(),
            "video/mp4",
            "audio/mpeg",
            Unreadable,
        ),
        hostile(
            "list.mkv",
            playlist.into(),
            "video/x-matroska",
            "video/mp4",
            Unreadable,
        ),
        hostile(
            "list.mp3",
            concat.into(),
            "audio/mpeg",
            "audio/mp4",
            Unreadable,
        ),
        hostile(
            "locked.pdf",
            locked_pdf(folder),
            PDF,
            "image/jpeg",
            PasswordProtected,
        ),
        hostile("kept.pdf", locked_pdf(folder), PDF, PDF, PasswordProtected),
        hostile("locked.docx", docx, OCTETS, PDF, PasswordProtected),
        hostile(
            "locked.odt",
            read("locked.odt"),
            OCTETS,
            PDF,
            PasswordProtected,
        ),
        hostile(
            "locked.doc",
            read("locked.doc"),
            OCTETS,
            PDF,
            PasswordProtected,
        ),
        hostile(
            "half.docx",
            half(&folder.join("letter.docx")),
            OCTETS,
            PDF,
            Unreadable,
        ),
        hostile(
            "half.doc",
            half(&folder.join("letter.doc")),
            "application/msword",
            PDF,
            Unreadable,
        ),
        hostile(
            "half.xls",
            half(&folder.join("table.xls")),
            "application/vnd.ms-excel",
            PDF,
            Unreadable,
        ),
        hostile(
            "half.pdf",
            half(&folder.join("letter.pdf")),
            PDF,
            PDF,
            Unreadable,
        ),
        hostile(
            "half.mp4",
            half(&folder.join("clip.mp4")),
            "video/mp4",
            "audio/mpeg",
            Unreadable,
        ),
        hostile(
            "half.mkv",
            half(&folder.join("clip.mkv")),
            "video/x-matroska",
            "video/mp4",
            Unreadable,
        ),
        hostile(
            "half.heic",
            half(&folder.join("flag.heic")),
            "image/heif",
            "image/jpeg",
            Unreadable,
        ),
        hostile(
            "half.jpg",
            half(&folder.join("flag.jpg")),
            "image/jpeg",
            "image/jpeg",
            Unreadable,
        ),
    ]
}
