//! People sign in: from an application to the pages and back, with the real programs; and what they keep when something of it
//! is not there.

mod attacks;
mod countries;
mod devices;
pub(crate) mod pages;
mod portal;
mod programs;
mod revocation;
mod terms;

use std::time::{Duration, Instant};

use postern_tests::client::Client;
use postern_tests::origin::Origin;
use postern_tests::person::{Person, leads_to};
use postern_tests::world::{Options, START_TIMEOUT, World, write_secret};

const PASSWORD: &str = "correct horse battery";

/// Two applications that ask, and anna, who may open both.
struct Scene {
    world: World,
    origin: Origin,
    wiki: Client,
    crm: Client,
}

impl Scene {
    fn start() -> Scene {
        Scene::with(Options::default())
    }

    fn with(options: Options) -> Scene {
        let mut world = World::start(options).unwrap();
        let origin = Origin::start().unwrap();
        world.start_identity().unwrap();
        let [wiki, crm] = ["wiki", "crm"].map(|name| {
            let client = world.publish(name, &origin.url()).unwrap();
            world.cli(&["app", "set", name, "--preauth", "oidc"]).unwrap();
            client
        });
        let scene = Scene { world, origin, wiki, crm };
        scene.add_user("anna", &[]);
        for app in ["wiki", "crm"] {
            scene.world.cli(&["assign", "--user", "anna", app]).unwrap();
        }
        scene
    }

    fn add_user(&self, login: &str, more: &[&str]) {
        let file = self.password_file(PASSWORD);
        let words = ["user", "create", login, "--display-name", "Anna Berg", "--password-file", &file];
        self.world.cli(&[&words, more].concat()).unwrap();
    }

    fn password_file(&self, password: &str) -> String {
        let file = self.world.path("password");
        write_secret(&file, &format!("{password}\n")).unwrap();
        file.display().to_string()
    }

    fn person(&self) -> Person {
        Person::new(&self.wiki)
    }

    /// Someone who has signed in to the wiki.
    fn signed_in(&self, login: &str) -> Person {
        let mut person = self.person();
        let page = person.sign_in(&url(&self.wiki, "/bytes/3"), login, PASSWORD, false).unwrap();
        assert_eq!(page.answer.status, 200, "{page:?}\n{}", self.world.logs());
        person
    }

    /// As [`Scene::signed_in`], and the session's id.
    fn session_of(&self, login: &str) -> (Person, String) {
        let ids = || -> Vec<String> {
            self.sessions().iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
        };
        let before = ids();
        let person = self.signed_in(login);
        let new = ids().into_iter().find(|id| !before.contains(id));
        (person, new.expect("a session was made"))
    }

    fn sessions(&self) -> Vec<serde_json::Value> {
        self.world.json(&["session", "list"]).unwrap()["items"].as_array().unwrap().clone()
    }
}

fn url(client: &Client, path: &str) -> String {
    format!("https://{}{path}", client.host)
}

fn login_url(scene: &Scene, path: &str) -> String {
    format!("https://login.example.test:{}{path}", scene.world.relay_address.port())
}

/// The status of what somebody opens, and where they end.
fn opened(person: &mut Person, url: &str) -> (u16, String) {
    let page = person.open(url).unwrap();
    (page.answer.status, page.url)
}

#[test]
fn who_signs_in_is_back_where_they_wanted_to_go_and_in_at_the_next_application_too() {
    let scene = Scene::start();
    let mut person = scene.person();
    let wanted = url(&scene.wiki, "/head?page=7&q=%C3%BC%2F");
    let page = person.open(&wanted).unwrap();
    assert!(page.url.starts_with(&login_url(&scene, "/authorize?")), "{}", page.url);
    let text = page.answer.text();
    assert!(page.answer.status == 200 && text.contains("to go on to <strong>wiki</strong>"), "{text}");
    let wrong = person.give_password(&page, "anna", "wrong horse battery", false).unwrap();
    assert!(wrong.answer.text().contains("The user name or the password is not right."), "{wrong:?}");
    assert_eq!(scene.origin.heads().iter().filter(|head| head.contains("page=7")).count(), 0);
    let page = person.give_password(&wrong, " Anna ", PASSWORD, false).unwrap();
    assert_eq!((page.answer.status, &page.url), (200, &wanted), "{:?}", person.went);
    let head = page.answer.text().to_lowercase();
    assert!(head.starts_with("get /head?page=7&q=%c3%bc%2f http/1.1\r\n"), "{head}");
    assert_eq!(head.matches("x-postern-user: anna\r\n").count(), 1, "{head}");
    assert!(!head.contains("__host-postern"), "our cookies are not the application's: {head}");

    person.went.clear();
    assert_eq!(opened(&mut person, &url(&scene.crm, "/bytes/3")), (200, url(&scene.crm, "/bytes/3")));
    assert_eq!(person.went.len(), 4, "there, to sign in, back and in: {:?}", person.went);
    let [session] = &scene.sessions()[..] else { panic!("one session for both") };
    assert_eq!((&session["user"], &session["methods"]), (&"anna".into(), &serde_json::json!(["pwd"])));
    assert_eq!(session["source"], "127.0.0.1");
    let home = person.open(&login_url(&scene, "/")).unwrap().answer.text();
    assert!(home.contains("You are signed in") && home.contains("anna"), "{home}");

    let log = scene.world.path("relay/access.log");
    let is_known = |_: &World| std::fs::read_to_string(&log).is_ok_and(|log| log.contains("user/anna"));
    scene.world.expect_within(Duration::from_secs(10), "the access log says who", is_known).unwrap();
}

