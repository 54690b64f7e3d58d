//! Random steps on two ends, judged by a model: every byte arrives in order and once, nothing waits for ever, credit does
//! not leak, and nothing is left at the end.

mod step;

use bytes::Bytes;
use postern_model::ids::RequestId;
use proptest::prelude::*;

use self::step::{BODY_BYTES_MAX, Step, step};
use super::pair::{Pair, meta, payload};
use crate::{Cancel, CancelCode, Culprit, Event, Limits, OpenMeta, OpenRefused, Role, SendError, Sent, StreamId};

const STREAMS_MAX: u16 = 8;

/// One direction of a request, as the model expects it.
#[derive(Debug, Default)]
struct Half {
    total: usize,
    sent: usize,
    end_sent: bool,
    /// The sender was told to wait and has not been told otherwise.
    blocked: bool,
    received: usize,
    consumed: usize,
    end_received: bool,
}

#[derive(Debug, Default)]
struct Flow {
    relay: Option<StreamId>,
    connector: Option<StreamId>,
    answered: bool,
    /// By which ends it is known to be cancelled.
    cancelled: [bool; 2],
    request: Half,
    answer: Half,
}

impl Flow {
    fn stream(&self, role: Role) -> Option<StreamId> {
        match role {
            Role::Relay => self.relay,
            Role::Connector => self.connector,
        }
    }

    fn sent_by(&mut self, role: Role) -> &mut Half {
        match role {
            Role::Relay => &mut self.request,
            Role::Connector => &mut self.answer,
        }
    }

    fn received_by(&mut self, role: Role) -> &mut Half {
        self.sent_by(other(role))
    }

    fn given_up(&self, role: Role) -> bool {
        self.cancelled[role as usize]
    }
}

fn other(role: Role) -> Role {
    match role {
        Role::Relay => Role::Connector,
        Role::Connector => Role::Relay,
    }
}

