//! What the peer sends: each frame is checked against the state of its stream, then becomes an event.

use std::time::Duration;

use bytes::Bytes;

use super::Connection;
use crate::decoder::Item;
use crate::error::{PeerMisbehaved, TunnelError};
use crate::event::Event;
use crate::frame::{END, FrameKind, HEADER_BYTES, Header, MORE, UNPROCESSED, WireId};
use crate::limits::WINDOW_MAX;
use crate::message::Reader;
use crate::message::check::{Check, CheckAnswer};
use crate::message::control::{
    Cancel, CancelCode, Culprit, Generation, GoAway, LaneRequest, RevokeScope, Status, decode_revoke,
};
use crate::message::hello::{self, Role};
use crate::message::open::{OpenMeta, StreamKind};
use crate::stream::{Found, Phase, Stream, StreamId, Waiting};

impl Connection {
    /// Takes what arrived from the peer, cut anywhere.
    ///
    /// # Errors
    /// [`TunnelError`] ends the tunnel; events before it are still there.
    pub fn handle_input(&mut self, mut input: Bytes, now: Duration) -> Result<(), TunnelError> {
        self.advance(now);
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.last_input = self.now;
        self.take_items(&mut input).and_then(|()| self.check_output()).map_err(|error| self.fail(error))
    }

    fn take_items(&mut self, input: &mut Bytes) -> Result<(), TunnelError> {
        while let Some(item) = self.decoder.next(input)? {
            match item {
                Item::Frame(header, payload) => self.frame(header, payload)?,
                Item::Data { stream, piece, first, end } => self.data(stream, piece, first, end)?,
            }
        }
        Ok(())
    }

    fn frame(&mut self, header: Header, payload: Bytes) -> Result<(), TunnelError> {
        let kind = header.kind;
        if kind == FrameKind::Hello {
            let peer = hello::decode(&payload)?;
            return Ok(self.introduce(peer)?);
        }
        if self.peer.is_none() {
            return Err(PeerMisbehaved::BeforeHello { kind }.into());
        }
        self.check_direction(kind)?;
        match kind {
            FrameKind::Open => self.opened_by_peer(header, payload)?,
            FrameKind::Head
            | FrameKind::Informational
            | FrameKind::Upgrade
            | FrameKind::Trailers
            | FrameKind::Cancel
            | FrameKind::Credit
            | FrameKind::Timing
            | FrameKind::Data
            | FrameKind::Hello => self.stream_frame(header, payload)?,
            FrameKind::Probe => {
                self.probes.reply_due = Some(Reader::new(kind, &payload).u64("nonce")?);
            }
            FrameKind::ProbeReply => {
                self.probe_answered(Reader::new(kind, &payload).u64("nonce")?)?;
            }
            FrameKind::Config => self.config_part(&payload, header.flags & MORE != 0)?,
            FrameKind::Revoke => self.revoked(&payload)?,
            FrameKind::LaneRequest => {
                let request = LaneRequest::decode(&payload)?;
                self.events.push_back(Event::LaneRequest(request));
            }
            FrameKind::Generation => {
                let generation = Generation::decode(&payload)?;
                self.events.push_back(Event::Generation(generation));
            }
            FrameKind::GoAway => self.peer_goes_away(GoAway::decode(&payload)?)?,
            FrameKind::Status => {
                let status = Status::decode(&payload)?;
                self.events.push_back(Event::Status(status));
            }
            FrameKind::Check => self.events.push_back(Event::Check(Check::decode(&payload)?)),
            FrameKind::CheckAnswer => self.events.push_back(Event::CheckAnswer(CheckAnswer::decode(&payload)?)),
        }
        Ok(())
    }

    fn opened_by_peer(&mut self, header: Header, payload: Bytes) -> Result<(), PeerMisbehaved> {
        let (meta, head) = OpenMeta::decode(payload)?;
        if head.len() > self.limits.head_bytes_max as usize {
            return Err(PeerMisbehaved::FrameTooLong {
                kind: header.kind,
                length: head.len(),
                max: self.limits.head_bytes_max as usize,
            });
        }
        let max = self.limits.streams_max;
        if self.going_away.is_some() {
            self.slots.accept(header.stream, max, None)?;
            // GO_AWAY tells the peer that it was not accepted; what it sends on it until then is late.
            self.allow_late(Some(self.limits.stream_window));
            return Ok(());
        }
        let end = header.flags & END != 0;
        let (mut receive, send) = match meta.kind {
            StreamKind::Http => (Phase::Body, Phase::AwaitingHead),
            StreamKind::Raw => (Phase::Raw, Phase::Raw),
        };
        if end {
            receive = Phase::Ended;
        }
        let credit = self.peer.map_or(0, |peer| peer.stream_window);
        let opened = self.stream(receive, send, credit, self.opened + 1);
        let stream = self.slots.accept(header.stream, max, Some(opened))?;
        self.opened += 1;
        if !end {
            self.anticipate(stream);
        }
        self.events.push_back(Event::Open { stream, meta, head, end });
        Ok(())
    }

