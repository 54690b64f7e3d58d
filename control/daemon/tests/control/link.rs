//! Relays that come to the socket, and relays that control dials.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use postern_model::ids::GroupId;
use postern_model::link::{ConnectorStatus, RelayStatus, ToControl, ToRelay};
use postern_model::{Plan, Snapshot};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::peer::{Relay, hello};
use crate::world::World;

pub(crate) fn snapshot<S: std::io::Read + std::io::Write>(relay: &mut Relay<S>) -> Snapshot {
    match relay.next() {
        Some(ToRelay::Snapshot(snapshot)) => *snapshot,
        other => panic!("no snapshot but {other:?}"),
    }
}

/// Follows the log until a version, as a relay does.
fn follow<S: std::io::Read + std::io::Write>(relay: &mut Relay<S>, state: &mut Snapshot, until: u64) {
    while state.version < until {
        match relay.next() {
            Some(ToRelay::Delta(delta)) => state.apply(&delta).unwrap(),
            other => panic!("no delta but {other:?}"),
        }
        relay.send(&ToControl::Applied { version: state.version });
    }
}

#[test]
fn a_relay_gets_the_state_and_then_every_change() {
    let world = World::start();
    let published = world.publish("crm", "https://crm.localhost");
    let mut relay = Relay::connect(&world.socket());
    let key = KeyPair::generate().unwrap();
    relay.hello("edge.example.com", &key, 0);
    let welcome = relay.welcomed();
    assert_eq!((welcome.relay_id.to_string(), welcome.relay_name.as_str()), ("r1".into(), "edge-example-com"));
    let mut state = snapshot(&mut relay);
    assert!(state.version >= published["version"].as_u64().unwrap());
    Plan::build(&state).unwrap();

    let second = world.publish("wiki", "https://*.wiki.localhost/a");
    follow(&mut relay, &mut state, second["version"].as_u64().unwrap());
    let plan = Plan::build(&state).unwrap();
    assert_eq!(plan.host("x.wiki.localhost").unwrap().route("/a/b").unwrap().name.as_str(), "wiki");
    assert!(plan.certificate("x.wiki.localhost").is_some());
    let ca = CertificateDer::from_pem_slice(welcome.ca_pem.as_bytes()).unwrap();
    let config = state.group_configs[&GroupId::DEFAULT].verify(&ca, GroupId::DEFAULT, 0).unwrap();
    assert_eq!(config.apps.len(), 2);

    let shown = world.wait_for("/v1/relays/edge-example-com", |relay| relay["problem"].is_null());
    assert_eq!((&shown["connected"], &shown["pinned"]), (&json!(true), &json!("socket")));
    drop(relay);
    world.wait_for("/v1/relays/r1", |relay| relay["connected"] == false);
    world.publish("third", "https://third.localhost");
    let mut relay = Relay::connect(&world.socket());
    relay.hello_again("edge.example.com", &key, state.version, welcome.epoch);
    assert_eq!(relay.welcomed().relay_id, welcome.relay_id);
    let version = world.wait_for("/v1/status", |_| true)["version"].as_u64().unwrap();
    follow(&mut relay, &mut state, version);
    assert!(Plan::build(&state).unwrap().host("third.localhost").is_some());
}

#[test]
fn connectors_of_a_sticky_farm_get_what_its_cookie_takes() {
    let world = World::start();
    let mut shop = crate::world::app("shop", "https://shop.localhost");
    shop["settings"] =
        json!({"backend_farm": "http://b", "balance": "sticky", "cookie_same_site": "strict", "robots": "pass"});
    world.done::<Value>("POST", "/v1/tenants/default/apps", &shop);
    world.publish("crm", "https://crm.localhost");
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge.example.com", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    let state = snapshot(&mut relay);
    let config: Value = serde_json::from_str(&state.group_configs[&GroupId::DEFAULT].body).unwrap();
    let app = |name: &str| config["apps"].as_array().unwrap().iter().find(|app| app["name"] == name).unwrap();
    assert_eq!(app("shop")["member_key"].as_str().unwrap().len(), 64);
    assert_eq!(app("shop")["settings"]["cookie_same_site"], "strict");
    assert!(app("shop")["settings"]["robots"].is_null(), "relays answer for that");
    assert!(app("crm")["member_key"].is_null(), "nobody else needs one");
}

