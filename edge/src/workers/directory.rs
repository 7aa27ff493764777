//! What an app has across its links: the list of them, spread over objects, and whether its
//! webhook endpoint is disabled.
//!
//! No link and no upload waits for these objects. A link's alarm tells the list, again and again
//! until it has heard; and asks whether the endpoint is disabled, at most once a minute in an
//! isolate. Both may lag and nothing is lost: a webhook that is sent to a disabled endpoint gets
//! another 410.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use chatlift_shared::api::LinkSummary;
use chatlift_shared::{AppId, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use worker::wasm_bindgen::JsValue;
use worker::{
    DurableObject, Env, Method, ObjectNamespace, Request, RequestInit, Response, Result,
    SqlStorageValue, State, durable_object,
};

use super::setup::broken;
use super::world::now;
use super::{counts, log, rpc};
use crate::link::listing::{Entry, KEEP, Place, Query, SCAN_MAX, ShardPage, shard_name};
use crate::ports::{Directory, Failure};

/// How often an object of the list drops what is too old.
const SWEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Most entries that one sweep drops; the rest is left to the next, soon.
const SWEEP_MAX: i32 = 5000;

/// How long an isolate believes that an endpoint is enabled, and that it is disabled.
const BELIEVE_ENABLED: Duration = Duration::from_secs(60);
const BELIEVE_DISABLED: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS link (
        created_at INTEGER NOT NULL, id TEXT NOT NULL, subject TEXT, state TEXT NOT NULL,
        version INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (created_at, id)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS by_subject ON link (subject, created_at, id)
        WHERE subject IS NOT NULL;
    CREATE TABLE IF NOT EXISTS endpoint (
        id INTEGER PRIMARY KEY CHECK (id = 1), disabled_at INTEGER NOT NULL
    );
";

/// What is asked of an object.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Put(Entry),
    Remove(Place),
    Page(Query),
    DisabledSince,
    Disable(Timestamp),
    Enable,
}

/// An object of an app: one of those that keep its list, or the one that keeps its endpoint.
#[durable_object]
pub struct DirectoryObject {
    state: State,
    ready: Cell<bool>,
}

impl DurableObject for DirectoryObject {
    fn new(state: State, _env: Env) -> Self {
        Self {
            state,
            ready: Cell::new(false),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let checked = Ok(rpc::check_version(request.headers()));
        rpc::answer(checked, self.answer(request)).await
    }

    async fn alarm(&self) -> Result<Response> {
        let before = Timestamp::from_millis(now().millis() - KEEP.as_millis() as i64);
        let dropped = self.run(
            "DELETE FROM link WHERE (created_at, id) IN
                 (SELECT created_at, id FROM link WHERE created_at < ? LIMIT ?)",
            vec![millis(before), SWEEP_MAX.into()],
        )?;
        if self.is_empty()? {
            return Response::empty();
        }
        let more = dropped >= SWEEP_MAX as usize;
        let wait = if more { Duration::from_secs(10) } else { SWEEP };
        self.state.storage().set_alarm(wait).await?;
        Response::empty()
    }
}

impl DirectoryObject {
    async fn answer(&self, mut request: Request) -> Result<Response> {
        let ask: Ask = serde_json::from_str(&request.text().await?)?;
        if !self.ready.get() {
            self.run(SCHEMA, vec![])?;
            self.ready.set(true);
        }
        let answer = match ask {
            Ask::Put(entry) => {
                self.put(&entry)?;
                if self.state.storage().get_alarm().await?.is_none() {
                    self.state.storage().set_alarm(SWEEP).await?;
                }
                serde_json::Value::Null
            }
            Ask::Remove(place) => {
                self.run(
                    "DELETE FROM link WHERE created_at = ? AND id = ?",
                    vec![
                        SqlStorageValue::Float(place.created_at as f64),
                        place.id.into(),
                    ],
                )?;
                if self.is_empty()? {
                    self.state.storage().delete_alarm().await?;
                }
                serde_json::Value::Null
            }
            Ask::Page(query) => serde_json::to_value(self.page(&query)?)?,
            Ask::DisabledSince => serde_json::to_value(self.disabled_since()?)?,
            Ask::Disable(at) => {
                self.run(
                    "INSERT INTO endpoint (id, disabled_at) VALUES (1, ?) ON CONFLICT DO NOTHING",
                    vec![millis(at)],
                )?;
                serde_json::Value::Null
            }
            Ask::Enable => {
                self.run("DELETE FROM endpoint", vec![])?;
                serde_json::Value::Null
            }
        };
        Response::from_bytes(serde_json::to_vec(&answer)?)
    }
}

/// Milliseconds as SQLite takes them: exact in a double until the year 9999.
fn millis(at: Timestamp) -> SqlStorageValue {
    SqlStorageValue::Float(at.millis() as f64)
}

#[derive(Deserialize)]
struct Row {
    row: String,
}

impl DirectoryObject {
    fn run(&self, query: &str, bindings: Vec<SqlStorageValue>) -> Result<usize> {
        let cursor = self.state.storage().sql().exec(query, bindings)?;
        counts::rows_written(cursor.rows_written());
        Ok(cursor.rows_written())
    }

    /// Whether the list has no entry, and so needs no sweep.
    fn is_empty(&self) -> Result<bool> {
        let sql = self.state.storage().sql();
        let entries: Vec<serde_json::Value> =
            sql.exec("SELECT 1 FROM link LIMIT 1", None)?.to_array()?;
        Ok(entries.is_empty())
    }

    fn put(&self, entry: &Entry) -> Result<()> {
        let link = &entry.link;
        let state = serde_json::to_value(link.state)?;
        self.run(
            "INSERT INTO link (created_at, id, subject, state, version, row)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (created_at, id) DO UPDATE
             SET state = excluded.state, version = excluded.version, row = excluded.row
             WHERE excluded.version > version",
            vec![
                millis(link.created_at),
                link.id.to_string().into(),
                link.subject
                    .clone()
                    .map_or(SqlStorageValue::Null, Into::into),
                state.as_str().unwrap_or_default().into(),
                SqlStorageValue::Float(entry.version as f64),
                serde_json::to_string(link)?.into(),
            ],
        )
        .map(drop)
    }

    fn page(&self, query: &Query) -> Result<ShardPage> {
        let after = query.after.clone().unwrap_or(Place {
            created_at: i64::MAX,
            id: String::new(),
        });
        let mut bindings = vec![
            SqlStorageValue::Float(after.created_at as f64),
            after.id.into(),
        ];
        let subject = match &query.subject {
            Some(subject) => {
                bindings.push(subject.clone().into());
                "AND subject = ?"
            }
            None => "",
        };
        let sql = format!(
            "SELECT row FROM link WHERE (created_at, id) < (?, ?) {subject}
             ORDER BY created_at DESC, id DESC LIMIT {}",
            SCAN_MAX + 1
        );
        let cursor = self.state.storage().sql().exec(&sql, bindings)?;
        let mut page = ShardPage::default();
        let mut last = None;
        for (seen, row) in cursor.next::<Row>().enumerate() {
            if seen == SCAN_MAX || page.links.len() == query.limit as usize {
                page.until = last;
                break;
            }
            let link: LinkSummary = serde_json::from_str(&row?.row)?;
            last = Some(Place::of(&link));
            if query.state.is_none_or(|state| state == link.state) {
                page.links.push(link);
            }
        }
        Ok(page)
    }

    fn disabled_since(&self) -> Result<Option<Timestamp>> {
        #[derive(Deserialize)]
        struct Since {
            disabled_at: f64,
        }
        let rows: Vec<Since> = self
            .state
            .storage()
            .sql()
            .exec("SELECT disabled_at FROM endpoint", None)?
            .to_array()?;
        Ok(rows
            .first()
            .map(|r| Timestamp::from_millis(r.disabled_at as i64)))
    }
}

thread_local! {
    /// Since when an app's endpoint is disabled, and until when this is believed.
    static ENDPOINTS: RefCell<BTreeMap<AppId, (Option<Timestamp>, Timestamp)>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// Stubs of the objects that are bound as `DIRECTORY`.
#[derive(Debug)]
pub(super) struct Directories {
    objects: ObjectNamespace,
    /// Version of the messages.
    version: u32,
}

impl Directories {
    pub(super) fn new(env: &Env, version: u32) -> core::result::Result<Self, Failure> {
        let objects = env.durable_object("DIRECTORY");
        Ok(Self {
            objects: objects.map_err(broken("binding DIRECTORY"))?,
            version,
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        name: &str,
        ask: &Ask,
    ) -> core::result::Result<T, Failure> {
        let json = serde_json::to_string(ask).map_err(|e| Failure::unreadable("directory", &e))?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post)
            .with_body(Some(JsValue::from_str(&json)));
        // The host is never resolved: the request goes to the object by its binding.
        let request =
            Request::new_with_init("https://directory/", &init).map_err(broken("directory"))?;
        counts::app_request();
        let stub = self.objects.id_from_name(name).and_then(|id| id.get_stub());
        let mut response = rpc::send(stub, "directory", self.version, request).await?;
        response.json().await.map_err(broken("directory"))
    }

    /// Since when the app's endpoint is disabled, if it is; as an isolate believes it.
    pub(super) async fn believed(&self, app: &AppId) -> Option<Timestamp> {
        let known = ENDPOINTS.with_borrow(|known| known.get(app).copied());
        if let Some((since, until)) = known
            && now() < until
        {
            return since;
        }
        match self.disabled_since(app).await {
            Ok(since) => since,
            Err(failure) => {
                // An answer that does not come must not keep webhooks back.
                log::error("directory", &[("reason", failure.reason())]);
                None
            }
        }
    }

    /// Since when the app's endpoint is disabled, if it is.
    pub(super) async fn disabled_since(
        &self,
        app: &AppId,
    ) -> core::result::Result<Option<Timestamp>, Failure> {
        let since: Option<Timestamp> = self.ask(&endpoint_name(app), &Ask::DisabledSince).await?;
        believe(app, since);
        Ok(since)
    }

    /// Disables the app's endpoint.
    pub(super) async fn disable(&self, app: &AppId) -> core::result::Result<(), Failure> {
        let at = now();
        believe(app, Some(at));
        self.ask(&endpoint_name(app), &Ask::Disable(at)).await
    }

    /// Enables it again.
    pub(super) async fn enable(&self, app: &AppId) -> core::result::Result<(), Failure> {
        self.ask::<()>(&endpoint_name(app), &Ask::Enable).await?;
        believe(app, None);
        Ok(())
    }
}

fn endpoint_name(app: &AppId) -> String {
    format!("{app}/endpoint")
}

fn believe(app: &AppId, since: Option<Timestamp>) {
    let long = if since.is_some() {
        BELIEVE_DISABLED
    } else {
        BELIEVE_ENABLED
    };
    ENDPOINTS.with_borrow_mut(|known| known.insert(app.clone(), (since, now().plus(long))));
}

impl Directory for Directories {
    async fn put(&self, app: &AppId, entry: &Entry) -> core::result::Result<(), Failure> {
        let shard = crate::link::listing::shard(entry.link.subject.as_deref(), entry.link.id);
        self.ask(&shard_name(app, shard), &Ask::Put(entry.clone()))
            .await
    }

    async fn remove(&self, app: &AppId, entry: &Entry) -> core::result::Result<(), Failure> {
        let shard = crate::link::listing::shard(entry.link.subject.as_deref(), entry.link.id);
        let place = Place::of(&entry.link);
        self.ask(&shard_name(app, shard), &Ask::Remove(place)).await
    }

    async fn page(
        &self,
        app: &AppId,
        shard: u8,
        query: &Query,
    ) -> core::result::Result<ShardPage, Failure> {
        self.ask(&shard_name(app, shard), &Ask::Page(query.clone()))
            .await
    }
}
