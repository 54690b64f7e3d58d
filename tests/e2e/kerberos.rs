//! Kerberos constrained delegation against three real KDCs and a real Apache; what is refused, and in which words.

mod checks;
mod proxy;
mod sign_in;

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use postern_tests::kerberos::{APP, Apache, CONNECTOR, ENTERPRISE_NAME, Kdc, Kind, OTHER, USERS, prepared};
use postern_tests::person::Person;
use postern_tests::process::Process;
use postern_tests::world::{Options, START_TIMEOUT, World, write_secret};
use postern_tests::{pass_over, programs, samba, within};

const ALICE: &str = "alice@corp.example";
const PASSWORD: &str = "correct horse battery";

/// A KDC in a folder of its own.
struct Realm {
    kdc: Kdc,
    prepared: PathBuf,
    folder: tempfile::TempDir,
}

impl Realm {
    fn start(kind: Kind) -> Option<Realm> {
        let Some(prepared) = prepared().filter(|_| Apache::is_installed()) else {
            pass_over("no KDCs here: run `cargo xtask kerberos`");
            return None;
        };
        if kind == Kind::Samba && samba::root().is_none() {
            pass_over("a domain of Samba needs root, iproute2 and what `cargo xtask kerberos` unpacks");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let kdc = Kdc::start(kind, &prepared, folder.path()).unwrap();
        Some(Realm { kdc, prepared, folder })
    }

    fn check(&self, user: &str, service: &str) -> Output {
        self.kdc.check(&self.prepared, &self.kdc.principal(user), service).unwrap()
    }

    /// What it says on standard output: first a token for the user.
    fn begin(&self, user: &str, service: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut command = self.kdc.check_command(&self.prepared, &self.kdc.connector_keytab());
        command.args(["--user", &self.kdc.principal(user), "--service", service, "--exchange"]);
        let mut check = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(check.stdout.take().unwrap()).lines();
        (check, said)
    }

    fn refused(&self, user: &str, service: &str) -> String {
        words(&self.check(user, service), false)
    }
}

fn words(output: &Output, success: bool) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), success, "{said}");
    said
}

fn a_user_is_signed_on(realm: &Realm) {
    let apache = Apache::start(&realm.kdc, realm.folder.path()).unwrap();
    for service in [APP.to_owned(), realm.kdc.principal(APP)] {
        let (mut check, mut said) = realm.begin(USERS[0], &service);
        let authorization = said.next().unwrap().unwrap();
        let answer = curl(&apache, &authorization);
        let is_signed_on = answer.starts_with("HTTP/1.1 200") && answer.contains("REMOTE_USER=alice");
        assert!(is_signed_on, "{}: {answer}", realm.kdc.realm);
        let proof = answer.lines().find_map(|line| line.strip_prefix("WWW-Authenticate: Negotiate ")).unwrap();
        writeln!(check.stdin.take().unwrap(), "{}", proof.trim()).unwrap();
        assert_eq!(said.next().unwrap().unwrap(), "the service has proved who it is");
        assert!(check.wait().unwrap().success());
    }
    assert!(curl(&apache, "X-Nothing: 1").starts_with("HTTP/1.1 401"));
}

/// The library follows the KDC's clock; whose clock counts is the application's.
#[test]
fn an_application_with_a_wrong_clock_refuses() {
    let Some(realm) = Realm::start(Kind::Heimdal) else { return };
    for (minutes, status) in [(-20, "401"), (20, "401"), (2, "200")] {
        let folder = tempfile::tempdir_in(realm.folder.path()).unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let apache = Apache::start_with_clock(&realm.kdc, folder.path(), &realm.prepared, minutes).unwrap();
        let (check, mut said) = realm.begin(USERS[0], APP);
        let answer = curl(&apache, &said.next().unwrap().unwrap());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{minutes}: {answer}");
        // It waits for an answer that it does not get.
        assert!(!check.wait_with_output().unwrap().status.success());
    }
}

/// A service may say that it is who it is not: a proof of another exchange is none.
#[test]
fn a_proof_of_another_exchange_is_not_believed() {
    let Some(realm) = Realm::start(Kind::Heimdal) else { return };
    let apache = Apache::start(&realm.kdc, realm.folder.path()).unwrap();
    let (mut first, mut said) = realm.begin(USERS[0], APP);
    let answer = curl(&apache, &said.next().unwrap().unwrap());
    let proof = answer.lines().find_map(|line| line.strip_prefix("WWW-Authenticate: Negotiate ")).unwrap();
    let (mut second, mut said) = realm.begin(USERS[0], APP);
    assert!(said.next().unwrap().unwrap().starts_with("Authorization: Negotiate "));
    writeln!(second.stdin.take().unwrap(), "{}", proof.trim()).unwrap();
    assert!(said.next().is_none() && !second.wait().unwrap().success());
    drop(first.stdin.take());
    first.wait().unwrap();
}