#[test]
fn connectors_know_an_application_before_relays_route_to_it() {
    let world = World::start();
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    snapshot(&mut relay);
    // Whoever changes an application waits until the relays have it; this one reads later.
    relay.send(&ToControl::Applied { version: u64::MAX });
    world.publish("crm", "https://crm.localhost");
    world.done::<Value>("DELETE", "/v1/tenants/default/apps/crm", &Value::Null);
    let mut kinds = Vec::new();
    while kinds.len() < 6 {
        if let Some(ToRelay::Delta(delta)) = relay.next() {
            let change = serde_json::to_value(&delta.change).unwrap();
            kinds.push(change["kind"].as_str().unwrap().to_owned());
        }
    }
    let expected =
        ["certificate_put", "group_config_put", "app_put", "app_removed", "group_config_put", "certificate_removed"];
    assert_eq!(kinds, expected);
}

#[test]
fn readiness_follows_what_relays_report() {
    let world = World::start();
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &KeyPair::generate().unwrap(), 0);
    relay.welcomed();
    let mut state = snapshot(&mut relay);
    let published = world.publish("crm", "https://crm.localhost");
    let version = published["version"].as_u64().unwrap();
    let said = published["warnings"].to_string();
    assert!(said.contains("relay edge has not confirmed this change yet"), "{said}");
    let ready = world.wait_for("/v1/ready", |ready| ready["missing"].to_string().contains("relay edge"));
    assert!(ready["missing"].to_string().contains("it has just linked and not reported yet"), "{ready}");
    assert!(ready["missing"].to_string().contains("no connector is online"), "{ready}");
    follow(&mut relay, &mut state, version);
    let connector = ConnectorStatus {
        id: "c1-1".parse().unwrap(),
        online: true,
        tunnels: 1,
        software: "x".into(),
        has_keytab: Some(false),
        since_unix_ms: 1,
        rtt_us: 5,
    };
    let now = hello("x", &KeyPair::generate().unwrap(), 0).time_unix_ms;
    let status = RelayStatus {
        applied_version: version,
        connectors: vec![connector],
        time_unix_ms: now - 400_000,
        ..RelayStatus::default()
    };
    relay.send(&ToControl::Status(status));
    let shown = world.wait_for("/v1/status", |status| status["warnings"].to_string().contains("clock of relay edge"));
    assert!(shown["warnings"].to_string().contains("behind control's"), "{shown}");
    let ready = world.wait_for("/v1/ready", |_| true);
    assert!(!ready["missing"].to_string().contains("it serves version"), "{ready}");

    relay.send(&ToControl::Rejected { version: version + 1, reason: "broken".into() });
    let shown = world.wait_for("/v1/relays/edge", |relay| !relay["problem"].is_null());
    assert!(shown["problem"].as_str().unwrap().contains("broken"), "{shown}");
    assert_eq!(snapshot(&mut relay).version, version, "once refused, the whole state is sent");
    let reason = "broken still".to_owned();
    relay.send(&ToControl::Rejected { version, reason });
    world.wait_for("/v1/relays/edge", |relay| relay["problem"].to_string().contains("still"));
    let newer = world.publish("wiki", "https://wiki.localhost")["version"].clone();
    assert_eq!(snapshot(&mut relay).version, newer, "and not again before it changed");
}

