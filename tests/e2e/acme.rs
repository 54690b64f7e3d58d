//! Certificates by ACME, from a real authority that looks at the real relay: ordered, refused in its own words, renewed.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Output;
use std::time::Duration;

use postern_tests::client::Client;
use postern_tests::dnsmasq::Dnsmasq;
use postern_tests::origin::Origin;
use postern_tests::pebble::{BLOCKED, KEY, KID, Pebble, Settings};
use postern_tests::pki::Pki;
use postern_tests::world::{Options, World, free_address, write_secret};
use postern_tests::{pass_over, within};

const HOST: &str = "app.example.test";
const QUARTER_S: u64 = 90 * 86_400;

struct Scene {
    pebble: Pebble,
    settings: Settings,
    _dns: Dnsmasq,
    origin: Origin,
    world: World,
    /// Where control shows its metrics.
    admin: SocketAddr,
}

impl Scene {
    /// `None` where the authority's programs are not.
    fn new(validity_s: u64, binding: bool) -> Option<Scene> {
        if !Pebble::is_possible() || !Dnsmasq::is_possible() {
            pass_over("needs pebble and dnsmasq-base");
            return None;
        }
        let http = free_address(Ipv4Addr::LOCALHOST).unwrap();
        let admin = free_address(Ipv4Addr::LOCALHOST).unwrap();
        let relay = vec!["--listen-http".into(), http.to_string()];
        let control = vec!["--admin-listen".into(), admin.to_string()];
        let world = World::start(Options { relay, control, ..Options::default() }).unwrap();
        let dns = Dnsmasq::start(world.folder(), &[]).unwrap();
        let tls = world.relay_address.port();
        let settings = Settings { dns: dns.address(), http: http.port(), tls, validity_s, binding };
        let pebble = Pebble::start(world.folder(), settings).unwrap();
        Some(Scene { pebble, settings, _dns: dns, origin: Origin::start().unwrap(), world, admin })
    }

    /// `acme set`, and what comes of it.
    fn account(&self, more: &[&str]) -> Output {
        let (directory, ca) = (self.pebble.directory(), self.pebble.ca().to_str().unwrap().to_owned());
        let words = ["acme", "set", "--directory", &directory, "--ca", &ca, "--contact", "ops@example.test"];
        self.world.cli_output(&[&words[..], more].concat()).unwrap()
    }

    fn request(&self, words: &[&str]) -> Output {
        self.world.cli_output(&[&["cert", "request", "-o", "json"], words].concat()).unwrap()
    }

    /// The id of the certificate that this orders.
    fn issued(&self, words: &[&str]) -> String {
        let output = self.request(words);
        assert!(output.status.success(), "{}\n{}\n{}", said(&output), self.pebble.log(), self.world.logs());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        json["id"].as_str().unwrap().to_owned()
    }

    fn shown(&self, id: &str) -> serde_json::Value {
        self.world.json(&["cert", "show", id]).unwrap()
    }

    fn publish(&self, host: &str) {
        let external = format!("https://{host}:{}/", self.world.relay_address.port());
        let (name, internal) = (host.split('.').next().unwrap(), self.origin.url());
        let words = ["app", "publish", name, "--external", &external, "--internal", &internal];
        self.world.cli(&[&words[..], &["--preauth", "passthrough"]].concat()).unwrap();
    }

    /// A client that trusts the authority and nobody else.
    fn client(&self, host: &str) -> Client {
        let host = format!("{host}:{}", self.world.relay_address.port());
        Client::new(self.world.relay_address, &host, &self.pebble.root().unwrap()).unwrap()
    }

