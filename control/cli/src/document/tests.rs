//! What reads, what is refused and where, and that what is written reads back.

use std::path::PathBuf;

use postern_model::limit::Allowance;

use super::*;

fn source(text: &str) -> Source {
    Source::new("p.toml".into(), PathBuf::from("/nowhere"), text.into())
}

fn refusal(text: &str) -> String {
    match parse(&source(text)) {
        Err(failure) => {
            assert_eq!(failure.exit_status(), 2);
            failure.to_string()
        }
        Ok(_) => panic!("not refused: {text}"),
    }
}

const WHOLE: &str = r#"
tenant = "acme"
[connector-group.hq]
[relay.edge]
address = "relay.example.com:443"
[network]
hq = ["203.0.113.0/24", "2001:db8::/32"]
branch = "198.51.100.0/24"
[app.wiki]
external = "https://wiki.example.com/"
internal = "http://10.0.0.5/"
preauth = "passthrough"
group = "hq"
settings = { backend_timeout_ms = 180_000, backend_tls_verify = false, corporate_network = "warn" }
[throttle."app/wiki"]
rps = 100
burst = "1k"
[throttle.source]
rps = "none"
bps = "10M"
[[certificate]]
sha256 = "ab"
hosts = ["a.example.com"]
"#;

#[test]
fn everything_reads() {
    let Parsed { tenant, document, .. } = parse(&source(WHOLE)).unwrap();
    assert_eq!(tenant.unwrap().as_str(), "acme");
    let app = &document.apps[&"wiki".parse::<Name>().unwrap()];
    assert_eq!(app.settings["backend_timeout_ms"], "180000");
    assert_eq!(app.settings["backend_tls_verify"], "false");
    let limit = &document.limits["app/wiki"];
    assert_eq!((limit.rps, limit.burst, limit.conns), (Some(Allowance::At(100)), Some(1000), None));
    assert_eq!(document.limits["source"].rps, Some(Allowance::Unlimited));
    assert_eq!(document.networks[&"branch".parse::<Name>().unwrap()].len(), 1);
    assert_eq!(document.relays.len() + document.connector_groups.len() + document.certificates.len(), 3);
}

#[test]
fn what_is_written_reads_back() {
    let mut document = parse(&source(WHOLE)).unwrap().document;
    let app = document.apps.values_mut().next().unwrap();
    app.settings.insert("backend_ca".into(), "-----BEGIN X-----\n\"\\'\t\n-----END X-----\n".into());
    let text = toml("acme", &document);
    let read = parse(&source(&text)).unwrap_or_else(|failure| panic!("{failure}\n{text}"));
    assert_eq!(read.document, document, "{text}");
    assert_eq!(read.tenant.unwrap().as_str(), "acme");
    assert!(parse(&source(&toml("default", &Document::default()))).is_ok());
}

#[test]
fn mistakes_name_file_line_and_the_nearest_key() {
    let app = "[app.wiki]\nexternal = 'https://w/'\ninternal = 'http://b/'\n";
    for (text, says) in [
        ("\n[apps.wiki]\n".into(), "p.toml:2: unknown key `apps`; did you mean `app`?"),
        (
            format!("{app}preauth = 'passthrough'\ninternl = 1\n"),
            "p.toml:5: unknown key `internl` in [app.wiki]; did you mean `internal`?",
        ),
        (app.into(), "p.toml:1: [app.wiki] needs `preauth`"),
        (
            format!("{app}preauth = 'passthrogh'\n"),
            "p.toml:4: `preauth` = `passthrogh`: must be one of passthrough, oidc; did you mean `passthrough`?",
        ),
        (format!("{app}preauth = ['x']\n"), "p.toml:4: `preauth` must be text, not a list"),
        (
            "[app.Wiki]\n".into(),
            "p.toml:1: \"Wiki\" is not a name: 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'",
        ),
        (
            "[network]\nhq = [\n'10.0.0.0/8',\n'10.0.0.1/8']\n".into(),
            "p.toml:4: `hq` = `10.0.0.1/8`: 10.0.0.1/8 has bits set behind the prefix: write 10.0.0.0/8",
        ),
        (
            "[throttle.tenant]\nrps = -1\n".into(),
            "p.toml:2: `rps` = `-1`: write a whole number, such as 50, 10k, 5M or 64Ki",
        ),
        (
            "[throttle.'app/x']\nrsp = 1\n".into(),
            "p.toml:2: unknown key `rsp` in [throttle.\"app/x\"]; did you mean `rps`?",
        ),
        (
            "[throttle.wiki]\nrps = 1\n".into(),
            "p.toml:1: \"wiki\" is not something to limit: write app/NAME, app/NAME/source, tenant, user/NAME, source or source/PREFIX",
        ),
        ("certificate = 1\n".into(), "p.toml:1: `certificate` must be a list of tables, not a number"),
        ("app = 1\n".into(), "p.toml:1: `app` must be a table, not a number"),
        (
            "tenant = 'A'\n".into(),
            "p.toml:1: `tenant` = `A`: \"A\" is not a name: 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'",
        ),
    ] {
        assert_eq!(refusal(&text), says, "{text}");
    }
    assert!(refusal("a = = 1\n").starts_with("p.toml:1: "));
    let missing = refusal("[[certificate]]\ncert = 'c.pem'\nkey = 'k.pem'\n");
    assert!(missing.starts_with("p.toml:2: ") && missing.contains("/nowhere/c.pem"), "{missing}");
}

#[test]
fn what_control_refuses_is_found_in_the_file() {
    let source = source(WHOLE);
    let parsed = parse(&source).unwrap();
    let located = |pointer: &str, detail: &str| {
        let problem = Problem {
            code: "x".into(),
            title: "x".into(),
            detail: detail.into(),
            status: 409,
            pointer: Some(pointer.into()),
        };
        parsed.locate(&source, problem.into()).to_string()
    };
    let taken = "https://wiki.example.com/ is already published as crm";
    assert_eq!(located("app.wiki", taken), format!("p.toml:10: {taken}"));
    assert_eq!(located("app.wiki", "no room"), "p.toml:9: no room");
    assert_eq!(located("throttle.app/wiki", "rps = 100: too much"), "p.toml:16: rps = 100: too much");
    assert_eq!(located("network.branch", "x"), "p.toml:8: x");
    assert_eq!(located("certificate.0", "x"), "p.toml:21: x");
    assert_eq!(located("elsewhere", "x"), "x");
}
