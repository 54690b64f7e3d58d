//! SCIM through the real relay, identity process and control: as Entra ID and Okta send it, and by a checker of the standard.

use std::process::Command;
use std::time::{Duration, Instant};

use postern_tests::client::Client;
use postern_tests::identity::Identity;
use postern_tests::origin::Origin;
use postern_tests::person::leads_to;
use postern_tests::world::{World, write_secret};
use postern_tests::{pass_over, within};
use serde_json::{Value, json};

/// Names a Python that has scim2-tester and scim2-client[httpx2]: `tests/peers/scim/requirements.txt`.
const CHECKER_VARIABLE: &str = "POSTERN_TEST_SCIM_CHECKER";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

struct Scene {
    world: World,
    identity: Identity,
    client: Client,
}

impl Scene {
    fn start() -> Scene {
        let world = World::usual().unwrap();
        let identity = Identity::start(&world).unwrap();
        let token = world.cli(&["scim", "enable", "--name", "entra"]).unwrap();
        let client = identity.client.bearing(&token);
        Scene { world, identity, client }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        ask(&self.client, method, path, &[], body)
    }

    fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    fn find(&self, kind: &str, filter: &str) -> Vec<Value> {
        let page = self.done("GET", &format!("/{kind}?filter={}", encoded(filter)), &Value::Null);
        page["Resources"].as_array().unwrap().clone()
    }

    fn patch(&self, path: &str, operations: &Value) -> Value {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        self.done("PATCH", path, &body)
    }
}

