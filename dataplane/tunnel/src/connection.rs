//! One end of a tunnel: its state and what belongs to the tunnel as a whole. Streams are sent on in `connection/send.rs`;
//! what the peer sends is taken apart in `connection/receive.rs`.

mod check;
mod direction;
mod receive;
mod send;

pub use send::Sent;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::decoder::Decoder;
use crate::error::{PeerMisbehaved, TunnelError};
use crate::event::Event;
use crate::frame::{FrameKind, Header, MORE};
use crate::limits::{
    DATA_BYTES_MAX, EXPRESS_CONFIG_BYTES, HEAD_BYTES_MAX, LATE_BYTES_BASE, LATE_BYTES_MAX, LATE_BYTES_PER_CREDIT,
    LATE_BYTES_PER_STREAM, Limits, PROBES_MAX,
};
use crate::message::control::{Detail, Generation, GoAway, GoAwayReason, LaneRequest, ProbeReply, RevokeScope, Status};
use crate::message::hello::{self, Hello, PeerHello, Role};
use crate::output::{Outbox, Output};
use crate::stream::{Phase, Slots, StreamId, Waiting};
use crate::window::Pool;

/// One end of a tunnel, relay or connector.
///
/// It does no I/O and reads no clock. In each turn of its loop the owner
/// 1. gives what arrived to [`handle_input`](Self::handle_input), in order, and calls
///    [`handle_timeout`](Self::handle_timeout) when [`next_timeout`](Self::next_timeout) has passed;
/// 2. takes events from [`poll_event`](Self::poll_event) until there is none, and reacts: `open`, `send_head`,
///    `send_data`, `consumed`, `cancel`, …;
/// 3. at the end of the turn, unless more than it likes waits in its socket already, calls
///    [`poll_output`](Self::poll_output) once and sends the segments in order;
/// 4. if [`has_events`](Self::has_events) says so then, takes another turn without waiting for input.
///
/// `now` is the time since any fixed moment and never goes back.
///
/// An error from `handle_input` or `handle_timeout` ends the tunnel: one last `poll_output` tells the peer why, then the
/// connection is closed. What becomes of the streams that are open is up to the owner: see [`streams`](Self::streams) and
/// [`sent_nothing`](Self::sent_nothing).
#[derive(Debug)]
pub struct Connection {
    role: Role,
    limits: Limits,
    now: Duration,
    started: Duration,
    last_input: Duration,
    peer: Option<Peer>,
    failed: Option<TunnelError>,
    decoder: Decoder,
    slots: Slots,
    pool: Pool,
    events: VecDeque<Event>,
    outbox: Outbox,
    credit_due: Vec<StreamId>,
    probes: Probes,
    config_in: BytesMut,
    config_out: ConfigOut,
    /// Streams that this end opened or accepted.
    opened: u64,
    /// How many of them this end stated in its GO_AWAY.
    going_away: Option<u64>,
    peer_going_away: Option<u64>,
    late_allowance: u64,
    received_bytes: u64,
}

/// What the peer's HELLO allows.
#[derive(Debug, Clone, Copy)]
struct Peer {
    streams_max: u16,
    stream_window: u32,
    head_bytes_max: u32,
    answers_checks: bool,
}

#[derive(Debug, Default)]
struct Probes {
    sent: u64,
    waiting: VecDeque<(u64, Duration)>,
    reply_due: Option<u64>,
    rtt: Option<Duration>,
    least: LeastRtt,
}

/// The shortest round trip lately: how far the peer is. The smoothed one contains the tunnel's own queue and how busy both
/// ends are: windows sized by it would grow because they had grown, or because a processor is short.
#[derive(Debug, Default)]
struct LeastRtt {
    known: Option<Duration>,
    /// Of the samples that will decide next.
    next: Option<Duration>,
    samples: u32,
    /// There were enough to say that the peer is far, and not only that a processor was busy.
    is_sure: bool,
}

impl LeastRtt {
    fn add(&mut self, rtt: Duration) {
        let lesser = |old: Option<Duration>| Some(old.map_or(rtt, |old| old.min(rtt)));
        self.known = lesser(self.known);
        self.next = lesser(self.next);
        self.samples += 1;
        self.is_sure |= self.samples == SURE_RTT_SAMPLES;
        if self.samples == LEAST_RTT_SAMPLES {
            self.known = self.next.take();
            self.samples = 0;
        }
    }

