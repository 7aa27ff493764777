//! The built files, by their binding.

use worker::Env;

use super::setup::broken;
use crate::ports::Failure;

/// A built file's text.
pub(super) async fn asset(env: &Env, name: &str) -> Result<String, Failure> {
    let assets = env.assets("ASSETS").map_err(broken("binding ASSETS"))?;
    // The host is never resolved: the request goes to the assets by their binding.
    let mut response = assets
        .fetch(format!("https://assets/{name}"), None)
        .await
        .map_err(broken("page asset"))?;
    if response.status_code() != 200 {
        return Err(Failure::Broken(format!(
            "page asset: {}",
            response.status_code()
        )));
    }
    response.text().await.map_err(broken("page asset"))
}
