//! A client's connection that speaks HTTP/2: frames, HPACK and flow control are the h2 library's, every request is a task
//! of its own that goes through the same stages as one over HTTP/1.1.

mod frames;
mod ledger;
mod stream;
#[cfg(test)]
mod tests;
mod watched;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use postern_io::duplex::Duplex;
use postern_io::{Instant, Stream, now, sleep_until, spawn, timeout};

use super::session::{OpenedFor, Session};
use super::{DrainWatch, Worker};
use crate::limits::{
    CLIENT_STALL_MAX, CLOSE_LINGER, H2_CONNECTION_WINDOW_BYTES, H2_ERROR_RESETS_MAX, H2_HEAD_BYTES_MAX,
    H2_RESETS_PENDING_MAX, H2_SEND_BUFFER_BYTES, H2_STREAM_WINDOW_BYTES, H2_STREAMS_MAX, HEAD_TIMEOUT, IDLE_TIMEOUT,
};
use ledger::Ledger;
use watched::Watched;

/// ALPN's name for it.
pub(crate) const ALPN: &[u8] = b"h2";

/// What belongs to one client's connection.
pub(crate) struct Http2Connection {
    stream: Stream,
    shared: Rc<Shared>,
}

/// What its requests share.
struct Shared {
    session: Session,
    /// Requests in progress.
    requests: Cell<usize>,
    /// A limit found that the client floods: nothing of it is answered any more.
    floods: Cell<bool>,
}

/// One request in progress.
struct InProgress(Rc<Shared>);

/// What happened on a connection.
enum Event {
    Request(Box<(Request<RecvStream>, SendResponse<Bytes>)>),
    Draining,
    /// The time of the next look has come.
    Due,
    /// The ledger's.
    Verdict(Reason),
    Over(Result<(), h2::Error>),
}

/// Where a connection is on its way out.
///
/// ```text
/// Serving ──drain, or idle──▶ Leaving (GOAWAY; what was begun is finished) ──▶ over
///    └──a verdict, or stalled────▶ Cut (GOAWAY, now) ──────────────────────────▶ over
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Leaving(Instant),
    Cut(Instant),
}

impl Http2Connection {
    pub(crate) fn new(stream: Stream, address: SocketAddr, opened_for: OpenedFor) -> Self {
        let session = Session::new(&stream, address, opened_for);
        let shared = Rc::new(Shared { session, requests: Cell::new(0), floods: Cell::new(false) });
        Self { stream, shared }
    }

    /// Serves requests until the connection ends.
    pub(crate) async fn serve(self, worker: Rc<Worker>) {
        let ledger = Rc::new(RefCell::new(Ledger::new()));
        let io = Watched::new(Duplex::new(self.stream.clone()), Rc::clone(&ledger));
        let Ok(Ok(connection)) = timeout(HEAD_TIMEOUT, builder().handshake::<_, Bytes>(io)).await else {
            return self.stream.abort();
        };
        let mut serving = Serving { connection, ledger, phase: Phase::Serving };
        match serving.run(&worker, &self.shared).await {
            Ok(()) => {}
            Err(error) => tracing::debug!("an HTTP/2 connection ended: {error}"),
        }
        let cut = matches!(serving.phase, Phase::Cut(_));
        drop(serving);
        if cut {
            self.stream.finish();
        } else {
            self.stream.close(CLOSE_LINGER).await;
        }
    }
}

/// The bounds, for memory and for what clients may make the library do by itself.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .initial_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(H2_HEAD_BYTES_MAX)
        .max_send_buffer_size(H2_SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(H2_RESETS_PENDING_MAX)
        .max_pending_accept_reset_streams(H2_RESETS_PENDING_MAX)
        .max_local_error_reset_streams(Some(H2_ERROR_RESETS_MAX));
    builder
}

struct Serving {
    connection: Connection<Watched, Bytes>,
    ledger: Rc<RefCell<Ledger>>,
    phase: Phase,
}

