//! Applications that ask who is there, and the service tokens that let machines in: refused and let in by the real programs,
//! ended when a token is taken back.

mod revocation;

use std::process::Command;
use std::time::Duration;

use postern_tests::client::{Answer, Client};
use postern_tests::origin::Origin;
use postern_tests::within;
use postern_tests::world::World;
use serde_json::Value;

/// One application that asks.
fn scene() -> (World, Origin, Client) {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = publish(&world, &origin, "app");
    (world, origin, client)
}

fn publish(world: &World, origin: &Origin, name: &str) -> Client {
    let client = world.publish(name, &origin.url()).unwrap();
    world.cli(&["app", "set", name, "--preauth", "oidc"]).unwrap();
    client
}

fn token(world: &World, name: &str, app: &str) -> String {
    world.cli(&["access", "token", "create", name, "--app", app]).unwrap().trim().to_owned()
}

fn access(world: &World, words: &[&str]) -> String {
    world.cli(&[&["access", "token"], words].concat()).unwrap()
}

fn ask(client: &Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    client.connect().unwrap().request("GET", path, fields, b"").unwrap()
}

/// The status of a request that shows this, and the code of its refusal.
fn shown(client: &Client, authorization: &str) -> (u16, String) {
    told(&ask(client, "/bytes/3", &[("Authorization", authorization)]))
}

fn told(answer: &Answer) -> (u16, String) {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    assert_eq!(answer.header("www-authenticate").is_some(), matches!(answer.status, 401 | 403), "{answer:?}");
    (answer.status, json["code"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn passed() -> (u16, String) {
    (200, String::new())
}

#[test]
fn nobody_passes_without_a_token_that_is_good_here_and_now() {
    let (world, origin, client) = scene();
    let other = publish(&world, &origin, "other");
    let backup = token(&world, "backup", "app");
    let bearer = format!("Bearer {backup}");
    assert_eq!(shown(&client, &bearer), passed());
    assert_eq!(shown(&client, &format!("bearer {backup}")), passed());
    let requests = origin.requests();

    assert_eq!(told(&ask(&client, "/", &[])), refused(401, "sign-in-required"));
    assert_eq!(shown(&client, "Basic bWU6bWU="), refused(401, "sign-in-required"));
    let in_query = ask(&client, &format!("/?access_token={backup}"), &[]);
    assert_eq!(told(&in_query), refused(401, "sign-in-required"));
    let invalid = refused(401, "access-token-invalid");
    let last = if backup.ends_with('A') { 'E' } else { 'A' };
    assert_eq!(shown(&client, &format!("Bearer {}{last}", &backup[..backup.len() - 1])), invalid);
    assert_eq!(shown(&client, &bearer[..bearer.len() - 1]), invalid);
    assert_eq!(shown(&client, &bearer.replace("st1-1", "st1-77")), invalid);
    let twice = [("Authorization", &*bearer), ("Authorization", &bearer)];
    assert_eq!(told(&ask(&client, "/", &twice)), invalid);
    assert_eq!(shown(&other, &bearer), refused(403, "access-token-not-for-app"));

    access(&world, &["disable", "backup"]);
    assert_eq!(shown(&client, &bearer), invalid);
    access(&world, &["enable", "backup"]);
    access(&world, &["set", "backup", "--app", "other"]);
    assert_eq!(shown(&client, &bearer), refused(403, "access-token-not-for-app"));
    assert_eq!(shown(&other, &bearer), passed());
    access(&world, &["set", "backup", "--add-app", "app"]);
    let rotated = access(&world, &["rotate", "backup"]);
    assert_eq!(shown(&client, &bearer), invalid);
    assert_eq!(shown(&client, &format!("Bearer {}", rotated.trim())), passed());
    access(&world, &["set", "backup", "--ttl", "1s"]);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(shown(&client, &format!("Bearer {}", rotated.trim())), refused(401, "access-token-expired"));
    access(&world, &["revoke", "backup"]);
    assert_eq!(shown(&client, &format!("Bearer {}", rotated.trim())), invalid);
    assert_eq!(origin.requests(), requests + 2, "what is refused does not reach the application");
}

#[test]
fn the_application_hears_who_asks_and_gets_no_credentials_of_ours() {
    let (world, _origin, client) = scene();
    let client = client.bearing(&token(&world, "backup", "app"));
    let forged = [
        ("X-Postern-Service", "root"),
        ("x_postern_service", "root"),
        ("X-POSTERN-SERVICE", "root"),
        ("X-Forwarded-User", "root"),
        ("Remote_User", "root"),
        ("X-Mine", "1"),
    ];
    let head = ask(&client, "/head", &forged).text().to_lowercase();
    assert_eq!(head.matches("x-postern-service: backup\r\n").count(), 1, "{head}");
    for absent in ["root", "authorization", "pst_"] {
        assert!(!head.contains(absent), "{absent}: {head}");
    }
    assert!(head.contains("x-mine: 1"), "{head}");

    let token = access(&world, &["rotate", "backup"]);
    let fields = world.path("fields");
    let lines =
        format!("Authorization: Bearer {token}x_postern_service: root\nX-Postern-Service: root\nRemote-User: root\n");
    postern_tests::world::write_secret(&fields, &lines).unwrap();
    let mut curl = Command::new("curl");
    curl.args(world.curl("app.example.test")).args(["--http2", "-sf", "-H"]).arg(format!("@{}", fields.display()));
    let output = curl.arg(format!("https://{}/head", client.host)).output().unwrap();
    let head = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert_eq!(head.matches("x-postern-service: backup\r\n").count(), 1, "{head}");
    assert!(!head.contains("root") && !head.contains("authorization"), "{head}");

    // An application that does not ask has the client's own credentials and nobody's name, and no token either.
    let said = world.cli_output(&["app", "set", "app", "--preauth", "passthrough"]).unwrap();
    let warned = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && warned.contains("asked for no more: backup"), "{warned}");
    let head = ask(&client, "/head", &[("Remote-User", "me")]).text().to_lowercase();
    assert!(head.contains("remote-user: me") && !head.contains("pst_"), "{head}");
    assert!(!head.contains("x-postern-service") && !head.contains("authorization"), "{head}");
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "echo")];
    assert!(!ask(&client, "/head", &upgrade).text().to_lowercase().contains("pst_"));
    let mut curl = Command::new("curl");
    curl.args(world.curl("app.example.test")).args(["--http2", "-sf", "-H"]).arg(format!("@{}", fields.display()));
    let output = curl.arg(format!("https://{}/head", client.host)).output().unwrap();
    let head = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(head.starts_with("get ") && !head.contains("pst_") && !head.contains("authorization"), "{head}");
    let mut own = world.client(&client.host).unwrap().connect().unwrap();
    let head = own.request("GET", "/head", &[("Authorization", "Bearer its-own")], b"").unwrap();
    assert!(head.text().contains("Bearer its-own"), "{}", head.text());
}

