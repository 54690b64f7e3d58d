//! The frames of the tunnel itself: configurations, announcements, probes, hello.

use std::time::Duration;

use bytes::Bytes;

use super::lifecycle::open;
use super::pair::{Pair, meta, payload};
use crate::{
    Check, CheckAnswer, Event, Generation, GoAwayReason, LaneRequest, Limits, Output, RevokeScope, Role, SessionKey,
    Status, TunnelError,
};

#[test]
fn configurations_travel_in_parts_and_only_the_newest_waits() {
    let mut pair = Pair::new(Limits::default());
    let (first, second, third) = (payload(0, 700_000), payload(1, 9), payload(2, 70_000));
    for config in [&first, &second, &third] {
        pair.relay.connection.send_config(config.clone());
    }
    let mut output = Output::new();
    assert!(pair.relay.connection.poll_output(&mut output));
    assert!(output.bytes() < 300_000, "a large configuration does not fill the line");
    for segment in output.drain() {
        pair.relay.sent.extend_from_slice(&segment);
    }
    pair.run();
    assert_eq!(pair.connector.events(), [Event::Config(first), Event::Config(third)]);
}

#[test]
fn a_small_configuration_comes_before_what_is_opened_after_it() {
    let mut pair = Pair::new(Limits::default());
    let config = payload(0, 32 * 1024);
    pair.relay.connection.send_config(config.clone());
    pair.relay.connection.send_config(payload(1, 9));
    pair.relay.connection.open(&meta(), b"head", true).unwrap();
    pair.run();
    let events = pair.connector.events();
    assert!(matches!(&events[..], [Event::Config(first), Event::Open { .. }, Event::Config(_)] if *first == config));
}

#[test]
fn announcements_reach_the_other_end() {
    let mut pair = Pair::new(Limits::default());
    let (at_relay, at_connector) = open(&mut pair, true);
    let generation = Generation { generation: 2, workers: 4 };
    let lanes = LaneRequest { count: 3, worker: 1 };
    let relay = &mut pair.relay.connection;
    relay.revoke(RevokeScope::App(meta().app));
    relay.revoke(RevokeScope::Session(SessionKey(77)));
    relay.revoke(RevokeScope::Stream(at_relay));
    relay.request_lanes(lanes);
    relay.announce_generation(generation);
    relay.go_away(GoAwayReason::UPGRADE, "generation 2");
    let status = Status { load_permille: 10, ..Status::default() };
    pair.connector.connection.report_status(status);
    pair.run();
    let events = pair.connector.events();
    let expected = [
        Event::Revoke(RevokeScope::App(meta().app)),
        Event::Revoke(RevokeScope::Session(SessionKey(77))),
        Event::Revoke(RevokeScope::Stream(at_connector)),
        Event::LaneRequest(lanes),
        Event::Generation(generation),
    ];
    assert_eq!(events[..5], expected);
    assert!(matches!(&events[5..], [Event::GoAway(away)] if away.detail.as_str() == "generation 2"));
    assert_eq!(pair.relay.events(), [Event::Status(status)]);
}

#[test]
fn a_revoked_stream_that_has_finished_is_not_mentioned() {
    let mut pair = Pair::new(Limits::default());
    let (at_relay, at_connector) = open(&mut pair, true);
    pair.relay.connection.revoke(RevokeScope::Stream(at_relay));
    pair.connector.connection.send_head(at_connector, b"200", true).unwrap();
    pair.run();
    assert_eq!(pair.connector.events(), [], "it finished while the REVOKE was on its way");
    pair.relay.connection.revoke(RevokeScope::Stream(at_relay));
    assert!(!pair.relay.flush());
}

#[test]
fn probes_measure_the_round_trip_and_coalesce() {
    let mut pair = Pair::new(Limits::default());
    assert_eq!(pair.relay.connection.rtt(), None);
    for at in 0..40 {
        pair.relay.connection.probe(Duration::from_millis(at));
    }
    pair.relay.flush();
    pair.now = Duration::from_millis(60);
    pair.deliver(Role::Relay, usize::MAX).unwrap();
    pair.connector.flush();
    assert_eq!(pair.connector.sent.len(), 17, "one reply for forty probes");
    pair.deliver(Role::Connector, usize::MAX).unwrap();
    let events = pair.relay.events();
    let [Event::ProbeReply(reply)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((reply.nonce, reply.rtt), (40, Duration::from_millis(21)));
    assert_eq!(pair.relay.connection.rtt(), Some(Duration::from_millis(21)));
    assert_eq!(pair.relay.connection.last_input(), Duration::from_millis(60));
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut pair = Pair::before_hello(Limits::default());
    let relay = &mut pair.relay.connection;
    let due = relay.next_timeout().unwrap();
    assert_eq!(relay.handle_timeout(due - Duration::from_millis(1)), Ok(()));
    let error = TunnelError::HelloTimeout { timeout_ms: 10_000 };
    assert_eq!(relay.handle_timeout(due), Err(error.clone()));
    assert_eq!(relay.next_timeout(), None);
    assert_eq!(relay.handle_input(Bytes::from_static(b"x"), due), Err(error));
    let mut met = Pair::new(Limits::default());
    assert_eq!(met.relay.connection.next_timeout(), None);
    assert_eq!(met.relay.connection.handle_timeout(2 * due), Ok(()));
}

#[test]
fn hello_says_who_speaks() {
    let mut pair = Pair::before_hello(Limits::default());
    pair.run();
    let events = pair.connector.events();
    let [Event::Hello(hello)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(hello.identity, super::pair::hello(Role::Relay).identity);
    assert_eq!((hello.version, hello.software.as_str()), (1, "postern-test 1"));
}

#[test]
fn checks_are_asked_and_answered_and_older_connectors_are_not_asked() {
    let mut pair = Pair::new(Limits::default());
    let check = Check { id: 3, app: meta().app, asked: payload(0, 100) };
    assert!(pair.relay.connection.check(&check));
    pair.run();
    assert_eq!(pair.connector.events(), [Event::Check(check.clone())]);
    let answer = CheckAnswer { id: 3, found: payload(1, crate::CHECK_ANSWER_BYTES_MAX) };
    pair.connector.connection.answer_check(&answer);
    pair.run();
    assert_eq!(pair.relay.events(), [Event::CheckAnswer(answer)]);
    let mut early = Pair::before_hello(Limits::default());
    assert!(!early.relay.connection.check(&check), "it is not known yet what it can do");
}
