//! The list of an app's links: which object keeps a link's entry, what a page is, and how the
//! pages of the objects become one.
//!
//! A link tells its entry to the list by its own alarm, at least once, as it tells events to the
//! backend; it never waits for it. So the list lags, and neither a link nor an upload depends on
//! it. An entry has a version, and an older one never replaces a newer.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatlift_shared::api::{LinkList, LinkState as Status, LinkSummary};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{AppId, LinkId, Timestamp};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Objects that an app's list is spread over. A page asks all of them, a page of one subject asks
/// one. An object takes some hundreds of writes a second and 10 GB (Durable Objects limits), so
/// eight take what some ten thousand links a second would write.
pub const SHARDS: u8 = 8;

/// Most entries that an object looks at for one page, so that a rare state costs no scan of all.
pub const SCAN_MAX: usize = 1000;

/// How long an entry is kept from the making of its link: longer than a link can live.
pub const KEEP: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// What the list says of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What a reader of the list sees.
    #[serde(flatten)]
    pub link: LinkSummary,
    /// Grows with every change.
    pub version: u64,
}

/// Where a link stands with the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Version of the entry as it ought to be.
    pub version: u64,
    /// Version that the list has for certain.
    pub known: u64,
    /// Tries since the last change.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// When the next try is due, in milliseconds since the epoch, while the list is behind.
    #[serde(default, skip_serializing_if = "is_zero_ms")]
    pub next_at: i64,
}

const fn is_zero(n: &u32) -> bool {
    *n == 0
}

const fn is_zero_ms(n: &i64) -> bool {
    *n == 0
}

impl Listed {
    /// The entry has changed at `now`.
    pub const fn change(&mut self, now: Timestamp) {
        self.version += 1;
        self.attempts = 0;
        self.next_at = now.millis();
    }

    /// When the next try is due, if the list is behind.
    #[must_use]
    pub const fn due(&self) -> Option<Timestamp> {
        if self.known < self.version {
            Some(Timestamp::from_millis(self.next_at))
        } else {
            None
        }
    }
}

/// Which object keeps the entries of this subject, or of this link where it has none. By subject,
/// so that its links lie together.
#[must_use]
pub fn shard(subject: Option<&str>, link: LinkId) -> u8 {
    let digest = match subject {
        Some(subject) => Sha256::of(subject.as_bytes()),
        None => Sha256::of(link.as_bytes()),
    };
    digest.0[0] % SHARDS
}

/// Name of the object.
#[must_use]
pub fn shard_name(app: &AppId, shard: u8) -> String {
    format!("{app}/links/{shard}")
}

/// A place in the list. Newest first, so what follows is smaller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// When the link was made, in milliseconds since the epoch.
    pub created_at: i64,
    /// Its id as text.
    pub id: String,
}

impl Place {
    /// Of an entry.
    #[must_use]
    pub fn of(entry: &LinkSummary) -> Self {
        Self {
            created_at: entry.created_at.millis(),
            id: entry.id.to_string(),
        }
    }

    /// As a cursor.
    #[must_use]
    pub fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}.{}", self.created_at, self.id))
    }

    /// From a cursor; `None` for what is none.
    #[must_use]
    pub fn from_cursor(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (created_at, id) = core::str::from_utf8(&bytes).ok()?.split_once('.')?;
        let _: LinkId = id.parse().ok()?;
        Some(Self {
            created_at: created_at.parse().ok()?,
            id: id.to_owned(),
        })
    }
}

/// What is asked of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Only what comes after it.
    pub after: Option<Place>,
    /// Only links in this state.
    pub state: Option<Status>,
    /// Only links of this subject.
    pub subject: Option<String>,
    /// Most links in the page.
    pub limit: u32,
}

/// What one object answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPage {
    /// Links in order.
    pub links: Vec<LinkSummary>,
    /// How far it has looked, if there is more beyond.
    pub until: Option<Place>,
}

