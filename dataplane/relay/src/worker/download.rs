//! A response on its way from the tunnel to the client: checked, and never faster than the client reads.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use postern_http::{BodyKind, Headers, Known, Limits, ResponseHead, strip_set_cookies};
use postern_io::{Instant, now};
use postern_model::settings::OWN_COOKIES;
use postern_tunnel::Cancel;

use super::additions::Additions;
use super::client::{Client, Gone, Unfit};
use super::exchange::StreamEvent;
use super::pacer::Pacer;
use super::throttle::Admitted;
use super::tunnel::OpenStream;
use super::websocket::{Boundary, Farewell};
use crate::limits::HELD_BYTES_MAX;

/// One response, as far as it was written.
pub(crate) struct Download {
    /// The request was HEAD: the answer's length describes what is not sent.
    head_only: bool,
    /// `Set-Cookie` for the answer's head.
    renewed_cookie: Option<Rc<str>>,
    /// The one cookie of ours that the backend itself sets.
    own_cookie: Option<&'static str>,
    /// What the application's settings add to the head.
    additions: Additions,
    /// A short answer that is not complete yet.
    held: Option<Held>,
    /// Nothing goes on until the client reads.
    blocked: bool,
    /// The status sent, once a final head was.
    pub(crate) status: Option<u16>,
    upgraded: bool,
    /// Bytes of payload that were written.
    pub(crate) bytes: u64,
    /// When the answer's head came, and what the connector says the backend took for it, in µs.
    pub(crate) answered: Option<(Instant, Option<u32>)>,
    /// Of a WebSocket.
    frames: Option<Boundary>,
    /// Good-bye was said: nothing more is written.
    left: bool,
    pacer: Pacer,
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
    /// The response is complete.
    Complete,
    /// Both directions are raw from now on.
    Upgraded,
    Cancelled(Cancel),
    Lost {
        sent_nothing: bool,
    },
    Suspect,
    /// The connector passed on what cannot be an answer.
    Broken,
    /// The answer's head has more bytes of fields than the application's may have.
    HeadTooLarge,
    /// The client's connection failed.
    ClientGone,
}

impl Download {
    pub(crate) fn new(
        head_only: bool,
        renewed_cookie: Option<Rc<str>>,
        own_cookie: Option<&'static str>,
        additions: Additions,
    ) -> Self {
        let pacer = Pacer::default();
        Self {
            head_only,
            renewed_cookie,
            own_cookie,
            additions,
            held: None,
            blocked: false,
            status: None,
            upgraded: false,
            bytes: 0,
            answered: None,
            frames: None,
            left: false,
            pacer,
        }
    }

    /// Whether the client was sent bytes of the final response: another try would mix two answers.
    pub(crate) fn has_begun(&self) -> bool {
        self.status.is_some()
    }

    /// Forgets what an attempt that reached no client had collected.
    pub(crate) fn restart(&mut self) {
        assert!(!self.has_begun(), "an answer that has begun is not answered again");
        self.held = None;
        self.answered = None;
        self.upgraded = false;
    }

