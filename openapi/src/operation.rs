//! One operation of the document, put together piece by piece.

use chatlift_shared::token::TOKEN_MAX;
use chatlift_shared::{ProblemCode, problem};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::examples;

/// The part of the reference that an operation stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Links, for backends.
    Links,
    /// Files, for backends.
    Files,
    /// Events, for backends.
    Events,
    /// Uploading, for whoever has a link.
    Upload,
    /// Uploading by tus.
    Tus,
    /// Uploading by Resumable Uploads for HTTP.
    Resumable,
    /// What needs no credential at all.
    Service,
}

impl Tag {
    /// All of them, in the order of the reference.
    pub(crate) const ALL: [Self; 7] = [
        Self::Links,
        Self::Files,
        Self::Events,
        Self::Upload,
        Self::Tus,
        Self::Resumable,
        Self::Service,
    ];

    /// Its name in the document.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Links => "Links",
            Self::Files => "Files",
            Self::Events => "Events",
            Self::Upload => "Upload",
            Self::Tus => "Tus",
            Self::Resumable => "Resumable",
            Self::Service => "Service",
        }
    }

    /// What it holds.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Links => {
                "Ask for files. A link opens the upload page in any chat; whoever has it can upload."
            }
            Self::Files => "Read what was uploaded, and say what became of it.",
            Self::Events => "Hear of files and links: by webhook, and again when asked.",
            Self::Upload => {
                "What the upload page calls. The link's token is the credential; no API key goes here."
            }
            Self::Tus => {
                "tus 1.0 (https://tus.io/protocols/resumable-upload), for whoever has a tus client. \
                 The link's token is the credential. `docs/upload-protocols.md` says what a schema \
                 cannot: the extensions, what a cut keeps, how pieces are joined. Refusals are \
                 problems as everywhere, with the protocol's statuses; those of `HEAD` have no body."
            }
            Self::Resumable => {
                "Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload-12, interop version \
                 9), without the interim response 104. The link's token is the credential. \
                 `docs/upload-protocols.md` says how an upload goes. Of the refusals, another offset \
                 and lengths that differ have the draft's own problem `type`; every `code` is ours."
            }
            Self::Service => "About the edge itself.",
        }
    }

    /// Whether its operations want the API key.
    const fn wants_key(self) -> bool {
        matches!(self, Self::Links | Self::Files | Self::Events)
    }
}

/// A `Content-Digest` or `Repr-Digest` (RFC 9530). The last letter has two bits that carry nothing,
/// and must be zero.
pub(crate) fn digest() -> Value {
    json!({
        "type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:$"
    })
}

/// A reference to a schema.
pub(crate) fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An operation under way.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    tag: Tag,
    value: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
    curl: Vec<String>,
    counted: bool,
}

/// Begins an operation. Parameters of the path are found by their names in it.
pub(crate) fn operation(
    tag: Tag,
    method: &'static str,
    path: &'static str,
    id: &str,
    summary: &str,
) -> Operation {
    let mut value = Map::new();
    value.insert("operationId".into(), json!(id));
    value.insert("summary".into(), json!(summary));
    value.insert("tags".into(), json!([tag.name()]));
    if !tag.wants_key() {
        value.insert("security".into(), json!([]));
    }
    let parameters = path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .map(path_parameter)
        .collect();
    Operation {
        method,
        path,
        tag,
        value,
        parameters,
        responses: Map::new(),
        curl: Vec::new(),
        counted: path.starts_with("/u/"),
    }
}

fn path_parameter(name: &str) -> Value {
    let (schema, description) = match name {
        "link_id" => (schema("LinkId"), "The link."),
        "file_id" => (schema("FileId"), "The file."),
        "event_id" => (schema("EventId"), "The event."),
        "app" => (schema("AppId"), "The app."),
        "download" => (
            json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" }),
            "The last part of the download address.",
        ),
        "upload_id" => (schema("UploadId"), "The upload."),
        "part" => (
            json!({ "type": "integer", "minimum": 1, "maximum": 10_000 }),
            "The part's number, from 1.",
        ),
        _ => (
            json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": TOKEN_MAX }),
            "The link's token: the last part of its address.",
        ),
    };
    json!({
        "name": name, "in": "path", "required": true, "description": description, "schema": schema
    })
}

impl Operation {
    /// More about it (CommonMark).
    pub(crate) fn describe(mut self, text: &str) -> Self {
        self.value.insert("description".into(), json!(text));
        self
    }

    fn parameter(mut self, place: &str, name: &str, required: bool, text: &str, s: Value) -> Self {
        self.parameters.push(json!({
            "name": name, "in": place, "required": required, "description": text, "schema": s
        }));
        self
    }

