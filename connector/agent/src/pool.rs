//! Connections to one backend, kept between requests: the last used is used first, so that those not needed grow old.
//! Those that speak HTTP/2 are shared by requests, up to what each takes.

mod connect;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};

use postern_http::Limits;
use postern_http::h1::{Inbox, ResponseParser};
use postern_io::sync::{OneSender, oneshot};
use postern_io::{Instant, Stream, now, timeout};
use postern_model::settings::BackendHttp;
use postern_tunnel::SsoLogin;

use crate::backend::{Backend, HTTP2};
use crate::counters::Counters;
use crate::embed::BuiltIn;
use crate::failure::{Failed, Fault};
use crate::http2::{Http2Backend, Http2Lease};
use crate::limits::{BACKEND_IDLE, WAITERS_MAX};
use crate::proxy::Way;
use crate::resolve::Names;

/// One worker's connections to one backend.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) backend: Arc<Backend>,
    pub(crate) way: Way,
    connections_max: usize,
    counters: Arc<Counters>,
    built_in: Option<BuiltIn>,
    open: Cell<usize>,
    #[expect(clippy::vec_box, reason = "a connection moves between here and its requests as a pointer")]
    idle: RefCell<Vec<Box<BackendConnection>>>,
    shared: RefCell<Vec<Rc<Http2Backend>>>,
    /// The last connection spoke HTTP/2: the next will too.
    speaks_http2: Cell<bool>,
    /// A connection is being made that many can share.
    dialling: Cell<bool>,
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
    /// Who is signed on on it.
    login: Option<SsoLogin>,
    idle_since: Instant,
    _counted: Counted,
    /// Gone only when another connection takes this one's place.
    permit: Option<Permit>,
}

/// Stands in the gauge of open connections while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Counters>);

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

/// What a request is sent on.
#[derive(Debug)]
pub(crate) enum Acquired {
    Http1(Box<BackendConnection>),
    Http2(Http2Lease),
}

impl Acquired {
    /// The connection served a request before.
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.reused,
            Self::Http2(lease) => lease.reused,
        }
    }
}

/// What a request demands of its connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// No kept one: it may have been closed meanwhile.
    pub(crate) fresh: bool,
    /// HTTP/1.1, for an upgrade.
    pub(crate) http1: bool,
    /// No connection on which another was signed on: some backends take a whole connection for the first one's.
    pub(crate) login: Option<&'a SsoLogin>,
}

/// The right to one connection.
#[derive(Debug)]
pub(crate) struct Permit(Weak<Pool>);

#[derive(Debug)]
enum Grant {
    Acquired(Acquired),
    Permit(Permit),
}

impl Pool {
    /// `share`: over how many workers the backend's connections are spread.
    pub(crate) fn new(
        backend: Arc<Backend>,
        way: Way,
        share: usize,
        counters: Arc<Counters>,
        built_in: Option<BuiltIn>,
    ) -> Rc<Self> {
        Rc::new(Self {
            connections_max: (backend.connections_max / share).max(1),
            speaks_http2: Cell::new(matches!(backend.http, BackendHttp::Http2 | BackendHttp::H2c)),
            backend,
            way,
            counters,
            built_in,
            open: Cell::new(0),
            idle: RefCell::default(),
            shared: RefCell::default(),
            dialling: Cell::new(false),
            waiters: RefCell::default(),
        })
    }

    /// A connection: a kept one, or a part of a shared one, unless it must be fresh.
    pub(crate) async fn acquire(self: &Rc<Self>, names: &Names, wanted: Wanted<'_>) -> Result<Acquired, Failed> {
        if let Some(kept) = self.take_kept(wanted) {
            return Ok(kept);
        }
        let permit = match self.permit(wanted) {
            Some(permit) => Some(permit),
            None => match self.wait().await? {
                Grant::Acquired(Acquired::Http1(kept))
                    if !wanted.fresh && kept.is_of(wanted.login) && kept.is_quiet() =>
                {
                    return Ok(Acquired::Http1(kept));
                }
                Grant::Acquired(Acquired::Http1(mut kept)) => kept.permit.take(),
                Grant::Acquired(shared @ Acquired::Http2(_)) if !wanted.http1 => return Ok(shared),
                // One more, beyond what the backend is to have: WebSockets last, and must not wait for what is shared.
                Grant::Acquired(Acquired::Http2(_)) => None,
                Grant::Permit(permit) => Some(permit),
            },
        };
        self.connect(names, permit, wanted).await
    }

    fn take_kept(&self, wanted: Wanted<'_>) -> Option<Acquired> {
        if wanted.fresh {
            return None;
        }
        if !wanted.http1
            && let Some(lease) = self.share()
        {
            return Some(Acquired::Http2(lease));
        }
        self.take_idle(wanted.login).map(Acquired::Http1)
    }

