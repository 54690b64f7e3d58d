//! What reads, what is refused and where, and that what is written reads back.

use std::path::PathBuf;

use postern_model::limit::Allowance;

use super::*;

mod clients;
mod devices;
mod sign_in;

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
[throttle."source/2001:DB8::/032"]
conns = 3
[app.crm]
external = "https://crm.example.com/"
internal = "http://10.0.0.6/"
preauth = "passthrough"
[app.crm.settings]
connect_timeout_ms = 1
backend_timeout_ms = 0
[user."anna.berg@example.com"]
display-name = "Anna \"B\""
mail = "anna@example.com"
attributes = { department = "sales", cost_centre = 12 }
[user."o'neil"]
guest = true
disabled = true
expires = 2030-01-31T00:00:00Z
[group.sales]
description = "who sells"
rule = 'department=="sales" and not mail present'
owners = ["anna.berg@example.com"]
[group.staff]
users = ["o'neil"]
groups = ["sales"]
owners = []
[[assignment]]
app = "wiki"
group = "sales"
expires = "2030-01-31T01:00:00+01:00"
[[assignment]]
app = "wiki"
everyone = true
role = "reader"
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
    assert!(document.limits.contains_key("source/2001:db8::/32"), "limits have one spelling: {:?}", document.limits);
    assert_eq!(document.limits["source"].rps, Some(Allowance::Unlimited));
    assert_eq!(document.networks[&"branch".parse::<Name>().unwrap()].len(), 1);
    let anna = &document.users[&"anna.berg@example.com".parse().unwrap()];
    assert_eq!(anna.attributes[&"cost_centre".parse().unwrap()].as_str(), "12");
    let carl = &document.users[&"o'neil".parse().unwrap()];
    assert_eq!((carl.guest, carl.disabled, carl.expires_unix), (true, true, Some(1_896_048_000)));
    let sales = &document.user_groups[&"sales".parse::<Name>().unwrap()];
    assert_eq!(sales.rule.as_ref().unwrap().to_string(), r#"department == "sales" and not mail present"#);
    assert_eq!((sales.users.as_ref(), sales.owners.as_ref().unwrap().len()), (None, 1), "absent is not empty");
    let staff = &document.user_groups[&"staff".parse::<Name>().unwrap()];
    assert!(staff.owners.as_ref().unwrap().is_empty());
    assert_eq!(document.assignments[0].expires_unix, carl.expires_unix);
    assert!(document.assignments[1].everyone && document.assignments[1].user.is_none());
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
            "p.toml:1: \"wiki\" is not something to limit: write app/NAME, app/NAME/source, tenant, user/LOGIN, source or source/PREFIX",
        ),
        (
            "[throttle]\n'source/10.0.0.1/32' = { rps = 1 }\n'source/10.0.0.1' = { rps = 2 }\n".into(),
            "p.toml:3: [throttle.\"source/10.0.0.1\"] is the limit of line 2 again",
        ),
        (
            "[throttle.'source/2001:db8::/32']\nrps = 1\n[throttle.'source/2001:DB8::/032']\nrps = 1\n".into(),
            "p.toml:3: [throttle.\"source/2001:DB8::/032\"] is the limit of line 1 again",
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
fn mistakes_in_the_directory_are_found_too() {
    for (text, says) in [
        ("[user.Anna]\n", "p.toml:1: \"Anna\" has capital letters: write anna"),
        ("[user.anna]\nexpires = '30d'\n", "p.toml:2: `expires` = `30d`: write a time such as 2030-01-31T00:00:00Z"),
        ("[user.anna]\nguest = 'yes'\n", "p.toml:2: `guest` = `yes`: provided string was not `true` or `false`"),
        (
            "[user.anna]\n[user.anna.attributes]\nlogin = 'x'\n",
            "p.toml:3: \"login\" cannot be an attribute's name: it means something else in rules",
        ),
        (
            "[user.anna]\npassword = 'x'\n",
            "p.toml:2: unknown key `password` in [user.\"anna\"]; known keys: display-name, mail, attributes, guest, expires, disabled",
        ),
        (
            "[group.sales]\nrule = 'department = \"sales\"'\n",
            "p.toml:2: `rule` = `department = \"sales\"`: column 12: expected ==, !=, in, contains, starts_with, ends_with or present, found \"= \\\"sales\\\"\"",
        ),
        ("[[assignment]]\napp = 'wiki'\n[[assignment]]\nuser = 'anna'\n", "p.toml:3: [assignment] needs `app`"),
    ] {
        assert_eq!(refusal(text), says, "{text}");
    }
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
    assert_eq!(located("tenant", "x"), "p.toml:2: x");
    assert_eq!(located("relay.edge.address", "x"), "p.toml:5: x");
    assert_eq!(located("relay.edge.fingerprint", "not in the file"), "p.toml:4: not in the file");
    assert_eq!(
        located("app.wiki", "https://wiki.example.com/ has no room"),
        "p.toml:9: https://wiki.example.com/ has no room"
    );
    assert_eq!(located("app.wiki.external", "x"), "p.toml:10: x");
    assert_eq!(located("app.wiki.settings.backend_timeout_ms", "x"), "p.toml:14: x");
    assert_eq!(located("app.crm.settings.backend_timeout_ms", "x"), "p.toml:32: x");
    assert_eq!(located("app.crm.settings.backend_http", "x"), "p.toml:30: x");
    assert_eq!(located("throttle.app/wiki", "x"), "p.toml:15: x");
    assert_eq!(located("throttle.app/wiki.burst", "x"), "p.toml:17: x");
    assert_eq!(located("throttle.source/2001:db8::/32.conns", "x"), "p.toml:25: x");
    assert_eq!(located("throttle.source/2001:db8::/32.rps", "x"), "p.toml:24: x");
    assert_eq!(located("network.branch", "x"), "p.toml:8: x");
    assert_eq!(located("certificate.0", "x"), "p.toml:21: x");
    assert_eq!(located("user.anna.berg@example.com.mail", "x"), "p.toml:35: x");
    assert_eq!(located("user.anna.berg@example.com.attributes.cost_centre", "x"), "p.toml:36: x");
    assert_eq!(located("user.o'neil.mail", "x"), "p.toml:37: x");
    assert_eq!(located("group.staff.groups", "x"), "p.toml:47: x");
    assert_eq!(located("assignment.1.app", "x"), "p.toml:54: x");
    assert_eq!(located("elsewhere", "x"), "x");
}

const PROVIDERS: &str = r#"
[idp.short]
issuer = "https://a.example"
client-id = "postern"
[idp.whole]
issuer = "https://b.example"
client-id = "b"
label = "B \"Corp\""
domain = ["b.example", "c.example"]
domain-hint-parameter = "hd"
scopes = ["email"]
claim-login = "upn"
claim-display-name = "n"
claim-mail = "m"
trust-mail = true
group-claim = "groups"
users = "create"
device-claim = ["registered=managed", "compliant=device=a = \"b\""]
require-mfa = true
default = true
disabled = true
ca-pem = """
-----BEGIN CERTIFICATE-----
"""
skew = 5
fetch-timeout-ms = 900
insecure-loopback = true
[idp.whole.groups]
"an engineer = 1" = "engineers"
[idp.whole.acr]
"urn:x:mfa" = ["mfa", "pwd"]
"#;

#[test]
fn providers_are_written_as_they_are_read() {
    let parsed = parse(&source(PROVIDERS)).unwrap();
    let whole = &parsed.document.providers[&"whole".parse().unwrap()];
    assert_eq!((whole.settings.skew_s, whole.settings.login_claims.len(), whole.groups.len()), (5, 1, 1));
    assert!(whole.settings.require_mfa && whole.settings.disabled && whole.client_secret.is_none());
    let again = parse(&source(&toml("default", &parsed.document))).unwrap();
    assert_eq!(again.document, parsed.document);
    assert!(refusal("[idp.x]\nclient-id = \"a\"\n").contains("issuer"));
    assert!(refusal("[idp.x]\nissuer = \"a\"\nclient-id = \"a\"\nusers = \"all\"\n").contains("p.toml:4"));
    assert_eq!(whole.settings.device_claims.texts(), ["registered=managed", "compliant=device=a = \"b\""]);
    let claims = |list: &str| refusal(&format!("[idp.x]\nissuer = \"a\"\nclient-id = \"a\"\ndevice-claim = {list}\n"));
    for (list, says) in [
        ("\"compliant\"", "STATE=CLAIM"),
        ("[\"managed=x\"]", "registered, compliant"),
        ("[\"compliant=x\", \"compliant=x\"]", "twice"),
        ("[1]", "STATE=CLAIM"),
    ] {
        let refused = claims(list);
        assert!(refused.contains("p.toml:4") && refused.contains(says), "{list}: {refused}");
    }
}

const POLICIES: &str = r#"
[policy.mfa-outside]
everyone = true
all-apps = true
except-groups = ["admins"]
except-networks = ["hq"]
require = "mfa"
sign-in-frequency = "90m"
no-persistent = true
[policy.odd]
state = "report-only"
users = []
groups = ["sales", "temps"]
guests = true
except-users = "anna"
except-guests = false
apps = ["crm"]
except-apps = ["wiki"]
networks = ["lab"]
countries = ["DE"]
except-countries = ["FR"]
asns = ["AS64500"]
except-asns = ["AS64501"]
platforms = ["windows", "macos"]
except-platforms = ["ios"]
clients = ["browser"]
except-clients = ["native"]
times = ["mon-fri 08:00-18:00 +01:00"]
except-times = ["sat 00:00-24:00"]
methods = ["pwd"]
except-methods = ["hwk"]
strength = "single-factor"
auth-age-min = 60
risk-min = "medium"
devices = ["registered"]
except-devices = ["unknown"]
require-any = ["compliant-device", "terms/house"]
idle-max = "30m"
lifetime-max = "1d"
[policy.embargo]
everyone = true
except-guests = true
all-apps = true
countries = ["KP"]
block = true
"#;

#[test]
fn policies_are_written_as_they_are_read() {
    let parsed = parse(&source(POLICIES)).unwrap();
    let policies = &parsed.document.policies;
    let mfa = &policies[&"mfa-outside".parse().unwrap()];
    assert_eq!((mfa.sign_in_frequency_s, mfa.no_persistent, mfa.require.len()), (Some(5_400), true, 1));
    let odd = &policies[&"odd".parse().unwrap()];
    assert_eq!((odd.users.as_ref().map(std::collections::BTreeSet::len), odd.lifetime_max_s), (Some(0), Some(86_400)));
    let again = parse(&source(&toml("default", &parsed.document))).unwrap();
    assert_eq!(again.document, parsed.document);

    // Between them they have every key: none is lost, and each is known by its field.
    let fields = policies.values().flat_map(|entry| {
        let serde_json::Value::Object(fields) = serde_json::to_value(entry).unwrap() else { panic!("no object") };
        fields.into_iter().map(|(field, _)| field)
    });
    let known = POLICY_KEYS.iter().map(|(_, field)| (*field).to_owned());
    assert_eq!(fields.collect::<std::collections::BTreeSet<_>>(), known.collect());
    let lines: Vec<_> = policies.values().flat_map(policy_lines).map(|(key, _)| key).collect();
    assert!(POLICY_KEYS.iter().all(|(key, _)| lines.contains(key)), "{lines:?}");
}

#[test]
fn a_policy_is_refused_where_it_is_wrong() {
    for (lines, says) in [
        ("coutries = [\"DE\"]", "p.toml:2: unknown key `coutries` in [policy.p]; did you mean `countries`?"),
        ("countries = [\"UK\"]", "p.toml:2: `countries` = `UK`: \"UK\" is not a country's code"),
        ("times = \"weekends\"", "p.toml:2: `times` = `weekends`: \"weekends\" is not a time window"),
        ("state = \"maybe\"", "is not a state: on, report-only, off"),
        ("block = \"yes\"", "p.toml:2: `block` = `yes`"),
        ("idle-max = \"500ms\"", "whole seconds"),
        ("idle-max = \"soon\"", "is not a duration"),
        ("require = [\"mfa\",\n \"luck\"]", "p.toml:3: `require` = `luck`"),
    ] {
        let found = refusal(&format!("[policy.p]\n{lines}\n"));
        assert!(found.contains(says), "{lines}: {found}");
    }
    assert!(refusal("[policy.P]\n").contains("p.toml:1"), "names are names");
}