#[test]
fn who_signs_out_is_out_everywhere_and_who_is_not_assigned_is_told_so() {
    let scene = Scene::start();
    let mut person = scene.signed_in("anna");
    assert_eq!(opened(&mut person, &url(&scene.crm, "/bytes/3")).0, 200);
    let copy = person.clone();
    let page = person.open(&url(&scene.wiki, "/.postern/sign-out")).unwrap();
    assert!(
        page.url == login_url(&scene, "/sign-out") && page.answer.text().contains("You are signed out"),
        "{page:?}"
    );
    for (mut someone, app) in [(person, &scene.crm), (copy.clone(), &scene.crm), (copy, &scene.wiki)] {
        let page = someone.open(&url(app, "/bytes/3")).unwrap();
        assert!(page.answer.text().contains("Password"), "{page:?}");
    }
    assert_eq!(scene.sessions().len(), 0);

    // At the place to sign in itself, with a form of its own.
    let mut person = scene.signed_in("anna");
    let asks = person.open(&login_url(&scene, "/sign-out")).unwrap().answer.text();
    assert!(asks.contains("Sign out?") && scene.sessions().len() == 1, "{asks}");
    person.submit(&login_url(&scene, "/sign-out"), &[]).unwrap();
    assert_eq!(scene.sessions().len(), 0);
    assert!(opened(&mut person, &url(&scene.wiki, "/bytes/3")).1.contains("/authorize?"));

    scene.add_user("bert", &[]);
    let mut bert = scene.person();
    let page = bert.sign_in(&url(&scene.wiki, "/bytes/3"), "bert", PASSWORD, false).unwrap();
    assert!(page.answer.status == 403 && page.answer.text().contains("not-assigned"), "{page:?}");
    let log = scene.world.json(&["audit", "sign-ins", "list", "--user", "bert"]).unwrap();
    let ended: Vec<_> = log["items"].as_array().unwrap().iter().map(|one| (&one["result"], &one["code"])).collect();
    let newest_first = serde_json::json!([["failure", "not-assigned"], ["success", null]]);
    assert_eq!(serde_json::json!(ended), newest_first, "{log}");
    scene.world.cli(&["assign", "--user", "bert", "wiki"]).unwrap();
    assert_eq!(opened(&mut bert, &url(&scene.wiki, "/bytes/3")).0, 200, "without signing in anew");
}

