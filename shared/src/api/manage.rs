//! Bodies for backends beyond making and reading a link: listing, extending, the event log,
//! download addresses, the webhook endpoint; and the password of a link.

use serde::{Deserialize, Serialize};

use super::{EventState, LinkState};
use crate::digest::Sha256;
use crate::webhook::Event;
use crate::{AppId, EventId, FileId, LinkId, SceneId, Timestamp};

/// `PATCH /v1/links/{id}`: gives a link more time. The answer is the link with its new address;
/// whoever opens the old one after its end is led to the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExtendLink {
    /// Seconds from now until the link ends: 1 up to the scene's lifetime, and no earlier than it
    /// would have ended.
    pub expires_in: u64,
}

/// `GET /v1/links`: links of the app, newest first.
///
/// The list is kept beside the links and follows them, as a rule within seconds: a link that was
/// just made may be missing, one that just ended may still be `active`. `GET /v1/links/{id}` is
/// always right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkList {
    /// The links. A page may hold fewer than were asked for, or none, and still have a next one.
    pub links: Vec<LinkSummary>,
    /// What the next page is asked for with, as `cursor`; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A link in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkSummary {
    /// The link.
    pub id: LinkId,
    /// What it asks for.
    pub scene: SceneId,
    /// Where it is in its life.
    pub state: LinkState,
    /// The app's own user or case id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// `GET /v1/links/{id}/events`: what happened to a link, oldest first. With
/// `Accept: text/event-stream` the same as server-sent events: `id` is the event's id, `event` its
/// type, `data` the JSON that the webhook has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLog {
    /// The events.
    pub events: Vec<LoggedEvent>,
}

/// An event with what became of its webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// The event.
    pub id: EventId,
    /// What the webhook says.
    #[serde(flatten)]
    pub event: Event,
    /// Where the webhook is.
    pub state: EventState,
    /// Tries so far.
    pub attempts: u32,
    /// When the next try is due, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
}

/// The head of a link's audit trail: how many entries it has, and the hash of the last. Whoever keeps one sees
/// later that the trail still has all these entries, as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditHead {
    /// How many entries there are.
    pub entries: u64,
    /// The hash of the last; 64 zeros where there is none.
    pub hash: Sha256,
}

/// That of a trail without entries.
impl Default for AuditHead {
    fn default() -> Self {
        Self {
            entries: 0,
            hash: Sha256([0; 32]),
        }
    }
}

/// `POST /v1/files/{id}/download-url`: asks for an address that needs no key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateDownloadUrl {
    /// Seconds that it is good for, 1 to 3,600; 300 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// The answer to `POST /v1/files/{id}/download-url`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DownloadUrl {
    /// The file.
    pub file: FileId,
    /// The address. Whoever has it can fetch the file until it ends.
    pub url: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// `GET /v1/webhook-endpoint`, and the answer to `POST /v1/webhook-endpoint/enable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookEndpoint {
    /// Where webhooks go: the app's `webhook_url` of the edge's config.
    pub url: String,
    /// Whether they are sent.
    pub state: EndpointState,
    /// Since when they are not, if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
}

/// Whether webhooks are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// They are.
    Enabled,
    /// The endpoint answered 410 Gone. Events wait, for three days each, until it is enabled.
    Disabled,
}

/// `GET /v1/apps/{app}/webhook-keys`: what verifies the `v1a` signatures of an app's webhooks.
/// Needs no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookKeys {
    /// The app.
    pub app: AppId,
    /// Ed25519 public keys in the form of Standard Webhooks, `whpk_<base64>`. All sign at present.
    pub keys: Vec<String>,
}

/// `POST /u/{token}/password`: says a link's password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnterPassword {
    /// The password.
    pub password: String,
}

impl core::fmt::Debug for EnterPassword {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("EnterPassword([redacted])")
    }
}

/// The answer to the right password. A browser gets the same as a cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkPass {
    /// To be sent with every request about the link, in the `Link-Pass` header.
    pub pass: String,
    /// When it ends: with the link's address.
    pub expires_at: Timestamp,
}
