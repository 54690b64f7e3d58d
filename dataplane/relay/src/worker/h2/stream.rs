//! One request on an HTTP/2 connection.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use postern_http::h2 as heads;
use postern_http::{BodyKind, Headers, Known, RequestHead, ResponseHead};
use postern_model::ids::RequestId;

use super::super::Worker;
use super::super::client::{Client, Content, ContentError, Gone, Unfit};
use super::super::reject::Reject;
use super::super::request::{Outcome, Transaction, answer};
use super::super::session::Session;
use super::super::websocket::Handshake;
use super::Shared;
use crate::limits::{HTTP, INTERIM_ANSWERS_MAX};

/// Answers one request.
pub(super) async fn serve(
    worker: Rc<Worker>,
    shared: Rc<Shared>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let (parts, content) = request.into_parts();
    let end = content.is_end_stream();
    let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
    let read = heads::received_request(RequestHead::default(), &parts, protocol, end, &HTTP);
    let mut stream = Http2Stream::new(Rc::clone(&shared), content, end, respond);
    // Also of one that is refused before it is understood.
    stream.head_only = parts.method == http::Method::HEAD;
    drop(parts);
    let transaction = match read {
        Ok(mut head) => {
            stream.websocket = head.upgrade.then(|| Handshake::offer(&mut head));
            answer(&worker, &mut stream, &mut head).await
        }
        Err(malformed) => stream.refuse_unread(&worker, Reject::malformed(malformed)),
    };
    stream.finish(&transaction.outcome);
}

struct Http2Stream {
    shared: Rc<Shared>,
    content: RecvStream,
    /// The head was all of the request.
    ended: bool,
    answer: Answer,
    head_only: bool,
    /// An extended CONNECT (RFC 8441).
    websocket: Option<Handshake>,
    /// Content that the answer's head promises and that was not sent yet, if it says.
    left: Option<u64>,
    interim_answers: u32,
}

enum Answer {
    Awaited(SendResponse<Bytes>),
    Begun(SendStream<Bytes>),
    /// Its end was written.
    Over,
}

impl Http2Stream {
    fn new(shared: Rc<Shared>, content: RecvStream, ended: bool, respond: SendResponse<Bytes>) -> Self {
        let answer = Answer::Awaited(respond);
        Self { shared, content, ended, answer, head_only: false, websocket: None, left: None, interim_answers: 0 }
    }

    /// Refuses what was not understood as a request.
    fn refuse_unread(&mut self, worker: &Worker, reject: Reject) -> Transaction {
        let status = reject.status;
        let mut transaction = Transaction::refused(reject);
        if let Outcome::Refused(reject) = &transaction.outcome {
            self.refuse(reject, transaction.request, &RequestHead::default());
            transaction.status = Some(status);
        }
        transaction.conclude(worker, &self.shared.session, None);
        transaction
    }

    /// An answer that is not complete never ends as if it were. One that is ends by itself: dropping the handles tells the
    /// client that the rest of its content is not wanted (RFC 9113 §8.1).
    fn finish(&mut self, outcome: &Outcome) {
        let reason = match outcome {
            Outcome::Answered | Outcome::Refused(_) | Outcome::Dismissed(_) => return,
            Outcome::Cut(_) => Reason::INTERNAL_ERROR,
            Outcome::ClientGone => Reason::CANCEL,
        };
        match &mut self.answer {
            Answer::Awaited(respond) => respond.send_reset(reason),
            Answer::Begun(send) => send.send_reset(reason),
            Answer::Over => {}
        }
    }

    /// Takes the sending half, which is put back unless the answer is over.
    fn begun(&mut self) -> Result<SendStream<Bytes>, Unfit> {
        match std::mem::replace(&mut self.answer, Answer::Over) {
            Answer::Begun(send) => Ok(send),
            Answer::Awaited(_) | Answer::Over => Err(Unfit),
        }
    }

    /// Whether this much more, and the end, agree with what the head said.
    fn count(&mut self, bytes: usize, end: bool) -> Result<(), Unfit> {
        let Some(left) = &mut self.left else { return Ok(()) };
        *left = left.checked_sub(bytes as u64).ok_or(Unfit)?;
        if end && *left > 0 { Err(Unfit) } else { Ok(()) }
    }
}

impl Client for Http2Stream {
    fn session(&self) -> &Session {
        &self.shared.session
    }

