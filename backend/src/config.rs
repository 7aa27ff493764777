//! Raw environment -> checked [`Config`]. After start nothing reads the environment.

mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chatlift_shared::AppId;
use chatlift_shared::webhook::Secret;
use url::Url;

use crate::clamd::{Clamd, Unscanned};
use values::wrong;
pub use values::{ApiKey, AppToken, AppWebhook, Bucket, BucketKeys, ConfigError, DatabaseUrl};

/// Where the edge is when `CHATLIFT_EDGE_URL` says nothing: that of `cargo xtask dev`.
pub const EDGE_URL_DEFAULT: &str = "http://127.0.0.1:8787";
/// The app when `CHATLIFT_APP` says nothing.
pub const APP_DEFAULT: &str = "demo";
/// Where the edge's webhooks are taken when `CHATLIFT_LISTEN` says nothing: this machine only.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8788";
/// Where app and operator are served when `CHATLIFT_APP_LISTEN` says nothing: this machine only.
pub const APP_LISTEN_DEFAULT: &str = "127.0.0.1:8789";

/// Room for files under way when `CHATLIFT_DISK_QUOTA_GIB` says nothing: four of the largest files of
/// the `any-file` scene, and what is made of them.
pub const DISK_QUOTA_GIB: u64 = 40;

/// `MaxFileSize` of clamd in MiB when `CHATLIFT_CLAMD_MAX_MIB` says nothing: clamd's own default
/// (clamd.conf(5)). Of a larger file it scans nothing, and says that it is clean unless
/// `AlertExceedsMax` is set.
pub const CLAMD_MAX_MIB: u64 = 100;

/// What the backend runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base address of the edge, without a path. Every request goes there and nowhere else.
    pub edge_url: Url,
    /// The app that this backend serves. Events for others are refused.
    pub app: AppId,
    /// Key for the edge's API.
    pub api_key: ApiKey,
    /// Webhook secrets that are live; several while one rotates. Never empty.
    pub webhook_secrets: Vec<Secret>,
    /// Folder of the database and the files.
    pub data_dir: PathBuf,
    /// Where to take the edge's webhooks, and nothing else.
    pub listen: SocketAddr,
    /// Where to serve the app and the operator.
    pub app_listen: SocketAddr,
    /// Tokens by which these are known; several while one rotates. Never empty.
    pub app_tokens: Vec<AppToken>,
    /// Whether the page that plays the first app is served too.
    pub demo: bool,
    /// What to log, in the syntax of `RUST_LOG`.
    pub log: tracing_subscriber::filter::Targets,
    /// Address of a PostgreSQL database; without one SQLite in the data folder serves.
    pub database: Option<DatabaseUrl>,
    /// Where what is made of files is kept; without it in the data folder.
    pub objects: Option<Bucket>,
    /// Where clamd listens, if files are to be scanned.
    pub clamd: Option<Clamd>,
    /// Largest file, in bytes, that clamd scans to its end.
    pub scanned_max: u64,
    /// What becomes of a file that clamd could not scan to its end: encrypted, or over its limits.
    pub unscanned: Unscanned,
    /// Where the app is told of its deliveries, if it wants to be.
    pub app_webhook: Option<AppWebhook>,
    /// Most bytes of files that are being worked on.
    pub disk_quota: u64,
    /// How long a file is kept after the app has acknowledged its delivery; for ever if `None`.
    pub retention: Option<Duration>,
    /// Where to look for outside programs, in the syntax of `PATH`.
    pub path: OsString,
    /// The backend's own program, if it may be called to confine them; [`Config::read`] knows of none.
    pub own_program: Option<PathBuf>,
    /// Whether they may run where nothing keeps them from this user's files.
    pub weak_walls: bool,
}

impl Config {
    /// Reads the data folder alone, which is all that the operator's commands need.
    ///
    /// # Errors
    /// When it is not set.
    pub fn read_data_dir(
        get: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<PathBuf, ConfigError> {
        get("CHATLIFT_DATA_DIR")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
            .ok_or_else(|| {
                wrong(
                    "CHATLIFT_DATA_DIR",
                    "is not set: give the folder for the database and the files, such as /var/lib/chatlift",
                )
            })
    }

    /// Reads the database's address alone.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_database(
        get: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Option<DatabaseUrl>, ConfigError> {
        let Some(text) = get("CHATLIFT_DATABASE_URL").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        text.into_string()
            .ok()
            .filter(|url| url.starts_with("postgres://") || url.starts_with("postgresql://"))
            .map(|url| Some(DatabaseUrl(url)))
            .ok_or_else(|| {
                wrong(
                    "CHATLIFT_DATABASE_URL",
                    "is no postgres:// address: give one, or leave it out for SQLite in the data folder",
                )
            })
    }

    /// Reads the variables through `get`, which is `std::env::var_os` outside tests.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(get: impl Fn(&'static str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let text = |variable| match get(variable) {
            None => Ok(None),
            Some(value) => match value.into_string() {
                Ok(value) if value.trim().is_empty() => Ok(None),
                Ok(value) => Ok(Some(value.trim().to_owned())),
                Err(_) => Err(wrong(variable, "is not UTF-8: set it again as plain text")),
            },
        };

