//! Hostile and broken files, made by the real programs where they make such.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use chatlift_backend::pipeline::Rejection;

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
        ArchiveInArchive, ArchiveRefused, ImageTooLarge, PasswordProtected, Unreadable,
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
