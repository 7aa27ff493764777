//! Stand-ins of the chat platforms' token and ticket endpoints, as their documentation describes
//! them: WeCom (path/91039, path/90506), WeChat (access token; JS-SDK, appendix 1), DingTalk
//! (`gettoken`, `get_jsapi_ticket`) and Feishu (`tenant_access_token/internal`,
//! `jssdk/ticket/get`). They check what they are sent, count what they give, and can be slow, down
//! or deaf.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// The secret of every account.
pub const SECRET: &str = "the-accounts-secret";

/// How an account's endpoints behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As documented.
    #[default]
    Well,
    /// As documented, after a while.
    Slow(Duration),
    /// The credentials are refused.
    Refusing,
    /// Status 500.
    Broken,
    /// Never answers.
    Deaf,
}

/// What an account's endpoints have done.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Access tokens that were given.
    pub tokens: Vec<String>,
    /// Tickets that were given: kind and ticket.
    pub tickets: Vec<(&'static str, String)>,
    /// Requests of any kind.
    pub requests: u32,
    mood: Mood,
    life: Option<u64>,
}

impl Seen {
    /// The last ticket of a kind: `company` or `agent`.
    ///
    /// # Panics
    /// When none was given.
    #[must_use]
    pub fn ticket(&self, kind: &str) -> &str {
        let found = self.tickets.iter().rfind(|(k, _)| *k == kind);
        &found.unwrap_or_else(|| panic!("no {kind} ticket")).1
    }
}

type Accounts = Arc<Mutex<BTreeMap<String, Seen>>>;

/// All platforms, each account under a folder of its own: `{app}-{platform}`.
#[derive(Debug)]
pub struct Platforms {
    port: u16,
    accounts: Accounts,
}

