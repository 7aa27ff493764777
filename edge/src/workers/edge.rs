//! The service on Workers, with its ports.

use worker::Env;

use super::links::Stubs;
use super::r2::R2;
use super::world::Workers;
use crate::faults::R2_SILENT;
use crate::ports::Failure;
use crate::service::Service;

/// The service as it runs in the Worker.
pub(super) type EdgeService = Service<Stubs, R2, Workers>;

/// The service, with the fault that a test asked for.
pub(super) fn service(
    env: &Env,
    version: u32,
    fault: Option<String>,
) -> Result<EdgeService, Failure> {
    let bucket = R2::new(env)?;
    Ok(Service {
        links: Stubs::new(env, version)?,
        bucket: match fault.as_deref() {
            Some(R2_SILENT) => bucket.silent(),
            _ => bucket,
        },
        world: Workers::new(fault),
    })
}
