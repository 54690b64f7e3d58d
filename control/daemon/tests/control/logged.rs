//! Requests that are over: why they were let in or not, and what changed policies would have said of them.

use postern_model::question::{Answer, Question};
use serde_json::{Value, json};

use crate::directory::show;
use crate::policies::{TENANT, make, mfa_outside, world};
use crate::questions::relay;
use crate::world::World;

const REPLAY: &str = "/v1/tenants/default/policy-replay";
/// 2026-01-01 00:06:40, a Thursday.
const AT: u64 = 1_767_226_000;

/// The line of a request of Anna's for crm from outside, 400 s after her sign-in; `more` replaces keys of it.
fn line(more: &Value) -> String {
    let crm = 2;
    let mut line = json!({
        "time": "2026-01-01T00:06:40.000Z", "request_id": "00000000000000000000000000abcdef",
        "tenant": "t1", "app": format!("a1-{crm}"), "app_name": "crm", "subject": "user/anna",
        "client": "203.0.113.7:9", "bytes_in": 0, "bytes_out": 0, "status": 403, "culprit": "client", "code": "policy-step-up",
        "access": {
            "session": "9f1c2d3e", "authenticated_unix": AT - 400, "methods": ["pwd"], "assigned": "ug1-1",
            "platform": "linux", "policies": ["p1-1"], "outcome": "needs mfa",
        },
    });
    for (key, value) in more.as_object().unwrap() {
        if value.is_null() { drop(line.as_object_mut().unwrap().remove(key)) } else { line[key] = value.clone() }
    }
    line.to_string()
}

/// What is explained of a request of which a relay has this line.
fn explained(world: &World, name: &str, line: String) -> Value {
    let id = serde_json::from_str::<Value>(&line).unwrap()["request_id"].as_str().unwrap().to_owned();
    let wanted = id.clone();
    relay(world, name, move |question| {
        let Question::Request { id, .. } = question else { return None };
        Some(Answer::Request { record: (id.to_string() == wanted).then(|| serde_json::from_str(&line).unwrap()) })
    });
    show(world, &format!("{TENANT}/requests/{id}"))["access"].clone()
}

#[test]
fn a_refusal_is_explained_by_who_asked_and_what_was_missing() {
    let world = world();
    make(&world, "mfa-outside", mfa_outside());
    make(
        &world,
        "embargo",
        json!({"everyone": true, "all_apps": true, "platforms": ["linux"], "block": true, "state": "report-only"}),
    );
    make(&world, "phones", json!({"everyone": true, "all_apps": true, "platforms": ["ios"], "block": true}));
    let access = explained(&world, "one", line(&json!({})));
    assert_eq!((&access["who"], &access["assigned"]), (&json!("user/anna"), &json!("group/staff")));
    assert_eq!(access["missing"], json!(["mfa"]));
    let policies = access["policies"].as_array().unwrap();
    let names: Vec<&str> = policies.iter().filter_map(|policy| policy["name"].as_str()).collect();
    assert_eq!(names, ["mfa-outside", "embargo"], "what does not apply is not told");
    let because = policies[0]["because"].to_string();
    assert!(because.contains("group staff") && because.contains("source 203.0.113.7 is not in hq"), "{because}");
    assert_eq!(policies[0]["asks"], json!(["mfa: not met"]));
    assert_eq!(policies[1]["outcome"]["kind"], "block");
    assert_eq!(access["warnings"], json!(["the session is over"]));
}

#[test]
fn what_changed_since_is_told() {
    let world = world();
    make(&world, "mfa-outside", mfa_outside());
    make(&world, "other", json!({"everyone": true, "all_apps": true, "idle_max_s": 600}));
    let path = format!("{TENANT}/policies/mfa-outside");
    world.done::<Value>("PATCH", &path, &json!({"policy": {"platforms": ["ios"]}}));
    let mut old = serde_json::from_str::<Value>(&line(&json!({}))).unwrap()["access"].clone();
    old["policies"] = json!(["p1-1", "p1-77"]);
    let access = explained(&world, "one", line(&json!({"access": old})));
    let warnings = access["warnings"].to_string();
    for part in [
        "the policy mfa-outside applied then and would not now",
        "the policy p1-77 applied then, and is no more",
        "the policy other did not apply then and would now",
    ] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    let told = access["policies"][0]["because"].to_string();
    assert!(told.contains("platform linux is not one of ios"), "{told}");
    let gone = json!({"subject": "user/gone", "request_id": "1".repeat(32)});
    let gone = explained(&world, "two", line(&gone));
    assert!(gone["warnings"].to_string().contains("there is no user gone any more"), "{gone}");
}

