//! One tunnel to a connector, as its worker sees it: reads and dispatches what arrives, gathers a turn's output into one
//! send, probes, and tells its requests when it is lost.

mod open_stream;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postern_io::turn::{TurnEnd, at_turn_end};
use postern_io::{Instant, OUTPUT_HIGH_WATER_BYTES, Stream, now, sleep, spawn, sync::Notify, wall_clock};
use postern_model::group_config::SignedGroupConfig;
use postern_model::ids::{ConnectorId, GroupId};
use postern_tunnel::{
    Connection, Event, GoAwayReason, Hello, Identity, Limits, OpenMeta, OpenRefused, Output, StreamId,
};

use super::check::Checks;
use super::exchange::{Exchange, StreamEvent};
use crate::limits::{PROBE_INTERVAL, TUNNEL_SILENCE_MAX, TUNNEL_SUSPECT_AFTER};
use crate::side::TunnelState;
pub(crate) use open_stream::OpenStream;

/// The open streams' requests, by [`StreamId::slot`].
type Slots = Vec<Option<(StreamId, Rc<Exchange>)>>;

/// How far a tunnel can be trusted.
///
/// ```text
/// Connecting ──first probe back──▶ Online ◀──a frame came──▶ Suspect (silent although probed)
///     └───────────────┬──────────────┴──GO_AWAY──▶ Draining        │
///                     └──────────────connection ends──▶ Gone ◀─────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Connecting,
    Online,
    Suspect,
    Draining,
    Gone,
}

/// A tunnel. Shared by its tasks and the requests on it.
pub(crate) struct Tunnel {
    pub(crate) connector: ConnectorId,
    pub(crate) group: GroupId,
    pub(crate) created: Instant,
    stream: Stream,
    connection: RefCell<Connection>,
    output: RefCell<Output>,
    exchanges: RefCell<Slots>,
    health: Cell<Health>,
    flush_due: Cell<bool>,
    blocked: Notify,
    open: Cell<usize>,
    config_sent: RefCell<Option<Arc<SignedGroupConfig>>>,
    software: RefCell<String>,
    has_keytab: Cell<Option<bool>>,
    since_unix_ms: u64,
    pub(super) checks: Checks,
    /// Called when health changed.
    changed: Box<dyn Fn(&Tunnel)>,
}

impl Tunnel {
    pub(crate) fn new(
        stream: Stream,
        connector: ConnectorId,
        group: GroupId,
        identity: Identity,
        changed: Box<dyn Fn(&Tunnel)>,
    ) -> Rc<Self> {
        let hello = Hello { identity, software: SOFTWARE.to_owned(), has_keytab: false };
        let connection = Connection::new(&hello, Limits::default(), now().since_origin());
        Rc::new(Self {
            connector,
            group,
            created: now(),
            stream,
            connection: RefCell::new(connection),
            output: RefCell::default(),
            exchanges: RefCell::default(),
            health: Cell::new(Health::Connecting),
            flush_due: Cell::new(false),
            blocked: Notify::default(),
            open: Cell::new(0),
            config_sent: RefCell::default(),
            software: RefCell::default(),
            has_keytab: Cell::default(),
            since_unix_ms: unix_ms(),
            checks: Checks::default(),
            changed,
        })
    }

    /// Serves the tunnel until its connection ends; every request on it knows then.
    pub(crate) async fn run(self: Rc<Self>) {
        self.flush();
        let prober = spawn(Rc::clone(&self).probe());
        let unblocker = spawn(Rc::clone(&self).unblock());
        let outcome = self.read_all().await;
        drop((prober, unblocker));
        match outcome {
            Ok(()) => tracing::info!(connector = %self.connector, "tunnel closed"),
            Err(error) => tracing::warn!(connector = %self.connector, "tunnel lost: {error}"),
        }
        self.set_health(Health::Gone);
        self.lose_streams();
        self.checks.lost();
        self.stream.finish();
    }

    async fn read_all(self: &Rc<Self>) -> io::Result<()> {
        loop {
            let bytes = self.stream.read().await?;
            if bytes.is_empty() {
                return Ok(());
            }
            let handled = self.connection.borrow_mut().handle_input(bytes, now().since_origin());
            self.take_events();
            self.flush();
            handled.map_err(io::Error::other)?;
            if self.health.get() == Health::Suspect {
                self.set_health(Health::Online);
            }
        }
    }

    fn take_events(self: &Rc<Self>) {
        loop {
            let Some(event) = self.connection.borrow_mut().poll_event() else { return };
            self.take_event(event);
        }
    }

