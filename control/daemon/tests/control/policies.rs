//! Policies: made, changed and kept, told to relays, refused where they make no sense, and never wider by what goes.

use postern_model::link::{ToControl, ToRelay};
use postern_model::policy::PolicyState;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::directory::{audit, create, show};
use crate::peer::Relay;
use crate::world::World;

pub(crate) const TENANT: &str = "/v1/tenants/default";
const POLICIES: &str = "/v1/tenants/default/policies";
const WHAT_IF: &str = "/v1/tenants/default/policy-what-if";
const APPLY: &str = "/v1/tenants/default/apply";

/// Anna in the group staff; the applications wiki and crm, to which staff is assigned; the network hq.
pub(crate) fn world() -> World {
    let world = World::start();
    for name in ["wiki", "crm"] {
        let mut app = crate::world::app(name, &format!("https://{name}.localhost"));
        app["preauth"] = json!("oidc");
        world.done::<Value>("POST", &format!("{TENANT}/apps"), &app);
    }
    create(&world, "anna", &json!({}));
    create(&world, "berta", &json!({"guest": true}));
    world.done::<Value>("POST", &format!("{TENANT}/user-groups"), &json!({"name": "staff"}));
    let anna = json!({"add": {"users": ["anna"]}});
    world.done::<Value>("PATCH", &format!("{TENANT}/user-groups/staff/members"), &anna);
    world.done::<Value>("PUT", &format!("{TENANT}/assignments"), &json!({"app": "crm", "group": "staff"}));
    world.done::<Value>("PUT", &format!("{TENANT}/networks/hq"), &json!({"prefixes": ["192.0.2.0/24"]}));
    world
}

pub(crate) fn make(world: &World, name: &str, policy: Value) -> Value {
    world.done("POST", POLICIES, &json!({"name": name, "policy": policy}))
}

pub(crate) fn mfa_outside() -> Value {
    json!({"groups": ["staff"], "apps": ["crm"], "except_networks": ["hq"], "require": ["mfa"]})
}

fn policy(world: &World, name: &str) -> Value {
    show(world, &format!("{POLICIES}/{name}"))["policy"].clone()
}

#[test]
fn a_policy_is_kept_as_it_was_written() {
    let mut world = world();
    let made = make(&world, "mfa-outside", mfa_outside());
    assert_eq!(made["policy"]["id"], "p1-1");
    let mut expected = mfa_outside();
    expected["state"] = json!("on");
    assert_eq!(made["policy"]["policy"], expected);
    let path = format!("{POLICIES}/mfa-outside");
    let changed: Value = world.done(
        "PATCH",
        &path,
        &json!({"policy": {"except_networks": null, "countries": ["DE"], "idle_max_s": 60}}),
    );
    expected.as_object_mut().unwrap().remove("except_networks");
    (expected["countries"], expected["idle_max_s"]) = (json!(["DE"]), json!(60));
    assert_eq!(changed["policy"]["policy"], expected);
    let same: Value = world.done("PATCH", &path, &json!({"policy": {"idle_max_s": 60}}));
    assert_eq!(same["warnings"], json!(["mfa-outside: nothing changes: it is so already"]));
    world.done::<Value>("PATCH", &path, &json!({"policy": {"state": "report-only"}}));
    world.done::<Value>("PATCH", &path, &json!({"name": "german"}));
    let records = audit(&world);
    let actions = records.iter().filter_map(|record| record["action"].as_str());
    let own: Vec<&str> = actions.filter(|action| action.starts_with("policy")).collect();
    let mut in_order = own.clone();
    in_order.sort_unstable();
    assert_eq!(in_order, ["policy.create", "policy.report-only", "policy.set", "policy.set"]);

    world.kill();
    world.restart(&[]);
    expected["state"] = json!("report-only");
    assert_eq!(policy(&world, "german"), expected);
    world.done::<Value>("DELETE", &format!("{POLICIES}/p1-1"), &Value::Null);
    world.kill();
    world.restart(&[]);
    assert_eq!(show(&world, POLICIES)["items"], json!([]));
    assert_eq!(make(&world, "next", mfa_outside())["policy"]["id"], "p1-2", "ids are never used twice");
}

