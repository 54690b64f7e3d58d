//! Plain URLs of applications that begin to ask who their users are.

use postern_model::app_url::ExternalUrl;
use postern_model::config::{App, Preauth};

/// What knows users are cookies that travel by TLS only: such an application is at `https://` from the same step on, and relays
/// send whoever opens the plain URL there. Where its port says nothing of which one speaks TLS, the URL stays, and is refused.
pub(super) fn secure(app: &mut App) -> Option<String> {
    let plain = ExternalUrl::parse(&app.external_url).ok().filter(|url| app.preauth == Preauth::Oidc && !url.tls)?;
    let secured = plain.secured()?;
    app.external_url = secured.to_string();
    Some(format!("{}: {plain} is {secured} from now on; relays with --listen-http send users on to it", app.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::ids::{AppId, CertificateId, GroupId, TenantId};
    use std::collections::BTreeMap;

    #[test]
    fn only_who_asks_and_has_no_tls_moves() {
        for (url, preauth, moved) in [
            ("http://crm.example.com/a/", Preauth::Oidc, Some("https://crm.example.com/a/")),
            ("http://crm.example.com/", Preauth::Passthrough, None),
            ("https://crm.example.com/", Preauth::Oidc, None),
            ("http://crm.example.com:8080/", Preauth::Oidc, None),
        ] {
            let mut app = App {
                id: AppId::new(TenantId::DEFAULT, 1),
                name: "crm".parse().unwrap(),
                group: GroupId::DEFAULT,
                external_url: url.into(),
                internal_url: "http://10.0.0.5/".into(),
                preauth,
                certificate: CertificateId::new(TenantId::DEFAULT, 1),
                settings: BTreeMap::new(),
            };
            let said = secure(&mut app);
            assert_eq!(app.external_url, moved.unwrap_or(url));
            assert_eq!(said.is_some(), moved.is_some(), "{url}: {said:?}");
        }
    }
}
