//! A tour through every state of the upload page, in one language, in a Chromium of any age: what
//! accessibility checks and screenshots have in common.

use std::path::PathBuf;
use std::time::Duration;

use chatlift_shared::limits::MIB;
use serde_json::json;

use crate::browser::{Browser, file_receipt, mark, row};
use crate::edge::{ANY_FILE, DOCUMENTS, ONE_FILE, PAGES};
use crate::fixtures::{self, Random, elf, jpeg, pdf, png};
use crate::gate::{Gate, Rule};
use crate::network::{Cut, Network, Profile};
use crate::scratch::{now, wait_for};
use crate::stage::Stage;

/// The languages of the page.
pub const LANGUAGES: [&str; 6] = ["en", "zh-CN", "zh-TW", "ja", "es", "ar"];

/// The states, in the order of the tour.
pub const STATES: [&str; 23] = [
    "empty",
    "pages",
    "expired",
    "unknown",
    "full",
    "in-app",
    "form",
    "form-result",
    "marks",
    "finishing",
    "done",
    "details",
    "take-back",
    "success",
    "loading",
    "picked",
    "uploading",
    "paused",
    "waiting",
    "offline",
    "failed",
    "revoked",
    "again",
];

/// The browser of WeChat on an Android phone; `ENGINE` is the version of its engine, by which the edge knows what the
/// engine takes.
const WECHAT: &str = "Mozilla/5.0 (Linux; Android 13; SM-A536B Build/TP1A.220624.014; wv) \
    AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/ENGINE Mobile Safari/537.36 \
    XWEB/1160065 MMWEBSDK/20230805 MMWEBID/1234 MicroMessenger/8.0.42.2460(0x28002A35) \
    WeChat/arm64 Weixin NetType/4G Language/zh_CN ABI/arm64";

/// How long anything on the tour may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Fast, for all but the upload that is looked at.
const FAST: Profile = Profile {
    bits_per_second: 200_000_000,
    round_trip: Duration::ZERO,
};

/// An upload on it does not end while it is looked at.
const SLOW: Profile = Profile {
    bits_per_second: 2_000_000,
    round_trip: Duration::from_millis(20),
};

/// Drives the page into each of [`STATES`], and calls `look` in it.
///
/// # Panics
/// When the page does not come into a state.
pub fn tour(stage: &Stage, phone: &Browser, lang: &str, look: &mut dyn FnMut(&str)) {
    let network = Network::before(&stage.edge.origin(), FAST);
    let gate = Gate::before(&network.origin());
    let tour = Tour {
        stage,
        phone,
        lang,
        network,
        gate,
    };
    tour.without_files(look);
    tour.without_program(look);
    tour.arrived(look);
    tour.on_the_way(look);
}

struct Tour<'a> {
    stage: &'a Stage,
    phone: &'a Browser,
    lang: &'a str,
    network: Network,
    gate: Gate,
}

