//! A response on its way from the tunnel to the client: decoded, written in HTTP/1.1, never faster than the client reads.

use std::task::{Context, Poll};

use bytes::Bytes;
use postern_http::h1::{BodyEncoder, ResponseContext, encode_interim, encode_response};
use postern_http::{BodyKind, Headers, Limits, Method, ResponseHead, Version};
use postern_tunnel::Cancel;

use super::client::ClientConnection;
use super::exchange::StreamEvent;
use super::tunnel::OpenStream;
use crate::limits::{CLIENT_QUEUE_BYTES, HELD_BYTES_MAX};

/// One response, as far as it was written.
pub(crate) struct Download {
    method: Method,
    version: Version,
    keep_alive: bool,
    encoder: Option<BodyEncoder>,
    /// A short answer that is not complete yet.
    held: Option<Held>,
    /// Nothing goes on until the client reads.
    blocked: bool,
    /// The status sent, once a final head was.
    pub(crate) status: Option<u16>,
    upgraded: bool,
}

/// An answer of a stated, small length is passed on whole: a connector that is lost in its middle has then cost nothing,
/// and head and content leave in one record.
struct Held {
    head: ResponseHead,
    data: Vec<Bytes>,
    bytes: usize,
}

/// What the stream's events came to.
pub(crate) enum Step {
    /// The response is complete. `keep_alive`: its form lets the connection serve another request.
    Complete {
        keep_alive: bool,
    },
    /// Both directions are raw from now on.
    Upgraded,
    Cancelled(Cancel),
    Lost {
        sent_nothing: bool,
    },
    Suspect,
    /// The connector passed on what cannot be an answer.
    Broken,
    /// The client's connection failed.
    ClientGone,
}

impl Download {
    pub(crate) fn new(method: Method, version: Version, keep_alive: bool) -> Self {
        Self { method, version, keep_alive, encoder: None, held: None, blocked: false, status: None, upgraded: false }
    }

    /// Whether the client was sent bytes of the final response: another try would mix two answers.
    pub(crate) fn has_begun(&self) -> bool {
        self.status.is_some()
    }

    /// Forgets what an attempt that reached no client had collected.
    pub(crate) fn restart(&mut self) {
        assert!(!self.has_begun(), "an answer that has begun is not answered again");
        self.held = None;
        self.encoder = None;
        self.upgraded = false;
    }

