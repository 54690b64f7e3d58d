//! The built `postern audit` against the real postern-control, where that has been built beside it, and on files.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use postern_model::admin::{AuditRecord, ExportLine};
use postern_model::chain::{ChainHash, Chained as _, ENCODING, LogKind, Mark};
use serde_json::Value;

fn postern(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.args(words).env_remove("POSTERN_TENANT").env("POSTERN_SOCKET", "/nowhere/admin.sock").output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An export of so many records, as lines.
fn lines(count: u64) -> Vec<String> {
    let mut last = Mark::START;
    (0..count)
        .map(|number| {
            let record = AuditRecord {
                seq: 0,
                at_unix_ms: 5_000,
                actor: "control".into(),
                action: "app.set".into(),
                tenant: None,
                target: format!("app number {number}"),
                before: None,
                after: None,
                version: None,
                previous: ChainHash::ZERO,
                hash: ChainHash::ZERO,
            };
            let record = record.behind(last);
            last = record.mark();
            serde_json::to_string(&ExportLine { log: LogKind::Audit, encoding: ENCODING, record }).unwrap() + "\n"
        })
        .collect()
}

struct Export {
    folder: tempfile::TempDir,
}

impl Export {
    fn of(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("audit.jsonl"), text).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn verify(&self, more: &[&str]) -> Output {
        postern(&[&["audit", "verify", "--file", self.path().to_str().unwrap()], more].concat())
    }
}

#[test]
fn an_export_is_verified_without_control() {
    let lines = lines(5);
    let whole = Export::of(&lines.concat()).verify(&[]);
    assert!(whole.status.success(), "{}", stderr(&whole));
    assert!(
        stdout(&whole)
            .starts_with("audit log: all records are as they were written\nrecords: 5, from 1 to 5\nhead: 5:")
    );
    let json: Value = serde_json::from_slice(&Export::of(&lines.concat()).verify(&["-o", "json"]).stdout).unwrap();
    let head = format!("{}:{}", json["head"]["seq"], json["head"]["hash"].as_str().unwrap());

    let part = Export::of(&lines[2..].concat()).verify(&["--expect", &head]);
    assert!(part.status.success() && stdout(&part).contains("records: 3, from 3 to 5"), "{}", stdout(&part));
    let cut = Export::of(&lines[..4].concat());
    assert!(cut.verify(&[]).status.success(), "a file may end anywhere");

    for (text, expect, says) in [
        (lines[..4].concat(), Some(&head), "records were cut off at its end"),
        (lines.concat().replace("number 2", "number 7"), None, "record 3 was changed"),
        ([&lines[..2], &lines[3..]].concat().concat(), None, "record 3 is missing"),
        ([&lines[..2], &lines[1..]].concat().concat(), None, "record 2 stands behind record 2"),
        (
            lines.concat().replace("\"seq\":3", "\"seq\":2").replacen("\"seq\":2", "\"seq\":3", 1),
            None,
            "record 3 stands",
        ),
    ] {
        let export = Export::of(&text);
        let output = match expect {
            Some(expect) => export.verify(&["--expect", expect]),
            None => export.verify(&[]),
        };
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{says}: {said}{}", stderr(&output));
        assert!(said.contains(says) || said.contains("is missing"), "{says}: {said}");
        assert!(said.contains("postern explain log-broken"), "{said}");
    }
}

#[test]
fn what_is_no_export_is_refused_by_its_line() {
    let lines = lines(3);
    for (text, says) in [
        (lines.concat().trim_end().to_owned(), ":3: the line is not complete"),
        (format!("{}{{\n", lines[0]), ":2: the line is no line of an export"),
        (lines.concat().replace("\"encoding\":1", "\"encoding\":2"), ":1: the line has hashes of kind 2"),
        (lines.concat().replace("\"log\":\"audit\"", "\"log\":\"sign-in\""), "postern audit sign-ins verify"),
        (lines.concat().replace("\"actor\":\"control\",", ""), ":1: the line is no record"),
        ("x".repeat(2 << 20), ":1: the line is longer"),
    ] {
        let output = Export::of(&text).verify(&[]);
        assert_eq!(output.status.code(), Some(1), "{says}");
        assert!(stderr(&output).contains(says), "{says}: {}", stderr(&output));
    }
    let missing = postern(&["audit", "verify", "--file", "/nowhere/x"]);
    assert!(stderr(&missing).contains("cannot read /nowhere/x"), "{}", stderr(&missing));
    let mut piped = Command::new(env!("CARGO_BIN_EXE_postern"));
    piped
        .args(["audit", "verify", "--file", "-"])
        .stdin(std::fs::File::open(Export::of(&lines.concat()).path()).unwrap());
    assert!(piped.output().unwrap().status.success());
}

/// The real thing, if it is there.
struct Control {
    folder: tempfile::TempDir,
    child: Child,
}

impl Control {
    fn start() -> Option<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_postern")).with_file_name("postern-control");
        let version = Command::new(&program).arg("--version").output().ok()?;
        if !String::from_utf8_lossy(&version.stdout).starts_with("postern-control") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(&program);
        command.arg("--state-dir").arg(folder.path().join("state")).stderr(Stdio::null());
        let control = Self { child: command.spawn().unwrap(), folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !control.run("status").status.success() {
            assert!(Instant::now() < deadline, "postern-control does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(control)
    }

    fn run(&self, line: &str) -> Output {
        let socket = self.folder.path().join("state/admin.sock");
        let words: Vec<&str> = line.split_whitespace().collect();
        postern(&[&["--socket", socket.to_str().unwrap()], &*words].concat())
    }

    fn done(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "postern {line}: {}", stderr(&output));
        stdout(&output)
    }

    fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(1), "postern {line}: {}", stdout(&output));
        stderr(&output)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_is_listed_exported_gone_on_with_and_verified() {
    let Some(control) = Control::start() else {
        eprintln!("skipped: postern-control has not been built beside postern");
        return;
    };
    for number in 0..4 {
        control.done(&format!("tenant create acme-{number}"));
    }
    let list = control.done("audit list --action tenant.create --target acme-2 --actor uid --since 1h");
    assert_eq!(list.lines().count(), 2, "{list}");
    assert_eq!(control.done("audit list --until 2020-01-01T00:00:00Z"), "no changes\n");
    assert_eq!(control.done("audit sign-ins list --result failure"), "no sign-ins\n");
    assert!(control.done("audit sign-ins verify").contains("sign-in log: all records"));
    let head = control.done("audit head");
    let noted = head.lines().next().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    assert!(noted.starts_with("5:"), "{head}");
    assert!(control.done(&format!("audit verify --expect {noted}")).contains(&format!("head: {noted}")));

    let out = control.folder.path().join("audit.jsonl");
    let out = out.to_str().unwrap();
    assert!(control.done(&format!("audit export --out {out}")).contains("5 records written"));
    assert_eq!(std::fs::metadata(out).unwrap().permissions().mode() & 0o777, 0o600);
    control.done("tenant create acme-4");
    assert!(control.refused(&format!("audit export --out {out}")).contains("go on with it: --after 5"));
    assert!(control.refused(&format!("audit export --out {out} --after 3")).contains("--after 5"));
    assert!(control.refused(&format!("audit sign-ins export --out {out} --after 5")).contains("the audit log"));
    // As an export leaves it that was killed while it wrote.
    let kept = std::fs::read_to_string(out).unwrap();
    std::fs::write(out, format!("{kept}{{\"log\":\"audit\",\"enc")).unwrap();
    assert!(control.done(&format!("audit export --out {out} --after 5")).contains("1 records written"));
    let whole = control.done("audit export");
    assert_eq!(std::fs::read_to_string(out).unwrap(), whole, "gone on with is as if done at once");
    assert_eq!(whole.lines().count(), 6);
    let verified = postern(&["audit", "verify", "--file", out, "--expect", &noted]);
    assert!(verified.status.success(), "{}{}", stdout(&verified), stderr(&verified));
    let warned = stderr(&control.run("audit export --tenant acme-2"));
    assert!(warned.contains("no chain"), "{warned}");
    let filtered = control.done("audit export --target acme-2");
    assert_eq!(filtered.lines().count(), 1, "{filtered}");
    std::fs::write(out, "mine").unwrap();
    assert!(control.refused(&format!("audit export --out {out} --after 5")).contains("no export"));
    assert_eq!(std::fs::read_to_string(out).unwrap(), "mine");
}
