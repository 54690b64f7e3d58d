//! What the owner does with streams: open, answer, send, consume, cancel.

use bytes::Bytes;

use super::Connection;
use crate::error::{OpenRefused, SendError, TunnelError};
use crate::frame::{END, FrameKind, Header, OPTIONAL, UNPROCESSED};
use crate::limits::DATA_BYTES_MAX;
use crate::message::control::Cancel;
use crate::message::hello::Role;
use crate::message::open::{OpenMeta, StreamKind};
use crate::stream::{Phase, ReceiveHalf, SendHalf, Stream, StreamId, Waiting};
use crate::window::Window;

/// What became of bytes offered to [`Connection::send_data`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// All were accepted, and the end if it was asked for.
    All,
    /// What is left in the argument was not, nor the end. [`crate::Event::Writable`] follows when it is worth another try.
    Partly,
}

impl Connection {
    /// Relay: opens a stream. `end`: the request has no body.
    ///
    /// # Errors
    /// [`OpenRefused`]: nothing was queued, the request may go elsewhere.
    pub fn open(&mut self, meta: &OpenMeta, head: &[u8], end: bool) -> Result<StreamId, OpenRefused> {
        let (streams_max, window) = self.may_open(head)?;
        let phase = match meta.kind {
            StreamKind::Http => Phase::AwaitingHead,
            StreamKind::Raw => Phase::Raw,
        };
        let send = match (end, meta.kind) {
            (true, _) => Phase::Ended,
            (false, StreamKind::Http) => Phase::Body,
            (false, StreamKind::Raw) => Phase::Raw,
        };
        let stream = self.stream(phase, send, window, self.opened + 1);
        let Some(id) = self.slots.open(streams_max, stream) else {
            return Err(OpenRefused::TooManyStreams { max: streams_max });
        };
        self.opened += 1;
        let header = Header {
            length: meta.encoded_bytes() + head.len(),
            kind: FrameKind::Open,
            flags: if end { END } else { 0 },
            stream: id.wire(),
        };
        if let Some(stream) = self.slots.get_mut(id) {
            let turn = &mut stream.send.turn;
            let out = self.outbox.stream_frame_in_place(turn, header);
            meta.encode(out);
            out.extend_from_slice(head);
            let more = stream.receive.window.anticipate(&mut self.pool, self.probes.least.sure());
            if more > 0 {
                let header = Header { length: 4, kind: FrameKind::Credit, flags: 0, stream: id.wire() };
                self.outbox.stream_frame_in_place(turn, header).extend_from_slice(&more.to_be_bytes());
            }
        }
        Ok(id)
    }

    fn may_open(&self, head: &[u8]) -> Result<(u16, u32), OpenRefused> {
        if self.role != Role::Relay {
            return Err(OpenRefused::WrongRole);
        }
        if self.failed.is_some() {
            return Err(OpenRefused::Failed);
        }
        let Some(peer) = self.peer else {
            return Err(OpenRefused::NotReady);
        };
        if self.is_draining() {
            return Err(OpenRefused::GoingAway);
        }
        if head.len() > peer.head_bytes_max as usize {
            return Err(OpenRefused::HeadTooLong { length: head.len(), max: peer.head_bytes_max });
        }
        let (queued, max) = (self.outbox.queued_bytes(), self.limits.output_bytes_max);
        if queued + head.len() > max {
            return Err(OpenRefused::OutputFull { queued, max });
        }
        Ok((peer.streams_max, peer.stream_window))
    }

    pub(super) fn stream(&self, receive: Phase, send: Phase, credit: u32, ordinal: u64) -> Stream {
        Stream {
            receive: ReceiveHalf {
                phase: receive,
                window: Window::new(&self.pool, self.now),
                informational: 0,
                backend_us: None,
                credit_due: false,
            },
            send: SendHalf {
                phase: send,
                credit,
                informational: 0,
                waiting: Waiting::No,
                stopped: false,
                turn: Default::default(),
            },
            ordinal,
            opened_in_turn: self.outbox.turn(),
        }
    }

    /// Connector: states how long the backend took until its answer's head was there, to be sent just before that head. A
    /// relay of an older version skips it.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued.
    pub fn send_timing(&mut self, stream: StreamId, backend_us: u32) -> Result<(), SendError> {
        if self.role != Role::Connector {
            return Err(SendError::WrongRole);
        }
        let send = &mut self.live(stream)?.send;
        match send.phase {
            Phase::AwaitingHead => {}
            Phase::Body => return Err(SendError::HeadTwice),
            Phase::Raw => return Err(SendError::Upgraded),
            Phase::Ended => return Err(SendError::Ended),
        }
        let payload = backend_us.to_be_bytes();
        let header = Header { length: payload.len(), kind: FrameKind::Timing, flags: OPTIONAL, stream: stream.wire() };
        if let Some(stream) = self.slots.get_mut(stream) {
            self.outbox.stream_frame(&mut stream.send.turn, header, &payload);
        }
        Ok(())
    }

