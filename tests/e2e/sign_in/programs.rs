//! Applications and programs that get tokens for people, by a certified client library: from the browser to the application, and
//! what ends it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postern_tests::client::Answer;
use postern_tests::openid_client::{self, OpenidClient, Setup};
use postern_tests::pass_over;
use postern_tests::person::Person;
use postern_tests::world::write_secret;
use serde_json::{Value, json};

use super::revocation::Running;
use super::{PASSWORD, Scene, login_url, url};

struct Programs {
    scene: Scene,
    program: Option<PathBuf>,
    issuer: String,
    /// Where clients are returned to: an application that asks nobody.
    back: String,
}

impl Programs {
    /// `None`: there is no client here, and the test passes over.
    fn start() -> Option<Programs> {
        let Some(program) = openid_client::program() else {
            pass_over("no OpenID client: cargo xtask test, as root, installs one");
            return None;
        };
        Some(Programs::with(Some(program)))
    }

    fn with(program: Option<PathBuf>) -> Programs {
        let scene = Scene::start();
        let back = scene.world.publish("back", &scene.origin.url()).unwrap();
        let (issuer, back) = (login_url(&scene, ""), url(&back, "/bytes/3"));
        Programs { scene, program, issuer, back }
    }

    /// Registers a client: what it is configured with.
    fn add(&self, name: &str, more: &str) -> Value {
        let words = ["client", "add", name, "--redirect-uri", &self.back];
        let words: Vec<&str> = words.into_iter().chain(more.split(' ')).collect();
        self.scene.world.json(&words).unwrap()
    }

    fn client(&self, registered: &Value, scope: &str) -> OpenidClient {
        let setup = Setup {
            issuer: &self.issuer,
            client_id: registered["client"]["id"].as_str().unwrap(),
            client_secret: registered["secret"].as_str(),
            redirect_uri: &self.back,
            scope,
        };
        OpenidClient::start(self.program.as_ref().unwrap(), &self.scene.world, &setup).unwrap()
    }

    /// What the wiki answers to a token.
    fn wiki(&self, token: &Value) -> Answer {
        self.scene.wiki.bearing(token.as_str().unwrap()).get("/head").unwrap()
    }
}

#[test]
fn a_certified_client_signs_a_user_in_and_opens_an_application_for_them() {
    let Some(programs) = Programs::start() else { return };
    let registered = programs.add("reports", "--confidential --scope openid,profile,app:wiki --consent user");
    let mut client = programs.client(&registered, "openid profile app:wiki");
    let mut person = programs.scene.person();
    let begun = client.tell("begin").unwrap();
    let page = person.open(begun.as_str().unwrap()).unwrap();
    let asked = person.give_password(&page, "anna", PASSWORD, false).unwrap();
    let text = asked.answer.text();
    assert!(text.contains("Allow reports?") && text.contains("use wiki in your name"), "{text}");
    let page = person.answer_consent(&asked, true).unwrap();
    assert!(page.answer.status == 200 && page.url.starts_with(&programs.back), "{page:?}");
    let tokens = client.tell(&format!("finish {}", page.url)).unwrap();
    assert_eq!((&tokens["claims"]["preferred_username"], &tokens["expires_in"]), (&json!("anna"), &json!(600)));
    let user = client.tell("userinfo").unwrap();
    assert_eq!((&user["sub"], &user["name"]), (&tokens["claims"]["sub"], &json!("Anna Berg")));

    // The application hears of her as from a browser, and gets nothing of the token.
    let head = programs.wiki(&tokens["access_token"]).text().to_lowercase();
    assert!(head.contains("x-postern-user: anna\r\n") && !head.contains("authorization"), "{head}");
    let other = programs.scene.crm.bearing(tokens["access_token"].as_str().unwrap()).get("/bytes/3").unwrap();
    assert_eq!(other.status, 403, "{other:?}");
    assert_eq!(client.tell("introspect").unwrap()["username"], "anna");

    let again = client.tell("refresh").unwrap();
    assert_ne!(again["refresh_token"], tokens["refresh_token"]);
    assert_eq!(programs.wiki(&again["access_token"]).status, 200);
    client.tell("revoke").unwrap();
    let refused = client.tell("refresh").unwrap_err().to_string();
    assert!(refused.contains("invalid_grant"), "{refused}");
}

#[test]
fn what_a_program_may_ends_with_its_users_session_within_a_second() {
    let Some(programs) = Programs::start() else { return };
    let world = &programs.scene.world;
    let registered = programs.add("reports", "--public --scope app:wiki --consent admin");
    let mut client = programs.client(&registered, "app:wiki");
    let mut person = programs.scene.signed_in("anna");
    let begun = client.tell("begin").unwrap();
    let page = person.open(begun.as_str().unwrap()).unwrap();
    let tokens = client.tell(&format!("finish {}", page.url)).unwrap();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let running = ["/stall", "/bytes/1073741824", "/events"]
        .map(|path| Running::showing(&programs.scene.wiki, path, ("Authorization", &bearer)));
    world.cli(&["session", "revoke", "--user", "anna"]).unwrap();
    let returned = Instant::now();
    for ended in running.map(Running::ended) {
        assert!(ended.saturating_duration_since(returned) < Duration::from_secs(1));
    }
    let refused = programs.wiki(&tokens["access_token"]);
    assert_eq!(refused.status, 401, "{refused:?}");
    let challenge = refused.header("www-authenticate").unwrap();
    let metadata = challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(metadata.starts_with(&url(&programs.scene.wiki, "/.well-known/")), "{challenge}");
    let told = programs.scene.wiki.get("/.well-known/oauth-protected-resource").unwrap();
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(told["authorization_servers"][0], programs.issuer.as_str());
    assert!(client.tell("refresh").unwrap_err().to_string().contains("invalid_grant"));
}

