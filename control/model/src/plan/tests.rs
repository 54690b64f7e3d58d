//! Routing against a naive model, and what a plan refuses.

mod places;
mod shown;

use proptest::prelude::*;

use super::*;
use crate::assertion::AssertionKey;
use crate::config::{Certificate, CertificateOrigin, Group, Tenant};
use crate::device::{AuthorityCertificate, DeviceAuthority};
use crate::identity::IdentityApp;
use crate::secret::SecretText;
use crate::session::CookieKey;

const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";

fn snapshot(external_urls: &[String]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let name = |text: &str| text.parse::<Name>().unwrap();
    let tenant = TenantId::DEFAULT;
    snapshot.tenants.insert(tenant, Tenant { id: tenant, name: name("default"), app_suffix: None });
    let group = Group { id: GroupId::DEFAULT, name: name("default"), directory_sync: false };
    snapshot.groups.insert(group.id, group);
    snapshot.certificates.insert(certificate(1, &[]).id, certificate(1, &[]));
    for (seq, url) in (1u32..).zip(external_urls) {
        let app = app(seq, url);
        snapshot.apps.insert(app.id, app);
    }
    snapshot
}

fn certificate(seq: u32, hosts: &[&str]) -> Certificate {
    Certificate {
        id: CertificateId::new(TenantId::DEFAULT, seq),
        hosts: hosts.iter().map(ToString::to_string).collect(),
        chain_pem: PEM.into(),
        key_pem: SecretText::new(KEY.into()),
        not_after_unix: 0,
        origin: CertificateOrigin::Given,
        staple: None,
        revoked_unix: None,
    }
}

fn app(seq: u32, url: &str) -> App {
    App {
        id: AppId::new(TenantId::DEFAULT, seq),
        name: format!("app{seq}").parse().unwrap(),
        group: GroupId::DEFAULT,
        external_url: url.into(),
        internal_url: "http://backend/".into(),
        preauth: Preauth::Passthrough,
        certificate: CertificateId::new(TenantId::DEFAULT, 1),
        settings: BTreeMap::new(),
    }
}

fn plan(urls: &[&str]) -> Result<Plan, ConfigInvalid> {
    Plan::build(&snapshot(&urls.iter().map(ToString::to_string).collect::<Vec<_>>()))
}

fn routed(plan: &Plan, host: &str, path: &str) -> Option<u32> {
    Some(plan.host(host)?.route(path)?.id.seq)
}

#[test]
fn the_most_specific_wins() {
    let plan = plan(&[
        "https://*.example.com/",
        "https://*.a.example.com/",
        "https://x.a.example.com/",
        "https://x.a.example.com/crm/",
        "https://b.example.com/only/",
    ])
    .unwrap();
    for (host, path, expected) in [
        ("y.example.com", "/", Some(1)),
        ("z.y.example.com", "/", Some(1)),
        ("y.a.example.com", "/", Some(2)),
        ("a.example.com", "/", Some(1)),
        ("X.A.Example.COM", "/", Some(3)),
        ("x.a.example.com", "/crm", Some(4)),
        ("x.a.example.com", "/crm/", Some(4)),
        ("x.a.example.com", "/crm/deep/er", Some(4)),
        ("x.a.example.com", "/crmx", Some(3)),
        ("x.a.example.com", "*", Some(3)),
        ("x.a.example.com", "", Some(3)),
        ("b.example.com", "/only", Some(5)),
        ("b.example.com", "/", None),
        ("example.com", "/", None),
        (".example.com", "/", None),
        ("", "/", None),
    ] {
        assert_eq!(routed(&plan, host, path), expected, "{host} {path}");
    }
    assert!(plan.host(&"a".repeat(300)).is_none());
}

#[test]
fn conflicts_name_the_other_application() {
    let error = plan(&["https://a.example.com/x", "https://A.example.com:8443/x/"]).unwrap_err();
    let text = error.to_string();
    assert_eq!(text, "https://a.example.com/x/ is already published as app1");
    assert!(plan(&["https://a.example.com/x", "https://a.example.com/xy"]).is_ok());
}

