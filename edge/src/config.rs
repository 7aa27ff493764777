//! Raw variables of the Worker, checked once into [`Config`]. After that nothing reads the
//! environment.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use chatlift_shared::api::Join;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{FILE_SIZE_MAX, LINK_FILES_MAX};
use chatlift_shared::mac::{DEVELOPMENT_KEY, KeyRing, KeyRingError};
use chatlift_shared::media::{MediaRange, is_media_type};
use chatlift_shared::text::LocalizedText;
use chatlift_shared::webhook::{Secret, SigningKey};
use chatlift_shared::{AppId, SceneId};
use serde::Deserialize;
use subtle::{Choice, ConstantTimeEq as _};
use url::Url;

use crate::chat::AccountId;
use crate::chat::account;
use crate::chat::account::{Account, Accounts};
use crate::chat::domain::DomainFiles;
use crate::link::state::Policy;

/// Longest lifetime of a link, in seconds: 90 days. R2 drops unfinished uploads after 7.
pub const LINK_LIFETIME_MAX: u64 = 90 * 24 * 60 * 60;

/// How long a file is kept where a scene does not say, in seconds: 30 days.
const FILE_RETENTION: u64 = 30 * 24 * 60 * 60;

/// What the edge runs on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Signing keys of link tokens and tickets.
    pub keys: KeyRing,
    /// Name of the R2 bucket behind the binding, for storage addresses.
    pub bucket: String,
    /// Where links lead, without a path; the address of the request if absent.
    pub public_url: Option<String>,
    /// Whether a test may inject faults.
    pub faults: bool,
    /// Whether this is a developer's machine or a test, where webhooks may go over plain http.
    pub development: bool,
    /// Files at the root of the domain that prove whose it is.
    pub domain_files: DomainFiles,
    apps: BTreeMap<AppId, App>,
    chat: BTreeMap<AppId, Accounts>,
}

/// An app: one tenant.
#[derive(Clone, Debug)]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// Its name, for people.
    pub name: LocalizedText,
    /// Where its business backend takes webhooks.
    pub webhook_url: Url,
    /// What signs its webhooks: all of them, so that a receiver may hold any while one rotates.
    pub webhook_secrets: Vec<Secret>,
    /// What signs its webhooks with a signature that a public key verifies.
    pub webhook_keys: Vec<SigningKey>,
    /// Origins whose pages may upload to its links.
    pub origins: Vec<String>,
    /// Its scenes.
    pub scenes: BTreeMap<SceneId, Scene>,
    api_keys: Vec<Sha256>,
}

/// A scene: a named purpose in an app.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Its id.
    pub id: SceneId,
    /// What it asks for.
    pub title: LocalizedText,
    /// More about it.
    pub hint: LocalizedText,
    /// Where "back to the app" leads.
    pub return_url: Option<Url>,
    /// The picture of a preview card, over https: chat apps fetch it, and the edge does not.
    pub card_image: Option<Url>,
    /// Longest lifetime of a link.
    pub link_lifetime: Duration,
    /// The rules that a link takes with it.
    pub policy: Policy,
}

/// The variables as they come.
#[derive(Clone, Default)]
pub struct RawConfig {
    /// `LINK_KEYS`
    pub link_keys: String,
    /// `APPS`
    pub apps: String,
    /// `APP_SECRETS`
    pub app_secrets: String,
    /// `BUCKET_NAME`
    pub bucket: String,
    /// `PUBLIC_URL`, may be empty
    pub public_url: String,
    /// `FAULTS`, may be empty
    pub faults: String,
    /// `CHAT`, may be empty
    pub chat: String,
    /// `CHAT_SECRETS`, may be empty
    pub chat_secrets: String,
    /// `DOMAIN_FILES`, may be empty
    pub domain_files: String,
    /// `ENVIRONMENT`: `development`, `staging` or `production`, which an empty one is
    pub environment: String,
}

/// What is wrong with the variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.reason)
    }
}