impl Programs {
    /// A person enters the code of a device, signs in and answers.
    fn allow(&self, person: &mut Person, uri: &str, allow: bool) {
        let page = person.open(uri).unwrap();
        let code = uri.split("user_code=").nth(1).unwrap();
        assert!(page.answer.text().contains(&format!("value=\"{code}\"")), "{page:?}");
        let page = person.submit(&login_url(&self.scene, "/device"), &[("user_code", code)]).unwrap();
        let asked = person.give_password(&page, "anna", PASSWORD, false).unwrap();
        assert!(asked.answer.text().contains(&format!("<strong>{code}</strong>")), "{asked:?}");
        let page = person.answer_consent(&asked, allow).unwrap();
        assert_eq!((page.answer.status, page.url), (200, login_url(&self.scene, "/device/done")));
    }
}

#[test]
fn a_certified_client_without_a_browser_waits_for_its_user() {
    let Some(programs) = Programs::start() else { return };
    let registered = programs.add("tv", "--public --device --scope app:wiki --consent admin");
    let mut client = programs.client(&registered, "app:wiki");
    let device = client.tell("device").unwrap();
    programs.allow(&mut programs.scene.person(), device["verification_uri_complete"].as_str().unwrap(), true);
    let tokens = client.tell("poll").unwrap();
    assert_eq!(programs.wiki(&tokens["access_token"]).status, 200);
    assert_eq!(programs.wiki(&client.tell("refresh").unwrap()["access_token"]).status, 200);
    let device = client.tell("device").unwrap();
    programs.allow(&mut programs.scene.person(), device["verification_uri_complete"].as_str().unwrap(), false);
    let refused = client.tell("poll").unwrap_err().to_string();
    assert!(refused.contains("access_denied"), "{refused}");
}

/// The command line as a user has it: no socket, a home of their own.
struct Shell<'a> {
    programs: &'a Programs,
    home: PathBuf,
}

impl Shell<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = postern_tests::programs::command("postern");
        command.args(["--socket", "/nowhere", "access"]).args(words).env("XDG_STATE_HOME", &self.home);
        command
    }

    fn run(&self, words: &[&str]) -> (bool, String, String) {
        let output = self.command(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    /// Signs in, with a person at a browser.
    fn login(&self, url: &str, client: &str) {
        let world = &self.programs.scene.world;
        let (relay, ca) = (world.relay_address.to_string(), world.authority().display().to_string());
        let words = ["login", url, "--client", client, "--connect-to", &relay, "--ca", &ca];
        let mut child = self.command(&words).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let uri = first.strip_prefix("open ").unwrap_or_else(|| panic!("{first}"));
        self.programs.allow(&mut self.programs.scene.person(), uri, true);
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "{rest:?}");
    }
}

#[test]
fn a_user_signs_in_at_the_command_line_and_asks_an_application_by_curl() {
    let programs = Programs::with(None);
    let world = &programs.scene.world;
    let made = world.json(&["client", "add", "cli", "--public", "--device", "--scope", "app:*", "--consent", "user"]);
    let client = made.unwrap()["client"]["id"].as_str().unwrap().to_owned();
    let shell = Shell { programs: &programs, home: world.path("home") };
    let wiki = url(&programs.scene.wiki, "/head");
    let (is_done, _, said) = shell.run(&["curl", &wiki]);
    assert!(!is_done && said.contains("postern access login"), "{said}");
    shell.login(&wiki, &client);
    let kept = shell.home.join("postern/access/logins.json");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    let (is_done, head, said) = shell.run(&["curl", &wiki, "--", "-s", "-H", "X-Mine: 1"]);
    let head = head.to_lowercase();
    assert!(is_done && head.contains("x-postern-user: anna\r\n") && head.contains("x-mine: 1"), "{head} {said}");
    let (is_done, _, said) = shell.run(&["curl", &wiki, "--", "https://evil.example/"]);
    assert!(!is_done && said.contains("for") && said.contains("alone"), "{said}");
    let (is_done, _, said) = shell.run(&["curl", &url(&programs.scene.crm, "/head")]);
    assert!(!is_done && said.contains("nobody is signed in"), "{said}");
    let (_, token, _) = shell.run(&["token", &wiki]);
    assert_eq!(programs.wiki(&json!(token.trim())).status, 200);

    // A token that is over is replaced, once for all who ask at the same time: each refresh token is good once.
    let text = std::fs::read_to_string(&kept).unwrap();
    let mut logins: Value = serde_json::from_str(&text).unwrap();
    logins[0]["expires_unix"] = json!(1);
    write_secret(&kept, &logins.to_string()).unwrap();
    let running: Vec<_> =
        (0..3).map(|_| shell.command(&["token", &wiki]).stdout(Stdio::piped()).spawn().unwrap()).collect();
    let tokens: Vec<String> =
        running.into_iter().map(|child| String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()).collect();
    assert!(tokens.iter().all(|other| *other == tokens[0] && *other != token && !other.is_empty()), "{tokens:?}");

    let (is_done, _, said) = shell.run(&["logout", &wiki]);
    assert!(is_done, "{said}");
    let refresh = logins[0]["refresh_token"].as_str().unwrap();
    assert!(!std::fs::read_to_string(&kept).unwrap().contains(refresh));
    assert_eq!(world.json(&["client", "show", "cli"]).unwrap()["grants"], 0);
}
