//! tus clients as their registries serve them, unmodified, against the edge in workerd: tus-js-client
//! (npm) and tuspy (PyPI). What is stored is what they sent, told by its SHA-256.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use chatlift_shared::FileId;
use chatlift_shared::api::Link;
use chatlift_tests::client::Page;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::outside::{Outside, file_in, script};
use chatlift_tests::scratch::Folder;
use chatlift_tests::stage::{Stage, shared};

const WITHIN: Duration = Duration::from_secs(60);

/// Size of what is sent: more than two parts.
const SIZE: u64 = 20_000_003;

/// A client: what starts it, and its script.
#[derive(Clone, Copy, Debug)]
enum Client {
    /// tus-js-client in Node.js.
    Js,
    /// tuspy.
    Py,
}

impl Client {
    fn start(self, page: &Page, file: &std::path::Path, what: &str) -> Outside {
        static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
            xtask::python::TUSPY
                .program("python")
                .expect("a Python with tuspy")
        });
        let (program, name) = match self {
            Self::Js => (PathBuf::from("node"), "tus.mjs"),
            Self::Py => (PYTHON.clone(), "tus.py"),
        };
        let endpoint = format!("{}/tus", page.url());
        let (script, file) = (script(name), file.to_string_lossy().into_owned());
        Outside::start(
            &program,
            &[&script.to_string_lossy(), &endpoint, &file, what],
        )
    }
}

/// The link's only file has these bytes, and is the one at the address.
#[track_caller]
fn stored(stage: &Stage, link: &Link, url: &str, content: Random) {
    let told = stage.receiver.wait_stored(link.id, content, WITHIN);
    let file = &told.stored().expect("a stored file").file;
    let id: FileId = url
        .rsplit('/')
        .next()
        .and_then(|id| id.replace("upl_", "fil_").parse().ok())
        .expect("an upload's address");
    assert_eq!(file.id, id);
    assert_eq!(stage.edge.app().sha256(file.id), content.sha256());
    assert_eq!(stage.edge.app().get_link(link.id).files.len(), 1);
}

/// Has a client send a file to a link of its own; answers the status that it was refused with on
/// the way, if it was.
#[track_caller]
fn sends(client: Client, what: &str) -> Option<u64> {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let folder = Folder::new("tus-client");
    let file = Random {
        seed: what.len() as u64 + 1000,
        size: SIZE,
    };
    let path = file_in(folder.path(), "by tus 文件.bin", file);
    let (url, status) = client.start(&app.page(&link), &path, what).end();
    stored(&stage, &link, &url, file);
    let name = &app.get_link(link.id).files[0].name;
    assert_eq!(name, "by tus 文件.bin");
    status
}

/// Kills the edge in the middle of an upload and starts it again; the client goes on by itself.
fn goes_on_after_a_kill(client: Client, name: &str) {
    let mut stage = Stage::new(name);
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let folder = Folder::new(name);
    let file = Random {
        seed: 1100,
        size: SIZE,
    };
    let path = file_in(folder.path(), "killed.bin", file);
    let mut sending = client.start(&app.page(&link), &path, "chunks");
    sending.wait_sent(9_000_000);
    stage.edge.kill();
    stage.edge.start();
    let (url, _) = sending.end();
    stored(&stage, &link, &url, file);
}

#[test]
fn tus_js_client_sends_in_one_request_and_in_chunks() {
    sends(Client::Js, "whole");
    sends(Client::Js, "chunks");
}

#[test]
fn tus_js_client_sends_with_the_creation_and_with_a_late_length() {
    sends(Client::Js, "with-creation");
    sends(Client::Js, "deferred");
}

#[test]
fn tus_js_client_sends_pieces_beside_each_other() {
    sends(Client::Js, "parallel");
}

#[test]
fn tus_js_client_resumes_after_a_pause_and_a_cut() {
    sends(Client::Js, "paused");
    sends(Client::Js, "cut");
}

#[test]
fn tus_js_client_hears_of_a_wrong_checksum() {
    assert_eq!(sends(Client::Js, "wrong-checksum"), Some(460));
}

#[test]
fn tus_js_client_goes_on_after_a_killed_edge() {
    goes_on_after_a_kill(Client::Js, "tus-js-killed");
}

#[test]
fn tus_js_client_ends_an_upload() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let folder = Folder::new("tus-client");
    let file = Random {
        seed: 1200,
        size: SIZE,
    };
    let path = file_in(folder.path(), "ended.bin", file);
    let page = app.page(&link);
    let (_, status) = Client::Js.start(&page, &path, "terminated").end();
    assert_eq!(status, Some(410));
    assert_eq!(app.get_link(link.id).files, []);
}

#[test]
fn tuspy_sends_in_one_request_and_in_checked_chunks() {
    sends(Client::Py, "whole");
    sends(Client::Py, "checked");
}

#[test]
fn tuspy_resumes_after_a_pause_and_hears_of_a_wrong_checksum() {
    sends(Client::Py, "paused");
    assert_eq!(sends(Client::Py, "wrong-checksum"), Some(460));
}

#[test]
fn tuspy_goes_on_after_a_killed_edge() {
    goes_on_after_a_kill(Client::Py, "tuspy-killed");
}
