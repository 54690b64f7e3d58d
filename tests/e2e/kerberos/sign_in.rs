//! Signing in by a ticket that the browser has: the whole way from an application to the place to sign in and back, with tickets
//! of two real KDCs; and everything that is no good ticket, which ends on the page that asks for a password.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;

use postern_tests::browser::{self, Browser};
use postern_tests::client::{Answer, Client};
use postern_tests::kerberos::{LOGIN, SECOND};
use postern_tests::origin::Origin;
use postern_tests::person::Page;

use super::*;

/// The real thing: `wiki` asks, alice may, and tickets count on this host's first address.
struct Scene {
    realm: Realm,
    world: World,
    wiki: Client,
    _origin: Origin,
}

const LOGIN_HOST: &str = "login.example.test";
/// What `KRB5_CONFIG` says besides where the KDC is: names are not looked up.
const BROWSER: &str = "[libdefaults]\n  dns_canonicalize_hostname = false\n  rdns = false\n";
/// SPNEGO that offers NTLM first and Kerberos second (RFC 4178 §4.2.1): there would be a second round.
const NTLM_FIRST: &str = "Negotiate YEsGBisGAQUFAqBBMD+gGTAXBgorBgEEAYI3AgIKBgkqhkiG9xIBAgKiIgQgTlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAA=";
/// An address outside the network that was named.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 9, 9, 9));

impl Scene {
    fn start(kind: Kind) -> Option<Scene> {
        let realm = Realm::start(kind)?;
        if !program(&realm).exists() {
            pass_over("no postern-identity with Kerberos here: run `cargo xtask kerberos`");
            return None;
        }
        let mut world = World::usual().unwrap();
        let external = format!("https://{LOGIN_HOST}:{}/", world.relay_address.port());
        world.cli(&["identity", "publish", "--external", &external]).unwrap();
        write_secret(&world.path("token-identity"), &world.token("postern-identity").unwrap()).unwrap();
        world.start_identity_by(identity(&realm)).unwrap();
        let origin = Origin::start().unwrap();
        let wiki = world.publish("wiki", &origin.url()).unwrap();
        world.cli(&["app", "set", "wiki", "--preauth", "oidc"]).unwrap();
        let file = world.path("password");
        write_secret(&file, &format!("{PASSWORD}\n")).unwrap();
        world.cli(&["user", "create", USERS[0], "--password-file", &file.display().to_string()]).unwrap();
        world.cli(&["assign", "--user", USERS[0], "wiki"]).unwrap();
        world.cli(&["network", "set", "corp", "127.0.0.1/32"]).unwrap();
        let scene = Scene { realm, world, wiki, _origin: origin };
        scene.set(scene.realm.kdc.realm);
        Some(scene)
    }

    fn set(&self, realm: &str) {
        let set = ["identity", "kerberos", "set", "--network", "corp", "--login", "user-part", "--realm"];
        self.world.cli(&[&set[..], &[realm]].concat()).unwrap();
    }

    fn url(&self) -> String {
        format!("https://{}/head", self.wiki.host)
    }

    fn login_host(&self) -> String {
        format!("{LOGIN_HOST}:{}", self.world.relay_address.port())
    }

    /// Someone at the place to sign in, on the way from the wiki, and the address.
    fn arrived(&self, client: &Client) -> (Person, String) {
        let mut person = Person::new(client);
        let answer = person.step("GET", &self.url(), &[], "").unwrap();
        let to = answer.header("location").unwrap().to_owned();
        assert!(to.starts_with(&format!("https://{}/authorize?", self.login_host())), "{to}");
        (person, to)
    }

    /// The tickets of somebody who signed in at the KDC.
    fn cache(&self, user: &str) -> PathBuf {
        let cache = self.world.path(&format!("cache-{}", user.replace('/', "-")));
        self.realm.kdc.kinit(&self.realm.prepared, user, &cache).unwrap();
        cache
    }