#[test]
fn relays_are_told_of_every_change() {
    let world = world();
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    let Some(ToRelay::Snapshot(mut state)) = relay.next() else { panic!("no snapshot") };
    let told = std::thread::spawn(move || {
        let mut seen = Vec::new();
        loop {
            let Some(ToRelay::Delta(delta)) = relay.next() else { panic!("no delta") };
            state.apply(&delta).unwrap();
            relay.send(&ToControl::Applied { version: state.version });
            match state.policies.values().next() {
                Some(policy) => seen.push(policy.state),
                None => return (seen, state.requires.is_empty()),
            }
        }
    });
    make(&world, "mfa-outside", mfa_outside());
    let path = format!("{POLICIES}/mfa-outside");
    world.done::<Value>("PATCH", &path, &json!({"policy": {"state": "off"}}));
    world.done::<Value>("PATCH", &path, &json!({"policy": {"state": "on"}}));
    world.done::<Value>("DELETE", &path, &Value::Null);
    assert_eq!(told.join().unwrap(), (vec![PolicyState::On, PolicyState::Off, PolicyState::On], true));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = world();
    make(&world, "mfa-outside", mfa_outside());
    world.done::<Value>("POST", "/v1/tenants", &json!({"name": "other"}));
    let with = |key: &str, value: Value| {
        let mut policy = mfa_outside();
        policy[key] = value;
        json!({"name": "x", "policy": policy})
    };
    let before = audit(&world).len();
    for (body, code, says) in [
        (json!({"name": "mfa-outside", "policy": mfa_outside()}), "name-taken", "policy set"),
        (json!({"name": "p1-7", "policy": mfa_outside()}), "request-invalid", "reads as an id"),
        (json!({"name": "x", "policy": {"block": true, "all_apps": true}}), "policy-invalid", "who: it needs"),
        (with("groups", json!(["stuff"])), "not-found", "did you mean \"staff\"?"),
        (with("users", json!(["nobody"])), "not-found", "user \"nobody\""),
        (with("apps", json!(["crn"])), "not-found", "did you mean \"crm\"?"),
        (with("except_networks", json!(["hr"])), "not-found", "did you mean \"hq\"?"),
        (with("block", json!(true)), "policy-invalid", "cannot meet a requirement"),
        (with("countries", json!(["UK"])), "request-invalid", "not a country's code"),
        (with("times", json!(["mon 8-18"])), "request-invalid", "mon-fri 08:00-18:00"),
        (with("platforms", json!(["win"])), "request-invalid", "windows, macos"),
        (with("require", json!(["mfs"])), "request-invalid", "terms/NAME"),
        (with("moon", json!(["full"])), "request-invalid", "moon"),
        (with("idle_max_s", json!(0)), "policy-invalid", "idle-max: 0 s is out of bounds"),
    ] {
        let (found, detail) = world.refused("POST", POLICIES, &body);
        assert_eq!(found, code, "{body}: {detail}");
        assert!(detail.contains(says), "{body}: {detail}");
    }
    let (code, detail) =
        world.refused("PATCH", &format!("{POLICIES}/mfa-outside"), &json!({"policy": {"require": null}}));
    assert!(code == "policy-invalid" && detail.contains("it would do nothing"), "{detail}");
    let (code, _) = world.refused("PATCH", &format!("{POLICIES}/mfa-outside"), &json!({"policy": {"colour": 1}}));
    assert_eq!(code, "request-invalid");
    assert_eq!(world.refused("GET", &format!("{POLICIES}/mfa-outsid"), &Value::Null).0, "not-found");
    let elsewhere = POLICIES.replace("default", "other");
    assert_eq!(world.refused("GET", &format!("{elsewhere}/p1-1"), &Value::Null).0, "not-found");
    assert_eq!(audit(&world).len(), before, "nothing was changed");
}

