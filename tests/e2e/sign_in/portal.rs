//! My Apps: from not being signed in to an application, a request that somebody else approves, and sessions that are ended; in
//! Chromium, on a phone and on a desktop. And forms that come from elsewhere.

use postern_tests::browser::{self, Browser};
use postern_tests::pass_over;

use super::pages::{PATIENCE, fill_in, is_at, look, wait_for_text};
use super::{PASSWORD, Scene, login_url, url};

/// One pixel.
const ICON: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

pub(super) fn click(browser: &Browser, selector: &str) {
    let script = format!("return (e => e ? (e.click(), true) : false)(document.querySelector({selector:?}))");
    browser.wait_for(PATIENCE, &script).unwrap();
}

pub(super) fn see(browser: &Browser, name: &str) {
    look(browser, name);
    browser.resize(360, 740).unwrap();
    browser.screenshot(&format!("{name}-narrow")).unwrap();
    let overflow = browser.script("return document.documentElement.scrollWidth - window.innerWidth").unwrap();
    assert!(overflow.as_i64().unwrap() <= 0, "{name} is wider than 360: {overflow}");
    let landmarks =
        "return ['main', 'header', 'nav[aria-label]', 'h1'].every(e => document.querySelectorAll(e).length === 1)";
    assert_eq!(browser.script(landmarks).unwrap(), true, "{name}: landmarks and one heading");
}

pub(super) fn sign_in(scene: &Scene, login: &str) -> Browser {
    let browser = Browser::start(scene.world.folder(), scene.world.relay_address, &[]).unwrap();
    browser.open(&login_url(scene, "/")).unwrap();
    wait_for_text(&browser, "You are not signed in");
    click(&browser, "a.button");
    wait_for_text(&browser, "to go on to your applications");
    fill_in(&browser, login, PASSWORD);
    is_at(&browser, &login_url(scene, "/"));
    wait_for_text(&browser, "My Apps");
    browser
}

#[test]
fn people_open_applications_ask_for_more_and_end_their_sessions_with_chromium() {
    if !browser::is_there() {
        return pass_over("no Chromium: cargo xtask browser");
    }
    let scene = Scene::start();
    let world = &scene.world;
    scene.add_user("bert", &[]);
    let named = ["portal_name=The team's wiki", "portal_collection=Work", &format!("portal_icon={ICON}")];
    for setting in named {
        world.cli(&["app", "set", "wiki", "--set", setting]).unwrap();
    }
    let asked = ["request=approval", "request_approvers=user/bert", "request_expiry=30d"];
    for setting in asked {
        world.cli(&["app", "set", "crm", "--set", setting]).unwrap();
    }
    world.cli(&["assign", "remove", "crm", "--user", "anna"]).unwrap();
    for nth in 0..7 {
        let (name, label) = (format!("app{nth}"), format!("portal_name=Application {nth} {}", "long ".repeat(nth)));
        world.publish(&name, &scene.origin.url()).unwrap();
        world.cli(&["app", "set", &name, "--preauth", "oidc", "--set", label.trim_end()]).unwrap();
        world.cli(&["assign", "--everyone", &name]).unwrap();
    }

    let anna = sign_in(&scene, "anna");
    see(&anna, "portal");
    let loaded = "return [...document.images].length === 1 && document.images[0].complete && document.images[0].naturalWidth === 1";
    anna.wait_for(PATIENCE, &format!("document.images[0].scrollIntoView(); {loaded}")).unwrap();
    assert_eq!(anna.script("return document.querySelectorAll('a.tile').length").unwrap(), 8);
    let wiki = url(&scene.wiki, "/");
    click(&anna, &format!("a.tile[href={wiki:?}]"));
    is_at(&anna, &wiki);

    anna.open(&login_url(&scene, "/requests")).unwrap();
    wait_for_text(&anna, "Request access");
    click(&anna, "summary");
    anna.script("document.querySelector('textarea').value = 'for the <b>audit</b>\\nuntil May'; return true").unwrap();
    see(&anna, "portal-ask");
    click(&anna, "details button");
    wait_for_text(&anna, "waits for a decision");

    let bert = sign_in(&scene, "bert");
    bert.open(&login_url(&scene, "/requests")).unwrap();
    wait_for_text(&bert, "“for the <b>audit</b> until May”");
    see(&bert, "portal-decide");
    click(&bert, "button[value=approve]");
    bert.wait_for(PATIENCE, "return document.querySelector('main h1') && !document.querySelector('.decide')").unwrap();
    anna.open(&login_url(&scene, "/requests")).unwrap();
    wait_for_text(&anna, "approved just now");
    see(&anna, "portal-own-requests");
    anna.open(&url(&scene.crm, "/head")).unwrap();
    wait_for_text(&anna, "x-postern-user: anna");

    let other = sign_in(&scene, "anna");
    anna.open(&login_url(&scene, "/sessions")).unwrap();
    wait_for_text(&anna, "End all other sessions");
    see(&anna, "portal-sessions");
    click(&anna, "li button");
    anna.wait_for(PATIENCE, "return document.querySelectorAll('main li').length === 1").unwrap();
    other.open(&login_url(&scene, "/sessions")).unwrap();
    wait_for_text(&other, "You are not signed in");
    for browser in [anna, bert, other] {
        browser.finish().unwrap();
    }
}

