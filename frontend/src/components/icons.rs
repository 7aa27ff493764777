//! Icons, as SVG source: one string each is fewer bytes than views of their shapes.

pub(super) const PLUS: &str = r#"<svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round"><path d="M10 3.5v13M3.5 10h13"/></svg>"#;
pub(super) const CROSS: &str = r#"<svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"><path d="m4.5 4.5 9 9m0-9-9 9"/></svg>"#;
pub(super) const TICK: &str = r#"<svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"><path d="m4.5 10.5 3.7 3.7 7.3-8"/></svg>"#;
pub(super) const BIG_TICK: &str = r#"<svg width="36" height="36" viewBox="0 0 36 36" fill="none" stroke="currentColor" stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round"><path d="m8.5 18.7 6.4 6.6L27.5 11.5"/></svg>"#;
pub(super) const CLOCK: &str = r#"<svg width="34" height="34" viewBox="0 0 34 34" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round"><circle cx="17" cy="17" r="12"/><path d="M17 10v7.5l4.8 3"/></svg>"#;
pub(super) const LINK: &str = r#"<svg width="34" height="34" viewBox="0 0 34 34" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round"><path d="m14 20 6-6m-8.4 1.6-3.3 3.3a5 5 0 0 0 7 7l3.2-3.3m3-11.2 3.3-3.3a5 5 0 0 1 7 7l-3.4 3.3" transform="translate(-1.4 -.4)"/></svg>"#;
pub(super) const ALERT: &str = r#"<svg width="34" height="34" viewBox="0 0 34 34" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round"><path d="M17 8.5v10.8M17 25.4v.1"/></svg>"#;
pub(super) const PAUSE: &str = r#"<svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round"><path d="M6.5 4.5v9m5-9v9"/></svg>"#;
pub(super) const RESUME: &str = r#"<svg width="18" height="18" viewBox="0 0 18 18" fill="currentColor"><path d="M6 4v10l8-5z"/></svg>"#;
pub(super) const UP: &str = r#"<svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"><path d="M9 14V4m-4 4 4-4 4 4"/></svg>"#;
pub(super) const DOWN: &str = r#"<svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"><path d="M9 4v10m-4-4 4 4 4-4"/></svg>"#;
pub(super) const TURN: &str = r#"<svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"><path d="M13.5 6A5.5 5.5 0 1 0 14.5 9m-1-6v3.2h-3.2"/></svg>"#;
