//! The native edge with a certificate of its own, by HTTP/1.1 and HTTP/2.

use std::fs;
use std::path::Path;
use std::process::Command;

use chatlift_shared::api::Link;
use chatlift_shared::limits::MIB;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::outside::{file_in, script};
use chatlift_tests::scratch::Folder;
use serde_json::{Value, json};

use crate::operate::one;

/// An edge that is asked by another's HTTP.
struct Secure<'a> {
    origin: String,
    certificate: &'a Path,
    version: &'a str,
}

impl Secure<'_> {
    /// Sends a request; answers its status and its body.
    fn call(
        &self,
        method: &str,
        path: &str,
        headers: &Value,
        body: Option<&Path>,
    ) -> (u16, String) {
        let mut client = Command::new("node");
        client
            .arg(script("http.mjs"))
            .arg(self.version)
            .arg(self.certificate)
            .args([&self.origin, method, path, &headers.to_string()])
            .args(body);
        let said = client.output().expect("node");
        assert!(said.status.success(), "{said:?}");
        let said = String::from_utf8(said.stdout).expect("text");
        let (head, body) = said.split_once('\n').expect("a line");
        let agreed = if self.version == "2" {
            "h2"
        } else {
            "http/1.1"
        };
        let status = head
            .strip_suffix(agreed)
            .unwrap_or_else(|| panic!("agreed on {head}"));
        (
            status.trim().parse().expect("a status"),
            body.trim().to_owned(),
        )
    }
}

#[test]
fn files_come_and_go_over_tls_by_http_1_and_2() {
    let folder = Folder::new("tls");
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    fs::write(&certificate, made.cert.pem()).expect("a file");
    fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let file = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
    let vars = [file("TLS_CERTIFICATE", &certificate), file("TLS_KEY", &key)];
    let (nodes, receiver) = one("tls-edge", &vars);
    let content = Random {
        seed: 1,
        size: 5 * MIB,
    };
    let sent = file_in(folder.path(), "sent.bin", content);
    for version in ["1.1", "2"] {
        let edge = Secure {
            origin: nodes.node(0).replacen("http:", "https:", 1),
            certificate: &certificate,
            version,
        };
        let bearer = format!("Bearer {}", nodes.app().key());
        let asked = folder.path().join("asked.json");
        fs::write(&asked, json!({ "scene": ANY_FILE }).to_string()).expect("a file");
        let headers = json!({ "authorization": bearer, "content-type": "application/json" });
        let (status, link) = edge.call("POST", "/v1/links", &headers, Some(&asked));
        assert_eq!(status, 201, "{link}");
        let link: Link = serde_json::from_str(&link).expect("a link");
        let token = link.url.rsplit('/').next().expect("a token");

        let headers = json!({ "content-disposition": "attachment; filename=\"a.bin\"" });
        let path = format!("/u/{token}/files");
        let (status, stored) = edge.call("POST", &path, &headers, Some(&sent));
        assert_eq!(status, 201, "{stored}");
        let told = receiver.wait_stored(link.id, content.sha256(), crate::operate::WITHIN);
        let file = &told.stored().expect("a stored file").file;
        assert_eq!(file.size, content.size);

        let headers = json!({ "authorization": bearer, "range": "bytes=0-9" });
        let path = format!("/v1/files/{}/content", file.id);
        assert_eq!(edge.call("GET", &path, &headers, None).0, 206);
        // Nothing is told to whoever asks without a key.
        assert_eq!(edge.call("GET", &path, &json!({}), None).0, 401);
    }
}