    /// Whether it is the client that holds things up.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded
    }

    /// Handles what arrived until there is nothing more, or something for the caller.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut ClientConnection,
        stream: &OpenStream,
        progress: &mut bool,
    ) -> Poll<Step> {
        loop {
            // Whatever it is, a head or payload: nothing is added for a client that does not read.
            match client.stream.poll_queued_below(cx, CLIENT_QUEUE_BYTES) {
                Poll::Ready(Ok(())) => self.blocked = false,
                Poll::Ready(Err(_)) => return Poll::Ready(Step::ClientGone),
                Poll::Pending => {
                    self.blocked = true;
                    // The tunnel may still have room for the request's content.
                    stream.exchange.register(cx);
                    return Poll::Pending;
                }
            }
            let Some(event) = stream.exchange.pop() else {
                stream.exchange.register(cx);
                return Poll::Pending;
            };
            *progress = true;
            if let Some(step) = self.take(event, client, stream) {
                return Poll::Ready(step);
            }
        }
    }

    fn take(&mut self, event: StreamEvent, client: &mut ClientConnection, stream: &OpenStream) -> Option<Step> {
        match event {
            StreamEvent::Informational(head) => self.interim(&head, client),
            StreamEvent::Head { head, end } => self.head(&head, end, client),
            StreamEvent::Upgraded(head) => {
                self.upgraded = true;
                self.head(&head, false, client).or(Some(Step::Upgraded))
            }
            StreamEvent::Data { data, end } => self.write(&data, end, client, stream),
            StreamEvent::Trailers(trailers) => self.trailers(&trailers, client),
            StreamEvent::Cancelled(cancel) => Some(Step::Cancelled(cancel)),
            StreamEvent::Lost { sent_nothing } => Some(Step::Lost { sent_nothing }),
            StreamEvent::Suspect => Some(Step::Suspect),
        }
    }

    fn interim(&mut self, head: &[u8], client: &mut ClientConnection) -> Option<Step> {
        let Ok(head) = ResponseHead::decode(head, &Limits::default()) else { return Some(Step::Broken) };
        client.scratch.clear();
        encode_interim(&head, self.version, &mut client.scratch);
        client.stream.queue(&client.scratch);
        None
    }

    fn head(&mut self, head: &[u8], end: bool, client: &mut ClientConnection) -> Option<Step> {
        let Ok(mut head) = ResponseHead::decode(head, &Limits::default()) else { return Some(Step::Broken) };
        if self.status.is_some() || (head.body == BodyKind::Upgrade) != self.upgraded {
            return Some(Step::Broken);
        }
        if end && head.body == BodyKind::Chunked {
            head.body = BodyKind::Length(0);
        }
        if let BodyKind::Length(length) = head.body
            && !end
            && length <= HELD_BYTES_MAX
            && self.method != Method::Head
        {
            self.held = Some(Held { head, data: Vec::new(), bytes: 0 });
            return None;
        }
        self.begin(&head, end, client)
    }

    fn begin(&mut self, head: &ResponseHead, end: bool, client: &mut ClientConnection) -> Option<Step> {
        let context = ResponseContext { method: &self.method, version: self.version, keep_alive: self.keep_alive };
        client.scratch.clear();
        let mut encoder = encode_response(head, context, &mut client.scratch);
        let complete = end.then(|| encoder.end(None, &mut client.scratch));
        client.stream.queue(&client.scratch);
        self.status = Some(head.status);
        self.encoder = Some(encoder);
        match complete {
            None => None,
            Some(Ok(())) => Some(Step::Complete { keep_alive: encoder.keep_alive() }),
            Some(Err(_)) => Some(Step::Broken),
        }
    }

    /// Writes payload; its credit goes back, since the client's own queue has room for it.
    fn write(&mut self, data: &Bytes, end: bool, client: &mut ClientConnection, stream: &OpenStream) -> Option<Step> {
        stream.tunnel.with(|connection| connection.consumed(stream.id, data.len()));
        if let Some(held) = &mut self.held {
            held.bytes += data.len();
            held.data.push(data.clone());
            if held.bytes as u64 > HELD_BYTES_MAX {
                return Some(Step::Broken);
            }
            return if end { self.release(client) } else { None };
        }
        self.write_now(data, end, client)
    }

    /// The short answer is complete.
    fn release(&mut self, client: &mut ClientConnection) -> Option<Step> {
        let held = self.held.take()?;
        if held.head.body != BodyKind::Length(held.bytes as u64) {
            return Some(Step::Broken);
        }
        let begun = self.begin(&held.head, false, client);
        let count = held.data.len();
        held.data
            .iter()
            .enumerate()
            .fold(begun, |step, (nth, data)| step.or_else(|| self.write_now(data, nth + 1 == count, client)))
    }

    fn write_now(&mut self, data: &Bytes, end: bool, client: &mut ClientConnection) -> Option<Step> {
        let Some(encoder) = self.encoder.as_mut() else { return Some(Step::Broken) };
        client.scratch.clear();
        if encoder.begin(data.len(), &mut client.scratch).is_err() {
            return Some(Step::Broken);
        }
        if !client.scratch.is_empty() {
            client.stream.queue(&client.scratch);
        }
        client.stream.queue_bytes(data);
        client.scratch.clear();
        encoder.close(data.len(), &mut client.scratch);
        if end && encoder.end(None, &mut client.scratch).is_err() {
            return Some(Step::Broken);
        }
        if !client.scratch.is_empty() {
            client.stream.queue(&client.scratch);
        }
        end.then(|| Step::Complete { keep_alive: encoder.keep_alive() })
    }

    fn trailers(&mut self, trailers: &[u8], client: &mut ClientConnection) -> Option<Step> {
        if self.held.is_some() {
            return self.release(client); // no place for trailers behind a stated length
        }
        let (Ok(trailers), Some(encoder)) = (Headers::decode(trailers, &Limits::default()), self.encoder.as_mut())
        else {
            return Some(Step::Broken);
        };
        client.scratch.clear();
        if encoder.end(Some(&trailers), &mut client.scratch).is_err() {
            return Some(Step::Broken);
        }
        client.stream.queue(&client.scratch);
        Some(Step::Complete { keep_alive: encoder.keep_alive() })
    }
}
