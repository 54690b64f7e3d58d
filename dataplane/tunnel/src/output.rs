//! What waits to be sent: two lanes of bytes, the budget that streams share, and who waits for a share of it.
//!
//! A *turn* lasts from one `poll_output` to the next. In a turn streams may queue `output_budget` bytes of payload:
//! freely while nobody waits, otherwise only by grants, given to waiting streams in the order they began to wait. A
//! stream that sent nothing yet may always add a small piece from a separate reserve. Small frames go before large
//! payloads, except on a stream whose own payload is queued already.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use crate::frame::{FrameKind, HEADER_BYTES, Header, WireId};
use crate::limits::{QUANTUM_MAX, QUANTUM_MIN, SMALL_BYTES, SMALL_RESERVE, UNCOPIED_BYTES_MIN};
use crate::stream::StreamId;

/// Segments to be sent in order, filled by `Connection::poll_output`. Keep it and reuse it.
#[derive(Debug, Default)]
pub struct Output {
    segments: Vec<Bytes>,
    bytes: usize,
}

impl Output {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The sum of all segments.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The segments, in order.
    #[must_use]
    pub fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    /// Takes the segments out, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Bytes> + '_ {
        self.bytes = 0;
        self.segments.drain(..)
    }

    fn push(&mut self, segment: Bytes) {
        self.bytes += segment.len();
        self.segments.push(segment);
    }
}

/// What one stream did in the present turn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Turn {
    number: u64,
    used: usize,
    /// Reserved for it and not yet used.
    grant: usize,
    /// Some of its payload is in the bulk lane, so that all that follows must go there too.
    bulk: bool,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    express: Lane,
    bulk: Lane,
    budget: usize,
    turn: u64,
    /// Payload accepted in this turn, at most `budget` together with `granted`.
    accepted: usize,
    granted: usize,
    /// Small pieces accepted beyond the budget.
    small: usize,
    waiters: VecDeque<StreamId>,
}

