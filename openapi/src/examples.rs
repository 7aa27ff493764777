//! The values of the document's examples. A test reads each as the type that it is an example of.

use chatlift_shared::api::AuditHead;
use chatlift_shared::audit::{AuditEntry, AuditTrail};
use chatlift_shared::limits::{PART_SIZE, SINGLE_REQUEST_MAX};
use chatlift_shared::{Problem, ProblemCode, Timestamp};
use serde_json::{Value, json};

const LINK: &str = "lnk_AQIDBAUGBwgJCgsM";
const FILE: &str = "fil_AQIDBAUGBwgJCgsMDQ4PEBES";
const UPLOAD: &str = "upl_AQIDBAUGBwgJCgsMDQ4PEBES";
const EVENT: &str = "evt_AQIDBAUGBwgJCgsMAAAAAAAA";
const URL: &str =
    "https://files.example.com/u/AQEBAgMEBQYHCAkKCwwEZGVtbw9jbGFpbS1kb2N1bWVudHPYx6jZBmvBHzq0";
const MADE_AT: &str = "2026-11-24T09:30:00.000Z";
const STORED_AT: &str = "2026-11-24T09:35:12.040Z";
const LATER: &str = "2026-11-24T10:05:00.000Z";
const ENDS_AT: &str = "2026-11-25T09:30:00.000Z";
/// The examples' invoice is what the reference's `printf` writes: its size, its digest, and the
/// digest of the one part that it has.
const SIZE: u64 = 15;
const SHA256: &str = "1e7313ace78f0fb481a486939b4885902663102818090805515553d84e0bbfd3";
const PARTS_SHA256: &str = "412c78bd95cbb78be03e517b92085dcfca55d539f4813d4caab53538b94d38de";
pub(crate) const DIGEST_HEADER: &str = "sha-256=:HnMTrOePD7SBpIaTm0iFkCZjECgYCQgFUVVT2E4Lv9M=:";

pub(crate) fn create_link() -> Value {
    json!({
        "scene": "claim-documents", "subject": "case-7", "metadata": { "case": "2026-1187" },
        "expires_in": 86_400
    })
}

pub(crate) fn create_link_least() -> Value {
    json!({ "scene": "claim-documents" })
}

pub(crate) fn link() -> Value {
    json!({
        "id": LINK, "app": "demo", "scene": "claim-documents", "state": "active",
        "subject": "case-7", "metadata": { "case": "2026-1187" }, "url": URL,
        "share_text": { "en": format!("Documents for your claim · Harbour Insurance\n{URL}") },
        "created_at": MADE_AT, "expires_at": ENDS_AT, "max_files": 10,
        "max_file_size": 104_857_600, "accept": ["application/pdf", "image/*"], "password": false,
        "formats": ["image/jpeg", "application/pdf"], "uploads": 0, "files": [],
        "audit": audit_head()
    })
}

pub(crate) fn link_with_file() -> Value {
    let mut link = link();
    link["opened_at"] = json!("2026-11-24T09:34:00.000Z");
    link["files"] = json!([file()]);
    link
}

pub(crate) fn file() -> Value {
    json!({
        "id": FILE, "link": LINK, "name": "invoice.pdf", "size": SIZE,
        "media_type": "application/pdf", "sha256": SHA256,
        "parts": { "size": SIZE, "sha256": [SHA256] },
        "address": format!("r2://chatlift-files/demo/{UPLOAD}"), "stored_at": STORED_AT
    })
}

pub(crate) fn file_with_receipt() -> Value {
    let mut file = file();
    file["receipt"] = delivered();
    file
}

pub(crate) fn file_withdrawn() -> Value {
    let mut file = file();
    file["deleted_at"] = json!(LATER);
    file["deleted_reason"] = json!("withdrawn");
    file
}

pub(crate) fn delivered() -> Value {
    json!({ "status": "delivered" })
}

pub(crate) fn delivered_in_part() -> Value {
    json!({
        "status": "delivered", "reason": "1 of 3 files could not be used: plan.dwg",
        "code": "members-left-out", "left_out": { "count": 1, "of": 3, "names": ["plan.dwg"] }
    })
}

pub(crate) fn received() -> Value {
    json!({ "status": "received", "sha256": SHA256 })
}

pub(crate) fn rejected() -> Value {
    json!({
        "status": "rejected", "reason": "The document is protected by a password.",
        "code": "password-protected"
    })
}

pub(crate) fn event_status() -> Value {
    json!({ "id": EVENT, "attempts": 3, "state": "pending", "next_attempt_at": LATER })
}

pub(crate) fn page_file() -> Value {
    json!({
        "id": FILE, "name": "invoice.pdf", "size": SIZE, "media_type": "application/pdf",
        "sha256": SHA256, "address": format!("r2://chatlift-files/demo/{UPLOAD}")
    })
}

