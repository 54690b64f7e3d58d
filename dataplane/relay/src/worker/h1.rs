//! A client's connection that speaks HTTP/1.1: requests, one after the other.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use postern_http::h1::{
    BodyDecoder, BodyEncoder, BodyEvent, Inbox, RequestParser, ResponseContext, encode_interim, encode_response,
};
use postern_http::{BodyKind, Headers, Known, Limits, Malformed, Method, RequestHead, ResponseHead, Scheme, Version};
use postern_io::{Stream, now, sleep_until, timeout, yield_now};
use postern_model::ids::RequestId;

use super::Worker;
use super::client::{Client, Content, ContentError, Gone, Unfit};
use super::reject::Reject;
use super::request::{Outcome, Transaction, answer};
use super::session::{OpenedFor, Session};
use crate::limits::{
    CLIENT_QUEUE_BYTES, CLIENT_STALL_MAX, CLOSE_LINGER, HEAD_TIMEOUT, HTTP, IDLE_TIMEOUT, PIPELINED_BYTES_MAX,
    REQUESTS_IN_A_ROW_MAX,
};

/// What belongs to one client's connection.
pub(crate) struct Http1Connection {
    stream: Stream,
    inbox: Inbox,
    session: Session,
    scratch: Vec<u8>,
    /// The client will send nothing more.
    peer_closed: bool,
}

/// What came instead of a request.
enum Next {
    Request(RequestHead),
    Refuse(Reject),
    Close,
}

enum Input {
    /// Empty: the end.
    Bytes(Bytes),
    TooLate,
    Draining,
}

impl Http1Connection {
    pub(crate) fn new(stream: Stream, address: SocketAddr, opened_for: OpenedFor) -> Self {
        let session = Session::new(&stream, address, opened_for);
        Self { stream, inbox: Inbox::default(), session, scratch: Vec::new(), peer_closed: false }
    }

    /// Serves requests until the connection ends.
    pub(crate) async fn serve(mut self, worker: Rc<Worker>) {
        // Whoever comes without TLS has shown nothing yet that costs him anything.
        let mut patience = if self.session.scheme() == Scheme::Http { HEAD_TIMEOUT } else { IDLE_TIMEOUT };
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
            let mut head = match self.next(&mut parser, &worker, std::mem::replace(&mut patience, IDLE_TIMEOUT)).await {
                Next::Request(head) => head,
                Next::Refuse(reject) => {
                    self.refuse_unread(&worker, reject);
                    return self.close().await;
                }
                Next::Close => return self.close().await,
            };
            let mut turn = Turn::new(&mut self, &head, worker.is_draining());
            let transaction = answer(&worker, &mut turn, &mut head).await;
            let reusable = turn.is_reusable();
            match transaction.outcome {
                Outcome::Answered | Outcome::Refused(_) | Outcome::Dismissed(_) => {}
                Outcome::Cut(_) | Outcome::ClientGone => return self.stream.abort(),
            }
            if !reusable || worker.is_draining() {
                return self.close().await;
            }
            parser.recycle(head);
        }
    }

    /// The next request head. Between requests the connection may idle; a head that has begun must be complete soon.
    async fn next(&mut self, parser: &mut RequestParser, worker: &Worker, patience: Duration) -> Next {
        let mut timer = pin!(sleep_until(now().after(patience)));
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

    /// Refuses what was not understood as a request.
    fn refuse_unread(&mut self, worker: &Worker, reject: Reject) {
        let context = ResponseContext { method: &Method::Get, version: Version::Http11, keep_alive: false };
        let status = reject.status;
        let mut transaction = Transaction::refused(reject);
        if let Outcome::Refused(reject) = &transaction.outcome {
            self.write_page(reject, transaction.request, None, context);
            transaction.status = Some(status);
        }
        transaction.conclude(worker, &self.session, None);
    }

    /// Writes a refusal; whether the connection can go on.
    fn write_page(
        &mut self,
        reject: &Reject,
        request: RequestId,
        accept: Option<&[u8]>,
        context: ResponseContext<'_>,
    ) -> bool {
        let (head, body) = reject.answer(request, accept);
        self.scratch.clear();
        let mut encoder = encode_response(&head, context, &mut self.scratch);
        if encoder.takes_content() {
            let written = encoder.write(&body, &mut self.scratch);
            assert!(written.is_ok(), "the page's length is its own");
        }
        self.stream.queue(&self.scratch);
        encoder.keep_alive()
    }

    async fn close(self) {
        self.stream.close(CLOSE_LINGER).await;
    }
}

/// One request's turn on its connection.
struct Turn<'a> {
    connection: &'a mut Http1Connection,
    decoder: BodyDecoder,
    encoder: Option<BodyEncoder>,
    method: Method,
    version: Version,
    /// Whether the connection was to serve another request when this one began.
    keep_alive: bool,
    /// Whether it can, by the form of the answer.
    reusable: bool,
}