        let edge_url = text("CHATLIFT_EDGE_URL")?;
        let edge_url = edge_base(edge_url.as_deref().unwrap_or(EDGE_URL_DEFAULT))?;

        let app = text("CHATLIFT_APP")?;
        let app = app.as_deref().unwrap_or(APP_DEFAULT).parse().map_err(|e| {
            wrong(
                "CHATLIFT_APP",
                format!("is {e}: give the app's id as it stands in the edge's APPS"),
            )
        })?;

        let api_key = text("CHATLIFT_API_KEY")?.ok_or_else(|| {
            wrong(
                "CHATLIFT_API_KEY",
                "is not set: give the app's API key for the edge (clk_...)",
            )
        })?;
        let api_key = ApiKey::new(&api_key).ok_or_else(|| {
            wrong(
                "CHATLIFT_API_KEY",
                "has spaces or characters that no key has: copy the key again",
            )
        })?;

        let secrets = text("CHATLIFT_WEBHOOK_SECRET")?.ok_or_else(|| {
            wrong(
                "CHATLIFT_WEBHOOK_SECRET",
                "is not set: give the app's webhook secret (whsec_...), or several separated by commas",
            )
        })?;
        let webhook_secrets = secrets
            .split(',')
            .map(|secret| {
                secret.trim().parse().map_err(|e| {
                    wrong(
                        "CHATLIFT_WEBHOOK_SECRET",
                        format!("holds an entry that is {e}"),
                    )
                })
            })
            .collect::<Result<_, _>>()?;

        let data_dir = Self::read_data_dir(&get)?;
        let database = Self::read_database(&get)?;
        let objects = Bucket::read(&text)?;

        let listen = address("CHATLIFT_LISTEN", text("CHATLIFT_LISTEN")?, LISTEN_DEFAULT)?;
        let app_listen = address(
            "CHATLIFT_APP_LISTEN",
            text("CHATLIFT_APP_LISTEN")?,
            APP_LISTEN_DEFAULT,
        )?;
        let app_tokens = app_tokens(text("CHATLIFT_APP_TOKEN")?)?;
        let demo = switch("CHATLIFT_DEMO", text("CHATLIFT_DEMO")?)?;

        let log = text("RUST_LOG")?;
        let log = log.as_deref().unwrap_or("info").parse().map_err(|_| {
            wrong(
                "RUST_LOG",
                "is not a log filter: give one such as info or warn,chatlift_backend=debug",
            )
        })?;

        let clamd = text("CHATLIFT_CLAMD")?
            .map(|text| {
                text.parse().map_err(|problem| {
                    wrong(
                        "CHATLIFT_CLAMD",
                        format!("{problem}: give one such as unix:/run/clamav/clamd.ctl"),
                    )
                })
            })
            .transpose()?;

        let scanned_max = text("CHATLIFT_CLAMD_MAX_MIB")?
            .map_or(Some(CLAMD_MAX_MIB), |text| text.parse().ok())
            .filter(|mib| (1..=1_000_000).contains(mib))
            .map(|mib| mib * 1024 * 1024)
            .ok_or_else(|| {
                wrong(
                    "CHATLIFT_CLAMD_MAX_MIB",
                    "is not a number of MiB from 1 to 1000000: give clamd's MaxFileSize",
                )
            })?;
        let unscanned = text("CHATLIFT_UNSCANNED")?
            .map_or(Ok(Unscanned::default()), |text| text.parse())
            .map_err(|problem| {
                wrong(
                    "CHATLIFT_UNSCANNED",
                    format!(
                        "{problem}: say what becomes of a file that clamd cannot scan to its end"
                    ),
                )
            })?;

        let weak_walls = match text("CHATLIFT_WALLS")?.as_deref() {
            None | Some("strong") => false,
            Some("weak") => true,
            Some(_) => {
                let problem = "is neither strong nor weak: say weak to run converters where nothing \
                               keeps them from this user's files";
                return Err(wrong("CHATLIFT_WALLS", problem));
            }
        };

