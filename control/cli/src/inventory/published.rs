//! What is published already, as rows of an inventory.

use std::collections::BTreeSet;

use postern_model::admin::{AppView, AssignmentView, CertificateView};
use postern_model::app_url::InternalUrl;
use postern_model::config::{CertificateOrigin, Preauth};
use postern_model::identity::INTERNAL_URL;

use super::CELL_CHARS_MAX;
use super::authentication::Authentication;
use super::columns::Column;
use super::sheet::Row;
use crate::time_text::utc;

/// A row for each application, with who is assigned to it. Who is for a time alone stands in the notes: planned anew, they would be
/// for good. The place to sign in is Postern's own, and published by `identity publish`.
pub(crate) fn published(apps: &[AppView], assignments: &[AssignmentView]) -> Vec<Row> {
    let row = |app: &AppView| {
        let own = assignments.iter().filter(|assignment| assignment.app == app.name && !assignment.expired);
        let (mut lasting, mut ending) = (Vec::new(), Vec::new());
        let mut roles = Vec::new();
        for AssignmentView { principal, role, expires_unix, .. } in own {
            roles.extend(role.as_ref().map(|role| format!("{principal} as {role}")));
            match expires_unix {
                None => lasting.push(principal.as_str()),
                Some(end) => ending.push(format!("{principal} until {}", utc(*end))),
            }
        }
        let mut row = row(app);
        row.set(Column::UsersAndGroups, &lasting.join(" "));
        for (what, noted) in [("assigned for a time", ending), ("roles", roles), ("no column for", no_column(app))] {
            if !noted.is_empty() {
                let notes = format!("{}; {what}: {}", row.get(Column::Notes), noted.join(", "));
                row.set(Column::Notes, &notes);
            }
        }
        row
    };
    apps.iter().filter(|app| app.internal_url != INTERNAL_URL).map(row).collect()
}

fn row(app: &AppView) -> Row {
    let mut row = Row::new(app.name.as_str());
    let setting = |name: &str| app.settings.get(name).map(String::as_str).unwrap_or_default();
    row.set(Column::Name, app.name.as_str());
    row.set(Column::InternalUrl, &app.internal_url);
    row.set(Column::ExternalUrl, &app.external_url);
    row.set(Column::ConnectorGroup, app.group.as_str());
    row.set(Column::Authentication, authentication(setting("sso"), setting("sso_headers")));
    row.set(Column::ServiceAccount, setting("sso_spn"));
    row.set(Column::SamlIdentifiers, &format!("{} {}", setting("sso_saml_entity_id"), setting("sso_saml_acs")));
    row.set(Column::HeaderRequirement, setting("sso_headers"));
    row.set(Column::Farm, &servers(&app.internal_url, setting("backend_farm")));
    if !row.get(Column::Farm).is_empty() {
        let balance = setting("balance");
        row.set(Column::Balancing, if balance.is_empty() { "round-robin" } else { balance });
    }
    let names = urls(setting("external_aliases")).chain(urls(setting("internal_aliases")));
    row.set(Column::AlternateMappings, &names.collect::<Vec<_>>().join(" "));
    row.set(Column::OtherContentSources, &segments(setting("segments")));
    row.set(Column::Certificate, &certificate(&app.certificate));
    row.set(Column::CertificateLocation, location(app.certificate.origin));
    row.set(Column::Notes, notes(app.preauth));
    row
}

fn urls(setting: &str) -> impl Iterator<Item = &str> {
    setting.split(',').map(str::trim).filter(|url| !url.is_empty())
}

/// The internal URL's server and the others; none where it is the only one.
fn servers(internal: &str, farm: &str) -> String {
    if farm.is_empty() {
        return String::new();
    }
    let all = std::iter::once(internal).chain(urls(farm)).filter_map(|url| InternalUrl::parse(url).ok());
    let server = |url: InternalUrl| match url.host.contains(':') {
        true => format!("[{}]:{}", url.host, url.port),
        false => format!("{}:{}", url.host, url.port),
    };
    all.map(server).collect::<Vec<_>>().join(" ")
}

/// Where else content comes from: the backends of further segments. Wildcards are no URLs that a page could need.
fn segments(setting: &str) -> String {
    let backends = urls(setting).filter_map(|segment| segment.split_once('=').map(|(_, internal)| internal.trim()));
    let backends: BTreeSet<&str> = backends.filter(|internal| !internal.contains('*')).collect();
    let text = backends.into_iter().collect::<Vec<_>>().join(" ");
    if text.chars().count() > CELL_CHARS_MAX { String::new() } else { text } // the notes name the setting
}

/// Settings that planned anew would not be there. `external_aliases` and `segments` have a column that says less than they do.
fn no_column(app: &AppView) -> Vec<String> {
    app.settings.keys().filter(|name| !IN_COLUMNS.contains(&name.as_str())).cloned().collect()
}

/// What the application was asked for when its single sign-on was set.
fn authentication(sso: &str, headers: &str) -> &'static str {
    let way = match sso {
        "kerberos" => Authentication::Windows,
        "saml" => Authentication::Claims,
        "form" => Authentication::Forms,
        "basic" => Authentication::Basic,
        _ if !headers.is_empty() && headers != "none" => Authentication::Header,
        _ => return "", // it is told who its users are, or nothing; whether it asks is not known
    };
    way.word()
}

