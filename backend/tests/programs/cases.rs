//! Files as people send them, which a converter is tempted to take for something else: what comes
//! out is what the person sees in them.

use chatlift_backend::pipeline::Rejection;
use chatlift_backend::store::{Product, Stage};

use crate::common::{Backend, TestEdge, announce, event_id, file_id};
use crate::make::{CONVERT, program};

const OCTETS: &str = "application/octet-stream";
const PDF: &str = "application/pdf";

/// What is delivered of a file, or why it is rejected.
async fn delivered(
    name: &str,
    media_type: &str,
    content: &[u8],
    formats: &[&str],
) -> Result<(Product, Vec<u8>), Rejection> {
    crate::sandbox();
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    edge.hold(file_id(1), content, "\"v1\"");
    let backend = Backend::start(data.path(), &edge).await;
    let event = announce(1, name, media_type, content, formats);
    assert_eq!(backend.tell(event_id(1), &event).await, 204);
    let ended = backend.ended(file_id(1)).await;
    let outcome = if ended.stage == Stage::Done {
        let bytes = backend.content(file_id(1)).await.bytes().await;
        let product = ended.product.expect("a product");
        Ok((product, bytes.expect("bytes").to_vec()))
    } else {
        println!("{name}: {:?}", ended.last_error);
        let reason = ended.reason.expect("a reason");
        Err(Rejection::of(&reason).expect("a rejection"))
    };
    backend.stop().await;
    outcome
}

/// The words of a PDF, by poppler, without what parts them.
fn words(pdf: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.pdf");
    std::fs::write(&path, pdf).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let said = program("pdftotext", "poppler-utils", &["-enc", "UTF-8", path, "-"]);
    said.expect("a PDF").split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_a_csv_is_the_text_that_it_is() {
    let cells = [
        "110101199003077758",
        "000123456",
        "2026-03-04",
        "3-4",
        "6222021234567890123",
        "013812345678",
        "1/2",
        "1E5",
        "2E10",
        "=1+1",
        "(86)139",
        "100%",
        "12:30",
        "TRUE",
        "1,200.50",
        "-0",
    ];
    let head: Vec<String> = (1..=cells.len()).map(|n| format!("H{n}")).collect();
    for (separator, ending) in [(",", "csv"), (";", "csv"), ("\t", "tsv")] {
        let quoted = cells.map(|cell| match cell.contains(separator) {
            true => format!("\"{cell}\""),
            false => cell.to_owned(),
        });
        let text = [head.join(separator), quoted.join(separator)].join("\r\n");
        let name = format!("ids.{ending}");
        let (_, pdf) = delivered(&name, "text/plain", text.as_bytes(), &[PDF])
            .await
            .expect("a PDF");
        let words = words(&pdf);
        for cell in cells {
            assert!(words.contains(cell), "{cell} is not in {words}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_read_in_the_encoding_that_it_has() {
    let line = "保单号,金额\r\n一百万元整,20418\r\n";
    let wide =
        |write: fn(u16) -> [u8; 2]| -> Vec<u8> { line.encode_utf16().flat_map(write).collect() };
    let page = "<html><head><title>保单</title></head><body><h1>电子保单</h1><p>被保险人：张三，\
                保险金额一百万元整。</p></body></html>";
    let japanese =
        "<html><body><p>保険金請求書：三営業日以内に領収書をご提出ください。</p></body></html>";
    let taiwan = "<html><body><p>海港保險理賠材料：請在三個工作日內提交發票。</p></body></html>";
    for (name, announced, content, word) in [
        ("a.csv", OCTETS, wide(u16::to_le_bytes), "一百万元整"),
        ("b.csv", OCTETS, wide(u16::to_be_bytes), "一百万元整"),
        ("c.txt", OCTETS, wide(u16::to_le_bytes), "一百万元整"),
        (
            "d.html",
            "text/html",
            encoding_rs::GBK.encode(page).0.into(),
            "保险金额一百万元整",
        ),
        ("e.html", "text/html", page.into(), "保险金额一百万元整"),
        (
            "f.html",
            "text/html",
            encoding_rs::SHIFT_JIS.encode(japanese).0.into(),
            "保険金請求書",
        ),
        (
            "g.htm",
            OCTETS,
            encoding_rs::BIG5.encode(taiwan).0.into(),
            "海港保險理賠材料",
        ),
    ] {
        let (_, pdf) = delivered(name, announced, &content, &[PDF])
            .await
            .unwrap_or_else(|rejection| panic!("{name}: {rejection}"));
        let words = words(&pdf);
        assert!(words.contains(word), "{name}: {word} is not in {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_of_any_coding_is_delivered_whole_and_refused_when_it_was_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, how) in [
        ("plain.jpg", "-quality 90"),
        ("progressive.jpg", "-interlace Plane"),
        ("dense.jpg", "-sampling-factor 4:4:4"),
        ("half.jpg", "-sampling-factor 4:2:2"),
        ("grey.jpg", "-colorspace Gray"),
        ("cmyk.jpg", "-colorspace CMYK"),
        ("restarts.jpg", "-define jpeg:restart-interval=4"),
    ] {
        let path = folder.path().join(name);
        let path = path.to_str().expect("UTF-8");
        let mut arguments = vec!["-size", "640x480", "-seed", "1", "plasma:red-blue"];
        arguments.extend(how.split(' '));
        arguments.push(path);
        program(CONVERT, "imagemagick", &arguments).expect("a photo");
        let photo = std::fs::read(path).expect("a photo");
        let unmarked = photo[..photo.len() - 2].to_vec();
        let cut = photo[..photo.len() * 60 / 100].to_vec();
        let jpeg = "image/jpeg";
        for format in [jpeg, PDF] {
            for whole in [&photo, &unmarked] {
                let made = delivered(name, jpeg, whole, &[format]).await;
                assert!(made.is_ok(), "{name} {format} {made:?}");
            }
            let made = delivered(name, jpeg, &cut, &[format]).await;
            assert_eq!(
                made.map(drop),
                Err(Rejection::Unreadable),
                "{name} {format}"
            );
        }
    }
}
