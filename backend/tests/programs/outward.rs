//! Documents that lead elsewhere: to an address, or to a file of the machine that converts them. None is followed.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use chatlift_backend::store::{Stage, Store};

use crate::common::process::Process;
use crate::common::{TestEdge, announce, event_id, file_id};
use crate::families::archive;
use crate::hostile::ended;
use crate::hostile_files::pdf_of;
use crate::make::program;

const PDF: &str = "application/pdf";
const OCTETS: &str = "application/octet-stream";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// What stands in a file beside the backend's, which anybody may read.
const SECRET: &str = "words-of-this-machine";
/// What each document says itself.
const OWN: &str = "words-of-the-sender";

/// Where a document leads.
struct Elsewhere {
    /// An address at which nobody may call.
    http: String,
    /// The file that nobody may read.
    file: String,
}

/// A Word document with a remote template and picture, and fields that include the file.
fn docx(to: &Elsewhere) -> Vec<u8> {
    let Elsewhere { http, file } = to;
    let field = |code: &str| {
        format!(
            r#"<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText xml:space="preserve"> {code} </w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>"#
        )
    };
    let document = format!(
        r#"<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="{OFFICE}" xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><w:body><w:p><w:r><w:t>{OWN}</w:t></w:r></w:p>{}{}<w:p><w:r><w:drawing><wp:inline><wp:extent cx="900000" cy="900000"/><wp:docPr id="1" name="a"/><a:graphic><a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:pic><pic:nvPicPr><pic:cNvPr id="1" name="a"/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill><a:blip r:link="r9"/></pic:blipFill><pic:spPr/></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p></w:body></w:document>"#,
        field(&format!("INCLUDETEXT \"{file}\"")),
        field(&format!("INCLUDEPICTURE \"{http}/field.png\" \\d")),
    );
    let relations = |all: &str| {
        format!(
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{all}</Relationships>"#
        )
    };
    let outside = |id: &str, kind: &str, target: &str| {
        format!(
            r#"<Relationship Id="{id}" Type="{OFFICE}/{kind}" Target="{target}" TargetMode="External"/>"#
        )
    };
    let root = format!(
        r#"<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="word/document.xml"/>"#
    );
    let of_document = format!(
        r#"{}<Relationship Id="r2" Type="{OFFICE}/settings" Target="settings.xml"/>"#,
        outside("r9", "image", &format!("{http}/picture.png"))
    );
    let of_settings = outside("r1", "attachedTemplate", &format!("{http}/template.dotx"));
    let types = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/><Override PartName="/word/settings.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.settings+xml"/></Types>"#;
    let settings = format!(
        r#"<w:settings xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="{OFFICE}"><w:attachedTemplate r:id="r1"/></w:settings>"#
    );
    archive(&[
        (b"[Content_Types].xml", types.as_bytes()),
        (b"_rels/.rels", relations(&root).as_bytes()),
        (b"word/document.xml", document.as_bytes()),
        (b"word/settings.xml", settings.as_bytes()),
        (
            b"word/_rels/document.xml.rels",
            relations(&of_document).as_bytes(),
        ),
        (
            b"word/_rels/settings.xml.rels",
            relations(&of_settings).as_bytes(),
        ),
    ])
}

/// An OpenDocument text with a section that is the file, and a picture of the address.
fn odt(to: &Elsewhere) -> Vec<u8> {
    let Elsewhere { http, file } = to;
    let content = format!(
        r#"<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.2"><office:body><office:text><text:p>{OWN}</text:p><text:section text:name="s"><text:section-source xlink:type="simple" xlink:href="{file}" text:filter-name="Text"/></text:section><text:p><draw:frame svg:width="2cm" svg:height="2cm"><draw:image xlink:href="{http}/picture.png" xlink:type="simple" xlink:actuate="onLoad"/></draw:frame></text:p></office:text></office:body></office:document-content>"#
    );
    let manifest = r#"<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.text"/><manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>"#;
    archive(&[
        (b"mimetype", b"application/vnd.oasis.opendocument.text"),
        (b"content.xml", content.as_bytes()),
        (b"META-INF/manifest.xml", manifest.as_bytes()),
    ])
}

fn rtf(to: &Elsewhere) -> Vec<u8> {
    let Elsewhere { http, file } = to;
    format!(
        "{{\\rtf1 {OWN}\\par {{\\*\\template {http}/t.dotx}}{{\\field{{\\*\\fldinst INCLUDEPICTURE \"{http}/a.png\" \\\\d}}}}\
         {{\\field{{\\*\\fldinst INCLUDETEXT \"{file}\"}}}}}}"
    )
    .into_bytes()
}

