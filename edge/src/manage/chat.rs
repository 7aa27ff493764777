//! Fetches tickets from a chat platform when the vault has none, and tells what came of it.
//!
//! Safe under concurrency because one runs at a time for an account: the Durable Object that holds
//! the vault has all who ask meanwhile wait for the same fetch.

use core::cell::RefCell;

use crate::chat::account::Account;
use crate::chat::protocol::{No, read_ticket, read_token};
use crate::chat::vault::{Next, Tickets, Trouble, Vault};
use crate::ports::{Platforms, World};

/// The tickets of an account: those held, or new ones.
///
/// # Errors
/// When there are none, and the platform gives none or has failed a moment ago.
pub async fn tickets<P: Platforms, W: World>(
    vault: &RefCell<Vault>,
    account: &Account,
    platforms: &P,
    world: &W,
) -> Result<Tickets, Trouble> {
    let next = vault.borrow().next(world.now());
    match next {
        Next::Give(tickets) => return Ok(tickets),
        Next::Wait(trouble) => return Err(trouble),
        Next::Ask => {}
    }
    let fetched = match renew(vault, account, platforms, world, true).await {
        // An access token that the platform took back early is no fault of the account.
        Err(Renewal::OldToken) => renew(vault, account, platforms, world, false).await,
        fetched => fetched,
    };
    let trouble = match fetched {
        Ok(tickets) => return Ok(tickets),
        Err(Renewal::Failed(trouble)) => trouble,
        Err(Renewal::OldToken) => Trouble::Refused,
    };
    let now = world.now();
    let mut vault = vault.borrow_mut();
    vault.fail(trouble, now);
    vault.good(now).ok_or(trouble)
}

enum Renewal {
    /// The platform refused a token that was held from before.
    OldToken,
    Failed(Trouble),
}