    /// What `Authorization` says to a host, as curl makes it, before that host has seen it.
    fn ticket(&self, cache: &Path, host: &str) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = std::thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let head = head_of(&mut stream);
                let said = head.lines().find_map(|line| line.strip_prefix("Authorization: "));
                let answer = if said.is_some() { "200 OK" } else { "401 No\r\nWWW-Authenticate: Negotiate" };
                write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
                if let Some(said) = said {
                    return said.trim().to_owned();
                }
            }
        });
        let mut command = self.curl(cache);
        command.args(["--resolve", &format!("{host}:{port}:127.0.0.1"), &format!("http://{host}:{port}/")]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        taken.join().unwrap()
    }

    fn curl(&self, cache: &Path) -> Command {
        let mut command = Command::new("curl");
        command.envs(self.browser_environment(cache));
        command.args(["--silent", "--show-error", "--include", "--negotiate", "--user", ":"]);
        command
    }

    fn browser_environment(&self, cache: &Path) -> [(&'static str, String); 2] {
        let browser = self.world.path("browser.conf");
        std::fs::write(&browser, BROWSER).unwrap();
        let settings = format!("{}:{}", browser.display(), self.realm.kdc.client_configuration().display());
        [("KRB5_CONFIG", settings), ("KRB5CCNAME", format!("FILE:{}", cache.display()))]
    }

    /// What comes of a value of `Authorization` at the place to sign in.
    fn shown(&self, authorization: &str) -> Answer {
        let (mut person, to) = self.arrived(&self.wiki);
        person.step("GET", &to, &[("Authorization", authorization)], "").unwrap()
    }

    fn sessions(&self) -> String {
        self.world.cli(&["session", "list"]).unwrap()
    }
}

fn program(realm: &Realm) -> PathBuf {
    realm.prepared.join("bin/postern-identity")
}

fn identity(realm: &Realm) -> Command {
    let mut command = Command::new(program(realm));
    command.env("KRB5_CONFIG", realm.kdc.client_configuration()).arg("--keytab").arg(realm.kdc.login_keytab());
    command.args(["--kerberos-principal", &realm.kdc.principal(LOGIN)]);
    command
}

