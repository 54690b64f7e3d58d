//! Two TLS ends in memory.

mod challenge;
mod devices;
mod versions;

use std::sync::Mutex;

use super::*;
use crate::side::disk::Folder;
use crate::side::identity::Identity;
use crate::side::testing;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::version::TLS12;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ServerConnection, SignatureScheme};

/// These tests are about the server's doors: the client believes everything, and keeps what was stapled.
#[derive(Debug, Default)]
struct Credulous {
    stapled: Mutex<Option<Vec<u8>>>,
}

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        stapled: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.stapled.lock().unwrap() = Some(stapled.to_vec());
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

struct World {
    configs: TlsConfigs,
    authority: testing::Authority,
    own: Arc<CertifiedKey>,
}

impl World {
    fn new() -> Self {
        let held = tempfile::tempdir().unwrap();
        let own = Arc::clone(Identity::load_or_make(&Folder::new(held.path())).unwrap().self_signed());
        Self { configs: TlsConfigs::new(TlsPreset::default()).unwrap(), authority: testing::Authority::new(), own }
    }

    fn clients(&self) -> Arc<ServerConfig> {
        self.configs.clients(self.certificates())
    }

    /// Where devices of these authorities are shown.
    fn devices(&self, authorities: &[CertificateDer<'static>]) -> Arc<ServerConfig> {
        self.configs.devices(self.certificates(), authorities)
    }

    fn certificates(&self) -> Arc<ClientCertificates> {
        let (plan, fallback) = (Arc::default(), Arc::clone(&self.own));
        Arc::new(ClientCertificates { plan, keys: BTreeMap::new(), fallback })
    }

    fn tunnels(&self) -> Arc<ServerConfig> {
        self.configs.tunnels(&self.own, &Authority::read(&self.authority.pem).unwrap()).unwrap()
    }
}

/// A client without ALPN, so that it fits every configuration, that keeps its tickets for the next connection.
fn client(versions: &[&'static SupportedProtocolVersion], identity: Option<testing::Client>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous::default()));
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// Both ends after their handshake, or the server's error.
fn connect(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    connect_to("tunnel.postern.internal", client, server)
}

fn connect_to(
    name: &'static str,
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from(name).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            server.read_tls(&mut input).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

#[test]
fn a_clients_ticket_is_refused_where_a_certificate_is_required() {
    let world = World::new();
    for version in [&TLS13, &TLS12] {
        let client = client(&[version], None);
        connect(&client, &world.clients()).unwrap();
        // The ticket is good, also for a later version of the clients' configuration …
        let (_, resumed) = connect(&client, &world.clients()).unwrap();
        assert_eq!(resumed.handshake_kind(), Some(HandshakeKind::Resumed));
        // … and worth nothing for a tunnel.
        assert!(connect(&client, &world.tunnels()).is_err(), "{version:?}");
    }
}

/// What the test above would find if the two configurations shared their tickets.
#[test]
fn a_shared_ticketer_would_let_it_in() {
    let world = World::new();
    let client = client(&[&TLS13], None);
    connect(&client, &world.clients()).unwrap();
    let mut careless = ServerConfig::clone(&world.tunnels());
    careless.ticketer = Arc::clone(&world.configs.client_tickets);
    let (_, server) = connect(&client, &Arc::new(careless)).unwrap();
    assert!(server.peer_certificates().is_none(), "in without a certificate");
}

#[test]
fn a_tunnel_needs_a_certificate_of_the_control_ca_and_is_never_resumed() {
    let world = World::new();
    let (connector, group) = ("c1-9".parse().unwrap(), "g1-1".parse().unwrap());
    let enrolled = client(&[&TLS13], Some(world.authority.issue_connector(connector, group)));
    for _ in 0..2 {
        let (_, server) = connect(&enrolled, &world.tunnels()).unwrap();
        assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
        let leaf = &server.peer_certificates().unwrap()[0];
        assert_eq!(crate::peer::connector(leaf), Some((connector, group)));
    }
    let foreign = testing::Authority::new().issue_connector(connector, group);
    assert!(connect(&client(&[&TLS13], Some(foreign)), &world.tunnels()).is_err());
    let tls12 = client(&[&TLS12], Some(world.authority.issue_connector(connector, group)));
    assert!(connect(&tls12, &world.tunnels()).is_err());
    assert!(Authority::read("no PEM").is_err());
}