#[test]
fn what_cannot_be_served_is_refused_by_name() {
    let mut state = snapshot(&["https://a.example.com/".into()]);
    let id = AppId::new(TenantId::DEFAULT, 1);
    let refused = |change: &dyn Fn(&mut App)| {
        let mut state = state.clone();
        change(state.apps.get_mut(&id).unwrap());
        Plan::build(&state).unwrap_err().to_string()
    };
    let setting = refused(&|app| drop(app.settings.insert("backend_tls".into(), "1".into())));
    assert!(setting.starts_with("app1: there is no setting"), "{setting}");
    let plain = refused(&|app| {
        (app.preauth, app.external_url) = (Preauth::Oidc, "http://a.example.com/".into());
    });
    assert!(plain.starts_with("app1: http://a.example.com/ is plain text: with --preauth oidc"), "{plain}");
    let group = refused(&|app| app.group.seq = 9);
    assert_eq!(group, "app1: g1-9 does not exist");
    state.certificates.values_mut().for_each(|c| c.chain_pem = "hello".into());
    let certificate = Plan::build(&state).unwrap_err().to_string();
    assert!(certificate.starts_with("certificate k1-1: its chain"), "{certificate}");
}

#[test]
fn the_certificate_is_the_applications_own() {
    let mut state = snapshot(&["https://a.example.com/".into(), "https://*.example.org/".into()]);
    let other = certificate(2, &["a.example.com", "*.example.com"]);
    state.certificates.insert(other.id, other);
    let plan = Plan::build(&state).unwrap();
    let shown = |name: &str| plan.certificate(name).map(|certificate| certificate.id.seq);
    assert_eq!(shown("A.example.com"), Some(1), "its own before another that covers it");
    assert_eq!(shown("b.example.com"), Some(2));
    assert_eq!(shown("c.b.example.com"), None, "a wildcard covers one label");
    assert_eq!(shown("x.example.org"), Some(1));
    assert_eq!(shown("example.org"), None);
}

#[test]
fn plain_backends_are_warned_about() {
    let mut app = app(1, "https://a.example.com/");
    assert!(PlannedApp::parse(&app).unwrap().warnings()[0].contains("plain text"));
    app.internal_url = "https://backend/".into();
    assert!(PlannedApp::parse(&app).unwrap().warnings().is_empty());
    app.settings.insert("backend_tls_verify".into(), "false".into());
    assert!(PlannedApp::parse(&app).unwrap().warnings()[0].contains("not verified"));
}

#[test]
fn plain_text_that_leaves_no_host_is_not_warned_about() {
    let mut app = app(1, "https://a.example.com/");
    for beside in ["http://127.0.0.1:8000/", "http://[::1]/", "http://localhost:81/"] {
        app.internal_url = beside.into();
        assert_eq!(PlannedApp::parse(&app).unwrap().warnings(), Vec::<String>::new(), "{beside}");
    }
    for away in ["http://10.0.0.1/", "http://[fd00::1]/", "http://localhost.example.com/"] {
        app.internal_url = away.into();
        assert!(PlannedApp::parse(&app).unwrap().warnings()[0].contains("plain text"), "{away}");
    }
}

#[test]
fn names_without_a_realm_are_warned_about() {
    let warned = |settings: &[(&str, &str)]| {
        let mut app = app(1, "https://a.example.com/");
        app.internal_url = "https://backend/".into();
        app.preauth = Preauth::Oidc;
        app.settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        PlannedApp::parse(&app).unwrap().warnings().join("\n")
    };
    let spn = ("sso_spn", "HTTP/a.corp");
    let upn = warned(&[("sso", "kerberos"), spn]);
    assert!(upn.contains("users whose login has no @ cannot be signed on"), "{upn}");
    assert!(upn.contains("sso_spn=HTTP/a.corp@REALM"), "{upn}");
    let all = warned(&[("sso", "kerberos"), spn, ("sso_login", "user-part")]);
    assert!(all.contains(": users cannot be signed on"), "{all}");
    assert_eq!(warned(&[("sso", "kerberos"), spn, ("sso_realm", "CORP")]), "");
    assert_eq!(warned(&[("sso", "kerberos"), ("sso_spn", "HTTP/a.corp@CORP")]), "");
    assert_eq!(warned(&[spn]), "", "nobody is signed on");
}

