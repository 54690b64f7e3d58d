//! Certificates that operators give: what is taken and what is refused, successors under load, ends that are told, responses that
//! are stapled, and versions of TLS.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use postern_tests::certificate::{self, Certificate};
use postern_tests::client::Client;
use postern_tests::load::Load;
use postern_tests::origin::Origin;
use postern_tests::pki::Pki;
use postern_tests::within;
use postern_tests::world::{Options, START_TIMEOUT, World, free_address, write_secret};

const HOST: &str = "app.example.test";

/// A world with an application, and a hierarchy that its client trusts and nobody else.
struct Scene {
    world: World,
    origin: Origin,
    pki: Pki,
}

impl Scene {
    fn new(options: Options) -> Scene {
        let world = World::start(options).unwrap();
        let pki = Pki::new(world.folder()).unwrap();
        Scene { world, origin: Origin::start().unwrap(), pki }
    }

    fn publish(&self, host: &str, more: &[&str]) -> std::process::Output {
        let external = format!("https://{host}:{}/", self.world.relay_address.port());
        let (name, internal) = (host.split('.').next().unwrap(), self.origin.url());
        let words =
            ["app", "publish", name, "--external", &external, "--internal", &internal, "--preauth", "passthrough"];
        self.world.cli_output(&[&words[..], more].concat()).unwrap()
    }

    /// A client that trusts the hierarchy's root, and has no session to go on with.
    fn client(&self, host: &str) -> Client {
        let host = format!("{host}:{}", self.world.relay_address.port());
        Client::new(self.world.relay_address, &host, &self.pki.root()).unwrap()
    }

    fn serves(&self, host: &str) -> bool {
        self.client(host).get("/bytes/3").is_ok_and(|answer| answer.status == 200)
    }