impl<'a> Turn<'a> {
    fn new(connection: &'a mut Http1Connection, head: &RequestHead, draining: bool) -> Self {
        Self {
            connection,
            decoder: BodyDecoder::new(head.body, HTTP),
            encoder: None,
            method: head.method.clone(),
            version: head.version,
            keep_alive: head.keep_alive && !draining,
            reusable: false,
        }
    }

    /// Whether the next request can follow: the answer has a visible end, and nothing of this request is still to come.
    fn is_reusable(&self) -> bool {
        self.reusable && self.decoder.is_done() && !self.connection.peer_closed
    }

    /// The encoder and the memory for what it writes.
    fn encoder(&mut self) -> Result<(&mut BodyEncoder, &mut Vec<u8>, &Stream), Unfit> {
        let Some(encoder) = self.encoder.as_mut() else { return Err(Unfit) };
        self.connection.scratch.clear();
        Ok((encoder, &mut self.connection.scratch, &self.connection.stream))
    }

    fn decode(&mut self) -> Result<Option<Content>, ContentError> {
        let event = self.decoder.decode(self.connection.inbox.segment()).map_err(ContentError::Malformed)?;
        Ok(event.map(|event| match event {
            BodyEvent::Data(data) => Content::Data { data, end: self.decoder.is_done() },
            BodyEvent::Trailers(trailers) => Content::Trailers(trailers),
            BodyEvent::End => Content::End,
        }))
    }
}

impl Client for Turn<'_> {
    fn session(&self) -> &Session {
        &self.connection.session
    }

    fn has_no_content(&self) -> bool {
        self.decoder.is_done()
    }

    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<Content, ContentError>> {
        loop {
            if let Some(content) = self.decode()? {
                return Poll::Ready(Ok(content));
            }
            match self.connection.stream.poll_read(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => self.connection.inbox.push(bytes),
                Poll::Ready(Ok(_)) if self.decoder.end_of_input().is_ok() => return Poll::Ready(Ok(Content::End)),
                Poll::Ready(Ok(_) | Err(_)) => return Poll::Ready(Err(ContentError::Gone)),
            }
        }
    }

    /// TCP's own window does it.
    fn content_taken(&mut self, _bytes: usize) {}

    /// What the client sends ahead is kept, up to a bound.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.connection.inbox.len() < PIPELINED_BYTES_MAX {
            match self.connection.stream.poll_read(cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => self.connection.inbox.push(bytes),
                Poll::Ready(Ok(_) | Err(_)) => {
                    self.connection.peer_closed = true;
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    fn switch_to_raw(&mut self) {
        self.decoder = BodyDecoder::new(BodyKind::Upgrade, Limits::default());
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.connection.stream.poll_queued_below(cx, CLIENT_QUEUE_BYTES).map_err(|_| Gone)
    }

    fn interim(&mut self, head: &ResponseHead) {
        self.connection.scratch.clear();
        encode_interim(head, self.version, &mut self.connection.scratch);
        self.connection.stream.queue(&self.connection.scratch);
    }

    fn begin(&mut self, head: ResponseHead, end: bool) -> Result<(), Unfit> {
        let context = ResponseContext { method: &self.method, version: self.version, keep_alive: self.keep_alive };
        let scratch = &mut self.connection.scratch;
        scratch.clear();
        let mut encoder = encode_response(&head, context, scratch);
        if end {
            encoder.end(None, scratch).map_err(|_| Unfit)?;
        }
        self.connection.stream.queue(scratch);
        self.reusable = encoder.keep_alive();
        self.encoder = Some(encoder);
        Ok(())
    }

    fn data(&mut self, data: &Bytes, end: bool) -> Result<(), Unfit> {
        let (encoder, scratch, stream) = self.encoder()?;
        encoder.begin(data.len(), scratch).map_err(|_| Unfit)?;
        if !scratch.is_empty() {
            stream.queue(scratch);
        }
        stream.queue_bytes(data);
        scratch.clear();
        encoder.close(data.len(), scratch);
        if end {
            encoder.end(None, scratch).map_err(|_| Unfit)?;
        }
        if !scratch.is_empty() {
            stream.queue(scratch);
        }
        Ok(())
    }

    fn trailers(&mut self, trailers: &Headers) -> Result<(), Unfit> {
        let (encoder, scratch, stream) = self.encoder()?;
        encoder.end(Some(trailers), scratch).map_err(|_| Unfit)?;
        stream.queue(scratch);
        Ok(())
    }

    fn refuse(&mut self, reject: &Reject, request: RequestId, head: &RequestHead) {
        // Content that nobody will read must not be taken for the next request.
        let reusable = !reject.close && head.keep_alive && head.body.is_empty();
        let context = ResponseContext { method: &self.method, version: self.version, keep_alive: reusable };
        let accept = head.headers.get(Known::Accept);
        self.reusable = self.connection.write_page(reject, request, accept, context);
    }
}
