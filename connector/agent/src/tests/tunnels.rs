//! Tunnels that come, go and are told to go.

use std::time::Duration;

use postern_http::{BodyKind, Method};
use postern_io::sim::Faults;
use postern_io::{now, sim, sleep};
use postern_model::group_config::{GroupConfigInvalid, SignedGroupConfig};
use postern_tunnel::{Event, Generation, GoAwayReason, Identity};

use super::world::{World, answer_all, backend, drain, fetch, get, pattern, read_head, request, sim};
use crate::backend::tests::{app, config};
use crate::identity::tests::enrolled;
use crate::keeper::{Offers, Verifier};

#[test]
fn every_worker_of_the_relay_gets_one_tunnel() {
    sim(40, async {
        let world = World::with_relay(&[], 3).await;
        sleep(Duration::from_secs(20)).await;
        let names = world.relay.names.borrow().clone();
        assert_eq!(names[0], "tunnel.postern.internal");
        let mut others = names[1..].to_vec();
        others.sort_unstable();
        assert_eq!(others, ["w1-g1.r3.tunnel.postern.internal", "w2-g1.r3.tunnel.postern.internal"]);
        let tunnels = world.relay.tunnels.borrow();
        let hello = tunnels[0].hello.borrow();
        assert_eq!(hello.as_ref().unwrap().identity, Identity::Connector { connector: "c1-9".parse().unwrap() });
    });
}

#[test]
fn lost_tunnels_come_back_at_once_and_requests_go_on() {
    sim(41, async {
        backend(|_, stream| answer_all(stream, "ok"));
        let world = World::with_relay(&[], 2).await;
        sleep(Duration::from_secs(10)).await;
        sim::reset_connections_to("10.0.0.1:443".parse().unwrap());
        world.relay.restart(2, 1);
        let begun = now();
        sleep(Duration::from_millis(1)).await;
        world.relay.tunnels_up(1).await;
        assert!(now().since(begun) < Duration::from_millis(100), "{:?}", now().since(begun));
        assert_eq!(fetch(&world.relay.tunnel()).await, b"ok");
    });
}

#[test]
fn a_new_generation_gets_its_tunnels_while_the_old_one_drains() {
    sim(42, async {
        backend(|_, stream| async move {
            sleep(Duration::from_secs(3)).await;
            answer_all(stream, "late").await;
        });
        let world = World::start(&[]).await;
        let old = world.relay.tunnel();
        let stream = old.open(&get("/"), true);
        world.relay.restart(2, 1);
        old.connection.borrow_mut().announce_generation(Generation { generation: 2, workers: 1 });
        old.connection.borrow_mut().go_away(GoAwayReason::UPGRADE, "");
        old.flush();
        world.relay.tunnels_up(2).await;
        assert_eq!(old.head(stream).await.0.status, 200);
        assert_eq!(old.body(stream, Duration::ZERO).await, b"late");
        sleep(Duration::from_secs(1)).await;
        assert!(old.closed.get(), "a drained tunnel is closed");
        world.relay.tunnels_up(1).await;
    });
}

#[test]
fn uploads_over_a_long_way_begin_with_more() {
    const FIRST_WINDOW_BYTES: usize = 64 << 10;
    for (delay, is_far) in [(Duration::from_micros(50), false), (Duration::from_millis(20), true)] {
        sim(46, async move {
            sim::set_faults(Faults { delay: (delay, delay), ..Faults::default() });
            backend(|_, stream| async move {
                read_head(&stream, &mut Vec::new()).await;
                sleep(Duration::from_secs(5)).await;
            });
            let world = World::start(&[]).await;
            sleep(Duration::from_secs(1)).await;
            let tunnel = world.relay.tunnel();
            let stream = tunnel.open(&request(Method::Post, "/", BodyKind::Length(1 << 20)), false);
            sleep(Duration::from_millis(100)).await;
            let mut left = pattern(1 << 20);
            let _ = tunnel.connection.borrow_mut().send_data(stream, &mut left, false).unwrap();
            let taken = (1 << 20) - left.len();
            assert_eq!(taken > FIRST_WINDOW_BYTES, is_far, "{taken} bytes at {delay:?}");
        });
    }
}

