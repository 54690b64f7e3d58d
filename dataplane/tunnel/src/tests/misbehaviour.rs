//! What a peer must not do: each case is one raw input and the error that it earns.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::pair::{Pair, hello, meta};
use crate::frame::{END, HEADER_BYTES, Header, MORE};
use crate::message::hello as hello_message;
use crate::{Connection, Event, FrameKind, Limits, Output, PeerMisbehaved, Role, TunnelError, WireId};

/// Bytes of one frame.
fn frame(kind: FrameKind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header { length: payload.len(), kind, flags, stream: WireId(stream) };
    [&header.encode()[..], payload].concat()
}

fn open_frame(stream: u32, end: bool) -> Vec<u8> {
    let mut payload = BytesMut::new();
    meta().encode(&mut payload);
    frame(FrameKind::Open, if end { END } else { 0 }, stream, &payload)
}

/// The wire id of a slot's generation.
fn id(slot: u32, generation: u32) -> u32 {
    generation << 12 | (slot + 1)
}

/// An end that has met its peer, and the bytes that it has queued.
fn met(role: Role, limits: Limits) -> Connection {
    let mut pair = Pair::new(limits);
    let blank = || Connection::new(&hello(Role::Relay), limits, Duration::ZERO);
    std::mem::replace(&mut pair.end(role).connection, blank())
}

fn small() -> Limits {
    Limits { config_bytes_max: 100_000, head_bytes_max: 1000, streams_max: 16, ..Limits::default() }
}

/// A connector that is given these frames says this of its relay.
fn relay_sends(frames: &[Vec<u8>]) -> PeerMisbehaved {
    misbehaves(&mut met(Role::Connector, small()), frames)
}

/// A relay that has opened a stream without a body, and is given these frames, says this of its connector.
fn connector_sends(frames: &[Vec<u8>]) -> PeerMisbehaved {
    let mut relay = met(Role::Relay, small());
    let stream = relay.open(&meta(), b"GET /", true).unwrap();
    assert_eq!(stream.wire().0, STREAM);
    misbehaves(&mut relay, frames)
}

fn misbehaves(connection: &mut Connection, frames: &[Vec<u8>]) -> PeerMisbehaved {
    let (last, before) = frames.split_last().unwrap();
    for frame in before {
        let accepted = connection.handle_input(frame.clone().into(), Duration::ZERO);
        assert_eq!(accepted, Ok(()), "only the last frame is wrong");
    }
    let error = connection.handle_input(last.clone().into(), Duration::ZERO);
    let Err(TunnelError::Peer(misbehaved)) = error.clone() else {
        panic!("{error:?}");
    };
    let again = connection.handle_input(Bytes::from_static(b"\0"), Duration::ZERO);
    assert_eq!(again, error, "it stays failed");
    assert_says_why(connection, &misbehaved);
    misbehaved
}

/// The last thing sent is a GO_AWAY that tells the peer.
fn assert_says_why(connection: &mut Connection, misbehaved: &PeerMisbehaved) {
    let mut output = Output::new();
    connection.poll_output(&mut output);
    let bytes: Vec<u8> = output.drain().flatten().collect();
    let text = misbehaved.to_string();
    let text = &text[..text.len().min(150)];
    assert!(String::from_utf8_lossy(&bytes).contains(text), "{text}");
}

const STREAM: u32 = 1 << 12 | 1;

#[test]
fn before_hello_nothing_is_taken() {
    let new = || Connection::new(&hello(Role::Connector), small(), Duration::ZERO);
    for bad in [frame(FrameKind::Probe, 0, 0, &[0; 8]), frame(FrameKind::Data, END, STREAM, b"")] {
        let error = misbehaves(&mut new(), &[bad]);
        assert!(matches!(error, PeerMisbehaved::BeforeHello { .. }), "{error}");
    }
}

#[test]
fn hello_comes_once_from_the_other_role_with_sane_limits() {
    let of = |role, limits: &Limits| frame(FrameKind::Hello, 0, 0, &hello_message::encode(&hello(role), limits));
    let error = relay_sends(&[of(Role::Relay, &small())]);
    assert_eq!(error, PeerMisbehaved::SecondHello);
    let new = || Connection::new(&hello(Role::Connector), small(), Duration::ZERO);
    let error = misbehaves(&mut new(), &[of(Role::Connector, &small())]);
    assert_eq!(error, PeerMisbehaved::SameRole { role: Role::Connector });
    let absurd = Limits { stream_window: u32::MAX, ..small() };
    let error = misbehaves(&mut new(), &[of(Role::Relay, &absurd)]);
    assert!(matches!(error, PeerMisbehaved::HelloOutOfRange { field: "stream_window", .. }));
}