        let app_webhook = app_webhook(
            text("CHATLIFT_APP_WEBHOOK_URL")?,
            text("CHATLIFT_APP_WEBHOOK_SECRET")?,
        )?;

        let disk_quota = text("CHATLIFT_DISK_QUOTA_GIB")?
            .map_or(Some(DISK_QUOTA_GIB), |text| text.parse().ok())
            .filter(|gib| (1..=1_000_000).contains(gib))
            .map(|gib| gib * 1024 * 1024 * 1024)
            .ok_or_else(|| {
                wrong(
                    "CHATLIFT_DISK_QUOTA_GIB",
                    "is not a number of GiB from 1 to 1000000",
                )
            })?;

        let retention = text("CHATLIFT_RETENTION_DAYS")?
            .map(|text| {
                text.parse()
                    .ok()
                    .filter(|days| (1..=36_500).contains(days))
                    .map(|days: u64| Duration::from_secs(days * 24 * 60 * 60))
                    .ok_or_else(|| {
                        wrong(
                            "CHATLIFT_RETENTION_DAYS",
                            "is not a number of days from 1 to 36500",
                        )
                    })
            })
            .transpose()?;

        Ok(Self {
            edge_url,
            app,
            api_key,
            webhook_secrets,
            data_dir,
            listen,
            app_listen,
            app_tokens,
            demo,
            log,
            database,
            objects,
            clamd,
            scanned_max,
            unscanned,
            app_webhook,
            retention,
            disk_quota,
            path: get("PATH").unwrap_or_default(),
            own_program: None,
            weak_walls,
        })
    }
}

fn address(
    variable: &'static str,
    text: Option<String>,
    default: &str,
) -> Result<SocketAddr, ConfigError> {
    let text = text.as_deref().unwrap_or(default);
    text.parse().map_err(|_| {
        wrong(
            variable,
            format!("is not an address and a port: give one such as {default} or [::1]:8788"),
        )
    })
}

fn app_tokens(text: Option<String>) -> Result<Vec<AppToken>, ConfigError> {
    let text = text.ok_or_else(|| {
        wrong(
            "CHATLIFT_APP_TOKEN",
            "is not set: give the token by which app and operator are known, such as the output of \
             openssl rand -hex 32, or several separated by commas",
        )
    })?;
    text.split(',')
        .map(|token| {
            AppToken::new(token.trim()).ok_or_else(|| {
                let problem = format!(
                    "is shorter than {} characters, or has some that no token has: \
                     give the output of openssl rand -hex 32",
                    AppToken::LEN_MIN
                );
                wrong("CHATLIFT_APP_TOKEN", problem)
            })
        })
        .collect()
}

/// A setting that is on or off; off if it is not given.
fn switch(variable: &'static str, text: Option<String>) -> Result<bool, ConfigError> {
    match text.as_deref() {
        None | Some("0" | "false" | "off") => Ok(false),
        Some("1" | "true" | "on") => Ok(true),
        Some(_) => Err(wrong(variable, "is neither 1 nor 0")),
    }
}

fn app_webhook(
    url: Option<String>,
    secret: Option<String>,
) -> Result<Option<AppWebhook>, ConfigError> {
    let Some(url) = url else {
        return Ok(None);
    };
    let url: Url = url
        .parse()
        .ok()
        .filter(|url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            wrong(
                "CHATLIFT_APP_WEBHOOK_URL",
                "is not an http or https address",
            )
        })?;
    let secret = secret.ok_or_else(|| {
        wrong(
            "CHATLIFT_APP_WEBHOOK_SECRET",
            "is not set: give the secret (whsec_...) by which the app knows the backend's webhooks",
        )
    })?;
    let secret = secret
        .parse()
        .map_err(|e| wrong("CHATLIFT_APP_WEBHOOK_SECRET", format!("is {e}")))?;
    Ok(Some(AppWebhook { url, secret }))
}

fn edge_base(text: &str) -> Result<Url, ConfigError> {
    let bad = |problem| wrong("CHATLIFT_EDGE_URL", problem);
    let url: Url = text.parse().map_err(|_| {
        bad("is not a URL: give the edge's address, such as https://files.example.com")
    })?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad(
            "is neither http nor https: give the edge's address, such as https://files.example.com",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad(
            "holds a user name or password: leave them out, the API key is the credential",
        ));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(bad(
            "has more than scheme, host and port: leave the rest out",
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