fn html(to: &Elsewhere) -> Vec<u8> {
    let Elsewhere { http, file } = to;
    format!(
        "<!DOCTYPE html><html><head><base href=\"{http}/\"><link rel=stylesheet href=\"{http}/a.css\">\
         <meta http-equiv=refresh content=\"0;url={http}/refresh\"></head><body background=\"{http}/b.png\"><p>{OWN}</p>\
         <img src=\"{http}/a.png\"><img src=\"{file}\"><iframe src=\"{http}/frame\"></iframe><iframe src=\"{file}\"></iframe>\
         <object data=\"{file}\"></object><embed src=\"{http}/embed\"></body></html>"
    )
    .into_bytes()
}

fn svg(to: &Elsewhere) -> Vec<u8> {
    let Elsewhere { http, file } = to;
    format!(
        r##"<!DOCTYPE svg [<!ENTITY outer SYSTEM "{file}">]><?xml-stylesheet href="{http}/a.css"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xi="http://www.w3.org/2001/XInclude" width="90" height="90"><style>@import url("{http}/b.css");</style><rect width="9" height="9" fill="url({http}/c.svg#a)"/><image xlink:href="{http}/a.png" width="9" height="9"/><image href="{file}" width="9" height="9"/><use xlink:href="{http}/d.svg#a"/><xi:include href="{file}" parse="text"/><text y="20">{OWN}</text></svg>"##
    )
    .into_bytes()
}

/// A PDF that opens the address, submits to it and reads another file, by every action that there is for it.
fn pdf(to: &Elsewhere) -> Vec<u8> {
    let Elsewhere { http, file } = to;
    let text = format!("BT /F1 12 Tf 9 50 Td ({OWN}) Tj ET");
    let objects = [
        format!(
            "<</Type/Catalog/Pages 2 0 R/OpenAction<</S/URI/URI({http}/open)>>/AA<</WC<</S/JavaScript/JS(app.launchURL\\(\"{http}/js\"\\))>>>>>>"
        ),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 99]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>/XObject<</X 6 0 R>>>>/AA<</O<</S/SubmitForm/F<</FS/URL/F({http}/submit)>>>>>>/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 300 99]/A<</S/Launch/F({file})>>>>]>>"
        ),
        format!("<</Length {}>>stream\n{text}\nendstream", text.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
        format!(
            "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Length 0/Ref<</F<</FS/URL/F({http}/ref.pdf)>>/Page 0>>>>stream\n\nendstream"
        ),
    ];
    pdf_of(&objects)
}

/// Every file in a folder, and in those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// What can be read of a result: its text where it is a PDF, its bytes where it is not.
fn words(result: &Path) -> String {
    let bytes = fs::read(result).expect("a result");
    if !bytes.starts_with(b"%PDF") {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let text = result.with_extension("words");
    let arguments = [
        result.to_str().expect("UTF-8"),
        text.to_str().expect("UTF-8"),
    ];
    program("pdftotext", "poppler-utils", &arguments).expect("its text");
    fs::read_to_string(text).expect("its text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_leads_elsewhere_calls_nobody_and_shows_no_file_of_the_machine() {
    crate::sandbox();
    let outside = tempfile::tempdir().expect("a folder");
    let secret = outside.path().join("secret.txt");
    fs::write(&secret, SECRET).expect("a file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let address: SocketAddr = listener.local_addr().expect("an address");
    let to = Elsewhere {
        http: format!("http://{address}"),
        file: format!("file://{}", secret.display()),
    };
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let process = Process::start(data.path(), &edge, &[("PATH", "/usr/bin:/bin")]);
    let store = Store::open(&data.path().join("chatlift.db")).await;
    let store = store.expect("the store");
    for (n, (name, content, announced, format)) in (1..).zip([
        ("a.docx", docx(&to), OCTETS, PDF),
        ("a.odt", odt(&to), OCTETS, PDF),
        ("a.rtf", rtf(&to), "application/rtf", PDF),
        ("a.html", html(&to), "text/html", PDF),
        ("a.svg", svg(&to), "image/svg+xml", "image/png"),
        ("a.pdf", pdf(&to), PDF, "image/png"),
    ]) {
        edge.hold(file_id(n), &content, "\"v1\"");
        let event = announce(n, name, announced, &content, &[format]);
        assert_eq!(process.tell(event_id(n), &event).await, Some(204));
        let job = ended(&store, file_id(n)).await;
        println!("{name}: {:?} {:?}", job.stage(), job.last_error);
        // A drawing with an entity of elsewhere may be refused; all others are made without what is elsewhere.
        let is_made = job.stage() == Stage::Done;
        assert!(is_made || name == "a.svg", "{name}: {:?}", job.last_error);
    }
    drop(process);
    assert!(
        listener.accept().is_err(),
        "an address in a document was called"
    );
    let results = files(&data.path().join("deliveries"));
    let said: Vec<String> = results.iter().map(|result| words(result)).collect();
    let own = said.iter().filter(|words| words.contains(OWN)).count();
    assert!(
        own >= 4,
        "{own} of {} results have their own words",
        said.len()
    );
    for (result, said) in results.iter().zip(&said) {
        assert!(!said.contains(SECRET), "{}", result.display());
    }
}
