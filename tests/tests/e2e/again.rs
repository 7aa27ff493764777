//! Second thoughts: files that are taken back, and files that are chosen again after a reload, in Chromium.

use std::time::Duration;

use chatlift_shared::api::{DeletedReason, Link};
use chatlift_shared::limits::MIB;
use chatlift_tests::browser::{Browser, file_receipt, mark, row};
use chatlift_tests::edge::{ANY_FILE, ONE_FILE};
use chatlift_tests::fixtures::{self, Random, pdf};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);

/// Sends [`pdf`] and waits for the success.
fn send(phone: &Browser, link: &Link) {
    let path = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    phone.choose(&link.url, &path);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
}

fn focused(phone: &Browser) -> serde_json::Value {
    let script = "return document.activeElement.tagName";
    phone.session().script(script, &json!([]))
}

#[test]
fn a_sent_file_is_taken_back_once_that_is_meant_and_its_place_is_free_again() {
    let app = shared().edge.app();
    // Full with it, so that its page says so when it is opened again.
    let link = app.link(ONE_FILE);
    let phone = Browser::english();
    send(&phone, &link);
    phone.click(&mark("take-back"));
    phone.sees(&mark("take-back-confirm"), 1);
    assert_ne!(focused(&phone), json!("BODY"));
    phone.click(&mark("take-back-not"));
    phone.sees(&mark("take-back"), 1);
    assert_ne!(focused(&phone), json!("BODY"));
    assert_eq!(app.get_link(link.id).files[0].deleted_at, None);
    // Also after a reload, in the tab that sent it.
    phone.session().reload();
    phone.click(&mark("take-back"));
    phone.click(&mark("take-back-confirm"));
    phone.sees_within(&mark("file-receipt"), 0, WITHIN);
    let now = app.get_link(link.id);
    assert_eq!(now.files[0].deleted_reason, Some(DeletedReason::Withdrawn));
    phone.sees(&mark("problem"), 0);
    assert_ne!(focused(&phone), json!("BODY"));
    phone.sees(&mark("success"), 0);
    send(&phone, &link);
}

#[test]
fn what_the_app_has_taken_meanwhile_is_not_said_to_be_taken_back() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    send(&phone, &link);
    phone.click(&mark("take-back"));
    let path = format!("/v1/files/{}/receipt", app.get_link(link.id).files[0].id);
    for status in ["received", "delivered"] {
        let receipt = json!({ "status": status });
        assert_eq!(app.call("POST", &path, &[], Some(&receipt)).status, 200);
    }
    phone.click(&mark("take-back-confirm"));
    // Until it is looked at again, the reason stands there; then there is nothing to press.
    wait_for("the reason, or the receipt", WITHIN, || {
        let said = phone.count(&mark("take-back-error"));
        let told = phone.count(&file_receipt("delivered"));
        (said + told > 0).then_some(())
    });
    phone.sees(&mark("file-receipt"), 1);
    assert_eq!(app.get_link(link.id).files[0].deleted_at, None);
    phone.sees_within(&file_receipt("delivered"), 1, WITHIN);
    phone.sees(&mark("take-back"), 0);
}

#[test]
fn what_was_on_its_way_at_a_reload_is_named_until_it_is_chosen_again() {
    let link = shared().edge.app().link(ANY_FILE);
    let phone = Browser::english();
    let path = Random {
        seed: 97,
        size: 6 * MIB,
    }
    .write(phone.folder(), "holiday 50% <b>.mp4");
    phone.choose(&link.url, &path);
    phone.upload_at(500_000);
    wait_for("some of it", WITHIN, || {
        let percent = phone.attribute(&mark("file-progress"), "aria-valuenow")?;
        (percent.parse::<u32>().ok()? >= 10).then_some(())
    });
    phone.session().reload();
    phone.sees_within(&mark("waiting"), 1, WITHIN);
    let said = phone.read(&mark("waiting"));
    let percent = said.strip_prefix("holiday 50% <b>.mp4\u{a0}· ");
    let percent = percent.and_then(|rest| rest.strip_suffix('%'));
    let percent = percent.and_then(|percent| percent.parse::<u32>().ok());
    assert!(percent.is_some_and(|percent| percent >= 10), "{said}");
    phone.pick(&[&path]);
    phone.sees(&row("ready"), 1);
    phone.sees(&mark("waiting"), 0);
    phone.upload_at(50_000_000);
    phone.sees_within(&mark("success"), 1, WITHIN);
    phone.session().reload();
    phone.sees_within(&mark("file-receipt"), 1, WITHIN);
    phone.sees(&mark("waiting"), 0);
}

#[test]
fn what_was_on_its_way_is_named_under_its_own_link_alone() {
    let app = shared().edge.app();
    let (one, other) = (app.link(ANY_FILE), app.link(ANY_FILE));
    let phone = Browser::english();
    let path = Random {
        seed: 98,
        size: 6 * MIB,
    }
    .write(phone.folder(), "film.mp4");
    phone.choose(&one.url, &path);
    phone.upload_at(200_000);
    phone.sees_within(&row("uploading"), 1, WITHIN);
    phone.open(&other.url);
    phone.sees_within(&mark("pick-button"), 1, WITHIN);
    phone.sees(&mark("waiting"), 0);
    phone.open(&one.url);
    phone.sees_within(&mark("waiting"), 1, WITHIN);
    // What is taken off the list is not waited for any more.
    phone.pick(&[&path]);
    phone.click(&mark("remove"));
    phone.sees(&mark("file-row"), 0);
    phone.sees(&mark("waiting"), 0);
}

#[test]
fn a_picker_that_tells_of_nothing_takes_one_file_at_a_time_from_then_on() {
    let link = shared().edge.app().link(ANY_FILE);
    let phone = Browser::english();
    phone.open(&link.url);
    phone.sees("html[data-state=program]", 1);
    let run = |script: &str| phone.session().script(script, &json!([]));
    let several = || run("return document.getElementById('pick').multiple");
    assert_eq!(several(), json!(true));
    // Headless, no picker opens; these are the events of one that is opened, and closes.
    let opened = "const input = document.getElementById('pick');
        input.addEventListener('click', (event) => event.preventDefault());
        input.click();";
    let closed = "window.dispatchEvent(new Event('focus'));";
    // Called off by the person, it says so.
    let _ = run(&[opened, "input.dispatchEvent(new Event('cancel'));", closed].concat());
    std::thread::sleep(Duration::from_secs(2));
    phone.sees(&mark("notice"), 0);
    assert_eq!(several(), json!(true));
    let _ = run(&[opened, closed].concat());
    phone.sees_within(&mark("notice"), 1, WITHIN);
    assert_eq!(several(), json!(false));
    phone.session().reload();
    phone.sees("html[data-state=program]", 1);
    assert_eq!(several(), json!(false));
    let path = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    phone.pick(&[&path]);
    phone.sees(&row("ready"), 1);
    phone.sees(&mark("notice"), 0);
}