    fn serves(&self, host: &str) -> bool {
        self.client(host).get("/bytes/3").is_ok_and(|answer| answer.status == 200)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

#[test]
fn a_certificate_by_http_01_is_there_before_the_application() {
    let Some(scene) = Scene::new(QUARTER_S, false) else { return };
    let none = scene.request(&[HOST]);
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none).contains("postern acme set"), "{}", said(&none));
    let set = scene.account(&[]);
    assert!(set.status.success(), "{}", said(&set));
    let id = scene.issued(&[HOST, "--challenge", "http-01"]);
    let log = scene.pebble.log();
    assert!(log.contains("/.well-known/acme-challenge/"), "it looked by a request: {log}");
    // What is published takes it, and clients believe it.
    scene.publish(HOST);
    assert!(within(Duration::from_secs(20), || scene.serves(HOST)), "{}", scene.world.logs());
    let shown = scene.shown(&id);
    assert_eq!((&shown["apps"][0], &shown["renewal"]["challenge"]), (&"app".into(), &"http-01".into()), "{shown}");
    let end = shown["not_after_unix"].as_u64().unwrap();
    let next = shown["renewal"]["next_unix"].as_u64().unwrap();
    assert!((29..=31).contains(&((end - next) / 86_400)), "a third of its life is left: {shown}");
    let words = scene.world.cli(&["cert", "show", &id]).unwrap();
    assert!(words.contains("ACME, http-01, next on ") && words.contains("Pebble Intermediate CA"), "{words}");
    // The key is in the state folder alone, for control alone.
    let account = scene.world.path("control").join("acme-t1.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(account).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!scene.world.cli(&["acme", "show", "-o", "json"]).unwrap().contains("key_pkcs8"));
    let before = shown["sha256"].clone();
    scene.world.cli(&["cert", "renew", &id]).unwrap();
    assert_ne!(scene.shown(&id)["sha256"], before);
    assert!(within(Duration::from_secs(20), || scene.serves(HOST)), "{}", scene.world.logs());
}

#[test]
fn whoever_gives_a_successor_by_hand_renews_it_by_hand() {
    let Some(scene) = Scene::new(QUARTER_S, false) else { return };
    assert!(scene.account(&[]).status.success());
    let id = scene.issued(&[HOST]);
    let leaf = Pki::new(scene.world.folder()).unwrap().leaf("leaf", HOST, 20, None).unwrap();
    let (cert, key) = (leaf.certificate.to_str().unwrap(), leaf.key.to_str().unwrap());
    scene.world.cli(&["cert", "replace", &id, "--cert", cert, "--key", key]).unwrap();
    assert!(scene.shown(&id)["renewal"].is_null(), "{}", scene.shown(&id));
    let refused = scene.world.cli_output(&["cert", "renew", &id]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("was not ordered by ACME"), "{}", said(&refused));
    // The same hosts ordered again: it takes the place of the one that was given.
    assert_eq!(scene.issued(&[HOST]), id);
    assert_eq!(scene.shown(&id)["renewal"]["challenge"], "tls-alpn-01");
    // Without an account nothing is renewed, and that is said.
    let removed = scene.world.cli_output(&["acme", "remove"]).unwrap();
    assert!(said(&removed).contains("1 certificates were renewed with it"), "{}", said(&removed));
    assert!(!scene.world.path("control").join("acme-t1.json").exists());
}

#[test]
fn a_certificate_by_tls_alpn_01_is_for_several_hosts_and_nothing_of_the_challenge_stays() {
    let Some(scene) = Scene::new(QUARTER_S, false) else { return };
    assert!(scene.account(&[]).status.success());
    scene.publish(HOST);
    let id = scene.issued(&["B.example.test", HOST, HOST]);
    let shown = scene.shown(&id);
    assert_eq!(shown["hosts"], serde_json::json!([HOST, "b.example.test"]), "{shown}");
    assert_eq!(shown["renewal"]["challenge"], "tls-alpn-01", "{shown}");
    scene.publish("b.example.test");
    assert!(within(Duration::from_secs(20), || scene.serves("b.example.test")), "{}", scene.world.logs());
    // Nobody waits for it any more: whoever asks as the authority does is shown nothing.
    let client = scene.client("b.example.test");
    assert!(client.handshake(&[b"acme-tls/1".as_slice()]).is_err(), "{}", scene.world.logs());
    assert!(client.handshake(&[b"http/1.1".as_slice()]).is_ok());
}

#[test]
fn an_account_is_bound_where_the_authority_asks_for_that() {
    let Some(scene) = Scene::new(QUARTER_S, true) else { return };
    let file = scene.world.path("eab.key");
    let path = file.to_str().unwrap();
    let refused = scene.account(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("externalAccountRequired"), "{}", said(&refused));
    for (key, message) in [("AAAA", "the authority refuses"), ("not base64url!", "is not base64url")] {
        write_secret(&file, key).unwrap();
        let refused = scene.account(&["--eab-kid", KID, "--eab-key-file", path]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).contains(message), "{}", said(&refused));
    }
    write_secret(&file, &format!("{KEY}\n")).unwrap();
    let bound = scene.account(&["--eab-kid", KID, "--eab-key-file", path]);
    assert!(bound.status.success(), "{}", said(&bound));
    assert_eq!(scene.world.json(&["acme", "show"]).unwrap()["eab_kid"], KID);
    scene.issued(&[HOST]);
    let kept = std::fs::read_to_string(scene.world.path("control").join("acme-t1.json")).unwrap();
    assert!(!kept.contains(KEY), "the key is used once and not kept");
}

