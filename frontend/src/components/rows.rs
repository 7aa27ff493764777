//! The picked files.

use std::sync::Arc;

use chatlift_frontend::format;
use chatlift_frontend::uploader::Key;
use leptos::prelude::*;
use leptos::tachys::view::any_view::AnyViewState;
use web_sys::Element;

use super::icons::{CROSS, DOWN, PAUSE, RESUME, TICK, TURN, UP};
use super::when::When;
use crate::i18n::{t, tf};
use crate::page::{Page, Row, RowState, View, choose_another, pause, remove, retry, shift, turn};

#[component]
pub(super) fn Rows() -> impl IntoView {
    let rows = expect_context::<Page>().rows;
    view! {
        <When condition=move || !rows.with(Vec::is_empty)>
            <ul class="card rows" tabindex="-1" aria-label=t("list.label") use:draw_rows/>
        </When>
    }
}

/// A row as it stands in the list.
struct Drawn {
    key: Key,
    view: AnyViewState,
    /// What its views have made; goes with them.
    _owner: Owner,
}

/// Keeps a row in the list for each picked file. One that stays keeps its elements, and with them the focus and its
/// thumbnail; one that is moved is the only one that is taken out.
///
/// Leptos's `For` does the same for whatever is listed.
fn draw_rows(list: Element) {
    let rows = expect_context::<Page>().rows;
    let Some(owner) = Owner::current() else {
        return;
    };
    let mut drawn: Vec<Drawn> = Vec::new();
    let effect = RenderEffect::new(move |_: Option<()>| {
        let rows = rows.get();
        drawn.retain_mut(|old| {
            let stays = rows.iter().any(|row| row.key == old.key);
            if !stays {
                old.view.unmount();
            }
            stays
        });
        for (place, row) in rows.into_iter().enumerate() {
            let key = row.key;
            let mut moved = match drawn.iter().position(|old| old.key == key) {
                Some(at) if at == place => continue,
                Some(at) => drawn.remove(at),
                None => {
                    let owner = owner.child();
                    let view = owner.with(|| view! { <FileRow row/> }.into_any().build());
                    Drawn {
                        key,
                        view,
                        _owner: owner,
                    }
                }
            };
            let next = drawn.get(place).map(|next| next.view.elements());
            let next = next.as_ref().and_then(|elements| elements.first());
            moved.view.mount(&list, next.map(AsRef::as_ref));
            drawn.insert(place, moved);
        }
    });
    // It goes with the list.
    on_cleanup(move || drop(effect));
}

/// The sheet with a file's extension on it.
#[component]
pub(super) fn Glyph(name: String) -> impl IntoView {
    let extension = format::extension(&name).unwrap_or_default();
    let known = (1..=4).contains(&extension.len()) && extension.is_ascii();
    let label = if known { extension } else { "" }.to_ascii_uppercase();
    view! { <span class="glyph" aria-hidden="true">{label}</span> }
}

/// A name that loses its middle when it is too long, or breaks where it must not be cut. Isolated, so that one
/// written from right to left, or with marks that turn text around, reorders nothing beside it.
#[component]
pub(super) fn Name(name: String) -> impl IntoView {
    let (head, tail) = format::halves(&name);
    let (head, last) = if tail.is_empty() {
        (None, head)
    } else {
        (Some(head.to_owned()), tail)
    };
    let last = breakable(last);
    let head = head.map(|head| view! { <bdi>{head}</bdi> }.into_any());
    // The halves stand from left to right, since only a name that runs so is cut.
    view! {
        <p class="name" title=name>
            <span dir="ltr">{head}<bdi>{last}</bdi></span>
        </p>
    }
}

/// A name whose line ends before its ending, where it does not fit into one.
pub(super) fn breakable(name: &str) -> AnyView {
    let (stem, ending) = format::before_ending(name);
    let (stem, ending) = (stem.to_owned(), ending.to_owned());
    view! { {stem}<wbr/>{ending} }.into_any()
}

/// One file. Its two buttons stay what they are in every state, so that one that has the focus, or a
/// finger on it, is not replaced under it.
#[component]
fn FileRow(row: Row) -> impl IntoView {
    let Row {
        key,
        name,
        size,
        view,
    } = row;
    let page = expect_context::<Page>();
    let state = move || view.with(|view| view.state);
    let size = format::size(size);
    // The size is in the note while bytes move, so that the line keeps its length.
    let size = move || {
        let said = state() != RowState::Uploading;
        if said { size.clone() } else { String::new() }
    };
    let label = tf("row.progress", &[("name", &name)]);
    let arrange = page
        .link
        .join
        .then(|| view! { <Arrange key name=name.clone() view/> }.into_any());
    view! {
        <li
            class="row"
            tabindex="-1"
            data-testid="file-row"
            data-key=format::decimal(key.into())
            data-name=name.clone()
            data-state=move || state().name().to_owned()
            data-turned=move || format::decimal(view.with(|view| view.turned).into())
        >
            <Glyph name=name.clone()/>
            <div>
                <Name name=name.clone()/>
                <p class="meta">
                    <span>{size}</span>
                    <span>{move || view.with(|view| view.note.clone())}</span>
                </p>
                <div>
                    <When condition=move || view.with(|view| !view.error.is_empty())>
                        <p class="why" role="alert" data-testid="file-error">
                            {move || view.with(|view| view.error.clone())}
                        </p>
                    </When>
                    <When condition=move || page.takes() && view.with(View::wants_another)>
                        <button
                            class="again"
                            type="button"
                            data-testid="choose"
                            on:click=move |_| choose_another(key)
                        >
                            {t("row.choose")}
                        </button>
                    </When>
                    <When condition=move || view.with(|view| view.can_retry)>
                        <button
                            class="again"
                            type="button"
                            data-testid="retry"
                            on:click=move |_| retry(Some(key))
                        >
                            {t("row.retry")}
                        </button>
                    </When>
                </div>
                <When condition=move || state().is_under_way()>
                    <Track
                        name="file-progress"
                        label=label.clone()
                        percent=Arc::new(move || view.with(|view| (view.percent, view.reach)))
                    />
                </When>
            </div>
            <div class="acts">
                {arrange}
                <Buttons key name=name.clone() view/>
            </div>
        </li>
    }
}

