//! The upload page in every engine: the journey, resume after whatever happened, and the page
//! where its program has not arrived or cannot run.
//!
//! Each scenario is written once and runs in Chromium, Firefox and WebKitGTK, and what most who open
//! a link need in Chromiums as old as those inside chat apps too; a failure names the engine by the
//! test's module.

use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_shared::digest::Sha256;
use chatlift_tests::browser::{Browser, file_receipt, mark, row};
use chatlift_tests::client::App;
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS, Edge};
use chatlift_tests::engine::{Engine, Setting};
use chatlift_tests::fixtures::{self, Random, elf, jpeg, pdf};
use chatlift_tests::gate::{Gate, NO_WASM, Rule, SANDBOX};
use chatlift_tests::network::{Network, Profile};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::{Stage, shared};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(90);

/// Fast enough that a scenario takes seconds.
const NETWORK: Profile = Profile {
    bits_per_second: 40_000_000,
    round_trip: Duration::from_millis(20),
};

/// 16 MB: some 3 s of [`NETWORK`], and two parts.
fn film(seed: u64) -> Random {
    Random {
        seed,
        size: 16_000_000,
    }
}

fn browser(engine: Engine) -> Browser {
    Browser::with(engine, &Setting::default())
}

/// Picks one file and confirms it.
fn begin(phone: &Browser, path: &std::path::Path) {
    phone.pick(&[path]);
    phone.sees(&row("ready"), 1);
    phone.click(&mark("confirm"));
}

/// Begins a file, and stops its network when so many bytes of it have arrived.
fn begin_up_to(bytes: u64, phone: &Browser, path: &std::path::Path, network: &Network) {
    network.hold_after(bytes);
    begin(phone, path);
    network.wait_arrived(bytes, WITHIN);
}

/// The one file that the link has is this one, and no upload is left over.
fn is_stored(edge: &Edge, link: &Link, file: Random) {
    let app = edge.app();
    let stored = app.get_link(link.id);
    let digests: Vec<_> = stored.files.iter().map(|f| app.sha256(f.id)).collect();
    assert_eq!(digests, [file.sha256()]);
    assert_eq!(stored.uploads, 0, "an upload was left over");
}

/// The link has one file, which is [`pdf`].
#[track_caller]
fn the_pdf_is_its_only_file(app: &App, link: &Link) {
    let files = app.get_link(link.id).files;
    assert_eq!(
        files.iter().map(|f| f.sha256).collect::<Vec<_>>(),
        [Some(Sha256::of(&pdf()))]
    );
}

/// What a connection holds beside the line, in bytes: the queue of the network, and two sockets on the way to
/// the edge.
const HELD: u64 = 64 * 1024 + 2 * 128 * 1024;

/// At most a hundredth of the file came twice, and what each of the two requests of the page before had on its
/// way: it comes after the next page was told what is staged. What never came is nobody's to keep.
fn little_came_twice(network: &Network, file: Random) {
    let again = network.arrived().saturating_sub(file.size);
    assert!(
        again <= file.size / 100 + 2 * (NETWORK.in_flight() + HELD),
        "{again} bytes of {} came twice, and {} never came",
        file.size,
        network.in_flight()
    );
}

fn files_go_from_the_phone_to_the_app(engine: Engine) {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let phone = browser(engine);
    phone.open(&link.url);
    let files = [("invoice.pdf", pdf()), ("damage 损坏.jpg", jpeg())];
    let paths: Vec<_> = files
        .iter()
        .map(|(name, bytes)| fixtures::write(phone.folder(), name, bytes))
        .collect();
    phone.pick(&[&paths[0], &paths[1]]);
    phone.sees(&row("ready"), 2);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    phone.sees(&mark("file-receipt"), 2);
    let stored = app.get_link(link.id).files;
    for (name, bytes) in &files {
        let file = stored.iter().find(|f| f.name == *name).expect("the file");
        assert!(app.content(file.id, &[]).body == *bytes, "{name}");
        // What the app says of it is shown, live.
        let status = json!({ "status": "delivered" });
        let path = format!("/v1/files/{}/receipt", file.id);
        assert!(app.call("POST", &path, &[], Some(&status)).status < 300);
    }
    let delivered = &file_receipt("delivered");
    phone.sees_within(delivered, 2, WITHIN);
    assert!(
        phone.text(delivered).contains("Ready in Harbour Insurance"),
        "{}",
        phone.text(delivered)
    );
}

