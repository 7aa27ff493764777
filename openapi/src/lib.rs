//! The edge's API as an OpenAPI 3.1 document, and the reference page that is made of it.
//!
//! Schemas come from the types of `chatlift-shared` that edge, page and backend use; examples are
//! values of those types; problems come from [`ProblemCode`]. `tests/tests/edge/openapi.rs` holds
//! the running edge to the document, and the document to the edge's routes.
//!
//! A crate of its own, so that no shipped program carries any of it: the build writes the document
//! among the edge's static assets.

mod backend;
mod examples;
mod manage;
mod operation;
pub mod reference;
mod resumable;
mod schemas;
mod serial;
mod tus;
mod upload;
mod webhooks;

use chatlift_shared::ProblemCode;
use serde_json::{Map, Value, json};

use operation::Tag;

/// What the reference begins with (CommonMark).
const DESCRIPTION: &str = "\
Make a link, send it into any chat, and hear of the files that come back.

**Authenticate** with `Authorization: Bearer <API key>`. What lies under `/u/` wants the link's token \
in the path instead.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`. A path that there is not answers `not-found`, a method that a path does not take \
`method-not-allowed` with `Allow`. What is answered with a `Retry-After` may be tried again.

**Requests** refuse fields that they do not know, so that a misspelt one is noticed. **Answers** may \
gain fields. Times are UTC (RFC 3339), sizes are bytes, lengths of texts are characters.

`GET` answers `HEAD` too.";

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for operation in backend::operations()
        .into_iter()
        .chain(upload::operations())
        .chain(tus::operations())
        .chain(resumable::operations())
    {
        let (method, path) = (operation.method, operation.path);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation.build();
    }
    let (events, webhooks) = webhooks::webhooks();
    let mut schemas = schemas::schemas();
    schemas.extend(events);
    schemas.extend(manage::audit_schemas());
    schemas.insert(
        "Health".to_owned(),
        json!({
            "type": "object", "description": "The edge answers.", "required": ["status"],
            "properties": { "status": { "type": "string", "const": "ok" } }
        }),
    );
    let problems: Map<String, Value> = ProblemCode::ALL
        .iter()
        .map(|&code| {
            (
                code.code().to_owned(),
                json!({ "summary": code.title(), "value": examples::problem(code) }),
            )
        })
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Chatlift",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Gets a file out of a chat and into the app that needs it.",
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" }
        },
        "servers": [{ "url": "/", "description": "The edge that serves this document." }],
        "tags": Tag::ALL
            .map(|tag| json!({ "name": tag.name(), "description": tag.description() })),
        "security": [{ "api_key": [] }],
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": schemas,
            "examples": problems,
            "securitySchemes": { "api_key": {
                "type": "http", "scheme": "bearer",
                "description": "The app's API key, `clk_...`. For backends: it never goes to a page."
            } }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every `$ref` in a value.
    fn refs<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| refs(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| refs(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let mut found = BTreeSet::new();
        refs(&document, &mut found);
        for reference in &found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let schemas = document["components"]["schemas"]
            .as_object()
            .expect("schemas");
        for name in schemas.keys().filter(|name| *name != "Event") {
            let reference = format!("#/components/schemas/{name}");
            assert!(found.contains(reference.as_str()), "{name} is used by none");
        }
    }

    #[test]
    fn no_text_leads_into_the_source() {
        let text = document().to_string();
        assert!(!text.contains("[`"), "a link of rustdoc");
    }

    #[test]
    fn answers_never_hold_null() {
        let document = document();
        for (name, schema) in document["components"]["schemas"]
            .as_object()
            .expect("schemas")
        {
            if schema["additionalProperties"] != json!(false) {
                assert!(!schema.to_string().contains("\"null\""), "{name}: {schema}");
            }
        }
    }

    /// The routes that the edge's own map of them names, as `method path`.
    fn routes() -> BTreeSet<String> {
        let source = include_str!("../../edge/src/http/route.rs");
        source
            .lines()
            .filter_map(|line| {
                let quoted = line.trim().strip_prefix("/// `")?.split('`').next()?;
                let (method, path) = quoted.split_once(' ')?;
                path.starts_with('/')
                    .then(|| format!("{} {}", method.to_lowercase(), nameless(path)))
            })
            // One route of two forms; its comment names the first.
            .chain(["get /v1/links/{}/qr.png".to_owned()])
            .chain(protocol("tus", include_str!("../../edge/src/http/tus.rs")))
            .chain(protocol(
                "resumable",
                include_str!("../../edge/src/http/resumable.rs"),
            ))
            .collect()
    }

    /// The routes of an upload protocol, which answers whatever the method: those that it allows.
    fn protocol(name: &str, source: &str) -> Vec<String> {
        let of = |constant: &str, path: &str| -> Vec<String> {
            let start = format!("const {constant}: &str = \"");
            let methods = source
                .lines()
                .find_map(|line| line.strip_prefix(&start)?.strip_suffix("\";"))
                .unwrap_or_else(|| panic!("no {constant} of {name}"));
            let methods = methods.split(", ");
            methods
                .map(|method| format!("{} {path}", method.to_lowercase()))
                .collect()
        };
        let all = format!("/u/{{}}/{name}");
        let one = format!("{all}/{{}}");
        [of("METHODS", &all), of("UPLOAD_METHODS", &one)].concat()
    }

    /// A path with nothing in its braces.
    fn nameless(path: &str) -> String {
        path.split('/')
            .map(|segment| {
                if segment.starts_with('{') {
                    "{}"
                } else {
                    segment
                }
            })
            .collect::<Vec<_>>()
            .join("/")
    }

    #[test]
    fn every_route_of_the_edge_is_documented_and_no_other() {
        let document = document();
        let documented: BTreeSet<String> = document["paths"]
            .as_object()
            .expect("paths")
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("an item").keys();
                methods.map(move |method| format!("{method} {}", nameless(path)))
            })
            .collect();
        assert_eq!(documented, routes(), "describe it in openapi/src");
    }
}
