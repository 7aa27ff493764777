//! What a platform has given out for an account, and when it is to be asked again.
//!
//! Promise: while a ticket is good, the platform is not asked; after a failure it is not asked
//! before a pause is over, however many ask here.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use chatlift_shared::{Problem, ProblemCode, Timestamp};
use serde::{Deserialize, Serialize};

/// How long before its end something is renewed, at most: long enough for a slow page to use what
/// was signed with it. What lives shortly is renewed in the last tenth of its life.
const RENEW_BEFORE: Duration = Duration::from_secs(120);

/// Longest life that is believed: 30 days. Platforms give two hours.
const LIFE_MAX: u64 = 30 * 24 * 60 * 60;

/// Pauses after failures in a row, the last for all that follow. A person who waits for a picker
/// tries again after some seconds; WeCom takes 100 requests an hour
/// (<https://developer.work.weixin.qq.com/document/path/90506>).
const PAUSES: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// Whose ticket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TicketKind {
    /// The company's.
    Company,
    /// The app's within the company: WeCom's `agent_config`.
    Agent,
}

/// A token or a ticket. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    value: String,
    renew_at: Timestamp,
    expires_at: Timestamp,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grant([redacted] until {})", self.expires_at)
    }
}

impl Grant {
    /// Given at `now` for so many seconds.
    #[must_use]
    pub fn new(value: String, seconds: u64, now: Timestamp) -> Self {
        let life = Duration::from_secs(seconds.min(LIFE_MAX));
        let early = RENEW_BEFORE.min(life / 10);
        Self {
            value,
            renew_at: now.plus(life - early),
            expires_at: now.plus(life),
        }
    }

    /// The token or ticket itself.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// The tickets that an account's signatures need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tickets(BTreeMap<TicketKind, Grant>);

impl Tickets {
    /// A ticket.
    #[must_use]
    pub fn value(&self, kind: TicketKind) -> Option<&str> {
        self.0.get(&kind).map(Grant::value)
    }

    /// Whether none is due for renewal.
    #[must_use]
    pub fn are_fresh(&self, now: Timestamp) -> bool {
        !self.0.is_empty() && self.0.values().all(|grant| now < grant.renew_at)
    }

    /// Whether all can still be signed with.
    #[must_use]
    fn are_good(&self, now: Timestamp) -> bool {
        !self.0.is_empty() && self.0.values().all(|grant| now < grant.expires_at)
    }
}

/// Why there are no tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// The platform did not answer in time, or answered nonsense.
    Unavailable,
    /// The platform refuses the account.
    Refused,
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            // The platform is not asked again before.
            Trouble::Unavailable => {
                Self::new(ProblemCode::ChatUnavailable).retry_after(PAUSES[0].as_secs())
            }
            Trouble::Refused => Self::new(ProblemCode::ChatRefused),
        }
    }
}

/// The last failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Failed {
    trouble: Trouble,
    times: usize,
    until: Timestamp,
}

/// All that is known for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    token: Option<Grant>,
    tickets: Tickets,
    failed: Option<Failed>,
}

/// What to do for one who asks for tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Give these.
    Give(Tickets),
    /// Ask the platform.
    Ask,
    /// Say no: it failed a moment ago.
    Wait(Trouble),
}

impl Vault {
    /// What to do now.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Next {
        if self.tickets.are_fresh(now) {
            return Next::Give(self.tickets.clone());
        }
        match &self.failed {
            Some(failed) if now < failed.until => self
                .good(now)
                .map_or(Next::Wait(failed.trouble), Next::Give),
            _ => Next::Ask,
        }
    }

    /// Tickets that are due, but can still be signed with.
    #[must_use]
    pub fn good(&self, now: Timestamp) -> Option<Tickets> {
        self.tickets.are_good(now).then(|| self.tickets.clone())
    }

    /// The access token, if it needs no renewal.
    #[must_use]
    pub fn token(&self, now: Timestamp) -> Option<&str> {
        let token = self.token.as_ref().filter(|token| now < token.renew_at)?;
        Some(token.value())
    }

    /// Keeps an access token.
    pub fn keep_token(&mut self, token: Grant) {
        self.token = Some(token);
    }

    /// Keeps all tickets: the account works.
    pub fn keep_tickets(&mut self, tickets: impl IntoIterator<Item = (TicketKind, Grant)>) {
        self.tickets = Tickets(tickets.into_iter().collect());
        self.failed = None;
    }

    /// Notes a failure. The token goes: it may be the reason.
    pub fn fail(&mut self, trouble: Trouble, now: Timestamp) {
        let times = self.failed.as_ref().map_or(0, |failed| failed.times + 1);
        let pause = PAUSES[times.min(PAUSES.len() - 1)];
        self.token = None;
        self.failed = Some(Failed {
            trouble,
            times,
            until: now.plus(pause),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    fn holding(seconds: u64) -> Vault {
        let mut vault = Vault::default();
        let ticket = Grant::new("t".to_owned(), seconds, at(0));
        vault.keep_tickets([(TicketKind::Company, ticket)]);
        vault
    }

    #[test]
    fn a_ticket_is_given_until_shortly_before_its_end() {
        let vault = holding(7200);
        assert!(matches!(vault.next(at(0)), Next::Give(_)));
        assert!(matches!(vault.next(at(7079)), Next::Give(_)));
        assert_eq!(vault.next(at(7080)), Next::Ask);
        assert_eq!(holding(10).next(at(8)), holding(10).next(at(0)));
        assert_eq!(holding(10).next(at(9)), Next::Ask);
        assert_eq!(Vault::default().next(at(0)), Next::Ask);
    }

    #[test]
    fn after_a_failure_the_platform_has_a_pause_that_grows() {
        let mut vault = Vault::default();
        let mut now = 0;
        for pause in [5, 15, 30, 60, 60] {
            vault.fail(Trouble::Unavailable, at(now));
            assert_eq!(
                vault.next(at(now + pause - 1)),
                Next::Wait(Trouble::Unavailable)
            );
            now += pause;
            assert_eq!(vault.next(at(now)), Next::Ask);
        }
    }

    #[test]
    fn a_ticket_that_is_due_is_good_enough_while_the_platform_fails() {
        let mut vault = holding(7200);
        vault.fail(Trouble::Refused, at(7100));
        assert!(matches!(vault.next(at(7101)), Next::Give(_)));
        vault.fail(Trouble::Refused, at(7199));
        assert_eq!(vault.next(at(7200)), Next::Wait(Trouble::Refused));
    }

    #[test]
    fn what_is_stored_stays_readable_and_is_never_shown() {
        let mut vault = holding(7200);
        vault.keep_token(Grant::new("a".to_owned(), 7200, at(0)));
        let json = serde_json::to_string(&vault).expect("JSON");
        assert_eq!(
            json,
            r#"{"token":{"value":"a","renew_at":"2027-01-15T09:58:00.000Z","expires_at":"2027-01-15T10:00:00.000Z"},"tickets":{"company":{"value":"t","renew_at":"2027-01-15T09:58:00.000Z","expires_at":"2027-01-15T10:00:00.000Z"}},"failed":null}"#
        );
        assert_eq!(
            serde_json::from_str::<Vault>(&json).expect("a vault"),
            vault
        );
        assert!(!format!("{vault:?}").contains("\"t\""));
    }
}