#[test]
fn who_wants_to_stay_signed_in_gets_cookies_that_outlast_the_browser() {
    let scene = Scene::start();
    for keep in [false, true] {
        let mut person = scene.person();
        let page = person.open(&url(&scene.wiki, "/bytes/3")).unwrap();
        let flow = page.answer.text();
        let flow = flow.split("name=\"flow\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let body =
            format!("flow={flow}&login=anna&password=correct+horse+battery{}", if keep { "&keep=on" } else { "" });
        let origin = login_url(&scene, "");
        let form = [("Origin", &*origin), ("Content-Type", "application/x-www-form-urlencoded")];
        let done = person.step("POST", &login_url(&scene, "/sign-in"), &form, &body).unwrap();
        let back = person.step("GET", &leads_to(&done).unwrap(), &[], "").unwrap();
        for (answer, name) in [(&done, "__Host-postern-sso="), (&back, "__Host-postern-a1-")] {
            let mut sets =
                answer.headers.iter().filter(|(field, value)| field == "set-cookie" && value.starts_with(name));
            let set = &sets.next().unwrap_or_else(|| panic!("{answer:?}")).1;
            assert!(set.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{set}");
            assert_eq!(set.contains("Max-Age=2592000") || set.contains("Max-Age=2591999"), keep, "{set}");
        }
        assert_eq!(done.header("cache-control"), Some("no-store"));
        assert_eq!(back.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn who_is_known_goes_on_whatever_is_down_and_others_are_told() {
    let mut scene = Scene::start();
    let mut person = scene.signed_in("anna");
    let (wiki, crm) = (url(&scene.wiki, "/bytes/3"), url(&scene.crm, "/bytes/3"));
    scene.world.identity = None;
    assert_eq!(opened(&mut person, &wiki).0, 200);
    let page = person.open(&crm).unwrap();
    assert!(page.answer.status == 503 && page.answer.text().contains("sign-in-unavailable"), "{page:?}");
    scene.world.restart_identity().unwrap();
    assert_eq!(opened(&mut person, &crm).0, 200, "its cookie at the place to sign in is as good as before");

    scene.world.control().kill();
    assert_eq!((opened(&mut person, &wiki).0, opened(&mut person, &crm).0), (200, 200));
    let begun = Instant::now();
    let page = scene.person().open(&wiki).unwrap();
    assert!(page.answer.status == 503 && page.answer.text().contains("sign-in-unavailable"), "{page:?}");
    assert!(begun.elapsed() < Duration::from_secs(17), "{:?}", begun.elapsed());

    scene.world.start_control().unwrap();
    let signs_in =
        |_: &World| scene.person().sign_in(&wiki, "anna", PASSWORD, false).is_ok_and(|page| page.answer.status == 200);
    scene.world.expect_within(START_TIMEOUT, "people sign in again", signs_in).unwrap();
    assert_eq!((opened(&mut person, &wiki).0, opened(&mut person, &crm).0), (200, 200));
    assert_eq!(person.open(&login_url(&scene, "/")).unwrap().answer.text().matches("You are signed in").count(), 1);

    // A relay that was started anew asks control for each session once.
    scene.world.relay = None;
    scene.world.start_relay().unwrap();
    let is_back =
        |_: &World| person.clone().open(&wiki).is_ok_and(|page| page.answer.status == 200 && page.url == wiki);
    scene.world.expect_within(START_TIMEOUT, "the session is known again", is_back).unwrap();
}

#[test]
fn what_was_confirmed_survives_kill() {
    let mut scene = Scene::start();
    let mut kept = scene.signed_in("anna");
    let (mut revoked, id) = scene.session_of("anna");
    scene.world.cli(&["session", "revoke", &id]).unwrap();
    scene.world.control().kill();
    scene.world.relay = None;
    scene.world.start_control().unwrap();
    scene.world.start_relay().unwrap();
    let wiki = url(&scene.wiki, "/bytes/3");
    let is_back = |_: &World| kept.clone().open(&wiki).is_ok_and(|page| page.answer.status == 200 && page.url == wiki);
    scene.world.expect_within(START_TIMEOUT, "the session is known again", is_back).unwrap();
    assert_eq!(opened(&mut kept, &wiki), (200, wiki.clone()));
    assert!(opened(&mut revoked, &wiki).1.contains("/authorize?"));
    assert_eq!(scene.sessions().len(), 1);
}

#[test]
fn a_tenants_people_are_nobody_at_anothers() {
    let scene = Scene::start();
    let world = &scene.world;
    world.cli(&["tenant", "create", "other"]).unwrap();
    let token = world.json(&["--tenant", "other", "connector", "token", "--group", "default"]).unwrap();
    assert!(token["token"].is_string());
    let host = format!("there.example.test:{}", world.relay_address.port());
    let words = [
        "--tenant",
        "other",
        "app",
        "publish",
        "there",
        "--external",
        &format!("https://{host}/"),
        "--internal",
        "http://127.0.0.1:9/",
        "--preauth",
        "oidc",
    ];
    world.cli(&words).unwrap();
    let file = scene.password_file("another horse battery");
    world.cli(&["--tenant", "other", "user", "create", "anna", "--password-file", &file]).unwrap();
    world.cli(&["--tenant", "other", "assign", "--everyone", "there"]).unwrap();
    let there = format!("https://{host}/bytes/3");

    let mut person = scene.signed_in("anna");
    let page = person.open(&there).unwrap();
    assert!(page.answer.text().contains("of other") && page.url.contains("/authorize?app=a2-"), "{page:?}");
    let page = person.give_password(&page, "anna", PASSWORD, false).unwrap();
    assert!(page.answer.text().contains("is not right"), "{page:?}");
    let page = person.give_password(&page, "anna", "another horse battery", false).unwrap();
    // No connector is there: it is let in as far as that.
    assert_eq!((page.answer.status, &page.url), (503, &there), "{page:?}");
    assert_eq!(opened(&mut person, &url(&scene.wiki, "/bytes/3")).0, 200, "and is still who it was here");
    // A cookie of the one is nothing at the other, under whatever name.
    let here = person.cookie(&scene.wiki.host);
    let value = here.split("__Host-postern-a1-").nth(1).unwrap().split_once('=').unwrap().1.split(';').next().unwrap();
    let forged = format!("__Host-postern-a2-1={value}");
    let answer =
        scene.wiki.for_host(&host).connect().unwrap().request("GET", "/", &[("Cookie", &forged)], b"").unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(world.json(&["--tenant", "other", "session", "list"]).unwrap()["items"].as_array().unwrap().len(), 1);
    world.cli(&["--tenant", "other", "session", "revoke", "--all"]).unwrap();
    assert_eq!(scene.sessions().len(), 1);
}
