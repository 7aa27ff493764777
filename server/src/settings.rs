//! What the program is told: a TOML file, and variables of the environment, which stand above it. Checked once;
//! after that nothing reads the environment.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chatlift_edge::config::{Config, RawConfig};
use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use crate::error::Error;

/// Connections that are served at once where nothing else is said; more wait to be taken.
const CONNECTIONS: usize = 2_000;

/// The file. Its names are those of the variables, in small letters.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<String>,
    metrics_listen: Option<String>,
    data: Option<PathBuf>,
    page: Option<PathBuf>,
    connections: Option<String>,
    trusted_proxies: Vec<String>,
    rate_limits: Option<bool>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    database_url: Option<String>,
    store: Option<String>,
    link_keys: Option<String>,
    bucket_name: Option<String>,
    public_url: Option<String>,
    environment: Option<String>,
    faults: Option<String>,
    apps: Option<toml::Value>,
    app_secrets: Option<toml::Value>,
    chat: Option<toml::Value>,
    chat_secrets: Option<toml::Value>,
    domain_files: Option<toml::Value>,
}

/// A certificate with its key, as PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What the program is told. It holds passwords and keys, and is not printed.
pub(crate) struct Settings {
    /// Where requests are taken.
    pub(crate) listen: SocketAddr,
    /// Where figures are read, if anywhere.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Folder of its data.
    pub(crate) data: PathBuf,
    /// Folder of the built page, in place of the one in the program.
    pub(crate) page: Option<PathBuf>,
    /// Connections that are served at once.
    pub(crate) connections: usize,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Whether requests of an address and about a link are counted, and refused beyond a number.
    pub(crate) rate_limits: bool,
    pub(crate) tls: Option<Tls>,
    /// A PostgreSQL that other nodes share.
    pub(crate) database_url: Option<String>,
    /// A bucket that other nodes share.
    pub(crate) store: Option<Url>,
    /// Apps, scenes, keys.
    pub(crate) config: Config,
}

fn wrong(name: &str, why: impl std::fmt::Display) -> Error {
    Error::Config(format!("{name}: {why}"))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<String>,
) -> Result<Option<T>, Error> {
    let parsed = text.map(|text| text.parse().map_err(|e| wrong(name, e)));
    parsed.transpose()
}

