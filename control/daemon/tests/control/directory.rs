//! Users, user groups and assignments: what is made, refused, kept, and told to relays.

use postern_model::link::{ToControl, ToRelay};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::peer::Relay;
use crate::world::World;

const USERS: &str = "/v1/tenants/default/users";
const GROUPS: &str = "/v1/tenants/default/user-groups";
const ASSIGNMENTS: &str = "/v1/tenants/default/assignments";
const TEST: &str = "/v1/tenants/default/membership-test";
const DOCUMENT: &str = "/v1/tenants/default/document";

pub(crate) fn create(world: &World, login: &str, more: &Value) -> Value {
    let mut body = json!({"login": login});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.done("POST", USERS, &body)
}

pub(crate) fn show(world: &World, path: &str) -> Value {
    world.done("GET", path, &Value::Null)
}

fn group(world: &World, name: &str, more: &Value) -> Value {
    let mut body = json!({"name": name});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.done("POST", GROUPS, &body)
}

fn add(world: &World, group: &str, members: &Value) {
    world.done::<Value>("PATCH", &format!("{GROUPS}/{group}/members"), &json!({"add": members}));
}

pub(crate) fn audit(world: &World) -> Vec<Value> {
    show(world, "/v1/audit?limit=1000")["items"].as_array().unwrap().clone()
}

#[test]
fn users_are_made_changed_and_deleted() {
    let mut world = World::start();
    let made = create(&world, "anna@example.com", &json!({"display_name": "Anna", "attributes": {"team": "a"}}));
    assert_eq!((&made["user"]["id"], &made["user"]["kind"]), (&json!("u1-1"), &json!("member")));
    create(&world, "berta", &json!({"guest": true, "expires_unix": 4_000_000_000u64}));
    let (code, detail) = world.refused("POST", USERS, &json!({"login": "berta"}));
    assert_eq!(code, "name-taken");
    assert!(detail.contains("u1-2"), "{detail}");

    let path = format!("{USERS}/anna%40example.com");
    let set = json!({"mail": "anna@example.com", "attributes": {"team": null, "country": "DE"}, "login": "anna"});
    world.done::<Value>("PATCH", &path, &set);
    let anna = show(&world, &format!("{USERS}/u1-1"));
    assert_eq!((&anna["login"], &anna["attributes"]), (&json!("anna"), &json!({"country": "DE"})));
    assert_eq!((&anna["active"], &anna["enabled"]), (&json!(true), &json!(true)));
    world.done::<Value>("PATCH", &format!("{USERS}/anna"), &json!({"mail": null, "enabled": false}));
    let anna = show(&world, &format!("{USERS}/anna"));
    assert_eq!((&anna["mail"], &anna["active"]), (&Value::Null, &json!(false)));

    let (_, detail) = world.refused("GET", &format!("{USERS}/bertha"), &Value::Null);
    assert!(detail.contains("did you mean \"berta\"?"), "{detail}");
    world.kill();
    world.restart(&[]);
    assert_eq!(show(&world, &format!("{USERS}/anna"))["attributes"], json!({"country": "DE"}));
    world.done::<Value>("DELETE", &format!("{USERS}/anna"), &Value::Null);
    world.refused("GET", &format!("{USERS}/anna"), &Value::Null);
    assert_eq!(create(&world, "anna", &json!({}))["user"]["id"], "u1-3", "an id is never used twice");

    let actions: Vec<String> = audit(&world).iter().rev().map(|r| r["action"].as_str().unwrap().into()).collect();
    let expected = ["init", "user.create", "user.create", "user.set", "user.set", "user.delete", "user.create"];
    assert_eq!(actions, expected);
    assert_eq!(audit(&world)[2]["after"], r#"member disabled display_name="Anna" country="DE""#);
}

#[test]
fn what_no_user_can_be_is_refused_by_name() {
    let world = World::start();
    create(&world, "anna", &json!({}));
    let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("a{n}"), json!("x"))).collect();
    for (body, code, says) in [
        (json!({"login": "Anna"}), "request-invalid", "write anna"),
        (json!({"login": "b", "mail": "nowhere"}), "request-invalid", "is not a mail address"),
        (json!({"login": "b", "display_name": "a\nb"}), "request-invalid", "control characters"),
        (json!({"login": "b", "display_name": "x".repeat(257)}), "request-invalid", "at most 256"),
        (json!({"login": "b", "attributes": {"login": "x"}}), "request-invalid", "means something else"),
        (json!({"login": "b", "attributes": many}), "limit-reached", "at most 64"),
        (json!({"login": "b", "expires_unix": 5}), "request-invalid", "only guests expire"),
        (json!({"login": "b", "guest": true, "expires_unix": 0}), "request-invalid", "from 1970 to 9999"),
        (json!({"login": "b", "password_hash": "x"}), "request-invalid", "unknown field"),
        (json!({"login": "b", "password": "seven77"}), "password-refused", "at least 8 characters"),
        (json!({"login": "b", "password": "password1"}), "password-refused", "tried first"),
    ] {
        let (found, detail) = world.refused("POST", USERS, &body);
        assert_eq!(found, code, "{body}: {detail}");
        assert!(detail.contains(says), "{body}: {detail}");
    }
    let (_, detail) = world.refused("PATCH", &format!("{USERS}/anna"), &json!({"expires_unix": 4_000_000_000u64}));
    assert!(detail.contains("only guests expire"), "{detail}");
    world.refused("GET", &format!("{USERS}?limit=many"), &Value::Null);
    assert_eq!(show(&world, USERS)["items"].as_array().unwrap().len(), 1);
}

