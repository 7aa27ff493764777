//! `/metrics` for Prometheus and `/readyz` for whoever sends requests here.
//!
//! How much waits is read from the store at each scrape, so it is right after a restart and with
//! several processes. How long stages take is counted in this process.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use prometheus::{HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::App;
use crate::error::Error;

/// Upper bounds of the buckets of a stage's time, in seconds: a small image to a long video.
const BUCKETS: [f64; 9] = [0.01, 0.05, 0.2, 1.0, 5.0, 15.0, 60.0, 300.0, 600.0];

/// What this process counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    stages: HistogramVec,
    jobs: IntGaugeVec,
    waiting: IntGaugeVec,
}

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// None in practice: a name that is not valid or taken twice.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let stages = HistogramVec::new(
            HistogramOpts::new(
                "chatlift_stage_seconds",
                "Time that a stage of a job took, by how it ended",
            )
            .buckets(BUCKETS.to_vec()),
            &["stage", "outcome"],
        )?;
        let jobs = IntGaugeVec::new(Opts::new("chatlift_jobs", "Jobs by stage"), &["stage"])?;
        let waiting = IntGaugeVec::new(
            Opts::new(
                "chatlift_waiting",
                "Receipts and notices that are not sent yet",
            ),
            &["kind"],
        )?;
        registry.register(Box::new(stages.clone()))?;
        registry.register(Box::new(jobs.clone()))?;
        registry.register(Box::new(waiting.clone()))?;
        Ok(Self {
            registry,
            stages,
            jobs,
            waiting,
        })
    }

    /// A stage has ended.
    pub(crate) fn stage(&self, stage: &str, outcome: &str, seconds: f64) {
        self.stages
            .with_label_values(&[stage, outcome])
            .observe(seconds);
    }
}

/// `GET /metrics`.
pub(crate) async fn scrape(State(app): State<App>) -> Result<impl IntoResponse, Error> {
    let metrics = app.pipeline.metrics();
    for (stage, count) in app.store.jobs_by_stage().await? {
        metrics.jobs.with_label_values(&[stage]).set(count);
    }
    for (kind, count) in app.store.unsent().await? {
        metrics.waiting.with_label_values(&[kind]).set(count);
    }
    let text = TextEncoder::new()
        .encode_to_string(&metrics.registry.gather())
        .map_err(|e| Error::Disk {
            doing: "writing metrics",
            source: std::io::Error::other(e),
        })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}

/// `GET /readyz`: whether requests and events should be sent here: the process is not stopping,
/// its database and the store of its results answer, and its folder can be written.
pub(crate) async fn ready(State(app): State<App>) -> Result<(StatusCode, &'static str), Error> {
    if app.stop.is_cancelled() {
        return Ok((StatusCode::SERVICE_UNAVAILABLE, "stopping\n"));
    }
    app.store.ping().await?;
    app.folders.writable().await.map_err(|source| Error::Disk {
        doing: "writing to the data folder",
        source,
    })?;
    app.objects.ping().await.map_err(|source| Error::Disk {
        doing: "asking where results are kept",
        source,
    })?;
    Ok((StatusCode::OK, "ready\n"))
}
