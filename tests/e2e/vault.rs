//! The password vault, end to end: nginx that wants HTTP Basic, JupyterLab that has a form, and where passwords are not.

mod by_users;
mod websockets;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use postern_tests::certificate;
use postern_tests::client::Client;
use postern_tests::jupyter::{self, Jupyter};
use postern_tests::nginx::Nginx;
use postern_tests::person::Person;
use postern_tests::world::{Options, START_TIMEOUT, World, write_secret};
use postern_tests::{pass_over, within};

use crate::app_check::{checked, step};

const ACCOUNT: &str = "correct horse battery";

/// A connector that has the vault's key, and people who can sign in.
struct Scene {
    world: World,
    keys: tempfile::TempDir,
}

impl Scene {
    fn start(users: &[&str]) -> Scene {
        let keys = tempfile::tempdir().unwrap();
        let key = keys.path().join("vault-key").display().to_string();
        let connector = vec!["--vault-key".into(), key.clone()];
        let mut world = World::start(Options { connectors: 0, connector, ..Options::default() }).unwrap();
        world.cli(&["vault", "key", "create", "--group", "default", "--out", &key]).unwrap();
        let token = world.token("default").unwrap();
        world.start_connector(0, &token).unwrap();
        world.expect_within(START_TIMEOUT, "the connector is online", |world| world.connectors_online() == 1).unwrap();
        world.start_identity().unwrap();
        let scene = Scene { world, keys };
        let file = scene.password_file(ACCOUNT);
        for user in users {
            scene.world.cli(&["user", "create", user, "--password-file", &file]).unwrap();
        }
        scene
    }

    fn password_file(&self, password: &str) -> String {
        let file = self.keys.path().join("password");
        write_secret(&file, &format!("{password}\n")).unwrap();
        file.display().to_string()
    }

    fn set(&self, app: &str, owner: &[&str], password: &str) -> Output {
        let file = self.password_file(password);
        let words = [&["vault", "set", app], owner, &["--password-file", &file]].concat();
        self.world.cli_output(&words).unwrap()
    }

    /// Publishes for all of `users`, who are signed on so.
    fn publish(&self, name: &str, internal: &str, users: &[&str], settings: &[&str]) -> Client {
        let client = self.world.publish_with(name, internal, &[]).unwrap();
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        self.world.cli(&[&["app", "set", name, "--preauth", "oidc"], &settings[..]].concat()).unwrap();
        for user in users {
            self.world.cli(&["assign", "--user", user, name]).unwrap();
        }
        client
    }

    fn signed_in(&self, client: &Client, user: &str, path: &str) -> (Person, u16, String) {
        let mut person = Person::new(client);
        let page = person.sign_in(&format!("https://{}{path}", client.host), user, ACCOUNT, false).unwrap();
        (person, page.answer.status, format!("{:?}\n{}", page.answer.headers, page.answer.text()))
    }

    /// Passwords are in no log, store or message of ours.
    fn nowhere(&self, password: &str) {
        let but = ["--exclude-dir=nginx-passwords", "--exclude-dir=jupyter"];
        let mut grep = Command::new("grep");
        let output = grep.arg("-rlF").args(but).arg(password).arg(self.world.folder()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{password} is somewhere");
    }
}

fn said(output: &Output, success: bool) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.success(), success, "{said}");
    said
}

const USERS: &str = "ABERG:{PLAIN}annas pass\nreader:{PLAIN}for all\ncarl:{PLAIN}not what the vault has\n";

