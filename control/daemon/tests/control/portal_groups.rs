//! Owners of groups look after them in the portal; nobody else sees or changes anything of them.

use serde_json::{Value, json};

use crate::portal_peer::{Site, add_user};

fn change(site: &mut Site, browser: &str, group: &str, login: &str, joins: bool) -> Value {
    site.ask(browser, &json!({"do": "change_member", "group": group, "login": login, "joins": joins}))
}

fn group(site: &Site, body: &Value) -> String {
    let made: Value = site.world.done("POST", "/v1/tenants/default/user-groups", body);
    made["group"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

fn sees(site: &mut Site, browser: &str, app: &str) -> bool {
    let apps = site.ask(browser, &json!({"do": "apps"}));
    apps["tiles"].as_array().unwrap().iter().any(|tile| tile["label"] == app)
}

#[test]
fn owners_say_who_is_in_their_groups() {
    let mut site = Site::start(&["anna", "bert", "carl"]);
    site.publish("wiki", &json!({}));
    let sales = group(&site, &json!({"name": "sales", "description": "who sells", "owners": ["anna"]}));
    let inner = group(&site, &json!({"name": "inner", "owners": ["bert"]}));
    site.assign("wiki", &json!({"group": "sales"}));
    let nest = json!({"add": {"groups": ["inner"]}});
    site.world.done::<Value>("PATCH", "/v1/tenants/default/user-groups/sales/members", &nest);
    let [anna, bert, carl] = ["anna", "bert", "carl"].map(|login| site.browser(login));

    let groups = site.ask(&anna, &json!({"do": "groups"}));
    assert_eq!(groups["groups"], json!([{"id": sales, "name": "sales", "description": "who sells"}]));
    assert_eq!((&groups["visitor"]["owns_groups"], &groups["more"]), (&json!(true), &json!(false)), "{groups}");
    assert_eq!(site.ask(&carl, &json!({"do": "groups"}))["groups"], json!([]));
    assert_eq!(site.ask(&carl, &json!({"do": "apps"}))["visitor"]["owns_groups"], false);

    assert!(!sees(&mut site, &carl, "wiki"));
    assert_eq!(change(&mut site, &anna, &sales, " carl ", true), json!({"is": "done"}));
    assert!(sees(&mut site, &carl, "wiki"), "at once");
    let audit = site.last_audit();
    assert_eq!((&audit["action"], &audit["actor"]), (&json!("group.members"), &json!("user anna")), "{audit}");
    assert_eq!(audit["after"], "+carl");
    let page = site.ask(&anna, &json!({"do": "group", "group": sales}));
    assert_eq!((&page["members"], &page["nested"]), (&json!(["carl"]), &json!(["inner"])), "{page}");
    assert_eq!((&page["by_rule"], &page["more"]), (&json!(false), &json!(false)), "{page}");
    assert_eq!(change(&mut site, &anna, &sales, "carl", true), json!({"is": "done"}));
    assert_eq!(site.last_audit()["seq"], audit["seq"], "who is in it is not put into it again");
    assert_eq!(change(&mut site, &anna, &sales, "carl", false), json!({"is": "done"}));
    assert!(!sees(&mut site, &carl, "wiki"));

    // What is not theirs is not there: whoever asks, and whichever group.
    for (browser, id) in [(&bert, &*sales), (&carl, &sales), (&anna, &inner), (&anna, "ug1-99"), (&anna, "ug2-1")] {
        assert_eq!(site.ask(browser, &json!({"do": "group", "group": id})), json!({"is": "absent"}), "{id}");
        assert_eq!(change(&mut site, browser, id, "carl", true), json!({"is": "absent"}), "{id}");
    }
    assert_eq!(change(&mut site, "nobody", &sales, "carl", true), json!({"is": "nobody"}));
    assert!(!sees(&mut site, &carl, "wiki"));
    let taken = json!({"owners_remove": ["anna"]});
    site.world.done::<Value>("PATCH", "/v1/tenants/default/user-groups/sales", &taken);
    assert_eq!(change(&mut site, &anna, &sales, "carl", true), json!({"is": "absent"}), "an owner no more");
}

#[test]
fn nobody_is_put_where_they_cannot_be_and_owners_learn_of_nobody() {
    let mut site = Site::start(&["anna", "bert"]);
    site.world.done::<Value>("POST", "/v1/tenants", &json!({"name": "other"}));
    add_user(&site.world, "other", "zoe");
    let sales = group(&site, &json!({"name": "sales", "owners": ["anna"]}));
    let rule = "department == \"sales\"";
    let ruled = group(&site, &json!({"name": "ruled", "rule": rule, "owners": ["anna"]}));
    let anna = site.browser("anna");
    let bert: Value = site.world.done("GET", "/v1/tenants/default/users/bert", &Value::Null);
    let id = bert["user"]["id"].as_str().or_else(|| bert["id"].as_str()).unwrap().to_owned();
    for login in ["zoe", "ber", "", "Bert", "a b", &id, "<b>"] {
        let answer = change(&mut site, &anna, &sales, login, true);
        assert_eq!(answer["code"], "group-member-unknown", "{login}: {answer}");
        let detail = answer["detail"].as_str().unwrap().replace("\"Bert\"", "");
        assert!(login == "Bert" || !detail.contains("bert"), "what is near is not said: {detail}");
    }
    assert_eq!(change(&mut site, &anna, &ruled, "bert", true)["code"], "user-group-dynamic");
    assert_eq!(site.ask(&anna, &json!({"do": "group", "group": ruled}))["by_rule"], true);
}