#[test]
fn owners_say_who_is_in_their_group_with_chromium() {
    if !browser::is_there() {
        return pass_over("no Chromium: cargo xtask browser");
    }
    let scene = Scene::start();
    let world = &scene.world;
    scene.add_user("carl", &[]);
    world.cli(&["group", "create", "sales", "--description", "Whoever sells", "--owner", "anna"]).unwrap();
    world.cli(&["assign", "crm", "--group", "sales"]).unwrap();
    let carl = sign_in(&scene, "carl");
    wait_for_text(&carl, "not assigned to any application");
    assert_eq!(carl.script("return document.querySelectorAll('nav a[href=\"/groups\"]').length").unwrap(), 0);

    let anna = sign_in(&scene, "anna");
    click(&anna, "nav a[href='/groups']");
    wait_for_text(&anna, "Whoever sells");
    see(&anna, "portal-groups");
    click(&anna, "main a[href^='/groups/ug']");
    wait_for_text(&anna, "Nobody is in this group");
    let add = |login: &str| {
        anna.script(&format!("document.querySelector('#login').value = {login:?}; return true")).unwrap();
        click(&anna, "button[value=add]");
    };
    add("bert");
    wait_for_text(&anna, "Nobody has the login name bert");
    anna.open(&login_url(&scene, "/groups/ug1-1")).unwrap();
    add("carl");
    anna.wait_for(PATIENCE, "return document.querySelector('li .what')?.innerText === 'carl'").unwrap();
    see(&anna, "portal-group");

    carl.open(&url(&scene.crm, "/head")).unwrap();
    wait_for_text(&carl, "x-postern-user: carl");
    carl.open(&login_url(&scene, "/groups/ug1-1")).unwrap();
    wait_for_text(&carl, "There is nothing here");
    click(&anna, "button[value=remove]");
    wait_for_text(&anna, "Nobody is in this group");
    carl.open(&login_url(&scene, "/")).unwrap();
    wait_for_text(&carl, "not assigned to any application");
    for browser in [anna, carl] {
        browser.finish().unwrap();
    }
}

