//! A request's content on its way from the client to the tunnel: bounded by the tunnel's credit, and kept for a second try
//! while it is small.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use postern_http::{Headers, Malformed, strip_told};
use postern_model::plan::PlannedApp;
use postern_tunnel::{SendError, Sent};

use super::client::{Client, Content, ContentError};
use super::pacer::Pacer;
use super::throttle::Admitted;
use super::tunnel::OpenStream;
use super::websocket::{Boundary, Farewell};
use crate::limits::REPLAY_BYTES_MAX;

/// The content of one request.
pub(crate) struct Upload {
    /// Not yet taken by the tunnel.
    queue: VecDeque<Bytes>,
    end: End,
    replay: Replay,
    begin: Begin,
    /// Its end came from the client.
    read: bool,
    /// Bytes that came from the client.
    pub(crate) bytes: u64,
    /// So many may.
    bytes_max: u64,
    /// Of a WebSocket.
    frames: Option<Boundary>,
    pacer: Pacer,
    /// The first piece of the queue may pass.
    has_turn: bool,
    /// It is not the client that it waits for.
    held_up: bool,
}

/// `Open → Known (it came) → Sent (the tunnel has it)`; `Held` while an offered upgrade may turn the stream raw.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Open,
    Held,
    Known(Option<Bytes>),
    Sent,
}

/// How a stream for this content is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// Nothing follows the head.
    Ended,
    /// Nothing follows unless the protocol is switched.
    Held,
    Open,
}

/// What was taken from the client so far, for a second try.
enum Replay {
    Kept { pieces: Vec<Bytes>, bytes: usize, trailers: Option<Bytes> },
    TooLong,
}

/// Why content did not arrive.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The client ended the connection, or it failed.
    ClientGone,
    Malformed(Malformed),
    /// It is more than the application takes.
    TooLarge {
        bytes_max: u64,
    },
    /// The stream is over; its events say why.
    StreamOver,
}

impl Upload {
    /// `nothing`: the head was all of the request. `upgrade`: it offers to switch protocols. `bytes_max`: of content.
    pub(crate) fn new(nothing: bool, upgrade: bool, bytes_max: Option<u64>) -> Self {
        let begin = match (nothing, upgrade) {
            (_, true) => Begin::Held,
            (true, false) => Begin::Ended,
            (false, false) => Begin::Open,
        };
        Self {
            queue: VecDeque::new(),
            end: begin.end(),
            replay: Replay::Kept { pieces: Vec::new(), bytes: 0, trailers: None },
            begin,
            read: nothing,
            bytes: 0,
            bytes_max: bytes_max.unwrap_or(u64::MAX),
            frames: None,
            pacer: Pacer::default(),
            has_turn: false,
            held_up: false,
        }
    }

    /// Whether the stream is opened with its end.
    pub(crate) fn opens_ended(&self) -> bool {
        self.begin == Begin::Ended
    }