impl core::error::Error for ConfigError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApp {
    id: AppId,
    name: LocalizedText,
    webhook_url: Url,
    #[serde(default)]
    origins: Vec<String>,
    scenes: Vec<RawScene>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScene {
    id: SceneId,
    title: LocalizedText,
    #[serde(default = "no_text")]
    hint: LocalizedText,
    accept: Vec<MediaRange>,
    max_file_size: u64,
    max_files: u32,
    link_lifetime: u64,
    #[serde(default)]
    formats: Vec<String>,
    #[serde(default)]
    join: Option<Join>,
    #[serde(default)]
    note: bool,
    #[serde(default)]
    return_url: Option<Url>,
    #[serde(default)]
    card_image: Option<Url>,
    #[serde(default = "default_retention")]
    file_retention: u64,
    #[serde(default)]
    record_retention: Option<u64>,
}

fn no_text() -> LocalizedText {
    LocalizedText::One(String::new())
}

const fn default_retention() -> u64 {
    FILE_RETENTION
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecrets {
    api_key_sha256: Vec<Sha256>,
    webhook_secrets: Vec<String>,
    #[serde(default)]
    webhook_keys: Vec<String>,
}

/// Schemes of a return address that would run script or read local data instead of leading back.
const UNSAFE_SCHEMES: [&str; 6] = ["javascript", "data", "file", "blob", "vbscript", "about"];

impl Config {
    /// Checks the variables.
    ///
    /// # Errors
    /// Names the variable and what is wrong with it, without any part of a secret.
    pub fn check(raw: &RawConfig) -> Result<Self, ConfigError> {
        let keys = KeyRing::parse(&raw.link_keys).map_err(|e: KeyRingError| ConfigError {
            variable: "LINK_KEYS",
            reason: e.to_string(),
        })?;
        if raw.bucket.is_empty() {
            return Err(ConfigError {
                variable: "BUCKET_NAME",
                reason: "name the R2 bucket that is bound as FILES".to_owned(),
            });
        }
        let development = match raw.environment.as_str() {
            "development" => true,
            "staging" | "production" | "" => false,
            other => {
                return Err(ConfigError {
                    variable: "ENVIRONMENT",
                    reason: format!("{other} is none of development, staging, production"),
                });
            }
        };
        if raw.faults == "on" && !development {
            return Err(ConfigError {
                variable: "FAULTS",
                reason: "only where ENVIRONMENT is development".to_owned(),
            });
        }
        if !development && keys.get(DEVELOPMENT_KEY).is_some() {
            return Err(ConfigError {
                variable: "LINK_KEYS",
                reason: format!(
                    "key {DEVELOPMENT_KEY} is a developer's; only where ENVIRONMENT is development"
                ),
            });
        }
        let apps_error = |reason: String| ConfigError {
            variable: "APPS",
            reason,
        };
        let mut json = serde_json::Deserializer::from_str(&raw.apps);
        let raw_apps: Vec<RawApp> = serde_path_to_error::deserialize(&mut json)
            .map_err(|e| apps_error(format!("apps{}: {}", e.path(), e.inner())))?;
        json.end().map_err(|e| apps_error(e.to_string()))?;
        // The message of a JSON error can hold what it met, so only its place is told.
        let mut secrets: BTreeMap<AppId, RawSecrets> = serde_json::from_str(&raw.app_secrets)
            .map_err(|e| ConfigError {
                variable: "APP_SECRETS",
                reason: format!(
                    "not the expected JSON, at line {} column {}",
                    e.line(),
                    e.column()
                ),
            })?;
        let mut apps = BTreeMap::new();
        for raw_app in raw_apps {
            let id = raw_app.id.clone();
            let found = secrets.remove(&id).ok_or_else(|| ConfigError {
                variable: "APP_SECRETS",
                reason: format!("nothing for app {id}"),
            })?;
            let app = check_app(raw_app, found, development)?;
            if apps.insert(id.clone(), app).is_some() {
                return Err(apps_error(format!("app {id} stands twice")));
            }
        }
        Ok(Self {
            keys,
            bucket: raw.bucket.clone(),
            public_url: check_public_url(&raw.public_url, development)?,
            domain_files: DomainFiles::parse(&raw.domain_files).map_err(|reason| ConfigError {
                variable: "DOMAIN_FILES",
                reason,
            })?,
            faults: raw.faults == "on",
            development,
            apps,
            chat: account::check(&raw.chat, &raw.chat_secrets)
                .map_err(|(variable, reason)| ConfigError { variable, reason })?,
        })
    }

    /// The app of this id.
    #[must_use]
    pub fn app(&self, id: &AppId) -> Option<&App> {
        self.apps.get(id)
    }

    /// A scene of an app.
    #[must_use]
    pub fn scene(&self, app: &AppId, scene: &SceneId) -> Option<&Scene> {
        self.app(app)?.scenes.get(scene)
    }

    /// An app's account on a chat platform, if its company has one.
    #[must_use]
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.chat.get(&id.app)?.get(&id.platform)
    }

    /// The app that this API key belongs to. Every key of every app is compared, each in constant
    /// time. The key itself is 256 random bits, so its plain hash is safe to keep.
    #[must_use]
    pub fn app_of_key(&self, api_key: &str) -> Option<&App> {
        let hash = Sha256::of(api_key.as_bytes());
        let mut found = None;
        for app in self.apps.values() {
            let mut matches = Choice::from(0);
            for known in &app.api_keys {
                matches |= known.0.ct_eq(&hash.0);
            }
            if bool::from(matches) {
                found = Some(app);
            }
        }
        found
    }
}

fn check_public_url(text: &str, development: bool) -> Result<Option<String>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(text)
        .ok()
        .filter(|u| {
            (u.scheme() == "https" || (development && u.scheme() == "http"))
                && u.path() == "/"
                && u.query().is_none()
        })
        .ok_or_else(|| ConfigError {
            variable: "PUBLIC_URL",
            reason: "give an address such as https://files.example.com, without a path; http only \
                     where ENVIRONMENT is development"
                .to_owned(),
        })?;
    Ok(Some(url.origin().ascii_serialization()))
}