    fn take_event(self: &Rc<Self>, event: Event) {
        match event {
            Event::Hello(hello) => {
                tracing::info!(connector = %self.connector, software = hello.software, "tunnel up");
                self.has_keytab.set(hello.has_keytab);
                *self.software.borrow_mut() = hello.software;
                self.connection.borrow_mut().probe(now().since_origin());
            }
            Event::ProbeReply(_) => {
                if self.health.get() == Health::Connecting {
                    self.set_health(Health::Online);
                }
            }
            Event::GoAway(away) => {
                tracing::info!(connector = %self.connector, reason = ?away.reason, detail = away.detail.as_str(), "tunnel drains");
                self.set_health(Health::Draining);
            }
            Event::Head { stream, head, end, backend_us } => {
                self.tell(stream, StreamEvent::Head { head, end, backend_us });
            }
            Event::Informational { stream, head } => self.tell(stream, StreamEvent::Informational(head)),
            Event::Data { stream, data, end } => self.tell(stream, StreamEvent::Data { data, end }),
            Event::Trailers { stream, trailers } => self.tell(stream, StreamEvent::Trailers(trailers)),
            Event::Upgraded { stream, head, backend_us } => {
                self.tell(stream, StreamEvent::Upgraded { head, backend_us });
            }
            Event::Cancelled { stream, cancel } => self.tell(stream, StreamEvent::Cancelled(cancel)),
            Event::Writable { stream } => {
                if let Some(exchange) = self.exchange(stream) {
                    exchange.set_writable();
                }
            }
            // The answer stands; sending more of the request fails, which is all that its task needs to know.
            Event::Stopped { .. } => {}
            Event::CheckAnswer(found) => self.checks.answered(found),
            // A connector's own state: shown by `status` once placement uses it.
            Event::Status(_) => {}
            Event::Open { .. }
            | Event::Config(_)
            | Event::Revoke(_)
            | Event::LaneRequest(_)
            | Event::Generation(_)
            | Event::Check(_) => {
                unreachable!("the protocol refuses on the relay's end what only relays send")
            }
        }
    }

    fn exchange(&self, stream: StreamId) -> Option<Rc<Exchange>> {
        let exchanges = self.exchanges.borrow();
        let (id, exchange) = exchanges.get(stream.slot())?.as_ref()?;
        (*id == stream).then(|| Rc::clone(exchange))
    }

    fn tell(&self, stream: StreamId, event: StreamEvent) {
        match self.exchange(stream) {
            Some(exchange) => exchange.push(event),
            // Its request is over; the credit goes back all the same.
            None => {
                if let StreamEvent::Data { data, .. } = event {
                    self.connection.borrow_mut().consumed(stream, data.len());
                }
            }
        }
    }

    /// Opens a stream for a request whose encoded head is given.
    pub(crate) fn open(self: &Rc<Self>, meta: &OpenMeta, head: &[u8], end: bool) -> Result<OpenStream, OpenRefused> {
        let id = self.connection.borrow_mut().open(meta, head, end)?;
        let exchange = Rc::new(Exchange::default());
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() <= id.slot() {
            exchanges.resize_with(id.slot() + 1, || None);
        }
        exchanges[id.slot()] = Some((id, Rc::clone(&exchange)));
        self.open.set(self.open.get() + 1);
        self.flush();
        Ok(OpenStream { tunnel: Rc::clone(self), id, exchange })
    }

    /// Runs `f` on the protocol's state; what it queued leaves at the end of this turn.
    pub(crate) fn with<T>(self: &Rc<Self>, f: impl FnOnce(&mut Connection) -> T) -> T {
        let result = f(&mut self.connection.borrow_mut());
        self.flush();
        result
    }

    /// Has every request on it look around.
    pub(crate) fn wake_streams(&self) {
        self.exchanges.borrow().iter().flatten().for_each(|(_, exchange)| exchange.wake());
    }

    /// Requests on this tunnel now.
    pub(crate) fn open_streams(&self) -> usize {
        self.open.get()
    }