struct World {
    pair: Pair,
    flows: Vec<Flow>,
    body: Bytes,
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            streams_max: STREAMS_MAX,
            output_budget: 64 * 1024,
            output_bytes_max: 1024 * 1024,
            window_pool_bytes: 400_000,
            ..Limits::default()
        };
        Self { pair: Pair::new(limits), flows: Vec::new(), body: payload(0, BODY_BYTES_MAX) }
    }

    fn step(&mut self, step: &Step) {
        let count = self.flows.len().max(1);
        match *step {
            Step::Open { request, answer } => self.open(request, answer),
            Step::Answer { flow } => self.answer(flow % count),
            Step::Send { flow, from, bytes } => self.send(flow % count, from, bytes),
            Step::Consume { flow, by, bytes } => self.consume(flow % count, by, bytes),
            Step::Cancel { flow, by } => self.cancel(flow % count, by),
            Step::Flush { end } => {
                self.pair.end(end).flush();
            }
            Step::Deliver { from, bytes } => {
                self.pair.deliver(from, bytes).unwrap();
            }
            Step::Events { end } => self.events(end),
            Step::Probe { by } => {
                let now = self.pair.now;
                self.pair.end(by).connection.probe(now);
            }
            Step::Wait { ms } => self.pair.now += std::time::Duration::from_millis(ms),
        }
    }

    fn open(&mut self, request: usize, answer: usize) {
        let meta = OpenMeta { request: RequestId(self.flows.len() as u128), ..meta() };
        let connection = &mut self.pair.relay.connection;
        let stream = match connection.open(&meta, b"head", request == 0) {
            Ok(stream) => stream,
            Err(OpenRefused::TooManyStreams { max }) => {
                assert_eq!(connection.usage().streams, usize::from(max));
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(connection.sent_nothing(stream));
        self.flows.push(Flow {
            relay: Some(stream),
            request: Half { total: request, end_sent: request == 0, ..Half::default() },
            answer: Half { total: answer, ..Half::default() },
            ..Flow::default()
        });
    }

    fn answer(&mut self, index: usize) {
        let Some(flow) = self.flows.get_mut(index) else {
            return;
        };
        let Some(stream) = flow.connector.filter(|_| !flow.answered && !flow.cancelled[1]) else {
            return;
        };
        flow.answered = true;
        let end = flow.answer.total == 0;
        flow.answer.end_sent = end;
        let connection = &mut self.pair.connector.connection;
        match connection.send_head(stream, b"answer", end) {
            Ok(()) => {}
            Err(SendError::Closed) => assert!(flow.cancelled[0], "closed by the relay"),
            Err(error) => panic!("{error}"),
        }
    }

    fn send(&mut self, index: usize, from: Role, bytes: usize) {
        let body = self.body.clone();
        let Some(flow) = self.flows.get_mut(index) else {
            return;
        };
        let Some(stream) = flow.stream(from).filter(|_| !flow.given_up(from)) else {
            return;
        };
        if from == Role::Connector && !flow.answered {
            return;
        }
        let peer_gave_up = flow.given_up(other(from));
        let half = flow.sent_by(from);
        if half.blocked || half.end_sent {
            return;
        }
        let until = (half.sent + bytes).min(half.total);
        let mut data = body.slice(half.sent..until);
        let end = until == half.total;
        match self.pair.end(from).connection.send_data(stream, &mut data, end) {
            Ok(Sent::All) => {
                half.sent = until;
                half.end_sent = end;
            }
            Ok(Sent::Partly) => {
                assert!(!data.is_empty());
                half.sent = until - data.len();
                half.blocked = true;
            }
            Err(SendError::Closed) => assert!(peer_gave_up),
            Err(error) => panic!("{error}"),
        }
        let queued = self.pair.end(from).connection.usage().queued_bytes;
        assert!(queued < 200_000, "{queued} bytes are queued");
    }

    fn consume(&mut self, index: usize, by: Role, bytes: usize) {
        let Some(flow) = self.flows.get_mut(index) else {
            return;
        };
        let Some(stream) = flow.stream(by) else {
            return;
        };
        let half = flow.received_by(by);
        let bytes = bytes.min(half.received - half.consumed);
        half.consumed += bytes;
        self.pair.end(by).connection.consumed(stream, bytes);
    }

    fn cancel(&mut self, index: usize, by: Role) {
        let Some(flow) = self.flows.get_mut(index) else {
            return;
        };
        let Some(stream) = flow.stream(by) else {
            return;
        };
        flow.cancelled[by as usize] = true;
        let cancel = Cancel::new(Culprit::Client, CancelCode::GONE);
        self.pair.end(by).connection.cancel(stream, &cancel);
    }

    fn events(&mut self, role: Role) {
        while let Some(event) = self.pair.end(role).connection.poll_event() {
            self.event(role, event);
        }
    }

    fn event(&mut self, role: Role, event: Event) {
        if let Event::Open { stream, meta, end, .. } = event {
            let flow = &mut self.flows[meta.request.0 as usize];
            assert!(flow.connector.replace(stream).is_none(), "opened once");
            flow.request.end_received = end;
            assert_eq!(end, flow.request.total == 0);
            return;
        }
        let Some(stream) = event.stream() else {
            assert!(matches!(event, Event::ProbeReply(_)), "{event:?}");
            return;
        };
        let found = self.flows.iter_mut().find(|flow| flow.stream(role) == Some(stream));
        let flow = found.expect("events name streams that are known");
        assert!(!flow.given_up(role), "{event:?} after it was cancelled");
        let total = flow.received_by(role).total;
        match event {
            Event::Head { end, .. } => {
                assert_eq!(end, total == 0);
                flow.answer.end_received = end;
            }
            Event::Data { data, end, .. } => {
                let half = flow.received_by(role);
                assert!(!half.end_received);
                let expected = self.body.slice(half.received..half.received + data.len());
                assert!(data == expected, "wrong bytes at {}", half.received);
                half.received += data.len();
                half.end_received = end;
                assert_eq!(end, half.received == total);
            }
            Event::Writable { .. } => flow.sent_by(role).blocked = false,
            Event::Cancelled { .. } => {
                assert!(flow.given_up(other(role)));
                flow.cancelled[role as usize] = true;
            }
            Event::Stopped { .. } => {
                assert!(flow.given_up(other(role)) && flow.answer.end_received);
                flow.request.end_sent = true;
            }
            event => panic!("{event:?}"),
        }
    }

    /// Lets the network come to rest without any help from the applications, and compares both ends' books.
    fn check_credit(&mut self) {
        self.pair.run();
        for (id, stream) in self.pair.relay.connection.slots().iter() {
            let wire = id.wire();
            let connector = self.pair.connector.connection.slots();
            let peer = connector.iter().find(|(peer, _)| peer.wire() == wire);
            let Some((_, peer)) = peer else {
                continue;
            };
            for (from, to) in [(stream, peer), (peer, stream)] {
                let window = &to.receive.window;
                let held = from.send.credit + window.unconsumed() + window.returned();
                if to.receive.phase != crate::stream::Phase::Ended {
                    assert_eq!(held, window.size(), "credit leaked on {id}");
                }
            }
        }
    }

    /// Applications now do all they can, as long as something moves.
    fn finish(&mut self) {
        for round in 0.. {
            assert!(round < 2_000, "something waits for ever: {:?}", self.flows);
            self.pair.run();
            for role in [Role::Relay, Role::Connector] {
                self.events(role);
                for index in 0..self.flows.len() {
                    self.answer(index);
                    self.send(index, role, BODY_BYTES_MAX);
                    self.consume(index, role, BODY_BYTES_MAX);
                }
            }
            let busy = |pair: &Pair| {
                [&pair.relay, &pair.connector]
                    .iter()
                    .any(|end| end.connection.has_output() || end.connection.has_events())
            };
            if !busy(&self.pair) {
                return;
            }
        }
    }

    fn check_nothing_is_left(&mut self) {
        for flow in &self.flows {
            if flow.cancelled == [false, false] {
                for half in [&flow.request, &flow.answer] {
                    assert_eq!((half.received, half.end_received), (half.total, true), "{flow:?}");
                }
            }
        }
        for role in [Role::Relay, Role::Connector] {
            let usage = self.pair.end(role).connection.usage();
            assert_eq!((usage.streams, usage.received_bytes), (0, 0), "{role:?}");
            assert_eq!((usage.queued_bytes, usage.window_pool_bytes), (0, 400_000), "{role:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]
    #[test]
    fn random_steps_keep_every_promise(steps in prop::collection::vec(step(), 1..300)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.check_credit();
        world.finish();
        world.check_nothing_is_left();
    }
}

/// `PROPTEST_CASES` for a longer run.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}
