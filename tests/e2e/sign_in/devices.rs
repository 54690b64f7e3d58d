//! Devices: enrolled by their user's program or issued to by somebody else's authority, shown by the browser at a host of their
//! own, and gone within a second when an operator says so.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use postern_tests::browser::{self, Browser};
use postern_tests::pass_over;
use postern_tests::person::Page;
use serde_json::{Value, json};

use super::pages::{PATIENCE, fill_in, look, wait_for_text};
use super::portal::{click, see, sign_in};
use super::revocation::Running;
use super::*;

const HOST: &str = "device.login.example.test";

/// A scene with a place for devices, and a client that adds them.
struct Devices {
    scene: Scene,
    client: String,
}

/// A key and a certificate in files.
struct Enrolled {
    id: String,
    certificate: PathBuf,
    key: PathBuf,
}

impl Devices {
    fn start() -> Devices {
        let scene = Scene::start();
        scene.world.cli(&["identity", "device-host", "set", HOST]).unwrap();
        let words = ["client", "add", "devices", "--public", "--device", "--scope", "devices", "--consent", "user"];
        let made = scene.world.json(&words).unwrap();
        let client = made["client"]["id"].as_str().unwrap().to_owned();
        Devices { scene, client }
    }

    fn cli(&self, words: &[&str]) -> String {
        self.scene.world.cli(words).unwrap()
    }

    fn program(&self, name: &str) -> Command {
        let world = &self.scene.world;
        let mut command = postern_tests::programs::command("postern");
        command.args(["--socket", "/nowhere", "-o", "json", "access", "device", "enrol", &login_url(&self.scene, "/")]);
        command.args(["--client", &self.client, "--name", name, "--connect-to", &world.relay_address.to_string()]);
        command.arg("--ca").arg(world.authority()).arg("--out").arg(world.path(name));
        command
    }

    /// As a user does it: the program shows a code, they sign in for it in a browser, and allow it.
    fn enrol(&self, login: &str, name: &str) -> Enrolled {
        let mut child = self.program(name).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let uri = first.strip_prefix("open ").unwrap_or_else(|| panic!("{first}"));
        let code = uri.split("user_code=").nth(1).unwrap();
        // Somebody who is signed in proves once more who they are.
        let mut person = self.scene.signed_in(login);
        let page = person.submit(&login_url(&self.scene, "/device"), &[("user_code", code)]).unwrap();
        let asked = person.give_password(&page, login, PASSWORD, false).unwrap();
        assert!(asked.answer.text().contains("make the device that it runs on one of yours"), "{asked:?}");
        person.answer_consent(&asked, true).unwrap();
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{rest:?}\n{}", self.scene.world.logs());
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let file = |name: &str| PathBuf::from(told[name].as_str().unwrap());
        let place = format!("https://{HOST}:{}", self.scene.world.relay_address.port());
        assert_eq!(told["device_url"], json!(place));
        Enrolled { id: told["id"].as_str().unwrap().to_owned(), certificate: file("certificate"), key: file("key") }
    }

    /// Somebody whose browser has a device's certificate.
    fn person_on(&self, device: &Enrolled) -> Person {
        Person::new(&self.scene.wiki.showing(&device.certificate, &device.key).unwrap())
    }

    fn sign_in(&self, person: &mut Person, login: &str) -> Page {
        person.sign_in(&url(&self.scene.wiki, "/bytes/3"), login, PASSWORD, false).unwrap()
    }

    fn is_at_device_host(&self, went: &str) -> bool {
        went.starts_with(&format!("https://{HOST}:{}/show-device?ticket=", self.scene.world.relay_address.port()))
    }
}

fn says(page: &Page, code: &str) -> bool {
    page.answer.text().contains(&format!("<code>{code}</code>"))
}

