//! Connections to one backend, kept between requests: the last used is used first, so that those not needed grow old.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};

use postern_http::Limits;
use postern_http::h1::{Inbox, ResponseParser};
use postern_io::sync::{OneSender, oneshot};
use postern_io::{ConnectOptions, Instant, Socket, Stream, now, timeout};

use crate::backend::Backend;
use crate::counters::Counters;
use crate::failure::{Failed, Fault};
use crate::limits::{BACKEND_IDLE, WAITERS_MAX};
use crate::resolve::Names;

/// One worker's connections to one backend.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) backend: Arc<Backend>,
    connections_max: usize,
    counters: Arc<Counters>,
    open: Cell<usize>,
    #[expect(clippy::vec_box, reason = "a connection moves between here and its requests as a pointer")]
    idle: RefCell<Vec<Box<BackendConnection>>>,
    waiters: RefCell<VecDeque<OneSender<Grant>>>,
}

/// A connection that speaks HTTP/1.1 with a backend. Dropping it closes it; in the middle of a request, at once.
#[derive(Debug)]
pub(crate) struct BackendConnection {
    pub(crate) stream: Stream,
    pub(crate) inbox: Inbox,
    pub(crate) parser: ResponseParser,
    /// It served a request before.
    pub(crate) reused: bool,
    /// In the middle of a request: what is queued must not be sent any more when it is dropped.
    pub(crate) busy: bool,
    idle_since: Instant,
    _counted: Counted,
    /// Gone only when another connection takes this one's place.
    permit: Option<Permit>,
}

/// Stands in the gauge of open connections while it lives.
#[derive(Debug)]
struct Counted(Arc<Counters>);

impl Counted {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.backend_connections_open.increment();
        Self(Arc::clone(counters))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.backend_connections_open.decrement();
    }
}

/// The right to one connection.
#[derive(Debug)]
struct Permit(Weak<Pool>);

#[derive(Debug)]
enum Grant {
    Connection(Box<BackendConnection>),
    Permit(Permit),
}

impl Pool {
    /// `share`: over how many workers the backend's connections are spread.
    pub(crate) fn new(backend: Arc<Backend>, share: usize, counters: Arc<Counters>) -> Rc<Self> {
        Rc::new(Self {
            connections_max: (backend.connections_max / share).max(1),
            backend,
            counters,
            open: Cell::new(0),
            idle: RefCell::default(),
            waiters: RefCell::default(),
        })
    }

    /// A connection that nobody else uses: a kept one unless it must be `fresh`.
    pub(crate) async fn acquire(self: &Rc<Self>, names: &Names, fresh: bool) -> Result<Box<BackendConnection>, Failed> {
        if !fresh && let Some(kept) = self.take_idle() {
            return Ok(kept);
        }
        let permit = match self.permit(fresh) {
            Some(permit) => Some(permit),
            None => match self.wait().await? {
                Grant::Connection(kept) if !fresh && kept.is_quiet() => return Ok(kept),
                Grant::Connection(mut kept) => kept.permit.take(),
                Grant::Permit(permit) => Some(permit),
            },
        };
        self.connect(names, permit).await
    }

    /// Keeps a connection for the next request, if it is good for one.
    pub(crate) fn release(&self, mut connection: Box<BackendConnection>) {
        if !connection.inbox.is_empty() || !connection.is_quiet() {
            return;
        }
        (connection.reused, connection.busy) = (true, false);
        connection.idle_since = now();
        match self.next_waiter() {
            Some(waiter) => waiter.send(Grant::Connection(connection)),
            None => self.idle.borrow_mut().push(connection),
        }
    }

    /// Closes what is idle for too long, and what the backend closed.
    pub(crate) fn sweep(&self) {
        let at = now();
        self.idle.borrow_mut().retain(|kept| at.since(kept.idle_since) < BACKEND_IDLE && kept.is_quiet());
    }

    fn take_idle(&self) -> Option<Box<BackendConnection>> {
        loop {
            let kept = self.idle.borrow_mut().pop()?;
            if kept.is_quiet() {
                return Some(kept);
            }
        }
    }

