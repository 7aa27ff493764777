//! Chatlift for a business backend in Rust: make a link, hear of the files that come by it, fetch
//! them, and say what became of them.
//!
//! ```no_run
//! use chatlift_client::{Client, CreateLink};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let chatlift = Client::new("https://files.example.com", "clk_...")?;
//! let mut request = CreateLink::new("claim-documents".parse()?);
//! request.subject = Some("case-7".to_owned());
//! let link = chatlift.create_link(&request).idempotency_key("case-7-documents").send().await?;
//! println!("send this to your user: {}", link.share_text["en"]);
//! # Ok(())
//! # }
//! ```
//!
//! When a file is stored, the app's webhook endpoint hears of it. Verify what comes there with
//! [`webhook`], then fetch:
//!
//! ```no_run
//! use chatlift_client::webhook::{self, EventKind};
//! use chatlift_client::{Client, Receipt, ReceiptStatus, Timestamp};
//!
//! # async fn heard(
//! #     chatlift: &Client, headers: &[(String, String)], body: &[u8], now: Timestamp,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?];
//! let header = |name: &'static str| {
//!     headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
//! };
//! let (id, event) = webhook::read(&secrets, header, body, now)?;
//! // `id` is the same at every try: keep it, and pass over what is known.
//! if let EventKind::FileStored(stored) = event.kind {
//!     let file = stored.file;
//!     chatlift.content(file.id).save(&file, "/var/lib/app/invoice.pdf").await?;
//!     chatlift.give_receipt(file.id, &Receipt::new(ReceiptStatus::Delivered)).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Without a webhook endpoint, follow a link's events: [`Client::events`].
//!
//! Auditors verify what happened to a link and its files by [`Client::audit_trail`] and [`audit::verify`].
//!
//! Every call may be repeated. Redirects are not followed, and no address that an event or an
//! answer holds is ever called: only the edge that the [`Client`] was made for.

mod check;
mod client;
mod content;
mod error;
mod events;
mod request;
pub mod webhook;

pub use chatlift_shared::audit;

pub use chatlift_shared::api::{
    AuditHead, CreateLink, EventState, EventStatus, File, Link, LinkState, PartDigests, Receipt,
    ReceiptStatus,
};
pub use chatlift_shared::digest::Sha256;
pub use chatlift_shared::{
    AppId, EventId, FileId, LinkId, Problem, ProblemCode, SceneId, Timestamp,
};
pub use check::{Check, WrongContent};
pub use client::{Client, Config, SetupError};
pub use content::{Content, ContentRequest, SaveError};
pub use error::Error;
pub use events::Events;
pub use request::CreateLinkRequest;
