//! The door where browsers show their devices.

use std::sync::PoisonError;

use rustls::client::ResolvesClientCert;

use super::*;
use testing::Flaw;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

fn leaf(server: &ServerConnection) -> Option<&CertificateDer<'static>> {
    server.peer_certificates().and_then(|chain| chain.first())
}

#[test]
fn a_device_shows_its_certificate_or_none() {
    let world = World::new();
    let mdm = testing::Authority::named("a device manager");
    let devices = world.devices(&[world.authority.certificate(), mdm.certificate()]);
    for version in VERSIONS {
        for authority in [&world.authority, &mdm] {
            let device = authority.issue_device(None);
            let shown = device.chain[0].clone();
            let (_, server) = connect(&client(&[version], Some(device)), &devices).unwrap();
            assert_eq!(leaf(&server), Some(&shown), "{version:?}");
        }
        let (_, server) = connect(&client(&[version], None), &devices).unwrap();
        assert_eq!(leaf(&server), None, "{version:?}");
    }
}

#[test]
fn a_certificate_that_is_not_good_ends_the_handshake() {
    let world = World::new();
    let devices = world.devices(&[world.authority.certificate()]);
    for version in VERSIONS {
        let foreign = testing::Authority::new().issue_device(None);
        assert!(connect(&client(&[version], Some(foreign)), &devices).is_err(), "of nobody: {version:?}");
        for flaw in [Flaw::Expired, Flaw::OtherUse] {
            let device = world.authority.issue_device(Some(flaw));
            assert!(connect(&client(&[version], Some(device)), &devices).is_err(), "{flaw:?}: {version:?}");
        }
        // Somebody else's certificate, with a key of one's own.
        let mut stolen = world.authority.issue_device(None);
        stolen.key = world.authority.issue_device(None).key;
        assert!(connect(&careless(version, stolen), &devices).is_err(), "without its key: {version:?}");
    }
}

/// A client that does not look whether its key is its certificate's.
fn careless(version: &'static SupportedProtocolVersion, identity: testing::Client) -> Arc<ClientConfig> {
    let key = aws_lc_rs::sign::any_supported_type(&identity.key).unwrap();
    let mut config = ClientConfig::clone(&client(&[version], None));
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(identity.chain, key)));
    Arc::new(config)
}

#[test]
fn a_ticket_of_the_place_to_sign_in_resumes_nothing_where_devices_are_shown() {
    let world = World::new();
    for version in VERSIONS {
        for device in [None, Some(world.authority.issue_device(None))] {
            let shown = device.as_ref().map(|device| device.chain[0].clone());
            let client = client(&[version], device);
            connect(&client, &world.clients()).unwrap();
            let (_, resumed) = connect(&client, &world.clients()).unwrap();
            assert_eq!(resumed.handshake_kind(), Some(HandshakeKind::Resumed), "the ticket is good there: {version:?}");
            for _ in 0..3 {
                let (_, server) = connect(&client, &world.devices(&[world.authority.certificate()])).unwrap();
                assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
                assert_eq!(leaf(&server), shown.as_ref(), "{version:?}");
            }
        }
    }
}

/// What was shown, too, is shown anew: a device that was blocked meanwhile would be none of a ticket's business.
#[test]
fn nothing_is_resumed_from_one_time_to_the_next() {
    let world = World::new();
    let devices = world.devices(&[world.authority.certificate()]);
    for version in VERSIONS {
        let client = client(&[version], Some(world.authority.issue_device(None)));
        for _ in 0..3 {
            let (_, server) = connect(&client, &devices).unwrap();
            assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
        }
        // Nor is it good where nobody is asked for one.
        let (_, server) = connect(&client, &world.clients()).unwrap();
        assert_eq!((server.handshake_kind(), leaf(&server)), (Some(HandshakeKind::Full), None), "{version:?}");
    }
}

/// A browser that keeps whose certificates it was asked for, and has none.
#[derive(Debug, Default)]
struct Asked(Mutex<Option<usize>>);

impl ResolvesClientCert for Asked {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hints.len());
        None
    }
    fn has_certs(&self) -> bool {
        true
    }
}

/// How many authorities a browser is told of; `None`: it is asked for nothing.
fn named(devices: &Arc<ServerConfig>) -> Option<usize> {
    let asked = Arc::new(Asked::default());
    let mut config = ClientConfig::clone(&client(&VERSIONS, None));
    config.client_auth_cert_resolver = Arc::<Asked>::clone(&asked);
    connect(&Arc::new(config), devices).unwrap();
    asked.0.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[test]
fn browsers_are_told_whose_certificates_count_as_long_as_that_fits() {
    let world = World::new();
    let own = world.authority.certificate();
    assert_eq!(named(&world.devices(&[])), None);
    assert_eq!(named(&world.devices(&[CertificateDer::from(vec![0x30, 0])])), None, "it vouches for nobody");
    assert_eq!(named(&world.devices(&[CertificateDer::from(vec![0x30, 0]), own.clone()])), Some(1));
    let verbose = ["a", "b", "c"].map(|name| testing::Authority::named(&name.repeat(8_000)));
    let verbose_certificates: Vec<_> = verbose.iter().map(testing::Authority::certificate).chain([own]).collect();
    assert_eq!(named(&world.devices(&verbose_certificates[2..])), Some(2));
    let devices = world.devices(&verbose_certificates);
    assert_eq!(named(&devices), Some(0), "asked for whichever it has");
    for authority in [&verbose[0], &world.authority] {
        let (_, server) = connect(&client(&[&TLS13], Some(authority.issue_device(None))), &devices).unwrap();
        assert!(leaf(&server).is_some());
    }
}