#[test]
fn a_peer_without_a_common_version_is_told_so() {
    let mut payload = hello_message::encode(&hello(Role::Relay), &small());
    payload[4..8].copy_from_slice(&[0, 7, 0, 9]);
    let mut connection = Connection::new(&hello(Role::Connector), small(), Duration::ZERO);
    let input = frame(FrameKind::Hello, 0, 0, &payload).into();
    let error = connection.handle_input(input, Duration::ZERO).unwrap_err();
    assert!(matches!(error, TunnelError::Version { peer_min: 7, peer_max: 9, .. }), "{error}");
}

#[test]
fn frames_have_known_kinds_lengths_and_places() {
    let error = relay_sends(&[vec![0, 0, 1, 77, 0, 0, 0, 0, 0]]);
    assert_eq!(error, PeerMisbehaved::FrameUnknown { kind: 77, flags: 0, length: 1 });
    let error = relay_sends(&[vec![1, 0, 1, 4, 0, 0, 0, 16, 1]]);
    assert!(matches!(error, PeerMisbehaved::FrameTooLong { length: 65_537, max: 65_536, .. }));
    let error = relay_sends(&[frame(FrameKind::Probe, 0, STREAM, &[0; 8])]);
    assert!(matches!(error, PeerMisbehaved::StreamOnWrongFrame { .. }));
    let error = relay_sends(&[frame(FrameKind::Data, 0, 0, b"x")]);
    assert!(matches!(error, PeerMisbehaved::StreamOnWrongFrame { .. }));
    let error = relay_sends(&[frame(FrameKind::Probe, 0, 0, &[0; 7])]);
    assert!(matches!(error, PeerMisbehaved::Malformed { field: "nonce", length: 7, .. }));
    let error = connector_sends(&[frame(FrameKind::Timing, 0x80, STREAM, &[0; 3])]);
    assert!(matches!(error, PeerMisbehaved::Malformed { field: "backend", length: 3, .. }));
    let error =
        connector_sends(&[frame(FrameKind::Head, 0, STREAM, b"200"), frame(FrameKind::Timing, 0x80, STREAM, &[0; 4])]);
    assert!(matches!(error, PeerMisbehaved::AfterHead { kind: FrameKind::Timing, .. }));
}

#[test]
fn directions_are_kept() {
    let of_relay = [
        FrameKind::Open,
        FrameKind::Config,
        FrameKind::Revoke,
        FrameKind::LaneRequest,
        FrameKind::Generation,
        FrameKind::Check,
    ];
    for kind in of_relay {
        let stream = if kind == FrameKind::Open { STREAM } else { 0 };
        let error = connector_sends(&[frame(kind, 0, stream, b"")]);
        assert_eq!(error, PeerMisbehaved::WrongDirection { kind });
    }
    let of_tunnel = [FrameKind::Status, FrameKind::CheckAnswer];
    let of_stream = [FrameKind::Head, FrameKind::Informational, FrameKind::Upgrade, FrameKind::Timing];
    for kind in of_stream.into_iter().chain(of_tunnel) {
        let stream = if of_tunnel.contains(&kind) { 0 } else { STREAM };
        let error = relay_sends(&[frame(kind, 0, stream, b"")]);
        assert_eq!(error, PeerMisbehaved::WrongDirection { kind });
    }
}

#[test]
fn streams_open_in_their_slots_one_after_the_other() {
    let error = relay_sends(&[open_frame(id(16, 1), true)]);
    assert!(matches!(error, PeerMisbehaved::TooManyStreams { slot: 16, max: 16, .. }));
    let error = relay_sends(&[open_frame(id(3, 1), true), open_frame(id(3, 2), true)]);
    assert_eq!(error, PeerMisbehaved::StreamInUse { stream: WireId(id(3, 2)) });
    let error = relay_sends(&[open_frame(id(3, 2), true)]);
    assert!(matches!(error, PeerMisbehaved::OpenOutOfOrder { expected: 1, .. }));
    let error = relay_sends(&[open_frame(0x7000, true)]);
    assert!(matches!(error, PeerMisbehaved::TooManyStreams { .. }), "slot field 0");
}

