//! What the page says is so: nothing is whole before the edge has it, a file that changed is told,
//! and who leaves too early is asked. In Chromium.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use chatlift_shared::digest::Sha256;
use chatlift_tests::browser::{Browser, file_receipt, mark, row};
use chatlift_tests::edge::{ANY_FILE, MANY_FILES};
use chatlift_tests::fixtures::Random;
use chatlift_tests::gate::{Gate, Rule};
use chatlift_tests::network::{Network, Profile};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(90);

/// A second or so for a megabyte.
const SLOW: Profile = Profile {
    bits_per_second: 8_000_000,
    round_trip: Duration::from_millis(20),
};

/// Notes every progress that the page shows from now on, in whatever form: values for screen
/// readers, widths of bars, percentages in the text; and whether it speaks of success.
const WATCH: &str = r#"
    window.shown = { percents: [], success: false };
    const look = () => {
      for (const bar of document.querySelectorAll('[role=progressbar]')) {
        shown.percents.push(Number(bar.getAttribute('aria-valuenow')));
        for (const fill of bar.children) shown.percents.push(parseFloat(fill.style.width));
      }
      for (const [, n] of document.body.innerText.matchAll(/(\d+)\s*%/g)) {
        shown.percents.push(Number(n));
      }
      if (document.querySelector('[data-state=stored], [data-testid=success]')) shown.success = true;
    };
    new MutationObserver(look).observe(document.documentElement,
      { subtree: true, childList: true, attributes: true, characterData: true });
    look();"#;

/// One file goes in chunks, the last of which completes it, the other in one request; the edge has
/// stored both, and its answers are held back.
#[test]
fn a_hundred_percent_is_not_shown_before_the_edge_has_answered() {
    let stage = shared();
    let link = stage.edge.app().link(ANY_FILE);
    for (name, size, (path, rule)) in [
        ("chunks.bin", 3_000_000, ("/parts/1", Rule::HoldStatus(200))),
        ("whole.bin", 100_000, ("/files", Rule::Hold)),
    ] {
        let gate = Gate::before(&stage.edge.origin());
        gate.rule(path, rule);
        let phone = Browser::english();
        let path = Random { seed: size, size }.write(phone.folder(), name);
        phone.open(&gate.url(&link.url));
        phone.pick(&[&path]);
        phone.sees(&row("ready"), 1);
        let _ = phone.session().script(WATCH, &json!([]));
        phone.click(&mark("confirm"));
        wait_for("the answer to be held back", WITHIN, || {
            (gate.held() > 0).then_some(())
        });
        let stored = stage.edge.app().get_link(link.id).files;
        assert!(stored.iter().any(|f| f.name == name), "not stored yet");
        // Long enough for whatever the page shows late.
        std::thread::sleep(Duration::from_secs(2));
        let shown = phone.session().script("return window.shown", &json!([]));
        let percents: Vec<f64> = shown["percents"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_f64)
            .collect();
        let most = percents.iter().copied().fold(0.0, f64::max);
        assert!(most < 100.0, "{name}: {most} % before the answer");
        assert!(
            most > 90.0,
            "{name}: nothing of its progress was seen: {most}"
        );
        assert_eq!(shown["success"], false, "{name}");
        assert_eq!(phone.count(&row("stored")), 0, "{name}");
        gate.release();
        phone.sees_within(&mark("success"), 1, WITHIN);
    }
}

#[test]
fn hundreds_of_files_arrive_and_the_same_file_counts_once() {
    const FILES: u64 = 300;
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(MANY_FILES);
    let phone = Browser::english();
    let files: Vec<_> = (0..FILES)
        .map(|seed| Random {
            seed,
            size: 1000 + seed,
        })
        .collect();
    let paths: Vec<_> = files
        .iter()
        .map(|file| file.write(phone.folder(), &format!("photo-{:03}.bin", file.seed)))
        .collect();
    phone.open(&link.url);
    phone.pick(&paths);
    phone.sees_within(&row("ready"), FILES, WITHIN);
    phone.pick(&[&paths[7], &paths[8]]);
    assert!(
        phone.read(&mark("notice")).contains("2 files were already"),
        "{}",
        phone.text(&mark("notice"))
    );
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, Duration::from_secs(180));
    assert!(phone.text(&mark("success")).contains("300 files"));
    let stored: BTreeSet<_> = app
        .get_link(link.id)
        .files
        .into_iter()
        .map(|f| (f.name, app.sha256(f.id)))
        .collect();
    let wanted: BTreeSet<_> = files
        .iter()
        .map(|file| (format!("photo-{:03}.bin", file.seed), file.sha256()))
        .collect();
    assert_eq!(stored, wanted);
}

