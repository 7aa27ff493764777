//! The edge's OpenAPI document as a judge of its answers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::http::{Answer, send, send_refusable};

/// One thing that the document says an operation answers: its id, a status, and for a problem its
/// code (else empty).
pub type Said = (String, String, String);

/// Calls operations by their ids, holds each answer to the document, and keeps what was answered.
#[derive(Debug)]
pub struct Judge {
    origin: String,
    document: Value,
    reached: BTreeSet<Said>,
}

impl Judge {
    /// For the edge at `origin`, by the document that it serves.
    ///
    /// # Panics
    /// When it serves none.
    #[must_use]
    pub fn new(origin: String) -> Self {
        let answer = send("GET", &format!("{origin}/openapi.json"), &[], None);
        let document = answer.expect("an answer").ok(200);
        Self {
            origin,
            document,
            reached: BTreeSet::new(),
        }
    }

    /// From now on calls another edge, by the same document.
    pub fn at(&mut self, origin: String) {
        self.origin = origin;
    }

    /// Every operation: its id, method, path, and what the document says of it.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, &str, &Value)> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| {
                let id = operation["operationId"].as_str().unwrap_or_default();
                (id, method.as_str(), path.as_str(), operation)
            })
        })
    }

    /// Makes a call, and holds the answer to the document. `parameters` stand in the path, in the
    /// order in which it names them.
    ///
    /// # Panics
    /// When there is no such operation, or the answer is not as documented.
    pub fn call(
        &mut self,
        id: &str,
        parameters: &[&str],
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        self.ask(id, parameters, "", headers, body)
    }

    /// As [`Self::call`], with a query.
    ///
    /// # Panics
    /// As [`Self::call`].
    pub fn ask(
        &mut self,
        id: &str,
        parameters: &[&str],
        query: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let (_, method, path, operation) = self
            .operations()
            .find(|(found, ..)| *found == id)
            .unwrap_or_else(|| panic!("no operation {id}"));
        let mut values = parameters.iter();
        let path: Vec<&str> = path
            .split('/')
            .map(|segment| match segment.starts_with('{') {
                true => values.next().expect("a parameter"),
                false => segment,
            })
            .collect();
        let url = format!("{}{}{query}", self.origin, path.join("/"));
        let method = method.to_uppercase();
        let answer = match body {
            Some(body) => send_refusable(&method, &url, headers, body).expect("an answer"),
            None => send(&method, &url, headers, None).expect("an answer"),
        };
        let code = self.judge(id, operation, &answer);
        self.reached
            .insert((id.to_owned(), answer.status.to_string(), code));
        answer
    }

    /// Holds an answer to the document, and returns its problem's code.
    fn judge(&self, id: &str, operation: &Value, answer: &Answer) -> String {
        let what = format!("{id} {} {}", answer.status, answer.text());
        let response = &operation["responses"][answer.status.to_string()];
        assert!(response.is_object(), "reached, but not documented: {what}");
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let value = answer.header(&name.to_lowercase());
            assert!(
                value.is_some() || header["required"] != true,
                "no {name}: {what}"
            );
            if let Some(value) = value {
                self.valid(
                    &header["schema"],
                    &json!(value),
                    &format!("{name} of {what}"),
                );
            }
        }
        let content = match answer.body.is_empty() {
            false => response.get("x-sometimes-content"),
            true => None,
        };
        let content = content.or_else(|| response.get("content"));
        let Some(content) = content.and_then(Value::as_object) else {
            assert!(
                answer.body.is_empty(),
                "a body that is not documented: {what}"
            );
            return String::new();
        };
        let media_type = answer.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        let found = content.get(media_type).or_else(|| content.get("*/*"));
        let found = found.unwrap_or_else(|| panic!("{media_type} is not documented: {what}"));
        if !media_type.ends_with("json") || content.contains_key("*/*") {
            return String::new();
        }
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        self.valid(&found["schema"], &body, &what);
        if media_type != "application/problem+json" {
            return String::new();
        }
        let code = body["code"].as_str().unwrap_or_default();
        assert!(
            found["examples"][code].is_object(),
            "{code} is not documented: {what}"
        );
        code.to_owned()
    }

    /// Holds a value to a schema of the document.
    ///
    /// # Panics
    /// When it is not valid.
    pub fn valid(&self, schema: &Value, value: &Value, what: &str) {
        let schema = json!({ "allOf": [schema], "components": self.document["components"] });
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap_or_else(|e| panic!("{e}: {schema}"));
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:?}: {what}");
    }

    /// A schema of the document, by its name.
    #[must_use]
    pub fn schema(&self, name: &str) -> &Value {
        &self.document["components"]["schemas"][name]
    }

    /// What the document says and no call has met.
    #[must_use]
    pub fn unreached(&self) -> Vec<Said> {
        let mut unreached = Vec::new();
        for (id, _, _, operation) in self.operations() {
            for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                let content = &response["content"];
                let codes = content["application/problem+json"]["examples"].as_object();
                let plain = content
                    .as_object()
                    .is_none_or(|c| c.keys().any(|m| m != "application/problem+json"));
                let codes = codes.into_iter().flatten().map(|(code, _)| code.clone());
                for code in codes.chain(plain.then(String::new)) {
                    let said = (id.to_owned(), status.clone(), code);
                    if !self.reached.contains(&said) {
                        unreached.push(said);
                    }
                }
            }
        }
        unreached
    }
}
