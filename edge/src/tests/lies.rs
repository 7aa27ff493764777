//! What a sender says of a file's digest in any dialect: wrong, it refuses the file or is passed over. It
//! reaches no event, no record, no header and no other person.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::api::Link;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::PART_SIZE;
use serde_json::Value;
use url::Url;

use super::http::{Answer, FORM, InMemory, KEY};

/// Of a file that somebody else has.
const THEIRS: &[u8] = b"%PDF-1.7\n%theirs, of the size of mine";
const MINE: &[u8] = b"%PDF-1.7\n%mine!!, of the size of mine";

struct Person {
    edge: InMemory,
    link: Link,
    path: String,
}

impl Person {
    fn new() -> Self {
        let edge = InMemory::new();
        let body = br#"{"scene":"docs","subject":"case-7"}"#;
        let link: Link = edge.send("POST", "/v1/links", &[KEY], body).json();
        let url = Url::parse(&link.url).expect("an address");
        let path = url.path().to_owned();
        Self { edge, link, path }
    }

    fn send(&self, method: &str, rest: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let mut all = vec![("content-length", length.as_str())];
        all.extend_from_slice(headers);
        let path = format!("{}{rest}", self.path);
        self.edge.send(method, &path, &all, body)
    }

    fn tus(&self, metadata: &str, content: &[u8], headers: &[(&str, &str)]) -> Answer {
        let length = content.len().to_string();
        let version = ("tus-resumable", "1.0.0");
        let made = [
            version,
            ("upload-length", length.as_str()),
            ("upload-metadata", metadata),
        ];
        let made = self.send("POST", "/tus", &made, b"");
        assert_eq!(made.status, 201, "{made:?}");
        let location = made.header("location").expect("an address");
        let mut all = vec![
            version,
            ("upload-offset", "0"),
            ("content-type", "application/offset+octet-stream"),
        ];
        all.extend_from_slice(headers);
        let rest = location.strip_prefix(&self.path).expect("the link's");
        self.send("PATCH", rest, &all, content)
    }

    /// All that the backend and others with the link are told, with the headers of each file.
    fn told(&self) -> String {
        let get = |path: &str| self.edge.send("GET", path, &[KEY], b"");
        let link = get(&format!("/v1/links/{}", self.link.id));
        let events = get(&format!("/v1/links/{}/events", self.link.id));
        let page = get(&format!("{}/page", self.path));
        let mut told = String::new();
        for answer in [&link, &events, &page] {
            assert_eq!(answer.status, 200, "{answer:?}");
            told += &format!("{answer:?}\n{}\n", String::from_utf8_lossy(&answer.body));
        }
        let link: Value = link.json();
        for file in link["files"].as_array().expect("files") {
            let id = file["id"].as_str().expect("an id");
            let record = get(&format!("/v1/files/{id}"));
            let content = get(&format!("/v1/files/{id}/content"));
            told += &format!(
                "{} {:?}\n",
                String::from_utf8_lossy(&record.body),
                content.headers
            );
        }
        told
    }

    fn files(&self) -> usize {
        let link = self
            .edge
            .send("GET", &format!("/v1/links/{}", self.link.id), &[KEY], b"");
        link.json::<Value>()["files"]
            .as_array()
            .expect("files")
            .len()
    }

    /// A lie about one file, which was stored all the same: it is told nowhere, and the truth is.
    fn tells_no_lie(&self, content: &[u8], lie: Sha256) {
        let told = self.told();
        for lie in [lie.to_string(), STANDARD.encode(lie.0)] {
            assert!(!told.contains(&lie), "{lie} in {told}");
        }
        if content.len() as u64 <= PART_SIZE {
            assert!(told.contains(&Sha256::of(content).to_string()), "{told}");
        }
    }
}

fn lie() -> Sha256 {
    Sha256::of(THEIRS)
}

