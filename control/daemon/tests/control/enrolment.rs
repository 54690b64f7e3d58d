//! Connectors enrol and renew through a relay that the test plays.

use postern_model::enrol::{EnrolRequest, Proof, Token, code};
use postern_model::link::ToRelay;
use postern_model::{Change, enrol};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::peer::{Relay, csr, enrolled, refusal, renewal, token_request};
use crate::world::World;

struct Site {
    world: World,
    relay: Relay<std::os::unix::net::UnixStream>,
}

impl Site {
    fn start() -> Self {
        let world = World::start();
        let mut relay = Relay::connect(&world.socket());
        relay.hello("edge", &KeyPair::generate().unwrap(), 0);
        relay.welcomed();
        Self { world, relay }
    }

    fn token(&self, ttl_s: u64) -> Token {
        let path = "/v1/tenants/default/connector-groups/default/tokens";
        let issued: Value = self.world.done("POST", path, &json!({"ttl_s": ttl_s}));
        Token::parse(issued["token"].as_str().unwrap()).unwrap()
    }
}

#[test]
fn a_token_enrols_one_connector_and_bears_a_retry() {
    let mut site = Site::start();
    let token = site.token(600);
    let key = KeyPair::generate().unwrap();
    let request = token_request(&token, &key);
    let first = enrolled(site.relay.enrol(&request));
    assert_eq!((first.connector_id.to_string(), first.group_id.to_string()), ("c1-1".into(), "g1-1".into()));
    check_certificate(&first.certificate_pem, &first.ca_pem, &token);

    let retried = enrolled(site.relay.enrol(&token_request(&token, &key)));
    assert_eq!(retried.connector_id, first.connector_id, "the same key is the same connector");
    let other = token_request(&token, &KeyPair::generate().unwrap());
    assert_eq!(refusal(site.relay.enrol(&other)), code::TOKEN_USED);
    let list: Value = site.world.done("GET", "/v1/tenants/default/connectors", &Value::Null);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let group: Value = site.world.done("GET", "/v1/tenants/default/connector-groups/default", &Value::Null);
    assert_eq!((&group["connectors"], &group["tokens_open"]), (&json!(1), &json!(0)));
}

fn check_certificate(certificate: &str, ca: &str, token: &Token) {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let ca = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &ca);
    assert_eq!(hex::encode(sha256), token.ca_sha256);
    let (_, leaf) = x509_parser::parse_x509_certificate(&der).unwrap();
    let (_, ca) = x509_parser::parse_x509_certificate(&ca).unwrap();
    leaf.verify_signature(Some(ca.public_key())).unwrap();
    let names = format!("{:?}", leaf.subject_alternative_name().unwrap().unwrap().value.general_names);
    assert_eq!(names, r#"[URI("postern://connector/c1-1/group/g1-1")]"#);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    let days = leaf.validity().time_to_expiration().unwrap().whole_days();
    assert!((6..=7).contains(&days), "{days}");
}

#[test]
fn what_proves_nothing_gets_nothing() {
    let mut site = Site::start();
    let token = site.token(600);
    let key = KeyPair::generate().unwrap();
    let good = token_request(&token, &key);
    let with = |proof: Proof| EnrolRequest { proof, ..good.clone() };

    let forged = with(Proof::Token { id: token.id.clone(), mac: "00".repeat(32) });
    assert_eq!(refusal(site.relay.enrol(&forged)), code::TOKEN_UNKNOWN);
    let unknown = with(Proof::Token { id: "ffff".into(), mac: enrol::token_mac(token.secret.expose(), &good.csr_pem) });
    assert_eq!(refusal(site.relay.enrol(&unknown)), code::TOKEN_UNKNOWN);
    let swapped = EnrolRequest { csr_pem: csr(&KeyPair::generate().unwrap()), ..good.clone() };
    assert_eq!(refusal(site.relay.enrol(&swapped)), code::TOKEN_UNKNOWN, "the proof is for another key");
    let garbage = EnrolRequest { csr_pem: "garbage".into(), ..good.clone() };
    assert_eq!(refusal(site.relay.enrol(&garbage)), code::CSR_INVALID);
    let newer = EnrolRequest { protocol: 9, ..good.clone() };
    assert_eq!(refusal(site.relay.enrol(&newer)), code::PROTOCOL_UNSUPPORTED);
    assert_eq!(refusal(site.relay.enrol_text("{")), code::REQUEST_INVALID);
    assert_eq!(refusal(site.relay.enrol_text(&" ".repeat(70_000))), code::REQUEST_INVALID);
    enrolled(site.relay.enrol(&good));

    let short = site.token(1);
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let late = token_request(&short, &KeyPair::generate().unwrap());
    assert_eq!(refusal(site.relay.enrol(&late)), code::TOKEN_EXPIRED);
}

#[test]
fn a_certificate_renews_itself_and_only_itself() {
    let mut site = Site::start();
    let key = KeyPair::generate().unwrap();
    let token = site.token(600);
    let first = enrolled(site.relay.enrol(&token_request(&token, &key)));
    let new = KeyPair::generate().unwrap();
    let renewed = enrolled(site.relay.enrol(&renewal(&first.certificate_pem, &key, &new)));
    assert_eq!(renewed.connector_id, first.connector_id);
    assert_ne!(renewed.certificate_pem, first.certificate_pem);

    let stolen = renewal(&renewed.certificate_pem, &KeyPair::generate().unwrap(), &new);
    assert_eq!(refusal(site.relay.enrol(&stolen)), code::CERTIFICATE_REFUSED, "not signed by its key");
    let foreign_key = KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let uri = "postern://connector/c1-1/group/g1-1".try_into().unwrap();
    params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let foreign = params.self_signed(&foreign_key).unwrap().pem();
    let forged = renewal(&foreign, &foreign_key, &foreign_key);
    assert_eq!(refusal(site.relay.enrol(&forged)), code::CERTIFICATE_REFUSED, "not ours");
}

#[test]
fn a_removed_connector_stays_out() {
    let mut site = Site::start();
    let key = KeyPair::generate().unwrap();
    let token = site.token(600);
    let first = enrolled(site.relay.enrol(&token_request(&token, &key)));
    site.world.done::<Value>("DELETE", "/v1/tenants/default/connectors/c1-1", &Value::Null);
    let mut messages = std::iter::from_fn(|| site.relay.next());
    let told = messages.find_map(|message| {
        let ToRelay::Delta(delta) = message else { return None };
        let Change::ConnectorRemoved { id } = delta.change else { return None };
        Some(id)
    });
    assert_eq!(told, Some(first.connector_id), "relays are told");
    let again = renewal(&first.certificate_pem, &key, &key);
    assert_eq!(refusal(site.relay.enrol(&again)), code::CONNECTOR_REMOVED);
    assert_eq!(refusal(site.relay.enrol(&token_request(&token, &key))), code::CONNECTOR_REMOVED);
}

#[test]
fn a_relays_certificate_is_no_connectors() {
    let mut site = Site::start();
    let key = KeyPair::generate().unwrap();
    let mut other = Relay::connect(&site.world.socket());
    other.hello("second", &key, 0);
    let tunnel = other.welcomed().certificate_pem;
    let posing = renewal(&tunnel, &key, &key);
    assert_eq!(
        refusal(site.relay.enrol(&posing)),
        code::CERTIFICATE_REFUSED,
        "a relay's certificate is no connector's"
    );
}
