//! Accessibility, as far as a program can tell: axe-core's rules for WCAG 2.2 AA, the size of what
//! is to be touched, and text of twice the size.

use std::fs;

use serde_json::{Value, json};
use xtask::root::at;

use crate::browser::Browser;

/// Smallest side of what is to be touched, in CSS pixels: more than WCAG 2.5.8 asks.
const TOUCH_MIN: u32 = 44;

/// The tags of axe-core's rules that make up WCAG 2.2 AA.
const TAGS: [&str; 6] = [
    "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa",
];

/// Has axe-core in every document that the browser opens from now on.
///
/// # Panics
/// When npm has not installed it.
pub fn prepare(phone: &Browser) {
    let path = at("node_modules/axe-core/axe.min.js");
    let source = fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; run `cargo xtask setup`", path.display()));
    let session = phone.session();
    session.devtools("Page.enable", &json!({}));
    let script = json!({ "source": source });
    session.devtools("Page.addScriptToEvaluateOnNewDocument", &script);
}

/// Shows the page as to a person who has this theme (`light`, `dark`), and wants no motion. Chromium 64 and 78 know
/// neither wish.
pub fn theme(phone: &Browser, theme: &str) {
    let features = json!({ "media": "", "features": [
        { "name": "prefers-color-scheme", "value": theme },
        { "name": "prefers-reduced-motion", "value": "reduce" },
    ] });
    phone
        .session()
        .devtools("Emulation.setEmulatedMedia", &features);
}

/// What axe-core finds wrong with the page as it stands, a line for each element.
#[must_use]
pub fn violations(phone: &Browser) -> Vec<String> {
    let script = "
        const run = { runOnly: { type: 'tag', values: arguments[0] }, resultTypes: ['violations'] };
        return axe.run(document, run).then(({ violations }) => [].concat(...violations.map((rule) =>
          rule.nodes.map((node) => `${rule.id}: ${node.html}: ${node.failureSummary}`))));";
    lines(&phone.session().script(script, &json!([TAGS])))
}

/// What is to be touched and is too small.
#[must_use]
pub fn small_targets(phone: &Browser) -> Vec<String> {
    let script = "
        const [min] = arguments;
        const all = document.querySelectorAll('a[href], button, summary, label, input, select');
        return [...all].filter((e) => {
          const box = e.getBoundingClientRect();
          const shown = e.checkVisibility({ visibilityProperty: true }) && box.width > 1;
          return shown && (box.width < min || box.height < min);
        }).map((e) => {
          const { width, height } = e.getBoundingClientRect();
          return `${e.outerHTML.slice(0, 120)}: ${width.toFixed(1)} x ${height.toFixed(1)}`;
        });";
    lines(&phone.session().script(script, &json!([TOUCH_MIN])))
}

/// The narrowest screen on which nothing may be lost, in CSS pixels (WCAG 1.4.10).
pub const NARROWEST: u32 = 320;