#[test]
fn what_locks_everybody_out_needs_force() {
    let world = world();
    let all = json!({"everyone": true, "all_apps": true, "block": true});
    let (code, detail) = world.refused("POST", POLICIES, &json!({"name": "out", "policy": all}));
    assert!(code == "policy-locks-out" && detail.contains("administrators too"), "{detail}");
    let document = json!({"policies": {"out": all}});
    let (code, _) = world.refused("POST", APPLY, &json!({"document": document}));
    assert_eq!(code, "policy-locks-out");
    for (nth, (key, value)) in [
        ("state", json!("report-only")),
        ("except_groups", json!(["staff"])),
        ("except_apps", json!(["wiki"])),
        ("countries", json!(["KP"])),
    ]
    .into_iter()
    .enumerate()
    {
        let mut less = all.clone();
        less[key] = value;
        make(&world, &format!("less{nth}"), less);
    }
    let enable = |force: bool| json!({"policy": {"state": "on"}, "force": force});
    let path = format!("{POLICIES}/less0");
    assert_eq!(world.refused("PATCH", &path, &enable(false)).0, "policy-locks-out");
    world.done::<Value>("PATCH", &path, &enable(true));
    world.done::<Value>("POST", APPLY, &json!({"document": document, "force": true}));
}

#[test]
fn what_goes_never_makes_a_policy_wider() {
    let world = world();
    let both = json!({"users": ["anna"], "groups": ["staff"], "apps": ["crm"], "networks": ["hq"], "block": true});
    make(&world, "p", both);
    let (code, detail) = world.refused("DELETE", &format!("{TENANT}/networks/hq"), &Value::Null);
    assert!(code == "still-used" && detail.contains("named by the policy p"), "{detail}");
    let (code, detail) = world.refused("DELETE", &format!("{TENANT}/user-groups/staff"), &Value::Null);
    assert!(code == "still-used" && detail.contains("policy p names it"), "{detail}");
    let gone: Value = world.done("DELETE", &format!("{TENANT}/user-groups/staff?force=true"), &Value::Null);
    assert!(gone["warnings"].to_string().contains("staff is no longer named by policy p\""), "{gone}");
    let gone: Value = world.done("DELETE", &format!("{TENANT}/users/anna"), &Value::Null);
    assert!(gone["warnings"].to_string().contains("policy p: it is about nobody now"), "{gone}");
    assert_eq!(policy(&world, "p")["users"], json!([]), "nobody, not everyone");
    let gone: Value = world.done("DELETE", &format!("{TENANT}/apps/crm"), &Value::Null);
    assert!(gone["warnings"].to_string().contains("policy p named crm"), "{gone}");
    let left = policy(&world, "p");
    assert_eq!((&left["apps"], left.get("all_apps")), (&json!([]), None));
    assert_eq!(show(&world, &format!("{POLICIES}/p"))["about_nothing"], "nobody");

    // What is left is written and read as it is.
    let exported = show(&world, &format!("{TENANT}/document"));
    let applied: Value = world.done("POST", APPLY, &json!({"document": exported, "prune": true}));
    assert_eq!(applied["changes"], json!([]));
}