#[test]
fn nginx_gets_the_password_of_whoever_asks() {
    let scene = Scene::start(&["anna", "bob", "carl"]);
    let world = &scene.world;
    let leaf = certificate::self_signed_for_address(world.folder(), [127, 0, 0, 1].into()).unwrap();
    let nginx = Nginx::start_with_passwords(world.folder(), &leaf, USERS).unwrap();
    let authority = format!("backend_ca=@{}", leaf.certificate.display());
    let client = scene.publish(
        "crm",
        &format!("https://{}/", nginx.address()),
        &["anna", "bob", "carl"],
        &["sso=basic", &authority],
    );
    let told = said(&scene.set("crm", &["--user", "anna", "--name", "ABERG"], "annas pass"), true);
    assert!(told.contains("sealed to the key") && !told.contains("annas pass"), "{told}");
    said(&scene.set("crm", &["--user", "carl"], "carls old one"), true);
    let (found, passed) = checked(world, &["crm", "--user", "anna"]);
    assert!(passed && step(&found, "vault-entry").0 == "ok", "{found:#}");
    let (missing, passed) = checked(world, &["crm", "--user", "bob"]);
    assert!(!passed && step(&missing, "vault-entry").1.contains("postern vault set"), "{missing:#}");

    let (mut anna, status, answer) = scene.signed_in(&client, "anna", "/1k");
    assert!(status == 200 && answer.contains("(\"x-user\", \"ABERG\")"), "{answer}");
    // What she sends herself does not get there, and of nginx's challenge nobody hears.
    let url = format!("https://{}/1k", client.host);
    let forged = anna.step("GET", &url, &[("Authorization", "Basic cmVhZGVyOmZvciBhbGw=")], "").unwrap();
    assert_eq!((forged.status, forged.header("x-user")), (200, Some("ABERG")));

    let (mut bob, status, answer) = scene.signed_in(&client, "bob", "/1k");
    assert!(status == 403 && answer.contains("sso-credential-missing"), "{answer}");
    said(&scene.set("crm", &["--shared", "--name", "reader"], "for all"), true);
    let shared = || bob.step("GET", &url, &[], "").is_ok_and(|answer| answer.header("x-user") == Some("reader"));
    assert!(within(START_TIMEOUT, shared), "{}", world.logs());

    let (mut carl, status, answer) = scene.signed_in(&client, "carl", "/1k");
    assert!(status == 403 && answer.contains("sso-credential-refused") && !answer.contains("www-auth"), "{answer}");
    for _ in 0..20 {
        assert_eq!(carl.step("GET", &url, &[], "").unwrap().status, 403);
    }
    let mismatches = nginx.process().log().matches("password mismatch").count();
    assert_eq!(mismatches, 1, "{}", nginx.process().log_tail());
    assert!(world.connectors[0].log().contains("the application refused a credential"));
    let text = carl.step("GET", &url, &[], "").unwrap().text();
    let id = text.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 32).unwrap();
    // What was answered is remembered a moment later.
    let explained = || world.cli(&["explain", id]).is_ok_and(|explained| explained.contains("it is not tried for"));
    assert!(within(START_TIMEOUT, explained), "{id}: {:?}", world.cli(&["explain", id]));
    // One that is set anew is tried at once.
    said(&scene.set("crm", &["--user", "carl"], "not what the vault has"), true);
    let good = || carl.step("GET", &url, &[], "").is_ok_and(|answer| answer.header("x-user") == Some("carl"));
    assert!(within(START_TIMEOUT, good), "{}", world.logs());

    let list = world.json(&["vault", "list", "crm"]).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 3, "{list}");
    world.cli(&["vault", "remove", "crm", "--user", "carl"]).unwrap();
    let removed = || carl.step("GET", &url, &[], "").is_ok_and(|answer| answer.header("x-user") == Some("reader"));
    assert!(within(START_TIMEOUT, removed), "{}", world.logs());
    let audit = world.cli(&["audit", "list", "-o", "json"]).unwrap();
    assert!(
        audit.contains("vault.set") && audit.contains("vault.remove") && audit.contains("vault-key.set"),
        "{audit}"
    );
    for password in ["annas pass", "carls old one", "not what the vault has", "QUJFUkc6", "postern-vault-key-1."] {
        assert!(!audit.contains(password));
        scene.nowhere(password);
    }
}