fn curl(apache: &Apache, field: &str) -> String {
    let url = format!("http://{}/", apache.address());
    let output = Command::new("curl").args(["--silent", "--include", "--header", field, &url]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The library's words for a keytab that has other keys only.
const NO_KEY: &str = "No key table entry found for HTTP/connector.example.test@";

/// It has no KDC any more then.
fn refusals_are_told_in_kerberos_own_words(realm: &mut Realm, locked: &str) {
    let name = realm.kdc.realm;
    for (user, service, code) in [
        (USERS[0], OTHER, "KRB5KDC_ERR_BADOPTION (13): "),
        ("nobody", APP, "KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN (6): "),
        (USERS[0], "HTTP/none.example.test", "KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN (7): "),
        (USERS[1], APP, locked),
    ] {
        let said = realm.refused(user, &realm.kdc.principal(service));
        assert!(said.contains(code), "{name} {user} {service}: {said}");
    }
    for (keytab, code) in [(realm.kdc.app_keytab(), NO_KEY), ("/nonexistent".into(), "'/nonexistent' not found")] {
        let mut command = realm.kdc.check_command(&realm.prepared, &keytab);
        command.args(["--user", &realm.kdc.principal(USERS[0]), "--service", APP]);
        let said = words(&command.output().unwrap(), false);
        assert!(said.contains(code) && said.contains("look at --keytab"), "{name}: {said}");
    }
    realm.kdc.stop();
    let said = realm.refused(USERS[0], APP);
    assert!(said.contains("KRB5_KDC_UNREACH (156): "), "{name}: {said}");
}

#[test]
fn heimdal_signs_a_user_on() {
    let Some(realm) = Realm::start(Kind::Heimdal) else { return };
    a_user_is_signed_on(&realm);
}

#[test]
fn mit_signs_a_user_on() {
    let Some(realm) = Realm::start(Kind::Mit) else { return };
    a_user_is_signed_on(&realm);
}

/// A domain takes its time to be made: one for all.
#[test]
fn samba_signs_a_user_on_and_nobody_else() {
    let Some(mut realm) = Realm::start(Kind::Samba) else { return };
    a_user_is_signed_on(&realm);
    a_user_is_known_by_an_enterprise_name(&realm);
    let domain = realm.kdc.domain().unwrap();
    for [forbids, allows] in [
        ["user sensitive alice on", "user sensitive alice off"],
        ["delegation for-any-protocol postern-hq off", "delegation for-any-protocol postern-hq on"],
    ] {
        domain.tool(forbids).unwrap();
        let said = realm.refused(USERS[0], &realm.kdc.principal(APP));
        assert!(said.contains("KRB5KDC_ERR_BADOPTION (13): "), "{forbids}: {said}");
        domain.tool(allows).unwrap();
        words(&realm.check(USERS[0], &realm.kdc.principal(APP)), true);
    }
    refusals_are_told_in_kerberos_own_words(&mut realm, "KRB5KDC_ERR_POLICY (12): ");
}

/// A UPN of another domain than its realm's, as `sso_login=upn` with `sso_realm` makes it. The KDC leaves the name as it was
/// asked for.
fn a_user_is_known_by_an_enterprise_name(realm: &Realm) {
    let apache = Apache::start(&realm.kdc, realm.folder.path()).unwrap();
    let (check, mut said) = realm.begin(ENTERPRISE_NAME, APP);
    let answer = curl(&apache, &said.next().unwrap().unwrap());
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("REMOTE_USER=alice@corp.example\n"), "{answer}");
    // It waits for an answer that it does not get.
    assert!(!check.wait_with_output().unwrap().status.success());
}

#[test]
fn mit_knows_a_user_by_an_enterprise_name() {
    let Some(realm) = Realm::start(Kind::Mit) else { return };
    a_user_is_known_by_an_enterprise_name(&realm);
}

/// As a busy connector does: from all threads, of held tickets and of fresh ones.
#[test]
fn many_tokens_are_made_at_once() {
    for kind in [Kind::Heimdal, Kind::Mit] {
        let Some(realm) = Realm::start(kind) else { return };
        let mut command = realm.kdc.check_command(&realm.prepared, &realm.kdc.connector_keytab());
        command.args(["--user", &realm.kdc.principal(USERS[0]), "--service", APP, "--requests", "500"]);
        let said = words(&command.output().unwrap(), true);
        assert!(
            said.contains("500 tokens in ") && said.contains("all different") && !said.contains(" 0 of them"),
            "{kind:?}: {said}"
        );
    }
}

#[test]
fn heimdals_refusals() {
    let Some(mut realm) = Realm::start(Kind::Heimdal) else { return };
    refusals_are_told_in_kerberos_own_words(&mut realm, "KRB5KDC_ERR_POLICY (12): ");
}

#[test]
fn mits_refusals() {
    let Some(mut realm) = Realm::start(Kind::Mit) else { return };
    refusals_are_told_in_kerberos_own_words(&mut realm, "KRB5KDC_ERR_CLIENT_REVOKED (18): ");
}

/// A connector that has the keys of `keytab`.
fn connector(realm: &Realm, world: &World, keytab: &Path, name: &str) -> Process {
    connector_with(realm, world, keytab, name, &[])
}

fn connector_with(realm: &Realm, world: &World, keytab: &Path, name: &str, more: &[&str]) -> Process {
    let mut command = Command::new(realm.prepared.join("bin/postern-connector"));
    command.env("KRB5_CONFIG", realm.kdc.client_configuration()).args(["--relay", &world.relay_address.to_string()]);
    command.arg("--state-dir").arg(world.path(name)).arg("--token-file").arg(world.path(&format!("{name}-token")));
    command.arg("--keytab").arg(keytab).args(["--kerberos-principal", &realm.kdc.principal(CONNECTOR)]).args(more);
    let token = world.token("default").unwrap();
    write_secret(&world.path(&format!("{name}-token")), &token).unwrap();
    Process::spawn(name, command, &world.path(&format!("{name}.log"))).unwrap()
}

/// The pilot's four steps: passthrough, sign-in and assignment, single sign-on, policy; for an application that takes tickets
/// only. `locked`: the KDC's code for an account that is.
fn who_signed_in_is_signed_on(kind: Kind, locked: &str) {
    let Some(realm) = Realm::start(kind) else { return };
    let apache = Apache::start(&realm.kdc, realm.folder.path()).unwrap();
    let mut world = World::start(Options { connectors: 0, ..Options::default() }).unwrap();
    let connector = connector(&realm, &world, &realm.kdc.connector_keytab(), "delegating");
    world.expect_within(START_TIMEOUT, "the connector is online", |world| world.connectors_online() == 1).unwrap();
    let client = world.publish("app", &format!("http://{}/", apache.address())).unwrap();
    let asked = client.connect().unwrap().request("GET", "/", &[], b"").unwrap();
    assert_eq!((asked.status, asked.header("www-authenticate")), (401, Some("Negotiate")), "passthrough");

    world.start_identity().unwrap();
    let [alice, outsider, locked_out] = [ALICE, "bob@corp.example", USERS[1]].map(|user| {
        let file = world.path("password");
        write_secret(&file, &format!("{PASSWORD}\n")).unwrap();
        world.cli(&["user", "create", user, "--password-file", &file.display().to_string()]).unwrap();
        user
    });
    for user in [alice, locked_out] {
        world.cli(&["assign", "--user", user, "app"]).unwrap();
    }
    world.cli(&["app", "set", "app", "--preauth", "oidc"]).unwrap();
    let open = |user: &str| {
        let mut person = Person::new(&client);
        person.sign_in(&format!("https://{}/", client.host), user, PASSWORD, false).unwrap().answer
    };
    assert_eq!(open(alice).status, 401, "the application asks for itself");
    assert_eq!(open(outsider).status, 403, "not assigned");

    let spn = format!("sso_spn={}", realm.kdc.principal(APP));
    let settings = ["--set", "sso=kerberos", "--set", &spn, "--set", "sso_login=user-part"];
    world.cli(&[&["app", "set", "app"], &settings[..]].concat()).unwrap();
    let answer = open(alice);
    let is_known = answer.status == 200 && answer.text().contains("REMOTE_USER=alice");
    assert!(is_known && answer.header("www-authenticate").is_none(), "{kind:?}: {answer:?}\n{}", world.logs());
    let answer = open(locked_out);
    let text = answer.text();
    assert!(matches!(answer.status, 403 | 502) && text.contains("sso-") && !text.contains("KRB5"), "{answer:?}");
    assert!(connector.logs_within(Duration::from_secs(10), locked), "{kind:?}: {}", connector.log_tail());

    let policy = ["policy", "create", "second-factor", "--all-apps", "--everyone", "--require", "mfa"];
    world.cli(&[&policy[..], &["--state", "report-only"]].concat()).unwrap();
    assert_eq!(open(alice).status, 200, "it is only reported");
    let what_if = world.cli(&["policy", "what-if", "--user", alice, "--app", "app", "--ip", "203.0.113.7"]).unwrap();
    assert!(what_if.contains("second-factor"), "{what_if}");
    world.cli(&["policy", "enable", "second-factor"]).unwrap();
    assert!(open(alice).text().contains("Set up a second factor"), "{}", world.logs());
}

#[test]
fn who_signed_in_reaches_apache_by_heimdals_tickets() {
    who_signed_in_is_signed_on(Kind::Heimdal, "KRB5KDC_ERR_POLICY");
}

#[test]
fn who_signed_in_reaches_apache_by_mits_tickets() {
    who_signed_in_is_signed_on(Kind::Mit, "KRB5KDC_ERR_CLIENT_REVOKED");
}

#[test]
fn a_connector_says_whether_its_keytab_is_good() {
    let Some(realm) = Realm::start(Kind::Heimdal) else { return };
    let world = World::usual().unwrap();
    let start = |keytab: &Path, name: &str| connector(&realm, &world, keytab, name);
    let limit = Duration::from_secs(20);
    let good = start(&realm.kdc.connector_keytab(), "good");
    assert!(good.logs_within(limit, "the keytab is good"), "{}", good.log_tail());
    let of_another = start(&realm.kdc.app_keytab(), "of-another");
    assert!(of_another.logs_within(limit, NO_KEY), "{}", of_another.log_tail());
    let mut missing = start(Path::new("/nonexistent"), "missing");
    assert_eq!(missing.wait(limit).and_then(|status| status.code()), Some(1));
    assert!(missing.log().contains("cannot read the keytab /nonexistent"), "{}", missing.log_tail());
}

#[test]
fn a_connector_without_kerberos_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = programs::command("postern-connector");
    command.args(["--relay", "127.0.0.1:1", "--keytab", "/k", "--kerberos-principal", "HTTP/c@R", "--state-dir"]);
    let output = command.arg(folder.path()).output().unwrap();
    assert!(words(&output, false).contains("--features kerberos"));
}

