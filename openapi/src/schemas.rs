//! The document's schemas: derived from the types, made exact by the limits.

use chatlift_shared::limits::{
    ACCEPT_MAX, DOWNLOAD_SECS_MAX, FILE_SIZE_MAX, HEAD_MAX, HINT_MAX, LANGUAGES_MAX,
    LEFT_OUT_NAMES_MAX, LINK_FILES_MAX, METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX,
    PASSWORD_MAX, PASSWORD_MIN, REASON_MAX, RECEIPT_CODE_MAX, SUBJECT_MAX, TITLE_MAX,
};
use chatlift_shared::{api, chat, digest, id, problem, text, time, webhook};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// A media range: `*/*`, or a type and `*` or a subtype (RFC 9110 section 12.5.1).
const MEDIA_RANGE: &str = "^(\\*/\\*|[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/(\\*|[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}))$";

/// Longest address to return to, in bytes, and longest language tag, in characters (RFC 5646
/// section 4.4.1): as the edge's `overrides` have them.
const RETURN_URL_MAX: usize = 2000;
const LANGUAGE_TAG_MAX: usize = 35;

/// Longest lifetime of a link, in seconds: 90 days, the edge's `LINK_LIFETIME_MAX`.
const LIFETIME_MAX: u64 = 90 * 24 * 60 * 60;

macro_rules! collect {
    ($($type:path,)*) => {{
        let mut schemas = Map::new();
        $(add::<$type>(&mut schemas);)*
        schemas
    }};
}

fn add<T: ToSchema>(schemas: &mut Map<String, Value>) {
    let value = serde_json::to_value(T::schema()).unwrap_or_else(|_| unreachable!("a schema"));
    schemas.insert(T::name().into_owned(), value);
}

/// All schemas, by name.
pub(crate) fn schemas() -> Map<String, Value> {
    let mut schemas = collect![
        id::AppId,
        id::SceneId,
        id::LinkId,
        id::UploadId,
        id::FileId,
        id::EventId,
        digest::Sha256,
        time::Timestamp,
        problem::ProblemCode,
        problem::Problem,
        api::CreateLink,
        api::LinkState,
        api::Link,
        api::Join,
        api::UnderWay,
        api::File,
        api::DeletedReason,
        api::Receipt,
        api::ReceiptStatus,
        api::LeftOut,
        api::EventStatus,
        api::EventState,
        api::PageData,
        api::PageLink,
        api::PageFile,
        api::Done,
        api::FormResult,
        api::FormFile,
        api::CreateUpload,
        api::Upload,
        api::StagedPart,
        api::Staged,
        api::HeldPart,
        api::PartDigests,
        api::CompleteUpload,
        api::ExtendLink,
        api::LinkList,
        api::LinkSummary,
        api::CreateDownloadUrl,
        api::DownloadUrl,
        api::Erased,
        api::AuditHead,
        api::WebhookEndpoint,
        api::EndpointState,
        api::WebhookKeys,
        api::EnterPassword,
        api::LinkPass,
        chat::Platform,
        chat::ChatConfig,
        webhook::FileStored,
        webhook::LinkEnded,
        webhook::LinkRef,
        webhook::FileDeleted,
        text::LocalizedText,
    ];
    for schema in schemas.values_mut() {
        tidy(schema);
    }
    limits(&mut schemas);
    schemas
}

/// An answer leaves out what it has not, and never says `null`; only requests may say it. Requests
/// are the types that refuse unknown fields.
fn tidy(schema: &mut Value) {
    let request = schema["additionalProperties"] == json!(false);
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for property in properties.values_mut() {
        // utoipa's minimum of an unsigned integer is written as a float in no case that matters,
        // and its formats `int32` and `int64` would say that an unsigned number is a signed one.
        if let Some(fields) = property.as_object_mut()
            && fields
                .get("format")
                .is_some_and(|f| f == "int32" || f == "int64")
        {
            fields.remove("format");
        }
        if request {
            continue;
        }
        if let Some(types) = property.get("type").and_then(Value::as_array) {
            let kept: Vec<Value> = types.iter().filter(|t| **t != "null").cloned().collect();
            if let [one] = kept.as_slice() {
                property["type"] = one.clone();
            }
        }
        if let Some(of) = property.get("oneOf").and_then(Value::as_array) {
            let kept: Vec<Value> = of.iter().filter(|s| s["type"] != "null").cloned().collect();
            if let [one] = kept.as_slice() {
                let mut one = one.clone();
                if let Some(description) = property.get("description") {
                    one["description"] = description.clone();
                }
                *property = one;
            }
        }
    }
}

