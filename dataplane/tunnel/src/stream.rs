//! Streams and the slab that holds them. An id is a slot and the slot's generation, so that looking one up is an index,
//! and one that has finished is told from one that never was.

use std::fmt;

use crate::error::PeerMisbehaved;
use crate::frame::{FrameKind, WireId};
use crate::output::Turn;
use crate::window::Window;

/// A stream of one tunnel, never used twice: a late use of an old id finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

impl StreamId {
    fn new(slot: usize, generation: u64) -> Self {
        Self(generation << SLOT_BITS | (slot as u64 + 1))
    }

    /// A small index that no other open stream of the tunnel has, below `streams_max`: for tables of the owner.
    #[must_use]
    pub fn slot(self) -> usize {
        (self.0 & SLOT_MASK) as usize - 1
    }

    fn generation(self) -> u64 {
        self.0 >> SLOT_BITS
    }

    pub(crate) fn wire(self) -> WireId {
        WireId(self.0 as u32)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot(), self.generation())
    }
}

/// Where one direction of a stream stands.
///
/// ```text
///                  HEAD            TRAILERS, or END on any frame
/// AwaitingHead ───────────▶ Body ───────────────▶ Ended
///      │                                            ▲
///      └────UPGRADE───────▶ Raw ─────────END────────┘
/// ```
///
/// Towards the connector a stream begins in `Body`; a raw one begins in `Raw` both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    AwaitingHead,
    Body,
    Raw,
    Ended,
}

/// What the owner of a stream is waiting for before it sends more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    No,
    Credit,
    /// In the queue for a share of the output.
    Output,
}

#[derive(Debug)]
pub(crate) struct ReceiveHalf {
    pub(crate) phase: Phase,
    pub(crate) window: Window,
    pub(crate) informational: u8,
    /// From TIMING, until the head comes.
    pub(crate) backend_us: Option<u32>,
    /// A CREDIT frame is due and noted.
    pub(crate) credit_due: bool,
}

#[derive(Debug)]
pub(crate) struct SendHalf {
    pub(crate) phase: Phase,
    pub(crate) credit: u32,
    pub(crate) informational: u8,
    pub(crate) waiting: Waiting,
    /// The peer wants no more: what the owner sends before it learns so finds the stream closed.
    pub(crate) stopped: bool,
    pub(crate) turn: Turn,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) receive: ReceiveHalf,
    pub(crate) send: SendHalf,
    /// How many streams the tunnel had opened with this one.
    pub(crate) ordinal: u64,
    /// The output turn in which its OPEN was queued.
    pub(crate) opened_in_turn: u64,
}

impl Stream {
    pub(crate) fn ended_both_ways(&self) -> bool {
        self.receive.phase == Phase::Ended && self.send.phase == Phase::Ended
    }
}

#[derive(Debug, Default)]
struct Slot {
    /// Of the stream that is here or was here last; 0 before the first.
    generation: u64,
    stream: Option<Stream>,
    /// Of the stream that was here last: if its end is queued behind its payload, the next OPEN must be too.
    turn: Turn,
}

/// What a frame's stream id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Live(StreamId),
    /// It was open once.
    Late,
}

#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u16>,
    live: usize,
}

impl Slots {
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    pub(crate) fn get(&self, id: StreamId) -> Option<&Stream> {
        let slot = self.slots.get(id.slot())?;
        slot.stream.as_ref().filter(|_| slot.generation == id.generation())
    }

    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        let slot = self.slots.get_mut(id.slot())?;
        slot.stream.as_mut().filter(|_| slot.generation == id.generation())
    }

    /// Takes a slot of this end's choice; `None` when `max` are in use.
    pub(crate) fn open(&mut self, max: u16, stream: Stream) -> Option<StreamId> {
        let index = match self.free.pop() {
            Some(index) => usize::from(index),
            None if self.slots.len() < usize::from(max) => {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            }
            None => return None,
        };
        Some(self.fill(index, Some(stream)))
    }

    /// Takes the slot that the peer chose, which must be at its next generation. Without a stream the id counts as used.
    pub(crate) fn accept(
        &mut self,
        wire: WireId,
        max: u16,
        stream: Option<Stream>,
    ) -> Result<StreamId, PeerMisbehaved> {
        let index = slot_of(wire).unwrap_or(usize::MAX);
        if index >= usize::from(max) {
            return Err(PeerMisbehaved::TooManyStreams { stream: wire, slot: index, max: usize::from(max) });
        }
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slot = &self.slots[index];
        let expected = (slot.generation as u32).wrapping_add(1) & GENERATION_MASK;
        if slot.stream.is_some() {
            return Err(PeerMisbehaved::StreamInUse { stream: wire });
        }
        if generation_of(wire) != expected {
            return Err(PeerMisbehaved::OpenOutOfOrder { stream: wire, expected });
        }
        Ok(self.fill(index, stream))
    }

    fn fill(&mut self, index: usize, stream: Option<Stream>) -> StreamId {
        let slot = &mut self.slots[index];
        slot.generation += 1;
        self.live += usize::from(stream.is_some());
        slot.stream = stream;
        if let Some(stream) = &mut slot.stream {
            stream.send.turn = slot.turn;
        }
        StreamId::new(index, slot.generation)
    }

    /// Frees the slot of a stream whose grant was released. `reuse` puts it on the free list of the end that opens streams.
    pub(crate) fn remove(&mut self, id: StreamId, reuse: bool) -> Option<Stream> {
        let slot = self.slots.get_mut(id.slot())?;
        if slot.generation != id.generation() {
            return None;
        }
        let stream = slot.stream.take()?;
        slot.turn = stream.send.turn;
        self.live -= 1;
        if reuse {
            self.free.push(id.slot() as u16);
        }
        Some(stream)
    }

    /// What an id in a frame means.
    pub(crate) fn find(&self, kind: FrameKind, wire: WireId) -> Result<Found, PeerMisbehaved> {
        let never = PeerMisbehaved::StreamNeverOpened { kind, stream: wire };
        let Some((index, slot)) = slot_of(wire).and_then(|index| Some((index, self.slots.get(index)?))) else {
            return Err(never);
        };
        let age = (slot.generation as u32).wrapping_sub(generation_of(wire)) & GENERATION_MASK;
        if age > GENERATION_MASK / 2 || u64::from(age) >= slot.generation {
            return Err(never);
        }
        if age == 0 && slot.stream.is_some() {
            return Ok(Found::Live(StreamId::new(index, slot.generation)));
        }
        Ok(Found::Late)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let stream = slot.stream.as_ref()?;
            Some((StreamId::new(index, slot.generation), stream))
        })
    }
}

fn slot_of(wire: WireId) -> Option<usize> {
    (wire.0 as usize & SLOT_MASK as usize).checked_sub(1)
}

fn generation_of(wire: WireId) -> u32 {
    wire.0 >> SLOT_BITS
}

const SLOT_BITS: u32 = 12;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
/// Of the generation 20 bits travel; an old one can only be as old as what is on its way.
const GENERATION_MASK: u32 = (1 << (32 - SLOT_BITS)) - 1;