#[test]
fn frames_name_streams_that_were_opened() {
    for (stream, what) in [(id(0, 1), "no slot yet"), (id(9, 1), "beyond the slots"), (0x1000, "slot field 0")] {
        let error = relay_sends(&[frame(FrameKind::Data, 0, stream, b"x")]);
        assert!(matches!(error, PeerMisbehaved::StreamNeverOpened { .. }), "{what}: {error}");
    }
    for generation in [0, 2, 0xf_ffff] {
        let stream = id(0, generation);
        let error = relay_sends(&[open_frame(id(0, 1), false), frame(FrameKind::Data, 0, stream, b"x")]);
        assert!(matches!(error, PeerMisbehaved::StreamNeverOpened { .. }), "{generation}");
    }
}

#[test]
fn nothing_follows_the_end() {
    for (kind, payload) in [(FrameKind::Data, &b"x"[..]), (FrameKind::Trailers, b"")] {
        let error = relay_sends(&[open_frame(STREAM, true), frame(kind, 0, STREAM, payload)]);
        assert_eq!(error, PeerMisbehaved::AfterEnd { kind, stream: WireId(STREAM) });
    }
    let mut relay = met(Role::Relay, small());
    relay.open(&meta(), b"POST /", false).unwrap();
    let head = |kind, flags| frame(kind, flags, STREAM, b"200");
    let error = misbehaves(&mut relay, &[head(FrameKind::Head, END), head(FrameKind::Head, END)]);
    assert!(matches!(error, PeerMisbehaved::AfterEnd { .. }), "{error}");
}

#[test]
fn answers_have_one_head_first() {
    let head = |kind| frame(kind, 0, STREAM, b"200");
    let error = connector_sends(&[frame(FrameKind::Data, 0, STREAM, b"x")]);
    assert!(matches!(error, PeerMisbehaved::BeforeHead { kind: FrameKind::Data, .. }));
    let error = connector_sends(&[head(FrameKind::Trailers)]);
    assert!(matches!(error, PeerMisbehaved::BeforeHead { kind: FrameKind::Trailers, .. }));
    for kind in [FrameKind::Head, FrameKind::Informational, FrameKind::Upgrade] {
        let error = connector_sends(&[head(FrameKind::Head), head(kind)]);
        assert_eq!(error, PeerMisbehaved::AfterHead { kind, stream: WireId(STREAM) });
        let error = connector_sends(&[head(FrameKind::Upgrade), head(kind)]);
        assert_eq!(error, PeerMisbehaved::AfterUpgrade { kind, stream: WireId(STREAM) });
    }
}

#[test]
fn heads_and_interim_responses_are_bounded() {
    let error = connector_sends(&[frame(FrameKind::Head, 0, STREAM, &[b'x'; 1001])]);
    assert!(matches!(error, PeerMisbehaved::FrameTooLong { length: 1001, max: 1000, .. }));
    let mut open = open_frame(STREAM, true);
    open.extend([b'x'; 1001]);
    let length = (open.len() - HEADER_BYTES) as u32;
    open[..3].copy_from_slice(&length.to_be_bytes()[1..]);
    let error = relay_sends(&[open]);
    assert!(matches!(error, PeerMisbehaved::FrameTooLong { kind: FrameKind::Open, .. }));
    let interim = vec![frame(FrameKind::Informational, 0, STREAM, b"102"); 17];
    let error = connector_sends(&interim);
    assert_eq!(error, PeerMisbehaved::TooManyInformational { stream: WireId(STREAM), max: 16 });
}