#[test]
fn what_is_recorded_says_who_and_nothing_of_the_secret() {
    let (world, _origin, client) = scene();
    let text = token(&world, "backup", "app");
    let client = client.bearing(&text);
    assert_eq!(ask(&client, "/bytes/7", &[]).status, 200);
    let unknown = ask(&client.bearing(&text.replace("st1-1", "st1-9")), "/bytes/8", &[]);
    assert_eq!(unknown.status, 401);
    let line = |path: &str| -> Option<Value> {
        let log = std::fs::read_to_string(world.path("relay/access.log")).unwrap_or_default();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).find(|line: &Value| line["path"] == path)
    };
    assert!(within(Duration::from_secs(10), || line("/bytes/7").is_some() && line("/bytes/8").is_some()));
    let (known, refused) = (line("/bytes/7").unwrap(), line("/bytes/8").unwrap());
    assert_eq!((&known["subject"], &known["status"]), (&"service/backup".into(), &200.into()), "{known}");
    assert!(refused.get("subject").is_none(), "{refused}");
    assert_eq!((&refused["code"], &refused["app_name"]), (&"access-token-invalid".into(), &"app".into()));
    let explained = world.cli(&["explain", known["request_id"].as_str().unwrap()]).unwrap();
    assert!(explained.contains("service/backup"), "{explained}");

    let secret = &text[text.len() - 43..];
    let mut seen = explained + &world.logs() + &world.cli(&["audit", "list"]).unwrap() + &unknown.text();
    seen += &std::fs::read_to_string(world.path("relay/access.log")).unwrap();
    assert!(!seen.contains(secret));
}

#[test]
fn who_tries_tokens_is_held_back_at_his_source() {
    let (world, origin, client) = scene();
    world.cli(&["throttle", "set", "source", "--rps", "1", "--burst", "5"]).unwrap();
    let before = origin.requests();
    let mut connection = client.bearing("pst_st1-1_guessed").connect().unwrap();
    let statuses: Vec<u16> = (0..8).map(|_| connection.get("/").unwrap().status).collect();
    assert_eq!(statuses[..5], [401; 5]);
    assert!(statuses[6..].iter().all(|status| *status == 429), "{statuses:?}");
    assert_eq!(origin.requests(), before);
}

#[test]
fn the_relay_says_how_to_be_let_in() {
    let (world, origin, client) = scene();
    let part = format!("https://{}/part/", client.host);
    let words = ["app", "publish", "part", "--external", &part, "--internal", &origin.url(), "--preauth", "oidc"];
    let said = world.cli_output(&words).unwrap();
    let warned = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.status.success() && warned.contains("part: people cannot sign in, only service tokens pass"),
        "{warned}"
    );
    let place = "/.well-known/oauth-protected-resource";
    for (path, resource, asked) in [("", "", "/x"), ("/part", "/part", "/part/x")] {
        let refused = ask(&client, asked, &[]);
        let metadata = format!("resource_metadata=\"https://{}{place}{path}\"", client.host);
        assert!(refused.header("www-authenticate").unwrap().contains(&metadata), "{refused:?}");
        let answer = ask(&client, &format!("{place}{path}"), &[]);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(json["resource"], format!("https://{}{resource}", client.host));
        assert_eq!(json["bearer_methods_supported"], serde_json::json!(["header"]));
    }
    let wrong = client.connect().unwrap().request("PUT", place, &[], b"x").unwrap();
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
}
