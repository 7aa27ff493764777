//! Links and files, for backends.

use chatlift_shared::api::{CreateLink, EventStatus, Receipt};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{
    IDEMPOTENCY_KEY_MAX, METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX, SUBJECT_MAX,
};
use chatlift_shared::mac::Domain;
use chatlift_shared::{EventId, FileId, LinkId, Problem, ProblemCode};
use core::time::Duration;

use super::{Service, unexpected};
use crate::config::{App, Config};
use crate::core::command::{Command, FoundFile, Reply};
use crate::core::link::{LinkRow, LinkView};
use crate::ports::{Bucket, Failure, Links, World};

impl<L: Links, B: Bucket, W: World> Service<L, B, W> {
    /// Makes a link, or finds the one that was made with the same idempotency key.
    ///
    /// The id of a link with an idempotency key is a MAC of the key, so that the same key leads to
    /// the same Durable Object, and no object need be shared to find it.
    ///
    /// # Errors
    /// `invalid-request` or `scene-unknown` with the field; `idempotency-key-reused`.
    pub async fn create_link(
        &self,
        config: &Config,
        app: &App,
        request: CreateLink,
        idempotency_key: Option<&str>,
    ) -> Result<LinkView, Failure> {
        check_request(&request)?;
        let scene = app
            .scenes
            .get(&request.scene)
            .ok_or_else(|| Problem::new(ProblemCode::SceneUnknown).field("scene"))?;
        let lifetime = match request.expires_in {
            None => scene.link_lifetime,
            Some(secs) if (1..=scene.link_lifetime.as_secs()).contains(&secs) => {
                Duration::from_secs(secs)
            }
            Some(_) => return Err(invalid("expires_in", scene.link_lifetime.as_secs()).into()),
        };
        let (id, fingerprint) = match idempotency_key {
            None => (self.random_link_id(), None),
            Some(key) if (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) => {
                let message = [app.id.as_str(), "\0", key].concat();
                let tag = config
                    .keys
                    .signing()
                    .tag(Domain::Idempotency, message.as_bytes());
                let mut id = [0; 12];
                id.copy_from_slice(&tag[..12]);
                let json =
                    serde_json::to_vec(&request).map_err(|e| Failure::Broken(e.to_string()))?;
                (LinkId::from_bytes(id), Some(Sha256::of(&json)))
            }
            Some(_) => {
                return Err(invalid("Idempotency-Key", IDEMPOTENCY_KEY_MAX as u64).into());
            }
        };
        let now = self.world.now();
        let row = LinkRow {
            id,
            app: app.id.clone(),
            scene: scene.id.clone(),
            bucket: config.bucket.clone(),
            policy: scene.policy.clone(),
            subject: request.subject,
            metadata: request.metadata,
            created_at: now,
            // Whole seconds, as the token has them.
            expires_at: chatlift_shared::Timestamp::from_secs(now.plus(lifetime).secs()),
            status: chatlift_shared::api::LinkState::Active,
            request: fingerprint,
            next_event: 0,
            opened_at: None,
        };
        self.ask_for_link(id, Command::Create(Box::new(row))).await
    }

    fn random_link_id(&self) -> LinkId {
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.world.random().to_le_bytes());
        id[8..].copy_from_slice(&self.world.random().to_le_bytes()[..4]);
        LinkId::from_bytes(id)
    }

    async fn ask_for_link(&self, id: LinkId, command: Command) -> Result<LinkView, Failure> {
        match self.links.execute(id, command).await? {
            Reply::Link(view) => Ok(*view),
            other => Err(unexpected(&other)),
        }
    }

    /// Looks at a link.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn read_link(&self, id: LinkId) -> Result<LinkView, Failure> {
        self.ask_for_link(id, Command::Read).await
    }

    /// Looks at a link of `app`, and at how far its uploads are.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn link_of(&self, app: &App, id: LinkId) -> Result<LinkView, Failure> {
        let read = Command::ReadProgress;
        self.ask_for_link(id, of(app, ProblemCode::LinkNotFound, read))
            .await
    }

    /// The page's program runs for a person.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn opened(&self, id: LinkId) -> Result<(), Failure> {
        self.links.execute(id, Command::Opened).await.map(drop)
    }

    /// The person has sent all that they want to send, picked in this order.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn finish(&self, id: LinkId, order: Vec<FileId>) -> Result<(), Failure> {
        let finish = Command::Finish { order };
        self.links.execute(id, finish).await.map(drop)
    }

    /// Takes a link back.
    ///
    /// # Errors
    /// `link-not-found`.
    pub async fn revoke(&self, app: &App, id: LinkId) -> Result<(), Failure> {
        let revoke = of(app, ProblemCode::LinkNotFound, Command::Revoke);
        self.links.execute(id, revoke).await.map(drop)
    }

    /// Looks at a file.
    ///
    /// # Errors
    /// `file-not-found`.
    pub async fn read_file(&self, app: &App, file: FileId) -> Result<FoundFile, Failure> {
        let read = Command::ReadFile { file };
        self.ask_for_file(file, of(app, ProblemCode::FileNotFound, read))
            .await
    }

    /// Deletes a file; its object goes as soon as R2 answers.
    ///
    /// # Errors
    /// `file-not-found`.
    pub async fn delete_file(&self, app: &App, file: FileId) -> Result<(), Failure> {
        let delete = of(app, ProblemCode::FileNotFound, Command::DeleteFile { file });
        self.links.execute(file.link(), delete).await.map(drop)
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
        let record = Command::Receipt { file, receipt };
        self.ask_for_file(file, of(app, ProblemCode::FileNotFound, record))
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
            Command::Redeliver { event },
        );
        match self.links.execute(event.link(), again).await? {
            Reply::Event(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }
}

/// A command on behalf of `app`; on another app's link it finds nothing.
fn of(app: &App, missing: ProblemCode, command: Command) -> Command {
    Command::For {
        app: app.id.clone(),
        missing,
        command: Box::new(command),
    }
}

fn invalid(field: &str, limit: u64) -> Problem {
    Problem::new(ProblemCode::InvalidRequest)
        .field(field)
        .limit(limit)
}

fn check_request(request: &CreateLink) -> Result<(), Problem> {
    if request
        .subject
        .as_ref()
        .is_some_and(|s| s.len() > SUBJECT_MAX)
    {
        return Err(invalid("subject", SUBJECT_MAX as u64));
    }
    if request.metadata.len() > METADATA_ENTRIES_MAX {
        return Err(invalid("metadata", METADATA_ENTRIES_MAX as u64));
    }
    for (key, value) in &request.metadata {
        if key.is_empty() || key.len() > METADATA_KEY_MAX {
            return Err(
                invalid("metadata", METADATA_KEY_MAX as u64).detail("A key is empty or too long.")
            );
        }
        if value.len() > METADATA_VALUE_MAX {
            return Err(invalid(
                &format!("metadata.{key}"),
                METADATA_VALUE_MAX as u64,
            ));
        }
    }
    Ok(())
}
