//! Elements, and what follows Leptos's signals.
//!
//! Leptos's `view!` makes a type of every element, and the compiler builds code for each. That is
//! fast to run and long to load: for this page it was half of the program. Here an element is one
//! line of text, made by one function, and only what changes is a Leptos effect: a piece that is
//! drawn again, a text, an attribute. An effect lives as long as the piece that it was made in.
//!
//! Clicks are not listened to one by one: an element says what it does in `data-do`, and for which
//! file in `data-key`; one listener on the document reads that.

use std::cell::RefCell;
use std::rc::Rc;

use chatlift_frontend::format;
use reactive_graph::effect::RenderEffect;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement};

use crate::dom;

/// Effects of a piece, dropped with it, and what it was drawn for.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<RenderEffect<Kept>>>>, &'static str);

/// An element, to put more into.
#[derive(Clone)]
pub(crate) struct At {
    node: Element,
    kept: Kept,
}

impl At {
    /// The place that everything is put into. What follows signals in it does so for ever.
    pub(crate) fn root(node: Element) -> Self {
        let kept = Kept::default();
        std::mem::forget(kept.clone());
        Self { node, kept }
    }

    /// Adds an element: `tag.class|attribute=value|...`. A class may hold spaces.
    pub(super) fn el(&self, spec: &str) -> Self {
        let (first, mut rest) = halve(spec, b'|');
        let (tag, class) = halve(first, b'.');
        let document = dom::document();
        // Tags are literals of this crate, so there is always an element.
        let node = document
            .create_element(tag)
            .unwrap_or_else(|_| self.node.clone());
        let child = Self {
            node,
            kept: self.kept.clone(),
        };
        if !class.is_empty() {
            child.attr("class", class);
        }
        while !rest.is_empty() {
            let (part, others) = halve(rest, b'|');
            let (name, value) = halve(part, b'=');
            child.attr(name, value);
            rest = others;
        }
        let _ = self.node.append_child(&child.node);
        child
    }

    /// Sets an attribute.
    pub(super) fn attr(&self, name: &str, value: &str) -> &Self {
        let _ = self.node.set_attribute(name, value);
        self
    }

    /// Sets the text.
    pub(super) fn text(&self, text: &str) -> &Self {
        self.node.set_text_content(Some(text));
        self
    }

    /// Adds an element with a text. It is taken, so that not every caller has to drop it.
    pub(super) fn say(&self, spec: &str, text: String) {
        self.el(spec).text(&text);
    }

    /// Adds an icon of `icons`, which says nothing to screen readers.
    pub(super) fn icon(&self, class: &str, svg: &str) {
        let icon = self.el("span|aria-hidden=true");
        icon.attr("class", class);
        dom::set(&icon.node, "innerHTML", svg);
    }

    /// A text that follows signals.
    pub(super) fn live_text(&self, text: impl Fn() -> String + 'static) -> &Self {
        self.live_text_of(Box::new(text))
    }

    fn live_text_of(&self, text: Box<dyn Fn() -> String>) -> &Self {
        let own = self.clone();
        self.follow(
            Box::new(|| ""),
            Box::new(move |_| {
                own.text(&text());
            }),
        );
        self
    }

    /// An attribute that follows signals; `None` takes it off.
    pub(super) fn live_attr(
        &self,
        name: &'static str,
        value: impl Fn() -> Option<String> + 'static,
    ) -> &Self {
        self.live_attr_of(name, Box::new(value))
    }

    fn live_attr_of(&self, name: &'static str, value: Box<dyn Fn() -> Option<String>>) -> &Self {
        let node = self.node.clone();
        self.follow(
            Box::new(|| ""),
            Box::new(move |_| {
                let _ = match value() {
                    Some(value) => node.set_attribute(name, &value),
                    None => node.remove_attribute(name),
                };
            }),
        );
        self
    }

    /// Draws what is in the element, again whenever a signal changes that was read for it. What
    /// had the focus has it again, if it is still there.
    pub(super) fn draw(&self, draw: impl Fn(&Self) + 'static) {
        self.draw_for(Box::new(|| ""), Box::new(draw));
    }

    /// The same, but again only when `what` answers something else than before (and not nothing):
    /// a button that is replaced while a finger is on it is never clicked.
    pub(super) fn draw_for(&self, what: Box<dyn Fn() -> &'static str>, draw: Box<dyn Fn(&Self)>) {
        let node = self.node.clone();
        self.follow(
            what,
            Box::new(move |kept| {
                let focus = focused(&node);
                node.set_text_content(None);
                let at = Self {
                    node: node.clone(),
                    kept: kept.clone(),
                };
                draw(&at);
                if let Some(again) = focus.and_then(|s| node.query_selector(&s).ok().flatten()) {
                    let _ = again.unchecked_into::<HtmlElement>().focus();
                }
            }),
        );
    }

    fn follow(&self, what: Box<dyn Fn() -> &'static str>, run: Box<dyn Fn(&Kept)>) {
        let effect = RenderEffect::new(move |before: Option<Kept>| {
            let now = what();
            if let Some(kept) = before.filter(|kept| !now.is_empty() && kept.1 == now) {
                return kept;
            }
            let kept = Kept(Rc::default(), now);
            run(&kept);
            kept
        });
        self.kept.0.borrow_mut().push(effect);
    }
}

/// A selector of what has the focus in `node`, if it is one of our buttons.
fn focused(node: &Element) -> Option<String> {
    let active: Element = dom::get(&dom::document(), "activeElement")?.unchecked_into();
    if !node.contains(Some(&active)) {
        return None;
    }
    let place = active.get_attribute("data-place")?;
    Some(["[data-place=\"", &place, "\"]"].concat())
}

#[inline(never)]
fn halve(text: &str, by: u8) -> (&str, &str) {
    format::cut(text, by).unwrap_or((text, ""))
}
