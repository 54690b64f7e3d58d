//! Flow control between many streams: nobody starves, nobody deadlocks, memory stays within the bounds.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;

use super::lifecycle::open;
use super::pair::{Pair, meta, payload};
use crate::{Event, Limits, Output, Role, Sent, StreamId};

/// Answers every open stream with a head; returns the connector's ids in the order of opening.
fn answered(pair: &mut Pair, count: usize) -> Vec<(StreamId, StreamId)> {
    (0..count)
        .map(|_| {
            let (at_relay, at_connector) = open(pair, true);
            let connector = &mut pair.connector.connection;
            connector.send_head(at_connector, b"200", false).unwrap();
            pair.run();
            let events = pair.relay.events();
            assert!(matches!(events[..], [Event::Head { .. }]));
            (at_relay, at_connector)
        })
        .collect()
}

/// One body for all: its content does not matter here.
static BODY: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![7; 8 << 20]));

/// A body being sent by the connector.
struct Sender {
    stream: StreamId,
    left: Bytes,
    blocked: bool,
}

impl Sender {
    fn new(stream: StreamId, bytes: usize) -> Self {
        Self { stream, left: BODY.slice(..bytes), blocked: false }
    }

    fn push(&mut self, pair: &mut Pair) {
        if self.blocked || self.left.is_empty() {
            return;
        }
        let connector = &mut pair.connector.connection;
        let sent = connector.send_data(self.stream, &mut self.left, true);
        self.blocked = sent == Ok(Sent::Partly);
    }
}

/// One loop turn on each side; returns what the relay received per stream. Streams in `stalled` are not consumed.
fn turn(pair: &mut Pair, senders: &mut [Sender], stalled: &[StreamId]) -> Vec<(StreamId, usize)> {
    while let Some(event) = pair.connector.connection.poll_event() {
        let Event::Writable { stream } = event else {
            panic!("{event:?}");
        };
        let sender = senders.iter_mut().find(|sender| sender.stream == stream);
        let sender = sender.unwrap();
        sender.blocked = false;
        sender.push(pair);
    }
    for sender in senders.iter_mut() {
        sender.push(pair);
    }
    let queued = pair.connector.connection.usage().queued_bytes;
    assert!(queued < 330 * 1024, "{queued} bytes queued");
    pair.connector.flush();
    pair.deliver(Role::Connector, usize::MAX).unwrap();
    let mut received = Vec::new();
    while let Some(event) = pair.relay.connection.poll_event() {
        let Event::Data { stream, data, .. } = event else {
            panic!("{event:?}");
        };
        received.push((stream, data.len()));
        if !stalled.contains(&stream) {
            pair.relay.connection.consumed(stream, data.len());
        }
    }
    pair.relay.flush();
    pair.deliver(Role::Relay, usize::MAX).unwrap();
    received
}

fn turns_to_send(pair: &mut Pair, senders: &mut [Sender], which: StreamId, stalled: &[StreamId]) -> usize {
    for turns in 1..10_000 {
        turn(pair, senders, stalled);
        let sender = senders.iter().find(|sender| sender.stream == which).unwrap();
        if sender.left.is_empty() {
            return turns;
        }
    }
    panic!("never sent");
}

#[test]
fn a_body_larger_than_every_window_arrives() {
    let mut pair = Pair::new(Limits::default());
    let streams = answered(&mut pair, 1);
    let mut senders = [Sender::new(streams[0].1, 1 << 20)];
    let turns = turns_to_send(&mut pair, &mut senders, streams[0].1, &[]);
    assert!(turns < 40, "{turns} turns for 1 MiB");
    assert_eq!(pair.relay.connection.usage().streams, 0, "the last byte was consumed");
}

#[test]
fn stalled_streams_do_not_slow_another_and_are_bounded() {
    let mut alone = Pair::new(Limits::default());
    let streams = answered(&mut alone, 1);
    let mut senders = [Sender::new(streams[0].1, 4 << 20)];
    let turns_alone = turns_to_send(&mut alone, &mut senders, streams[0].1, &[]);

    let mut pair = Pair::new(Limits::default());
    let streams = answered(&mut pair, 65);
    let stalled: Vec<_> = streams[..64].iter().map(|(relay, _)| *relay).collect();
    let mut senders: Vec<_> = streams.iter().map(|(_, connector)| Sender::new(*connector, 4 << 20)).collect();
    for _ in 0..40 {
        turn(&mut pair, &mut senders[..64], &stalled);
    }
    let held = pair.relay.connection.usage().received_bytes;
    assert_eq!(held, 64 * 65_536, "each stalled stream holds its first window");
    let turns = turns_to_send(&mut pair, &mut senders, streams[64].1, &stalled);
    assert!(turns <= turns_alone + 1, "{turns} turns, alone {turns_alone}");
    assert_eq!(pair.relay.connection.usage().received_bytes, held);
}

