//! Users ask for applications, others decide: what comes of it, and everything that is refused.

use serde_json::{Value, json};

use crate::portal_peer::Site;

const REQUESTS: &str = "/v1/tenants/default/access-requests";

/// An application that can be asked for.
fn publish(site: &Site, name: &str, settings: &Value) -> String {
    let id = site.publish(name, settings);
    assert!(id.starts_with("a1-"));
    id
}

fn ask(site: &mut Site, browser: &str, app: &str, why: &str) -> Value {
    site.ask(browser, &json!({"do": "ask", "app": app, "justification": why}))
}

fn decide(site: &mut Site, browser: &str, request: &str, approve: bool) -> Value {
    site.ask(browser, &json!({"do": "decide", "request": request, "approve": approve, "note": "for\r\n now "}))
}

fn page(site: &mut Site, browser: &str) -> Value {
    site.ask(browser, &json!({"do": "requests"}))
}

fn has(site: &mut Site, browser: &str, label: &str) -> bool {
    let apps = site.ask(browser, &json!({"do": "apps"}));
    apps["tiles"].as_array().unwrap().iter().any(|tile| tile["label"] == label)
}

fn code(answer: &Value) -> &str {
    answer["code"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

fn group(site: &Site, body: &Value) {
    site.world.done::<Value>("POST", "/v1/tenants/default/user-groups", body);
}

#[test]
fn what_an_approver_approves_is_assigned_with_its_end_in_the_same_step() {
    let mut site = Site::start(&["anna", "bert", "lead", "carl"]);
    group(&site, &json!({"name": "leads"}));
    let members = json!({"add": {"users": ["lead"]}});
    site.world.done::<Value>("PATCH", "/v1/tenants/default/user-groups/leads/members", &members);
    let settings =
        json!({"request": "approval", "request_approvers": "user/bert, group/leads", "request_expiry": "2d"});
    let wiki = publish(&site, "wiki", &settings);
    let [anna, bert, lead, carl] = ["anna", "bert", "lead", "carl"].map(|login| site.browser(login));

    let offered = page(&mut site, &anna);
    assert_eq!(offered["requestable"][0]["label"], "wiki", "{offered}");
    assert_eq!(offered["requestable"][0]["lasts_s"], 172_800);
    assert_eq!(ask(&mut site, &anna, &wiki, "  for the\r\n audit "), json!({"is": "done"}));
    assert!(!has(&mut site, &anna, "wiki"), "asking is not having");
    let own = page(&mut site, &anna);
    assert_eq!((&own["requestable"], &own["own"][0]["justification"]), (&json!([]), &json!("for the audit")), "{own}");
    assert_eq!(page(&mut site, &carl)["to_decide"], json!([]), "whom it does not concern sees nothing");
    for approver in [&bert, &lead] {
        assert_eq!(page(&mut site, approver)["to_decide"][0]["user"], "anna");
    }
    let id = page(&mut site, &bert)["to_decide"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(decide(&mut site, &carl, &id, true), json!({"is": "absent"}));
    assert_eq!(decide(&mut site, &anna, &id, true), json!({"is": "absent"}), "nor does who asks");
    let before: Value = site.world.done("GET", "/v1/status", &Value::Null);
    assert_eq!(decide(&mut site, &lead, &id, true), json!({"is": "done"}));
    let after: Value = site.world.done("GET", "/v1/status", &Value::Null);
    assert_eq!(after["version"].as_u64(), before["version"].as_u64().map(|version| version + 1), "one change");
    assert!(has(&mut site, &anna, "wiki"));
    let assignments: Value = site.world.done("GET", "/v1/tenants/default/assignments", &Value::Null);
    let [assignment] = &assignments["items"].as_array().unwrap()[..] else { panic!("{assignments}") };
    assert_eq!(assignment["principal"], "user/anna");
    let lasts = assignment["expires_unix"].as_u64().unwrap() - assignment["created_unix_ms"].as_u64().unwrap() / 1000;
    assert!((172_790..=172_810).contains(&lasts), "{lasts}");
    let own = page(&mut site, &anna)["own"][0].clone();
    assert_eq!((&own["approved"], &own["note"]), (&json!(true), &json!("for now")), "{own}");
    for (browser, approve) in [(&lead, true), (&bert, false)] {
        assert_eq!(code(&decide(&mut site, browser, &id, approve)), "access-request-over");
    }
    let log: Value = site.world.done("GET", "/v1/audit?limit=3", &Value::Null);
    let log: Vec<(&str, &str)> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| (record["actor"].as_str().unwrap(), record["action"].as_str().unwrap()))
        .collect();
    let lead = "user lead";
    assert_eq!(log, [(lead, "assign.set"), (lead, "access-request.approve"), ("user anna", "access-request.ask")]);
}

#[test]
fn the_role_of_an_assignment_that_is_over_does_not_come_back() {
    let mut site = Site::start(&["anna", "bert"]);
    let wiki = publish(&site, "wiki", &json!({"request": "auto", "request_expiry": "2d"}));
    let assigned = json!({"app": "wiki", "user": "anna", "role": "admin", "expires_unix": 1});
    site.world.done::<Value>("PUT", "/v1/tenants/default/assignments", &assigned);
    let anna = site.browser("anna");
    assert_eq!(ask(&mut site, &anna, &wiki, "x"), json!({"is": "done"}));
    assert!(has(&mut site, &anna, "wiki"));
    let assignments: Value = site.world.done("GET", "/v1/tenants/default/assignments", &Value::Null);
    let [assignment] = &assignments["items"].as_array().unwrap()[..] else { panic!("{assignments}") };
    assert_eq!((&assignment["expired"], &assignment["role"]), (&json!(false), &Value::Null), "{assignment}");
}

#[test]
fn nobody_decides_about_themselves_and_nobody_asks_for_what_they_cannot() {
    let mut site = Site::start(&["anna", "bert"]);
    let settings = json!({"request": "approval", "request_approvers": "user/anna,user/bert"});
    let wiki = publish(&site, "wiki", &settings);
    let closed = publish(&site, "closed", &json!({}));
    let chosen = publish(&site, "chosen", &json!({"request": "auto", "portal_visible": "group/staff"}));
    let hidden = publish(&site, "hidden", &json!({"request": "auto", "portal_visible": "none"}));
    let (anna, bert) = (site.browser("anna"), site.browser("bert"));
    for (app, why, expected) in [(&wiki, "", "access-request-invalid"), (&wiki, " \r\n ", "access-request-invalid")] {
        assert_eq!(code(&ask(&mut site, &anna, app, why)), expected);
    }
    for wrong in ["a".repeat(1_025), "a\u{202e}b".into(), "a\u{1b}[1mb".into()] {
        assert_eq!(code(&ask(&mut site, &anna, &wiki, &wrong)), "access-request-invalid");
    }
    for nothing in [&closed, &chosen, &hidden] {
        assert_eq!(ask(&mut site, &anna, nothing, "x"), json!({"is": "absent"}));
    }
    assert_eq!(page(&mut site, &anna)["requestable"].as_array().unwrap().len(), 1, "what is hidden is not offered");
    assert_eq!(ask(&mut site, &anna, "a2-1", "x"), json!({"is": "absent"}));
    assert_eq!(ask(&mut site, "nobody", &wiki, "x"), json!({"is": "nobody"}));

    assert_eq!(ask(&mut site, &anna, &wiki, "x"), json!({"is": "done"}));
    assert_eq!(code(&ask(&mut site, &anna, &wiki, "again")), "access-request-refused");
    let id = page(&mut site, &bert)["to_decide"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(page(&mut site, &anna)["to_decide"], json!([]));
    assert_eq!(code(&decide(&mut site, &anna, &id, true)), "access-request-own");
    assert_eq!(decide(&mut site, &bert, "rq1-99", true), json!({"is": "absent"}));
    // Who is an approver is looked at when it is decided.
    let set = |site: &Site, settings: Value| {
        site.world.done::<Value>("PATCH", "/v1/tenants/default/apps/wiki", &json!({"settings": settings}));
    };
    set(&site, json!({"request_approvers": "user/anna"}));
    assert_eq!(decide(&mut site, &bert, &id, true), json!({"is": "absent"}));
    set(&site, json!({"request_approvers": "user/bert"}));
    assert_eq!(decide(&mut site, &bert, &id, false), json!({"is": "done"}));
    assert!(!has(&mut site, &anna, "wiki"));
    assert_eq!(page(&mut site, &anna)["own"][0]["approved"], false);
    site.assign("wiki", &json!({"user": "anna"}));
    assert_eq!(code(&ask(&mut site, &anna, &wiki, "x")), "access-request-refused", "who has it needs nothing");

    let (code, detail) =
        site.world.refused("PATCH", "/v1/tenants/default/apps/wiki", &json!({"preauth": "passthrough"}));
    assert!(code == "setting-invalid" && detail.contains("needs --preauth oidc"), "{code} {detail}");
    let changed: Value = site.world.done(
        "PATCH",
        "/v1/tenants/default/apps/wiki",
        &json!({"settings": {"request_approvers": "user/nobody,group/none"}}),
    );
    let warnings = changed["warnings"].to_string();
    assert!(warnings.contains("nobody") && warnings.contains("none"), "{warnings}");
}

#[test]
fn what_needs_no_approval_is_given_at_once_and_a_group_can_be_what_is_given() {
    let mut site = Site::start(&["anna"]);
    group(&site, &json!({"name": "staff"}));
    group(&site, &json!({"name": "ruled", "rule": "department == \"sales\""}));
    let open = publish(&site, "open", &json!({"request": "auto", "request_expiry": "8h"}));
    let wiki = publish(&site, "wiki", &json!({"request": "auto", "request_group": "staff"}));
    let ruled = publish(&site, "ruled", &json!({"request": "auto", "request_group": "ruled"}));
    let gone = publish(&site, "gone", &json!({"request": "auto", "request_group": "gone"}));
    let anna = site.browser("anna");
    assert_eq!(ask(&mut site, &anna, &open, "x"), json!({"is": "done"}));
    assert!(has(&mut site, &anna, "open"));
    assert_eq!(page(&mut site, &anna)["own"][0]["approved"], true);
    site.assign("wiki", &json!({"group": "staff"}));
    assert_eq!(ask(&mut site, &anna, &wiki, "x"), json!({"is": "done"}));
    assert!(has(&mut site, &anna, "wiki"));
    let audit = site.last_audit();
    assert_eq!((&audit["action"], &audit["actor"]), (&json!("group.members"), &json!("user anna")), "{audit}");
    site.world.done::<Value>("DELETE", "/v1/tenants/default/assignments/wiki/group/staff", &Value::Null);
    for (app, word) in [(&wiki, "already"), (&ruled, "rule"), (&gone, "no group")] {
        let refused = ask(&mut site, &anna, app, "x");
        assert!(code(&refused) == "access-request-refused" && refused.to_string().contains(word), "{refused}");
    }
    assert_eq!(page(&mut site, &anna)["own"].as_array().unwrap().len(), 2, "what was refused is not kept");
}

#[test]
fn operators_see_and_decide_and_what_waits_has_a_bound() {
    let mut site = Site::start(&["anna"]);
    let approval = json!({"request": "approval"});
    let apps: Vec<String> = (0..12).map(|nth| publish(&site, &format!("app{nth}"), &approval)).collect();
    let anna = site.browser("anna");
    for app in &apps[..10] {
        assert_eq!(ask(&mut site, &anna, app, "x"), json!({"is": "done"}));
    }
    let refused = ask(&mut site, &anna, &apps[10], "x");
    assert!(code(&refused) == "access-request-refused" && refused.to_string().contains("10 of your"), "{refused}");
    let items = |site: &Site, query: &str| -> Vec<Value> {
        let list: Value = site.world.done("GET", &format!("{REQUESTS}{query}"), &Value::Null);
        list["items"].as_array().unwrap().clone()
    };
    let waiting = items(&site, "");
    assert_eq!((waiting.len(), &waiting[9]["app"], &waiting[9]["user"]), (10, &json!("app0"), &json!("anna")));
    let decision = |nth: usize, what: &str| format!("{REQUESTS}/{}/{what}", waiting[nth]["id"].as_str().unwrap());
    let decided: Value = site.world.done("POST", &decision(9, "approve"), &json!({"note": "fine"}));
    assert!(decided["request"]["decision"]["by"].as_str().unwrap().starts_with("uid "), "{decided}");
    assert!(has(&mut site, &anna, "app0"));
    site.world.done::<Value>("POST", &decision(8, "deny"), &json!({}));
    assert_eq!(site.world.refused("POST", &decision(8, "approve"), &json!({})).0, "access-request-over");
    assert_eq!(site.world.refused("POST", &format!("{REQUESTS}/rq1-99/deny"), &json!({})).0, "not-found");
    assert_eq!(site.world.refused("POST", &format!("{REQUESTS}/rq2-1/deny"), &json!({})).0, "not-found");
    assert_eq!(site.world.refused("POST", &decision(7, "approve"), &json!({"note": "a\nb"})).0, "request-invalid");
    assert_eq!((items(&site, "").len(), items(&site, "?all=true").len()), (8, 10));
    // What there is nothing to ask for any more, and who is gone, take their requests with them.
    site.world.done::<Value>("DELETE", "/v1/tenants/default/apps/app2", &Value::Null);
    assert_eq!(items(&site, "").len(), 7);
    site.world.kill();
    site.world.restart(&[]);
    assert_eq!(items(&site, "").len(), 7, "they outlast control");
    site.world.done::<Value>("DELETE", "/v1/tenants/default/users/anna", &Value::Null);
    assert_eq!(items(&site, "?all=true"), Vec::<Value>::new());
}