    /// A place for one more; an idle connection gives way to one that must be fresh.
    fn permit(self: &Rc<Self>, fresh: bool) -> Option<Permit> {
        if fresh && self.open.get() >= self.connections_max {
            let oldest = self.idle.borrow_mut().pop();
            drop(oldest);
        }
        if self.open.get() >= self.connections_max {
            return None;
        }
        self.open.set(self.open.get() + 1);
        Some(Permit(Rc::downgrade(self)))
    }

    async fn wait(&self) -> Result<Grant, Failed> {
        let busy = || {
            let detail = format!("all {} connections of this worker to the backend are in use", self.connections_max);
            Failed::new(Fault::Overloaded, detail).unprocessed()
        };
        if self.waiters.borrow().len() >= WAITERS_MAX {
            // Those that were given up or came too late leave their place to those that wait.
            self.waiters.borrow_mut().retain(|waiter| !waiter.is_closed());
        }
        if self.waiters.borrow().len() >= WAITERS_MAX {
            return Err(busy());
        }
        let (sender, receiver) = oneshot();
        self.waiters.borrow_mut().push_back(sender);
        timeout(self.backend.connect_timeout, receiver.recv()).await.ok().flatten().ok_or_else(busy)
    }

    fn next_waiter(&self) -> Option<OneSender<Grant>> {
        let mut waiters = self.waiters.borrow_mut();
        while let Some(waiter) = waiters.pop_front() {
            if !waiter.is_closed() {
                return Some(waiter);
            }
        }
        None
    }

    async fn connect(&self, names: &Names, permit: Option<Permit>) -> Result<Box<BackendConnection>, Failed> {
        let longest = self.backend.connect_timeout;
        let Ok(connected) = timeout(longest, self.connect_to_any(names)).await else {
            let detail = format!("no connection within {} ms", longest.as_millis());
            return Err(Failed::new(Fault::BackendUnreachable, detail).unprocessed());
        };
        Ok(Box::new(BackendConnection {
            stream: connected?,
            inbox: Inbox::default(),
            parser: ResponseParser::new(Limits::default()),
            reused: false,
            busy: false,
            idle_since: now(),
            _counted: Counted::new(&self.counters),
            permit,
        }))
    }

    async fn connect_to_any(&self, names: &Names) -> Result<Stream, Failed> {
        let internal = &self.backend.internal;
        let addresses = names.addresses(&internal.host).await.map_err(|error| {
            Failed::new(Fault::BackendUnreachable, format!("{} cannot be resolved: {error}", internal.host))
                .unprocessed()
        })?;
        let each = self.backend.connect_timeout / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses.iter() {
            let options = ConnectOptions { timeout: each, ..ConnectOptions::default() };
            match Socket::connect(SocketAddr::new(*address, internal.port), &options).await {
                Ok(socket) => return self.secure(socket).await,
                Err(error) => last = error,
            }
        }
        Err(Failed::connecting(&last))
    }

    async fn secure(&self, socket: Socket) -> Result<Stream, Failed> {
        let Some(tls) = &self.backend.tls else { return Ok(Stream::plain(socket)) };
        Stream::tls_client(socket, Arc::clone(&tls.config), tls.server_name.clone())
            .await
            .map_err(|error| Failed::handshaking(&error))
    }
}

impl BackendConnection {
    /// Nothing came and the backend did not close it. A look also keeps a receive armed, so that the next one notices.
    fn is_quiet(&self) -> bool {
        self.stream.poll_read(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

impl Drop for BackendConnection {
    fn drop(&mut self) {
        if self.busy {
            self.stream.abort();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(pool) = self.0.upgrade() else { return };
        pool.open.set(pool.open.get() - 1);
        let waiter = if pool.open.get() < pool.connections_max { pool.next_waiter() } else { None };
        if let Some(waiter) = waiter {
            pool.open.set(pool.open.get() + 1);
            waiter.send(Grant::Permit(Self(Weak::clone(&self.0))));
        }
    }
}