#[test]
fn a_file_that_changes_or_vanishes_on_its_way_is_told_and_not_stored() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), SLOW);
    let phone = Browser::english();
    let file = |seed| Random {
        seed,
        size: 2_000_000,
    };
    let names = ["shorter.bin", "other.bin", "gone.bin", "good.bin"];
    let paths: Vec<_> = names
        .iter()
        .zip(90..)
        .map(|(name, seed)| file(seed).write(phone.folder(), name))
        .collect();
    phone.open(&network.url(&link.url));
    phone.pick(&paths);
    phone.sees(&row("ready"), 4);
    network.hold_after(100_000);
    phone.click(&mark("confirm"));
    network.wait_arrived(100_000, WITHIN);
    fs::File::options()
        .write(true)
        .open(&paths[0])
        .and_then(|file| file.set_len(1_500_000))
        .expect("a shorter file");
    let _ = file(99).write(phone.folder(), names[1]);
    fs::remove_file(&paths[2]).expect("no file");
    network.release();
    phone.sees_within(&row("failed"), 3, WITHIN);
    phone.sees_within(&row("stored"), 1, WITHIN);
    for name in &names[..3] {
        let error = format!(r#"[data-name="{name}"] {}"#, mark("file-error"));
        let said = phone.text(&error);
        assert!(said.contains("can no longer be read"), "{name}: {said}");
    }
    let stored = app.get_link(link.id).files;
    assert_eq!(
        stored
            .iter()
            .map(|f| (f.name.as_str(), app.sha256(f.id)))
            .collect::<Vec<_>>(),
        [("good.bin", file(93).sha256())]
    );
    // A new pick of a changed file goes through, as it is now.
    phone.click(&mark("skip"));
    phone.sees(&mark("success"), 1);
    phone.pick(&[&paths[0]]);
    phone.sees(&row("ready"), 1);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let now = Sha256::of(&fs::read(&paths[0]).expect("the file"));
    let stored = app.get_link(link.id).files;
    assert!(stored.iter().any(|f| app.sha256(f.id) == now), "{stored:?}");
}

#[test]
fn while_it_uploads_the_screen_stays_on_and_leaving_asks_first() {
    let stage = shared();
    let link = stage.edge.app().link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), SLOW);
    let phone = Browser::english();
    let session = phone.session();
    session.devtools("Page.enable", &json!({}));
    let watch = r"
        window.locks = [];
        const request = navigator.wakeLock.request.bind(navigator.wakeLock);
        navigator.wakeLock.request = (type) => {
          const lock = { type };
          locks.push(lock);
          const asked = request(type);
          asked.then((sentinel) => { lock.sentinel = sentinel; }, (error) => { lock.error = String(error); });
          return asked;
        };";
    session.devtools(
        "Page.addScriptToEvaluateOnNewDocument",
        &json!({ "source": watch }),
    );
    // What the page answers to a browser that asks whether its person may leave just so.
    let asks = || {
        let script = "
            const leaving = new Event('beforeunload', { cancelable: true });
            window.dispatchEvent(leaving);
            return leaving.defaultPrevented;";
        session.script(script, &json!([]))
    };
    let locks = || {
        let script = "return locks.map(({ type, error, sentinel }) => ({ type, error, released: sentinel?.released }))";
        session.script(script, &json!([]))
    };
    let path = Random {
        seed: 94,
        size: 3_000_000,
    }
    .write(phone.folder(), "film.mp4");
    phone.open(&network.url(&link.url));
    phone.pick(&[&path]);
    phone.sees(&row("ready"), 1);
    assert_eq!(
        (asks(), locks()),
        (json!(false), json!([])),
        "nothing is on its way"
    );
    phone.click(&mark("confirm"));
    phone.sees(&row("uploading"), 1);
    assert_eq!(asks(), true, "leaving would lose the upload");
    wait_for("a lock", WITHIN, || {
        (locks()[0] == json!({ "type": "screen", "error": null, "released": false })).then_some(())
    });
    phone.sees_within(&mark("success"), 1, WITHIN);
    assert_eq!(asks(), false, "all has arrived");
    wait_for("its release", WITHIN, || {
        (locks()[0]["released"] == json!(true)).then_some(())
    });
    assert_eq!(locks().as_array().map(Vec::len), Some(1), "{}", locks());
}

/// What a browser does with a page in the background, in a hundredth of the time.
const HIDE: &str = r#"
    const { setTimeout } = window;
    window.setTimeout = (then, ms, ...rest) => setTimeout(then, ms / 100, ...rest);
    window.hide = (hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    };
    hide(true);"#;

#[test]
fn what_became_of_a_file_is_shown_after_the_page_was_hidden_for_long() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let gate = Gate::before(&stage.edge.origin());
    let phone = Browser::english();
    let file = Random { seed: 33, size: 10 };
    let path = file.write(phone.folder(), "hidden.bin");
    phone.choose(&gate.url(&link.url), &path);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let _ = phone.session().script(HIDE, &json!([]));
    // A quarter of an hour.
    std::thread::sleep(Duration::from_secs(9));
    let _ = gate.passed();
    std::thread::sleep(Duration::from_secs(2));
    let passed = gate.passed();
    assert!(passed.is_empty(), "asked while nobody sees it: {passed:?}");
    let stored = app.get_link(link.id).files[0].clone();
    let path = format!("/v1/files/{}/receipt", stored.id);
    let receipt = app.call("POST", &path, &[], Some(&json!({ "status": "delivered" })));
    assert_eq!(receipt.status, 200, "{receipt:?}");
    let delivered = &file_receipt("delivered");
    assert_eq!(phone.count(delivered), 0);
    let _ = phone.session().script("hide(false)", &json!([]));
    phone.sees(delivered, 1);
}