    /// Credit beyond the first window for a body that is still to come.
    fn anticipate(&mut self, stream: StreamId) {
        let Some(open) = self.slots.get_mut(stream) else { return };
        let more = open.receive.window.anticipate(&mut self.pool, self.probes.least.sure());
        if more > 0 {
            let header = Header { length: 4, kind: FrameKind::Credit, flags: 0, stream: stream.wire() };
            self.outbox.express_frame(header, &more.to_be_bytes());
        }
    }

    fn stream_frame(&mut self, header: Header, payload: Bytes) -> Result<(), PeerMisbehaved> {
        let Some(id) = self.find(header.kind, header.stream, HEADER_BYTES + payload.len())? else {
            return Ok(());
        };
        match header.kind {
            FrameKind::Cancel => {
                let cancel = Cancel::decode(&payload, header.flags & UNPROCESSED != 0)?;
                self.cancelled_by_peer(id, cancel);
                Ok(())
            }
            FrameKind::Credit => self.credited(id, &payload),
            FrameKind::Timing => self.timed(id, header, &payload),
            FrameKind::Head
            | FrameKind::Informational
            | FrameKind::Upgrade
            | FrameKind::Trailers
            | FrameKind::Open
            | FrameKind::Data
            | FrameKind::Hello
            | FrameKind::Probe
            | FrameKind::ProbeReply
            | FrameKind::Config
            | FrameKind::Revoke
            | FrameKind::LaneRequest
            | FrameKind::Generation
            | FrameKind::GoAway
            | FrameKind::Status
            | FrameKind::Check
            | FrameKind::CheckAnswer => self.head(id, header, payload),
        }
    }

    /// The open stream of a frame; `None` if it has finished and the frame is late, which costs the peer some allowance.
    fn find(&mut self, kind: FrameKind, wire: WireId, bytes: usize) -> Result<Option<StreamId>, PeerMisbehaved> {
        match self.slots.find(kind, wire)? {
            Found::Live(stream) => Ok(Some(stream)),
            Found::Late => {
                let cost = bytes as u64;
                let allowance = self.late_allowance;
                let Some(left) = allowance.checked_sub(cost) else {
                    return Err(PeerMisbehaved::LateFrames { cost, allowance });
                };
                self.late_allowance = left;
                Ok(None)
            }
        }
    }

    /// HEAD, INFORMATIONAL, UPGRADE and TRAILERS.
    fn head(&mut self, id: StreamId, header: Header, head: Bytes) -> Result<(), PeerMisbehaved> {
        let (kind, stream) = (header.kind, header.stream);
        let max = self.limits.head_bytes_max as usize;
        if head.len() > max {
            let length = head.len();
            return Err(PeerMisbehaved::FrameTooLong { kind, length, max });
        }
        let max = self.limits.informational_max;
        let end = header.flags & END != 0;
        let Some(open) = self.slots.get_mut(id) else {
            return Ok(());
        };
        check_phase(open.receive.phase, kind, stream)?;
        let event = if kind == FrameKind::Head {
            open.receive.phase = if end { Phase::Ended } else { Phase::Body };
            Event::Head { stream: id, head, end, backend_us: open.receive.backend_us }
        } else if kind == FrameKind::Informational {
            open.receive.informational += 1;
            if open.receive.informational > max {
                return Err(PeerMisbehaved::TooManyInformational { stream, max });
            }
            Event::Informational { stream: id, head }
        } else if kind == FrameKind::Upgrade {
            upgrade(open);
            Event::Upgraded { stream: id, head, backend_us: open.receive.backend_us }
        } else {
            open.receive.phase = Phase::Ended;
            Event::Trailers { stream: id, trailers: head }
        };
        self.events.push_back(event);
        self.close_if_done(id);
        Ok(())
    }

    /// Kept until the head comes.
    fn timed(&mut self, id: StreamId, header: Header, payload: &[u8]) -> Result<(), PeerMisbehaved> {
        let backend_us = Reader::new(header.kind, payload).u32("backend")?;
        if let Some(open) = self.slots.get_mut(id) {
            check_phase(open.receive.phase, header.kind, header.stream)?;
            open.receive.backend_us = Some(backend_us);
        }
        Ok(())
    }

    fn data(&mut self, wire: WireId, data: Bytes, first: bool, end: bool) -> Result<(), PeerMisbehaved> {
        let kind = FrameKind::Data;
        if self.peer.is_none() {
            return Err(PeerMisbehaved::BeforeHello { kind });
        }
        let header = if first { HEADER_BYTES } else { 0 };
        let Some(stream) = self.find(kind, wire, header + data.len())? else {
            return Ok(());
        };
        let Some(open) = self.slots.get_mut(stream) else {
            return Ok(());
        };
        check_phase(open.receive.phase, kind, wire)?;
        let credit = open.receive.window.credit();
        if !open.receive.window.receive(data.len()) {
            return Err(PeerMisbehaved::CreditExceeded { stream: wire, received: data.len(), credit });
        }
        if end {
            open.receive.phase = Phase::Ended;
        }
        self.received_bytes += data.len() as u64;
        self.events.push_back(Event::Data { stream, data, end });
        self.close_if_done(stream);
        Ok(())
    }