    /// A header that may be sent.
    pub(crate) fn header(self, name: &str, text: &str, schema: Value) -> Self {
        self.parameter("header", name, false, text, schema)
    }

    /// A header that must be sent.
    pub(crate) fn needs_header(self, name: &str, text: &str, schema: Value) -> Self {
        self.parameter("header", name, true, text, schema)
    }

    /// A query parameter that may be given.
    pub(crate) fn query(self, name: &str, text: &str, schema: Value) -> Self {
        self.parameter("query", name, false, text, schema)
    }

    /// A JSON body, with examples by name; the first is that of the curl line.
    pub(crate) fn takes<T: Serialize>(mut self, schema_name: &str, examples: &[(&str, T)]) -> Self {
        if let Some((_, first)) = examples.first() {
            self.curl.push(format!("-d '{}'", json!(first)));
        }
        let content = json!({ "application/json": {
            "schema": schema(schema_name), "examples": named(examples)
        } });
        self.value.insert(
            "requestBody".into(),
            json!({ "required": true, "content": content }),
        );
        self
    }

    /// Whose JSON body need not be there.
    pub(crate) fn or_nothing(mut self) -> Self {
        if let Some(body) = self.value.get_mut("requestBody") {
            body["required"] = json!(false);
        }
        self
    }

    /// A body of other content: the value of `content` in the document.
    pub(crate) fn takes_content(self, text: &str, content: Value) -> Self {
        self.body(true, text, content)
    }

    /// As [`Self::takes_content`], of a body that need not be there.
    pub(crate) fn may_take_content(self, text: &str, content: Value) -> Self {
        self.body(false, text, content)
    }

    fn body(mut self, required: bool, text: &str, content: Value) -> Self {
        let body = json!({ "required": required, "description": text, "content": content });
        self.value.insert("requestBody".into(), body);
        self
    }

    /// It carries bytes of an upload that was counted when it was made: no limit on requests holds.
    /// Stands before [`Self::problems`].
    pub(crate) fn uncounted(mut self) -> Self {
        self.counted = false;
        self
    }

    /// An answer of JSON, with examples by name.
    pub(crate) fn answers<T: Serialize>(
        self,
        status: u16,
        text: &str,
        schema_name: &str,
        examples: &[(&str, T)],
    ) -> Self {
        let content = json!({ "application/json": {
            "schema": schema(schema_name), "examples": named(examples)
        } });
        self.answers_content(status, text, content)
    }

    /// An answer of other content: the value of `content` in the document.
    pub(crate) fn answers_content(mut self, status: u16, text: &str, content: Value) -> Self {
        self.responses.insert(
            status.to_string(),
            json!({ "description": text, "content": content }),
        );
        self
    }

    /// An answer without a body.
    pub(crate) fn answers_empty(mut self, status: u16, text: &str) -> Self {
        self.responses
            .insert(status.to_string(), json!({ "description": text }));
        self
    }

    /// A header of an answer that is there already.
    pub(crate) fn with_header(
        mut self,
        status: u16,
        name: &str,
        text: &str,
        schema: Value,
    ) -> Self {
        if let Some(response) = self.responses.get_mut(&status.to_string()) {
            response["headers"][name] =
                json!({ "description": text, "required": true, "schema": schema });
        }
        self
    }

    /// Where an answer leads: the operations that take its `id` in their path (OpenAPI's links).
    pub(crate) fn leads_to(mut self, status: u16, parameter: &str, operations: &[&str]) -> Self {
        if let Some(response) = self.responses.get_mut(&status.to_string()) {
            for id in operations {
                response["links"][*id] = json!({
                    "operationId": id, "parameters": { (parameter): "$response.body#/id" }
                });
            }
        }
        self
    }

    /// A header that an answer may have, of answers that are there already.
    pub(crate) fn may_have_header(
        mut self,
        statuses: &[u16],
        name: &str,
        text: &str,
        schema: &Value,
    ) -> Self {
        for status in statuses {
            if let Some(response) = self.responses.get_mut(&status.to_string()) {
                response["headers"][name] = json!({ "description": text, "schema": schema });
            }
        }
        self
    }

    /// What an answer holds that has content only sometimes, which OpenAPI cannot say.
    pub(crate) fn sometimes_holds(mut self, status: u16, schema_name: &str) -> Self {
        if let Some(response) = self.responses.get_mut(&status.to_string()) {
            response["x-sometimes-content"] =
                json!({ "application/json": { "schema": schema(schema_name) } });
        }
        self
    }

