//! What a link may say in place of its scene, and how far.

use core::time::Duration;

use chatlift_shared::api::CreateLink;
use chatlift_shared::limits::{
    ACCEPT_MAX, HINT_MAX, LANGUAGES_MAX, METADATA_ENTRIES_MAX, METADATA_KEY_MAX,
    METADATA_VALUE_MAX, PASSWORD_MAX, PASSWORD_MIN, SUBJECT_MAX, TITLE_MAX,
};
use chatlift_shared::media::MediaRange;
use chatlift_shared::text::LocalizedText;
use chatlift_shared::{Problem, ProblemCode};
use url::Url;

use crate::config::Scene;
use crate::link::state::{Policy, Words};

/// What a link is made with: its scene's rules, narrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long it lives.
    pub lifetime: Duration,
    /// Its rules.
    pub policy: Policy,
    /// Its words.
    pub words: Words,
}

/// Checks what a request says of itself, whatever the scene.
///
/// # Errors
/// `invalid-request` with the field, and the limit in characters or entries.
pub fn check(request: &CreateLink) -> Result<(), Problem> {
    if request
        .subject
        .as_ref()
        .is_some_and(|s| s.chars().count() > SUBJECT_MAX)
    {
        return Err(invalid("subject", SUBJECT_MAX));
    }
    if request.metadata.len() > METADATA_ENTRIES_MAX {
        return Err(invalid("metadata", METADATA_ENTRIES_MAX));
    }
    for (key, value) in &request.metadata {
        if key.is_empty() || key.chars().count() > METADATA_KEY_MAX {
            return Err(invalid("metadata", METADATA_KEY_MAX).detail("A key is empty or too long."));
        }
        if value.chars().count() > METADATA_VALUE_MAX {
            return Err(invalid(&format!("metadata.{key}"), METADATA_VALUE_MAX));
        }
    }
    check_text("title", request.title.as_ref(), TITLE_MAX)?;
    check_text("hint", request.hint.as_ref(), HINT_MAX)?;
    match request.password.as_ref().map(|p| p.chars().count()) {
        Some(len) if len < PASSWORD_MIN => Err(invalid("password", PASSWORD_MIN)
            .detail(format!("Give {PASSWORD_MIN} characters or more."))),
        Some(len) if len > PASSWORD_MAX => Err(invalid("password", PASSWORD_MAX)),
        _ => Ok(()),
    }
}

fn check_text(field: &str, text: Option<&LocalizedText>, max: usize) -> Result<(), Problem> {
    let texts: Vec<(&str, &str)> = match text {
        None => return Ok(()),
        Some(LocalizedText::One(text)) => vec![("", text)],
        Some(LocalizedText::Many(texts)) => texts
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect(),
    };
    if texts.is_empty() || texts.len() > LANGUAGES_MAX {
        return Err(invalid(field, LANGUAGES_MAX).detail("Give 1 to 20 languages."));
    }
    for (lang, text) in texts {
        // A tag has at most 35 characters (RFC 5646 section 4.4.1).
        if text.chars().count() > max
            || lang.len() > 35
            || (field == "title" && text.trim().is_empty())
        {
            let name = if lang.is_empty() || lang.len() > 35 {
                field.to_owned()
            } else {
                format!("{field}.{lang}")
            };
            return Err(invalid(&name, max));
        }
    }
    Ok(())
}

/// The terms of a link under `scene`.
///
/// # Errors
/// `beyond-scene` with the field, and the limit where it is a number; `invalid-request` for what
/// is no value of its field.
pub fn terms(scene: &Scene, request: &CreateLink) -> Result<Terms, Problem> {
    let mut policy = scene.policy.clone();
    let lifetime = scene.link_lifetime.as_secs();
    let lifetime = within("expires_in", request.expires_in, lifetime)?;
    policy.max_files = u32::try_from(within(
        "max_files",
        request.max_files.map(u64::from),
        policy.max_files.into(),
    )?)
    .unwrap_or(policy.max_files);
    policy.max_file_size = within("max_file_size", request.max_file_size, policy.max_file_size)?;
    policy.file_retention = within(
        "file_retention",
        request.file_retention,
        policy.file_retention,
    )?;
    if let Some(accept) = &request.accept {
        policy.accept = narrow(&policy.accept, accept)?;
    }
    let return_url = request
        .return_url
        .as_ref()
        .map(|text| lead(scene.return_url.as_ref(), text))
        .transpose()?;
    Ok(Terms {
        lifetime: Duration::from_secs(lifetime),
        policy,
        words: Words {
            title: request.title.clone(),
            hint: request.hint.clone(),
            return_url,
        },
    })
}