#[test]
fn plans_that_let_the_same_pass_are_told_from_others() {
    let base = snapshot(&["https://a.example.com/".into(), "https://b.example.com/".into()]);
    let permits_as_base = |change: &dyn Fn(&mut Snapshot)| {
        let mut changed = base.clone();
        change(&mut changed);
        Plan::build(&base).unwrap().permits_as(&Plan::build(&changed).unwrap())
    };
    let first = AppId::new(TenantId::DEFAULT, 1);
    let token = ServiceToken {
        id: ServiceTokenId::new(TenantId::DEFAULT, 1),
        name: "t".parse().unwrap(),
        key: crate::service_token::TokenSecret::new([1; 32].into()).key(),
        apps: [first].into(),
        expires_unix: Some(1),
        enabled: true,
        created_unix_ms: 0,
    };
    assert!(permits_as_base(&|_| {}));
    assert!(permits_as_base(&|state| state.version += 1));
    assert!(permits_as_base(&|state| {
        state.apps.get_mut(&first).unwrap().settings.insert("backend_timeout_ms".into(), "1".into());
    }));
    assert!(!permits_as_base(&|state| state.apps.get_mut(&first).unwrap().preauth = Preauth::Oidc));
    assert!(!permits_as_base(&|state| drop(state.apps.remove(&first))));
    assert!(!permits_as_base(&|state| state.apps.get_mut(&first).unwrap().name = "other".parse().unwrap()));
    assert!(!permits_as_base(&|state| {
        state.apps.get_mut(&first).unwrap().external_url = "https://c.example.com/".into();
    }));
    assert!(!permits_as_base(&|state| {
        state.identity = Some(IdentityApp { app: first, group: GroupId::DEFAULT, device_host: None });
    }));
    assert!(!permits_as_base(&|state| state.cookie_keys.push(CookieKey::make(1, 1).unwrap())));
    assert!(!permits_as_base(&|state| state.assertion_keys.push(AssertionKey::make(1, 1).unwrap())));
    assert!(!permits_as_base(&|state| drop(state.service_tokens.insert(token.id, token.clone()))));
    let plan = Plan::build(&Snapshot { service_tokens: [(token.id, token.clone())].into(), ..base.clone() }).unwrap();
    assert_eq!(plan.service_token(token.id).map(|found| &**found), Some(&token));
    assert!(plan.service_token(ServiceTokenId::new(TenantId(2), 1)).is_none());
}

/// Two applications, of which the second is where people sign in, and a host where they show their devices.
fn with_devices(external: &str, device_host: &str) -> Snapshot {
    let mut state = snapshot(&[external.into(), "https://login.example.com/".into()]);
    let app = AppId::new(TenantId::DEFAULT, 2);
    let device_host = Some(device_host.parse().unwrap());
    state.identity = Some(IdentityApp { app, group: GroupId::DEFAULT, device_host });
    state
}

#[test]
fn no_application_is_where_devices_are_shown() {
    let state = with_devices("https://*.example.com/", "device.example.com");
    let plan = Plan::build(&state).unwrap();
    assert!(plan.is_device_host("device.example.com") && plan.is_device_host("DEVICE.example.COM"));
    assert!(!plan.is_device_host("x.device.example.com") && !plan.is_device_host("login.example.com"));
    assert!(plan.host("device.example.com").unwrap().route("/").is_none(), "not the wildcard's");
    assert_eq!(routed(&plan, "other.example.com", "/"), Some(1));
    assert_eq!(routed(&plan, "x.device.example.com", "/"), Some(1));

    let taken = with_devices("https://device.example.com/x/", "device.example.com");
    let refused = Plan::build(&taken).unwrap_err().to_string();
    assert_eq!(refused, "https://device.example.com/ is already published as app2");
    let nobody = Snapshot { apps: BTreeMap::new(), ..state.clone() };
    assert!(Plan::build(&nobody).unwrap().device_host().is_none(), "nobody would answer there");

    let mut elsewhere = state.clone();
    elsewhere.identity.as_mut().unwrap().device_host = Some("devices.example.com".parse().unwrap());
    assert!(!plan.permits_as(&Plan::build(&elsewhere).unwrap()));
}

#[test]
fn every_authority_of_devices_is_in_the_plan_once() {
    let mut state = with_devices("https://a.example.com/", "device.example.com");
    for (tenant, name, der) in [(1, "own", [1, 2]), (1, "mdm", [3, 4]), (2, "own", [5, 6]), (2, "their-mdm", [3, 4])] {
        let certificate = AuthorityCertificate::new(&der).unwrap();
        let authority =
            DeviceAuthority { tenant: TenantId(tenant), name: name.parse().unwrap(), certificate, compliant: false };
        state.device_authorities.insert(authority.key(), authority);
    }
    let plan = Plan::build(&state).unwrap();
    let authorities: Vec<_> = plan.device_authorities().iter().map(AsRef::as_ref).collect();
    assert_eq!(authorities, [[1, 2], [3, 4], [5, 6]]);
}

fn hosts() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]", 1..5).prop_map(|labels| labels.join("."))
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec("/(a|b|ab)?", 0..5).prop_map(|segments| segments.concat())
}