#[test]
fn bulky_streams_share_evenly() {
    let mut pair = Pair::new(Limits::default());
    let streams = answered(&mut pair, 12);
    let mut senders: Vec<_> = streams.iter().map(|(_, connector)| Sender::new(*connector, 8 << 20)).collect();
    let mut received = vec![0_usize; 12];
    for _ in 0..150 {
        for (stream, bytes) in turn(&mut pair, &mut senders, &[]) {
            received[stream.slot()] += bytes;
        }
    }
    let (least, most) = (*received.iter().min().unwrap(), *received.iter().max().unwrap());
    assert!(least * 10 >= most * 8, "{received:?}");
    let sum: usize = received.iter().sum();
    assert!(sum > 149 * 200_000, "the line was kept busy: {sum}");
}

#[test]
fn a_small_answer_goes_before_a_large_one_of_the_same_turn() {
    let wide = Limits { stream_window: 1 << 20, ..Limits::default() };
    let mut pair = Pair::new(wide);
    let streams = answered(&mut pair, 2);
    Sender::new(streams[0].1, 1 << 20).push(&mut pair);
    let small = streams[1].1;
    let connector = &mut pair.connector.connection;
    assert!(connector.usage().queued_bytes > 200_000, "the budget is spent");
    assert_eq!(connector.capacity(small), 4096);
    let sent = connector.send_data(small, &mut Bytes::from_static(b"small"), true);
    assert_eq!(sent, Ok(Sent::All));
    let mut output = Output::new();
    connector.poll_output(&mut output);
    let first = &output.segments()[0];
    assert!(first.windows(5).any(|bytes| bytes == b"small"), "it is in the first segment");
}

#[test]
fn everyone_who_waits_is_told_even_if_others_never_act() {
    let limits = Limits { output_budget: 64 * 1024, ..Limits::default() };
    let mut pair = Pair::new(limits);
    let streams = answered(&mut pair, 200);
    for (_, stream) in &streams {
        while pair.connector.connection.capacity(*stream) > 0 {
            let _ = pair.connector.connection.send_data(*stream, &mut payload(0, 4096), false);
        }
    }
    // Nobody reacts to being told, and half of the streams are given up meanwhile.
    let mut told = Vec::new();
    for (index, (_, stream)) in streams.iter().enumerate() {
        if index % 2 == 1 {
            let gone = crate::Cancel::new(crate::Culprit::Backend, crate::CancelCode::BROKEN);
            pair.connector.connection.cancel(*stream, &gone);
        }
    }
    let mut turns = 0;
    while pair.connector.connection.has_events() || pair.connector.connection.has_output() {
        for event in pair.connector.events() {
            let Event::Writable { stream } = event else {
                panic!("{event:?}");
            };
            told.push(stream);
        }
        pair.connector.flush();
        turns += 1;
        assert!(turns < 1_000);
    }
    let expected: Vec<_> = streams[2..].iter().step_by(2).map(|(_, stream)| *stream).collect();
    told.sort_unstable();
    assert_eq!(told, expected, "each once, but for the first, which waits for credit");
}

#[test]
fn credit_wakes_a_stream_that_waits_for_it() {
    let mut pair = Pair::new(Limits::default());
    let streams = answered(&mut pair, 1);
    let (at_relay, at_connector) = streams[0];
    let mut data = payload(0, 65_536);
    let connector = &mut pair.connector.connection;
    assert_eq!(connector.send_data(at_connector, &mut data, false), Ok(Sent::All));
    assert_eq!(connector.capacity(at_connector), 0);
    pair.run();
    assert_eq!(pair.connector.events(), [], "nothing was consumed yet");
    pair.relay.events();
    pair.relay.connection.consumed(at_relay, 16_000);
    pair.run();
    assert_eq!(pair.connector.events(), [], "less than a quarter is not worth a frame");
    pair.relay.connection.consumed(at_relay, 384);
    pair.run();
    let writable = Event::Writable { stream: at_connector };
    assert_eq!(pair.connector.events(), [writable]);
    assert_eq!(pair.connector.connection.capacity(at_connector), 16_384);
}

#[test]
fn credit_is_one_frame_a_turn() {
    let mut pair = Pair::new(Limits::default());
    let (at_relay, at_connector) = answered(&mut pair, 1)[0];
    let connector = &mut pair.connector.connection;
    let _ = connector.send_data(at_connector, &mut payload(0, 65_536), false);
    pair.run();
    pair.relay.events();
    for _ in 0..65_536 {
        pair.relay.connection.consumed(at_relay, 1);
    }
    pair.relay.flush();
    assert_eq!(pair.relay.sent.len(), 13);
}