fn lock(accounts: &Accounts) -> MutexGuard<'_, BTreeMap<String, Seen>> {
    accounts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Platforms {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let platforms = Self {
            port: listener.local_addr().expect("an address").port(),
            accounts: Arc::default(),
        };
        let accounts = Arc::clone(&platforms.accounts);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let accounts = Arc::clone(&accounts);
                std::thread::spawn(move || {
                    // A caller that gave up has no answer to miss.
                    let _ = serve(&stream, &accounts);
                });
            }
        });
        platforms
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The edge's `CHAT` for these apps: an account on each platform.
    #[must_use]
    pub fn chat(&self, apps: &[&str]) -> String {
        let accounts = |app: &str| {
            let base = |platform: &str| format!("{}/{app}-{platform}", self.origin());
            json!({
                "wecom": { "id": "ww7ca4776b2a70000", "agent_id": "1000247", "base": base("wecom") },
                "wechat": { "id": "wx1aa11a11aaa1a1a1", "base": base("wechat"),
                    "mini_program": { "app_id": "wx2bb22b22bbb2b2b2", "original_id": "gh_0123456789ab" } },
                "dingtalk": { "id": "ding123", "agent_id": "1000001", "key": "dingkey", "base": base("dingtalk") },
                "feishu": { "id": "cli_9f1", "base": base("feishu"),
                    "sdk": format!("{}/h5-js-sdk.js", self.origin()) },
            })
        };
        let all: serde_json::Map<String, Value> = apps
            .iter()
            .map(|app| ((*app).to_owned(), accounts(app)))
            .collect();
        Value::Object(all).to_string()
    }

    /// The edge's `CHAT_SECRETS` for these apps.
    #[must_use]
    pub fn secrets(apps: &[&str]) -> String {
        let all: serde_json::Map<String, Value> = apps
            .iter()
            .map(|app| {
                let secrets = json!({ "wecom": SECRET, "wechat": SECRET, "dingtalk": SECRET, "feishu": SECRET });
                ((*app).to_owned(), secrets)
            })
            .collect();
        Value::Object(all).to_string()
    }

    /// From now on an account behaves like this.
    pub fn behave(&self, account: &str, mood: Mood) {
        lock(&self.accounts)
            .entry(account.to_owned())
            .or_default()
            .mood = mood;
    }

    /// From now on an account's tokens and tickets live for so many seconds.
    pub fn live(&self, account: &str, seconds: u64) {
        lock(&self.accounts)
            .entry(account.to_owned())
            .or_default()
            .life = Some(seconds);
    }

    /// What an account's endpoints have done.
    #[must_use]
    pub fn seen(&self, account: &str) -> Seen {
        lock(&self.accounts)
            .get(account)
            .cloned()
            .unwrap_or_default()
    }
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    bearer: Option<String>,
    body: Value,
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (mut bearer, mut length) = (None, 0);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => bearer = value.strip_prefix("Bearer ").map(str::to_owned),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Ok(Request {
        method,
        path: path.to_owned(),
        query,
        bearer,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

fn serve(mut stream: &TcpStream, accounts: &Accounts) -> std::io::Result<()> {
    let request = read(stream)?;
    let path = request.path.trim_start_matches('/').to_owned();
    if path == "h5-js-sdk.js" {
        let sdk = crate::bridges::FEISHU_SDK;
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: text/javascript; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{sdk}",
            sdk.len()
        );
    }
    let (account, path) = path.split_once('/').unwrap_or((&path, ""));
    let mood = {
        let mut all = lock(accounts);
        let seen = all.entry(account.to_owned()).or_default();
        seen.requests += 1;
        seen.mood
    };
    match mood {
        Mood::Slow(while_) => std::thread::sleep(while_),
        Mood::Deaf => {
            // Until the caller hangs up.
            let _ = stream.read(&mut [0; 1]);
            return Ok(());
        }
        Mood::Well | Mood::Refusing | Mood::Broken => {}
    }
    let body = {
        let mut all = lock(accounts);
        let seen = all.entry(account.to_owned()).or_default();
        answer(account, path, &request, seen).to_string()
    };
    let status = if mood == Mood::Broken {
        "500 Internal Server Error"
    } else {
        "200 OK"
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What the documentation says that the platform answers.
fn answer(account: &str, path: &str, request: &Request, seen: &mut Seen) -> Value {
    let is = |name: &str, value: &str| request.query.get(name).is_some_and(|v| v == value);
    let get = request.method == "GET";
    let refusing = seen.mood == Mood::Refusing;
    let credentials = match path {
        "cgi-bin/gettoken" => get && is("corpid", "ww7ca4776b2a70000") && is("corpsecret", SECRET),
        "cgi-bin/token" => {
            get && is("grant_type", "client_credential")
                && is("appid", "wx1aa11a11aaa1a1a1")
                && is("secret", SECRET)
        }
        "gettoken" => get && is("appkey", "dingkey") && is("appsecret", SECRET),
        "open-apis/auth/v3/tenant_access_token/internal" => {
            request.method == "POST"
                && request.body["app_id"] == "cli_9f1"
                && request.body["app_secret"] == SECRET
        }
        _ => return ticket(account, path, request, seen),
    };
    let feishu = path.starts_with("open-apis");
    if refusing || !credentials {
        return if feishu {
            json!({ "code": 10014, "msg": "app secret invalid" })
        } else {
            json!({ "errcode": 40001, "errmsg": "invalid credential" })
        };
    }
    let token = format!("{account}-token-{}", seen.tokens.len() + 1);
    let life = seen.life.unwrap_or(7200);
    seen.tokens.push(token.clone());
    if feishu {
        json!({ "code": 0, "msg": "ok", "tenant_access_token": token, "expire": life })
    } else {
        json!({ "errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": life })
    }
}

fn ticket(account: &str, path: &str, request: &Request, seen: &mut Seen) -> Value {
    let is = |name: &str, value: &str| request.query.get(name).is_some_and(|v| v == value);
    let feishu = path == "open-apis/jssdk/ticket/get";
    let kind = match path {
        "cgi-bin/get_jsapi_ticket" | "get_jsapi_ticket" | "open-apis/jssdk/ticket/get" => "company",
        "cgi-bin/ticket/getticket" if is("type", "jsapi") => "company",
        "cgi-bin/ticket/get" if is("type", "agent_config") => "agent",
        _ => return json!({ "errcode": 404, "errmsg": "no such interface" }),
    };
    let token = if feishu {
        request.bearer.as_ref()
    } else {
        request.query.get("access_token")
    };
    if token.is_none_or(|token| !seen.tokens.contains(token)) {
        return if feishu {
            json!({ "code": 99_991_663, "msg": "Invalid access token" })
        } else {
            json!({ "errcode": 40014, "errmsg": "invalid access_token" })
        };
    }
    let ticket = format!("{account}-ticket-{}-{kind}", seen.tickets.len() + 1);
    let life = seen.life.unwrap_or(7200);
    seen.tickets.push((kind, ticket.clone()));
    if feishu {
        json!({ "code": 0, "msg": "ok", "data": { "expire_in": life, "ticket": ticket } })
    } else {
        json!({ "errcode": 0, "errmsg": "ok", "ticket": ticket, "expires_in": life })
    }
}
