//! Figures for Prometheus, on a listener of their own.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use chatlift_edge::log;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio::task::spawn_local;

use crate::database::Database;
use crate::error::Error;
use crate::{disk, rows};

/// What is counted.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    pub(crate) connections: IntGauge,
    syncs: IntCounter,
    outbox: Gauge,
    oldest: Gauge,
}

impl Metrics {
    /// Figures that are all zero.
    ///
    /// # Errors
    /// When two have one name.
    pub(crate) fn new() -> Result<Self, Error> {
        let failed = |e: prometheus::Error| Error::Config(format!("metrics: {e}"));
        let requests = Opts::new(
            "chatlift_edge_requests_total",
            "Requests that were answered, by route, problem and status.",
        );
        let requests = IntCounterVec::new(requests, &["route", "problem", "status"]);
        let gauge = |name, help| IntGauge::new(name, help).map_err(failed);
        let outbox = |name, help| Gauge::new(name, help).map_err(failed);
        let metrics = Self {
            registry: Registry::new(),
            requests: requests.map_err(failed)?,
            connections: gauge("chatlift_edge_connections", "Connections that are open.")?,
            syncs: IntCounter::new(
                "chatlift_edge_syncs_total",
                "Files and folders that were synced, but by SQLite itself.",
            )
            .map_err(failed)?,
            outbox: outbox(
                "chatlift_edge_outbox_events",
                "Events that are still to be acknowledged by an app's webhook endpoint, of all nodes.",
            )?,
            oldest: outbox(
                "chatlift_edge_outbox_oldest_age_seconds",
                "Seconds since the oldest of these events happened; 0 where there is none.",
            )?,
        };
        for collector in [
            Box::new(metrics.requests.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(metrics.connections.clone()),
            Box::new(metrics.syncs.clone()),
            Box::new(metrics.outbox.clone()),
            Box::new(metrics.oldest.clone()),
        ] {
            metrics.registry.register(collector).map_err(failed)?;
        }
        Ok(metrics)
    }

    /// Counts an answered request.
    pub(crate) fn count(&self, route: &str, problem: &str, status: u16) {
        let status = status.to_string();
        self.requests
            .with_label_values(&[route, problem, &status])
            .inc();
    }

    /// The figures as Prometheus reads them. The outbox is read from the database, whoever wrote it; while that fails
    /// its figures are no numbers.
    async fn text(&self, database: &Database) -> String {
        let (events, age) = match outbox(database).await {
            Ok(figures) => figures,
            Err(error) => {
                log::error("metrics", &[("reason", error.to_string())]);
                (f64::NAN, f64::NAN)
            }
        };
        self.outbox.set(events);
        self.oldest.set(age);
        let new = disk::syncs().saturating_sub(self.syncs.get());
        self.syncs.inc_by(new);
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        text.unwrap_or_default()
    }

    /// Answers `/metrics`, for ever.
    pub(crate) async fn serve(self, listener: TcpListener, database: Database) {
        let this = Rc::new((self, database));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let this = Rc::clone(&this);
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let this = Rc::clone(&this);
                async move {
                    let mut answer = http::Response::new(Full::<Bytes>::default());
                    let (metrics, database) = &*this;
                    if request.uri().path() == "/metrics" {
                        *answer.body_mut() = Full::from(metrics.text(database).await);
                    } else {
                        *answer.status_mut() = http::StatusCode::NOT_FOUND;
                    }
                    Ok::<_, Infallible>(answer)
                }
            });
            spawn_local(async move {
                let served = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                if let Err(error) = served {
                    log::error("metrics", &[("reason", error.to_string())]);
                }
            });
        }
    }
}

/// How many events are to come, and how old the oldest is in seconds.
async fn outbox(database: &Database) -> Result<(f64, f64), Error> {
    let (events, oldest) = rows::outbox(database).await?;
    let now = database.now().await?;
    let age = oldest.map_or(0.0, |at| at.until(now).as_secs_f64());
    // Far below 2^53.
    Ok((events as f64, age))
}
