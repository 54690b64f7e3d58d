//! Streams from OPEN to their end.

use bytes::Bytes;

use super::pair::{Pair, meta, payload};
use crate::{
    Cancel, CancelCode, Connection, Culprit, Event, GoAwayReason, Limits, OpenMeta, OpenRefused, Role, SendError, Sent,
    SessionKey, StreamId, StreamKind,
};

/// Opens a stream and lets the connector see it.
pub(crate) fn open(pair: &mut Pair, end: bool) -> (StreamId, StreamId) {
    let at_relay = pair.relay.connection.open(&meta(), b"GET /", end).unwrap();
    pair.run();
    let opened = pair.connector.events();
    let [Event::Open { stream, .. }] = opened[..] else {
        panic!("{opened:?}");
    };
    (at_relay, stream)
}

fn send(connection: &mut Connection, stream: StreamId, data: &'static [u8], end: bool) {
    let sent = connection.send_data(stream, &mut Bytes::from_static(data), end);
    assert_eq!(sent, Ok(Sent::All));
}

fn gone() -> Cancel {
    Cancel::new(Culprit::Client, CancelCode::GONE).with_detail("closed its connection")
}

#[test]
fn a_small_request_goes_there_and_back() {
    let mut pair = Pair::new(Limits::default());
    let stream = pair.relay.connection.open(&meta(), b"GET /", true).unwrap();
    pair.run();
    let events = pair.connector.events();
    let [Event::Open { stream: at_connector, meta: got, head, end: true }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((got, &head[..]), (&meta(), &b"GET /"[..]));
    let connection = &mut pair.connector.connection;
    connection.send_timing(*at_connector, 1_234).unwrap();
    connection.send_head(*at_connector, b"200", false).unwrap();
    send(connection, *at_connector, b"hello", true);
    assert_eq!(connection.usage().streams, 0);
    pair.run();
    let head = Bytes::from_static(b"200");
    let data = Bytes::from_static(b"hello");
    let expected =
        [Event::Head { stream, head, end: false, backend_us: Some(1_234) }, Event::Data { stream, data, end: true }];
    assert_eq!(pair.relay.events(), expected);
    let relay = &mut pair.relay.connection;
    assert_eq!(relay.usage().streams, 1, "held until consumed");
    relay.consumed(stream, 5);
    assert_eq!(relay.usage().streams, 0);
    assert_eq!(relay.end(stream), Err(SendError::Closed));
}

#[test]
fn interim_responses_and_trailers_pass() {
    let mut pair = Pair::new(Limits::default());
    let (stream, at_connector) = open(&mut pair, false);
    let connector = &mut pair.connector.connection;
    connector.send_informational(at_connector, b"100").unwrap();
    connector.send_informational(at_connector, b"103").unwrap();
    connector.send_head(at_connector, b"200", false).unwrap();
    connector.send_trailers(at_connector, b"grpc-status: 0").unwrap();
    pair.run();
    let kinds: Vec<_> = pair.relay.events();
    assert!(
        matches!(
            &kinds[..],
            [
                Event::Informational { .. },
                Event::Informational { .. },
                Event::Head { end: false, .. },
                Event::Trailers { trailers, .. },
            ] if &trailers[..] == b"grpc-status: 0"
        ),
        "{kinds:?}"
    );
    // The other half is still open: half-close.
    send(&mut pair.relay.connection, stream, b"late body", false);
    pair.relay.connection.send_trailers(stream, b"t: 1").unwrap();
    pair.run();
    let events = pair.connector.events();
    assert!(matches!(&events[..], [Event::Data { .. }, Event::Trailers { .. }]), "{events:?}");
    assert_eq!(pair.connector.connection.usage().streams, 0);
    assert_eq!(pair.relay.connection.usage().streams, 0);
}

#[test]
fn an_upgrade_makes_both_directions_raw() {
    let mut pair = Pair::new(Limits::default());
    let (stream, at_connector) = open(&mut pair, false);
    let connector = &mut pair.connector.connection;
    connector.send_upgrade(at_connector, b"101").unwrap();
    send(connector, at_connector, b"server speaks", false);
    assert_eq!(connector.send_trailers(at_connector, b""), Err(SendError::Upgraded));
    assert_eq!(connector.send_head(at_connector, b"", false), Err(SendError::Upgraded));
    pair.run();
    let events = pair.relay.events();
    assert!(matches!(&events[..], [Event::Upgraded { .. }, Event::Data { .. }]), "{events:?}");
    let relay = &mut pair.relay.connection;
    assert_eq!(relay.send_trailers(stream, b""), Err(SendError::Upgraded));
    send(relay, stream, b"client speaks", true);
    pair.run();
    let events = pair.connector.events();
    assert!(matches!(&events[..], [Event::Data { end: true, .. }]), "{events:?}");
    pair.connector.connection.end(at_connector).unwrap();
    pair.run();
    pair.relay.connection.consumed(stream, 13);
    assert_eq!(pair.relay.connection.usage().streams, 0);
}

#[test]
fn a_raw_stream_has_no_heads() {
    let mut pair = Pair::new(Limits::default());
    let raw = OpenMeta { kind: StreamKind::Raw, session: Some(SessionKey(5)), ..meta() };
    let stream = pair.relay.connection.open(&raw, b"", false).unwrap();
    send(&mut pair.relay.connection, stream, b"client hello", false);
    pair.run();
    let events = pair.connector.events();
    let [Event::Open { stream: at_connector, meta, .. }, Event::Data { .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*meta, raw);
    let connector = &mut pair.connector.connection;
    assert_eq!(connector.send_head(*at_connector, b"", false), Err(SendError::Upgraded));
    send(connector, *at_connector, b"server hello", true);
    pair.run();
    let events = pair.relay.events();
    assert!(matches!(&events[..], [Event::Data { end: true, .. }]), "{events:?}");
}

#[test]
fn a_cancel_ends_both_halves_and_says_whose_fault_it_is() {
    for by in [Role::Relay, Role::Connector] {
        let mut pair = Pair::new(Limits::default());
        let (at_relay, at_connector) = open(&mut pair, false);
        let (mine, theirs) = match by {
            Role::Relay => (at_relay, at_connector),
            Role::Connector => (at_connector, at_relay),
        };
        pair.end(by).connection.cancel(mine, &gone().unprocessed());
        pair.run();
        let other = match by {
            Role::Relay => &mut pair.connector,
            Role::Connector => &mut pair.relay,
        };
        let cancelled = Event::Cancelled { stream: theirs, cancel: gone().unprocessed() };
        assert_eq!(other.events(), [cancelled]);
        assert_eq!(other.connection.end(theirs), Err(SendError::Closed));
        assert_eq!(other.connection.usage().streams, 0);
        assert_eq!(pair.end(by).connection.usage().streams, 0);
    }
}

#[test]
fn no_event_follows_ones_own_cancel() {
    let mut pair = Pair::new(Limits::default());
    let (stream, at_connector) = open(&mut pair, true);
    let connector = &mut pair.connector.connection;
    connector.send_head(at_connector, b"200", false).unwrap();
    send(connector, at_connector, b"data", true);
    pair.run();
    let first = pair.relay.connection.poll_event();
    assert!(matches!(first, Some(Event::Head { .. })));
    pair.relay.connection.cancel(stream, &gone());
    assert_eq!(pair.relay.events(), []);
    assert_eq!(pair.relay.connection.usage().received_bytes, 0);
    assert!(!pair.relay.flush(), "both halves had ended: there is nobody to tell");
}

#[test]
fn cancels_that_cross_are_harmless() {
    let mut pair = Pair::new(Limits::default());
    let (at_relay, at_connector) = open(&mut pair, false);
    send(&mut pair.relay.connection, at_relay, b"body", true);
    pair.relay.connection.cancel(at_relay, &gone());
    pair.connector.connection.send_head(at_connector, b"200", true).unwrap();
    pair.connector.connection.cancel(at_connector, &gone());
    pair.run();
    assert_eq!(pair.relay.events(), []);
    assert_eq!(pair.connector.events(), []);
    // The slot is used again at once, by the next generation.
    let (next, _) = open(&mut pair, true);
    assert_eq!((next.slot(), at_relay.slot()), (0, 0));
    assert_ne!(next, at_relay);
    assert_eq!(pair.relay.connection.end(at_relay), Err(SendError::Closed));
}

#[test]
fn an_open_does_not_overtake_the_end_of_its_predecessor() {
    let mut pair = Pair::new(Limits::default());
    let (first, _) = open(&mut pair, false);
    let relay = &mut pair.relay.connection;
    assert_eq!(relay.send_data(first, &mut payload(0, 8192), false), Ok(Sent::All));
    relay.cancel(first, &gone());
    let second = relay.open(&meta(), b"", true).unwrap();
    assert_eq!(second.slot(), first.slot());
    pair.run();
    let events = pair.connector.events();
    assert!(matches!(&events[..], [Event::Data { .. }, Event::Cancelled { .. }, Event::Open { .. }]), "{events:?}");
}

#[test]
fn an_answer_that_came_whole_survives_the_connectors_cancel() {
    let mut pair = Pair::new(Limits::default());
    let (stream, at_connector) = open(&mut pair, false);
    let connector = &mut pair.connector.connection;
    connector.send_head(at_connector, b"413", false).unwrap();
    send(connector, at_connector, b"too large", true);
    connector.cancel(at_connector, &Cancel::new(Culprit::Connector, CancelCode::UNWANTED));
    pair.run();
    let events = pair.relay.events();
    assert!(
        matches!(&events[..], [Event::Head { .. }, Event::Data { end: true, .. }, Event::Stopped { .. }]),
        "{events:?}"
    );
    let relay = &mut pair.relay.connection;
    let refused = relay.send_data(stream, &mut Bytes::from_static(b"more"), false);
    assert_eq!(refused, Err(SendError::Closed));
    assert_eq!(relay.usage().streams, 1, "the slot bounds what is held");
    relay.consumed(stream, 9);
    assert_eq!(relay.usage().streams, 0);
}

#[test]
fn go_away_gives_back_what_was_not_accepted() {
    let mut pair = Pair::new(Limits::default());
    let (accepted, at_connector) = open(&mut pair, false);
    let relay = &mut pair.relay.connection;
    let crossing = relay.open(&meta(), b"POST /", false).unwrap();
    send(relay, crossing, b"body", false);
    pair.connector.connection.go_away(GoAwayReason::SHUTDOWN, "stopping");
    pair.run();
    let events = pair.relay.events();
    let [Event::Cancelled { stream, cancel }, Event::GoAway(away)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((*stream, cancel.unprocessed), (crossing, true));
    assert_eq!((away.accepted, away.detail.as_str()), (1, "stopping"));
    assert_eq!(pair.connector.events(), [], "the crossing stream was not touched");
    let relay = &mut pair.relay.connection;
    assert_eq!(relay.open(&meta(), b"", true), Err(OpenRefused::GoingAway));
    // What is open goes on.
    send(relay, accepted, b"rest", true);
    pair.connector.connection.send_head(at_connector, b"200", true).unwrap();
    pair.run();
    assert_eq!(pair.relay.connection.usage().streams, 0);
    assert_eq!(pair.connector.connection.usage().streams, 0);
}

#[test]
fn what_was_not_handed_out_was_not_sent() {
    let mut pair = Pair::new(Limits::default());
    let relay = &mut pair.relay.connection;
    let stream = relay.open(&meta(), b"GET /", true).unwrap();
    assert!(relay.sent_nothing(stream));
    pair.relay.flush();
    assert!(!pair.relay.connection.sent_nothing(stream));
    let open: Vec<_> = pair.relay.connection.streams().collect();
    assert_eq!(open, [stream]);
}

#[test]
fn opening_is_refused_with_its_reason() {
    let limits = Limits { streams_max: 2, head_bytes_max: 100, ..Limits::default() };
    let mut early = Pair::before_hello(limits);
    let refused = early.relay.connection.open(&meta(), b"", true);
    assert_eq!(refused, Err(OpenRefused::NotReady));
    let mut pair = Pair::new(limits);
    let relay = &mut pair.relay.connection;
    let refused = relay.open(&meta(), &[0; 101], true);
    assert_eq!(refused, Err(OpenRefused::HeadTooLong { length: 101, max: 100 }));
    relay.open(&meta(), b"", true).unwrap();
    relay.open(&meta(), b"", true).unwrap();
    let refused = relay.open(&meta(), b"", true);
    assert_eq!(refused, Err(OpenRefused::TooManyStreams { max: 2 }));
    let refused = pair.connector.connection.open(&meta(), b"", true);
    assert_eq!(refused, Err(OpenRefused::WrongRole));
    pair.relay.connection.go_away(GoAwayReason::UPGRADE, "");
    let refused = pair.relay.connection.open(&meta(), b"", true);
    assert_eq!(refused, Err(OpenRefused::GoingAway));
}

#[test]
fn opening_stops_when_the_peer_does_not_read() {
    let limits = Limits { output_bytes_max: 512 * 1024, ..Limits::default() };
    let mut pair = Pair::new(limits);
    let relay = &mut pair.relay.connection;
    let refused = loop {
        match relay.open(&meta(), &[b'x'; 8192], true) {
            Ok(stream) => relay.cancel(stream, &gone()),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, OpenRefused::OutputFull { .. }), "{refused}");
    assert!(relay.usage().queued_bytes <= 512 * 1024 + 300);
}

#[test]
fn heads_come_in_order_or_not_at_all() {
    let mut pair = Pair::new(Limits::default());
    let (at_relay, stream) = open(&mut pair, true);
    let relay = &mut pair.relay.connection;
    assert_eq!(relay.send_head(at_relay, b"", true), Err(SendError::WrongRole));
    assert_eq!(relay.send_timing(at_relay, 1), Err(SendError::WrongRole));
    assert_eq!(relay.end(at_relay), Err(SendError::Ended));
    let connector = &mut pair.connector.connection;
    assert_eq!(connector.end(stream), Err(SendError::HeadMissing));
    assert_eq!(connector.send_trailers(stream, b""), Err(SendError::HeadMissing));
    assert_eq!(connector.capacity(stream), 0);
    for _ in 0..16 {
        connector.send_informational(stream, b"102").unwrap();
    }
    let refused = connector.send_informational(stream, b"102");
    assert_eq!(refused, Err(SendError::TooManyInformational { max: 16 }));
    let refused = connector.send_head(stream, &[0; 65_537], true);
    assert!(matches!(refused, Err(SendError::HeadTooLong { .. })), "{refused:?}");
    connector.send_head(stream, b"200", false).unwrap();
    assert_eq!(connector.send_head(stream, b"200", false), Err(SendError::HeadTwice));
    assert_eq!(connector.send_timing(stream, 1), Err(SendError::HeadTwice));
    connector.end(stream).unwrap();
    pair.run();
    let events = pair.relay.events();
    assert_eq!(events.len(), 18, "16 interim responses, a head, an end");
}