    fn has_no_content(&self) -> bool {
        self.ended
    }

    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<Content, ContentError>> {
        match ready!(self.content.poll_data(cx)) {
            Some(Ok(data)) => {
                let end = self.content.is_end_stream();
                return Poll::Ready(Ok(Content::Data { data, end }));
            }
            Some(Err(_)) => return Poll::Ready(Err(ContentError::Gone)),
            None => {}
        }
        Poll::Ready(match ready!(self.content.poll_trailers(cx)) {
            Ok(Some(trailers)) => {
                let trailers = heads::received_trailers(&trailers, &HTTP);
                trailers.map(Content::Trailers).map_err(ContentError::Malformed)
            }
            Ok(None) => Ok(Content::End),
            Err(_) => Err(ContentError::Gone),
        })
    }

    fn content_taken(&mut self, bytes: usize) {
        // What the client has reset needs no window any more.
        let _ = self.content.flow_control().release_capacity(bytes);
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.answer {
            Answer::Awaited(respond) => respond.poll_reset(cx),
            Answer::Begun(send) => send.poll_reset(cx),
            Answer::Over => return Poll::Pending,
        };
        reset.map(|_| ())
    }

    fn switch_to_raw(&mut self) {}

    /// One byte of window is enough: what goes beyond is bounded by the size of one piece.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let Answer::Begun(send) = &mut self.answer else { return Poll::Ready(Ok(())) };
        loop {
            if send.capacity() == 0 {
                send.reserve_capacity(1);
            }
            if send.capacity() > 0 {
                return Poll::Ready(Ok(()));
            }
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Gone)),
            }
        }
    }

    /// Heads have no window of their own: their number is bounded.
    fn interim(&mut self, head: &ResponseHead) {
        self.interim_answers += 1;
        if let Answer::Awaited(respond) = &mut self.answer
            && self.interim_answers <= INTERIM_ANSWERS_MAX
            && let Ok(response) = heads::sent_interim(head)
        {
            // A client that is gone is noticed elsewhere.
            let _ = respond.send_informational(response);
        }
    }

    fn begin(&mut self, mut head: ResponseHead, end: bool) -> Result<(), Unfit> {
        let Answer::Awaited(respond) = &mut self.answer else { return Err(Unfit) };
        match &self.websocket {
            Some(handshake) if handshake.is_completed_by(&head) => switched(&mut head),
            // The only 2xx that a CONNECT may get.
            Some(_) if head.status < 300 => return Err(Unfit),
            Some(_) | None if head.body == BodyKind::Upgrade => return Err(Unfit),
            Some(_) | None => {}
        }
        let bodiless = self.head_only || head.status == 204 || head.status == 304;
        let (response, length) = heads::sent_response(head).map_err(|_| Unfit)?;
        if end && !bodiless && length.is_some_and(|length| length > 0) {
            return Err(Unfit);
        }
        let send = respond.send_response(response, end).map_err(|_| Unfit)?;
        self.left = if bodiless { Some(0) } else { length };
        self.answer = if end { Answer::Over } else { Answer::Begun(send) };
        Ok(())
    }

    fn data(&mut self, data: &Bytes, end: bool) -> Result<(), Unfit> {
        let mut send = self.begun()?;
        let fits = self.count(data.len(), end);
        if fits.is_ok() && (end || !data.is_empty()) {
            // A client that is gone is noticed elsewhere.
            let _ = send.send_data(data.clone(), end);
        }
        if !end || fits.is_err() {
            self.answer = Answer::Begun(send);
        }
        fits
    }

    fn trailers(&mut self, trailers: &Headers) -> Result<(), Unfit> {
        let mut send = self.begun()?;
        let fits = self.count(0, true);
        let map = fits.and_then(|()| heads::sent_trailers(trailers).map_err(|_| Unfit));
        match map {
            Ok(map) => {
                let _ = send.send_trailers(map);
                Ok(())
            }
            Err(unfit) => {
                self.answer = Answer::Begun(send);
                Err(unfit)
            }
        }
    }

    fn refuse(&mut self, reject: &Reject, request: RequestId, head: &RequestHead) {
        if reject.floods {
            self.shared.floods.set(true); // the library wakes the connection for the answer
        }
        let (answer, page) = reject.answer(request, head.headers.get(Known::Accept));
        if self.begin(answer, self.head_only).is_ok() && !self.head_only {
            let written = self.data(&page, true);
            assert!(written.is_ok(), "the page's length is its own");
        }
    }
}

/// RFC 8441 §5: 200 is what 101 is in HTTP/1.1, and the key's answer is not told.
fn switched(head: &mut ResponseHead) {
    head.status = 200;
    head.body = BodyKind::UntilClose;
    head.headers.remove(Known::SecWebsocketAccept);
}
