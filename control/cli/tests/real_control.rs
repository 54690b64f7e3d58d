//! The built `postern` against the real postern-control, where that has been built beside it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

#[path = "real_control/devices.rs"]
mod devices;
#[path = "real_control/replay.rs"]
mod replay;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

struct Control {
    folder: tempfile::TempDir,
    child: Child,
}

impl Control {
    /// `None` where the program is missing.
    fn start() -> Option<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_postern")).with_file_name("postern-control");
        let version = Command::new(&program).arg("--version").output().ok()?;
        if !String::from_utf8_lossy(&version.stdout).starts_with("postern-control") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(&program)
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .arg("--admin-socket")
            .arg(folder.path().join("admin.sock"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let control = Self { folder, child };
        control.wait_until_it_answers();
        Some(control)
    }

    fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.run(&["status"]).status.success() {
            assert!(Instant::now() < deadline, "postern-control does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
        command.arg("--socket").arg(self.path("admin.sock")).args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs what must succeed and gives its stdout.
    fn done(&self, line: &str) -> String {
        let output = self.run(&line.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "postern {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.done(&format!("{line} -o json"))).unwrap()
    }

    /// Runs what must fail with 1 and gives its one line.
    fn refused(&self, line: &str) -> String {
        let output = self.run(&line.split_whitespace().collect::<Vec<_>>());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "postern {line}: {text}");
        assert_eq!(text.matches('\n').count(), 1, "postern {line}: {text}");
        text
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_real_control_understands_every_command() {
    let Some(control) = Control::start() else {
        eprintln!("skipped: postern-control has not been built beside postern");
        return;
    };
    let made = control.json("init");
    assert!(Path::new(made["ca_file"].as_str().unwrap()).exists());
    assert_eq!((made["tenant"].as_str(), made["group"].as_str()), (Some("default"), Some("default")));
    names(&control);
    relays(&control);
    apps(&control);
    service_tokens(&control);
    limits(&control);
    directory(&control);
    policies(&control);
    devices::devices(&control);
    code(&control);
    connectors(&control);
    overview(&control);
}

fn policies(control: &Control) {
    let urls = "--external https://ledger.example.com/ --internal http://127.0.0.1:9/";
    control.done(&format!("app publish ledger {urls} --preauth oidc"));
    control.done("user create olga");
    control.done("network set office 192.0.2.0/24");
    let made = control.done("policy create outside --everyone --app ledger --except-network office --require mfa");
    assert!(made.starts_with("policy outside (p1-1) made: on"), "{made}");
    let refused = control.refused("policy create out --everyone --all-apps --block");
    assert!(refused.contains("use --force") && refused.contains("policy-locks-out"), "{refused}");
    assert!(control.refused("policy create out --user olag --all-apps --block").contains("did you mean \"olga\"?"));
    control.done("policy create out --everyone --all-apps --block --state report-only");
    control.refused("policy enable out");
    let asked = "policy what-if --user olga --app ledger --ip 203.0.113.7";
    let told = control.done(asked);
    assert!(told.contains("not assigned (policies alone: needs mfa)") && told.contains("assigned:    no"), "{told}");
    let is_met = |line: &str| line.contains("yes") && line.contains("source 203.0.113.7 is not in office");
    assert!(told.lines().any(|line| line.starts_with("outside") && is_met(line)), "{told}");
    assert!(told.lines().any(|line| line.starts_with("out ") && line.contains("would")), "{told}");
    assert_eq!(control.json(&format!("{asked} --method hwk"))["outcome"]["kind"], "allow");
    assert!(control.refused("network remove office").contains("named by the policy outside"));
    control.done("policy set outside --clear except-networks --country DE --idle-max 30m");
    let shown = control.done("policy show outside");
    assert!(shown.contains("idle-max:  30m") && !shown.contains("networks"), "{shown}");
    let json = control.json("policy show outside");
    assert_eq!((&json["policy"]["idle_max_s"], &json["policy"]["countries"][0]), (&1800.into(), &"DE".into()));
    control.done("policy disable outside");
    control.done("policy report-only outside");
    control.done("policy enable outside");
    assert!(control.done("policy list").contains("mfa, idle at most 30m"));
    let exported = control.done("export");
    assert!(exported.contains("[policy.outside]") && exported.contains("idle-max = \"30m\""), "{exported}");
    let file = control.path("policies.toml");
    std::fs::write(&file, exported).unwrap();
    control.done(&format!("diff -f {}", file.display()));
    replay::replay(control, &file);
    for policy in ["outside", "p1-2"] {
        control.done(&format!("policy delete {policy}"));
    }
    control.done("app unpublish ledger");
    control.done("user delete olga");
    control.done("network remove office");
}

fn names(control: &Control) {
    control.done("tenant create acme");
    assert!(control.refused("tenant create acme").contains("acme"));
    assert!(control.done("tenant list").contains("acme"));
    assert_eq!(control.json("tenant show acme")["name"], "acme");
    control.done("connector-group create hq --tenant acme");
    assert_eq!(control.json("connector-group show hq --tenant acme")["connectors"], 0);
    control.done("connector-group delete hq --tenant acme");
    control.refused("connector-group show hq --tenant acme");
}

fn relays(control: &Control) {
    control.done("relay add edge 127.0.0.1:9");
    assert_eq!(control.json("relay list")["items"][0]["name"], "edge");
    assert_eq!(control.json("relay show edge")["connected"], false);
    control.done("relay remove edge");
    assert_eq!(control.done("relay list"), "no relays; add one: postern relay add NAME HOST:PORT\n");
}

fn apps(control: &Control) {
    let forms = "--external https://wiki.example.com/ --internal http://127.0.0.1:9/";
    control.done(&format!("app publish wiki {forms} --preauth passthrough"));
    control.refused(&format!("app publish other {forms} --preauth passthrough"));
    control.refused("app publish odd --external nonsense --internal http://127.0.0.1:9/ --preauth passthrough");
    assert_eq!(control.json("app show wiki")["external_url"], "https://wiki.example.com/");
    assert!(control.refused("app show wkii").contains("wiki"), "the nearest name is suggested");
    control.done("app set wiki --set backend_timeout_ms=180000");
    assert_eq!(control.json("app show wiki")["settings"]["backend_timeout_ms"], "180000");
    control.done("app set wiki --unset backend_timeout_ms");
    assert_eq!(control.json("app show wiki")["settings"], serde_json::json!({}));
    control.refused("app set wiki --set nonsense=1");
    assert_eq!(control.json("cert list")["items"][0]["hosts"][0], "wiki.example.com");
    assert!(control.done("app list").contains("https://wiki.example.com/"));
    control.done("app unpublish wiki");
    control.refused("app show wiki");
}

fn service_tokens(control: &Control) {
    for (name, preauth) in [("api", "oidc"), ("open", "passthrough")] {
        let urls = format!("--external https://{name}.example.com/ --internal https://127.0.0.1:9/");
        let line = format!("app publish {name} {urls} --preauth {preauth}");
        let published = control.run(&line.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&published.stderr).into_owned();
        assert_eq!(said.contains("people cannot sign in, only service tokens pass"), preauth == "oidc", "{said}");
    }
    let token = control.done("access token create backup --app api");
    assert!(token.starts_with("pst_st1-1_") && token.len() == 10 + 43 + 1, "stdout holds the token alone: {token:?}");
    assert!(control.refused("access token create backup --app api").contains("rotate backup"));
    assert!(control.refused("access token create other --app nowhere").contains("nowhere"));
    assert!(control.refused("access token create other --app api --ttl 367d").contains("366 days"));
    let made = control.run(&["access", "token", "create", "both", "--app", "open", "--app", "api", "--no-expiry"]);
    let warned = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(warned.contains("everybody reaches it") && warned.contains("never expires"), "{warned}");
    let out = control.path("rotated");
    let done = control.done(&format!("access token rotate backup --out {}", out.display()));
    let rotated = std::fs::read_to_string(&out).unwrap();
    assert!(rotated.starts_with("pst_st1-1_") && rotated != token && !done.contains(rotated.trim()), "{done}");
    control.refused(&format!("access token rotate backup --out {}", out.display()));
    let nowhere = control.path("nowhere");
    std::os::unix::fs::symlink(control.path("missing"), &nowhere).unwrap();
    control.refused(&format!("access token rotate backup --out {}", nowhere.display()));
    control.refused(&format!("access token rotate backup --out {}", control.path("missing/folder").display()));
    let fresh = control.path("fresh");
    control.refused(&format!("access token rotate nobody --out {}", fresh.display()));
    assert!(!fresh.exists(), "nothing is left of what control refused");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut rotate = control.command(&["access", "token", "rotate", "backup"]);
    let lost = rotate.stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&lost.stderr).into_owned();
    assert_eq!(lost.status.code(), Some(1), "{said}");
    assert!(said.contains("is lost") && said.contains("access token rotate backup makes another one"), "{said}");

    control.done("access token set both --remove-app open --ttl 1h");
    assert_eq!(control.json("access token show both")["apps"], serde_json::json!(["api"]));
    control.done("access token disable both");
    let list = control.done("access token list");
    assert!(list.contains("disabled") && list.contains("backup") && !list.contains("pst_"), "{list}");
    control.done("access token enable both");
    control.done("access token revoke both");
    control.refused("access token show both");
    let audit = control.done("audit list --limit 1000");
    for action in ["create", "rotate", "set", "disable", "enable", "revoke"] {
        assert!(audit.contains(&format!("access-token.{action}")), "{action} is missing: {audit}");
    }
    let everything = audit + &control.json("access token list").to_string() + &control.done("export");
    for text in [&token, &rotated] {
        assert!(!everything.contains(&text.trim()[10..]), "a secret is shown");
    }
    for name in ["api", "open"] {
        control.done(&format!("app unpublish {name}"));
    }
    assert_eq!(control.json("access token show backup")["apps"], serde_json::json!([]), "its application is gone");
}

fn connectors(control: &Control) {
    let out = control.path("token");
    control.done(&format!("connector token --ttl 10m --out {}", out.display()));
    let token = std::fs::read_to_string(out).unwrap();
    assert!(token.starts_with("postern-token-1."));
    assert_eq!(control.json("connector list")["items"], serde_json::json!([]));
    control.refused("connector show c1-99");
    assert!(!control.done("audit list --limit 1000").contains(token.trim()), "a token is not in the audit log");
}

fn overview(control: &Control) {
    let status = control.json("status");
    assert!(status["version"].as_u64().unwrap() > 0, "{status}");
    let ready = control.run(&["ready"]);
    assert_eq!(ready.status.code(), Some(1), "nothing is linked: {}", String::from_utf8_lossy(&ready.stdout));
    let actions = control.done("audit list --limit 1000");
    for action in ["tenant", "relay", "app"] {
        assert!(actions.contains(action), "{action} is not in the audit log: {actions}");
    }
}

fn limits(control: &Control) {
    assert_eq!(control.done("throttle set tenant --rps 7k"), "tenant: rps 7000, burst 700\n");
    control.done("throttle set source/2001:db8::/32 --rps 5 --conns 3");
    let list = control.done("throttle list");
    assert!(list.contains("tenant") && list.contains("7000") && list.contains("source/2001:db8::/32"), "{list}");
    control.done("throttle unset source/2001:db8::/32");
    assert!(control.refused("throttle unset source/2001:db8::/32").contains("source/2001:db8::/32"));
    assert!(control.refused("throttle set app/nowhere --rps 5").contains("nowhere"));
    assert_eq!(
        control.done("throttle set user/o'neil+x@example.com --rps 9 --conns 3"),
        "user/o'neil+x@example.com: rps 9, burst 2, conns 3\n"
    );
    control.done("throttle set user/b%2541@example.com --rps 5");
    control.done("throttle unset user/b%2541@example.com");
    assert!(!control.done("throttle list").contains("user/b%"));
    let refused = control.refused("throttle set tenant --rps 0");
    assert!(refused.contains("rps = 0: must be from 1 to 10000000"), "{refused}");
    control.done("network set hq 203.0.113.0/24");
    assert!(control.done("network list").contains("203.0.113.0/24"));
}

fn directory(control: &Control) {
    let made =
        control.done("user create anna@example.com --display-name Anna --attribute team=a --guest --expires 30d");
    assert_eq!(made, "user anna@example.com (u1-1) made, without a password\n");
    assert!(control.done("user list --filter ANNA").contains("anna@example.com"));
    control.done("user set anna@example.com --attribute team= --mail anna@example.com --member");
    let anna = control.json("user show anna@example.com");
    assert_eq!((&anna["kind"], &anna["mail"]), (&"member".into(), &"anna@example.com".into()), "{anna}");
    assert_eq!(control.done("user disable u1-1"), "user anna@example.com is disabled\n");
    control.done("user enable u1-1");
    let file = control.path("password");
    std::fs::write(&file, "correct horse\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let line = format!("user password anna@example.com --password-file {}", file.display());
    assert_eq!(control.done(&line), "user anna@example.com has a new password\n");
    std::fs::write(&file, "short\n").unwrap();
    assert!(control.refused(&line).contains("at least 8 characters"));

    control.done("group create staff --owner anna@example.com");
    let rule = ["group", "create", "example", "--rule", r#"login ends_with "@example.com""#];
    assert!(control.run(&rule).status.success());
    assert_eq!(control.done("group add staff --group example"), "group staff has 0 users and 1 groups\n");
    assert!(control.done("group show staff").contains("1, each counted once"));
    let tested = control.done("group test staff --user anna@example.com");
    assert_eq!(tested, "anna@example.com is in staff: through a group in it\n");
    control.done("group set staff --description all --remove-owner anna@example.com");
    assert!(control.done("group list").contains("login ends_with"));
    control.done("group remove staff --group example");
    control.done("group delete example");

    control
        .done("app publish wiki --external https://wiki.localhost/ --internal http://[::1]:9/ --preauth passthrough");
    assert_eq!(control.done("assign wiki --group staff --expires 30d"), "group/staff is assigned to wiki\n");
    assert!(control.done("assign list wiki --expiring 31d").contains("group/staff"));
    assert!(control.refused("assign remove wiki --everyone").contains("everyone"));
    control.done("assign remove wiki --group staff");
    control.done("assign wiki --everyone --role reader");
    control.done("app unpublish wiki");
    assert_eq!(control.done("assign list"), "no assignments\n");
    control.done("user delete anna@example.com");
}

fn code(control: &Control) {
    let file = control.path("postern.toml");
    let name = file.to_str().unwrap();
    let status = |line: &str| control.run(&line.split_whitespace().collect::<Vec<_>>()).status.code();
    let secret = control.path("shop.secret");
    let add =
        "client add shop --confidential --redirect-uri https://shop.example.com/cb --scope openid --consent admin";
    control.done(&format!("{add} --out {}", secret.display()));
    std::fs::write(control.path("house.md"), "# House\n\nWipe your \"feet\".\n").unwrap();
    control.done(&format!("terms create house --title House --file {}", control.path("house.md").display()));
    control.done("network set tor 192.0.2.1 --anonymiser");
    control.done("identity kerberos set --realm EXAMPLE.COM --network hq --login user-part");
    control.done(&format!("export --out {name}"));
    assert_eq!(status(&format!("diff -f {name}")), Some(0));
    assert!(control.done(&format!("apply -f {name} --prune")).starts_with("no change"));

    let text = std::fs::read_to_string(&file).unwrap();
    let client = "[client.shop]\nconfidential = true\nredirect-uri = [\"https://shop.example.com/cb\"]\n";
    assert!(text.contains(client) && !text.contains(std::fs::read_to_string(&secret).unwrap().trim()), "{text}");
    let kerberos = "[kerberos]\nrealm = [\"EXAMPLE.COM\"]\nnetwork = [\"hq\"]\nlogin = \"user-part\"\n";
    assert!(text.contains(kerberos) && text.contains("[terms.house]") && text.contains("\ntor = [\n"), "{text}");
    assert!(
        text.contains("[throttle.\"tenant\"]\nrps = 7000\n") && text.contains("hq = [\"203.0.113.0/24\"]"),
        "{text}"
    );
    assert!(text.contains("[throttle.\"user/o'neil+x@example.com\"]\nrps = 9\nconns = 3\n"), "{text}");
    let of_user = text.replace("rps = 9\nconns = 3", "rps = 11");
    std::fs::write(&file, &of_user).unwrap();
    let applied = control.done(&format!("apply -f {name}"));
    assert!(applied.starts_with("~ limit user/o'neil+x@example.com: rps=9 conns=3 => rps=11\n"), "{applied}");
    std::fs::write(&file, of_user.replace("\n[throttle.\"user/o'neil+x@example.com\"]\nrps = 11\n", "")).unwrap();
    let pruned = control.done(&format!("apply -f {name} --prune"));
    assert!(pruned.starts_with("- limit user/o'neil+x@example.com"), "{pruned}");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("rps = 7000", "rps = 8000")).unwrap();
    assert_eq!(status(&format!("diff -f {name}")), Some(3));
    let applied = control.done(&format!("apply -f {name}"));
    assert!(applied.starts_with("~ limit tenant: rps=7000 => rps=8000\n1 changes applied"), "{applied}");
    assert!(control.done(&format!("apply -f {name}")).starts_with("no change"));

    std::fs::write(
        &file,
        "[app.x]\nexternal = 'https://x.localhost/'\ninternal = 'ldap://x'\npreauth = 'passthrough'\n",
    )
    .unwrap();
    let refused = control.refused(&format!("apply -f {name}"));
    assert!(refused.contains("postern.toml:3: ") && refused.contains("ldap://x"), "{refused}");
    let fingerprint = "\n[relay.edge]\naddress = '127.0.0.1:9'\nfingerprint = 'ab'\n";
    let app = "[app.x]\nexternal = 'https://x.localhost/'\ninternal = 'http://x'\npreauth = 'passthrough'\n";
    for (text, line, says) in [
        (format!("{app}[app.x.settings]\nbackend_timeout_ms = 0\n"), 6, "backend_timeout_ms=0"),
        ("[throttle.tenant]\nconns = 5\nrps = 0\n".into(), 3, "rps = 0"),
        ("[throttle.source]\nconns = 5\nburst = 5\n".into(), 3, "a burst goes with rps"),
        (fingerprint.into(), 4, "\"ab\" is not the SHA-256"),
        ("\ntenant = 'defualt'\n".into(), 2, "did you mean \"default\"? --create-tenant makes a new one"),
    ] {
        std::fs::write(&file, text).unwrap();
        let refused = control.refused(&format!("apply -f {name}"));
        assert!(refused.contains(&format!("postern.toml:{line}: ")) && refused.contains(says), "{refused}");
    }
    assert_eq!(status(&format!("diff -f {name}")), Some(1), "a tenant that is not there is not made");
    assert!(control.done(&format!("apply -f {name} --create-tenant")).starts_with("+ tenant defualt"));
    std::fs::write(&file, "[app.x]\nexternl = 1\n").unwrap();
    assert_eq!(status(&format!("apply -f {name}")), Some(2), "a mistake in the file is wrong usage");
}
