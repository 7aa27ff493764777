//! What a backend does with its links after making them, and the password of a link.

use chatlift_shared::api::{Erased, LinkList, LoggedEvent};
use chatlift_shared::audit::AuditTrail;
use chatlift_shared::{EventId, LinkId, Problem, ProblemCode, Timestamp};
use core::time::Duration;

use super::create::of;
use super::overrides::within;
use crate::config::{App, LINK_LIFETIME_MAX};
use crate::link::command;
use crate::link::listing;
use crate::link::listing::Query;
use crate::link::password::{Asker, Hash, ITERATIONS, Password};
use crate::link::reply::Erasure;
use crate::link::state::{LinkView, closed};
use crate::ports::{Bucket, Directory, Failure, Links, World};
use crate::service::Service;

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    /// Gives a link more time, from now.
    ///
    /// # Errors
    /// `link-not-found`; `beyond-scene` or `invalid-request` with the field `expires_in`;
    /// `scene-unknown` when the scene is no longer configured; what an ended link answers.
    pub async fn extend(&self, app: &App, id: LinkId, secs: u64) -> Result<LinkView, Failure> {
        let view = self.link_of(app, id).await?;
        let scene = app
            .scenes
            .get(&view.link.scene)
            .ok_or_else(|| Problem::new(ProblemCode::SceneUnknown).field("scene"))?;
        let secs = within("expires_in", Some(secs), scene.link_lifetime.as_secs())?;
        let expires_at = self.world.now().plus(Duration::from_secs(secs));
        // However often a link is extended, its files' uploads and its entry in the list end.
        let last = view
            .link
            .created_at
            .plus(Duration::from_secs(LINK_LIFETIME_MAX));
        if expires_at > last {
            return Err(Problem::new(ProblemCode::BeyondScene)
                .field("expires_in")
                .limit(self.world.now().until(last).as_secs())
                .into());
        }
        let extend = command::Extend {
            // Whole seconds, as the token has them.
            expires_at: Timestamp::from_secs(expires_at.secs()),
        };
        self.links
            .execute(id, of(app, ProblemCode::LinkNotFound, extend))
            .await
    }

    /// A link whose address is to be shown: its page opens.
    ///
    /// # Errors
    /// `link-not-found`, `link-expired`, `link-revoked`.
    pub async fn link_to_show(&self, app: &App, id: LinkId) -> Result<LinkView, Failure> {
        let view = self.link_of(app, id).await?;
        match closed(&view.link, self.world.now()) {
            None => Ok(view),
            Some(code) => Err(code.into()),
        }
    }

    /// Has a link take no more files.
    ///
    /// # Errors
    /// `link-not-found`, `link-expired`, `link-revoked`.
    pub async fn close(&self, app: &App, id: LinkId) -> Result<LinkView, Failure> {
        self.links
            .execute(id, of(app, ProblemCode::LinkNotFound, command::Close))
            .await
    }

    /// Removes a link with all that it has, now; what R2 may still be given by a commit under way is
    /// removed some minutes later, and the link with it.
    ///
    /// # Errors
    /// `link-not-found`; when the list does not answer, and the link's alarm goes on.
    pub async fn erase(
        &self,
        app: &App,
        id: LinkId,
        directory: &impl Directory,
    ) -> Result<Erased, Failure> {
        let erase = of(app, ProblemCode::LinkNotFound, command::Erase);
        let Erasure {
            mut erased,
            entry,
            cleanups,
        } = self.links.execute(id, erase).await?;
        for (cleanup, what) in cleanups {
            // What fails stays due.
            if self.clean(&what).await.is_ok() {
                let cleaned = command::Cleaned {
                    cleanup,
                    done: true,
                };
                or_gone(self.links.execute(id, cleaned).await)?;
                erased.left = erased.left.saturating_sub(1);
            }
        }
        directory.remove(&app.id, &entry).await?;
        or_gone(self.links.execute(id, command::Forget).await)?;
        Ok(erased)
    }

    /// What happened to a link.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn events(
        &self,
        app: &App,
        id: LinkId,
        after: Option<EventId>,
    ) -> Result<Vec<LoggedEvent>, Failure> {
        let read = command::ReadEvents { after };
        self.links
            .execute(id, of(app, ProblemCode::LinkNotFound, read))
            .await
    }

    /// Entries of a link's audit trail.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn audit(
        &self,
        app: &App,
        id: LinkId,
        read: command::ReadAudit,
    ) -> Result<AuditTrail, Failure> {
        self.links
            .execute(id, of(app, ProblemCode::LinkNotFound, read))
            .await
    }

    /// A page of an app's links.
    ///
    /// # Errors
    /// When an object of the list does not answer.
    pub async fn list(
        &self,
        app: &App,
        directory: &impl Directory,
        query: &Query,
    ) -> Result<LinkList, Failure> {
        let shards = match &query.subject {
            // With a subject the link does not matter.
            Some(subject) => {
                let shard = listing::shard(Some(subject), LinkId::from_bytes([0; 12]));
                shard..shard + 1
            }
            None => 0..listing::SHARDS,
        };
        let mut pages = Vec::new();
        for shard in shards {
            pages.push(directory.page(&app.id, shard, query).await?);
        }
        Ok(listing::merge(pages, query.limit))
    }

    /// What is kept of a new password.
    pub(super) async fn hash_password(&self, password: &str) -> Result<Password, Failure> {
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&self.world.random().to_le_bytes());
        salt[8..].copy_from_slice(&self.world.random().to_le_bytes());
        let hash = self.world.derive(password, &salt, ITERATIONS).await?;
        Ok(Password::new(Hash {
            salt,
            iterations: ITERATIONS,
            hash,
        }))
    }

    /// Checks a link's password.
    ///
    /// # Errors
    /// `password-wrong`; `password-locked` after too many; `link-not-found`.
    pub async fn check_password(
        &self,
        link: LinkId,
        asker: Asker,
        password: &str,
    ) -> Result<(), Failure> {
        let attempt = command::TryPassword {
            asker: asker.clone(),
        };
        // A link without a password lets everybody in.
        let Some(kept) = self.links.execute(link, attempt).await? else {
            return Ok(());
        };
        let derived = self
            .world
            .derive(password, &kept.salt, kept.iterations)
            .await?;
        if !kept.matches(&derived) {
            return Err(Problem::new(ProblemCode::PasswordWrong)
                .field("password")
                .into());
        }
        self.links
            .execute(link, command::PasswordRight { asker })
            .await
    }
}

/// What a step of an erasure comes to: the link's alarm may be faster, and have forgotten the link.
fn or_gone(done: Result<(), Failure>) -> Result<(), Failure> {
    match done {
        Err(failure) if failure.is_gone() => Ok(()),
        done => done,
    }
}
