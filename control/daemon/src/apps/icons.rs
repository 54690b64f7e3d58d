//! Icons are part of what every relay gets: all of them together have a bound.

use postern_model::Snapshot;
use postern_model::admin::Problem;
use postern_model::config::App;
use postern_model::settings::icon_bytes;

use crate::limits::ICONS_BYTES_MAX;
use crate::problem::problem;

pub(super) fn check(snapshot: &Snapshot, app: &App) -> Result<(), Problem> {
    let others = snapshot.apps.values().filter(|other| other.id != app.id).map(|other| icon_bytes(&other.settings));
    let own = icon_bytes(&app.settings);
    if own > 0 && own + others.sum::<usize>() > ICONS_BYTES_MAX {
        let most = ICONS_BYTES_MAX >> 20;
        let detail = format!("the images of all applications would have more than {most} MiB: make this one smaller");
        let has_icon = app.settings.contains_key("portal_icon");
        let about = if has_icon { "settings.portal_icon" } else { "settings.error_logo" };
        return Err(problem("limit-reached", detail).about(about));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::backend;
    use super::*;
    use postern_model::config::Preauth;
    use postern_model::ids::{AppId, CertificateId, GroupId, TenantId};

    #[test]
    fn connectors_are_told_nothing_of_the_portal_of_requests_and_of_what_relays_answer() {
        let names = [
            "portal_name",
            "portal_icon",
            "request",
            "request_group",
            "backend_timeout_ms",
            "sso_headers",
            "vault_by",
            "error_logo",
            "cors",
        ];
        let app = App {
            id: AppId::new(TenantId::DEFAULT, 1),
            name: "wiki".parse().unwrap(),
            group: GroupId::DEFAULT,
            external_url: "https://wiki.example.com/".into(),
            internal_url: "http://10.0.0.5/".into(),
            preauth: Preauth::Oidc,
            certificate: CertificateId::new(TenantId::DEFAULT, 1),
            settings: names.into_iter().map(|name| (name.to_owned(), "1".to_owned())).collect(),
        };
        assert_eq!(
            backend(&postern_model::Snapshot::default(), &app).settings.into_keys().collect::<Vec<_>>(),
            ["backend_timeout_ms"]
        );
    }
}