#[test]
fn passwords_are_kept_as_hashes_that_nothing_shows() {
    let world = World::start();
    let secret = "correct horse battery";
    let made = create(&world, "anna", &json!({"password": secret}));
    assert!(made["user"]["password_set_unix_ms"].as_u64().unwrap() > 0);
    create(&world, "berta", &json!({}));
    let path = format!("{USERS}/berta/password");
    world.done::<Value>("PUT", &path, &json!({"password": "another long one"}));
    let (code, _) = world.refused("PUT", &path, &json!({"password": "short"}));
    assert_eq!(code, "password-refused");
    let shown = [
        show(&world, USERS),
        show(&world, &format!("{USERS}/anna")),
        show(&world, DOCUMENT),
        Value::Array(audit(&world)),
    ];
    let shown = json!(shown).to_string() + &world.log_text();
    assert!(!shown.contains("argon2") && !shown.contains(secret) && !shown.contains("another long"), "{shown}");
    assert!(shown.contains("user.password"));
    let database = rusqlite::Connection::open(world.state().join("control.db")).unwrap();
    let hash = |user: u32| -> String {
        database.query_row("SELECT phc FROM user_password WHERE user=?", [user], |row| row.get(0)).unwrap()
    };
    assert!(hash(1).starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && hash(1) != hash(2));
    world.done::<Value>("DELETE", &format!("{USERS}/anna"), &Value::Null);
    let left: u32 = database.query_row("SELECT count(*) FROM user_password", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1, "a user's hash goes with them");
}

#[test]
fn control_answers_while_it_hashes() {
    let world = World::start();
    create(&world, "anna", &json!({}));
    let path = format!("{USERS}/anna/password");
    std::thread::scope(|scope| {
        let hashing: Vec<_> = (0..6)
            .map(|n| {
                let (world, path) = (&world, &path);
                scope
                    .spawn(move || world.done::<Value>("PUT", path, &json!({"password": format!("correct horse {n}")})))
            })
            .collect();
        let mut asked = 0;
        while !hashing.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            show(&world, "/v1/status");
            asked += 1;
        }
        assert!(asked > 6, "only {asked} questions were answered meanwhile");
    });
}

#[test]
fn users_come_in_pages() {
    let world = World::start();
    for login in ["dora", "anna", "carl@example.com", "berta"] {
        create(&world, login, &json!({"display_name": login.to_uppercase()}));
    }
    let logins = |query: &str| -> (Vec<String>, Value) {
        let page = show(&world, &format!("{USERS}{query}"));
        let items = page["items"].as_array().unwrap().iter().map(|user| user["login"].as_str().unwrap().into());
        (items.collect(), page["next"].clone())
    };
    assert_eq!(logins("?limit=2"), (vec!["anna".into(), "berta".into()], json!("berta")));
    assert_eq!(logins("?limit=2&after=berta"), (vec!["carl@example.com".into(), "dora".into()], Value::Null));
    assert_eq!(logins("?filter=CARL%40").0, ["carl@example.com"]);
    assert_eq!(logins("?filter=%25").0, Vec::<String>::new());
}