fn head_of(stream: &mut std::net::TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The page that asks for a password, shown at once and not challenged again.
fn assert_page(answer: &Answer, code: Option<&str>, why: &str) {
    let text = answer.text();
    // Who has a good ticket gets a proof, whatever became of it.
    let is_challenged = answer.header("www-authenticate").is_some_and(|value| !value.starts_with("Negotiate oY"));
    assert!(answer.status == 200 && !is_challenged, "{why}: {} {:?}\n{text}", answer.status, answer.headers);
    assert!(text.contains("name=\"password\""), "{why}: {text}");
    match code {
        Some(code) => assert!(text.contains(code), "{why}: {text}"),
        None => assert!(!text.contains("Code:"), "{why}: {text}"),
    }
}

fn who_has_a_ticket_is_not_asked(kind: Kind) {
    let Some(scene) = Scene::start(kind) else { return };
    let cache = scene.cache(USERS[0]);
    // A browser without a ticket shows what comes with the challenge, and signs in there.
    let (mut person, to) = scene.arrived(&scene.wiki);
    let answer = person.step("GET", &to, &[], "").unwrap();
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Negotiate")));
    let page = person.give_password(&Page { url: to, answer }, USERS[0], PASSWORD, false).unwrap();
    assert_eq!((page.answer.status, page.url), (200, scene.url()));
    // One with a ticket sends it, and is at the application.
    let (mut person, to) = scene.arrived(&scene.wiki);
    let ticket = scene.ticket(&cache, LOGIN_HOST);
    let answer = person.step("GET", &to, &[("Authorization", &ticket)], "").unwrap();
    assert_eq!(answer.status, 303, "{kind:?}: {answer:?}\n{}", scene.world.logs());
    let proof = answer.header("www-authenticate").unwrap();
    assert!(proof.starts_with("Negotiate oY"), "the place proves who it is: {proof}");
    let page = person.open(answer.header("location").unwrap()).unwrap();
    assert_eq!((page.answer.status, page.url), (200, scene.url()));
    let head = page.answer.text().to_lowercase();
    assert_eq!(head.matches("x-postern-user: alice\r\n").count(), 1, "the application is told who it is: {head}");
    assert!(!head.contains("negotiate"), "and sees no ticket: {head}");
    // As curl does it by itself, with HTTP/2, checking that proof.
    let (mut person, to) = scene.arrived(&scene.wiki);
    let output = scene.curl(&cache).args(scene.world.curl(LOGIN_HOST)).arg(&to).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let location = said.lines().find_map(|line| line.strip_prefix("location: "));
    let location = location.unwrap_or_else(|| panic!("{said}\n{output:?}\n{}", scene.world.logs())).trim();
    assert!(output.status.success() && person.open(location).unwrap().answer.status == 200, "{said}");
    // What it is worth stands in the sessions and in the log.
    assert_eq!(scene.sessions().matches("wia").count(), 2, "{}", scene.sessions());
    let log = scene.world.json(&["audit", "sign-ins", "list", "--result", "success"]).unwrap().to_string();
    assert_eq!(log.matches("\"wia\"").count(), 2, "{log}");
    // A second factor is still asked for where one is wanted, and nobody sets one up by a ticket alone.
    scene.world.cli(&["app", "set", "wiki", "--set", "mfa=required"]).unwrap();
    let answer = scene.shown(&scene.ticket(&cache, LOGIN_HOST));
    assert!(answer.status == 200 && answer.text().contains("name=\"password\""), "{answer:?}");
}

#[test]
fn who_has_a_ticket_of_heimdals_is_not_asked() {
    who_has_a_ticket_is_not_asked(Kind::Heimdal);
}

#[test]
fn who_has_a_ticket_of_mits_is_not_asked() {
    who_has_a_ticket_is_not_asked(Kind::Mit);
}

/// What is no ticket for this place, or no ticket at all.
#[test]
fn what_is_no_good_ticket_ends_on_the_page() {
    let Some(scene) = Scene::start(Kind::Mit) else { return };
    let cache = scene.cache(USERS[0]);
    let for_another = scene.ticket(&cache, "other.example.test");
    let good = scene.ticket(&cache, LOGIN_HOST);
    let token = good.strip_prefix("Negotiate ").unwrap();
    let mut changed = token.as_bytes().to_vec();
    let at = changed.len() / 2;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = format!("Negotiate {}", String::from_utf8(changed).unwrap());
    let cut = format!("Negotiate {}", &token[..token.len() / 8 * 4]);
    let large = format!("Negotiate {}", "A".repeat(24 << 10));
    let refused = Some("kerberos-ticket-refused");
    for (authorization, code, why) in [
        (&*for_another, refused, "for another service"),
        (&changed, refused, "changed"),
        (&cut, refused, "cut"),
        (&large, refused, "large"),
        ("Negotiate YIIBhg==", refused, "broken"),
        (NTLM_FIRST, refused, "a second round is wanted"),
        ("Negotiate AAAA", refused, "nothing of GSS-API"),
        ("Negotiate TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAKAGFKAAAADw==", None, "NTLM"),
        ("Negotiate %%%", None, "no base64"),
        ("Negotiate", None, "nothing"),
        ("Basic YWxpY2U6eA==", None, "another scheme"),
        ("NTLM TlRMTVNTUAAB", None, "another scheme"),
    ] {
        assert_page(&scene.shown(authorization), code, why);
    }
    let beyond = format!("Negotiate {}", "A".repeat(100 << 10));
    assert_eq!(scene.shown(&beyond).status, 431, "no relay takes it");
    assert!(!scene.sessions().contains(USERS[0]), "nobody is signed in");
    // The good one is good once.
    assert_eq!(scene.shown(&good).status, 303, "{}", scene.world.logs());
    assert_page(&scene.shown(&good), refused, "replayed");
    assert_eq!(scene.sessions().matches("wia").count(), 1);
}

/// Good tickets of nobody who may.
#[test]
fn whoever_is_no_user_here_ends_on_the_page() {
    let Some(scene) = Scene::start(Kind::Heimdal) else { return };
    let cache = scene.cache(USERS[0]);
    let fresh = || scene.ticket(&cache, LOGIN_HOST);
    let refused = Some("kerberos-user-refused");
    let second = scene.cache(SECOND);
    assert_page(&scene.shown(&scene.ticket(&second, LOGIN_HOST)), refused, "a second name");
    scene.set("OTHER.TEST");
    assert_page(&scene.shown(&fresh()), refused, "another realm");
    scene.set(scene.realm.kdc.realm);
    scene.world.cli(&["user", "create", "alice@example.test"]).unwrap();
    assert_page(&scene.shown(&fresh()), refused, "two are alice");
    scene.world.cli(&["user", "delete", "alice@example.test"]).unwrap();
    scene.world.cli(&["user", "disable", USERS[0]]).unwrap();
    assert_page(&scene.shown(&fresh()), refused, "disabled");
    assert!(!scene.sessions().contains("wia"), "nobody is signed in");
    let log = scene.world.json(&["audit", "sign-ins", "list", "--result", "failure"]).unwrap().to_string();
    for why in ["kerberos-principal-refused", "kerberos-realm-refused", "kerberos-user-ambiguous", "user-disabled"] {
        assert!(log.contains(why), "{why}: {log}");
    }
    scene.world.cli(&["user", "enable", USERS[0]]).unwrap();
    assert_eq!(scene.shown(&fresh()).status, 303, "as ever");
}

/// Whose time is over: the library's patience of five minutes is taken away for it.
#[test]
fn a_ticket_that_is_too_old_is_refused() {
    let Some(mut scene) = Scene::start(Kind::Heimdal) else { return };
    let strict = scene.world.path("strict.conf");
    std::fs::write(&strict, "[libdefaults]\n  clockskew = 2\n").unwrap();
    let settings = format!("{}:{}", strict.display(), scene.realm.kdc.client_configuration().display());
    let mut command = identity(&scene.realm);
    command.env("KRB5_CONFIG", settings);
    scene.world.start_identity_by(command).unwrap();
    let cache = scene.cache(USERS[0]);
    let ticket = scene.ticket(&cache, LOGIN_HOST);
    std::thread::sleep(Duration::from_secs(5));
    assert_page(&scene.shown(&ticket), Some("kerberos-ticket-refused"), "old");
    let identity = scene.world.identity.as_ref().unwrap();
    assert!(identity.logs_within(Duration::from_secs(10), "a Kerberos ticket is refused"), "{}", identity.log_tail());
}

/// Nobody outside sees a browser's question for a password, and who signed out is not signed in again unasked.
#[test]
fn browsers_are_challenged_in_named_networks_and_not_after_signing_out() {
    let Some(scene) = Scene::start(Kind::Heimdal) else { return };
    let cache = scene.cache(USERS[0]);
    let fresh = || scene.ticket(&cache, LOGIN_HOST);
    let (mut person, to) = scene.arrived(&scene.wiki.clone().bound_to(OUTSIDE));
    assert_page(&person.step("GET", &to, &[], "").unwrap(), None, "outside nobody is asked for a ticket");
    assert_page(&person.step("GET", &to, &[("Authorization", &fresh())], "").unwrap(), None, "and none counts");
    // Where a relay wants a newer proof, a ticket is none.
    let (mut person, to) = scene.arrived(&scene.wiki);
    let anew = format!("{to}&prompt=login");
    assert_page(&person.step("GET", &anew, &[], "").unwrap(), None, "anew");
    assert_page(&person.step("GET", &anew, &[("Authorization", &fresh())], "").unwrap(), None, "anew");
    // Signing out at the application leads to the place to sign in, which remembers it.
    let answer = person.step("GET", &to, &[("Authorization", &fresh())], "").unwrap();
    assert_eq!(person.open(answer.header("location").unwrap()).unwrap().answer.status, 200);
    let own = [("Sec-Fetch-Site", "same-origin")];
    let left = person.step("GET", &format!("https://{}/.postern/sign-out", scene.wiki.host), &own, "").unwrap();
    let page = person.open(left.header("location").unwrap()).unwrap();
    assert!(page.answer.text().contains("You are signed out"), "{page:?}");
    let answer = person.step("GET", &scene.url(), &[], "").unwrap();
    let to = answer.header("location").unwrap().to_owned();
    let asked = person.step("GET", &to, &[], "").unwrap();
    assert_page(&asked, None, "after signing out nobody is signed in unasked");
    assert_page(
        &person.step("GET", &to, &[("Authorization", &fresh())], "").unwrap(),
        None,
        "nor by a ticket nobody asked for",
    );
    let link = format!("{to}&negotiate=now");
    let path = link.split_once(&scene.login_host()).unwrap().1.replace('&', "&amp;");
    assert!(asked.text().contains(&format!("href=\"{path}\"")), "{}", asked.text());
    let wanted = person.step("GET", &link, &[], "").unwrap();
    assert_eq!((wanted.status, wanted.header("www-authenticate")), (401, Some("Negotiate")));
    assert_eq!(person.step("GET", &link, &[("Authorization", &fresh())], "").unwrap().status, 303);
    assert!(!person.cookie(&scene.login_host()).contains("signed_out"), "from now on as before");
    // Off is off.
    scene.world.cli(&["identity", "kerberos", "remove"]).unwrap();
    let (mut person, to) = scene.arrived(&scene.wiki);
    assert_page(&person.step("GET", &to, &[("Authorization", &fresh())], "").unwrap(), None, "off");
}

/// A ticket belongs to the sign-in that it came with: the answer leads nowhere in another browser.
#[test]
fn what_a_ticket_leads_to_is_of_the_browser_that_began() {
    let Some(scene) = Scene::start(Kind::Heimdal) else { return };
    let cache = scene.cache(USERS[0]);
    let (_attacker, to) = scene.arrived(&scene.wiki);
    // The victim's browser is led to a sign-in that the attacker began, and its ticket is good.
    let mut victim = Person::new(&scene.wiki);
    let ticket = scene.ticket(&cache, LOGIN_HOST);
    let answer = victim.step("GET", &to, &[("Authorization", &ticket)], "").unwrap();
    assert_eq!(answer.status, 303);
    let location = answer.header("location").unwrap();
    let page = victim.step("GET", location, &[], "").unwrap();
    assert_ne!(page.status, 200, "it has not begun this: {page:?}");
    assert!(page.header("set-cookie").is_none_or(|cookie| !cookie.contains("__Host-postern-a")), "{page:?}");
}

/// A real browser that may show its tickets to this host is at the application at once; one that may not shows the page, as does
/// the first after signing out, with a way back in.
#[test]
fn chromium_signs_in_by_its_ticket() {
    let Some(scene) = Scene::start(Kind::Mit) else { return };
    if !browser::is_there() {
        return pass_over("no Chromium here: cargo xtask browser");
    }
    let cache = scene.cache(USERS[0]);
    let start = |more: &[&str]| {
        let mut command = Command::new("chromedriver");
        command.envs(scene.browser_environment(&cache));
        Browser::start_by(command, scene.world.folder(), scene.world.relay_address, more).unwrap()
    };
    let limit = Duration::from_secs(20);
    let asks = "return document.querySelector('input[name=password]') !== null";
    let is_in = "return document.body.innerText.toLowerCase().includes('x-postern-user: alice')";

    let without = start(&[]);
    without.open(&scene.url()).unwrap();
    without.wait_for(limit, asks).unwrap();
    without.screenshot("kerberos-without-a-ticket").unwrap();

    let with = start(&["--auth-server-allowlist=login.example.test"]);
    with.open(&scene.url()).unwrap();
    with.wait_for(limit, is_in).unwrap();
    with.open(&format!("https://{}/sign-out", scene.login_host())).unwrap();
    with.click("form button").unwrap();
    with.wait_for(limit, "return document.body.innerText.includes('You are signed out')").unwrap();
    with.open(&scene.url()).unwrap();
    with.wait_for(limit, asks).unwrap();
    for (name, width) in [("phone", 390), ("desktop", 1280)] {
        with.resize(width, 800).unwrap();
        with.screenshot(&format!("kerberos-after-signing-out-{name}")).unwrap();
    }
    with.click("a.button[href*='negotiate=now']").unwrap();
    with.wait_for(limit, is_in).unwrap();
}
