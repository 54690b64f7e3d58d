//! Connections to one backend, kept between requests: the last used is used first, so that those not needed grow old.
//! Those that speak HTTP/2 are shared by requests, up to what each takes.

mod connect;
mod further;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};

use postern_http::h1::{Inbox, ResponseParser};
use postern_io::sync::{OneSender, oneshot};
use postern_io::{Instant, Stream, now, timeout};
use postern_model::settings::BackendHttp;
use postern_tunnel::SsoLogin;

use crate::backend::Backend;
use crate::counters::Counters;
use crate::embed::BuiltIn;
use crate::failure::{Failed, Fault};
use crate::farm::Member;
use crate::http2::{Http2Backend, Http2Lease};
use crate::limits::{BACKEND_IDLE, WAITERS_MAX};
use crate::proxy::Way;
use crate::resolve::Names;
use further::FurtherPools;

/// One worker's connections to one backend.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) backend: Arc<Backend>,
    /// How it is reached; its members, segments and hosts are by the same way.
    pub(crate) way: Way,
    /// Of a farm: one for each member. Nothing goes by this one then.
    pub(crate) members: Vec<Rc<Self>>,
    connections_max: usize,
    counters: Arc<Counters>,
    built_in: Option<BuiltIn>,
    names: Names,
    /// Over how many workers connections are spread.
    share: usize,
    further: FurtherPools,
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
    /// Which address of the backend's name it leads to.
    peer: Option<IpAddr>,
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
    /// One that nobody else uses, beyond the bound: it does not wait for those that are in use.
    pub(crate) alone: bool,
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
        names: Names,
    ) -> Rc<Self> {
        let of_member = |member: &Member| {
            let (backend, counters) = (Arc::clone(&member.backend), Arc::clone(&counters));
            Self::new(backend, way.clone(), share, counters, None, names.clone())
        };
        Rc::new(Self {
            members: backend.farm.iter().flat_map(|farm| &farm.members).map(of_member).collect(),
            connections_max: (backend.connections_max / share).max(1),
            speaks_http2: Cell::new(matches!(backend.http, BackendHttp::Http2 | BackendHttp::H2c)),
            backend,
            way,
            counters,
            built_in,
            names,
            share,
            further: FurtherPools::default(),
            open: Cell::new(0),
            idle: RefCell::default(),
            shared: RefCell::default(),
            dialling: Cell::new(false),
            waiters: RefCell::default(),
        })
    }

    /// A connection: a kept one, or a part of a shared one, unless it must be fresh.
    pub(crate) async fn acquire(self: &Rc<Self>, wanted: Wanted<'_>) -> Result<Acquired, Failed> {
        if let Some(kept) = self.take_kept(wanted) {
            return Ok(kept);
        }
        if wanted.alone {
            return Box::pin(self.connect(None, wanted)).await;
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
        // Apart: requests that find a connection, nearly all, need not carry the room for making one.
        Box::pin(self.connect(permit, wanted)).await
    }

    fn take_kept(&self, wanted: Wanted<'_>) -> Option<Acquired> {
        if wanted.fresh || wanted.alone {
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
        if !connection.inbox.is_empty() || !connection.is_quiet() || self.has_left(connection.peer) {
            return;
        }
        (connection.reused, connection.busy) = (true, false);
        connection.idle_since = now();
        match self.next_waiter() {
            Some(waiter) => waiter.send(Grant::Acquired(Acquired::Http1(connection))),
            None => self.idle.borrow_mut().push(connection),
        }
    }

    /// Closes what is idle for too long, what the backend closed, and what leads to an address that is not the backend's any more.
    /// A backend whose connections are kept is not connected to for long: its name is asked for all the same, where this connector is
    /// who looks it up.
    pub(crate) fn sweep(&self) {
        let at = now();
        self.members.iter().for_each(|member| member.sweep());
        if self.open.get() > 0 && matches!(self.way, Way::Direct) {
            self.names.refresh(&self.backend.internal.host);
        }
        let is_old = |since: Instant| at.since(since) >= BACKEND_IDLE;
        self.idle.borrow_mut().retain(|kept| !is_old(kept.idle_since) && kept.is_quiet() && !self.has_left(kept.peer));
        // Requests that are on one of them end there.
        self.shared.borrow_mut().retain(|connection| {
            !connection.is_retired() && !connection.idle_since().is_some_and(is_old) && !self.has_left(connection.peer)
        });
        self.further.sweep();
    }

    fn has_left(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|address| self.names.has_left(&self.backend.internal.host, address))
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
