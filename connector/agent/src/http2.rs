//! A connection to a backend that speaks HTTP/2: shared by requests, driven by a task of its own.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::{Rc, Weak};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::Request;
use postern_io::duplex::Duplex;
use postern_io::{Instant, Stream, now, spawn};

use crate::failure::{Failed, Fault};
use crate::limits::{
    BACKEND_HEAD_BYTES_MAX, HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_REQUESTS_MAX, HTTP2_SEND_BUFFER_BYTES,
    HTTP2_STREAM_WINDOW_BYTES,
};
use crate::pool::{Counted, Permit, Pool};

/// A connection. Once nobody holds it, it says good-bye and closes.
pub(crate) struct Http2Backend {
    handle: RefCell<SendRequest<Bytes>>,
    requests: Cell<usize>,
    /// Takes no further requests: it is closing, or has been silent for too long.
    retired: Cell<bool>,
    /// It has served a request.
    reused: Cell<bool>,
    idle_since: Cell<Instant>,
    /// When something of an answer last came.
    heard: Cell<Instant>,
    /// Which address of the backend's name it leads to.
    pub(crate) peer: Option<IpAddr>,
    pool: Weak<Pool>,
    _permit: Option<Permit>,
    _counted: Counted,
}

/// A request's place on a shared connection.
pub(crate) struct Http2Lease {
    connection: Rc<Http2Backend>,
    /// The connection served a request before this one.
    pub(crate) reused: bool,
}

/// What backends are told of this end of a connection.
pub(crate) fn settings() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(BACKEND_HEAD_BYTES_MAX)
        .max_send_buffer_size(HTTP2_SEND_BUFFER_BYTES);
    builder
}

impl Http2Backend {
    pub(crate) async fn begin(
        (stream, peer): (Stream, Option<IpAddr>),
        pool: &Rc<Pool>,
        permit: Option<Permit>,
        counted: Counted,
    ) -> Result<Rc<Self>, Failed> {
        let begun = settings().handshake(Duplex::new(stream)).await;
        let (handle, connection) = begun.map_err(|error| Failed::over_http2(&error).unprocessed())?;
        let backend = Rc::new(Self {
            handle: RefCell::new(handle),
            requests: Cell::new(0),
            retired: Cell::new(false),
            reused: Cell::new(false),
            idle_since: Cell::new(now()),
            heard: Cell::new(now()),
            peer,
            pool: Rc::downgrade(pool),
            _permit: permit,
            _counted: counted,
        });
        let driven = Rc::downgrade(&backend);
        spawn(async move {
            let ended = connection.await;
            tracing::debug!("a backend's HTTP/2 connection ended: {ended:?}");
            if let Some(backend) = driven.upgrade() {
                backend.retired.set(true);
            }
        })
        .detach();
        Ok(backend)
    }

    pub(crate) fn lease(connection: &Rc<Self>) -> Http2Lease {
        connection.requests.set(connection.requests.get() + 1);
        Http2Lease { connection: Rc::clone(connection), reused: connection.reused.replace(true) }
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.requests.get() < HTTP2_REQUESTS_MAX.min(self.handle.borrow().current_max_send_streams())
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Since when no request uses it.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.requests.get() == 0).then(|| self.idle_since.get())
    }
}

impl Http2Lease {
    /// Sends a request's head; `end`: nothing follows.
    pub(crate) async fn send(
        &self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut handle = self.connection.handle.borrow().clone();
        let sent = match poll_fn(|cx| handle.poll_ready(cx)).await {
            Ok(()) => handle.send_request(request, end),
            Err(error) => Err(error),
        };
        if sent.is_err() {
            self.retire();
        }
        sent
    }

    /// Something of an answer came.
    pub(crate) fn heard(&self) {
        self.connection.heard.set(now());
    }

    /// When something last came, to any request of the connection.
    pub(crate) fn last_heard(&self) -> Instant {
        self.connection.heard.get()
    }

    /// Lets nobody else use the connection.
    pub(crate) fn retire(&self) {
        self.connection.retired.set(true);
    }
}

impl Drop for Http2Lease {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.requests.set(connection.requests.get() - 1);
        connection.idle_since.set(now());
        if let Some(pool) = connection.pool.upgrade() {
            pool.has_room();
        }
    }
}

impl Failed {
    /// A connection, or one request on it, that failed in use. What the backend says it has not looked at may be repeated
    /// (RFC 9113 §8.7).
    pub(crate) fn over_http2(error: &h2::Error) -> Self {
        let failed = Self::new(Fault::BackendBroken, error.to_string());
        let refused = error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
        if refused { failed.unprocessed() } else { failed }
    }
}

impl fmt::Debug for Http2Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Backend").field("requests", &self.requests).field("retired", &self.retired).finish()
    }
}

impl fmt::Debug for Http2Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}
