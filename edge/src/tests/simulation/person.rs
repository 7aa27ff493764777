//! What a person does: picks, cancels, takes back, pauses, reloads, opens a second tab.

use std::rc::Rc;

use chatlift_frontend::uploader::{Key, State, Wake};

use super::Journey;
use super::page::{Page, Tab};

/// How long a person waits at most until the pages have come to an end, in milliseconds: as long as pages
/// try without a byte more, and then some.
const WAITS_MS: u64 = 40 * 60_000;

impl Journey {
    /// Does some things, one after the other, and waits until the pages have come to an end.
    pub(super) async fn person(self: &Rc<Self>) {
        let mut page = self.open(Rc::default());
        let deeds = self.draw(self.plan.deeds.max(1) + 1).min(self.plan.deeds);
        for file in 0..self.files.len() {
            self.sleep_ms(self.draw(3_000)).await;
            self.pick(&page, file);
        }
        for _ in 0..deeds {
            self.sleep_ms(self.draw(15_000)).await;
            match self.draw(10) {
                0 | 1 => self.cancel_one(&page),
                2 => self.take_one_back(&page),
                3 => self.pause_one(&page).await,
                4..6 => page = self.reload_and_pick(&page).await,
                6 => self.wake(&page, Wake::Person),
                7 => self.pick_in_another_tab().await,
                8 => self.pick_again(&page),
                _ => {}
            }
        }
        let begun = self.ms();
        let is_live = || self.pages.borrow().iter().any(|page| page.is_live());
        while is_live() && self.ms() < begun + WAITS_MS as f64 {
            self.sleep_ms(5_000).await;
        }
        assert!(!is_live(), "a page has not come to an end");
        let pages = self.pages.borrow().clone();
        // What they do in the background ends by itself.
        self.sleep_ms(60_000).await;
        pages.iter().for_each(|page| self.close(page));
    }

    /// One of the picks of a page.
    fn one(&self, page: &Page) -> Option<(Key, usize)> {
        let files = page.files.borrow();
        let n = usize::try_from(self.draw(files.len() as u64)).ok()?;
        files.iter().nth(n).map(|(key, file)| (*key, *file))
    }

    fn cancel_one(self: &Rc<Self>, page: &Rc<Page>) {
        if let Some((key, _)) = self.one(page)
            && page.state(key) != Some(State::Stored)
        {
            self.cancel(page, key);
        }
    }

    fn take_one_back(self: &Rc<Self>, page: &Rc<Page>) {
        let sent = page.sent();
        let n = usize::try_from(self.draw(sent.len() as u64)).unwrap_or_default();
        if let Some((_, id, Some(ticket))) = sent.get(n).cloned() {
            self.take_back(page, id, ticket);
        }
    }

    async fn pause_one(self: &Rc<Self>, page: &Rc<Page>) {
        if let Some((key, _)) = self.one(page) {
            self.hold(page, key, true);
            self.sleep_ms(self.draw(20_000)).await;
            self.hold(page, key, false);
        }
    }

    /// Reloads, and picks what was on its way once more.
    async fn reload_and_pick(self: &Rc<Self>, page: &Rc<Page>) -> Rc<Page> {
        let on_its_way: Vec<usize> = {
            let files = page.files.borrow();
            let unended = |key| {
                let state = page.state(key);
                !matches!(
                    state,
                    None | Some(State::Stored | State::Cancelled | State::Cancelling { .. })
                )
            };
            files
                .iter()
                .filter(|(key, _)| unended(**key))
                .map(|(_, file)| *file)
                .collect()
        };
        let page = self.reload(page);
        self.sleep_ms(self.draw(4_000)).await;
        for file in on_its_way {
            self.pick(&page, file);
        }
        page
    }

    /// Sends a file from another tab too, which knows of nothing.
    async fn pick_in_another_tab(self: &Rc<Self>) {
        let file = usize::try_from(self.draw(self.files.len() as u64)).expect("few");
        if self.pages.borrow().len() < 2 {
            let page = self.open(Rc::new(Tab::default()));
            self.sleep_ms(self.draw(1_000)).await;
            self.pick(&page, file);
        }
    }

    /// Picks a file again that is not at hand any more, or has failed.
    fn pick_again(self: &Rc<Self>, page: &Rc<Page>) {
        let at_hand = |file: usize| {
            let files = page.files.borrow();
            files.values().any(|known| *known == file)
        };
        if let Some(file) = (0..self.files.len()).find(|file| !at_hand(*file))
            && !self.is_stored(file)
        {
            self.pick(page, file);
        }
    }
}