    /// Connector: sends the final response head. `end`: the response has no body.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued.
    pub fn send_head(&mut self, stream: StreamId, head: &[u8], end: bool) -> Result<(), SendError> {
        let next = if end { Phase::Ended } else { Phase::Body };
        self.answer(stream, FrameKind::Head, head, next)
    }

    /// Connector: the backend switched protocols, `head` says so; both directions carry bytes only from now on.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued.
    pub fn send_upgrade(&mut self, stream: StreamId, head: &[u8]) -> Result<(), SendError> {
        self.answer(stream, FrameKind::Upgrade, head, Phase::Raw)?;
        if let Some(stream) = self.slots.get_mut(stream)
            && stream.receive.phase == Phase::Body
        {
            stream.receive.phase = Phase::Raw;
        }
        Ok(())
    }

    /// Connector: sends an interim response (1xx).
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued.
    pub fn send_informational(&mut self, stream: StreamId, head: &[u8]) -> Result<(), SendError> {
        let max = self.limits.informational_max;
        let open = self.live(stream)?;
        if open.send.informational == max {
            return Err(SendError::TooManyInformational { max });
        }
        self.answer(stream, FrameKind::Informational, head, Phase::AwaitingHead)?;
        self.live(stream)?.send.informational += 1;
        Ok(())
    }

    fn answer(&mut self, id: StreamId, kind: FrameKind, head: &[u8], next: Phase) -> Result<(), SendError> {
        self.check_head(head)?;
        if self.role != Role::Connector {
            return Err(SendError::WrongRole);
        }
        let send = &mut self.live(id)?.send;
        match send.phase {
            Phase::AwaitingHead => send.phase = next,
            Phase::Body => return Err(SendError::HeadTwice),
            Phase::Raw => return Err(SendError::Upgraded),
            Phase::Ended => return Err(SendError::Ended),
        }
        let end = next == Phase::Ended;
        self.head_frame(id, kind, head, end);
        Ok(())
    }

    fn check_head(&self, head: &[u8]) -> Result<(), SendError> {
        let max = self.peer.map_or(0, |peer| peer.head_bytes_max);
        if head.len() > max as usize {
            let length = head.len();
            return Err(SendError::HeadTooLong { length, max });
        }
        Ok(())
    }

    fn head_frame(&mut self, id: StreamId, kind: FrameKind, head: &[u8], end: bool) {
        let header = Header { length: head.len(), kind, flags: if end { END } else { 0 }, stream: id.wire() };
        if let Some(stream) = self.slots.get_mut(id) {
            self.outbox.stream_frame(&mut stream.send.turn, header, head);
        }
        if end {
            self.finish_sending(id);
        }
    }

    /// Ends this end's half with trailers.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued.
    pub fn send_trailers(&mut self, stream: StreamId, trailers: &[u8]) -> Result<(), SendError> {
        self.check_head(trailers)?;
        let send = &mut self.live(stream)?.send;
        match send.phase {
            Phase::Body => send.phase = Phase::Ended,
            Phase::AwaitingHead => return Err(SendError::HeadMissing),
            Phase::Raw => return Err(SendError::Upgraded),
            Phase::Ended => return Err(SendError::Ended),
        }
        self.head_frame(stream, FrameKind::Trailers, trailers, true);
        Ok(())
    }

    /// How many bytes `send_data` would take now. If none, [`crate::Event::Writable`] follows when there is room.
    pub fn capacity(&mut self, stream: StreamId) -> usize {
        let Ok(open) = self.live(stream) else {
            return 0;
        };
        if matches!(open.send.phase, Phase::Ended | Phase::AwaitingHead) {
            return 0;
        }
        let capacity = self.room(stream);
        if capacity == 0 {
            self.wait(stream);
        }
        capacity
    }

    fn room(&mut self, id: StreamId) -> usize {
        let Some(stream) = self.slots.get_mut(id) else {
            return 0;
        };
        let room = self.outbox.capacity(&mut stream.send.turn);
        room.min(stream.send.credit as usize)
    }