    /// Nothing is to come, or all of it was handed to the tunnel.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.end, End::Sent | End::Held)
    }

    /// The offered upgrade was not taken: says that nothing follows.
    pub(crate) fn end_held(&mut self, stream: &OpenStream) {
        if self.end == End::Held {
            self.end = End::Sent;
            // A stream that is over already needs no end.
            let _ = stream.tunnel.with(|connection| connection.end(stream.id));
        }
    }

    /// From here on both directions are raw.
    pub(crate) fn switch_to_raw(&mut self, websocket: bool) {
        self.end = End::Open;
        self.replay = Replay::TooLong;
        self.bytes_max = u64::MAX;
        self.frames = websocket.then(Boundary::default);
    }

    /// Says good-bye to the application where a frame ends; what the client sends after that is not wanted.
    pub(crate) fn leave(&mut self, farewell: Farewell) {
        if self.end == End::Open && self.frames.as_ref().is_some_and(Boundary::is_free) {
            self.frames = None;
            self.queue.push_back(Bytes::copy_from_slice(&farewell.to_server()));
            self.end = End::Known(None);
        }
    }

    /// As [`Upload::leave`], and takes nothing more of the client wherever a frame stands. The stream does not outlive this by
    /// long.
    pub(crate) fn dismiss(&mut self) {
        self.leave(Farewell::Policy);
        if self.end == End::Open {
            self.queue.clear();
            self.end = End::Sent;
        }
    }

    /// Begins anew with what was kept; false when that is not all.
    pub(crate) fn rewind(&mut self) -> bool {
        let Replay::Kept { pieces, trailers, .. } = &self.replay else { return false };
        self.queue = pieces.iter().cloned().collect();
        self.has_turn = false;
        self.end = match self.begin {
            Begin::Open if self.read => End::Known(trailers.clone()),
            Begin::Open | Begin::Held | Begin::Ended => self.begin.end(),
        };
        true
    }

    /// Whether [`Upload::rewind`] would work.
    pub(crate) fn is_replayable(&self) -> bool {
        matches!(self.replay, Replay::Kept { .. })
    }

    /// Whether it waits for its turn or for the tunnel, and so does not notice when the client goes.
    pub(crate) fn is_held_up(&self) -> bool {
        self.held_up
    }

    /// Moves content until something is lacking: `Ready` when the end was handed over, `Pending` when the task will be
    /// woken by the client's connection or by the tunnel.
    pub(crate) fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        stream: &OpenStream,
        admitted: &Admitted,
        progress: &mut bool,
    ) -> Poll<Result<(), UploadError>> {
        self.held_up = true;
        loop {
            if self.is_sent() {
                return Poll::Ready(Ok(()));
            }
            if self.poll_turn(cx, admitted).is_pending() {
                *progress = true; // it is a limit that holds it up: neither end is to blame
                return Poll::Pending;
            }
            if !self.queue.is_empty() || self.end != End::Open {
                match self.hand_over(client, stream, progress) {
                    Ok(true) => continue,
                    Ok(false) => return Poll::Pending,
                    Err(_) => return Poll::Ready(Err(UploadError::StreamOver)),
                }
            }
            // Nothing is read that the tunnel would not take: that is the back-pressure towards the client.
            if stream.tunnel.with(|connection| connection.capacity(stream.id)) == 0 {
                return Poll::Pending;
            }
            match client.poll_content(cx) {
                Poll::Ready(Ok(content)) => {
                    self.take(content, admitted.app());
                    if self.bytes > self.bytes_max {
                        return Poll::Ready(Err(UploadError::TooLarge { bytes_max: self.bytes_max }));
                    }
                }
                Poll::Ready(Err(ContentError::Gone)) => return Poll::Ready(Err(UploadError::ClientGone)),
                Poll::Ready(Err(ContentError::Malformed(malformed))) => {
                    return Poll::Ready(Err(UploadError::Malformed(malformed)));
                }
                Poll::Pending => {
                    self.held_up = false;
                    return Poll::Pending;
                }
            }
            *progress = true;
        }
    }

    /// Waits for the first piece's turn, once for each piece.
    fn poll_turn(&mut self, cx: &mut Context<'_>, admitted: &Admitted) -> Poll<()> {
        if let Some(piece) = self.queue.front()
            && !self.has_turn
        {
            ready!(self.pacer.poll(cx, admitted, piece.len()));
            self.has_turn = true;
        }
        Poll::Ready(())
    }

    /// Gives the tunnel what it takes; false when it has to make room first.
    fn hand_over<C: Client>(
        &mut self,
        client: &mut C,
        stream: &OpenStream,
        progress: &mut bool,
    ) -> Result<bool, SendError> {
        let last = self.queue.len() == 1 && self.end == End::Known(None);
        if let Some(piece) = self.queue.front_mut() {
            let before = piece.len();
            let sent = stream.tunnel.with(|connection| connection.send_data(stream.id, piece, last))?;
            let taken = before - piece.len();
            *progress |= taken > 0;
            client.content_taken(taken);
            if sent == Sent::Partly {
                return Ok(false);
            }
            self.queue.pop_front();
            self.has_turn = false;
            if last {
                self.end = End::Sent;
            }
            return Ok(true);
        }
        if let End::Known(trailers) = &self.end {
            match trailers {
                Some(trailers) => stream.tunnel.with(|connection| connection.send_trailers(stream.id, trailers))?,
                None => stream.tunnel.with(|connection| connection.end(stream.id))?,
            }
            self.end = End::Sent;
        }
        Ok(true)
    }

    fn take(&mut self, content: Content, app: &PlannedApp) {
        match content {
            Content::Data { data, end } => {
                self.bytes += data.len() as u64;
                self.replay.keep(&data);
                if let Some(frames) = &mut self.frames {
                    frames.pass(&data);
                }
                self.queue.push_back(data);
                if end {
                    self.ended(None);
                }
            }
            Content::Trailers(mut trailers) => {
                // Some backends read them as if they had stood in the head.
                strip_told(&mut trailers, app.settings.told_headers());
                self.ended(Some(&trailers));
            }
            Content::End => self.ended(None),
        }
    }

    fn ended(&mut self, trailers: Option<&Headers>) {
        self.read = true;
        let encoded = trailers.map(|trailers| {
            let mut encoded = Vec::new();
            trailers.encode(&mut encoded);
            Bytes::from(encoded)
        });
        if let Replay::Kept { trailers, .. } = &mut self.replay {
            trailers.clone_from(&encoded);
        }
        self.end = End::Known(encoded);
    }
}

impl Begin {
    fn end(self) -> End {
        match self {
            Self::Ended => End::Sent,
            Self::Held => End::Held,
            Self::Open => End::Open,
        }
    }
}

impl Replay {
    fn keep(&mut self, data: &Bytes) {
        if let Self::Kept { pieces, bytes, .. } = self {
            *bytes += data.len();
            pieces.push(data.clone());
            if *bytes > REPLAY_BYTES_MAX {
                *self = Self::TooLong;
            }
        }
    }
}