/// A number from 1 up to the scene's.
///
/// # Errors
/// `invalid-request` for 0, `beyond-scene` for more.
pub fn within(field: &str, asked: Option<u64>, most: u64) -> Result<u64, Problem> {
    match asked {
        None => Ok(most),
        Some(0) => Err(Problem::new(ProblemCode::InvalidRequest)
            .field(field)
            .limit(most)
            .detail("Give 1 or more.")),
        Some(n) if n > most => Err(Problem::new(ProblemCode::BeyondScene)
            .field(field)
            .limit(most)),
        Some(n) => Ok(n),
    }
}

fn narrow(scene: &[MediaRange], asked: &[String]) -> Result<Vec<MediaRange>, Problem> {
    if asked.is_empty() || asked.len() > ACCEPT_MAX {
        return Err(invalid("accept", ACCEPT_MAX).detail("Give 1 to 50 media ranges."));
    }
    asked
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let field = format!("accept[{index}]");
            let range: MediaRange = text.parse().map_err(|e| {
                Problem::new(ProblemCode::InvalidRequest)
                    .field(&field)
                    .detail(format!("It is {e}."))
            })?;
            // `image/*` as a type lies in `image/*` and `*/*`, and in nothing narrower.
            if scene
                .iter()
                .any(|s| s == &range || s.contains(range.as_str()))
            {
                Ok(range)
            } else {
                Err(Problem::new(ProblemCode::BeyondScene).field(&field))
            }
        })
        .collect()
}

/// A return address of the same scheme and host as the scene's. The scene's was checked by the
/// operator; another host would let whoever has an API key send people anywhere.
fn lead(scene: Option<&Url>, text: &str) -> Result<String, Problem> {
    let invalid = || Problem::new(ProblemCode::InvalidRequest).field("return_url");
    if text.len() > 2000 {
        return Err(invalid().limit(2000));
    }
    let url = Url::parse(text).map_err(|_| invalid().detail("Give an absolute address."))?;
    let place = |u: &Url| {
        (
            u.scheme().to_owned(),
            u.host_str().map(str::to_owned),
            u.port(),
        )
    };
    let same = scene.is_some_and(|scene| place(scene) == place(&url));
    let plain = url.username().is_empty() && url.password().is_none();
    if same && plain {
        Ok(url.into())
    } else {
        Err(Problem::new(ProblemCode::BeyondScene).field("return_url"))
    }
}

