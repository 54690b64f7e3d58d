//! One tunnel to one worker of a relay: its protocol's state on a stream, and the requests it carries. What the requests
//! of a turn send shares the turn's TLS records and its one send.

mod answer;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use postern_io::time::{Sleep, now, sleep_until};
use postern_io::turn::{TurnEnd, at_turn_end};
use postern_io::{OUTPUT_HIGH_WATER_BYTES, Stream, Task, spawn};
use postern_model::ids::RelayId;
use postern_tunnel::{
    Cancel, CancelCode, Connection, Culprit, Event, GoAwayReason, Hello, Identity, Limits, OpenMeta, Output, PeerHello,
    RevokeScope, Status, StreamId, StreamKind, TunnelError,
};

use crate::check;
use crate::dial::{Report, TunnelId};
use crate::enrol::SOFTWARE;
use crate::exchange::{self, Exchange};
use crate::failure::{Failed, Fault};
use crate::incoming::Incoming;
use crate::keeper::Offered;
use crate::limits::{SILENCE_DEAD, SILENCE_PROBED, TUNNEL_READS_PER_TURN, TUNNEL_TICK};
use crate::worker::Worker;

/// One tunnel, shared by its task and the tasks of its requests.
pub(crate) struct Tunnel {
    pub(crate) worker: Rc<Worker>,
    id: TunnelId,
    stream: Stream,
    connection: RefCell<Connection>,
    requests: RefCell<Vec<Slot>>,
    output: RefCell<Output>,
    /// The end of this turn will send.
    flushing: Cell<bool>,
    /// The stream holds as much as it should: nothing is sent before it is writable again.
    blocked: Cell<bool>,
    draining: Cell<bool>,
    relay: Cell<Option<RelayId>>,
    config_offered: Cell<Offered>,
    reported: Cell<Option<Status>>,
    waker: RefCell<Option<Waker>>,
}

/// Of the stream with the same slot number.
#[derive(Default)]
struct Slot {
    stream: Option<StreamId>,
    meta: Option<OpenMeta>,
    incoming: Rc<Incoming>,
    task: Option<Task<()>>,
}

