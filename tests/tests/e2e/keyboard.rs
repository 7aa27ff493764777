//! The journey by the keyboard alone: what has the focus after each step.
//!
//! A focus that falls to the body sends its user to the top of the page; one that goes on to another file's
//! button does there with the next press what nobody asked for.

use std::time::Duration;

use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::engine::{Engine, Setting};
use chatlift_tests::fixtures::{self, Random, jpeg, pdf};
use chatlift_tests::network::{Network, Profile};
use chatlift_tests::stage::shared;
use chatlift_tests::webdriver::keys::{ENTER, TAB};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(90);

/// Slow enough that files can be held on their way, fast enough that a scenario takes seconds.
const NETWORK: Profile = Profile {
    bits_per_second: 40_000_000,
    round_trip: Duration::from_millis(20),
};

/// More than any page has that Tab stops at.
const STOPS: usize = 40;

/// What has the focus, by its `data-testid`, its id or its classes, and the file whose row it is in; nothing when it
/// is the page as a whole.
fn focused(phone: &Browser) -> String {
    let script = "const e = document.activeElement;
        if (!e || e === document.body || e === document.documentElement) return '';
        const row = e.closest('[data-name]');
        return (row ? row.dataset.name + ' ' : '') + (e.dataset.testid || e.id || e.className || e.tagName)";
    let focused = phone.session().script(script, &json!([]));
    focused.as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn has_focus(phone: &Browser, what: &str, when: &str) {
    assert_eq!(focused(phone), what, "{when}");
}

/// Goes on with Tab to what is asked for.
fn tab_to(phone: &Browser, what: &str) {
    let mut seen = Vec::new();
    for _ in 0..STOPS {
        phone.session().press(TAB);
        let here = focused(phone);
        if here == what {
            return;
        }
        seen.push(here);
    }
    panic!("Tab does not come to {what}: {seen:?}");
}

fn enter(phone: &Browser) {
    phone.session().press(ENTER);
}

/// The input is heard as what its label says.
#[track_caller]
fn is_named_as_its_label(phone: &Browser) {
    let label = phone.text(&mark("pick-button"));
    assert_eq!(phone.attribute("#pick", "aria-label"), Some(label));
}

fn the_focus_is_kept_through_the_whole_journey(engine: Engine) {
    let stage = shared();
    let link = stage.edge.app().link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), NETWORK);
    let phone = Browser::with(engine, &Setting::default());
    let film = Random {
        seed: 71,
        size: 16_000_000,
    };
    let film = film.write(phone.folder(), "film.mp4");
    let others = [("a.pdf", pdf()), ("b.jpg", jpeg())];
    let others = others.map(|(name, bytes)| fixtures::write(phone.folder(), name, &bytes));
    phone.open(&network.url(&link.url));
    phone.sees("html[data-state=program]", 1);
    phone.session().press(TAB);
    has_focus(&phone, "pick-input", "first of all");
    is_named_as_its_label(&phone);

    phone.pick(&[&others[0]]);
    phone.sees(&row("ready"), 1);
    has_focus(&phone, "pick-input", "after a pick");
    is_named_as_its_label(&phone);
    tab_to(&phone, "a.pdf remove");
    enter(&phone);
    phone.sees(&row("ready"), 0);
    has_focus(&phone, "pick-input", "after the only file was removed");

    phone.pick(&[&film, &others[0], &others[1]]);
    phone.sees(&row("ready"), 3);
    tab_to(&phone, "b.jpg remove");
    enter(&phone);
    phone.sees(&row("ready"), 2);
    has_focus(&phone, "card rows", "after the last file was removed");
    enter(&phone);
    tab_to(&phone, "a.pdf remove");
    assert_eq!(
        phone.count(&row("ready")),
        2,
        "a second press removed a file"
    );

    tab_to(&phone, "confirm");
    enter(&phone);
    phone.sees(&mark("pause-all"), 1);
    has_focus(&phone, "bar", "after the files were confirmed");
    tab_to(&phone, "pause-all");
    enter(&phone);
    phone.sees(&mark("resume-all"), 1);
    has_focus(&phone, "resume-all", "after all were paused");
    enter(&phone);
    phone.sees(&mark("pause-all"), 1);
    has_focus(&phone, "pause-all", "after all went on");
    phone.sees_within(&mark("success"), 1, WITHIN);
    has_focus(&phone, "success", "after all have arrived");
    is_named_as_its_label(&phone);
    phone.session().press(TAB);
    assert_ne!(focused(&phone), "", "after the success");
}

engines!(chromium: Chromium, firefox: Firefox, webkit: WebKit, chromium_64: Chromium64 => {
    the_focus_is_kept_through_the_whole_journey,
});
