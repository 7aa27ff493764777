//! Schemas of the types whose JSON form is text of a kind of their own; the others derive theirs.

use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::digest::Sha256;
use crate::{AppId, EventId, FileId, LinkId, ProblemCode, SceneId, Timestamp, UploadId};

fn text(description: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .examples([example])
}

macro_rules! schema {
    ($($name:ty: $builder:expr,)*) => {
        $(
            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    RefOr::T(Schema::Object($builder.build()))
                }
            }
            impl ToSchema for $name {}
        )*
    };
}

/// See [`crate::id`]: 1 to 32 of `a-z`, `0-9` and `-`, neither first nor last a `-`.
const SLUG: &str = "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$";

schema! {
    AppId: text("An app, by the id that the operator chose.", "demo").pattern(Some(SLUG)),
    SceneId: text("A scene of an app, by the id that the operator chose.", "claim-documents")
        .pattern(Some(SLUG)),
    LinkId: text("A link.", "lnk_AQIDBAUGBwgJCgsM").pattern(Some("^lnk_[A-Za-z0-9_-]{16}$")),
    UploadId: text("An upload.", "upl_AQIDBAUGBwgJCgsMDQ4PEBES")
        .pattern(Some("^upl_[A-Za-z0-9_-]{24}$")),
    FileId: text("A file.", "fil_AQIDBAUGBwgJCgsMDQ4PEBES")
        .pattern(Some("^fil_[A-Za-z0-9_-]{24}$")),
    EventId: text("An event; sent as `webhook-id`.", "evt_AQIDBAUGBwgJCgsMAAAAAAAA")
        .pattern(Some("^evt_[A-Za-z0-9_-]{24}$")),
    Sha256: text(
        "A SHA-256 digest in hexadecimal, as `sha256sum` prints it.",
        "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    )
    .pattern(Some("^[0-9a-fA-F]{64}$")),
    Timestamp: text("A moment in UTC (RFC 3339).", "2026-11-24T22:37:21.500Z")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
    ProblemCode: text("The stable code of a problem.", "link-expired")
        .enum_values(Some(ProblemCode::ALL.iter().map(|code| code.code()))),
}
