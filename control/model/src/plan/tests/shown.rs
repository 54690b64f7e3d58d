//! Certificates of several tenants, and several of one tenant, for one host.

use super::*;

const OTHER: TenantId = TenantId(2);

fn of(tenant: TenantId, seq: u32, hosts: &[&str]) -> Certificate {
    Certificate { id: CertificateId::new(tenant, seq), ..certificate(seq, hosts) }
}

fn state(apps: Vec<App>, certificates: Vec<Certificate>) -> Snapshot {
    let mut state = snapshot(&[]);
    state.tenants.insert(OTHER, Tenant { id: OTHER, name: "other".parse().unwrap(), app_suffix: None });
    state.apps = apps.into_iter().map(|app| (app.id, app)).collect();
    let certificates = certificates.into_iter().map(|certificate| (certificate.id, certificate));
    state.certificates.extend(certificates);
    state
}

fn aliased(seq: u32, url: &str, alias: &str) -> App {
    App { settings: BTreeMap::from([("external_aliases".to_owned(), alias.to_owned())]), ..app(seq, url) }
}

fn shown(state: &Snapshot, host: &str) -> Option<(u32, u32)> {
    Plan::build(state).unwrap().certificate(host).map(|certificate| (certificate.id.tenant.0, certificate.id.seq))
}

#[test]
fn a_host_shows_no_other_tenants_certificate() {
    let all = [
        "a.example.com",
        "alias.example.org",
        "app1.apps.example.net",
        "*.apps.example.net",
        "device.example.com",
        "x.wild.example.com",
        "*.wild.example.com",
        "*.deep.wild.example.com",
        "*.example.org",
        "free.example.com",
    ];
    let apps = vec![
        aliased(1, "https://a.example.com/", "https://alias.example.org,https://bare.example.org"),
        app(2, "https://*.wild.example.com/"),
    ];
    let tenant = TenantId::DEFAULT;
    let certificates = vec![
        of(tenant, 2, &["*.example.org"]),
        of(tenant, 3, &["*.apps.example.net"]),
        of(tenant, 4, &["device.example.com"]),
        of(OTHER, 1, &all),
    ];
    let mut state = state(apps, certificates);
    state.tenants.get_mut(&tenant).unwrap().app_suffix = Some("apps.example.net".into());
    let device_host = Some("device.example.com".parse().unwrap());
    state.identity = Some(IdentityApp { app: AppId::new(tenant, 1), group: GroupId::DEFAULT, device_host });
    for (host, expected) in [
        ("a.example.com", Some((1, 1))),
        ("alias.example.org", Some((1, 2))),
        ("bare.example.org", Some((1, 2))),
        ("app1.apps.example.net", Some((1, 3))),
        ("app2.apps.example.net", Some((1, 3))),
        ("device.example.com", Some((1, 4))),
        ("x.wild.example.com", Some((1, 1))),
        ("y.deep.wild.example.com", None),
        ("free.example.com", Some((2, 1))),
    ] {
        assert_eq!(shown(&state, host), expected, "{host}");
    }
    // Their own hosts they have, also below another's name.
    let theirs = App {
        id: AppId::new(OTHER, 1),
        group: GroupId::new(OTHER, 1),
        certificate: CertificateId::new(OTHER, 1),
        ..aliased(9, "https://free.example.com/", "https://theirs.example.org")
    };
    state
        .groups
        .insert(theirs.group, Group { id: theirs.group, name: "default".parse().unwrap(), directory_sync: false });
    state.apps.insert(theirs.id, theirs);
    assert_eq!(shown(&state, "theirs.example.org"), Some((2, 1)));
    assert_eq!(shown(&state, "alias.example.org"), Some((1, 2)));
}

#[test]
fn of_several_of_one_tenant_the_best_is_shown() {
    let host = "b.example.com";
    let with = |seq: u32, origin: CertificateOrigin, not_after_unix: u64, revoked_unix: Option<u64>| Certificate {
        origin,
        not_after_unix,
        revoked_unix,
        ..certificate(seq, &[host])
    };
    let (given, issued) = (CertificateOrigin::Given, CertificateOrigin::Issued);
    let certificates = vec![
        with(2, given, 10, None),
        with(3, given, 5, None),
        with(4, issued, 100, None),
        with(5, given, 50, Some(1)),
    ];
    for apps in [vec![], vec![aliased(1, "https://a.example.com/", "https://b.example.com")]] {
        let mut state = state(apps, certificates.clone());
        for expected in [2, 3, 4, 5] {
            assert_eq!(shown(&state, host), Some((1, expected)));
            state.certificates.get_mut(&CertificateId::new(TenantId::DEFAULT, expected)).unwrap().revoked_unix =
                Some(1);
        }
    }
    // A wildcard that is given is better than what was issued for the very host.
    let apps = vec![aliased(1, "https://a.example.com/", "https://b.example.com")];
    let wildcard = Certificate { hosts: vec!["*.example.com".into()], ..with(6, given, 20, None) };
    let state = state(apps, vec![with(4, issued, 100, None), wildcard]);
    assert_eq!(shown(&state, host), Some((1, 6)));
}