fn certificate(certificate: &CertificateView) -> String {
    format!("{}, until {}", certificate.hosts.join(" "), utc(certificate.not_after_unix))
}

fn location(origin: CertificateOrigin) -> &'static str {
    match origin {
        CertificateOrigin::Issued => "issued by Postern",
        CertificateOrigin::Given => "Postern, given",
    }
}

fn notes(preauth: Preauth) -> &'static str {
    match preauth {
        Preauth::Passthrough => "published, passthrough",
        Preauth::Oidc => "published, oidc",
    }
}

/// Settings that columns say whole.
const IN_COLUMNS: [&str; 8] = [
    "backend_farm",
    "balance",
    "internal_aliases",
    "sso",
    "sso_headers",
    "sso_saml_acs",
    "sso_saml_entity_id",
    "sso_spn",
];

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_published_is_a_right_inventory() {
        let app: AppView = serde_json::from_value(json!({
            "id": "a1-1", "name": "wiki", "external_url": "https://wiki.example.com/", "internal_url": "http://10.0.0.5/",
            "preauth": "oidc", "group": "hq", "connectors_online": 2,
            "settings": {"sso": "kerberos", "sso_spn": "HTTP/wiki.corp@CORP.EXAMPLE.COM"},
            "certificate": {
                "id": "k1-1", "hosts": ["wiki.example.com"], "origin": "issued", "not_after_unix": 1_777_636_800,
                "sha256": "00", "apps": ["wiki"],
            },
        }))
        .unwrap();
        let assigned = |principal: &str, until: Option<u64>, expired: bool| -> AssignmentView {
            serde_json::from_value(json!({
                "app": "wiki", "principal": principal, "role": null, "expires_unix": until, "expired": expired,
                "created_unix_ms": 1,
            }))
            .unwrap()
        };
        let assignments = [
            assigned("user/anna@example.com", None, false),
            assigned("group/old", Some(1), true),
            assigned("user/guest", Some(1_777_636_800), false),
            assigned("everyone", None, false),
        ];
        let mut place_to_sign_in = app.clone();
        place_to_sign_in.internal_url = INTERNAL_URL.into();
        let rows = published(&[place_to_sign_in, app], &assignments);
        assert_eq!(rows.len(), 1, "it is published by its own command");
        assert!(check(&rows).is_empty());
        let of = |column| rows[0].get(column);
        assert_eq!(of(Column::Authentication), "windows");
        assert_eq!(of(Column::ServiceAccount), "HTTP/wiki.corp@CORP.EXAMPLE.COM");
        assert_eq!(of(Column::UsersAndGroups), "user/anna@example.com everyone");
        let notes = "published, oidc; assigned for a time: user/guest until 2026-05-01T12:00:00Z";
        assert_eq!(of(Column::Notes), notes);
        assert_eq!(of(Column::Certificate), "wiki.example.com, until 2026-05-01T12:00:00Z");
        assert_eq!(of(Column::SamlIdentifiers), "");
    }

    #[test]
    fn further_names_servers_and_segments_have_their_columns_and_the_rest_is_noted() {
        let app: AppView = serde_json::from_value(json!({
            "id": "a1-1", "name": "wiki", "external_url": "https://wiki.example.com/", "internal_url": "https://10.0.0.5/",
            "preauth": "passthrough", "group": "hq", "connectors_online": 2,
            "settings": {
                "backend_farm": "https://web2.corp:8443, https://[fd00::5]/", "balance": "sticky",
                "external_aliases": "https://wiki.example.org", "internal_aliases": "http://wiki",
                "segments": "https://wiki.example.com/api/=http://api.corp/,https://*.wiki.example.com/=http://*.corp/",
                "backend_timeout_ms": "1000",
            },
            "certificate": {
                "id": "k1-1", "hosts": ["wiki.example.com"], "origin": "issued", "not_after_unix": 1_777_636_800,
                "sha256": "00", "apps": ["wiki"],
            },
        }))
        .unwrap();
        let assigned: AssignmentView = serde_json::from_value(json!({
            "app": "wiki", "principal": "user/anna", "role": "editor", "expires_unix": null, "expired": false,
            "created_unix_ms": 1,
        }))
        .unwrap();
        let rows = published(&[app], &[assigned]);
        assert!(check(&rows).is_empty());
        for (column, says) in [
            (Column::Farm, "10.0.0.5:443 web2.corp:8443 [fd00::5]:443"),
            (Column::Balancing, "sticky"),
            (Column::AlternateMappings, "https://wiki.example.org http://wiki"),
            (Column::OtherContentSources, "http://api.corp/"),
            (
                Column::Notes,
                "published, passthrough; roles: user/anna as editor; no column for: backend_timeout_ms, external_aliases, segments",
            ),
        ] {
            assert_eq!(rows[0].get(column), says);
        }
    }

    #[test]
    fn single_sign_on_tells_what_was_asked_for() {
        for (sso, headers, says) in [
            ("saml", "", "claims"),
            ("form", "", "forms"),
            ("basic", "X-User=login", "basic"),
            ("", "X-User=login", "header"),
            ("", "none", ""),
            ("none", "", ""),
        ] {
            assert_eq!(authentication(sso, headers), says);
        }
    }
}