#[test]
fn a_device_opens_what_nothing_else_does_until_an_operator_says_no() {
    let devices = Devices::start();
    let scene = &devices.scene;
    scene.add_user("bert", &[]);
    scene.world.cli(&["assign", "--user", "bert", "wiki"]).unwrap();
    let laptop = devices.enrol("anna", "laptop");
    let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&laptop.key), mode(&laptop.certificate)), (0o600, 0o644));
    let berts = devices.enrol("bert", "berts");
    scene.world.cli(&["session", "revoke", "--all"]).unwrap();
    devices.cli(&["policy", "create", "known", "--everyone", "--app", "wiki", "--require", "compliant-device"]);

    // An operator looks at it first, and says that it complies.
    let waits = devices.sign_in(&mut devices.person_on(&laptop), "anna");
    assert!(says(&waits, "device-required") && waits.answer.text().contains("waits until"), "{waits:?}");
    devices.cli(&["device", "approve", &laptop.id]);
    devices.cli(&["device", "approve", &berts.id]);
    devices.cli(&["device", "set", &berts.id, "--compliant", "yes"]);
    let known = devices.sign_in(&mut devices.person_on(&laptop), "anna");
    assert!(known.answer.text().contains("does not meet"), "{known:?}");
    devices.cli(&["device", "set", &laptop.id, "--compliant", "yes"]);

    let mut anna = devices.person_on(&laptop);
    let page = devices.sign_in(&mut anna, "anna");
    assert_eq!((page.answer.status, &page.url), (200, &url(&scene.wiki, "/bytes/3")), "{:?}\n{page:?}", anna.went);
    assert_eq!(anna.went.iter().filter(|went| devices.is_at_device_host(went)).count(), 1, "{:?}", anna.went);
    let cookie = anna.cookie(&scene.wiki.host);
    let host = format!("{HOST}:{}", scene.world.relay_address.port());
    assert_eq!(anna.cookie(&host), "", "there are no cookies");

    // Without a device, and with somebody else's, there is no session.
    let none = devices.sign_in(&mut scene.person(), "anna");
    assert_eq!(none.answer.status, 403);
    assert!(says(&none, "device-required") && none.answer.text().contains("showed no certificate"), "{none:?}");
    let other = devices.sign_in(&mut devices.person_on(&berts), "anna");
    assert!(says(&other, "device-of-another"), "{other:?}");
    assert_eq!(scene.sessions().len(), 1);
    let sign_ins = scene.world.json(&["audit", "sign-ins", "list"]).unwrap();
    let items = sign_ins["items"].as_array().unwrap();
    assert!(
        items.iter().any(|one| one["device"] == laptop.id.as_str() && one["device_state"] == "compliant"),
        "{sign_ins}"
    );

    // Blocked, in the middle of a download.
    let running = Running::showing(&scene.wiki, "/bytes/50000000", ("Cookie", &cookie));
    devices.cli(&["device", "block", &laptop.id]);
    let told = Instant::now();
    assert!(running.ended() < told + Duration::from_secs(1));
    let page = anna.open(&url(&scene.wiki, "/bytes/3")).unwrap();
    assert!(page.answer.status == 403 && page.answer.text().contains("policy-step-up"), "{page:?}");
    devices.cli(&["device", "approve", &laptop.id]);
    assert_eq!(opened(&mut anna, &url(&scene.wiki, "/bytes/3")).0, 200, "without signing in anew");

    // Removed, it is none: the browser is asked for one, and shows one that is gone.
    devices.cli(&["device", "remove", &laptop.id]);
    let page = anna.open(&url(&scene.wiki, "/bytes/3")).unwrap();
    assert!(says(&page, "device-certificate-invalid"), "{page:?}");
    let audit = scene.world.cli(&["audit", "list"]).unwrap();
    for action in ["device.enrol", "device.approve", "device.block", "device.remove"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
}