#[test]
fn a_relay_that_came_back_is_ready_once_it_reports() {
    let world = World::start();
    let key = KeyPair::generate().unwrap();
    let mut relay = Relay::connect(&world.socket());
    relay.hello("edge", &key, 0);
    let epoch = relay.welcomed().epoch;
    let version = snapshot(&mut relay).version;
    relay.send(&ToControl::Applied { version });
    let behind = RelayStatus { applied_version: version - 1, ..RelayStatus::default() };
    relay.send(&ToControl::Status(behind));
    let ready = world.wait_for("/v1/ready", |ready| ready["missing"].to_string().contains("it serves version"));
    assert_eq!(ready["ready"], false);
    let status = RelayStatus { applied_version: version, ..RelayStatus::default() };
    relay.send(&ToControl::Status(status.clone()));
    world.wait_for("/v1/ready", |ready| ready["ready"] == true);
    drop(relay);
    world.wait_for("/v1/ready", |ready| ready["missing"].to_string().contains("it is not linked"));

    let mut relay = Relay::connect(&world.socket());
    relay.hello_again("edge", &key, version, epoch);
    relay.welcomed();
    let ready = world.wait_for("/v1/ready", |_| true);
    assert_eq!(ready["missing"], json!(["relay edge: it has just linked and not reported yet"]));
    let shown = world.wait_for("/v1/relays/edge", |_| true);
    assert_eq!((&shown["connected"], &shown["status"]), (&json!(true), &Value::Null));
    relay.send(&ToControl::Status(status));
    world.wait_for("/v1/ready", |ready| ready["ready"] == true);
}

#[test]
fn what_is_no_relay_is_not_linked() {
    let world = World::start();
    let key = KeyPair::generate().unwrap();
    let refused = |hello: postern_model::link::Hello| {
        let mut relay = Relay::connect(&world.socket());
        relay.send(&ToControl::Hello(hello));
        match relay.next() {
            Some(ToRelay::Refused { reason, removed: false }) => reason,
            other => panic!("{other:?}"),
        }
    };
    let newer = postern_model::link::Hello { protocol: 9, ..hello("edge", &key, 0) };
    assert!(refused(newer).contains("protocol 9"));
    let keyless = postern_model::link::Hello { csr_pem: "x".into(), ..hello("edge", &key, 0) };
    assert!(refused(keyless).contains("certificate request"));
    let mut silent = Relay::connect(&world.socket());
    silent.send(&ToControl::Pong { n: 1 });
    assert!(silent.next().is_none(), "the first message must be Hello");
    let upgrade = world.refused("POST", "/v1/link", &Value::Null);
    assert!(upgrade.1.contains("Upgrade: postern-link/1"), "{upgrade:?}");
}

#[test]
fn a_second_link_of_the_same_relay_takes_over() {
    let world = World::start();
    let key = KeyPair::generate().unwrap();
    let mut first = Relay::connect(&world.socket());
    first.hello("edge", &key, 0);
    first.welcomed();
    snapshot(&mut first);
    let mut second = Relay::connect(&world.socket());
    second.hello("edge", &key, 0);
    second.welcomed();
    let Some(ToRelay::Refused { reason, removed: false }) = first.next() else { panic!("the first link stays") };
    assert!(reason.contains("took over"), "{reason}");
    assert!(first.next().is_none());
    let shown = world.wait_for("/v1/relays/edge", |_| true);
    assert_eq!(shown["connected"], true);
}

/// A relay that waits for control on a TLS port.
pub(crate) struct Listening {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    pub(crate) key: KeyPair,
}

impl Listening {
    pub(crate) fn start(world: &World) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(world.state().join("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        config.alpn_protocols = vec![b"postern-control/1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listener, config: Arc::new(config), key }
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    fn fingerprint(&self) -> String {
        let spki = self.key.subject_public_key_info();
        hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki))
    }

    /// Whether control dials within a while.
    pub(crate) fn is_dialled(&self) -> bool {
        self.listener.set_nonblocking(true).unwrap();
        std::thread::sleep(Duration::from_millis(600));
        self.listener.accept().is_ok()
    }

    /// Waits for control to dial.
    pub(crate) fn accept(&self) -> Relay<StreamOwned<ServerConnection, std::net::TcpStream>> {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let session = ServerConnection::new(Arc::clone(&self.config)).unwrap();
        Relay::over(StreamOwned::new(session, stream))
    }
}