#[test]
fn reviewers_look_at_who_is_assigned_with_chromium() {
    if !browser::is_there() {
        return pass_over("no Chromium: cargo xtask browser");
    }
    let scene = Scene::start();
    let world = &scene.world;
    scene.add_user("bert", &[]);
    world.cli(&["group", "create", "sales"]).unwrap();
    world.cli(&["assign", "crm", "--group", "sales"]).unwrap();
    let mut anna = scene.signed_in("anna");
    assert_eq!(anna.open(&url(&scene.crm, "/bytes/3")).unwrap().answer.status, 200);
    let unused = world.json(&["assign", "list", "crm"]).unwrap();
    let of =
        |who: &str| unused["items"].as_array().unwrap().iter().find(|one| one["principal"] == who).unwrap().clone();
    assert!(of("user/anna")["last_used_unix"].is_u64() && of("group/sales")["last_used_unix"].is_null(), "{unused}");

    world.cli(&["access", "review", "start", "crm", "--reviewer", "user/bert", "--due", "7d"]).unwrap();
    let bert = sign_in(&scene, "bert");
    bert.open(&login_url(&scene, "/requests")).unwrap();
    click(&bert, "a[href='/reviews']");
    wait_for_text(&bert, "Everybody in the group sales");
    wait_for_text(&bert, "Not used, as far as is known");
    see(&bert, "portal-reviews");
    click(&bert, "form:has([name=principal][value^=u1-]) button[value=remove]");
    bert.wait_for(PATIENCE, "return document.querySelectorAll('.decide').length === 1").unwrap();
    assert_eq!(anna.open(&url(&scene.crm, "/bytes/3")).unwrap().answer.status, 403, "at once");
    click(&bert, "button[value=keep]");
    wait_for_text(&bert, "There is nothing for you to review");
    bert.finish().unwrap();
    let list = world.cli(&["access", "review", "list", "--all"]).unwrap();
    assert!(list.contains("finished") && list.contains("0 of 2"), "{list}");
    let shown = world.cli(&["access", "review", "show", "rv1-1"]).unwrap();
    assert!(shown.contains("remove, by user bert") && shown.contains("keep, by user bert"), "{shown}");
    let report = world.cli(&["assign", "report"]).unwrap();
    assert!(report.contains("no assignment has ended"), "{report}");
}

#[test]
fn forms_of_the_portal_that_come_from_elsewhere_do_nothing() {
    let scene = Scene::start();
    let mut anna = scene.signed_in("anna");
    let (_other, id) = scene.session_of("anna");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let end = format!("action=end&session={id}");
    let own = login_url(&scene, "");
    scene.world.cli(&["group", "create", "sales", "--owner", "anna"]).unwrap();
    let forms = [
        ("/sessions", &*end),
        ("/sessions", "action=end-others"),
        ("/requests", "action=ask&app=a1-1"),
        ("/reviews", "action=remove&review=rv1-1&principal=u1-1"),
        ("/groups/ug1-1", "action=add&login=anna"),
        ("/devices", "action=remove&device=d1-1"),
    ];
    for head in
        [&[form][..], &[form, ("Origin", "https://evil.example")], &[form, ("Origin", "null")], &[("Origin", &own)]]
    {
        for (path, body) in forms {
            let answer = anna.step("POST", &login_url(&scene, path), head, body).unwrap();
            assert_eq!(answer.status, 403, "{path} {head:?}");
        }
    }
    assert_eq!(scene.sessions().len(), 2);
    assert_eq!(scene.world.json(&["group", "show", "sales"]).unwrap()["user_logins"], serde_json::json!([]));
    let own = [form, ("Origin", &*own)];
    assert_eq!(anna.step("POST", &login_url(&scene, "/sessions"), &own, "action=all").unwrap().status, 400);
    assert_eq!(anna.step("POST", &login_url(&scene, "/"), &own, "action=end-others").unwrap().status, 405);
    assert_eq!(anna.step("POST", &login_url(&scene, "/sessions"), &own, &end).unwrap().status, 303);
    assert_eq!(scene.sessions().len(), 1);
    assert_eq!(anna.open(&login_url(&scene, "/icon/a1-1")).unwrap().answer.status, 404, "no icon");
}