    /// The shortest of enough samples.
    fn sure(&self) -> Option<Duration> {
        self.known.filter(|_| self.is_sure)
    }
}

/// Of so many samples not all are late for want of a processor.
const SURE_RTT_SAMPLES: u32 = 6;
/// After so many samples (at one probe in 150 ms, 38 s) those before are forgotten: paths change.
const LEAST_RTT_SAMPLES: u32 = 256;

/// A configuration on its way, and the newest one after it: those between are never sent.
#[derive(Debug, Default)]
struct ConfigOut {
    rest: Option<Bytes>,
    next: Option<Bytes>,
    /// The turn of the output in which one was queued whole.
    express: Option<u64>,
}

/// What a tunnel holds at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Open streams.
    pub streams: usize,
    /// Payload handed out on open streams and not yet consumed.
    pub received_bytes: u64,
    /// Bytes that wait for `poll_output`.
    pub queued_bytes: usize,
    /// What windows may still grow by.
    pub window_pool_bytes: u32,
}

impl Connection {
    /// One end of a tunnel that was just established. Its HELLO is the first thing to send.
    ///
    /// # Panics
    /// If `limits` are outside what [`Limits`] says of each.
    #[must_use]
    pub fn new(hello: &Hello, limits: Limits, now: Duration) -> Self {
        limits.check();
        let mut outbox = Outbox::new(limits.output_budget);
        outbox.control(FrameKind::Hello, 0, &hello::encode(hello, &limits));
        Self {
            role: hello.identity.role(),
            now,
            started: now,
            last_input: now,
            peer: None,
            failed: None,
            decoder: Decoder::default(),
            slots: Slots::default(),
            pool: Pool::new(&limits),
            events: VecDeque::new(),
            outbox,
            credit_due: Vec::new(),
            probes: Probes::default(),
            config_in: BytesMut::new(),
            config_out: ConfigOut::default(),
            opened: 0,
            going_away: None,
            peer_going_away: None,
            late_allowance: LATE_BYTES_BASE,
            received_bytes: 0,
            limits,
        }
    }

