//! Elements of one type.
//!
//! Leptos's `view!` makes a type of every element's attributes and children, and the compiler
//! builds code for each. That is fast to run and long to load: for this page it was two thirds of
//! the program. Here all elements share one type, and so one code, with the same reactive
//! attributes and children inside.

use leptos::attr::any_attribute::{AnyAttribute, IntoAnyAttribute as _};
use leptos::attr::custom::custom_attribute;
use leptos::ev;
use leptos::html::{InnerHtml, custom, inner_html};
use leptos::prelude::*;

/// Attributes that stay as they are.
pub(super) type Fixed<'a> = &'a [(&'static str, &'a str)];

/// An element.
pub(super) fn el(tag: &'static str, fixed: Fixed<'_>, children: Vec<AnyView>) -> AnyView {
    el_live(tag, fixed, Vec::new(), children)
}

/// An element with attributes that follow signals, or clicks.
pub(super) fn el_live(
    tag: &'static str,
    fixed: Fixed<'_>,
    mut attributes: Vec<AnyAttribute>,
    children: Vec<AnyView>,
) -> AnyView {
    let fixed = fixed
        .iter()
        .map(|(name, value)| custom_attribute(*name, (*value).to_owned()).into_any_attr());
    attributes.extend(fixed);
    custom(tag)
        .child(children)
        .add_any_attr(attributes)
        .into_any()
}

/// An element with a class and nothing else but its children.
pub(super) fn div(tag: &'static str, class: &str, children: Vec<AnyView>) -> AnyView {
    el(tag, &[("class", class)], children)
}

/// An attribute that follows signals; `None` takes it off.
pub(super) fn live(
    name: &'static str,
    value: impl FnMut() -> Option<String> + Send + 'static,
) -> AnyAttribute {
    let value: Box<dyn FnMut() -> Option<String> + Send> = Box::new(value);
    custom_attribute(name, value).into_any_attr()
}

/// What a click does.
pub(super) fn click(then: impl Fn() + 'static) -> AnyAttribute {
    let then: Box<dyn FnMut(ev::MouseEvent)> = Box::new(move |_| then());
    ev::on(ev::click, then).into_any_attr()
}

/// Content as source, such as an icon's.
pub(super) fn source(html: &'static str) -> AnyAttribute {
    let html: InnerHtml<&'static str> = inner_html(html);
    html.into_any_attr()
}

/// Text.
pub(super) fn text(text: impl Into<String>) -> AnyView {
    text.into().into_any()
}

/// Text that follows signals.
pub(super) fn live_text(text: impl Fn() -> String + Send + 'static) -> AnyView {
    changing(move || text().into_any())
}

/// A piece that follows signals.
pub(super) fn changing(draw: impl FnMut() -> AnyView + Send + 'static) -> AnyView {
    let draw: Box<dyn FnMut() -> AnyView + Send> = Box::new(draw);
    draw.into_any()
}

/// Several pieces side by side.
pub(super) fn all(pieces: Vec<AnyView>) -> AnyView {
    pieces.into_any()
}

/// Nothing.
pub(super) fn none() -> AnyView {
    all(Vec::new())
}