/// The rule as documented, told by going through everything.
fn naive(apps: &[Arc<PlannedApp>], host: &str, path: &str) -> Option<u32> {
    let strength = |app: &&Arc<PlannedApp>| {
        let external = &app.external;
        if !external.wildcard {
            return (*external.host == *host).then_some(usize::MAX);
        }
        let below = host.strip_suffix(&*external.host)?.strip_suffix('.')?;
        (!below.is_empty()).then_some(external.host.len())
    };
    let best = apps.iter().filter_map(|app| strength(&app)).max()?;
    let fits = |app: &&Arc<PlannedApp>| {
        let rest = path.strip_prefix(&*app.external.path);
        strength(app) == Some(best)
            && rest.is_some_and(|r| r.is_empty() || r.starts_with('/') || app.external.path.is_empty())
    };
    apps.iter().filter(fits).max_by_key(|app| app.external.path.len()).map(|app| app.id.seq)
}

proptest! {
    #[test]
    fn routing_is_the_naive_model(
        published in prop::collection::vec((any::<bool>(), hosts(), paths()), 0..12),
        asked in prop::collection::vec((hosts(), paths()), 20),
    ) {
        let urls = published.iter().map(|(wild, host, path)| {
            format!("https://{}{host}{path}", if *wild { "*." } else { "" })
        });
        let urls: Vec<String> = urls.filter(|url| ExternalUrl::parse(url).is_ok()).collect();
        if let Ok(plan) = Plan::build(&snapshot(&urls)) {
            let apps: Vec<_> = plan.apps().cloned().collect();
            for (host, path) in asked {
                prop_assert_eq!(routed(&plan, &host, &path), naive(&apps, &host, &path), "{} {}", host, path);
            }
        }
    }
}

#[test]
fn one_application_for_tls_1_3_makes_its_host_so() {
    let mut snapshot = snapshot(&[
        "https://a.example.com/".into(),
        "https://a.example.com/strict/".into(),
        "https://b.example.com/".into(),
        "https://*.example.com/".into(),
    ]);
    let plain = Plan::build(&snapshot).unwrap();
    assert!(!plain.asks_tls13() && !plain.needs_tls13(None) && !plain.needs_tls13(Some("a.example.com")));
    for seq in [2, 4] {
        let app = snapshot.apps.get_mut(&AppId::new(TenantId::DEFAULT, seq)).unwrap();
        app.settings.insert("tls_min".into(), "1.3".into());
    }
    let plan = Plan::build(&snapshot).unwrap();
    assert!(plan.asks_tls13());
    for (host, needs) in [
        (None, true),
        (Some("a.example.com"), true),
        (Some("A.Example.com"), true),
        (Some("b.example.com"), false),
        (Some("c.example.com"), true),
        (Some("example.org"), false),
    ] {
        assert_eq!(plan.needs_tls13(host), needs, "{host:?}");
    }
    assert_eq!(plan.certificates().count(), 1);
}

#[test]
fn a_host_with_something_in_plain_text_is_not_told_to_be_without() {
    let plan = plan(&["https://a.example.com/", "http://a.example.com/open/", "https://b.example.com/"]).unwrap();
    let said = |host: &str, path: &str| {
        let app = plan.host(host).unwrap().route(path).unwrap();
        app.settings.answers.hsts.value().map(str::to_owned)
    };
    assert_eq!(said("a.example.com", "/"), None);
    assert_eq!(said("b.example.com", "/").as_deref(), Some("max-age=31536000"));
}

#[test]
fn what_browsers_are_to_do_with_cookies_is_warned_about_where_there_are_some() {
    let mut app = app(1, "https://a.example.com/");
    app.internal_url = "https://backend/".into();
    app.settings.insert("cookie_persistent".into(), "true".into());
    assert!(PlannedApp::parse(&app).unwrap().warnings().is_empty());
    app.preauth = Preauth::Oidc;
    let warnings = PlannedApp::parse(&app).unwrap().warnings().join("\n");
    assert!(warnings.starts_with("app1: cookie_persistent=true: whoever uses the browser profile later"), "{warnings}");
    let pass = |rules: &str| BTreeMap::from([("cors".to_owned(), rules.to_owned())]);
    app.settings = pass("/ origins=https://a.example; /api/ pass");
    let warnings = PlannedApp::parse(&app).unwrap().warnings();
    assert!(warnings[0].starts_with("app1: cors=/api/ pass: whoever sends a preflight there"), "{warnings:?}");
    app.preauth = Preauth::Passthrough;
    assert!(PlannedApp::parse(&app).unwrap().warnings().is_empty(), "nobody is asked anyway");
    app.preauth = Preauth::Oidc;
    app.settings = pass("/ origins=https://a.example");
    assert!(PlannedApp::parse(&app).unwrap().warnings().is_empty());
    app.settings = BTreeMap::from([("maintenance".to_owned(), "on".to_owned())]);
    assert!(PlannedApp::parse(&app).unwrap().warnings()[0].contains("503"));
}