fn probe_that_takes(pair: &mut Pair, trip: Duration) {
    pair.relay.connection.probe(pair.now);
    pair.relay.flush();
    pair.deliver(Role::Relay, usize::MAX).unwrap();
    pair.connector.flush();
    pair.now += trip;
    pair.deliver(Role::Connector, usize::MAX).unwrap();
}

#[test]
fn who_is_near_and_busy_is_not_taken_for_far() {
    let mut pair = Pair::new(Limits::default());
    let pool = |pair: &Pair| pair.relay.connection.usage().window_pool_bytes;
    probe_that_takes(&mut pair, Duration::from_millis(1));
    for _ in 0..8 {
        probe_that_takes(&mut pair, Duration::from_millis(300));
    }
    pair.relay.events();
    assert!(pair.relay.connection.rtt() > Some(Duration::from_millis(100)));
    answered(&mut pair, 1);
    assert_eq!(pool(&pair), 64 << 20, "a stream begins with its first window alone");

    let mut pair = Pair::new(Limits::default());
    for expected in [64, 63] {
        for _ in 0..5 {
            probe_that_takes(&mut pair, Duration::from_millis(300));
        }
        pair.relay.events();
        answered(&mut pair, 1);
        assert_eq!(pool(&pair), expected << 20, "five samples say nothing, ten say that the other side is far");
    }
}

#[test]
fn windows_grow_over_a_long_way_and_shrink_at_the_end() {
    const TRIP: Duration = Duration::from_millis(40);
    let wide = Limits { output_budget: 16 << 20, output_bytes_max: 64 << 20, ..Limits::default() };
    let mut pair = Pair::new(wide);
    let (_, stream) = answered(&mut pair, 1)[0];
    probe_that_takes(&mut pair, TRIP);
    assert_eq!(pair.relay.connection.rtt(), Some(TRIP));
    pair.relay.events();
    let mut left = Bytes::from(vec![7; 48 << 20]);
    let mut best = 0;
    while !left.is_empty() {
        pair.connector.events();
        let before = left.len();
        let _ = pair.connector.connection.send_data(stream, &mut left, true);
        best = best.max(before - left.len());
        pair.run();
        pair.now += TRIP;
        for event in pair.relay.events() {
            let Event::Data { stream, data, .. } = event else {
                panic!("{event:?}");
            };
            pair.relay.connection.consumed(stream, data.len());
        }
        pair.run();
        assert!(pair.now < 30 * TRIP, "slower than a growing window allows");
    }
    assert!(best >= 12_500_000, "{best} bytes in a round trip");
    let usage = pair.relay.connection.usage();
    assert_eq!((usage.streams, usage.window_pool_bytes), (0, 64 << 20));
}

#[test]
fn large_payloads_are_not_copied_and_small_frames_share_a_buffer() {
    let mut pair = Pair::new(Limits::default());
    let streams = answered(&mut pair, 20);
    let large = payload(0, 20_000);
    let connector = &mut pair.connector.connection;
    let _ = connector.send_data(streams[0].1, &mut large.clone(), true);
    for (_, stream) in &streams[1..] {
        let _ = connector.send_data(*stream, &mut Bytes::from_static(b"hello"), true);
    }
    let mut output = Output::new();
    assert!(connector.poll_output(&mut output));
    let segments = output.segments();
    assert_eq!(segments.len(), 3, "small frames, a header, the payload");
    assert_eq!(segments[0].len(), 19 * 14);
    assert_eq!(segments[2].as_ptr(), large.as_ptr());
    assert_eq!(output.bytes(), 19 * 14 + 9 + 20_000);
}

#[test]
fn the_buffer_of_small_frames_is_used_again() {
    let mut pair = Pair::new(Limits::default());
    let mut output = Output::new();
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..10_000 {
        pair.relay.connection.probe(Duration::ZERO);
        pair.relay.connection.poll_output(&mut output);
        for segment in output.drain() {
            places.insert(segment.as_ptr() as usize / 65_536);
        }
    }
    assert!(places.len() <= 4, "{} places", places.len());
}

#[test]
fn many_small_requests_reuse_few_slots() {
    let mut pair = Pair::new(Limits::default());
    for _ in 0..5_000 {
        let at_relay = pair.relay.connection.open(&meta(), b"GET /", true).unwrap();
        assert_eq!(at_relay.slot(), 0);
        pair.run();
        let Some(Event::Open { stream, .. }) = pair.connector.connection.poll_event() else {
            panic!("OPEN was sent");
        };
        pair.connector.connection.send_head(stream, b"204", true).unwrap();
        pair.run();
        assert!(matches!(pair.relay.events()[..], [Event::Head { end: true, .. }]));
    }
    assert_eq!(pair.relay.connection.usage().streams, 0);
}