impl Serving {
    async fn run(&mut self, worker: &Rc<Worker>, shared: &Rc<Shared>) -> Result<(), h2::Error> {
        let mut drain = worker.watch_drain();
        let mut timer = pin!(sleep_until(now().after(HEAD_TIMEOUT)));
        loop {
            let event = poll_fn(|cx| {
                if let Poll::Ready(event) = self.poll(cx, &mut drain, shared) {
                    return Poll::Ready(event);
                }
                timer.as_mut().poll(cx).map(|()| Event::Due)
            });
            match event.await {
                Event::Request(request) => self.begin(worker, shared, *request),
                Event::Draining => {
                    self.leave();
                    timer.as_mut().get_mut().reset(now().after(CLOSE_LINGER));
                }
                Event::Verdict(reason) => {
                    tracing::debug!(client = %shared.session.address, %reason, "an HTTP/2 client's connection is cut");
                    self.cut(reason);
                    timer.as_mut().get_mut().reset(now().after(CLOSE_LINGER));
                }
                Event::Due => match self.look(shared) {
                    Some(next) => timer.as_mut().get_mut().reset(next),
                    None => return Ok(()),
                },
                Event::Over(result) => return result,
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, drain: &mut DrainWatch<'_>, shared: &Shared) -> Poll<Event> {
        if self.phase == Phase::Serving && drain.poll(cx).is_ready() {
            return Poll::Ready(Event::Draining);
        }
        let accepted = self.connection.poll_accept(cx);
        let flood = shared.floods.get().then_some(Reason::ENHANCE_YOUR_CALM);
        let verdict = self.ledger.borrow().verdict().or(flood);
        if let Some(reason) = verdict.filter(|_| !matches!(self.phase, Phase::Cut(_))) {
            return Poll::Ready(Event::Verdict(reason));
        }
        accepted.map(|accepted| match accepted {
            Some(Ok(request)) => Event::Request(Box::new(request)),
            Some(Err(error)) => Event::Over(Err(error)),
            None => Event::Over(Ok(())),
        })
    }

    fn begin(&self, worker: &Rc<Worker>, shared: &Rc<Shared>, request: (Request<RecvStream>, SendResponse<Bytes>)) {
        let (request, respond) = request;
        shared.requests.set(shared.requests.get() + 1);
        let in_progress = InProgress(Rc::clone(shared));
        let (worker, shared) = (Rc::clone(worker), Rc::clone(shared));
        spawn(async move {
            let _in_progress = in_progress;
            stream::serve(worker, shared, request, respond).await;
        })
        .detach();
    }

    /// Lets what was begun finish.
    fn leave(&mut self) {
        if self.phase == Phase::Serving {
            self.connection.graceful_shutdown();
            self.phase = Phase::Leaving(now());
        }
    }

    fn cut(&mut self, reason: Reason) {
        self.connection.abrupt_shutdown(reason);
        self.phase = Phase::Cut(now());
    }

    /// Looks whether the connection is of use; when to look again, or `None` when it is over now.
    fn look(&mut self, shared: &Shared) -> Option<Instant> {
        let (begun, active) = {
            let ledger = self.ledger.borrow();
            (ledger.begun(), ledger.active())
        };
        let busy = shared.requests.get() > 0;
        match self.phase {
            Phase::Cut(since) if since.after(CLOSE_LINGER) <= now() => return None,
            Phase::Leaving(since) if !busy && since.after(CLOSE_LINGER) <= now() => self.cut(Reason::NO_ERROR),
            Phase::Serving | Phase::Leaving(_) if begun.is_some_and(|begun| begun.after(HEAD_TIMEOUT) <= now()) => {
                self.cut(Reason::ENHANCE_YOUR_CALM);
            }
            Phase::Serving | Phase::Leaving(_) if busy => {}
            // Answers that were handed over and that the client takes nothing of.
            Phase::Serving | Phase::Leaving(_) if self.connection.has_streams() => {
                if active.after(CLIENT_STALL_MAX) <= now() {
                    self.cut(Reason::ENHANCE_YOUR_CALM);
                }
            }
            Phase::Serving if active.after(IDLE_TIMEOUT) <= now() => self.leave(),
            Phase::Serving | Phase::Leaving(_) | Phase::Cut(_) => {}
        }
        Some(now().after(if self.phase == Phase::Serving { HEAD_TIMEOUT } else { CLOSE_LINGER }))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get() - 1);
    }
}