#[test]
fn groups_are_filled_nested_and_ruled() {
    let world = World::start();
    for (login, department) in [("anna", "sales"), ("berta", "support"), ("carl", "sales")] {
        create(&world, login, &json!({"attributes": {"department": department}}));
    }
    group(&world, "staff", &json!({"description": "everyone", "owners": ["anna"]}));
    group(&world, "support", &json!({}));
    let ruled = group(&world, "sales", &json!({"rule": "department==\"sales\""}));
    assert_eq!(ruled["group"]["rule"], "department == \"sales\"");
    add(&world, "support", &json!({"users": ["berta", "anna"]}));
    add(&world, "staff", &json!({"groups": ["support", "sales"], "users": ["anna"]}));
    let staff = show(&world, &format!("{GROUPS}/staff"));
    assert_eq!(staff["members"], 3, "each counted once: {staff}");
    assert_eq!((&staff["user_logins"], &staff["owner_logins"]), (&json!(["anna"]), &json!(["anna"])));
    assert_eq!(staff["group_names"], json!(["support", "sales"]));
    assert_eq!(show(&world, &format!("{GROUPS}/support"))["members"], 2);
    assert_eq!(show(&world, &format!("{GROUPS}/sales"))["nested_in"], json!(["staff"]));

    let anna = show(&world, &format!("{USERS}/anna"));
    let via = |name: &str| {
        let groups = anna["groups"].as_array().unwrap();
        groups.iter().find(|group| group["name"] == name).map(|group| group["via"].as_str().unwrap())
    };
    assert_eq!((via("staff"), via("support"), via("sales")), (Some("direct"), Some("direct"), Some("rule")));
    let berta = show(&world, &format!("{USERS}/berta"));
    assert!(berta["groups"].to_string().contains(r#"{"name":"staff","via":"nested"}"#), "{berta}");

    world.done::<Value>("PATCH", &format!("{USERS}/carl"), &json!({"enabled": false}));
    assert_eq!(show(&world, &format!("{GROUPS}/sales"))["members"], 1, "who is disabled does not count");
    let members = json!({"remove": {"users": ["anna"], "groups": ["support"]}});
    world.done::<Value>("PATCH", &format!("{GROUPS}/staff/members"), &members);
    assert_eq!(audit(&world)[0]["after"], "-anna -group support");
    assert_eq!(show(&world, &format!("{GROUPS}/staff"))["members"], 1);
    let version = audit(&world)[0]["seq"].clone();
    world.done::<Value>("PATCH", &format!("{GROUPS}/staff/members"), &members);
    assert_eq!(audit(&world)[0]["seq"], version, "what changes nothing is no change");

    let asked = json!({"user": "anna", "group": "sales"});
    let tested: Value = world.done("POST", TEST, &asked);
    assert_eq!((&tested["matches"], &tested["via"]), (&json!(true), &json!("rule")));
    assert_eq!(tested["tests"][0]["value"], "sales");
    let tested: Value = world.done("POST", TEST, &json!({"user": "anna", "rule": "team present"}));
    assert_eq!((&tested["matches"], &tested["tests"][0]["holds"]), (&json!(false), &json!(false)));
}

#[test]
fn what_groups_cannot_be_is_refused() {
    let world = World::start();
    create(&world, "anna", &json!({}));
    for name in ["a", "b", "c"] {
        group(&world, name, &json!({}));
    }
    group(&world, "ruled", &json!({"rule": "team present"}));
    add(&world, "a", &json!({"groups": ["b"]}));
    add(&world, "b", &json!({"groups": ["c"]}));
    let (code, detail) = world.refused("PATCH", &format!("{GROUPS}/c/members"), &json!({"add": {"groups": ["a"]}}));
    assert_eq!(code, "user-group-cycle");
    assert!(detail.ends_with("c → a → b → c"), "{detail}");
    for (method, path, body, code, says) in [
        ("POST", GROUPS.to_owned(), json!({"name": "a"}), "name-taken", "ug1-1"),
        ("POST", GROUPS.to_owned(), json!({"name": "d", "rule": "x="}), "request-invalid", "column 2"),
        ("POST", GROUPS.to_owned(), json!({"name": "d", "owners": ["ana"]}), "not-found", "did you mean \"anna\""),
        ("PATCH", format!("{GROUPS}/a"), json!({"name": "b"}), "name-taken", "user group b"),
        ("PATCH", format!("{GROUPS}/a"), json!({"rule": "team present"}), "user-group-dynamic", "0 users and 1 groups"),
        ("PATCH", format!("{GROUPS}/ruled/members"), json!({"add": {"users": ["anna"]}}), "user-group-dynamic", "rule"),
        ("PATCH", format!("{GROUPS}/a/members"), json!({"add": {"groups": ["a"]}}), "user-group-cycle", "a → a"),
        ("PATCH", format!("{GROUPS}/ruld/members"), json!({}), "not-found", "did you mean \"ruled\""),
        ("DELETE", format!("{GROUPS}/b"), Value::Null, "still-used", "nested in a; --force"),
        ("POST", TEST.to_owned(), json!({"user": "anna"}), "request-invalid", "a rule or a group"),
    ] {
        let (found, detail) = world.refused(method, &path, &body);
        assert_eq!(found, code, "{path} {body}: {detail}");
        assert!(detail.contains(says), "{path} {body}: {detail}");
    }
    let gone: Value = world.done("DELETE", &format!("{GROUPS}/b?force=true"), &Value::Null);
    assert_eq!(gone["warnings"], json!(["b is no longer nested in a"]));
    add(&world, "c", &json!({"groups": ["a"]}));
    world.done::<Value>("PATCH", &format!("{GROUPS}/ruled"), &json!({"rule": null}));
    add(&world, "ruled", &json!({"users": ["anna"]}));
}

#[test]
fn assignments_are_told_to_relays_and_go_with_what_they_are_about() {
    let world = World::start();
    for app in ["wiki", "crm"] {
        world.publish(app, &format!("https://{app}.localhost"));
    }
    create(&world, "anna", &json!({}));
    group(&world, "staff", &json!({}));
    add(&world, "staff", &json!({"users": ["anna"]}));
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    let Some(ToRelay::Snapshot(mut state)) = relay.next() else { panic!("no snapshot") };
    let told = std::thread::spawn(move || {
        let mut most = 0;
        while state.apps.len() > 1 {
            let Some(ToRelay::Delta(delta)) = relay.next() else { panic!("no delta") };
            state.apply(&delta).unwrap();
            relay.send(&ToControl::Applied { version: state.version });
            most = most.max(state.assignments.len());
        }
        (most, state)
    });
    let assign = |body: Value| -> Value { world.done("PUT", ASSIGNMENTS, &body) };
    let first = assign(json!({"app": "wiki", "group": "staff", "role": "reader"}));
    assert_eq!(
        first["warnings"],
        json!(["wiki is published with --preauth passthrough: everybody reaches it, whoever is assigned"])
    );
    let again = assign(json!({"app": "wiki", "group": "staff", "role": "reader"}));
    assert_eq!(first["version"], again["version"], "what changes nothing is no change");
    assign(json!({"app": "wiki", "user": "anna", "expires_unix": 4_000_000_000u64}));
    assign(json!({"app": "crm", "everyone": true}));
    assign(json!({"app": "crm", "user": "anna", "expires_unix": 5}));
    let anna = show(&world, &format!("{USERS}/anna"));
    let deciding: Vec<_> =
        anna["assignments"].as_array().unwrap().iter().map(|a| (&a["app"], &a["principal"])).collect();
    assert_eq!(deciding, [(&json!("wiki"), &json!("user/anna")), (&json!("crm"), &json!("everyone"))]);
    let list = |query: &str| show(&world, &format!("{ASSIGNMENTS}{query}"))["items"].as_array().unwrap().len();
    assert_eq!((list(""), list("?app=crm"), list("?expiring_s=60"), list("?app=wiki&expiring_s=60")), (4, 2, 1, 0));

    let (code, detail) = world.refused("DELETE", &format!("{GROUPS}/staff"), &Value::Null);
    assert_eq!(code, "still-used");
    assert!(detail.contains("assigned to wiki"), "{detail}");
    let gone: Value = world.done("DELETE", &format!("{USERS}/anna"), &Value::Null);
    assert_eq!(gone["warnings"].as_array().unwrap().len(), 2, "{gone}");
    assert_eq!(audit(&world)[0]["before"], "member; assigned to wiki, crm");
    assert_eq!(list(""), 2);
    world.done::<Value>("DELETE", &format!("{ASSIGNMENTS}/wiki/group/staff"), &Value::Null);
    let (code, _) = world.refused("DELETE", &format!("{ASSIGNMENTS}/wiki/group/staff"), &Value::Null);
    assert_eq!(code, "not-found");
    world.done::<Value>("DELETE", "/v1/tenants/default/apps/crm", &Value::Null);
    let (most, state) = told.join().unwrap();
    assert_eq!((most, state.assignments.len()), (4, 0), "the application took its assignment with it");
}

#[test]
fn wrong_assignments_are_refused() {
    let world = World::start();
    world.publish("wiki", "https://wiki.localhost");
    create(&world, "anna", &json!({}));
    for (body, says) in [
        (json!({"app": "wikki", "user": "anna"}), "did you mean \"wiki\""),
        (json!({"app": "wiki", "user": "ana"}), "did you mean \"anna\""),
        (json!({"app": "wiki", "group": "staff"}), "user group"),
        (json!({"app": "wiki"}), "one of them"),
        (json!({"app": "wiki", "user": "anna", "everyone": true}), "one of them"),
        (json!({"app": "wiki", "user": "anna", "role": "The Boss"}), "a name"),
        (json!({"app": "wiki", "user": "anna", "expires_unix": u64::MAX}), "from 1970 to 9999"),
    ] {
        let (_, detail) = world.refused("PUT", ASSIGNMENTS, &body);
        assert!(detail.contains(says), "{body}: {detail}");
    }
    world.refused("DELETE", &format!("{ASSIGNMENTS}/wiki/nobody"), &Value::Null);
    let over: Value = world.done("PUT", ASSIGNMENTS, &json!({"app": "wiki", "user": "anna", "expires_unix": 5}));
    assert!(over["warnings"].to_string().contains("counts for nothing"), "{over}");
}

#[test]
fn who_publishes_or_assigns_is_told_what_keeps_people_out() {
    let world = World::start();
    let mut app = crate::world::app("wiki", "https://wiki.localhost");
    app["preauth"] = json!("oidc");
    let nowhere =
        "wiki: people cannot sign in, only service tokens pass: postern identity publish --external https://HOST/";
    let nobody = "wiki: nobody is assigned, only service tokens pass: postern assign wiki --user LOGIN";
    let said = |answer: &Value| {
        let warnings = answer["warnings"].as_array().unwrap();
        [nowhere, nobody].map(|text| warnings.iter().filter(|warning| *warning == text).count())
    };
    let published: Value = world.done("POST", "/v1/tenants/default/apps", &app);
    assert_eq!(said(&published), [1, 1], "{published}");
    create(&world, "anna", &json!({}));
    let over = json!({"app": "wiki", "user": "anna", "expires_unix": 5});
    assert_eq!(said(&world.done("PUT", ASSIGNMENTS, &over)), [1, 0]);
    let again = || world.done::<Value>("PATCH", "/v1/tenants/default/apps/wiki", &json!({"preauth": "oidc"}));
    assert_eq!(said(&again()), [1, 1], "what has ended lets nobody in");
    let entry =
        json!({"external_url": "https://wiki.localhost/", "internal_url": "http://127.0.0.1:9/", "preauth": "oidc"});
    let document = json!({"apps": {"wiki": entry}, "assignments": [{"app": "wiki", "everyone": true}]});
    let applied: Value = world.done("POST", "/v1/tenants/default/apply", &json!({"document": document}));
    assert_eq!(said(&applied), [1, 0], "once, though two parts of the file are about it: {applied}");
    world.done::<Value>("PUT", "/v1/identity", &json!({"external_url": "https://login.localhost/"}));
    assert_eq!(said(&again()), [0, 0]);
    let set: Value = world.done("PUT", ASSIGNMENTS, &json!({"app": "wiki", "user": "anna"}));
    assert_eq!(set["warnings"], json!([]));
    world.done::<Value>("DELETE", &format!("{ASSIGNMENTS}/wiki/user/anna"), &Value::Null);
    world.done::<Value>("DELETE", &format!("{ASSIGNMENTS}/wiki/everyone"), &Value::Null);
    assert_eq!(said(&again()), [0, 1]);
}

#[test]
fn tenants_know_nothing_of_each_other() {
    let world = World::start();
    world.done::<Value>("POST", "/v1/tenants", &json!({"name": "acme"}));
    create(&world, "anna", &json!({}));
    let users = "/v1/tenants/acme/users";
    let made: Value = world.done("POST", users, &json!({"login": "anna"}));
    assert_eq!(made["user"]["id"], "u2-1");
    world.refused("GET", &format!("{users}/u1-1"), &Value::Null);
    world.done::<Value>("POST", "/v1/tenants/acme/user-groups", &json!({"name": "staff"}));
    let (code, detail) = world.refused("DELETE", "/v1/tenants/acme", &Value::Null);
    assert_eq!(code, "still-used");
    assert!(detail.contains("1 users"), "{detail}");
    world.done::<Value>("DELETE", &format!("{users}/anna"), &Value::Null);
    world.done::<Value>("DELETE", "/v1/tenants/acme", &Value::Null);
    assert_eq!(show(&world, "/v1/tenants/default")["users"], 1);
}
