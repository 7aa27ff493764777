//! The shipped page's HTML, made from the index.html that trunk serves to developers: the two
//! `data-trunk` links become what they stand for, comments and needless white space go.
//!
//! Promise: text, attributes, scripts and the markers that the edge fills in stay as they are.

use crate::Error;

/// Marks where the edge puts the title and the preview card.
pub const HEAD_MARKER: &str = "<!--chatlift:head-->";

/// Opens the element that the edge puts the page's data into.
pub const DATA_MARKER: &str = r#"<script id="chatlift-page" type="application/json">null</script>"#;

/// Elements whose text is not HTML or whose white space is seen.
const VERBATIM: [&str; 4] = ["script", "style", "pre", "textarea"];

/// What takes the place of the links for trunk, and what makes inline code small.
pub trait Parts {
    /// For `rel="rust"`: the tags that start the page's program.
    fn program(&self) -> &str;

    /// For `rel="inline" type="css"`: the style sheet at `href`, minified.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be minified.
    fn style(&self, href: &str) -> Result<String, Error>;

    /// The text of an inline script, minified.
    ///
    /// # Errors
    /// When it cannot be minified.
    fn script(&self, text: &str) -> Result<String, Error>;
}

/// Makes the shipped HTML.
///
/// # Errors
/// When a link for trunk or a marker is missing, or a part fails.
pub fn ship(html: &str, parts: &impl Parts) -> Result<String, Error> {
    let mut out = String::with_capacity(2 * html.len());
    let mut rest = html;
    let (mut programs, mut styles) = (0, 0);
    while let Some(at) = rest.find('<') {
        push_text(&mut out, &rest[..at]);
        rest = &rest[at..];
        if rest.starts_with("<!--") {
            let end = rest.find("-->").map_or(rest.len(), |e| e + 3);
            if rest.starts_with("<!--chatlift:") {
                out.push_str(&rest[..end]);
            }
            rest = &rest[end..];
            continue;
        }
        let end = tag_end(rest);
        let tag = &rest[..end];
        rest = &rest[end..];
        if tag.starts_with("<link") && tag.contains("data-trunk") {
            if tag.contains(r#"rel="rust""#) {
                out.push_str(parts.program());
                programs += 1;
            } else if tag.contains(r#"rel="inline""#) && tag.contains(r#"type="css""#) {
                let href = attribute(tag, "href").unwrap_or_default();
                out.push_str(&format!("<style>{}</style>", parts.style(href)?.trim_end()));
                styles += 1;
            } else {
                return Err(Error::Project(format!(
                    "index.html: xtask does not know this link: {tag}"
                )));
            }
            continue;
        }
        push_tag(&mut out, tag);
        let Some(name) = VERBATIM.iter().find(|name| is_open(tag, name)) else {
            continue;
        };
        let close = rest.find(&format!("</{name}")).unwrap_or(rest.len());
        let code = *name == "script" && (!tag.contains("type=") || tag.contains("module"));
        if code && !rest[..close].trim().is_empty() {
            out.push_str(parts.script(&rest[..close])?.trim_end());
        } else {
            out.push_str(&rest[..close]);
        }
        rest = &rest[close..];
    }
    push_text(&mut out, rest);
    if programs != 1 || styles == 0 {
        return Err(Error::Project(format!(
            "index.html must have one <link data-trunk rel=\"rust\"> and some rel=\"inline\" type=\"css\", and has {programs} and {styles}"
        )));
    }
    for marker in [HEAD_MARKER, DATA_MARKER] {
        if out.matches(marker).count() != 1 {
            return Err(Error::Project(format!(
                "index.html must have {marker} once"
            )));
        }
    }
    Ok(out.trim().to_owned())
}

/// Where the style sheets are that the page takes in, relative to index.html.
pub fn styles(html: &str) -> impl Iterator<Item = &str> {
    html.match_indices("<link")
        .map(|(at, _)| &html[at..at + tag_end(&html[at..])])
        .filter(|tag| tag.contains("data-trunk") && tag.contains(r#"type="css""#))
        .filter_map(|tag| attribute(tag, "href"))
}

/// Length of the tag that `html` begins with; a `>` within quotes does not end it.
fn tag_end(html: &str) -> usize {
    let mut quote = None;
    for (at, c) in html.char_indices() {
        match (quote, c) {
            (None, '>') => return at + 1,
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            _ => {}
        }
    }
    html.len()
}

/// The value of an attribute in double quotes.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

fn is_open(tag: &str, name: &str) -> bool {
    tag.strip_prefix('<')
        .and_then(|t| t.strip_prefix(name))
        .is_some_and(|t| t.starts_with([' ', '>', '\n', '\t']))
}

/// A run of white space shows as one space: one is kept, since between inline elements it counts.
fn push_text(out: &mut String, text: &str) {
    for c in text.chars() {
        if !c.is_ascii_whitespace() {
            out.push(c);
        } else if !out.ends_with([' ', '\n']) && !out.is_empty() {
            out.push(if c == '\n' { '\n' } else { ' ' });
        }
    }
}

/// A tag with the white space between its attributes reduced; quoted values stay.
fn push_tag(out: &mut String, tag: &str) {
    let mut quote = None;
    for c in tag.chars() {
        if quote.is_none() && c.is_ascii_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
            continue;
        }
        match quote {
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(q) if q == c => quote = None,
            _ => {}
        }
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Parts for Fixed {
        fn program(&self) -> &str {
            "<script src=p.js></script>"
        }

        fn style(&self, href: &str) -> Result<String, Error> {
            Ok(format!("/*{href}*/\n"))
        }

        fn script(&self, text: &str) -> Result<String, Error> {
            Ok(text.replace("  // note", "").trim().to_owned())
        }
    }

    const INDEX: &str = r#"<!doctype html>
<html lang="en" dir="ltr">
<head>
  <!-- a note -->
  <!--chatlift:head-->
  <link data-trunk rel="rust" href="frontend/Cargo.toml"
        data-wasm-opt="z" />
  <link data-trunk rel="inline" type="css" href="frontend/style.css" />
</head>
<body   title="two  spaces">
  <p>One
     <b>two</b>   three</p>
  <script>
    let a = "<b>";  // note
  </script>
  <script id="chatlift-page" type="application/json">null</script>
  <pre>
  kept  </pre>
</body>
</html>
"#;

    fn shipped(index: &str) -> Result<String, Error> {
        ship(index, &Fixed)
    }

    #[test]
    fn links_for_trunk_become_what_they_stand_for_and_the_rest_means_the_same() {
        let expected = r#"<!doctype html>
<html lang="en" dir="ltr">
<head>
<!--chatlift:head-->
<script src=p.js></script>
<style>/*frontend/style.css*/</style>
</head>
<body title="two  spaces">
<p>One
<b>two</b> three</p>
<script>let a = "<b>";</script>
<script id="chatlift-page" type="application/json">null</script>
<pre>
  kept  </pre>
</body>
</html>"#;
        assert_eq!(shipped(INDEX).expect("HTML"), expected);
    }

    #[test]
    fn a_missing_marker_or_link_stops_the_build() {
        for gone in [HEAD_MARKER, DATA_MARKER, r#"rel="rust""#, r#"type="css""#] {
            assert!(shipped(&INDEX.replace(gone, "")).is_err(), "{gone}");
        }
    }
}
