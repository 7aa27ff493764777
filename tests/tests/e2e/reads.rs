//! Files that a device gives slowly, late or not at all, in Chromium.

use std::collections::BTreeSet;
use std::time::Duration;

use chatlift_shared::limits::MIB;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::{self, Random};
use chatlift_tests::stage::shared;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(90);

/// Files whose name begins with `hung` are never read to their end: what a cloud's folder does whose
/// program hangs.
const HANG: &str = r#"
    const { slice } = Blob.prototype;
    Blob.prototype.slice = function (...range) {
      return Object.assign(slice.apply(this, range), { hung: this.name?.startsWith('hung') });
    };
    window.Response = new Proxy(Response, {
      construct: (response, [body, ...rest]) =>
        body?.hung ? { arrayBuffer: () => new Promise(() => {}) } : new response(body, ...rest),
    });"#;

/// Small files, which are read to be sent at once, and large ones, whose parts are.
#[test]
fn files_that_hang_stall_no_other_and_are_told() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let file = |n: u64, size| Random {
        seed: 910 + n,
        size,
    };
    let sizes = [50_000, 9_000_000];
    let hung: Vec<_> = (0..8)
        .map(|n| {
            let file = file(n, sizes[n as usize % 2] + n);
            file.write(phone.folder(), &format!("hung-{n}.bin"))
        })
        .collect();
    let good = [file(20, sizes[0]), file(21, sizes[1])];
    let paths: Vec<_> = good
        .iter()
        .map(|file| file.write(phone.folder(), &format!("good-{}.bin", file.size)))
        .collect();
    phone.open(&link.url);
    phone.sees(r#"html[data-state="program"]"#, 1);
    let _ = phone.session().script(HANG, &json!([]));
    phone.pick(&hung);
    phone.pick(&paths);
    phone.sees(&row("ready"), 10);
    phone.click(&mark("confirm"));
    // Those that hang are still waited for when the others have arrived.
    phone.sees_within(&row("stored"), 2, WITHIN);
    assert!(
        phone.count(&row("failed")) < 8,
        "others had to wait for them"
    );
    phone.sees_within(&row("failed"), 8, WITHIN);
    assert!(phone.read(&mark("file-error")).contains("read"));
    let stored: BTreeSet<_> = app
        .get_link(link.id)
        .files
        .into_iter()
        .map(|f| app.sha256(f.id))
        .collect();
    assert_eq!(stored, good.map(|file| file.sha256()).into());
}

/// Of files whose name begins with `slow` no read of more than 1 MiB comes to its end.
const SLOW: &str = r#"
    const { slice } = Blob.prototype;
    Blob.prototype.slice = function (...range) {
      return Object.assign(slice.apply(this, range), { slow: this.name?.startsWith('slow') });
    };
    window.reads = [];
    window.Response = new Proxy(Response, {
      construct: (response, [body, ...rest]) => {
        window.reads.push(body?.size);
        const large = body?.slow && body.size > 1024 * 1024;
        return large ? { arrayBuffer: () => new Promise(() => {}) } : new response(body, ...rest);
      },
    });"#;

/// A part is read at once where the device was fast, and in slices where it turns out to be slow.
#[test]
fn a_device_that_becomes_slow_is_read_in_smaller_pieces() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let file = |n: u64| Random {
        seed: 930 + n,
        size: 9_000_000 + n,
    };
    let files = [file(0), file(1)];
    let [fast, slow] = [0, 1].map(|n| {
        let name = ["fast.bin", "slow.bin"][n];
        files[n].write(phone.folder(), name)
    });
    phone.open(&link.url);
    phone.sees(r#"html[data-state="program"]"#, 1);
    let _ = phone.session().script(SLOW, &json!([]));
    phone.pick(&[&fast, &slow]);
    phone.sees(&row("ready"), 2);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let longest = "return Math.max(...window.reads)";
    let longest = phone.session().script(longest, &json!([]));
    assert!(longest.as_u64().is_some_and(|size| size > MIB), "{longest}");
    let stored = app.get_link(link.id).files;
    let stored: BTreeSet<_> = stored.into_iter().map(|f| app.sha256(f.id)).collect();
    assert_eq!(stored, files.map(|file| file.sha256()).into());
}

/// Some providers of files on Android say 0 for a size that they do not know.
const NO_SIZE: &str = r#"
    window.addEventListener('change', (event) => {
      window.kept = [...event.target.files];
      for (const file of kept) {
        if (file.name === 'unknown.pdf') Object.defineProperty(file, 'size', { value: 0 });
      }
    }, { capture: true, once: true });"#;

#[test]
fn a_file_that_is_said_to_be_empty_is_read_before_it_is_believed() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let file = Random {
        seed: 940,
        size: 300_000,
    };
    let unknown = file.write(phone.folder(), "unknown.pdf");
    let empty = fixtures::write(phone.folder(), "empty.pdf", b"");
    phone.open(&link.url);
    phone.sees(r#"html[data-state="program"]"#, 1);
    let _ = phone.session().script(NO_SIZE, &json!([]));
    phone.pick(&[&unknown, &empty]);
    phone.sees(&row("ready"), 1);
    phone.sees(&row("refused"), 1);
    assert!(phone.read(&mark("file-error")).contains("empty"));
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let stored = app.get_link(link.id).files;
    assert_eq!((stored.len(), stored[0].name.as_str()), (1, "unknown.pdf"));
    assert_eq!(
        (app.sha256(stored[0].id), stored[0].size),
        (file.sha256(), file.size)
    );
}
