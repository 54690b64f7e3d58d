//! Applications with other names, further segments, and `NAME.SUFFIX`.

use super::*;

fn with(seq: u32, url: &str, settings: &[(&str, &str)]) -> App {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    App { settings, ..app(seq, url) }
}

fn state(apps: Vec<App>) -> Snapshot {
    let mut state = snapshot(&[]);
    state.apps = apps.into_iter().map(|app| (app.id, app)).collect();
    state
}

fn suffixed(mut state: Snapshot, suffix: &str) -> Snapshot {
    state.tenants.get_mut(&TenantId::DEFAULT).unwrap().app_suffix = Some(suffix.into());
    state
}

/// Which application, at which external URL, with which internal one.
fn found(plan: &Plan, host: &str, path: &str) -> Option<(u32, String, String)> {
    let app = plan.host(host)?.route(path)?;
    Some((app.id.seq, app.external.to_string(), app.internal.to_string()))
}

#[test]
fn an_application_is_found_at_each_of_its_places_with_what_is_behind_it() {
    let segments = "https://crm.example.com/api/=https://api.corp:8443/v1/,https://*.crm.example.com/=http://*.corp/";
    let crm = with(
        1,
        "https://crm.example.com/app/",
        &[("external_aliases", "https://crm.example.org:8443"), ("segments", segments)],
    );
    let plan = Plan::build(&state(vec![crm, app(2, "https://crm.example.com/api/other/")])).unwrap();
    for (host, path, expected) in [
        ("crm.example.com", "/app/x", Some((1, "https://crm.example.com/app/", "http://backend/"))),
        ("CRM.example.org", "/app", Some((1, "https://crm.example.org:8443/app/", "http://backend/"))),
        ("crm.example.org", "/", None),
        ("crm.example.com", "/api/x", Some((1, "https://crm.example.com/api/", "https://api.corp:8443/v1/"))),
        ("crm.example.com", "/api/other/x", Some((2, "https://crm.example.com/api/other/", "http://backend/"))),
        ("a.crm.example.com", "/", Some((1, "https://*.crm.example.com/", "http://*.corp/"))),
        ("crm.example.com", "/", None),
    ] {
        let expected = expected.map(|(seq, out, inside)| (seq, out.to_owned(), inside.to_owned()));
        assert_eq!(found(&plan, host, path), expected, "{host}{path}");
    }
    let app = plan.app(AppId::new(TenantId::DEFAULT, 1)).unwrap();
    assert_eq!((app.external.to_string().as_str(), app.places.len()), ("https://crm.example.com/app/", 4));
    let segment = plan.host("crm.example.com").unwrap().route("/api/").unwrap();
    assert_eq!(segment.audience(), "https://crm.example.com/app/", "tokens are for the application");
    assert!(Arc::ptr_eq(&segment.places, &app.places));
}

