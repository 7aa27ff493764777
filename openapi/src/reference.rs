//! The reference page: the document as one HTML page, without script and without anything from
//! elsewhere.

use serde_json::Value;

const STYLE: &str = include_str!("reference.css");

/// The page.
#[must_use]
pub fn html(document: &Value) -> String {
    let mut page = Page::default();
    let title = text(&document["info"]["title"]);
    page.raw(&format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} API</title><style>{STYLE}</style>"
    ));
    navigation(&mut page, document);
    page.raw("<main>");
    page.raw(&format!("<h1>{title} API</h1>"));
    page.prose(text(&document["info"]["description"]));
    page.raw(
        "<p>The same for programs: <a href=\"/openapi.json\">openapi.json</a> (OpenAPI 3.1). The \
         curl lines below want these variables:</p>\
         <pre>EDGE=http://127.0.0.1:8787\nCHATLIFT_API_KEY=clk_...\n\
         printf '%%PDF-1.7\\n%%%%EOF\\n' &gt; invoice.pdf</pre>",
    );
    for tag in values(&document["tags"]) {
        let name = text(&tag["name"]);
        page.raw(&format!(
            "<h2 id=\"{}\">{}</h2>",
            anchor(name),
            escape(name)
        ));
        page.prose(text(&tag["description"]));
        for (method, path, operation) in operations(document, name) {
            operation_section(&mut page, method, path, operation);
        }
    }
    page.raw("<h2 id=\"webhooks\">Webhooks</h2>");
    for (name, item) in entries(&document["webhooks"]) {
        operation_section(&mut page, "event", name, &item["post"]);
    }
    problems(&mut page, document);
    schemas(&mut page, document);
    page.raw("</main>");
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    /// Paragraphs with `code` and **strong** in them.
    fn prose(&mut self, markdown: &str) {
        for paragraph in markdown.split("\n\n").filter(|p| !p.trim().is_empty()) {
            self.raw(&format!("<p>{}</p>", inline(paragraph)));
        }
    }

    /// A JSON value, to be opened.
    fn example(&mut self, name: &str, value: &Value) {
        self.raw(&format!(
            "<details><summary>Example: {}</summary><pre>{}</pre></details>",
            escape(name),
            escape(&format!("{value:#}"))
        ));
    }

    fn row(&mut self, cells: &[String]) {
        self.raw(&format!("<tr><td>{}</td></tr>", cells.join("</td><td>")));
    }
}

fn navigation(page: &mut Page, document: &Value) {
    page.raw("<nav>");
    for tag in values(&document["tags"]) {
        let name = text(&tag["name"]);
        page.raw(&format!(
            "<a class=\"tag\" href=\"#{}\">{}</a>",
            anchor(name),
            escape(name)
        ));
        for (_, _, operation) in operations(document, name) {
            page.raw(&format!(
                "<a href=\"#{}\">{}</a>",
                text(&operation["operationId"]),
                escape(text(&operation["summary"]))
            ));
        }
    }
    for name in ["Webhooks", "Problems", "Schemas"] {
        page.raw(&format!(
            "<a class=\"tag\" href=\"#{}\">{name}</a>",
            anchor(name)
        ));
    }
    page.raw("</nav>");
}

fn operation_section(page: &mut Page, method: &str, path: &str, operation: &Value) {
    page.raw(&format!(
        "<section id=\"{}\"><h3>{}</h3><p class=\"route\"><b>{}</b> <code>{}</code></p>",
        text(&operation["operationId"]),
        escape(text(&operation["summary"])),
        method.to_uppercase(),
        escape(path)
    ));
    page.prose(text(&operation["description"]));
    if operation["parameters"].is_array() {
        page.raw("<table><tr><th>Parameter<th>In<th>Type<th></tr>");
        for parameter in values(&operation["parameters"]) {
            let needed = if parameter["required"] == true {
                ""
            } else {
                "optional. "
            };
            page.row(&[
                format!("<code>{}</code>", escape(text(&parameter["name"]))),
                text(&parameter["in"]).to_owned(),
                kind(&parameter["schema"]),
                format!("{needed}{}", inline(text(&parameter["description"]))),
            ]);
        }
        page.raw("</table>");
    }
    for (media_type, content) in entries(&operation["requestBody"]["content"]) {
        page.raw(&format!(
            "<p>Body: <code>{}</code> {}</p>",
            escape(media_type),
            kind(&content["schema"])
        ));
        for (name, example) in entries(&content["examples"]) {
            page.example(name, &example["value"]);
        }
    }
    for sample in values(&operation["x-codeSamples"]) {
        page.raw(&format!(
            "<pre class=\"curl\">{}</pre>",
            escape(text(&sample["source"]))
        ));
    }
    page.raw("<table><tr><th>Status<th>Body<th></tr>");
    for (status, response) in entries(&operation["responses"]) {
        answer_row(page, status, response);
    }
    page.raw("</table>");
    for (status, response) in entries(&operation["responses"]) {
        for (name, example) in entries(&response["content"]["application/json"]["examples"]) {
            page.example(&format!("{status}, {name}"), &example["value"]);
        }
    }
    page.raw("</section>");
}

