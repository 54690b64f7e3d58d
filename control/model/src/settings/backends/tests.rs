use super::super::AppSettings;
use super::*;

fn settings(pairs: &[(&str, &str)]) -> Result<AppSettings, SettingInvalid> {
    AppSettings::parse(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

fn read(pairs: &[(&str, &str)]) -> Result<BackendSettings, String> {
    settings(pairs).map(|settings| settings.backends).map_err(|error| error.to_string())
}

const FARM: (&str, &str) = ("backend_farm", "http://b,http://c:8080/");

#[test]
fn nothing_is_what_holds_where_nothing_is_set() {
    assert_eq!(read(&[]), Ok(BackendSettings::default()));
    assert_eq!(read(&[("health_check", "off"), FARM]).unwrap().health, None);
    assert_eq!(BackendSettings::default().cookie(), "postern-member");
}

#[test]
fn a_farm_is_places_with_commas_between() {
    let farm = read(&[FARM, ("balance", "sticky"), ("balance_cookie", "node")]).unwrap();
    let shown: Vec<String> = farm.farm.iter().map(InternalUrl::to_string).collect();
    assert_eq!(shown, ["http://b/", "http://c:8080/"]);
    assert_eq!((farm.balance, farm.cookie()), (Balance::Sticky, "node"));
    assert_eq!(read(&[FARM, ("balance", "least-connections")]).unwrap().balance, Balance::LeastConnections);
    let given = BTreeMap::from([("backend_farm".to_owned(), FARM.1.to_owned())]);
    assert_eq!((farm_members(&given), farm_members(&BTreeMap::new())), (farm.farm, Vec::new()));
}

#[test]
fn a_look_has_sound_defaults() {
    let usual = read(&[FARM, ("health_check", "/healthz?full")]).unwrap().health.unwrap();
    assert_eq!((&*usual.path, usual.interval_ms, usual.timeout_ms), ("/healthz?full", 5_000, 2_000));
    assert_eq!((usual.fails, usual.passes), (2, 2));
    let own = [("health_interval", "500ms"), ("health_timeout", "1s"), ("health_fails", "1"), ("health_passes", "20")];
    let own = read(&[&[FARM, ("health_check", "/")][..], &own[..]].concat()).unwrap().health.unwrap();
    assert_eq!((own.interval_ms, own.timeout_ms, own.fails, own.passes), (500, 1_000, 1, 20));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let many = (0..16).map(|n| format!("http://h{n}")).collect::<Vec<_>>().join(",");
    for (pairs, name, says) in [
        (&[("backend_farm", many.as_str())][..], "backend_farm", "up to 15"),
        (&[("backend_farm", "")][..], "backend_farm", "up to 15"),
        (&[("backend_farm", "b:80")][..], "backend_farm", "up to 15"),
        (&[("backend_farm", "http://b/x/")][..], "backend_farm", "no paths"),
        (&[("backend_farm", "http://*.corp")][..], "backend_farm", "no wildcards"),
        (&[("backend_farm", "http://b,http://B:80")][..], "backend_farm", "once"),
        (&[("backend_farm", "http://identity.postern.internal")][..], "backend_farm", "Postern's own"),
        (&[("balance", "sticky")][..], "balance", "needs backend_farm"),
        (&[("health_check", "/")][..], "health_check", "needs backend_farm"),
        (&[FARM, ("balance", "random")][..], "balance", "round-robin"),
        (&[FARM, ("balance_cookie", "x")][..], "balance_cookie", "needs balance=sticky"),
        (&[FARM, ("balance", "sticky"), ("balance_cookie", "a b")][..], "balance_cookie", "letters"),
        (&[FARM, ("balance", "sticky"), ("balance_cookie", "__Host-x")][..], "balance_cookie", "letters"),
        (&[FARM, ("balance", "sticky"), ("balance_cookie", "postern-session-x")][..], "balance_cookie", "letters"),
        (&[FARM, ("health_check", "healthz")][..], "health_check", "a path"),
        (&[FARM, ("health_check", "/a/../b")][..], "health_check", "a path"),
        (&[FARM, ("health_check", "/a%2fb")][..], "health_check", "a path"),
        (&[FARM, ("health_check", "/a b")][..], "health_check", "a path"),
        (&[FARM, ("health_interval", "5s")][..], "health_interval", "needs health_check"),
        (&[FARM, ("health_check", "/"), ("health_interval", "100ms")][..], "health_interval", "500ms"),
        (&[FARM, ("health_check", "/"), ("health_timeout", "31s")][..], "health_timeout", "30s"),
        (&[FARM, ("health_check", "/"), ("health_fails", "0")][..], "health_fails", "1 to 20"),
        (&[("backend_client_certificate", "../x")][..], "backend_client_certificate", "a name"),
        (&[("backend_client_certificate", ".x")][..], "backend_client_certificate", "a name"),
        (&[("backend_sni", "10.0.0.1")][..], "backend_sni", "DNS name"),
        (&[("backend_sni", "a b")][..], "backend_sni", "DNS name"),
    ] {
        let error = settings(pairs).unwrap_err();
        assert_eq!(error.name(), name, "{pairs:?}: {error}");
        assert!(error.to_string().contains(says), "{pairs:?}: {error}");
    }
}

#[test]
fn they_agree_with_the_internal_url() {
    let tls_farm = ("backend_farm", "https://b");
    for (pairs, tls, says) in [
        (&[("backend_sni", "a.example")][..], false, "https://"),
        (&[("backend_client_certificate", "crm")][..], false, "https://"),
        (&[tls_farm, ("sso", "basic")][..], true, "vault"),
    ] {
        let error = settings(pairs).unwrap().check_backend(tls).unwrap_err().to_string();
        assert!(error.contains(says), "{pairs:?}: {error}");
    }
    let all = [tls_farm, ("backend_sni", "A.example"), ("backend_client_certificate", "crm-1.b_c")];
    let fits = settings(&all).unwrap();
    fits.check_backend(true).unwrap();
    assert_eq!(fits.backends.sni.as_deref(), Some("a.example"));
    let internal = |url: &str| InternalUrl::parse(url).unwrap();
    assert!(fits.backends.check_farm(&internal("https://a/x/")).is_ok());
    assert!(fits.backends.check_farm(&internal("https://b:8443/")).is_ok());
    for (url, says) in
        [("https://b/x/", "is the internal URL"), ("http://a/", "must begin as"), ("https://*.corp/", "no wildcard")]
    {
        let error = fits.backends.check_farm(&internal(url)).unwrap_err().to_string();
        assert!(error.contains(says), "{url}: {error}");
    }
}