    /// What openssl's client says of a handshake, and whether it came about.
    fn handshake(&self, host: &str, more: &[&str]) -> (bool, String) {
        let address = self.world.relay_address.to_string();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-servername", host, "-CAfile"]).arg(self.pki.root());
        let output = command.args(more).stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn bundle(&self, name: &str, leaf: &Certificate) -> PathBuf {
        self.pki.bundle(name, &[&leaf.certificate, &self.pki.intermediate()]).unwrap()
    }

    /// Whether a responder answers: to a whole question, for one that is not ended keeps openssl's busy for good.
    fn responds(&self, leaf: &Certificate, at: SocketAddr) -> bool {
        let (issuer, url) = (self.pki.intermediate(), format!("http://{at}/"));
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-noverify", "-issuer", text(&issuer), "-cert", text(&leaf.certificate), "-url", &url]);
        command.output().unwrap().status.success()
    }

    /// The certificate's id.
    fn added(&self, arguments: &[&str]) -> String {
        let added = self.world.json(&[&["cert", "add"], arguments].concat()).unwrap();
        added["id"].as_str().unwrap().to_owned()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_chain_in_any_order_is_shown_as_clients_want_it() {
    let scene = Scene::new(Options::default());
    let leaf = scene.pki.leaf("leaf", HOST, 20, None).unwrap();
    let (root, intermediate) = (scene.pki.root(), scene.pki.intermediate());
    let mixed = scene.pki.bundle("mixed.pem", &[&root, &intermediate, &leaf.certificate]).unwrap();
    let output = scene.publish(HOST, &["--cert", text(&mixed), "--key", text(&leaf.key)]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("the root certificate of CN=Test Root is left out"), "{}", said(&output));
    assert!(within(START_TIMEOUT, || scene.serves(HOST)), "{}", scene.world.logs());
    let shown = scene.world.json(&["cert", "list"]).unwrap();
    let shown = &shown["items"][0];
    assert_eq!(shown["issuer"], "CN=Test Intermediate", "{shown}");
    assert_eq!(shown["apps"][0], "app", "{shown}");
    assert!((19..=20).contains(&shown["days_left"].as_u64().unwrap()), "{shown}");
    let one = scene.world.cli(&["cert", "show", shown["id"].as_str().unwrap()]).unwrap();
    assert!(one.contains("CN=Test Intermediate") && one.contains("days left"), "{one}");
    assert!(!scene.world.cli(&["export"]).unwrap().contains("PRIVATE KEY"));

    // Without its intermediate it is taken, for devices may have that; and said.
    let alone = scene.pki.leaf("alone", "alone.example.test", 20, None).unwrap();
    let output = scene.publish("alone.example.test", &["--cert", text(&alone.certificate), "--key", text(&alone.key)]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("issuer CN=Test Intermediate is neither in the file"), "{}", said(&output));
}

#[test]
fn a_pkcs12_file_holds_all_of_it() {
    let scene = Scene::new(Options::default());
    let leaf = scene.pki.leaf("leaf", "*.example.test", 20, None).unwrap();
    let file = scene.pki.pkcs12(&leaf, "a secret").unwrap();
    let (right, wrong) = (scene.world.path("right"), scene.world.path("wrong"));
    write_secret(&right, "a secret\n").unwrap();
    write_secret(&wrong, "another\n").unwrap();
    let add = |password: &Path| {
        scene.world.cli_output(&["cert", "add", "--p12", text(&file), "--password-file", text(password)]).unwrap()
    };
    let refused = add(&wrong);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("the password is wrong"), "{}", said(&refused));
    let added = add(&right);
    assert!(added.status.success(), "{}", said(&added));
    assert!(scene.publish(HOST, &[]).status.success());
    assert!(within(START_TIMEOUT, || scene.serves(HOST)), "{}", scene.world.logs());
    let log = std::fs::read_to_string(scene.world.path("control.log")).unwrap();
    assert!(!log.contains("a secret") && !log.contains("PRIVATE KEY"));
}

#[test]
fn what_browsers_would_refuse_is_refused_or_warned_about() {
    let scene = Scene::new(Options { connectors: 0, ..Options::default() });
    let leaf = scene.pki.leaf("leaf", HOST, 20, None).unwrap();
    let chain = scene.bundle("chain.pem", &leaf);
    let output = scene.publish("other.example.test", &["--cert", text(&chain), "--key", text(&leaf.key)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("does not cover other.example.test: it is for app.example.test"),
        "{}",
        said(&output)
    );
    let encrypted = scene.world.path("encrypted.key");
    let made = Command::new("openssl")
        .args(["pkey", "-aes256", "-passout", "pass:x", "-in", text(&leaf.key), "-out", text(&encrypted)])
        .status()
        .unwrap();
    assert!(made.success());
    let output = scene.publish(HOST, &["--cert", text(&chain), "--key", text(&encrypted)]);
    assert!(said(&output).contains("the key is encrypted"), "{}", said(&output));
    let own = certificate::self_signed(scene.world.folder(), HOST).unwrap();
    let output = scene.publish(HOST, &["--cert", text(&own.certificate), "--key", text(&own.key)]);
    assert!(output.status.success() && said(&output).contains("self-signed"), "{}", said(&output));
}

#[test]
fn a_successor_is_shown_without_a_request_lost() {
    let scene = Scene::new(Options::default());
    let (first, second) =
        (scene.pki.leaf("first", HOST, 20, None).unwrap(), scene.pki.leaf("second", HOST, 21, None).unwrap());
    let (first_chain, second_chain) =
        (scene.bundle("first-chain.pem", &first), scene.bundle("second-chain.pem", &second));
    let id = scene.added(&["--cert", text(&first_chain), "--key", text(&first.key)]);
    assert!(scene.publish(HOST, &[]).status.success());
    assert!(within(START_TIMEOUT, || scene.serves(HOST)), "{}", scene.world.logs());
    let leaf = || {
        let stream = scene.client(HOST).handshake(&[b"http/1.1"]).unwrap();
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let before = leaf();
    let load = Load::start(&scene.client(HOST), 8, "/bytes/1000", 1000);
    for turn in 0..6 {
        let (chain, key) = if turn % 2 == 0 { (&second_chain, &second.key) } else { (&first_chain, &first.key) };
        let words = ["cert", "replace", &id, "--cert", text(chain), "--key", text(key)];
        let output = scene.world.cli_output(&words).unwrap();
        assert!(output.status.success(), "{}", said(&output));
        // Every worker shows it when the command returns.
        for _ in 0..8 {
            assert_eq!(leaf() == before, turn % 2 == 1, "turn {turn}");
        }
    }
    let outcome = load.stop();
    assert!(outcome.right > 100, "{outcome:?}");
    assert_eq!((outcome.wrong, outcome.cut, outcome.failed), (0, 0, 0), "{outcome:?}");
    let foreign = scene.pki.leaf("foreign", "foreign.example.test", 20, None).unwrap();
    let words = ["cert", "replace", &id, "--cert", text(&foreign.certificate), "--key", text(&foreign.key)];
    let output = scene.world.cli_output(&words).unwrap();
    assert!(said(&output).contains("does not cover app.example.test"), "{}", said(&output));
}

#[test]
fn what_ends_soon_is_told() {
    let admin = [free_address(Ipv4Addr::LOCALHOST).unwrap(), free_address(Ipv4Addr::LOCALHOST).unwrap()];
    let listen = |nth: usize| vec!["--admin-listen".to_owned(), admin[nth].to_string()];
    let mut scene = Scene::new(Options { control: listen(0), relay: listen(1), ..Options::default() });
    let leaf = scene.pki.leaf("leaf", HOST, 5, None).unwrap();
    let chain = scene.bundle("chain.pem", &leaf);
    let id = scene.added(&["--cert", text(&chain), "--key", text(&leaf.key)]);
    let warning = format!("certificate {id} for {HOST} ends in ");
    let status = scene.world.json(&["status"]).unwrap().to_string();
    assert!(status.contains(&warning), "{status}");
    let end = scene.world.json(&["cert", "show", &id]).unwrap()["not_after_unix"].to_string();
    let metrics = |nth: usize| {
        let url = format!("http://{}/metrics", admin[nth]);
        String::from_utf8(Command::new("curl").args(["-sf", &url]).output().unwrap().stdout).unwrap()
    };
    let sample = |name: &str| format!("{name}{{certificate=\"{id}\",host=\"{HOST}\"}} {end}");
    let (control, relay) = (
        sample("postern_certificate_not_after_timestamp_seconds"),
        sample("postern_relay_certificate_not_after_timestamp_seconds"),
    );
    assert!(metrics(0).contains(&control), "{control}\n{}", metrics(0));
    assert!(metrics(1).contains(&relay), "{relay}\n{}", metrics(1));
    // It is looked at every minute, and at control's start.
    scene.world.control().kill();
    scene.world.start_control().unwrap();
    assert!(scene.world.control().logs_within(START_TIMEOUT, &warning), "{}", scene.world.logs());
}

#[test]
fn ocsp_responses_are_stapled() {
    let scene = Scene::new(Options { control: vec!["--ocsp-private".to_owned()], ..Options::default() });
    let responder = free_address(Ipv4Addr::LOCALHOST).unwrap();
    let asked = scene.pki.leaf("asked", HOST, 20, Some(&format!("http://{responder}/"))).unwrap();
    let running = scene.pki.respond(&asked, responder.port()).unwrap();
    assert!(within(START_TIMEOUT, || scene.responds(&asked, responder)), "openssl's responder answers");
    let chain = scene.bundle("asked-chain.pem", &asked);
    let id = scene.added(&["--cert", text(&chain), "--key", text(&asked.key)]);
    assert!(scene.publish(HOST, &[]).status.success());
    let stapled = |host: &str| {
        let (_, said) = scene.handshake(host, &["-status"]);
        said.contains("OCSP Response Status: successful") && said.contains("Cert Status: good")
    };
    assert!(within(Duration::from_secs(30), || stapled(HOST)), "control asks for it\n{}", scene.world.logs());
    drop(running);
    let shown = scene.world.json(&["cert", "show", &id]).unwrap();
    assert!(shown["ocsp_until_unix"].as_u64().is_some(), "{shown}");

    let given = scene.pki.leaf("given", "given.example.test", 20, None).unwrap();
    let response = scene.pki.ocsp_response(&given).unwrap();
    let chain = scene.bundle("given-chain.pem", &given);
    let files = ["--cert", text(&chain), "--key", text(&given.key), "--ocsp", text(&response)];
    scene.added(&files);
    assert!(scene.publish("given.example.test", &[]).status.success());
    assert!(stapled("given.example.test"), "{}", scene.world.logs());
    let other = scene.pki.leaf("other", "other.example.test", 20, None).unwrap();
    let chain = scene.bundle("other-chain.pem", &other);
    let files = ["cert", "add", "--cert", text(&chain), "--key", text(&other.key), "--ocsp", text(&response)];
    let output = scene.world.cli_output(&files).unwrap();
    assert!(said(&output).contains("it says nothing of this certificate"), "{}", said(&output));
}

#[test]
fn a_revoked_certificate_is_to_be_replaced_and_nothing_is_stapled() {
    let scene = Scene::new(Options { control: vec!["--ocsp-private".to_owned()], connectors: 0, ..Options::default() });
    let responder = free_address(Ipv4Addr::LOCALHOST).unwrap();
    let leaf = scene.pki.leaf("revoked", HOST, 60, Some(&format!("http://{responder}/"))).unwrap();
    let _running = scene.pki.respond_revoked(&leaf, responder.port()).unwrap();
    assert!(within(START_TIMEOUT, || scene.responds(&leaf, responder)), "openssl's responder answers");
    let chain = scene.bundle("revoked-chain.pem", &leaf);
    let id = scene.added(&["--cert", text(&chain), "--key", text(&leaf.key)]);
    let warning = format!("certificate {id} for {HOST} is revoked by its authority: replace it");
    let is_told = || scene.world.json(&["status"]).unwrap().to_string().contains(&warning);
    assert!(within(Duration::from_secs(30), is_told), "{}", scene.world.logs());
    let shown = scene.world.json(&["cert", "show", &id]).unwrap();
    assert!(shown["revoked_unix"].as_u64().is_some() && shown.get("ocsp_until_unix").is_none(), "{shown}");
    // Its successor is another certificate.
    let next = scene.pki.leaf("next", HOST, 60, None).unwrap();
    let chain = scene.bundle("next-chain.pem", &next);
    scene.world.cli(&["cert", "replace", &id, "--cert", text(&chain), "--key", text(&next.key)]).unwrap();
    assert!(!is_told());
}

#[test]
fn responders_inside_are_not_asked_unless_that_is_allowed() {
    let mut scene = Scene::new(Options { connectors: 0, ..Options::default() });
    let responder = free_address(Ipv4Addr::LOCALHOST).unwrap();
    let leaf = scene.pki.leaf("leaf", HOST, 60, Some(&format!("http://{responder}/"))).unwrap();
    let chain = scene.bundle("chain.pem", &leaf);
    scene.added(&["--cert", text(&chain), "--key", text(&leaf.key)]);
    let refused = "it has no public address: where that is right, start control with --ocsp-private";
    assert!(scene.world.control().logs_within(START_TIMEOUT, refused), "{}", scene.world.logs());
}

#[test]
fn an_application_can_ask_for_tls_1_3() {
    let scene = Scene::new(Options { connectors: 0, ..Options::default() });
    let leaf = scene.pki.leaf("leaf", "*.example.test", 20, None).unwrap();
    let chain = scene.bundle("chain.pem", &leaf);
    scene.added(&["--cert", text(&chain), "--key", text(&leaf.key)]);
    for (host, more) in [("strict.example.test", &["--set", "tls_min=1.3"][..]), ("usual.example.test", &[][..])] {
        assert!(scene.publish(host, more).status.success());
    }
    for (host, version, works) in [
        ("strict.example.test", "-tls1_3", true),
        ("strict.example.test", "-tls1_2", false),
        ("usual.example.test", "-tls1_3", true),
        ("usual.example.test", "-tls1_2", true),
    ] {
        let (done, said) = scene.handshake(host, &[version, "-verify_return_error"]);
        assert_eq!(done, works, "{host} {version}: {said}");
    }
    let set = ["app", "set", "strict", "--unset", "tls_min"];
    scene.world.cli(&set).unwrap();
    assert!(scene.handshake("strict.example.test", &["-tls1_2"]).0);
    let wrong = scene.world.cli_output(&["app", "set", "strict", "--set", "tls_min=1.1"]).unwrap();
    assert!(said(&wrong).contains("must be 1.2 or 1.3"), "{}", said(&wrong));
}

#[test]
fn a_relay_can_be_for_tls_1_3_alone() {
    let relay = vec!["--tls".to_owned(), "modern".to_owned()];
    let scene = Scene::new(Options { relay, connectors: 1, ..Options::default() });
    let leaf = scene.pki.leaf("leaf", HOST, 20, None).unwrap();
    let chain = scene.bundle("chain.pem", &leaf);
    scene.added(&["--cert", text(&chain), "--key", text(&leaf.key)]);
    assert!(scene.publish(HOST, &[]).status.success());
    assert!(scene.handshake(HOST, &["-tls1_3", "-verify_return_error"]).0);
    assert!(!scene.handshake(HOST, &["-tls1_2"]).0);
}
