//! How audit records name applications.

use postern_model::config::App;
use postern_model::settings::{EXTERNAL_ALIASES, SEGMENTS};

pub(super) fn target(app: &App) -> String {
    format!("app {} ({})", app.name, app.id)
}

/// One line, without what may be long or secret.
pub(super) fn summary(app: &App) -> String {
    let settings: Vec<String> = app.settings.iter().map(|(name, value)| setting(name, value)).collect();
    let App { external_url, internal_url, group, certificate, .. } = app;
    let preauth = serde_json::to_string(&app.preauth).unwrap_or_default();
    let line = format!(
        "{external_url} -> {internal_url} preauth={preauth} group={group} certificate={certificate} {}",
        settings.join(" ")
    );
    line.trim_end().into()
}

fn setting(name: &str, value: &str) -> String {
    // Where it is published is never left out.
    let most = if [SEGMENTS, EXTERNAL_ALIASES].contains(&name) { PLACES_BYTES_MAX } else { SUMMARY_VALUE_BYTES_MAX };
    let long = value.len() > most || value.contains('\n');
    format!("{name}={}", if long { "…" } else { value })
}

const SUMMARY_VALUE_BYTES_MAX: usize = 64;
/// As long as such a setting may be.
const PLACES_BYTES_MAX: usize = 64 << 10;
