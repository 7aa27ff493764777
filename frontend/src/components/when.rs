//! Shows something while a condition holds.

use leptos::prelude::*;

/// When something is shown: any closure that tells.
pub(super) struct Condition(Box<dyn Fn() -> bool + Send + Sync>);

impl<F: Fn() -> bool + Send + Sync + 'static> From<F> for Condition {
    fn from(tells: F) -> Self {
        Self(Box::new(tells))
    }
}

/// Shows its children while the condition holds; they stay as they are while its value stays.
///
/// Leptos's `Show` does the same, generic over its closures: one copy for each use, which costs this
/// page 1.3 kB of brotli.
#[component]
pub(super) fn When(#[prop(into)] condition: Condition, children: ChildrenFn) -> impl IntoView {
    let held = Memo::new(move |_| (condition.0)());
    move || {
        if held.get() {
            children()
        } else {
            ().into_any()
        }
    }
}
