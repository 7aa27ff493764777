//! The addresses that the edge gives out, and a link as the API shows it, with its own.

use std::collections::BTreeMap;

use chatlift_shared::api::Link;
use chatlift_shared::token::{Claims, mint};

use super::message::Request;
use crate::config::Config;
use crate::link::state::{LinkRow, LinkView};
use crate::page::language;

/// The address of a link.
pub(super) fn link_url<B>(config: &Config, request: &Request<B>, token: &str) -> String {
    format!("{}/u/{token}", base_url(config, request))
}

/// The edge's own address, without a slash at the end.
pub(super) fn base_url<B>(config: &Config, request: &Request<B>) -> String {
    match &config.public_url {
        Some(base) => base.clone(),
        None => request.url.origin().ascii_serialization(),
    }
}

/// The claims of the token that a link has now.
pub(super) fn claims_of(row: &LinkRow) -> Claims {
    Claims {
        link: row.id,
        app: row.app.clone(),
        scene: row.scene.clone(),
        expires_at: u64::try_from(row.expires_at.secs()).unwrap_or_default(),
        password: row.password.is_some(),
    }
}

/// A link as the API shows it.
pub(super) fn api_link<B>(config: &Config, request: &Request<B>, view: LinkView) -> Link {
    let row = view.link;
    let token = mint(&config.keys, &claims_of(&row));
    let url = link_url(config, request, &token);
    let share_text = share_text(config, &row, &url);
    Link {
        id: row.id,
        app: row.app,
        scene: row.scene,
        state: row.status,
        subject: row.subject,
        metadata: row.metadata,
        url,
        share_text,
        created_at: row.created_at,
        expires_at: row.expires_at,
        max_files: row.policy.max_files,
        max_file_size: row.policy.max_file_size,
        accept: row.policy.accept.iter().map(ToString::to_string).collect(),
        password: row.password.is_some(),
        formats: row.policy.formats,
        join: row.policy.join,
        opened_at: row.opened_at,
        uploads: view.uploads,
        under_way: view.under_way,
        files: view.files,
        audit: view.audit,
    }
}

/// A sentence to send into a chat, in every language.
fn share_text(config: &Config, row: &LinkRow, url: &str) -> BTreeMap<String, String> {
    let Some(app) = config.app(&row.app) else {
        return BTreeMap::new();
    };
    let Some(scene) = app.scenes.get(&row.scene) else {
        return BTreeMap::new();
    };
    language::tags()
        .map(|tag| {
            let title = row.words.title.as_ref().unwrap_or(&scene.title).get(tag);
            let text = format!("{title} · {}\n{url}", app.name.get(tag));
            (tag.to_owned(), text)
        })
        .collect()
}