    /// The next thing that the owner should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        self.next_writable().map(|stream| Event::Writable { stream })
    }

    /// Whether `poll_event` may have something: after `poll_output`, that there is room for streams that wait.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty() || self.outbox.next_waiter().is_some()
    }

    /// Puts everything that is queued into `out` and begins the next turn. False if there was nothing.
    pub fn poll_output(&mut self, out: &mut Output) -> bool {
        self.queue_credits();
        if let Some(nonce) = self.probes.reply_due.take() {
            self.outbox.control(FrameKind::ProbeReply, 0, &nonce.to_be_bytes());
        }
        self.queue_config();
        self.outbox.take(out)
    }

    /// Whether `poll_output` has something to hand out.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.outbox.queued_bytes() > 0
            || !self.credit_due.is_empty()
            || self.probes.reply_due.is_some()
            || self.config_out.rest.is_some()
    }

    /// When `handle_timeout` wants to be called, if ever.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let waiting = self.peer.is_none() && self.failed.is_none();
        waiting.then(|| self.started + self.limits.hello_timeout)
    }

    /// Time has passed.
    ///
    /// # Errors
    /// [`TunnelError::HelloTimeout`], or what ended the tunnel before.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), TunnelError> {
        self.advance(now);
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.next_timeout().is_some_and(|due| due <= now) {
            let timeout_ms = self.limits.hello_timeout.as_millis() as u64;
            return Err(self.fail(TunnelError::HelloTimeout { timeout_ms }));
        }
        Ok(())
    }

    /// Asks the peer for a sign of life; the answer is [`Event::ProbeReply`] with the nonce returned here.
    /// A peer that was asked several times answers the last probe only.
    pub fn probe(&mut self, now: Duration) -> u64 {
        self.advance(now);
        self.probes.sent += 1;
        let nonce = self.probes.sent;
        if self.probes.waiting.len() == PROBES_MAX {
            self.probes.waiting.pop_front();
        }
        self.probes.waiting.push_back((nonce, self.now));
        self.outbox.control(FrameKind::Probe, 0, &nonce.to_be_bytes());
        nonce
    }

    /// The smoothed round trip, once a probe came back.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.probes.rtt
    }

    /// Whether enough probes came back to say how far the peer is. Until then no stream begins with more than its first
    /// window.
    #[must_use]
    pub fn knows_distance(&self) -> bool {
        self.probes.least.is_sure
    }

    /// When something last came from the peer.
    #[must_use]
    pub fn last_input(&self) -> Duration {
        self.last_input
    }

    /// Relay: sends a signed group configuration. A small one goes before every stream that is opened after it; a larger
    /// one in parts as the output has room, so that requests need not wait for it. One that has not begun is replaced.
    ///
    /// # Panics
    /// If it is empty or above this end's own `config_bytes_max`.
    pub fn send_config(&mut self, config: Bytes) {
        let fits = (1..=self.limits.config_bytes_max as usize).contains(&config.len());
        assert!(fits, "a configuration of {} bytes", config.len());
        let turn = Some(self.outbox.turn());
        let first = self.config_out.rest.is_none() && self.config_out.express != turn;
        if first && config.len() <= EXPRESS_CONFIG_BYTES {
            self.config_out.express = turn;
            self.outbox.control(FrameKind::Config, 0, &config);
        } else if self.config_out.rest.is_none() {
            self.config_out.rest = Some(config);
        } else {
            self.config_out.next = Some(config);
        }
    }

    /// Relay: tells the connector what to cut. A stream that is not open any more is not mentioned.
    pub fn revoke(&mut self, scope: RevokeScope<StreamId>) {
        if let RevokeScope::Stream(stream) = scope
            && self.slots.get(stream).is_none()
        {
            return;
        }
        let payload = scope.encode(|stream| stream.wire());
        self.outbox.control(FrameKind::Revoke, 0, &payload);
    }

    /// Relay: asks for raw lanes.
    pub fn request_lanes(&mut self, request: LaneRequest) {
        self.outbox.control(FrameKind::LaneRequest, 0, &request.encode());
    }

    /// Relay: announces a new generation.
    pub fn announce_generation(&mut self, generation: Generation) {
        self.outbox.control(FrameKind::Generation, 0, &generation.encode());
    }

    /// Connector: reports how it is.
    pub fn report_status(&mut self, status: Status) {
        self.outbox.control(FrameKind::Status, 0, &status.encode());
    }

    /// Drains the tunnel: nothing new is opened or accepted, what is open goes on. The streams that the peer has opened
    /// and this end has not seen yet come back to it as unprocessed.
    pub fn go_away(&mut self, reason: GoAwayReason, detail: &str) {
        let accepted = *self.going_away.get_or_insert(match self.role {
            Role::Connector => self.opened,
            Role::Relay => 0,
        });
        let message = GoAway { reason, accepted, detail: Detail::new(detail) };
        self.outbox.control(FrameKind::GoAway, 0, &message.encode());
    }

    /// Whether either end drains the tunnel.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.going_away.is_some() || self.peer_going_away.is_some()
    }

    /// The streams that are open, for the owner of a tunnel that has ended.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> + '_ {
        self.slots.iter().map(|(stream, _)| stream)
    }

    /// Relay: whether nothing of this open stream was handed to `poll_output` yet, so that it may be tried elsewhere
    /// whatever its method.
    #[must_use]
    pub fn sent_nothing(&self, stream: StreamId) -> bool {
        self.slots.get(stream).is_some_and(|stream| stream.opened_in_turn == self.outbox.turn())
    }

    /// What the tunnel holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            streams: self.slots.live(),
            received_bytes: self.received_bytes,
            queued_bytes: self.outbox.queued_bytes(),
            window_pool_bytes: self.pool.free,
        }
    }

    #[cfg(test)]
    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    fn advance(&mut self, now: Duration) {
        debug_assert!(now >= self.now, "time went back");
        self.now = self.now.max(now);
    }

    fn fail(&mut self, error: TunnelError) -> TunnelError {
        self.go_away(GoAwayReason::PROTOCOL, &error.to_string());
        self.failed = Some(error.clone());
        error
    }

    fn introduce(&mut self, hello: PeerHello) -> Result<(), PeerMisbehaved> {
        if self.peer.is_some() {
            return Err(PeerMisbehaved::SecondHello);
        }
        let role = hello.identity.role();
        if role == self.role {
            return Err(PeerMisbehaved::SameRole { role });
        }
        self.peer = Some(Peer {
            streams_max: hello.streams_max.min(self.limits.streams_max),
            stream_window: hello.stream_window,
            head_bytes_max: hello.head_bytes_max,
            answers_checks: hello.answers_checks,
        });
        self.events.push_back(Event::Hello(Box::new(hello)));
        Ok(())
    }

    /// Only a nonce that was sent is an answer; the answer to a probe answers those before it.
    fn probe_answered(&mut self, nonce: u64) -> Result<(), PeerMisbehaved> {
        let sent = self.probes.sent;
        if nonce > sent {
            return Err(PeerMisbehaved::ProbeNeverSent { nonce, sent });
        }
        while let Some((waiting, at)) = self.probes.waiting.pop_front_if(|(w, _)| *w <= nonce) {
            if waiting == nonce {
                let rtt = self.now.saturating_sub(at);
                let smoothed = self.probes.rtt.map_or(rtt, |old| (old * 7 + rtt) / 8);
                self.probes.rtt = Some(smoothed);
                self.probes.least.add(rtt);
                self.events.push_back(Event::ProbeReply(ProbeReply { nonce, rtt }));
            }
        }
        Ok(())
    }

    fn queue_credits(&mut self) {
        for id in self.credit_due.drain(..) {
            let Some(stream) = self.slots.get_mut(id) else {
                continue;
            };
            stream.receive.credit_due = false;
            if stream.receive.phase == Phase::Ended {
                continue;
            }
            let returned = stream.receive.window.take_returned();
            let header = Header { length: 4, kind: FrameKind::Credit, flags: 0, stream: id.wire() };
            // Credit may overtake payload of the same stream: it is about the other direction.
            self.outbox.express_frame(header, &returned.to_be_bytes());
        }
    }

    fn queue_config(&mut self) {
        for _ in 0..CONFIG_PARTS_PER_TURN {
            let Some(rest) = &mut self.config_out.rest else {
                return;
            };
            let part = rest.split_to(rest.len().min(DATA_BYTES_MAX));
            let flags = if rest.is_empty() { 0 } else { MORE };
            if rest.is_empty() {
                self.config_out.rest = self.config_out.next.take();
            }
            self.outbox.config(flags, part);
        }
    }

    /// Grants a share of the output to the stream that has waited longest and can use it.
    fn next_writable(&mut self) -> Option<StreamId> {
        while let Some(id) = self.outbox.next_waiter() {
            self.outbox.pop_waiter();
            let Some(stream) = self.slots.get_mut(id) else {
                continue;
            };
            let send = &mut stream.send;
            if send.phase == Phase::Ended {
                continue;
            }
            if send.credit == 0 {
                send.waiting = Waiting::Credit;
                continue;
            }
            send.waiting = Waiting::No;
            self.outbox.grant(&mut send.turn);
            return Some(id);
        }
        None
    }

    /// Takes back what waits to be polled of a stream that the owner gave up. Cancels are few, and so are events that wait.
    fn drop_events(&mut self, id: StreamId) {
        self.events.retain(|event| event.stream() != Some(id));
    }

    /// Forgets a stream: its slot, its window's growth, its share of the output.
    fn close(&mut self, id: StreamId) {
        if let Some(stream) = self.slots.get_mut(id) {
            self.outbox.release(&mut stream.send.turn);
        }
        let Some(mut stream) = self.slots.remove(id, self.role == Role::Relay) else {
            return;
        };
        stream.receive.window.close(&mut self.pool);
        self.received_bytes -= u64::from(stream.receive.window.unconsumed());
        let ended = stream.receive.phase == Phase::Ended;
        self.allow_late(if ended { None } else { Some(stream.receive.window.credit()) });
    }

    /// What the peer may have sent before it learns that a stream is closed: with `credit`, on a half that had not ended.
    fn allow_late(&mut self, credit: Option<u32>) {
        let mut bytes = LATE_BYTES_PER_STREAM;
        if let Some(credit) = credit {
            bytes += u64::from(credit) * LATE_BYTES_PER_CREDIT + 2 * u64::from(HEAD_BYTES_MAX);
        }
        self.late_allowance = (self.late_allowance + bytes).min(LATE_BYTES_MAX);
    }

    /// Frees the stream once nothing more can happen on it. A relay keeps it until all of the answer was consumed, since
    /// the slot bounds what is held; a connector's request body is not wanted after the whole answer.
    fn close_if_done(&mut self, id: StreamId) {
        let Some(stream) = self.slots.get(id) else {
            return;
        };
        let held = self.role == Role::Relay && stream.receive.window.unconsumed() > 0;
        if stream.ended_both_ways() && !held {
            self.close(id);
        }
    }
}

/// With 64 KiB each: 256 KiB in a turn.
const CONFIG_PARTS_PER_TURN: usize = 4;