#[test]
fn a_session_is_sent_for_a_device_once_and_a_script_is_told() {
    let devices = Devices::start();
    let scene = &devices.scene;
    devices.cli(&["device", "settings", "--approve", "auto"]);
    let laptop = devices.enrol("anna", "laptop");
    let wiki = url(&scene.wiki, "/bytes/3");
    let mut without = scene.signed_in("anna");
    let mut anna = scene.signed_in("anna").with(&scene.wiki.showing(&laptop.certificate, &laptop.key).unwrap());
    devices.cli(&["policy", "create", "known", "--everyone", "--app", "wiki", "--require", "registered-device"]);
    let api = [("Cookie", &*anna.cookie(&scene.wiki.host))];
    let api = scene.wiki.connect().unwrap().request("GET", "/bytes/3", &api, b"").unwrap();
    assert!(api.status == 403 && api.text().contains("policy-step-up"), "{api:?}");
    anna.went.clear();
    assert_eq!(opened(&mut anna, &wiki), (200, wiki.clone()), "{:?}", anna.went);
    assert_eq!(anna.went.iter().filter(|went| devices.is_at_device_host(went)).count(), 1, "{:?}", anna.went);
    anna.went.clear();
    assert_eq!(opened(&mut anna, &wiki).0, 200);
    assert_eq!(anna.went.len(), 1, "it is known now: {:?}", anna.went);
    without.went.clear();
    let page = without.open(&wiki).unwrap();
    assert!(says(&page, "device-required"), "{page:?}");
    assert_eq!(without.went.iter().filter(|went| devices.is_at_device_host(went)).count(), 1, "{:?}", without.went);
    assert_eq!(opened(&mut without, &url(&scene.crm, "/bytes/3")).0, 200, "elsewhere it is what it was");
}