#[test]
fn places_are_checked_as_the_first_one_is() {
    let refused = |app: App| Plan::build(&state(vec![app])).unwrap_err().to_string();
    let url = "https://a.example.com/";
    for (settings, says) in [
        (&[("external_aliases", "https://A.example.com:8443")][..], "is a place of this very application already"),
        (&[("segments", "https://b.example.com=http://b,https://b.example.com/=http://c")], "already"),
        (&[("segments", "https://b.example.com/=http://*.corp/")], "an internal wildcard needs an external one"),
        (&[("segments", "https://b.example.com/=https://b/"), ("backend_http", "h2c")], "backend_http=h2c"),
        (&[("segments", "https://b.example.com/=http://localhost/"), ("backend_proxy", "corp")], "its own host"),
        (&[("segments", "https://*.b.example.com/=http://*.corp/"), ("backend_proxy", "corp")], "internal wildcard"),
        (&[("backend_farm", "http://127.0.0.1:81"), ("backend_proxy", "corp")], "its own host"),
    ] {
        let error = refused(with(1, url, settings));
        assert!(error.starts_with("app1: ") && error.contains(says), "{error}");
    }
    let oidc = |settings: &[(&str, &str)]| App { preauth: Preauth::Oidc, ..with(1, url, settings) };
    for name in ["external_aliases", "segments"] {
        let value = if name == "segments" { "http://b.example.com/=http://b/" } else { "http://b.example.com/" };
        let error = refused(oidc(&[(name, value)]));
        assert!(error.contains(&format!("{name}=http://b.example.com/: is plain text")), "{error}");
        assert!(Plan::build(&state(vec![with(1, url, &[(name, value)])])).is_ok(), "with passthrough it may be");
    }
    let by_vault = [("sso", "basic"), ("backend_plaintext", "allow")];
    let elsewhere = [&by_vault[..], &[("segments", "https://a.example.com/x/=http://other/")]].concat();
    assert!(refused(oidc(&elsewhere)).contains("passwords of the vault are for"));
    let beside = [&by_vault[..], &[("segments", "https://a.example.com/x/=http://backend/y/")]].concat();
    assert!(Plan::build(&state(vec![oidc(&beside)])).is_ok());
    let mut wild = App { internal_url: "http://*.corp/".into(), ..app(1, "https://*.example.com/") };
    assert!(Plan::build(&state(vec![wild.clone()])).is_ok());
    wild.settings.insert("backend_proxy".into(), "corp".into());
    assert!(refused(wild.clone()).contains("internal wildcard"));
    wild.settings.clear();
    wild.settings.insert("external_aliases".into(), "https://a.example.org/".into());
    assert!(refused(wild.clone()).contains("the internal URL is a wildcard"));
    (wild.settings, wild.external_url) = (BTreeMap::new(), "https://a.example.com/".into());
    assert!(refused(wild.clone()).contains("needs an external one"));
    wild = App { preauth: Preauth::Oidc, external_url: "https://*.example.com/".into(), ..wild };
    for (settings, says) in [
        (&by_vault[..], "passwords of the vault are for one backend"),
        (&[("sso", "kerberos"), ("sso_spn", "HTTP/a.corp@CORP")], "tickets and assertions are for one backend"),
        (&[("sso_assertion", "jwt")], "tickets and assertions are for one backend"),
    ] {
        wild.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert!(refused(wild.clone()).contains(says), "{settings:?}");
        let one = App { internal_url: "http://corp/".into(), ..wild.clone() };
        assert!(Plan::build(&state(vec![one])).is_ok(), "below one backend: {settings:?}");
        let below = [settings, &[("segments", "https://*.b.example.com/=http://*.corp/")]].concat();
        assert!(Plan::build(&state(vec![oidc(&below)])).is_err(), "as a segment: {settings:?}");
    }
}

#[test]
fn conflicts_of_further_places_name_the_other_application() {
    let wiki = || app(1, "https://wiki.example.com/");
    for (name, value) in [
        ("external_aliases", "https://b.example.com,https://Wiki.example.com:8443"),
        ("segments", "https://wiki.example.com/=http://b/"),
    ] {
        let error = Plan::build(&state(vec![wiki(), with(2, "https://crm.example.com/", &[(name, value)])]));
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("https://wiki.example.com/ is already published as app1"), "{error}");
    }
    let above = with(2, "https://crm.example.com/", &[("segments", "https://*.example.com/=http://b/")]);
    let plan = Plan::build(&state(vec![wiki(), above])).unwrap();
    assert_eq!(routed(&plan, "wiki.example.com", "/"), Some(1), "an exact host and a wildcard are no conflict");
    assert_eq!(routed(&plan, "other.example.com", "/"), Some(2));
}

