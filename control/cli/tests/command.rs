//! The built `postern` against a control that answers what the test says: what is asked, what is printed, how it ends.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

/// One request as control saw it.
struct Seen {
    line: String,
    body: Value,
}

/// A socket that gives each connection the next answer.
struct Control {
    folder: tempfile::TempDir,
    seen: mpsc::Receiver<Seen>,
}

impl Control {
    fn answering(answers: Vec<(u16, Value)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("admin.sock")).unwrap();
        let (report, seen) = mpsc::channel();
        thread::spawn(move || {
            for (status, answer) in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                report.send(read_request(&mut reader)).unwrap();
                let body = answer.to_string();
                let head = format!(
                    "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                reader.get_mut().write_all((head + &body).as_bytes()).unwrap();
            }
        });
        Self { folder, seen }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        postern(&[&["--socket", self.path("admin.sock").to_str().unwrap()], words].concat())
    }

    fn asked(&self) -> Seen {
        self.seen.recv().unwrap()
    }
}

fn read_request(reader: &mut impl BufRead) -> Seen {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut length = 0;
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).unwrap();
        if field == "\r\n" {
            break;
        }
        if let Some(value) = field.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Seen { line, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

fn postern(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_postern"))
        .args(words)
        .env_remove("POSTERN_SOCKET")
        .env_remove("POSTERN_TENANT")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn app() -> Value {
    json!({
        "id": "a1-1", "name": "wiki", "external_url": "https://wiki.example.com/", "internal_url": "http://10.0.0.5/",
        "preauth": "passthrough", "group": "default", "connectors_online": 2, "settings": {"backend_timeout_ms": "180000"},
        "certificate": {
            "id": "k1-1", "hosts": ["wiki.example.com"], "origin": "issued", "issuer": "CN=Postern", "serial": "0a:1b",
            "not_before_unix": 1_700_000_000, "not_after_unix": 1_777_636_800, "days_left": 12,
            "sha256": "00", "apps": ["wiki"],
        },
    })
}

#[test]
fn publish_sends_what_was_said_and_prints_what_was_done() {
    let answer = json!({"app": app(), "version": 7, "warnings": ["the backend is plain http"]});
    let control = Control::answering(vec![(200, answer)]);
    let (cert, key, ca) = (control.path("c.pem"), control.path("k.pem"), control.path("ca.pem"));
    for path in [&cert, &key, &ca] {
        std::fs::write(path, format!("content of {}\n", path.file_name().unwrap().display())).unwrap();
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let backend_ca = format!("backend_ca=@{}", ca.display());
    let output = control.run(&[
        "--tenant",
        "acme",
        "app",
        "publish",
        "wiki",
        "--external",
        "https://wiki.example.com/",
        "--internal",
        "http://10.0.0.5/",
        "--preauth",
        "passthrough",
        "--group",
        "hq",
        "--cert",
        cert.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--set",
        &backend_ca,
        "--set",
        "backend_timeout_ms=1=2",
    ]);
    assert_eq!(stdout(&output), "wiki is published at https://wiki.example.com/\n");
    assert_eq!(stderr(&output), "warning: the backend is plain http\n");
    assert_eq!(output.status.code(), Some(0));
    let asked = control.asked();
    assert_eq!(asked.line, "POST /v1/tenants/acme/apps");
    assert_eq!(
        asked.body,
        json!({
            "name": "wiki", "external_url": "https://wiki.example.com/", "internal_url": "http://10.0.0.5/",
            "preauth": "passthrough", "group": "hq", "certificate_pem": "content of c.pem\n", "key_pem": "content of k.pem",
            "settings": {"backend_ca": "content of ca.pem\n", "backend_timeout_ms": "1=2"},
        })
    );
}

#[test]
fn json_is_the_document_that_control_gave() {
    let list = json!({"items": [app()]});
    let control = Control::answering(vec![(200, list.clone()), (200, list)]);
    let output = control.run(&["app", "list", "-o", "json"]);
    let printed: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(printed, json!({"items": [app()]}));
    let output = control.run(&["app", "list"]);
    assert_eq!(
        stdout(&output),
        "ID    NAME  EXTERNAL                   INTERNAL          PREAUTH      GROUP    CONNECTORS\n\
         a1-1  wiki  https://wiki.example.com/  http://10.0.0.5/  passthrough  default  2 online\n"
    );
    assert_eq!(control.asked().line, "GET /v1/tenants/default/apps");
}

#[test]
fn a_successor_is_put_in_a_certificates_place() {
    let mut answer = app()["certificate"].clone();
    answer["version"] = json!(9);
    answer["warnings"] = json!(["a root is left out"]);
    let control = Control::answering(vec![(200, answer)]);
    let (cert, key, response) = (control.path("c.pem"), control.path("k.pem"), control.path("r.der"));
    for (path, content) in [(&cert, "chain"), (&key, "key"), (&response, "der")] {
        std::fs::write(path, content).unwrap();
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (cert, key, response) = (cert.to_str().unwrap(), key.to_str().unwrap(), response.to_str().unwrap());
    let output = control.run(&["cert", "replace", "k1-1", "--cert", cert, "--key", key, "--ocsp", response]);
    assert_eq!(stdout(&output), "certificate k1-1 replaced: wiki.example.com, until 2026-05-01T12:00:00Z\n");
    assert_eq!(stderr(&output), "warning: a root is left out\n");
    let asked = control.asked();
    assert_eq!(asked.line, "PUT /v1/tenants/default/certificates/k1-1");
    assert_eq!(asked.body, json!({"certificate_pem": "chain", "key_pem": "key", "ocsp": "ZGVy"}));
    for wrong in [&["--cert", cert][..], &["--p12", cert, "--key", key], &["--ocsp", response]] {
        let output = control.run(&[&["cert", "add"], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", stderr(&output));
    }
    let password = control.run(&["cert", "add", "--cert", cert, "--key", key, "--password-file", key]);
    assert_eq!(password.status.code(), Some(2));
    assert!(stderr(&password).contains("a password is for --p12 alone"), "{}", stderr(&password));
}

#[test]
fn set_and_unset_are_one_change() {
    let control = Control::answering(vec![(200, json!({"app": app(), "version": 8, "warnings": []}))]);
    let output = control.run(&["app", "set", "wiki", "--set", "a=", "--unset", "b", "--group", "hq"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let asked = control.asked();
    assert_eq!(asked.line, "PATCH /v1/tenants/default/apps/wiki");
    assert_eq!(asked.body, json!({"group": "hq", "settings": {"a": "", "b": null}}));
}

#[test]
fn a_problem_is_one_line_or_one_json_document() {
    let problem = json!({
        "code": "not-found", "title": "There is no such object", "detail": "no app `wkii`; did you mean `wiki`?", "status": 404,
    });
    let control = Control::answering(vec![(404, problem.clone()), (404, problem.clone())]);
    let output = control.run(&["app", "show", "wkii"]);
    assert_eq!(
        stderr(&output),
        "postern: error: no app `wkii`; did you mean `wiki`? (see: postern explain not-found)\n"
    );
    assert_eq!(output.status.code(), Some(1));
    let output = control.run(&["app", "show", "wkii", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(serde_json::from_str::<Value>(&stderr(&output)).unwrap(), json!({"error": problem}));
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_token_goes_to_a_file_of_its_own_or_to_stdout() {
    let issued =
        json!({"id": "x", "token": "postern-token-1.SECRET", "group": "hq", "expires_unix": 4_000_000_000_u64});
    let control = Control::answering(vec![(200, issued.clone()), (200, issued.clone()), (200, issued)]);
    let out = control.path("hq.token");
    let words = ["connector", "token", "--group", "hq", "--ttl", "15m", "--out", out.to_str().unwrap()];
    let output = control.run(&words);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stdout(&output).contains("SECRET"));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "postern-token-1.SECRET\n");
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let asked = control.asked();
    assert_eq!(asked.line, "POST /v1/tenants/default/connector-groups/hq/tokens");
    assert_eq!(asked.body, json!({"ttl_s": 900}));

    let again = control.run(&words);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("exists already"), "{}", stderr(&again));
    assert!(control.seen.try_recv().is_err(), "no token is made in vain");

    assert_eq!(stdout(&control.run(&["connector", "token"])), "postern-token-1.SECRET\n");
    let json = control.run(&["connector", "token", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&stdout(&json)).unwrap()["token"], "postern-token-1.SECRET");
}

#[test]
fn ready_ends_with_its_answer() {
    let not = json!({"ready": false, "missing": ["no relay is linked"]});
    let yes = json!({"ready": true, "missing": []});
    let control = Control::answering(vec![(503, not.clone()), (503, not), (200, yes)]);
    let output = control.run(&["ready"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), "not ready: no relay is linked\n"));
    let output = control.run(&["ready", "--wait", "10s"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "ready\n"));
}

#[test]
fn names_cannot_leave_their_place_in_the_path() {
    let control = Control::answering(vec![(200, json!({"version": 1}))]);
    control.run(&["tenant", "delete", "../relays/r1?x"]);
    assert_eq!(control.asked().line, "DELETE /v1/tenants/%2E%2E%2Frelays%2Fr1%3Fx");
}

#[test]
fn without_control_it_says_so_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.sock");
    let output = postern(&["--socket", missing.to_str().unwrap(), "status"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    assert!(text.starts_with("postern: error: postern-control does not answer at "), "{text}");
    assert!(text.contains("start postern-control, or name its socket with --socket"), "{text}");
    assert!(text.contains("postern explain control-unreachable"), "{text}");
}

#[test]
fn what_breaks_off_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || drop(listener.accept()));
    let output = postern(&["--socket", path.to_str().unwrap(), "status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("did not complete its answer"), "{}", stderr(&output));
}

#[test]
fn the_socket_comes_from_the_environment_too() {
    let control = Control::answering(vec![(200, json!({"items": []}))]);
    let output = Command::new(env!("CARGO_BIN_EXE_postern"))
        .args(["tenant", "list"])
        .env("POSTERN_SOCKET", control.path("admin.sock"))
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "no tenants\n");
}

#[test]
fn offline_commands_need_no_control() {
    let explained = postern(&["explain", "backend-timeout"]);
    assert!(stdout(&explained).starts_with("backend-timeout (HTTP 504)\n"), "{}", stdout(&explained));
    let json: Value = serde_json::from_str(&stdout(&postern(&["explain", "backend-timeout", "-o", "json"]))).unwrap();
    assert_eq!((json["code"].as_str(), json["status"].as_u64()), (Some("backend-timeout"), Some(504)));
    let unknown = postern(&["explain", "backend-timout"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("did you mean backend-timeout?"), "{}", stderr(&unknown));
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&postern(&["completions", shell])).contains("postern"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(postern(&["man", folder.path().to_str().unwrap()]).status.success());
    let page = std::fs::read_to_string(folder.path().join("postern-app-publish.1")).unwrap();
    assert!(page.contains("preauth"), "{page}");
}

#[test]
fn wrong_usage_that_the_command_finds_is_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, wrong) = (folder.path().join("none.toml"), folder.path().join("wrong.toml"));
    std::fs::write(&wrong, "\n[apps.x]\n").unwrap();
    for (file, says) in [(missing, "none.toml"), (wrong, "wrong.toml:2: unknown key `apps`")] {
        let output = postern(&["apply", "-f", file.to_str().unwrap(), "-o", "json"]);
        assert_eq!(output.status.code(), Some(2));
        let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
        assert_eq!(error["error"]["code"], "usage");
        assert!(error["error"]["detail"].as_str().unwrap().contains(says), "{error}");
    }
}

#[test]
fn the_network_is_refused_for_now() {
    let output = postern(&["--server", "https://control.example.com", "status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--server is not yet available"), "{}", stderr(&output));
    assert_eq!(postern(&["app", "publish"]).status.code(), Some(2));
}

#[test]
fn what_connectors_found_is_shown_though_nothing_is_seen_from_outside() {
    let step = json!({"step": "tls", "result": "ok", "ms": 3, "seen": "chain is whole", "cure": ""});
    let checked = json!({
        "app": "wiki", "group": "hq", "group_id": "g1-1", "passed": true, "differences": [], "warnings": [],
        "connectors": [{"connector": "c1-2", "relay": "edge-1", "steps": [step]}],
    });
    let problem = json!({"code": "internal", "title": "Control failed", "detail": "the store is gone", "status": 500});
    let mut given = app();
    given["certificate"]["origin"] = json!("given");
    let mut odd = given.clone();
    odd["external_url"] = json!("gopher://wiki");
    for (answers, why) in [
        (vec![(200, checked.clone()), (200, given), (500, problem)], "the store is gone"),
        (vec![(200, checked.clone()), (200, odd)], "gopher://wiki"),
    ] {
        let output = Control::answering(answers).run(&["app", "check", "wiki"]);
        let told = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{told}{}", stderr(&output));
        assert!(told.contains("chain is whole") && told.contains("verdict: wiki fails at relays"), "{told}");
        assert!(told.contains("nothing is looked at from outside") && told.contains(why), "{told}");
        assert!(told.contains("--no-outside leaves this look out"), "{told}");
    }
}