fn check_app(raw: RawApp, secrets: RawSecrets, development: bool) -> Result<App, ConfigError> {
    let id = raw.id;
    let wrong = |reason: String| ConfigError {
        variable: "APPS",
        reason: format!("app {id}: {reason}"),
    };
    match raw.webhook_url.scheme() {
        "https" => {}
        "http" if development => {}
        _ => return Err(wrong("webhook_url must be https".to_owned())),
    }
    for origin in &raw.origins {
        let whole = Url::parse(origin).is_ok_and(|u| {
            matches!(u.scheme(), "https" | "http") && u.origin().ascii_serialization() == *origin
        });
        if !whole {
            return Err(wrong(format!(
                "origins: {origin} is no origin such as https://app.example.com"
            )));
        }
    }
    let webhook_secrets: Vec<Secret> = secrets
        .webhook_secrets
        .iter()
        .map(|s| s.parse())
        .collect::<Result<_, _>>()
        .map_err(|e: chatlift_shared::webhook::NotASecret| ConfigError {
            variable: "APP_SECRETS",
            reason: format!("app {id}: {e}"),
        })?;
    let webhook_keys: Vec<SigningKey> = secrets
        .webhook_keys
        .iter()
        .map(|s| s.parse())
        .collect::<Result<_, _>>()
        .map_err(|e: chatlift_shared::webhook::NotAKey| ConfigError {
            variable: "APP_SECRETS",
            reason: format!("app {id}: {e}"),
        })?;
    if webhook_secrets.is_empty() || secrets.api_key_sha256.is_empty() {
        return Err(ConfigError {
            variable: "APP_SECRETS",
            reason: format!("app {id} needs at least one API key hash and one webhook secret"),
        });
    }
    let mut scenes = BTreeMap::new();
    for raw_scene in raw.scenes {
        let scene = check_scene(raw_scene)
            .map_err(|(scene, reason)| wrong(format!("scene {scene}: {reason}")))?;
        let scene_id = scene.id.clone();
        if scenes.insert(scene_id.clone(), scene).is_some() {
            return Err(wrong(format!("scene {scene_id} stands twice")));
        }
    }
    if scenes.is_empty() {
        return Err(wrong("it has no scene".to_owned()));
    }
    Ok(App {
        id,
        name: raw.name,
        webhook_url: raw.webhook_url,
        webhook_secrets,
        webhook_keys,
        origins: raw.origins,
        scenes,
        api_keys: secrets.api_key_sha256,
    })
}