#[test]
fn whoever_was_nobody_not_assigned_or_a_machine_is_told_so() {
    let world = world();
    let with = |id: &str, more: &Value| {
        let mut line: Value = serde_json::from_str(&line(more)).unwrap();
        line["request_id"] = json!(id.repeat(32));
        explained(&world, &format!("relay{id}"), line.to_string())
    };
    let nobody = with("1", &json!({"subject": null, "access": null}));
    assert_eq!(
        (&nobody["who"], &nobody["missing"][0]),
        (&json!("nobody"), &json!("a session that counts, or a token"))
    );
    let access = json!({"session": "9f1c2d3e", "authenticated_unix": AT, "methods": ["pwd"]});
    let stranger = with("2", &json!({"access": access}));
    assert_eq!(stranger["missing"], json!(["an assignment to the application"]));
    world.done::<Value>("PATCH", &format!("{TENANT}/apps/crm"), &json!({"settings": {"mfa": "required"}}));
    let weak = with("3", &json!({"access": access}));
    assert!(weak["missing"][0].as_str().unwrap().contains("mfa=required"), "{weak}");
    let service = json!({"everyone": true, "all_apps": true, "clients": ["service"], "block": true});
    make(&world, "no-machines", service);
    let machine = with("4", &json!({"subject": "service/backup", "access": null}));
    assert_eq!(machine["policies"][0]["name"], "no-machines", "{machine}");
    let older = with("5", &json!({"access": null}));
    assert!(older["warnings"][0].as_str().unwrap().contains("older version"), "{older}");
    world.done::<Value>("PATCH", &format!("{TENANT}/apps/crm"), &json!({"preauth": "passthrough"}));
    assert_eq!(with("6", &json!({"subject": null, "access": null})), Value::Null, "nobody is asked");
}

fn request(more: &Value) -> Value {
    let mut request = json!({
        "user": "anna", "app": "a1-2", "at_unix": AT, "source": "203.0.113.7", "authenticated_unix": AT - 400, "methods": ["pwd"],
    });
    more.as_object().unwrap().iter().for_each(|(key, value)| request[key] = value.clone());
    request
}

#[test]
fn requests_are_decided_about_again_and_nothing_changes() {
    let world = world();
    let mut reports = mfa_outside();
    reports["state"] = json!("report-only");
    make(&world, "mfa-outside", reports);
    let requests = json!([
        request(&json!({})),
        request(&json!({"source": "192.0.2.9"})),
        request(&json!({"methods": ["pwd", "otp"]})),
        request(&json!({"user": "berta"})),
        request(&json!({"user": "gone"})),
        request(&json!({"app": "a1-99"})),
        request(&json!({"app": "a2-1"})),
    ]);
    let on = json!({"set": {"mfa-outside": {"state": "on"}}, "requests": requests});
    let before = show(&world, &format!("{TENANT}/policies"));
    let replayed: Value = world.done("POST", REPLAY, &on);
    let decided = |now: &str, changed: &str, policies: Value| json!({"kind": "decided", "now": now, "changed": changed, "policies": policies});
    let allowed = decided("allow", "allow", json!([]));
    let gone = json!({"kind": "no_app"});
    let asked = decided("allow", "needs mfa", json!(["mfa-outside"]));
    let expected = json!([asked, allowed, allowed, allowed, {"kind": "no_user"}, gone, gone]);
    assert_eq!(replayed["items"], expected);
    assert_eq!(show(&world, &format!("{TENANT}/policies")), before);

    // By id, as a file says, and as a policy that is not there yet.
    let one = json!([request(&json!({}))]);
    let night = json!({"everyone": true, "all_apps": true, "times": ["thu 00:00-06:00 UTC"], "block": true});
    for (change, changed, policy) in [
        (json!({"set": {"p1-1": {"state": "on", "require": null, "block": true}}}), "block", "mfa-outside"),
        (
            json!({"put": {"mfa-outside": {"everyone": true, "all_apps": true, "sign_in_frequency_s": 300}}}),
            "needs reauthenticate",
            "mfa-outside",
        ),
        (json!({"set": {"night": night}}), "block", "night"),
    ] {
        let mut body = change.clone();
        body["requests"] = one.clone();
        let replayed: Value = world.done("POST", REPLAY, &body);
        assert_eq!(replayed["items"][0], decided("allow", changed, json!([policy])), "{change}");
    }
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    let world = world();
    for (body, code, says) in [
        (json!({"requests": vec![request(&json!({})); 501]}), "request-invalid", "at most 500"),
        (json!({"requests": [], "put": {"x": {"everyone": true}}}), "policy-invalid", "apps"),
        (
            json!({"requests": [], "set": {"x": {"all_apps": true, "groups": ["stuff"], "block": true}}}),
            "not-found",
            "did you mean",
        ),
        (json!({"requests": [request(&json!({"moon": 1}))]}), "request-invalid", "moon"),
    ] {
        let (found, detail) = world.refused("POST", REPLAY, &body);
        assert_eq!(found, code, "{detail}");
        assert!(detail.contains(says), "{detail}");
    }
}