impl Tour<'_> {
    fn open(&self, url: &str) {
        let url = format!("{}?lang={}", self.gate.url(url), self.lang);
        self.phone.open(&url);
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fixtures::write(self.phone.folder(), name, bytes)
    }

    /// Links that take files, and such that take none.
    fn without_files(&self, look: &mut dyn FnMut(&str)) {
        let app = self.stage.edge.app();
        let expired = app.link_with(json!({ "scene": DOCUMENTS, "expires_in": 1 }));
        let good = app.link(DOCUMENTS);
        self.open(&good.url);
        self.phone.sees("html[data-state=program]", 1);
        look("empty");
        self.open(&app.link(PAGES).url);
        let pages = [
            ("front.jpg", jpeg()),
            ("back.png", png()),
            ("letter.pdf", pdf()),
        ];
        self.phone
            .pick(&pages.map(|(name, bytes)| self.write(name, &bytes)));
        self.phone.sees(&row("ready"), 3);
        self.phone.sees(".row canvas", 2);
        self.phone
            .click(&format!("[data-name='back.png'] {}", mark("turn")));
        look("pages");
        std::thread::sleep(now().until(expired.expires_at) + Duration::from_millis(50));
        self.open(&expired.url);
        let _ = self.phone.problem();
        look("expired");
        self.open(&good.url[..good.url.len() - 6]);
        let _ = self.phone.problem();
        look("unknown");
        let full = app.link(ONE_FILE);
        let _ = app.page(&full).store("a.pdf", &pdf());
        self.open(&full.url);
        let _ = self.phone.problem();
        // Who asked stands above what became of it.
        self.phone.sees("#head:not([hidden]) h1", 1);
        let _ = self.phone.read("#asks");
        look("full");

        let session = self.phone.session();
        let usual = session.script("return navigator.userAgent", &json!([]));
        let agent = |agent: &str| {
            let agent = json!({ "userAgent": agent });
            session.devtools("Network.setUserAgentOverride", &agent);
        };
        let engine = usual.as_str().and_then(|agent| agent.split_once("Chrome/"));
        let engine = engine.and_then(|(_, rest)| rest.split(' ').next());
        agent(&WECHAT.replace("ENGINE", engine.expect("a Chromium")));
        self.open(&good.url);
        self.phone
            .click(&format!("{} summary", mark("in-app-help")));
        look("in-app");
        agent(usual.as_str().unwrap_or_default());
    }

    /// The plain form, and its answer.
    fn without_program(&self, look: &mut dyn FnMut(&str)) {
        let link = self.stage.edge.app().link(DOCUMENTS);
        let session = self.phone.session();
        session.devtools("Network.enable", &json!({}));
        let block = |urls: &[&str]| {
            session.devtools("Network.setBlockedURLs", &json!({ "urls": urls }));
        };
        block(&["*.wasm"]);
        self.open(&link.url);
        self.phone.sees("html[data-state=form]", 1);
        let gap = "return document.querySelector('.zone').getBoundingClientRect().top
            - document.querySelector('#pick').getBoundingClientRect().bottom";
        let gap = session.script(gap, &json!([]));
        assert_eq!(gap.as_f64(), Some(0.0), "the input stands outside its card");
        let said = "const said = document.querySelector('.choose');
            return said.getClientRects().length && said.textContent.trim() !== ''";
        let said = session.script(said, &json!([]));
        assert_eq!(said, json!(true), "what the input is for");
        look("form");
        let good = self.write("invoice.pdf", &pdf());
        let bad = self.write("program.pdf", &elf());
        self.phone.pick(&[&good, &bad]);
        self.phone.click(&mark("form-send"));
        self.phone.sees("li.no", 1);
        look("form-result");
        block(&[]);
    }

    /// What has arrived, and what became of it.
    fn arrived(&self, look: &mut dyn FnMut(&str)) {
        let app = self.stage.edge.app();
        let link = app.link(ANY_FILE);
        let page = app.page(&link);
        let _ = page.store("uploaded.pdf", &pdf());
        for (name, bytes, receipt) in [
            ("received.png", png(), json!({ "status": "received" })),
            ("ready.jpg", jpeg(), json!({ "status": "delivered" })),
            (
                "protected.docx",
                elf(),
                json!({ "status": "rejected", "code": "password-protected",
                    "reason": "It has a password." }),
            ),
        ] {
            let file = page.store(name, &bytes);
            let path = format!("/v1/files/{}/receipt", file.id);
            let told = app.call("POST", &path, &[], Some(&receipt));
            assert!(told.status < 300, "{}", told.text());
        }
        self.open(&link.url);
        self.phone.sees(&mark("file-receipt"), 4);
        look("marks");
        let film = Random {
            seed: 20,
            size: 2 * MIB,
        };
        let path = film.write(self.phone.folder(), "holiday.mp4");
        self.phone.pick(&[&path]);
        self.gate.rule("/parts/1", Rule::HoldStatus(200));
        self.phone.click(&mark("confirm"));
        self.phone.sees_within(&row("completing"), 1, WITHIN);
        look("finishing");
        self.gate.release();
        // Looking may have taken longer than the page waits for an answer; then it asks again.
        self.phone.sees_within(&mark("success"), 1, WITHIN);
        let success = self.phone.text(&mark("success"));
        assert!(
            success.contains('5'),
            "of all files that are listed: {success}"
        );
        look("done");
        self.phone.click("section.card details summary");
        look("details");
        self.phone.click(&mark("take-back"));
        self.phone.sees(&mark("take-back-confirm"), 1);
        look("take-back");
        let link = app.link(ANY_FILE);
        self.open(&link.url);
        self.phone.pick(&[self.write("invoice.pdf", &pdf())]);
        self.phone.click(&mark("confirm"));
        self.phone.sees_within(&mark("success"), 1, WITHIN);
        let file = app.get_link(link.id).files[0].id;
        let path = format!("/v1/files/{file}/receipt");
        let ready = json!({ "status": "delivered" });
        assert!(app.call("POST", &path, &[], Some(&ready)).status < 300);
        self.phone
            .sees_within(&file_receipt("delivered"), 1, WITHIN);
        look("success");
    }

    /// A pick before the program, and an upload with all that can happen to it.
    fn on_the_way(&self, look: &mut dyn FnMut(&str)) {
        let app = self.stage.edge.app();
        let link = app.link(ANY_FILE);
        let phone = self.phone;
        let _ = phone.session().devtools(
            "Network.setCacheDisabled",
            &json!({ "cacheDisabled": true }),
        );
        self.gate.rule(".wasm", Rule::Hold);
        self.open(&link.url);
        wait_for("the program to be asked for", WITHIN, || {
            (self.gate.held() > 0).then_some(())
        });
        let early = self.write("early.pdf", &pdf());
        phone.pick(&[&early]);
        look("loading");
        self.gate.release();
        phone.sees(&row("ready"), 1);
        let film = Random {
            seed: 19,
            size: 8 * MIB,
        }
        .write(phone.folder(), "film.mp4");
        let long = "a very long name of a scanned document that somebody never shortened, 2026-11-25 (copy 3).jpeg";
        let others = [
            self.write(long, &jpeg()),
            self.write("فاتورة رقم ١٢٣.pdf", &png()),
            self.write("empty.txt", b""),
            film,
        ];
        phone.pick(&others);
        phone.sees(&row("ready"), 4);
        // Of the photo, and of the one that is called a PDF.
        phone.sees(".row canvas", 2);
        look("picked");
        self.network.set(SLOW);
        phone.click(&mark("confirm"));
        let film = format!(r#"{}[data-name="film.mp4"]"#, row("uploading"));
        phone.sees_within(&film, 1, WITHIN);
        wait_for("a speed", WITHIN, || {
            // How far it is and that the page be kept open, the speed, and the time left.
            (phone.text(".bar .small").matches('·').count() >= 3).then_some(())
        });
        look("uploading");
        phone.click(&mark("pause-all"));
        phone.sees(&row("paused"), 1);
        look("paused");
        phone.click(&mark("resume-all"));
        phone.sees_within(&film, 1, WITHIN);
        let note = format!("{film} .meta");
        self.network.cut(Cut::Broken);
        wait_for("the page to notice", WITHIN, || {
            // The size goes for a sentence.
            (!phone.text(&note).contains("8 MB")).then_some(())
        });
        look("waiting");
        phone.session().offline(true);
        wait_for("the page to notice", WITHIN, || {
            let script = "return navigator.onLine";
            (phone.session().script(script, &json!([])) == json!(false)).then_some(())
        });
        std::thread::sleep(Duration::from_millis(500));
        look("offline");
        phone.session().offline(false);
        assert_eq!(app.revoke(link.id).status, 204);
        self.network.restore();
        self.network.set(FAST);
        phone.sees_within(&row("failed"), 1, WITHIN);
        look("failed");
        self.open(&link.url);
        let _ = phone.problem();
        look("revoked");
        self.network.set(SLOW);
        let link = app.link(ANY_FILE);
        self.open(&link.url);
        phone.pick(&others[3..]);
        phone.click(&mark("confirm"));
        phone.sees_within(&row("uploading"), 1, WITHIN);
        phone.session().reload();
        phone.sees_within(&mark("waiting"), 1, WITHIN);
        look("again");
    }
}
