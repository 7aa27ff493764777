//! Each file by itself, in Chromium: one rests, one is given up, the others go on; and one of
//! several GB.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_shared::limits::MIB;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::client::App;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::gate::{Gate, Rule};
use chatlift_tests::network::{Cut, Network, Profile};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);

/// Half a second or so for a file of the scenario.
const SLOW: Profile = Profile {
    bits_per_second: 16_000_000,
    round_trip: Duration::from_millis(20),
};

/// The row of a file, in any state.
fn of(name: &str) -> String {
    format!(r#"[data-name="{name}"]"#)
}

#[test]
fn one_file_rests_and_one_is_given_up_while_the_others_arrive() {
    const NAMES: [&str; 4] = ["rests.bin", "given-up.bin", "third.bin", "fourth.bin"];
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), SLOW);
    let phone = Browser::english();
    let file = |n: usize| Random {
        seed: 700 + n as u64,
        size: 2_000_000,
    };
    let paths: Vec<_> = (0..NAMES.len())
        .map(|n| file(n).write(phone.folder(), NAMES[n]))
        .collect();
    phone.open(&network.url(&link.url));
    phone.pick(&paths);
    phone.sees(&row("ready"), 4);
    // None is through before it is told what to do.
    network.hold_after(100_000);
    phone.click(&mark("confirm"));
    phone.click(&format!("{} {}", of(NAMES[0]), mark("pause")));
    phone.click(&format!("{} {}", of(NAMES[1]), mark("cancel")));
    phone.sees(&of(NAMES[1]), 0);
    network.release();
    phone.sees_within(&row("stored"), 2, WITHIN);

    // The others have arrived; this one has not moved since it was told to rest.
    let rests = format!(r#"{}[data-state="paused"]"#, of(NAMES[0]));
    phone.sees(&rests, 1);
    let percent = || {
        phone.attribute(
            &format!("{} {}", of(NAMES[0]), mark("file-progress")),
            "aria-valuenow",
        )
    };
    let (before, arrived) = (percent(), network.arrived());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(percent(), before, "it moved while it rested");
    assert!(
        network.arrived() - arrived < 10_000,
        "bytes of a resting file"
    );
    assert_eq!(phone.count(&mark("success")), 0, "one is not there yet");

    phone.click(&format!("{} {}", of(NAMES[0]), mark("resume")));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let stored: BTreeSet<_> = app
        .get_link(link.id)
        .files
        .into_iter()
        .map(|f| (f.name, app.sha256(f.id)))
        .collect();
    let wanted = [0, 2, 3].map(|n| (NAMES[n].to_owned(), file(n).sha256()));
    assert_eq!(stored, wanted.into());
    uploads(&app, &link, 0);
}

/// Waits until the link has so many uploads under way.
fn uploads(app: &App, link: &Link, count: u32) {
    wait_for(&format!("{count} uploads under way"), WITHIN, || {
        (app.get_link(link.id).uploads == count).then_some(())
    });
}

/// The edge has begun the upload, and its answer is still on its way.
#[test]
fn a_file_given_up_while_it_is_announced_leaves_nothing_behind() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let gate = Gate::before(&stage.edge.origin());
    gate.rule("/uploads", Rule::Hold);
    let phone = Browser::english();
    let path = Random {
        seed: 720,
        size: 2_000_000,
    }
    .write(phone.folder(), "given-up.bin");
    phone.choose(&gate.url(&link.url), &path);
    phone.click(&mark("confirm"));
    uploads(&app, &link, 1);
    phone.click(&format!("{} {}", of("given-up.bin"), mark("cancel")));
    phone.sees(&of("given-up.bin"), 0);
    gate.release();
    uploads(&app, &link, 0);
}

