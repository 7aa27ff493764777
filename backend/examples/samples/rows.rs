//! What is tried, and what must come of it.

use crate::check::Check;

const PDF: &str = "application/pdf";
const JPEG: &str = "image/jpeg";
const PNG: &str = "image/png";
const WEBP: &str = "image/webp";
const MP3: &str = "audio/mpeg";
const M4A: &str = "audio/mp4";
const MP4: &str = "video/mp4";
const TEXT: &str = "text/plain";

const LETTER: Check = Check::Pdf(1, &["海港保险理赔材料", "claim20418"]);
const PLAIN: Check = Check::Pdf(1, &["海港保险理赔材料", "claim20418"]);
const SHEET: Check = Check::Pdf(1, &["海港保险理赔材料", "1200.5", "发票"]);
const SLIDES: Check = Check::Pdf(2, &["海港保险理赔材料", "second"]);

/// What a scene wants that takes papers: a picture or a PDF.
const DOCS: &str = "image/jpeg,application/pdf";
/// What one wants that takes whatever people have.
const ANY: &str = "application/pdf,image/jpeg,audio/mpeg,video/mp4";
/// What one wants that takes pictures.
const PICTURES: &str = "image/jpeg,image/png";

/// File, the types that the app takes, best first, and what must be in the result.
pub(crate) const SAMPLES: &[(&str, &str, Check)] = &[
    ("letter.odt", PDF, LETTER),
    ("letter.doc", PDF, LETTER),
    ("letter.docx", PDF, LETTER),
    ("letter.rtf", PDF, LETTER),
    ("page.html", PDF, LETTER),
    ("plain.txt", PDF, PLAIN),
    ("plain-gb18030.txt", PDF, PLAIN),
    ("plain-utf16.txt", PDF, PLAIN),
    ("table.ods", PDF, SHEET),
    ("table.xls", PDF, SHEET),
    ("table.xlsx", PDF, SHEET),
    ("table.csv", PDF, SHEET),
    ("table-gb18030.csv", PDF, SHEET),
    ("table-semicolons.csv", PDF, SHEET),
    ("slides.odp", PDF, SLIDES),
    ("slides.ppt", PDF, SLIDES),
    ("slides.pptx", PDF, SLIDES),
    ("flag.jpg", JPEG, Check::Flag("JPEG")),
    ("progressive.jpg", JPEG, Check::Flag("JPEG")),
    ("flag.png", JPEG, Check::Flag("JPEG")),
    ("flag.gif", JPEG, Check::Flag("JPEG")),
    ("flag.webp", JPEG, Check::Flag("JPEG")),
    ("flag.bmp", JPEG, Check::Flag("JPEG")),
    ("flag.tiff", JPEG, Check::Flag("JPEG")),
    ("flag.heic", JPEG, Check::Flag("JPEG")),
    ("flag.avif", JPEG, Check::Flag("JPEG")),
    ("flag.svg", JPEG, Check::Flag("JPEG")),
    ("flag.png", PNG, Check::Flag("PNG")),
    ("flag.jpg", PNG, Check::Flag("PNG")),
    ("cmyk.jpg", PNG, Check::Flag("PNG")),
    ("flag.heic", PNG, Check::Flag("PNG")),
    ("flag.svg", PNG, Check::Flag("PNG")),
    ("flag.webp", WEBP, Check::Flag("WEBP")),
    ("flag.jpg", WEBP, Check::Flag("WEBP")),
    ("flag.avif", WEBP, Check::Flag("WEBP")),
    ("flag.jpg", PDF, Check::Pictures(1)),
    ("flag.heic", PDF, Check::Pictures(1)),
    ("flag.svg", PDF, Check::Pdf(1, &["海港保险理赔材料"])),
    ("photos.zip", PDF, Check::Pictures(3)),
    ("papers.zip", PDF, Check::Pdf(3, &["claim20418", "1200.5"])),
    ("slides.pdf", PDF, SLIDES),
    ("slides.pdf", JPEG, Check::Pages("JPEG", 1900)),
    ("slides.pdf", PNG, Check::Pages("PNG", 1900)),
    (
        "letter.pdf",
        TEXT,
        Check::Text(&["海港保险理赔材料", "claim20418"]),
    ),
    ("voice.amr", MP3, Check::Sound("mp3")),
    ("voice.m4a", MP3, Check::Sound("mp3")),
    ("voice.wav", MP3, Check::Sound("mp3")),
    ("voice.ogg", MP3, Check::Sound("mp3")),
    ("voice.opus", MP3, Check::Sound("mp3")),
    ("voice.flac", MP3, Check::Sound("mp3")),
    ("voice.mp3", M4A, Check::Sound("aac")),
    ("voice.amr", M4A, Check::Sound("aac")),
    ("clip.mov", MP4, Check::Video),
    ("clip.mkv", MP4, Check::Video),
    ("clip.webm", MP4, Check::Video),
    ("clip.3gp", MP4, Check::Video),
    ("clip.mp4", MP3, Check::Sound("mp3")),
    // Tables, texts and pages in the encodings and shapes that they come in.
    ("table-bom.csv", PDF, SHEET),
    ("table-utf16.csv", PDF, SHEET),
    ("table-tabs.tsv", PDF, SHEET),
    ("table-says-sep.csv", PDF, SHEET),
    (
        "numbers.csv",
        PDF,
        Check::Pdf(
            1,
            &["110101199003077758", "000123456", "1/2", "2E10", "=1+1"],
        ),
    ),
    ("plain-big5.txt", PDF, Check::Pdf(1, &["海港保險理賠材料"])),
    ("plain-sjis.txt", PDF, Check::Pdf(1, &["保険金請求書"])),
    ("plain-euckr.txt", PDF, Check::Pdf(1, &["보험금청구서류"])),
    ("plain-iso2022jp.txt", PDF, Check::Pdf(1, &["保険金請求書"])),
    ("page-gbk.html", PDF, LETTER),
    ("page.xls", PDF, LETTER),
    (
        "page.mht",
        PDF,
        Check::Pdf(1, &["海港保险理赔材料", "claim20418"]),
    ),
    ("empty.txt", PDF, Check::Refused("no-usable-format")),
    // Papers under a name that says something else.
    ("letter.xls", PDF, LETTER),
    ("letter.zip", PDF, LETTER),
    ("table.doc", PDF, SHEET),
    ("letter-cut.docx", PDF, Check::Refused("unreadable")),
    ("letter-cut.pdf", JPEG, Check::Refused("unreadable")),
    (
        "letter-locked.pdf",
        PDF,
        Check::Refused("password-protected"),
    ),
    ("letter-owner.pdf", JPEG, Check::Pages("JPEG", 1700)),
    ("letter-late.pdf", JPEG, Check::Pages("JPEG", 1700)),
    ("slides.pdf", WEBP, Check::Pages("WEBP", 1900)),
    // Pictures of every coding and orientation.
    ("grey.png", JPEG, Check::Shape("JPEG", 400, 300)),
    ("deep.png", JPEG, Check::Flag("JPEG")),
    ("palette.png", JPEG, Check::Flag("JPEG")),
    ("glass.png", JPEG, Check::White("JPEG")),
    ("glass.webp", JPEG, Check::White("JPEG")),
    ("moving.gif", JPEG, Check::Flag("JPEG")),
    ("moving.webp", JPEG, Check::Flag("JPEG")),
    ("turned-3.jpg", PNG, Check::Flag("PNG")),
    ("turned-6.jpg", PNG, Check::Flag("PNG")),
    ("turned-8.jpg", JPEG, Check::Turned("JPEG")),
    ("turned-6.jpg", PDF, Check::Pictures(1)),
    ("cmyk.jpg", JPEG, Check::Flag("JPEG")),
    ("cmyk.jpg", PDF, Check::Pictures(1)),
    ("flag-cut.jpg", JPEG, Check::Refused("unreadable")),
    ("flag-cut.png", JPEG, Check::Refused("unreadable")),
    ("flag-cut.heic", JPEG, Check::Refused("unreadable")),
    ("flag.png.jpg", PNG, Check::Flag("PNG")),
    ("group3.tiff", JPEG, Check::Shape("JPEG", 400, 300)),
    ("group4.tiff", PNG, Check::Shape("PNG", 400, 300)),
    ("palette.tiff", PNG, Check::Flag("PNG")),
    ("lzw.tiff", PNG, Check::Flag("PNG")),
    ("jpeg.tiff", PNG, Check::Flag("PNG")),
    ("pages.tiff", PDF, Check::Pictures(3)),
    ("flag.avif", PNG, Check::Flag("PNG")),
    ("flag.tiff", PDF, Check::Pictures(1)),
    // Sound and films.
    ("voice.aiff", MP3, Check::Sound("mp3")),
    ("voice.wma", MP3, Check::Sound("mp3")),
    ("voice.webm", MP3, Check::Sound("mp3")),
    ("voice.silk", MP3, Check::Tone("mp3", 3.0, 440)),
    ("voice-wechat.amr", MP3, Check::Tone("mp3", 3.0, 440)),
    ("voice-wechat.amr", M4A, Check::Tone("aac", 3.0, 440)),
    ("voice-cut.silk", MP3, Check::Refused("unreadable")),
    ("voice-android.m4a", MP3, Check::Sound("mp3")),
    ("voice-android.m4a", MP4, Check::Sound("aac")),
    ("clip.ts", MP4, Check::Video),
    ("clip.avi", MP4, Check::Video),
    ("clip.flv", MP4, Check::Video),
    ("clip.wmv", MP4, Check::Video),
    ("clip.mpg", MP4, Check::Video),
    ("hevc.mov", MP4, Check::Video),
    ("clip.mp4", MP4, Check::Video),
    ("clip.mov", ANY, Check::Video),
    ("clip-cut.mp4", MP4, Check::Refused("unreadable")),
    // Archives of every format, and a mail.
    ("photos.7z", PDF, Check::Pictures(2)),
    ("photos.tgz", PDF, Check::Pictures(2)),
    ("photos.rar", PDF, Check::Pictures(2)),
    ("photos-cut.rar", PDF, Check::Refused("unreadable")),
    ("owners.zip", PDF, Check::Pdf(2, &["claim20418"])),
    (
        "mail.eml",
        ANY,
        Check::Members(&[("理赔材料.html", "ok"), ("发票.png", "ok")]),
    ),
    // Inputs that once came out wrong.
    (
        "cases/f01_trash_first.docx",
        DOCS,
        Check::Pdf(1, &["样例合同"]),
    ),
    (
        "cases/f02_mhtml.doc",
        DOCS,
        Check::Pdf(1, &["Reportone", "Row一"]),
    ),
    ("cases/f02_xmlss.xls", DOCS, Check::Pdf(1, &["一"])),
    (
        "cases/f05_utf16le_nobom.csv",
        DOCS,
        Check::Pdf(2, &["序号", "Item51"]),
    ),
    (
        "cases/f06_locked_pw_s3cret.docx",
        DOCS,
        Check::Refused("password-protected"),
    ),
    (
        "cases/f11_cut_at_60_percent.jpg",
        ANY,
        Check::Refused("unreadable"),
    ),
    (
        "cases/f12_fax_g4.tif",
        PICTURES,
        Check::Shape("JPEG", 1728, 832),
    ),
    (
        "cases/f13_990_bytes_first.pdf",
        ANY,
        Check::Pdf(1, &["Page1of1"]),
    ),
    (
        "cases/f14_needs_password_s3cret.pdf",
        ANY,
        Check::Refused("password-protected"),
    ),
    (
        "cases/f15_alpha_named.jpg",
        PICTURES,
        Check::Shape("PNG", 160, 96),
    ),
    (
        "cases/f15_anim_clear_canvas_no_alpha_flag.webp",
        PICTURES,
        Check::White("JPEG"),
    ),
    (
        "cases/f18_claims_60000x60000.png",
        PICTURES,
        Check::Refused("image-too-large"),
    ),
    (
        "cases/f19_base64_amr.amr",
        ANY,
        Check::Refused("no-usable-format"),
    ),
    (
        "cases/f19_silk_tencent.silk",
        ANY,
        Check::Tone("mp3", 2.0, 440),
    ),
    ("cases/f21_641x481.webm", ANY, Check::Film(640, 482)),
    ("cases/f21_641x481_yuv444.mp4", ANY, Check::Film(640, 482)),
    (
        "cases/f22_display_rotation_-90.mov",
        ANY,
        Check::Film(180, 320),
    ),
    (
        "cases/f23_sjis_names_no_flag.zip",
        ANY,
        Check::Members(&[("表示ソ能.txt", "ok"), ("説明.txt", "ok")]),
    ),
    (
        "cases/f24_1292_bytes_before.zip",
        ANY,
        Check::Members(&[("a.txt", "ok")]),
    ),
    (
        "cases/f24_duplicate_names.zip",
        ANY,
        Check::Members(&[("a.txt", "ok"), ("a.txt", "ok")]),
    ),
    (
        "cases/f26_jpeg_named.png",
        ANY,
        Check::Shape("JPEG", 160, 96),
    ),
    (
        "cases/IMG_0001.HEIC",
        PICTURES,
        Check::Shape("JPEG", 800, 600),
    ),
    ("cases/IMG_0001.MOV", ANY, Check::Film(320, 240)),
    (
        "cases/bw_group3.tif",
        PICTURES,
        Check::Shape("JPEG", 600, 400),
    ),
    ("cases/pal.tif", PICTURES, Check::Shape("JPEG", 600, 400)),
    ("cases/m01_iwork.pages", ANY, Check::Refused("apple-pages")),
    (
        "cases/m03_mail.eml",
        ANY,
        Check::Members(&[("理赔资料：发票.html", "ok"), ("发票.pdf", "ok")]),
    ),
    ("cases/m05_wps.wps", DOCS, Check::Pdf(1, &["修订与批注"])),
    ("cases/m07_einvoice.ofd", ANY, Check::Refused("ofd")),
    ("cases/m11_iphone_silent.MOV", ANY, Check::Film(320, 240)),
    ("cases/m11_old_phone.3gp", ANY, Check::Film(176, 144)),
    (
        "cases/m14_gbk_nometa.html",
        DOCS,
        Check::Pdf(1, &["保险金额一百万元整"]),
    ),
    (
        "cases/m14_ids.csv",
        DOCS,
        Check::Pdf(2, &["110101199003077758", "000123456", "2026-03-04"]),
    ),
    (
        "cases/locked_members_pw_s3cret.7z",
        ANY,
        Check::Refused("password-protected"),
    ),
    (
        "cases/locked_names_pw_s3cret.7z",
        ANY,
        Check::Refused("password-protected"),
    ),
    ("cases/camera.dng", PICTURES, Check::Refused("raw-photo")),
    (
        "cases/m15_mixed.zip",
        ANY,
        Check::Members(&[
            ("1.jpg", "ok"),
            ("说明.dwg", "cad-drawing"),
            ("发票.pdf", "ok"),
        ]),
    ),
    (
        "cases/m15_zip_in_zip.zip",
        ANY,
        Check::Members(&[("照片.zip", "archive-in-archive"), ("发票.pdf", "ok")]),
    ),
];