pub(crate) fn page_file_new() -> Value {
    let mut file = page_file();
    file["ticket"] = json!("AQ5kZW1vAAEAAAAAAAB");
    file
}

pub(crate) fn page_data() -> Value {
    json!({
        "token": URL.rsplit('/').next(), "lang": "en",
        "languages": { "en": "English", "zh-CN": "简体中文" },
        "messages": { "pick": "Choose files" },
        "link": {
            "app_name": "Harbour Insurance", "title": "Documents for your claim",
            "hint": "Invoices, photos of the damage.", "accept": ["application/pdf", "image/*"],
            "max_file_size": 104_857_600, "max_files": 10, "files_left": 9, "state": "active",
            "expires_at": ENDS_AT, "single_request_max": SINGLE_REQUEST_MAX,
            "files": [page_file()]
        }
    })
}

pub(crate) fn form_result() -> Value {
    json!({ "files": [{ "name": "invoice.pdf", "file": page_file() }] })
}

pub(crate) fn create_upload() -> Value {
    json!({ "name": "invoice.pdf", "size": SIZE, "head": "JVBERi0xLjcKJSVFT0YK" })
}

pub(crate) fn upload() -> Value {
    json!({
        "id": UPLOAD, "ticket": "AQ5kZW1vAAEAAAAAAAB", "size": 3 * PART_SIZE,
        "part_size": PART_SIZE, "parts": [{ "n": 1, "sha256": SHA256 }],
        "staged": [{ "n": 2, "offset": 1_048_576 }]
    })
}

pub(crate) fn upload_new() -> Value {
    json!({
        "id": UPLOAD, "ticket": "AQ5kZW1vAAEAAAAAAAB", "size": SIZE, "part_size": PART_SIZE,
        "parts": []
    })
}

pub(crate) fn staged() -> Value {
    json!({ "offset": 1_048_576 })
}

pub(crate) fn complete_upload() -> Value {
    json!({ "parts_sha256": PARTS_SHA256 })
}

pub(crate) fn done() -> Value {
    json!({ "order": [FILE] })
}

pub(crate) fn link_ref() -> Value {
    json!({
        "id": LINK, "app": "demo", "scene": "claim-documents", "subject": "case-7",
        "metadata": { "case": "2026-1187" }, "formats": ["image/jpeg", "application/pdf"]
    })
}

pub(crate) fn chat_config() -> Value {
    json!({
        "platform": "wecom", "id": "ww0123456789abcdef", "agent_id": "1000002",
        "timestamp": 1_795_512_600, "nonce": "9f86d081884c7d65",
        "signature": "da39a3ee5e6b4b0d3255bfef95601890afd80709"
    })
}

pub(crate) fn link_list() -> Value {
    json!({
        "links": [{
            "id": LINK, "scene": "claim-documents", "state": "active", "subject": "case-7",
            "created_at": MADE_AT, "expires_at": ENDS_AT
        }],
        "next": "AZrVmZkAAQIDBAUGBwgJCgsM"
    })
}

pub(crate) fn download_url() -> Value {
    json!({
        "file": FILE, "url": "https://files.example.com/d/AQEEZGVtbwECAwQFBgcICQoLDA0ODxAREg",
        "expires_at": LATER
    })
}

pub(crate) fn event_log() -> Value {
    let mut logged = event(
        "file.stored",
        &json!({ "file": file(), "link": link_ref() }),
    );
    logged["id"] = json!(EVENT);
    logged["state"] = json!("acknowledged");
    logged["attempts"] = json!(1);
    json!({ "events": [logged] })
}

/// The beginning of a trail, as the edge writes it.
pub(crate) fn audit_trail() -> Value {
    let made = json!({
        "link": LINK, "app": "demo", "scene": "claim-documents", "created_at": MADE_AT,
        "expires_at": ENDS_AT, "accept": ["application/pdf"], "max_files": 10,
        "max_file_size": 104_857_600, "file_retention": 604_800, "password": false
    });
    let stored = json!({
        "file": FILE, "upload": UPLOAD, "begun_at": STORED_AT, "by": "request", "size": SIZE,
        "media_type": "application/pdf", "sha256": SHA256
    });
    let entry = |head, at: &str, kind: &str, facts| {
        let at = at.parse().unwrap_or(Timestamp::from_secs(0));
        let facts = serde_json::from_value(facts).unwrap_or_default();
        AuditEntry::following(head, at, kind.to_owned(), facts)
    };
    let made = entry(AuditHead::default(), MADE_AT, "link.made", made);
    let stored = entry(made.head(), STORED_AT, "file.stored", stored);
    let head = stored.head();
    let entries = vec![made, stored];
    json!(AuditTrail { entries, head })
}

/// Where that trail ends.
fn audit_head() -> Value {
    audit_trail()["head"].clone()
}

pub(crate) fn endpoint() -> Value {
    json!({ "url": "https://app.example.com/webhooks/chatlift", "state": "enabled" })
}