#[test]
fn a_file_given_up_while_the_network_is_away_leaves_nothing_behind() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), SLOW);
    let phone = Browser::english();
    let path = Random {
        seed: 721,
        size: 2_000_000,
    }
    .write(phone.folder(), "given-up.bin");
    phone.choose(&network.url(&link.url), &path);
    network.hold_after(100_000);
    phone.click(&mark("confirm"));
    network.wait_arrived(100_000, WITHIN);
    network.cut(Cut::Broken);
    phone.click(&format!("{} {}", of("given-up.bin"), mark("cancel")));
    phone.sees(&of("given-up.bin"), 0);
    std::thread::sleep(Duration::from_secs(2));
    uploads(&app, &link, 1);
    network.restore();
    network.release();
    uploads(&app, &link, 0);
}

/// Aborts the upload of `fails.bin` at the edge whenever the page sends of it, for as long as `aborting`.
const ABORT: &str = r#"
    window.aborting = true;
    const failing = new Set();
    const { open } = XMLHttpRequest.prototype;
    XMLHttpRequest.prototype.open = function (method, url, ...rest) {
      const [upload, id] = String(url).match(/^.*\/uploads\/([^/]+)(?=\/parts\/)/) ?? [];
      if (aborting && failing.has(id)) fetch(upload, { method: 'DELETE' });
      return open.call(this, method, url, ...rest);
    };
    const { fetch } = window;
    window.fetch = async (request) => {
      const announces = request.method === 'POST' && (await request.clone().text()).includes('"fails.bin"');
      const answer = await fetch(request);
      if (announces) failing.add((await answer.clone().json()).id);
      return answer;
    };"#;

#[test]
fn a_file_that_failed_is_tried_again_when_the_others_have_arrived() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), SLOW);
    let phone = Browser::english();
    let file = |seed| Random {
        seed,
        size: 6_000_000,
    };
    let (fails, arrives) = (file(711), file(712));
    let paths = [(fails, "fails.bin"), (arrives, "arrives.bin")]
        .map(|(file, name)| file.write(phone.folder(), name));
    phone.open(&network.url(&link.url));
    phone.pick(&[&paths[0], &paths[1]]);
    phone.sees(&row("ready"), 2);
    let _ = phone.session().script(ABORT, &json!([]));
    phone.click(&mark("confirm"));
    // Begun anew once by itself, and aborted again.
    phone.sees_within(
        &format!(r#"{}[data-state="failed"]"#, of("fails.bin")),
        1,
        WITHIN,
    );
    let _ = phone.session().script("aborting = false", &json!([]));
    assert!(phone.text(&mark("file-error")).contains("Try again"));
    phone.sees_within(&row("stored"), 1, WITHIN);
    let digests = || -> BTreeSet<_> {
        let files = app.get_link(link.id).files;
        files.into_iter().map(|f| app.sha256(f.id)).collect()
    };
    assert_eq!(digests(), [arrives.sha256()].into());
    phone.click(&format!("{} {}", of("fails.bin"), mark("retry")));
    phone.sees_within(&mark("success"), 1, WITHIN);
    assert_eq!(digests(), [arrives.sha256(), fails.sha256()].into());
}

/// 5 GiB are more than 32 bits hold: cut to those, it would be a file of 1 GiB, and taken.
#[test]
fn a_file_of_several_gb_over_the_limit_is_told_at_once_and_not_read() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let path = phone.folder().join("film.mp4");
    fs::File::create(&path)
        .and_then(|file| file.set_len(5 << 30))
        .expect("a file with no blocks");
    phone.open(&link.url);
    phone.sees(r#"html[data-state="program"]"#, 1);
    let (heap, resident) = (phone.heap(), phone.resident());
    phone.pick(&[&path]);
    // Said within the seconds that a person is given; to read the file would take longer.
    let said = phone.read(&mark("file-error"));
    let plain = said.replace('\u{a0}', " ");
    assert!(
        plain.contains("5 GB") && plain.contains("1 GB"),
        "neither its size nor the limit: {said:?}"
    );
    assert_eq!(phone.count(&mark("retry")), 0, "again would not help");
    let (heap, resident) = (
        phone.heap().saturating_sub(heap),
        phone.resident().saturating_sub(resident),
    );
    assert!(heap < 4 * MIB && resident < 64 * MIB, "{heap}, {resident}");
    assert_eq!(app.get_link(link.id).uploads, 0);
}