    fn credited(&mut self, id: StreamId, payload: &[u8]) -> Result<(), PeerMisbehaved> {
        let added = Reader::new(FrameKind::Credit, payload).u32("credit")?;
        let stream = id.wire();
        if added == 0 {
            return Err(PeerMisbehaved::CreditZero { stream });
        }
        let Some(open) = self.slots.get_mut(id) else {
            return Ok(());
        };
        let send = &mut open.send;
        let total = send.credit.checked_add(added);
        let Some(total) = total.filter(|total| *total <= WINDOW_MAX) else {
            return Err(PeerMisbehaved::CreditOverflow { stream, credit: send.credit, added, max: WINDOW_MAX });
        };
        send.credit = total;
        if send.waiting == Waiting::Credit && send.phase != Phase::Ended {
            send.waiting = Waiting::Output;
            self.outbox.wait(id);
        }
        Ok(())
    }

    /// A connector that cancels after its whole answer only wants no more of the request: the answer stands, and the slot
    /// stays until all of it was consumed.
    fn cancelled_by_peer(&mut self, stream: StreamId, cancel: Cancel) {
        let Some(open) = self.slots.get_mut(stream) else {
            return;
        };
        let answered = self.role == Role::Relay && open.receive.phase == Phase::Ended;
        // Nothing more comes after it.
        open.receive.phase = Phase::Ended;
        if answered {
            open.send.phase = Phase::Ended;
            open.send.stopped = true;
            self.outbox.release(&mut open.send.turn);
            self.close_if_done(stream);
            self.events.push_back(Event::Stopped { stream, cancel });
        } else {
            self.close(stream);
            self.events.push_back(Event::Cancelled { stream, cancel });
        }
    }

    fn config_part(&mut self, part: &[u8], more: bool) -> Result<(), PeerMisbehaved> {
        let max = self.limits.config_bytes_max;
        if self.config_in.len() + part.len() > max as usize {
            return Err(PeerMisbehaved::ConfigTooLong { max });
        }
        self.config_in.extend_from_slice(part);
        if !more {
            let whole = std::mem::take(&mut self.config_in).freeze();
            self.events.push_back(Event::Config(whole));
        }
        Ok(())
    }

    fn revoked(&mut self, payload: &[u8]) -> Result<(), PeerMisbehaved> {
        let scope = match decode_revoke(payload)? {
            RevokeScope::App(app) => RevokeScope::App(app),
            RevokeScope::Session(session) => RevokeScope::Session(session),
            RevokeScope::Stream(wire) => match self.find(FrameKind::Revoke, wire, HEADER_BYTES + payload.len())? {
                Some(stream) => RevokeScope::Stream(stream),
                None => return Ok(()),
            },
        };
        self.events.push_back(Event::Revoke(scope));
        Ok(())
    }

    fn peer_goes_away(&mut self, message: GoAway) -> Result<(), PeerMisbehaved> {
        let accepted = message.accepted;
        if self.role == Role::Relay {
            let opened = self.opened;
            if accepted > opened {
                return Err(PeerMisbehaved::GoAwayCount { accepted, opened });
            }
            let before = self.peer_going_away.unwrap_or(accepted);
            if accepted > before {
                return Err(PeerMisbehaved::GoAwayGrew { accepted, before });
            }
            self.give_back(accepted);
        }
        self.peer_going_away = Some(accepted);
        self.events.push_back(Event::GoAway(message));
        Ok(())
    }

    /// Streams that the connector did not accept are closed as unprocessed.
    fn give_back(&mut self, accepted: u64) {
        let refused: Vec<StreamId> =
            self.slots.iter().filter(|(_, stream)| stream.ordinal > accepted).map(|(id, _)| id).collect();
        for stream in refused {
            let cancel = Cancel::new(Culprit::Connector, CancelCode::GOING_AWAY).unprocessed();
            self.cancelled_by_peer(stream, cancel);
        }
    }
}

/// Whether the sender's half of a stream may carry this frame now.
fn check_phase(phase: Phase, kind: FrameKind, stream: WireId) -> Result<(), PeerMisbehaved> {
    let before_body =
        [FrameKind::Head, FrameKind::Informational, FrameKind::Upgrade, FrameKind::Timing].contains(&kind);
    match (phase, before_body) {
        (Phase::Ended, _) => Err(PeerMisbehaved::AfterEnd { kind, stream }),
        (Phase::AwaitingHead, true) | (Phase::Body | Phase::Raw, false) => Ok(()),
        (Phase::AwaitingHead, false) => Err(PeerMisbehaved::BeforeHead { kind, stream }),
        (Phase::Body, true) => Err(PeerMisbehaved::AfterHead { kind, stream }),
        (Phase::Raw, true) => Err(PeerMisbehaved::AfterUpgrade { kind, stream }),
    }
}

/// Both directions carry bytes only; a relay that has ended its request has ended them.
fn upgrade(stream: &mut Stream) {
    stream.receive.phase = Phase::Raw;
    if stream.send.phase == Phase::Body {
        stream.send.phase = Phase::Raw;
    }
}