#[test]
fn a_silent_relay_is_left() {
    sim(43, async {
        let world = World::start(&[]).await;
        sim::stall_connections_to("10.0.0.1:443".parse().unwrap(), true);
        sleep(Duration::from_secs(20)).await;
        assert_eq!(world.shared.counters.tunnels_lost.value(), 1);
        assert!(world.relay.names.borrow().len() > 1, "it is dialled again");
    });
}

#[test]
fn probes_are_answered_and_status_is_reported() {
    sim(44, async {
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        tunnel.connection.borrow_mut().probe(now().since_origin());
        tunnel.flush();
        tunnel.event(|event| matches!(event, Event::ProbeReply(_)).then_some(())).await;
        let version = tunnel
            .event(|event| match event {
                Event::Status(status) => Some(status.config_version),
                _ => None,
            })
            .await;
        assert_eq!(version, 1);
    });
}

#[test]
fn draining_finishes_what_is_open_and_takes_nothing_new() {
    sim(45, async {
        backend(|_, stream| async move {
            sleep(Duration::from_secs(5)).await;
            answer_all(stream, "done").await;
        });
        let world = World::start(&[]).await;
        let tunnel = world.relay.tunnel();
        let stream = tunnel.open(&get("/"), true);
        sleep(Duration::from_millis(10)).await;
        drain(&world.shared);
        tunnel.event(|event| matches!(event, Event::GoAway(_)).then_some(())).await;
        assert_eq!(tunnel.head(stream).await.0.status, 200);
        assert_eq!(tunnel.body(stream, Duration::ZERO).await, b"done");
        sleep(Duration::from_secs(1)).await;
        assert!(tunnel.closed.get());
        sleep(Duration::from_secs(20)).await;
        assert_eq!(world.relay.names.borrow().len(), 1, "nothing is dialled any more");
    });
}

/// A control authority that signs group configurations, and a verifier that trusts it.
fn signer() -> (impl Fn(&postern_model::group_config::GroupConfig) -> Vec<u8>, Verifier) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    let ca = rcgen::KeyPair::generate().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut answer = enrolled(&key);
    answer.ca_pem = rcgen::CertificateParams::default().self_signed(&ca).unwrap().pem();
    let identity = crate::identity::Identity::from_enrolled(&answer, &key).unwrap();
    let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &ca.serialize_der()).unwrap();
    let sign = move |config: &_| serde_json::to_vec(&SignedGroupConfig::sign(config, &signer).unwrap()).unwrap();
    (sign, Verifier::new(&identity))
}

#[test]
fn only_the_control_authority_names_backends_and_never_older_ones() {
    let (sign, mut verifier) = signer();
    let (forge, _) = signer();
    let at = |version| config(version, vec![app(1, "http://10.0.0.2/", &[])]);
    assert_eq!(verifier.take(&sign(&at(5))).unwrap().unwrap().version, 5);
    assert!(verifier.take(&sign(&at(5))).unwrap().is_none(), "nothing new");
    assert_eq!(verifier.take(&forge(&at(6))).unwrap_err(), GroupConfigInvalid::SignatureWrong);
    assert!(matches!(verifier.take(&sign(&at(4))), Err(GroupConfigInvalid::Older { held: 5, found: 4 })));
    let mut other = at(7);
    other.group = "g1-2".parse().unwrap();
    assert!(matches!(verifier.take(&sign(&other)), Err(GroupConfigInvalid::OtherGroup { .. })));
    let mut tampered = String::from_utf8(sign(&at(8))).unwrap();
    tampered = tampered.replace("10.0.0.2", "10.6.6.6");
    assert_eq!(verifier.take(tampered.as_bytes()).unwrap_err(), GroupConfigInvalid::SignatureWrong);
    assert!(matches!(verifier.take(b"{}"), Err(GroupConfigInvalid::Malformed(_))));
    assert_eq!(verifier.take(&sign(&at(6))).unwrap().unwrap().version, 6, "what was held stayed in force");
}

#[test]
fn the_same_configuration_from_every_tunnel_waits_once_and_floods_are_bounded() {
    let offers = Offers::default();
    for _ in 0..1000 {
        offers.offer(bytes::Bytes::from_static(b"same"));
    }
    assert_eq!(offers.waiting(), 1);
    for number in 0..100u8 {
        offers.offer(vec![number; 16 << 20].into());
    }
    assert!(offers.waiting() <= 4, "{}", offers.waiting());
}
