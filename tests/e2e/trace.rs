//! `postern trace`: what an operator sees of requests, and what of them nobody sees.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use postern_tests::client::Client;
use postern_tests::origin::Origin;
use postern_tests::person::Person;
use postern_tests::process::{Process, signal_pid};
use postern_tests::world::{START_TIMEOUT, World, write_secret};
use postern_tests::{programs, within};
use serde_json::Value;

const PASSWORD: &str = "correct horse battery";
/// Stands wherever a secret may.
const SECRET: &str = "t0psecret";

/// An application that asks who it is; anna and bert may open it, cara may not.
struct Scene {
    world: World,
    wiki: Client,
    _origin: Origin,
}

impl Scene {
    fn start() -> Scene {
        let mut world = World::usual().unwrap();
        let origin = Origin::start().unwrap();
        world.start_identity().unwrap();
        let wiki = world.publish("wiki", &origin.url()).unwrap();
        world.cli(&["app", "set", "wiki", "--preauth", "oidc"]).unwrap();
        let file = world.path("password");
        write_secret(&file, &format!("{PASSWORD}\n")).unwrap();
        let file = file.display().to_string();
        for login in ["anna", "bert", "cara"] {
            world.cli(&["user", "create", login, "--display-name", login, "--password-file", &file]).unwrap();
        }
        for login in ["anna", "bert"] {
            world.cli(&["assign", "--user", login, "wiki"]).unwrap();
        }
        Scene { world, wiki, _origin: origin }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.wiki.host)
    }

    /// Somebody who signs in at the wiki, and the status that they end with.
    fn signs_in(&self, login: &str) -> (Person, u16) {
        let mut person = Person::new(&self.wiki);
        let page = person.sign_in(&self.url("/bytes/3"), login, PASSWORD, false).unwrap();
        (person, page.answer.status)
    }
}

/// Begins a trace; it records when this returns.
fn begin(world: &World, name: &str, arguments: &[&str]) -> (Process, PathBuf) {
    let har = world.path(&format!("{name}.har"));
    let mut command = programs::command("postern");
    command.arg("--socket").arg(world.socket()).arg("trace").args(arguments).arg("--har").arg(&har);
    let process = Process::spawn("postern trace", command, &world.path(&format!("{name}.log"))).unwrap();
    assert!(process.logs_within(START_TIMEOUT, "recording requests"), "{}", process.log());
    (process, har)
}

/// As by Ctrl-C.
fn interrupted(mut process: Process, har: &Path) -> (Vec<Value>, String) {
    process.signal(Signal::SIGINT);
    let status = process.wait(Duration::from_secs(20));
    assert!(status.is_some_and(|status| status.success()), "{}", process.log());
    entries(har)
}

/// The archive's entries and its text.
fn entries(har: &Path) -> (Vec<Value>, String) {
    let text = std::fs::read_to_string(har).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["log"]["version"], "1.2");
    assert_eq!(std::fs::metadata(har).unwrap().permissions().mode() & 0o777, 0o600);
    (document["log"]["entries"].as_array().unwrap().clone(), text)
}

fn audited(world: &World, action: &str) -> Vec<String> {
    let list = world.json(&["audit", "list", "--action", action]).unwrap();
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["after"].as_str().unwrap_or_default().to_owned()).collect()
}

fn has_no_cookie_of(text: &str, person: &Person, host: &str) {
    let cookies = person.cookie(host);
    let values: Vec<&str> = cookies.split("; ").filter_map(|pair| Some(pair.split_once('=')?.1)).collect();
    assert!(values.iter().any(|value| value.len() > 20), "there are sealed ones: {cookies}");
    let shown = values.iter().find(|value| value.len() > 20 && text.contains(**value));
    assert_eq!(shown, None, "a cookie's value is in the archive");
}

/// Signs in by a form with secrets in every place that is known for them.
fn sends_secrets(scene: &Scene, person: &mut Person) {
    let url = scene.url(&format!("/count?token={SECRET}&q=1"));
    let fields = [("Content-Type", "application/x-www-form-urlencoded"), ("X-Api-Key", SECRET)];
    let body = format!("login=x&password={SECRET}");
    assert_eq!(person.step("POST", &url, &fields, &body).unwrap().status, 200, "{}", scene.world.logs());
}