pub(crate) fn webhook_keys() -> Value {
    json!({ "app": "demo", "keys": ["whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="] })
}

pub(crate) fn link_pass() -> Value {
    json!({ "pass": "AQEBAgMEBQYHCAkKCwzYx6jZBmvBHzq0", "expires_at": ENDS_AT })
}

/// An event of a kind.
pub(crate) fn event(kind: &str, data: &Value) -> Value {
    json!({ "type": kind, "timestamp": STORED_AT, "data": data })
}

/// A problem as it comes in life.
pub(crate) fn problem(code: ProblemCode) -> Problem {
    let problem = Problem::new(code);
    match code {
        ProblemCode::InvalidRequest => problem.field("subjct").detail(
            "unknown field `subjct`, expected one of `scene`, `subject`, `metadata`, `expires_in` \
             at line 1 column 37",
        ),
        ProblemCode::ApiKeyMissing | ProblemCode::ApiKeyUnknown => problem.field("Authorization"),
        ProblemCode::MethodNotAllowed => problem.detail("Use GET, DELETE."),
        ProblemCode::SceneUnknown => problem.field("scene"),
        ProblemCode::BeyondScene => problem.field("expires_in").limit(604_800),
        ProblemCode::PasswordWrong => problem.field("password"),
        ProblemCode::PasswordLocked | ProblemCode::RateLimited => problem.retry_after(60),
        ProblemCode::IdempotencyKeyReused => problem.field("Idempotency-Key"),
        ProblemCode::LengthRequired => problem.field("Content-Length"),
        ProblemCode::BodyTooLarge => problem.limit(65_536),
        ProblemCode::FileTooLarge => problem.limit(104_857_600),
        ProblemCode::LinkFull => problem.limit(10),
        ProblemCode::UploadTicketInvalid => problem.field("Upload-Ticket"),
        ProblemCode::OffsetDiffers => {
            let mut problem = problem.field("Upload-Offset");
            problem.offset = Some(1_048_576);
            problem
        }
        ProblemCode::PartsMissing | ProblemCode::PartsDiffer => {
            let mut problem = problem;
            problem.parts = vec![2, 3];
            problem
        }
        ProblemCode::DigestMissing | ProblemCode::DigestMismatch => problem.field("Content-Digest"),
        ProblemCode::ReceiptOutOfOrder => problem.field("status"),
        ProblemCode::RangeNotSatisfiable => problem.field("Range").limit(SIZE),
        ProblemCode::PreconditionFailed => problem.field("If-Match"),
        ProblemCode::StorageUnavailable | ProblemCode::Internal => {
            let mut problem = problem;
            problem.instance = Some("9f86d081884c7d65".to_owned());
            problem
        }
        _ => problem,
    }
}

pub(crate) fn erased(left: u32) -> Value {
    json!({ "link": LINK, "files": [FILE], "uploads": left, "events": 2, "left": left, "audit": audit_head() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatlift_shared::api;
    use chatlift_shared::digest::Sha256;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    /// Read as the type and written again it is what it was, so it has no field that is none.
    fn is<T: DeserializeOwned + Serialize>(example: Value) {
        let value: T =
            serde_json::from_value(example.clone()).unwrap_or_else(|e| panic!("{e}: {example:#}"));
        assert_eq!(json!(value), example);
    }

    #[test]
    fn examples_are_of_their_types() {
        is::<api::CreateLink>(create_link());
        is::<api::CreateLink>(create_link_least());
        is::<api::Link>(link());
        is::<api::Link>(link_with_file());
        is::<api::File>(file_with_receipt());
        is::<api::Receipt>(rejected());
        is::<api::EventStatus>(event_status());
        is::<api::PageData>(page_data());
        is::<api::FormResult>(form_result());
        is::<api::CreateUpload>(create_upload());
        is::<api::Upload>(upload());
        is::<api::Upload>(upload_new());
        is::<api::Staged>(staged());
        is::<api::CompleteUpload>(complete_upload());
        is::<api::Done>(done());
        is::<api::LinkList>(link_list());
        is::<api::DownloadUrl>(download_url());
        is::<api::Erased>(erased(1));
        is::<api::EventLog>(event_log());
        is::<AuditTrail>(audit_trail());
        is::<api::WebhookEndpoint>(endpoint());
        is::<api::WebhookKeys>(webhook_keys());
        is::<api::LinkPass>(link_pass());
        is::<chatlift_shared::chat::ChatConfig>(chat_config());
    }

    #[test]
    fn the_invoice_is_what_the_reference_writes() {
        let invoice = b"%PDF-1.7\n%%EOF\n";
        let digest = Sha256::of(invoice);
        assert_eq!(invoice.len() as u64, SIZE);
        assert_eq!(digest.to_string(), SHA256);
        assert_eq!(digest.to_header(), DIGEST_HEADER);
        assert_eq!(Sha256::of_parts([digest]).to_string(), PARTS_SHA256);
    }
}