fn an_upload_goes_on_after_a_reload(engine: Engine) {
    // It counts what is sent again, so nobody else may keep this edge busy.
    let stage = Stage::new("reload");
    let link = stage.edge.app().link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), NETWORK);
    let phone = browser(engine);
    let file = film(1);
    let path = file.write(phone.folder(), "film.mp4");
    phone.open(&network.url(&link.url));
    begin_up_to(6_000_000, &phone, &path, &network);
    phone.session().reload();
    network.release();
    begin(&phone, &path);
    phone.sees_within(&mark("success"), 1, WITHIN);
    is_stored(&stage.edge, &link, file);
    // Chromium 64 goes on sending a body that was refused at its first byte.
    if engine != Engine::Chromium64 {
        little_came_twice(&network, file);
    }
}

fn an_upload_goes_on_in_a_browser_that_remembers_nothing(engine: Engine) {
    // It counts what is sent again, so nobody else may keep this edge busy.
    let stage = Stage::new("fresh");
    let link = stage.edge.app().link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), NETWORK);
    let file = film(2);
    {
        let phone = browser(engine);
        let path = file.write(phone.folder(), "film.mp4");
        phone.open(&network.url(&link.url));
        begin_up_to(6_000_000, &phone, &path, &network);
        // The app is killed here, and all that it had stored goes with its profile.
    }
    network.release();
    let phone = browser(engine);
    let path = file.write(phone.folder(), "film.mp4");
    phone.open(&network.url(&link.url));
    begin(&phone, &path);
    phone.sees_within(&mark("success"), 1, WITHIN);
    is_stored(&stage.edge, &link, file);
    little_came_twice(&network, file);
}

fn an_upload_goes_on_when_the_edge_was_killed(engine: Engine) {
    let mut stage = Stage::new("killed");
    let link = stage.edge.app().link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), NETWORK);
    let phone = browser(engine);
    let file = film(3);
    let path = file.write(phone.folder(), "film.mp4");
    phone.open(&network.url(&link.url));
    begin_up_to(6_000_000, &phone, &path, &network);
    stage.edge.kill();
    network.release();
    wait_for("the page to notice", WITHIN, || {
        phone
            .text(&mark("file-row"))
            .contains("Connection lost")
            .then_some(())
    });
    assert_eq!(phone.count(&row("failed")), 0, "it gave up");
    stage.edge.start();
    phone.sees_within(&mark("success"), 1, WITHIN);
    is_stored(&stage.edge, &link, file);
}

fn a_swapped_file_is_stored_as_it_was_picked_last(engine: Engine) {
    // What arrives in which order is looked at, so nobody else may keep this edge busy.
    let stage = Stage::new("swapped");
    let link = stage.edge.app().link(ANY_FILE);
    let network = Network::before(&stage.edge.origin(), NETWORK);
    let phone = browser(engine);
    // Of more parts than are on their way at once: all of a shorter one may lie in buffers when its page is
    // left, and then it arrives and is a file.
    let long = |film| Random {
        size: 40_000_000,
        ..film
    };
    let (first, second) = (long(film(4)), long(film(5)));
    let path = first.write(phone.folder(), "film.mp4");
    phone.open(&network.url(&link.url));
    begin_up_to(10_000_000, &phone, &path, &network);
    phone.leave();
    network.release();
    let path = second.write(phone.folder(), "film.mp4");
    phone.open(&network.url(&link.url));
    begin(&phone, &path);
    phone.sees_within(&mark("success"), 1, WITHIN);
    is_stored(&stage.edge, &link, second);
    let stored = stage.edge.app().get_link(link.id).files.remove(0);
    let content = stage.edge.app().content(stored.id, &[]).body;
    assert!(content == second.read(0, second.size), "not byte for byte");
}

fn a_pick_made_before_the_program_arrives_is_taken_over(engine: Engine) {
    let stage = shared();
    let link = stage.edge.app().link(DOCUMENTS);
    let gate = Gate::before(&stage.edge.origin());
    gate.rule(".wasm", Rule::Hold);
    let phone = browser(engine);
    phone.open(&gate.url(&link.url));
    wait_for("the program to be asked for", WITHIN, || {
        (gate.held() > 0).then_some(())
    });
    assert_eq!(
        phone.attribute("html", "data-state").as_deref(),
        Some("loading")
    );
    let path = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    phone.pick(&[&path]);
    phone.sees(&mark("file-row"), 0);
    gate.release();
    phone.sees_within(&row("ready"), 1, WITHIN);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let files = stage.edge.app().get_link(link.id).files;
    assert_eq!(files[0].sha256, Some(Sha256::of(&pdf())));
}

/// Its answer never comes; the pick was made while it was waited for.
fn a_program_that_stalls_leaves_the_form(engine: Engine) {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let gate = Gate::before(&stage.edge.origin());
    gate.rule(".wasm", Rule::Hold);
    let phone = browser(engine);
    phone.open(&gate.url(&link.url));
    let path = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    phone.pick(&[&path]);
    // What was picked is told, and that something goes on.
    let early = phone.read("#early");
    assert_eq!(early.replace('\u{200b}', ""), "invoice.pdf");
    phone.sees("html[data-state=form]", 1);
    assert!(gate.held() > 0, "the program is not held back");
    send(&phone);
    phone.sees_within("li.yes", 1, WITHIN);
    the_pdf_is_its_only_file(&app, &link);
}

