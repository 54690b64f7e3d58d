//! Authorities of certificates that look whose a host is.

use super::*;

#[test]
fn a_challenge_is_shown_to_its_protocol_alone_and_never_resumed() {
    let world = World::new();
    let speaking = |protocol: &[u8]| {
        let mut config = ClientConfig::clone(&client(&[&TLS13], None));
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    };
    let (authority, door) = (speaking(TLS_ALPN), world.configs.challenge(&world.own));
    for _ in 0..2 {
        let (_, server) = connect(&authority, &door).unwrap();
        assert_eq!(server.alpn_protocol(), Some(TLS_ALPN));
        assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
    }
    assert!(connect(&speaking(b"h2"), &door).is_err());
    assert!(connect(&authority, &world.clients()).is_err(), "no door for clients speaks it");
}