#[test]
fn credit_is_respected_and_sane() {
    let data = |length| frame(FrameKind::Data, 0, STREAM, &vec![0; length]);
    let error = relay_sends(&[open_frame(STREAM, false), data(65_000), data(537)]);
    let stream = WireId(STREAM);
    assert_eq!(error, PeerMisbehaved::CreditExceeded { stream, received: 537, credit: 536 });
    let credit = |n: u32| frame(FrameKind::Credit, 0, STREAM, &n.to_be_bytes());
    let error = connector_sends(&[credit(1), credit(0)]);
    assert_eq!(error, PeerMisbehaved::CreditZero { stream });
    let error = connector_sends(&[credit(16 << 20)]);
    assert!(matches!(error, PeerMisbehaved::CreditOverflow { credit: 65_536, .. }), "{error}");
    let error = connector_sends(&[credit(u32::MAX)]);
    assert!(matches!(error, PeerMisbehaved::CreditOverflow { .. }), "{error}");
    let error = relay_sends(&[open_frame(STREAM, false), data(0)]);
    assert_eq!(error, PeerMisbehaved::DataEmpty { stream });
}

#[test]
fn late_frames_are_tolerated_within_bounds() {
    let mut relay = met(Role::Relay, small());
    let stream = relay.open(&meta(), b"GET /", true).unwrap();
    let cancel = crate::Cancel::new(crate::Culprit::Client, crate::CancelCode::GONE);
    relay.cancel(stream, &cancel);
    let mut sent = 0_usize;
    let late = frame(FrameKind::Data, 0, STREAM, &vec![0; 10_000]);
    let error = loop {
        match relay.handle_input(late.clone().into(), Duration::ZERO) {
            Ok(()) => sent += 10_000,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, TunnelError::Peer(PeerMisbehaved::LateFrames { .. })), "{error}");
    assert!((65_536..2_000_000).contains(&sent), "{sent}: a whole window, not for ever");
    assert_eq!(relay.poll_event(), None);
    assert_eq!(relay.usage().received_bytes, 0);
}

#[test]
fn a_window_of_late_single_bytes_in_split_input_is_tolerated() {
    let mut relay = met(Role::Relay, Limits::default());
    let stream = relay.open(&meta(), b"GET /", true).unwrap();
    let cancel = crate::Cancel::new(crate::Culprit::Client, crate::CancelCode::GONE);
    relay.cancel(stream, &cancel);
    let late = frame(FrameKind::Data, 0, STREAM, b"x").repeat(65_536);
    for byte in Bytes::from(late).chunks(7) {
        let input = Bytes::copy_from_slice(byte);
        assert_eq!(relay.handle_input(input, Duration::ZERO), Ok(()));
    }
}

#[test]
fn only_probes_that_were_sent_are_answered() {
    let mut relay = met(Role::Relay, small());
    assert_eq!(relay.probe(Duration::ZERO), 1);
    let reply = |nonce: u64| frame(FrameKind::ProbeReply, 0, 0, &nonce.to_be_bytes());
    let error = misbehaves(&mut relay, &[reply(1), reply(1), reply(2)]);
    assert_eq!(error, PeerMisbehaved::ProbeNeverSent { nonce: 2, sent: 1 });
    let replies = std::iter::from_fn(|| relay.poll_event()).count();
    assert_eq!(replies, 1, "a repeated answer is none");
}

#[test]
fn a_configuration_is_bounded_over_all_its_parts() {
    let part = frame(FrameKind::Config, MORE, 0, &vec![b'x'; 60_000]);
    let error = relay_sends(&[part.clone(), part]);
    assert_eq!(error, PeerMisbehaved::ConfigTooLong { max: 100_000 });
}

#[test]
fn go_away_counts_streams_that_were_opened_and_never_more() {
    let away = |accepted: u64| {
        let payload = [&[0][..], &accepted.to_be_bytes(), &[0]].concat();
        frame(FrameKind::GoAway, 0, 0, &payload)
    };
    let error = connector_sends(&[away(2)]);
    assert_eq!(error, PeerMisbehaved::GoAwayCount { accepted: 2, opened: 1 });
    let error = connector_sends(&[away(0), away(1)]);
    assert_eq!(error, PeerMisbehaved::GoAwayGrew { accepted: 1, before: 0 });
}

#[test]
fn a_peer_that_causes_output_and_does_not_read_is_cut_off() {
    let limits = Limits { output_bytes_max: 512 * 1024, ..Limits::default() };
    let mut connector = met(Role::Connector, limits);
    let mut generation = 0;
    let error = loop {
        generation += 1;
        assert!(generation < 1_000, "never cut off");
        let input = open_frame(id(0, generation), true);
        if let Err(error) = connector.handle_input(input.into(), Duration::ZERO) {
            break error;
        }
        let Some(Event::Open { stream, .. }) = connector.poll_event() else {
            panic!("OPEN was sent");
        };
        connector.send_head(stream, &[b'x'; 60_000], true).unwrap();
    };
    assert!(matches!(error, TunnelError::OutputOverflow { .. }), "{error}");
    assert!(connector.usage().queued_bytes < 1_200_000);
}

