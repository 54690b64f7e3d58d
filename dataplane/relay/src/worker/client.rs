//! A client's connection: HTTP/1.1 requests, one after the other, each through the same stages.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use postern_http::h1::{Inbox, RequestParser, ResponseContext, encode_response};
use postern_http::{Known, Malformed, Method, RequestHead, Version};
use postern_io::{Stream, now, random_u64, sleep_until, timeout, yield_now};
use postern_model::ids::RequestId;

use super::Worker;
use super::authorise::authorise;
use super::forward::{Outcome, forward};
use super::reject::Reject;
use super::route::route;
use super::throttle::throttle;
use crate::limits::{
    CLIENT_QUEUE_BYTES, CLIENT_STALL_MAX, CLOSE_LINGER, HEAD_TIMEOUT, HTTP, IDLE_TIMEOUT, PIPELINED_BYTES_MAX,
    REQUESTS_IN_A_ROW_MAX,
};

/// What belongs to one client's connection.
pub(crate) struct ClientConnection {
    pub(crate) stream: Stream,
    pub(crate) inbox: Inbox,
    pub(crate) address: SocketAddr,
    /// Reused for everything that is encoded.
    pub(crate) scratch: Vec<u8>,
    /// The client will send nothing more.
    pub(crate) peer_closed: bool,
    server_name: Option<String>,
}

/// What came instead of a request.
enum Next {
    Request(RequestHead),
    Refuse(Reject),
    Close,
}

impl ClientConnection {
    pub(crate) fn new(stream: Stream, address: SocketAddr, server_name: Option<String>) -> Self {
        Self { stream, inbox: Inbox::default(), address, scratch: Vec::new(), peer_closed: false, server_name }
    }

    /// Serves requests until the connection ends.
    pub(crate) async fn serve(mut self, worker: Rc<Worker>) {
        let mut parser = RequestParser::new(HTTP);
        let mut in_a_row = 0;
        loop {
            // Answers pile up for a client that sends requests and reads nothing: none is begun meanwhile.
            let room = poll_fn(|cx| self.stream.poll_queued_below(cx, CLIENT_QUEUE_BYTES));
            if !matches!(timeout(CLIENT_STALL_MAX, room).await, Ok(Ok(()))) {
                return self.stream.abort();
            }
            in_a_row += 1;
            if in_a_row % REQUESTS_IN_A_ROW_MAX == 0 {
                yield_now().await;
            }
            let mut head = match self.next(&mut parser, &worker).await {
                Next::Request(head) => head,
                Next::Refuse(reject) => {
                    self.refuse(&worker, &reject, new_request_id(), None);
                    return self.close().await;
                }
                Next::Close => return self.close().await,
            };
            let request = new_request_id();
            let outcome = self.answer(&worker, &mut head, request).await;
            worker.counters().requests.increment();
            let keep_alive = match outcome {
                Outcome::Answered { keep_alive } => keep_alive,
                Outcome::Refused(reject) => {
                    let reusable = !reject.close && head.body.is_empty() && head.keep_alive;
                    self.refuse(&worker, &reject, request, Some(&head)) && reusable
                }
                Outcome::Cut => {
                    tracing::debug!(%request, "an answer could not be completed: connection cut");
                    return self.stream.abort();
                }
                Outcome::ClientGone => return self.stream.abort(),
            };
            if !keep_alive || worker.is_draining() {
                return self.close().await;
            }
            parser.recycle(head);
        }
    }

    /// The stages of one request; each takes what the one before it made.
    async fn answer(&mut self, worker: &Worker, head: &mut RequestHead, request: RequestId) -> Outcome {
        let published = worker.published();
        let admitted = route(&published.plan, head, self.server_name.as_deref())
            .and_then(authorise)
            .and_then(|permit| throttle(permit, &worker.in_progress));
        match admitted {
            Ok(admitted) => forward(worker, self, admitted, head, request).await,
            Err(reject) => Outcome::Refused(reject),
        }
    }

    /// The next request head. Between requests the connection may idle; a head that has begun must be complete soon.
    async fn next(&mut self, parser: &mut RequestParser, worker: &Worker) -> Next {
        let mut timer = pin!(sleep_until(now().after(IDLE_TIMEOUT)));
        let mut drain = worker.watch_drain();
        let mut begun = false;
        loop {
            match self.parse(parser) {
                Ok(Some(head)) => return Next::Request(head),
                Ok(None) => {}
                Err(malformed) => return Next::Refuse(Reject::malformed(malformed)),
            }
            if !begun && !self.inbox.is_empty() {
                begun = true;
                timer.as_mut().get_mut().reset(now().after(HEAD_TIMEOUT));
            }
            let input = poll_fn(|cx| {
                if let Poll::Ready(bytes) = self.stream.poll_read(cx) {
                    return Poll::Ready(Input::Bytes(bytes.unwrap_or_default()));
                }
                if timer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Input::TooLate);
                }
                if !begun && drain.poll(cx).is_ready() {
                    return Poll::Ready(Input::Draining);
                }
                Poll::Pending
            });
            match input.await {
                Input::Bytes(bytes) if bytes.is_empty() => return Next::Close,
                Input::Bytes(bytes) => self.inbox.push(bytes),
                Input::TooLate if begun => return Next::Refuse(Reject::request_timeout()),
                Input::TooLate | Input::Draining => return Next::Close,
            }
        }
    }

    fn parse(&mut self, parser: &mut RequestParser) -> Result<Option<RequestHead>, Malformed> {
        if self.inbox.is_empty() {
            return Ok(None);
        }
        let parsed = parser.parse(self.inbox.as_slice())?;
        Ok(parsed.map(|(head, length)| {
            self.inbox.consume(length);
            head
        }))
    }

    /// Writes a refusal; whether the connection can go on.
    fn refuse(&mut self, worker: &Worker, reject: &Reject, request: RequestId, head: Option<&RequestHead>) -> bool {
        worker.counters().requests_refused.increment();
        tracing::debug!(%request, code = reject.code, status = reject.status, "refused");
        let accept = head.and_then(|head| head.headers.get(Known::Accept));
        let (answer, body) = reject.answer(request, accept);
        let context = ResponseContext {
            method: head.map_or(&Method::Get, |head| &head.method),
            version: head.map_or(Version::Http11, |head| head.version),
            keep_alive: !reject.close && head.is_some_and(|head| head.keep_alive && head.body.is_empty()),
        };
        self.scratch.clear();
        let mut encoder = encode_response(&answer, context, &mut self.scratch);
        if encoder.takes_content() {
            let written = encoder.write(&body, &mut self.scratch);
            assert!(written.is_ok(), "the page's length is its own");
        }
        self.stream.queue(&self.scratch);
        encoder.keep_alive()
    }

    /// Whether the client has gone while its answer is awaited. What it sends ahead is kept, up to a bound.
    pub(crate) fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        while self.inbox.len() < PIPELINED_BYTES_MAX {
            match self.stream.poll_read(cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => self.inbox.push(bytes),
                Poll::Ready(Ok(_) | Err(_)) => {
                    self.peer_closed = true;
                    return true;
                }
                Poll::Pending => return false,
            }
        }
        false
    }

    async fn close(self) {
        self.stream.close(CLOSE_LINGER).await;
    }
}

enum Input {
    /// Empty: the end.
    Bytes(Bytes),
    TooLate,
    Draining,
}

fn new_request_id() -> RequestId {
    RequestId(u128::from(random_u64()) << 64 | u128::from(random_u64()))
}