    /// Bytes that wait to be sent.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.stream.queued_bytes()
    }

    pub(crate) fn health(&self) -> Health {
        self.health.get()
    }

    pub(crate) fn state(&self) -> TunnelState {
        let rtt = self.connection.borrow().rtt().unwrap_or_default();
        TunnelState {
            online: self.health.get() == Health::Online,
            software: self.software.borrow().clone(),
            has_keytab: self.has_keytab.get(),
            since_unix_ms: self.since_unix_ms,
            rtt_us: u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX),
        }
    }

    /// Sends the group's configuration unless the connector was sent this very one.
    pub(crate) fn send_config(self: &Rc<Self>, config: &Arc<SignedGroupConfig>) {
        let mut sent = self.config_sent.borrow_mut();
        if sent.as_ref().is_some_and(|sent| Arc::ptr_eq(sent, config) || sent.body == config.body) {
            return;
        }
        *sent = Some(Arc::clone(config));
        match serde_json::to_vec(&**config) {
            Ok(json) => self.with(|connection| connection.send_config(Bytes::from(json))),
            Err(error) => tracing::error!("a group's configuration cannot be sent: {error}"),
        }
    }

    /// Lets what runs finish, accepts nothing new.
    pub(crate) fn go_away(self: &Rc<Self>, reason: GoAwayReason) {
        self.with(|connection| connection.go_away(reason, ""));
        self.set_health(Health::Draining);
    }

    /// Ends the tunnel now.
    pub(crate) fn cut(&self) {
        self.stream.abort();
    }

    fn set_health(&self, health: Health) {
        let before = self.health.replace(health);
        if before == Health::Gone {
            self.health.set(Health::Gone);
        } else if before == Health::Draining && health != Health::Gone {
            self.health.set(Health::Draining);
        } else if before != health {
            (self.changed)(self);
        }
    }

    fn lose_streams(&self) {
        let exchanges = std::mem::take(&mut *self.exchanges.borrow_mut());
        let connection = self.connection.borrow();
        for (id, exchange) in exchanges.into_iter().flatten() {
            exchange.push(StreamEvent::Lost { sent_nothing: connection.sent_nothing(id) });
        }
    }

    /// Online means that a probe went through lately: asks every 150 ms, distrusts after silence, gives up after more.
    async fn probe(self: Rc<Self>) {
        loop {
            sleep(PROBE_INTERVAL).await;
            let silence = self.silence();
            if silence >= TUNNEL_SILENCE_MAX {
                tracing::warn!(connector = %self.connector, "no sign of life for {silence:?}: tunnel cut");
                self.cut();
                return;
            }
            if silence >= self.suspect_after() && self.health.get() == Health::Online {
                self.suspect();
            }
            self.with(|connection| connection.probe(now().since_origin()));
            let handled = self.connection.borrow_mut().handle_timeout(now().since_origin());
            if let Err(error) = handled {
                tracing::warn!(connector = %self.connector, "tunnel cut: {error}");
                self.cut();
                return;
            }
        }
    }

    fn silence(&self) -> Duration {
        now().since_origin().saturating_sub(self.connection.borrow().last_input())
    }

    fn suspect_after(&self) -> Duration {
        let rtt = self.connection.borrow().rtt().unwrap_or_default();
        TUNNEL_SUSPECT_AFTER.max(rtt * 3)
    }

    fn suspect(&self) {
        tracing::warn!(connector = %self.connector, "the connector does not answer probes");
        self.set_health(Health::Suspect);
        for (_, exchange) in self.exchanges.borrow().iter().flatten() {
            exchange.push(StreamEvent::Suspect);
        }
    }

    /// Everything of a turn leaves together, at its end.
    fn flush(self: &Rc<Self>) {
        if !self.flush_due.replace(true) {
            at_turn_end(Rc::clone(self) as Rc<dyn TurnEnd>);
        }
    }

    /// Goes on when the socket takes more.
    async fn unblock(self: Rc<Self>) {
        loop {
            self.blocked.notified().await;
            if self.stream.writable().await.is_err() {
                return;
            }
            self.flush();
        }
    }
}

impl TurnEnd for Tunnel {
    fn turn_end(self: Rc<Self>) {
        self.flush_due.set(false);
        if self.stream.queued_bytes() >= OUTPUT_HIGH_WATER_BYTES {
            self.blocked.notify();
            return;
        }
        let mut output = self.output.borrow_mut();
        self.connection.borrow_mut().poll_output(&mut output);
        for segment in output.drain() {
            self.stream.queue_bytes(&segment);
        }
        drop(output);
        if self.connection.borrow().has_events() {
            self.take_events();
        }
    }
}

fn unix_ms() -> u64 {
    u64::try_from(wall_clock().as_millis()).unwrap_or(u64::MAX)
}

/// What the relay calls itself in HELLO.
const SOFTWARE: &str = concat!("postern-relay ", env!("CARGO_PKG_VERSION"));