impl Outbox {
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            express: Lane::default(),
            bulk: Lane::default(),
            budget,
            turn: 1,
            accepted: 0,
            granted: 0,
            small: 0,
            waiters: VecDeque::new(),
        }
    }

    /// Counts the calls of `take`.
    pub(crate) fn turn(&self) -> u64 {
        self.turn
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.express.bytes + self.bulk.bytes
    }

    /// Payload that a stream may queue now, its credit apart.
    pub(crate) fn capacity(&self, turn: &mut Turn) -> usize {
        self.refresh(turn);
        let small = SMALL_BYTES.saturating_sub(turn.used).min(SMALL_RESERVE - self.small);
        self.share(turn).max(small)
    }

    fn share(&self, turn: &Turn) -> usize {
        if self.waiters.is_empty() { turn.grant + self.free() } else { turn.grant }
    }

    fn free(&self) -> usize {
        self.budget - self.accepted - self.granted
    }

    fn refresh(&self, turn: &mut Turn) {
        if turn.number != self.turn {
            *turn = Turn { number: self.turn, ..Turn::default() };
        }
    }

    /// Queues payload that `capacity` allowed, as one DATA frame.
    pub(crate) fn data(&mut self, turn: &mut Turn, wire: WireId, payload: Bytes, flags: u8) {
        self.account(turn, payload.len());
        let header = Header { length: payload.len(), kind: FrameKind::Data, flags, stream: wire };
        if payload.len() < UNCOPIED_BYTES_MIN {
            self.lane(turn).frame(header, &payload);
        } else {
            turn.bulk = true;
            self.bulk.segment(header, payload);
        }
    }

    fn account(&mut self, turn: &mut Turn, bytes: usize) {
        let by_grant = bytes.min(turn.grant);
        turn.grant -= by_grant;
        self.granted -= by_grant;
        let by_share = by_grant + (bytes - by_grant).min(self.share(turn));
        self.accepted += by_share;
        self.small += bytes - by_share;
        turn.used += bytes;
        assert!(self.small <= SMALL_RESERVE, "more was queued than capacity allowed");
    }

    /// Queues a frame of a stream after everything that the stream has queued.
    pub(crate) fn stream_frame(&mut self, turn: &mut Turn, header: Header, payload: &[u8]) {
        self.refresh(turn);
        self.lane(turn).frame(header, payload);
    }

    /// Like `stream_frame`, where the caller writes the header's `length` bytes in place.
    pub(crate) fn stream_frame_in_place(&mut self, turn: &mut Turn, header: Header) -> &mut BytesMut {
        self.refresh(turn);
        self.lane(turn).begin(header)
    }

    /// Queues a frame that may overtake payload.
    pub(crate) fn express_frame(&mut self, header: Header, payload: &[u8]) {
        self.express.frame(header, payload);
    }

    /// Queues a frame of the tunnel itself.
    pub(crate) fn control(&mut self, kind: FrameKind, flags: u8, payload: &[u8]) {
        let header = Header { length: payload.len(), kind, flags, stream: WireId(0) };
        self.express.frame(header, payload);
    }

    /// Queues a part of a configuration without copying it.
    pub(crate) fn config(&mut self, flags: u8, part: Bytes) {
        let header = Header { length: part.len(), kind: FrameKind::Config, flags, stream: WireId(0) };
        self.bulk.segment(header, part);
    }

    fn lane(&mut self, turn: &Turn) -> &mut Lane {
        if turn.bulk { &mut self.bulk } else { &mut self.express }
    }

    /// Hands out all that is queued and begins the next turn; grants that were not used expire.
    pub(crate) fn take(&mut self, out: &mut Output) -> bool {
        let any = self.queued_bytes() > 0;
        self.express.take(out);
        self.bulk.take(out);
        self.turn += 1;
        self.accepted = 0;
        self.granted = 0;
        self.small = 0;
        any
    }

    pub(crate) fn wait(&mut self, stream: StreamId) {
        self.waiters.push_back(stream);
    }

    /// The stream that has waited longest, if there is something to grant it.
    pub(crate) fn next_waiter(&self) -> Option<StreamId> {
        let waiter = self.waiters.front().copied()?;
        (self.free() >= QUANTUM_MIN).then_some(waiter)
    }

    /// Takes the first waiter off the queue, whatever becomes of it.
    pub(crate) fn pop_waiter(&mut self) {
        self.waiters.pop_front();
    }

    /// Reserves a fair share of what is free for a stream that was just taken off the queue.
    pub(crate) fn grant(&mut self, turn: &mut Turn) {
        self.refresh(turn);
        self.release(turn);
        let share = self.free() / (self.waiters.len() + 1);
        turn.grant = share.clamp(QUANTUM_MIN, QUANTUM_MAX).min(self.free());
        self.granted += turn.grant;
    }

    /// Gives back what a stream will not use in this turn.
    pub(crate) fn release(&mut self, turn: &mut Turn) {
        self.refresh(turn);
        self.granted -= turn.grant;
        turn.grant = 0;
    }
}

/// Bytes in order: small frames share one buffer, large payloads stand between its parts.
#[derive(Debug, Default)]
struct Lane {
    segments: Vec<Bytes>,
    tail: BytesMut,
    bytes: usize,
}

impl Lane {
    fn begin(&mut self, header: Header) -> &mut BytesMut {
        let need = HEADER_BYTES + header.length;
        if self.tail.capacity() - self.tail.len() < need {
            self.tail.reserve(need.max(BUFFER_BYTES));
        }
        self.bytes += need;
        self.tail.put_slice(&header.encode());
        &mut self.tail
    }

    fn frame(&mut self, header: Header, payload: &[u8]) {
        self.begin(header).put_slice(payload);
    }

    fn segment(&mut self, header: Header, payload: Bytes) {
        self.begin(header);
        self.segments.push(self.tail.split().freeze());
        self.segments.push(payload);
    }

    fn take(&mut self, out: &mut Output) {
        for segment in self.segments.drain(..) {
            out.push(segment);
        }
        if !self.tail.is_empty() {
            out.push(self.tail.split().freeze());
        }
        if self.tail.capacity() > BUFFER_KEPT_BYTES_MAX {
            self.tail = BytesMut::new();
        }
        self.bytes = 0;
    }
}

/// The buffer of small frames grows in steps of this.
const BUFFER_BYTES: usize = 8 * 1024;
/// A buffer that a burst made larger than this is not kept.
const BUFFER_KEPT_BYTES_MAX: usize = 256 * 1024;
