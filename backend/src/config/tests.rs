use super::*;

const GOOD: &[(&str, &str)] = &[
    ("CHATLIFT_API_KEY", "clk_abc"),
    (
        "CHATLIFT_WEBHOOK_SECRET",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ),
    ("CHATLIFT_DATA_DIR", "/tmp/x"),
    ("CHATLIFT_APP_TOKEN", "0123456789abcdef0123456789abcdef"),
];

fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(|name| {
        changes
            .iter()
            .chain(GOOD)
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.into())
    })
}

#[test]
fn four_variables_are_enough() {
    let config = read(&[]).expect("a config");
    assert_eq!(config.edge_url.as_str(), "http://127.0.0.1:8787/");
    assert_eq!(config.app.as_str(), "demo");
    assert_eq!(config.listen.port(), 8788);
    assert_eq!(config.webhook_secrets.len(), 1);
}

#[test]
fn each_wrong_variable_is_named_and_no_secret_is_repeated() {
    for (variable, value) in [
        ("CHATLIFT_EDGE_URL", "127.0.0.1:8787"),
        ("CHATLIFT_EDGE_URL", "ftp://edge"),
        ("CHATLIFT_EDGE_URL", "https://user:pass@edge"),
        ("CHATLIFT_EDGE_URL", "https://edge/v1"),
        ("CHATLIFT_APP", "De mo"),
        ("CHATLIFT_API_KEY", ""),
        ("CHATLIFT_API_KEY", "clk_hidden value"),
        ("CHATLIFT_WEBHOOK_SECRET", ""),
        ("CHATLIFT_WEBHOOK_SECRET", "whsec_hidden"),
        ("CHATLIFT_DATA_DIR", ""),
        ("CHATLIFT_LISTEN", "8788"),
        ("CHATLIFT_APP_LISTEN", "8789"),
        ("CHATLIFT_APP_TOKEN", ""),
        ("CHATLIFT_APP_TOKEN", "hidden"),
        ("CHATLIFT_DEMO", "maybe"),
        ("CHATLIFT_CLAMD", "/run/clamd"),
        ("CHATLIFT_CLAMD_MAX_MIB", "0"),
        ("CHATLIFT_UNSCANNED", "keep"),
        ("CHATLIFT_OBJECTS", "bucket"),
        ("CHATLIFT_DATABASE_URL", "mysql://u:hidden@h/d"),
        ("CHATLIFT_APP_WEBHOOK_URL", "ftp://app"),
        ("CHATLIFT_RETENTION_DAYS", "0"),
        ("CHATLIFT_DISK_QUOTA_GIB", "0"),
        ("RUST_LOG", "chatlift=loud"),
    ] {
        let error = read(&[(variable, value)]).expect_err(variable);
        assert_eq!(error.variable, variable);
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}

#[test]
fn several_webhook_secrets_may_be_live() {
    let both = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_AAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let config = read(&[("CHATLIFT_WEBHOOK_SECRET", both)]).expect("a config");
    assert_eq!(config.webhook_secrets.len(), 2);
}

#[test]
fn debug_output_holds_no_secret() {
    let shown = format!("{:?}", read(&[]).expect("a config"));
    assert!(
        !shown.contains("clk_abc") && !shown.contains("MfKQ") && !shown.contains("abcdef0123"),
        "{shown}"
    );
}

/// What stands for a secret in the variables, and may be in no error.
const SECRET: &str = "Zq7XkT4hVvB2mC9wLs0PfRyJd1NuGe8A";

/// The variables that hold nothing but secrets.
const SECRETS: [&str; 6] = [
    "CHATLIFT_API_KEY",
    "CHATLIFT_WEBHOOK_SECRET",
    "CHATLIFT_APP_TOKEN",
    "CHATLIFT_DATABASE_URL",
    "CHATLIFT_APP_WEBHOOK_SECRET",
    "AWS_SECRET_ACCESS_KEY",
];

/// The input is variables, `NAME=value` in a line each. `{secret}` stands for one that is no secret of ours.
#[test]
fn fuzz_variables() {
    chatlift_fuzz::check("variables", |bytes| {
        let text = String::from_utf8_lossy(bytes).replace("{secret}", SECRET);
        let changes: Vec<_> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        match read(&changes) {
            Err(error) => {
                let told = error.to_string();
                let window = SECRET.as_bytes().windows(8).find(|window| {
                    let window = std::str::from_utf8(window).expect("ASCII");
                    told.contains(window)
                });
                assert!(window.is_none(), "{told}");
            }
            Ok(config) => {
                let shown = format!("{config:?}");
                let hidden = changes
                    .iter()
                    .all(|(name, value)| SECRETS.contains(name) || !value.contains(SECRET));
                assert!(!hidden || !shown.contains(SECRET), "{shown}");
                assert!(matches!(config.edge_url.scheme(), "http" | "https"));
                assert!(
                    config.disk_quota > 0
                        && config.scanned_max > 0
                        && !config.webhook_secrets.is_empty()
                );
            }
        }
    });
}