impl Settings {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// Names the setting and what is wrong with it.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Error> {
        let file = match file {
            None => File::default(),
            Some(path) => {
                let name = path.display().to_string();
                let text = fs::read_to_string(path).map_err(|e| wrong(&name, e))?;
                read(&text).map_err(|why| wrong(&name, why))?
            }
        };
        let json = |name: &str, value: &Option<toml::Value>| {
            let json = value.as_ref().map(serde_json::to_string).transpose();
            let json = json.map_err(|e| wrong(name, e))?;
            Ok::<_, Error>(variable(name).or(json).unwrap_or_default())
        };
        let text = |name: &str, value: &Option<String>| variable(name).or_else(|| value.clone());
        let store: Option<Url> = parsed("STORE", text("STORE", &file.store))?;
        let bucket = store.as_ref().and_then(Url::host_str).unwrap_or("files");
        let raw = RawConfig {
            link_keys: text("LINK_KEYS", &file.link_keys).unwrap_or_default(),
            apps: json("APPS", &file.apps)?,
            app_secrets: json("APP_SECRETS", &file.app_secrets)?,
            bucket: text("BUCKET_NAME", &file.bucket_name).unwrap_or_else(|| bucket.to_owned()),
            public_url: text("PUBLIC_URL", &file.public_url).unwrap_or_default(),
            faults: text("FAULTS", &file.faults).unwrap_or_default(),
            chat: json("CHAT", &file.chat)?,
            chat_secrets: json("CHAT_SECRETS", &file.chat_secrets)?,
            domain_files: json("DOMAIN_FILES", &file.domain_files)?,
            environment: text("ENVIRONMENT", &file.environment).unwrap_or_default(),
        };
        let config = Config::check(&raw).map_err(|e| Error::Config(e.to_string()))?;
        let proxies = match variable("TRUSTED_PROXIES") {
            Some(list) => list.split(',').map(|net| net.trim().to_owned()).collect(),
            None => file.trusted_proxies,
        };
        let proxies = proxies.into_iter().map(|net| network(&net));
        let rate_limits = parsed("RATE_LIMITS", variable("RATE_LIMITS"))?;
        let path = |name: &str, value: Option<PathBuf>| variable(name).map(PathBuf::from).or(value);
        let certificate = path("TLS_CERTIFICATE", file.tls_certificate);
        let tls = match (certificate, path("TLS_KEY", file.tls_key)) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("TLS_KEY", "give the key of the certificate")),
            (None, Some(_)) => {
                return Err(wrong("TLS_CERTIFICATE", "give the certificate of the key"));
            }
        };
        let database_url = text("DATABASE_URL", &file.database_url);
        let is_postgres =
            |url: &&String| url.starts_with("postgres://") || url.starts_with("postgresql://");
        if database_url.is_some() && database_url.as_ref().filter(is_postgres).is_none() {
            return Err(wrong(
                "DATABASE_URL",
                "is no postgres:// address; leave it out for SQLite in the data folder",
            ));
        }
        if let Some(store) = store.as_ref().filter(|store| store.scheme() != "s3") {
            let why = format!("{} is not s3; leave it out for a folder", store.scheme());
            return Err(wrong("STORE", why));
        }
        if database_url.is_some() != store.is_some() {
            return Err(wrong(
                if store.is_some() {
                    "DATABASE_URL"
                } else {
                    "STORE"
                },
                "nodes share both a database and a bucket, or neither",
            ));
        }
        let listen = parsed(
            "CHATLIFT_EDGE_LISTEN",
            text("CHATLIFT_EDGE_LISTEN", &file.listen),
        )?;
        Ok(Self {
            listen: listen.unwrap_or_else(|| ([127, 0, 0, 1], 8787).into()),
            metrics_listen: parsed(
                "CHATLIFT_EDGE_METRICS_LISTEN",
                text("CHATLIFT_EDGE_METRICS_LISTEN", &file.metrics_listen),
            )?,
            data: path("CHATLIFT_EDGE_DATA", file.data).unwrap_or_else(|| "edge-data".into()),
            page: path("CHATLIFT_EDGE_PAGE", file.page),
            connections: parsed(
                "CHATLIFT_EDGE_CONNECTIONS",
                text("CHATLIFT_EDGE_CONNECTIONS", &file.connections),
            )?
            .unwrap_or(CONNECTIONS),
            trusted_proxies: proxies.collect::<Result<_, _>>()?,
            rate_limits: rate_limits
                .or(file.rate_limits)
                .unwrap_or(!config.development),
            tls,
            database_url,
            store,
            config,
        })
    }
}

/// Reads the file's text; else tells the line and the field that is wrong, without the line itself, which can
/// hold a secret.
fn read(text: &str) -> Result<File, String> {
    let told = |path: &str, error: &toml::de::Error| {
        let before = text.get(..error.span().map_or(0, |span| span.start));
        let line = before.unwrap_or_default().matches('\n').count() + 1;
        format!("line {line}: {path}{}", error.message())
    };
    let toml = toml::de::Deserializer::parse(text).map_err(|e| told("", &e))?;
    serde_path_to_error::deserialize(toml).map_err(|e| told(&format!("{}: ", e.path()), e.inner()))
}

/// A network, or one address of it.
fn network(text: &str) -> Result<IpNet, Error> {
    let one = |text: &str| {
        text.parse()
            .ok()
            .map(|address: std::net::IpAddr| address.into())
    };
    let found = text.parse().ok().or_else(|| one(text));
    found.ok_or_else(|| {
        wrong(
            "TRUSTED_PROXIES",
            format!("{text} is no address or network"),
        )
    })
}
