//! Two tabs that send the same file by one link, in Chromium.

use std::time::Duration;

use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::{ANY_FILE, ONE_FILE};
use chatlift_tests::fixtures::Random;
use chatlift_tests::network::{Network, Profile};
use chatlift_tests::stage::Stage;

const WITHIN: Duration = Duration::from_secs(90);

/// Slow enough that each has sent some of the file when the other goes on.
const NETWORK: Profile = Profile {
    bits_per_second: 40_000_000,
    round_trip: Duration::from_millis(20),
};

const FILE: Random = Random {
    seed: 970,
    size: 12_000_000,
};

/// One of them failed with "still being stored", or sent the whole file again and again: 59 to 84 MB.
#[test]
fn two_tabs_that_send_one_file_both_end_with_it() {
    for scene in [ANY_FILE, ONE_FILE] {
        let stage = Stage::new("tabs");
        let app = stage.edge.app();
        let link = app.link(scene);
        let network = Network::before(&stage.edge.origin(), NETWORK);
        let tabs = [Browser::english(), Browser::english()];
        for tab in &tabs {
            let path = FILE.write(tab.folder(), "film.mp4");
            tab.choose(&network.url(&link.url), &path);
        }
        for tab in &tabs {
            tab.click(&mark("confirm"));
        }
        for tab in &tabs {
            tab.sees_within(&mark("success"), 1, WITHIN);
            assert_eq!(tab.count(&row("failed")), 0);
        }
        let stored = app.get_link(link.id);
        assert_eq!((stored.files.len(), stored.uploads), (1, 0));
        assert_eq!(app.sha256(stored.files[0].id), FILE.sha256());
        // Neither knows of the other, so both may send all of it, with what each has on its way when the other
        // goes ahead; neither sends it again.
        let sent = network.sent();
        println!("two tabs, 12.0 MB: {:.1} MB sent", sent as f64 / 1e6);
        assert!(sent < 3 * FILE.size, "{sent} bytes were sent");
    }
}