/// The bounds that the edge holds requests to, of `chatlift_shared::limits`.
fn limits(schemas: &mut Map<String, Value>) {
    let mut set = |schema: &str, field: &str, bounds: Value| {
        let property = &mut schemas[schema]["properties"][field];
        if let (Some(property), Value::Object(bounds)) = (property.as_object_mut(), bounds) {
            property.extend(bounds);
        }
    };
    set("CreateLink", "subject", json!({ "maxLength": SUBJECT_MAX }));
    set(
        "CreateLink",
        "metadata",
        json!({
            "maxProperties": METADATA_ENTRIES_MAX,
            "propertyNames": { "minLength": 1, "maxLength": METADATA_KEY_MAX },
            "additionalProperties": { "type": "string", "maxLength": METADATA_VALUE_MAX }
        }),
    );
    set(
        "CreateLink",
        "expires_in",
        json!({ "minimum": 1, "maximum": LIFETIME_MAX }),
    );
    for field in ["max_files", "max_file_size", "file_retention"] {
        set("CreateLink", field, json!({ "minimum": 1 }));
    }
    set(
        "CreateLink",
        "max_files",
        json!({ "maximum": LINK_FILES_MAX }),
    );
    set(
        "CreateLink",
        "max_file_size",
        json!({ "maximum": FILE_SIZE_MAX }),
    );
    set(
        "CreateLink",
        "accept",
        json!({
            "minItems": 1, "maxItems": ACCEPT_MAX,
            "items": { "type": "string", "pattern": MEDIA_RANGE }
        }),
    );
    // The edge asks this of each language of a title; here the shorter form can say it.
    set(
        "CreateLink",
        "title",
        json!({ "maxLength": TITLE_MAX, "pattern": "\\S" }),
    );
    set(
        "CreateLink",
        "return_url",
        json!({ "maxLength": RETURN_URL_MAX, "format": "uri" }),
    );
    set(
        "CreateLink",
        "password",
        json!({ "minLength": PASSWORD_MIN, "maxLength": PASSWORD_MAX }),
    );
    set(
        "ExtendLink",
        "expires_in",
        json!({ "minimum": 1, "maximum": LIFETIME_MAX }),
    );
    set(
        "CreateDownloadUrl",
        "expires_in",
        json!({ "minimum": 1, "maximum": DOWNLOAD_SECS_MAX }),
    );
    set("Receipt", "attempt", json!({ "maximum": u32::MAX }));
    set("Receipt", "reason", json!({ "maxLength": REASON_MAX }));
    let names = json!({ "maxItems": LEFT_OUT_NAMES_MAX });
    set("LeftOut", "names", names);
    for field in ["count", "of"] {
        set("LeftOut", field, json!({ "maximum": u32::MAX }));
    }
    set("Receipt", "code", json!({ "maxLength": RECEIPT_CODE_MAX }));
    set(
        "CreateUpload",
        "size",
        json!({ "minimum": 1, "maximum": FILE_SIZE_MAX }),
    );
    set(
        "CreateUpload",
        "head",
        json!({
            "contentEncoding": "base64", "minLength": 4, "maxLength": HEAD_MAX.div_ceil(3) * 4,
            "pattern": "^[A-Za-z0-9+/]+={0,2}$"
        }),
    );
    schemas["LocalizedText"]["oneOf"] = json!([
        { "type": "string", "description": "One text for everybody.", "maxLength": HINT_MAX },
        {
            "type": "object",
            "description": "Text by language tag, such as `{\"en\": \"...\", \"zh-CN\": \"...\"}`.",
            "minProperties": 1, "maxProperties": LANGUAGES_MAX,
            "propertyNames": { "type": "string", "maxLength": LANGUAGE_TAG_MAX },
            "additionalProperties": { "type": "string", "maxLength": HINT_MAX }
        }
    ]);
}
