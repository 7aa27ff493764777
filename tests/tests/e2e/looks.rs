//! The page's style in Chromiums as old as those inside chat apps: it asks nothing of them that they
//! do not know, and stands where it stands in a current one.

use chatlift_tests::axe;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::DOCUMENTS;
use chatlift_tests::engine::{Engine, Setting};
use chatlift_tests::fixtures::{self, elf, jpeg, pdf};
use chatlift_tests::gate::{Gate, Rule};
use chatlift_tests::stage::shared;
use serde_json::{Value, json};

/// Pseudo-classes whose rules may be passed over by engines that do not know them.
const OPTIONAL: [&str; 1] = [":focus-visible"];

/// What of the document's own style sheets the engine does not know: a selector, or a declaration
/// with no other of the same property beside it that it knows. A variable beside `env()` makes a
/// declaration valid until it is computed, and nothing after that.
const UNKNOWN: &str = r"
    const unknown = [];
    const knows = (name, value) => !(value.includes('var(') && value.includes('env(')) && CSS.supports(name, value);
    for (const style of document.querySelectorAll('head style')) {
      for (const [, selector, body] of style.textContent.replace(/\/\*[^]*?\*\//g, '').split('}').map((s) => s.match(/([^{]*)\{([^{]*)$/) || ['', '', ''])) {
        // A step of an animation has no selector.
        if (!/%$/.test(selector.trim())) try { document.querySelector(selector.trim() || '*'); } catch (e) {
          if (!arguments[0].some((known) => selector.includes(known))) unknown.push(selector.trim());
        }
        const lines = body.split(';').map((line) => line.split(/:(.*)/)).filter((pair) => pair.length > 1);
        const good = new Set();
        const name = (pair) => pair[0].trim().replace(/^-(webkit|moz)-/, '');
        for (const pair of lines) {
          const value = pair[1].replace(/!important/, '').trim();
          if (pair[0].trim().startsWith('--') || knows(pair[0].trim(), value)) good.add(name(pair));
        }
        for (const pair of lines) if (!good.has(name(pair))) unknown.push(selector.trim() + ' { ' + pair[0] + ':' + pair[1] + ' }');
      }
    }
    return unknown;";

/// Left and right edge of what a person sees, in CSS pixels, in the order of the document.
const EDGES: &str = "
    const all = document.querySelectorAll('h1, .mono, .row, .glyph, .acts, .btn, .sum, .bar, .zone, .rules, .plus');
    return [...all].filter((e) => e.getClientRects().length).map((e) => {
      const box = e.getBoundingClientRect();
      return [e.className || e.tagName, Math.round(box.left), Math.round(box.right)];
    });";

/// Ends transitions, in whose middle a colour is none of the style's. Old engines know no wish for less motion.
const NO_MOTION: &str =
    "document.styleSheets[0].insertRule('* { transition: none !important }', 0);";

/// How far an edge may be from where a current engine has it, in CSS pixels: letters are drawn by
/// other versions of the same libraries.
const NEAR: u64 = 2;

/// A page with two picked files in this language, on the screen of a phone.
fn picked(engine: Engine, lang: &str) -> Browser {
    let phone = Browser::with(engine, &Setting::default());
    pick_two(&phone, lang);
    phone
}

fn pick_two(phone: &Browser, lang: &str) {
    let link = shared().edge.app().link(DOCUMENTS);
    phone.narrow(412);
    phone.open(&format!("{}?lang={lang}", link.url));
    let paths = [("invoice.pdf", pdf()), ("damage.jpg", jpeg())]
        .map(|(name, bytes)| fixtures::write(phone.folder(), name, &bytes));
    phone.pick(&paths);
    phone.sees(&row("ready"), 2);
}

fn no_rule_is_lost_on_it(engine: Engine) {
    let phone = picked(engine, "en");
    let unknown = |phone: &Browser| phone.session().script(UNKNOWN, &json!([OPTIONAL]));
    assert_eq!(unknown(&phone), json!([]), "the page");
    // And what the plain form is answered with.
    let stage = shared();
    let link = stage.edge.app().link(DOCUMENTS);
    let gate = Gate::before(&stage.edge.origin());
    gate.rule(".wasm", Rule::Drop);
    phone.open(&gate.url(&link.url));
    phone.sees("html[data-state=form]", 1);
    phone.pick(&[fixtures::write(phone.folder(), "program.pdf", &elf())]);
    phone.click(&mark("form-send"));
    phone.sees("li.no", 1);
    assert_eq!(unknown(&phone), json!([]), "the form's answer");
}

fn all_stands_where_a_current_engine_has_it(engine: Engine) {
    for lang in ["en", "ar"] {
        let [old, new] = [engine, Engine::Chromium].map(|engine| {
            let phone = picked(engine, lang);
            phone.session().script(EDGES, &json!([]))
        });
        let (old, new) = (edges(&old), edges(&new));
        assert!(new.len() > 8, "{new:?}");
        assert_eq!(old.len(), new.len(), "{lang}: {old:?}");
        for (old, new) in old.iter().zip(&new) {
            let near = |a: i64, b: i64| a.abs_diff(b) <= NEAR;
            assert!(
                old.0 == new.0 && near(old.1, new.1) && near(old.2, new.2),
                "{lang}: {old:?} is not at {new:?}"
            );
        }
    }
}

fn edges(value: &Value) -> Vec<(String, i64, i64)> {
    serde_json::from_value(value.clone()).expect("names and edges")
}

fn axe_finds_nothing_wrong_with_it(engine: Engine) {
    let phone = Browser::with(engine, &Setting::default());
    axe::prepare(&phone);
    for lang in ["en", "ar"] {
        pick_two(&phone, lang);
        let _ = phone.session().script(NO_MOTION, &json!([]));
        assert_eq!(axe::violations(&phone), Vec::<String>::new(), "{lang}");
    }
}

fn nothing_is_lost_on_a_narrow_screen_at_twice_the_size(engine: Engine) {
    for lang in ["en", "ar"] {
        let phone = picked(engine, lang);
        let names = [
            "a very long name of a scanned document that somebody never shortened (copy 3).jpeg",
            "فاتورة رقم ١٢٣ من الشركة العربية.jpg",
            "WWWWWWWWWWWWWWWWWWWW.jpeg",
        ];
        let more = names.map(|name| fixtures::write(phone.folder(), name, &jpeg()));
        phone.pick(&more);
        phone.sees(".row", 5);
        let lost = axe::lost_at_twice_the_size(&phone);
        assert!(lost.is_empty(), "{lang}:\n{}", lost.join("\n"));
    }
}

fn the_focus_is_seen_on_what_can_be_pressed(engine: Engine) {
    let phone = picked(engine, "en");
    let outline = |css: &str| {
        let script = "const e = document.querySelector(arguments[0]); e.focus(); return getComputedStyle(e).outlineStyle";
        phone.session().script(script, &json!([css]))
    };
    assert_eq!(outline(&mark("confirm")), json!("solid"));
    // What only takes the focus of what went away shows it where the engine tells a key from a tap.
    let knows = engine == Engine::Chromium86;
    let expected = json!(if knows { "solid" } else { "none" });
    assert_eq!(outline(".bar"), expected);
    assert_eq!(outline(".row"), expected);
}

/// Its own dates are in digits that nothing else on the page is in.
fn a_date_is_in_the_digits_of_all_other_numbers(engine: Engine) {
    let phone = picked(engine, "ar");
    let foot = phone.read(".foot");
    assert!(foot.contains("20"), "no year in {foot}");
    assert!(!foot.contains(|c| ('٠'..='٩').contains(&c)), "{foot}");
}

engines!(chromium_64: Chromium64, chromium_78: Chromium78, chromium_86: Chromium86 => {
    no_rule_is_lost_on_it,
    all_stands_where_a_current_engine_has_it,
    axe_finds_nothing_wrong_with_it,
    nothing_is_lost_on_a_narrow_screen_at_twice_the_size,
    the_focus_is_seen_on_what_can_be_pressed,
    a_date_is_in_the_digits_of_all_other_numbers,
});