fn a_program_that_comes_late_takes_the_page_over(engine: Engine) {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let gate = Gate::before(&stage.edge.origin());
    gate.rule(".wasm", Rule::Hold);
    let phone = browser(engine);
    phone.open(&gate.url(&link.url));
    phone.sees("html[data-state=form]", 1);
    let path = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    phone.pick(&[&path]);
    gate.release();
    phone.sees(&row("ready"), 1);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    assert_eq!(app.get_link(link.id).files.len(), 1);
}

fn a_program_that_fails_to_arrive_once_is_fetched_again(engine: Engine) {
    let stage = shared();
    let link = stage.edge.app().link(DOCUMENTS);
    let gate = Gate::before(&stage.edge.origin());
    gate.rule(".wasm", Rule::DropOnce);
    let phone = browser(engine);
    phone.open(&gate.url(&link.url));
    phone.sees("html[data-state=program]", 1);
}

/// Presses the form's own button.
fn send(phone: &Browser) {
    wait_for("the form's button", WITHIN, || {
        let button = phone.session().find(&mark("form-send"))?;
        phone.session().click(&button).ok()
    });
}

fn without_script_the_form_uploads(engine: Engine) {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let gate = Gate::before(&stage.edge.origin());
    let mut url = link.url.clone();
    if engine == Engine::WebKit {
        let token = app.page(&link).token().to_owned();
        gate.rule(&token, Rule::Header(SANDBOX));
        url = gate.url(&link.url);
    }
    let phone = Browser::with(
        engine,
        &Setting {
            script: false,
            ..Setting::default()
        },
    );
    phone.open(&url);
    assert!(
        phone.session().find("html[data-state]").is_none(),
        "a script ran"
    );
    let path = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    phone.pick(&[&path]);
    send(&phone);
    wait_for("the page that says what became of it", WITHIN, || {
        phone.session().find("li.yes")
    });
    let _ = stage
        .receiver
        .wait_stored(link.id, Sha256::of(&pdf()), WITHIN);
    the_pdf_is_its_only_file(&app, &link);
}

/// Both ways in which a program does not come to run: its file is kept away, or the engine may
/// not compile it.
fn without_webassembly_the_form_uploads_and_says_what_it_refused(engine: Engine) {
    let stage = shared();
    let app = stage.edge.app();
    let phone = browser(engine);
    let good = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    let bad = fixtures::write(phone.folder(), "program.pdf", &elf());
    for dropped in [true, false] {
        let link = app.link(DOCUMENTS);
        let gate = Gate::before(&stage.edge.origin());
        if dropped {
            gate.rule(".wasm", Rule::Drop);
        } else {
            let token = app.page(&link).token().to_owned();
            gate.rule(&token, Rule::Header(NO_WASM));
        }
        phone.open(&gate.url(&link.url));
        phone.sees("html[data-state=form]", 1);
        phone.pick(&[&good, &bad]);
        send(&phone);
        phone.sees_within("li.yes", 1, WITHIN);
        phone.sees("li.no", 1);
        the_pdf_is_its_only_file(&app, &link);
    }
}

engines!(chromium: Chromium, firefox: Firefox, webkit: WebKit => {
    files_go_from_the_phone_to_the_app,
    an_upload_goes_on_after_a_reload,
    an_upload_goes_on_in_a_browser_that_remembers_nothing,
    an_upload_goes_on_when_the_edge_was_killed,
    a_swapped_file_is_stored_as_it_was_picked_last,
    a_pick_made_before_the_program_arrives_is_taken_over,
    a_program_that_stalls_leaves_the_form,
    a_program_that_comes_late_takes_the_page_over,
    a_program_that_fails_to_arrive_once_is_fetched_again,
    without_script_the_form_uploads,
    without_webassembly_the_form_uploads_and_says_what_it_refused,
});

engines!(chromium_64: Chromium64, chromium_78: Chromium78, chromium_86: Chromium86 => {
    files_go_from_the_phone_to_the_app,
    an_upload_goes_on_after_a_reload,
    a_pick_made_before_the_program_arrives_is_taken_over,
    a_program_that_stalls_leaves_the_form,
    a_program_that_comes_late_takes_the_page_over,
    a_program_that_fails_to_arrive_once_is_fetched_again,
    without_script_the_form_uploads,
    without_webassembly_the_form_uploads_and_says_what_it_refused,
});