/// Makes one page of the objects' pages.
///
/// What an object has beyond the place that it looked to is unknown, so the page ends at the
/// nearest such place.
#[must_use]
pub fn merge(pages: Vec<ShardPage>, limit: u32) -> LinkList {
    let limit = limit as usize;
    let horizon = pages.iter().filter_map(|p| p.until.clone()).max();
    let mut all: BTreeMap<Place, LinkSummary> = BTreeMap::new();
    for link in pages.into_iter().flat_map(|p| p.links) {
        all.insert(Place::of(&link), link);
    }
    let mut known = all
        .into_iter()
        .rev()
        .filter(|(place, _)| horizon.as_ref().is_none_or(|h| place >= h));
    let page: Vec<_> = known.by_ref().take(limit).collect();
    let next = if known.next().is_some() {
        page.last().map(|(place, _)| place.clone())
    } else {
        horizon
    };
    LinkList {
        links: page.into_iter().map(|(_, link)| link).collect(),
        next: next.map(|place| place.to_cursor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(n: u16, made: i64) -> LinkSummary {
        let mut id = [0; 12];
        id[..2].copy_from_slice(&n.to_be_bytes());
        LinkSummary {
            id: LinkId::from_bytes(id),
            scene: "any".parse().expect("a scene id"),
            state: if n.is_multiple_of(3) {
                Status::Expired
            } else {
                Status::Active
            },
            subject: None,
            created_at: Timestamp::from_millis(made),
            expires_at: Timestamp::from_millis(made + 1),
        }
    }

    /// What an object does, in memory.
    fn ask(held: &[LinkSummary], query: &Query, scan: usize) -> ShardPage {
        let mut held: Vec<_> = held.to_vec();
        held.sort_by_key(|l| core::cmp::Reverse(Place::of(l)));
        let mut rest = held
            .into_iter()
            .filter(|l| query.after.as_ref().is_none_or(|a| Place::of(l) < *a))
            .peekable();
        let (mut page, mut seen) = (ShardPage::default(), 0);
        while let Some(link) = rest.next() {
            seen += 1;
            let place = Place::of(&link);
            if query.state.is_none_or(|s| s == link.state) {
                page.links.push(link);
            }
            if rest.peek().is_some() && (seen == scan || page.links.len() == query.limit as usize) {
                page.until = Some(place);
                break;
            }
        }
        page
    }

    proptest! {
        #[test]
        fn pages_together_are_the_list_in_order_and_each_link_once(
            made in prop::collection::vec(0_i64..20, 0..60),
            limit in 1_u32..8,
            scan in 1_usize..6,
            expired: bool,
        ) {
            let links: Vec<_> = (0..).zip(&made).map(|(n, made)| link(n, *made)).collect();
            let state = expired.then_some(Status::Expired);
            let mut expected: Vec<_> = links
                .iter()
                .filter(|l| state.is_none_or(|s| s == l.state))
                .cloned()
                .collect();
            expected.sort_by_key(|l| core::cmp::Reverse(Place::of(l)));
            let mut query = Query { after: None, state, subject: None, limit };
            let mut got = Vec::new();
            for _ in 0..1000 {
                let pages = (0..SHARDS)
                    .map(|n| {
                        let held: Vec<_> = links
                            .iter()
                            .filter(|l| shard(None, l.id) == n)
                            .cloned()
                            .collect();
                        ask(&held, &query, scan)
                    })
                    .collect();
                let page = merge(pages, limit);
                prop_assert!(page.links.len() <= limit as usize);
                got.extend(page.links);
                match page.next {
                    None => break,
                    Some(next) => query.after = Place::from_cursor(&next),
                }
            }
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn any_text_is_read_as_a_cursor_without_a_panic(text in ".*") {
            let _ = Place::from_cursor(&text);
        }
    }

    #[test]
    fn a_cursor_is_read_back_and_an_altered_one_is_none() {
        let place = Place::of(&link(7, 5));
        assert_eq!(Place::from_cursor(&place.to_cursor()), Some(place));
        for bad in ["", "x", "NS5sbmtfeA"] {
            assert_eq!(Place::from_cursor(bad), None, "{bad}");
        }
    }

    #[test]
    fn links_of_one_subject_lie_in_one_object() {
        let shards: Vec<_> = (0..20_u8)
            .map(|n| shard(Some("case-7"), LinkId::from_bytes([n; 12])))
            .collect();
        assert!(shards.windows(2).all(|w| w[0] == w[1]));
    }
}
