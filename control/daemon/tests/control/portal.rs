//! The users' portal as an identity process asks for it: who is shown what, and what nobody can do to others.

use serde_json::{Value, json};

use crate::portal_peer::{Site, add_user, icon};

fn labels(apps: &Value) -> Vec<&str> {
    let tiles = apps["tiles"].as_array().unwrap_or_else(|| panic!("{apps}"));
    tiles.iter().map(|tile| tile["label"].as_str().unwrap()).collect()
}

#[test]
fn a_sign_in_that_no_application_asked_for_leads_to_the_portal_and_gives_no_code() {
    let mut site = Site::start(&["anna"]);
    let asked = site.begin(&json!({}));
    assert_eq!((&asked["next"], &asked["app"]), (&json!("ask"), &json!("your applications")), "{asked}");
    let done = site.give_password(&asked, "anna");
    assert_eq!(done["location"], "https://login.localhost/", "{done}");
    assert_eq!(site.give_password(&asked, "anna")["code"], "sign-in-over", "a sign-in leads on once");
    let browser = done["browser"]["secret"].as_str().unwrap();
    let again = site.begin(&json!({"browser": browser}));
    assert_eq!(again, json!({"next": "done", "location": "https://login.localhost/"}));
    assert_eq!(site.begin(&json!({"tenant": "nowhere"}))["code"], "sign-in-request-invalid");

    site.world.done::<Value>("POST", "/v1/tenants", &json!({"name": "other"}));
    add_user(&site.world, "other", "zoe");
    let asked = site.begin(&json!({"tenant": "other", "browser": browser}));
    assert_eq!(
        (&asked["next"], &asked["tenant"]),
        (&json!("ask"), &json!("other")),
        "who is somebody here is nobody there"
    );
    assert_eq!(site.give_password(&asked, "anna")["problem"]["code"], "sign-in-wrong");
    let zoe = site.give_password(&asked, "zoe")["browser"]["secret"].as_str().unwrap().to_owned();
    let apps = site.ask(&zoe, &json!({"do": "apps"}));
    assert_eq!((&apps["visitor"]["login"], &apps["visitor"]["tenant"]), (&json!("zoe"), &json!("other")));
    for nobody in ["", "x", &"A".repeat(43)] {
        assert_eq!(site.ask(nobody, &json!({"do": "apps"})), json!({"is": "nobody"}));
    }
    site.world.done::<Value>("PATCH", "/v1/tenants/default/users/anna", &json!({"enabled": false}));
    assert_eq!(
        site.ask(browser, &json!({"do": "apps"})),
        json!({"is": "nobody"}),
        "the session has ended with the user"
    );
}

#[test]
fn users_see_what_they_are_assigned_to_and_nothing_else() {
    let mut site = Site::start(&["anna", "bert"]);
    for group in ["outer", "inner"] {
        site.world.done::<Value>("POST", "/v1/tenants/default/user-groups", &json!({"name": group}));
    }
    let members = |group: &str| format!("/v1/tenants/default/user-groups/{group}/members");
    site.world.done::<Value>("PATCH", &members("outer"), &json!({"add": {"groups": ["inner"]}}));
    site.world.done::<Value>("PATCH", &members("inner"), &json!({"add": {"users": ["anna"]}}));
    for (name, settings) in [
        ("own", json!({"portal_name": "Zebra", "portal_collection": "Work"})),
        ("nested", json!({"portal_collection": "Work"})),
        ("linked", json!({"portal_url": "https://elsewhere.example/x"})),
        ("deep", json!({"portal_url": "/start?x=1"})),
        ("over", json!({})),
        ("hidden", json!({"portal_visible": "none"})),
        ("open", json!({"portal_visible": "all"})),
        ("quiet", json!({})),
        ("foreign", json!({})),
        ("chosen", json!({"portal_visible": "group/gone,group/outer"})),
    ] {
        site.publish(name, &settings);
        let who = match name {
            "nested" => json!({"group": "outer"}),
            "over" => json!({"user": "anna", "expires_unix": 1_000}),
            "foreign" => json!({"user": "bert"}),
            "deep" | "chosen" => json!({"everyone": true}),
            _ => json!({"user": "anna"}),
        };
        site.assign(name, &who);
    }
    for open in ["open", "quiet"] {
        let passthrough = json!({"preauth": "passthrough"});
        site.world.done::<Value>("PATCH", &format!("/v1/tenants/default/apps/{open}"), &passthrough);
    }
    let mut wild = crate::world::app("wild", "https://*.wild.localhost");
    wild["preauth"] = json!("oidc");
    site.world.done::<Value>("POST", "/v1/tenants/default/apps", &wild);
    site.assign("wild", &json!({"everyone": true}));

    let anna = site.browser("anna");
    let apps = site.ask(&anna, &json!({"do": "apps"}));
    assert_eq!(labels(&apps), ["chosen", "deep", "linked", "open", "nested", "Zebra"], "by collection, then by label");
    let url = |label: &str| {
        apps["tiles"].as_array().unwrap().iter().find(|tile| tile["label"] == label).unwrap()["url"].clone()
    };
    assert_eq!(url("deep"), "https://deep.localhost/start?x=1");
    assert_eq!((url("linked"), url("Zebra")), (json!("https://elsewhere.example/x"), json!("https://own.localhost/")));
    let bert = site.browser("bert");
    assert_eq!(labels(&site.ask(&bert, &json!({"do": "apps"}))), ["deep", "foreign"]);
    site.world.done::<Value>("PATCH", &members("inner"), &json!({"remove": {"users": ["anna"]}}));
    let fewer = site.ask(&anna, &json!({"do": "apps"}));
    assert_eq!(labels(&fewer), ["deep", "linked", "open", "Zebra"], "at once");
    let changed: Value = site.world.done("PATCH", "/v1/tenants/default/apps/chosen", &json!({}));
    assert!(changed["warnings"].to_string().contains("gone"), "{changed}");
}

