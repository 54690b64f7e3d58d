//! `postern app check` with the real programs: what the connectors see, what differs between them, and that nobody but control can have
//! them look.

mod outside;

use std::process::Output;

use postern_tests::certificate;
use postern_tests::nginx::Nginx;
use postern_tests::world::{Options, World};
use serde_json::Value;

/// What a check printed as JSON, and whether it ended well.
pub(super) fn checked(world: &World, arguments: &[&str]) -> (Value, bool) {
    let output = world.cli_output(&[&["app", "check"], arguments, &["-o", "json"]].concat()).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", words(&output)));
    (value, output.status.success())
}

/// Result, what was seen and the cure of the first connector's step.
pub(super) fn step(checked: &Value, name: &str) -> (String, String) {
    let steps = checked["connectors"][0]["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name}: {checked:#}"));
    let cure = found["cure"].as_str().unwrap_or_default();
    (found["result"].as_str().unwrap().to_owned(), format!("{} | {cure}", found["seen"].as_str().unwrap()))
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ids(world: &World) -> Vec<String> {
    let list = world.json(&["connector", "list"]).unwrap();
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

const USERS: &str = "ABERG:{PLAIN}annas pass\n";

#[test]
fn an_nginx_that_wants_passwords_is_looked_at_from_every_connector() {
    let world = World::start(Options { connectors: 2, ..Options::default() }).unwrap();
    let leaf = certificate::self_signed_for_address(world.folder(), [127, 0, 0, 1].into()).unwrap();
    let nginx = Nginx::start_with_passwords(world.folder(), &leaf, USERS).unwrap();
    let internal = format!("https://{}/", nginx.address());
    world.publish_with("crm", &internal, &[]).unwrap();
    let (untrusted, passed) = checked(&world, &["crm"]);
    assert!(!passed, "{untrusted:#}");
    let (result, said) = step(&untrusted, "tls");
    assert!(result == "fail" && said.contains("backend_ca"), "{said}");
    assert_eq!(untrusted["connectors"].as_array().unwrap().len(), 2);
    assert_eq!(untrusted["differences"], serde_json::json!([]));

    world.cli(&["app", "set", "crm", "--set", &format!("backend_ca=@{}", leaf.certificate.display())]).unwrap();
    let (good, passed) = checked(&world, &["crm"]);
    assert!(passed && good["passed"] == true, "{good:#}\n{}", world.logs());
    assert!(step(&good, "http").1.contains("HTTP/1.1 401"), "{good:#}");
    let (_, challenge) = step(&good, "challenge");
    assert!(challenge.contains("WWW-Authenticate: Basic") && challenge.contains("--set sso=basic"), "{challenge}");
    assert_eq!(good["warnings"], serde_json::json!([]), "two are online");

    // The command that it names is one.
    let command = challenge.split("postern ").nth(1).unwrap();
    let arguments: Vec<&str> = command.split_whitespace().collect();
    world.cli(&arguments).unwrap();
    let (without_key, passed) = checked(&world, &["crm"]);
    let (result, said) = step(&without_key, "vault-key");
    assert!(!passed && result == "fail" && said.contains("--vault-key"), "{said}");
    let (no_sso, passed) = checked(&world, &["crm", "--no-sso"]);
    let steps = no_sso["connectors"][0]["steps"].as_array().unwrap();
    assert!(passed && steps.iter().all(|step| step["step"] != "challenge"), "{no_sso:#}");

    let one = ids(&world).pop().unwrap();
    let table = world.cli_output(&["app", "check", "crm", "--connector", &one, "--no-sso"]).unwrap();
    let table = words(&table);
    assert!(
        table.contains(&format!("connector: {one} of default, by relay ")) && table.contains("nothing failed"),
        "{table}"
    );
    assert_eq!(table.matches("STEP").count(), 2, "from one connector, and from outside: {table}");
    assert!(table.contains("outside: where its name leads\n"), "control dials no relay: {table}");
    let inside = world.cli_output(&["app", "check", "crm", "--connector", &one, "--no-outside"]).unwrap();
    assert_eq!(words(&inside).matches("STEP").count(), 1, "{}", words(&inside));
    drop(nginx);
    let output = world.cli_output(&["app", "check", "crm"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = words(&output);
    assert!(said.contains("refused") && said.contains("cure: connect: "), "{said}");
}

/// As requests see it: an application that speaks nothing else would be told to be broken.
#[test]
fn an_nginx_with_http2_is_asked_over_it() {
    let world = World::usual().unwrap();
    let leaf = certificate::self_signed_for_address(world.folder(), [127, 0, 0, 1].into()).unwrap();
    let nginx = Nginx::start_http2(world.folder(), &leaf).unwrap();
    let internal = format!("https://{}/", nginx.address());
    world.publish_with("crm", &internal, &[]).unwrap();
    let authority = format!("backend_ca=@{}", leaf.certificate.display());
    for version in ["auto", "2"] {
        let version = format!("backend_http={version}");
        world.cli(&["app", "set", "crm", "--set", &authority, "--set", &version]).unwrap();
        let (found, _) = checked(&world, &["crm"]);
        assert!(step(&found, "tls").1.contains("h2, certificate"), "{found:#}");
        assert!(step(&found, "http").1.starts_with("HTTP/2 "), "{found:#}");
    }
    world.cli(&["app", "set", "crm", "--set", "backend_http=1.1"]).unwrap();
    let (found, _) = checked(&world, &["crm"]);
    assert!(step(&found, "http").1.starts_with("HTTP/1.1 "), "{found:#}");
}

#[test]
fn what_cannot_be_asked_is_a_clear_error() {
    let mut world = World::usual().unwrap();
    let client = world.publish("app", "http://127.0.0.1:1/").unwrap();
    let refused = |arguments: &[&str], code: &str| {
        let output = world.cli_output(&[&["app", "check"], arguments].concat()).unwrap();
        let said = words(&output);
        assert!(!output.status.success() && said.contains(code), "{said}");
    };
    refused(&["none"], "no application");
    refused(&["app", "--connector", "c1-99"], "no connector");
    refused(&["app", "--user", "nobody"], "no user");
    world.cli(&["connector-group", "create", "branch"]).unwrap();
    world
        .cli(&[
            "app",
            "publish",
            "far",
            "--external",
            "https://far.example.test/",
            "--internal",
            "http://127.0.0.1:1/",
            "--preauth",
            "passthrough",
            "--group",
            "branch",
        ])
        .unwrap();
    refused(&["far"], "no connector of the group branch is online");
    refused(&["far", "--connector", &ids(&world)[0]], "served by the group branch");
    let alone = world.cli_output(&["app", "check", "app"]).unwrap();
    assert!(words(&alone).contains("only one connector of the group default is online"), "{}", words(&alone));

    // Users of the relay have no way to it: what they send is a request to the application, if it is anything.
    let audited =
        || world.json(&["audit", "list", "--action", "app.check"]).unwrap()["items"].as_array().unwrap().len();
    let before = audited();
    for path in ["/v1/tenants/default/apps/app/check", "/.well-known/postern/check"] {
        let body = br#"{"sign_on":true}"#;
        let answer =
            client.connect().unwrap().request("POST", path, &[("Content-Type", "application/json")], body).unwrap();
        assert_eq!(answer.status, 502, "the application is down: {}", answer.text());
    }
    assert_eq!(audited(), before);
    assert!(before >= 1, "each check is in the audit log");
    world.connectors.clear();
    let gone = |world: &World| {
        words(&world.cli_output(&["app", "check", "app"]).unwrap())
            .contains("no connector of the group default is online")
    };
    world.expect_within(std::time::Duration::from_secs(20), "it is noticed that none is online", gone).unwrap();
}
