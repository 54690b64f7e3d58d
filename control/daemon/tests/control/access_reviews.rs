//! Who is assigned to an application is reviewed: by whom, what comes of it, and what is refused.

use serde_json::{Value, json};

use crate::portal_peer::Site;

const REVIEWS: &str = "/v1/tenants/default/access-reviews";
const ASSIGNMENTS: &str = "/v1/tenants/default/assignments";

fn start(site: &Site, reviewers: &Value) -> Value {
    let started: Value = site.world.done(
        "POST",
        REVIEWS,
        &json!({"app": "wiki", "reviewers": reviewers, "due_unix": 4_000_000_000_u64}),
    );
    started["review"].clone()
}

fn assigned(site: &Site) -> Vec<String> {
    let list: Value = site.world.done("GET", ASSIGNMENTS, &Value::Null);
    list["items"].as_array().unwrap().iter().map(|one| one["principal"].as_str().unwrap().to_owned()).collect()
}

fn decide(site: &mut Site, browser: &str, review: &str, principal: &str, keep: bool) -> Value {
    let action =
        json!({"do": "review", "review": review, "principal": principal, "keep": keep, "note": " has\r\nleft "});
    site.ask(browser, &action)
}

#[test]
fn reviewers_decide_in_the_portal_and_what_does_not_stay_is_gone_at_once() {
    let mut site = Site::start(&["anna", "bert", "carl"]);
    site.publish("wiki", &json!({"portal_name": "The wiki"}));
    let group = json!({"name": "leads"});
    site.world.done::<Value>("POST", "/v1/tenants/default/user-groups", &group);
    let lead = json!({"add": {"users": ["bert"]}});
    site.world.done::<Value>("PATCH", "/v1/tenants/default/user-groups/leads/members", &lead);
    for who in [json!({"user": "anna"}), json!({"user": "bert"}), json!({"group": "leads"})] {
        site.assign("wiki", &who);
    }
    let review = start(&site, &json!(["group/leads"]));
    assert_eq!((&review["assignments"], &review["undecided"]), (&json!(3), &json!(3)), "{review}");
    let id = review["id"].as_str().unwrap().to_owned();
    // Who comes later is no part of it.
    site.assign("wiki", &json!({"user": "carl"}));
    let [anna, bert, carl] = ["anna", "bert", "carl"].map(|login| site.browser(login));

    let page = site.ask(&bert, &json!({"do": "reviews"}));
    let names = |page: &Value| -> Vec<String> {
        let items = page["reviews"][0]["items"].as_array().unwrap_or_else(|| panic!("{page}")).iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(page["reviews"][0]["app"], "The wiki");
    assert_eq!(names(&page), ["user/anna", "group/leads"], "nobody reviews their own");
    assert_eq!(site.ask(&bert, &json!({"do": "requests"}))["reviews"], 1);
    assert_eq!(site.ask(&carl, &json!({"do": "reviews"}))["reviews"], json!([]));
    assert_eq!(site.ask(&carl, &json!({"do": "requests"}))["reviews"], 0);
    let of = |nth: usize| page["reviews"][0]["items"][nth]["principal"].as_str().unwrap().to_owned();
    let (of_anna, of_leads) = (of(0), of(1));
    for browser in [&anna, &carl] {
        assert_eq!(decide(&mut site, browser, &id, &of_anna, false), json!({"is": "absent"}));
    }
    assert_eq!(decide(&mut site, &bert, "rv1-9", &of_anna, false), json!({"is": "absent"}));
    assert_eq!(decide(&mut site, &bert, &id, "u1-2", true)["code"], "access-review-own");
    assert_eq!(decide(&mut site, &bert, &id, "u1-3", false)["code"], "not-found", "who came later");

    let has = |site: &mut Site, browser: &str| site.ask(browser, &json!({"do": "apps"}))["tiles"] != json!([]);
    assert!(has(&mut site, &anna));
    assert_eq!(decide(&mut site, &bert, &id, &of_anna, false), json!({"is": "done"}));
    assert!(!has(&mut site, &anna));
    let log: Value = site.world.done("GET", "/v1/audit?limit=2", &Value::Null);
    let log: Vec<_> = log["items"].as_array().unwrap().iter().map(|one| (&one["actor"], &one["action"])).collect();
    let by = json!("user bert");
    assert_eq!(log, [(&by, &json!("assign.remove")), (&by, &json!("access-review.decide"))]);
    assert_eq!(decide(&mut site, &bert, &id, &of_anna, true)["code"], "access-review-over");
    assert_eq!(decide(&mut site, &bert, &id, &of_leads, true), json!({"is": "done"}));
    assert_eq!(names(&site.ask(&bert, &json!({"do": "reviews"}))), Vec::<String>::new());

    let shown: Value = site.world.done("GET", &format!("{REVIEWS}/{id}"), &Value::Null);
    assert_eq!(shown["review"]["undecided"], 1);
    let gone = shown["items"].as_array().unwrap().iter().find(|item| item["principal"] == "user/anna").unwrap();
    assert_eq!((&gone["assigned"], &gone["decision"]["note"]), (&json!(false), &json!("has left")), "{gone}");
    // The last decision, by an operator, ends it.
    let keep = json!({"principal": "user/bert", "keep": true});
    let decided: Value = site.world.done("POST", &format!("{REVIEWS}/{id}/decide"), &keep);
    assert!(decided["review"]["finished_unix"].is_u64(), "{decided}");
    assert_eq!(site.world.refused("POST", &format!("{REVIEWS}/{id}/decide"), &keep).0, "access-review-over");
    assert_eq!(assigned(&site), ["user/bert", "user/carl", "group/leads"]);
    let items = |query: &str| -> Value { site.world.done("GET", &format!("{REVIEWS}{query}"), &Value::Null) };
    assert_eq!((items("")["items"].clone(), items("?all=true")["items"][0]["id"].clone()), (json!([]), json!(id)));
}

#[test]
fn operators_finish_a_review_and_what_cannot_be_reviewed_is_refused() {
    let mut site = Site::start(&["anna", "bert"]);
    site.publish("wiki", &json!({}));
    site.publish("empty", &json!({}));
    let begin = |app: &str, reviewers: Value, due: u64| json!({"app": app, "reviewers": reviewers, "due_unix": due});
    let due = 4_000_000_000_u64;
    let refused = |site: &Site, body: Value| site.world.refused("POST", REVIEWS, &body).0;
    assert_eq!(refused(&site, begin("empty", json!([]), due)), "access-review-refused");
    for who in [json!({"user": "anna"}), json!({"user": "bert"}), json!({"everyone": true})] {
        site.assign("wiki", &who);
    }
    assert_eq!(refused(&site, begin("nowhere", json!([]), due)), "not-found");
    assert_eq!(refused(&site, begin("wiki", json!(["user/nobody"]), due)), "not-found");
    assert_eq!(refused(&site, begin("wiki", json!(["anna"]), due)), "request-invalid");
    assert_eq!(refused(&site, begin("wiki", json!(vec!["user/anna"; 33]), due)), "request-invalid");
    assert_eq!(refused(&site, begin("wiki", json!([]), 1_000)), "request-invalid");
    let id = start(&site, &json!([]))["id"].as_str().unwrap().to_owned();
    assert_eq!(refused(&site, begin("wiki", json!([]), due)), "access-review-refused", "one goes on");
    let anna = site.browser("anna");
    assert_eq!(site.ask(&anna, &json!({"do": "reviews"}))["reviews"], json!([]), "operators only");

    let decide = format!("{REVIEWS}/{id}/decide");
    site.world.done::<Value>("POST", &decide, &json!({"principal": "user/anna", "keep": true, "note": "ok"}));
    for (body, code) in [
        (json!({"principal": "user/anna", "keep": false}), "access-review-over"),
        (json!({"principal": "user/nobody", "keep": false}), "not-found"),
        (json!({"principal": "anna", "keep": false}), "request-invalid"),
        (json!({"principal": "everyone", "keep": false, "note": "a\nb"}), "request-invalid"),
    ] {
        assert_eq!(site.world.refused("POST", &decide, &body).0, code, "{body}");
    }
    site.world.kill();
    site.world.restart(&[]);
    let finish = format!("{REVIEWS}/{id}/finish");
    let finished: Value = site.world.done("POST", &finish, &json!({"keep": false}));
    assert_eq!(finished["review"]["undecided"], 0, "{finished}");
    assert_eq!(assigned(&site), ["user/anna"], "those that nobody decided about are gone");
    assert_eq!(site.world.refused("POST", &finish, &json!({"keep": true})).0, "access-review-over");
    start(&site, &json!([]));
    site.world.done::<Value>("DELETE", "/v1/tenants/default/apps/wiki", &Value::Null);
    let all: Value = site.world.done("GET", &format!("{REVIEWS}?all=true"), &Value::Null);
    assert_eq!(all["items"], json!([]), "they go with their application");
}
