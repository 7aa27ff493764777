//! Counters in Workers Analytics Engine, one point for each request: index and first blob are the
//! route, the second blob is the problem's code or empty, the double is the status. No token, id,
//! key or name is in them. The binding may be absent.

use worker::{AnalyticsEngineDataPointBuilder, Env};

use super::log;

/// Counts a request.
pub(super) fn count(env: &Env, route: &'static str, problem: &'static str, status: u16) {
    let Ok(dataset) = env.analytics_engine("METRICS") else {
        return;
    };
    let written = AnalyticsEngineDataPointBuilder::new()
        .indexes([route])
        .add_blob(route)
        .add_blob(problem)
        .add_double(f64::from(status))
        .write_to(&dataset);
    if let Err(error) = written {
        log::error("metrics", &[("reason", log::text(&error))]);
    }
}