fn ask(client: &Client, method: &str, path: &str, fields: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let fields = [&[("Content-Type", "application/scim+json")][..], fields].concat();
    let answer = client.connect().unwrap().request(method, &format!("/scim/v2{path}"), &fields, &body).unwrap();
    if answer.status == 401 {
        assert!(answer.header("www-authenticate").is_some_and(|field| field.starts_with("Bearer")), "{answer:?}");
    }
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// What Entra ID sends for a new user.
fn anna() -> Value {
    json!({
        "schemas": [USER, ENTERPRISE], "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Anna.Berg@Example.com", "active": true, "displayName": "Anna Berg",
        "emails": [{"primary": true, "type": "work", "value": "anna.berg@example.com"}],
        "meta": {"resourceType": "User"}, "name": {"formatted": "Anna Berg", "familyName": "Berg", "givenName": "Anna"},
        "roles": [], "title": "Lead", ENTERPRISE: {"department": "Sales"},
    })
}

#[test]
fn users_live_as_entra_id_wants() {
    let scene = Scene::start();
    assert_eq!(scene.find("Users", r#"userName eq "anna.berg@example.com""#), Vec::<Value>::new());
    let made = scene.done("POST", "/Users", &anna());
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!((&made["userName"], &made["externalId"]), (&json!("anna.berg@example.com"), &anna()["externalId"]));
    let shown = scene.world.json(&["user", "show", &id]).unwrap();
    assert_eq!((&shown["display_name"], &shown["attributes"]["department"]), (&json!("Anna Berg"), &json!("Sales")));
    let (status, again) = scene.ask("POST", "/Users", &anna());
    assert_eq!((status, &again["scimType"]), (409, &json!("uniqueness")), "{again}");
    for filter in [
        r#"userName eq "ANNA.berg@example.com""#,
        r#"externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef""#,
        r#"emails[type eq "work"].value eq "x" or displayName sw "anna" and title pr"#,
        r#"name.familyName co "ER" and active eq true"#,
    ] {
        let (status, page) = scene.ask("GET", &format!("/Users?filter={}", encoded(filter)), &Value::Null);
        let expected = if filter.contains("].value") { (400, Value::Null) } else { (200, json!(1)) };
        assert_eq!((status, page["totalResults"].clone()), expected, "{filter}: {page}");
    }
    let path = format!("/Users/{id}");
    let changed = scene.patch(
        &path,
        &json!([
            {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "a.berg@example.com"},
            {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Support"},
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "Remove", "path": "title"},
        ]),
    );
    assert_eq!((&changed["active"], &changed["title"]), (&json!(false), &Value::Null));
    assert_eq!(
        (&changed["emails"][0]["value"], &changed[ENTERPRISE]["department"]),
        (&json!("a.berg@example.com"), &json!("Support"))
    );
    assert_eq!(scene.world.json(&["user", "show", &id]).unwrap()["enabled"], false);
    scene.done("DELETE", &path, &Value::Null);
    assert_eq!(scene.ask("GET", &path, &Value::Null).0, 404);
    let audit = scene.world.json(&["audit", "list"]).unwrap();
    let by_scim: Vec<&str> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .filter(|record| record["actor"] == "scim entra")
        .filter_map(|record| record["action"].as_str())
        .collect();
    assert_eq!(by_scim, ["user.create", "scim.link", "user.set", "user.delete"]);
}

#[test]
fn groups_are_filled_as_entra_id_and_okta_want() {
    let scene = Scene::start();
    let user =
        |login: &str| scene.done("POST", "/Users", &json!({"userName": login}))["id"].as_str().unwrap().to_owned();
    let (anna, bert, carl) = (user("anna"), user("bert"), user("carl"));
    let made = scene.done(
        "POST",
        "/Groups",
        &json!({"displayName": "Sales & Support", "externalId": "g-1", "members": [{"value": anna}]}),
    );
    let path = format!("/Groups/{}", made["id"].as_str().unwrap());
    let members = || -> Vec<Value> {
        let group = scene.done("GET", &path, &Value::Null);
        group["members"].as_array().map(|all| all.iter().map(|one| one["value"].clone()).collect()).unwrap_or_default()
    };
    assert_eq!(members(), [anna.as_str()]);
    let shown = scene.world.json(&["group", "show", "sales-support"]).unwrap();
    assert_eq!(shown["description"], "Sales & Support");
    assert_eq!(scene.find("Groups", r#"displayName eq "sales & support""#).len(), 1);
    let asked = format!(r#"id eq "{}" and members eq "{anna}""#, made["id"].as_str().unwrap());
    assert_eq!(scene.find("Groups", &asked).len(), 1, "how Entra ID asks whether somebody is in it");
    scene.patch(&path, &json!([{"op": "Add", "path": "members", "value": [{"value": bert}, {"value": carl}]}]));
    assert_eq!(members(), [anna.as_str(), &bert, &carl]);
    scene.patch(&path, &json!([{"op": "Remove", "path": format!("members[value eq \"{bert}\"]")}]));
    scene.patch(&path, &json!([{"op": "Remove", "path": "members", "value": [{"value": carl}]}]));
    assert_eq!(members(), [anna.as_str()]);
    scene.patch(&path, &json!([{"op": "replace", "path": "members", "value": [{"value": carl}]}, {"op": "replace", "value": {"displayName": "Sales"}}]));
    assert_eq!(members(), [carl.as_str()]);
    let put = scene.done("PUT", &path, &json!({"displayName": "Sales", "members": [{"value": bert}]}));
    assert_eq!((&put["externalId"], members()), (&Value::Null, vec![json!(bert)]));
    let (status, refused) = scene.ask("PUT", &path, &json!({"displayName": "Sales", "members": [{"value": "u1-99"}]}));
    assert_eq!((status, &refused["scimType"]), (400, &json!("invalidValue")), "{refused}");
    scene.world.cli(&["group", "create", "ruled", "--rule", "login == \"anna\""]).unwrap();
    let ruled = scene.find("Groups", r#"displayName eq "ruled""#)[0]["id"].as_str().unwrap().to_owned();
    let (status, refused) = scene.ask(
        "PATCH",
        &format!("/Groups/{ruled}"),
        &json!({"Operations": [{"op": "add", "path": "members", "value": [{"value": anna}]}]}),
    );
    assert_eq!((status, &refused["scimType"]), (400, &json!("mutability")), "{refused}");
    let publish =
        "app publish wiki --external https://wiki.localhost/ --internal http://127.0.0.1:9/ --preauth passthrough";
    scene.world.cli(&publish.split(' ').collect::<Vec<_>>()).unwrap();
    scene.world.cli(&["assign", "wiki", "--group", "sales-support"]).unwrap();
    assert_eq!(scene.ask("DELETE", &path, &Value::Null).0, 409, "what is used stays");
    scene.world.cli(&["app", "unpublish", "wiki"]).unwrap();
    scene.done("DELETE", &path, &Value::Null);
    assert_eq!(scene.ask("GET", &path, &Value::Null).0, 404);
}

#[test]
fn what_a_token_is_good_for_is_its_tenant_and_no_more() {
    let mut scene = Scene::start();
    scene.done("POST", "/Users", &json!({"userName": "anna"}));
    scene.world.cli(&["tenant", "create", "acme"]).unwrap();
    let other = scene.world.cli(&["scim", "enable", "--tenant", "acme"]).unwrap();
    let other = scene.identity.client.bearing(&other);
    assert_eq!(ask(&other, "GET", "/Users", &[], &Value::Null).1["totalResults"], 0);
    for (method, path) in [("GET", "/Users/u1-1"), ("DELETE", "/Users/u1-1"), ("GET", "/Groups/ug1-1")] {
        assert_eq!(ask(&other, method, path, &[], &Value::Null).0, 404, "{method} {path}");
    }
    let group = json!({"displayName": "x", "members": [{"value": "u1-1"}]});
    assert_eq!(ask(&other, "POST", "/Groups", &[], &group).0, 400, "nobody of another tenant gets into a group");
    let nobody = scene.identity.client.clone();
    assert_eq!(ask(&nobody, "GET", "/Users", &[], &Value::Null).0, 401);
    let rotated = scene.world.cli(&["scim", "rotate"]).unwrap();
    assert_eq!(scene.ask("GET", "/ServiceProviderConfig", &Value::Null).0, 401, "the old one is good no longer");
    scene.client = scene.identity.client.bearing(&rotated);
    assert_eq!(scene.ask("GET", "/ServiceProviderConfig", &Value::Null).1["bulk"]["supported"], false);
    scene.world.cli(&["scim", "disable"]).unwrap();
    assert_eq!(scene.ask("GET", "/Users", &Value::Null).0, 401);
    let from = nobody.bound_to(std::net::Ipv4Addr::new(127, 0, 0, 9).into());
    let statuses: Vec<u16> =
        (0..12).map(|_| ask(&from.bearing("psc_t1_x"), "GET", "/Users", &[], &Value::Null).0).collect();
    assert_eq!((statuses[0], statuses[11]), (401, 429), "{statuses:?}");
    let good = other.bound_to(std::net::Ipv4Addr::new(127, 0, 0, 9).into());
    assert_eq!(ask(&good, "GET", "/Users", &[], &Value::Null).0, 200, "a right token does not wait for wrong ones");
}

#[test]
fn versions_are_kept_and_bad_requests_refused() {
    let scene = Scene::start();
    let made = scene.done("POST", "/Users", &json!({"userName": "anna", "password": "correct horse battery"}));
    assert!(made.get("password").is_none(), "{made}");
    let version = made["meta"]["version"].as_str().unwrap().to_owned();
    let get = |version: &str| ask(&scene.client, "GET", "/Users/u1-1", &[("If-None-Match", version)], &Value::Null).0;
    assert_eq!((get(&version), get("W/\"77\"")), (304, 200));
    let put = json!({"userName": "anna", "displayName": "Anna"});
    let with = |version: &str| ask(&scene.client, "PUT", "/Users/u1-1", &[("If-Match", version)], &put);
    assert_eq!((with("W/\"77\"").0, with(&version).0, with(&version).0), (412, 200, 412));
    let unchanged = |body: &Value| scene.done("PUT", "/Users/u1-1", body)["meta"]["version"].clone();
    assert_eq!(unchanged(&put), unchanged(&put), "nothing changes");
    let big = json!({"userName": "x".repeat(300 << 10)});
    for (method, path, body, status) in [
        ("POST", "/Users", json!([]), 400),
        ("POST", "/Users", json!({"userName": "a b"}), 400),
        ("POST", "/Users", json!({"userName": "b", "password": "short"}), 400),
        ("GET", "/Users?filter=x", Value::Null, 400),
        ("GET", "/Users?count=many", Value::Null, 400),
        ("POST", "/Bulk", json!({}), 501),
        ("GET", "/Me", Value::Null, 501),
        ("GET", "/Devices", Value::Null, 404),
        ("DELETE", "/Users", Value::Null, 405),
        ("PATCH", "/Users/u1-1", json!({"Operations": [{"op": "replace", "path": "id", "value": "u1-2"}]}), 400),
        ("PATCH", "/Users/u1-1", json!({"Operations": [{"op": "remove", "path": "active"}]}), 400),
        ("POST", "/Users", big, 413),
    ] {
        let (found, answer) = scene.ask(method, path, &body);
        assert_eq!(found, status, "{method} {path}: {answer}");
        assert_eq!(answer["status"], status.to_string(), "{method} {path}: {answer}");
    }
    assert_eq!(scene.done("GET", "/Users?count=0", &Value::Null)["totalResults"], 1);
}

#[test]
fn who_is_not_active_any_more_is_signed_out_within_a_second() {
    let scene = Scene::start();
    let origin = Origin::start().unwrap();
    let app = scene.world.publish("app", &origin.url()).unwrap();
    scene.world.cli(&["app", "set", "app", "--preauth", "oidc"]).unwrap();
    scene.done("POST", "/Users", &json!({"userName": "anna", "password": "correct horse battery"}));
    scene.world.cli(&["assign", "app", "--user", "anna"]).unwrap();
    let cookies = sign_in(&scene, &app);
    let status = || {
        let fields = [("Cookie", cookies.as_str()), ("Accept", "text/html")];
        app.connect().unwrap().request("GET", "/bytes/3", &fields, b"").unwrap().status
    };
    assert_eq!(status(), 200);
    let begun = Instant::now();
    scene.patch("/Users/u1-1", &json!([{"op": "replace", "value": {"active": false}}]));
    assert!(within(Duration::from_secs(1), || status() != 200), "still signed in");
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
}

/// The cookies at the application of somebody who signed in.
fn sign_in(scene: &Scene, app: &Client) -> String {
    let login = &scene.identity.client;
    let first = app.connect().unwrap().request("GET", "/bytes/3", &[("Accept", "text/html")], b"").unwrap();
    let flow_cookie = cookie(&first);
    let page = login.get(path_of(first.header("location").unwrap())).unwrap().text();
    let flow = page.split("name=\"flow\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let origin = format!("https://{}", login.host);
    let form = format!("flow={}&login=anna&password=correct+horse+battery", encoded(&flow));
    let fields = [("Origin", origin.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    let posted = login.connect().unwrap().request("POST", "/sign-in", &fields, form.as_bytes()).unwrap();
    let back = leads_to(&posted).unwrap_or_else(|| panic!("{}", posted.text()));
    let back = path_of(&back).to_owned();
    let fields = [("Cookie", flow_cookie.as_str()), ("Accept", "text/html")];
    let callback = app.connect().unwrap().request("GET", &back, &fields, b"").unwrap();
    cookie(&callback)
}

fn cookie(answer: &postern_tests::client::Answer) -> String {
    let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    set.filter_map(|(_, value)| value.split(';').next())
        .filter(|pair| !pair.ends_with('='))
        .collect::<Vec<_>>()
        .join("; ")
}

fn path_of(url: &str) -> &str {
    url.splitn(4, '/').nth(3).and_then(|rest| url.get(url.len() - rest.len() - 1..)).unwrap_or("/")
}

/// scim2-tester: what it checks is in its documentation. Not there: nothing is checked, and said so.
#[test]
fn a_checker_of_the_standard_finds_nothing() {
    let python = std::env::var_os(CHECKER_VARIABLE).filter(|python| std::path::Path::new(python).exists());
    let Some(python) = python else {
        return pass_over(&format!("{CHECKER_VARIABLE} names no Python with scim2-tester"));
    };
    let scene = Scene::start();
    let token = scene.world.cli(&["scim", "rotate"]).unwrap();
    let file = scene.world.path("scim-token");
    write_secret(&file, &token).unwrap();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/scim/check.py");
    let mut check = Command::new(python);
    check.arg(program).arg("--host").arg(&scene.identity.client.host).arg("--token-file").arg(&file);
    check.arg("--authority").arg(scene.world.authority());
    let output = check.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}\n{}", String::from_utf8_lossy(&output.stderr), scene.world.logs());
}