    /// A place on the shared connection with the fewest requests.
    fn share(&self) -> Option<Http2Lease> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| !connection.is_retired());
        let free = shared.iter().filter(|connection| connection.has_room());
        free.min_by_key(|connection| connection.requests()).map(Http2Backend::lease)
    }

    /// A shared connection has room: those that wait may use it.
    pub(crate) fn has_room(&self) {
        while !self.waiters.borrow().is_empty()
            && let Some(lease) = self.share()
        {
            let Some(waiter) = self.next_waiter() else { return };
            waiter.send(Grant::Acquired(Acquired::Http2(lease)));
        }
    }

    /// Keeps a connection for the next request, if it is good for one.
    pub(crate) fn release(&self, mut connection: Box<BackendConnection>) {
        if !connection.inbox.is_empty() || !connection.is_quiet() {
            return;
        }
        (connection.reused, connection.busy) = (true, false);
        connection.idle_since = now();
        match self.next_waiter() {
            Some(waiter) => waiter.send(Grant::Acquired(Acquired::Http1(connection))),
            None => self.idle.borrow_mut().push(connection),
        }
    }

    /// Closes what is idle for too long, and what the backend closed.
    pub(crate) fn sweep(&self) {
        let at = now();
        self.idle.borrow_mut().retain(|kept| at.since(kept.idle_since) < BACKEND_IDLE && kept.is_quiet());
        self.shared.borrow_mut().retain(|connection| {
            !connection.is_retired() && connection.idle_since().is_none_or(|since| at.since(since) < BACKEND_IDLE)
        });
    }

    fn take_idle(&self, login: Option<&SsoLogin>) -> Option<Box<BackendConnection>> {
        loop {
            let mut idle = self.idle.borrow_mut();
            let last = idle.iter().rposition(|kept| kept.is_of(login))?;
            let kept = idle.remove(last);
            drop(idle);
            if kept.is_quiet() {
                return Some(kept);
            }
        }
    }

    /// A place for one more; an idle connection gives way to one that must be fresh, or is another user's.
    fn permit(self: &Rc<Self>, wanted: Wanted<'_>) -> Option<Permit> {
        if (wanted.fresh || wanted.login.is_some()) && self.open.get() >= self.connections_max {
            let gives_way = self.idle.borrow_mut().pop();
            drop(gives_way);
        }
        // One connection carries many requests: they wait for it instead of making one each.
        if self.dialling.get() && !wanted.http1 {
            return None;
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

    async fn connect(
        self: &Rc<Self>,
        names: &Names,
        permit: Option<Permit>,
        wanted: Wanted<'_>,
    ) -> Result<Acquired, Failed> {
        let _dialling = (self.speaks_http2.get() && !wanted.http1).then(|| Dialling::begin(self));
        let longest = self.backend.connect_timeout;
        let Ok(connected) = timeout(longest, self.connect_to_any(names, wanted)).await else {
            let detail = format!("no connection within {} ms{}", longest.as_millis(), self.way.words());
            return Err(Failed::new(Fault::BackendUnreachable, detail).unprocessed());
        };
        let stream = connected?;
        let http2 = self.backend.http == BackendHttp::H2c || stream.tls().alpn.as_deref() == Some(HTTP2);
        if http2 && !wanted.http1 {
            self.speaks_http2.set(true);
            let connection = Http2Backend::begin(stream, self, permit, Counted::new(&self.counters)).await?;
            let lease = Http2Backend::lease(&connection);
            self.shared.borrow_mut().push(connection);
            return Ok(Acquired::Http2(lease));
        }
        if self.backend.http == BackendHttp::Http2 && !wanted.http1 {
            let detail = "the backend does not choose h2, which backend_http=2 demands";
            return Err(Failed::new(Fault::BackendTls, detail).unprocessed());
        }
        Ok(Acquired::Http1(Box::new(BackendConnection {
            stream,
            inbox: Inbox::default(),
            parser: ResponseParser::new(Limits::default()),
            reused: false,
            busy: false,
            login: wanted.login.cloned(),
            idle_since: now(),
            _counted: Counted::new(&self.counters),
            permit,
        })))
    }
}

/// While a connection is being made that many can share.
struct Dialling(Rc<Pool>);

impl Dialling {
    fn begin(pool: &Rc<Pool>) -> Self {
        pool.dialling.set(true);
        Self(Rc::clone(pool))
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.dialling.set(false);
        self.0.has_room();
        // Whoever still waits makes its own attempt.
        if let Some(waiter) = self.0.next_waiter() {
            match self.0.permit(Wanted::default()) {
                Some(permit) => waiter.send(Grant::Permit(permit)),
                None => self.0.waiters.borrow_mut().push_front(waiter),
            }
        }
    }
}

impl BackendConnection {
    fn is_of(&self, login: Option<&SsoLogin>) -> bool {
        self.login.as_ref() == login
    }

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