#[test]
fn a_key_that_connectors_have_not_is_said_and_passwords_stay_off_open_networks() {
    let mut scene = Scene::start(&["anna"]);
    let leaf = certificate::self_signed_for_address(scene.world.folder(), [127, 0, 0, 1].into()).unwrap();
    let nginx = Nginx::start_with_passwords(scene.world.folder(), &leaf, USERS).unwrap();
    let authority = format!("backend_ca=@{}", leaf.certificate.display());
    let internal = format!("https://{}/", nginx.address());
    let client = scene.publish("crm", &internal, &["anna"], &["sso=basic", &authority]);
    said(&scene.set("crm", &["--user", "anna", "--name", "ABERG"], "annas pass"), true);
    let (mut anna, status, answer) = scene.signed_in(&client, "anna", "/1k");
    assert_eq!(status, 200, "{answer}");

    let set = |more: &[&str]| scene.world.cli_output(&[&["app", "set", "crm"], more].concat()).unwrap();
    for more in [&["--internal", "http://127.0.0.1:1/"][..], &["--set", "backend_tls_verify=false"]] {
        let refused = said(&set(more), false);
        assert!(refused.contains("setting-invalid") && refused.contains("backend_plaintext=allow"), "{refused}");
    }
    // Whoever could move the application is not sent the passwords.
    let moved = said(&set(&["--internal", "https://127.0.0.1:1/"]), true);
    assert!(moved.contains("cannot be used until they are set again"), "{moved}");
    said(&set(&["--internal", &internal]), true);
    said(&scene.world.cli_output(&["vault", "check"]).unwrap(), true);

    let other = scene.keys.path().join("other-key").display().to_string();
    let create = ["vault", "key", "create", "--group", "default", "--out", &other];
    let refused = said(&scene.world.cli_output(&create).unwrap(), false);
    assert!(refused.contains("vault-key-exists") && !Path::new(&other).exists(), "{refused}");
    let replaced = said(&scene.world.cli_output(&[&create[..], &["--replace"]].concat()).unwrap(), true);
    assert!(replaced.contains("cannot be used until they are set again"), "{replaced}");
    let check = said(&scene.world.cli_output(&["vault", "check"]).unwrap(), false);
    assert!(check.contains("user/anna") && check.contains("it is sealed to the key"), "{check}");
    // Sealed to the new key, which the connector has not got yet.
    said(&scene.set("crm", &["--user", "anna", "--name", "ABERG"], "annas pass"), true);
    let url = format!("https://{}/1k", client.host);
    let refused =
        || anna.step("GET", &url, &[], "").is_ok_and(|answer| answer.text().contains("connector-sso-unavailable"));
    assert!(within(START_TIMEOUT, refused), "{}", scene.world.logs());
    std::fs::rename(&other, scene.keys.path().join("vault-key")).unwrap();
    scene.world.restart_connector(0).unwrap();
    let served = || anna.step("GET", &url, &[], "").is_ok_and(|answer| answer.status == 200);
    assert!(within(START_TIMEOUT, served), "{}", scene.world.logs());

    scene.world.connectors[0].kill();
    write_secret(&scene.keys.path().join("vault-key"), "no key\n").unwrap();
    let refused = said(&scene.world.connector_command(0).output().unwrap(), false);
    assert!(
        refused.contains("vault key create") && !refused.contains("no key\n") && refused.contains("vault-key-invalid"),
        "{refused}"
    );
}

#[test]
fn jupyters_form_is_filled_in_and_its_session_stays_with_the_connector() {
    let Some(program) = jupyter::program() else {
        pass_over("no JupyterLab: cargo xtask browser");
        return;
    };
    let password = "for the notebooks";
    let scene = Scene::start(&["anna"]);
    let world = &scene.world;
    let mut jupyter = Jupyter::start_with_password(&program, world.folder(), password).unwrap();
    let client = scene.publish(
        "lab",
        &jupyter.url(),
        &["anna"],
        &[
            "backend_plaintext=allow",
            "sso=form",
            "sso_form_url=/login",
            "sso_form_page=/login",
            "sso_form_success=location:/",
            "sso_form_browser_cookies=_xsrf",
        ],
    );
    let posts = |jupyter: &Jupyter, status: u16| jupyter.log().matches(&format!("{status} POST /login")).count();
    said(&scene.set("lab", &["--shared", "--name", "jupyter"], "not the one"), true);
    let (mut anna, status, answer) = scene.signed_in(&client, "anna", "/api/contents");
    assert!(status == 403 && answer.contains("sso-credential-refused"), "{answer}\n{}", world.logs());
    let url = |path: &str| format!("https://{}{path}", client.host);
    for _ in 0..10 {
        assert_eq!(anna.step("GET", &url("/api/contents"), &[], "").unwrap().status, 403);
    }
    assert_eq!(posts(&jupyter, 401), 1, "{}", jupyter.log());

    said(&scene.set("lab", &["--shared", "--name", "jupyter"], password), true);
    let served = || anna.step("GET", &url("/api/contents"), &[], "").is_ok_and(|answer| answer.status == 200);
    assert!(within(START_TIMEOUT, served), "{}\n{}", world.logs(), jupyter.log());
    let page = anna.step("GET", &url("/lab"), &[], "").unwrap();
    assert!(page.status == 200 && page.text().contains("JupyterLab"), "{page:?}");
    let cookies = anna.cookie(&client.host);
    assert!(cookies.contains("_xsrf=") && !cookies.contains("username-"), "{cookies}");
    // Its scripts prove by a cookie that they are its own.
    let token = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("_xsrf=")).unwrap().to_owned();
    let made =
        anna.step("POST", &url("/api/contents"), &[("X-XSRFToken", &token)], "{\"type\": \"notebook\"}").unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let refused = anna.step("POST", &url("/api/contents"), &[], "{\"type\": \"notebook\"}").unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(posts(&jupyter, 302), 1, "{}", jupyter.log());

    jupyter.forget_everybody(&program, world.folder(), password).unwrap();
    std::thread::sleep(Duration::from_secs(10));
    let page = anna.step("GET", &url("/lab"), &[], "").unwrap();
    assert!(page.status == 200 && page.text().contains("JupyterLab"), "{page:?}");
    assert_eq!(posts(&jupyter, 302), 1, "signed on again, once: {}", jupyter.log());
    scene.nowhere(password);
}