fn answer_row(page: &mut Page, status: &str, response: &Value) {
    let problem = &response["content"]["application/problem+json"];
    let codes: Vec<String> = entries(&problem["examples"])
        .map(|(code, _)| format!("<a href=\"#problem-{code}\"><code>{code}</code></a>"))
        .collect();
    let bodies: Vec<String> = entries(&response["content"])
        .filter(|(media_type, _)| *media_type != "application/problem+json")
        .map(|(media_type, content)| {
            format!(
                "<code>{}</code> {}",
                escape(media_type),
                kind(&content["schema"])
            )
        })
        .chain((!codes.is_empty()).then(|| codes.join("<br>")))
        .collect();
    let headers: Vec<String> = entries(&response["headers"])
        .map(|(name, header)| {
            format!(
                "<br><code>{name}</code> {}",
                inline(text(&header["description"]))
            )
        })
        .collect();
    page.row(&[
        status.to_owned(),
        bodies.join("<br>"),
        format!(
            "{}{}",
            inline(text(&response["description"])),
            headers.concat()
        ),
    ]);
}

fn problems(page: &mut Page, document: &Value) {
    page.raw("<h2 id=\"problems\">Problems</h2><table><tr><th>Code<th>Status<th></tr>");
    for (code, example) in entries(&document["components"]["examples"]) {
        page.row(&[
            format!("<code id=\"problem-{code}\">{code}</code>"),
            example["value"]["status"].to_string(),
            format!(
                "{}<pre>{}</pre>",
                inline(text(&example["summary"])),
                escape(&format!("{:#}", example["value"]))
            ),
        ]);
    }
    page.raw("</table>");
}

fn schemas(page: &mut Page, document: &Value) {
    page.raw("<h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        page.raw(&format!("<section id=\"schema-{name}\"><h3>{name}</h3>"));
        page.prose(text(&schema["description"]));
        if !schema["properties"].is_object() {
            page.raw(&format!("<p>{}</p></section>", kind(schema)));
            continue;
        }
        page.raw("<table><tr><th>Field<th>Type<th></tr>");
        for (field, property) in entries(&schema["properties"]) {
            let required = values(&schema["required"]).any(|name| name == field);
            page.row(&[
                format!("<code>{}</code>", escape(field)),
                kind(property),
                format!(
                    "{}{}",
                    if required { "" } else { "optional. " },
                    inline(text(&property["description"]))
                ),
            ]);
        }
        page.raw("</table></section>");
    }
}

/// A schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if schema["oneOf"].is_array() {
        let kinds: Vec<String> = values(&schema["oneOf"]).map(kind).collect();
        return kinds.join(" or ");
    }
    if schema["enum"].is_array() {
        let values: Vec<String> = values(&schema["enum"])
            .map(|value| format!("<code>{}</code>", escape(text(value))))
            .collect();
        return values.join(" ");
    }
    if !schema["const"].is_null() {
        return format!("<code>{}</code>", escape(text(&schema["const"])));
    }
    let mut words = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "any content".to_owned(),
    };
    if schema["items"].is_object() {
        words.push_str(&format!(" of {}", kind(&schema["items"])));
    }
    if schema["additionalProperties"].is_object() {
        words.push_str(&format!(" of {}", kind(&schema["additionalProperties"])));
    }
    for (name, sign) in [("minimum", "≥"), ("maximum", "≤")] {
        if schema[name].is_number() {
            words.push_str(&format!(", {sign} {}", schema[name]));
        }
    }
    for (name, what) in [("maxLength", "characters"), ("maxProperties", "entries")] {
        if schema[name].is_number() {
            words.push_str(&format!(", ≤ {} {what}", schema[name]));
        }
    }
    for name in ["format", "pattern"] {
        if let Some(value) = schema[name].as_str() {
            words.push_str(&format!(", <code>{}</code>", escape(value)));
        }
    }
    words
}

/// Operations of a tag: method, path, operation.
fn operations<'d>(
    document: &'d Value,
    tag: &'d str,
) -> impl Iterator<Item = (&'d str, &'d str, &'d Value)> {
    entries(&document["paths"])
        .flat_map(|(path, item)| entries(item).map(move |(method, op)| (method, path, op)))
        .filter(move |(_, _, operation)| operation["tags"][0] == tag)
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

fn values(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn anchor(name: &str) -> String {
    name.to_lowercase()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Text with `code` and **strong**.
fn inline(markdown: &str) -> String {
    let mut html = String::new();
    for (at, piece) in markdown.split('`').enumerate() {
        if at % 2 == 1 {
            html.push_str(&format!("<code>{}</code>", escape(piece)));
            continue;
        }
        for (at, piece) in piece.split("**").enumerate() {
            let piece = escape(piece);
            match at % 2 {
                1 => html.push_str(&format!("<strong>{piece}</strong>")),
                _ => html.push_str(&piece),
            }
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_document_is_text_on_the_page() {
        assert_eq!(
            inline("a <b> & `c<d>` **e**"),
            "a &lt;b&gt; &amp; <code>c&lt;d&gt;</code> <strong>e</strong>"
        );
    }

    #[test]
    fn every_anchor_of_the_page_exists_and_nothing_comes_from_elsewhere() {
        let html = html(&crate::document());
        for link in html.split("href=\"#").skip(1) {
            let id = link.split('"').next().expect("a quote");
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        }
        assert!(!html.contains("<script") && !html.contains("src="));
    }
}