#[test]
fn one_users_requests_are_recorded_without_secrets_and_nobody_elses() {
    let scene = Scene::start();
    let world = &scene.world;
    let (mut anna, status) = scene.signs_in("anna");
    let (mut bert, of_bert) = scene.signs_in("bert");
    assert_eq!((status, of_bert), (200, 200));
    for bodies in [false, true] {
        let name = if bodies { "bodies" } else { "heads" };
        let more: &[&str] = if bodies { &["--bodies"] } else { &[] };
        let (process, har) = begin(world, name, &[&["app/wiki", "--user", "anna"], more].concat());
        sends_secrets(&scene, &mut anna);
        assert_eq!(bert.open(&scene.url("/bytes/7")).unwrap().answer.status, 200);
        let (entries, text) = interrupted(process, &har);
        let [entry] = &entries[..] else { panic!("one request of anna's: {text}") };
        assert_eq!(entry["_postern"]["subject"], "user/anna");
        assert_eq!(entry["request"]["url"], scene.url("/count?token=[redacted]&q=1"));
        assert_eq!(entry["response"]["status"], 200);
        assert!(entry["timings"]["wait"].as_f64().unwrap() > 0.0, "{entry:#}");
        assert!(!text.contains(SECRET), "{text}");
        has_no_cookie_of(&text, &anna, &scene.wiki.host);
        let names: Vec<&str> =
            entry["request"]["cookies"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert!(names.iter().any(|name| name.contains("postern")), "names stay: {names:?}");
        let (data, content) = (&entry["request"]["postData"], &entry["response"]["content"]);
        if bodies {
            assert_eq!(data["text"], "login=x&password=[redacted]");
            assert!(content["text"].is_string(), "{content}");
        } else {
            assert!(data.is_null() && content.get("text").is_none(), "{entry:#}");
        }
        // Relays remember what they have written to their access logs, a moment later.
        let id = entry["_postern"]["request_id"].as_str().unwrap();
        let explained = || world.cli(&["explain", id]).is_ok_and(|explained| explained.contains("user/anna"));
        assert!(within(START_TIMEOUT, explained), "{id}: {:?}", world.cli(&["explain", id]));
    }
    let begun = audited(world, "app.trace-begin");
    assert!(
        begun.len() == 2 && begun.iter().all(|text| text.contains("for_s=300") && text.contains("anna")),
        "{begun:?}"
    );
    assert!(["bodies=no", "bodies=yes"].iter().all(|what| begun.iter().any(|text| text.contains(what))), "{begun:?}");
    let ended = audited(world, "app.trace-end");
    assert!(ended.iter().all(|text| text.starts_with("entries=1 dropped=0")), "{ended:?}");
    // Nothing goes on after the end.
    sends_secrets(&scene, &mut anna);
    assert!(audited(world, "app.trace-end").len() == 2 && world.cli(&["audit", "verify"]).is_ok());
}

#[test]
fn what_never_reached_the_application_is_recorded_too() {
    let scene = Scene::start();
    let (process, har) = begin(&scene.world, "all", &["app/wiki", "--bodies"]);
    let (cara, status) = scene.signs_in("cara");
    assert_eq!(status, 403);
    let (entries, text) = interrupted(process, &har);
    let first = &entries[0];
    assert!((300..400).contains(&first["response"]["status"].as_u64().unwrap()), "sent away to sign in: {first:#}");
    assert!(first["_postern"].get("subject").is_none_or(Value::is_null), "{first:#}");
    let refused = entries.iter().find(|entry| entry["response"]["status"] == 403).unwrap();
    assert_eq!(
        (&refused["_postern"]["code"], &refused["_postern"]["subject"]),
        (&"not-assigned".into(), &"user/cara".into())
    );
    assert!(refused["response"]["content"]["text"].as_str().unwrap().contains("not-assigned"), "{refused:#}");
    // She came back with a code, which is good for a session.
    let codes: Vec<&str> = text.split("code=").skip(1).collect();
    assert!(!codes.is_empty() && codes.iter().all(|rest| rest.starts_with("[redacted]")), "{text}");
    has_no_cookie_of(&text, &cara, &scene.wiki.host);
}

#[test]
fn a_page_that_leads_on_to_a_url_is_not_recorded() {
    let scene = Scene::start();
    scene.world.cli(&["app", "set", "wiki", "--set", "cookie_same_site=strict"]).unwrap();
    let (process, har) = begin(&scene.world, "landing", &["app/wiki", "--bodies"]);
    let mut anna = Person::new(&scene.wiki);
    let url = scene.url(&format!("/bytes/3?token={SECRET}"));
    let page = anna.sign_in(&url, "anna", PASSWORD, false).unwrap();
    assert_eq!((page.answer.status, page.url.as_str()), (200, url.as_str()), "it led on to what was asked for");
    let (entries, text) = interrupted(process, &har);
    assert!(!text.contains(SECRET), "{text}");
    let comment = |entry: &Value| entry["response"]["content"]["comment"].as_str().map(str::to_owned);
    let said: Vec<String> = entries.iter().filter_map(comment).collect();
    assert!(said.iter().any(|why| why.contains("leads on to a URL")), "{said:?}");
}

#[test]
fn a_relay_that_is_started_anew_goes_on_recording() {
    let world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    let (process, har) = begin(&world, "app", &["app/app"]);
    assert_eq!(client.get("/bytes/1").unwrap().status, 200);
    let opened = client.websocket("/ws?room=1", &[("Origin", &format!("https://{}", client.host))]).unwrap();
    // Collected once a second.
    std::thread::sleep(Duration::from_secs(3));
    signal_pid(world.dataplane().unwrap(), Signal::SIGKILL);
    drop(opened);
    assert!(process.logs_within(START_TIMEOUT, "was started anew"), "{}{}", process.log(), world.logs());
    let serves = |_: &World| client.get("/bytes/2").is_ok_and(|answer| answer.status == 200);
    world.expect_within(START_TIMEOUT, "serves again", serves).unwrap();
    let (entries, text) = interrupted(process, &har);
    for (path, status) in [("/bytes/1", 200), ("/ws?room=1", 101), ("/bytes/2", 200)] {
        let is_it = |entry: &&Value| entry["request"]["url"].as_str().is_some_and(|url| url.ends_with(path));
        assert!(entries.iter().filter(is_it).any(|entry| entry["response"]["status"] == status), "{path}: {text}");
    }
    assert!(text.contains("was started anew"), "what may be missing is in the archive, too");
}

#[test]
fn it_ends_by_itself_and_what_cannot_be_traced_is_refused() {
    let mut world = World::usual().unwrap();
    let origin = Origin::start().unwrap();
    world.publish("app", &origin.url()).unwrap();
    world.start_identity().unwrap();
    world.cli(&["tenant", "create", "other"]).unwrap();
    let there = world.path("there.har");
    std::fs::write(&there, "mine").unwrap();
    let (there, new) = (there.display().to_string(), world.path("new.har").display().to_string());
    let refused = |arguments: &[&str], says: &str| {
        let output = world.cli_output(&[&["trace"], arguments].concat()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says), "{arguments:?}: {said}");
    };
    refused(&["app/app", "--har", &there], "is there already");
    refused(&["app/none", "--har", &new], "there is no application");
    refused(&["app/app", "--har", &new, "--user", "nobody"], "there is no user");
    refused(&["app/app", "--har", &new, "--for", "31m"], "goes on for 1s to 30m");
    refused(&["app/app", "--har", &new, "--tenant", "other"], "there is no application");
    refused(&["app/postern-identity", "--har", &new, "--bodies"], "enter their passwords");
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "mine");
    assert!(!Path::new(&new).exists() && audited(&world, "app.trace-begin").is_empty());

    let (mut process, har) = begin(&world, "short", &["app/app", "--for", "3s"]);
    refused(&["app/app", "--har", &new], "is traced already");
    let status = process.wait(Duration::from_secs(20));
    assert!(
        status.is_some_and(|status| status.success()) && process.log().contains("its time is over"),
        "{}",
        process.log()
    );
    entries(&har);

    // Control is gone: what is there is written, and the command says so.
    let (mut process, har) = begin(&world, "orphan", &["app/app"]);
    world.control().kill();
    let status = process.wait(Duration::from_secs(60));
    assert!(status.is_some_and(|status| !status.success()), "{}", process.log());
    entries(&har);
}