#[test]
fn each_application_has_its_name_below_the_suffix() {
    let state = suffixed(
        state(vec![
            app(1, "https://crm.example.com:8443/a/"),
            app(2, "https://app3.apps.example.net/"),
            app(3, "https://wiki.example.com/"),
            App { internal_url: "http://*.corp/".into(), ..app(4, "https://*.example.com/") },
        ]),
        "apps.example.net",
    );
    let plan = Plan::build(&state).unwrap();
    let place = (1, "https://app1.apps.example.net:8443/a/".to_owned(), "http://backend/".to_owned());
    assert_eq!(found(&plan, "app1.apps.example.net", "/a/x"), Some(place));
    assert_eq!(routed(&plan, "app1.apps.example.net", "/"), None);
    assert_eq!(routed(&plan, "app3.apps.example.net", "/"), Some(2), "who is published there has it");
    assert_eq!(routed(&plan, "app4.apps.example.net", "/"), None, "no host of the wildcard is meant");
    assert_eq!(routed(&plan, "crm.apps.example.net", "/a/"), None);

    let wildcard = suffixed(
        super::places::state(vec![app(1, "https://*.apps.example.net/"), app(2, "https://b.example.com/")]),
        "apps.example.net",
    );
    assert_eq!(routed(&Plan::build(&wildcard).unwrap(), "app2.apps.example.net", "/"), Some(1));
    let unfit = suffixed(super::places::state(vec![app(1, "https://b.example.com/")]), "a b");
    assert!(Plan::build(&unfit).is_ok(), "what is no host is nobody's");
}

#[test]
fn where_people_sign_in_has_one_name() {
    let mut state = suffixed(
        state(vec![app(1, "https://login.example.com/"), app(2, "https://b.example.com/")]),
        "apps.example.net",
    );
    let id = AppId::new(TenantId::DEFAULT, 1);
    state.identity = Some(IdentityApp { app: id, group: GroupId::DEFAULT, device_host: None });
    let plan = Plan::build(&state).unwrap();
    assert_eq!(routed(&plan, "app1.apps.example.net", "/"), None);
    assert_eq!(routed(&plan, "app2.apps.example.net", "/"), Some(2));
    state.identity = Some(IdentityApp {
        app: id,
        group: GroupId::DEFAULT,
        device_host: Some("app2.apps.example.net".parse().unwrap()),
    });
    let plan = Plan::build(&state).unwrap();
    assert_eq!(routed(&plan, "app2.apps.example.net", "/"), None, "devices are shown there");
}

#[test]
fn a_name_shows_the_applications_certificate_if_that_is_good_for_it() {
    let crm =
        with(1, "https://crm.example.com/", &[("external_aliases", "https://a.example.org,https://b.example.com")]);
    let mut state = state(vec![crm]);
    let own = certificate(1, &["*.example.com"]);
    let others = certificate(2, &["*.example.com", "a.example.org", "b.example.com"]);
    state.certificates = [own, others].into_iter().map(|certificate| (certificate.id, certificate)).collect();
    let plan = Plan::build(&state).unwrap();
    let shown = |name: &str| plan.certificate(name).map(|certificate| certificate.id.seq);
    assert_eq!(shown("crm.example.com"), Some(1));
    assert_eq!(shown("b.example.com"), Some(1));
    assert_eq!(shown("a.example.org"), Some(2));
}

#[test]
fn other_places_are_other_doors() {
    let at =
        |settings: &[(&str, &str)]| Plan::build(&state(vec![with(1, "https://a.example.com/", settings)])).unwrap();
    let (plain, aliased) = (at(&[]), at(&[("external_aliases", "https://b.example.com")]));
    assert!(plain.permits_as(&at(&[])) && !plain.permits_as(&aliased));
    let (one, other) = (
        at(&[("segments", "https://c.example.com/=http://b/")]),
        at(&[("segments", "https://c.example.com/=http://c/")]),
    );
    assert!(one.permits_as(&other), "what is behind it lets nobody else in");
    assert!(!one.permits_as(&plain));
}

#[test]
fn a_host_with_a_plain_segment_is_not_told_to_be_without() {
    let plan = Plan::build(&state(vec![
        app(1, "https://a.example.com/"),
        with(2, "https://b.example.com/", &[("segments", "http://a.example.com/open/=http://b/")]),
    ]));
    let plan = plan.unwrap();
    let said =
        |host: &str, path: &str| plan.host(host).unwrap().route(path).unwrap().settings.answers.hsts.value().is_some();
    assert!(!said("a.example.com", "/") && said("b.example.com", "/"));
}