#[test]
fn optional_frames_of_the_future_are_skipped() {
    let mut connector = met(Role::Connector, small());
    let mut input = vec![0, 0, 5, 200, 0x80, 0, 0, 0, 9, 1, 2, 3, 4, 5];
    input.extend(open_frame(STREAM, true));
    for byte in input {
        connector.handle_input(vec![byte].into(), Duration::ZERO).unwrap();
    }
    assert!(matches!(connector.poll_event(), Some(Event::Open { .. })));
}

/// Inputs for the fuzz target: its first byte, then what a peer sends.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let on = |kind, flags, payload: &[u8]| frame(kind, flags, STREAM, payload);
    let tunnel = |kind, payload: &[u8]| frame(kind, 0, 0, payload);
    let credit = 70_000_u32.to_be_bytes();
    let cancel = crate::Cancel::new(crate::Culprit::Backend, crate::CancelCode::BROKEN);
    let cancel = cancel.with_detail("reset by peer").encode();
    let away = [&[0][..], &0_u64.to_be_bytes(), &[4], b"stop"].concat();
    let relay = |frames: &[Vec<u8>]| [&[60][..], &frames.concat()].concat();
    let connector = |frames: &[Vec<u8>]| [&[61][..], &frames.concat()].concat();
    let data = on(FrameKind::Data, END, &[b'x'; 300]);
    let head = on(FrameKind::Head, 0, b"200");
    let opened = open_frame(STREAM, false);
    vec![
        ("get", relay(&[open_frame(STREAM, true), on(FrameKind::Credit, 0, &credit)])),
        ("post", relay(&[opened.clone(), data.clone()])),
        ("trailers", relay(&[opened.clone(), on(FrameKind::Trailers, END, b"t: 1")])),
        ("cancel", relay(&[opened.clone(), on(FrameKind::Cancel, 0, &cancel), data.clone()])),
        ("reuse", relay(&[opened.clone(), on(FrameKind::Cancel, 0, &cancel), open_frame(id(0, 2), true)])),
        ("config", relay(&[frame(FrameKind::Config, MORE, 0, b"{"), tunnel(FrameKind::Config, b"}")])),
        ("revoke-stream", relay(&[opened.clone(), tunnel(FrameKind::Revoke, &[2, 0, 0, 0x10, 1])])),
        ("revoke-app", relay(&[tunnel(FrameKind::Revoke, &[0, 0, 0, 0, 1, 0, 0, 0, 7])])),
        ("lanes", relay(&[tunnel(FrameKind::LaneRequest, &[0, 3, 0, 1])])),
        ("generation", relay(&[tunnel(FrameKind::Generation, &[0, 0, 0, 2, 0, 4])])),
        ("check", relay(&[tunnel(FrameKind::Check, &[0; 18])])),
        ("check-answer", connector(&[tunnel(FrameKind::CheckAnswer, &[0; 10])])),
        ("probe", relay(&[tunnel(FrameKind::Probe, &[0; 8])])),
        ("answer", connector(&[on(FrameKind::Informational, 0, b"103"), head.clone(), data.clone()])),
        ("timed-answer", connector(&[on(FrameKind::Timing, 0x80, &[0, 0, 1, 2]), head.clone(), data.clone()])),
        ("upgrade", connector(&[on(FrameKind::Upgrade, 0, b"101"), data.clone()])),
        ("early-answer", connector(&[head.clone(), data.clone(), on(FrameKind::Cancel, 4, &cancel)])),
        ("go-away", connector(&[tunnel(FrameKind::GoAway, &away), head])),
        ("status", connector(&[tunnel(FrameKind::Status, &[0; 16])])),
        ("probe-reply", connector(&[tunnel(FrameKind::ProbeReply, &[0; 8])])),
        ("never-opened", connector(&[frame(FrameKind::Data, 0, id(7, 1), b"x")])),
        ("optional", relay(&[vec![0, 0, 2, 200, 0x80, 0, 0, 0, 0, 1, 2], opened])),
    ]
}