    /// Sends as much of `data` as flow control and the output's budget allow, and leaves the rest in it. With `end` the
    /// half ends after its last byte; empty `data` with `end` is always accepted.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued.
    pub fn send_data(&mut self, stream: StreamId, data: &mut Bytes, end: bool) -> Result<Sent, SendError> {
        match self.live(stream)?.send.phase {
            Phase::Body | Phase::Raw => {}
            Phase::AwaitingHead => return Err(SendError::HeadMissing),
            Phase::Ended => return Err(SendError::Ended),
        }
        let mut room = self.room(stream);
        while room > 0 && !data.is_empty() {
            let frame = data.split_to(data.len().min(room).min(DATA_BYTES_MAX));
            room -= frame.len();
            let last = end && data.is_empty();
            self.data_frame(stream, frame, last);
        }
        if !data.is_empty() {
            self.wait(stream);
            return Ok(Sent::Partly);
        }
        if end {
            self.end_sending(stream);
        } else if let Some(stream) = self.slots.get_mut(stream) {
            self.outbox.release(&mut stream.send.turn);
        }
        Ok(Sent::All)
    }

    fn data_frame(&mut self, id: StreamId, payload: Bytes, last: bool) {
        let Some(stream) = self.slots.get_mut(id) else {
            return;
        };
        let send = &mut stream.send;
        send.credit -= payload.len() as u32;
        let flags = if last { END } else { 0 };
        if last {
            send.phase = Phase::Ended;
        }
        self.outbox.data(&mut send.turn, id.wire(), payload, flags);
    }

    /// Ends this end's half without more payload: `send_data` of nothing with `end`.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued.
    pub fn end(&mut self, stream: StreamId) -> Result<(), SendError> {
        self.send_data(stream, &mut Bytes::new(), true).map(|_| ())
    }

    /// The last DATA frame carried the end, or an empty one must.
    fn end_sending(&mut self, id: StreamId) {
        let Some(stream) = self.slots.get_mut(id) else {
            return;
        };
        if stream.send.phase != Phase::Ended {
            stream.send.phase = Phase::Ended;
            let header = Header { length: 0, kind: FrameKind::Data, flags: END, stream: id.wire() };
            self.outbox.stream_frame(&mut stream.send.turn, header, &[]);
        }
        self.finish_sending(id);
    }

    fn finish_sending(&mut self, id: StreamId) {
        if let Some(stream) = self.slots.get_mut(id) {
            self.outbox.release(&mut stream.send.turn);
        }
        self.close_if_done(id);
    }

    /// Asks for a `Writable` event: at once if only the output's budget is lacking, otherwise after the peer's CREDIT.
    fn wait(&mut self, id: StreamId) {
        let Some(stream) = self.slots.get_mut(id) else {
            return;
        };
        self.outbox.release(&mut stream.send.turn);
        if stream.send.waiting == Waiting::Output {
            return;
        }
        if stream.send.credit == 0 {
            stream.send.waiting = Waiting::Credit;
        } else {
            stream.send.waiting = Waiting::Output;
            self.outbox.wait(id);
        }
    }

    /// The owner is done with `bytes` of the payload it was handed on a stream: the peer may send as much again.
    ///
    /// # Panics
    /// If it says so of more than it was handed.
    pub fn consumed(&mut self, stream: StreamId, bytes: usize) {
        let rtt = self.probes.least.known;
        let Some(open) = self.slots.get_mut(stream) else {
            return;
        };
        let receive = &mut open.receive;
        let due = receive.window.consume(bytes, &mut self.pool, self.now, rtt);
        self.received_bytes -= bytes as u64;
        if receive.phase == Phase::Ended {
            self.close_if_done(stream);
        } else if due && !receive.credit_due {
            receive.credit_due = true;
            self.credit_due.push(stream);
        }
    }

    /// Ends a stream both ways, at once; no further event comes for it. On a stream that is closed already, nothing.
    pub fn cancel(&mut self, stream: StreamId, cancel: &Cancel) {
        let Some(open) = self.slots.get_mut(stream) else {
            self.drop_events(stream);
            return;
        };
        if !open.ended_both_ways() {
            let payload = cancel.encode();
            let header = Header {
                length: payload.len(),
                kind: FrameKind::Cancel,
                flags: if cancel.unprocessed { UNPROCESSED } else { 0 },
                stream: stream.wire(),
            };
            self.outbox.stream_frame(&mut open.send.turn, header, &payload);
        }
        self.drop_events(stream);
        self.close(stream);
    }

    fn live(&mut self, stream: StreamId) -> Result<&mut Stream, SendError> {
        if self.failed.is_some() {
            return Err(SendError::Closed);
        }
        self.slots.get_mut(stream).filter(|stream| !stream.send.stopped).ok_or(SendError::Closed)
    }

    pub(super) fn check_output(&self) -> Result<(), TunnelError> {
        let (queued, max) = (self.outbox.queued_bytes(), self.limits.output_bytes_max);
        if queued > 2 * max {
            return Err(TunnelError::OutputOverflow { queued, max });
        }
        Ok(())
    }
}
