//! The whole way: the edge, the real backend with the first-app demo, and a person at each end.

use std::path::Path;
use std::time::Duration;

use crate::backend::Backend;
use crate::browser::{Browser, mark, row};
use crate::edge::{Edge, Setup};
use crate::scratch::wait_for;

/// How long a step may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// Edge and real backend, each with the other's address.
#[must_use]
pub fn edge_and_backend(name: &str) -> (Edge, Backend) {
    let setup = Setup::new(name);
    let mut backend = Backend::new(&setup.origin(), &setup.app);
    let edge = setup.start(&backend.webhook_url());
    backend.start();
    (edge, backend)
}

/// As [`edge_and_backend`], with the first app's page, whose person has asked for files of a scene, and the link.
#[must_use]
pub fn asked(name: &str, scene: &str) -> (Edge, Backend, Browser, String) {
    let (edge, backend) = edge_and_backend(name);
    let first_app = Browser::english();
    first_app.open(&backend.page());
    let link = ask(&first_app, &edge, scene);
    (edge, backend, first_app, link)
}

/// Picks, confirms and waits for the success message.
pub fn upload(page: &Browser, paths: &[&Path]) {
    page.pick(paths);
    page.sees(&row("ready"), paths.len() as u64);
    page.click(&mark("confirm"));
    page.sees_within(&mark("success"), 1, WITHIN);
    page.sees(&mark("file-receipt"), paths.len() as u64);
}

/// The link that the first app shows after a tap on "add".
fn ask(first_app: &Browser, edge: &Edge, scene: &str) -> String {
    first_app.click(&mark("add-document"));
    first_app.click(&mark(&format!("scene-{scene}")));
    wait_for("the link", WITHIN, || {
        Some(first_app.text(&mark("link-url"))).filter(|link| link.starts_with(&edge.origin()))
    })
}