#[test]
fn icons_are_for_those_who_see_the_application_and_take_no_more_than_their_room() {
    let mut site = Site::start(&["anna", "bert"]);
    let wiki = site.publish("wiki", &json!({"portal_icon": icon(100)}));
    site.assign("wiki", &json!({"user": "anna"}));
    let (anna, bert) = (site.browser("anna"), site.browser("bert"));
    let tile = site.ask(&anna, &json!({"do": "apps"}))["tiles"][0].clone();
    assert_eq!(tile["icon"].as_str().unwrap().len(), 16, "{tile}");
    let asked = json!({"do": "icon", "app": wiki});
    let shown = site.ask(&anna, &asked);
    assert_eq!(format!("data:image/png;base64,{}", shown["png"].as_str().unwrap()), icon(100));
    assert_eq!(site.ask(&bert, &asked), json!({"is": "absent"}));
    assert_eq!(site.ask(&anna, &json!({"do": "icon", "app": "a2-1"})), json!({"is": "absent"}));
    assert_eq!(site.ask("x", &asked), json!({"is": "nobody"}));

    let set =
        |settings: Value| site.world.ask("PATCH", "/v1/tenants/default/apps/wiki", &json!({"settings": settings}));
    let (status, problem) = set(json!({"portal_icon": "data:image/svg+xml;base64,PHN2Zy8+"}));
    assert_eq!(
        (status, &problem["code"], &problem["pointer"]),
        (400, &json!("setting-invalid"), &json!("settings.portal_icon")),
        "{problem}"
    );
    let audit = site.last_audit();
    assert!(!audit.to_string().contains("iVBOR"), "an icon is nothing for the audit log: {audit}");
    for nth in 0..136 {
        let mut app = crate::world::app(&format!("app{nth}"), &format!("https://app{nth}.localhost"));
        app["settings"] = json!({"portal_icon": icon(24_400)});
        let (status, answer) = site.world.ask("POST", "/v1/tenants/default/apps", &app);
        assert!(status == 201 || nth > 120 && answer["code"] == "limit-reached", "{nth} {answer}");
        if status != 201 {
            return;
        }
    }
    panic!("icons have no end");
}

#[test]
fn users_end_their_own_sessions_and_nobody_elses() {
    let mut site = Site::start(&["anna", "bert"]);
    let (first, second, third, bert) =
        (site.browser("anna"), site.browser("anna"), site.browser("anna"), site.browser("bert"));
    let list = json!({"do": "sessions"});
    let ids = |sessions: &Value, this_one: bool| -> Vec<Value> {
        let all = sessions["sessions"].as_array().unwrap_or_else(|| panic!("{sessions}"));
        all.iter().filter(|session| session["this_one"] == this_one).map(|session| session["id"].clone()).collect()
    };
    let shown = site.ask(&first, &list);
    assert_eq!((ids(&shown, true).len(), ids(&shown, false).len()), (1, 2), "{shown}");
    assert_eq!(shown["sessions"][0]["source"], "192.0.2.7");
    assert_eq!(shown["sessions"][0]["user_agent"], "Browser/1");
    let berts = ids(&site.ask(&bert, &list), true);
    let end = |session: &Value| json!({"do": "end_session", "session": session});
    assert_eq!(site.ask(&first, &end(&berts[0])), json!({"is": "absent"}), "that of another");
    assert_eq!(site.ask(&first, &end(&json!("0".repeat(32)))), json!({"is": "absent"}));
    assert_eq!(ids(&site.ask(&bert, &list), true), berts);

    let seconds = ids(&site.ask(&second, &list), true);
    assert_eq!(site.ask(&first, &end(&seconds[0])), json!({"is": "done"}));
    assert_eq!(site.ask(&second, &list), json!({"is": "nobody"}));
    let audit = site.last_audit();
    assert_eq!((&audit["actor"], &audit["action"]), (&json!("user anna"), &json!("session.revoke")), "{audit}");
    assert_eq!(site.ask(&second, &json!({"do": "end_others"})), json!({"is": "nobody"}), "who is out ends nothing");
    assert_eq!(site.ask(&first, &json!({"do": "end_others"})), json!({"is": "done"}));
    assert_eq!((site.ask(&third, &list), ids(&site.ask(&bert, &list), true)), (json!({"is": "nobody"}), berts));
    let shown = site.ask(&first, &list);
    assert_eq!((ids(&shown, true).len(), ids(&shown, false).len()), (1, 0));
    assert_eq!(site.ask(&first, &end(&ids(&shown, true)[0])), json!({"is": "done"}), "this one, too");
    assert_eq!(site.ask(&first, &list), json!({"is": "nobody"}));
}