#[test]
fn a_form_that_lies_in_every_header_is_stored_as_what_it_is() {
    let person = Person::new();
    let (digest, base64) = (lie().to_header(), STANDARD.encode(lie().0));
    let head = format!(
        "--x\r\nContent-Disposition: form-data; filename=\"a.pdf\"; sha256={}\r\n\
         Content-Digest: {digest}\r\nRepr-Digest: {digest}\r\nDigest: sha-256={base64}\r\n\
         Content-MD5: {base64}\r\n\r\n",
        lie()
    );
    let body = [head.as_bytes(), MINE, b"\r\n--x--"].concat();
    let headers = [
        FORM[0],
        FORM[1],
        ("repr-digest", &*digest),
        ("content-digest", &digest),
    ];
    let answer = person.send("POST", "", &headers, &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    person.tells_no_lie(MINE, lie());
}

#[test]
fn what_tus_metadata_says_of_a_digest_reaches_nobody_else() {
    for size in [MINE.len(), usize::try_from(PART_SIZE).expect("fits") + 7] {
        let person = Person::new();
        let mut content = MINE.to_vec();
        content.resize(size, b' ');
        let encoded = STANDARD.encode(lie().to_string());
        let metadata = format!("filename YS5wZGY=,sha256 {encoded},checksum {encoded}");
        let grown = person.tus(&metadata, &content, &[]);
        assert_eq!(grown.status, 204, "{grown:?}");
        person.tells_no_lie(&content, lie());
        assert!(!person.told().contains(&encoded));
    }
}

#[test]
fn a_tus_checksum_of_other_bytes_stores_nothing() {
    let person = Person::new();
    let checksum = format!("sha256 {}", STANDARD.encode(lie().0));
    let refused = person.tus("filename YS5wZGY=", MINE, &[("upload-checksum", &checksum)]);
    assert_eq!(refused.status, 460, "{refused:?}");
    assert_eq!(person.files(), 0);
    let checksum = format!("sha256 {}", STANDARD.encode(Sha256::of(MINE).0));
    let grown = person.tus("filename YS5wZGY=", MINE, &[("upload-checksum", &checksum)]);
    assert_eq!(grown.status, 204, "{grown:?}");
    person.tells_no_lie(MINE, lie());
}

#[test]
fn a_resumable_upload_that_lies_about_its_file_is_refused_or_passed_over() {
    let digest = lie().to_header();
    for claim in ["repr-digest", "content-digest"] {
        let person = Person::new();
        let headers = [("upload-complete", "?1"), (claim, &*digest)];
        let refused = person.send("POST", "/resumable", &headers, MINE);
        assert!(refused.status >= 400, "{claim}: {refused:?}");
        assert_eq!(person.files(), 0, "{claim}");
        assert!(!person.told().contains(&lie().to_string()), "{claim}");
    }
    // In several requests nobody has computed the whole's digest.
    let person = Person::new();
    let mut content = MINE.to_vec();
    content.resize(usize::try_from(PART_SIZE).expect("fits") + 7, b' ');
    let (first, rest) = content.split_at(100_000);
    let headers = [("upload-complete", "?0"), ("repr-digest", &*digest)];
    let made = person.send("POST", "/resumable", &headers, first);
    assert_eq!(made.status, 201, "{made:?}");
    let location = made.header("location").expect("an address");
    let path = location.strip_prefix(&person.path).expect("the link's");
    let headers = [
        ("upload-complete", "?1"),
        ("upload-offset", "100000"),
        ("content-type", "application/partial-upload"),
        ("repr-digest", &*digest),
    ];
    let stored = person.send("PATCH", path, &headers, rest);
    if stored.status < 300 {
        person.tells_no_lie(&content, lie());
        assert_eq!(stored.header("repr-digest"), None);
        let head = person.send("HEAD", path, &[], b"");
        assert_eq!(head.header("repr-digest"), None, "{head:?}");
    } else {
        assert_eq!(person.files(), 0);
    }
}

#[test]
fn a_lie_about_a_file_takes_nothing_from_who_sends_that_file() {
    let digest = lie().to_header();
    let claim = [("upload-complete", "?1"), ("repr-digest", &*digest)];
    for dialect in ["tus", "resumable", "form", "page"] {
        let person = Person::new();
        let encoded = STANDARD.encode(lie().to_string());
        let metadata = format!("filename YS5wZGY=,sha256 {encoded}");
        let _ = person.send("POST", "/resumable", &claim, MINE);
        assert_eq!(person.tus(&metadata, MINE, &[]).status, 204);
        // Another person sends what the lie is about, under the same name.
        let headers = [
            ("content-disposition", "attachment; filename=\"a.pdf\""),
            ("content-digest", digest.as_str()),
        ];
        let sent = match dialect {
            "tus" => person.tus(&metadata, THEIRS, &[]),
            "resumable" => person.send("POST", "/resumable", &[claim[0], headers[0]], THEIRS),
            "form" => {
                let head = "--x\r\nContent-Disposition: form-data; filename=\"a.pdf\"\r\n\r\n";
                let body = [head.as_bytes(), THEIRS, b"\r\n--x--"].concat();
                person.send("POST", "", &FORM, &body)
            }
            _ => person.send("POST", "/files", &headers, THEIRS),
        };
        assert!(sent.status < 300, "{dialect}: {sent:?}");
        assert_eq!(person.files(), 2, "{dialect}: their own is stored");
        for content in [MINE, THEIRS] {
            assert!(
                person.told().contains(&Sha256::of(content).to_string()),
                "{dialect}"
            );
        }
    }
}
