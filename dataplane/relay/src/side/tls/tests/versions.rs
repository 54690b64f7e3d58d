//! Which versions of TLS clients may speak, and what is stapled to the certificates that they are shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_model::config::Staple;

use super::*;
use crate::side::state::{FollowedState, Settled};
use crate::side::testing::{HOST, snapshot};

#[test]
fn the_preset_and_a_host_decide_what_clients_may_speak() {
    let world = World::new();
    let modern = TlsConfigs::new(TlsPreset::Modern).unwrap();
    let (tls12, tls13) = (client(&[&TLS12], None), client(&[&TLS13], None));
    for (config, takes_tls12) in [
        (world.clients(), true),
        (world.devices(&[]), true),
        (world.configs.clients_tls13(world.certificates()), false),
        (modern.clients(world.certificates()), false),
        (modern.devices(world.certificates(), &[]), false),
    ] {
        assert!(connect(&tls13, &config).is_ok());
        assert_eq!(connect(&client(&[&TLS12], None), &config).is_ok(), takes_tls12);
    }
    // A session begun before is not gone on with where it could not have begun.
    connect(&tls12, &world.clients()).unwrap();
    assert!(connect(&tls12, &world.configs.clients_tls13(world.certificates())).is_err());
}

/// What a client is shown beside the certificate of a state with this staple.
fn stapled(world: &World, staple: Option<Staple>) -> Vec<u8> {
    let mut snapshot = snapshot(1);
    snapshot.certificates.values_mut().for_each(|certificate| certificate.staple.clone_from(&staple));
    let mut state = FollowedState::default();
    state.replace(snapshot);
    assert!(matches!(state.settle(), Settled::Serve));
    let served = state.served().clone();
    let fallback = Arc::clone(&world.own);
    let certificates = ClientCertificates { plan: served.plan, keys: served.keys, fallback };
    let verifier = Arc::new(Credulous::default());
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Credulous>::clone(&verifier))
        .with_no_client_auth();
    connect_to(HOST, &Arc::new(client), &world.configs.clients(Arc::new(certificates))).unwrap();
    verifier.stapled.lock().unwrap().take().unwrap()
}

#[test]
fn what_is_stapled_is_shown_for_as_long_as_it_counts() {
    let world = World::new();
    let staple = |response: &str, until_unix| Some(Staple { response: response.into(), from_unix: 1, until_unix });
    assert!(stapled(&world, None).is_empty());
    let response = STANDARD.encode(b"a response");
    assert_eq!(stapled(&world, staple(&response, 4_000_000_000)), b"a response");
    assert!(stapled(&world, staple(&response, 1_000_000_000)).is_empty(), "its time is over");
    assert!(stapled(&world, staple("?", 4_000_000_000)).is_empty(), "it cannot be read");
}