/// How a tunnel ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("drained")]
    Drained,
    #[error("the relay closed it")]
    Closed,
    #[error("nothing came for {} s although it was probed", SILENCE_DEAD.as_secs())]
    Silent,
    #[error("{0}")]
    Protocol(#[from] TunnelError),
    #[error("{0}")]
    Connection(#[from] io::Error),
}

impl Tunnel {
    /// A tunnel on an established stream.
    pub(crate) fn new(worker: Rc<Worker>, id: TunnelId, stream: Stream) -> Rc<Self> {
        let identity = Identity::Connector { connector: worker.shared.connector() };
        let has_keytab = worker.shared.sign_on.is_some();
        let hello = Hello { identity, software: String::from(SOFTWARE), has_keytab };
        let connection = Connection::new(&hello, Limits::default(), now().since_origin());
        Rc::new(Self {
            worker,
            id,
            stream,
            connection: RefCell::new(connection),
            requests: RefCell::default(),
            output: RefCell::default(),
            flushing: Cell::new(false),
            blocked: Cell::new(false),
            draining: Cell::new(false),
            relay: Cell::new(None),
            config_offered: Cell::default(),
            reported: Cell::new(None),
            waker: RefCell::default(),
        })
    }

    /// Serves it to its end.
    pub(crate) async fn run(self: Rc<Self>) -> Ended {
        self.flush();
        let mut tick = sleep_until(now().after(TUNNEL_TICK));
        let ended = poll_fn(|cx| self.poll(cx, &mut tick)).await;
        self.requests.take();
        self.flush_now();
        self.stream.finish();
        ended
    }

    /// The last configuration that came.
    pub(crate) fn config_offered(&self) -> Offered {
        self.config_offered.get()
    }

    /// Which relay it leads to, once that is known.
    pub(crate) fn relay(&self) -> Option<RelayId> {
        self.relay.get()
    }

    /// Takes nothing new; ends when what is open has ended.
    pub(crate) fn drain(self: &Rc<Self>, reason: GoAwayReason) {
        if !self.draining.replace(true) {
            self.connection.borrow_mut().go_away(reason, "");
            self.flush();
            self.wake();
        }
    }

    fn poll(self: &Rc<Self>, cx: &mut Context<'_>, tick: &mut Sleep) -> Poll<Ended> {
        self.register(cx);
        if let Err(ended) = self.read(cx) {
            return Poll::Ready(ended);
        }
        self.handle_events();
        if self.blocked.get() && self.stream.poll_writable(cx).is_ready() {
            self.blocked.set(false);
            self.flush();
        }
        while Pin::new(&mut *tick).poll(cx).is_ready() {
            if let Err(ended) = self.tick() {
                return Poll::Ready(ended);
            }
            tick.reset(now().after(TUNNEL_TICK));
        }
        if self.is_drained() {
            return Poll::Ready(Ended::Drained);
        }
        Poll::Pending
    }

    fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|held| held.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn read(self: &Rc<Self>, cx: &mut Context<'_>) -> Result<(), Ended> {
        for _ in 0..TUNNEL_READS_PER_TURN {
            let Poll::Ready(received) = self.stream.poll_read(cx) else { return Ok(()) };
            let received = received?;
            if received.is_empty() {
                return Err(Ended::Closed);
            }
            let handled = self.connection.borrow_mut().handle_input(received, now().since_origin());
            self.handle_events();
            handled?;
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn handle_events(self: &Rc<Self>) {
        loop {
            let event = self.connection.borrow_mut().poll_event();
            let Some(event) = event else { break };
            self.handle(event);
        }
        if self.connection.borrow().has_output() {
            self.flush();
        }
    }

    fn handle(self: &Rc<Self>, event: Event) {
        match event {
            Event::Open { stream, meta, head, end } => self.opened(stream, meta, head, end),
            Event::Data { stream, data, end } => self.received(stream, data, end),
            Event::Trailers { stream, trailers } => self.with_incoming(stream, |incoming| incoming.end(Some(trailers))),
            Event::Writable { stream } => self.with_incoming(stream, Incoming::wake),
            Event::Cancelled { stream, .. } => self.forget(stream),
            Event::Hello(hello) => self.introduced(&hello),
            Event::Config(config) => {
                let offered = self.worker.shared.offer_config(config);
                self.config_offered.set(self.config_offered.get().max(offered));
            }
            Event::Revoke(scope) => self.revoked(scope),
            Event::Generation(generation) => self.report(Report::Generation(generation)),
            Event::GoAway(away) => {
                tracing::info!(tunnel = %self.id, reason = ?away.reason, detail = away.detail.as_str(), "the relay drains the tunnel");
                self.report(Report::Leaving { tunnel: self.id });
            }
            Event::Check(check) => check::begin(self, check),
            Event::LaneRequest(_) => tracing::debug!("raw lanes are not yet available"),
            Event::ProbeReply(_) => self.measure(),
            // Of a relay only; the state machine refuses them from one.
            Event::Head { .. }
            | Event::Informational { .. }
            | Event::Upgraded { .. }
            | Event::Stopped { .. }
            | Event::CheckAnswer(_)
            | Event::Status(_) => {}
        }
    }

    fn introduced(self: &Rc<Self>, hello: &PeerHello) {
        let Identity::Relay { relay, generation, workers, worker } = hello.identity else { return };
        self.relay.set(Some(relay));
        tracing::debug!(tunnel = %self.id, %relay, generation, worker, software = hello.software, "tunnel up");
        self.report(Report::Up { tunnel: self.id, relay, generation, workers, worker });
        self.measure();
        self.report_status();
    }

    /// One probe after the other until it is known how far the relay is, by which the windows of uploads are sized. The relay
    /// probes all the time, so no silence would make this end do so.
    fn measure(&self) {
        let mut connection = self.connection.borrow_mut();
        if !connection.knows_distance() {
            connection.probe(now().since_origin());
        }
    }

    fn report(&self, report: Report) {
        self.worker.report(self.id, report);
    }

    fn opened(self: &Rc<Self>, stream: StreamId, meta: OpenMeta, head: Bytes, end: bool) {
        if meta.kind == StreamKind::Raw {
            let failed = Failed::new(Fault::Internal, "raw streams are not yet available").unprocessed();
            return self.cancel(stream, &failed.cancel());
        }
        let mut requests = self.requests.borrow_mut();
        let index = stream.slot();
        if requests.len() <= index {
            requests.resize_with(index + 1, Slot::default);
        }
        let incoming = Rc::new(Incoming::default());
        if end {
            incoming.end(None);
        }
        let exchange = Exchange::new(Rc::clone(self), stream, Rc::clone(&incoming), meta.clone());
        let task = spawn(exchange::serve(exchange, head, end));
        requests[index] = Slot { stream: Some(stream), meta: Some(meta), incoming, task: Some(task) };
    }

    fn received(&self, stream: StreamId, data: Bytes, end: bool) {
        self.with_incoming(stream, |incoming| {
            incoming.push(data);
            if end {
                incoming.end(None);
            }
        });
    }

    fn with_incoming(&self, stream: StreamId, act: impl FnOnce(&Incoming)) {
        let requests = self.requests.borrow();
        if let Some(slot) = requests.get(stream.slot()).filter(|slot| slot.stream == Some(stream)) {
            act(&slot.incoming);
        }
    }

    /// The stream is over for the relay: its task is dropped, and with it the backend's connection.
    fn forget(&self, stream: StreamId) {
        let dropped = self.take_slot(stream);
        drop(dropped);
    }

    fn take_slot(&self, stream: StreamId) -> Option<Slot> {
        let mut requests = self.requests.borrow_mut();
        let slot = requests.get_mut(stream.slot()).filter(|slot| slot.stream == Some(stream))?;
        Some(std::mem::take(slot))
    }

    /// The task of a stream says that it is done.
    pub(crate) fn finished(&self, stream: StreamId) {
        if let Some(task) = self.take_slot(stream).and_then(|slot| slot.task) {
            task.detach();
        }
        if self.draining.get() || self.connection.borrow().is_draining() {
            self.wake();
        }
    }

    fn revoked(self: &Rc<Self>, scope: RevokeScope<StreamId>) {
        let is_meant = |slot: &Slot| match scope {
            RevokeScope::Stream(stream) => slot.stream == Some(stream),
            RevokeScope::App(app) => slot.meta.as_ref().is_some_and(|meta| meta.app == app),
            RevokeScope::Session(session) => slot.meta.as_ref().is_some_and(|meta| meta.session == Some(session)),
        };
        let meant: Vec<StreamId> =
            self.requests.borrow().iter().filter(|slot| is_meant(slot)).filter_map(|slot| slot.stream).collect();
        for stream in meant {
            self.cancel(stream, &Cancel::new(Culprit::Relay, CancelCode::REVOKED));
            self.forget(stream);
        }
    }

    fn tick(self: &Rc<Self>) -> Result<(), Ended> {
        let at = now().since_origin();
        let mut connection = self.connection.borrow_mut();
        connection.handle_timeout(at)?;
        let silence = at.saturating_sub(connection.last_input());
        if silence > SILENCE_DEAD {
            return Err(Ended::Silent);
        }
        if silence > SILENCE_PROBED {
            connection.probe(at);
        }
        drop(connection);
        self.report_status();
        self.flush();
        Ok(())
    }

    /// Tells the relay how this connector is, if that changed.
    pub(crate) fn report_status(self: &Rc<Self>) {
        let status = self.worker.shared.status();
        if self.relay.get().is_some() && self.reported.replace(Some(status)) != Some(status) {
            self.connection.borrow_mut().report_status(status);
            self.flush();
        }
    }

    fn is_drained(&self) -> bool {
        let connection = self.connection.borrow();
        connection.is_draining() && connection.usage().streams == 0 && !connection.has_output()
    }

    /// Sends what is queued at the end of this turn.
    fn flush(self: &Rc<Self>) {
        if !self.flushing.replace(true) {
            at_turn_end(Rc::clone(self) as Rc<dyn TurnEnd>);
        }
    }

    fn flush_now(&self) {
        let mut output = self.output.borrow_mut();
        self.connection.borrow_mut().poll_output(&mut output);
        for segment in output.drain() {
            self.stream.queue_bytes(&segment);
        }
    }
}

impl TurnEnd for Tunnel {
    fn turn_end(self: Rc<Self>) {
        self.flushing.set(false);
        if self.stream.queued_bytes() >= OUTPUT_HIGH_WATER_BYTES {
            self.blocked.set(true);
            return self.wake();
        }
        self.flush_now();
        let connection = self.connection.borrow();
        if connection.has_events() || connection.is_draining() {
            self.wake();
        }
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tunnel({})", self.id)
    }
}
