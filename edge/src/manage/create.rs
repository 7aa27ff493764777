//! Links and files, for backends.

use chatlift_shared::api::{CreateLink, EventStatus, LinkState, Receipt};
use chatlift_shared::limits::IDEMPOTENCY_KEY_MAX;
use chatlift_shared::{EventId, FileId, LinkId, Problem, ProblemCode, Timestamp};

use super::{idempotency, overrides};
use crate::config::{App, Config};
use crate::link::command;
use crate::link::listing::Listed;
use crate::link::message::For;
use crate::link::reply::FoundFile;
use crate::link::state::{LinkRow, LinkView, Said};
use crate::link::version;
use crate::ports::{Bucket, Failure, Links, World};
use crate::service::Service;

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    /// Makes a link, or finds the one that was made with the same idempotency key.
    ///
    /// The id of a link with an idempotency key is a MAC of the key and the day, so that the same
    /// key leads to the same Durable Object, and no object need be shared to find it; see
    /// [`idempotency`].
    ///
    /// # Errors
    /// `invalid-request`, `beyond-scene` or `scene-unknown` with the field;
    /// `idempotency-key-reused`.
    pub async fn create_link(
        &self,
        config: &Config,
        app: &App,
        request: CreateLink,
        idempotency_key: Option<&str>,
    ) -> Result<LinkView, Failure> {
        overrides::check(&request)?;
        let scene = app
            .scenes
            .get(&request.scene)
            .ok_or_else(|| Problem::new(ProblemCode::SceneUnknown).field("scene"))?;
        let terms = overrides::terms(scene, &request)?;
        let now = self.world.now();
        let (id, fingerprint) = match idempotency_key {
            None => (self.random_link_id(), None),
            Some(key) if (1..=IDEMPOTENCY_KEY_MAX).contains(&key.chars().count()) => {
                let candidates = idempotency::candidates(&config.keys, app, key, &request, now)?;
                for candidate in &candidates.earlier {
                    let request = candidate.request;
                    let recall = of(app, ProblemCode::LinkNotFound, command::Recall { request });
                    match self.links.execute(candidate.id, recall).await {
                        Err(Failure::Refused(p)) if p.code == ProblemCode::LinkNotFound => {}
                        other => return other,
                    }
                }
                (candidates.new.id, Some(candidates.new.request))
            }
            Some(_) => {
                return Err(Problem::new(ProblemCode::InvalidRequest)
                    .field("Idempotency-Key")
                    .limit(IDEMPOTENCY_KEY_MAX as u64)
                    .into());
            }
        };
        let password = match &request.password {
            None => None,
            Some(password) => Some(self.hash_password(password).await?),
        };
        let row = LinkRow {
            version: version::ROWS,
            id,
            app: app.id.clone(),
            scene: scene.id.clone(),
            bucket: config.bucket.clone(),
            policy: terms.policy,
            subject: request.subject,
            metadata: request.metadata,
            created_at: now,
            // Whole seconds, as the token has them.
            expires_at: Timestamp::from_secs(now.plus(terms.lifetime).secs()),
            status: LinkState::Active,
            request: fingerprint,
            next_event: 0,
            opened_at: None,
            words: terms.words,
            said: Some(Said {
                app: app.name.clone(),
                title: scene.title.clone(),
                hint: scene.hint.clone(),
            }),
            password,
            listed: Listed::default(),
            erased: false,
        };
        self.links.execute(id, command::Create(Box::new(row))).await
    }

    fn random_link_id(&self) -> LinkId {
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.world.random().to_le_bytes());
        id[8..].copy_from_slice(&self.world.random().to_le_bytes()[..4]);
        LinkId::from_bytes(id)
    }

    /// Looks at a link.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn read_link(&self, id: LinkId) -> Result<LinkView, Failure> {
        self.links.execute(id, command::Read).await
    }

    /// Looks at a link of `app`, and at how far its uploads are.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn link_of(&self, app: &App, id: LinkId) -> Result<LinkView, Failure> {
        let read = command::ReadProgress;
        self.links
            .execute(id, of(app, ProblemCode::LinkNotFound, read))
            .await
    }

    /// The page's program runs for a person.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn opened(&self, id: LinkId) -> Result<(), Failure> {
        self.links.execute(id, command::Opened).await
    }

    /// The person has sent all that they want to send, picked in this order.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn finish(&self, id: LinkId, order: Vec<FileId>) -> Result<(), Failure> {
        let finish = command::Finish { order };
        self.links.execute(id, finish).await
    }

    /// Takes a link back.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn revoke(&self, app: &App, id: LinkId) -> Result<(), Failure> {
        let revoke = of(app, ProblemCode::LinkNotFound, command::Revoke);
        self.links.execute(id, revoke).await
    }

    /// Looks at a file.
    ///
    /// # Errors
    /// `file-not-found`.
    pub async fn read_file(&self, app: &App, file: FileId) -> Result<FoundFile, Failure> {
        let read = command::ReadFile { file };
        self.links
            .execute(file.link(), of(app, ProblemCode::FileNotFound, read))
            .await
    }

    /// Deletes a file; its object goes as soon as R2 answers.
    ///
    /// # Errors
    /// `file-not-found`.
    pub async fn delete_file(&self, app: &App, file: FileId) -> Result<(), Failure> {
        let delete = of(app, ProblemCode::FileNotFound, command::DeleteFile { file });
        self.links.execute(file.link(), delete).await
    }

    /// Records what the backend says of a file.
    ///
    /// # Errors
    /// `file-not-found`, `receipt-out-of-order`, `invalid-request`.
    pub async fn receipt(
        &self,
        app: &App,
        file: FileId,
        receipt: Receipt,
    ) -> Result<FoundFile, Failure> {
        let record = command::RecordReceipt { file, receipt };
        self.links
            .execute(file.link(), of(app, ProblemCode::FileNotFound, record))
            .await
    }

    /// Sends an event again.
    ///
    /// # Errors
    /// `event-not-found`.
    pub async fn redeliver(&self, app: &App, event: EventId) -> Result<EventStatus, Failure> {
        let again = of(
            app,
            ProblemCode::EventNotFound,
            command::Redeliver { event },
        );
        self.links.execute(event.link(), again).await
    }
}

/// A command on behalf of `app`; on another app's link it finds nothing.
pub(super) fn of<C>(app: &App, missing: ProblemCode, command: C) -> For<C> {
    For {
        app: app.id.clone(),
        missing,
        command,
    }
}
