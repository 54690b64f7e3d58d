//! The built `postern` and inventories: files in, files out, and every mistake told.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn postern(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.arg("inventory").args(words).env_remove("POSTERN_TENANT").output().unwrap()
}

fn done(words: &[&str]) -> String {
    let output = postern(words);
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_template_is_written_once_and_imports_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("apps.csv");
    assert_eq!(done(&["template", "--out", text(&file)]), format!("1 applications written to {}\n", file.display()));
    let template = std::fs::read_to_string(&file).unwrap();
    assert!(template.starts_with("name,service type,platform,domain membership,location,internal URL,"), "{template}");
    assert_eq!(done(&["import", text(&file)]), template);
    let again = postern(&["template", "--out", text(&file)]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("exists already (name another file with --out)"), "{}", stderr(&again));
    let link = folder.path().join("link.csv");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
    let over = postern(&["template", "--out", text(&link)]);
    assert!(over.status.code() == Some(1) && stderr(&over).contains("exists already"), "{}", stderr(&over));
    assert!(link.is_symlink(), "what is there stays, whatever it is");
    assert!(done(&["template", "--bom"]).starts_with("\u{feff}name,"));

    // As JSON and back.
    let json = folder.path().join("apps.json");
    std::fs::write(&json, done(&["import", text(&file), "-o", "json"])).unwrap();
    assert_eq!(done(&["import", text(&json)]), template);
}

#[test]
fn every_mistake_is_told_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("apps.csv"), folder.path().join("out.csv"));
    let sheet = "name,internal URL,websockets\r\nWiki,http://wiki/,yes\r\nb,wiki,\r\nc,http://c/,perhaps\r\n";
    std::fs::write(&file, sheet).unwrap();
    let output = postern(&["import", text(&file), "--out", text(&out)]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    let name = file.display();
    for says in [
        format!("{name}:2: name: \"Wiki\" is not a name"),
        "perhaps wiki\n".into(),
        format!("{name}:3: internal URL: \"wiki\": "),
        format!("{name}:4: WebSockets: \"perhaps\" must be one of yes, no\n"),
        "postern: error: 3 mistakes: nothing is done\n".into(),
    ] {
        assert!(told.contains(&says), "{says}\n{told}");
    }
    assert!(!out.exists());

    let output = postern(&["import", text(&file), "-o", "json"]);
    let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["error"]["code"], "usage");
    assert!(error["error"]["detail"].as_str().unwrap().contains("apps.csv:4: WebSockets"), "{error}");

    std::fs::write(&file, "name,notes\na,\"b\n").unwrap();
    let broken = postern(&["plan", text(&file)]);
    assert_eq!(broken.status.code(), Some(2));
    assert!(stderr(&broken).contains("apps.csv:2: a field begins with a quote here"), "{}", stderr(&broken));
    let missing = postern(&["plan", text(&folder.path().join("none.csv"))]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn a_plan_goes_to_stdout_and_what_is_left_out_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("apps.csv");
    let sheet =
        "external URL;name;internal URL;users and groups\nhttps://a.example.com/;a;http://a/;everyone\n;b;http://b/;\n";
    std::fs::write(&file, sheet).unwrap();
    let output = postern(&["plan", text(&file), "--group", "hq"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "warning: b: it has no external URL: it is left out\n");
    let plan = String::from_utf8(output.stdout).unwrap();
    assert!(
        plan.contains("[connector-group.hq]\n") && plan.contains("[app.a]\nexternal = \"https://a.example.com/\"\n"),
        "{plan}"
    );
    let json: Value = serde_json::from_str(&done(&["plan", text(&file), "-o", "json"])).unwrap();
    assert_eq!(json["apps"], serde_json::json!(["a"]));
    assert_eq!(json["left_out"], serde_json::json!(["b: it has no external URL"]));

    std::fs::write(&file, "name\nb\n").unwrap();
    let none = postern(&["plan", text(&file)]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("can be published: b: it has no internal URL"), "{}", stderr(&none));
}

#[test]
fn nothing_is_looked_at_where_the_sheet_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("apps.csv");
    let application = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    application.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", application.local_addr().unwrap());
    std::fs::write(&file, format!("name,internal URL\na,{url}\n")).unwrap();
    for out in [folder.path().join("none/probed.csv"), folder.path().to_owned()] {
        let output = postern(&["probe", text(&file), "--out", text(&out)]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
        let asked = application.accept().map(drop).map_err(|error| error.kind());
        assert_eq!(asked, Err(std::io::ErrorKind::WouldBlock), "nobody came");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left by the look");
}