async fn renew<P: Platforms, W: World>(
    vault: &RefCell<Vault>,
    account: &Account,
    platforms: &P,
    world: &W,
    may_use_held: bool,
) -> Result<Tickets, Renewal> {
    let say = |what: &str, trouble: Trouble, reason: &str| {
        platforms.failed(account, what, reason);
        Renewal::Failed(trouble)
    };
    let no = |what: &str, no: No, token: &str| {
        let trouble = match no {
            No::Refused { .. } => Trouble::Refused,
            No::Garbled => Trouble::Unavailable,
        };
        say(what, trouble, &account.redacted(&no.to_string(), token))
    };
    let silent = |what: &str, reason: String| say(what, Trouble::Unavailable, &reason);

    let held = vault.borrow().token(world.now()).map(str::to_owned);
    let held = held.filter(|_| may_use_held);
    let was_held = held.is_some();
    let token = match held {
        Some(token) => token,
        None => {
            let asked_at = world.now();
            let body = platforms.call(&account.token_call()).await;
            let body = body.map_err(|reason| silent("token", reason))?;
            let token = read_token(&body, asked_at).map_err(|e| no("token", e, ""))?;
            let value = token.value().to_owned();
            vault.borrow_mut().keep_token(token);
            value
        }
    };
    let mut tickets = Vec::new();
    for &kind in account.kinds() {
        let asked_at = world.now();
        let body = platforms.call(&account.ticket_call(kind, &token)).await;
        let body = body.map_err(|reason| silent("ticket", reason))?;
        match read_ticket(&body, asked_at) {
            Ok(ticket) => tickets.push((kind, ticket)),
            Err(No::Refused { .. }) if was_held => return Err(Renewal::OldToken),
            Err(error) => return Err(no("ticket", error, &token)),
        }
    }
    let mut vault = vault.borrow_mut();
    vault.keep_tickets(tickets);
    vault.good(world.now()).ok_or_else(|| {
        // It gave a ticket that has ended already.
        say("ticket", Trouble::Unavailable, "it has ended already")
    })
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use chatlift_shared::Timestamp;
    use chatlift_shared::chat::Platform;
    use futures::executor::block_on;

    use super::*;
    use crate::chat::account::tests::accounts;
    use crate::chat::protocol::Call;
    use crate::chat::vault::TicketKind;

    /// WeCom as documented, with tokens that it may take back.
    #[derive(Default)]
    struct WeCom {
        tokens: Cell<u32>,
        tickets: Cell<u32>,
        /// Tokens up to this number are refused.
        revoked: Cell<u32>,
        down: Cell<bool>,
        wrong_secret: Cell<bool>,
        failures: RefCell<Vec<String>>,
    }

    impl Platforms for WeCom {
        async fn call(&self, call: &Call) -> Result<String, String> {
            if self.down.get() {
                return Err("no answer within 8 s".to_owned());
            }
            if call.url.contains("/gettoken") {
                if self.wrong_secret.get() {
                    // With the secret in its words, as no platform should.
                    let errmsg = format!("invalid credential {}", call.url);
                    return Ok(format!(r#"{{"errcode":40001,"errmsg":"{errmsg}"}}"#));
                }
                self.tokens.set(self.tokens.get() + 1);
                let n = self.tokens.get();
                return Ok(format!(
                    r#"{{"errcode":0,"errmsg":"ok","access_token":"a{n}","expires_in":7200}}"#
                ));
            }
            let token = call
                .url
                .split("access_token=a")
                .nth(1)
                .and_then(|rest| rest.split('&').next().and_then(|n| n.parse::<u32>().ok()));
            if token.is_none_or(|n| n <= self.revoked.get()) {
                return Ok(r#"{"errcode":40014,"errmsg":"invalid access_token"}"#.to_owned());
            }
            self.tickets.set(self.tickets.get() + 1);
            let n = self.tickets.get();
            let seconds = if call.url.contains("agent_config") {
                7200
            } else {
                3600
            };
            Ok(format!(
                r#"{{"errcode":0,"errmsg":"ok","ticket":"t{n}","expires_in":{seconds}}}"#
            ))
        }

        fn failed(&self, _account: &Account, what: &str, reason: &str) {
            self.failures.borrow_mut().push(format!("{what}: {reason}"));
        }
    }

    struct Clock(Cell<i64>);

    impl World for Clock {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_800_000_000 + self.0.get())
        }

        fn random(&self) -> u64 {
            0
        }

        async fn pause(&self, time: core::time::Duration) {
            self.0
                .set(self.0.get() + i64::try_from(time.as_secs()).expect("short"));
        }
    }

    struct Stage {
        vault: RefCell<Vault>,
        account: Account,
        wecom: WeCom,
        clock: Clock,
    }

    impl Stage {
        fn new() -> Self {
            Self {
                vault: RefCell::default(),
                account: accounts()[&Platform::WeCom].clone(),
                wecom: WeCom::default(),
                clock: Clock(Cell::new(0)),
            }
        }

        fn ask(&self, at: i64) -> Result<String, Trouble> {
            self.clock.0.set(at);
            let tickets = tickets(&self.vault, &self.account, &self.wecom, &self.clock);
            block_on(tickets).map(|tickets| {
                let value = |kind| tickets.value(kind).unwrap_or_default();
                format!(
                    "{} {}",
                    value(TicketKind::Company),
                    value(TicketKind::Agent)
                )
            })
        }
    }

    #[test]
    fn tickets_are_fetched_once_and_renewed_when_the_first_is_due() {
        let stage = Stage::new();
        for at in [0, 1, 3000] {
            assert_eq!(stage.ask(at).as_deref(), Ok("t1 t2"));
        }
        assert_eq!(stage.ask(3500).as_deref(), Ok("t3 t4"));
        assert_eq!(
            (stage.wecom.tokens.get(), stage.wecom.tickets.get()),
            (1, 4)
        );
    }

    #[test]
    fn a_token_that_was_taken_back_is_renewed_at_once() {
        let stage = Stage::new();
        assert_eq!(stage.ask(0).as_deref(), Ok("t1 t2"));
        stage.wecom.revoked.set(1);
        assert_eq!(stage.ask(3500).as_deref(), Ok("t3 t4"));
        assert_eq!(stage.wecom.tokens.get(), 2);
        assert!(stage.wecom.failures.borrow().is_empty());
    }

    #[test]
    fn a_silent_platform_is_not_asked_again_before_its_pause_is_over() {
        let stage = Stage::new();
        stage.wecom.down.set(true);
        for at in [0, 1, 4] {
            assert_eq!(stage.ask(at), Err(Trouble::Unavailable));
        }
        assert_eq!(stage.wecom.failures.borrow().len(), 1);
        stage.wecom.down.set(false);
        assert_eq!(stage.ask(4), Err(Trouble::Unavailable));
        assert_eq!(stage.ask(5).as_deref(), Ok("t1 t2"));
    }

    #[test]
    fn a_refused_account_says_so_and_the_log_has_the_platforms_words_without_the_secret() {
        let stage = Stage::new();
        stage.wecom.wrong_secret.set(true);
        assert_eq!(stage.ask(0), Err(Trouble::Refused));
        let failures = stage.wecom.failures.borrow();
        let [told] = failures.as_slice() else {
            panic!("{failures:?}")
        };
        assert!(
            told.starts_with("token: refused with code 40001: invalid credential"),
            "{told}"
        );
        assert!(told.ends_with("corpsecret=[redacted]"), "{told}");
    }

    #[test]
    fn tickets_that_are_due_serve_while_the_platform_is_down() {
        let stage = Stage::new();
        assert_eq!(stage.ask(0).as_deref(), Ok("t1 t2"));
        stage.wecom.down.set(true);
        assert_eq!(stage.ask(3500).as_deref(), Ok("t1 t2"));
        assert_eq!(stage.ask(3600), Err(Trouble::Unavailable));
    }
}