#[test]
fn a_link_to_the_device_host_is_worth_nothing_in_another_browser() {
    let devices = Devices::start();
    let scene = &devices.scene;
    devices.cli(&["device", "settings", "--approve", "auto"]);
    let laptop = devices.enrol("anna", "laptop");
    devices.cli(&["policy", "create", "known", "--everyone", "--app", "wiki", "--require", "registered-device"]);
    // Somebody has her password, and stops before the device host.
    let mut thief = scene.person();
    let page = thief.open(&url(&scene.wiki, "/bytes/3")).unwrap();
    let flow = page.answer.text().split_once("name=\"flow\" value=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let own = login_url(scene, "");
    let head = [("Origin", &*own), ("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("flow={flow}&login=anna&password=correct+horse+battery");
    let answer = thief.step("POST", &login_url(scene, "/sign-in"), &head, &body).unwrap();
    let link = leads_to(&answer).unwrap();
    assert!(devices.is_at_device_host(&link), "{link}");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-postern_device") && cookie.contains("SameSite=Lax; Max-Age=300"), "{cookie}");

    let mut anna = devices.person_on(&laptop);
    let page = anna.open(&link).unwrap();
    assert!(page.answer.status == 403 && says(&page, "device-return-unknown"), "{page:?}");
    // What she was led to, should the thief see it.
    let back = anna.went.iter().find(|went| went.contains("/device/return?ticket=")).unwrap().clone();
    let before = scene.sessions().len();
    let page = thief.open(&back).unwrap();
    assert!(says(&page, "device-return-unknown"), "{page:?}");
    assert_eq!(scene.sessions().len(), before, "no session comes of it");
    assert!(thief.open(&link).unwrap().answer.text().contains("sign-in-over"), "a link is good once");
    // What says that it is a certificate is none of a client's to say.
    let login = scene.wiki.for_host(&format!("login.example.test:{}", scene.world.relay_address.port()));
    let fields = [("Client-Cert", ":AAEC:")];
    let answer = login.connect().unwrap().request("GET", "/show-device?ticket=x", &fields, b"").unwrap();
    assert!(answer.status == 400 && answer.text().contains("sign-in-over"), "{answer:?}");
}

#[test]
fn a_device_signs_its_user_in_without_a_question_until_they_sign_out() {
    let devices = Devices::start();
    let scene = &devices.scene;
    devices.cli(&["device", "settings", "--approve", "auto", "--sign-in", "yes"]);
    let laptop = devices.enrol("anna", "laptop");
    scene.world.cli(&["session", "revoke", "--all"]).unwrap();
    let wiki = url(&scene.wiki, "/bytes/3");
    let visits = |person: &Person| person.went.iter().filter(|went| devices.is_at_device_host(went)).count();

    let mut anna = devices.person_on(&laptop);
    assert_eq!(opened(&mut anna, &wiki), (200, wiki.clone()), "{:?}", anna.went);
    assert_eq!(visits(&anna), 1, "{:?}", anna.went);
    let sessions = scene.sessions();
    assert!(sessions.len() == 1 && sessions[0].to_string().contains("\"swk\""), "{sessions:?}");
    assert_eq!(opened(&mut anna, &url(&scene.crm, "/bytes/3")).0, 200, "the same session");

    // Whoever signs out is asked, here and at other applications.
    anna.open(&url(&scene.wiki, "/.postern/sign-out")).unwrap();
    anna.went.clear();
    for app in [&scene.wiki, &scene.crm] {
        let page = anna.open(&url(app, "/bytes/3")).unwrap();
        assert!(page.answer.text().contains("name=\"password\""), "{page:?}");
    }
    assert_eq!((visits(&anna), scene.sessions().len()), (0, 0), "{:?}", anna.went);

    // A browser with nothing to show is there once, and its user signs in as ever.
    let mut without = scene.person();
    assert_eq!(devices.sign_in(&mut without, "anna").answer.status, 200);
    assert_eq!(visits(&without), 1, "{:?}", without.went);
    devices.cli(&["device", "block", &laptop.id]);
    let page = devices.person_on(&laptop).open(&wiki).unwrap();
    assert!(page.answer.text().contains("name=\"password\""), "{page:?}");
}

#[test]
fn who_cannot_reach_the_device_host_is_asked_for_their_password() {
    let devices = Devices::start();
    let scene = &devices.scene;
    devices.cli(&["device", "settings", "--approve", "auto", "--sign-in", "yes"]);
    let laptop = devices.enrol("anna", "laptop");
    let wiki = url(&scene.wiki, "/bytes/3");
    let mut anna = devices.person_on(&laptop);
    // Two tabs, at once.
    for _ in 0..2 {
        let to = leads_to(&anna.step("GET", &wiki, &[], "").unwrap()).unwrap();
        let to = leads_to(&anna.step("GET", &to, &[], "").unwrap()).unwrap();
        assert!(devices.is_at_device_host(&to), "{to}");
    }
    std::thread::sleep(Duration::from_secs(6));
    anna.went.clear();
    let page = anna.open(&wiki).unwrap();
    assert!(page.answer.text().contains("name=\"password\""), "{page:?}");
    assert_eq!(anna.give_password(&page, "anna", PASSWORD, false).unwrap().answer.status, 200);
    assert!(!anna.went.iter().any(|went| devices.is_at_device_host(went)), "{:?}", anna.went);
}

/// A certificate authority as a management of devices has one, and a device's certificate of it.
fn issued(scene: &Scene, name: &str) -> (PathBuf, Enrolled) {
    let path = |what: &str| scene.world.path(&format!("{name}-{what}"));
    let run = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| word.replace("{}", &path("").display().to_string())).collect();
        let output = Command::new("openssl").args(&words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=Devices of example.test",
        "-keyout",
        "{}ca.key",
        "-out",
        "{}ca.pem",
    ];
    run(&[&ca[..], &curve, &["-addext", "keyUsage=critical,keyCertSign"]].concat());
    std::fs::write(path("ext"), "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n").unwrap();
    run(&[&["req", "-new", "-subj", "/CN=tablet-7", "-keyout", "{}key.pem", "-out", "{}csr.pem"][..], &curve].concat());
    let sign = ["x509", "-req", "-in", "{}csr.pem", "-CA", "{}ca.pem", "-CAkey", "{}ca.key", "-days", "1"];
    run(&[&sign[..], &["-extfile", "{}ext", "-out", "{}certificate.pem"]].concat());
    let device = Enrolled { id: String::new(), certificate: path("certificate.pem"), key: path("key.pem") };
    (path("ca.pem"), device)
}

#[test]
fn what_another_authority_issued_to_is_known_when_it_is_seen_first() {
    let devices = Devices::start();
    let scene = &devices.scene;
    let (ca, tablet) = issued(scene, "mdm");
    let (_, foreign) = issued(scene, "foreign");
    let ca = ca.display().to_string();
    devices.cli(&["device", "authority", "add", "mdm", "--cert", &ca, "--compliant"]);
    devices.cli(&["policy", "create", "known", "--everyone", "--app", "wiki", "--require", "compliant-device"]);
    let page = devices.sign_in(&mut devices.person_on(&tablet), "anna");
    assert_eq!(page.answer.status, 200, "{page:?}\n{}", scene.world.logs());
    let list = scene.world.json(&["device", "list"]).unwrap();
    let [device] = &list["items"].as_array().unwrap()[..] else { panic!("{list}") };
    assert_eq!(
        (&device["name"], &device["authority"], &device["state"]),
        (&json!("tablet-7"), &json!("mdm"), &json!("compliant"))
    );
    // One of nobody's that is known here is not let in, by TLS or by control.
    let mut stranger = devices.person_on(&foreign);
    let page = stranger.open(&url(&scene.wiki, "/bytes/3")).unwrap();
    let refused = stranger.give_password(&page, "anna", PASSWORD, false);
    assert!(refused.is_err() || refused.is_ok_and(|page| says(&page, "device-certificate-invalid")));
    // Removed, it does not come back by being seen.
    devices.cli(&["device", "remove", device["id"].as_str().unwrap()]);
    let page = devices.sign_in(&mut devices.person_on(&tablet), "anna");
    assert!(says(&page, "device-removed"), "{page:?}");
}

#[test]
fn people_see_their_devices_and_remove_them_with_chromium() {
    if !browser::is_there() {
        return pass_over("no Chromium: cargo xtask browser");
    }
    let devices = Devices::start();
    let scene = &devices.scene;
    let world = &scene.world;
    let laptop = devices.enrol("anna", "laptop");
    let phone = devices.enrol("anna", "phone");
    scene.add_user("bert", &[]);
    let berts = devices.enrol_of_bert();
    devices.cli(&["device", "approve", &laptop.id]);
    devices.cli(&["device", "block", &phone.id]);
    let anna = sign_in(scene, "anna");
    click(&anna, "nav a[href='/devices']");
    wait_for_text(&anna, "counts as a known device");
    wait_for_text(&anna, "blocked by an administrator");
    wait_for_text(&anna, &format!("--client {}", devices.client));
    see(&anna, "portal-devices");
    assert_eq!(anna.script("return document.querySelectorAll('main li').length").unwrap(), 2, "not Bert's");
    assert_eq!(anna.script("return document.querySelectorAll('main button').length").unwrap(), 1, "nor a blocked one");
    click(&anna, "main li button");
    anna.wait_for(PATIENCE, "return document.querySelectorAll('main li').length === 1").unwrap();
    let left = world.json(&["device", "list"]).unwrap().to_string();
    assert!(!left.contains(&format!("\"{}\"", laptop.id)) && left.contains(&berts.id), "{left}");
    anna.finish().unwrap();

    // A browser that has no certificate goes to the device host and back, and says why it ends there.
    devices.cli(&["policy", "create", "known", "--everyone", "--app", "wiki", "--require", "registered-device"]);
    let browser = Browser::start(world.folder(), world.relay_address, &[]).unwrap();
    browser.open(&url(&scene.wiki, "/head")).unwrap();
    wait_for_text(&browser, "to go on to wiki");
    fill_in(&browser, "anna", PASSWORD);
    wait_for_text(&browser, "Your browser showed no certificate of one");
    look(&browser, "device-required");
    browser.finish().unwrap();
}

impl Devices {
    fn enrol_of_bert(&self) -> Enrolled {
        self.cli(&["assign", "--user", "bert", "wiki"]);
        self.enrol("bert", "berts")
    }
}