#[test]
fn control_dials_a_relay_and_trusts_its_first_key() {
    let world = World::start();
    let relay = Listening::start(&world);
    world.done::<Value>("POST", "/v1/relays", &json!({"name": "edge", "address": relay.address()}));
    let mut link = relay.accept();
    link.hello("ignored", &relay.key, 0);
    let welcome = link.welcomed();
    assert_eq!(welcome.relay_name, "edge", "the name given to relay add wins");
    let leaf = CertificateDer::from_pem_slice(welcome.certificate_pem.as_bytes()).unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    assert_eq!(leaf.public_key().raw, relay.key.subject_public_key_info());
    let names = format!("{:?}", leaf.subject_alternative_name().unwrap().unwrap().value.general_names);
    for name in ["\"tunnel.", "\"enrol.tunnel.", "\"control.tunnel.", "\"r1.tunnel.", "\"*.r1.tunnel."] {
        assert!(names.contains(&format!("{name}postern.internal\"")), "{names}");
    }
    let shown = world.wait_for("/v1/relays/edge", |relay| relay["connected"] == true);
    assert_eq!((&shown["pinned"], &shown["fingerprint"]), (&json!("first-use"), &json!(relay.fingerprint())));
    let audit: Value = world.done("GET", "/v1/audit", &Value::Null);
    assert_eq!(audit["items"][0]["action"], "relay.pin");
    drop(link);
    let mut again = relay.accept();
    again.hello("x", &relay.key, 0);
    assert_eq!(again.welcomed().relay_id, welcome.relay_id, "it dials again by itself");

    world.done::<Value>("DELETE", "/v1/relays/edge", &Value::Null);
    let last = std::iter::from_fn(|| again.next()).last();
    assert!(matches!(last, Some(ToRelay::Refused { removed: true, .. })), "{last:?}");
    assert!(!relay.is_dialled(), "it knows");
}

#[test]
fn another_key_than_the_pinned_one_is_refused() {
    let world = World::start();
    let relay = Listening::start(&world);
    let add = json!({"name": "edge", "address": relay.address(), "fingerprint": "ab".repeat(32)});
    world.done::<Value>("POST", "/v1/relays", &add);
    let mut link = relay.accept();
    assert!(
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| link.next()))
            .map_or(true, |message| message.is_none())
    );
    let shown = world.wait_for("/v1/relays/edge", |relay| relay["problem"].to_string().contains("not abab"));
    assert_eq!(shown["connected"], false);
    assert!(shown["problem"].as_str().unwrap().contains(&relay.fingerprint()), "{shown}");

    let right = Listening::start(&world);
    let add = json!({"name": "right", "address": right.address(), "fingerprint": right.fingerprint()});
    world.done::<Value>("POST", "/v1/relays", &add);
    let mut link = right.accept();
    link.hello("x", &KeyPair::generate().unwrap(), 0);
    let Some(ToRelay::Refused { reason, removed: false }) = link.next() else { panic!("certified for another key") };
    assert!(reason.contains("shows the key"), "{reason}");
    let mut link = right.accept();
    link.hello("x", &right.key, 0);
    link.welcomed();
    let shown = world.wait_for("/v1/relays/right", |relay| relay["connected"] == true);
    assert_eq!(shown["pinned"], "given");
}

#[test]
fn many_relays_are_linked_at_once() {
    let world = World::start();
    world.publish("crm", "https://crm.localhost");
    let mut links: Vec<_> = (0..40)
        .map(|number| {
            let mut relay = Relay::connect(&world.socket());
            relay.hello(&format!("edge-{number}"), &KeyPair::generate().unwrap(), 0);
            relay.welcomed();
            relay
        })
        .collect();
    let version = world.publish("wiki", "https://wiki.localhost")["version"].as_u64().unwrap();
    for relay in &mut links {
        let mut state = snapshot(relay);
        follow(relay, &mut state, version);
    }
    let status = world.wait_for("/v1/status", |_| true);
    assert_eq!(status["relays"].as_array().unwrap().iter().filter(|relay| relay["connected"] == true).count(), 40);
}

#[test]
fn relays_of_the_command_line_are_dialled() {
    let folder = World::start();
    let relay = Listening::start(&folder);
    let mut world = folder;
    world.kill();
    world.restart(&["--relay", &relay.address()]);
    let mut link = relay.accept();
    link.hello("x", &relay.key, 0);
    link.welcomed();
    let relays: Value = world.done("GET", "/v1/relays", &Value::Null);
    assert_eq!(relays["items"][0]["address"], relay.address());
    let took = world.terminate();
    assert!(took < Duration::from_secs(15), "a link does not hold the end up: {took:?}");
}