/// What is cut or sticks out when text has twice its size (WCAG 1.4.4) on [`NARROWEST`]. Asks nothing
/// that the oldest engines of the tests do not know.
#[must_use]
pub fn lost_at_twice_the_size(phone: &Browser) -> Vec<String> {
    let script = "
        const root = document.documentElement;
        root.style.fontSize = '200%';
        const out = [];
        // Only for those who hear the page.
        const unseen = (e) => e && (e.getBoundingClientRect().width <= 1 || unseen(e.parentElement));
        const drawn = (e) => e.getClientRects().length && getComputedStyle(e).visibility === 'visible' && !unseen(e);
        const told = (what, e) => out.push(`${what}: ${e.outerHTML.slice(0, 160)}`);
        const wider = (e) => e.scrollWidth > e.clientWidth + 1;
        if (wider(root)) out.push(`the page is ${root.scrollWidth} wide on a screen of ${root.clientWidth}`);
        for (const e of document.querySelectorAll('body *')) {
          if (!drawn(e)) continue;
          const style = getComputedStyle(e);
          const box = e.getBoundingClientRect();
          const letter = parseFloat(style.fontSize);
          // A thumbnail lies over its sheet's letters, and reaches out of the sheet when it is turned.
          const covered = e.matches('.glyph') && e.querySelector('canvas');
          const cuts = !covered && (style.overflowX === 'hidden' || style.overflowY === 'hidden');
          const text = e.innerText && e.innerText.trim();
          const more = wider(e) || e.scrollHeight > e.clientHeight + 1;
          // The head of a file's name loses its end by design, but not its beginning.
          const head = e.matches('.name bdi:not(:last-child)');
          if (head && wider(e) && box.width < 3 * letter) told('too short a beginning', e);
          if (!head && cuts && text && more) told('cut', e);
          if (e.matches('input') && wider(e)) told('cut', e);
          const leaf = e.children.length === 0 && text;
          if (!leaf) continue;
          if (box.left < -1 || box.right > root.clientWidth + 1) told('out of the screen', e);
          // Letters that run out of their own box, or of one that cuts.
          const letters = document.createRange();
          letters.selectNodeContents(e);
          const { left, right } = letters.getBoundingClientRect();
          for (let at = e; at && !head; at = at.parentElement) {
            const inside = at.getBoundingClientRect();
            const bounds = at === e ? getComputedStyle(e).display !== 'inline' : getComputedStyle(at).overflowX === 'hidden';
            if (bounds && (left < inside.left - 1 || right > inside.right + 1)) { told('out of its box', e); break; }
          }
        }
        // What of a text matches and stands in two lines.
        const broken = (node, pattern) => {
          const out = [];
          for (let found; (found = pattern.exec(node.data));) {
            const letters = document.createRange();
            letters.setStart(node, found.index);
            letters.setEnd(node, found.index + found[0].length);
            const lines = Array.from(letters.getClientRects(), (line) => Math.round(line.bottom));
            if (new Set(lines).size > 1) out.push(found[0]);
          }
          return out;
        };
        // Words in two lines. Chinese and Japanese break anywhere; names, addresses and numbers are no words.
        const whole = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (whole.nextNode()) {
          const node = whole.currentNode;
          const e = node.parentElement;
          if (!drawn(e) || e.closest('.name, dt, dd, .waits, .early, [data-testid=receipt-number], script, style')) continue;
          // A path is an address too.
          for (const word of broken(node, /[^\\s\\u3000-\\uffef-]+/g)) if (!word.includes('/')) told(`the word ${word} is broken`, e);
        }
        // A name's ending in two lines, as in 'uploaded.p' and 'df'.
        for (const e of document.querySelectorAll('.name, dt, .waits bdi, .early, li.yes bdi, li.no bdi')) {
          const texts = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
          while (drawn(e) && texts.nextNode()) {
            for (const ending of broken(texts.currentNode, /\\.[a-z0-9]{1,4}(?=$|,)/gi)) told(`the ending ${ending} is broken`, e);
          }
        }
        // 'Uploading 4' with '2%' close to it reads as 42%.
        const [said, percent] = [...document.querySelectorAll('.sum span')].map((e) => e.getBoundingClientRect());
        if (percent && Math.max(percent.left - said.right, said.left - percent.right) < 8) out.push('no gap before the percentage');
        // A line that begins with the dot which parts two texts: a letter of one, or put before the second of a row's.
        const last = (rects) => rects[rects.length - 1];
        const begins = (before, dot) => before && dot && dot.top >= before.bottom - 1;
        const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
          const node = texts.currentNode;
          const rects = (at) => {
            const letter = document.createRange();
            letter.setStart(node, at);
            letter.setEnd(node, at + 1);
            return letter.getClientRects();
          };
          for (let at = node.data.indexOf('·', 2); at > 0 && drawn(node.parentElement); at = node.data.indexOf('·', at + 1)) {
            if (begins(last(rects(at - 2)), rects(at)[0])) told('a line begins with a dot', node.parentElement);
          }
        }
        for (const { children: [one, two] } of document.querySelectorAll('.row .meta')) {
          if (two && begins(last(one.getClientRects()), two.getClientRects()[0])) told('a line begins with a dot', two);
        }
        // Buttons and words that stand on one another.
        const parts = [...document.querySelectorAll('.row .name, .row .acts, .row .meta, .glyph, .row .why, .row .again')].filter(drawn);
        for (const [at, one] of parts.entries()) for (const other of parts.slice(at + 1)) {
          const [a, b] = [one, other].map((e) => e.getBoundingClientRect());
          const over = (from, to) => Math.min(a[to], b[to]) - Math.max(a[from], b[from]) > 8;
          if (over('left', 'right') && over('top', 'bottom')) told('on another', one);
        }
        root.style.fontSize = '';
        return out;";
    phone.narrow(NARROWEST);
    lines(&phone.session().script(script, &json!([])))
}

fn lines(value: &Value) -> Vec<String> {
    let all = value.as_array().expect("a list");
    all.iter()
        .map(|line| line.as_str().unwrap_or_default().to_owned())
        .collect()
}