    /// The problems that it answers with, by their codes. What every operation can meet is added.
    pub(crate) fn problems(mut self, codes: &[ProblemCode]) -> Self {
        let mut all = codes.to_vec();
        if self.tag.wants_key() {
            all.extend([ProblemCode::ApiKeyMissing, ProblemCode::ApiKeyUnknown]);
        }
        // Of operations with a key only wrong keys are counted.
        if self.counted || self.tag.wants_key() {
            all.push(ProblemCode::RateLimited);
        }
        if self.tag != Tag::Service {
            all.push(ProblemCode::Internal);
        }
        for code in all {
            self.problem(code.status(), code);
        }
        self
    }

    /// Problems that have another status here than elsewhere.
    pub(crate) fn problems_as(mut self, status: u16, codes: &[ProblemCode]) -> Self {
        for code in codes {
            self.problem(status, *code);
        }
        self
    }

    fn problem(&mut self, status: u16, code: ProblemCode) {
        let name = code.code();
        let response = self
            .responses
            .entry(status.to_string())
            .or_insert_with(|| json!({ "description": "" }));
        let titles = response["description"].as_str().unwrap_or_default();
        let title = format!("{}.", code.title());
        if titles.contains(&title) {
            return;
        }
        let separator = if titles.is_empty() { "" } else { " " };
        response["description"] = json!(format!("{titles}{separator}{title}"));
        for (header, text, pattern) in headers_of(code) {
            response["headers"][header] = json!({
                "description": text, "schema": { "type": "string", "pattern": pattern }
            });
        }
        if self.method == "head" {
            return;
        }
        let content = &mut response["content"][problem::MEDIA_TYPE];
        content["schema"] = schema("Problem");
        content["examples"][name] = if status == code.status() {
            json!({ "$ref": format!("#/components/examples/{name}") })
        } else {
            let mut problem = examples::problem(code);
            problem.status = status;
            json!({ "summary": code.title(), "value": problem })
        };
    }

    /// One more argument of the curl line.
    pub(crate) fn curl(mut self, argument: &str) -> Self {
        self.curl.push(argument.to_owned());
        self
    }

    /// The call as a person would make it. What stands in the path is a shell variable.
    fn curl_line(&self) -> String {
        let path: Vec<String> = self
            .path
            .split('/')
            .map(|segment| match segment.trim_matches(['{', '}']) {
                "part" => "1".to_owned(),
                name if name.len() < segment.len() => format!("${}", name.to_uppercase()),
                fixed => fixed.to_owned(),
            })
            .collect();
        let sends = self
            .value
            .get("requestBody")
            .is_some_and(|body| body["required"] == true);
        let method = match (self.method, sends) {
            ("get", _) | ("post", true) => String::new(),
            ("head", _) => "-I ".to_owned(),
            (method, _) => format!("-X {} ", method.to_uppercase()),
        };
        let mut line = format!("curl -s {method}\"$EDGE{}\"", path.join("/"));
        let key = "-H \"Authorization: Bearer $CHATLIFT_API_KEY\"".to_owned();
        for argument in self
            .tag
            .wants_key()
            .then_some(&key)
            .into_iter()
            .chain(&self.curl)
        {
            line.push_str(" \\\n  ");
            line.push_str(argument);
        }
        line
    }

    /// The finished operation.
    pub(crate) fn build(mut self) -> Value {
        self.value.insert(
            "x-codeSamples".into(),
            json!([{ "lang": "Shell", "label": "curl", "source": self.curl_line() }]),
        );
        if !self.parameters.is_empty() {
            self.value
                .insert("parameters".into(), Value::Array(self.parameters));
        }
        self.value
            .insert("responses".into(), Value::Object(self.responses));
        Value::Object(self.value)
    }
}

/// The headers that come with a problem: name, text, pattern.
fn headers_of(code: ProblemCode) -> Vec<(&'static str, &'static str, &'static str)> {
    match code {
        ProblemCode::ApiKeyMissing | ProblemCode::ApiKeyUnknown => vec![(
            "WWW-Authenticate",
            "How to authenticate (RFC 6750).",
            "^Bearer",
        )],
        ProblemCode::RangeNotSatisfiable => vec![(
            "Content-Range",
            "The size of the file, `bytes */<size>`.",
            "^bytes \\*/[0-9]+$",
        )],
        ProblemCode::StorageUnavailable
        | ProblemCode::UploadBusy
        | ProblemCode::ChatUnavailable
        | ProblemCode::PasswordLocked
        | ProblemCode::RateLimited => vec![(
            "Retry-After",
            "After how many seconds to try again.",
            "^[0-9]+$",
        )],
        _ => Vec::new(),
    }
}

/// Examples by name, as a media type has them.
pub(crate) fn named<T: Serialize>(examples: &[(&str, T)]) -> Value {
    let map: Map<String, Value> = examples
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!({ "value": value })))
        .collect();
    Value::Object(map)
}