/// A button of [`Arrange`]: its `data-testid`, its label, its icon, and what it does.
type Arranges = (&'static str, &'static str, &'static str, fn(Key));

const ARRANGE: [Arranges; 3] = [
    ("up", "order.up", UP, |key| shift(key, true)),
    ("down", "order.down", DOWN, |key| shift(key, false)),
    ("turn", "order.turn", TURN, turn),
];

/// Moves a file up and down and turns it, in a scene that joins its pages, until it is confirmed. All three stay
/// where they are whatever comes of a press, and so does the focus.
#[component]
fn Arrange(key: Key, name: String, view: RwSignal<View>) -> impl IntoView {
    let buttons = move || {
        let buttons = ARRANGE.into_iter().map(|(hook, text, icon, act)| {
            view! {
                <button
                    class="x"
                    type="button"
                    data-testid=hook
                    aria-label=tf(text, &[("name", &name)])
                    on:click=move |_| act(key)
                >
                    <span aria-hidden="true" inner_html=icon/>
                </button>
            }
            .into_any()
        });
        buttons.collect_view().into_any()
    };
    view! {
        <When condition=move || {
            view.with(|view| view.state) == RowState::Ready
        }>{buttons()}</When>
    }
}

/// Holds a file and takes it off the list; a tick when it is stored.
#[component]
fn Buttons(key: Key, name: String, view: RwSignal<View>) -> impl IntoView {
    let state = move || view.with(|view| view.state);
    let paused = move || state() == RowState::Paused;
    let held = move || {
        matches!(
            state(),
            RowState::Queued | RowState::Uploading | RowState::Paused
        )
    };
    let own = name.clone();
    let label = move |key: &str| tf(key, &[("name", &own)]);
    let hold_label = label.clone();
    view! {
        <When condition=held>
            <button
                class="x"
                type="button"
                data-testid=move || (if paused() { "resume" } else { "pause" }).to_owned()
                aria-label={
                    let label = hold_label.clone();
                    move || label(if paused() { "row.resume" } else { "row.pause" })
                }
                on:click=move |_| pause(Some(key), !untrack(paused))
            >
                <span aria-hidden="true" inner_html=move || (if paused() { RESUME } else { PAUSE }).to_owned()/>
            </button>
        </When>
        <When condition=move || {
            !matches!(state(), RowState::Stored | RowState::Cancelling)
        }>
            <button
                class="x"
                type="button"
                data-testid=move || (if state().is_under_way() { "cancel" } else { "remove" }).to_owned()
                aria-label={
                    let label = label.clone();
                    move || label(if state().is_under_way() { "row.cancel" } else { "row.remove" })
                }
                on:click=move |_| remove(&[key])
            >
                <span aria-hidden="true" inner_html=CROSS/>
            </button>
        </When>
        <When condition=move || state() == RowState::Stored>
            <span aria-hidden="true" class="tick" inner_html=TICK/>
        </When>
    }
}

/// How far something is in percent, and the same with what is on its way. Shared, and no `Signal`: one of a type of its
/// own is 1 kB of brotli.
type Percent = Arc<dyn Fn() -> (u8, u8) + Send + Sync>;

/// A progress bar: what the edge has, and lighter what is on its way.
#[component]
pub(super) fn Track(
    /// The `data-testid`.
    name: &'static str,
    label: String,
    /// What the edge has, and the same with what is on its way.
    percent: Percent,
) -> impl IntoView {
    let reach = percent.clone();
    let own = percent.clone();
    view! {
        <div
            class="track"
            role="progressbar"
            data-testid=name
            aria-label=label
            aria-valuemin="0"
            aria-valuemax="100"
            aria-valuenow=move || format::decimal(own().0.into())
        >
            <div class="fill way" style=move || width(reach().1)/>
            <div class="fill" style=move || width(percent().0)/>
        </div>
    }
}

fn width(percent: u8) -> String {
    ["width:", &format::decimal(percent.into()), "%"].concat()
}
