//! Shows something while a condition holds.

use leptos::prelude::*;

/// Shows its children while the condition holds; they stay as they are while its value stays.
///
/// Leptos's `Show` does the same, generic over its closures: one copy for each use, which costs this
/// page 1.3 kB of brotli.
#[component]
pub(super) fn When(#[prop(into)] condition: Signal<bool>, children: ChildrenFn) -> impl IntoView {
    let held = Memo::new(move |_| condition.get());
    move || held.get().then(|| children())
}