#[test]
fn single_sign_on_needs_users_that_are_known() {
    let world = World::usual().unwrap();
    let sso = ["--set", "sso=kerberos", "--set", "sso_spn=HTTP/app.example.test@EXAMPLE.TEST"];
    let external = format!("https://app.example.test:{}/", world.relay_address.port());
    let publish = |preauth: &str, more: &[&str]| {
        let fixed =
            ["app", "publish", "app", "--external", &external, "--internal", "http://127.0.0.1:1/", "--preauth"];
        world.cli_output(&[&fixed[..], &[preauth], more].concat()).unwrap()
    };
    let said = words(&publish("passthrough", &sso), false);
    assert!(said.contains("setting-invalid") && said.contains("needs --preauth oidc"), "{said}");
    let said = words(&publish("oidc", &sso[..2]), false);
    assert!(said.contains("needs sso_spn"), "{said}");
    words(&publish("oidc", &sso), true);
    // A machine is nobody to sign on.
    let made = world.json(&["access", "token", "create", "robot", "--app", "app"]).unwrap();
    let client = world.client(&format!("app.example.test:{}", world.relay_address.port())).unwrap();
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let mut connection = client.connect().unwrap();
    let answer = connection.request("GET", "/", &[("Authorization", &bearer)], b"").unwrap();
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("sso-needs-user"), "{}", answer.text());
    // Both at once contradict each other; the switch alone turns single sign-on off, and says so.
    let set = |more: &[&str]| world.cli_output(&[&["app", "set", "app"], more].concat()).unwrap();
    let is_told = || words(&set(&sso), true).contains("none that is online has a keytab");
    assert!(within(START_TIMEOUT, is_told), "{}", world.logs());
    let said = words(&set(&["--preauth", "passthrough", "--set", "sso=kerberos"]), false);
    assert!(said.contains("needs --preauth oidc"), "{said}");
    let said = words(&set(&["--preauth", "passthrough"]), true);
    assert!(said.contains("single sign-on is off"), "{said}");
    let shown = world.json(&["app", "show", "app"]).unwrap();
    let settings = &shown["settings"];
    assert!(settings.get("sso").is_none() && settings.get("sso_spn").is_some(), "{shown}");
    let said = words(&set(&["--set", "sso=kerberos"]), false);
    assert!(said.contains("needs --preauth oidc"), "{said}");
    let file = world.path("wanted.toml");
    let wanted = format!(
        "tenant = \"default\"\n[app.app]\nexternal = \"{external}\"\ninternal = \"http://127.0.0.1:1/\"\npreauth = \"passthrough\"\nsettings = {{ sso = \"kerberos\", sso_spn = \"HTTP/a@B\" }}\n"
    );
    std::fs::write(&file, wanted).unwrap();
    let said = words(&world.cli_output(&["apply", "-f", file.to_str().unwrap()]).unwrap(), false);
    assert!(said.contains("needs --preauth oidc"), "{said}");
}