fn check_scene(raw: RawScene) -> Result<Scene, (SceneId, String)> {
    let id = raw.id;
    let between = |what: &str, value: u64, max: u64| {
        if (1..=max).contains(&value) {
            Ok(())
        } else {
            Err((id.clone(), format!("{what} must be 1 to {max}")))
        }
    };
    between("max_file_size", raw.max_file_size, FILE_SIZE_MAX)?;
    between("max_files", raw.max_files.into(), LINK_FILES_MAX.into())?;
    between("link_lifetime", raw.link_lifetime, LINK_LIFETIME_MAX)?;
    between("file_retention", raw.file_retention, u64::from(u32::MAX))?;
    let record_retention = raw.record_retention.unwrap_or(1);
    between("record_retention", record_retention, u64::from(u32::MAX))?;
    if raw.accept.is_empty() {
        return Err((id, "accept is empty; */* takes everything".to_owned()));
    }
    if let Some(bad) = raw.formats.iter().find(|f| !is_media_type(f)) {
        let reason = format!("formats: {bad} is no media type");
        return Err((id, reason));
    }
    let pdf = |format: &String| format.eq_ignore_ascii_case("application/pdf");
    if raw.join == Some(Join::Pdf) && !raw.formats.is_empty() && !raw.formats.iter().any(pdf) {
        let reason = "join makes a PDF, which formats does not name".to_owned();
        return Err((id, reason));
    }
    if let Some(url) = &raw.return_url
        && UNSAFE_SCHEMES.contains(&url.scheme())
    {
        let reason = format!("return_url must not be {}:", url.scheme());
        return Err((id, reason));
    }
    if raw
        .card_image
        .as_ref()
        .is_some_and(|url| url.scheme() != "https")
    {
        return Err((id, "card_image must be https".to_owned()));
    }
    Ok(Scene {
        id,
        title: raw.title,
        hint: raw.hint,
        return_url: raw.return_url,
        card_image: raw.card_image,
        link_lifetime: Duration::from_secs(raw.link_lifetime),
        policy: Policy {
            accept: raw.accept,
            max_file_size: raw.max_file_size,
            max_files: raw.max_files,
            formats: raw.formats,
            join: raw.join,
            note: raw.note,
            file_retention: raw.file_retention,
            record_retention: raw.record_retention,
        },
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const API_KEY: &str = "clk_test";

    pub(crate) fn raw() -> RawConfig {
        let hash = Sha256::of(API_KEY.as_bytes());
        RawConfig {
            link_keys: "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".into(),
            apps: r#"[{"id":"demo","name":"Demo","webhook_url":"http://127.0.0.1:1/hook","scenes":[
                {"id":"docs","title":"Docs","accept":["application/pdf","image/*"],"max_file_size":20000000,
                 "max_files":2,"link_lifetime":604800}]}]"#
                .into(),
            app_secrets: format!(
                r#"{{"demo":{{"api_key_sha256":["{hash}"],"webhook_secrets":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}}}}"#
            ),
            bucket: "files".into(),
            environment: "development".into(),
            ..RawConfig::default()
        }
    }

    fn error(change: impl Fn(&mut RawConfig)) -> String {
        let mut raw = raw();
        change(&mut raw);
        Config::check(&raw).expect_err("a bad config").to_string()
    }

    #[test]
    fn the_app_of_a_key_is_found_and_no_other() {
        let config = Config::check(&raw()).expect("a good config");
        assert_eq!(
            config.app_of_key(API_KEY).map(|a| a.id.as_str()),
            Some("demo")
        );
        assert!(config.app_of_key("clk_tesT").is_none());
        assert!(config.app_of_key("").is_none());
        // The hash itself is no key.
        assert!(
            config
                .app_of_key(&Sha256::of(API_KEY.as_bytes()).to_string())
                .is_none()
        );
    }

    #[test]
    fn every_error_names_its_variable() {
        assert!(error(|r| r.link_keys.clear()).starts_with("LINK_KEYS: no signing key"));
        assert!(error(|r| r.bucket.clear()).starts_with("BUCKET_NAME"));
        assert!(error(|r| r.apps = "[".into()).starts_with("APPS: "));
        assert!(error(|r| r.app_secrets = "{}".into()).contains("nothing for app demo"));
        assert!(error(|r| r.public_url = "ftp://x".into()).starts_with("PUBLIC_URL"));
        assert!(error(|r| r.domain_files = "{\"a\":\"b\"}".into()).starts_with("DOMAIN_FILES"));
        assert!(
            error(|r| r.apps = r.apps.replace("\"max_files\":2", "\"max_files\":0"))
                .contains("scene docs: max_files must be 1 to 500")
        );
        assert!(
            error(|r| r.apps = r
                .apps
                .replace("604800", "604800,\"return_url\":\"javascript:alert(1)\""))
            .contains("return_url must not be javascript:")
        );
        for address in ["http://app.test/card.png", "data:image/png;base64,AA"] {
            let image = format!("604800,\"card_image\":\"{address}\"");
            assert!(
                error(|r| r.apps = r.apps.replace("604800", &image))
                    .contains("card_image must be https")
            );
        }
        assert!(error(|r| r.apps = r.apps.replace("max_files", "maxfiles")).contains("maxfiles"));
        let note = "604800,\"note\":\"please\"";
        let told = error(|r| r.apps = r.apps.replace("604800", note));
        assert!(
            told.contains("apps[0].scenes[0].note") && told.contains("boolean"),
            "{told}"
        );
        let join = "604800,\"join\":\"pdf\",\"formats\":[\"image/jpeg\"]";
        assert!(
            error(|r| r.apps = r.apps.replace("604800", join))
                .contains("scene docs: join makes a PDF, which formats does not name")
        );
    }

    #[test]
    fn webhooks_go_over_https_but_on_a_developers_machine() {
        for environment in ["production", "staging", ""] {
            let told = error(|r| r.environment = environment.into());
            assert!(
                told.contains("app demo: webhook_url must be https"),
                "{told}"
            );
            let mut raw = raw();
            raw.environment = environment.into();
            raw.apps = raw.apps.replace("http://127", "https://127");
            assert!(Config::check(&raw).is_ok(), "{environment}");
        }
        assert!(error(|r| r.environment = "prod".into()).starts_with("ENVIRONMENT"));
        let told = error(|r| {
            r.environment = "production".into();
            r.faults = "on".into();
        });
        assert!(told.starts_with("FAULTS"), "{told}");
    }

    #[test]
    fn a_developers_settings_start_no_production() {
        for environment in ["production", "staging", ""] {
            let deployed = |change: fn(&mut RawConfig)| {
                error(|r| {
                    r.environment = environment.into();
                    r.apps = r.apps.replace("http://127", "https://127");
                    change(r);
                })
            };
            let told = deployed(|r| r.link_keys = r.link_keys.replace("1:", "0:"));
            assert!(told.starts_with("LINK_KEYS: key 0"), "{told}");
            let told = deployed(|r| r.link_keys += &format!(",0:{}", "A".repeat(43)));
            assert!(told.starts_with("LINK_KEYS: key 0"), "{told}");
            let told = deployed(|r| r.public_url = "http://127.0.0.1:8787".into());
            assert!(told.starts_with("PUBLIC_URL"), "{told}");
        }
        let mut raw = raw();
        raw.link_keys = raw.link_keys.replace("1:", "0:");
        raw.public_url = "http://127.0.0.1:8787".into();
        assert!(Config::check(&raw).is_ok(), "on a developer's machine");
    }

    #[test]
    fn origins_are_whole_and_nothing_more() {
        let with = |origin: &str| {
            let mut raw = raw();
            let scenes = format!("\"origins\":[\"{origin}\"],\"scenes\"");
            raw.apps = raw.apps.replace("\"scenes\"", &scenes);
            Config::check(&raw)
        };
        assert!(with("https://app.example.com").is_ok());
        for bad in [
            "*",
            "https://app.example.com/",
            "app.example.com",
            "null",
            "data:x",
        ] {
            let told = with(bad).expect_err(bad).to_string();
            assert!(told.contains("origins"), "{told}");
        }
    }

    #[test]
    fn no_error_tells_a_secret() {
        let told = error(|r| r.app_secrets = r.app_secrets.replace("whsec_", "oops_"));
        assert!(!told.contains("MfKQ"), "{told}");
        let told = error(|r| r.app_secrets = r.app_secrets.replace("[\"whsec", "\"whsec"));
        assert!(!told.contains("MfKQ"), "{told}");
    }

    #[test]
    fn a_public_address_is_kept_without_its_slash() {
        let mut raw = raw();
        raw.public_url = "https://files.example.com/".into();
        let config = Config::check(&raw).expect("a good config");
        assert_eq!(
            config.public_url.as_deref(),
            Some("https://files.example.com")
        );
    }
}