fn invalid(field: &str, limit: usize) -> Problem {
    Problem::new(ProblemCode::InvalidRequest)
        .field(field)
        .limit(limit as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::tests::raw;
    use serde_json::{Value, json};

    /// 20 MB, 2 files, a week, PDF and images, returning to app.example.
    fn scene() -> Scene {
        let mut raw = raw();
        raw.apps = raw.apps.replace(
            "\"max_files\":2",
            "\"max_files\":2,\"return_url\":\"https://app.example/home\"",
        );
        let config = Config::check(&raw).expect("a good config");
        let app = config.app(&"demo".parse().expect("an id")).expect("demo");
        app.scenes.values().next().expect("a scene").clone()
    }

    fn asked(more: Value) -> Result<Terms, Problem> {
        let mut body = json!({ "scene": "docs" });
        for (key, value) in more.as_object().expect("fields") {
            body[key] = value.clone();
        }
        let request: CreateLink = serde_json::from_value(body).expect("a request");
        check(&request)?;
        terms(&scene(), &request)
    }

    #[test]
    fn a_link_may_ask_for_less_than_its_scene() {
        let terms = asked(json!({
            "expires_in": 60, "max_files": 1, "max_file_size": 5, "file_retention": 7,
            "accept": ["image/png", "application/pdf"], "title": { "en": "Photo", "ja": "写真" },
            "hint": "One is enough.", "return_url": "https://app.example/case/7?from=chat"
        }))
        .expect("within the scene");
        assert_eq!(terms.lifetime.as_secs(), 60);
        assert_eq!((terms.policy.max_files, terms.policy.max_file_size), (1, 5));
        assert_eq!(terms.policy.file_retention, 7);
        let accept: Vec<_> = terms.policy.accept.iter().map(MediaRange::as_str).collect();
        assert_eq!(accept, ["image/png", "application/pdf"]);
        assert_eq!(terms.words.title.expect("a title").get("ja"), "写真");
        assert!(terms.words.return_url.is_some());
    }

    #[test]
    fn nothing_asked_is_the_scene() {
        let terms = asked(json!({})).expect("the scene");
        assert_eq!(terms.policy, scene().policy);
        assert_eq!(terms.lifetime, scene().link_lifetime);
        assert_eq!(terms.words, Words::default());
    }

    #[test]
    fn what_goes_beyond_the_scene_is_refused_by_its_field() {
        for (body, field, limit) in [
            (
                json!({ "expires_in": 604_801 }),
                "expires_in",
                Some(604_800),
            ),
            (json!({ "max_files": 3 }), "max_files", Some(2)),
            (
                json!({ "max_file_size": 20_000_001 }),
                "max_file_size",
                Some(20_000_000),
            ),
            (
                json!({ "file_retention": 2_592_001 }),
                "file_retention",
                Some(2_592_000),
            ),
            (json!({ "accept": ["image/png", "*/*"] }), "accept[1]", None),
            (json!({ "accept": ["application/*"] }), "accept[0]", None),
            (
                json!({ "return_url": "https://evil.example/home" }),
                "return_url",
                None,
            ),
            (
                json!({ "return_url": "http://app.example/home" }),
                "return_url",
                None,
            ),
            (
                json!({ "return_url": "https://app.example:444/" }),
                "return_url",
                None,
            ),
            (
                json!({ "return_url": "https://x@app.example/" }),
                "return_url",
                None,
            ),
            (
                json!({ "return_url": "javascript:alert(1)" }),
                "return_url",
                None,
            ),
        ] {
            let problem = asked(body).expect_err(field);
            assert_eq!(problem.code, ProblemCode::BeyondScene, "{problem:?}");
            assert_eq!(
                (problem.field.as_deref(), problem.limit),
                (Some(field), limit)
            );
        }
    }

    /// A page leads a person there, and nothing of ours asks for it: what counts is where a browser goes.
    #[test]
    fn no_return_address_leads_to_another_place_than_the_scenes() {
        let home = Url::parse("https://app.example/home").expect("an address");
        for hostile in [
            "javascript:alert(1)//https://app.example/",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "blob:https://app.example/0",
            "view-source:https://app.example/",
            "https://evil.example/",
            "https://app.example.evil.example/",
            "https://app.example@evil.example/",
            "https://evil.example\\@app.example/",
            "https://app.example\\@evil.example/",
            "https://app.example%2f@evil.example/",
            "https://app.example:x@evil.example/",
            "https://user:password@app.example/",
            "https://app.example:8443/",
            "https://app.example./",
            "https://\u{430}pp.example/",
            "https://app.example\u{3002}evil.example/",
            "https://ａｐｐ.example/",
            "https://app.example\u{ff0f}.evil.example/",
            "https://127.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://2130706433/",
            "https://localhost/",
            "http://app.example/",
            "//app.example/",
            "/home",
            "https:/\\evil.example/",
            "https://app.example/\r\nlocation: https://evil.example/",
            "https://app.example/\"><script>alert(1)</script>",
            "https://app.example/#\u{202e}elpmaxe.live",
        ] {
            let terms = match asked(json!({ "return_url": hostile })) {
                Ok(terms) => terms,
                Err(problem) => {
                    assert_eq!(problem.field.as_deref(), Some("return_url"), "{hostile}");
                    continue;
                }
            };
            let leads = terms.words.return_url.expect("an address");
            let url = Url::parse(&leads).expect("an address");
            assert_eq!(url.origin(), home.origin(), "{hostile} leads to {leads}");
            assert!(
                url.username().is_empty() && url.password().is_none(),
                "{leads}"
            );
            // As a header and as an attribute has it.
            let safe = |c: char| c.is_ascii_graphic() && !"\"<>".contains(c);
            assert!(leads.chars().all(safe), "{hostile} leads to {leads}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_by_its_field() {
        let long = |n: usize| "x".repeat(n);
        let many: Vec<_> = (0..51).map(|_| "image/png").collect();
        let entries: serde_json::Map<_, _> =
            (0..21).map(|n| (format!("k{n}"), json!("v"))).collect();
        for (body, field) in [
            (json!({ "expires_in": 0 }), "expires_in"),
            (json!({ "max_files": 0 }), "max_files"),
            (json!({ "max_file_size": 0 }), "max_file_size"),
            (json!({ "accept": [] }), "accept"),
            (json!({ "accept": many }), "accept"),
            (json!({ "accept": ["pdf"] }), "accept[0]"),
            (json!({ "title": " " }), "title"),
            (json!({ "title": {} }), "title"),
            (json!({ "title": { "en": long(201) } }), "title.en"),
            (json!({ "hint": long(501) }), "hint"),
            (json!({ "return_url": "home" }), "return_url"),
            (json!({ "password": "123" }), "password"),
            (json!({ "password": long(129) }), "password"),
            (json!({ "subject": long(201) }), "subject"),
            (json!({ "metadata": entries }), "metadata"),
            (json!({ "metadata": { "": "v" } }), "metadata"),
            (json!({ "metadata": { long(41): "v" } }), "metadata"),
            (json!({ "metadata": { "k": long(501) } }), "metadata.k"),
        ] {
            let problem = asked(body).expect_err(field);
            assert_eq!(problem.code, ProblemCode::InvalidRequest, "{problem:?}");
            assert_eq!(problem.field.as_deref(), Some(field));
        }
    }
}