#[test]
fn a_document_makes_policies_so_once() {
    let world = world();
    let network = json!({"hq": ["192.0.2.0/24"], "lab": ["198.51.100.0/24"]});
    let document = json!({"networks": network, "policies": {
        "mfa-outside": mfa_outside(),
        "guests": {"guests": true, "all_apps": true, "require_any": ["mfa", "terms/house"], "no_persistent": true,
            "times": ["mon-fri 08:00-18:00 +01:00"], "networks": ["lab"], "state": "report-only"},
    }});
    let apply = |document: &Value, prune: bool| -> Vec<Value> {
        let applied: Value = world.done("POST", APPLY, &json!({"document": document, "prune": prune}));
        applied["changes"].as_array().unwrap().iter().map(|change| change["action"].clone()).collect()
    };
    assert_eq!(apply(&document, false), ["network.set", "policy.create", "policy.create"]);
    assert!(apply(&document, false).is_empty());
    let exported = show(&world, &format!("{TENANT}/document"));
    assert!(apply(&exported, true).is_empty());

    // A network goes together with the policy's condition; a document that names no policy leaves them.
    let mut without = exported.clone();
    without["networks"].as_object_mut().unwrap().remove("lab");
    without["policies"]["guests"].as_object_mut().unwrap().remove("networks");
    assert_eq!(apply(&without, true), ["policy.set", "network.remove"]);
    let mut none = without.clone();
    none.as_object_mut().unwrap().remove("policies");
    assert!(apply(&none, true).is_empty());
    without["policies"].as_object_mut().unwrap().remove("guests");
    assert_eq!(apply(&without, true), ["policy.delete"]);

    let wrong = json!({"policies": {"p": {"everyone": true, "apps": ["nothing"], "block": true}}});
    let (_, problem) = world.ask("POST", APPLY, &json!({"document": wrong}));
    assert_eq!(problem["pointer"], "policy.p.apps", "{problem}");
}

#[test]
fn what_if_says_what_and_why() {
    let world = world();
    make(&world, "mfa-outside", mfa_outside());
    make(&world, "guests", json!({"guests": true, "all_apps": true, "block": true}));
    make(&world, "later", json!({"state": "report-only", "everyone": true, "all_apps": true, "block": true}));
    let asked = |more: Value| -> Value {
        let mut body = json!({"user": "anna", "app": "crm"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.done("POST", WHAT_IF, &body)
    };
    let outside = asked(json!({"ip": "203.0.113.7"}));
    assert_eq!(outside["outcome"], json!({"kind": "needs_step_up", "steps": [["mfa"]]}), "{outside}");
    assert_eq!((&outside["assigned"], &outside["warnings"]), (&json!("group/staff"), &json!([])));
    let why = &outside["policies"][0];
    let because = json!(["group staff", "the application is named", "source 203.0.113.7 is not in hq"]);
    assert_eq!((&why["applies"], &why["because"], &why["asks"]), (&json!(true), &because, &json!(["mfa: not met"])));
    assert_eq!(outside["policies"][2]["outcome"]["kind"], "block", "what reports only says what it would do");
    assert_eq!(asked(json!({"ip": "192.0.2.7"}))["outcome"]["kind"], "allow");
    assert_eq!(asked(json!({"methods": ["pwd", "otp"]}))["outcome"]["kind"], "allow");
    assert_eq!(outside["kept_out"], Value::Null);
    let unassigned = asked(json!({"app": "wiki"}));
    assert_eq!(unassigned["warnings"], json!(["anna is not assigned to wiki"]));
    assert_eq!(unassigned["kept_out"], "not assigned", "whatever the outcome: {unassigned}");
    let guest = asked(json!({"user": "berta"}));
    assert_eq!(guest["outcome"], json!({"kind": "block", "policies": ["p1-2"]}));
    world.done::<Value>("PATCH", &format!("{TENANT}/users/anna"), &json!({"enabled": false}));
    let disabled = asked(json!({}));
    assert!(disabled["warnings"].to_string().contains("anna is disabled"), "{disabled}");
    assert_eq!(disabled["kept_out"], "disabled, or their time is over", "{disabled}");
    assert_eq!(world.refused("POST", WHAT_IF, &json!({"user": "anna"})).0, "request-invalid");
    assert_eq!(world.refused("POST", WHAT_IF, &json!({"user": "anma", "app": "crm"})).0, "not-found");
}