#[test]
fn what_the_authority_refuses_is_told_in_its_own_words() {
    let Some(scene) = Scene::new(QUARTER_S, false) else { return };
    assert!(scene.account(&[]).status.success());
    let refused = |words: &[&str], messages: &[&str]| {
        let output = scene.request(words);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let told = said(&output);
        assert!(messages.iter().all(|message| told.contains(message)), "{told}");
    };
    refused(&[BLOCKED], &["rejectedIdentifier", BLOCKED]);
    // Nobody knows its address: the authority says so at the challenge, not at the order.
    refused(&["nowhere.invalid"], &["acme-failed", "nowhere.invalid"]);
    refused(&["*.example.test"], &["a wildcard cannot be shown"]);
    refused(&["app.example.test:443"], &["a host name and nothing else"]);
    refused(&["192.0.2.1"], &["192.0.2.1"]);
    // Nothing of it stays.
    let list = scene.world.json(&["cert", "list"]).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 0, "{list}");
    // An authority that is not believed is not spoken to.
    let directory = scene.pebble.directory();
    let output = scene.world.cli_output(&["acme", "set", "--directory", &directory]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("certificate"), "{}", said(&output));
}

#[test]
fn certificates_are_renewed_ahead_without_a_drop_and_failures_are_told() {
    const LIFE_S: u64 = 60;
    let Some(mut scene) = Scene::new(LIFE_S, false) else { return };
    assert!(scene.account(&[]).status.success());
    let id = scene.issued(&[HOST]);
    scene.publish(HOST);
    assert!(within(Duration::from_secs(20), || scene.serves(HOST)), "{}", scene.world.logs());
    let first = scene.shown(&id)["sha256"].clone();
    // Each with a handshake of its own: none meets a certificate that is over, or none.
    let client = scene.client(HOST);
    let renewed = within(Duration::from_secs(2 * LIFE_S), || {
        let answer = client.get("/bytes/3").unwrap();
        assert_eq!(answer.status, 200);
        scene.shown(&id)["sha256"] != first
    });
    assert!(renewed, "{}\n{}", scene.pebble.log(), scene.world.logs());
    assert_eq!(client.get("/bytes/3").unwrap().status, 200);
    let audit = scene.world.json(&["audit", "list", "--action", "certificate.add"]).unwrap();
    assert_eq!(audit["items"][0]["actor"], "control", "{audit}");

    // The authority is gone: certificate, status and metrics say so, and it is tried again.
    scene.pebble.kill();
    let fails = within(Duration::from_secs(4 * LIFE_S), || scene.shown(&id)["renewal"]["failures"].as_u64() >= Some(2));
    let shown = scene.shown(&id);
    assert!(fails, "{shown}\n{}", scene.world.logs());
    assert!(shown["renewal"]["error"].as_str().unwrap().contains("is not reached"), "{shown}");
    let warnings = scene.world.json(&["status"]).unwrap()["warnings"].to_string();
    assert!(warnings.contains(&format!("certificate {id} is not renewed")), "{warnings}");
    let metrics = metrics(&scene);
    assert!(metrics.contains("postern_control_acme_failing 1\n"), "{metrics}");
    assert!(metrics.contains("postern_control_acme_certificates 1\n"), "{metrics}");
    assert!(metrics.contains("postern_control_acme_orders_total{outcome=\"issued\"} 2\n"), "{metrics}");

    // Another one, with an account of its own: what failed is tried at once.
    scene.pebble = Pebble::start(scene.world.folder(), scene.settings).unwrap();
    assert!(scene.account(&[]).status.success());
    let is_well =
        within(Duration::from_secs(30), || scene.shown(&id)["renewal"]["error"].is_null() && scene.serves(HOST));
    assert!(is_well, "{}\n{}", scene.shown(&id), scene.world.logs());
}

fn metrics(scene: &Scene) -> String {
    let url = format!("http://{}/metrics", scene.admin);
    let output = std::process::Command::new("curl").args(["-s", &url]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
