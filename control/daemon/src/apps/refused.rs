//! Why an application is not taken, as operators are told.

use postern_model::admin::Problem;
use postern_model::app_url::{ExternalUrl, UrlInvalid};
use postern_model::config::App;
use postern_model::plan::ConfigInvalid;

use crate::problem::problem;

pub(super) fn refused(app: &App, error: &ConfigInvalid) -> Problem {
    let code = match error {
        ConfigInvalid::Url { error: UrlInvalid::NotYetAvailable { .. }, .. } => "not-yet-available",
        ConfigInvalid::Url { error: UrlInvalid::Malformed { .. }, .. } | ConfigInvalid::PlainText { .. } => {
            "app-url-invalid"
        }
        ConfigInvalid::Setting { .. } => "setting-invalid",
        ConfigInvalid::Conflict { .. } => "app-url-conflict",
        ConfigInvalid::Certificate { .. } => "certificate-invalid",
        ConfigInvalid::Missing { .. } | ConfigInvalid::Snapshot(_) => "still-used",
    };
    let problem = problem(code, error.to_string());
    match error {
        ConfigInvalid::Url { .. } if ExternalUrl::parse(&app.external_url).is_err() => problem.about("external"),
        ConfigInvalid::Url { .. } => problem.about("internal"),
        ConfigInvalid::PlainText { .. } => problem.about("external"),
        ConfigInvalid::Setting { error, .. } => problem.about(format!("settings.{}", error.name())),
        ConfigInvalid::Conflict { .. }
        | ConfigInvalid::Certificate { .. }
        | ConfigInvalid::Missing { .. }
        | ConfigInvalid::Snapshot(_) => problem,
    }
}