    /// Whether it is the client that holds things up.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded
    }

    /// Keeps an eye on where frames end.
    pub(crate) fn watch_frames(&mut self) {
        self.frames = Some(Boundary::default());
    }

    /// Says good-bye to the client where a frame ends.
    pub(crate) fn leave<C: Client>(&mut self, client: &mut C, farewell: Farewell) {
        if self.frames.as_ref().is_some_and(Boundary::is_free) {
            self.frames = None;
            self.left = client.data(&Bytes::copy_from_slice(&farewell.to_client()), true).is_ok();
        }
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left
    }

    /// Handles what arrived until there is nothing more, or something for the caller.
    pub(crate) fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        stream: &OpenStream,
        admitted: &Admitted,
        progress: &mut bool,
    ) -> Poll<Step> {
        loop {
            // Whatever it is, a head or payload: nothing is added for a client that does not read.
            match client.poll_room(cx) {
                Poll::Ready(Ok(())) => self.blocked = false,
                Poll::Ready(Err(Gone)) => return Poll::Ready(Step::ClientGone),
                Poll::Pending => {
                    self.blocked = true;
                    // The tunnel may still have room for the request's content.
                    stream.exchange.register(cx);
                    return Poll::Pending;
                }
            }
            if let Some(bytes) = stream.exchange.next_payload()
                && self.pacer.poll(cx, admitted, bytes).is_pending()
            {
                *progress = true; // it is a limit that holds it up: neither end is to blame
                stream.exchange.register(cx);
                return Poll::Pending;
            }
            let Some(event) = stream.exchange.pop() else {
                stream.exchange.register(cx);
                return Poll::Pending;
            };
            *progress = true;
            if let Some(step) = self.take(event, client, stream, admitted) {
                return Poll::Ready(step);
            }
        }
    }

    fn take<C: Client>(
        &mut self,
        event: StreamEvent,
        client: &mut C,
        stream: &OpenStream,
        admitted: &Admitted,
    ) -> Option<Step> {
        match event {
            StreamEvent::Informational(head) => interim(&head, client),
            StreamEvent::Head { head, end, backend_us } => {
                self.answered = Some((now(), backend_us));
                self.head(&head, end, client, admitted)
            }
            StreamEvent::Upgraded { head, backend_us } => {
                self.answered = Some((now(), backend_us));
                self.upgraded = true;
                self.head(&head, false, client, admitted).or(Some(Step::Upgraded))
            }
            StreamEvent::Data { data, end } => self.data(&data, end, client, stream),
            StreamEvent::Trailers(trailers) => self.trailers(&trailers, client),
            StreamEvent::Cancelled(cancel) => Some(Step::Cancelled(cancel)),
            StreamEvent::Lost { sent_nothing } => Some(Step::Lost { sent_nothing }),
            StreamEvent::Suspect => Some(Step::Suspect),
        }
    }

    fn head<C: Client>(&mut self, head: &[u8], end: bool, client: &mut C, admitted: &Admitted) -> Option<Step> {
        let Ok(mut head) = ResponseHead::decode(head, &Limits::default()) else { return Some(Step::Broken) };
        if self.status.is_some() || (head.body == BodyKind::Upgrade) != self.upgraded {
            return Some(Step::Broken);
        }
        if let Some(most) = admitted.app().settings.limits.response_header_bytes_max
            && head.headers.text_bytes() > most as usize
        {
            return Some(Step::HeadTooLarge);
        }
        if end && head.body == BodyKind::Chunked {
            head.body = BodyKind::Length(0);
        }
        if let BodyKind::Length(length) = head.body
            && !end
            && length <= HELD_BYTES_MAX
            && !self.head_only
        {
            self.held = Some(Held { head, data: Vec::new(), bytes: 0 });
            return None;
        }
        self.begin(head, end, client)
    }

    fn begin<C: Client>(&mut self, mut head: ResponseHead, end: bool, client: &mut C) -> Option<Step> {
        let status = head.status;
        strip_set_cookies(&mut head.headers, &OWN_COOKIES, self.own_cookie);
        self.additions.add(&mut head.headers);
        if let Some(cookie) = &self.renewed_cookie {
            let appended = head.headers.append(Known::SetCookie, cookie.as_bytes());
            debug_assert!(appended.is_ok(), "base64url and fixed attributes are a field value");
        }
        match client.begin(head, end) {
            Ok(()) => {
                self.status = Some(status);
                end.then_some(Step::Complete)
            }
            Err(Unfit) => Some(Step::Broken),
        }
    }

    /// Writes payload; its credit goes back, since the client's own queue has room for it.
    fn data<C: Client>(&mut self, data: &Bytes, end: bool, client: &mut C, stream: &OpenStream) -> Option<Step> {
        stream.tunnel.with(|connection| connection.consumed(stream.id, data.len()));
        if let Some(held) = &mut self.held {
            held.bytes += data.len();
            held.data.push(data.clone());
            if held.bytes as u64 > HELD_BYTES_MAX {
                return Some(Step::Broken);
            }
            return if end { self.release(true, client) } else { None };
        }
        if let Some(frames) = &mut self.frames {
            frames.pass(data);
        }
        if self.left {
            return end.then_some(Step::Complete);
        }
        self.write(data, end, client)
    }

    /// The short answer's content is complete; `end`: no trailers follow.
    fn release<C: Client>(&mut self, end: bool, client: &mut C) -> Option<Step> {
        let held = self.held.take()?;
        if held.head.body != BodyKind::Length(held.bytes as u64) {
            return Some(Step::Broken);
        }
        let begun = self.begin(held.head, false, client);
        let count = held.data.len();
        held.data
            .iter()
            .enumerate()
            .fold(begun, |step, (nth, data)| step.or_else(|| self.write(data, end && nth + 1 == count, client)))
    }

    fn write<C: Client>(&mut self, data: &Bytes, end: bool, client: &mut C) -> Option<Step> {
        if self.status.is_none() || client.data(data, end).is_err() {
            return Some(Step::Broken);
        }
        self.bytes += data.len() as u64;
        end.then_some(Step::Complete)
    }

    fn trailers<C: Client>(&mut self, trailers: &[u8], client: &mut C) -> Option<Step> {
        let Ok(trailers) = Headers::decode(trailers, &Limits::default()) else { return Some(Step::Broken) };
        let released = if self.held.is_some() { self.release(false, client) } else { None };
        if released.is_some() {
            return released;
        }
        if self.status.is_none() || client.trailers(&trailers).is_err() {
            return Some(Step::Broken);
        }
        Some(Step::Complete)
    }
}

fn interim<C: Client>(head: &[u8], client: &mut C) -> Option<Step> {
    let Ok(head) = ResponseHead::decode(head, &Limits::default()) else { return Some(Step::Broken) };
    client.interim(&head);
    None
}
