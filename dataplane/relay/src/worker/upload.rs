//! A request's content on its way from the client to the tunnel: decoded, bounded by the tunnel's credit, and kept for a
//! second try while it is small.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::Bytes;
use postern_http::h1::{BodyDecoder, BodyEvent};
use postern_http::{BodyKind, Limits, Malformed};
use postern_tunnel::{SendError, Sent};

use super::client::ClientConnection;
use super::tunnel::OpenStream;
use crate::limits::REPLAY_BYTES_MAX;

/// The content of one request.
pub(crate) struct Upload {
    decoder: BodyDecoder,
    /// Decoded and not yet taken by the tunnel.
    queue: VecDeque<Bytes>,
    end: End,
    replay: Replay,
    begin: Begin,
}

/// `Open → Known (decoded) → Sent (the tunnel has it)`; `Held` while an offered upgrade may turn the stream raw.
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
    /// The stream is over; its events say why.
    StreamOver,
}

impl Upload {
    pub(crate) fn new(kind: BodyKind, upgrade: bool, limits: Limits) -> Self {
        let decoder = BodyDecoder::new(kind, limits);
        let begin = match (decoder.is_done(), upgrade) {
            (true, false) => Begin::Ended,
            (true, true) => Begin::Held,
            (false, _) => Begin::Open,
        };
        let end = begin.end();
        Self {
            decoder,
            queue: VecDeque::new(),
            end,
            replay: Replay::Kept { pieces: Vec::new(), bytes: 0, trailers: None },
            begin,
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

    /// All of it was taken from the client's connection.
    pub(crate) fn is_read(&self) -> bool {
        self.decoder.is_done()
    }

    /// From here on both directions are raw.
    pub(crate) fn switch_to_raw(&mut self) {
        self.decoder = BodyDecoder::new(BodyKind::Upgrade, Limits::default());
        self.end = End::Open;
        self.replay = Replay::TooLong;
    }

    /// Begins anew with what was kept; false when that is not all.
    pub(crate) fn rewind(&mut self) -> bool {
        let Replay::Kept { pieces, trailers, .. } = &self.replay else { return false };
        self.queue = pieces.iter().cloned().collect();
        self.end = match self.begin {
            Begin::Open if self.decoder.is_done() => End::Known(trailers.clone()),
            Begin::Open | Begin::Held | Begin::Ended => self.begin.end(),
        };
        true
    }

    /// Whether [`Upload::rewind`] would work.
    pub(crate) fn is_replayable(&self) -> bool {
        matches!(self.replay, Replay::Kept { .. })
    }

    /// Moves content until something is lacking: `Ready` when the end was handed over, `Pending` when the task will be
    /// woken by the client's connection or by the tunnel.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut ClientConnection,
        stream: &OpenStream,
        progress: &mut bool,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            if self.is_sent() {
                return Poll::Ready(Ok(()));
            }
            if !self.queue.is_empty() || self.end != End::Open {
                match self.hand_over(stream, progress) {
                    Ok(true) => continue,
                    Ok(false) => return Poll::Pending,
                    Err(_) => return Poll::Ready(Err(UploadError::StreamOver)),
                }
            }
            // Nothing is read that the tunnel would not take: that is the back-pressure towards the client.
            if stream.tunnel.with(|connection| connection.capacity(stream.id)) == 0 {
                return Poll::Pending;
            }
            match self.read(cx, client) {
                Poll::Ready(Ok(())) => *progress = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Gives the tunnel what it takes; false when it has to make room first.
    fn hand_over(&mut self, stream: &OpenStream, progress: &mut bool) -> Result<bool, SendError> {
        if let Some(piece) = self.queue.front_mut() {
            let before = piece.len();
            let last = self.queue.len() == 1 && self.end == End::Known(None);
            let Some(piece) = self.queue.front_mut() else { return Ok(true) };
            let sent = stream.tunnel.with(|connection| connection.send_data(stream.id, piece, last))?;
            *progress |= piece.len() < before;
            if sent == Sent::Partly {
                return Ok(false);
            }
            self.queue.pop_front();
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

    /// Decodes the next piece, reading from the connection when nothing is there.
    fn read(&mut self, cx: &mut Context<'_>, client: &mut ClientConnection) -> Poll<Result<(), UploadError>> {
        loop {
            match self.decoder.decode(client.inbox.segment()) {
                Err(malformed) => return Poll::Ready(Err(UploadError::Malformed(malformed))),
                Ok(Some(event)) => {
                    self.take(event);
                    return Poll::Ready(Ok(()));
                }
                Ok(None) => {}
            }
            match client.stream.poll_read(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => client.inbox.push(bytes),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(UploadError::ClientGone)),
                Poll::Ready(Ok(_)) => {
                    return Poll::Ready(match self.decoder.end_of_input() {
                        Ok(()) => {
                            self.end = End::Known(None);
                            Ok(())
                        }
                        Err(_) => Err(UploadError::ClientGone),
                    });
                }
            }
        }
    }

    fn take(&mut self, event: BodyEvent) {
        match event {
            BodyEvent::Data(data) => {
                self.replay.keep(&data);
                self.queue.push_back(data);
                if self.decoder.is_done() {
                    self.end = End::Known(None);
                }
            }
            BodyEvent::Trailers(trailers) => {
                let mut encoded = Vec::new();
                trailers.encode(&mut encoded);
                let encoded = Bytes::from(encoded);
                if let Replay::Kept { trailers, .. } = &mut self.replay {
                    *trailers = Some(encoded.clone());
                }
                self.end = End::Known(Some(encoded));
            }
            BodyEvent::End => {
                if self.end == End::Open {
                    self.end = End::Known(None);
                }
            }
        }
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
